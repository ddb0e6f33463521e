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

/** Adding is cheap however many there are: a folder loads all of them at its start. */
export class Deletions {
  readonly #byNode = new Map<string, Said[]>()
  readonly #byDoc = new Map<DocId, Map<string, Said>>()

  add(held: Held, deletion: Deletion): void {
    const said = { held, deletion }
    for (const id of deletion.nodes) {
      const known = this.#byNode.get(id)
      if (known === undefined) this.#byNode.set(id, [said])
      else known.push(said)
    }
    const ofDoc = this.#byDoc.get(deletion.doc) ?? new Map<string, Said>()
    this.#byDoc.set(deletion.doc, ofDoc.set(handleOf(held), said))
  }

  remove(held: Held, deletion: Deletion): void {
    for (const id of deletion.nodes) {
      const rest = this.#byNode.get(id)?.filter(said => !isSame(said, held, deletion)) ?? []
      if (rest.length > 0) this.#byNode.set(id, rest)
      else this.#byNode.delete(id)
    }
    this.#byDoc.get(deletion.doc)?.delete(handleOf(held))
  }

  /** Who deleted it last. */
  actorOf(id: NodeId): ActorId | undefined {
    let last: Said | undefined
    for (const said of this.#byNode.get(deletedId(id)) ?? [])
      if (last === undefined || newestFirst(said, last) < 0) last = said
    return last?.held.client as ActorId | undefined
  }

  /** What a document says that is to go now. */
  expired(doc: DocId, now: number): readonly Said[] {
    let nodes = 0
    return [...(this.#byDoc.get(doc)?.values() ?? [])].sort(newestFirst).filter(({ deletion }) => {
      nodes += deletion.nodes.length
      return nodes > KEPT_NODES || now - deletion.time > KEPT_MS
    })
  }
}

function newestFirst(a: Said, b: Said): number {
  return b.deletion.time - a.deletion.time || b.held.client - a.held.client
}

/** Unique within one document only. */
function handleOf({ client, clock }: Held): string {
  return `${client}/${clock}`
}

function isSame(said: Said, held: Held, { doc }: Deletion): boolean {
  return handleOf(said.held) === handleOf(held) && said.deletion.doc === doc
}
