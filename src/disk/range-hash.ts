// A large file hashed in ranges, by several workers at once: each cuts from a start of its own, and where a cut of one range is a cut of
// the range before it, all cuts behind it are the same. Chunks cross threads packed: there may be very many of them.
import type { Chunk, ContentList } from '../core/content.ts'
import { listOf } from '../core/content-list.ts'
import { readChunks } from './content-read.ts'
import { chunkAt, type PackedChunks, packChunks } from './packed-chunks.ts'

/** Larger files are hashed in ranges of this size. */
export const RANGE_BYTES = 64 * 1024 * 1024
/** A range goes on so far into the next: two ways to cut mostly meet within a few hundred KiB. */
const OVERLAP_BYTES = 2 * 1024 * 1024

export interface Range {
  readonly from: number
  /** It ends with the chunk that ends here or behind it. */
  readonly until: number
}

export interface RangeChunks extends PackedChunks {
  readonly from: number
  /** Where the last one ends. */
  readonly end: number
}

/** What a content of that size is hashed in. */
export function rangesOf(size: number): Range[] {
  const untilOf = (from: number): number => Math.min(size, from + RANGE_BYTES + OVERLAP_BYTES)
  return Array.from({ length: Math.ceil(size / RANGE_BYTES) }, (_, at) => {
    const from = at * RANGE_BYTES
    return { from, until: untilOf(from) }
  })
}

/** Null where the file ends before it should. */
export function hashRange(fd: number, { from, until }: Range, size: number): RangeChunks | null {
  const chunks = readChunks(fd, from, size, until)
  const end = chunks.reduce((sum, { length }) => sum + length, from)
  if (end < until) return null
  return { from, end, ...packChunks(chunks) }
}

/** Of ranges each of which meets the one before. */
export function joinRanges(ranges: readonly RangeChunks[]): ContentList {
  const chunks: Chunk[] = []
  ranges.forEach((range, at) => {
    const before = ranges[at - 1]
    const meeting = before === undefined ? { dropped: 0, skipped: 0 } : meet(before, range)
    if (meeting === null) throw new RangeError('ranges that do not meet')
    chunks.length -= meeting.dropped
    for (let index = meeting.skipped; index < range.lengths.length; index++) chunks.push(chunkAt(range, index))
  })
  return listOf(chunks)
}

/** The first place where both are cut: how many of the first lie behind it, and how many of the next before it. Null: there is none. */
export function meet(first: RangeChunks, next: RangeChunks): { dropped: number; skipped: number } | null {
  const cuts = new Map<number, number>()
  const { lengths } = first
  for (let dropped = 0, at = first.end; at >= next.from && dropped <= lengths.length; dropped++) {
    cuts.set(at, dropped)
    at -= lengths[lengths.length - 1 - dropped] ?? 0
  }
  for (let skipped = 0, at = next.from; at <= first.end && skipped <= next.lengths.length; skipped++) {
    const dropped = cuts.get(at)
    if (dropped !== undefined) return { dropped, skipped }
    at += next.lengths[skipped] ?? 0
  }
  return null
}
