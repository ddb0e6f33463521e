// A FolderStore in memory, for simulations: a commit is all or nothing, and what was committed outlives `crash()`. Passes the contract
// suite of the real one. Bytes are copied on the way in and out, so that nobody can change what is stored.
import type { ContentList } from '../../src/core/content.ts'
import { isSingle, singleContent, singleHash } from '../../src/core/content.ts'
import type { KithError } from '../../src/core/errors.ts'
import { KithError as Failure } from '../../src/core/errors.ts'
import type { ActorId, ContentId, DocId, FolderId, Hash, NodeId, RowId } from '../../src/core/ids.ts'
import { ROOT_ROW } from '../../src/core/ids.ts'
import type { JournalEntry } from '../../src/core/past.ts'
import type {
  DocUpdate,
  FolderBatch,
  FolderMeta,
  FolderStore,
  Intent,
  JournalFilter,
  NoteName,
} from '../../src/core/ports.ts'
import type { Row } from '../../src/core/rows.ts'
import { RowTable } from '../../src/core/rows.ts'

interface Doc {
  readonly updates: Uint8Array[]
  logBytes: number
}

interface Place {
  readonly content: ContentId
  readonly offset: number
  readonly length: number
}

class Stored {
  meta: FolderMeta | null = null
  lastRow: number = ROOT_ROW
  docs = new Map<DocId, Doc>()
  rows = new Map<RowId, Row>()
  lists = new Map<ContentId, ContentList>()
  segments = new Map<Hash, Uint8Array>()
  chunks = new Map<Hash, Place>()
  bases = new Map<ContentId, Uint8Array>()
  dots = new Map<string, ContentId>()
  journal: JournalEntry[] = []
  notes = new Map<NoteName, Uint8Array>()
  intents: readonly Intent[] = []

  /** What is stored is never changed in place, but for the logs. */
  copy(): Stored {
    const out = new Stored()
    out.meta = this.meta
    out.lastRow = this.lastRow
    for (const [id, { updates, logBytes }] of this.docs) out.docs.set(id, { updates: [...updates], logBytes })
    out.rows = new Map(this.rows)
    out.lists = new Map(this.lists)
    out.segments = new Map(this.segments)
    out.chunks = new Map(this.chunks)
    out.bases = new Map(this.bases)
    out.dots = new Map(this.dots)
    out.journal = [...this.journal]
    out.notes = new Map(this.notes)
    out.intents = this.intents
    return out
  }
}

export class MemoryStore implements FolderStore {
  readonly folder: FolderId
  #stored: Stored
  #failure: KithError | null = null
  #crashed = false

  constructor(folder: FolderId, stored: Stored = new Stored()) {
    this.folder = folder
    this.#stored = stored
  }

  /** The next commit rejects with this; nothing of it is stored. */
  failNextCommit(error: KithError): void {
    this.#failure = error
  }

  /** The process ends here: this store answers no more, commits under way are lost. Returns what the next process finds. */
  crash(): MemoryStore {
    this.#crashed = true
    return new MemoryStore(this.folder, this.#stored)
  }

  /** As a backup would have it. */
  copy(): MemoryStore {
    return new MemoryStore(this.folder, this.#stored.copy())
  }

  async meta(): Promise<FolderMeta | null> {
    this.#alive()
    return this.#stored.meta
  }

  async *loadDocs(): AsyncIterable<DocUpdate> {
    this.#alive()
    for (const doc of [...this.#stored.docs.keys()].sort((a, b) => a - b)) {
      for (const update of await this.loadDoc(doc)) yield { doc, update }
    }
  }

  async loadDoc(doc: DocId): Promise<readonly Uint8Array[]> {
    this.#alive()
    return (this.#stored.docs.get(doc)?.updates ?? []).map(copy)
  }

  logBytes(doc: DocId): number {
    return this.#stored.docs.get(doc)?.logBytes ?? 0
  }

  async loadRows(): Promise<RowTable> {
    this.#alive()
    const table = new RowTable()
    for (const row of this.#stored.rows.values()) table.load(row)
    table.reserve(this.#stored.lastRow as RowId)
    return table
  }

  async commit(batch: FolderBatch): Promise<void> {
    await Promise.resolve()
    this.#alive()
    const failure = this.#failure
    this.#failure = null
    if (failure !== null) throw failure
    this.#writeDocs(batch)
    this.#writeRows(batch)
    for (const list of batch.lists ?? []) this.#writeList(list)
    for (const { content, bytes } of batch.bases ?? []) this.#stored.bases.set(content, copy(bytes))
    for (const { node, actor, seq, content } of batch.dots ?? []) {
      this.#stored.dots.set(dotKey(node, actor, seq), content)
    }
    for (const entry of batch.journal ?? []) this.#stored.journal.push({ ...entry })
    for (const { name, bytes } of batch.notes ?? []) this.#stored.notes.set(name, copy(bytes))
    if (batch.intents !== undefined) this.#stored.intents = structuredClone(batch.intents)
    if (batch.meta !== undefined) this.#stored.meta = structuredClone(batch.meta)
  }

  async list(content: ContentId): Promise<ContentList | null> {
    this.#alive()
    const list = this.#stored.lists.get(content)
    if (list !== undefined) return list
    const chunk = isSingle(content) ? this.#stored.chunks.get(singleHash(content)) : undefined
    if (chunk === undefined) return null
    const chunks = [{ hash: singleHash(content), length: chunk.length }]
    return { content, size: chunk.length, top: new Uint8Array(0), segments: new Map(), chunks }
  }

  async segment(hash: Hash): Promise<Uint8Array | null> {
    this.#alive()
    const bytes = this.#stored.segments.get(hash)
    return bytes === undefined ? null : copy(bytes)
  }

  chunk(hash: Hash): Place | null {
    this.#alive()
    return this.#stored.chunks.get(hash) ?? null
  }

  async base(content: ContentId): Promise<Uint8Array | null> {
    this.#alive()
    const bytes = this.#stored.bases.get(content)
    return bytes === undefined ? null : copy(bytes)
  }

  /** Whose bytes are kept for merges; for whoever judges what is still to be had. */
  bases(): Iterable<ContentId> {
    return this.#stored.bases.keys()
  }

  /** As if the room for them had run out. */
  forgetBases(): void {
    this.#stored.bases.clear()
  }

  contentOfDot(node: NodeId, actor: ActorId, seq: number): ContentId | null {
    this.#alive()
    return this.#stored.dots.get(dotKey(node, actor, seq)) ?? null
  }

  async *journal(filter: JournalFilter): AsyncIterable<JournalEntry> {
    this.#alive()
    const { node, since = Number.NEGATIVE_INFINITY, now = Number.POSITIVE_INFINITY } = filter
    let latest = Number.NEGATIVE_INFINITY
    const all = this.#stored.journal.map(entry => {
      latest = Math.max(latest, entry.time)
      return { entry, latest }
    })
    for (const { entry, latest: until } of all.reverse()) {
      if (until < since || (until > now && entry.time < since)) return
      if (node === undefined || entry.node === node) yield entry
    }
  }

  get journalLength(): number {
    return this.#stored.journal.length
  }

  async intend(intents: readonly Intent[]): Promise<void> {
    await Promise.resolve()
    this.#alive()
    this.#stored.intents = structuredClone(intents)
  }

  async intents(): Promise<readonly Intent[]> {
    this.#alive()
    return this.#stored.intents
  }

  async note(name: NoteName): Promise<Uint8Array | undefined> {
    this.#alive()
    const bytes = this.#stored.notes.get(name)
    return bytes && copy(bytes)
  }

  async sweep(wanted: ReadonlySet<ContentId>): Promise<void> {
    this.#alive()
    const { lists, chunks } = this.#stored
    for (const content of lists.keys()) if (!wanted.has(content)) lists.delete(content)
    for (const [hash, { content }] of chunks) if (!wanted.has(content)) chunks.delete(hash)
  }

  async erase(): Promise<void> {
    this.#alive()
    this.#stored = new Stored()
  }

  #writeDocs({ snapshots = [], updates = [] }: FolderBatch): void {
    for (const { doc, update } of snapshots) this.#stored.docs.set(doc, { updates: [copy(update)], logBytes: 0 })
    for (const { doc, update } of updates) {
      const known = this.#stored.docs.get(doc) ?? { updates: [], logBytes: 0 }
      known.updates.push(copy(update))
      known.logBytes += update.length
      this.#stored.docs.set(doc, known)
    }
  }

  #writeRows({ rows }: FolderBatch): void {
    if (rows === undefined) return
    for (const id of rows.deleted) this.#stored.rows.delete(id)
    for (const row of rows.put) this.#stored.rows.set(row.id, row)
    for (const id of [...rows.deleted, ...rows.put.map(row => row.id)]) {
      this.#stored.lastRow = Math.max(this.#stored.lastRow, id)
    }
  }

  #writeList(list: ContentList): void {
    const { content } = list
    if (isSingle(content)) {
      const hash = singleHash(content)
      this.#stored.chunks.set(hash, { content: singleContent(hash), offset: 0, length: list.size })
      return
    }
    this.#stored.lists.set(content, list)
    for (const [hash, bytes] of list.segments) this.#stored.segments.set(hash, copy(bytes))
    let offset = 0
    for (const { hash, length } of list.chunks) {
      if (!this.#stored.chunks.has(hash)) this.#stored.chunks.set(hash, { content, offset, length })
      offset += length
    }
  }

  #alive(): void {
    if (this.#crashed) throw new Failure('stopped', 'The process of this store has crashed.')
  }
}

function copy(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}

function dotKey(node: NodeId, actor: ActorId, seq: number): string {
  return `${node}/${actor}/${seq}`
}
