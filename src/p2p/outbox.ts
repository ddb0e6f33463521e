// What leaves on a sync stream, in which order: posted messages first, then the parts' bulk in turn. It promises that memory stays
// bounded: bulk is asked for one frame at a time, and a peer that lets posted messages pile up loses its session.
import { KithError } from '../core/errors.ts'
import type { Waiting } from '../core/ports.ts'
import { encodeFrame } from './frame.ts'
import type { Outgoing } from './wire.ts'
import { frameOf } from './wire.ts'

/** Posted messages are small and answer what the peer sent: more than this unsent means that it does not read. */
const MAX_POSTED = 4_096
const MAX_POSTED_BYTES = 4 * 1024 * 1024

/** Posted messages that leave together. */
const PACKET_BYTES = 32 * 1024

export interface Sink {
  write(pieces: readonly Uint8Array[], options: Waiting): Promise<void>
}

export class Outbox {
  readonly #sink: Sink
  readonly #sources: (() => Outgoing | null)[] = []
  #posted: Outgoing[] = []
  #postedBytes = 0
  #turn = 0
  #closing = false
  /** Something came since the last look. */
  #woken = false
  #wake: (() => void) | null = null

  constructor(sink: Sink) {
    this.#sink = sink
  }

  /** Asked for bulk, in turn. */
  addSource(source: () => Outgoing | null): void {
    this.#sources.push(source)
  }

  post(out: Outgoing): void {
    if (this.#closing) return
    this.#posted.push(out)
    for (const blob of out.blobs) this.#postedBytes += blob.byteLength
    this.wake()
  }

  wake(): void {
    this.#woken = true
    this.#wake?.()
    this.#wake = null
  }

  /** What is posted still goes, nothing else; then `run` resolves. */
  finish(): void {
    this.#closing = true
    this.wake()
  }

  get overfull(): boolean {
    return this.#posted.length > MAX_POSTED || this.#postedBytes > MAX_POSTED_BYTES
  }

  /** Sends until `finish` or the signal; rejects when the stream ends. */
  async run(options: Waiting): Promise<void> {
    for (;;) {
      this.#woken = false
      const pieces = await this.#gather()
      if (pieces.length > 0) {
        await this.#sink.write(pieces, options)
        continue
      }
      // What came while `gather` resolved with nothing has woken nobody.
      if (this.#woken) continue
      if (this.#closing) return
      await this.#sleep(options.signal)
    }
  }

  /** One bulk message, or as many posted ones as make up a packet: a write each would cost more than they do. */
  async #gather(): Promise<Uint8Array[]> {
    const first = this.#next()
    if (first === null) return []
    const pieces = await encodeFrame(frameOf(first), { compress: true })
    if (this.#posted.length === 0) return pieces
    let bytes = sizeOf(pieces)
    while (this.#posted.length > 0 && bytes < PACKET_BYTES) {
      const out = this.#next()
      if (out === null) break
      const more = await encodeFrame(frameOf(out), { compress: true })
      bytes += sizeOf(more)
      pieces.push(...more)
    }
    return bytes > 2 * PACKET_BYTES ? pieces : [Buffer.concat(pieces, bytes)]
  }

  #next(): Outgoing | null {
    const posted = this.#posted.shift()
    if (posted !== undefined) {
      for (const blob of posted.blobs) this.#postedBytes -= blob.byteLength
      return posted
    }
    if (this.#closing) return null
    for (let tried = 0; tried < this.#sources.length; tried++) {
      this.#turn = (this.#turn + 1) % this.#sources.length
      const out = this.#sources[this.#turn]?.() ?? null
      if (out !== null) return out
    }
    return null
  }

  #sleep(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const aborted = (): void => reject(signal.reason)
      if (signal.aborted) return aborted()
      signal.addEventListener('abort', aborted, { once: true })
      this.#wake = () => {
        signal.removeEventListener('abort', aborted)
        resolve()
      }
    })
  }
}

function sizeOf(pieces: readonly Uint8Array[]): number {
  let bytes = 0
  for (const piece of pieces) bytes += piece.byteLength
  return bytes
}

export function overfull(): KithError {
  return new KithError('peer-protocol', 'The other device asks but does not read the answers.')
}
