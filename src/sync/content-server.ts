// Content of this folder for peers that ask: found by content id or chunk hash, read only where it still lies as the rows say.
// The receiver verifies every byte; nothing here trusts a hash that somebody sent.

import { isSingle, MAX_CHUNK_BYTES, singleContent } from '../core/content.ts'
import { decodeTop } from '../core/content-list.ts'
import type { ContentId, Hash } from '../core/ids.ts'
import type { ContentPlace, FolderDisk, FolderStore, Waiting } from '../core/ports.ts'
import type { RowTable } from '../core/rows.ts'

export interface ContentServerDeps {
  readonly rows: () => RowTable
  readonly disk: FolderDisk
  readonly store: Pick<FolderStore, 'list' | 'segment' | 'chunk' | 'base'>
}

interface Located {
  readonly place: ContentPlace
  readonly size: number
}

export class ContentServer {
  readonly #deps: ContentServerDeps

  constructor(deps: ContentServerDeps) {
    this.#deps = deps
  }

  async readWhole(content: ContentId, options: Waiting): Promise<Uint8Array | null> {
    for (const { place, size } of this.#places(content)) {
      const bytes = await this.#deps.disk.read(place, 0, Math.min(size, MAX_CHUNK_BYTES), options)
      if (bytes !== null) return bytes
    }
    const base = await this.#deps.store.base(content)
    return base !== null && base.byteLength <= MAX_CHUNK_BYTES ? base : null
  }

  async readTop(content: ContentId): Promise<{ top: Uint8Array; size: number } | null> {
    if (isSingle(content)) return null
    const list = await this.#deps.store.list(content)
    return list === null ? null : { top: list.top, size: decodeTop(list.top).size }
  }

  readSegment(hash: Hash): Promise<Uint8Array | null> {
    return this.#deps.store.segment(hash)
  }

  async readChunk(hash: Hash, options: Waiting): Promise<Uint8Array | null> {
    const single = singleContent(hash)
    for (const { place, size } of this.#places(single)) {
      const bytes = await this.#deps.disk.read(place, 0, Math.min(size, MAX_CHUNK_BYTES), options)
      if (bytes !== null) return bytes
    }
    const known = this.#deps.store.chunk(hash)
    if (known === null) return null
    for (const { place } of this.#places(known.content)) {
      const bytes = await this.#deps.disk.read(place, known.offset, known.length, options)
      if (bytes !== null && bytes.byteLength === known.length) return bytes
    }
    const base = await this.#deps.store.base(known.content)
    return base?.subarray(known.offset, known.offset + known.length) ?? null
  }

  *#places(content: ContentId): Iterable<Located> {
    const rows = this.#deps.rows()
    for (const row of rows.byContent(content)) {
      const path = rows.path(row.id)
      if (path === undefined || row.kind === 'directory') continue
      yield { place: { at: 'file', path, stat: row.stat, kind: row.kind }, size: row.size }
    }
    if (this.#deps.disk.hasVersion(content)) yield { place: { at: 'version', content }, size: Number.MAX_SAFE_INTEGER }
    if (this.#deps.disk.stage.has(content)) yield { place: { at: 'stage', content }, size: Number.MAX_SAFE_INTEGER }
  }
}
