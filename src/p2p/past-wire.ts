// Questions and answers about the past in the form in which they travel: ids and contents packed into one blob, the rest in the header. It
// promises that what it unpacks has legal paths and the lengths that were announced, and that no frame it fills is larger than allowed.
import type { Facts } from '../core/entry.ts'
import type { ContentId, NodeId } from '../core/ids.ts'
import { binary } from '../core/ids.ts'
import { isLegalName } from '../core/names.ts'
import type { JournalEntry } from '../core/past.ts'
import { MAX_HISTORY, type PastQuery } from '../core/ports.ts'
import { broken } from './frame.ts'
import type { SyncMessage } from './wire.ts'
import { CONTENT_ID_BYTES, MAX_ENTRIES, MAX_PAST_PATH, NODE_BYTES } from './wire.ts'

const QUERY_BYTES = NODE_BYTES + CONTENT_ID_BYTES
/** Node, content, the content before. */
const ENTRY_BYTES = NODE_BYTES + 2 * CONTENT_ID_BYTES
/** Of one frame's header: paths as UTF-8, and what the rest of an entry takes at most. */
const ENTRIES_HEADER_BYTES = 128 * 1024
const ENTRY_HEADER_BYTES = 300

type WireEntry = Extract<SyncMessage, { type: 'events' }>['entries'][number]

export interface EntryPiece {
  readonly entries: readonly WireEntry[]
  readonly blob: Uint8Array
}

export function packQueries(queries: readonly PastQuery[]): Uint8Array {
  const out = Buffer.alloc(queries.length * QUERY_BYTES)
  for (const [at, { node, content }] of queries.entries()) {
    out.write(node ?? '', at * QUERY_BYTES, 'latin1')
    out.write(content, at * QUERY_BYTES + NODE_BYTES, 'latin1')
  }
  return out
}

export function unpackQueries(queries: readonly Pick<PastQuery, 'path' | 'kind'>[], blob: Uint8Array): PastQuery[] {
  if (blob.byteLength !== queries.length * QUERY_BYTES) throw broken('questions of a wrong length')
  return queries.map(({ path, kind }, at) => {
    const node = idAt(blob, at * QUERY_BYTES, NODE_BYTES) as NodeId
    const content = idAt(blob, at * QUERY_BYTES + NODE_BYTES, CONTENT_ID_BYTES) as ContentId
    return { path, kind, node: node === '' ? null : node, content }
  })
}

/** The entries in as many pieces as are needed, each for one frame; what no frame could hold is left out. */
export function packEntries(all: readonly JournalEntry[]): EntryPiece[] {
  const pieces: EntryPiece[] = []
  let some: JournalEntry[] = []
  let bytes = 0
  const flush = (): void => {
    if (some.length > 0) pieces.push({ entries: some.map(wireOf), blob: packIds(some) })
    some = []
    bytes = 0
  }
  for (const entry of all.slice(0, MAX_HISTORY)) {
    if (!mayTravel(entry.path) || (entry.was !== null && !mayTravel(entry.was.path))) continue
    const size = ENTRY_HEADER_BYTES + Buffer.byteLength(entry.path) + Buffer.byteLength(entry.was?.path ?? '')
    if (some.length === MAX_ENTRIES || bytes + size > ENTRIES_HEADER_BYTES) flush()
    some.push(entry)
    bytes += size
  }
  flush()
  return pieces
}

/** Entries whose paths are none are left out. */
export function unpackEntries(entries: readonly WireEntry[], blob: Uint8Array): JournalEntry[] {
  if (blob.byteLength !== entries.length * ENTRY_BYTES) throw broken('entries of a wrong length')
  const out: JournalEntry[] = []
  for (const [at, entry] of entries.entries()) {
    const start = at * ENTRY_BYTES
    const { time, device, action, kind, path, was } = entry
    const node = idAt(blob, start, NODE_BYTES) as NodeId
    const content = idAt(blob, start + NODE_BYTES, CONTENT_ID_BYTES) as ContentId
    const before = idAt(blob, start + NODE_BYTES + CONTENT_ID_BYTES, CONTENT_ID_BYTES) as ContentId
    if (node === '' || !isPath(path) || (was !== null && !isPath(was.path))) continue
    const facts = { content, ...entry.facts }
    const stood = was === null ? null : { path: was.path, facts: { content: before, ...was.facts } }
    out.push({ time, device, action, kind, node, path, facts, was: stood })
  }
  return out
}

function wireOf({ time, device, action, kind, path, facts, was }: JournalEntry): WireEntry {
  const stood = was === null ? null : { path: was.path, facts: plain(was.facts) }
  return { time, device, action, kind, path, facts: plain(facts), was: stood }
}

function plain({ size, mtime, mode }: Facts): Omit<Facts, 'content'> {
  return { size, mtime, mode }
}

function packIds(entries: readonly JournalEntry[]): Uint8Array {
  const out = Buffer.alloc(entries.length * ENTRY_BYTES)
  for (const [at, { node, facts, was }] of entries.entries()) {
    const start = at * ENTRY_BYTES
    out.write(node, start, 'latin1')
    out.write(facts.content, start + NODE_BYTES, 'latin1')
    out.write(was?.facts.content ?? '', start + NODE_BYTES + CONTENT_ID_BYTES, 'latin1')
  }
  return out
}

/** All zeros stand for no node (the root is never asked about) and no content. */
function idAt(blob: Uint8Array, from: number, length: number): string {
  const bytes = blob.subarray(from, from + length)
  return bytes.some(byte => byte !== 0) ? binary(bytes) : ''
}

function mayTravel(path: string): boolean {
  return path.length <= MAX_PAST_PATH
}

function isPath(path: string): boolean {
  return path.split('/').every(isLegalName)
}
