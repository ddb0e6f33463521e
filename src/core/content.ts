// What a content id names. Type 1: a content of one chunk, SHA-256 of its bytes. Type 2: SHA-256 over the encoded top list, which
// names segments, which name chunks; chunks and segments are cut by content (FastCDC; a segment ends where its last chunk's hash says).
// A content of up to SMALL_CONTENT_BYTES is always one chunk (an empty one too: one chunk of length 0).
import type { ContentId, Hash } from './ids.ts'

/** First byte of a content id: SHA-256, one chunk. */
export const SINGLE = 1
/** First byte of a content id: SHA-256 over a top list. */
export const LISTED = 2
/** Contents up to this many bytes travel whole on the link's stream. */
export const SMALL_CONTENT_BYTES = 64 * 1024
/** No chunk is longer. */
export const MAX_CHUNK_BYTES = 256 * 1024
/** Only the last chunk of a content, or the only one, is shorter. */
export const MIN_CHUNK_BYTES = 16 * 1024

export interface Chunk {
  readonly hash: Hash
  readonly length: number
}

/** A segment as listed in the top: the SHA-256 of its encoded chunk entries, and how many bytes of content it spans. */
export interface SegmentRef {
  readonly hash: Hash
  readonly length: number
}

/** The whole recipe of one content. `top` and `segments` are the encoded lists as stored and sent; empty for a single chunk. */
export interface ContentList {
  readonly content: ContentId
  readonly size: number
  readonly top: Uint8Array
  readonly segments: ReadonlyMap<Hash, Uint8Array>
  readonly chunks: readonly Chunk[]
}

export function isSingle(content: ContentId): boolean {
  return content.charCodeAt(0) === SINGLE
}

/** The chunk hash inside a single-chunk content id. */
export function singleHash(content: ContentId): Hash {
  return content.slice(1) as Hash
}

export function singleContent(hash: Hash): ContentId {
  return (String.fromCharCode(SINGLE) + hash) as ContentId
}
