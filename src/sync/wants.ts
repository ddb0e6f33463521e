// The contents that the disk lacks, and the nodes that wait for each, in the directories that show them: what the plans said last, and no
// more. It costs what a plan is about, however much is wanted in all.
import type { ContentId, NodeId } from '../core/ids.ts'
import { ROOT_NODE } from '../core/ids.ts'
import type { Want } from './plan.ts'
import type { TreeView } from './tree.ts'

export class Wants {
  readonly #wants = new Map<ContentId, Want>()
  readonly #waiting = new Map<ContentId, Set<NodeId>>()
  /** Node → content → the directory that shows it so. */
  readonly #contents = new Map<NodeId, Map<ContentId, NodeId>>()
  readonly #nodes = new Map<NodeId, Set<NodeId>>()
  #bytes = 0

  get all(): ReadonlyMap<ContentId, Want> {
    return this.#wants
  }

  /** The sizes of all contents. */
  get bytes(): number {
    return this.#bytes
  }

  /** Which nodes wait for a content. */
  waitingFor(content: ContentId): Iterable<NodeId> {
    return this.#waiting.get(content) ?? []
  }

  /** What these directories, and these nodes, want now instead of what they wanted. True: some of it was wanted by none. */
  replace(directories: Iterable<NodeId>, nodes: Iterable<NodeId>, wants: readonly Want[]): boolean {
    const before = new Set<ContentId>()
    const forget = (node: NodeId, directory: NodeId | null): void => {
      for (const content of this.#forget(node, directory)) before.add(content)
    }
    for (const directory of directories)
      for (const node of [...(this.#nodes.get(directory) ?? [])]) forget(node, directory)
    for (const node of nodes) forget(node, null)
    let news = false
    for (const want of wants) {
      news ||= !this.#wants.has(want.content) && !before.has(want.content)
      this.#add(want)
    }
    return news
  }

  /** Directories that became part of another one, or went, wait for nothing any more. Returns those that they are part of now. */
  forgetMerged(tree: Pick<TreeView, 'primaryOf'>): readonly NodeId[] {
    const now: NodeId[] = []
    for (const [directory, nodes] of [...this.#nodes]) {
      const primary = directory === ROOT_NODE ? directory : tree.primaryOf(directory)
      if (primary === directory) continue
      for (const node of [...nodes]) this.#forget(node, directory)
      if (primary !== undefined) now.push(primary)
    }
    return now
  }

  #add(want: Want): void {
    const { content, directory, node } = want
    this.#bytes += want.size - (this.#wants.get(content)?.size ?? 0)
    this.#wants.set(content, want)
    const contents = this.#contents.get(node) ?? new Map<ContentId, NodeId>()
    this.#contents.set(node, contents.set(content, directory))
    addTo(this.#waiting, content, node)
    addTo(this.#nodes, directory, node)
  }

  /** What the node wants in that directory, or anywhere. */
  #forget(node: NodeId, directory: NodeId | null): ContentId[] {
    const contents = this.#contents.get(node)
    const forgotten: ContentId[] = []
    for (const [content, shownIn] of contents ?? []) {
      if (directory !== null && shownIn !== directory) continue
      forgotten.push(content)
      contents?.delete(content)
      deleteFrom(this.#nodes, shownIn, node)
      if (!deleteFrom(this.#waiting, content, node)) continue
      this.#bytes -= this.#wants.get(content)?.size ?? 0
      this.#wants.delete(content)
    }
    if (contents?.size === 0) this.#contents.delete(node)
    // It may want all that in another one by now.
    if (directory !== null) deleteFrom(this.#nodes, directory, node)
    return forgotten
  }
}

function addTo<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key)
  if (set === undefined) sets.set(key, new Set([value]))
  else set.add(value)
}

/** True: that was the last. */
function deleteFrom<K, V>(sets: Map<K, Set<V>>, key: K, value: V): boolean {
  const set = sets.get(key)
  set?.delete(value)
  if (set === undefined || set.size > 0) return false
  sets.delete(key)
  return true
}
