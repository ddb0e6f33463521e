// libp2p with noise and yamux alone: one file into one stream and out of it into a file, nothing hashed, nothing synced. `receive DIR PORT`
// takes what comes, `send DIR ADDRESS` sends the file that it is told by a message, and answers when all of it is written there.
import '../../src/p2p/polyfill.ts'
import { createReadStream, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'
import { Meter, SafeStream } from '../../src/p2p/safe-stream.ts'

const PROTOCOL = '/kith/bench/1'
const PIECE_BYTES = 256 * 1024
const MIB = 1 << 20
const waiting = { signal: new AbortController().signal }

function startNode(listen: readonly string[]): Promise<Libp2p> {
  return createLibp2p({
    addresses: { listen: [...listen] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({
        streamOptions: {
          maxStreamWindowSize: 2 * MIB,
          maxReadBufferLength: 8 * MIB,
          maxWriteBufferLength: 16 * MIB,
        },
      }),
    ],
    connectionMonitor: { enabled: false },
  })
}

async function receive(directory: string, port: string): Promise<void> {
  const node = await startNode([`/ip4/0.0.0.0/tcp/${port}`])
  await node.handle(PROTOCOL, raw => {
    const stream = new SafeStream(raw, new Meter())
    const fd = openSync(join(directory, 'large'), 'w')
    void (async () => {
      for (let piece = await stream.read(waiting); piece !== null; piece = await stream.read(waiting))
        writeSync(fd, piece)
      await stream.close(waiting)
    })()
  })
  process.send?.('ready')
}

async function send(directory: string, address: string): Promise<void> {
  const node = await startNode([])
  const connection = await node.dial(multiaddr(address))
  process.on('message', name => {
    void (async () => {
      const stream = new SafeStream(await connection.newStream(PROTOCOL), new Meter())
      for await (const piece of createReadStream(join(directory, String(name)), { highWaterMark: PIECE_BYTES }))
        await stream.write([piece as Buffer], waiting)
      await stream.close(waiting)
      while ((await stream.read(waiting)) !== null);
      process.send?.('done')
    })()
  })
  process.send?.('ready')
}

const [role, directory = '', other = ''] = process.argv.slice(2)
await (role === 'receive' ? receive(directory, other) : send(directory, other))
