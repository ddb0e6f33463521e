// A content on its way into the stage, chunk by chunk: what is there already, and what the part was when the workers left it. Tasks on one
// part run one after the other: each is told what the one before left, so that a foreign write in between is noticed.
import type { Chunk, ContentList } from '../core/content.ts'
import { isSingle } from '../core/content.ts'
import { KithError } from '../core/errors.ts'
import type { ContentId } from '../core/ids.ts'
import type { ContentPlace, StageFile, Waiting } from '../core/ports.ts'
import { Serial } from '../core/serial.ts'
import type { Seal } from './area.ts'
import type { ChunkTarget, Filled } from './part-work.ts'
import type { Root } from './source.ts'
import type { DiskWorkers } from './workers.ts'

/** Written bytes are made durable this many at a time, while more arrives. */
const SYNC_BYTES = 64 * 1024 * 1024

interface Deps {
  readonly workers: DiskWorkers
  readonly root: () => Root
}

/** Where it is remembered what is staged. */
interface Owner {
  isDone(): boolean
  /** One at a time with whatever else puts this content there. */
  inTurn<T>(work: () => Promise<T>, options: Waiting): Promise<T>
  done(seal: Seal): void
  closed(): void
}

interface Part {
  readonly root: Root
  readonly content: ContentId
  readonly seal: Seal | null
}

export class DiskStageFile implements StageFile {
  readonly content: ContentId
  readonly #deps: Deps
  readonly #list: ContentList
  readonly #have: Uint8Array
  readonly #owner: Owner
  readonly #offsets: number[] = []
  readonly #tasks = new Serial()
  /** Null: something may have written to the part, or its chunks are not all as every device cuts them. */
  #seal: Seal | null
  #unsynced = 0
  #syncing: Promise<PromiseSettledResult<null>> | null = null

  constructor(deps: Deps, list: ContentList, { right, seal }: Filled, owner: Owner) {
    this.content = list.content
    this.#deps = deps
    this.#list = list
    this.#have = right
    this.#seal = seal
    this.#owner = owner
    let at = 0
    for (const chunk of list.chunks) {
      this.#offsets.push(at)
      at += chunk.length
    }
  }

  missing(): readonly number[] {
    const missing: number[] = []
    for (let index = 0; index < this.#have.length; index++) if (this.#have[index] === 0) missing.push(index)
    return missing
  }

  has(index: number): boolean {
    return this.#have[index] === 1
  }

  async write(chunks: readonly { index: number; bytes: Uint8Array }[], options: Waiting): Promise<readonly number[]> {
    options.signal.throwIfAborted()
    const fitting = chunks.filter(({ index, bytes }) => this.#list.chunks[index]?.length === bytes.length)
    const targets = fitting.map(({ index }) => this.#target(index))
    const pieces = fitting.map(({ bytes }) => ownBuffer(bytes))
    const given = [...new Set(pieces.map(({ buffer }) => buffer))]
    return this.#fill(chunks, fitting, part =>
      this.#deps.workers.hash({ do: 'part-write', ...part, targets, pieces }, given),
    )
  }

  async copy(
    chunks: readonly { index: number; place: ContentPlace; offset: number; cut?: boolean }[],
    options: Waiting,
  ): Promise<readonly number[]> {
    options.signal.throwIfAborted()
    const known = chunks.filter(({ index }) => this.#list.chunks[index] !== undefined)
    const targets = known.map(({ index, place, offset, cut = false }) => ({
      ...this.#target(index),
      ...{ place, offset, wasCut: cut },
    }))
    return this.#fill(chunks, known, part => this.#deps.workers.hash({ do: 'part-copy', ...part, targets }))
  }

  async finish(options: Waiting): Promise<void> {
    options.signal.throwIfAborted()
    if (this.#owner.isDone()) return
    if (this.#have.includes(0)) throw mismatch('it is not complete')
    await this.#synced()
    await this.#owner.inTurn(() => this.#tasks.run(() => this.#finish()), options)
  }

  async #finish(): Promise<void> {
    if (this.#owner.isDone()) return
    const seal = await this.#deps.workers.hash({ do: 'part-finish', ...this.#part() })
    if (seal === null)
      throw mismatch(isSingle(this.content) ? 'its bytes have another hash' : 'its parts are cut otherwise')
    this.#owner.done(seal)
  }

  /** What is to be known of it to go on under another name, once nothing more is written. */
  async rest(): Promise<{ part: Part; size: number; chunks: readonly Chunk[]; have: Uint8Array }> {
    await this.#tasks.ended()
    await this.#synced()
    return { part: this.#part(), size: this.#list.size, chunks: this.#list.chunks, have: this.#have }
  }

  close(): Promise<void> {
    this.#owner.closed()
    return Promise.resolve()
  }

  /** The indexes of those that were wrong. */
  async #fill<T extends { index: number }>(
    chunks: readonly T[],
    tried: readonly T[],
    work: (part: Part) => Promise<Filled>,
  ): Promise<number[]> {
    const right = tried.length === 0 ? new Uint8Array() : await this.#tasks.run(() => this.#run(tried.length, work))
    const good = new Set(tried.filter((_, at) => right[at] === 1))
    for (const { index } of good) {
      this.#have[index] = 1
      this.#unsynced += this.#list.chunks[index]?.length ?? 0
    }
    if (this.#unsynced >= SYNC_BYTES && this.#syncing === null && !this.#owner.isDone()) this.#startSync()
    return chunks.filter(chunk => !good.has(chunk)).map(({ index }) => index)
  }

  async #run(chunks: number, work: (part: Part) => Promise<Filled>): Promise<Uint8Array> {
    // Another who brings it too was first.
    if (this.#owner.isDone()) return new Uint8Array(chunks).fill(1)
    const part = this.#part()
    // What a task did that failed half-way, nobody knows.
    this.#seal = null
    const { right, seal } = await work(part)
    this.#seal = seal
    return right
  }

  #startSync(): void {
    this.#unsynced = 0
    const task = { do: 'part-sync', root: this.#deps.root(), content: this.content } as const
    this.#syncing = Promise.allSettled([this.#deps.workers.hash(task)]).then(([result]) => {
      // What failed is told at the end, and nothing is synced again.
      if (result.status === 'fulfilled') this.#syncing = null
      return result
    })
  }

  async #synced(): Promise<void> {
    const result = await this.#syncing
    if (result?.status === 'rejected') throw result.reason
  }

  #part(): Part {
    return { root: this.#deps.root(), content: this.content, seal: this.#seal }
  }

  #target(index: number): ChunkTarget {
    const { chunks } = this.#list
    const chunk = chunks[index] as Chunk
    return { at: this.#offsets[index] as number, ...chunk, isLast: index === chunks.length - 1 }
  }
}

/** Bytes that fill their buffer are given away with it; others are copied. */
function ownBuffer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength) return new Uint8Array(buffer)
  return new Uint8Array(bytes)
}

function mismatch(why: string): KithError {
  return new KithError('content-mismatch', `A content that was brought together is not what its id says: ${why}.`)
}
