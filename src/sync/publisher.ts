// LOCAL → SHARED: says in the shared tree what a person did on this disk. Hashes what is new, waits for a second look before it calls
// anything gone, and hands every piece to `commit` as one atomic batch. Writes no file of the user.
import type { ContentList } from '../core/content.ts'
import { SMALL_CONTENT_BYTES } from '../core/content.ts'
import type { Facts } from '../core/entry.ts'
import type { ContentId, DeviceId, RowId } from '../core/ids.ts'
import { NO_CONTENT, ROOT_ROW } from '../core/ids.ts'
import type { JournalAction, JournalEntry, Standing } from '../core/past.ts'
import type { Base, FolderDisk, HashResult, Observed, Problem, Stat, Waiting } from '../core/ports.ts'
import type { Row } from '../core/rows.ts'
import { type AdoptDeps, adopt } from './adopt.ts'
import type { Beginnings } from './beginnings.ts'
import type { Intents } from './intents.ts'
import type { Found, FoundRow, LocalChanges } from './local-changes.ts'
import { isRacy, parentPath, sameObject, sameStat } from './local-changes.ts'
import { standing, transition } from './standing.ts'
import type { Tree } from './tree.ts'

/** A gone entry is believed after a second look this much later. */
export const SECOND_LOOK_MS = 500
/** What cannot be read may be readable again without anything that tells of it. */
const UNREADABLE_MS = 10_000
/** One cycle hashes at most this much before the other half of the engine gets its turn. */
export const CYCLE_FILES = 10_000
export const CYCLE_BYTES = 1024 * 1024 * 1024
/** Of many files no less than this part: what is left is scanned again in the next cycle. */
const CYCLE_PART = 1 / 8
/** Others wait for what is not stored, so a piece grows to so many of them at most. */
const MOST_PIECES = 2
/** A symlink's facts beside its content: the same on every disk. */
const LINK_MODE = 0o777

/** How many of `all` files one cycle hashes, where it may hash so many in any case. */
export function cycleShare(all: number, files = CYCLE_FILES): number {
  return Math.max(files, all * CYCLE_PART)
}

export interface PublishLimits {
  /** A commit says this much, and more only where it waited for the one before: a large import shows up early and a crash repeats little. */
  readonly pieceFiles: number
  readonly cycleFiles: number
  readonly cycleBytes: number
}

export const PUBLISH_LIMITS: PublishLimits = { pieceFiles: 500, cycleFiles: CYCLE_FILES, cycleBytes: CYCLE_BYTES }

export interface PublishBatch {
  readonly lists: readonly ContentList[]
  readonly bases: readonly Base[]
  readonly dots: readonly { row: RowId; content: ContentId }[]
  readonly journal: readonly JournalEntry[]
  /** For the journal too: what turned out to be here already. */
  readonly noted: readonly JournalEntry[]
}

export interface PublisherDeps extends AdoptDeps {
  readonly tree: Tree
  readonly disk: Pick<FolderDisk, 'hash'>
  readonly now: () => number
  readonly elapsed: () => number
  readonly device: DeviceId
  /** Who wrote what a row shows that nobody wrote here. */
  readonly authorOf: (row: Row) => DeviceId
  readonly limits: PublishLimits
  /** Stores what the tree and the rows changed since the last call, with this batch, atomically. */
  readonly commit: (batch: PublishBatch) => Promise<void>
  readonly onProblem: (problem: Problem) => void
  /** Are these bytes the row's own, known to be damaged? Then nobody wrote them, whatever time the file has now. */
  readonly isRot: (row: Row, found: ContentId) => boolean
  readonly intents: Pick<Intents, 'take'>
  /** The content of what has this stat was just read. */
  readonly onHashed: (stat: Stat) => void
  readonly beginnings: Pick<Beginnings, 'known' | 'end'>
}

export interface PublishOptions extends Waiting {
  /** Publish what is gone without a second look: a person said that it is real. */
  readonly believe: boolean
  /** Was the directory at this path read in this scan? */
  readonly looked: (path: string) => boolean
  /** What this device knows turned out to be old meanwhile: nothing more of this is said before it was judged. */
  readonly outdated: () => boolean
}

export interface PublishOutcome {
  readonly published: number
  /** Directories to look at again, and when (ms from now; 0 = at once). `quiet`: nothing waits for it. */
  readonly again: readonly { path: string; afterMs: number; quiet?: boolean }[]
}

type Hashed = Extract<HashResult, { ok: true }>

interface HashedFound {
  readonly found: Found & { readonly row: Row | null }
  readonly hashed: Hashed
}

/** Not as its row says; as its row says, but a write may hide behind its times; and the same, but one still could: it is looked at later. */
type Doubt = typeof CHANGED | typeof SUSPECT | typeof YOUNG
const CHANGED = 0
const SUSPECT = 1
const YOUNG = 2

/** A row that was not where it was at the last look. */
interface Missing {
  /** When that was, in monotone ms. */
  readonly since: number
  /** The directory in which what it stood for was seen instead: it is not called gone before that is looked at too. */
  readonly elsewhere: string | null
}

export class Publisher {
  readonly #deps: PublisherDeps
  readonly #missing = new Map<RowId, Missing>()

  constructor(deps: PublisherDeps) {
    this.#deps = deps
  }

  /** Forgets doubts: after a halt was answered. */
  reset(): void {
    this.#missing.clear()
  }

  /** Was it not seen at the last look, and is not believed gone yet? */
  doubts(row: RowId): boolean {
    return this.#missing.has(row)
  }

  async publish(changes: LocalChanges, options: PublishOptions): Promise<PublishOutcome> {
    try {
      return await new PublishRun(this.#deps, this.#missing, changes, options).run()
    } finally {
      this.#deps.beginnings.end()
    }
  }
}

class PublishRun {
  readonly #deps: PublisherDeps
  readonly #missing: Map<RowId, Missing>
  readonly #changes: LocalChanges
  readonly #options: PublishOptions
  readonly #directories: Map<string, Row>
  /** Where the directories that were read stand now: their rows may still say where they were. */
  readonly #standsAt: ReadonlyMap<RowId, string>
  readonly #again = new Map<string, number>()
  /** Directories in which something cannot be read. */
  readonly #unreadable = new Set<string>()
  /** Names (as `#nameOf` has them) of what is not seen any more but not believed gone yet: nothing new is said there before it is. */
  readonly #heldNames = new Set<string>()
  /** Rows that were taken out: what moved out of them was there before. */
  readonly #gone = new Map<RowId, Row>()
  #lists: ContentList[] = []
  #bases: Base[] = []
  #dots: { row: RowId; content: ContentId }[] = []
  #journal: JournalEntry[] = []
  #noted: JournalEntry[] = []
  #published = 0
  /** The last piece that was said, until it is stored. */
  #storing: Promise<void> = Promise.resolve()
  #isStoring = false

  constructor(deps: PublisherDeps, missing: Map<RowId, Missing>, changes: LocalChanges, options: PublishOptions) {
    this.#deps = deps
    this.#missing = missing
    this.#changes = changes
    this.#options = options
    this.#directories = new Map(changes.claimed)
    this.#standsAt = new Map([...changes.claimed].map(([path, row]) => [row.id, path]))
    const root = deps.rows.get(ROOT_ROW)
    if (root !== undefined) this.#directories.set('', root)
  }

  async run(): Promise<PublishOutcome> {
    const { confirmed, held } = this.#doubt()
    const lost = new Map(this.#changes.lost.map(row => [row.id, row]))
    const moves = this.#changes.moves.filter(m => m.row.kind === 'directory' || confirmed.has(m.row.id))
    const going = this.#inTheWay(lost, confirmed)
    // Taken back newest first, a directory must be there again for what moved out of it.
    const noteLater = this.#isLeft(going, moves)
    if (!noteLater) this.#noteGone(going)
    this.#takeOut(going)
    const { work, complete } = this.#share()
    this.#makeDirectories(moves)
    for (const move of moves) if (move.row.kind !== 'directory') this.#move(move)
    if (noteLater) this.#noteGone(going)
    await this.#flush()
    const rest = await this.#publishContents(work, lost, held)
    this.#say(rest, lost, held)
    // A deletion may still turn out to be a move of something not hashed yet: only after everything was.
    if (complete && !this.#options.outdated()) this.#remove([...lost.values()].filter(row => confirmed.has(row.id)))
    else this.#lookAgain([...lost.values()])
    await this.#flush()
    const again = [...this.#again].map(([path, afterMs]) => ({ path, afterMs }))
    const quiet = [...this.#unreadable].map(path => ({ path, afterMs: UNREADABLE_MS, quiet: true }))
    return { published: this.#published, again: [...again, ...quiet] }
  }

  /** Which of the rows not seen are believed gone: those whose second look, ≥ SECOND_LOOK_MS after the first, agrees. */
  #doubt(): { confirmed: Set<RowId>; held: Set<RowId> } {
    const confirmed = new Set<RowId>()
    const held = new Set<RowId>()
    const now = this.#deps.elapsed()
    const gone = [...this.#changes.lost, ...this.#changes.moves.filter(m => m.row.kind !== 'directory').map(m => m.row)]
    const seen = new Set(gone.map(r => r.id))
    for (const id of [...this.#missing.keys()]) {
      const row = seen.has(id) ? undefined : this.#deps.rows.get(id)
      const home = row && this.#deps.rows.path(row.parent)
      if (!seen.has(id) && (home === undefined || this.#options.looked(home))) this.#missing.delete(id)
    }
    const moves = new Map(this.#changes.moves.map(move => [move.row.id, move.parent]))
    for (const row of gone) {
      const known = this.#missing.get(row.id)
      const movedTo = moves.get(row.id)
      const waited = known === undefined ? 0 : now - known.since
      const unread = movedTo === undefined && known !== undefined ? known.elsewhere : null
      // What was in a directory that may have moved went with it: it is gone when that is.
      const within = movedTo === undefined && held.has(row.parent)
      const isLookedFor = unread === null || this.#options.looked(unread)
      const isSure = known !== undefined && waited >= SECOND_LOOK_MS && isLookedFor && !within
      // With a directory goes what was in it: a row without the row above it would never be looked for again.
      if (this.#options.believe || isSure || confirmed.has(row.parent)) {
        confirmed.add(row.id)
        continue
      }
      held.add(row.id)
      this.#heldNames.add(this.#nameOf(row.parent, row.name))
      const wait = Math.max(0, SECOND_LOOK_MS - waited)
      if (!within) this.#askAgain(this.#homeOf(row), wait)
      // Both places are read in one look; once, for that directory may be gone.
      if (wait === 0 && unread !== null) this.#askAgain(unread, 0)
      this.#missing.set(row.id, {
        since: known?.since ?? now,
        elsewhere: movedTo ?? (wait === 0 ? null : (known?.elsewhere ?? null)),
      })
    }
    for (const { row, parent } of this.#changes.moves) {
      if (held.has(row.id)) this.#askAgain(parent, SECOND_LOOK_MS)
      // A directory that was looked for is here; should it have to wait for its name, that is where it is looked for again.
      const known = row.kind === 'directory' ? this.#missing.get(row.id) : undefined
      if (known !== undefined) this.#missing.set(row.id, { ...known, elsewhere: parent })
    }
    this.#holdLeft(confirmed, held)
    return { confirmed, held }
  }

  /**
   * What moved out of a directory that is gone, and has to wait for its new name, still has its row in there: the directory waits with
   * it, or that row would have none above it.
   */
  #holdLeft(confirmed: Set<RowId>, held: Set<RowId>): void {
    for (let more = true; more; ) {
      more = false
      for (const move of this.#changes.moves) {
        if (!this.#mustWait(move)) continue
        for (const row of this.#above(move.row)) {
          if (!confirmed.delete(row.id)) continue
          held.add(row.id)
          this.#heldNames.add(this.#nameOf(row.parent, row.name))
          this.#askAgain(this.#homeOf(row), SECOND_LOOK_MS)
          more = true
        }
      }
    }
  }

  /** Is its new name, or that of a directory above it, not free yet? */
  #mustWait({ path }: FoundRow): boolean {
    for (let at = path; at !== ''; at = parentPath(at)) {
      const above = this.#directories.get(parentPath(at))
      if (above !== undefined && this.#isHeld(above, at.slice(at.lastIndexOf('/') + 1))) return true
    }
    return false
  }

  *#above({ parent }: Row): Iterable<Row> {
    for (let at = this.#deps.rows.get(parent); at !== undefined && at.id !== ROOT_ROW; ) {
      yield at
      at = this.#deps.rows.get(at.parent)
    }
  }

  #nameOf(directory: RowId, name: string): string {
    return `${directory}/${this.#deps.tree.nameKey(name)}`
  }

  #isHeld(parent: Row, name: string): boolean {
    return this.#heldNames.has(this.#nameOf(parent.id, name))
  }

  /**
   * What is gone for sure and whose name something else has now: it goes first, with all that was in it, or the newcomer would have to
   * make way for it in the shared tree.
   */
  #inTheWay(lost: Map<RowId, Row>, confirmed: ReadonlySet<RowId>): Row[] {
    const names = new Set<string>()
    for (const { parent, observed } of [...this.#changes.creates, ...this.#changes.moves]) {
      const row = this.#directories.get(parent)
      if (row !== undefined) names.add(this.#nameOf(row.id, observed.name))
    }
    const going = new Set<RowId>()
    // A directory stands before what is in it.
    for (const row of lost.values()) {
      const taken = confirmed.has(row.id) && names.has(this.#nameOf(row.parent, row.name))
      if (taken || going.has(row.parent)) going.add(row.id)
    }
    const rows = [...lost.values()].filter(row => going.has(row.id))
    for (const row of rows) lost.delete(row.id)
    return rows
  }

  /** Did any of these move out of what goes? */
  #isLeft(going: readonly Row[], moves: readonly FoundRow[]): boolean {
    const ids = new Set(going.map(row => row.id))
    return moves.some(move => [...this.#above(move.row)].some(row => ids.has(row.id)))
  }

  #lookAgain(rows: readonly Row[]): void {
    for (const row of rows) this.#askAgain(this.#homeOf(row), 0)
  }

  #homeOf(row: Row): string {
    let at: Row | undefined = row
    // The nearest directory above that still stands: what is in a lost directory is looked for from there.
    for (;;) {
      at = this.#deps.rows.get(at.parent)
      if (at === undefined || at.id === ROOT_ROW) return ''
      const id = at.id
      if (!this.#changes.lost.some(l => l.id === id)) return this.#standsAt.get(id) ?? ''
    }
  }

  #askAgain(path: string, afterMs: number): void {
    const had = this.#again.get(path)
    this.#again.set(path, had === undefined ? afterMs : Math.min(had, afterMs))
  }

  /**
   * This cycle's share of the hashing: small files first, those of a directory together, for they are in one document; the rest keeps its
   * directories dirty. What was just written and is hashed only to be sure waits until nothing else is left, or it would be hashed again and again before all that is bigger. Then all of it is: that is
   * what was written in two seconds, and a write that a clock hides is found by a look at its directory and not by chance.
   */
  #share(): { work: (Found & { row: Row | null })[]; complete: boolean } {
    const now = this.#deps.now()
    const edits = this.#changes.edits.map(found => ({ doubt: doubtOf(found, now), ...found }))
    const young = edits.filter(({ doubt }) => doubt === YOUNG)
    const all: (Found & { row: Row | null; doubt: Doubt })[] = edits.filter(({ doubt }) => doubt !== YOUNG)
    // What was judged to be new may have had a row.
    for (const { path, parent, observed } of this.#changes.creates)
      if (observed.kind !== 'directory') all.push({ path, parent, observed, row: null, doubt: CHANGED })
    all.sort((a, b) => a.doubt - b.doubt || sizeClass(a.observed.stat) - sizeClass(b.observed.stat))
    let bytes = 0
    let count = 0
    const { cycleBytes } = this.#deps.limits
    const cycleFiles = cycleShare(all.length, this.#deps.limits.cycleFiles)
    while (count < all.length && count < cycleFiles && (count === 0 || bytes < cycleBytes)) {
      bytes += all[count]?.observed.stat.size ?? 0
      count++
    }
    const rest = all.slice(count)
    if (rest.length === 0) return { work: [...all, ...young], complete: true }
    for (const { parent } of [...rest, ...young]) this.#askAgain(parent, 0)
    return { work: all.slice(0, count), complete: rest.every(({ doubt }) => doubt !== CHANGED) }
  }

  #makeDirectories(moves: readonly FoundRow[]): void {
    const steps = [
      ...this.#changes.creates
        .filter(c => c.observed.kind === 'directory')
        .map(found => ({ ...found, row: null as Row | null })),
      ...moves.filter(m => m.row.kind === 'directory'),
    ].sort((a, b) => a.path.split('/').length - b.path.split('/').length)
    for (const found of steps) {
      const parent = this.#directories.get(found.parent)
      const { observed } = found
      const intoItself = parent !== undefined && found.row !== null && this.#deps.rows.within(parent.id, found.row.id)
      if (parent === undefined || intoItself || this.#isHeld(parent, observed.name)) {
        this.#holdBelow(found.path)
        this.#askAgain(found.parent, SECOND_LOOK_MS)
        continue
      }
      const facts = directoryFacts(observed.stat)
      const was = standing(this.#deps.rows, found.row, this.#gone)
      const adopted =
        this.#brought(found, found.row, parent, found.row === null ? facts : null) ??
        (found.row === null ? this.#adopt(null, parent, observed, facts) : undefined)
      const row =
        adopted ??
        (found.row === null
          ? this.#deps.tree.create(parent, observed.name, 'directory', facts, observed.stat)
          : this.#deps.tree.move(found.row, parent, observed.name))
      this.#missing.delete(row.id)
      this.#directories.set(found.path, row)
      if (adopted === undefined) this.#note(found.row === null ? 'created' : 'moved', row, was)
    }
    for (const { row, observed, path } of this.#changes.touched) {
      const now = this.#deps.rows.get(row.id)
      if (now === undefined) continue
      if (observed.stat.mode === now.stat.mode) {
        this.#deps.rows.put({ ...now, stat: observed.stat })
        continue
      }
      const was = standing(this.#deps.rows, now)
      const edited = this.#deps.tree.edit(now, directoryFacts(observed.stat), observed.stat)
      this.#directories.set(path, edited)
      this.#note('edited', edited, was)
    }
  }

  /** What is in a directory that waits, waits too: where its row still is, it might go into itself. */
  #holdBelow(path: string): void {
    for (const other of [...this.#directories.keys()])
      if (other === path || other.startsWith(`${path}/`)) this.#directories.delete(other)
  }

  #move(found: FoundRow): void {
    const parent = this.#directories.get(found.parent)
    if (parent === undefined || this.#isHeld(parent, found.observed.name))
      return this.#askAgain(found.parent, SECOND_LOOK_MS)
    const was = standing(this.#deps.rows, found.row, this.#gone)
    const brought = this.#brought(found, found.row, parent, null)
    const row = brought ?? this.#deps.tree.move(found.row, parent, found.observed.name)
    this.#missing.delete(row.id)
    if (brought === undefined) this.#note('moved', row, was)
    // The stat is left as it was: a move changes the times too, so only the next look tells whether the content went along unchanged.
    this.#askAgain(found.parent, 0)
  }

  /**
   * Says what was hashed, in pieces, each all at once with its commit: what the shared tree has and the database does not, a peer may see, and
   * a process that dies then has said something that it knows nothing of. Returns the last piece, to be said with what is gone.
   */
  async #publishContents(
    work: readonly (Found & { row: Row | null })[],
    lost: Map<RowId, Row>,
    held: ReadonlySet<RowId>,
  ): Promise<readonly HashedFound[]> {
    if (work.length === 0) return []
    const byPath = new Map(work.map(w => [w.path, w]))
    const requests = work.map(w => ({
      path: w.path,
      kind: w.observed.kind === 'symlink' ? ('symlink' as const) : ('file' as const),
      stat: w.observed.stat,
    }))
    let piece: HashedFound[] = []
    const { disk, beginnings } = this.#deps
    const onPrefix = beginnings.known.bind(beginnings)
    for await (const result of disk.hash(requests, { ...this.#options, onPrefix })) {
      const found = byPath.get(result.request.path)
      if (found === undefined) continue
      if (!result.ok) {
        this.#deps.onProblem(result.problem)
        // What cannot be read may never be: nothing waits for it.
        if (result.problem.code === 'unreadable') this.#unreadable.add(found.parent)
        else this.#askAgain(found.parent, SECOND_LOOK_MS)
        continue
      }
      piece.push({ found, hashed: result })
      // While one is stored the next is read, and may grow: a slow disk stores fewer and larger ones.
      const { pieceFiles } = this.#deps.limits
      if (piece.length < pieceFiles || (this.#isStoring && piece.length < MOST_PIECES * pieceFiles)) continue
      await this.#storing
      this.#say(piece, lost, held)
      this.#storing = this.#store()
      void Promise.allSettled([this.#storing])
      piece = []
    }
    await this.#storing
    return piece
  }

  async #store(): Promise<void> {
    this.#isStoring = true
    try {
      await this.#flush()
    } finally {
      this.#isStoring = false
    }
  }

  #say(piece: readonly HashedFound[], lost: Map<RowId, Row>, held: ReadonlySet<RowId>): void {
    const lostBy = new Map<ContentId, Row[]>()
    for (const row of lost.values())
      if (row.kind !== 'directory' && row.size > 0) lostBy.set(row.content, [...(lostBy.get(row.content) ?? []), row])
    const lostByInode = new Map([...lost.values()].map(row => [row.stat.ino, row]))
    for (const { found, hashed } of piece) {
      if (this.#options.outdated()) {
        this.#askAgain(found.parent, 0)
        continue
      }
      this.#deps.onHashed(found.observed.stat)
      if (found.row !== null) this.#edit(found, found.row, hashed, lostByInode)
      else this.#create(found, hashed, lostBy, lost, held)
    }
  }

  #edit(found: Found, before: Row, hashed: Hashed, lostByInode: ReadonlyMap<number, Row>): void {
    const row = this.#deps.rows.get(before.id)
    // It was removed or changed hands meanwhile (a settled copy keeps its id, so this is rare): look again.
    if (row === undefined || row.kind !== found.observed.kind) return this.#askAgain(found.parent, 0)
    if (this.#deps.isRot(row, hashed.list.content)) return this.#deps.rows.put({ ...row, stat: found.observed.stat })
    const facts = factsOf(row, found.observed.stat, hashed)
    if (facts.content === row.content && facts.mode === row.mode && facts.mtime === row.mtime) {
      if (!sameStat(row.stat, found.observed.stat)) this.#deps.rows.put({ ...row, stat: found.observed.stat })
      return
    }
    const parent = this.#deps.rows.get(row.parent)
    const was = standing(this.#deps.rows, row)
    const adopted =
      parent && (this.#brought(found, row, parent, facts) ?? this.#agree(found, row, parent, facts, lostByInode))
    const now = adopted ?? this.#deps.tree.edit(row, facts, found.observed.stat)
    this.#keep(now, hashed)
    if (adopted === undefined) this.#note('edited', now, was)
  }

  #create(
    found: Found,
    hashed: Hashed,
    lostBy: Map<ContentId, Row[]>,
    lost: Map<RowId, Row>,
    held: ReadonlySet<RowId>,
  ): void {
    const parent = this.#directories.get(found.parent)
    if (parent === undefined || this.#isHeld(parent, found.observed.name))
      return this.#askAgain(found.parent, SECOND_LOOK_MS)
    if (this.#deps.rows.child(parent.id, found.observed.name)?.kind === found.observed.kind)
      return this.#askAgain(parentPath(found.parent), 0)
    const facts = factsOf(null, found.observed.stat, hashed)
    const brought = this.#brought(found, null, parent, facts)
    if (brought !== undefined) return this.#keep(brought, hashed)
    // Equal content that went away in the same scan: it moved (another volume, or a tool that copies and deletes).
    const twins = (lostBy.get(facts.content) ?? []).filter(r => lost.has(r.id) && r.kind === found.observed.kind)
    const twin = twins.find(r => r.name === found.observed.name) ?? twins[0]
    if (twin !== undefined) {
      if (held.has(twin.id)) return this.#askAgain(found.parent, SECOND_LOOK_MS)
      lost.delete(twin.id)
      this.#missing.delete(twin.id)
      const was = standing(this.#deps.rows, twin)
      const moved = this.#deps.tree.move(twin, parent, found.observed.name)
      this.#deps.rows.put({ ...moved, stat: found.observed.stat })
      return this.#note('moved', moved, was)
    }
    const { name, kind, stat } = found.observed
    const adopted = this.#adopt(null, parent, found.observed, facts)
    const row = adopted ?? this.#deps.tree.create(parent, name, kind, facts, stat)
    this.#keep(row, hashed)
    if (adopted === undefined) this.#note('created', row, null)
  }

  /** What the process before this one brought and did not live to record: nobody's edit, whatever the tree shows by now. */
  #brought(found: Found, row: Row | null, parent: Row, facts: Facts | null): Row | undefined {
    const { rows, intents } = this.#deps
    const { name, kind, stat } = found.observed
    const met = { path: found.path, parent: parent.id, name, kind, stat, row, facts }
    const was = standing(rows, row, this.#gone)
    const left = intents.take(met)
    if (left === undefined) return undefined
    const brought = row === null ? { ...left, id: rows.allocate() } : left
    rows.put(brought)
    for (const ref of brought.nodes) this.#deps.onAdopted(ref.id)
    const action = row === null ? 'created' : facts === null ? 'moved' : 'edited'
    this.#noted.push(...this.#entry(action, brought, was, this.#deps.authorOf(brought)))
    return brought
  }

  /**
   * None where a person moved it here over what the row says: that is theirs, though the same may have come from elsewhere by now. Whoever wrote
   * it there may have moved it on, and then it would be gone from both names.
   */
  #agree(
    { observed }: Found,
    row: Row,
    parent: Row,
    facts: Facts,
    lostByInode: ReadonlyMap<number, Row>,
  ): Row | undefined {
    const moved = lostByInode.get(observed.stat.ino)
    if (moved !== undefined && sameObject(moved.stat, observed.stat)) return undefined
    return this.#adopt(row, parent, observed, facts)
  }

  /** Agreement with what the tree shows, if it is that: noted in the journal, but nobody did anything. */
  #adopt(row: Row | null, parent: Row, found: Observed, facts: Facts): Row | undefined {
    const was = standing(this.#deps.rows, row)
    const adopted = adopt(
      this.#deps,
      row,
      { parent, name: row?.name ?? found.name, kind: found.kind, stat: found.stat },
      facts,
    )
    if (adopted !== undefined)
      this.#noted.push(...this.#entry(row === null ? 'created' : 'edited', adopted, was, this.#deps.authorOf(adopted)))
    return adopted
  }

  #remove(rows: readonly Row[]): void {
    this.#noteGone(rows)
    this.#takeOut(rows)
  }

  #takeOut(rows: readonly Row[]): void {
    if (rows.length === 0) return
    for (const row of rows) {
      this.#gone.set(row.id, row)
      this.#missing.delete(row.id)
      // What it showed may be no version of the tree any more: then nothing changes there, and what shows instead is still to come here.
      for (const ref of row.nodes) this.#deps.onAdopted(ref.id)
    }
    this.#deps.tree.remove(rows)
  }

  #noteGone(rows: readonly Row[]): void {
    // What is in a directory goes before it: taken back newest first, the directory is there for it.
    const gone = rows.map(row => ({ row, was: standing(this.#deps.rows, row, this.#gone) }))
    gone.sort((a, b) => depthOf(b.was) - depthOf(a.was))
    for (const { row, was } of gone) this.#note('deleted', row, was)
  }

  #keep(row: Row, hashed: Hashed): void {
    if (hashed.list.segments.size > 0) this.#lists.push(hashed.list)
    if (hashed.text === null) return
    this.#bases.push({ content: hashed.list.content, bytes: hashed.text })
    this.#dots.push({ row: row.id, content: hashed.list.content })
  }

  #note(action: JournalAction, row: Row, was: Standing | null): void {
    this.#published++
    this.#journal.push(...this.#entry(action, row, was, this.#deps.device))
  }

  #entry(action: JournalAction, row: Row, was: Standing | null, device: DeviceId): JournalEntry[] {
    const now = action === 'deleted' ? was : standing(this.#deps.rows, row)
    const entry = now && transition(row, { time: this.#deps.now(), device, action }, now, was)
    return entry === null ? [] : [entry]
  }

  async #flush(): Promise<void> {
    const batch = {
      lists: this.#lists,
      bases: this.#bases,
      dots: this.#dots,
      journal: this.#journal,
      noted: this.#noted,
    }
    this.#lists = []
    this.#bases = []
    this.#dots = []
    this.#journal = []
    this.#noted = []
    await this.#deps.commit(batch)
  }
}

function depthOf(standing: Standing | null): number {
  return standing === null ? 0 : standing.path.split('/').length
}

/** Equal for what is small. */
function sizeClass({ size }: Stat): number {
  return Math.max(0, Math.ceil(Math.log2(size / SMALL_CONTENT_BYTES)))
}

function doubtOf({ row, observed }: FoundRow, nowMs: number): Doubt {
  if (!sameStat(row.stat, observed.stat)) return CHANGED
  return isRacy(observed.stat, nowMs) ? YOUNG : SUSPECT
}

export function directoryFacts(stat: Stat): Facts {
  return { content: NO_CONTENT, size: 0, mtime: 0, mode: stat.mode }
}

/** mtime and mode are taken from the disk only where it moved since the row: coarse disks do not echo. */
export function factsOf(row: Row | null, stat: Stat, hashed: Hashed): Facts {
  const content = hashed.list.content
  const size = hashed.list.size
  if (hashed.request.kind === 'symlink') return { content, size, mtime: 0, mode: LINK_MODE }
  const mtime = row !== null && row.stat.mtimeUs === stat.mtimeUs ? row.mtime : Math.floor(stat.mtimeUs / 1000)
  const mode = row !== null && row.stat.mode === stat.mode ? row.mode : stat.mode
  return { content, size, mtime, mode }
}
