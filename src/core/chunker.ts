// Where a content is cut into chunks: FastCDC, two bytes a step, normalised around 64 KiB. Gear table and masks are frozen: they are part
// of what a content id means, so changing them changes every id. Pure; the same bytes give the same cuts on every device.
import { createHash } from 'node:crypto'
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, SMALL_CONTENT_BYTES } from './content.ts'

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

/**
 * The length of the chunk that starts at `start`. `end`: where the bytes at hand end. Unless the content ends there, at least
 * MAX_CHUNK_BYTES must be at hand.
 */
export function cutChunk(bytes: Uint8Array, start: number, end: number): number {
  const available = end - start
  if (available <= MIN_CHUNK_BYTES) return available
  const stop = start + Math.min(available, MAX_CHUNK_BYTES)
  const normal = Math.min(start + NORMAL_CHUNK_BYTES, stop)
  let fingerprint = 0
  let at = start + MIN_CHUNK_BYTES
  for (; at + 1 < normal; at += 2) {
    fingerprint = ((fingerprint << 2) + (GEAR_SHIFTED[bytes[at] as number] as number)) | 0
    if ((fingerprint & MASK_SHORT_SHIFTED) === 0) return at + 1 - start
    fingerprint = (fingerprint + (GEAR[bytes[at + 1] as number] as number)) | 0
    if ((fingerprint & MASK_SHORT) === 0) return at + 2 - start
  }
  for (; at + 1 < stop; at += 2) {
    fingerprint = ((fingerprint << 2) + (GEAR_SHIFTED[bytes[at] as number] as number)) | 0
    if ((fingerprint & MASK_LONG_SHIFTED) === 0) return at + 1 - start
    fingerprint = (fingerprint + (GEAR[bytes[at + 1] as number] as number)) | 0
    if ((fingerprint & MASK_LONG) === 0) return at + 2 - start
  }
  return stop - start
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
