// libp2p with noise and yamux alone: one file into one stream and out of it into a file, nothing hashed, nothing synced. `receive DIR PORT`
// takes what comes, `send DIR ADDRESS` sends the file that it is told by a message, and answers when all of it is written there.
import { createReadStream, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { multiaddr } from '@multiformats/multiaddr'
import { Meter, SafeStream } from '../../src/p2p/safe-stream.ts'
import { startNode } from '../p2p/loopback.ts'

const PROTOCOL = '/kith/bench/1'
const PIECE_BYTES = 256 * 1024
const waiting = { signal: new AbortController().signal }

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
