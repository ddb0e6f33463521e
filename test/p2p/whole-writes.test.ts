import { Socket } from 'node:net'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { MultiaddrConnection, Stream } from '@libp2p/interface'
import { expect } from 'chai'
import type { Libp2p } from 'libp2p'
import { startNode } from '../../src/p2p/node.ts'
import { Meter, SafeStream } from '../../src/p2p/safe-stream.ts'
import { writesWhole } from '../../src/p2p/whole-writes.ts'

const PROTOCOL = '/test/whole/1'
const BYTES = 1024 * 1024
const waiting = { signal: new AbortController().signal }

describe('p2p/whole-writes', () => {
  const nodes: Libp2p[] = []
  const known: boolean[] = []
  const written: number[] = []
  const { write } = Socket.prototype
  before(() => {
    Socket.prototype.write = function (this: Socket, ...args: Parameters<typeof write>) {
      // What is held back leaves with what follows.
      if (this.writableCorked === 0) written.push((args[0] as Uint8Array).length)
      return write.apply(this, args)
    } as typeof write
  })
  after(async () => {
    Socket.prototype.write = write
    for (const node of nodes) await node.stop()
  })

  async function start(): Promise<Libp2p> {
    const gater = {
      denyInboundConnection: (connection: MultiaddrConnection) => {
        known.push(writesWhole(connection))
        return false
      },
    }
    const key = await generateKeyPair('Ed25519')
    const node = await startNode({ key, gater }, { port: 0, listen: ['/ip4/127.0.0.1/tcp/0'] })
    nodes.push(node)
    return node
  }

  it('writes no piece of a message by itself, and all of it arrives', async () => {
    const [sender, receiver] = [await start(), await start()]
    const accepted = new Promise<Stream>(resolve => {
      void receiver.handle(PROTOCOL, stream => resolve(stream))
    })
    const stream = new SafeStream(await sender.dialProtocol(receiver.getMultiaddrs(), PROTOCOL), new Meter())
    const bytes = Uint8Array.from({ length: BYTES }, (_, at) => at % 251)
    const writing = stream.write([bytes], waiting).then(() => stream.close(waiting))
    const reader = new SafeStream(await accepted, new Meter())
    const parts: Uint8Array[] = []
    for (let part = await reader.read(waiting); part !== null; part = await reader.read(waiting)) parts.push(part)
    await writing
    expect(Buffer.concat(parts).equals(bytes)).to.equal(true)
    expect(known).to.deep.equal([true])
    expect(written).to.deep.equal([])
  })
})
