// Settling: what the projection only shows (a broken cycle, a suffix, a conflict copy, a directory that lives by its content) is
// written as it is shown before a local operation touches it, so that afterwards the tree is the one before plus that operation.
import type { Dot, Node, NodeRef, Version } from '../core/entry.ts'
import { hasDot } from '../core/entry.ts'
import type { NodeId } from '../core/ids.ts'
import { NO_CONTENT } from '../core/ids.ts'
import type { Batch } from './batch.ts'
import type { Special } from './listing.ts'
import type { Merged } from './slots.ts'
import { primaryOf, specialEntry, type View } from './view.ts'

/** A conflict copy that became a node of its own. */
export interface Settled {
  readonly from: NodeId
  readonly dots: readonly Dot[]
  readonly to: NodeId
  readonly version: Version
}

export interface Scope {
  /** Nodes whose name the operation frees or whose content it replaces. */
  readonly nodes: Iterable<NodeId>
  /** Conflict copies that it disposes of. */
  readonly copies?: readonly NodeRef[]
  /** Nodes that it deletes. */
  readonly gone?: ReadonlySet<NodeId>
  /** Does the operation itself dispose of that version? Those are never settled. */
  disposes(id: NodeId, dot: Dot): boolean
  /** The mode of a directory that has a row here, for one that is to live again. */
  modeOf(id: NodeId): number | null
}

const NONE: ReadonlySet<NodeId> = new Set()

interface Near {
  readonly touched: Map<Merged, Set<string>>
  readonly revive: Set<Merged>
}

export function settle(batch: Batch, view: View, scope: Scope): Settled[] {
  const gone = scope.gone ?? NONE
  for (const slot of view.brokenCycles()) {
    const node = batch.get(slot.id)
    if (node === undefined || slot.parent === null || gone.has(slot.id) || !view.shows(slot.id)) continue
    batch.place(node, slot.parent.id, slot.name)
  }
  const ids = new Set(scope.nodes)
  const near = neighbourhood(view, ids, scope.copies ?? [])
  const settled: Settled[] = []
  for (const [merged, keys] of near.touched) {
    for (const special of [...view.listing(merged).specials]) {
      const wanted = special.rather.some(name => keys.has(view.key(name)))
      if (!special.copy) {
        if (wanted && !gone.has(special.id)) pin(batch, view, special)
      } else if (ids.has(special.id) || (special.clash && wanted)) {
        const done = settleCopy(batch, merged, special, scope)
        if (done !== null) settled.push(done)
      }
    }
  }
  for (const merged of near.revive) revive(batch, merged, scope)
  return settled
}

/** The names that the operation frees, by merged directory. */
function neighbourhood(view: View, ids: Iterable<NodeId>, copies: readonly NodeRef[]): Near {
  const near: Near = { touched: new Map(), revive: new Set() }
  const touch = (merged: Merged, name: string): void => {
    const keys = near.touched.get(merged) ?? new Set()
    near.touched.set(merged, keys.add(view.key(name)))
  }
  for (const id of ids) {
    const merged = view.containing(id)
    const name = view.shownName(id)
    if (merged === null || name === null) continue
    touch(merged, name)
    const spot = view.spot(id)
    if (spot !== null) touch(merged, spot.name)
    near.revive.add(merged)
  }
  for (const ref of copies) {
    const merged = view.containing(ref.id)
    if (merged === null) continue
    for (const special of view.listing(merged).specials) {
      if (!special.copy || special.id !== ref.id) continue
      if (special.group.versions.some(v => ref.versions.some(w => hasDot([v.dot], w.dot)))) touch(merged, special.name)
    }
  }
  return near
}

/** A suffix would fall away, or get shorter, with the name it was given for: it becomes the name. */
function pin(batch: Batch, view: View, special: Special): void {
  const node = batch.get(special.id)
  const spot = view.spot(special.id)
  if (node !== undefined && spot !== null) batch.place(node, spot.parent, special.name)
}

function settleCopy(batch: Batch, merged: Merged, special: Special, scope: Scope): Settled | null {
  const { id, group } = special
  const [lead] = group.versions
  if (lead === undefined || group.versions.some(v => scope.disposes(id, v.dot))) return null
  const { facts, dots } = specialEntry(special, merged)
  const copyOf = { node: id, dot: lead.dot }
  const created = batch.create(primaryOf(merged), special.name, special.kind, facts, { copyOf })
  batch.drop(id, dots)
  return { from: id, dots, to: created.id, version: created.version }
}

/** Directories that show only because of their content become real before the content leaves, up to the root. */
export function revive(batch: Batch, from: Merged, scope: Pick<Scope, 'gone' | 'modeOf'>): void {
  for (let merged: Merged | null = from; merged !== null && merged.parent !== null; merged = merged.parent) {
    const id = primaryOf(merged)
    const node: Node | undefined = batch.get(id)
    if (node === undefined || node.versions.length > 0 || scope.gone?.has(id) === true) continue
    const mode = scope.modeOf(id) ?? 0o700
    batch.write(node, { content: NO_CONTENT, size: 0, mtime: 0, mode }, [])
  }
}
