// Rules about names: which are legal in the shared tree, when two are the same (the key), and how a suffix is put in.
// Pure and frozen: the same answer on every device and every version of Node. Knows nothing of any disk's own limits.
import { FOLD_FULL, FOLD_RUNS } from './fold-table.ts'

export const MAX_NAME_BYTES = 255
/** A longer "extension" is part of the stem. */
const MAX_EXTENSION_BYTES = 32
const RESERVED = '.kith'

const ASCII = /^[\0-\x7f]*$/
const LONE_SURROGATE = /\p{Cs}/u
/** Code points that some disks drop when they compare names. */
const INVISIBLE =
  /\u034f|\u17b4|\u17b5|[\u180b-\u180f]|[\ufe00-\ufe0f]|[\u00ad\u061c\u115f\u1160\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0]/g

let folds: Map<number, string> | null = null

function foldMap(): Map<number, string> {
  if (folds !== null) return folds
  const map = new Map<number, string>()
  for (let i = 0; i + 3 < FOLD_RUNS.length; i += 4) {
    const [first = 0, count = 0, step = 0, delta = 0] = FOLD_RUNS.slice(i, i + 4)
    for (let n = 0; n < count; n++) map.set(first + n * step, String.fromCodePoint(first + n * step + delta))
  }
  for (const [point, text] of Object.entries(FOLD_FULL)) map.set(Number(point), text)
  folds = map
  return map
}

/** Case folding of text in any form; the result is NFC. */
export function foldCase(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase()
  const map = foldMap()
  let out = ''
  for (const char of text.normalize('NFD')) {
    const point = char.codePointAt(0) ?? 0
    out += point < 0x80 ? char.toLowerCase() : (map.get(point) ?? char)
  }
  return out.normalize('NFC')
}

/** Two names with one key are the same name in one directory. */
export function nameKey(name: string, fold: boolean): string {
  return fold ? foldCase(name) : normalName(name)
}

/** NFC: the one spelling that records hold. */
export function normalName(name: string): string {
  return ASCII.test(name) ? name : name.normalize('NFC')
}

/** Is it the path `top`, or below it? '' is above all. */
export function isWithin(path: string, top: string): boolean {
  return top === '' || path === top || path.startsWith(`${top}/`)
}

/** The one reserved name, in any case or Unicode form, visible or not. */
export function isReserved(name: string): boolean {
  if (ASCII.test(name)) return name.length === RESERVED.length && name.toLowerCase() === RESERVED
  return foldCase(name.normalize('NFKC').replace(INVISIBLE, '')) === RESERVED
}

/** May it be in the shared tree? Odd names (control characters, `\`, trailing dots) may; a disk that cannot hold them says so itself. */
export function isLegalName(name: string): boolean {
  if (name === '' || name === '.' || name === '..') return false
  if (name.includes('/') || name.includes('\0')) return false
  if (LONE_SURROGATE.test(name)) return false
  return Buffer.byteLength(name) <= MAX_NAME_BYTES && !isReserved(name)
}

/** `a.b.txt` → `a.b` and `.txt`; a leading dot begins no extension. */
export function splitName(name: string): { stem: string; extension: string } {
  const dot = name.lastIndexOf('.')
  if (dot <= 0 || Buffer.byteLength(name) - Buffer.byteLength(name.slice(0, dot)) > MAX_EXTENSION_BYTES) {
    return { stem: name, extension: '' }
  }
  return { stem: name.slice(0, dot), extension: name.slice(dot) }
}

/** The longest beginning of at most `bytes` UTF-8 bytes, cut between code points. */
export function cutName(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text
  let out = ''
  let used = 0
  for (const char of text) {
    used += Buffer.byteLength(char)
    if (used > bytes) break
    out += char
  }
  return out
}

/** `stem (suffix).extension`, the stem cut so that the whole fits. */
export function withSuffix(name: string, suffix: string): string {
  const { stem, extension } = splitName(name)
  const tail = ` (${suffix})${extension}`
  return cutName(stem, MAX_NAME_BYTES - Buffer.byteLength(tail)) + tail
}
