// Where every directory shows: parents, what to do while one is unknown, and which move of a cycle is not honoured. Pure, total, a
// function of the records alone. Run over all directories only when a cheap check says that a change may have more than one answer.
import type { Birth, Placement } from '../core/entry.ts'
import type { NodeId } from '../core/ids.ts'
import { ROOT_NODE } from '../core/ids.ts'
import { comparePlaced } from './join.ts'

export interface Placed {
  readonly id: NodeId
  readonly birth: Birth
  readonly placement: Placement | null
}

export interface Where {
  /** Null: hidden until what it depends on arrives. */
  readonly parent: NodeId | null
  readonly name: string
  readonly override: 'none' | 'cycle' | 'pending'
}

interface Spot {
  readonly parent: NodeId
  readonly name: string
}

export function asked(node: Pick<Placed, 'birth' | 'placement'>): Spot {
  return node.placement ?? node.birth
}

/** The places to try when the first is no place, newest first; the root only where nothing is still to arrive. */
export function fallbacks(node: Pick<Placed, 'birth' | 'placement'>, pending: boolean): Spot[] {
  const { birth, placement } = node
  const spots: Spot[] = []
  if (placement !== null) spots.push({ parent: placement.previousParent, name: placement.previousName }, birth)
  if (!pending) spots.push({ parent: ROOT_NODE, name: asked(node).name })
  return spots
}

export function resolveParents(
  directories: ReadonlyMap<NodeId, Placed>,
  known: (id: NodeId) => boolean,
): Map<NodeId, Where> {
  const isDirectory = (id: NodeId): boolean => id === ROOT_NODE || directories.has(id)
  const parents = new Map<NodeId, NodeId | null>()
  const pending = new Set<NodeId>()
  for (const node of directories.values()) {
    const { parent } = asked(node)
    parents.set(node.id, isDirectory(parent) ? parent : null)
    if (!isDirectory(parent) && !known(parent)) pending.add(node.id)
  }
  for (const victim of cycleVictims(directories, parents)) parents.set(victim, null)

  const homeless = [...directories.values()].filter(node => parents.get(node.id) === null)
  homeless.sort(comparePlaced)
  const moved = new Map<NodeId, Spot>()
  for (const node of homeless) {
    const spot = fallbacks(node, pending.has(node.id)).find(
      s => isDirectory(s.parent) && !reaches(parents, s.parent, node.id),
    )
    if (spot === undefined) continue
    parents.set(node.id, spot.parent)
    moved.set(node.id, spot)
  }
  const out = new Map<NodeId, Where>()
  for (const node of directories.values()) {
    const parent = parents.get(node.id) ?? null
    const spot = moved.get(node.id)
    const override = spot === undefined && parent !== null ? 'none' : pending.has(node.id) ? 'pending' : 'cycle'
    out.set(node.id, { parent, name: spot?.name ?? asked(node).name, override })
  }
  return out
}

/** Cycles of parents are disjoint; in each the newest placement loses. */
function cycleVictims(directories: ReadonlyMap<NodeId, Placed>, parents: ReadonlyMap<NodeId, NodeId | null>): NodeId[] {
  const victims: NodeId[] = []
  const done = new Set<NodeId>([ROOT_NODE])
  for (const start of directories.keys()) {
    const trail: NodeId[] = []
    const onTrail = new Map<NodeId, number>()
    let at: NodeId | null = start
    while (at !== null && !done.has(at) && !onTrail.has(at)) {
      onTrail.set(at, trail.length)
      trail.push(at)
      at = parents.get(at) ?? null
    }
    const from = at === null ? undefined : onTrail.get(at)
    if (from !== undefined) {
      const cycle = trail
        .slice(from)
        .map(id => directories.get(id))
        .filter(node => node !== undefined)
      cycle.sort((a, b) => comparePlaced(b, a))
      const [newest] = cycle
      if (newest !== undefined) victims.push(newest.id)
    }
    for (const id of trail) done.add(id)
  }
  return victims
}

function reaches(parents: ReadonlyMap<NodeId, NodeId | null>, from: NodeId, target: NodeId): boolean {
  let at: NodeId | null = from
  for (let steps = 0; at !== null && at !== ROOT_NODE; steps++) {
    if (at === target || steps > parents.size) return true
    at = parents.get(at) ?? null
  }
  return false
}
