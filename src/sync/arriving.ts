// Contents on their way to this device: what of them lies here already, so that other devices get it before all is there. A content that
// is whole stays until the index of the store knows it. Of a large content there are millions of chunks: they are found by a table of
// numbers, made when somebody first asks.
import type { Chunk, ContentList } from '../core/content.ts'
import type { ContentId, Hash } from '../core/ids.ts'
import type { StageFile } from '../core/ports.ts'

export interface ArrivedChunk {
  readonly content: ContentId
  readonly offset: number
  readonly length: number
}

export class Arriving {
  readonly #contents = new Map<ContentId, Transfer>()

  begin(list: ContentList, file: StageFile): void {
    this.#contents.set(list.content, new Transfer(list, file))
  }

  /** `whole`: it is staged; else it is not served from here any more. */
  end(content: ContentId, whole: boolean): void {
    if (whole) this.#contents.get(content)?.end()
    else this.#contents.delete(content)
  }

  /** Drops those that are whole, but for these. */
  keep(isKept: (content: ContentId) => boolean): void {
    for (const [content, { isWhole }] of [...this.#contents])
      if (isWhole && !isKept(content)) this.#contents.delete(content)
  }

  /** Null: not on its way. A bit for each chunk of the list. */
  progress(content: ContentId): Uint8Array | 'all' | null {
    return this.#contents.get(content)?.progress() ?? null
  }

  has(content: ContentId): boolean {
    return this.#contents.has(content)
  }

  list(content: ContentId): ContentList | null {
    return this.#contents.get(content)?.list ?? null
  }

  segment(hash: Hash): Uint8Array | null {
    for (const { list } of this.#contents.values()) {
      const bytes = list.segments.get(hash)
      if (bytes !== undefined) return bytes
    }
    return null
  }

  find(hash: Hash): ArrivedChunk | null {
    for (const [content, transfer] of this.#contents) {
      const found = transfer.find(hash)
      if (found !== null) return { content, ...found }
    }
    return null
  }
}

class Transfer {
  readonly list: ContentList
  #file: StageFile | null
  #table: ChunkTable | null = null

  constructor(list: ContentList, file: StageFile) {
    this.list = list
    this.#file = file
  }

  get isWhole(): boolean {
    return this.#file === null
  }

  end(): void {
    this.#file = null
  }

  progress(): Uint8Array | 'all' {
    const file = this.#file
    if (file === null) return 'all'
    const { length } = this.list.chunks
    const bits = new Uint8Array((length + 7) >> 3)
    for (let index = 0; index < length; index++)
      if (file.has(index)) bits[index >> 3] = (bits[index >> 3] as number) | (1 << (index & 7))
    return bits
  }

  find(hash: Hash): { offset: number; length: number } | null {
    this.#table ??= new ChunkTable(this.list.chunks)
    const found = this.#table.find(hash)
    return found !== null && this.#file?.has(found.index) !== false ? found : null
  }
}

/** Open addressing: each chunk's index stands where the first bytes of its hash say, or in the next free place. */
class ChunkTable {
  readonly #chunks: readonly Chunk[]
  readonly #offsets: Float64Array
  /** Index + 1; 0: free. */
  readonly #slots: Uint32Array
  readonly #mask: number

  constructor(chunks: readonly Chunk[]) {
    this.#chunks = chunks
    this.#offsets = new Float64Array(chunks.length)
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(chunks.length * 2 + 1)))
    this.#mask = this.#slots.length - 1
    let at = 0
    for (const [index, { hash, length }] of chunks.entries()) {
      this.#offsets[index] = at
      at += length
      const slot = this.#slotOf(hash)
      if (this.#slots[slot] === 0) this.#slots[slot] = index + 1
    }
  }

  find(hash: Hash): { index: number; offset: number; length: number } | null {
    const index = (this.#slots[this.#slotOf(hash)] as number) - 1
    const chunk = this.#chunks[index]
    return chunk === undefined ? null : { index, offset: this.#offsets[index] as number, length: chunk.length }
  }

  /** Where it stands, or would. */
  #slotOf(hash: Hash): number {
    const start =
      hash.charCodeAt(0) | (hash.charCodeAt(1) << 8) | (hash.charCodeAt(2) << 16) | (hash.charCodeAt(3) << 24)
    for (let slot = start & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const index = this.#slots[slot] as number
      if (index === 0 || this.#chunks[index - 1]?.hash === hash) return slot
    }
  }
}
