// What Kith remembers of one folder: documents, rows, lists, bases, journal, notes, meta. A commit is one atomic, synced batch over all of them
// and its sums; reads check what they read. Commits run one after another. Owns no policy: what is stored, when, is the engine's.
import type { ContentList } from '../core/content.ts'
import type { ActorId, ContentId, DocId, FolderId, Hash, NodeId, RowId } from '../core/ids.ts'
import { ROOT_ROW } from '../core/ids.ts'
import type { JournalEntry } from '../core/past.ts'
import type { DocUpdate, FolderBatch, FolderMeta, FolderStore, Intent, JournalFilter, NoteName } from '../core/ports.ts'
import type { RowChanges } from '../core/rows.ts'
import { RowTable } from '../core/rows.ts'
import { Bases } from './bases.ts'
import { damaged, uintBytes, uintOf } from './codec.ts'
import { ContentIndex } from './content-index.ts'
import type { Batch, Engine, Pair, Witness } from './engine.ts'
import { decodeMeta, decodeSeal, encodeMeta, encodeSeal, FIRST_SEAL, type FolderSeal } from './folder-seal.ts'
import { Journal } from './journal.ts'
import { RowCodec, RowSums } from './synced-rows.ts'
import { TABLES, Table, type TableName } from './tables.ts'
import { type HeadChanges, UpdateLog } from './update-log.ts'

const ROW_ID_BYTES = 6
const SEAL_KEY = 'seal'
const META_KEY = 'meta'
const INTENTS_KEY = 'intents'
const NOTE_KEY = 'note '
/** Bases take at most this part of the free space. */
const BASES_FREE_PART = 0.05

export interface FolderStoreOptions {
  readonly baseLimitBytes: number
}

/** What else the database does when a folder comes and goes; both within the commit. */
export interface Registry {
  add(batch: Batch, folder: FolderId): void
  /** After this is stored, nothing of the folder is seen any more. */
  retire(batch: Batch, folder: FolderId): Pair
  remove(batch: Batch, folder: FolderId): Witness
  has(folder: FolderId): boolean
  /** The commit that added or retired it is stored. */
  changed(folder: FolderId, there: boolean): void
}

export class LevelFolderStore implements FolderStore {
  readonly folder: FolderId
  readonly #engine: Engine
  readonly #registry: Registry
  readonly #options: FolderStoreOptions
  readonly #folder: Table
  readonly #rows: Table
  readonly #log: UpdateLog
  readonly #index: ContentIndex
  readonly #bases: Bases
  readonly #journal: Journal
  readonly #codec = new RowCodec()
  readonly #sums = new RowSums()
  #seal: FolderSeal = FIRST_SEAL
  #metaSum = 0
  #sumsLoaded = false
  /** Erased, but not all of it is gone yet. */
  #retired = false
  /** The engine's generation that all of this was read in; −1 before. */
  #generation = -1

  constructor(deps: { engine: Engine; registry: Registry; folder: FolderId }, options: FolderStoreOptions) {
    const { engine, registry, folder } = deps
    const table = (name: TableName): Table => new Table(engine, name, folder)
    this.folder = folder
    this.#engine = engine
    this.#registry = registry
    this.#options = options
    this.#folder = table('folder')
    this.#rows = table('rows')
    this.#log = new UpdateLog({ docs: table('docs'), heads: table('heads') })
    this.#index = new ContentIndex(engine, {
      lists: table('lists'),
      segments: table('segments'),
      places: table('places'),
      chunks: table('chunks'),
    })
    this.#bases = new Bases({ bases: table('bases'), baseFacts: table('baseFacts'), dots: table('dots') })
    this.#journal = new Journal({ journal: table('journal'), nodeJournal: table('nodeJournal') })
  }

  /** Reads what commits build on, once and after every reopening. Only within `exclusive`, so that no commit passes it. */
  async load(): Promise<void> {
    if (this.#retired) return this.finishErasing()
    const generation = this.#engine.generation
    if (generation === this.#generation) return
    const stored = await this.#folder.find(SEAL_KEY)
    if (stored === undefined && this.#registry.has(this.folder)) throw damaged('folder seal', 'it is missing')
    const seal = stored === undefined ? FIRST_SEAL : decodeSeal(stored.payload)
    await this.#log.load()
    if (this.#log.sum() !== seal.headSum) throw damaged('heads', 'a stored commit is missing')
    const metaSum = (await this.#folder.find(META_KEY))?.checksum ?? 0
    if (metaSum !== seal.metaSum) throw damaged('folder meta', 'a stored commit is missing')
    this.#seal = seal
    this.#metaSum = metaSum
    this.#sumsLoaded = false
    this.#generation = generation
  }

  async meta(): Promise<FolderMeta | null> {
    await this.#ready()
    const stored = await this.#folder.find(META_KEY)
    return stored === undefined ? null : decodeMeta(stored.payload)
  }

  async *loadDocs(): AsyncIterable<DocUpdate> {
    await this.#ready()
    for (const doc of this.#log.docs()) {
      for (const update of await this.loadDoc(doc)) yield { doc, update }
    }
  }

  /** Between two commits: a document is read as it was after one of them. */
  loadDoc(doc: DocId): Promise<readonly Uint8Array[]> {
    return this.#engine.exclusive(async () => {
      await this.load()
      return this.#log.loadDoc(doc)
    })
  }

  logBytes(doc: DocId): number {
    return this.#log.logBytes(doc)
  }

  loadRows(): Promise<RowTable> {
    return this.#engine.exclusive(async () => {
      await this.load()
      const table = new RowTable()
      await this.#readRows((id, payload) => table.load(this.#codec.decode(id, payload)))
      this.#codec.forget()
      table.reserve(Math.max(this.#seal.lastRow, ROOT_ROW) as RowId)
      return table
    })
  }

  commit(batch: FolderBatch): Promise<void> {
    return this.#engine.exclusive(async () => {
      await this.load()
      if (batch.rows !== undefined && !this.#sumsLoaded) await this.#readRows(() => undefined)
      await this.#index.writeAhead(batch.lists ?? [])
      await this.#store(batch)
    })
  }

  async list(content: ContentId): Promise<ContentList | null> {
    return this.#index.list(content)
  }

  async segment(hash: Hash): Promise<Uint8Array | null> {
    return this.#index.segment(hash)
  }

  chunk(hash: Hash): { content: ContentId; offset: number; length: number } | null {
    return this.#index.chunk(hash)
  }

  async base(content: ContentId): Promise<Uint8Array | null> {
    return this.#bases.get(content)
  }

  contentOfDot(node: NodeId, actor: ActorId, seq: number): ContentId | null {
    return this.#bases.contentOfDot(node, actor, seq)
  }

  get journalLength(): number {
    return this.#seal.journal.next
  }

  journal(filter: JournalFilter): AsyncIterable<JournalEntry> {
    return this.#journal.read(filter)
  }

  intend(intents: readonly Intent[]): Promise<void> {
    return this.#engine.exclusive(async () => {
      await this.load()
      await this.#engine.writeAhead(batch => {
        this.#folder.put(batch, INTENTS_KEY, this.#codec.encodeIntents(intents))
      })
    })
  }

  async intents(): Promise<readonly Intent[]> {
    await this.#ready()
    const stored = await this.#folder.find(INTENTS_KEY)
    const intents = stored === undefined ? [] : this.#codec.decodeIntents(stored.payload)
    this.#codec.forget()
    return intents
  }

  async note(name: NoteName): Promise<Uint8Array | undefined> {
    await this.#ready()
    return (await this.#folder.find(NOTE_KEY + name))?.payload
  }

  erase(): Promise<void> {
    return this.#engine.exclusive(async () => {
      if (!this.#registry.has(this.folder)) {
        if (this.#retired) await this.finishErasing()
        return
      }
      await this.#engine.commit(batch => {
        this.#folder.del(batch, SEAL_KEY)
        this.#folder.del(batch, META_KEY)
        return this.#registry.retire(batch, this.folder)
      })
      this.#registry.changed(this.folder, false)
      this.#retired = true
      await this.finishErasing()
    })
  }

  /** Removes what a retired folder left; again after a crash. Only within `exclusive`. */
  async finishErasing(): Promise<void> {
    this.#retired = true
    const names = Object.keys(TABLES) as TableName[]
    const own = names.filter(name => name !== 'home' && name !== 'folders')
    const ranges = own.map(name => new Table(this.#engine, name, this.folder).range())
    await this.#engine.clear(ranges, batch => this.#registry.remove(batch, this.folder))
    this.#retired = false
    this.#generation = -1
    await this.load()
  }

  /**
   * Housekeeping: drops lists, chunks and dots of contents that are neither in `wanted` (all that a row, a kept version or the stage
   * has) nor kept as a base. Nothing is committed meanwhile; what is committed between the making of `wanted` and this call may be
   * dropped too, which costs a transfer, not data.
   */
  sweep(wanted: ReadonlySet<ContentId>): Promise<{ lists: number; chunks: number; dots: number }> {
    return this.#engine.exclusive(async () => {
      const swept = await this.#index.sweep(wanted)
      let dots = 0
      let waiting: Buffer[] = []
      const flush = async (): Promise<void> => {
        const keys = waiting
        waiting = []
        await this.#engine.writeAhead(batch => {
          for (const key of keys) this.#bases.delDot(batch, key)
        })
      }
      for await (const key of this.#bases.deadDots(wanted)) {
        dots++
        if (waiting.push(key) >= 1_000) await flush()
      }
      if (waiting.length > 0) await flush()
      return { ...swept, dots }
    })
  }

  async #ready(): Promise<void> {
    if (this.#retired || this.#generation !== this.#engine.generation) await this.#engine.exclusive(() => this.load())
  }

  async #readRows(each: (id: RowId, payload: Buffer) => void): Promise<void> {
    this.#sums.clear()
    this.#sumsLoaded = false
    for await (const entries of this.#rows.entries()) {
      for (const { key, payload, checksum } of entries) {
        const id = uintOf(key) as RowId
        each(id, payload)
        this.#sums.set(id, checksum)
      }
    }
    if (this.#sums.count !== this.#seal.rowCount || this.#sums.sum !== this.#seal.rowSum) {
      throw damaged('rows', 'a stored commit is missing')
    }
    this.#sumsLoaded = true
  }

  /** In memory nothing moves on before the batch is stored; the row sums, which must, are read anew where it was not. */
  async #store(changes: FolderBatch): Promise<void> {
    let heads: HeadChanges = new Map()
    let metaSum = this.#metaSum
    let seal = this.#seal
    const added = !this.#registry.has(this.folder)
    try {
      const baseLimit = changes.bases === undefined ? 0 : await this.#baseLimit()
      await this.#engine.commit(async batch => {
        heads = this.#log.write(batch, changes.snapshots ?? [], changes.updates ?? [])
        const lastRow = changes.rows === undefined ? seal.lastRow : await this.#writeRows(batch, changes.rows)
        await this.#index.write(batch, changes.lists ?? [])
        const bases = await this.#bases.write(batch, changes.bases ?? [], seal.bases, baseLimit)
        this.#bases.writeDots(batch, changes.dots ?? [])
        const journal = this.#journal.write(batch, changes.journal ?? [], seal.journal)
        for (const { name, bytes } of changes.notes ?? []) this.#folder.put(batch, NOTE_KEY + name, bytes)
        if (changes.intents !== undefined)
          this.#folder.put(batch, INTENTS_KEY, this.#codec.encodeIntents(changes.intents))
        if (changes.meta !== undefined) {
          const [, value] = this.#folder.put(batch, META_KEY, encodeMeta(changes.meta))
          metaSum = value.readUInt32BE()
        }
        if (added) this.#registry.add(batch, this.folder)
        const { count: rowCount, sum: rowSum } = changes.rows === undefined ? sumsOf(seal) : this.#sums
        const headSum = this.#log.sum(heads)
        seal = { commits: seal.commits + 1, rowCount, rowSum, headSum, metaSum, lastRow, journal, bases }
        return this.#folder.put(batch, SEAL_KEY, encodeSeal(seal))
      })
    } catch (error) {
      if (changes.rows !== undefined) this.#sumsLoaded = false
      throw error
    }
    this.#log.accept(heads)
    this.#metaSum = metaSum
    this.#seal = seal
    if (added) this.#registry.changed(this.folder, true)
    // Stored, though LevelDB reported a failure: the database was opened anew, and what is remembered of it is still right.
    this.#generation = this.#engine.generation
  }

  async #writeRows(batch: Batch, { put, deleted }: RowChanges): Promise<RowId> {
    let lastRow = this.#seal.lastRow
    for (const id of deleted) {
      this.#rows.del(batch, uintBytes(id, ROW_ID_BYTES))
      this.#sums.delete(id)
      if (id > lastRow) lastRow = id
    }
    for (const row of put) {
      const [, value] = this.#rows.put(batch, uintBytes(row.id, ROW_ID_BYTES), this.#codec.encode(row))
      this.#sums.set(row.id, value.readUInt32BE())
      if (row.id > lastRow) lastRow = row.id
      await batch.breathe()
    }
    return lastRow
  }

  async #baseLimit(): Promise<number> {
    const { bytes } = this.#seal.bases
    return Math.min(this.#options.baseLimitBytes, BASES_FREE_PART * (bytes + (await this.#engine.freeBytes())))
  }
}

function sumsOf(seal: FolderSeal): { count: number; sum: number } {
  return { count: seal.rowCount, sum: seal.rowSum }
}
