// Reading pieces of contents where they lie, in a worker: what lies in one file is read through one handle into one buffer, what lies there
// one behind the other with one call. Pieces that a peer asked for are hashed here, so that no other thread has to.
import { sha256 } from '../core/content-list.ts'
import type { Hash } from '../core/ids.ts'
import type { ContentPlace, PlacedRead } from '../core/ports.ts'
import { readFully } from './beneath.ts'
import { type Root, type Source, withSource } from './source.ts'
import { isSame } from './stat.ts'
import { Movable } from './transfer.ts'

export interface PieceRead extends PlacedRead {
  readonly hashed: boolean
}

export interface Piece {
  readonly bytes: Uint8Array
  /** Null where it was not asked for. */
  readonly hash: Hash | null
}

export interface ReadTask {
  readonly do: 'read'
  readonly root: Root
  readonly reads: readonly PieceRead[]
}

export function readAll({ root, reads }: ReadTask): Movable<readonly (Piece | null)[]> {
  const found = readEach(root, reads)
  return new Movable(
    found.map((bytes, at) => bytes && { bytes, hash: reads[at]?.hashed === true ? sha256(bytes) : null }),
    found.flatMap(bytes => (bytes === null || bytes.length === 0 ? [] : [bytes.buffer])),
  )
}

/** Null for those that are not there as said. */
export function readEach(root: Root, reads: readonly PlacedRead[]): (Uint8Array | null)[] {
  const found: (Uint8Array | null)[] = []
  for (let at = 0; at < reads.length; ) {
    const first = reads[at] as PlacedRead
    let end = at + 1
    while (end < reads.length && isSamePlace(first.place, (reads[end] as PlacedRead).place)) end++
    found.push(...readPieces(root, first.place, reads.slice(at, end)))
    at = end
  }
  return found
}

function readPieces(root: Root, place: ContentPlace, pieces: readonly PlacedRead[]): readonly (Uint8Array | null)[] {
  const none = pieces.map(() => null)
  try {
    return withSource(root, place, source => piecesOf(source, pieces)) ?? none
  } catch {
    // The port's answer to "not there as said", whatever the reason; the next scan says why.
    return none
  }
}

function piecesOf(source: Source, pieces: readonly PlacedRead[]): (Uint8Array | null)[] {
  const lengths = pieces.map(({ offset, length }) => Math.min(length, source.size - offset))
  const { fd } = source
  if (fd === null)
    return pieces.map(({ offset }, at) =>
      (lengths[at] as number) < 0 ? null : source.read(offset, lengths[at] as number),
    )
  const buffer = Buffer.allocUnsafeSlow(lengths.reduce((sum, length) => sum + Math.max(0, length), 0))
  const found: (Uint8Array | null)[] = []
  let filled = 0
  for (let at = 0; at < pieces.length; ) {
    const { offset } = pieces[at] as PlacedRead
    const end = endOfRun(pieces, lengths, at)
    const wanted = lengths.slice(at, end).reduce((sum, length) => sum + length, 0)
    const isThere = wanted >= 0 && readFully(fd, buffer.subarray(filled, filled + wanted), offset) === wanted
    for (const length of lengths.slice(at, end)) {
      found.push(isThere ? buffer.subarray(filled, filled + length) : null)
      filled += Math.max(0, length)
    }
    at = end
  }
  return found
}

/** Up to which piece they lie one behind the other, from `at` on. */
function endOfRun(pieces: readonly PlacedRead[], lengths: readonly number[], at: number): number {
  let end = at + 1
  let next = (pieces[at] as PlacedRead).offset + (lengths[at] as number)
  while ((lengths[at] as number) > 0 && pieces[end]?.offset === next && (lengths[end] as number) > 0) {
    next += lengths[end] as number
    end++
  }
  return end
}

/** The same row of the same moment: the very same object, or what says the same of it. */
function isSamePlace(a: ContentPlace, b: ContentPlace): boolean {
  if (a.at !== 'file' || b.at !== 'file')
    return a.at === b.at && a.at !== 'file' && b.at !== 'file' && a.content === b.content
  return a.path === b.path && a.kind === b.kind && isSame(a.stat, b.stat, 'file')
}
