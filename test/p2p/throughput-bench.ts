// How fast, and in how much memory: `node --import tsx test/p2p/throughput-bench.ts [MIB]`. Sender and receiver are processes of their own;
// prints throughput, round trips while the transfer runs, and what RSS grew by on both sides. Not part of the tests.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { multiaddr } from '@multiformats/multiaddr'
import type { Chunk } from '../../src/core/content.ts'
import { listOf, sha256 } from '../../src/core/content-list.ts'
import type { ContentId, FolderId, Hash } from '../../src/core/ids.ts'
import type { Together } from '../../src/core/ports.ts'
import { SYNC_PROTOCOL } from '../../src/p2p/session.ts'
import { FakeFolder } from '../contract/fake-folder.ts'
import { pseudorandom } from '../contract/network-contract.ts'
import { Device, until } from './loopback.ts'

const MIB = 1024 * 1024
const FOLDER = 'ff'.repeat(16) as FolderId
const CHUNK_BYTES = 64 * 1024
const { signal } = new AbortController()

/** Chunks are made when they are asked for: nothing of the content lies in memory. */
class MadeFolder extends FakeFolder {
  readonly #numbers = new Map<Hash, number>()
  readonly chunks: Chunk[] = []

  constructor(mib: number) {
    super(FOLDER, 1)
    for (let at = 0; at < (mib * MIB) / CHUNK_BYTES; at++) {
      const hash = sha256(chunkAt(at))
      this.#numbers.set(hash, at)
      this.chunks.push({ hash, length: CHUNK_BYTES })
    }
  }

  override async readChunks(hashes: readonly Hash[]): Promise<Together<Uint8Array>> {
    const found = hashes.map(hash => {
      const at = this.#numbers.get(hash)
      return at === undefined ? null : chunkAt(at)
    })
    return { found, release: () => undefined }
  }
}

const BASE = pseudorandom(CHUNK_BYTES, 1)

function chunkAt(at: number): Uint8Array {
  const out = new Uint8Array(BASE)
  new DataView(out.buffer).setUint32(0, at)
  return out
}

/** Seconds used by this process so far. */
const cpu = (): number => (process.cpuUsage().user + process.cpuUsage().system) / 1e6

const rss = (): number => process.memoryUsage().rss / MIB

async function serve(mib: number): Promise<void> {
  const device = await Device.start()
  const folder = new MadeFolder(mib)
  folder.network = device.share(folder)
  const before = rss()
  let peak = before
  setInterval(() => {
    peak = Math.max(peak, rss())
  }, 50)
  process.on('message', () => process.send?.({ grown: peak - before, cpu: cpu() }))
  process.send?.({ address: device.node.getMultiaddrs()[0]?.toString() })
}

async function receive(mib: number, slow: boolean): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), ['serve', String(mib)])
  const answer = (): Promise<Record<string, unknown>> =>
    new Promise(resolve => child.once('message', message => resolve(message as Record<string, unknown>)))
  const { address } = await answer()
  const device = await Device.start()
  const folder = new FakeFolder(FOLDER, 2)
  folder.network = device.share(folder)
  const connection = await device.node.dial(multiaddr(String(address)))
  const session = await device.open(await connection.newStream(SYNC_PROTOCOL), connection)
  await until('linked', () => folder.network?.peers().length === 1)
  const { chunks } = new MadeFolder(mib)
  const before = rss()
  let peak = before
  const pings: number[] = []
  const sampling = setInterval(() => {
    peak = Math.max(peak, rss())
    void session.ping({ signal: new AbortController().signal }).then(ms => pings.push(ms))
  }, 50)
  child.send('start')
  const start = { theirs: Number((await answer())['cpu']), ours: cpu() }
  const since = performance.now()
  let bytes = 0
  let good = 0
  for await (const { hash, bytes: chunk } of folder.network?.fetchChunks(listOf(chunks).content as ContentId, chunks, {
    signal,
  }) ?? []) {
    if (sha256(chunk) === hash) good++
    bytes += chunk.byteLength
    if (slow && bytes % (4 * MIB) === 0) await new Promise(resolve => setTimeout(resolve, 40))
  }
  const seconds = (performance.now() - since) / 1_000
  clearInterval(sampling)
  child.send('rss')
  const { grown, cpu: theirs } = await answer()
  const perGigabyte = (seconds: number): string => ((seconds * 1e9) / bytes).toFixed(1)
  pings.sort((a, b) => a - b)
  console.log(
    `${slow ? 'slow reader' : 'fast reader'}: ${good} of ${chunks.length} chunks right, ${(bytes / MIB).toFixed(0)} MiB in ${seconds.toFixed(1)} s = ` +
      `${(bytes / MIB / seconds).toFixed(0)} MiB/s; RSS +${(peak - before).toFixed(0)} MiB receiving, +${Number(grown).toFixed(0)} MiB sending; ` +
      `CPU s/GB ${perGigabyte(cpu() - start.ours)} receiving (with hashing), ${perGigabyte(Number(theirs) - start.theirs)} sending; ` +
      `ping median ${pings[pings.length >> 1]?.toFixed(1)} ms, worst ${pings.at(-1)?.toFixed(1)} ms`,
  )
  child.kill()
  await device.stop()
}

const [first = '256', second = '256'] = process.argv.slice(2)
if (first === 'serve') {
  await serve(Number(second))
} else {
  await receive(Number(first), false)
  await receive(Number(first), true)
}
