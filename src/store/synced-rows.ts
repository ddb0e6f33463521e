// The codec of one synced row and of what one is about to become, and the sum by which the loss of any of them shows. A row says most
// things twice (its facts and those of its version, its name and its birth's): what is equal is written once.

import type { Birth, Dot, Facts, Kind, NodeRef, Placement, Version } from '../core/entry.ts'
import { sameFacts } from '../core/entry.ts'
import type { ActorId, ContentId, NodeId, RowId } from '../core/ids.ts'
import type { Intent, Stat } from '../core/ports.ts'
import type { Row } from '../core/rows.ts'
import { Reader, Writer } from './codec.ts'

const ROW_FORMAT = 1
const KINDS: readonly Kind[] = ['file', 'directory', 'symlink']
const COPY = 4
const NODE_BYTES = 16
const CONTENT_BYTES = 33
/** Bounds that only damage exceeds. */
const MAX_NAME_BYTES = 1 << 16
const MAX_PATH_BYTES = 1 << 24
const MAX_NODES = 1 << 20
const MAX_VERSIONS = 1 << 16

/** No row has it: the root's is the first. */
const NEW = 0

/** Flags of a version. */
const SAME_FACTS = 1
const MERGED = 2
const METADATA_ONLY = 4
const BASE = 8
const COPY_OF = 16
/** Flags of a stat: which times are not written as differences. */
const MTIME_WHOLE = 1
const CTIME_WHOLE = 2
const BIRTH_WHOLE = 4
/** Flags of a node. */
const SAME_NAME = 1
const PLACED = 2

export class RowCodec {
  readonly #writer = new Writer()
  /** Ids of directories: one string for all rows that name it. */
  readonly #nodes = new Map<string, NodeId>()

  encode(row: Row): Buffer {
    this.#write(row)
    return this.#writer.take()
  }

  decode(id: RowId, payload: Buffer): Row {
    const input = new Reader(payload, () => `rows ${id}`)
    const row = this.#read(id, input)
    input.end()
    return row
  }

  encodeIntents(intents: readonly Intent[]): Buffer {
    const out = this.#writer
    out.number(intents.length)
    for (const { path, was, row } of intents) {
      out.text(path)
      out.number(was ?? NEW)
      out.number(row.id)
      this.#write(row)
    }
    return out.take()
  }

  decodeIntents(payload: Buffer): Intent[] {
    const input = new Reader(payload, () => 'intents')
    const intents: Intent[] = []
    for (let count = input.count(); count > 0; count--) {
      const path = input.text(MAX_PATH_BYTES)
      const was = input.count() as RowId
      const row = this.#read(input.count() as RowId, input)
      intents.push({ path, was: was === NEW ? null : was, row })
    }
    input.end()
    return intents
  }

  #write(row: Row): void {
    const out = this.#writer
    out.byte(ROW_FORMAT)
    out.byte(KINDS.indexOf(row.kind) + (row.copy ? COPY : 0))
    out.number(row.parent)
    out.text(row.name)
    writeFacts(out, row)
    writeStat(out, row)
    out.number(row.nodes.length)
    for (const node of row.nodes) writeNode(out, node, row)
  }

  #read(id: RowId, input: Reader): Row {
    if (input.byte() !== ROW_FORMAT) input.fail('its format is unknown')
    const flags = input.byte()
    const kind = KINDS[flags & 3] ?? input.fail('its kind is unknown')
    if (flags > (3 | COPY)) input.fail('it has unknown flags')
    const parent = input.count() as RowId
    const name = input.text(MAX_NAME_BYTES)
    const facts = readFacts(input)
    const stat = readStat(input, facts)
    const nodes: NodeRef[] = []
    for (let count = input.count(MAX_NODES); count > 0; count--) nodes.push(this.#readNode(input, name, facts))
    return { id, parent, name, kind, stat, copy: (flags & COPY) !== 0, nodes, ...facts }
  }

  /** The strings that were shared while decoding may go. */
  forget(): void {
    this.#nodes.clear()
  }

  #readNode(input: Reader, name: string, facts: Facts): NodeRef {
    const flags = input.byte()
    if (flags > (SAME_NAME | PLACED)) input.fail('a node has unknown flags')
    const id = input.binary(NODE_BYTES) as NodeId
    const birth: Birth = {
      parent: this.#shared(input.binary(NODE_BYTES)),
      name: (flags & SAME_NAME) !== 0 ? name : input.text(MAX_NAME_BYTES),
      generation: input.count(),
    }
    const placement = (flags & PLACED) !== 0 ? this.#readPlacement(input) : null
    const versions: Version[] = []
    for (let count = input.count(MAX_VERSIONS); count > 0; count--) versions.push(readVersion(input, facts))
    return { id, birth, placement, versions }
  }

  #readPlacement(input: Reader): Placement {
    return {
      parent: this.#shared(input.binary(NODE_BYTES)),
      name: input.text(MAX_NAME_BYTES),
      time: input.number(),
      actor: input.count() as ActorId,
      previousParent: this.#shared(input.binary(NODE_BYTES)),
      previousName: input.text(MAX_NAME_BYTES),
    }
  }

  #shared(id: string): NodeId {
    const known = this.#nodes.get(id)
    if (known !== undefined) return known
    this.#nodes.set(id, id as NodeId)
    return id as NodeId
  }
}

function writeNode(out: Writer, node: NodeRef, row: Row): void {
  const sameName = node.birth.name === row.name
  out.byte((sameName ? SAME_NAME : 0) | (node.placement === null ? 0 : PLACED))
  out.binary(node.id)
  out.binary(node.birth.parent)
  if (!sameName) out.text(node.birth.name)
  out.number(node.birth.generation)
  if (node.placement !== null) {
    out.binary(node.placement.parent)
    out.text(node.placement.name)
    out.number(node.placement.time)
    out.number(node.placement.actor)
    out.binary(node.placement.previousParent)
    out.text(node.placement.previousName)
  }
  out.number(node.versions.length)
  for (const version of node.versions) writeVersion(out, version, row)
}

function writeVersion(out: Writer, version: Version, row: Row): void {
  const isSame = sameFacts(version, row)
  let flags = isSame ? SAME_FACTS : 0
  if (version.merged) flags |= MERGED
  if (version.metadataOnly) flags |= METADATA_ONLY
  if (version.base !== null) flags |= BASE
  if (version.copyOf !== null) flags |= COPY_OF
  out.byte(flags)
  writeDot(out, version.dot)
  if (!isSame) writeFacts(out, version)
  if (version.base !== null) writeDot(out, version.base)
  if (version.copyOf !== null) {
    out.binary(version.copyOf.node)
    writeDot(out, version.copyOf.dot)
  }
}

function readVersion(input: Reader, shown: Facts): Version {
  const flags = input.byte()
  if (flags > (SAME_FACTS | MERGED | METADATA_ONLY | BASE | COPY_OF)) input.fail('a version has unknown flags')
  const dot = readDot(input)
  const { content, size, mtime, mode } = (flags & SAME_FACTS) !== 0 ? shown : readFacts(input)
  const base = (flags & BASE) !== 0 ? readDot(input) : null
  const copyOf = (flags & COPY_OF) !== 0 ? { node: input.binary(NODE_BYTES) as NodeId, dot: readDot(input) } : null
  const merged = (flags & MERGED) !== 0
  const metadataOnly = (flags & METADATA_ONLY) !== 0
  return { content, size, mtime, mode, dot, base, merged, metadataOnly, copyOf }
}

function writeFacts(out: Writer, facts: Facts): void {
  out.shortBinary(facts.content)
  out.number(facts.size)
  out.number(facts.mtime)
  out.number(facts.mode)
}

function readFacts(input: Reader): Facts {
  return {
    content: input.shortBinary(CONTENT_BYTES) as ContentId,
    size: input.count(),
    mtime: input.number(),
    mode: input.number(),
  }
}

/** Times near each other are written as differences, except where a double cannot hold that exactly. */
function writeStat(out: Writer, { stat, size, mtime, mode }: Row): void {
  const { mtimeUs, ctimeUs, birthUs } = stat
  let flags = 0
  if (!exact(mtimeUs, mtime * 1000)) flags |= MTIME_WHOLE
  if (!exact(ctimeUs, mtimeUs)) flags |= CTIME_WHOLE
  if (!exact(birthUs, ctimeUs) || birthUs === 0) flags |= BIRTH_WHOLE
  out.byte(flags)
  out.number(stat.dev)
  out.number(stat.ino)
  out.number(stat.size - size)
  out.number((flags & MTIME_WHOLE) !== 0 ? mtimeUs : mtimeUs - mtime * 1000)
  out.number((flags & CTIME_WHOLE) !== 0 ? ctimeUs : ctimeUs - mtimeUs)
  out.number((flags & BIRTH_WHOLE) !== 0 ? birthUs : birthUs - ctimeUs)
  out.number(stat.mode - mode)
  out.number(stat.links)
}

function readStat(input: Reader, facts: Facts): Stat {
  const flags = input.byte()
  if (flags > (MTIME_WHOLE | CTIME_WHOLE | BIRTH_WHOLE)) input.fail('its stat has unknown flags')
  const dev = input.number()
  const ino = input.number()
  const size = input.number() + facts.size
  const mtimeUs = input.number() + ((flags & MTIME_WHOLE) !== 0 ? 0 : facts.mtime * 1000)
  const ctimeUs = input.number() + ((flags & CTIME_WHOLE) !== 0 ? 0 : mtimeUs)
  const birthUs = input.number() + ((flags & BIRTH_WHOLE) !== 0 ? 0 : ctimeUs)
  return { dev, ino, birthUs, size, mtimeUs, ctimeUs, mode: input.number() + facts.mode, links: input.number() }
}

function exact(value: number, from: number): boolean {
  return from + (value - from) === value
}

function writeDot(out: Writer, dot: Dot): void {
  out.number(dot.actor)
  out.number(dot.seq)
}

function readDot(input: Reader): Dot {
  return { actor: input.count() as ActorId, seq: input.count() }
}

const PAGE_ROWS = 256

/**
 * The checksums of all rows that are stored, and their sum: a commit that the disk lost in the middle of LevelDB's log leaves no other
 * trace. Four bytes a row, in pages, because ids grow for ever and rows go.
 */
export class RowSums {
  readonly #pages = new Map<number, { readonly sums: Uint32Array; readonly there: Uint8Array; count: number }>()
  #count = 0
  #sum = 0

  get count(): number {
    return this.#count
  }

  get sum(): number {
    return this.#sum
  }

  set(id: RowId, checksum: number): void {
    this.delete(id)
    const number = Math.floor(id / PAGE_ROWS)
    let page = this.#pages.get(number)
    if (page === undefined) {
      page = { sums: new Uint32Array(PAGE_ROWS), there: new Uint8Array(PAGE_ROWS), count: 0 }
      this.#pages.set(number, page)
    }
    page.sums[id % PAGE_ROWS] = checksum
    page.there[id % PAGE_ROWS] = 1
    page.count++
    this.#count++
    this.#sum = (this.#sum + checksum) >>> 0
  }

  delete(id: RowId): void {
    const number = Math.floor(id / PAGE_ROWS)
    const page = this.#pages.get(number)
    if (page === undefined || page.there[id % PAGE_ROWS] === 0) return
    page.there[id % PAGE_ROWS] = 0
    this.#count--
    this.#sum = (this.#sum - (page.sums[id % PAGE_ROWS] as number)) >>> 0
    if (--page.count === 0) this.#pages.delete(number)
  }

  has(id: RowId): boolean {
    return this.#pages.get(Math.floor(id / PAGE_ROWS))?.there[id % PAGE_ROWS] === 1
  }

  clear(): void {
    this.#pages.clear()
    this.#count = 0
    this.#sum = 0
  }
}
