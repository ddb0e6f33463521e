// A row as the table keeps it: its plain fields as they are, its stat and nodes packed into one string and unpacked when they are read.
// It looks and spreads like any other row, at a third of the memory; a folder of a million files has a million of them.
// Lossless; the packed form never leaves this process.
import type { Birth, Dot, Facts, NodeRef, Placement, Version } from './entry.ts'
import type { ActorId, ContentId, NodeId } from './ids.ts'
import type { Stat } from './ports.ts'
import type { Row } from './rows.ts'

const ID_BYTES = 16
const CONTENT_BYTES = 33
/** First byte of a number: below, the count of the bytes that follow, with its sign; or a double; from here on, the number itself. */
const NEGATIVE = 8
const DOUBLE = 16
const INLINE = 32
const INLINE_COUNT = 256 - INLINE

const SAME_FACTS = 1
const MERGED = 2
const METADATA_ONLY = 4
const BASE = 8
const COPY_OF = 16
const NO_CONTENT = 32
const SAME_NAME = 1
const PLACED = 2
const WIDE = 1

/** Not enumerable: a spread row is a plain one. */
const packed = Symbol('packed')

interface PackedFields {
  [packed]: string
}

const statProperty: PropertyDescriptor = {
  enumerable: true,
  get(this: Row & PackedFields) {
    return new Unpacker(this[packed]).stat()
  },
}

const nodesProperty: PropertyDescriptor = {
  enumerable: true,
  get(this: Row & PackedFields) {
    return new Unpacker(this[packed]).nodes(this)
  },
}

/** The same row, packed; itself where it is already. */
export function packRow(row: Row): Row {
  if (packed in row) return row
  const { id, parent, name, kind, content, size, mtime, mode, copy } = row
  const out = { id, parent, name, kind, content, size, mtime, mode, copy }
  Object.defineProperty(out, packed, { value: pack(row) })
  Object.defineProperty(out, 'stat', statProperty)
  Object.defineProperty(out, 'nodes', nodesProperty)
  return out as Row
}

let bytes = Buffer.allocUnsafe(4096)
let length = 0

function pack(row: Row): string {
  length = 0
  packStat(row.stat)
  packNumber(row.nodes.length)
  for (const node of row.nodes) packNode(node, row)
  return bytes.toString('latin1', 0, length)
}

function room(count: number): void {
  if (length + count <= bytes.length) return
  const grown = Buffer.allocUnsafe(Math.max(bytes.length * 2, length + count))
  bytes.copy(grown, 0, 0, length)
  bytes = grown
}

function packByte(value: number): void {
  room(1)
  bytes[length++] = value
}

function packNumber(value: number): void {
  room(9)
  if (!Number.isSafeInteger(value)) {
    bytes[length++] = DOUBLE
    length = bytes.writeDoubleBE(value, length)
    return
  }
  if (value >= 0 && value < INLINE_COUNT) {
    bytes[length++] = INLINE + value
    return
  }
  const head = length++
  const magnitude = Math.abs(value)
  // Two halves of 32 bits: many times faster than dividing.
  let low = magnitude >>> 0
  let high = (magnitude - low) / 0x1_0000_0000
  for (; high > 0 || low > 0; low = ((low >>> 8) | ((high & 0xff) << 24)) >>> 0, high >>>= 8)
    bytes[length++] = low & 0xff
  bytes[head] = length - head - 1 + (value < 0 ? NEGATIVE : 0)
}

/** Latin1 of a length that the reader knows. */
function packId(text: string): void {
  room(text.length)
  length += bytes.write(text, length, 'latin1')
}

function packText(text: string): void {
  let wide = 0
  for (let at = 0; at < text.length && wide === 0; at++) if (text.charCodeAt(at) > 255) wide = WIDE
  packByte(wide)
  packNumber(text.length)
  room(text.length * 2)
  length += bytes.write(text, length, wide === WIDE ? 'utf16le' : 'latin1')
}

function packStat(stat: Stat): void {
  packNumber(stat.dev)
  packNumber(stat.ino)
  packNumber(stat.birthUs)
  packNumber(stat.size)
  packNumber(stat.mtimeUs)
  packNumber(stat.ctimeUs)
  packNumber(stat.mode)
  packNumber(stat.links)
}

function packNode(node: NodeRef, row: Row): void {
  const sameName = node.birth.name === row.name
  packByte((sameName ? SAME_NAME : 0) | (node.placement === null ? 0 : PLACED))
  packId(node.id)
  packId(node.birth.parent)
  if (!sameName) packText(node.birth.name)
  packNumber(node.birth.generation)
  if (node.placement !== null) {
    packId(node.placement.parent)
    packText(node.placement.name)
    packNumber(node.placement.time)
    packNumber(node.placement.actor)
    packId(node.placement.previousParent)
    packText(node.placement.previousName)
  }
  packNumber(node.versions.length)
  for (const version of node.versions) packVersion(version, row)
}

function packVersion(version: Version, row: Row): void {
  const { content, size, mtime, mode } = version
  const sameFacts = content === row.content && size === row.size && mtime === row.mtime && mode === row.mode
  packByte(
    (sameFacts ? SAME_FACTS : 0) |
      (version.merged ? MERGED : 0) |
      (version.metadataOnly ? METADATA_ONLY : 0) |
      (version.base === null ? 0 : BASE) |
      (version.copyOf === null ? 0 : COPY_OF) |
      (content === '' ? NO_CONTENT : 0),
  )
  packDot(version.dot)
  if (!sameFacts) {
    packId(content)
    packNumber(size)
    packNumber(mtime)
    packNumber(mode)
  }
  if (version.base !== null) packDot(version.base)
  if (version.copyOf !== null) {
    packId(version.copyOf.node)
    packDot(version.copyOf.dot)
  }
}

function packDot(dot: Dot): void {
  packNumber(dot.actor)
  packNumber(dot.seq)
}

const scratch = new DataView(new ArrayBuffer(8))

class Unpacker {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  stat(): Stat {
    return {
      dev: this.#number(),
      ino: this.#number(),
      birthUs: this.#number(),
      size: this.#number(),
      mtimeUs: this.#number(),
      ctimeUs: this.#number(),
      mode: this.#number(),
      links: this.#number(),
    }
  }

  nodes(row: Row): NodeRef[] {
    this.stat()
    return this.#list(() => this.#node(row))
  }

  #list<T>(read: () => T): T[] {
    const out: T[] = []
    for (let count = this.#number(); count > 0; count--) out.push(read())
    return out
  }

  #node(row: Row): NodeRef {
    const flags = this.#byte()
    const id = this.#id(ID_BYTES) as NodeId
    const parent = this.#id(ID_BYTES) as NodeId
    const name = (flags & SAME_NAME) !== 0 ? row.name : this.#readText()
    const birth: Birth = { parent, name, generation: this.#number() }
    const placement = (flags & PLACED) !== 0 ? this.#placement() : null
    return { id, birth, placement, versions: this.#list(() => this.#version(row)) }
  }

  #placement(): Placement {
    return {
      parent: this.#id(ID_BYTES) as NodeId,
      name: this.#readText(),
      time: this.#number(),
      actor: this.#number() as ActorId,
      previousParent: this.#id(ID_BYTES) as NodeId,
      previousName: this.#readText(),
    }
  }

  #version(row: Row): Version {
    const flags = this.#byte()
    const dot = this.#dot()
    const { content, size, mtime, mode } = (flags & SAME_FACTS) !== 0 ? row : this.#facts(flags)
    const base = (flags & BASE) !== 0 ? this.#dot() : null
    const copyOf = (flags & COPY_OF) !== 0 ? { node: this.#id(ID_BYTES) as NodeId, dot: this.#dot() } : null
    const merged = (flags & MERGED) !== 0
    const metadataOnly = (flags & METADATA_ONLY) !== 0
    return { content, size, mtime, mode, dot, base, merged, metadataOnly, copyOf }
  }

  #facts(flags: number): Facts {
    return {
      content: this.#id((flags & NO_CONTENT) !== 0 ? 0 : CONTENT_BYTES) as ContentId,
      size: this.#number(),
      mtime: this.#number(),
      mode: this.#number(),
    }
  }

  #dot(): Dot {
    return { actor: this.#number() as ActorId, seq: this.#number() }
  }

  #byte(): number {
    return this.#text.charCodeAt(this.#at++)
  }

  #number(): number {
    const head = this.#byte()
    if (head >= INLINE) return head - INLINE
    if (head === DOUBLE) {
      for (let at = 0; at < 8; at++) scratch.setUint8(at, this.#byte())
      return scratch.getFloat64(0)
    }
    let value = 0
    const count = head & 7
    for (let at = this.#at + count - 1; at >= this.#at; at--) value = value * 256 + this.#text.charCodeAt(at)
    this.#at += count
    return head >= NEGATIVE ? -value : value
  }

  #id(count: number): string {
    this.#at += count
    return this.#text.slice(this.#at - count, this.#at)
  }

  #readText(): string {
    const wide = this.#byte() === WIDE
    const count = this.#number()
    const text = this.#id(wide ? count * 2 : count)
    return wide ? Buffer.from(text, 'latin1').toString('utf16le') : text
  }
}
