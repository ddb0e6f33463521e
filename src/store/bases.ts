// Texts kept so that a later concurrent edit can be merged, compressed, by content id; and which content a dot stood for. Bounded: over
// the limit the longest unchanged go first. No base is no loss: the merge becomes a conflict copy.
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import { brotliCompress, brotliCompressSync, brotliDecompress, constants } from 'node:zlib'
import type { ActorId, ContentId, NodeId } from '../core/ids.ts'
import { hexOf } from '../core/ids.ts'
import type { Base, FolderBatch } from '../core/ports.ts'
import { damaged, Reader, uintBytes, Writer } from './codec.ts'
import type { Batch } from './engine.ts'
import type { Table } from './tables.ts'

const compress = promisify(brotliCompress)
const decompress = promisify(brotliDecompress)

const PLAIN = 0
const BROTLI = 1
/** Below this nothing is gained. */
const MIN_COMPRESSED_BYTES = 256
/**
 * Texts come by thousands when a folder is added. Of 671 small ones quality 4 made 0.31 of their size at 0.49 ms of CPU each, this one 0.35 at
 * 0.12.
 */
const BROTLI_QUALITY = 1
/** Up to this the work, 0.06 ms on average, costs less than to hand it to a thread. The event loop gets its turn after so many. */
const PACKED_HERE_BYTES = 16 * 1024
const PACKED_IN_ONE_TURN = 64
/** zlib works in as many threads of the pool. */
const COMPRESSIONS_AT_ONCE = 4
/** Over the limit, this part of it is freed at once, so that it is not looked for at each commit. */
const FREED_PART = 0.1
/** No base is longer: it was made of a text of at most 2 MB. */
const MAX_BASE_BYTES = 64 * 1024 * 1024
const ACTOR_BYTES = 7
const SEQ_BYTES = 7
const CONTENT_BYTES = 33

type DotContent = NonNullable<FolderBatch['dots']>[number]

/** Part of the folder's seal: bytes kept, and the next number in the order in which bases were last put. */
export interface BasesEnd {
  readonly bytes: number
  readonly next: number
}

interface Packed {
  readonly content: ContentId
  readonly payload: Buffer
}

export class Bases {
  readonly #bases: Table
  readonly #facts: Table
  readonly #dots: Table

  constructor(tables: { bases: Table; baseFacts: Table; dots: Table }) {
    this.#bases = tables.bases
    this.#facts = tables.baseFacts
    this.#dots = tables.dots
  }

  /** Adds what is new, refreshes what is there, drops what is over `limitBytes`. */
  async write(batch: Batch, bases: readonly Base[], end: BasesEnd, limitBytes: number): Promise<BasesEnd> {
    if (bases.length === 0) return end
    let { bytes, next } = end
    const fresh = new Set<ContentId>()
    const missing: Base[] = []
    for (const base of bases) {
      if (fresh.has(base.content)) continue
      fresh.add(base.content)
      const facts = this.#readFacts(base.content)
      if (facts === null) missing.push(base)
      else this.#putFacts(batch, base.content, next++, facts.bytes)
    }
    for (let at = 0; at < missing.length; at += COMPRESSIONS_AT_ONCE) {
      if (at % PACKED_IN_ONE_TURN === PACKED_IN_ONE_TURN - COMPRESSIONS_AT_ONCE) await setImmediate()
      for (const { content, payload } of await Promise.all(missing.slice(at, at + COMPRESSIONS_AT_ONCE).map(pack))) {
        this.#bases.put(batch, content, payload)
        this.#putFacts(batch, content, next++, payload.length)
        bytes += payload.length
      }
    }
    if (bytes > limitBytes) bytes -= await this.#drop(batch, bytes - limitBytes * (1 - FREED_PART), fresh)
    return { bytes, next }
  }

  writeDots(batch: Batch, dots: readonly DotContent[]): void {
    for (const { node, actor, seq, content } of dots) {
      this.#dots.put(batch, dotKey(node, actor, seq), Buffer.from(content, 'latin1'))
    }
  }

  async get(content: ContentId): Promise<Uint8Array | null> {
    // Asked of all that is to be fetched, and hardly ever there: that is known without waiting for a thread.
    if (!this.#facts.hasSync(content)) return null
    const payload = await this.#bases.get(content)
    if (payload === undefined) return null
    const input = new Reader(payload, () => `bases ${hexOf(content)}`)
    const packing = input.byte()
    const size = input.count(MAX_BASE_BYTES)
    const packed = input.rest()
    if (packing !== PLAIN && packing !== BROTLI) input.fail('its packing is unknown')
    const bytes = packing === PLAIN ? packed : await unpack(packed, size, content)
    if (bytes.length !== size) input.fail('its size is wrong')
    return bytes
  }

  contentOfDot(node: NodeId, actor: ActorId, seq: number): ContentId | null {
    const payload = this.#dots.getSync(dotKey(node, actor, seq))
    if (payload === undefined) return null
    if (payload.length > CONTENT_BYTES) throw damaged(`dots ${hexOf(node)}`, 'it is no content id')
    return payload.toString('latin1') as ContentId
  }

  /** Dots of contents that are neither `wanted` nor kept here: what they lead to is gone. */
  async *deadDots(wanted: ReadonlySet<ContentId>): AsyncIterable<Buffer> {
    for await (const entries of this.#dots.entries()) {
      for (const { key, payload } of entries) {
        const content = payload.toString('latin1') as ContentId
        if (!wanted.has(content) && !this.#facts.hasSync(content)) yield key
      }
    }
  }

  delDot(batch: Batch, key: Buffer): void {
    this.#dots.del(batch, key)
  }

  async #drop(batch: Batch, excess: number, fresh: ReadonlySet<ContentId>): Promise<number> {
    const known: { content: ContentId; order: number; bytes: number }[] = []
    for await (const entries of this.#facts.entries()) {
      for (const { key, payload } of entries) {
        const content = key.toString('latin1') as ContentId
        if (!fresh.has(content)) known.push({ content, ...decodeFacts(content, payload) })
      }
    }
    known.sort((a, b) => a.order - b.order)
    let freed = 0
    for (const { content, bytes } of known) {
      if (freed >= excess) break
      this.#bases.del(batch, content)
      this.#facts.del(batch, content)
      freed += bytes
    }
    return freed
  }

  #readFacts(content: ContentId): { order: number; bytes: number } | null {
    const payload = this.#facts.getSync(content)
    return payload === undefined ? null : decodeFacts(content, payload)
  }

  #putFacts(batch: Batch, content: ContentId, order: number, bytes: number): void {
    const out = new Writer(16)
    out.number(order)
    out.number(bytes)
    this.#facts.put(batch, content, out.take())
  }
}

function decodeFacts(content: ContentId, payload: Buffer): { order: number; bytes: number } {
  const input = new Reader(payload, () => `baseFacts ${hexOf(content)}`)
  const facts = { order: input.count(), bytes: input.count() }
  input.end()
  return facts
}

async function pack({ content, bytes }: Base): Promise<Packed> {
  const packed = bytes.length < MIN_COMPRESSED_BYTES ? null : await compressed(bytes)
  const out = new Writer(16)
  out.byte(packed === null || packed.length >= bytes.length ? PLAIN : BROTLI)
  out.number(bytes.length)
  out.raw(packed === null || packed.length >= bytes.length ? bytes : packed)
  return { content, payload: out.take() }
}

function compressed(bytes: Uint8Array): Buffer | Promise<Buffer> {
  return bytes.length <= PACKED_HERE_BYTES
    ? brotliCompressSync(bytes, options(bytes.length))
    : compress(bytes, options(bytes.length))
}

async function unpack(packed: Buffer, size: number, content: ContentId): Promise<Buffer> {
  try {
    return await decompress(packed, { maxOutputLength: size + 1 })
  } catch (error) {
    throw damaged(`bases ${hexOf(content)}`, 'it cannot be unpacked', error)
  }
}

function options(size: number) {
  return {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY,
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_SIZE_HINT]: size,
    },
  }
}

function dotKey(node: NodeId, actor: ActorId, seq: number): Buffer {
  return Buffer.concat([Buffer.from(node, 'latin1'), uintBytes(actor, ACTOR_BYTES), uintBytes(seq, SEQ_BYTES)])
}
