// The asking side of one `/kith/content/1` stream: requests for chunks go out pipelined, answers come back in order. It promises that the
// reader is attached before anything is asked, that an answer is only what was asked for, and that a stream which goes silent with
// requests open is ended: its requests reject and others take them over.
import type { Clock } from '../core/clock.ts'
import { KithError } from '../core/errors.ts'
import type { FolderId, Hash } from '../core/ids.ts'
import { broken, encodeFrame, FrameReader } from './frame.ts'
import type { SafeStream } from './safe-stream.ts'
import { frameOf, itemsOf, joinKeys, parseContent } from './wire.ts'

/** No byte for this long while something is asked for: the stream is dead. */
const SILENCE_MS = 30_000

interface Asked {
  readonly id: number
  readonly count: number
  readonly bytes: number
  readonly items: (Uint8Array | null)[]
  resolve(items: (Uint8Array | null)[]): void
  reject(error: unknown): void
}

export class PullStream {
  readonly #stream: SafeStream
  readonly #clock: Clock
  readonly #ended = new AbortController()
  readonly #asked: Asked[] = []
  #ids = 0
  #outstanding = 0
  #lastAnswer: number
  #writing: Promise<void> = Promise.resolve()

  constructor(stream: SafeStream, clock: Clock) {
    this.#stream = stream
    this.#clock = clock
    this.#lastAnswer = clock.elapsed()
    void this.#read()
    void this.#watch()
  }

  /** Bytes asked for and not yet here. */
  get outstanding(): number {
    return this.#outstanding
  }

  get ended(): boolean {
    return this.#ended.signal.aborted
  }

  /** `bytes`: what the chunks are together. Null for what the peer does not have. Rejects when the stream ends. */
  ask(folder: FolderId, hashes: readonly Hash[], bytes: number): Promise<(Uint8Array | null)[]> {
    return new Promise((resolve, reject) => {
      if (this.ended) return reject(this.#ended.signal.reason)
      const id = ++this.#ids
      if (this.#asked.length === 0) this.#lastAnswer = this.#clock.elapsed()
      this.#asked.push({ id, count: hashes.length, bytes, items: [], resolve, reject })
      this.#outstanding += bytes
      this.#writing = this.#send(id, folder, hashes)
    })
  }

  end(error: Error): void {
    if (this.ended) return
    this.#ended.abort(error)
    this.#stream.abort(error)
    this.#outstanding = 0
    for (const asked of this.#asked.splice(0)) asked.reject(error)
  }

  async #send(id: number, folder: FolderId, hashes: readonly Hash[]): Promise<void> {
    const before = this.#writing
    try {
      const frame = frameOf({ message: { type: 'pull', id, folder }, blobs: [joinKeys(hashes)] })
      const pieces = await encodeFrame(frame, { compress: false })
      await before
      await this.#stream.write(pieces, { signal: this.#ended.signal })
    } catch (error) {
      this.#failed(error)
    }
  }

  async #read(): Promise<void> {
    const reader = new FrameReader(this.#stream)
    try {
      for (;;) {
        const frame = await reader.next({ signal: this.#ended.signal })
        if (frame === null) throw new KithError('peer-gone', 'The other device ended the transfer.')
        const message = parseContent(frame)
        if ('unknown' in message || message.type !== 'items') throw broken('no answer to a request for chunks')
        this.#answered(message.id, itemsOf(message.has, frame.blobs))
      }
    } catch (error) {
      this.#failed(error)
    }
  }

  #answered(id: number, items: readonly (Uint8Array | null)[]): void {
    const asked = this.#asked[0]
    if (
      asked === undefined ||
      asked.id !== id ||
      items.length === 0 ||
      asked.items.length + items.length > asked.count
    ) {
      throw broken('an answer to nothing')
    }
    this.#lastAnswer = this.#clock.elapsed()
    asked.items.push(...items)
    if (asked.items.length < asked.count) return
    this.#asked.shift()
    this.#outstanding -= asked.bytes
    asked.resolve(asked.items)
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ended
    try {
      for (;;) {
        await this.#clock.sleep(SILENCE_MS / 4, { signal })
        if (this.#asked.length > 0 && this.#clock.elapsed() - this.#lastAnswer > SILENCE_MS) {
          throw new KithError('peer-gone', 'The other device stopped sending.')
        }
      }
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    this.end(error instanceof Error ? error : new Error(String(error)))
  }
}
