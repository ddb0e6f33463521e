// SYNCED against LOCAL: what a person did, as the difference between the rows and the directories that were just read. Pure.
// Identity (what is a move, what is an edit) is decided here and nowhere else. A claim binds what stands on the disk to a row;
// an entry without a claim is new, a row without a claim in a directory that was read is lost. An error is never a loss.

import type { RowId } from '../core/ids.ts'
import { ROOT_ROW } from '../core/ids.ts'
import { nameKey } from '../core/names.ts'
import type { Listing, Observed, Stat } from '../core/ports.ts'
import type { Row, RowTable } from '../core/rows.ts'

/** Something that stands at `path` in the directory `parent` (both relative to the root). */
export interface Found {
  readonly path: string
  readonly parent: string
  readonly observed: Observed
}

export interface FoundRow extends Found {
  readonly row: Row
}

export interface LocalChanges {
  /** Directories that were read, by path, with the row they stand for (absent: new). */
  readonly claimed: ReadonlyMap<string, Row>
  /** Rows that stand somewhere else now; parents first. */
  readonly moves: readonly FoundRow[]
  /** New directories, files and symlinks; parents first. */
  readonly creates: readonly Found[]
  /** Files and symlinks whose stat says that they may have changed: to be hashed. */
  readonly edits: readonly FoundRow[]
  /** Directories in place whose mode or inode changed. */
  readonly touched: readonly FoundRow[]
  /** Rows that are nowhere to be seen in what was read, with all below them. */
  readonly lost: readonly Row[]
  /** Directories that must be read too before this is the truth. */
  readonly alsoScan: readonly { path: string; recursive: boolean }[]
}

export interface Scanned {
  /** Directories read whose content may differ from their rows. */
  readonly listed: ReadonlyMap<string, Listing>
  /** Directories read and found to be exactly as their rows say. */
  readonly clean: ReadonlySet<string>
  /** Directories that could not be read: all below them is unknown. */
  readonly unknown: ReadonlySet<string>
  /** Inodes last hashed so soon after they were written that a later write may not show in their times: to be hashed again. */
  readonly suspects: Pick<ReadonlySet<number>, 'has'>
}

export function joinPath(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`
}

export function parentPath(path: string): string {
  const at = path.lastIndexOf('/')
  return at < 0 ? '' : path.slice(0, at)
}

/** The last part of a path. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** Same object on the disk: the inode was not used again in between (birth time), where the disk has birth times. */
export function sameObject(a: Stat, b: Stat): boolean {
  return a.ino === b.ino && a.birthUs === b.birthUs
}

/** Nothing about the content can have changed. */
export function sameStat(a: Stat, b: Stat): boolean {
  return (
    sameObject(a, b) && a.size === b.size && a.mtimeUs === b.mtimeUs && a.ctimeUs === b.ctimeUs && a.mode === b.mode
  )
}

/** On a disk with coarse times (FAT has steps of two seconds) writes within this span of the last look may not show in them. */
export const RACY_MS = 2_000
/** On all others no longer than a tick of the system's clock (10 ms at most), by which it stamps what is written. */
const RACY_FINE_MS = 20
/** A disk that shows change times in whole milliseconds, or worse; others have odd microseconds nearly always. */
const COARSE_US = 1_000

/** May a write after a look at that moment be hidden by the times that it showed? Then the content is looked at whatever they say. */
export function isRacy(stat: Stat, nowMs: number): boolean {
  if (!isCoarse(stat)) return Math.abs(nowMs - stat.ctimeUs / 1000) < RACY_FINE_MS
  return isRecent(stat.mtimeUs, nowMs) || isRecent(stat.ctimeUs, nowMs)
}

/** A write whose mtime was set back shows in the change time alone, and on a coarse disk not even there. */
export function isCoarse(stat: Stat): boolean {
  return stat.ctimeUs % COARSE_US === 0
}

export function isRecent(us: number, nowMs: number): boolean {
  return Math.abs(nowMs - us / 1000) < RACY_MS
}

/** Is this directory exactly what its rows say? Then nothing of the listing needs to be kept in memory. */
export function isClean(rows: RowTable, listing: Listing, nowMs: number, suspects: Scanned['suspects']): boolean {
  const directory = rows.at(listing.path)
  if (directory === undefined || directory.kind !== 'directory') return false
  if (!sameObject(directory.stat, listing.stat) || directory.stat.mode !== listing.stat.mode) return false
  let left = rows.childCount(directory.id)
  for (const entry of listing.entries) {
    const row = rows.child(directory.id, entry.name)
    if (row === undefined || row.kind !== entry.kind) return false
    if (entry.kind === 'directory') {
      if (!sameObject(row.stat, entry.stat) || row.stat.mode !== entry.stat.mode) return false
    } else if (!sameStat(row.stat, entry.stat) || isRacy(entry.stat, nowMs)) return false
    else if (suspects.has(entry.stat.ino)) return false
    left--
  }
  return left === 0
}

const depth = (path: string): number => (path === '' ? 0 : path.split('/').length)
const byDepth = <T extends { path: string }>(a: T, b: T): number =>
  depth(a.path) - depth(b.path) || (a.path < b.path ? -1 : a.path > b.path ? 1 : 0)

/** Compares what was read with the rows. `nowMs`: wall clock at the scan. */
export function detectChanges(rows: RowTable, scanned: Scanned, nowMs: number): LocalChanges {
  const detection = new Detection(rows, scanned, nowMs)
  const listings = [...scanned.listed.values()].filter(listing => detection.isSpelledSo(listing.path)).sort(byDepth)
  for (const listing of listings) detection.claimDirectories(listing)
  for (const listing of listings) detection.claimFiles(listing)
  detection.findLost(listings)
  detection.findMoves()
  return detection.result()
}

class Detection {
  readonly #rows: RowTable
  readonly #scanned: Scanned
  readonly #nowMs: number
  readonly #claimed = new Map<string, Row>()
  readonly #pathOfRow = new Map<RowId, string>()
  readonly #fresh: Found[] = []
  readonly #moves: FoundRow[] = []
  readonly #creates: Found[] = []
  readonly #edits: FoundRow[] = []
  readonly #touched: FoundRow[] = []
  readonly #lost = new Map<RowId, Row>()
  readonly #alsoScan = new Map<string, boolean>()
  readonly #inodes = new Set<number>()

  constructor(rows: RowTable, scanned: Scanned, nowMs: number) {
    this.#rows = rows
    this.#scanned = scanned
    this.#nowMs = nowMs
    for (const listing of scanned.listed.values())
      for (const entry of listing.entries) if (entry.kind === 'directory') this.#inodes.add(entry.stat.ino)
  }

  result(): LocalChanges {
    return {
      claimed: this.#claimed,
      moves: this.#moves.sort(byDepth),
      creates: this.#creates.sort(byDepth),
      edits: this.#edits,
      touched: this.#touched,
      lost: [...this.#lost.values()],
      alsoScan: [...this.#alsoScan].map(([path, recursive]) => ({ path, recursive })),
    }
  }

  /** The row a listed directory stands for: claimed by its parent's listing, or, where the parent was not read, the row at its path. */
  #rowOf(listing: Listing): Row | undefined {
    const claimed = this.#claimed.get(listing.path)
    if (claimed !== undefined) return claimed
    if (listing.path !== '' && this.#scanned.listed.has(parentPath(listing.path))) return undefined
    const row = this.#rows.at(listing.path)
    if (row?.kind !== 'directory') {
      this.#need(parentPath(listing.path), false)
      return undefined
    }
    // Another directory stands here than the row knows and the parent was not read: the parent decides.
    if (listing.path !== '' && !sameObject(row.stat, listing.stat)) this.#need(parentPath(listing.path), false)
    this.#claim(listing.path, row)
    return row
  }

  #claim(path: string, row: Row): void {
    this.#claimed.set(path, row)
    this.#pathOfRow.set(row.id, path)
  }

  #need(path: string, recursive: boolean): void {
    if (this.#scanned.listed.has(path) || this.#scanned.unknown.has(path)) return
    if (!recursive && this.#scanned.clean.has(path)) return
    this.#alsoScan.set(path, recursive || (this.#alsoScan.get(path) ?? false))
  }

  /**
   * A disk that folds case answers to other spellings too: a hint that still has the old one is no other directory. The one that it
   * means is read instead.
   */
  isSpelledSo(path: string): boolean {
    const spelled = this.#spelling(path)
    if (spelled === undefined || spelled === path) return true
    if (spelled !== null) this.#need(spelled, false)
    return false
  }

  /** How the disk spells a directory; null where it is not there, undefined where those above it are still to be read. */
  #spelling(path: string): string | null | undefined {
    if (path === '') return ''
    const parent = this.#spelling(parentPath(path))
    if (parent === undefined || parent === null) return parent
    const name = path.slice(path.lastIndexOf('/') + 1)
    const names = this.#directoryNamesIn(parent)
    if (names === undefined) {
      // As the rows have it, until its directory is read.
      if (this.#rows.at(path)?.kind === 'directory' && parent === parentPath(path)) return path
      this.#need(parent, false)
      return undefined
    }
    const key = nameKey(name, true)
    const found = names.includes(name) ? name : names.find(other => nameKey(other, true) === key)
    return found === undefined ? null : joinPath(parent, found)
  }

  /** Undefined where the directory was not read in this scan. */
  #directoryNamesIn(path: string): readonly string[] | undefined {
    const listing = this.#scanned.listed.get(path)
    if (listing !== undefined) return listing.entries.filter(e => e.kind === 'directory').map(e => e.name)
    const row = this.#scanned.clean.has(path) ? this.#rows.at(path) : undefined
    return row && [...this.#rows.children(row.id)].filter(r => r.kind === 'directory').map(r => r.name)
  }

  /** Without birth times two rows may have one inode: that of a deleted directory, used again. Then it is the one in place. */
  #known(entry: Observed, here: Row | undefined): Row | undefined {
    const rows = this.#rows
      .byInode(entry.stat.ino)
      .filter(
        r =>
          r.kind === 'directory' && r.id !== ROOT_ROW && sameObject(r.stat, entry.stat) && !this.#pathOfRow.has(r.id),
      )
    return rows.find(r => r === here) ?? rows[0]
  }

  /** For directories a known inode wins wherever it stands; an unknown one at a known name is the same node. */
  claimDirectories(listing: Listing): void {
    const directory = this.#rowOf(listing)
    for (const entry of listing.entries) {
      if (entry.kind !== 'directory') continue
      const path = joinPath(listing.path, entry.name)
      const here = directory && this.#rows.child(directory.id, entry.name)
      const known = this.#known(entry, here)
      const found = { path, parent: listing.path, observed: entry }
      if (known !== undefined) {
        this.#claim(path, known)
        if (known === here) {
          if (entry.stat.mode !== known.stat.mode) this.#touched.push({ ...found, row: known })
          // What was told of it was told under the path that it had.
          if (directory && this.#rows.path(directory.id) !== listing.path) this.#need(path, false)
        } else {
          this.#moves.push({ row: known, ...found })
          this.#need(path, true)
          // It cannot stand below itself: what holds this directory moved too, and where this one stood shows it.
          if (directory && this.#rows.within(directory.id, known.id)) this.#needHome(known)
        }
      } else if (here?.kind === 'directory' && !this.#pathOfRow.has(here.id) && !this.#inodes.has(here.stat.ino)) {
        this.#claim(path, here)
        this.#touched.push({ ...found, row: here })
        this.#need(path, true)
      } else {
        this.#creates.push(found)
        this.#need(path, true)
      }
    }
  }

  /** A path that had a row and holds the same kind is the same node, whatever its inode: editors save by rename. */
  claimFiles(listing: Listing): void {
    const directory = this.#claimed.get(listing.path)
    for (const entry of listing.entries) {
      if (entry.kind === 'directory') continue
      const found = { path: joinPath(listing.path, entry.name), parent: listing.path, observed: entry }
      const row = directory && this.#rows.child(directory.id, entry.name)
      if (row === undefined || row.kind !== entry.kind) {
        this.#fresh.push(found)
        continue
      }
      this.#pathOfRow.set(row.id, found.path)
      const unsure = isRacy(entry.stat, this.#nowMs) || this.#scanned.suspects.has(entry.stat.ino)
      if (unsure || !sameStat(row.stat, entry.stat)) this.#edits.push({ row, ...found })
    }
  }

  findLost(listings: readonly Listing[]): void {
    for (const listing of listings) {
      const directory = this.#claimed.get(listing.path)
      if (directory === undefined) continue
      const unsure = new Set(listing.problems.map(p => p.path))
      for (const row of this.#rows.children(directory.id)) {
        if (this.#pathOfRow.has(row.id)) continue
        if (unsure.has(joinPath(listing.path, row.name))) continue
        this.#lose(row)
      }
    }
  }

  #lose(row: Row): void {
    if (this.#pathOfRow.has(row.id)) return
    this.#lost.set(row.id, row)
    if (row.kind === 'directory') for (const child of this.#rows.children(row.id)) this.#lose(child)
  }

  /** Only a path that is gone can have moved: the same inode and birth time (without birth times: size and mtime too). */
  findMoves(): void {
    for (const found of this.#fresh) {
      const { observed } = found
      const candidates = this.#rows
        .byInode(observed.stat.ino)
        .filter(r => r.kind === observed.kind && sameObject(r.stat, observed.stat) && !this.#pathOfRow.has(r.id))
        .filter(
          r =>
            observed.stat.birthUs !== 0 ||
            (r.stat.size === observed.stat.size && r.stat.mtimeUs === observed.stat.mtimeUs),
        )
        .sort((a, b) => a.id - b.id)
      const gone = candidates.filter(r => this.#lost.has(r.id))
      const lost = gone.find(r => r.name === observed.name) ?? gone[0]
      if (lost !== undefined) {
        this.#lost.delete(lost.id)
        this.#pathOfRow.set(lost.id, found.path)
        this.#moves.push({ row: lost, ...found })
        continue
      }
      // A hard link, or a move out of a directory that was not read yet: read it, then decide.
      for (const row of candidates) this.#needHome(row)
      this.#creates.push(found)
    }
  }

  #needHome(row: Row): void {
    const home = this.#pathOf(row.parent)
    if (home !== undefined) this.#need(home, false)
  }

  /** Where a row's directory stands now, as far as this scan knows. */
  #pathOf(id: RowId): string | undefined {
    if (id === ROOT_ROW) return ''
    const claimed = this.#pathOfRow.get(id)
    if (claimed !== undefined) return claimed
    const row = this.#rows.get(id)
    if (row === undefined) return undefined
    const above = this.#pathOf(row.parent)
    return above === undefined ? undefined : joinPath(above, row.name)
  }
}
