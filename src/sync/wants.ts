// The contents that the disk lacks, and which directories wait for each: what the plans said last, and no more. It costs what a plan is
// about, however much is wanted in all.
import type { ContentId, NodeId } from '../core/ids.ts'
import { ROOT_NODE } from '../core/ids.ts'
import type { Want } from './plan.ts'
import type { TreeView } from './tree.ts'

export class Wants {
  readonly #wants = new Map<ContentId, Want>()
  readonly #waiting = new Map<ContentId, Set<NodeId>>()
  readonly #contents = new Map<NodeId, Set<ContentId>>()
  #bytes = 0

  get all(): ReadonlyMap<ContentId, Want> {
    return this.#wants
  }

  /** The sizes of all contents. */
  get bytes(): number {
    return this.#bytes
  }

  /** Which directories wait for a content. */
  waitingFor(content: ContentId): Iterable<NodeId> {
    return this.#waiting.get(content) ?? []
  }

  /** What these directories want now, instead of what they wanted. True: some of it was wanted by none. */
  replace(directories: Iterable<NodeId>, wants: readonly Want[]): boolean {
    const before = new Set<ContentId>()
    for (const directory of directories) {
      for (const content of this.#contents.get(directory) ?? []) before.add(content)
      this.#forget(directory)
    }
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
    for (const directory of [...this.#contents.keys()]) {
      const primary = directory === ROOT_NODE ? directory : tree.primaryOf(directory)
      if (primary === directory) continue
      this.#forget(directory)
      if (primary !== undefined) now.push(primary)
    }
    return now
  }

  #add(want: Want): void {
    const { content, directory } = want
    this.#bytes += want.size - (this.#wants.get(content)?.size ?? 0)
    this.#wants.set(content, want)
    addTo(this.#waiting, content, directory)
    addTo(this.#contents, directory, content)
  }

  #forget(directory: NodeId): void {
    for (const content of this.#contents.get(directory) ?? []) {
      const waiting = this.#waiting.get(content)
      waiting?.delete(directory)
      if (waiting === undefined || waiting.size > 0) continue
      this.#waiting.delete(content)
      this.#bytes -= this.#wants.get(content)?.size ?? 0
      this.#wants.delete(content)
    }
    this.#contents.delete(directory)
  }
}

function addTo<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key)
  if (set === undefined) sets.set(key, new Set([value]))
  else set.add(value)
}
