// Where a content is cut into chunks: FastCDC, two bytes a step, normalised around 64 KiB. Gear table and masks are frozen: they are part
// of what a content id means, so changing them changes every id. Pure; the same bytes give the same cuts on every device.
import { createHash } from 'node:crypto'
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, SMALL_CONTENT_BYTES } from './content.ts'
import { Scanner, type ScanState } from './scan.ts'

const NORMAL_CHUNK_BYTES = 64 * 1024
/** Below the normal size a cut needs 18 zero bits, above it 14. Bit 31 stays free: the shifted mask of the first byte needs it. */
const MASK_SHORT = 0x7fffe000
const MASK_LONG = 0x7ffe0000
const MASK_SHORT_SHIFTED = (MASK_SHORT << 1) | 0
const MASK_LONG_SHIFTED = (MASK_LONG << 1) | 0

const GEAR = gearTable()
const GEAR_SHIFTED = GEAR.map(value => value << 1)

/** 256 numbers that depend on nothing but this text: SHA-256('kith gear 1' ‖ byte), first four bytes. */
function gearTable(): Int32Array {
  const table = new Int32Array(256)
  for (let byte = 0; byte < 256; byte++) {
    const digest = createHash('sha256').update('kith gear 1').update(Uint8Array.of(byte)).digest()
    table[byte] = digest.readInt32BE(0)
  }
  return table
}

/** The table, for test vectors. */
export function gear(): readonly number[] {
  return [...GEAR]
}

/** Where a run of `scan` stopped without a cut. */
const rest: ScanState = { at: 0, fingerprint: 0 }
let scanner: Scanner | null = null

/** Room of this thread for bytes that are to be cut: those that lie elsewhere are copied for it. */
export function cuttingRoom(): Buffer {
  scanner ??= new Scanner(GEAR)
  return scanner.room
}

/**
 * The length of the chunk that starts at `start`. `end`: where the bytes at hand end. Unless the content ends there, at least
 * MAX_CHUNK_BYTES must be at hand.
 */
export function cutChunk(bytes: Uint8Array, start: number, end: number): number {
  const available = end - start
  if (available <= MIN_CHUNK_BYTES) return available
  const stop = start + Math.min(available, MAX_CHUNK_BYTES)
  const cut = firstCut(bytes, start, stop)
  return (cut < 0 ? stop : cut) - start
}

function firstCut(bytes: Uint8Array, start: number, stop: number): number {
  const normal = Math.min(start + NORMAL_CHUNK_BYTES, stop)
  rest.at = start + MIN_CHUNK_BYTES
  rest.fingerprint = 0
  const cut = scan(bytes, normal, MASK_SHORT, MASK_SHORT_SHIFTED)
  return cut < 0 ? scan(bytes, stop, MASK_LONG, MASK_LONG_SHIFTED) : cut
}

/** Goes on from `rest`; the end of the chunk, or -1 where there is none before `stop` (a byte that is left over is never looked at: frozen). */
function scan(bytes: Uint8Array, stop: number, mask: number, shifted: number): number {
  scanner ??= new Scanner(GEAR)
  const cut = scanner.scan(bytes, rest, stop, mask, shifted)
  if (cut >= 0) return cut
  let { at, fingerprint } = rest
  if (at + 1 < stop) {
    fingerprint = ((fingerprint << 2) + (GEAR_SHIFTED[bytes[at] as number] as number)) | 0
    if ((fingerprint & shifted) === 0) return at + 1
    fingerprint = (fingerprint + (GEAR[bytes[at + 1] as number] as number)) | 0
    if ((fingerprint & mask) === 0) return at + 2
    at += 2
  }
  rest.at = at
  rest.fingerprint = fingerprint
  return -1
}

/**
 * Does this chunk of a content end where every device cuts it, whatever comes behind it? `isLast`: nothing does, so it is enough that it
 * is not cut before. (What is not longer than SMALL_CONTENT_BYTES as a whole is never cut, and not for this to judge.)
 */
export function endsRight(chunk: Uint8Array, isLast: boolean): boolean {
  const { length } = chunk
  if (length > MAX_CHUNK_BYTES || (!isLast && length <= MIN_CHUNK_BYTES)) return false
  if (isLast) return cutChunk(chunk, 0, length) === length
  const cut = firstCut(chunk, 0, length)
  if (cut >= 0) return cut === length
  if (length === MAX_CHUNK_BYTES) return true
  // A byte that was left over here would not be with more behind it.
  const shifted = length > NORMAL_CHUNK_BYTES ? MASK_LONG_SHIFTED : MASK_SHORT_SHIFTED
  const last = GEAR_SHIFTED[chunk[rest.at] ?? 0] as number
  return rest.at === length - 1 && (((rest.fingerprint << 2) + last) & shifted) === 0
}

/** The fingerprint says nothing of what lies further back: 32 bits, two shifted out a step of two bytes. */
const REMEMBERED_BYTES = 32

/**
 * The same of a chunk that some list has cut already: nothing in it is a cut, so only its end is looked at. (The last chunk of a content
 * ends wherever that did. Not for contents of up to SMALL_CONTENT_BYTES, which are never cut.)
 */
export function endsRightIfCut(chunk: Uint8Array, isLast: boolean): boolean {
  const { length } = chunk
  if (length > MAX_CHUNK_BYTES || (!isLast && length <= MIN_CHUNK_BYTES)) return false
  if (isLast || length === MAX_CHUNK_BYTES) return true
  const isOdd = (length - MIN_CHUNK_BYTES) % 2 === 1
  const end = isOdd ? length - 1 : length
  let fingerprint = 0
  for (let at = Math.max(MIN_CHUNK_BYTES, end - REMEMBERED_BYTES); at < end; at += 2) {
    const first = ((fingerprint << 2) + (GEAR_SHIFTED[chunk[at] as number] as number)) | 0
    fingerprint = (first + (GEAR[chunk[at + 1] as number] as number)) | 0
  }
  const isLong = length > NORMAL_CHUNK_BYTES
  if (!isOdd) return (fingerprint & (isLong ? MASK_LONG : MASK_SHORT)) === 0
  const last = ((fingerprint << 2) + (GEAR_SHIFTED[chunk[end] as number] as number)) | 0
  return (last & (isLong ? MASK_LONG_SHIFTED : MASK_SHORT_SHIFTED)) === 0
}

/** The chunk lengths of a whole content. Up to SMALL_CONTENT_BYTES it is one chunk, also when it is empty. */
export function cutAll(bytes: Uint8Array): number[] {
  if (bytes.length <= SMALL_CONTENT_BYTES) return [bytes.length]
  const lengths: number[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = cutChunk(bytes, at, bytes.length)
    lengths.push(length)
    at += length
  }
  return lengths
}
