// The join of concurrent records of one node, and orders over placements and versions. Pure. The join is commutative, associative
// and idempotent: whatever order records arrive in, every device holds the same node.
import type { Dot, Node, Placement, Version } from '../core/entry.ts'
import { sameDot } from '../core/entry.ts'
import type { ActorId, NodeId } from '../core/ids.ts'

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Never moved counts as oldest. */
export function comparePlacement(a: Placement | null, b: Placement | null): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1
  return (
    a.time - b.time ||
    a.actor - b.actor ||
    compareText(a.parent + a.name, b.parent + b.name) ||
    compareText(a.previousParent + a.previousName, b.previousParent + b.previousName)
  )
}

/** One order of all nodes, on every device: the older placement first. */
export function comparePlaced(
  a: { readonly id: NodeId; readonly placement: Placement | null },
  b: { readonly id: NodeId; readonly placement: Placement | null },
): number {
  return comparePlacement(a.placement, b.placement) || compareText(a.id, b.id)
}

/** Newest first: the first of a sorted list is the winner. */
export function newestFirst(a: { readonly dot: Dot }, b: { readonly dot: Dot }): number {
  return b.dot.seq - a.dot.seq || b.dot.actor - a.dot.actor
}

/** Only forged records hold two versions of one dot; then too everybody must choose the same. */
function sameChoice(a: Version, b: Version): Version {
  const text = (v: Version): string =>
    `${v.content} ${v.size} ${v.mtime} ${v.mode} ${JSON.stringify([v.base, v.copyOf, v.merged, v.metadataOnly])}`
  return text(a) <= text(b) ? a : b
}

export function join(a: Node, b: Node): Node {
  const versions: Version[] = []
  for (const version of a.versions) {
    const same = b.versions.find(v => sameDot(v.dot, version.dot))
    if (same !== undefined) versions.push(sameChoice(version, same))
    else if (version.dot.seq > (b.context.get(version.dot.actor) ?? 0)) versions.push(version)
  }
  for (const version of b.versions) {
    if (a.versions.some(v => sameDot(v.dot, version.dot))) continue
    if (version.dot.seq > (a.context.get(version.dot.actor) ?? 0)) versions.push(version)
  }
  versions.sort((x, y) => x.dot.actor - y.dot.actor || x.dot.seq - y.dot.seq)
  const context = new Map<ActorId, number>(a.context)
  for (const [actor, seq] of b.context) context.set(actor, Math.max(context.get(actor) ?? 0, seq))
  return {
    id: a.id,
    kind: a.kind,
    birth: a.birth.name <= b.birth.name ? a.birth : b.birth,
    placement: comparePlacement(a.placement, b.placement) >= 0 ? a.placement : b.placement,
    context,
    versions,
  }
}
