// One open LevelDB and its failures. Owns the order of commits (one at a time) and what happens after one failed: LevelDB's log may
// end in half a record then, or in a whole one that was reported as failed, and what is appended behind it can be lost. So the
// database is closed and opened again, which rewrites what is whole, and the commit's witness is looked up: there or not there.
// Until it could be opened again, nothing is read or written.
import { statfs } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { type ChainedBatch, Level } from 'level'
import { KithError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import { noSpace, openError, storeError } from './failures.ts'

/** One attempt to open a failed database in this time. */
const REOPEN_INTERVAL_MS = 1_000
/** Entries a read of a range takes at once. */
const RANGE_ENTRIES = 1_000
/** The event loop gets its turn after so many writes were prepared. */
const PREPARE_ENTRIES = 4_096

export type Pair = readonly [key: Buffer, value: Buffer]

/** How a commit is known again: one of its writes, null for a deletion. The key did not hold this before. */
export type Witness = readonly [key: Buffer, value: Buffer | null]

export interface Range {
  readonly gte: Buffer
  readonly lt: Buffer
  readonly reverse?: boolean
}

export interface EngineOptions {
  readonly log?: Log | undefined
  /** Commits are refused where less than this would be left on the disk. */
  readonly reserveBytes: number
}

/** The writes of one commit. */
export class Batch {
  readonly #batch: ChainedBatch<Level<Buffer, Buffer>, Buffer, Buffer>
  #bytes = 0

  constructor(batch: ChainedBatch<Level<Buffer, Buffer>, Buffer, Buffer>) {
    this.#batch = batch
  }

  get count(): number {
    return this.#batch.length
  }

  get bytes(): number {
    return this.#bytes
  }

  put(key: Buffer, value: Buffer): void {
    this.#bytes += key.length + value.length
    this.#batch.put(key, value)
  }

  del(key: Buffer): void {
    this.#bytes += key.length
    this.#batch.del(key)
  }

  /** Lets other work run now and then while a large batch is prepared. */
  async breathe(): Promise<void> {
    if (this.count % PREPARE_ENTRIES === PREPARE_ENTRIES - 1) await setImmediate()
  }
}

/** `create`: the directory must not hold a database; otherwise it must. */
export async function openEngine(directory: string, create: boolean, options: EngineOptions): Promise<Engine> {
  const level = new Level<Buffer, Buffer>(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  try {
    await level.open({ createIfMissing: create, errorIfExists: create })
  } catch (error) {
    await level.close()
    throw openError(error, directory)
  }
  return new Engine(level, directory, options)
}

export class Engine {
  readonly #level: Level<Buffer, Buffer>
  readonly #directory: string
  readonly #options: EngineOptions
  #queue: Promise<unknown> = Promise.resolve()
  #broken: KithError | null = null
  #reopening: Promise<void> | null = null
  #triedAt = Number.NEGATIVE_INFINITY
  #generation = 0
  #closed = false

  constructor(level: Level<Buffer, Buffer>, directory: string, options: EngineOptions) {
    this.#level = level
    this.#directory = directory
    this.#options = options
  }

  /** Changes when the database was opened again: what is remembered of it must be read anew. */
  get generation(): number {
    return this.#generation
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#queue
    await this.#reopening
    await this.#level.close()
  }

  /** Runs tasks one after another: reads that a write builds on, and the write. */
  exclusive<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(async () => {
      await this.#usable()
      return task()
    })
    this.#queue = run.then(
      () => undefined,
      () => undefined,
    )
    return run
  }

  /**
   * One atomic batch, on the platter when it resolves. `fill` puts the writes in and returns the witness. Only within `exclusive`. Rejects with KithError; then nothing of it is stored.
   */
  async commit(fill: (batch: Batch) => Promise<Witness> | Witness): Promise<void> {
    const batch = this.#level.batch()
    let witness: Witness
    try {
      const writes = new Batch(batch)
      witness = await fill(writes)
      await this.#checkSpace(writes.bytes)
    } catch (error) {
      await batch.close()
      throw storeError(error, 'preparing a commit')
    }
    try {
      await batch.write({ sync: true })
    } catch (error) {
      await this.#settle(storeError(error, 'storing a commit'), witness)
    }
  }

  /** A batch that nothing relies on yet: it becomes durable with the next commit. Only within `exclusive`. */
  async writeAhead(fill: (batch: Batch) => void): Promise<void> {
    const batch = this.#level.batch()
    const writes = new Batch(batch)
    fill(writes)
    try {
      await this.#checkSpace(writes.bytes)
      await batch.write()
    } catch (error) {
      await batch.close()
      await this.#settle(storeError(error, 'storing a list'), null)
    }
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    await this.#usable()
    try {
      return await this.#level.get(key)
    } catch (error) {
      throw storeError(error, 'reading')
    }
  }

  getSync(key: Buffer): Buffer | undefined {
    if (this.#broken !== null) throw this.#broken
    try {
      return this.#level.getSync(key)
    } catch (error) {
      throw storeError(error, 'reading')
    }
  }

  /** All of a range, in order, some at a time. */
  async *range(range: Range): AsyncIterable<readonly Pair[]> {
    await this.#usable()
    try {
      const iterator = this.#level.iterator({ ...range, highWaterMarkBytes: 1024 * 1024 })
      try {
        for (;;) {
          const entries = await iterator.nextv(RANGE_ENTRIES)
          if (entries.length === 0) return
          yield entries
        }
      } finally {
        await iterator.close()
      }
    } catch (error) {
      throw storeError(error, 'reading')
    }
  }

  /** Removes a range, then is on the platter. Not atomic: the caller has made it unreachable before. Only within `exclusive`. */
  async clear(ranges: readonly Range[], seal: (batch: Batch) => Witness): Promise<void> {
    try {
      for (const range of ranges) await this.#level.clear(range)
    } catch (error) {
      await this.#settle(storeError(error, 'erasing'), null)
    }
    await this.commit(seal)
  }

  /** Makes new tables of the old ones, and no change. */
  async compact({ gte, lt }: Range): Promise<void> {
    await this.#usable()
    try {
      // The types of `level` are those that it has in a browser, too.
      const level = this.#level as unknown as { compactRange(start: Buffer, end: Buffer): Promise<void> }
      await level.compactRange(gte, lt)
    } catch (error) {
      throw storeError(error, 'compacting')
    }
  }

  /** Asked before the batch is written, so that LevelDB itself hardly ever meets a full disk. */
  async #checkSpace(bytes: number): Promise<void> {
    if ((await this.freeBytes()) < this.#options.reserveBytes + 2 * bytes) throw noSpace()
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#directory)
    return bavail * bsize
  }

  /** After a failed write: opens anew and finds out whether the batch is there. Throws the failure if it is not. */
  async #settle(failure: KithError, witness: Witness | null): Promise<void> {
    if (failure.code === 'no-space' && failure.cause === undefined) throw failure
    this.#options.log?.error({ err: failure.cause }, 'a commit failed; the database is opened anew')
    this.#broken = failure
    await this.#reopen()
    if (this.#broken !== null || witness === null) throw failure
    const found = await this.get(witness[0])
    const stored = witness[1] === null ? found === undefined : found?.equals(witness[1]) === true
    if (!stored) throw failure
  }

  /** Resolves when reads and writes may go on; throws why not. */
  async #usable(): Promise<void> {
    if (this.#closed) throw new KithError('stopped', 'The database is closed: Kith is stopping.')
    if (this.#reopening !== null) await this.#reopening
    if (this.#broken === null) return
    if (performance.now() - this.#triedAt >= REOPEN_INTERVAL_MS) await this.#reopen()
    if (this.#broken !== null) throw this.#broken
  }

  #reopen(): Promise<void> {
    this.#reopening ??= this.#tryReopen().finally(() => {
      this.#reopening = null
    })
    return this.#reopening
  }

  async #tryReopen(): Promise<void> {
    this.#triedAt = performance.now()
    try {
      await this.#level.close()
      await this.#level.open({ createIfMissing: false, errorIfExists: false })
      this.#generation++
      this.#broken = null
    } catch (error) {
      this.#broken = openError(error, this.#directory)
    }
  }
}
