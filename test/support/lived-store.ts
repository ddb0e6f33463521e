// A store as one process of a simulated device sees it: every wait passes through the process's life, so a commit can be cut off
// before it happened, or after it happened and before it was heard of. What it wraps outlives the process.
import type { ContentList } from '../../src/core/content.ts'
import type { ActorId, ContentId, DocId, FolderId, Hash, NodeId } from '../../src/core/ids.ts'
import type { JournalEntry } from '../../src/core/past.ts'
import type { DocUpdate, FolderBatch, FolderMeta, FolderStore, Intent, NoteName } from '../../src/core/ports.ts'
import type { RowTable } from '../../src/core/rows.ts'
import type { Pause } from './process-life.ts'

export class LivedStore implements FolderStore {
  readonly folder: FolderId
  readonly #inner: FolderStore
  readonly #pause: Pause
  /** Set: the next commits fail with it, and store nothing. */
  failure: Error | null = null

  constructor(inner: FolderStore, pause: Pause) {
    this.folder = inner.folder
    this.#inner = inner
    this.#pause = pause
  }

  async meta(): Promise<FolderMeta | null> {
    await this.#pause('store meta')
    return this.#inner.meta()
  }

  async *loadDocs(): AsyncIterable<DocUpdate> {
    await this.#pause('store load docs')
    yield* this.#inner.loadDocs()
  }

  async loadDoc(doc: DocId): Promise<readonly Uint8Array[]> {
    await this.#pause('store load doc')
    return this.#inner.loadDoc(doc)
  }

  logBytes(doc: DocId): number {
    return this.#inner.logBytes(doc)
  }

  async loadRows(): Promise<RowTable> {
    await this.#pause('store load rows')
    return this.#inner.loadRows()
  }

  async commit(batch: FolderBatch): Promise<void> {
    await this.#pause('store commit')
    if (this.failure !== null) throw this.failure
    await this.#inner.commit(batch)
    await this.#pause('store committed')
  }

  async intend(intents: readonly Intent[]): Promise<void> {
    await this.#pause('store intend')
    await this.#inner.intend(intents)
    await this.#pause('store intended')
  }

  async intents(): Promise<readonly Intent[]> {
    await this.#pause('store intents')
    return this.#inner.intents()
  }

  async list(content: ContentId): Promise<ContentList | null> {
    await this.#pause('store list')
    return this.#inner.list(content)
  }

  async segment(hash: Hash): Promise<Uint8Array | null> {
    await this.#pause('store segment')
    return this.#inner.segment(hash)
  }

  chunk(hash: Hash): { content: ContentId; offset: number; length: number } | null {
    return this.#inner.chunk(hash)
  }

  async base(content: ContentId): Promise<Uint8Array | null> {
    await this.#pause('store base')
    return this.#inner.base(content)
  }

  contentOfDot(node: NodeId, actor: ActorId, seq: number): ContentId | null {
    return this.#inner.contentOfDot(node, actor, seq)
  }

  get journalLength(): number {
    return this.#inner.journalLength
  }

  async *journal(filter: { node?: NodeId; since?: number }): AsyncIterable<JournalEntry> {
    await this.#pause('store journal')
    yield* this.#inner.journal(filter)
  }

  async note(name: NoteName): Promise<Uint8Array | undefined> {
    await this.#pause('store note')
    return this.#inner.note(name)
  }

  async sweep(wanted: ReadonlySet<ContentId>): Promise<void> {
    await this.#pause('store sweep')
    await this.#inner.sweep(wanted)
  }

  async erase(): Promise<void> {
    await this.#pause('store erase')
    await this.#inner.erase()
  }
}
