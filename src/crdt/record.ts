// The codec of records, as latin1 strings of their bytes: the whole state of one node, the registration of an actor, or which nodes an
// actor deleted. Canonical: one node state has one encoding. The format is final: what this code does not know (flag bits, hash ids) is `opaque`, kept and
// never rewritten. Decoding never trusts: anything malformed throws RecordError.
import { hash } from 'node:crypto'
import { LISTED, SINGLE } from '../core/content.ts'
import type { Birth, Dot, Kind, Node, Placement, Version } from '../core/entry.ts'
import type { ActorId, ContentId, DeviceId, DocId, NodeId } from '../core/ids.ts'
import { DOC_COUNT } from '../core/ids.ts'
import { normalName } from '../core/names.ts'

export const MAX_RECORD_BYTES = 64 * 1024
export const MAX_VERSIONS = 256
/** Sequence numbers and times are milliseconds; beyond this (the year 37,000) they are not. */
export const MAX_TIME = 2 ** 50
const MAX_CONTEXT = 4096
const MAX_ACTOR = Number.MAX_SAFE_INTEGER
const MAX_MTIME = 8.64e15
const ID_BYTES = 16
const CONTENT_BYTES = 33
const MAX_TEXT_BYTES = 255
/** Of the ids in a deletion: enough to tell one from another. */
const DELETED_ID_BYTES = 8
export const MAX_DELETED = 4_000

const KINDS = ['file', 'directory', 'symlink'] as const
const ACTOR = 3
const PLACED = 4
const DELETION = ACTOR | PLACED
const KNOWN_FLAGS = 7
const MERGED = 1
const METADATA_ONLY = 2
const HAS_BASE = 4
const HAS_COPY = 8
const KNOWN_VERSION_FLAGS = 15
const FOLDS_CASE = 1

export interface ActorRecord {
  readonly actor: ActorId
  readonly device: DeviceId
  readonly label: string
  readonly foldsCase: boolean
}

/**
 * Who deleted what: a file's records go with it, and nothing else would say whose doing that was. Its writer is the actor; it changes
 * nothing that shows.
 */
export interface Deletion {
  /** A sequence number of the actor, above all versions that went. */
  readonly time: number
  /** The document that it stands in, as the records did that went. */
  readonly doc: DocId
  /** The first bytes of the ids, ascending. */
  readonly nodes: readonly string[]
}

export type Decoded =
  | { readonly type: 'node'; readonly node: Node }
  | { readonly type: 'actor'; readonly actor: ActorRecord }
  | { readonly type: 'deletion'; readonly deletion: Deletion }
  | { readonly type: 'opaque' }

export class RecordError extends Error {}

const HIGH = /[\x80-\xff]/
const OPAQUE: Decoded = { type: 'opaque' }

function kindNumber(kind: Kind): number {
  return KINDS.indexOf(kind)
}

/** First 16 bytes of SHA-256(parent ‖ kind ‖ generation ‖ NFC(name)). */
export function nodeId(parent: NodeId, name: string, generation: number, kind: Kind): NodeId {
  const text = Buffer.from(normalName(name), 'utf8')
  const input = Buffer.allocUnsafe(ID_BYTES + 5 + text.length)
  input.write(parent, 0, 'latin1')
  input[ID_BYTES] = kindNumber(kind)
  input.writeUInt32BE(generation, ID_BYTES + 1)
  text.copy(input, ID_BYTES + 5)
  return hash('sha256', input, 'buffer').toString('latin1', 0, ID_BYTES) as NodeId
}

class Writer {
  #bytes = Buffer.allocUnsafe(512)
  #at = 0

  #room(count: number): void {
    if (this.#at + count <= this.#bytes.length) return
    const bigger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + count))
    this.#bytes.copy(bigger, 0, 0, this.#at)
    this.#bytes = bigger
  }

  byte(value: number): void {
    this.#room(1)
    this.#bytes[this.#at++] = value
  }

  uint(value: number): void {
    this.#room(8)
    let rest = value
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.#at++] = rest
  }

  raw(latin1: string): void {
    this.#room(latin1.length)
    this.#at += this.#bytes.write(latin1, this.#at, 'latin1')
  }

  text(value: string): void {
    const length = Buffer.byteLength(value)
    this.uint(length)
    this.#room(length)
    this.#at += this.#bytes.write(value, this.#at, 'utf8')
  }

  take(): string {
    const out = this.#bytes.toString('latin1', 0, this.#at)
    this.#at = 0
    return out
  }
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  get done(): boolean {
    return this.#at === this.#text.length
  }

  byte(): number {
    if (this.#at >= this.#text.length) throw new RecordError('short record')
    return this.#text.charCodeAt(this.#at++)
  }

  uint(max: number): number {
    let value = 0
    let unit = 1
    for (;;) {
      const byte = this.byte()
      value += (byte & 0x7f) * unit
      if (value > max) throw new RecordError('number out of range')
      if (byte < 0x80) return value
      unit *= 0x80
      if (unit > 2 ** 53) throw new RecordError('number out of range')
    }
  }

  raw(length: number): string {
    if (this.#at + length > this.#text.length) throw new RecordError('short record')
    const out = this.#text.slice(this.#at, this.#at + length)
    this.#at += length
    return out
  }

  text(): string {
    const raw = this.raw(this.uint(MAX_TEXT_BYTES))
    return HIGH.test(raw) ? Buffer.from(raw, 'latin1').toString('utf8') : raw
  }
}

const writer = new Writer()

function byActor(a: Dot, b: Dot): number {
  return a.actor - b.actor || a.seq - b.seq
}

export function encodeNode(node: Node): string {
  writer.byte(kindNumber(node.kind) | (node.placement === null ? 0 : PLACED))
  writer.raw(node.birth.parent)
  writer.text(node.birth.name)
  writer.uint(node.birth.generation)
  if (node.placement !== null) writePlacement(node.placement)
  const context = [...node.context].sort((a, b) => a[0] - b[0])
  writer.uint(context.length)
  for (const [actor, seq] of context) {
    writer.uint(actor)
    writer.uint(seq)
  }
  writer.uint(node.versions.length)
  for (const version of [...node.versions].sort((a, b) => byActor(a.dot, b.dot))) writeVersion(version, context)
  return writer.take()
}

function writePlacement(placement: Placement): void {
  writer.raw(placement.parent)
  writer.text(placement.name)
  writer.uint(placement.time)
  writer.uint(placement.actor)
  writer.raw(placement.previousParent)
  writer.text(placement.previousName)
}

function writeVersion(version: Version, context: readonly (readonly [ActorId, number])[]): void {
  const index = context.findIndex(([actor]) => actor === version.dot.actor)
  const seen = context[index]
  if (seen === undefined || seen[1] < version.dot.seq) throw new RecordError('a version outside its context')
  writer.uint(index)
  writer.uint(seen[1] - version.dot.seq)
  writer.byte(
    (version.merged ? MERGED : 0) |
      (version.metadataOnly ? METADATA_ONLY : 0) |
      (version.base === null ? 0 : HAS_BASE) |
      (version.copyOf === null ? 0 : HAS_COPY),
  )
  writer.byte(version.content.length)
  writer.raw(version.content)
  writer.uint(version.size)
  writer.uint(version.mtime >= 0 ? version.mtime * 2 : -version.mtime * 2 - 1)
  writer.uint(version.mode)
  if (version.base !== null) writeDot(version.base)
  if (version.copyOf !== null) {
    writer.raw(version.copyOf.node)
    writeDot(version.copyOf.dot)
  }
}

function writeDot(dot: Dot): void {
  writer.uint(dot.actor)
  writer.uint(dot.seq)
}

export function encodeActor(record: ActorRecord): string {
  writer.byte(ACTOR)
  writer.uint(record.actor)
  writer.text(record.device)
  writer.text(record.label)
  writer.byte(record.foldsCase ? FOLDS_CASE : 0)
  return writer.take()
}

export function deletedId(id: NodeId): string {
  return id.slice(0, DELETED_ID_BYTES)
}

/** At most MAX_DELETED of them. */
export function encodeDeletion({ time, doc, nodes }: Deletion): string {
  writer.byte(DELETION)
  writer.uint(doc)
  writer.uint(time)
  writer.uint(nodes.length)
  for (const id of nodes) writer.raw(id)
  return writer.take()
}

/** Throws RecordError. `node.id` is computed, unless the caller knows it. */
export function decodeRecord(record: string, known: NodeId | null = null): Decoded {
  const reader = new Reader(record)
  const head = reader.byte()
  if ((head & ~KNOWN_FLAGS) !== 0) return OPAQUE
  if (head === DELETION) return readDeletion(reader)
  if (head === ACTOR) return readActor(reader)
  const kind = KINDS[head & 3]
  if (kind === undefined) throw new RecordError('unknown kind')
  const birth = readBirth(reader)
  const placement = (head & PLACED) === 0 ? null : readPlacement(reader)
  const context = readContext(reader)
  const versions = readVersions(reader, kind, context)
  if (versions === null) return OPAQUE
  if (!reader.done) throw new RecordError('bytes after the record')
  const id = known ?? nodeId(birth.parent, birth.name, birth.generation, kind)
  return { type: 'node', node: { id, kind, birth, placement, context: new Map(context), versions } }
}

/** The strict test of a record from outside: it is the one encoding of what it says. Throws RecordError. */
export function checkRecord(record: string): Decoded {
  if (record.length > MAX_RECORD_BYTES) throw new RecordError('record too long')
  const decoded = decodeRecord(record)
  if (decoded.type === 'node' && encodeNode(decoded.node) !== record) throw new RecordError('record is not canonical')
  if (decoded.type === 'actor' && encodeActor(decoded.actor) !== record)
    throw new RecordError('record is not canonical')
  if (decoded.type === 'deletion' && encodeDeletion(decoded.deletion) !== record)
    throw new RecordError('record is not canonical')
  return decoded
}

function readDeletion(reader: Reader): Decoded {
  const doc = reader.uint(DOC_COUNT - 1) as DocId
  const time = reader.uint(MAX_TIME)
  const count = reader.uint(MAX_DELETED)
  const nodes: string[] = []
  for (let last = ''; nodes.length < count; nodes.push(last)) {
    const id = reader.raw(DELETED_ID_BYTES)
    if (id <= last) throw new RecordError('deletions out of order')
    last = id
  }
  if (!reader.done || count === 0) throw new RecordError('malformed deletion')
  return { type: 'deletion', deletion: { time, doc, nodes } }
}

function readActor(reader: Reader): Decoded {
  const actor = reader.uint(MAX_ACTOR) as ActorId
  const device = reader.text() as DeviceId
  const label = reader.text()
  const flags = reader.byte()
  if ((flags & ~FOLDS_CASE) !== 0) return OPAQUE
  if (!reader.done || actor === 0 || device === '' || !/^[A-Za-z0-9._-]{1,20}$/.test(label)) {
    throw new RecordError('malformed actor')
  }
  return { type: 'actor', actor: { actor, device, label, foldsCase: flags !== 0 } }
}

function readBirth(reader: Reader): Birth {
  const parent = reader.raw(ID_BYTES) as NodeId
  const name = reader.text()
  const generation = reader.uint(0xffffffff)
  if (name === '') throw new RecordError('empty name')
  return { parent, name, generation }
}

function readPlacement(reader: Reader): Placement {
  const parent = reader.raw(ID_BYTES) as NodeId
  const name = reader.text()
  const time = reader.uint(MAX_TIME)
  const actor = reader.uint(MAX_ACTOR) as ActorId
  const previousParent = reader.raw(ID_BYTES) as NodeId
  const previousName = reader.text()
  if (name === '' || previousName === '') throw new RecordError('empty name')
  return { parent, name, time, actor, previousParent, previousName }
}

function readContext(reader: Reader): (readonly [ActorId, number])[] {
  const count = reader.uint(MAX_CONTEXT)
  const out: (readonly [ActorId, number])[] = []
  let last = 0
  for (let i = 0; i < count; i++) {
    const actor = reader.uint(MAX_ACTOR)
    const seq = reader.uint(MAX_TIME)
    if (actor <= last || seq === 0) throw new RecordError('malformed context')
    last = actor
    out.push([actor as ActorId, seq])
  }
  return out
}

/** Null for what a later format may mean. */
function readVersions(reader: Reader, kind: Kind, context: readonly (readonly [ActorId, number])[]): Version[] | null {
  const count = reader.uint(MAX_VERSIONS)
  const out: Version[] = []
  let last: Dot | null = null
  for (let i = 0; i < count; i++) {
    const seen = context[reader.uint(MAX_CONTEXT)]
    if (seen === undefined) throw new RecordError('a version outside its context')
    const dot: Dot = { actor: seen[0], seq: seen[1] - reader.uint(seen[1] - 1) }
    if (last !== null && byActor(last, dot) >= 0) throw new RecordError('versions out of order')
    last = dot
    const version = readVersion(reader, kind, dot)
    if (version === null) return null
    out.push(version)
  }
  return out
}

function readVersion(reader: Reader, kind: Kind, dot: Dot): Version | null {
  const flags = reader.byte()
  if ((flags & ~KNOWN_VERSION_FLAGS) !== 0) return null
  const content = reader.raw(reader.byte()) as ContentId
  if (kind === 'directory' ? content !== '' : content.length !== CONTENT_BYTES || !knownHash(content)) {
    if (kind !== 'directory' && content !== '') return null
    throw new RecordError('malformed content id')
  }
  const size = reader.uint(Number.MAX_SAFE_INTEGER)
  const zigzag = reader.uint(Number.MAX_SAFE_INTEGER)
  const mtime = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2
  const mode = reader.uint(0o777)
  if (Math.abs(mtime) > MAX_MTIME) throw new RecordError('malformed mtime')
  const base = (flags & HAS_BASE) === 0 ? null : readDot(reader)
  const copyOf = (flags & HAS_COPY) === 0 ? null : { node: reader.raw(ID_BYTES) as NodeId, dot: readDot(reader) }
  const metadataOnly = (flags & METADATA_ONLY) !== 0
  if (metadataOnly && base === null) throw new RecordError('metadata of nothing')
  return { dot, content, size, mtime, mode, base, merged: (flags & MERGED) !== 0, metadataOnly, copyOf }
}

function knownHash(content: ContentId): boolean {
  const id = content.charCodeAt(0)
  return id === SINGLE || id === LISTED
}

function readDot(reader: Reader): Dot {
  const actor = reader.uint(MAX_ACTOR) as ActorId
  const seq = reader.uint(MAX_TIME)
  if (actor === 0 || seq === 0) throw new RecordError('malformed dot')
  return { actor, seq }
}
