// Reads the directories that are dirty, and those that must be read with them, until what a person did can be told. Directories that are
// exactly as their rows say are not kept. Problems are remembered by directory until it is read again.
import type { NodeId } from '../core/ids.ts'
import { isLegalName } from '../core/names.ts'
import type { JournalEntry } from '../core/past.ts'
import type { FolderDisk, Listing, Problem, Stat, Waiting, Watch } from '../core/ports.ts'
import type { RowTable } from '../core/rows.ts'
import type { DirtyBatch } from './dirty.ts'
import {
  detectChanges,
  isClean,
  isCoarse,
  isRacy,
  isRecent,
  joinPath,
  type LocalChanges,
  parentPath,
  RACY_MS,
} from './local-changes.ts'

/** A scan that keeps finding more to read (a tree being renamed under us) starts over later. */
const MOST_ROUNDS = 32
/** More than one process stores in the time in which a write may hide, and few enough to be hashed at every start. */
const MOST_LAST = 1_000
/** Longer than a file that was just written is in doubt on any clock that goes. */
const MOST_UNSURE_MS = 2 * RACY_MS

export interface ObserverDeps {
  readonly disk: Pick<FolderDisk, 'scan'>
  readonly now: () => number
  /** Monotone ms. */
  readonly elapsed: () => number
  readonly watch: () => Watch | null
  /** Look at this directory again. */
  readonly lookLater: (path: string, ms: number, options?: { quiet: boolean }) => void
}

export interface Observation {
  readonly changes: LocalChanges
  readonly looked: (path: string) => boolean
  /** Directories that these changes depend on and that could not be read in time. */
  readonly unread: readonly string[]
  /** Directories that were to be read and are not there. */
  readonly gone: ReadonlySet<string>
  /** Directories that could not be read, or not all of what is in them: the disk may yet show it. */
  readonly unreadable: readonly string[]
  /** The directory at this path, where it was read and differs from what was known. */
  readonly statOf: (path: string) => Stat | undefined
}

export class Observer {
  readonly #deps: ObserverDeps
  readonly #problems = new Map<string, readonly Problem[]>()
  /** By inode (a rename, ours or theirs, takes the doubt along): since when, in monotone ms. */
  readonly #suspects = new Map<number, number>()

  /** Wall clock when the last observation began, in ms. */
  #observedMs = 0

  constructor(deps: ObserverDeps) {
    this.#deps = deps
  }

  /**
   * What was written last before a crash (or a stop that came too soon) was perhaps about to be hashed once more: nothing remembers it, so what the rows show as
   * newest is suspected again.
   */
  suspectNewest(rows: RowTable, lastStored: ReadonlySet<NodeId>): void {
    let newest = 0
    let last: Stat[] = []
    const isLast = ({ ctimeUs }: Stat): boolean => ctimeUs > newest - RACY_MS * 1000
    // A million of them: each is unpacked once.
    for (const { kind, stat } of rows.all()) {
      if (stat.ctimeUs > newest) newest = stat.ctimeUs
      if (kind === 'directory' || !isLast(stat)) continue
      if (last.push(stat) % MOST_LAST === 0) last = last.filter(isLast)
    }
    for (const stat of last) if (isLast(stat)) this.#suspect(stat.ino)
    for (const id of lastStored)
      for (const { kind, stat } of rows.byNode(id)) if (kind !== 'directory') this.#suspect(stat.ino)
  }

  /** The daemon itself just wrote this: where the disk's times are coarse, a person's write right after it would not show. */
  wrote(path: string, stat: Stat): void {
    if (!isCoarse(stat) || !isRecent(stat.ctimeUs, this.#deps.now())) return
    this.#suspect(stat.ino)
    this.#deps.lookLater(parentPath(path), RACY_MS, { quiet: true })
  }

  /** The content of this was read after the last observation began. If no later write can hide behind its times, the doubt is over. */
  hashed(stat: Stat): void {
    if (!isRacy(stat, this.#observedMs)) this.#suspects.delete(stat.ino)
  }

  /** May this have been written since it was hashed, without a trace in its times? Then it is hashed before anything replaces it. */
  isUnsure(stat: Stat): boolean {
    const since = this.#suspects.get(stat.ino)
    // On a clock that stands still everything stays just written; nothing waits for that.
    return isCoarse(stat) && since !== undefined && this.#deps.elapsed() - since < MOST_UNSURE_MS
  }

  /** Was it not hashed again yet since it was written? What differs then is an edit that its times hid, however long it could not be read. */
  isDoubted(stat: Stat): boolean {
    return this.#suspects.has(stat.ino)
  }

  /** May anything have been written since it was hashed? Whoever starts from here must not take damage done meanwhile for an edit. */
  get suspects(): boolean {
    return this.#suspects.size > 0
  }

  #suspect(ino: number): void {
    if (!this.#suspects.has(ino)) this.#suspects.set(ino, this.#deps.elapsed())
  }

  problems(): readonly Problem[] {
    return [...this.#problems.values()].flat()
  }

  async observe(rows: RowTable, batch: DirtyBatch, options: Waiting): Promise<Observation> {
    const nowMs = this.#deps.now()
    this.#observedMs = nowMs
    const listed = new Map<string, Listing>()
    const clean = new Set<string>()
    const unknown = new Set<string>()
    const gone = new Set<string>()
    const read = async (paths: readonly string[], recursive: boolean): Promise<void> => {
      if (paths.length === 0) return
      for await (const found of this.#deps.disk.scan(paths, { ...options, recursive })) {
        if ('entries' in found) this.#take(rows, found, nowMs, listed, clean)
        else if (found.gone) {
          gone.add(found.path)
          this.#problems.delete(found.path)
        } else {
          unknown.add(found.path)
          if (found.problem !== null) this.#problems.set(found.path, [found.problem])
        }
      }
    }
    if (batch.all) {
      this.#problems.clear()
      await read([''], true)
    } else await read(batch.paths, false)
    const known = { listed, clean, unknown, suspects: this.#suspects }
    const looked = (path: string): boolean => listed.has(path) || clean.has(path)
    for (let round = 0; ; round++) {
      const changes = detectChanges(rows, known, nowMs)
      const more = changes.alsoScan.filter(({ path }) => !unknown.has(path))
      for (const { path } of more) clean.delete(path)
      const before = listed.size + unknown.size + clean.size
      if (more.length > 0 && round < MOST_ROUNDS) {
        await read(
          more.filter(m => m.recursive).map(m => m.path),
          true,
        )
        await read(
          more.filter(m => !m.recursive).map(m => m.path),
          false,
        )
        if (listed.size + unknown.size + clean.size > before) continue
      }
      // What was to be read too is gone again, or the tree moves faster than it can be read: what is sure is said now.
      for (const { path } of more) this.#deps.lookLater(parentPath(path), 0)
      for (const path of gone) if (isNews(path, listed)) this.#deps.lookLater(parentPath(path), 0)
      this.#racy(listed, nowMs)
      return {
        changes: more.length === 0 ? changes : withoutUnread(changes),
        looked,
        gone,
        unread: more.map(({ path }) => path),
        unreadable: [...this.#problems].filter(([, some]) => some.some(isPassing)).map(([path]) => path),
        statOf: path => listed.get(path)?.stat,
      }
    }
  }

  #take(rows: RowTable, listing: Listing, nowMs: number, listed: Map<string, Listing>, clean: Set<string>): void {
    const problems: Problem[] = [...listing.problems]
    const entries = listing.entries.filter(entry => {
      if (isLegalName(entry.name)) return true
      const path = joinPath(listing.path, entry.name)
      problems.push({ code: 'bad-name', path, message: 'This name cannot be shared; rename it to have it synced.' })
      return false
    })
    if (problems.length > 0) this.#problems.set(listing.path, problems)
    else this.#problems.delete(listing.path)
    this.#deps.watch()?.add([listing.path])
    const usable = { ...listing, entries, problems }
    if (problems.length === 0 && isClean(rows, usable, nowMs, this.#suspects)) clean.add(listing.path)
    else listed.set(listing.path, usable)
  }

  /** What was written a moment ago is hashed once more when its times cannot hide a later write any longer. */
  #racy(listed: ReadonlyMap<string, Listing>, nowMs: number): void {
    for (const listing of listed.values()) {
      let racy = false
      for (const entry of listing.entries) {
        if (entry.kind === 'directory') continue
        if (!isRacy(entry.stat, nowMs)) continue
        racy = true
        this.#suspect(entry.stat.ino)
      }
      // Much later than needed on a fine disk: on a clock that stands still it would be looked at without an end.
      if (racy) this.#deps.lookLater(listing.path, RACY_MS, { quiet: true })
    }
  }
}

/**
 * The nodes of what was stored last, of a journal that is read newest first: where a clock was set back, what was written last is not what
 * has the newest time.
 */
export async function lastStored(journal: AsyncIterable<JournalEntry>): Promise<ReadonlySet<NodeId>> {
  const nodes = new Set<NodeId>()
  let last: number | null = null
  for await (const { node, time } of journal) {
    last ??= time
    if (Math.abs(last - time) > RACY_MS || nodes.size >= MOST_LAST) break
    nodes.add(node)
  }
  return nodes
}

/** It is not there: nothing more is learnt where it stood when that was read in the same look, and did not show it. */
function isNews(path: string, listed: ReadonlyMap<string, Listing>): boolean {
  if (path === '') return false
  const entries = listed.get(parentPath(path))?.entries
  return entries === undefined || entries.some(entry => joinPath(parentPath(path), entry.name) === path)
}

function isPassing({ code }: Problem): boolean {
  return code === 'unreadable' || code === 'busy' || code === 'failed'
}

/** Without what depends on directories that could not be read: it comes with the next look. */
function withoutUnread(changes: LocalChanges): LocalChanges {
  const unread = new Set(changes.alsoScan.map(a => a.path))
  return {
    ...changes,
    creates: changes.creates.filter(c => !unread.has(c.path) && !unread.has(c.parent)),
    moves: changes.moves.filter(m => !unread.has(m.path) && !unread.has(m.parent)),
    lost: [],
  }
}
