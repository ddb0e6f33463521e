// What the sweep of versions remembers, as bytes of a note: its clock, and of each kept version when it was first seen and of which file it
// was. What does not decode counts as nothing known: then every version is new, and none goes for a day.
import type { ContentId, NodeId } from '../core/ids.ts'

const FORMAT = 1
const HEAD_BYTES = 17
const FILE_BYTES = 8

export interface Seen {
  /** By the sweep's clock. */
  readonly since: number
  readonly order: number
  /** `fileOf` the node, or the content where nobody knows the node. */
  readonly of: string
}

export interface SweepNote {
  readonly clock: number
  /** The wall clock when it was written; 0: never. */
  readonly wall: number
  readonly seen: ReadonlyMap<ContentId, Seen>
}

/** How a file is named here. */
export function fileOf(id: NodeId | ContentId): string {
  return id.slice(0, FILE_BYTES).padEnd(FILE_BYTES, '\0')
}

export function encodeSweepNote({ clock, wall, seen }: SweepNote): Uint8Array {
  const parts = [Buffer.alloc(HEAD_BYTES)]
  parts[0]?.writeUInt8(FORMAT, 0)
  parts[0]?.writeDoubleBE(clock, 1)
  parts[0]?.writeDoubleBE(wall, 9)
  for (const [content, { since, order, of }] of seen) {
    const part = Buffer.alloc(1 + content.length + 16 + FILE_BYTES)
    part.writeUInt8(content.length, 0)
    part.write(content, 1, 'latin1')
    part.writeDoubleBE(since, 1 + content.length)
    part.writeDoubleBE(order, 9 + content.length)
    part.write(of, 17 + content.length, 'latin1')
    parts.push(part)
  }
  return Buffer.concat(parts)
}

export function decodeSweepNote(stored: Uint8Array | undefined): SweepNote {
  const seen = new Map<ContentId, Seen>()
  const nothing = { clock: 0, wall: 0, seen }
  if (stored === undefined || stored.length < HEAD_BYTES || stored[0] !== FORMAT) return nothing
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength)
  for (let at = HEAD_BYTES; at < bytes.length; ) {
    const end = at + 1 + (bytes[at] ?? 0)
    if (end + 16 + FILE_BYTES > bytes.length) return nothing
    const since = bytes.readDoubleBE(end)
    const order = bytes.readDoubleBE(end + 8)
    const of = bytes.toString('latin1', end + 16, end + 16 + FILE_BYTES)
    seen.set(bytes.toString('latin1', at + 1, end) as ContentId, { since, order, of })
    at = end + 16 + FILE_BYTES
  }
  return { clock: bytes.readDoubleBE(1), wall: bytes.readDoubleBE(9), seen }
}
