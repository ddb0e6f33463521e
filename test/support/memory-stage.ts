// The stage of a disk in memory: contents on their way, verified chunk by chunk and as a whole, as the port promises.
// What is not finished survives a killed process, and any part of it is lost with the power.
import type { ContentList } from '../../src/core/content.ts'
import { commonChunks, matches, sha256 } from '../../src/core/content-list.ts'
import { KithError } from '../../src/core/errors.ts'
import type { ContentId } from '../../src/core/ids.ts'
import type { ContentPlace, Stage, StageFile, Waiting } from '../../src/core/ports.ts'
import type { KithArea, MemoryVolume } from './memory-volume.ts'
import type { Pause } from './process-life.ts'

interface Deps {
  readonly volume: MemoryVolume
  readonly area: () => KithArea
  readonly pause: Pause
  readonly read: (place: ContentPlace, offset: number, length: number) => Uint8Array | null
}

export class MemoryStage implements Stage {
  readonly #deps: Deps
  readonly #lists = new WeakMap<StageFile, ContentList>()

  constructor(deps: Deps) {
    this.#deps = deps
  }

  has(content: ContentId): boolean {
    return (this.#deps.area().stage.get(content)?.whole ?? null) !== null
  }

  async putWhole(
    items: readonly { content: ContentId; bytes: Uint8Array }[],
    options: Waiting,
  ): Promise<readonly ContentId[]> {
    const wrong: ContentId[] = []
    for (const item of items) {
      await this.#deps.pause('stage whole')
      options.signal.throwIfAborted()
      if (!matches(item.content, item.bytes)) wrong.push(item.content)
      else this.#keep(item.content, item.bytes)
    }
    return wrong
  }

  async putLocal(content: ContentId, size: number, place: ContentPlace, options: Waiting): Promise<boolean> {
    await this.#deps.pause('stage local')
    options.signal.throwIfAborted()
    const bytes = this.#deps.read(place, 0, size)
    if (bytes === null || bytes.length !== size || !matches(content, bytes)) return false
    this.#keep(content, bytes)
    return true
  }

  async open(list: ContentList, options: Waiting): Promise<StageFile> {
    await this.#deps.pause('stage open')
    options.signal.throwIfAborted()
    if (this.#deps.volume.readOnly) throw readOnly()
    if (list.size > this.#deps.volume.freeBytes) throw noSpace()
    const area = this.#deps.area()
    let staged = area.stage.get(list.content)
    if (staged === undefined) {
      staged = { chunks: new Map(), whole: null, offsets: [] }
      area.stage.set(list.content, staged)
    }
    const held = staged
    held.offsets = offsetsOf(list)
    // What an earlier process left is believed only where it is what it should be.
    for (const [index, bytes] of [...held.chunks]) {
      const chunk = list.chunks[index]
      if (chunk === undefined || bytes.length !== chunk.length || sha256(bytes) !== chunk.hash)
        held.chunks.delete(index)
    }
    const { pause, read } = this.#deps
    const accept = (index: number, bytes: Uint8Array): boolean => {
      const chunk = list.chunks[index]
      if (chunk === undefined || bytes.length !== chunk.length || sha256(bytes) !== chunk.hash) return false
      held.chunks.set(index, bytes.slice())
      return true
    }
    const file: StageFile = {
      content: list.content,
      missing: () => (held.whole === null ? list.chunks.flatMap((_, at) => (held.chunks.has(at) ? [] : [at])) : []),
      has: index => held.whole !== null || held.chunks.has(index),
      write: async (chunks, waiting) => {
        await pause('stage write')
        waiting.signal.throwIfAborted()
        return chunks.filter(chunk => !accept(chunk.index, chunk.bytes)).map(chunk => chunk.index)
      },
      copy: async (chunks, waiting) => {
        await pause('stage copy')
        waiting.signal.throwIfAborted()
        return chunks
          .filter(({ index, place, offset }) => {
            const bytes = read(place, offset, list.chunks[index]?.length ?? 0)
            return bytes === null || !accept(index, bytes)
          })
          .map(chunk => chunk.index)
      },
      finish: async waiting => {
        await pause('stage finish')
        waiting.signal.throwIfAborted()
        const bytes = Buffer.concat(list.chunks.map((_, at) => held.chunks.get(at) ?? new Uint8Array(0)))
        if (bytes.length !== list.size || !matches(list.content, bytes)) {
          throw new KithError('content-mismatch', 'The staged content is not what its id says.')
        }
        held.whole = bytes
        held.chunks.clear()
      },
      close: () => Promise.resolve(),
    }
    this.#lists.set(file, list)
    return file
  }

  async extend(file: StageFile, list: ContentList, options: Waiting): Promise<StageFile> {
    const { stage } = this.#deps.area()
    const shorter = stage.get(file.content)
    await file.close()
    const longer = await this.open(list, options)
    const staged = stage.get(list.content)
    const common = commonChunks(this.#lists.get(file)?.chunks ?? [], list.chunks)
    for (const [at, bytes] of shorter?.chunks ?? []) if (at < common) staged?.chunks.set(at, bytes)
    stage.delete(file.content)
    return longer
  }

  async sweep(wanted: ReadonlySet<ContentId>): Promise<void> {
    await this.#deps.pause('stage sweep')
    const stage = this.#deps.area().stage
    for (const content of [...stage.keys()]) if (!wanted.has(content)) stage.delete(content)
  }

  #keep(content: ContentId, bytes: Uint8Array): void {
    if (this.#deps.volume.readOnly) throw readOnly()
    if (bytes.length > this.#deps.volume.freeBytes) throw noSpace()
    this.#deps.area().stage.set(content, { chunks: new Map(), whole: bytes.slice(), offsets: [] })
  }
}

function offsetsOf({ chunks }: ContentList): number[] {
  let at = 0
  return chunks.map(({ length }) => {
    at += length
    return at - length
  })
}

export function noSpace(): KithError {
  return new KithError('no-space', 'The disk is full.')
}

function readOnly(): KithError {
  return new KithError('permission-denied', 'The disk is read-only.')
}
