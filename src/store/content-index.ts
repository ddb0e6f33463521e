// What contents are made of, and where a chunk occurs. A content's top names segments, a segment names chunks; a chunk points to one
// segment, a segment to one place (content, offset): so a small edit of a huge file writes one segment and its chunks, not all of them.
// A segment counts only where it has a place, which is stored with the commit; large lists write their chunks ahead of it. The recipe
// of a single chunk is its length.
import type { Chunk, ContentList } from '../core/content.ts'
import { isSingle, singleContent, singleHash } from '../core/content.ts'
import { decodeSegment, decodeTop, singleList } from '../core/content-list.ts'
import type { ContentId, Hash } from '../core/ids.ts'
import { hexOf } from '../core/ids.ts'
import { damaged, Reader, Writer } from './codec.ts'
import type { Batch, Engine } from './engine.ts'
import type { Entry, Table } from './tables.ts'

/** Lists of more chunks than this are written ahead of the commit, some at a time. */
const WRITE_AHEAD_CHUNKS = 8_192
const WRITE_AHEAD_SEGMENTS = 16
const SWEEP_ENTRIES = 1_000
const HASH_BYTES = 32
const CONTENT_BYTES = 33
/** First byte of a chunk's entry. */
const WHOLE = 0
const IN_SEGMENT = 1

export interface ChunkPlace {
  readonly content: ContentId
  readonly offset: number
  readonly length: number
}

interface IndexTables {
  readonly lists: Table
  readonly segments: Table
  readonly places: Table
  readonly chunks: Table
}

type ChunkEntry = { readonly length: number; readonly segment: Hash | null; readonly offset: number }

export class ContentIndex {
  readonly #engine: Engine
  readonly #tables: IndexTables

  constructor(engine: Engine, tables: IndexTables) {
    this.#engine = engine
    this.#tables = tables
  }

  /** What would make the commit's batch too large goes before it. Only within `exclusive`. */
  async writeAhead(lists: readonly ContentList[]): Promise<void> {
    for (const list of lists) {
      if (list.chunks.length < WRITE_AHEAD_CHUNKS) continue
      const segments = this.#unknown(list)
      for (let at = 0; at < segments.length; at += WRITE_AHEAD_SEGMENTS) {
        await this.#engine.writeAhead(batch => {
          for (const [hash, bytes] of segments.slice(at, at + WRITE_AHEAD_SEGMENTS))
            this.#putSegment(batch, hash, bytes)
        })
      }
    }
  }

  async write(batch: Batch, lists: readonly ContentList[]): Promise<void> {
    const placed = new Set<Hash>()
    for (const list of lists) {
      await batch.breathe()
      if (isSingle(list.content)) {
        this.#putChunk(batch, singleHash(list.content), { length: list.size, segment: null, offset: 0 })
        continue
      }
      if (list.chunks.length < WRITE_AHEAD_CHUNKS) {
        for (const [hash, bytes] of this.#unknown(list)) if (!placed.has(hash)) this.#putSegment(batch, hash, bytes)
      }
      const out = new Writer(list.top.length + 16)
      out.number(list.size)
      out.raw(list.top)
      this.#tables.lists.put(batch, list.content, out.take())
      let offset = 0
      for (const { hash, length } of decodeTop(list.top).segments) {
        if (!placed.has(hash) && !this.#tables.places.hasSync(hash)) this.#putPlace(batch, hash, list.content, offset)
        placed.add(hash)
        offset += length
      }
    }
  }

  async list(content: ContentId): Promise<ContentList | null> {
    if (isSingle(content)) {
      const entry = this.#chunkEntry(singleHash(content))
      return entry === null || (entry.segment !== null && this.#place(entry.segment) === null)
        ? null
        : singleList(content, entry.length)
    }
    const payload = await this.#tables.lists.get(content)
    if (payload === undefined) return null
    const { size, top } = this.#decodeList(content, payload)
    const segments = new Map<Hash, Uint8Array>()
    const chunks: Chunk[] = []
    for (const { hash } of top.segments) {
      const bytes = segments.get(hash) ?? (await this.#tables.segments.get(hash))
      if (bytes === undefined) throw damaged(`lists ${hexOf(content)}`, 'a segment is missing')
      segments.set(hash, bytes)
      for (const chunk of whole(() => decodeSegment(bytes), 'segments', hash)) chunks.push(chunk)
    }
    return { content, size, top: top.bytes, segments, chunks }
  }

  async segment(hash: Hash): Promise<Uint8Array | null> {
    if (this.#place(hash) === null) return null
    return (await this.#tables.segments.get(hash)) ?? null
  }

  chunk(hash: Hash): ChunkPlace | null {
    const entry = this.#chunkEntry(hash)
    if (entry === null) return null
    if (entry.segment === null) return { content: singleContent(hash), offset: 0, length: entry.length }
    const place = this.#place(entry.segment)
    if (place === null) return null
    return { content: place.content, offset: place.offset + entry.offset, length: entry.length }
  }

  /** Drops what no wanted content is made of. Only within `exclusive`: nothing is committed meanwhile. */
  async sweep(wanted: ReadonlySet<ContentId>): Promise<{ lists: number; chunks: number }> {
    const { lists, segments, places } = this.#tables
    const kept = new Map<Hash, { content: ContentId; offset: number }>()
    const sweeper = new Sweeper(this.#engine)
    let dropped = 0
    for await (const { key, payload } of flat(lists.entries())) {
      const content = key.toString('latin1') as ContentId
      if (!wanted.has(content)) {
        dropped++
        await sweeper.add(batch => lists.del(batch, key))
        continue
      }
      let offset = 0
      for (const { hash, length } of this.#decodeList(content, payload).top.segments) {
        if (!kept.has(hash)) kept.set(hash, { content, offset })
        offset += length
      }
    }
    for await (const { key, payload } of flat(places.entries())) {
      const hash = key.toString('latin1') as Hash
      const next = kept.get(hash)
      if (next === undefined) await sweeper.add(batch => places.del(batch, key))
      else if (!wanted.has(decodePlace(hash, payload).content)) {
        await sweeper.add(batch => this.#putPlace(batch, hash, next.content, next.offset))
      }
    }
    for await (const { key } of flat(segments.entries())) {
      if (!kept.has(key.toString('latin1') as Hash)) await sweeper.add(batch => segments.del(batch, key))
    }
    const chunks = await this.#sweepChunks(wanted, kept, sweeper)
    await sweeper.flush()
    return { lists: dropped, chunks }
  }

  /** A chunk whose place goes is pointed to another one where there is one. */
  async #sweepChunks(
    wanted: ReadonlySet<ContentId>,
    kept: ReadonlyMap<Hash, unknown>,
    sweeper: Sweeper,
  ): Promise<number> {
    const lost = new Map<Hash, ChunkEntry>()
    for await (const { key, payload } of flat(this.#tables.chunks.entries())) {
      const hash = key.toString('latin1') as Hash
      const entry = decodeChunk(hash, payload)
      const stays = entry.segment === null ? wanted.has(singleContent(hash)) : kept.has(entry.segment)
      if (!stays) lost.set(hash, entry)
    }
    for (const [hash, entry] of [...lost]) {
      if (!wanted.has(singleContent(hash))) continue
      await sweeper.add(batch => this.#putChunk(batch, hash, { length: entry.length, segment: null, offset: 0 }))
      lost.delete(hash)
    }
    if (lost.size === 0) return 0
    for (const segment of kept.keys()) {
      const bytes = await this.#tables.segments.get(segment)
      if (bytes === undefined) throw damaged(`segments ${hexOf(segment)}`, 'it is missing')
      let offset = 0
      for (const { hash, length } of whole(() => decodeSegment(bytes), 'segments', segment)) {
        const at = offset
        offset += length
        if (!lost.delete(hash)) continue
        await sweeper.add(batch => this.#putChunk(batch, hash, { length, segment, offset: at }))
      }
    }
    for (const hash of lost.keys()) await sweeper.add(batch => this.#tables.chunks.del(batch, hash))
    return lost.size
  }

  #unknown(list: ContentList): [Hash, Uint8Array][] {
    return [...list.segments].filter(([hash]) => !this.#tables.places.hasSync(hash))
  }

  #putSegment(batch: Batch, segment: Hash, bytes: Uint8Array): void {
    this.#tables.segments.put(batch, segment, bytes)
    let offset = 0
    for (const { hash, length } of decodeSegment(bytes)) {
      // What already has a place keeps it: it is known to count.
      if (this.chunk(hash) === null) this.#putChunk(batch, hash, { length, segment, offset })
      offset += length
    }
  }

  #putChunk(batch: Batch, hash: Hash, { length, segment, offset }: ChunkEntry): void {
    const out = new Writer(64)
    out.byte(segment === null ? WHOLE : IN_SEGMENT)
    out.number(length)
    if (segment !== null) {
      out.binary(segment)
      out.number(offset)
    }
    this.#tables.chunks.put(batch, hash, out.take())
  }

  #putPlace(batch: Batch, segment: Hash, content: ContentId, offset: number): void {
    const out = new Writer(64)
    out.binary(content)
    out.number(offset)
    this.#tables.places.put(batch, segment, out.take())
  }

  #chunkEntry(hash: Hash): ChunkEntry | null {
    const payload = this.#tables.chunks.getSync(hash)
    return payload === undefined ? null : decodeChunk(hash, payload)
  }

  #place(segment: Hash): { content: ContentId; offset: number } | null {
    const payload = this.#tables.places.getSync(segment)
    return payload === undefined ? null : decodePlace(segment, payload)
  }

  #decodeList(content: ContentId, payload: Buffer) {
    const input = new Reader(payload, () => `lists ${hexOf(content)}`)
    const size = input.count()
    const bytes = input.rest()
    const top = whole(() => decodeTop(bytes), 'lists', content)
    if (top.size !== size) input.fail('its size is wrong')
    return { size, top: { bytes, segments: top.segments } }
  }
}

/** Writes of housekeeping, in bounded batches. */
class Sweeper {
  readonly #engine: Engine
  #waiting: ((batch: Batch) => void)[] = []

  constructor(engine: Engine) {
    this.#engine = engine
  }

  async add(write: (batch: Batch) => void): Promise<void> {
    this.#waiting.push(write)
    if (this.#waiting.length >= SWEEP_ENTRIES) await this.flush()
  }

  async flush(): Promise<void> {
    const writes = this.#waiting
    this.#waiting = []
    if (writes.length === 0) return
    await this.#engine.writeAhead(batch => {
      for (const write of writes) write(batch)
    })
  }
}

function decodeChunk(hash: Hash, payload: Buffer): ChunkEntry {
  const input = new Reader(payload, () => `chunks ${hexOf(hash)}`)
  const form = input.byte()
  if (form > IN_SEGMENT) input.fail('its form is unknown')
  const length = input.count()
  const segment = form === WHOLE ? null : (input.binary(HASH_BYTES) as Hash)
  const offset = form === WHOLE ? 0 : input.count()
  input.end()
  return { length, segment, offset }
}

function decodePlace(segment: Hash, payload: Buffer): { content: ContentId; offset: number } {
  const input = new Reader(payload, () => `places ${hexOf(segment)}`)
  const place = { content: input.binary(CONTENT_BYTES) as ContentId, offset: input.count() }
  input.end()
  return place
}

/** Lists were checked before they were stored: what does not decode now is damage. */
function whole<T>(decode: () => T, table: string, key: string): T {
  try {
    return decode()
  } catch (error) {
    throw damaged(`${table} ${hexOf(key)}`, 'it does not decode', error)
  }
}

async function* flat(source: AsyncIterable<Entry[]>): AsyncIterable<Entry> {
  for await (const entries of source) yield* entries
}
