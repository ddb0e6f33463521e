import { generateKeyPair } from '@libp2p/crypto/keys'
import type { MessageStream, Stream } from '@libp2p/interface'
import { expect } from 'chai'
import type { Libp2p } from 'libp2p'
import { decrypts } from '../../src/p2p/lean-noise.ts'
import { startNode } from '../../src/p2p/node.ts'
import { Meter, SafeStream } from '../../src/p2p/safe-stream.ts'

const PROTOCOL = '/test/lean/1'
const waiting = { signal: new AbortController().signal }

/** What a connection of libp2p keeps to itself. */
interface Inside {
  readonly muxer: { readonly maConn: MessageStream }
}

describe('p2p/lean-noise', () => {
  const nodes: Libp2p[] = []
  after(() => Promise.all(nodes.map(node => node.stop())))

  async function start(): Promise<Libp2p> {
    const key = await generateKeyPair('Ed25519')
    const node = await startNode({ key, gater: {} }, { port: 0, listen: ['/ip4/127.0.0.1/tcp/0'] })
    nodes.push(node)
    return node
  }

  async function received(accepted: Promise<Stream>): Promise<Buffer> {
    const reader = new SafeStream(await accepted, new Meter())
    const parts: Uint8Array[] = []
    for (let part = await reader.read(waiting); part !== null; part = await reader.read(waiting)) parts.push(part)
    return Buffer.concat(parts)
  }

  for (const bytes of [1, 1_000, 65_519, 300_000]) {
    it(`decrypts what was sent in a message of ${bytes} bytes, at both ends with its own member`, async () => {
      const [sender, receiver] = [await start(), await start()]
      const accepted = new Promise<Stream>(resolve => {
        void receiver.handle(PROTOCOL, stream => resolve(stream))
      })
      const stream = new SafeStream(await sender.dialProtocol(receiver.getMultiaddrs(), PROTOCOL), new Meter())
      const sent = Uint8Array.from({ length: bytes }, (_, at) => at % 251)
      const writing = stream.write([sent], waiting).then(() => stream.close(waiting))
      expect((await received(accepted)).equals(sent)).to.equal(true)
      await writing
      for (const node of [sender, receiver]) {
        const { maConn } = (node.getConnections()[0] as unknown as Inside).muxer
        expect(decrypts(maConn) && Object.hasOwn(maConn, 'decrypt')).to.equal(true)
      }
    })
  }
})
