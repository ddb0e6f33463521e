// Bytes of the private database: a writer and a reader of compact numbers, strings and bytes, both bounds-checked. What does not
// decode is damage: KithError `database-corrupt` that names the key. Never guesses, never reads past the end.
import { crc32 } from 'node:zlib'
import { KithError } from '../core/errors.ts'

/** Header bytes of `number`: below INLINE, the count of magnitude bytes (0–7) and the sign; FLOAT; from INLINE on, the value itself. */
const NEGATIVE = 8
const FLOAT = 16
const INLINE = 32
const INLINE_COUNT = 256 - INLINE
const CHECKSUM_BYTES = 4

export class Writer {
  #bytes: Buffer
  #length = 0

  constructor(capacity = 256) {
    this.#bytes = Buffer.allocUnsafe(capacity)
  }

  byte(value: number): void {
    this.#room(1)
    this.#bytes[this.#length++] = value
  }

  /** Any finite number; whole ones take 1–8 bytes, others 9. */
  number(value: number): void {
    this.#room(9)
    if (!Number.isSafeInteger(value)) {
      this.#bytes[this.#length++] = FLOAT
      this.#length = this.#bytes.writeDoubleBE(value, this.#length)
      return
    }
    if (value >= 0 && value < INLINE_COUNT) {
      this.#bytes[this.#length++] = INLINE + value
      return
    }
    const magnitude = Math.abs(value)
    const count = bytesNeeded(magnitude)
    this.#bytes[this.#length++] = count + (value < 0 ? NEGATIVE : 0)
    // Two halves of 32 bits: many times faster than dividing.
    const low = magnitude >>> 0
    const high = (magnitude - low) / 0x1_0000_0000
    for (let at = count - 1; at >= 0; at--) {
      this.#bytes[this.#length++] = at >= 4 ? (high >>> (8 * (at - 4))) & 0xff : (low >>> (8 * at)) & 0xff
    }
  }

  /** A latin1 string of a length that the reader knows. */
  binary(text: string): void {
    this.#room(text.length)
    this.#length += this.#bytes.write(text, this.#length, 'latin1')
  }

  /** A latin1 string of any length. */
  shortBinary(text: string): void {
    this.number(text.length)
    this.binary(text)
  }

  text(text: string): void {
    const length = Buffer.byteLength(text)
    this.number(length)
    this.#room(length)
    this.#length += this.#bytes.write(text, this.#length)
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** A copy of exactly what was written; the writer starts anew. */
  take(): Buffer {
    const out = Buffer.from(this.#bytes.subarray(0, this.#length))
    this.#length = 0
    return out
  }

  #room(count: number): void {
    if (this.#length + count <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + count))
    this.#bytes.copy(grown, 0, 0, this.#length)
    this.#bytes = grown
  }
}

export class Reader {
  readonly #bytes: Buffer
  readonly #name: () => string
  #at = 0

  /** `name` says which record this is, for the message where it is damaged. */
  constructor(bytes: Uint8Array, name: () => string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#name = name
  }

  byte(): number {
    return this.#bytes[this.#advance(1)] as number
  }

  number(): number {
    const header = this.byte()
    if (header >= INLINE) return header - INLINE
    if (header === FLOAT) {
      const value = this.#bytes.readDoubleBE(this.#advance(8))
      return Number.isFinite(value) ? value : this.fail('a number is not finite')
    }
    const count = header & 7
    if (header >= FLOAT) this.fail('a number has an unknown form')
    const start = this.#advance(count)
    let value = 0
    for (let at = start; at < start + count; at++) value = value * 256 + (this.#bytes[at] as number)
    if (!Number.isSafeInteger(value)) this.fail('a number is too large')
    return header >= NEGATIVE ? -value : value
  }

  /** A whole number from 0 to `max`. */
  count(max = Number.MAX_SAFE_INTEGER): number {
    const value = this.number()
    return Number.isSafeInteger(value) && value >= 0 && value <= max ? value : this.fail('a count is out of range')
  }

  binary(length: number): string {
    const start = this.#advance(length)
    return this.#bytes.toString('latin1', start, start + length)
  }

  shortBinary(max: number): string {
    return this.binary(this.count(max))
  }

  text(max: number): string {
    const length = this.count(max)
    const start = this.#advance(length)
    return this.#bytes.toString('utf8', start, start + length)
  }

  /** A view of the next bytes. */
  raw(length: number): Buffer {
    const start = this.#advance(length)
    return this.#bytes.subarray(start, start + length)
  }

  /** A view of all that is left. */
  rest(): Buffer {
    const start = this.#at
    this.#at = this.#bytes.length
    return this.#bytes.subarray(start)
  }

  end(): void {
    if (this.#at !== this.#bytes.length) this.fail('it is longer than it should be')
  }

  fail(why: string): never {
    throw damaged(this.#name(), why)
  }

  #advance(count: number): number {
    const start = this.#at
    if (start + count > this.#bytes.length) this.fail('it is cut off')
    this.#at = start + count
    return start
  }
}

/** LevelDB does not verify its own checksums when it reads: every value carries one over its key and itself. */
export function seal(key: Uint8Array, payload: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(CHECKSUM_BYTES + payload.length)
  out.writeUInt32BE(checksum(key, payload))
  out.set(payload, CHECKSUM_BYTES)
  return out
}

/** The payload (a view). Throws KithError `database-corrupt` where key or value is not what was written. */
export function unseal(key: Uint8Array, value: Buffer, name: () => string): Buffer {
  if (value.length < CHECKSUM_BYTES) throw damaged(name(), 'it is cut off')
  const payload = value.subarray(CHECKSUM_BYTES)
  if (checksum(key, payload) !== value.readUInt32BE()) throw damaged(name(), 'its checksum is wrong')
  return payload
}

function checksum(key: Uint8Array, payload: Uint8Array): number {
  return crc32(payload, crc32(key))
}

export function damaged(name: string, why: string, cause?: unknown): KithError {
  const message = `The database of this home is damaged (${name}: ${why}). Set it aside and let it be rebuilt from the folders and the other devices.`
  return new KithError('database-corrupt', message, { cause })
}

/** Big-endian, so that the order of keys is the order of numbers. */
export function uintBytes(value: number, width: number): Buffer {
  const out = Buffer.alloc(width)
  let rest = value
  for (let at = width - 1; at >= 0; at--) {
    out[at] = rest % 256
    rest = Math.floor(rest / 256)
  }
  return out
}

export function uintOf(bytes: Uint8Array): number {
  let value = 0
  for (const byte of bytes) value = value * 256 + byte
  return value
}

function bytesNeeded(magnitude: number): number {
  let count = 1
  for (let limit = 256; magnitude >= limit; limit *= 256) count++
  return count
}
