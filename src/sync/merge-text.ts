// Line-by-line three-way merge of two texts with a common base. Pure, and the same bytes on every device whichever side is called
// first. Only what is surely text is merged: valid UTF-8, or UTF-16 with a byte order mark; nothing is guessed. Lines keep their ends
// (LF, CRLF, none at the end), so what nobody touched stays byte for byte.
import { isUtf8 } from 'node:buffer'
import { diff3Merge } from 'node-diff3'

/** Larger texts are kept twice instead. */
export const MERGE_LIMIT_BYTES = 2 * 1024 * 1024

type Encoding = 'utf-8' | 'utf-16le' | 'utf-16be'

interface Text {
  readonly encoding: Encoding
  readonly bom: boolean
  readonly lines: readonly string[]
}

/** Is it a text that can be merged (encoding and size)? */
export function isText(bytes: Uint8Array): boolean {
  if (bytes.byteLength > MERGE_LIMIT_BYTES) return false
  // As `decode` would say, ten times as fast.
  return encodingOf(bytes) === 'utf-8' ? isUtf8(bytes) && !bytes.includes(0) : decode(bytes) !== null
}

/** The text without its byte order mark; null where it is none, or too long. */
export function readText(bytes: Uint8Array): string | null {
  return decode(bytes)?.lines.join('') ?? null
}

/**
 * The merge, or null where both sides changed the same or adjoining lines, or any of the three is not text of one encoding.
 * Sides are ordered by content first: merge(base, a, b) equals merge(base, b, a).
 */
export function mergeText(base: Uint8Array, one: Uint8Array, other: Uint8Array): Uint8Array | null {
  const [a, b] = Buffer.compare(one, other) <= 0 ? [one, other] : [other, one]
  const texts = [decode(base), decode(a), decode(b)] as const
  const [origin, left, right] = texts
  if (origin === null || left === null || right === null) return null
  if (left.encoding !== origin.encoding || right.encoding !== origin.encoding) return null
  if (left.bom !== right.bom) return null
  const merged: string[] = []
  for (const region of diff3Merge([...left.lines], [...origin.lines], [...right.lines], {
    excludeFalseConflicts: true,
  })) {
    if (region.ok === undefined) return null
    for (const line of region.ok) merged.push(line)
  }
  const bytes = encode(merged.join(''), left)
  return bytes.byteLength <= MERGE_LIMIT_BYTES ? bytes : null
}

function decode(bytes: Uint8Array): Text | null {
  if (bytes.byteLength > MERGE_LIMIT_BYTES) return null
  const encoding = encodingOf(bytes)
  try {
    const text = new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(bytes)
    const bom = text.startsWith('\uFEFF')
    const body = bom ? text.slice(1) : text
    // A NUL is no text: it is how binary formats betray themselves.
    return body.includes('\0') ? null : { encoding, bom, lines: linesOf(body) }
  } catch {
    return null
  }
}

function encodingOf(bytes: Uint8Array): Encoding {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le'
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be'
  return 'utf-8'
}

/** Each line with its own end; a last line without one stays without. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? []
}

function encode(body: string, like: Text): Uint8Array {
  const text = like.bom ? `\uFEFF${body}` : body
  if (like.encoding === 'utf-8') return Buffer.from(text, 'utf8')
  const bytes = Buffer.from(text, 'utf16le')
  return like.encoding === 'utf-16le' ? bytes : bytes.swap16()
}
