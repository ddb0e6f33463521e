// What the journal notes: transitions of what the rows say this disk shows, each with what stood there before. It promises that every entry
// undoes to the rows as they were before it, taken newest first; and it says who did a thing that came from elsewhere.

import type { Dot } from '../core/entry.ts'
import { plainFacts, sameFacts } from '../core/entry.ts'
import type { ActorId, DeviceId, NodeId, RowId } from '../core/ids.ts'
import { ROOT_ROW } from '../core/ids.ts'
import type { JournalAction, JournalEntry, Standing } from '../core/past.ts'
import type { Row, RowTable } from '../core/rows.ts'
import { joinPath } from './local-changes.ts'
import type { TreeView } from './tree.ts'

/** Rows give way to another of their name under a name that no disk can have (see RowTable.put): on the disk they have their own. */
const GAVE_WAY = /\0[^/]*/g

const NONE: ReadonlyMap<RowId, Row> = new Map()

/** `gone`: rows that are not in the table any more, for what is, or was, below them. */
export function shownPath(rows: RowTable, row: Row, gone = NONE): string {
  const path = rows.path(row.id)
  if (path !== undefined) return path.replace(GAVE_WAY, '')
  const above = rows.get(row.parent) ?? gone.get(row.parent)
  const name = row.name.replace(GAVE_WAY, '')
  return above === undefined ? name : joinPath(shownPath(rows, above, gone), name)
}

/** Where a row stands and as what; null for one that does not. */
export function standing(rows: RowTable, row: Row | null | undefined, gone = NONE): Standing | null {
  return row === null || row === undefined ? null : { path: shownPath(rows, row, gone), facts: plainFacts(row) }
}

/** Two standings are the same: nothing to note. */
export function sameStanding(a: Standing | null, b: Standing | null): boolean {
  if (a === null || b === null) return a === b
  return a.path === b.path && sameFacts(a.facts, b.facts)
}

/** The entry for a row that stands `now` where `was` stood; null where nothing that it stands for is known. */
export function transition(
  row: Row,
  about: { readonly time: number; readonly device: DeviceId; readonly action: JournalAction },
  now: Standing,
  was: Standing | null,
): JournalEntry | null {
  const [ref] = row.nodes
  if (ref === undefined || row.id === ROOT_ROW) return null
  return { node: ref.id, kind: row.kind, path: now.path, facts: now.facts, was, ...about }
}

export interface DoersDeps {
  readonly rows: RowTable
  readonly tree: Pick<TreeView, 'entries' | 'entryNamed' | 'primaryOf' | 'node'> & {
    actors(): ReadonlyMap<ActorId, { readonly device: DeviceId }>
    deleterOf(node: NodeId): ActorId | undefined
  }
  /** This device: for what nobody is known to have done. */
  readonly device: DeviceId
}

/** Who did what this device applies. */
export class Doers {
  readonly #deps: DoersDeps

  constructor(deps: DoersDeps) {
    this.#deps = deps
  }

  /** Who wrote the version that the tree shows of this node. */
  ofNode(node: NodeId): DeviceId {
    return this.#device(newest(this.#deps.tree.node(node)?.versions.map(v => v.dot) ?? [])?.actor)
  }

  /** Who wrote what the row shows; of a directory that is there only for what is in it, who put that there. */
  ofContent(row: Row): DeviceId {
    const dots = row.nodes.flatMap(ref => ref.versions.map(v => v.dot))
    return this.#device((newest(dots) ?? this.#newestWithin(row.nodes.map(ref => ref.id)))?.actor)
  }

  /** Who moved it. Where nobody did, another one took the name that it had, or left the one it has now. */
  ofMove(before: Row, after: Row): DeviceId {
    for (const { id, placement } of after.nodes) {
      const old = before.nodes.find(ref => ref.id === id)?.placement ?? null
      if (placement !== null && (placement.time !== old?.time || placement.actor !== old.actor))
        return this.#device(placement.actor)
    }
    // A conflict copy that has the name of its file now: whoever chose it wrote it so.
    const chosen = newest(after.nodes.flatMap(ref => ref.versions.map(v => v.dot)))
    const isNew = !before.nodes.some(ref =>
      ref.versions.some(v => v.dot.actor === chosen?.actor && v.dot.seq === chosen.seq),
    )
    if (before.copy && !after.copy && chosen !== undefined && isNew) return this.#device(chosen.actor)
    return this.#device(this.#takerOf(before) ?? after.nodes.find(ref => ref.placement !== null)?.placement?.actor)
  }

  ofDeletion(before: Row): DeviceId {
    for (const ref of before.nodes) {
      const actor = this.#deps.tree.deleterOf(ref.id)
      if (actor !== undefined) return this.#device(actor)
    }
    return this.#device(undefined)
  }

  /** Of what the tree shows where the row stood: who put it there. */
  #takerOf(before: Row): ActorId | undefined {
    const { rows, tree } = this.#deps
    const [above] = rows.get(before.parent)?.nodes ?? []
    const directory = above && (before.parent === ROOT_ROW ? above.id : tree.primaryOf(above.id))
    if (directory === undefined) return undefined
    const [taker] = tree.entryNamed(directory, before.name)?.nodes ?? []
    const node = taker === undefined ? undefined : tree.node(taker)
    return node?.placement?.actor ?? newest(node?.versions.map(v => v.dot) ?? [])?.actor
  }

  #newestWithin(directories: readonly NodeId[]): Dot | undefined {
    const queue = [...directories]
    for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
      const entries = this.#deps.tree.entries(id)
      const dot = newest(entries.flatMap(entry => entry.dots))
      if (dot !== undefined) return dot
      for (const { kind, nodes } of entries) if (kind === 'directory') queue.push(...nodes.slice(0, 1))
    }
    return undefined
  }

  #device(actor: ActorId | undefined): DeviceId {
    const { tree, device } = this.#deps
    return (actor === undefined ? undefined : tree.actors().get(actor)?.device) ?? device
  }
}

/** The write that wins among these. */
function newest(dots: readonly Dot[]): Dot | undefined {
  let found: Dot | undefined
  for (const dot of dots)
    if (found === undefined || dot.seq > found.seq || (dot.seq === found.seq && dot.actor > found.actor)) found = dot
  return found
}
