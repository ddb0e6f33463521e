// What the sweep of versions remembers, as bytes of a note: its clock, how far it had read the journal, and of each kept version when it was
// first seen, of which files it was, and whether it went in a mass change. What does not decode counts as nothing known: then ages are taken
// from the journal and the wall clock.
import type { ContentId, DeviceId, NodeId } from '../core/ids.ts'
import type { JournalEntry } from '../core/past.ts'
import type { Mass } from './mass-change.ts'

const FORMAT = 4
const HEAD_BYTES = 19
const FILE_BYTES = 8

/** One of the files that a content was a version of, and its place among the versions of that file that were seen when it was. */
export interface OfFile {
  /** `fileOf` the node, or the content where nobody knows the node. */
  readonly file: string
  readonly order: number
}

export interface Seen {
  /** By the sweep's clock. */
  readonly since: number
  readonly of: readonly OfFile[]
  readonly pinned: Pin | null
}

/** It went in a mass change. */
export interface Pin {
  /** When that was noticed, by the sweep's clock. */
  readonly at: number
  /** When that was, by a wall clock. */
  readonly time: number
}

export interface KnownMass extends Mass {
  /** When more of it was noticed, by the sweep's clock. */
  readonly at: number
}

export interface SweepNote {
  readonly clock: number
  /** The wall clock when it was written; 0: never. */
  readonly wall: number
  /** `entryKey` of the journal's newest entry by then; empty: it had none. */
  readonly newest: string
  readonly seen: ReadonlyMap<ContentId, Seen>
  /** Those of which something may be pinned; the newest is the last. */
  readonly masses: readonly KnownMass[]
}

/** How a file is named here. */
export function fileOf(id: NodeId | ContentId): string {
  return id.slice(0, FILE_BYTES).padEnd(FILE_BYTES, '\0')
}

/** Tells entries of one journal apart, but for the same done twice in one millisecond. */
export function entryKey({ time, action, node, facts }: JournalEntry): string {
  return `${time} ${action} ${node}${facts.content}`
}

export function encodeSweepNote({ clock, wall, newest, seen, masses }: SweepNote): Uint8Array {
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt8(FORMAT, 0)
  head.writeDoubleBE(clock, 1)
  head.writeDoubleBE(wall, 9)
  head.writeUInt16BE(newest.length, 17)
  const count = Buffer.alloc(2)
  count.writeUInt16BE(masses.length)
  const parts = [head, Buffer.from(newest, 'latin1'), count]
  for (const { device, first, last, at } of masses) {
    const part = Buffer.alloc(26 + device.length)
    let to = part.writeUInt16BE(device.length)
    to += part.write(device, to, 'latin1')
    for (const each of [first, last, at]) to = part.writeDoubleBE(each, to)
    parts.push(part)
  }
  for (const [content, { since, of, pinned }] of seen) {
    const part = Buffer.alloc(1 + content.length + 13 + (pinned === null ? 0 : 16) + of.length * (FILE_BYTES + 8))
    let at = part.writeUInt8(content.length, 0)
    at += part.write(content, at, 'latin1')
    at = part.writeDoubleBE(since, at)
    at = part.writeUInt8(pinned === null ? 0 : 1, at)
    if (pinned !== null) at = part.writeDoubleBE(pinned.time, part.writeDoubleBE(pinned.at, at))
    at = part.writeUInt32BE(of.length, at)
    for (const { file, order } of of) {
      at += part.write(file, at, 'latin1')
      at = part.writeDoubleBE(order, at)
    }
    parts.push(part)
  }
  return Buffer.concat(parts)
}

export function decodeSweepNote(stored: Uint8Array | undefined): SweepNote {
  const nothing = { clock: 0, wall: 0, newest: '', seen: new Map<ContentId, Seen>(), masses: [] }
  if (stored === undefined || stored[0] !== FORMAT) return nothing
  try {
    return decode(Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength))
  } catch (error) {
    // It ends too soon.
    if (error instanceof RangeError) return nothing
    throw error
  }
}

function decode(bytes: Buffer): SweepNote {
  const [clock, wall] = [bytes.readDoubleBE(1), bytes.readDoubleBE(9)]
  let at = 17
  const text = (length: number): string => {
    if (at + length > bytes.length) throw new RangeError('it ends too soon')
    at += length
    return bytes.toString('latin1', at - length, at)
  }
  const double = (): number => {
    at += 8
    return bytes.readDoubleBE(at - 8)
  }
  const short = (): number => {
    at += 2
    return bytes.readUInt16BE(at - 2)
  }
  const newest = text(short())
  const masses: KnownMass[] = []
  for (let left = short(); left > 0; left--)
    masses.push({ device: text(short()) as DeviceId, first: double(), last: double(), at: double() })
  const seen = new Map<ContentId, Seen>()
  while (at < bytes.length) {
    at += 1
    const content = text(bytes.readUInt8(at - 1)) as ContentId
    const since = double()
    at += 1
    const pinned = bytes.readUInt8(at - 1) === 1 ? { at: double(), time: double() } : null
    at += 4
    const count = bytes.readUInt32BE(at - 4)
    const of: OfFile[] = []
    while (of.length < count) of.push({ file: text(FILE_BYTES), order: double() })
    seen.set(content, { since, of, pinned })
  }
  return { clock, wall, newest, seen, masses }
}
