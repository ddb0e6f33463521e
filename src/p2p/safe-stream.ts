// The only way this floor reads and writes a libp2p stream. It promises: `write` resolves when the stream has passed everything on,
// so a slow peer holds the writer and not the memory; `read` pulls, and an unread stream pauses its sender; both end with the stream
// or the signal. It must be attached as soon as the stream exists (a late listener lets the stream reset itself), and it replaces
// `onDrain()` (does not re-arm), `for await` over the stream (no backpressure, early ends) and lpStream (no backpressure on reads).
import type { Stream } from '@libp2p/interface'
import { KithError } from '../core/errors.ts'
import type { Waiting } from '../core/ports.ts'
import { litter } from './litter.ts'

/** Above this many unread bytes the sender is paused, below the lower one it goes on. */
const PAUSE_ABOVE_BYTES = 1024 * 1024
const RESUME_BELOW_BYTES = 256 * 1024

/** What one link has carried, over all its streams. */
export class Meter {
  bytesIn = 0
  bytesOut = 0
  lastByteAt = performance.now()

  arrived(bytes: number): void {
    this.bytesIn += bytes
    this.lastByteAt = performance.now()
  }
}

interface Waiter {
  wake(): void
}

export class SafeStream {
  readonly #stream: Stream
  readonly #meter: Meter
  #queue: Uint8Array[] = []
  #head = 0
  #unread = 0
  #ended = false
  #error: Error | null = null
  #resuming = false
  #reader: Waiter | null = null

  constructor(stream: Stream, meter: Meter) {
    this.#stream = stream
    this.#meter = meter
    stream.addEventListener('message', event => {
      const data = event.data
      for (const piece of data instanceof Uint8Array ? [data] : data) this.#queue.push(piece)
      this.#unread += data.byteLength
      meter.arrived(data.byteLength)
      this.#pauseIfFull()
      this.#reader?.wake()
    })
    stream.addEventListener('end', () => {
      this.#ended = true
      this.#reader?.wake()
    })
    stream.addEventListener('close', event => {
      if (event.error !== undefined) this.#error = event.error
      else if (stream.readBufferLength === 0) this.#ended = true
      this.#reader?.wake()
    })
    // A stream can be over before it is attached; its events will not come again.
    if (stream.readableEnded || stream.readStatus === 'closed') this.#ended = true
  }

  /** The next bytes, or null where the peer ended the stream: which is no proof that it sent all it meant to. One reader at a time. */
  async read(options: Waiting): Promise<Uint8Array | null> {
    for (;;) {
      options.signal.throwIfAborted()
      const piece = this.#shift()
      if (piece !== undefined) return piece
      if (this.#error !== null) throw gone(this.#error)
      if (this.#stream.readStatus === 'paused') {
        this.#resume()
        continue
      }
      if (this.#ended) return null
      await this.#more(options.signal)
    }
  }

  /** Sends the pieces as one; resolves when the stream holds none of it any more. The bytes must never be changed afterwards. */
  async write(pieces: readonly Uint8Array[], options: Waiting): Promise<void> {
    options.signal.throwIfAborted()
    let passed = 0
    try {
      for (const piece of pieces) {
        this.#meter.bytesOut += piece.byteLength
        passed += piece.byteLength
        this.#stream.send(piece)
      }
    } catch (error) {
      throw gone(error)
    }
    if (this.#stream.writeBufferLength > 0) await this.#flushed(options.signal)
    litter(passed)
  }

  /** Ends our side after what was written. */
  async close(options: Waiting): Promise<void> {
    if (this.#stream.status === 'open') await this.#stream.close(options)
  }

  /** Ends both sides at once; unsent bytes are dropped. */
  abort(error: Error): void {
    this.#queue = []
    this.#head = 0
    this.#unread = 0
    this.#stream.abort(error)
  }

  #shift(): Uint8Array | undefined {
    const piece = this.#queue[this.#head]
    if (piece === undefined) return undefined
    this.#head++
    if (this.#head === this.#queue.length) {
      this.#queue = []
      this.#head = 0
    }
    this.#unread -= piece.byteLength
    litter(piece.byteLength)
    if (this.#unread < RESUME_BELOW_BYTES) this.#resume()
    return piece
  }

  #pauseIfFull(): void {
    if (!this.#resuming && this.#unread > PAUSE_ABOVE_BYTES && this.#stream.readStatus === 'readable')
      this.#stream.pause()
  }

  // `resume()` hands out the backlog and only afterwards marks the stream as flowing: a `pause()` from inside that would be lost, window
  // updates would go on, and the stream would reset itself some MiB later. So the look comes after.
  #resume(): void {
    if (this.#stream.readStatus !== 'paused') return
    this.#resuming = true
    try {
      this.#stream.resume()
    } catch (error) {
      this.#error ??= gone(error)
    } finally {
      this.#resuming = false
    }
    this.#pauseIfFull()
  }

  #more(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        signal.removeEventListener('abort', aborted)
        this.#reader = null
      }
      const aborted = (): void => {
        done()
        reject(signal.reason)
      }
      this.#reader = {
        wake: () => {
          done()
          resolve()
        },
      }
      signal.addEventListener('abort', aborted)
    })
  }

  #flushed(signal: AbortSignal): Promise<void> {
    const stream = this.#stream
    return new Promise((resolve, reject) => {
      const done = (error?: unknown): void => {
        stream.removeEventListener('drain', check)
        stream.removeEventListener('idle', check)
        stream.removeEventListener('close', closed)
        signal.removeEventListener('abort', aborted)
        if (error === undefined) resolve()
        else reject(error)
      }
      // libp2p's own listener refills from its buffer in a microtask, and `drain` goes to every stream of the connection: only an
      // empty buffer counts, looked at after that.
      const check = (): void => {
        queueMicrotask(() => {
          if (stream.status !== 'open') closed()
          else if (stream.writeBufferLength === 0) done()
        })
      }
      const closed = (): void => done(gone(this.#error))
      const aborted = (): void => done(signal.reason)
      stream.addEventListener('drain', check)
      stream.addEventListener('idle', check)
      stream.addEventListener('close', closed)
      signal.addEventListener('abort', aborted)
      check()
    })
  }
}

function gone(cause: unknown): KithError {
  if (cause instanceof KithError) return cause
  return new KithError('peer-gone', 'The connection to the other device ended.', { cause })
}
