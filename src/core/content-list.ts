// Contents as lists: how chunk entries and segment entries are encoded, where a segment ends, and how a list is checked against its
// content id. One content has one list: whatever decodes but is not the list that its author would have made is refused. Pure.
import { hash as nodeHash } from 'node:crypto'
import { cutAll } from './chunker.ts'
import type { Chunk, ContentList, SegmentRef } from './content.ts'
import { isSingle, LISTED, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, singleContent, singleHash } from './content.ts'
import { KithError } from './errors.ts'
import type { ContentId, Hash } from './ids.ts'
import { binary } from './ids.ts'

/** Bytes of one entry in a top or a segment: SHA-256, then the length it spans as a big-endian unsigned 32-bit number. */
const ENTRY_BYTES = 36
const HASH_BYTES = 32
const SEGMENT_MIN_CHUNKS = 64
const SEGMENT_MAX_CHUNKS = 256
/** A segment ends at a chunk whose hash ends in seven zero bits: 64 + 128 chunks on average. */
const SEGMENT_MASK = 0x7f
/** 64 MiB of segment entries: 10 TB and more of content. */
export const MAX_TOP_BYTES = 64 * 1024 * 1024
const MAX_SEGMENT_BYTES = SEGMENT_MAX_CHUNKS * ENTRY_BYTES

/** SHA-256 as a latin1 string. */
export function sha256(bytes: Uint8Array): Hash {
  return nodeHash('sha256', bytes, 'binary') as Hash
}

/** The recipe of bytes at hand. For up to a few MB (merged texts, symlink targets): bigger contents are hashed by the disk's workers. */
export function contentOf(bytes: Uint8Array): ContentList {
  const chunks: Chunk[] = []
  let at = 0
  for (const length of cutAll(bytes)) {
    chunks.push({ hash: sha256(bytes.subarray(at, at + length)), length })
    at += length
  }
  return listOf(chunks)
}

/** The recipe made of its chunks, in order: at least one. */
export function listOf(chunks: readonly Chunk[]): ContentList {
  const first = chunks[0]
  if (first === undefined) throw new RangeError('a content has at least one chunk')
  if (chunks.length === 1) return single(singleContent(first.hash), first.length)
  const segments = new Map<Hash, Uint8Array>()
  const refs: SegmentRef[] = []
  let size = 0
  for (const part of segmentsOf(chunks)) {
    const bytes = encode(part)
    const hash = sha256(bytes)
    const length = sum(part)
    segments.set(hash, bytes)
    refs.push({ hash, length })
    size += length
  }
  const top = encode(refs)
  return { content: topContent(top), size, top, segments, chunks }
}

/** How many chunks both begin with, but for the last of the shorter one: that one may go on in the other. */
export function commonChunks(some: readonly Chunk[], others: readonly Chunk[]): number {
  const most = Math.min(some.length, others.length) - 1
  let count = 0
  // A list that a peer made may have a chunk with another length than its bytes have, and all behind it would lie elsewhere.
  while (count < most && isSame(some[count], others[count])) count++
  return count
}

function isSame(a: Chunk | undefined, b: Chunk | undefined): boolean {
  return a?.hash === b?.hash && a?.length === b?.length
}

/** The recipe of a single-chunk content; `size` is what its record says. */
export function singleList(content: ContentId, size: number): ContentList {
  if (!isContentId(content) || !isSingle(content)) throw malformed('a content id of one chunk was expected')
  if (!Number.isSafeInteger(size) || size < 0 || size > MAX_CHUNK_BYTES)
    throw malformed('a single chunk cannot have that size')
  return single(content, size)
}

/** Is it 33 bytes with a hash id that this version knows? */
export function isContentId(text: string): text is ContentId {
  return text.length === 1 + HASH_BYTES && (text.charCodeAt(0) === 1 || text.charCodeAt(0) === LISTED)
}

/** Throws KithError `content-mismatch` where the bytes are no top list. */
export function decodeTop(bytes: Uint8Array): { segments: readonly SegmentRef[]; size: number } {
  if (bytes.length > MAX_TOP_BYTES) throw malformed('the list of segments is too long')
  const segments = decode(bytes, SEGMENT_MAX_CHUNKS * MAX_CHUNK_BYTES)
  const size = sum(segments)
  if (!Number.isSafeInteger(size)) throw malformed('the content is too large')
  return { segments, size }
}

/** Is this the list of segments that a listed content id names? */
export function isTopOf(content: ContentId, top: Uint8Array): boolean {
  return topContent(top) === content
}

/** Throws KithError `content-mismatch` where the bytes are no segment. */
export function decodeSegment(bytes: Uint8Array): Chunk[] {
  if (bytes.length > MAX_SEGMENT_BYTES) throw malformed('a segment is too long')
  return decode(bytes, MAX_CHUNK_BYTES)
}

/**
 * Checks everything: the top against the content id, each segment against the top, all lengths, and that chunks are grouped as their
 * hashes say. Throws KithError `content-mismatch`.
 */
export function buildList(content: ContentId, top: Uint8Array, segments: ReadonlyMap<Hash, Uint8Array>): ContentList {
  if (!isContentId(content) || isSingle(content)) throw malformed('a listed content id was expected')
  if (topContent(top) !== content) throw malformed('the list of segments does not match its content id')
  const decoded = decodeTop(top)
  const used = new Map<Hash, Uint8Array>()
  const chunks: Chunk[] = []
  const lengths: number[] = []
  for (const ref of decoded.segments) {
    const bytes = segments.get(ref.hash)
    if (bytes === undefined) throw malformed('a segment is missing')
    if (!used.has(ref.hash) && sha256(bytes) !== ref.hash) throw malformed('a segment does not match its hash')
    const part = decodeSegment(bytes)
    if (sum(part) !== ref.length) throw malformed('a segment does not have the length that its list says')
    used.set(ref.hash, bytes)
    lengths.push(part.length)
    for (const chunk of part) chunks.push(chunk)
  }
  checkCuts(chunks, lengths)
  return { content, size: decoded.size, top, segments: used, chunks }
}

function checkCuts(chunks: readonly Chunk[], lengths: readonly number[]): void {
  if (chunks.length < 2) throw malformed('a listed content has at least two chunks')
  const short = chunks.findIndex((chunk, index) => chunk.length < MIN_CHUNK_BYTES && index < chunks.length - 1)
  if (short >= 0) throw malformed('a chunk is too short')
  let index = 0
  for (const part of segmentsOf(chunks)) {
    if (part.length !== lengths[index++]) throw malformed('chunks are not grouped as their hashes say')
  }
}

function* segmentsOf(chunks: readonly Chunk[]): Iterable<readonly Chunk[]> {
  let start = 0
  for (let at = 0; at < chunks.length; at++) {
    const count = at - start + 1
    const last = (chunks[at] as Chunk).hash.charCodeAt(HASH_BYTES - 1)
    if (count === SEGMENT_MAX_CHUNKS || (count >= SEGMENT_MIN_CHUNKS && (last & SEGMENT_MASK) === 0)) {
      yield chunks.slice(start, at + 1)
      start = at + 1
    }
  }
  if (start < chunks.length) yield chunks.slice(start)
}

function encode(entries: readonly (Chunk | SegmentRef)[]): Uint8Array {
  const out = Buffer.allocUnsafeSlow(entries.length * ENTRY_BYTES)
  let at = 0
  for (const entry of entries) {
    out.write(entry.hash, at, HASH_BYTES, 'latin1')
    out.writeUInt32BE(entry.length, at + HASH_BYTES)
    at += ENTRY_BYTES
  }
  return out
}

function decode(bytes: Uint8Array, maxLength: number): { hash: Hash; length: number }[] {
  if (bytes.length === 0 || bytes.length % ENTRY_BYTES !== 0) throw malformed('a list is cut off')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const out: { hash: Hash; length: number }[] = []
  for (let at = 0; at < bytes.length; at += ENTRY_BYTES) {
    const length = view.getUint32(at + HASH_BYTES)
    if (length === 0 || length > maxLength) throw malformed('a list names an impossible length')
    out.push({ hash: binary(bytes.subarray(at, at + HASH_BYTES)) as Hash, length })
  }
  return out
}

function single(content: ContentId, size: number): ContentList {
  return {
    content,
    size,
    top: new Uint8Array(0),
    segments: new Map(),
    chunks: [{ hash: singleHash(content), length: size }],
  }
}

function topContent(top: Uint8Array): ContentId {
  return (String.fromCharCode(LISTED) + sha256(top)) as ContentId
}

function sum(entries: readonly { length: number }[]): number {
  let total = 0
  for (const entry of entries) total += entry.length
  return total
}

function malformed(message: string): KithError {
  return new KithError('content-mismatch', `A content list was refused: ${message}.`)
}

/** Do the bytes have this content id? */
export function matches(content: ContentId, bytes: Uint8Array): boolean {
  return isSingle(content) ? sha256(bytes) === singleHash(content) : contentOf(bytes).content === content
}
