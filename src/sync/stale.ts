// While a folder rejoins (its database was lost, its home or its files are an old copy), what lies on this disk may be the past. Before
// anything is published every difference is judged: what the shared tree shows too is agreement, what a journal knows as an earlier or
// deleted version is stale and goes to the kept versions, what no journal knows is new and published as ever. An edit or a move of what
// this device had up to date is a person's, and never judged. It hands back what is left to publish; nothing here writes to the tree.
import type { Facts } from '../core/entry.ts'
import type { ContentId, DeviceId, NodeId, RowId } from '../core/ids.ts'
import { NO_CONTENT, ROOT_ROW } from '../core/ids.ts'
import type { DiskStep, FolderDisk, HashResult, JournalEntry, PastQuery, Problem, Stat, Waiting } from '../core/ports.ts'
import type { Row } from '../core/rows.ts'
import { type AdoptDeps, type Shown, sameDots, shownAt } from './adopt.ts'
import type { Found, FoundRow, LocalChanges } from './local-changes.ts'
import { parentPath, sameObject } from './local-changes.ts'
import { CYCLE_BYTES, CYCLE_FILES, directoryFacts, factsOf, SECOND_LOOK_MS } from './publisher.ts'
import type { TreeView } from './tree.ts'

/** When nobody answered: asked again after this, or when something changes. */
const ASK_AGAIN_MS = 5_000
const REMOVE_BATCH = 512

export interface JudgeDeps extends AdoptDeps {
  readonly tree: TreeView
  readonly disk: Pick<FolderDisk, 'hash' | 'apply'>
  readonly now: () => number
  readonly deviceOf: (node: NodeId) => DeviceId
  /** What the journals of this device and of those linked know; null where nobody else could be asked. */
  readonly past: (queries: readonly PastQuery[], options: Waiting) => Promise<readonly boolean[] | null>
  /** Stores what the rows changed, with these entries. */
  readonly commit: (noted: readonly JournalEntry[]) => Promise<void>
  readonly onProblem: (problem: Problem) => void
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
  /** The directory at this path, as it was read. */
  readonly statOf: (path: string) => Stat | undefined
}

export interface Judged {
  /** What is left to publish. */
  readonly changes: LocalChanges
  /** Directories to look at again, and when (ms from now). */
  readonly again: ReadonlyMap<string, number>
}

export class Judge {
  readonly #deps: JudgeDeps
  /** Directories with something in them that was not judged yet. */
  readonly #open = new Set<string>()
  #sawAll = false
  #resets = 0

  constructor(deps: JudgeDeps) {
    this.#deps = deps
  }

  /** Everything that lies here was judged. */
  get done(): boolean {
    return this.#sawAll && this.#open.size === 0
  }

  /** From the start again: what this device knows turned out to be old. */
  reset(): void {
    this.#sawAll = false
    this.#resets++
  }

  async judge(changes: LocalChanges, options: JudgeOptions): Promise<Judged> {
    const resets = this.#resets
    if (options.all) this.#open.clear()
    for (const path of [...this.#open]) if (options.looked(path)) this.#open.delete(path)
    const judged = await new JudgeRun(this.#deps, changes, options).run()
    for (const path of judged.again.keys()) this.#open.add(path)
    for (const path of options.unread) this.#open.add(parentPath(path))
    if (options.all && resets === this.#resets) this.#sawAll = true
    return judged
  }
}

type Hashed = Extract<HashResult, { ok: true }>

/** What only the past can tell. */
type Case =
  | { readonly what: 'directory'; readonly found: Found }
  | { readonly what: 'move'; readonly found: FoundRow; readonly parent: Row }
  | { readonly what: 'file'; readonly found: Found; readonly facts: Facts }
  | { readonly what: 'edit'; readonly found: FoundRow; readonly facts: Facts }

class JudgeRun {
  readonly #deps: JudgeDeps
  readonly #changes: LocalChanges
  readonly #options: JudgeOptions
  readonly #claimed: Map<string, Row>
  readonly #lost: Map<RowId, Row>
  /** Directories that are not what they were, though they stand where they were. */
  readonly #copied: Set<RowId>
  #standsAt: ReadonlyMap<RowId, string> | null = null
  readonly #creates: Found[] = []
  readonly #moves: FoundRow[] = []
  readonly #edits: FoundRow[] = []
  readonly #touched: FoundRow[] = []
  readonly #cases: Case[] = []
  readonly #removals: Extract<DiskStep, { do: 'remove' }>[] = []
  /** New directories that something stands in, or may. */
  readonly #kept = new Set<string>()
  readonly #noted: JournalEntry[] = []
  readonly #again = new Map<string, number>()

  constructor(deps: JudgeDeps, changes: LocalChanges, options: JudgeOptions) {
    this.#deps = deps
    this.#changes = changes
    this.#options = options
    this.#claimed = new Map(changes.claimed)
    this.#lost = new Map(changes.lost.map(row => [row.id, row]))
    this.#copied = this.#copiedDirectories()
  }

  async run(): Promise<Judged> {
    for (const found of this.#changes.moves) this.#judgeMove(found)
    for (const found of this.#changes.creates) if (found.observed.kind === 'directory') this.#judgeDirectory(found)
    for (const found of this.#changes.touched) this.#judgeTouched(found)
    await this.#judgeContents()
    const queries = this.#cases.map(each => this.#query(each))
    const known = queries.length === 0 ? [] : await this.#deps.past(queries, this.#options)
    if (known === null) for (const { found } of this.#cases) this.#lookAgain(found.parent, ASK_AGAIN_MS)
    else await this.#decide(known)
    if (this.#again.size === 0) this.#judgeLost()
    await this.#deps.commit(this.#noted)
    return { changes: this.#left(), again: this.#again }
  }

  #left(): LocalChanges {
    return {
      ...this.#changes,
      claimed: this.#claimed,
      creates: this.#creates,
      moves: this.#moves,
      edits: this.#edits,
      touched: this.#touched,
      // What is gone may be one of those that were not judged yet.
      lost: this.#again.size === 0 ? [...this.#lost.values()] : [],
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

  /** A directory that the tree shows here is that directory; its mode is the tree's. */
  #judgeDirectory(found: Found): void {
    const shown = this.#shown(found)
    const facts = directoryFacts(found.observed.stat)
    if (shown === undefined || !this.#claim(found, shown, facts, { agrees: true }))
      this.#cases.push({ what: 'directory', found })
  }

  #judgeTouched(found: FoundRow): void {
    const { row, observed } = found
    const known = this.#isUpToDate(row) && !this.#copied.has(row.id)
    if (known || observed.stat.mode === row.mode) return void this.#touched.push(found)
    this.#deps.rows.put({ ...row, mode: observed.stat.mode, stat: observed.stat, nodes: withoutVersions(row.nodes) })
    for (const ref of row.nodes) this.#deps.onAdopted(ref.id)
  }

  #judgeMove(found: FoundRow): void {
    const parent = this.#rowAt(found.parent)
    const row = this.#deps.rows.get(found.row.id)
    const moved = this.#isUnmoved(found.row) && !isOlder(found)
    if (parent === undefined || row === undefined || moved) return this.#passMove(found)
    const shown = this.#shown(found)
    if (shown !== undefined && row.nodes.some(ref => shown.entry.nodes.includes(ref.id)))
      return this.#moveRow(found, parent)
    this.#cases.push({ what: 'move', found, parent })
  }

  #passMove(found: FoundRow): void {
    this.#moves.push(found)
    this.#keep(found.parent)
  }

  /** The row goes along, and nobody hears of it: where the tree shows it elsewhere, the plan moves it there. */
  #moveRow({ row: { id }, observed, path }: FoundRow, parent: Row): void {
    const { rows, tree } = this.#deps
    const row = rows.get(id)
    if (row === undefined) return
    const nodes = row.nodes.map(ref => ({ ...ref, placement: tree.node(ref.id)?.placement ?? ref.placement }))
    const same = row.stat.size === observed.stat.size && row.stat.mtimeUs === observed.stat.mtimeUs
    const stat = same ? { ...observed.stat, mode: row.stat.mode } : row.stat
    const moved = { ...row, parent: parent.id, name: observed.name, stat, nodes }
    rows.put(moved)
    this.#note('moved', moved, path)
    if (row.kind === 'directory') this.#claimed.set(path, moved)
    for (const ref of row.nodes) this.#deps.onAdopted(ref.id)
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
      if (!result.ok) this.#unhashed(found, result.problem)
      else if (found.row === null) this.#judgeCreate(found, result)
      else this.#judgeEdit({ ...found, row: found.row }, result)
    }
  }

  /** This cycle's share of the hashing, as when publishing. */
  #share(): (Found & { row: Row | null })[] {
    const all: (Found & { row: Row | null })[] = []
    for (const found of this.#changes.edits) {
      if (this.#isUpToDate(found.row) && !this.#isCopy(found)) this.#edits.push(found)
      else all.push(found)
    }
    for (const found of this.#changes.creates)
      if (found.observed.kind !== 'directory') all.push({ ...found, row: null })
    all.sort((a, b) => a.observed.stat.size - b.observed.stat.size)
    let bytes = 0
    let count = 0
    while (count < all.length && count < CYCLE_FILES && (count === 0 || bytes < CYCLE_BYTES))
      bytes += all[count++]?.observed.stat.size ?? 0
    for (const rest of all.slice(count)) this.#lookAgain(rest.parent, 0)
    return all.slice(0, count)
  }

  /** Does the tree show exactly what the row says? Then what differs on the disk was done by a person. */
  #isUpToDate(row: Row): boolean {
    if (row.kind === 'directory') return row.nodes.every(ref => sameDots(this.#dots(ref.id), ref.versions))
    const [ref] = row.nodes
    return ref !== undefined && this.#deps.tree.entriesOf(ref.id).some(entry => sameDots(entry.dots, ref.versions))
  }

  #unhashed(found: Found, problem: Problem): void {
    this.#deps.onProblem(problem)
    this.#keep(found.parent)
    // What cannot be read may never be: it is judged no more.
    if (problem.code !== 'unreadable') this.#lookAgain(found.parent, SECOND_LOOK_MS)
  }

  #judgeCreate(found: Found, hashed: Hashed): void {
    const facts = factsOf(null, found.observed.stat, hashed)
    const shown = this.#shown(found)
    if (shown?.entry.facts.content === facts.content && this.#claim(found, shown, facts, { agrees: true })) return
    this.#cases.push({ what: 'file', found, facts })
  }

  #judgeEdit(found: FoundRow, hashed: Hashed): void {
    const { rows, tree } = this.#deps
    const row = rows.get(found.row.id)
    const [ref] = row?.nodes ?? []
    if (row === undefined || ref === undefined || row.kind !== found.observed.kind)
      return this.#lookAgain(found.parent, 0)
    const { stat } = found.observed
    const facts = factsOf(row, stat, hashed)
    const entry = tree.entriesOf(ref.id).find(each => each.facts.content === facts.content)
    if (entry !== undefined) {
      const next = { ...row, ...facts, stat, copy: entry.copy, nodes: tree.refsOf(entry) }
      rows.put(next)
      this.#note('edited', next, found.path)
      this.#deps.onAdopted(ref.id)
    } else if (facts.content === row.content) {
      // Written again, or restored with other times: what it shows it showed before.
      rows.put({ ...row, ...facts, stat })
      this.#deps.onAdopted(ref.id)
    } else this.#cases.push({ what: 'edit', found, facts })
  }

  /** Lets a row stand for what the tree shows here. `agrees`: the disk shows it too. False: another row has it, in place. */
  #claim(found: Found, { directory, entry }: Shown, facts: Facts, { agrees }: { agrees: boolean }): boolean {
    const { rows, tree } = this.#deps
    const parent = this.#rowAt(found.parent)
    if (parent === undefined) return false
    const { name, kind, stat } = found.observed
    const others = entry.nodes.flatMap(id => rows.byNode(id)).filter(row => row.kind === kind)
    const standing = others.filter(row => !this.#lost.has(row.id))
    const key = tree.nameKey(name)
    if (standing.some(row => row.parent === parent.id && tree.nameKey(row.name) === key)) return false
    // A row that is nowhere to be seen and stood for the same: here it is.
    const again = others.find(row => this.#lost.has(row.id))
    if (again !== undefined) {
      this.#lost.delete(again.id)
      this.#copied.add(again.id)
    }
    const refs = tree.refsOf(entry)
    const row: Row = {
      ...facts,
      id: again?.id ?? rows.allocate(),
      parent: parent.id,
      name,
      kind,
      stat,
      copy: entry.copy,
      nodes: agrees ? refs : withoutVersions(refs),
    }
    rows.put(row)
    if (agrees) this.#note('created', row, found.path)
    if (kind === 'directory') this.#claimed.set(found.path, row)
    this.#deps.onAdopted(directory)
    return true
  }

  // ------------------------------------------------------------------------------------------------------------------ lost

  /**
   * What is gone was deleted by a person only if this device had it up to date, in a directory that is the very one it was and was changed
   * since. Anything else may be gone because the rows or the files are an old copy: then the row is forgotten, and what the tree shows
   * comes again.
   */
  #judgeLost(): void {
    const forgotten = new Set<RowId>()
    // A directory stands before what is in it.
    for (const row of [...this.#lost.values()]) {
      const above = this.#lost.has(row.parent)
      const deleted = above || (this.#isUpToDate(row) && this.#isUnmoved(row) && !this.#isWithoutIt(row))
      if (deleted && !forgotten.has(row.parent)) continue
      forgotten.add(row.id)
      this.#lost.delete(row.id)
      this.#deps.rows.delete(row.id)
      for (const ref of row.nodes) this.#deps.onAdopted(ref.id)
    }
  }

  /** Was its directory put back as it was before? A deletion would have changed it later than what it deleted. */
  #isWithoutIt(row: Row): boolean {
    if (this.#copied.has(row.parent)) return true
    this.#standsAt ??= new Map([...this.#claimed].map(([path, { id }]) => [id, path]))
    const stat = this.#options.statOf(this.#standsAt.get(row.parent) ?? '')
    return stat !== undefined && stat.ctimeUs < row.stat.ctimeUs
  }

  /** Is the file there an older one than the row speaks of? */
  #isCopy(found: FoundRow): boolean {
    return this.#copied.has(found.row.parent) || isOlder(found)
  }

  /** Rows of directories that are not what they were, though they stand where they were: copied back, or made anew. */
  #copiedDirectories(): Set<RowId> {
    const copied = new Set<RowId>()
    const { touched, edits, moves } = this.#changes
    for (const { row, observed } of touched) if (!sameObject(row.stat, observed.stat)) copied.add(row.id)
    // Nothing is known of the root's own inode: it is the one it was if anything in it is.
    const others = new Set([...touched, ...edits].filter(f => !sameObject(f.row.stat, f.observed.stat)).map(f => f.row.id))
    const away = new Set(moves.map(move => move.row.id))
    const stands = [...this.#deps.rows.children(ROOT_ROW)].filter(
      row => row.id !== ROOT_ROW && !this.#lost.has(row.id) && !away.has(row.id),
    )
    if (!stands.some(row => !others.has(row.id))) copied.add(ROOT_ROW)
    return copied
  }

  #isUnmoved(row: Row): boolean {
    return row.nodes.every(ref => samePlacement(this.#deps.tree.node(ref.id)?.placement, ref.placement))
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
      else if (each.what === 'move') stale ? this.#moveRow(each.found, each.parent) : this.#passMove(each.found)
      else if (each.what === 'edit') stale ? this.#staleEdit(each.found, each.facts) : this.#edits.push(each.found)
      else if (stale) this.#staleFile(each.found, each.facts)
      else this.#create(each.found)
    }
    // What is in a directory decides about it, so the deepest come first.
    directories.sort((a, b) => b.found.path.split('/').length - a.found.path.split('/').length)
    const old: Found[] = []
    for (const { found, stale } of directories) {
      const waits = [...this.#again.keys()].some(path => path === found.path || path.startsWith(`${found.path}/`))
      if (this.#kept.has(found.path) || !stale) this.#create(found)
      else if (waits) this.#lookAgain(found.parent, SECOND_LOOK_MS)
      else old.push(found)
    }
    await this.#remove(old)
  }

  #create(found: Found): void {
    this.#creates.push(found)
    this.#keep(found.parent)
  }

  #keep(path: string): void {
    for (let at = path; at !== '' && !this.#kept.has(at); at = parentPath(at)) this.#kept.add(at)
  }

  /** It shows none of the versions that the tree has: the plan replaces it, and keeps it. */
  #staleEdit(found: FoundRow, facts: Facts): void {
    const { rows } = this.#deps
    const row = rows.get(found.row.id)
    if (row === undefined) return this.#lookAgain(found.parent, 0)
    rows.put({ ...row, ...facts, stat: found.observed.stat, nodes: withoutVersions(row.nodes) })
    for (const ref of row.nodes) this.#deps.onAdopted(ref.id)
  }

  #staleFile(found: Found, facts: Facts): void {
    const shown = this.#shown(found)
    if (shown !== undefined) {
      const agrees = shown.entry.facts.content === facts.content
      if (!this.#claim(found, shown, facts, { agrees })) this.#create(found)
      return
    }
    this.#removals.push(removalOf(found, facts.content))
  }

  async #remove(directories: readonly Found[]): Promise<void> {
    const steps = this.#removals
    for (let at = 0; at < steps.length; at += REMOVE_BATCH) {
      const some = steps.slice(at, at + REMOVE_BATCH)
      for (const step of await this.#refused(some)) this.#lookAgain(parentPath(step.path), SECOND_LOOK_MS)
    }
    const byPath = new Map(directories.map(found => [found.path, found]))
    // One after the other: each goes only when those in it have.
    for (const found of directories) {
      const [refused] = await this.#refused([removalOf(found, NO_CONTENT)])
      // Something stands in it that nobody spoke of.
      const kept = refused === undefined ? undefined : byPath.get(refused.path)
      if (kept !== undefined) this.#create(kept)
    }
  }

  async #refused(steps: readonly Extract<DiskStep, { do: 'remove' }>[]): Promise<typeof steps> {
    const results = await this.#deps.disk.apply(steps, this.#options)
    return steps.filter((step, at) => {
      const done = results[at]?.ok === true
      if (done) this.#deps.onRemoved(step.path)
      return !done
    })
  }

  #dots(node: NodeId): readonly { actor: Row['nodes'][number]['versions'][number]['dot']['actor']; seq: number }[] {
    return (this.#deps.tree.node(node)?.versions ?? []).map(version => version.dot)
  }

  #note(action: JournalEntry['action'], row: Row, path: string): void {
    const [ref] = row.nodes
    if (ref === undefined) return
    const { now, deviceOf } = this.#deps
    const { content, size } = row
    this.#noted.push({ time: now(), device: deviceOf(ref.id), action, node: ref.id, path, content, size })
  }
}

/** The disk was put back in place, by its file system: whatever a person does makes it later than it was. */
function isOlder({ row, observed }: FoundRow): boolean {
  return sameObject(row.stat, observed.stat) && observed.stat.ctimeUs < row.stat.ctimeUs
}

function withoutVersions(nodes: Row['nodes']): Row['nodes'] {
  return nodes.map(ref => ({ ...ref, versions: [] }))
}

function removalOf({ path, observed }: Found, content: ContentId): Extract<DiskStep, { do: 'remove' }> {
  return { do: 'remove', path, kind: observed.kind, expect: observed.stat, content }
}

function samePlacement(a: Placement | undefined, b: Placement): boolean {
  if (a === undefined) return false
  if (a === null || b === null) return a === b
  return a.time === b.time && a.actor === b.actor && a.parent === b.parent && a.name === b.name
}

type Placement = Row['nodes'][number]['placement']
