// The oracle: the whole projection at once, from the records in the documents, written down as the rules say and with no thought
// for cost. Shares with the product only the codec, the join and the grouping of versions.
import * as Y from 'yjs'
import type { Facts, Node, Placement } from '../../../src/core/entry.ts'
import type { ActorId, NodeId } from '../../../src/core/ids.ts'
import { hexOf, ROOT_NODE } from '../../../src/core/ids.ts'
import { nameKey, withSuffix } from '../../../src/core/names.ts'
import type { DocUpdate } from '../../../src/core/ports.ts'
import { join } from '../../../src/crdt/join.ts'
import { type ActorRecord, decodeRecord } from '../../../src/crdt/record.ts'
import { groupsOf } from '../../../src/crdt/versions.ts'
import { line } from './replica.ts'

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

function byPlacement(a: Placement | null, b: Placement | null): number {
  const from = (p: Placement | null): string => (p ? p.previousParent + p.previousName : '')
  const key = (p: Placement | null): [number, number, string] => (p ? [p.time, p.actor, p.parent + p.name] : [0, 0, ''])
  const [x, y] = [key(a), key(b)]
  // two files that one device moved to one name in one millisecond differ only in where they came from
  return x[0] - y[0] || x[1] - y[1] || order(x[2], y[2]) || order(from(a), from(b))
}

/** The joined nodes and the actors of these documents. */
export function readRecords(stored: readonly DocUpdate[]): {
  nodes: Map<NodeId, Node>
  actors: Map<ActorId, ActorRecord>
} {
  const nodes = new Map<NodeId, Node>()
  const actors = new Map<ActorId, ActorRecord>()
  for (const { update } of stored) {
    const doc = new Y.Doc()
    Y.applyUpdate(doc, update)
    for (const record of doc.getArray<string>('n').toArray()) {
      const decoded = decodeRecord(record)
      if (decoded.type === 'actor') actors.set(decoded.actor.actor, decoded.actor)
      if (decoded.type !== 'node') continue
      const there = nodes.get(decoded.node.id)
      nodes.set(decoded.node.id, there === undefined ? decoded.node : join(there, decoded.node))
    }
  }
  return { nodes, actors }
}

/** The rendered tree of these documents. */
export function fullProjection(stored: readonly DocUpdate[]): string {
  const { nodes, actors } = readRecords(stored)
  const fold = [...actors.values()].some(actor => actor.foldsCase)
  const spots = placeAll(nodes)
  const visible = new Set<NodeId>([ROOT_NODE])
  for (const node of nodes.values()) {
    if (node.versions.length === 0) continue
    const chain: NodeId[] = []
    let at: NodeId | null = node.id
    while (at !== null && !visible.has(at)) {
      chain.push(at)
      at = spots.get(at)?.parent ?? null
    }
    if (at !== null) for (const id of chain) visible.add(id)
  }
  const children = new Map<NodeId, Node[]>()
  for (const id of visible) {
    const node = nodes.get(id)
    const parent = spots.get(id)?.parent
    if (node !== undefined && parent) children.set(parent, [...(children.get(parent) ?? []), node])
  }
  const lines: string[] = []
  const queue: { ids: NodeId[]; path: string }[] = [{ ids: [ROOT_NODE], path: '' }]
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const { ids, path } = next
    listOne(
      ids.flatMap(id => children.get(id) ?? []),
      spots,
      { fold, actors },
      (name, node, what, merged) => {
        lines.push(line(`${path}/${name}`, node.kind, what))
        if (merged !== null) queue.push({ ids: merged, path: `${path}/${name}` })
      },
    )
  }
  return lines.sort().join('\n')
}

interface Spot {
  readonly parent: NodeId | null
  readonly name: string
}

function placeAll(nodes: ReadonlyMap<NodeId, Node>): Map<NodeId, Spot> {
  const isDirectory = (id: NodeId): boolean => id === ROOT_NODE || nodes.get(id)?.kind === 'directory'
  const spots = new Map<NodeId, Spot>()
  const pending = new Set<NodeId>()
  for (const node of nodes.values()) {
    const asked = node.placement ?? node.birth
    spots.set(node.id, { parent: isDirectory(asked.parent) ? asked.parent : null, name: asked.name })
    if (asked.parent !== ROOT_NODE && !nodes.has(asked.parent)) pending.add(node.id)
  }
  const up = (id: NodeId): NodeId | null => spots.get(id)?.parent ?? null
  const onCycle = (id: NodeId): NodeId[] | null => {
    const trail: NodeId[] = []
    for (let at: NodeId | null = id; at !== null && at !== ROOT_NODE; at = up(at)) {
      if (trail.includes(at)) return at === id ? trail : null
      trail.push(at)
    }
    return null
  }
  const victims = new Set<NodeId>()
  for (const node of nodes.values()) {
    const cycle = onCycle(node.id)
    if (cycle === null) continue
    const newest = cycle
      .map(id => nodes.get(id) as Node)
      .sort((a, b) => byPlacement(b.placement, a.placement) || order(a.id, b.id))[0]
    if (newest !== undefined) victims.add(newest.id)
  }
  for (const id of victims) spots.set(id, { parent: null, name: '' })
  const homeless = [...nodes.values()].filter(node => up(node.id) === null)
  homeless.sort((a, b) => byPlacement(a.placement, b.placement) || order(a.id, b.id))
  const reaches = (from: NodeId, target: NodeId): boolean => {
    for (let at: NodeId | null = from; at !== null && at !== ROOT_NODE; at = up(at)) if (at === target) return true
    return false
  }
  for (const { id, placement, birth } of homeless) {
    const chain: Spot[] = []
    if (placement !== null) chain.push({ parent: placement.previousParent, name: placement.previousName }, birth)
    if (!pending.has(id)) chain.push({ parent: ROOT_NODE, name: (placement ?? birth).name })
    const found = chain.find(
      s => s.parent !== null && isDirectory(s.parent) && s.parent !== id && !reaches(s.parent, id),
    )
    if (found !== undefined) spots.set(id, found)
  }
  return spots
}

interface Context {
  readonly fold: boolean
  readonly actors: ReadonlyMap<ActorId, ActorRecord>
}

function listOne(
  inside: readonly Node[],
  spots: ReadonlyMap<NodeId, Spot>,
  { fold, actors }: Context,
  show: (name: string, node: Node, what: Facts, merged: NodeId[] | null) => void,
): void {
  const key = (name: string): string => nameKey(name, fold)
  const nameOf = (node: Node): string => (spots.get(node.id)?.name ?? '').normalize('NFC')
  const used = new Set<string>()
  const directories = new Map<string, Node[]>()
  for (const node of inside) {
    if (node.kind !== 'directory') continue
    directories.set(key(nameOf(node)), [...(directories.get(key(nameOf(node))) ?? []), node])
  }
  for (const [k, group] of directories) {
    used.add(k)
    group.sort((a, b) => order(a.id, b.id))
    const [primary] = group
    if (primary === undefined) continue
    const alive = group.find(node => node.versions.length > 0)
    const what = alive === undefined ? undefined : groupsOf(alive)[0]?.facts
    show(
      nameOf(primary),
      primary,
      what ?? { content: '' as never, size: 0, mtime: 0, mode: 0o700 },
      group.map(n => n.id),
    )
  }
  const free = (name: string, id: NodeId): string => {
    for (let length = 6; ; length += 2) {
      const tried = withSuffix(name, hexOf(id).slice(0, length))
      if (!used.has(key(tried))) return tried
      if (length > 32) throw new Error('the oracle has no more names')
    }
  }
  const files = inside.filter(node => node.kind !== 'directory')
  files.sort((a, b) => byPlacement(a.placement, b.placement) || order(a.id, b.id))
  const names = new Map<Node, string>()
  const late: Node[] = []
  for (const node of files) {
    if (used.has(key(nameOf(node)))) late.push(node)
    else {
      used.add(key(nameOf(node)))
      names.set(node, nameOf(node))
    }
  }
  for (const node of late.sort((a, b) => order(a.id, b.id))) {
    names.set(node, free(nameOf(node), node.id))
    used.add(key(names.get(node) ?? ''))
  }
  const copies: { node: Node; name: string; what: Facts; seq: number }[] = []
  for (const [node, name] of names) {
    const [winner, ...rest] = groupsOf(node)
    if (winner !== undefined) show(name, node, winner.facts, null)
    for (const group of rest) {
      const dot = group.versions[0]?.dot
      if (dot === undefined) continue
      const time = new Date(dot.seq).toISOString().slice(0, 19).replace('T', ' ').replaceAll(':', '-')
      copies.push({
        node,
        name: withSuffix(name, `conflict ${time} ${actors.get(dot.actor)?.label}`),
        what: group.facts,
        seq: dot.seq,
      })
    }
  }
  copies.sort((a, b) => order(a.name, b.name) || order(a.node.id, b.node.id) || a.seq - b.seq)
  for (const copy of copies) {
    const name = used.has(key(copy.name)) ? free(copy.name, copy.node.id) : copy.name
    used.add(key(name))
    show(name, copy.node, copy.what, null)
  }
}
