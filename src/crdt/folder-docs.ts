// The 257 documents of a folder: made when first needed, written through record sets, compared by digests. Knows which record
// belongs in which document, and nothing of what records mean.
import { hash } from 'node:crypto'
import type { Node } from '../core/entry.ts'
import type { ActorId, DocId } from '../core/ids.ts'
import { DIRECTORIES_DOC, DOC_COUNT } from '../core/ids.ts'
import type { DocUpdate } from '../core/ports.ts'
import { documentOf } from './node-index.ts'
import { type Held, RecordSet, type SetChanges } from './record-set.ts'

/** Yjs for "nothing": no structs, no deletions. */
const EMPTY_UPDATE = new Uint8Array([0, 0])
const EMPTY_STATE = new Uint8Array([0])

export class FolderDocs {
  readonly #sets: (RecordSet | undefined)[] = new Array<RecordSet | undefined>(DOC_COUNT)
  readonly #written = new Set<DocId>()
  #actor: ActorId | null = null
  /** Of all documents; null after a change. */
  #digest: string | null = null

  /** From now on this actor writes. After loading. */
  setActor(actor: ActorId): void {
    this.#actor = actor
    for (const set of this.#sets) set?.setClient(actor)
  }

  apply(doc: DocId, update: Uint8Array): SetChanges {
    this.#digest = null
    return this.#open(doc).apply(update)
  }

  state(doc: DocId, client: number): number {
    return this.#sets[doc]?.state(client) ?? 0
  }

  add(node: Pick<Node, 'kind' | 'birth'>, record: string): Held {
    return this.addTo(documentOf(node, DIRECTORIES_DOC), record)
  }

  addTo(doc: DocId, record: string): Held {
    this.#digest = null
    this.#written.add(doc)
    return this.#open(doc).add(record)
  }

  remove(node: Pick<Node, 'kind' | 'birth'>, held: Held): void {
    this.removeFrom(documentOf(node, DIRECTORIES_DOC), held)
  }

  removeFrom(doc: DocId, held: Held): void {
    this.#digest = null
    this.#written.add(doc)
    this.#open(doc).remove(held)
  }

  /** Directories first: what is in them must find them. */
  takeUpdates(): DocUpdate[] {
    const docs = [...this.#written].sort((a, b) => b - a)
    this.#written.clear()
    return docs.flatMap(doc =>
      this.#open(doc)
        .takeUpdates()
        .map(update => ({ doc, update })),
    )
  }

  /** Something was written there that `takeUpdates` has not handed out. */
  isWritten(doc: DocId): boolean {
    return this.#written.has(doc)
  }

  stateVector(doc: DocId): Uint8Array {
    return this.#sets[doc]?.stateVector() ?? EMPTY_STATE
  }

  missing(doc: DocId, stateVector: Uint8Array): Uint8Array {
    return this.#sets[doc]?.missing(stateVector) ?? EMPTY_UPDATE
  }

  snapshot(doc: DocId): Uint8Array {
    return this.#sets[doc]?.snapshot() ?? EMPTY_UPDATE
  }

  digests(): Map<DocId, Uint8Array> {
    const out = new Map<DocId, Uint8Array>()
    this.#sets.forEach((set, doc) => {
      if (set !== undefined && !set.empty) out.set(doc as DocId, set.digest())
    })
    return out
  }

  digest(): string {
    if (this.#digest !== null) return this.#digest
    const parts: Uint8Array[] = []
    for (const [doc, digest] of this.digests()) parts.push(Uint8Array.of(doc >> 8, doc & 255), digest)
    this.#digest = hash('sha256', Buffer.concat(parts), 'hex')
    return this.#digest
  }

  #open(doc: DocId): RecordSet {
    const there = this.#sets[doc]
    if (there !== undefined) return there
    const set = new RecordSet()
    if (this.#actor !== null) set.setClient(this.#actor)
    this.#sets[doc] = set
    return set
  }
}
