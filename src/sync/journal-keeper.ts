// The journal in the database and its copy beside the versions, as one: what is committed is appended to the copy, what a crash kept from the
// copy follows at the next start, and a database that is new takes over what the copy has, once, before anything else is stored in it. A copy
// that ends with what the database never heard of says that the database is an older one.
import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { DeviceId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { JournalEntry } from '../core/past.ts'
import type { FolderBatch, FolderDisk, FolderStore, Waiting } from '../core/ports.ts'
import type { RowTable } from '../core/rows.ts'
import { Continuity } from './continuity.ts'

const IMPORT_BATCH = 2_000
/** What a crash may have kept from the copy is not more than this. */
const MOST_BEHIND = 100_000
const LOST = new TextEncoder().encode('lost')
const WHOLE = new TextEncoder().encode('whole')

/** The copy has what the database does not: the database is an older one. */
export interface Ahead {
  /** Another device did some of what the copy has, whatever the documents of then say. */
  readonly others: boolean
  /** That it was seen; to be committed with what is done about it. */
  readonly seen: FolderBatch
}

export interface JournalKeeperDeps {
  readonly store: FolderStore
  readonly disk: Pick<FolderDisk, 'journalCopy'>
  readonly log: Log
  readonly device: DeviceId
  readonly now: () => number
}

export class JournalKeeper {
  readonly #deps: JournalKeeperDeps
  /** While what the copy has is not all found again. */
  #continuity: Continuity | null = null
  /** What is appended while the copy cannot be written follows with the next. */
  #behind: JournalEntry[] = []
  #ahead: Ahead | null = null
  #appending: Promise<void> = Promise.resolve()

  constructor(deps: JournalKeeperDeps) {
    this.#deps = deps
  }

  /** Before the replica is loaded. */
  async open(options: Waiting): Promise<void> {
    const { store } = this.#deps
    this.#continuity = null
    this.#ahead = null
    if ((await store.meta()) === null) await this.#takeOver(options)
    const note = await store.note('copy')
    if (note !== undefined && Buffer.compare(note, LOST) === 0) {
      const continuity = new Continuity()
      for await (const entries of this.#deps.disk.journalCopy.read(options)) continuity.replay(entries)
      this.#continuity = continuity
    } else await this.#catchUp(note, options)
  }

  /** Null: it is not, or that was seen before. */
  get ahead(): Ahead | null {
    return this.#ahead
  }

  /** Who did what the copy has, without this device. */
  async others(options: Waiting): Promise<ReadonlySet<DeviceId>> {
    const others = new Set<DeviceId>()
    for await (const entries of this.#deps.disk.journalCopy.read(options))
      for (const { device } of entries) if (device !== null) others.add(device)
    others.delete(this.#deps.device)
    return others
  }

  /** The rows were loaded: what they stand for was found in an earlier run. */
  loaded(rows: RowTable): void {
    if (this.#continuity === null) return
    for (const row of rows.all()) this.#continuity.found(rows.path(row.id) ?? '')
  }

  /** What is to be stored instead of these. */
  adjust(entries: readonly JournalEntry[]): readonly JournalEntry[] {
    return this.#continuity?.adjust(entries) ?? entries
  }

  /** These were stored. Never fails: the database has them. */
  stored(entries: readonly JournalEntry[]): Promise<void> {
    if (entries.length === 0) return this.#appending
    this.#behind.push(...entries)
    this.#appending = this.#appending.then(() => this.#append())
    return this.#appending
  }

  get unfinished(): boolean {
    return this.#continuity !== null
  }

  /** Everything that lies here has its row: what the copy has beyond that is gone. To be committed with this. */
  finish(): FolderBatch {
    const { now, device } = this.#deps
    const journal = this.#continuity?.rest({ time: now(), device }) ?? []
    this.#continuity = null
    return { journal, notes: [{ name: 'copy', bytes: WHOLE }] }
  }

  async #append(): Promise<void> {
    const entries = this.#behind
    this.#behind = []
    try {
      if (entries.length > 0) await this.#deps.disk.journalCopy.append(entries)
    } catch (error) {
      this.#behind = [...entries, ...this.#behind].slice(-MOST_BEHIND)
      this.#deps.log.warn({ err: error }, 'the copy of the journal cannot be written; the database has it')
    }
  }

  /** Interrupted, it goes on where it was: nothing else was stored meanwhile. */
  async #takeOver(options: Waiting): Promise<void> {
    const { store, disk, log } = this.#deps
    let known = 0
    for await (const _ of store.journal({})) known++
    let taken = 0
    for await (const entries of disk.journalCopy.read(options)) {
      const skip = Math.min(known, entries.length)
      known -= skip
      for (let at = skip; at < entries.length; at += IMPORT_BATCH) {
        options.signal.throwIfAborted()
        const journal = entries.slice(at, at + IMPORT_BATCH)
        await store.commit({ journal, notes: [{ name: 'copy', bytes: LOST }] })
        taken += journal.length
      }
    }
    if (taken > 0)
      log.warn({ entries: taken }, 'the database was lost: the past was taken from the copy of its journal')
  }

  /** What was stored and never came to the copy. One that is ahead (a database that was put back, or lost its end) is left to itself. */
  async #catchUp(note: Uint8Array | undefined, options: Waiting): Promise<void> {
    const { store, disk } = this.#deps
    let last: JournalEntry | undefined
    for await (const entries of disk.journalCopy.read({ ...options, tail: true })) last = entries.at(-1)
    const missing: JournalEntry[] = []
    let joined = false
    for await (const entry of store.journal({})) {
      joined = last !== undefined && isDeepStrictEqual(entry, last)
      if (joined) break
      if (missing.length < MOST_BEHIND) missing.push(entry)
      else if (last === undefined) break
    }
    if (last === undefined || (joined && missing.length < MOST_BEHIND)) await this.stored(missing.reverse())
    else if (!joined) await this.#foundAhead(last, note, options)
  }

  async #foundAhead(last: JournalEntry, note: Uint8Array | undefined, options: Waiting): Promise<void> {
    const mark = createHash('sha256').update(JSON.stringify(last)).digest()
    if (note !== undefined && Buffer.compare(note, mark) === 0) return
    let others = false
    for await (const entries of this.#deps.disk.journalCopy.read(options))
      others ||= entries.some(({ device }) => device !== this.#deps.device)
    this.#ahead = { others, seen: { notes: [{ name: 'copy', bytes: mark }] } }
    this.#deps.log.warn('the copy of the journal knows more than the database: the database is an older copy')
  }
}
