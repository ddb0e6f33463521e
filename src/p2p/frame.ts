// Frames on a stream: u32 length ‖ flags ‖ payload, payload = u32 header length ‖ header (CBOR: [type, fields, blob sizes]) ‖ blobs.
// It promises that nothing a peer sends is read beyond its limits: 4 MB a frame (also unpacked), 256 KiB a header, so that bulk never
// passes through the decoder. It knows no message: types and fields are checked by wire.ts.
import { promisify } from 'node:util'
import { brotliCompress, brotliCompressSync, brotliDecompress, brotliDecompressSync, constants } from 'node:zlib'
import { decode, encode } from 'cborg'
import { KithError } from '../core/errors.ts'
import type { Waiting } from '../core/ports.ts'

export const MAX_FRAME_BYTES = 4_000_000
const MAX_HEADER_BYTES = 256 * 1024
const PREFIX_BYTES = 5
const COMPRESSED = 1
/** Frames up to this many bytes are not worth the work. */
const COMPRESS_ABOVE_BYTES = 1024
const SAMPLE_BYTES = 64 * 1024
/** Pieces are joined up to this size. */
const WRITE_BYTES = 256 * 1024
/** Blobs from this size on have a buffer of their own. */
const OWN_BUFFER_BYTES = 16 * 1024
/** What compression must leave at most, as a part of the raw size. */
const WORTH_IT = 0.95

export interface Frame {
  readonly type: string
  readonly fields: unknown
  readonly blobs: readonly Uint8Array[]
}

export interface FrameOptions {
  /** Content that is likely packed already, or goes faster raw, says false. */
  readonly compress: boolean
}

/** Where frames come from: SafeStream, or a test. */
export interface ByteSource {
  read(options: Waiting): Promise<Uint8Array | null>
}

const compressAsync = promisify(brotliCompress)
const decompressAsync = promisify(brotliDecompress)
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }
const STRICT = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  allowBigInt: false,
  rejectDuplicateMapKeys: true,
}

/** The pieces to write, in order. Throws where the message is larger than a frame may be: the caller has to split it. */
export async function encodeFrame(frame: Frame, options: FrameOptions): Promise<Uint8Array[]> {
  const header = encode([frame.type, frame.fields, frame.blobs.map(blob => blob.byteLength)])
  let bytes = 4 + header.byteLength
  for (const blob of frame.blobs) bytes += blob.byteLength
  if (bytes > MAX_FRAME_BYTES || header.byteLength > MAX_HEADER_BYTES) {
    throw new KithError('internal', `A message of type ${frame.type} is too large to send (${bytes} bytes).`)
  }
  const length = new Uint8Array(4)
  new DataView(length.buffer).setUint32(0, header.byteLength)
  const pieces = [length, header, ...frame.blobs]
  if (options.compress && bytes > COMPRESS_ABOVE_BYTES) {
    const packed = await compressed(Buffer.concat(pieces, bytes))
    if (packed !== null) return [prefix(packed.byteLength, COMPRESSED), packed]
  }
  return joinSmall([prefix(bytes, 0), ...pieces])
}

/** Reads frames; null at an end of stream between two frames. Throws KithError `peer-protocol` or `peer-gone`. */
export class FrameReader {
  readonly #source: ByteSource
  #pieces: Uint8Array[] = []
  #have = 0

  constructor(source: ByteSource) {
    this.#source = source
  }

  async next(options: Waiting): Promise<Frame | null> {
    const start = await this.#take(PREFIX_BYTES, options)
    if (start === null) return null
    const length = view(start).getUint32(0)
    const flags = start[4] ?? 0
    if (length > MAX_FRAME_BYTES) throw broken(`a frame of ${length} bytes`)
    if ((flags & ~COMPRESSED) !== 0) throw broken(`frame flags ${flags}`)
    if ((flags & COMPRESSED) !== 0) return decodePayload(await unpacked(await this.#rest(length, options)))
    if (length < 4) throw broken('a frame without a header')
    const headerBytes = headerLength(await this.#rest(4, options), length)
    const header = decodeHeader(await this.#rest(headerBytes, options))
    const room = length - 4 - headerBytes
    checkSizes(header.sizes, room)
    return { type: header.type, fields: header.fields, blobs: await this.#blobs(header.sizes, room, options) }
  }

  /** Large ones fill a buffer each, so that they can be given to another thread; small ones share one. */
  async #blobs(sizes: readonly number[], room: number, options: Waiting): Promise<Uint8Array[]> {
    if (!sizes.some(size => size >= OWN_BUFFER_BYTES)) return split(await this.#rest(room, options), sizes)
    const blobs: Uint8Array[] = []
    for (const size of sizes) blobs.push(await this.#rest(size, options))
    return blobs
  }

  /** In the middle of a frame. */
  async #rest(bytes: number, options: Waiting): Promise<Uint8Array> {
    const taken = await this.#take(bytes, options)
    if (taken === null) throw cut()
    return taken
  }

  /** Exactly `bytes` of the stream, copied together; null where it ended before the first. */
  async #take(bytes: number, options: Waiting): Promise<Uint8Array | null> {
    while (this.#have < bytes) {
      const piece = await this.#source.read(options)
      if (piece === null) {
        if (this.#have === 0) return null
        throw cut()
      }
      this.#pieces.push(piece)
      this.#have += piece.byteLength
    }
    // Allocated only once the bytes are there: a length alone costs nothing.
    const out = new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer)
    let at = 0
    while (at < bytes) {
      const piece = this.#pieces[0]
      if (piece === undefined) throw new KithError('internal', 'The frame reader lost count.')
      const part = piece.subarray(0, bytes - at)
      out.set(part, at)
      at += part.byteLength
      if (part.byteLength === piece.byteLength) this.#pieces.shift()
      else this.#pieces[0] = piece.subarray(part.byteLength)
    }
    this.#have -= bytes
    return out
  }
}

export function broken(what: string): KithError {
  return new KithError('peer-protocol', `The other device sent something that this version cannot read: ${what}.`)
}

function cut(): KithError {
  return new KithError('peer-gone', 'The connection to the other device ended in the middle of a message.')
}

function decodePayload(payload: Uint8Array): Frame {
  if (payload.byteLength < 4) throw broken('a frame without a header')
  const headerBytes = headerLength(payload, payload.byteLength)
  const { type, fields, sizes } = decodeHeader(payload.subarray(4, 4 + headerBytes))
  const rest = payload.subarray(4 + headerBytes)
  checkSizes(sizes, rest.byteLength)
  return { type, fields, blobs: split(rest, sizes) }
}

/** As its first four bytes say, of a payload of so many bytes. */
function headerLength(start: Uint8Array, payloadBytes: number): number {
  const bytes = view(start).getUint32(0)
  if (bytes > MAX_HEADER_BYTES || bytes > payloadBytes - 4) throw broken('a header longer than allowed')
  return bytes
}

function decodeHeader(bytes: Uint8Array): { type: string; fields: unknown; sizes: readonly number[] } {
  let header: unknown
  try {
    header = decode(bytes, STRICT)
  } catch (cause) {
    throw new KithError('peer-protocol', broken('a malformed header').message, { cause })
  }
  if (!Array.isArray(header) || header.length < 3) throw broken('a header of another shape')
  const [type, fields, sizes] = header as [unknown, unknown, unknown]
  if (typeof type !== 'string' || type.length > 64 || !Array.isArray(sizes)) throw broken('a header of another shape')
  const isSize = (size: unknown): size is number => Number.isSafeInteger(size) && (size as number) >= 0
  if (!sizes.every(isSize)) throw broken('a blob size that is no size')
  return { type, fields, sizes }
}

/** Together exactly the room behind the header. */
function checkSizes(sizes: readonly number[], room: number): void {
  let left = room
  for (const size of sizes) {
    if (size > left) throw broken('blobs longer than their frame')
    left -= size
  }
  if (left !== 0) throw broken('bytes that belong to nothing')
}

function split(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  let at = 0
  return sizes.map(size => {
    at += size
    return bytes.subarray(at - size, at)
  })
}

async function compressed(payload: Buffer): Promise<Uint8Array | null> {
  // What is small is packed at once: the pool's threads may all be waiting for a disk, and this may be somebody's save.
  const sample = brotliCompressSync(payload.subarray(0, SAMPLE_BYTES), BROTLI)
  if (sample.byteLength > Math.min(payload.byteLength, SAMPLE_BYTES) * WORTH_IT) return null
  if (payload.byteLength <= SAMPLE_BYTES) return sample
  const packed = await compressAsync(payload, BROTLI)
  return packed.byteLength > payload.byteLength * WORTH_IT ? null : packed
}

async function unpacked(payload: Uint8Array): Promise<Uint8Array> {
  const options = { maxOutputLength: MAX_FRAME_BYTES }
  try {
    return payload.byteLength <= SAMPLE_BYTES
      ? brotliDecompressSync(payload, options)
      : await decompressAsync(payload, options)
  } catch (cause) {
    throw new KithError('peer-protocol', broken('a frame that does not unpack').message, { cause })
  }
}

function prefix(length: number, flags: number): Uint8Array {
  const out = new Uint8Array(PREFIX_BYTES)
  view(out).setUint32(0, length)
  out[4] = flags
  return out
}

/** Every piece written costs encrypted packets, system calls and a window update of the peer: more than copying it does. */
function joinSmall(pieces: readonly Uint8Array[]): Uint8Array[] {
  const out: Uint8Array[] = []
  let group: Uint8Array[] = []
  let bytes = 0
  const flush = (): void => {
    if (group.length > 0) out.push(Buffer.concat(group, bytes))
    group = []
    bytes = 0
  }
  for (const piece of pieces) {
    group.push(piece)
    bytes += piece.byteLength
    if (bytes >= WRITE_BYTES) flush()
  }
  flush()
  return out
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
