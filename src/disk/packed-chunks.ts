// Chunks as they cross threads: two values for all of them, for there may be millions.
import type { Chunk } from '../core/content.ts'
import type { Hash } from '../core/ids.ts'

const HASH_CHARS = 32

export interface PackedChunks {
  /** One behind the other. */
  readonly hashes: string
  readonly lengths: Uint32Array<ArrayBuffer>
}

export function packChunks(chunks: readonly Chunk[]): PackedChunks {
  return { hashes: chunks.map(({ hash }) => hash).join(''), lengths: Uint32Array.from(chunks, ({ length }) => length) }
}

export function chunkAt({ hashes, lengths }: PackedChunks, index: number): Chunk {
  return {
    hash: hashes.slice(index * HASH_CHARS, (index + 1) * HASH_CHARS) as Hash,
    length: lengths[index] as number,
  }
}

export function unpackChunks(packed: PackedChunks): Chunk[] {
  return Array.from(packed.lengths, (_, index) => chunkAt(packed, index))
}
