// While a folder rejoins (its database was lost, its home or its files are an old copy), what lies on this disk may be the past. Before
// anything is published every difference is judged: what the shared tree shows too is agreement, what a journal knows as an earlier or
// deleted version is stale and goes to the kept versions, what no journal knows is new and published as ever. An edit or a move of what
// this device had up to date is a person's, and never judged. It hands back what is left to publish; nothing here writes to the tree.
import type { ContentList } from '../core/content.ts'
import type { Entry, Facts, Kind } from '../core/entry.ts'
import type { ContentId, NodeId, RowId } from '../core/ids.ts'
import { NO_CONTENT, ROOT_ROW } from '../core/ids.ts'
import { normalName } from '../core/names.ts'
import type { JournalEntry } from '../core/past.ts'
import type { Base, DiskStep, FolderDisk, HashResult, PastQuery, Problem, Stat, Waiting } from '../core/ports.ts'
import type { Row } from '../core/rows.ts'
import { nodeId } from '../crdt/record.ts'
import { type Shown, shownAt } from './adopt.ts'
import { Evidence } from './evidence.ts'
import type { Found, FoundRow, LocalChanges } from './local-changes.ts'
import { parentPath } from './local-changes.ts'
import { CYCLE_BYTES, cycleShare, directoryFacts, factsOf, SECOND_LOOK_MS } from './publisher.ts'
import { TakeOver, type TakeOverDeps } from './take-over.ts'

/** A cycle reads so many files in any case, and more of them while all that it read is less: their texts stay until all is judged. */
const JUDGED_FILES = 4_000
const JUDGED_BYTES = 64 * 1024 * 1024
/** When nobody answered: asked again after this, or when something changes. */
const ASK_AGAIN_MS = 5_000
const REMOVE_BATCH = 512

/** What is stored of one look: what came of it, and of every content that was read its recipe and, of a text, its bytes. */
export interface JudgedBatch {
  readonly journal: readonly JournalEntry[]
  readonly lists: readonly ContentList[]
  readonly bases: readonly Base[]
  readonly dots: readonly { readonly row: RowId; readonly content: ContentId }[]
}

export interface JudgeDeps extends TakeOverDeps {
  readonly disk: Pick<FolderDisk, 'hash' | 'apply'>
  /** What the journals of this device and of those linked know; null where nobody else could be asked. */
  readonly past: (queries: readonly PastQuery[], options: Waiting) => Promise<readonly boolean[] | null>
  /** When the rejoin began, by the wall clock, in ms; null where nobody knows. */
  readonly since: () => number | null
  /** Stores what the rows changed, with these entries. */
  readonly commit: (batch: JudgedBatch) => Promise<void>
  readonly onProblem: (problem: Problem) => void
  /** The content of what has this stat was just read. */
  readonly onHashed: (stat: Stat) => void
  /** What was here was old; it is a kept version now. */
  readonly onRemoved: (path: string) => void
}

export interface JudgeOptions extends Waiting {
  /** Everything was looked at. */
  readonly all: boolean
  /** Was the directory at this path read in this scan? */
  readonly looked: (path: string) => boolean
  /** Directories that should have been read for these changes, and were not. */
  readonly unread: readonly string[]
  /** Directories that were to be read and are not there. */
  readonly gone: ReadonlySet<string>
  /** Directories that could not be read, or not all of what is in them. */
  readonly unreadable: readonly string[]
  /** The directory at this path, as it was read. */
  readonly statOf: (path: string) => Stat | undefined
}

export interface Judged {
  /** What is left to publish. */
  readonly changes: LocalChanges
  /** Directories to look at again, and when (ms from now). */
  readonly again: ReadonlyMap<string, number>
  /** Directories of files that could not be read. */
  readonly unreadable: ReadonlySet<string>
  readonly lookAtAll: boolean
}

export class Judge {
  readonly #deps: JudgeDeps
  /** Directories with something in them that was not judged yet. */
  readonly #open = new Set<string>()
  /** Directories with something in them that could not be read. */
  readonly #unreadable = new Set<string>()
  /** Of every look: what was found of a directory once must not be forgotten for what the daemon itself did in it meanwhile. */
  readonly #copied = new Set<RowId>()
  #sawAll = false
  #resets = 0

  constructor(deps: JudgeDeps) {
    this.#deps = deps
  }

  /** Everything that lies here was judged. */
  get done(): boolean {
    return this.sawAllReadable && this.#unreadable.size === 0
  }

  /** All that can be read was. */
  get sawAllReadable(): boolean {
    return this.#sawAll && this.#open.size === 0
  }

  /** From the start again: what this device knows turned out to be old. */
  reset(): void {
    this.#sawAll = false
    this.#copied.clear()
    this.#resets++
  }

  async judge(changes: LocalChanges, options: JudgeOptions): Promise<Judged> {
    const resets = this.#resets
    for (const paths of [this.#open, this.#unreadable])
      for (const path of [...paths]) if (options.all || options.looked(path)) paths.delete(path)
    // What was in it may stand anywhere: only a look at everything tells.
    const lookAtAll = [...this.#open].some(path => options.gone.has(path))
    if (lookAtAll) this.#sawAll = false
    const judged = await new JudgeRun(this.#deps, changes, options, this.#copied).run()
    for (const path of judged.again.keys()) this.#open.add(path)
    for (const path of options.unread) this.#open.add(parentPath(path))
    for (const path of [...options.unreadable, ...judged.unreadable]) this.#unreadable.add(path)
    if (options.all && resets === this.#resets) this.#sawAll = true
    return { ...judged, lookAtAll }
  }
}

type Hashed = Extract<HashResult, { ok: true }>
type Removal = Extract<DiskStep, { do: 'remove' }>

/** What only the past can tell. */
type Case =
  | { readonly what: 'directory'; readonly found: Found }
  /** `parent`: undefined where nothing shows what it stands in. */
  | { readonly what: 'move'; readonly found: FoundRow; readonly parent: Row | undefined }
  | { readonly what: 'file'; readonly found: Found; readonly facts: Facts }
  | { readonly what: 'edit'; readonly found: FoundRow; readonly facts: Facts }

class JudgeRun {
  readonly #deps: JudgeDeps
  readonly #changes: LocalChanges
  readonly #options: JudgeOptions
  readonly #evidence: Evidence
  readonly #takeOver: TakeOver
  readonly #claimed: Map<string, Row>
  readonly #lost: Map<RowId, Row>
  readonly #creates: Found[] = []
  readonly #moves: FoundRow[] = []
  readonly #edits: FoundRow[] = []
  readonly #touched: FoundRow[] = []
  #cases: Case[] = []
  readonly #removals: Removal[] = []
  /** New directories that something stands in, or may. */
  readonly #kept = new Set<string>()
  readonly #again = new Map<string, number>()
  readonly #unreadable = new Set<string>()
  /** Directories to look at again though all in them was judged. */
  readonly #reread = new Set<string>()
  /** What was read: a peer may ask for it, and a merge for what it was. */
  readonly #hashed: Hashed[] = []
  /** Of what went to the kept versions: where it was, what was in a directory before it. */
  readonly #removed: JournalEntry[] = []

  constructor(deps: JudgeDeps, changes: LocalChanges, options: JudgeOptions, copied: Set<RowId>) {
    this.#deps = deps
    this.#changes = changes
    this.#options = options
    const { rows, tree } = deps
    this.#evidence = new Evidence({ rows, tree, statOf: options.statOf, since: deps.since() }, changes, copied)
    this.#takeOver = new TakeOver(deps)
    this.#claimed = new Map(changes.claimed)
    this.#lost = new Map(changes.lost.map(row => [row.id, row]))
  }

  async run(): Promise<Omit<Judged, 'lookAtAll'>> {
    this.#judgePlaces()
    for (const found of this.#changes.touched) this.#judgeTouched(found)
    await this.#judgeContents()
    this.#cases = this.#cases.filter(each => !this.#hasCome(each))
    const queries = this.#cases.map(each => this.#query(each))
    const known = queries.length === 0 ? [] : await this.#deps.past(queries, this.#options)
    if (known === null) for (const { found } of this.#cases) this.#lookAgain(found.parent, ASK_AGAIN_MS)
    else await this.#decide(known)
    // What is gone may be one of those that were not judged yet.
    if (this.#again.size === 0) this.#judgeLost()
    else this.#lost.clear()
    for (const path of this.#reread) this.#lookAgain(path, 0)
    await this.#deps.commit(this.#batch())
    const left = { creates: this.#creates, moves: this.#moves, edits: this.#edits, touched: this.#touched }
    const changes = { ...this.#changes, ...left, claimed: this.#claimed, lost: [...this.#lost.values()] }
    return { changes, again: this.#again, unreadable: this.#unreadable }
  }

  #batch(): JudgedBatch {
    const dots = this.#hashed.flatMap(({ request, list }) => {
      const row = this.#deps.rows.at(request.path)
      return row?.content === list.content ? [{ row: row.id, content: list.content }] : []
    })
    return {
      journal: [...this.#takeOver.noted, ...this.#bornToGo(), ...this.#removed],
      lists: this.#hashed.flatMap(({ list }) => (list.segments.size > 0 ? [list] : [])),
      bases: this.#hashed.flatMap(({ list, text }) => (text === null ? [] : [{ content: list.content, bytes: text }])),
      dots,
    }
  }

  #lookAgain(path: string, afterMs: number): void {
    this.#again.set(path, Math.min(afterMs, this.#again.get(path) ?? afterMs))
  }

  #rowAt(path: string): Row | undefined {
    return path === '' ? this.#deps.rows.get(ROOT_ROW) : this.#claimed.get(path)
  }

  #shown(found: Found): Shown | undefined {
    const parent = this.#rowAt(found.parent)
    return parent && shownAt(this.#deps, parent, found.observed.name, found.observed.kind)
  }

  /** False: nothing that a row could stand for is shown here. */
  #claim(found: Found, facts: Facts): boolean {
    const parent = this.#rowAt(found.parent)
    const shown = this.#shown(found)
    const done = parent && shown && this.#takeOver.claim(found, parent, shown, facts, this.#lost)
    if (done === undefined) return false
    if (done.again !== null) {
      this.#lost.delete(done.again)
      this.#evidence.noteCopied(done.again)
    }
    if (done.row.kind === 'directory') this.#claimed.set(found.path, done.row)
    return true
  }

  /** A directory that the tree shows here is that directory; its mode is the tree's. */
  #judgeDirectory(found: Found): void {
    if (this.#claim(found, directoryFacts(found.observed.stat))) return
    if (this.#evidence.isMadeSince(found)) this.#create(found)
    else this.#cases.push({ what: 'directory', found })
  }

  /** What moved into a directory can be told only when that directory is known: those above come first, moved or made. */
  #judgePlaces(): void {
    const directories = this.#changes.creates.filter(({ observed }) => observed.kind === 'directory')
    const places = [
      ...directories.map(found => ({ path: found.path, judge: () => this.#judgeDirectory(found) })),
      ...this.#changes.moves.map(found => ({ path: found.path, judge: () => this.#judgeMove(found) })),
    ]
    places.sort((a, b) => depthOf(a.path) - depthOf(b.path))
    for (const { judge } of places) judge()
  }

  #judgeTouched(found: FoundRow): void {
    const { row, observed } = found
    if (observed.stat.mode === row.mode || this.#evidence.isChmod(found)) this.#touched.push(found)
    else this.#takeOver.age(row, found, { ...row, mode: observed.stat.mode })
  }

  #judgeMove(found: FoundRow): void {
    if (this.#evidence.isMove(found)) return this.#passMove(found)
    const parent = this.#rowAt(found.parent)
    const shown = this.#shown(found)
    if (parent !== undefined && found.row.nodes.some(ref => shown?.entry.nodes.includes(ref.id)))
      this.#follow(found, parent)
    else this.#cases.push({ what: 'move', found, parent })
  }

  #passMove(found: FoundRow): void {
    this.#moves.push(found)
    this.#keep(found.parent)
  }

  #follow(found: FoundRow, parent: Row): void {
    const row = this.#takeOver.follow(found, parent)
    if (row?.kind === 'directory') this.#claimed.set(found.path, row)
    // Only the next look tells whether the content went along unchanged.
    else this.#reread.add(found.parent)
  }

  /** A person's deletions stay; every other row is forgotten, with all below it, and what the tree shows of it comes again. */
  #judgeLost(): void {
    const forgotten = new Set<RowId>()
    const left = this.#leftByMoves()
    // A directory stands before what is in it.
    for (const row of [...this.#lost.values()]) {
      const deleted = this.#lost.has(row.parent) || this.#evidence.isDeletion(row)
      if (deleted && !forgotten.has(row.parent)) continue
      this.#lost.delete(row.id)
      if (left.has(row.id)) {
        this.#lookAgain(this.#homeOf(row), SECOND_LOOK_MS)
        continue
      }
      forgotten.add(row.id)
      this.#takeOver.forget(row)
    }
  }

  /** The rows that what moved still stands below: those moves may wait for a second look, and must be found in their rows then. */
  #leftByMoves(): Set<RowId> {
    const { rows } = this.#deps
    const left = new Set<RowId>()
    for (const move of this.#moves)
      for (let at = rows.get(move.row.id); at !== undefined && at.id !== ROOT_ROW; at = rows.get(at.parent))
        left.add(at.parent)
    return left
  }

  /** Where the nearest directory above it that is not lost stands now. */
  #homeOf(row: Row): string {
    const standing = new Map([...this.#claimed].map(([path, { id }]) => [id, path]))
    for (let at = this.#deps.rows.get(row.parent); at !== undefined; at = this.#deps.rows.get(at.parent)) {
      const path = standing.get(at.id)
      if (path !== undefined) return path
      if (at.id === ROOT_ROW) return ''
    }
    return ''
  }

  // -------------------------------------------------------------------------------------------------------------- contents

  async #judgeContents(): Promise<void> {
    const work = this.#share()
    const byPath = new Map(work.map(each => [each.path, each]))
    const requests = work.map(({ path, observed }) => ({
      path,
      kind: observed.kind === 'symlink' ? ('symlink' as const) : ('file' as const),
      stat: observed.stat,
    }))
    for await (const result of this.#deps.disk.hash(requests, this.#options)) {
      const found = byPath.get(result.request.path)
      if (found === undefined) continue
      if (result.ok) {
        this.#deps.onHashed(found.observed.stat)
        this.#hashed.push(result)
      }
      if (!result.ok) this.#unhashed(found, result.problem)
      else if (found.row === null) this.#judgeCreate(found, result)
      else this.#judgeEdit({ ...found, row: found.row }, result)
    }
  }

  /** This cycle's share of the hashing, as when publishing. */
  #share(): (Found & { row: Row | null })[] {
    const all: (Found & { row: Row | null })[] = []
    for (const found of this.#changes.edits) {
      if (this.#evidence.isAnother(found)) {
        this.#takeOver.forget(found.row)
        all.push({ ...found, row: null })
      } else if (this.#evidence.isEdit(found) && this.#shownAsAnother(found) === undefined) this.#edits.push(found)
      else all.push(found)
    }
    for (const found of this.#changes.creates)
      if (found.observed.kind !== 'directory') all.push({ row: null, ...found })
    all.sort((a, b) => a.observed.stat.size - b.observed.stat.size)
    let bytes = 0
    let count = 0
    const files = cycleShare(all.length)
    const isEnough = (): boolean => count >= files || bytes >= (count < JUDGED_FILES ? CYCLE_BYTES : JUDGED_BYTES)
    while (count < all.length && (count === 0 || !isEnough())) bytes += all[count++]?.observed.stat.size ?? 0
    for (const rest of all.slice(count)) this.#lookAgain(rest.parent, 0)
    return all.slice(0, count)
  }

  #unhashed(found: Found, problem: Problem): void {
    this.#deps.onProblem(problem)
    this.#keep(found.parent)
    // What cannot be read may never be: nothing waits for it.
    if (problem.code === 'unreadable') this.#unreadable.add(found.parent)
    else this.#lookAgain(found.parent, SECOND_LOOK_MS)
  }

  #judgeCreate(found: Found, hashed: Hashed): void {
    const facts = factsOf(null, found.observed.stat, hashed)
    if (this.#claimEqual(found, facts)) return
    if (this.#evidence.isMadeSince(found)) this.#create(found)
    else this.#cases.push({ what: 'file', found, facts })
  }

  #claimEqual(found: Found, facts: Facts): boolean {
    return this.#shown(found)?.entry.facts.content === facts.content && this.#claim(found, facts)
  }

  /** Others publish while this is read and asked for. What the tree shows by now is neither asked for nor read once more to be published. */
  #hasCome(each: Case): boolean {
    if (each.what === 'directory') return this.#claim(each.found, directoryFacts(each.found.observed.stat))
    return each.what === 'file' && this.#claimEqual(each.found, each.facts)
  }

  #judgeEdit(found: FoundRow, hashed: Hashed): void {
    const row = this.#deps.rows.get(found.row.id)
    if (row === undefined || row.kind !== found.observed.kind) return this.#lookAgain(found.parent, 0)
    const facts = factsOf(row, found.observed.stat, hashed)
    if (facts.content !== row.content && this.#shownAsAnother(found)?.facts.content === facts.content) {
      this.#takeOver.forget(row)
      if (!this.#claim(found, facts)) this.#cases.push({ what: 'file', found, facts })
      return
    }
    if (this.#evidence.isEdit(found)) return void this.#edits.push(found)
    if (this.#takeOver.agree(row, found, facts)) return
    if (this.#evidence.isWrittenSince(found)) this.#edits.push(found)
    else this.#cases.push({ what: 'edit', found, facts })
  }

  /** What the tree shows here, where that is another file than the row's: two came to share the name, and the row may be from before. */
  #shownAsAnother(found: FoundRow): Entry | undefined {
    const entry = this.#shown(found)?.entry
    return entry === undefined || found.row.nodes.some(ref => entry.nodes.includes(ref.id)) ? undefined : entry
  }

  // -------------------------------------------------------------------------------------------------------------- verdicts

  #query({ what, found, ...rest }: Case): PastQuery {
    const { path, observed } = found
    const content = 'facts' in rest ? rest.facts.content : 'row' in found ? found.row.content : NO_CONTENT
    const own = what === 'edit' && 'row' in found ? found.row.nodes[0]?.id : undefined
    return { path, node: own ?? this.#shown(found)?.entry.nodes[0] ?? null, content, kind: observed.kind }
  }

  async #decide(known: readonly boolean[]): Promise<void> {
    const directories: { found: Found; stale: boolean }[] = []
    for (const [at, each] of this.#cases.entries()) {
      const stale = known[at] === true
      if (each.what === 'directory') directories.push({ found: each.found, stale })
      else if (each.what === 'move') stale ? this.#staleMove(each.found, each.parent) : this.#passMove(each.found)
      else if (each.what === 'edit') stale ? this.#staleEdit(each.found, each.facts) : this.#edits.push(each.found)
      else if (stale) this.#staleFile(each.found, each.facts)
      else if (!this.#hasCome(each)) this.#create(each.found)
    }
    const steps = this.#removals
    for (let at = 0; at < steps.length; at += REMOVE_BATCH)
      for (const step of await this.#remove(steps.slice(at, at + REMOVE_BATCH)))
        this.#lookAgain(parentPath(step.path), SECOND_LOOK_MS)
    await this.#decideDirectories(directories)
  }

  /** What is in a directory decides about it, so the deepest come first. */
  async #decideDirectories(directories: { found: Found; stale: boolean }[]): Promise<void> {
    const waiting = new Set<string>()
    for (const path of this.#again.keys())
      for (let at = path; at !== '' && !waiting.has(at); at = parentPath(at)) waiting.add(at)
    directories.sort((a, b) => depthOf(b.found.path) - depthOf(a.found.path))
    for (const { found, stale } of directories) {
      if (!stale || this.#kept.has(found.path)) this.#create(found)
      else if (waiting.has(found.path)) this.#lookAgain(found.parent, SECOND_LOOK_MS)
      // Refused: something stands in it that nobody spoke of.
      else if ((await this.#remove([removalOf(found, NO_CONTENT)])).length > 0) this.#create(found)
    }
  }

  /**
   * Where the directory that it stands in is old too, it has no row to be followed into: it gets one, and the next look tells. That one stays,
   * empty; to take it away with what is in it would take away what a row speaks of.
   */
  #staleMove(found: FoundRow, parent: Row | undefined): void {
    if (parent !== undefined) return this.#follow(found, parent)
    this.#keep(found.parent)
    this.#lookAgain(found.parent, 0)
  }

  #create(found: Found): void {
    this.#creates.push(found)
    this.#keep(found.parent)
  }

  #keep(path: string): void {
    for (let at = path; at !== '' && !this.#kept.has(at); at = parentPath(at)) this.#kept.add(at)
  }

  #staleEdit(found: FoundRow, facts: Facts): void {
    const row = this.#deps.rows.get(found.row.id)
    if (row === undefined) this.#lookAgain(found.parent, 0)
    // What it shows may have come meanwhile.
    else if (!this.#takeOver.agree(row, found, facts)) this.#takeOver.age(row, found, facts)
  }

  /** Where the tree shows a file, the plan replaces this one; where it shows none, this one goes. */
  #staleFile(found: Found, facts: Facts): void {
    if (this.#claim(found, facts)) return
    if (this.#shown(found) === undefined) this.#removals.push(removalOf(found, facts.content))
    else this.#create(found)
  }

  #noteRemoved({ path, kind, content, expect }: Removal): void {
    this.#deps.onRemoved(path)
    const home = this.#rowAt(parentPath(path))
    if (home !== undefined) this.#evidence.noteCopied(home.id)
    const node = this.#bornAt(path, kind)
    const device = this.#deps.doers.ofNode(node)
    const facts = {
      content,
      size: kind === 'directory' ? 0 : expect.size,
      mtime: Math.floor(expect.mtimeUs / 1000),
      mode: expect.mode,
    }
    const was = { path, facts }
    this.#removed.push({ time: this.#deps.now(), device, node, kind, path, facts, action: 'deleted', was })
  }

  /**
   * What went stood there without a row, and so without an entry that it was made: undone, it comes from nowhere and goes there. Nothing is
   * made before the directory that it was in.
   */
  #bornToGo(): JournalEntry[] {
    const born = this.#removed.map((entry): JournalEntry => ({ ...entry, action: 'created', was: null }))
    return born.sort((a, b) => depthOf(a.path) - depthOf(b.path))
  }

  /**
   * What stood there without a row had perhaps moved here; the journal takes it for what is born at that name. A node of something else
   * would make its path and this one two names of the same.
   */
  #bornAt(path: string, kind: Kind): NodeId {
    const above = parentPath(path)
    const parent = this.#rowAt(above)?.nodes[0]?.id ?? this.#bornAt(above, 'directory')
    return nodeId(parent, normalName(path.slice(path.lastIndexOf('/') + 1)), 0, kind)
  }

  /** Returns those that were refused. */
  async #remove(steps: readonly Removal[]): Promise<readonly Removal[]> {
    const results = await this.#deps.disk.apply(steps, this.#options)
    return steps.filter((step, at) => {
      const done = results[at]?.ok === true
      if (done) this.#noteRemoved(step)
      return !done
    })
  }
}

function depthOf(path: string): number {
  return path.split('/').length
}

function removalOf({ path, observed }: Found, content: ContentId): Removal {
  return { do: 'remove', path, kind: observed.kind, expect: observed.stat, content }
}
