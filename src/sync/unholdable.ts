// What the disk of this folder cannot have: a name, or a kind of entry. Trying again soon is of no use, so it stays as it is (not there, or
// at the name that it had), and with it all that waits for it; the folder rests, and says so. It is tried again when it changes, and with each
// full look.
import type { ContentId, NodeId } from '../core/ids.ts'
import { ROOT_NODE, ROOT_ROW } from '../core/ids.ts'
import type { Problem } from '../core/ports.ts'
import type { RowTable } from '../core/rows.ts'
import type { PlannedStep } from './plan.ts'
import type { TreeView } from './tree.ts'

interface Refused {
  readonly problem: Problem
  /** In which it was to be. */
  readonly directory: NodeId
  /** Stays staged, or each further try would fetch it anew. */
  readonly content: ContentId | null
}

export class Unholdable {
  readonly #rows: RowTable
  readonly #tree: Pick<TreeView, 'entriesOf'>
  readonly #refused = new Map<NodeId, Refused>()
  /** Directories in which something waits for one of these. */
  readonly #parked = new Set<NodeId>()

  constructor(rows: RowTable, tree: Pick<TreeView, 'entriesOf'>) {
    this.#rows = rows
    this.#tree = tree
  }

  /** How many entries; what is in directories among them is not counted. */
  get size(): number {
    return this.#refused.size === 0 ? 0 : new Set(this.#shown()).size
  }

  problems(): Problem[] {
    return [...new Set(this.#shown())].map(({ problem }) => problem)
  }

  /** What is to stay staged. */
  *contents(): Iterable<ContentId> {
    for (const { content } of this.#refused.values()) if (content !== null) yield content
  }

  /** True where it is because of what the disk cannot have that this step was refused. */
  take({ becomes, step, directory, path }: PlannedStep, { code, message }: Problem): boolean {
    if (code !== 'cannot-hold' || becomes === undefined) return false
    // Of what was to move it is the new name that cannot be.
    const refused = { problem: { code, path, message }, directory, content: step.do === 'put' ? step.content : null }
    for (const { id } of becomes.nodes) this.#refused.set(id, refused)
    return true
  }

  /** Is it to stay as it is? */
  has(node: NodeId): boolean {
    return this.#refused.has(node)
  }

  /** Is this directory, or one above it, one that cannot be made or moved to where it is to be? */
  isIn(directory: NodeId): boolean {
    if (this.#refused.size === 0) return false
    const seen = new Set<NodeId>()
    for (let at: NodeId | undefined = directory; at !== undefined && at !== ROOT_NODE && !seen.has(at); ) {
      if (this.has(at)) return true
      seen.add(at)
      at = this.#tree.entriesOf(at)[0]?.directory
    }
    return false
  }

  /** True where what is left to do in this directory may wait for what the disk cannot have. */
  parks(directory: NodeId): boolean {
    if (this.#refused.size === 0) return false
    const waits = this.#waits(directory)
    if (waits) this.#parked.add(directory)
    return waits
  }

  /** A directory that is not made yet may wait for its own name, or for that of one above it. */
  #waits(directory: NodeId): boolean {
    const places = this.#places()
    const seen = new Set<NodeId>()
    for (let at: NodeId | undefined = directory; at !== undefined && !seen.has(at); ) {
      if (places.has(at) || this.has(at)) return true
      if (at === ROOT_NODE || this.#rows.byNode(at).length > 0) return false
      seen.add(at)
      at = this.#tree.entriesOf(at)[0]?.directory
    }
    return false
  }

  /** The directories in which one of these was to be, or stands: it keeps a name from another. */
  #places(): Set<NodeId> {
    const places = new Set<NodeId>()
    for (const [node, { directory }] of this.#refused) {
      places.add(directory)
      for (const { parent } of this.#rows.byNode(node)) {
        if (parent === ROOT_ROW) places.add(ROOT_NODE)
        for (const { id } of this.#rows.get(parent)?.nodes ?? []) places.add(id)
      }
    }
    return places
  }

  /** These are others now, or were tried. Returns the directories that may go on. */
  forget(nodes: Iterable<NodeId>): readonly NodeId[] {
    let some = false
    if (this.#refused.size > 0) for (const node of nodes) some = this.#refused.delete(node) || some
    return some ? this.#takeParked() : []
  }

  /** All may be tried once more: what is still refused then is taken again. Returns the directories to be compared for that. */
  again(): readonly NodeId[] {
    const directories = [...[...this.#refused.values()].map(({ directory }) => directory), ...this.#takeParked()]
    this.#refused.clear()
    return directories
  }

  #takeParked(): NodeId[] {
    const parked = [...this.#parked]
    this.#parked.clear()
    return parked
  }

  /** Those that the shared tree still shows. */
  #shown(): Refused[] {
    return [...this.#refused].flatMap(([node, refused]) => (this.#tree.entriesOf(node).length > 0 ? [refused] : []))
  }
}
