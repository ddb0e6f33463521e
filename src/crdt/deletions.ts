// Who deleted which node, from the records that say so. They are kept for devices that have not heard of the deletion yet, not for ever:
// those of one document are bounded in age and number, and who writes one drops what is too old or too much.
import type { ActorId, DocId, NodeId } from '../core/ids.ts'
import { type Deletion, deletedId } from './record.ts'
import type { Held } from './record-set.ts'

const KEPT_MS = 90 * 24 * 3_600_000
/** Nodes named by one document's deletions. */
const KEPT_NODES = 20_000

interface Said {
  readonly held: Held
  readonly deletion: Deletion
}

export class Deletions {
  readonly #byNode = new Map<string, readonly Said[]>()
  readonly #byDoc = new Map<DocId, readonly Said[]>()

  add(held: Held, deletion: Deletion): void {
    const said = { held, deletion }
    for (const id of deletion.nodes) this.#byNode.set(id, [...(this.#byNode.get(id) ?? []), said])
    this.#byDoc.set(deletion.doc, [...(this.#byDoc.get(deletion.doc) ?? []), said])
  }

  remove(held: Held, deletion: Deletion): void {
    const others = (all: readonly Said[] = []): Said[] => all.filter(said => !isSame(said, held, deletion))
    for (const id of deletion.nodes) {
      const rest = others(this.#byNode.get(id))
      if (rest.length > 0) this.#byNode.set(id, rest)
      else this.#byNode.delete(id)
    }
    this.#byDoc.set(deletion.doc, others(this.#byDoc.get(deletion.doc)))
  }

  /** Who deleted it last. */
  actorOf(id: NodeId): ActorId | undefined {
    const [last] = [...(this.#byNode.get(deletedId(id)) ?? [])].sort(newestFirst)
    return last?.held.client as ActorId | undefined
  }

  /** What a document says that is to go now. */
  expired(doc: DocId, now: number): readonly Said[] {
    let nodes = 0
    return [...(this.#byDoc.get(doc) ?? [])].sort(newestFirst).filter(({ deletion }) => {
      nodes += deletion.nodes.length
      return nodes > KEPT_NODES || now - deletion.time > KEPT_MS
    })
  }
}

function newestFirst(a: Said, b: Said): number {
  return b.deletion.time - a.deletion.time || b.held.client - a.held.client
}

/** Handles are unique within one document only. */
function isSame(said: Said, held: Held, { doc }: Deletion): boolean {
  return said.held.client === held.client && said.held.clock === held.clock && said.deletion.doc === doc
}
