// What would bring a folder, or a part of it, back to what it was: the journal undone newest first on a tree of things, then what each
// thing is to be against what it is. One algorithm for `restore` (all is undone) and for `undo` (only what one device did; what others
// changed later than that, a content, a place, an existence, is pinned). Pure: it says what is to be done and touches nothing.

import type { Facts, Kind } from '../core/entry.ts'
import { plainFacts } from '../core/entry.ts'
import type { ContentId, DeviceId, NodeId, RowId } from '../core/ids.ts'
import { isWithin } from '../core/names.ts'
import type { Change, JournalEntry, KeptFile } from '../core/past.ts'
import type { Row, RowTable } from '../core/rows.ts'
import { nameOf, parentPath } from './local-changes.ts'
import { PastTree, type Place, pathBy, type Thing } from './past-tree.ts'

/** A directory that stands, or one that an earlier step of the same rewind makes. */
export type Home = { readonly row: RowId } | { readonly made: number }

/** A change, and what it is done to. In order: directories to make (parents first), moves, new files, contents, what goes (children first). */
export type RewindStep =
  | { readonly do: 'remove'; readonly change: Change; readonly row: Row }
  | {
      readonly do: 'create'
      readonly change: Change
      readonly made: number
      readonly home: Home
      readonly name: string
    }
  | { readonly do: 'move'; readonly change: Change; readonly row: Row; readonly home: Home; readonly name: string }
  | { readonly do: 'edit'; readonly change: Change; readonly row: Row }

export interface Selection {
  /** The part that is brought back; '' for all. */
  readonly path: string
  /** Leave what came later. */
  readonly keepNew: boolean
  /** Where something that nobody is to touch has the place now, what was there stays away. */
  readonly yields: boolean
}

export interface Shown {
  readonly path: string
  readonly kind: Kind
  readonly facts: Facts
  readonly nodes: ReadonlySet<NodeId>
}

/** What becomes of a change: it is undone, it was somebody else's and stays, or it cannot be told whose it was and stays too. */
export type Fate = 'back' | 'stays' | 'unclear'

/** What the one whose changes are undone found, of what it changed. */
interface Found {
  exists?: boolean
  content?: ContentId
  mode?: number
  place?: Place
}

export class Rewind {
  /** Entries that were gone back over. */
  undone = 0
  /** As it was before the oldest change that is to be undone. */
  readonly #found = new Map<Thing, Found>()
  /** Who else changed it last; who wrote it goes before who moved it. */
  readonly #later = new Map<NodeId, DeviceId>()
  readonly #tree: PastTree
  readonly #rows: RowTable

  constructor(rows: RowTable) {
    this.#rows = rows
    this.#tree = new PastTree(rows)
  }

  /** Goes back over one entry, newest first. */
  undo(entry: JournalEntry, fate: Fate): void {
    this.undone++
    if (entry.action === 'deleted') this.#undelete(entry, fate)
    else if (entry.was === null) this.#uncreate(entry, fate)
    else this.#unchange(entry, entry.was, fate)
  }

  /** What stays though the one whose changes are undone may have had a part in it. */
  unclear(): string[] {
    const paths = [...this.#tree.met].flatMap(thing => {
      if (!thing.unclear) return []
      return pathBy(thing, each => each.now ?? each.to.place) ?? []
    })
    return [...new Set(paths)].sort()
  }

  /** Files that are not again what was found there, since others changed them later. */
  kept(steps: readonly RewindStep[]): KeptFile[] {
    const after = new Map(steps.map(({ change }) => [change.path, change.facts.content]))
    const kept = new Map<string, DeviceId | null>()
    for (const [thing, found] of this.#found) {
      const path = pathBy(thing, each => each.now ?? each.to.place)
      if (thing.kind === 'directory' || thing.unclear || path === undefined) continue
      if (thing.to.exists ? isAsFound(thing, found) : found.exists === false) continue
      const there = thing.to.exists ? undefined : this.#rows.at(path)
      // Made anew, by a restore for example, it is there again all the same.
      const content = after.get(pathBy(thing, each => each.to.place) ?? path) ?? there?.content
      if (!thing.to.exists && content === found.content) continue
      const nodes = [...thing.nodes, ...(there?.nodes ?? []).map(({ id }) => id), ...this.#inPlaceOf(found)]
      kept.set(path, nodes.map(node => this.#later.get(node)).find(by => by !== undefined) ?? null)
    }
    return [...kept].map(([path, by]) => ({ path, by })).sort((a, b) => (a.path < b.path ? -1 : 1))
  }

  /** What has the place that something was found in. */
  #inPlaceOf({ place }: Found): Iterable<NodeId> {
    return (place && this.#tree.standing(place.parent, place.name)?.nodes) ?? []
  }

  /** What the folder showed at the time that the walk has come to, below and with the path, parents before children. */
  *shown(path: string): Iterable<Shown> {
    const tops = path === '' ? [] : this.#tree.at(path)
    for (const { kind, facts, nodes } of tops) yield { path, kind, facts, nodes }
    const top = path === '' ? this.#tree.root : tops.find(thing => thing.kind === 'directory')
    if (top === undefined) return
    for (const thing of this.#tree.walk(top)) {
      const at = pathBy(thing, each => each.place)
      if (at !== undefined) yield { path: at, kind: thing.kind, facts: thing.facts, nodes: thing.nodes }
    }
  }

  steps(selection: Selection): RewindStep[] {
    return new Steps(this.#rows, this.#tree, selection).make()
  }

  #undelete(entry: JournalEntry, fate: Fate): void {
    const { node, kind } = entry
    const facts = plainFacts(entry.was?.facts ?? entry.facts)
    const path = entry.was?.path ?? entry.path
    const parent = this.#tree.directory(parentPath(path))
    const place = { parent, name: nameOf(path) }
    const implied = kind === 'directory' ? this.#tree.at(path).find(thing => thing.implied) : undefined
    const thing = implied ?? this.#tree.add(place, { kind, facts, node, implied: false })
    thing.implied = false
    thing.nodes.add(node)
    thing.facts = facts
    if (fate === 'back') Object.assign(thing.to, { exists: true, place, facts })
    else thing.pinned.exists = true
    this.#note(thing, entry, fate, { exists: true, content: facts.content })
    if (fate === 'unclear') thing.unclear = true
  }

  #uncreate(entry: JournalEntry, fate: Fate): void {
    const thing = this.#tree.find(entry.path, entry.kind, entry.node)
    if (thing === undefined) return
    this.#tree.move(thing, null)
    this.#note(thing, entry, fate, { exists: false })
    const { exists, content, place } = thing.pinned
    if (exists || content || place) return
    if (fate === 'back') thing.to.exists = false
    else if (fate === 'unclear') thing.unclear = true
  }

  #unchange(entry: JournalEntry, was: { path: string; facts: Facts }, fate: Fate): void {
    const { path, kind, node } = entry
    const take = fate === 'back'
    // What is said to have stood there did, though nothing says how it went.
    const thing = this.#tree.find(path, kind, node) ?? this.#lost(entry, take)
    thing.nodes.add(node)
    const facts = plainFacts(was.facts)
    const { to, pinned } = thing
    const content = facts.content !== entry.facts.content
    const mode = facts.mode !== entry.facts.mode
    const moved = was.path !== path
    this.#note(thing, entry, fate, {
      ...(content && { content: facts.content }),
      ...(mode && { mode: facts.mode }),
    })
    const counts =
      !pinned.exists && ((content && !pinned.content) || (mode && !pinned.mode) || (moved && !pinned.place))
    if (fate === 'unclear' && counts) thing.unclear = true
    // It is part of what was merged later, and does not come out of that any more.
    if (take && content && thing.mixed) thing.unclear = true
    if (take && !pinned.exists) {
      const { mode: _mode, ...written } = facts
      if (!pinned.content) to.facts = { ...to.facts, ...written }
      if (!pinned.mode) to.facts = { ...to.facts, mode: facts.mode }
    } else if (!take) {
      if (entry.action === 'merged' && content && !pinned.content) thing.mixed = true
      pinned.content ||= content
      pinned.mode ||= mode
    }
    thing.facts = facts
    if (!moved) return
    const place = { parent: this.#tree.directory(parentPath(was.path)), name: nameOf(was.path) }
    this.#tree.move(thing, place)
    this.#note(thing, entry, fate, { place })
    if (!take) pinned.place = true
    else if (!pinned.place && !pinned.exists) to.place = place
  }

  #note(thing: Thing, { node, device }: JournalEntry, fate: Fate, was: Found): void {
    if (fate !== 'stays') this.#found.set(thing, { ...this.#found.get(thing), ...was })
    else if (!this.#later.has(node) || (was.content !== undefined && !thing.pinned.content))
      this.#later.set(node, device)
  }

  #lost({ path, kind, node, facts }: JournalEntry, take: boolean): Thing {
    const place = { parent: this.#tree.directory(parentPath(path)), name: nameOf(path) }
    const thing = this.#tree.add(place, { kind, facts: plainFacts(facts), node, implied: false })
    thing.to.exists = take
    return thing
  }
}

/** From what each thing is to be to steps. */
class Steps {
  readonly #rows: RowTable
  readonly #tree: PastTree
  readonly #selection: Selection
  /** What turned out to be one with a thing that stands. */
  readonly #same = new Map<Thing, Thing>()

  constructor(rows: RowTable, tree: PastTree, selection: Selection) {
    this.#rows = rows
    this.#tree = tree
    this.#selection = selection
  }

  make(): RewindStep[] {
    this.#select()
    const things = [...this.#tree.met].map(thing => ({ thing, depth: this.#depth(thing) }))
    things.sort((a, b) => a.depth - b.depth)
    for (const { thing } of things) this.#joinStanding(thing)
    if (this.#selection.keepNew) for (const { thing } of things) stay(thing)
    for (const { thing } of things) this.#breakCycle(thing)
    this.#giveWay()
    for (const { thing } of things) if (thing.to.exists) this.#needParents(thing)
    this.#keepFull()
    return this.#emit()
  }

  /** Whatever neither was nor is in the part that was asked for stays as it is. */
  #select(): void {
    const { path } = this.#selection
    const inside = (at: string | undefined): boolean => at !== undefined && isWithin(at, path)
    const chosen = [...this.#tree.met].filter(thing => {
      const was = thing.to.exists && inside(pathBy(thing, each => each.to.place))
      return was || (thing.now !== null && inside(pathBy(thing, each => each.now)))
    })
    const kept = new Set(chosen)
    for (const thing of this.#tree.met) {
      if (kept.has(thing)) continue
      if (thing.row === null) thing.to.exists = false
      else Object.assign(thing.to, { exists: true, place: thing.now, facts: plainFacts(thing.row) })
    }
  }

  #rep(thing: Thing): Thing {
    let at = thing
    for (let next = this.#same.get(at); next !== undefined; next = this.#same.get(at)) at = next
    return at
  }

  #home(place: Place): Thing {
    return this.#rep(place.parent)
  }

  #depth(thing: Thing): number {
    let depth = 0
    for (let place = thing.to.place; place !== null && depth < 10_000; place = place.parent.to.place) depth++
    return depth
  }

  /** What stood at a name where something of its kind stands that is to go: that one becomes it (it was made again). Parents first. */
  #joinStanding(thing: Thing): void {
    const { to, row, kind } = thing
    if (row !== null || to.place === null || (!to.exists && kind !== 'directory')) return
    const there = this.#tree.standing(this.#home(to.place), to.place.name)
    if (there === undefined || there.kind !== kind || this.#rep(there) !== there) return
    const stays = there.to.exists && there.to.place !== null && this.#isAt(there, to.place)
    if (there.to.exists && (!stays || kind !== 'directory')) return
    this.#same.set(thing, there)
    if (!to.exists) return
    if (!there.to.exists) Object.assign(there.to, { exists: true, place: to.place, facts: to.facts })
    to.exists = false
  }

  #isAt(thing: Thing, place: Place): boolean {
    const at = thing.to.place
    return at !== null && at.name === place.name && this.#home(at) === this.#home(place)
  }

  /** What would go into itself, because only part of what moved moves back, stays where it is. */
  #breakCycle(thing: Thing): void {
    if (thing.kind !== 'directory' || thing.now === null || !this.#hasMoved(thing)) return
    const seen = new Set<Thing>([thing])
    for (let place = thing.to.place; place !== null; place = this.#home(place).to.place) {
      const home = this.#home(place)
      if (home === thing) {
        thing.to.place = thing.now
        return
      }
      if (seen.has(home)) return
      seen.add(home)
    }
  }

  #hasMoved(thing: Thing): boolean {
    const { now, to } = thing
    if (now === null || to.place === null) return false
    return now.name !== to.place.name || now.parent !== this.#home(to.place)
  }

  /** One name, two things: who stands there and stays has it. */
  #giveWay(): void {
    if (!this.#selection.yields) return
    for (const thing of this.#tree.met) {
      const { to, row } = thing
      if (!to.exists || to.place === null || (row !== null && !this.#hasMoved(thing))) continue
      const there = this.#tree.standing(this.#home(to.place), to.place.name)
      if (there === undefined || there === thing || !there.to.exists || this.#hasMoved(there)) continue
      if (row === null) to.exists = false
      else to.place = thing.now
    }
  }

  /** What is brought back needs the directories that it was in. */
  #needParents(thing: Thing): void {
    for (let place = thing.to.place; place !== null; ) {
      const home = this.#home(place)
      if (home.to.exists) return
      home.to.exists = true
      place = home.to.place
    }
  }

  /** A directory in which something stays does not go. */
  #keepFull(): void {
    const kept = new Map<Thing, boolean>()
    const full = new Set<Thing>()
    for (const thing of this.#tree.met) {
      if (!thing.to.exists || this.#rep(thing) !== thing || thing.to.place === null) continue
      full.add(this.#home(thing.to.place))
    }
    const keeps = (thing: Thing): boolean => {
      const known = kept.get(thing)
      if (known !== undefined) return known
      kept.set(thing, true)
      const inside = this.#going(thing).some(keeps)
      const keep = full.has(thing) || inside || this.#tree.hasUnmet(thing)
      kept.set(thing, keep)
      return keep
    }
    for (const thing of this.#tree.met) {
      if (thing.kind === 'directory' && keeps(thing)) stay(thing)
    }
  }

  /** Directories in it that stand there and are to go. */
  #going(thing: Thing): Thing[] {
    const found: Thing[] = []
    if (thing.row === null) return found
    for (const row of this.#rows.children(thing.row.id)) {
      if (row.kind !== 'directory') continue
      const there = this.#tree.standing(thing, row.name)
      if (there !== undefined && !there.to.exists) found.push(there)
    }
    return found
  }

  #emit(): RewindStep[] {
    const things = [...this.#tree.met].filter(thing => this.#rep(thing) === thing)
    const paths = new Map(things.map(thing => [thing, this.#path(thing)]))
    const at = (thing: Thing): string => paths.get(thing) ?? ''
    const depth = (thing: Thing): number => at(thing).split('/').length
    const byPath = (a: Thing, b: Thing): number => depth(a) - depth(b) || (at(a) < at(b) ? -1 : 1)
    const staying = things.filter(thing => thing.to.exists).sort(byPath)
    const made = new Map<Thing, number>()
    for (const thing of staying) if (thing.row === null) made.set(thing, made.size)
    const removals: RewindStep[] = []
    const directories: RewindStep[] = []
    const moves: RewindStep[] = []
    const files: RewindStep[] = []
    const edits: RewindStep[] = []
    for (const thing of staying) {
      const { row, to, kind } = thing
      if (to.place === null) continue
      const home = this.#homeOf(this.#home(to.place), made)
      const path = at(thing)
      const { name } = to.place
      const change = { kind, path, from: null, facts: to.facts }
      const number = made.get(thing)
      if (row === null && number !== undefined) {
        const step = { do: 'create', change: { ...change, action: 'create' }, made: number, home, name } as const
        if (kind === 'directory') directories.push(step)
        else files.push(step)
        continue
      }
      if (row === null) continue
      const from = pathBy(thing, each => each.now) ?? null
      if (this.#hasMoved(thing))
        moves.push({ do: 'move', change: { ...change, action: 'move', from, facts: plainFacts(row) }, row, home, name })
      if (differs(kind, row, to.facts)) edits.push({ do: 'edit', change: { ...change, action: 'edit' }, row })
    }
    for (const thing of things) {
      const { row, kind, to } = thing
      if (row === null || to.exists) continue
      const path = pathBy(thing, each => each.now) ?? ''
      removals.push({
        do: 'remove',
        change: { action: 'delete', kind, path, from: null, facts: plainFacts(row) },
        row,
      })
    }
    removals.sort((a, b) => b.change.path.split('/').length - a.change.path.split('/').length)
    return [...directories, ...moves, ...files, ...edits, ...removals]
  }

  #path(thing: Thing): string | undefined {
    return pathBy(thing, each => {
      const { place } = each.to
      return place === null ? null : { parent: this.#home(place), name: place.name }
    })
  }

  #homeOf(thing: Thing, made: ReadonlyMap<Thing, number>): Home {
    if (thing.row !== null) return { row: thing.row.id }
    const number = made.get(thing)
    if (number === undefined) throw new Error('a directory that is needed is not made')
    return { made: number }
  }
}

/** What was to go does not. */
function stay(thing: Thing): void {
  if (thing.row === null || thing.to.exists) return
  Object.assign(thing.to, { exists: true, place: thing.now, facts: plainFacts(thing.row) })
}

function isAsFound({ to }: Thing, found: Found): boolean {
  const { content = to.facts.content, mode = to.facts.mode, place = to.place, exists = true } = found
  const isInPlace = place?.parent === to.place?.parent && place?.name === to.place?.name
  return exists && content === to.facts.content && mode === to.facts.mode && isInPlace
}

function differs(kind: Kind, a: Facts, b: Facts): boolean {
  if (kind === 'directory') return a.mode !== b.mode
  return a.content !== b.content || a.mode !== b.mode || a.mtime !== b.mtime
}
