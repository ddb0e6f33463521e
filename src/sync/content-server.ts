// Content of this folder for peers that ask: found by content id or chunk hash, read only where it still lies as the rows say.
// Sender and receiver verify every byte; nothing here trusts a hash that somebody sent. A file that no longer is what its row says is told of:
// others would wait for ever for a content that was overwritten or deleted while no watcher saw it.

import { isSingle, MAX_CHUNK_BYTES, singleContent, singleHash } from '../core/content.ts'
import { decodeTop, matches } from '../core/content-list.ts'
import type { ContentId, Hash, RowId } from '../core/ids.ts'
import type {
  ContentPlace,
  FolderDisk,
  FolderStore,
  HashedBytes,
  PlacedRead,
  Together,
  Waiting,
} from '../core/ports.ts'
import type { RowTable } from '../core/rows.ts'
import type { EarlyContents } from './early-contents.ts'

export interface ContentServerDeps {
  readonly rows: () => RowTable
  readonly disk: FolderDisk
  readonly store: Pick<FolderStore, 'list' | 'segment' | 'chunk' | 'base'>
  /** What is served before all of it is here. */
  readonly early: EarlyContents
  /** What stands at this path is not what its row says: a change that nobody has looked at. */
  readonly onStale: (path: string) => void
  /** Of a kept version something is sent: whoever gets it will ask for the rest. */
  readonly onServed: (content: ContentId) => void
  /** One of several chunks that were asked for could not be looked for. */
  readonly onFailed: (error: unknown) => void
  /** Its bytes are not what they should be. */
  readonly onDamaged: (row: RowId) => void
}

interface Located {
  readonly place: ContentPlace
  /** Of a file. */
  readonly row: RowId | null
  readonly size: number
}

interface ChunkPlace {
  readonly content: ContentId
  readonly offset: number
  readonly length: number
}

export class ContentServer {
  readonly #deps: ContentServerDeps
  /** Chunks of the one content that was searched for last. */
  readonly #elsewhere = new Map<Hash, ChunkPlace>()

  constructor(deps: ContentServerDeps) {
    this.#deps = deps
  }

  async readWhole(content: ContentId, options: Waiting): Promise<Uint8Array | null> {
    for (const located of this.#places(content)) {
      const found = await this.#read(located, 0, Math.min(located.size, MAX_CHUNK_BYTES), options)
      if (found !== null && this.#isSound(located, isOf(content, found))) return found.bytes
    }
    const base = await this.#deps.store.base(content)
    return base !== null && base.byteLength <= MAX_CHUNK_BYTES ? base : null
  }

  async readTop(content: ContentId): Promise<{ top: Uint8Array; size: number } | null> {
    if (isSingle(content)) return null
    const list = this.#deps.early.list(content) ?? (await this.#deps.store.list(content))
    if (list !== null) this.#deps.onServed(content)
    return list === null ? null : { top: list.top, size: decodeTop(list.top).size }
  }

  async readSegment(hash: Hash): Promise<Uint8Array | null> {
    return this.#deps.early.segment(hash) ?? (await this.#deps.store.segment(hash))
  }

  progress(content: ContentId): Uint8Array | 'all' | null {
    const arrived = this.#deps.early.progress(content)
    if (arrived !== null) return arrived
    for (const _place of this.#places(content)) return 'all'
    return null
  }

  /** Together from where each should lie; what is not there is looked for by itself. */
  async readChunks(hashes: readonly Hash[], options: Waiting): Promise<Together<Uint8Array>> {
    const places = hashes.map(hash => this.#placeOf(hash))
    const { found, release } = await this.#deps.disk.readTogether(places.filter(isThere), options)
    let next = 0
    const chunks = hashes.map((hash, at) => {
      const place = places[at]
      const read = place && found[next++]
      if (read?.hash !== hash) return this.#readChunk(hash, options)
      if (place?.place.at === 'version') this.#deps.onServed(place.place.content)
      return read.bytes
    })
    const settled = await Promise.allSettled(chunks)
    // One that cannot be looked for hides none of the others.
    for (const each of settled) if (each.status === 'rejected') this.#deps.onFailed(each.reason)
    return { found: settled.map(each => (each.status === 'fulfilled' ? each.value : null)), release }
  }

  /** The first of the places where the chunk should lie. What cannot be looked up is told by the search for it. */
  #placeOf(hash: Hash): PlacedRead | undefined {
    try {
      return this.#firstPlace(hash)
    } catch {
      return undefined
    }
  }

  #firstPlace(hash: Hash): PlacedRead | undefined {
    for (const { place, size } of this.#places(singleContent(hash)))
      return { place, offset: 0, length: Math.min(size, MAX_CHUNK_BYTES) }
    const chunk = this.#deps.early.find(hash) ?? this.#deps.store.chunk(hash)
    if (chunk === null) return undefined
    const { content, offset, length } = chunk
    for (const { place } of this.#places(content)) return { place, offset, length }
    return undefined
  }

  async #readChunk(hash: Hash, options: Waiting): Promise<Uint8Array | null> {
    const single = singleContent(hash)
    for (const located of this.#places(single)) {
      const found = await this.#read(located, 0, Math.min(located.size, MAX_CHUNK_BYTES), options)
      if (found !== null && this.#isSound(located, found.hash === hash)) return found.bytes
    }
    const arrived = this.#deps.early.find(hash)
    const known = this.#deps.store.chunk(hash)
    return (
      (arrived && (await this.#readAt(hash, arrived, options))) ??
      (known && ((await this.#readAt(hash, known, options)) ?? (await this.#readElsewhere(hash, options))))
    )
  }

  async #readAt(hash: Hash, { content, offset, length }: ChunkPlace, options: Waiting): Promise<Uint8Array | null> {
    for (const located of this.#places(content)) {
      const found = await this.#read(located, offset, length, options)
      if (found?.bytes.byteLength === length && this.#isSound(located, found.hash === hash)) return found.bytes
    }
    const base = await this.#deps.store.base(content)
    return base?.subarray(offset, offset + length) ?? null
  }

  /**
   * The index knows one place of a chunk, and the content there may be gone (a file that was appended to): then it is looked for in
   * what lies here now. All chunks of the content that has it are remembered, because they will be asked for next.
   */
  async #readElsewhere(hash: Hash, options: Waiting): Promise<Uint8Array | null> {
    const remembered = this.#elsewhere.get(hash)
    const bytes = remembered === undefined ? null : await this.#readAt(hash, remembered, options)
    if (bytes !== null) return bytes
    const found = await this.#search(hash, options)
    return found === undefined ? null : this.#readAt(hash, found, options)
  }

  /** First in the files of now, then in what is kept: there may be much of it. */
  async #search(hash: Hash, options: Waiting): Promise<ChunkPlace | undefined> {
    const { signal } = options
    this.#elsewhere.clear()
    for (const row of this.#deps.rows().all()) {
      if (row.kind !== 'file' || row.size === 0 || isSingle(row.content)) continue
      signal.throwIfAborted()
      if (await this.#rememberIf(row.content, hash)) return this.#elsewhere.get(hash)
    }
    for await (const some of this.#deps.disk.versions.all(options))
      for (const { content } of some)
        if (!isSingle(content) && (await this.#rememberIf(content, hash))) return this.#elsewhere.get(hash)
    return undefined
  }

  /** Where all chunks of the content lie, if that one is among them. */
  async #rememberIf(content: ContentId, hash: Hash): Promise<boolean> {
    const list = await this.#deps.store.list(content)
    if (list === null || !list.chunks.some(chunk => chunk.hash === hash)) return false
    let offset = 0
    for (const { hash: each, length } of list.chunks) {
      this.#elsewhere.set(each, { content, offset, length })
      offset += length
    }
    return true
  }

  /** What is damaged is never sent: it would only be refused, and its sender with it. */
  #isSound({ row }: Located, sound: boolean): boolean {
    if (!sound && row !== null) this.#deps.onDamaged(row)
    return sound
  }

  async #read({ place }: Located, offset: number, length: number, options: Waiting): Promise<HashedBytes | null> {
    const found = await this.#deps.disk.readHashed(place, offset, length, options)
    if (found === null && place.at === 'file') this.#deps.onStale(place.path)
    if (found !== null && place.at === 'version') this.#deps.onServed(place.content)
    return found
  }

  *#places(content: ContentId): Iterable<Located> {
    const rows = this.#deps.rows()
    for (const row of rows.byContent(content)) {
      const path = rows.path(row.id)
      if (path === undefined || row.kind === 'directory') continue
      yield { place: { at: 'file', path, stat: row.stat, kind: row.kind }, row: row.id, size: row.size }
    }
    if (this.#deps.disk.hasVersion(content))
      yield { place: { at: 'version', content }, row: null, size: Number.MAX_SAFE_INTEGER }
    for (const place of this.#deps.early.places(content)) yield { place, row: null, size: 0 }
    if (this.#deps.disk.stage.has(content))
      yield { place: { at: 'stage', content }, row: null, size: Number.MAX_SAFE_INTEGER }
  }
}

function isThere<T>(value: T | undefined): value is T {
  return value !== undefined
}

function isOf(content: ContentId, { bytes, hash }: HashedBytes): boolean {
  return isSingle(content) ? hash === singleHash(content) : matches(content, bytes)
}
