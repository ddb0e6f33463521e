// The receiving side of one folder on one link: puts the parts of updates together and hands everything to the folder in the order it
// came, as many at once as are there. It promises that an acknowledgement follows durability, that digests are looked at only after
// all that came before them, and that a peer which sends more than its window loses its session.
import type { DocId } from '../core/ids.ts'
import { DIRECTORIES_DOC } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { DocUpdate, SharedFolder } from '../core/ports.ts'
import { broken } from './frame.ts'
import type { Blobs, SyncMessage } from './wire.ts'
import { MAX_UPDATE_BYTES } from './wire.ts'

/** Handed to the folder at once. */
const BATCH_BYTES = 4 * 1024 * 1024
/** The sender's window, one update that exceeds it, and room for what it sent before it knew better. */
const MAX_WAITING_BYTES = MAX_UPDATE_BYTES + 16 * 1024 * 1024

export interface UpdateEvents {
  receive: (updates: readonly DocUpdate[]) => ReturnType<SharedFolder['receive']>
  onDurable(seq: number): void
  onAnswered(docs: readonly DocId[]): void
  onGaps(docs: readonly DocId[]): void
  onDigests(digests: ReadonlyMap<DocId, string>, ask: boolean): void
  /** The middle of an update came without its start. */
  onOrphan(): void
  /** The folder could not take it; nothing was acknowledged, nothing more will be handed over before `reset`. */
  onFailed(error: unknown): void
}

type Entry =
  | { kind: 'updates'; updates: DocUpdate[]; bytes: number; seq: number; answered: readonly DocId[] }
  | { kind: 'digests'; digests: ReadonlyMap<DocId, string>; ask: boolean }

interface Partial {
  readonly doc: DocId
  readonly of: number
  readonly pieces: Uint8Array[]
  bytes: number
}

export class UpdateReceiver {
  readonly #events: UpdateEvents
  readonly #log: Log
  #inbox: Entry[] = []
  #waitingBytes = 0
  #partial: Partial | null = null
  #busy = false
  #generation = 0

  constructor(events: UpdateEvents, options: { log: Log }) {
    this.#events = events
    this.#log = options.log
  }

  get idle(): boolean {
    return !this.#busy && this.#inbox.length === 0
  }

  reset(): void {
    this.#inbox = []
    this.#waitingBytes = 0
    this.#partial = null
    this.#busy = false
    this.#generation++
  }

  updates(message: Extract<SyncMessage, { type: 'updates' }>, blobs: Blobs): void {
    if (blobs.length !== message.items.length) throw broken('updates without their bytes')
    const updates: DocUpdate[] = []
    let bytes = 0
    for (const [at, item] of message.items.entries()) {
      const blob = blobs[at] ?? new Uint8Array(0)
      const update = this.#whole(item, blob)
      if (update === null) continue
      updates.push({ doc: item.doc, update })
      bytes += update.byteLength
    }
    this.#push({ kind: 'updates', updates, bytes, seq: message.seq, answered: message.answered })
    this.#waitingBytes += bytes
    if (this.#waitingBytes + (this.#partial?.bytes ?? 0) > MAX_WAITING_BYTES) throw broken('more updates than allowed')
  }

  /** `fresh`: the peer has started over; the start of an update that it was sending will never have an end. */
  digests(digests: ReadonlyMap<DocId, string>, options: { ask: boolean; fresh: boolean }): void {
    if (options.fresh) this.#partial = null
    this.#push({ kind: 'digests', digests, ask: options.ask })
  }

  /** The update that this piece completes, or null. */
  #whole({ doc, part, of }: { doc: DocId; part: number; of: number }, blob: Uint8Array): Uint8Array | null {
    if (part === 0) {
      if (this.#partial !== null) throw broken('an update inside of another')
      if (of === 1) return blob
      this.#partial = { doc, of, pieces: [blob], bytes: blob.byteLength }
      return null
    }
    const partial = this.#partial
    if (partial === null) {
      this.#events.onOrphan()
      return null
    }
    if (partial.doc !== doc || partial.of !== of || partial.pieces.length !== part) throw broken('a part out of order')
    partial.pieces.push(blob)
    partial.bytes += blob.byteLength
    if (partial.bytes > MAX_UPDATE_BYTES) throw broken('an update larger than allowed')
    if (partial.pieces.length < of) return null
    this.#partial = null
    return Buffer.concat(partial.pieces, partial.bytes)
  }

  #push(entry: Entry): void {
    this.#inbox.push(entry)
    if (!this.#busy) void this.#drain()
  }

  async #drain(): Promise<void> {
    const generation = this.#generation
    this.#busy = true
    try {
      for (let entry = this.#inbox.shift(); entry !== undefined; entry = this.#inbox.shift()) {
        if (entry.kind === 'digests') {
          this.#events.onDigests(entry.digests, entry.ask)
          continue
        }
        const gaps = await this.#hand(entry)
        if (generation !== this.#generation) return
        this.#events.onDurable(entry.seq)
        if (entry.answered.length > 0) this.#events.onAnswered(entry.answered)
        if (gaps.length > 0) this.#events.onGaps(gaps)
        if (generation !== this.#generation) return
      }
      this.#busy = false
    } catch (error) {
      if (generation === this.#generation) this.#events.onFailed(error)
    }
  }

  /** Hands over `entry` with what follows it up to a batch, joined into `entry`. */
  async #hand(entry: Extract<Entry, { kind: 'updates' }>): Promise<readonly DocId[]> {
    const answered = [...entry.answered]
    for (let next = this.#inbox[0]; next?.kind === 'updates' && entry.bytes < BATCH_BYTES; next = this.#inbox[0]) {
      this.#inbox.shift()
      entry.updates.push(...next.updates)
      entry.bytes += next.bytes
      entry.seq = next.seq
      answered.push(...next.answered)
    }
    entry.answered = answered
    if (entry.updates.length === 0) return []
    const isDirectories = (update: DocUpdate): boolean => update.doc === DIRECTORIES_DOC
    const ordered = [...entry.updates.filter(isDirectories), ...entry.updates.filter(update => !isDirectories(update))]
    const generation = this.#generation
    const { gaps, refused } = await this.#events.receive(ordered)
    if (generation === this.#generation) this.#waitingBytes -= entry.bytes
    if (refused !== null) this.#log.warn({ reason: refused }, 'an update was refused')
    return gaps
  }
}
