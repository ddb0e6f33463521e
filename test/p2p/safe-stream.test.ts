// Streams over real libp2p: a reader that stops holds the writer, nothing is lost, and every end is noticed.
import { createHash } from 'node:crypto'
import type { Stream } from '@libp2p/interface'
import { expect } from 'chai'
import type { Libp2p } from 'libp2p'
import { isKithError } from '../../src/core/errors.ts'
import { Meter, SafeStream } from '../../src/p2p/safe-stream.ts'
import { pseudorandom } from '../contract/network-contract.ts'
import { startNode, until } from './loopback.ts'

const MIB = 1024 * 1024
const { signal } = new AbortController()

describe('a safe stream', () => {
  let nodes: Libp2p[] = []

  async function pair(): Promise<{ ours: SafeStream; theirs: SafeStream; raw: Stream; rawTheirs: Stream }> {
    const [a, b] = await Promise.all([startNode(), startNode()])
    nodes = [a, b]
    let accept = (_stream: Stream): void => undefined
    const accepted = new Promise<Stream>(resolve => {
      accept = resolve
    })
    await b.handle('/test/1', stream => accept(stream))
    const raw = await (await a.dial(b.getMultiaddrs())).newStream('/test/1')
    const ours = new SafeStream(raw, new Meter())
    await ours.write([new Uint8Array(1)], { signal })
    const rawTheirs = await accepted
    const theirs = new SafeStream(rawTheirs, new Meter())
    expect((await theirs.read({ signal }))?.byteLength).to.equal(1)
    return { ours, theirs, raw, rawTheirs }
  }

  afterEach(async () => {
    await Promise.all(nodes.map(node => node.stop()))
    nodes = []
  })

  it('holds its writer while nobody reads, and then brings every byte', async function () {
    this.timeout(60_000)
    const { ours, theirs, raw, rawTheirs } = await pair()
    const block = pseudorandom(256 * 1024, 1)
    const [sent, received] = [createHash('sha256'), createHash('sha256')]
    let written = 0
    const writing = (async () => {
      while (written < 48 * MIB) {
        const copy = new Uint8Array(block)
        new DataView(copy.buffer).setUint32(0, written)
        sent.update(copy)
        await ours.write([copy], { signal })
        written += copy.byteLength
      }
      await ours.close({ signal })
    })()
    let last = -1
    let since = performance.now()
    await until('held', () => {
      if (written !== last) since = performance.now()
      last = written
      return performance.now() - since > 200
    })
    expect(written).to.be.below(10 * MIB)
    let arrived = 0
    let waiting = 0
    for (let piece = await theirs.read({ signal }); piece !== null; piece = await theirs.read({ signal })) {
      received.update(piece)
      arrived += piece.byteLength
      waiting = Math.max(waiting, raw.writeBufferLength + rawTheirs.readBufferLength)
      // Now slowly, now fast: each pause and resume is a chance to lose something.
      if (arrived % (3 * MIB) < piece.byteLength) await new Promise(resolve => setTimeout(resolve, 5))
    }
    await writing
    expect(arrived).to.equal(written)
    expect(received.digest('hex')).to.equal(sent.digest('hex'))
    expect(waiting).to.be.below(6 * MIB)
  })

  it('says that the peer is gone, to reader and writer', async () => {
    const { ours, theirs } = await pair()
    const block = new Uint8Array(MIB)
    const writing = (async () => {
      for (;;) await ours.write([block], { signal })
    })().catch((error: unknown) => error)
    await theirs.read({ signal })
    theirs.abort(new Error('enough'))
    const failed = await writing
    expect(isKithError(failed) && failed.code).to.equal('peer-gone')
    const read = await ours.read({ signal }).catch((error: unknown) => error)
    expect(isKithError(read) && read.code).to.equal('peer-gone')
  })

  it('ends a wait with the signal, and goes on afterwards', async () => {
    const { ours, theirs } = await pair()
    const abort = new AbortController()
    const reading = theirs.read({ signal: abort.signal }).catch((error: unknown) => error)
    const reason = new Error('tired')
    abort.abort(reason)
    expect(await reading).to.equal(reason)
    await ours.write([Buffer.from('still here')], { signal })
    expect(Buffer.from((await theirs.read({ signal })) ?? []).toString()).to.equal('still here')
  })

  it('reads what came before a late start, and the end after it', async () => {
    const [a, b] = await Promise.all([startNode(), startNode()])
    nodes = [a, b]
    let late: Stream | null = null
    await b.handle('/test/1', stream => {
      late = stream
    })
    const ours = new SafeStream(await (await a.dial(b.getMultiaddrs())).newStream('/test/1'), new Meter())
    await ours.write([pseudorandom(100_000, 2)], { signal })
    await ours.close({ signal })
    await until('arrived', () => late !== null && late.readBufferLength === 100_000)
    const theirs = new SafeStream(late as unknown as Stream, new Meter())
    let bytes = 0
    for (let piece = await theirs.read({ signal }); piece !== null; piece = await theirs.read({ signal }))
      bytes += piece.byteLength
    expect(bytes).to.equal(100_000)
  })

  // Windows grow with the round trip, so on loopback a backlog above the limit is rare; on a real network it is not.
  it('pauses after a resume that brought more than it may hold, and not inside of it', async () => {
    const stub = new StubStream()
    const stream = new SafeStream(stub as unknown as Stream, new Meter())
    stub.arrive(1.5 * MIB)
    expect(stub.flowing).to.equal(false)
    for (let piece = 0; piece < 6; piece++) stub.arrive(MIB / 4)
    expect(stub.backlog.length).to.equal(6)
    await stream.read({ signal })
    expect(stub.readStatus).to.equal('paused')
    expect(stub.flowing, 'no window updates').to.equal(false)
    for (let piece = 0; piece < 6; piece++) await stream.read({ signal })
    expect(stub.flowing, 'and on again').to.equal(true)
  })
})

/** A yamux stream as far as pausing goes: `resume` hands out the backlog first, and marks the stream as flowing only then. */
class StubStream extends EventTarget {
  readonly status = 'open'
  readonly readableEnded = false
  readStatus = 'readable'
  flowing = true
  backlog: Uint8Array[] = []

  get readBufferLength(): number {
    return this.backlog.reduce((sum, piece) => sum + piece.byteLength, 0)
  }

  arrive(bytes: number): void {
    this.backlog.push(new Uint8Array(bytes))
    if (this.readStatus === 'readable') this.#dispatch()
  }

  pause(): void {
    if (this.readStatus === 'paused') return
    this.readStatus = 'paused'
    this.flowing = false
  }

  resume(): void {
    this.readStatus = 'readable'
    this.#dispatch()
    this.flowing = true
  }

  #dispatch(): void {
    for (let piece = this.backlog.shift(); piece !== undefined; piece = this.backlog.shift()) {
      this.dispatchEvent(Object.assign(new Event('message'), { data: piece }))
    }
  }
}
