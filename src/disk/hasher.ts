// Spreads hash requests over the workers: small files many a message, large ones alone, a bounded number at a time. Results come as
// they are ready.

import { abortable } from '../core/abortable.ts'
import type { Chunk, ContentList } from '../core/content.ts'
import { isSingle } from '../core/content.ts'
import { decodeSegment, decodeTop, singleList } from '../core/content-list.ts'
import type { HashOptions, HashRequest, HashResult } from '../core/ports.ts'
import type { Hashed, PackedList, Unhashed } from './hash-worker.ts'
import { meet, RANGE_BYTES, type Range, type RangeChunks, rangesOf } from './range-hash.ts'
import type { Root } from './source.ts'
import type { DiskWorkers } from './workers.ts'

const BATCH_FILES = 64
const BATCH_BYTES = 8 * 1024 * 1024
/** Two a worker: one that runs and one that waits. */
const BATCHES_A_THREAD = 2
/** What is known of a file's beginning is told again when it is so many times as long: all of it is put together each time. */
const PREFIX_GROWTH = 1.25
/** Nobody needs to know more of it ahead, and each list takes memory. */
const MOST_PREFIX_BYTES = 32 * 1024 * 1024 * 1024

export async function* hashFiles(
  workers: DiskWorkers,
  root: Root,
  requests: readonly HashRequest[],
  options: HashOptions,
): AsyncGenerator<HashResult> {
  const { signal } = options
  const batches = batchesOf(requests)
  const running = new Set<Promise<{ self: object; results: HashResult[] }>>()
  const promiseOf = new Map<object, Promise<{ self: object; results: HashResult[] }>>()
  const start = (): void => {
    const next = batches.next()
    if (next.done === true) return
    const batch = next.value
    const promise = hashBatch(workers, root, batch, options).then(hashed => ({
      self: batch,
      results: hashed.map((result, index) => unpacked(batch[index] as HashRequest, result)),
    }))
    promiseOf.set(batch, promise)
    running.add(promise)
  }
  try {
    signal.throwIfAborted()
    for (let n = workers.hashThreads * BATCHES_A_THREAD; n > 0; n--) start()
    while (running.size > 0) {
      const { self, results } = await abortable(Promise.race(running), signal)
      running.delete(promiseOf.get(self) as Promise<{ self: object; results: HashResult[] }>)
      promiseOf.delete(self)
      start()
      yield* results
      signal.throwIfAborted()
    }
  } finally {
    // What still runs ends by itself; nobody waits for it.
    void Promise.allSettled(running)
  }
}

async function hashBatch(
  workers: DiskWorkers,
  root: Root,
  batch: readonly HashRequest[],
  options: HashOptions,
): Promise<readonly Hashed[]> {
  const [first] = batch
  if (batch.length === 1 && first?.kind === 'file' && first.stat.size >= 2 * RANGE_BYTES)
    return [await hashLarge(workers, root, first, options)]
  return workers.hash({ do: 'hash', root, requests: batch })
}

/** By all workers at once, and small work between its ranges. */
async function hashLarge(
  workers: DiskWorkers,
  root: Root,
  request: HashRequest,
  { signal, onPrefix }: HashOptions,
): Promise<Hashed> {
  const wanted = rangesOf(request.stat.size)
  const found: RangeChunks[] = []
  const prefix = onPrefix && new Prefix(workers, found, list => onPrefix(request, list))
  let failed: Unhashed | null = null
  const hashRange = async (range: Range, at: number): Promise<void> => {
    signal.throwIfAborted()
    const result = await workers.hash({ do: 'hash-range', root, request, range })
    if (!result.ok) failed = result
    else {
      found[at] = result.chunks
      if (found.length < wanted.length) prefix?.grow()
    }
  }
  const left = wanted.entries()
  const work = async (): Promise<void> => {
    for (const [at, range] of left) if (failed === null) await hashRange(range, at)
  }
  try {
    await Promise.all(Array.from({ length: workers.hashThreads }, work))
  } finally {
    prefix?.end()
  }
  for (const [at, { until }] of wanted.entries()) {
    const [before, range] = [found[at - 1], found[at]]
    // Zeros, and whatever else repeats itself, may be cut otherwise for ever: it goes on from where the range before ended.
    if (failed === null && before && range && meet(before, range) === null)
      await hashRange({ from: before.end, until: Math.max(until, before.end) }, at)
  }
  if (failed !== null) return failed
  return { ok: true, list: await workers.hash({ do: 'hash-join', ranges: found }), text: null }
}

/** The beginning of a file, as far as its ranges are known without a gap. */
class Prefix {
  readonly #workers: DiskWorkers
  readonly #found: readonly RangeChunks[]
  readonly #tell: (list: ContentList) => void
  /** Ranges that follow one another, from the first on. */
  #ranges = 0
  #told = 0
  #isJoining = false
  #isOver = false

  constructor(workers: DiskWorkers, found: readonly RangeChunks[], tell: (list: ContentList) => void) {
    this.#workers = workers
    this.#found = found
    this.#tell = tell
  }

  grow(): void {
    for (let next = this.#found[this.#ranges]; next !== undefined; next = this.#found[this.#ranges]) {
      const before = this.#found[this.#ranges - 1]
      if (before !== undefined && meet(before, next) === null) break
      this.#ranges++
    }
    void this.#join()
  }

  end(): void {
    this.#isOver = true
  }

  async #join(): Promise<void> {
    const { end } = this.#found[this.#ranges - 1] ?? { end: 0 }
    if (this.#isJoining || this.#isOver || end < this.#told * PREFIX_GROWTH || end === 0) return
    if (end > MOST_PREFIX_BYTES) return
    this.#isJoining = true
    this.#told = end
    try {
      const list = await this.#workers.hash({ do: 'hash-join', ranges: this.#found.slice(0, this.#ranges) })
      if (!this.#isOver) this.#tell(unpackList(list))
    } catch {
      // It is a help and no more: whoever reads the file hears what is wrong.
      this.#isOver = true
    } finally {
      this.#isJoining = false
    }
  }
}

function* batchesOf(requests: readonly HashRequest[]): Generator<HashRequest[], undefined> {
  let batch: HashRequest[] = []
  let bytes = 0
  for (const request of requests) {
    if (batch.length > 0 && (batch.length === BATCH_FILES || bytes + request.stat.size > BATCH_BYTES)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(request)
    bytes += request.stat.size
  }
  if (batch.length > 0) yield batch
}

function unpacked(request: HashRequest, hashed: Hashed): HashResult {
  if (!hashed.ok) return { ok: false, request, problem: hashed.problem }
  return { ok: true, request, list: unpackList(hashed.list), text: hashed.text }
}

/** Comes from our own worker: decoded, not checked again. */
function unpackList(list: PackedList): ContentList {
  if (isSingle(list.content)) return singleList(list.content, list.size)
  const segments = new Map(list.segments)
  const chunks: Chunk[] = []
  for (const ref of decodeTop(list.top).segments) {
    const bytes = segments.get(ref.hash)
    if (bytes === undefined) throw new Error('a segment is missing in a list made here')
    for (const chunk of decodeSegment(bytes)) chunks.push(chunk)
  }
  return { content: list.content, size: list.size, top: list.top, segments, chunks }
}
