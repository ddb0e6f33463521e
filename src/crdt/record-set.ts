// An observed-remove set of strings on one Y.Array: one document of a folder. All knowledge of Yjs' internals lives here, pinned to
// the exact version in package.json. Promises: writes go after this actor's own last item and deletions by handle, so nothing ever
// walks the array; what others changed is told from the transaction, not from events; equal digests mean equal documents.
// Local writes are collected and become one Yjs transaction at `flush`. The caller has run the gate before `apply`.
import { hash } from 'node:crypto'
import * as Y from 'yjs'
import type { ActorId } from '../core/ids.ts'

/** The one root type of every document. */
export const ROOT_KEY = 'n'
const LOCAL = 'local'
const ACCUMULATOR_WORDS = 8

/** One string of the set and the handle by which it can be removed. */
export interface Held {
  readonly record: string
  readonly client: number
  readonly clock: number
}

export interface SetChanges {
  /** False: all of it was known. */
  readonly news: boolean
  readonly added: readonly Held[]
  readonly removed: readonly Held[]
  /** Whose writes were not known before, live or superseded since. */
  readonly writers: readonly number[]
}

/** Yjs keeps what it cannot apply yet; the gate must never let that happen. */
class PendingError extends Error {}

export class RecordSet {
  // The guid is never used: a drawn one would cost more than all else of an empty document.
  readonly #doc = new Y.Doc({ gc: true, guid: '' })
  readonly #array = this.#doc.getArray<string>(ROOT_KEY)
  readonly #sum = new Uint32Array(ACCUMULATOR_WORDS)
  #news = false
  #added: Held[] = []
  #removed: Held[] = []
  #writers: number[] = []
  #additions: string[] = []
  #removals: { client: number; clock: number }[] = []
  #updates: Uint8Array[] = []
  #digest: Uint8Array | null = null

  constructor() {
    this.#doc.on('afterTransaction', (transaction: Y.Transaction) => {
      if (transaction.origin !== LOCAL) this.#collect(transaction)
    })
  }

  /** Set after loading, or Yjs would take loaded items for a clash and change it. */
  setClient(actor: ActorId): void {
    this.#doc.clientID = actor
  }

  /** The next clock of a client; own collected writes count. */
  state(client: number): number {
    return Y.getState(this.#doc.store, client) + (client === this.#doc.clientID ? this.#additions.length : 0)
  }

  get empty(): boolean {
    return this.#doc.store.clients.size === 0 && this.#additions.length === 0
  }

  /** Merges an update that is complete. Throws PendingError where it was not: the document is then to be thrown away. */
  apply(update: Uint8Array): SetChanges {
    this.#flush()
    this.#news = false
    this.#added = []
    this.#removed = []
    this.#writers = []
    // Nobody may listen to 'update' meanwhile: Yjs would encode all of it once more.
    Y.applyUpdate(this.#doc, update, 'remote')
    if (this.#doc.store.pendingStructs !== null || this.#doc.store.pendingDs !== null) {
      throw new PendingError('an incomplete update was applied')
    }
    const changes = { news: this.#news, added: this.#added, removed: this.#removed, writers: this.#writers }
    this.#added = []
    this.#removed = []
    for (const held of changes.added) this.#count(held, 1)
    for (const held of changes.removed) this.#count(held, -1)
    this.#digest = null
    return changes
  }

  /** Adds a string; the handle is final at once. */
  add(record: string): Held {
    const client = this.#doc.clientID
    const held = { record, client, clock: this.state(client) }
    this.#additions.push(record)
    this.#count(held, 1)
    this.#digest = null
    return held
  }

  remove(held: Held): void {
    this.#removals.push({ client: held.client, clock: held.clock })
    this.#count(held, -1)
    this.#digest = null
  }

  /** All writes since the last call, in order; one update unless something was read or merged in between. */
  takeUpdates(): readonly Uint8Array[] {
    this.#flush()
    const updates = this.#updates
    this.#updates = []
    return updates
  }

  snapshot(): Uint8Array {
    this.#flush()
    return Y.encodeStateAsUpdate(this.#doc)
  }

  stateVector(): Uint8Array {
    this.#flush()
    return Y.encodeStateVector(this.#doc)
  }

  /** What a holder of that state vector lacks; everything where the vector makes no sense. */
  missing(stateVector: Uint8Array): Uint8Array {
    this.#flush()
    try {
      return Y.encodeStateAsUpdate(this.#doc, stateVector)
    } catch {
      return Y.encodeStateAsUpdate(this.#doc)
    }
  }

  /**
   * Over the state vector and the sum of the hashes of all live strings with their handles. Every clock holds one string, live or
   * deleted, so this also fixes the delete set. The order in which things arrived leaves no trace.
   */
  digest(): Uint8Array {
    if (this.#digest !== null) return this.#digest
    this.#flush()
    const states = [...this.#doc.store.clients.keys()].sort((a, b) => a - b)
    const head = states.map(client => `${client}:${Y.getState(this.#doc.store, client)}`).join(',')
    const sum = Buffer.from(this.#sum.buffer, this.#sum.byteOffset, this.#sum.byteLength)
    const input = Buffer.concat([Buffer.from(`${head}\n`, 'latin1'), sum])
    this.#digest = new Uint8Array(hash('sha256', input, 'buffer'))
    return this.#digest
  }

  #count(held: Held, sign: 1 | -1): void {
    const bytes = hash('sha256', Buffer.from(`${held.client}:${held.clock}:${held.record}`, 'latin1'), 'buffer')
    for (let i = 0; i < ACCUMULATOR_WORDS; i++) {
      this.#sum[i] = ((this.#sum[i] ?? 0) + sign * bytes.readUInt32LE(i * 4)) >>> 0
    }
  }

  #flush(): void {
    if (this.#additions.length === 0 && this.#removals.length === 0) return
    const additions = this.#additions
    const removals = ranges(this.#removals)
    this.#additions = []
    this.#removals = []
    const keep = (update: Uint8Array, origin: unknown): void => {
      if (origin === LOCAL) this.#updates.push(update)
    }
    this.#doc.on('update', keep)
    this.#doc.transact(transaction => {
      if (additions.length > 0) this.#append(transaction, additions)
      deleteRanges(transaction, removals, 0, removals.length)
    }, LOCAL)
    this.#doc.off('update', keep)
  }

  /** Y.Array.push would walk the list, and prepending would keep tombstones from merging. */
  #append(transaction: Y.Transaction, records: string[]): void {
    const { store } = this.#doc
    const client = this.#doc.clientID
    const clock = Y.getState(store, client)
    const last = clock > 0 ? Y.getItem(store, Y.createID(client, clock - 1)) : null
    const left = last instanceof Y.Item && last.parent === this.#array ? last : null
    const right = left === null ? this.#array._start : left.right
    new Y.Item(
      Y.createID(client, clock),
      left,
      left === null ? null : left.lastId,
      right,
      right === null ? null : right.id,
      this.#array,
      null,
      new Y.ContentAny(records),
    ).integrate(transaction, 0)
  }

  #collect(transaction: Y.Transaction): void {
    const { store } = this.#doc
    this.#news ||= transaction.deleteSet.clients.size > 0
    for (const [client, deleted] of transaction.deleteSet.clients) {
      const structs = store.clients.get(client) ?? []
      const before = transaction.beforeState.get(client) ?? 0
      for (const { clock, len } of deleted) {
        const end = Math.min(clock + len, before)
        if (clock < end) collectStructs(structs, client, clock, end, true, this.#removed)
      }
    }
    for (const [client, after] of transaction.afterState) {
      const before = transaction.beforeState.get(client) ?? 0
      if (before >= after) continue
      this.#news = true
      this.#writers.push(client)
      collectStructs(store.clients.get(client) ?? [], client, before, after, false, this.#added)
    }
  }
}

function collectStructs(
  structs: (Y.Item | Y.GC)[],
  client: number,
  from: number,
  to: number,
  deleted: boolean,
  out: Held[],
): void {
  for (let i = Y.findIndexSS(structs, from); i < structs.length; i++) {
    const item = structs[i]
    if (item === undefined || item.id.clock >= to) return
    if (!(item instanceof Y.Item) || item.deleted !== deleted || !(item.content instanceof Y.ContentAny)) continue
    const first = Math.max(from, item.id.clock)
    const end = Math.min(to, item.id.clock + item.length)
    for (let clock = first; clock < end; clock++) {
      const record: unknown = item.content.arr[clock - item.id.clock]
      if (typeof record === 'string') out.push({ record, client, clock })
    }
  }
}

interface Range {
  readonly client: number
  readonly clock: number
  length: number
}

function ranges(handles: readonly { client: number; clock: number }[]): Range[] {
  const out: Range[] = []
  for (const { client, clock } of [...handles].sort((a, b) => a.client - b.client || a.clock - b.clock)) {
    const last = out.at(-1)
    if (last !== undefined && last.client === client && clock < last.clock + last.length) continue
    if (last !== undefined && last.client === client && last.clock + last.length === clock) last.length++
    else out.push({ client, clock, length: 1 })
  }
  return out
}

/** From the middle outwards: each split copies the arrays on both sides, so halving keeps many deletions in one long item cheap. */
function deleteRanges(transaction: Y.Transaction, list: readonly Range[], from: number, to: number): void {
  if (from >= to) return
  const middle = (from + to) >> 1
  const range = list[middle]
  if (range !== undefined) deleteRange(transaction, range)
  deleteRanges(transaction, list, from, middle)
  deleteRanges(transaction, list, middle + 1, to)
}

function deleteRange(transaction: Y.Transaction, { client, clock, length }: Range): void {
  const end = clock + length
  for (let at = clock; at < end; ) {
    const item = Y.getItemCleanStart(transaction, Y.createID(client, at))
    if (item.id.clock + item.length > end) Y.getItemCleanStart(transaction, Y.createID(client, end))
    if (item instanceof Y.Item) item.delete(transaction)
    at = item.id.clock + item.length
  }
}
