// The folder as it was, walked back from the rows of now: an entry of the journal is undone on it path by path. A thing keeps its row
// on the way, so that a file that moved is moved back, not copied. Only what the journal speaks of is in memory; all else is looked up
// in the rows. Beside what a thing was it keeps what it is to be. Pure; the rows must not change meanwhile.

import type { Facts, Kind } from '../core/entry.ts'
import { plainFacts } from '../core/entry.ts'
import type { NodeId, RowId } from '../core/ids.ts'
import { NO_CONTENT, ROOT_ROW } from '../core/ids.ts'
import type { Row, RowTable } from '../core/rows.ts'

/** Deeper than any folder; what is deeper goes in circles. */
const MAX_DEPTH = 10_000

export interface Place {
  readonly parent: Thing
  readonly name: string
}

/** What is to become of a thing. */
export interface Target {
  exists: boolean
  /** Null: the root. */
  place: Place | null
  facts: Facts
}

export interface Thing {
  readonly kind: Kind
  /** What stands now, and where; null: nothing does. */
  readonly row: Row | null
  readonly now: Place | null
  readonly nodes: Set<NodeId>
  /** Where and what it was at the time that the walk has come to. */
  place: Place | null
  facts: Facts
  /** Nobody said that this directory was there, but something in it was. */
  implied: boolean
  /** What was in it, by name, as far as it was asked for. For a moment several may have one name: one is on its way. */
  readonly below: Map<string, Thing[]>
  readonly to: Target
  /** What somebody else changed later than what is to be undone. */
  readonly pinned: { exists: boolean; content: boolean; mode: boolean; place: boolean }
  /** What somebody merged is what pins its content. */
  mixed: boolean
  /** It stays though it cannot be told who did it. */
  unclear: boolean
}

const IMPLIED: Facts = { content: NO_CONTENT, size: 0, mtime: 0, mode: 0o755 }

export class PastTree {
  readonly root: Thing
  /** All but the root that the walk has met. */
  readonly met = new Set<Thing>()
  readonly #byRow = new Map<RowId, Thing>()
  readonly #rows: RowTable

  constructor(rows: RowTable) {
    this.#rows = rows
    const row = rows.get(ROOT_ROW)
    if (row === undefined) throw new Error('a table without a root')
    this.root = standing(row, null)
  }

  /** What stood there of that kind; of several at one place the one that stands for the node. */
  find(path: string, kind: Kind, node: NodeId | null): Thing | undefined {
    const found = this.at(path).filter(thing => thing.kind === kind)
    return found.find(thing => node !== null && thing.nodes.has(node)) ?? found[0]
  }

  /** All that stood there. */
  at(path: string): readonly Thing[] {
    let found: Thing[] = [this.root]
    if (path === '') return found
    for (const name of path.split('/')) {
      found = found.filter(thing => thing.kind === 'directory').flatMap(thing => this.#named(thing, name))
      if (found.length === 0) break
    }
    return found
  }

  /** The directory at a path; what nobody spoke of is implied. */
  directory(path: string): Thing {
    let at = this.root
    if (path === '') return at
    for (const name of path.split('/')) {
      const next = this.#named(at, name).find(thing => thing.kind === 'directory')
      at = next ?? this.add({ parent: at, name }, { kind: 'directory', facts: IMPLIED, node: null, implied: true })
    }
    return at
  }

  /** Something that does not stand anywhere now. */
  add(
    place: Place,
    what: { readonly kind: Kind; readonly facts: Facts; readonly node: NodeId | null; readonly implied: boolean },
  ): Thing {
    const { kind, facts, node, implied } = what
    const thing: Thing = {
      kind,
      row: null,
      now: null,
      nodes: new Set(node === null ? [] : [node]),
      place,
      facts,
      implied,
      below: new Map(),
      to: { exists: false, place, facts },
      pinned: { exists: false, content: false, mode: false, place: false },
      mixed: false,
      unclear: false,
    }
    this.met.add(thing)
    this.#named(place.parent, place.name).push(thing)
    return thing
  }

  /** Takes it, with what is below it, to where it was before; null: it was not. */
  move(thing: Thing, place: Place | null): void {
    if (thing.place !== null) {
      const siblings = this.#named(thing.place.parent, thing.place.name)
      const at = siblings.indexOf(thing)
      if (at >= 0) siblings.splice(at, 1)
    }
    thing.place = place
    if (place !== null) this.#named(place.parent, place.name).push(thing)
  }

  /** What was below it (itself not counted), parents first. */
  *walk(top: Thing): Iterable<Thing> {
    for (const thing of this.#children(top)) {
      yield thing
      if (thing.kind === 'directory') yield* this.walk(thing)
    }
  }

  /** What stands now at a name in a directory that stands now. */
  standing(directory: Thing, name: string): Thing | undefined {
    const row = this.#rowAt(directory, name)
    if (row === undefined) return undefined
    return this.#byRow.get(row.id) ?? this.#meet(row, directory)
  }

  /** Rows in a directory that the walk has not met: they stay as they are. */
  hasUnmet(directory: Thing): boolean {
    if (directory.row === null) return false
    for (const row of this.#rows.children(directory.row.id)) if (!this.#byRow.has(row.id)) return true
    return false
  }

  *#children(top: Thing): Iterable<Thing> {
    if (top.row !== null) {
      // Only looked at, not met: a whole folder may be listed.
      for (const row of this.#rows.children(top.row.id))
        if (!top.below.has(row.name) && row.id !== ROOT_ROW) yield standing(row, top)
    }
    for (const things of [...top.below.values()]) yield* [...things]
  }

  #rowAt(directory: Thing, name: string): Row | undefined {
    const row = directory.row === null ? undefined : this.#rows.child(directory.row.id, name)
    return row?.id === ROOT_ROW ? undefined : row
  }

  #named(directory: Thing, name: string): Thing[] {
    const known = directory.below.get(name)
    if (known !== undefined) return known
    const row = this.#rowAt(directory, name)
    const things: Thing[] = []
    directory.below.set(name, things)
    if (row !== undefined) things.push(this.#meet(row, directory))
    return things
  }

  #meet(row: Row, parent: Thing): Thing {
    const thing = standing(row, parent)
    this.met.add(thing)
    this.#byRow.set(row.id, thing)
    if (!parent.below.has(row.name)) parent.below.set(row.name, [thing])
    return thing
  }
}

/** Along places of one sort. Undefined where they go in circles. */
export function pathBy(thing: Thing, placeOf: (thing: Thing) => Place | null): string | undefined {
  const parts: string[] = []
  for (let place = placeOf(thing); place !== null; place = placeOf(place.parent)) {
    parts.push(place.name)
    if (parts.length > MAX_DEPTH) return undefined
  }
  return parts.reverse().join('/')
}

function standing(row: Row, parent: Thing | null): Thing {
  const place = parent === null ? null : { parent, name: row.name }
  const facts = plainFacts(row)
  return {
    kind: row.kind,
    row,
    now: place,
    nodes: new Set(row.nodes.map(ref => ref.id)),
    place,
    facts,
    implied: false,
    below: new Map(),
    to: { exists: true, place, facts },
    pinned: { exists: false, content: false, mode: false, place: false },
    mixed: false,
    unclear: false,
  }
}
