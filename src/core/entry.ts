// The nouns of the tree: kinds, dots, versions, births, placements, nodes, and the entries that a projection shows.
// See the design's "Records and nodes". Data only.
import type { ActorId, ContentId, NodeId } from './ids.ts'

export type Kind = 'file' | 'directory' | 'symlink'

/** The name of one write: actor and its sequence number (hybrid clock, ms; monotone per actor over all nodes). */
export interface Dot {
  readonly actor: ActorId
  readonly seq: number
}

/** What a version says of the disk. `size` bytes, `mtime` whole ms since 1970, `mode` the nine permission bits. */
export interface Facts {
  /** Empty for directories; for a symlink the content id of its target's bytes. */
  readonly content: ContentId
  readonly size: number
  readonly mtime: number
  readonly mode: number
}

export interface Version extends Facts {
  readonly dot: Dot
  /**
   * For an edit: the newest version by *another* actor that this one descends from (inherited along a run of own edits), the
   * common base that a text merge looks for. For `metadataOnly`: the dot that first wrote this content. For what is created at a node that
   * has been here before: its own dot, for it descends from nothing.
   */
  readonly base: Dot | null
  /** Made by a text merge; two merged versions are never merged again with each other. */
  readonly merged: boolean
  /** A chmod or touch: same content as `base`; beside a sibling that descends from `base` it only lends its mode. */
  readonly metadataOnly: boolean
  /** A conflict copy that became a file of its own: where it came from. */
  readonly copyOf: { readonly node: NodeId; readonly dot: Dot } | null
}

export interface Birth {
  readonly parent: NodeId
  readonly name: string
  readonly generation: number
}

export interface Placement {
  readonly parent: NodeId
  readonly name: string
  readonly time: number
  readonly actor: ActorId
  readonly previousParent: NodeId
  readonly previousName: string
}

/** The joined state of one node. `context`: actor → highest seq seen. */
export interface Node {
  readonly id: NodeId
  readonly kind: Kind
  readonly birth: Birth
  readonly placement: Placement | null
  readonly context: ReadonlyMap<ActorId, number>
  readonly versions: readonly Version[]
}

/** What one synced row keeps of a node it stood for: enough to rebuild the node, and exactly the dots that the path showed. */
export interface NodeRef {
  readonly id: NodeId
  readonly birth: Birth
  readonly placement: Placement | null
  readonly versions: readonly Version[]
}

/** One name that the shared tree shows. `directory` is the primary (smallest) id of the merged directory it is in. */
export interface Entry {
  readonly directory: NodeId
  readonly name: string
  readonly kind: Kind
  /** One id; for a merged directory all of them, the primary first. */
  readonly nodes: readonly NodeId[]
  /** The facts to show: those of the winner of this group; of a directory the primary's. */
  readonly facts: Facts
  /** The dots of the (only) file node that this name stands for: the winner's group, or this copy's. Empty for directories. */
  readonly dots: readonly Dot[]
  /** True for a conflict copy that is only virtual (the node's winner shows elsewhere). */
  readonly copy: boolean
}

/** The facts alone, of whatever has more. */
export function plainFacts({ content, size, mtime, mode }: Facts): Facts {
  return { content, size, mtime, mode }
}

export function sameFacts(a: Facts, b: Facts): boolean {
  return a.content === b.content && a.size === b.size && a.mtime === b.mtime && a.mode === b.mode
}

export function sameDot(a: Dot, b: Dot): boolean {
  return a.actor === b.actor && a.seq === b.seq
}

export function hasDot(dots: readonly Dot[], dot: Dot): boolean {
  return dots.some(d => sameDot(d, dot))
}
