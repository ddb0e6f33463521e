// The Yjs documents of one folder: per document a snapshot and the updates appended since. An append is one key. A head per document
// says which keys there must be, so that a lost one shows. Nothing here knows what an update means.
import type { DocId } from '../core/ids.ts'
import { DOC_COUNT } from '../core/ids.ts'
import type { DocUpdate } from '../core/ports.ts'
import { damaged, Reader, uintBytes, uintOf, Writer } from './codec.ts'
import type { Batch } from './engine.ts'
import type { Table } from './tables.ts'

const HEAD_FORMAT = 1
const DOC_BYTES = 2
const SEQUENCE_BYTES = 6
/** Merged updates are no longer than this on the wire; what is stored may hold many of them. */
const MAX_LOG_BYTES = Number.MAX_SAFE_INTEGER

interface Head {
  /** The keys are first … next − 1, without a gap; the first is a snapshot where `snapshot` is true. */
  readonly first: number
  readonly next: number
  readonly snapshot: boolean
  readonly logBytes: number
  readonly checksum: number
}

const EMPTY: Head = { first: 0, next: 0, snapshot: false, logBytes: 0, checksum: 0 }

/** What a commit makes of the heads; taken over when it succeeded. */
export type HeadChanges = ReadonlyMap<DocId, Head>

export class UpdateLog {
  readonly #docs: Table
  readonly #heads: Table
  #known: ReadonlyMap<DocId, Head> = new Map()

  constructor(tables: { docs: Table; heads: Table }) {
    this.#docs = tables.docs
    this.#heads = tables.heads
  }

  /** Reads the heads. */
  async load(): Promise<void> {
    const known = new Map<DocId, Head>()
    for await (const entries of this.#heads.entries()) {
      for (const { key, payload, checksum } of entries) {
        const doc = uintOf(key) as DocId
        const input = new Reader(payload, () => `heads ${doc}`)
        if (key.length !== DOC_BYTES || doc >= DOC_COUNT) input.fail('it names no document')
        if (input.byte() !== HEAD_FORMAT) input.fail('its format is unknown')
        const first = input.count()
        const next = input.count()
        const snapshot = input.count(1) === 1
        const logBytes = input.count(MAX_LOG_BYTES)
        input.end()
        if (next < first) input.fail('it ends before it begins')
        known.set(doc, { first, next, snapshot, logBytes, checksum })
      }
    }
    this.#known = known
  }

  /** Over all heads, as if `changes` were stored. */
  sum(changes: HeadChanges = new Map()): number {
    let sum = 0
    for (const [doc, head] of this.#known) if (!changes.has(doc)) sum = (sum + head.checksum) >>> 0
    for (const head of changes.values()) sum = (sum + head.checksum) >>> 0
    return sum
  }

  logBytes(doc: DocId): number {
    return this.#known.get(doc)?.logBytes ?? 0
  }

  /** The documents of which anything is stored. */
  docs(): DocId[] {
    return [...this.#known.keys()].sort((a, b) => a - b)
  }

  async loadDoc(doc: DocId): Promise<Uint8Array[]> {
    const head = this.#known.get(doc) ?? EMPTY
    const out: Uint8Array[] = []
    for await (const entries of this.#docs.entries(uintBytes(doc, DOC_BYTES))) {
      for (const { key, payload } of entries) {
        const sequence = uintOf(key.subarray(DOC_BYTES))
        if (sequence !== head.first + out.length || sequence >= head.next) throw gap(doc, sequence)
        out.push(payload)
      }
    }
    if (out.length !== head.next - head.first) throw gap(doc, head.next)
    return out
  }

  /** Snapshots first: an update of the same batch comes after its snapshot. */
  write(batch: Batch, snapshots: readonly DocUpdate[], updates: readonly DocUpdate[]): HeadChanges {
    const changed = new Map<DocId, Head>()
    const at = (doc: DocId): Head => changed.get(doc) ?? this.#known.get(doc) ?? EMPTY
    for (const { doc, update } of snapshots) {
      const head = at(doc)
      for (let sequence = head.first; sequence < head.next; sequence++) this.#docs.del(batch, logKey(doc, sequence))
      this.#docs.put(batch, logKey(doc, head.next), update)
      changed.set(doc, { ...head, first: head.next, next: head.next + 1, snapshot: true, logBytes: 0 })
    }
    for (const { doc, update } of updates) {
      const head = at(doc)
      this.#docs.put(batch, logKey(doc, head.next), update)
      changed.set(doc, { ...head, next: head.next + 1, logBytes: head.logBytes + update.length })
    }
    const out = new Map<DocId, Head>()
    const writer = new Writer(64)
    for (const [doc, head] of changed) {
      writer.byte(HEAD_FORMAT)
      writer.number(head.first)
      writer.number(head.next)
      writer.number(head.snapshot ? 1 : 0)
      writer.number(head.logBytes)
      const [, value] = this.#heads.put(batch, uintBytes(doc, DOC_BYTES), writer.take())
      out.set(doc, { ...head, checksum: value.readUInt32BE() })
    }
    return out
  }

  /** The commit with these changes is stored. */
  accept(changes: HeadChanges): void {
    if (changes.size > 0) this.#known = new Map([...this.#known, ...changes])
  }
}

function logKey(doc: DocId, sequence: number): Buffer {
  return Buffer.concat([uintBytes(doc, DOC_BYTES), uintBytes(sequence, SEQUENCE_BYTES)])
}

function gap(doc: DocId, sequence: number) {
  return damaged(`docs ${doc}`, `the updates around ${sequence} are not all there`)
}
