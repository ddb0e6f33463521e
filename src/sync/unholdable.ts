// What the disk of this folder cannot have: a name, a kind of entry, or what is in a directory of such a name. Trying again soon is of no use,
// so the folder rests without it and says so; it is tried again when it changes, and with each full look.
import type { ContentId, NodeId } from '../core/ids.ts'
import { ROOT_NODE } from '../core/ids.ts'
import type { Problem } from '../core/ports.ts'
import type { PlannedStep } from './plan.ts'
import type { TreeView } from './tree.ts'

interface Refused {
  readonly problem: Problem
  /** Stays staged, or each further try would fetch it anew. */
  readonly content: ContentId | null
}

export class Unholdable {
  readonly #tree: () => Pick<TreeView, 'entriesOf'>
  readonly #refused = new Map<NodeId, Refused>()
  /** Directories with something of these. */
  readonly #directories = new Set<NodeId>()

  constructor(tree: () => Pick<TreeView, 'entriesOf'>) {
    this.#tree = tree
  }

  /** How many entries; what is in directories among them is not counted. */
  get size(): number {
    return this.#refused.size
  }

  /** True where it is because of what the disk cannot have that this step was refused. */
  take({ becomes, step, directory, path }: PlannedStep, { code, message }: Problem): boolean {
    if (code !== 'cannot-hold' || becomes === undefined) return this.waits(directory)
    this.#directories.add(directory)
    const content = step.do === 'put' ? step.content : null
    // Of what was to move it is the new name that cannot be.
    for (const { id } of becomes.nodes) this.#refused.set(id, { problem: { code, path, message }, content })
    return true
  }

  /** It is another one now, or is tried again. */
  forget(nodes: Iterable<NodeId>): void {
    if (this.#refused.size > 0) for (const node of nodes) this.#refused.delete(node)
  }

  /** True where this directory, or one above it, is among them: what is in it waits as long. */
  waits(directory: NodeId): boolean {
    if (!this.#isIn(directory)) return false
    this.#directories.add(directory)
    return true
  }

  /** The directories to be compared again. */
  again(): readonly NodeId[] {
    const all = [...this.#directories]
    this.#directories.clear()
    return all
  }

  #isIn(directory: NodeId): boolean {
    if (this.#refused.size === 0) return false
    const seen = new Set<NodeId>()
    for (let at: NodeId | undefined = directory; at !== undefined && at !== ROOT_NODE && !seen.has(at); ) {
      if (this.#refused.has(at)) return true
      seen.add(at)
      at = this.#tree().entriesOf(at)[0]?.directory
    }
    return false
  }

  *contents(): Iterable<ContentId> {
    for (const { content } of this.#refused.values()) if (content !== null) yield content
  }

  problems(): Problem[] {
    // What nobody shows any more is no problem.
    for (const node of [...this.#refused.keys()])
      if (this.#tree().entriesOf(node).length === 0) this.#refused.delete(node)
    return [...this.#refused.values()].map(({ problem }) => problem)
  }
}
