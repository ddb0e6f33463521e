// What the engine needs of the shared tree; crdt/shared-tree is it. Declared here so that tests of pure parts stub little.
import type { Dot, Entry, Facts, Kind, Node, NodeRef, Version } from '../core/entry.ts'
import type { ActorId, DeviceId, NodeId } from '../core/ids.ts'
import type { Stat } from '../core/ports.ts'
import type { Row } from '../core/rows.ts'
import type { Group } from '../crdt/versions.ts'

/** The projection, as the plan reads it. */
export interface TreeView {
  entries(directory: NodeId): readonly Entry[]
  /** What has this name, by key, in the merged directory that this node is part of. */
  entryNamed(directory: NodeId, name: string): Entry | undefined
  entriesOf(node: NodeId): readonly Entry[]
  primaryOf(node: NodeId): NodeId | undefined
  node(id: NodeId): Node | undefined
  isPending(id: NodeId): boolean
  refsOf(entry: Entry): readonly NodeRef[]
  nameKey(name: string): string
}

export interface Tree extends TreeView {
  actors(): ReadonlyMap<ActorId, { readonly device: DeviceId; readonly label: string }>
  siblings(id: NodeId): readonly Group[]
  create(parent: Row, name: string, kind: Kind, facts: Facts, stat: Stat): Row
  edit(row: Row, facts: Facts, stat: Stat): Row
  move(row: Row, parent: Row, name: string): Row
  remove(rows: readonly Row[]): void
  merge(node: NodeId, dots: readonly Dot[], facts: Facts): Version
}
