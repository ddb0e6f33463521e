// What the disk takes for a text, which is kept as a base for merging.
const MAX_TEXT_BYTES = 2 * 1024 * 1024

/** Text as the disk reads it: valid UTF-8 without NUL, or UTF-16 with a BOM; at most 2 MB. Null for all else. */
export function textOf(bytes: Uint8Array): Uint8Array | null {
  if (bytes.length > MAX_TEXT_BYTES) return null
  if (bytes.length >= 2 && ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff))) {
    return bytes
  }
  if (bytes.includes(0)) return null
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return bytes
  } catch {
    return null
  }
}
