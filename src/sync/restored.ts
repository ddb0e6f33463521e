// Nodes that a person brought back and that the disk does not show yet: what the cycle applies of them is noted as restored. Kept over a
// restart, and forgotten once the disk shows it all.
import type { NodeId } from '../core/ids.ts'
import { binary, bytesOf } from '../core/ids.ts'
import type { FolderBatch, FolderStore } from '../core/ports.ts'

const NODE_BYTES = 16
/** More than these are remembered until the process ends only. */
const MOST_STORED = 50_000

export class Restored {
  #nodes = new Set<NodeId>()

  async load(store: Pick<FolderStore, 'note'>): Promise<void> {
    const text = binary((await store.note('restored')) ?? new Uint8Array())
    this.#nodes = new Set()
    for (let at = 0; at + NODE_BYTES <= text.length; at += NODE_BYTES)
      this.#nodes.add(text.slice(at, at + NODE_BYTES) as NodeId)
  }

  has(node: NodeId): boolean {
    return this.#nodes.has(node)
  }

  get empty(): boolean {
    return this.#nodes.size === 0
  }

  /** To be stored with what brings them back. */
  add(nodes: Iterable<NodeId>): FolderBatch {
    for (const node of nodes) this.#nodes.add(node)
    return this.#note()
  }

  clear(): FolderBatch {
    this.#nodes.clear()
    return this.#note()
  }

  #note(): FolderBatch {
    const nodes = this.#nodes.size > MOST_STORED ? [] : [...this.#nodes]
    return { notes: [{ name: 'restored', bytes: bytesOf(nodes.join('')) }] }
  }
}
