// Contents of which other devices get something before the index of the store knows them: those on their way to this device, and the
// beginnings of files that are still being read here. What is whole stays until the index knows it. Of a large content there are millions
// of chunks: they are found by a table of numbers, made when somebody first asks.
import type { Chunk, ContentList } from '../core/content.ts'
import type { ContentId, Hash } from '../core/ids.ts'
import type { ContentPlace, StageFile } from '../core/ports.ts'

/** Files whose beginnings are remembered; of any other the index will know soon. */
const MOST_BEGINNINGS = 4

type FilePlace = ContentPlace & { readonly at: 'file' }

export interface EarlyChunk {
  readonly content: ContentId
  readonly offset: number
  readonly length: number
}

export class EarlyContents {
  readonly #contents = new Map<ContentId, Early>()
  /** By path: the content that is the beginning of the file there. */
  readonly #beginnings = new Map<string, ContentId>()

  /** It is on its way here. */
  begin(list: ContentList, file: StageFile): void {
    this.#contents.set(list.content, new Early(list, file, null))
  }

  /** The file there begins so, and has not been read to its end. */
  beginsWith(list: ContentList, place: FilePlace): void {
    this.forgetBeginning(place.path)
    for (const oldest of this.#beginnings.keys()) {
      if (this.#beginnings.size < MOST_BEGINNINGS) break
      this.forgetBeginning(oldest)
    }
    this.#contents.set(list.content, new Early(list, null, place))
    this.#beginnings.set(place.path, list.content)
  }

  /** The index knows the file, or it is not what it was. */
  forgetBeginning(path: string): void {
    const content = this.#beginnings.get(path)
    if (content !== undefined) this.#contents.delete(content)
    this.#beginnings.delete(path)
  }

  /** `whole`: it is staged; else it is not served from here any more. */
  end(content: ContentId, whole: boolean): void {
    if (whole) this.#contents.get(content)?.end()
    else this.#contents.delete(content)
  }

  /** Drops those that came whole, but for these. */
  keep(isKept: (content: ContentId) => boolean): void {
    for (const [content, { isWhole, place }] of [...this.#contents])
      if (isWhole && place === null && !isKept(content)) this.#contents.delete(content)
  }

  /** Null: not among them. A bit for each chunk of the list. */
  progress(content: ContentId): Uint8Array | 'all' | null {
    return this.#contents.get(content)?.progress() ?? null
  }

  /** Where it lies, or did a moment ago. */
  places(content: ContentId): readonly ContentPlace[] {
    return this.#contents.get(content)?.places() ?? []
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

  find(hash: Hash): EarlyChunk | null {
    for (const [content, early] of this.#contents) {
      const found = early.find(hash)
      if (found !== null) return { content, ...found }
    }
    return null
  }
}

class Early {
  readonly list: ContentList
  /** Of a file that is being read. */
  readonly place: FilePlace | null
  /** Null: all of it is there. */
  #file: StageFile | null
  #table: ChunkTable | null = null

  constructor(list: ContentList, file: StageFile | null, place: FilePlace | null) {
    this.list = list
    this.#file = file
    this.place = place
  }

  get isWhole(): boolean {
    return this.#file === null
  }

  end(): void {
    this.#file = null
  }

  places(): readonly ContentPlace[] {
    const { content } = this.list
    // From the part it goes to the stage, by a rename.
    return this.place === null
      ? [
          { at: 'part', content },
          { at: 'stage', content },
        ]
      : [this.place]
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
