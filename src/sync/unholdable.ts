// What the disk of this folder cannot have: a name, or a kind of entry. Trying again soon is of no use, so it stays as it is (not there, or
// at the name that it had), and with it all that waits for it; the folder rests, and says so. It is tried again when it changes, and with each
// full look.
import type { ContentId, NodeId, RowId } from '../core/ids.ts'
import { ROOT_NODE, ROOT_ROW } from '../core/ids.ts'
import type { Problem } from '../core/ports.ts'
import type { RowTable } from '../core/rows.ts'
import type { PlannedStep } from './plan.ts'
import type { TreeView } from './tree.ts'

type View = Pick<TreeView, 'entries' | 'entriesOf' | 'entryNamed'>

interface Refused {
  readonly problem: Problem
  /** In which it was to be. */
  readonly directory: NodeId
  /** Stays staged, or each further try would fetch it anew. */
  readonly content: ContentId | null
  /** It stood under another name. */
  readonly isMove: boolean
}

export class Unholdable {
  readonly #rows: RowTable
  readonly #tree: View
  readonly #refused = new Map<NodeId, Refused>()
  /** Directories in which something waits for one of these. */
  readonly #parked = new Set<NodeId>()

  constructor(rows: RowTable, tree: View) {
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
    const content = step.do === 'put' ? step.content : null
    const isMove = becomes.nodes.some(({ id }) => this.#rows.byNode(id).length > 0)
    const refused = { problem: { code, path, message }, directory, content, isMove }
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

  /** Says of a directory whether what is left to do in it may wait for what the disk cannot have, as rows and tree are now. */
  parking(): (directory: NodeId) => boolean {
    let staying: Staying | null = null
    return directory => {
      if (this.#refused.size === 0) return false
      staying ??= new Staying(this.#rows, this.#tree, this.#refused)
      const waits = staying.keeps(directory)
      if (waits) this.#parked.add(directory)
      return waits
    }
  }

  /** These are others now, or were tried. Returns the directories that may go on: these too, for what is in them was left out. */
  forget(nodes: Iterable<NodeId>): readonly NodeId[] {
    if (this.#refused.size === 0) return []
    const forgotten = [...nodes].filter(node => this.#refused.delete(node))
    return forgotten.length > 0 ? [...forgotten, ...this.#takeParked()] : []
  }

  /** A person put some of these there. Returns the directories that may go on. */
  come(): readonly NodeId[] {
    const come = [...this.#refused].filter(([node, { isMove }]) => !isMove && this.#rows.byNode(node).length > 0)
    return this.forget(come.map(([node]) => node))
  }

  /** All may be tried once more: what is still refused then is taken again. Returns the directories to be compared for that. */
  again(): readonly NodeId[] {
    const directories = [...this.#refused.values()].map(({ directory }) => directory)
    return [...directories, ...this.forget([...this.#refused.keys()])]
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

/**
 * What stays as it is for what the disk cannot have: that itself, what is to be below a directory that is not made or moved, a directory that
 * is to go and holds one of these, and whatever is to take the name of one of them, for that stays where it stands, too.
 */
class Staying {
  readonly #rows: RowTable
  readonly #tree: View
  readonly #nodes = new Set<NodeId>()
  /** In which one of them was to be, or keeps a name from another. */
  readonly #places = new Set<NodeId>()
  readonly #todo: NodeId[] = []

  constructor(rows: RowTable, tree: View, refused: ReadonlyMap<NodeId, Pick<Refused, 'directory'>>) {
    this.#rows = rows
    this.#tree = tree
    for (const [node, { directory }] of refused) {
      this.#places.add(directory)
      this.#stays(node)
    }
    for (let node = this.#todo.pop(); node !== undefined; node = this.#todo.pop()) this.#follow(node)
  }

  /** A directory that is not made yet may wait for its own name, or for that of one above it. */
  keeps(directory: NodeId): boolean {
    const seen = new Set<NodeId>()
    for (let at: NodeId | undefined = directory; at !== undefined && !seen.has(at); ) {
      if (this.#places.has(at) || this.#nodes.has(at)) return true
      if (at === ROOT_NODE || this.#rows.byNode(at).length > 0) return false
      seen.add(at)
      at = this.#tree.entriesOf(at)[0]?.directory
    }
    return false
  }

  #stays(node: NodeId): void {
    if (this.#nodes.has(node)) return
    this.#nodes.add(node)
    this.#todo.push(node)
  }

  #follow(node: NodeId): void {
    for (const entry of this.#tree.entries(node)) for (const below of entry.nodes) this.#stays(below)
    for (const row of this.#rows.byNode(node)) {
      const directory = this.#rows.get(row.parent)
      if (directory === undefined) continue
      const homes = row.parent === ROOT_ROW ? [ROOT_NODE] : directory.nodes.map(({ id }) => id)
      for (const home of homes) {
        this.#places.add(home)
        for (const other of this.#tree.entryNamed(home, row.name)?.nodes ?? []) this.#stays(other)
        // It is to go, or to become one with another, and cannot be emptied.
        if (home !== ROOT_NODE && !this.#isAlone(home, row.parent)) this.#stays(home)
      }
    }
  }

  #isAlone(directory: NodeId, row: RowId): boolean {
    const nodes = this.#tree.entriesOf(directory).flatMap(entry => entry.nodes)
    return nodes.length > 0 && nodes.every(node => this.#rows.byNode(node).every(({ id }) => id === row))
  }
}
