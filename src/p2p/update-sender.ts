// The sending side of one folder on one link: announced updates in order, then the answers to what the peer wants; many small ones in a
// frame, a large one over several. It promises: no more than a window of bytes is on the way unacknowledged (one large update may
// exceed it), and no more than MAX_QUEUED_BYTES wait; beyond that the queue is forgotten and a comparison stands in for it.
import type { DocId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { DocUpdate, SharedFolder } from '../core/ports.ts'
import { rank } from './comparison.ts'
import type { Outgoing } from './wire.ts'
import { MAX_UPDATE_BYTES } from './wire.ts'

const WINDOW_BYTES = 4 * 1024 * 1024
const MAX_QUEUED_BYTES = 8 * 1024 * 1024
const FRAME_BYTES = 512 * 1024
const FRAME_ITEMS = 4_096
/** Differences are computed for this many documents at a time, so that the process stays responsive. */
const ANSWERS_PER_FRAME = 16
/** What Yjs says where there is nothing to say. */
const EMPTY_UPDATE_BYTES = 2

interface Parts {
  readonly doc: DocId
  readonly update: Uint8Array
  readonly of: number
  part: number
  /** It answers the peer's want of this document. */
  readonly answer: boolean
}

interface Item {
  readonly doc: DocId
  readonly part: number
  readonly of: number
  readonly bytes: Uint8Array
}

type Source = Pick<SharedFolder, 'id' | 'missing'>

export class UpdateSender {
  readonly #folder: Source
  readonly #nextSeq: () => number
  readonly #log: Log
  #queue: DocUpdate[] = []
  #head = 0
  #queuedBytes = 0
  #behind = false
  #parts: Parts | null = null
  readonly #wants = new Map<DocId, Uint8Array>()
  /** The folder could not say what the peer lacks when it was asked last. */
  #isHeld = false
  #unacked: { seq: number; bytes: number }[] = []
  #unackedBytes = 0

  constructor(folder: Source, nextSeq: () => number, options: { log: Log }) {
    this.#folder = folder
    this.#nextSeq = nextSeq
    this.#log = options.log
  }

  /** False where the link has fallen behind: nothing is queued until `compared`. */
  announce(updates: readonly DocUpdate[]): boolean {
    if (this.#behind) return false
    for (const update of updates) {
      this.#queue.push(update)
      this.#queuedBytes += update.update.byteLength
    }
    const one = this.#queue.length - this.#head === 1
    if (this.#queuedBytes <= MAX_QUEUED_BYTES || one) return true
    this.#behind = true
    this.#clearQueue()
    return false
  }

  /** Digests of everything up to now are on their way: what comes from here on is announced again. */
  compared(): void {
    this.#behind = false
  }

  answer(wants: ReadonlyMap<DocId, Uint8Array>): void {
    for (const [doc, stateVector] of wants) this.#wants.set(doc, stateVector)
  }

  acknowledged(seq: number): void {
    let done = 0
    for (const sent of this.#unacked) {
      if (sent.seq > seq) break
      this.#unackedBytes -= sent.bytes
      done++
    }
    this.#unacked.splice(0, done)
  }

  /** The peer has forgotten what was on the way: so do we. What waits stays. */
  forgetSent(): void {
    this.#parts = null
    this.#unacked = []
    this.#unackedBytes = 0
  }

  reset(): void {
    this.forgetSent()
    this.#clearQueue()
    this.#wants.clear()
    this.#isHeld = false
    this.#behind = false
  }

  get hasQueued(): boolean {
    return this.#head < this.#queue.length || this.#parts !== null
  }

  get idle(): boolean {
    return !this.hasQueued && this.#wants.size === 0 && this.#unacked.length === 0
  }

  next(): Outgoing | null {
    if (this.#parts === null && this.#unackedBytes >= WINDOW_BYTES) return null
    const items: Item[] = []
    const answered: DocId[] = []
    // What was held is told in the first moment in which it may be: while much is written such moments are short.
    if (this.#parts === null && this.#isHeld) this.#fromWants(items, answered)
    if (this.#parts === null && items.length + answered.length === 0) this.#fromQueue(items)
    if (this.#parts === null && items.length + answered.length === 0) this.#fromWants(items, answered)
    if (items.length === 0 && this.#parts !== null) this.#part(this.#parts, items, answered)
    return items.length === 0 && answered.length === 0 ? null : this.#frame(items, answered)
  }

  #fromQueue(items: Item[]): void {
    let bytes = 0
    while (this.#head < this.#queue.length && items.length < FRAME_ITEMS) {
      const { doc, update } = this.#queue[this.#head] as DocUpdate
      if (items.length > 0 && bytes + update.byteLength > FRAME_BYTES) return
      this.#head++
      this.#queuedBytes -= update.byteLength
      if (this.#head === this.#queue.length) this.#clearQueue()
      if (!this.#fits(doc, update)) continue
      if (update.byteLength > FRAME_BYTES) {
        this.#split(doc, update, false)
        return
      }
      items.push({ doc, part: 0, of: 1, bytes: update })
      bytes += update.byteLength
    }
  }

  #fromWants(items: Item[], answered: DocId[]): void {
    let bytes = 0
    this.#isHeld = false
    // The directories document says which actors exist: without it the others make no sense.
    const docs = [...this.#wants.keys()].sort((a, b) => rank(a) - rank(b) || a - b).slice(0, ANSWERS_PER_FRAME)
    for (const doc of docs) {
      if (bytes >= FRAME_BYTES) return
      const update = this.#folder.missing(doc, this.#wants.get(doc) ?? new Uint8Array(1))
      if (update === null) {
        this.#isHeld = true
        if (rank(doc) === 0) return
        continue
      }
      this.#wants.delete(doc)
      if (update.byteLength <= EMPTY_UPDATE_BYTES || !this.#fits(doc, update)) {
        answered.push(doc)
        continue
      }
      if (update.byteLength > FRAME_BYTES) {
        this.#split(doc, update, true)
        return
      }
      items.push({ doc, part: 0, of: 1, bytes: update })
      answered.push(doc)
      bytes += update.byteLength
    }
  }

  #split(doc: DocId, update: Uint8Array, answer: boolean): void {
    this.#parts = { doc, update, part: 0, of: Math.ceil(update.byteLength / FRAME_BYTES), answer }
  }

  #part(parts: Parts, items: Item[], answered: DocId[]): void {
    const { doc, of, part, update } = parts
    items.push({ doc, part, of, bytes: update.subarray(part * FRAME_BYTES, (part + 1) * FRAME_BYTES) })
    parts.part++
    if (parts.part < of) return
    this.#parts = null
    if (parts.answer) answered.push(doc)
  }

  #frame(items: readonly Item[], answered: readonly DocId[]): Outgoing {
    const seq = this.#nextSeq()
    let bytes = 0
    for (const item of items) bytes += item.bytes.byteLength
    this.#unacked.push({ seq, bytes })
    this.#unackedBytes += bytes
    return {
      message: {
        type: 'updates',
        folder: this.#folder.id,
        seq,
        items: items.map(({ doc, part, of }) => ({ doc, part, of })),
        answered: [...answered],
      },
      blobs: items.map(item => item.bytes),
    }
  }

  #fits(doc: DocId, update: Uint8Array): boolean {
    if (update.byteLength <= MAX_UPDATE_BYTES) return true
    this.#log.error({ folder: this.#folder.id, doc, bytes: update.byteLength }, 'an update is too large to send')
    return false
  }

  #clearQueue(): void {
    this.#queue = []
    this.#head = 0
    this.#queuedBytes = 0
  }
}
