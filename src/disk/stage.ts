// The port `Stage` on `.kith/stage`: remembers what is staged and when it was last verified; the workers do the reading and writing.
import { readdir, unlink } from 'node:fs/promises'
import { abortable } from '../core/abortable.ts'
import type { ContentList } from '../core/content.ts'
import { isSingle } from '../core/content.ts'
import { commonChunks } from '../core/content-list.ts'
import { KithError, systemCode } from '../core/errors.ts'
import type { ContentId } from '../core/ids.ts'
import type { ContentPlace, Stage, StageFile, Waiting } from '../core/ports.ts'
import { areaPath, contentOfName, PART_SUFFIX, type Seal, STAGE } from './area.ts'
import { packChunks } from './packed-chunks.ts'
import type { Filled } from './part-work.ts'
import { reserveRoom } from './room.ts'
import type { Root } from './source.ts'
import { DiskStageFile } from './stage-file.ts'
import type { DiskWorkers } from './workers.ts'

const BATCH_FILES = 256
const BATCH_BYTES = 8 * 1024 * 1024

/** A content that arrives in chunks, for all who bring it now. */
interface Open {
  readonly size: number
  readonly opening: Promise<DiskStageFile>
  users: number
}

interface Deps {
  readonly workers: DiskWorkers
  readonly root: () => Root
}

export class DiskStage implements Stage {
  readonly #deps: Deps
  /** Null: there by name, not yet verified in this process. */
  readonly #staged = new Map<ContentId, Seal | null>()
  readonly #open = new Map<ContentId, Open>()
  /** What is written or verified there now. One at a time: a name that is replaced while it is published from would spoil both. */
  readonly #inWork = new Map<ContentId, Promise<unknown>>()

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Learns what an earlier run left. */
  async load(): Promise<void> {
    this.#staged.clear()
    for (const name of await this.#names()) {
      const content = contentOfName(name)
      if (content !== undefined) this.#staged.set(content, null)
    }
  }

  has(content: ContentId): boolean {
    return this.#staged.has(content)
  }

  async putWhole(
    items: readonly { content: ContentId; bytes: Uint8Array }[],
    options: Waiting,
  ): Promise<readonly ContentId[]> {
    const wrong: ContentId[] = []
    await reserveRoom(
      this.#deps.root().path,
      items.reduce((sum, item) => sum + item.bytes.length, 0),
    )
    for (const batch of batchesOf(items)) {
      options.signal.throwIfAborted()
      wrong.push(...(await this.#inTurn(contentsOf(batch), () => this.#putBatch(batch), options)))
    }
    return wrong
  }

  /** Those that were wrong. What another put there meanwhile stays. */
  async #putBatch(items: readonly { content: ContentId; bytes: Uint8Array }[]): Promise<ContentId[]> {
    const batch = items.filter(({ content }) => !this.#isVerified(content))
    if (batch.length === 0) return []
    const bytes = joined(batch.map(item => item.bytes))
    const names = batch.map(item => ({ content: item.content, length: item.bytes.length }))
    const task = { do: 'stage-whole', root: this.#deps.root(), items: names, bytes } as const
    const seals = await this.#deps.workers.hash(task, [bytes.buffer])
    const wrong: ContentId[] = []
    batch.forEach((item, index) => {
      const seal = seals[index] ?? null
      if (seal === null) wrong.push(item.content)
      else this.#staged.set(item.content, seal)
    })
    return wrong
  }

  async putLocal(
    content: ContentId,
    size: number,
    place: ContentPlace,
    options: Waiting & { readonly list?: ContentList | null },
  ): Promise<boolean> {
    options.signal.throwIfAborted()
    if (this.has(content)) return true
    await reserveRoom(this.#deps.root().path, size)
    const { list = null } = options
    const chunks = list === null || isSingle(content) ? null : packChunks(list.chunks)
    const task = { do: 'stage-local', root: this.#deps.root(), content, size, place, chunks } as const
    return this.#inTurn(
      [content],
      async () => {
        if (this.has(content)) return true
        const seal = await this.#deps.workers.hash(task)
        if (seal !== null) this.#staged.set(content, seal)
        return seal !== null
      },
      options,
    )
  }

  async open(list: ContentList, options: Waiting): Promise<StageFile> {
    const { content, size } = list
    for (;;) {
      options.signal.throwIfAborted()
      const other = this.#open.get(content)
      if (other === undefined) break
      if (other.size !== size) throw new KithError('content-mismatch', 'A content has two sizes.')
      // Two with a part of their own would take it from one another. Where the other's opening failed, that is told to the other.
      const file = await abortable(
        other.opening.catch(() => null),
        options.signal,
      )
      if (file === null || this.#open.get(content) !== other) continue
      other.users++
      return file
    }
    return this.#remember(
      list,
      this.#inTurn([content], () => this.#openPart(list, options), options),
    )
  }

  async extend(file: StageFile, list: ContentList, options: Waiting): Promise<StageFile> {
    const { content } = file
    const isSole = this.#open.get(content)?.users === 1
    // Where another brings the longer one, or did, there is a part of it already.
    const isNew = content !== list.content && !this.has(list.content) && !this.#open.has(list.content)
    if (!(file instanceof DiskStageFile && isSole && isNew)) {
      await file.close()
      return this.open(list, options)
    }
    const extending = async (): Promise<DiskStageFile> => {
      try {
        return await this.#inTurn([content, list.content], () => this.#extendPart(file, list, options), options)
      } finally {
        await file.close()
      }
    }
    return this.#remember(list, extending())
  }

  /** For all who bring the same content meanwhile. */
  async #remember({ content, size }: ContentList, opening: Promise<DiskStageFile>): Promise<DiskStageFile> {
    this.#open.set(content, { size, users: 1, opening })
    try {
      return await opening
    } catch (error) {
      this.#open.delete(content)
      throw error
    }
  }

  async #openPart(list: ContentList, options: Waiting): Promise<DiskStageFile> {
    const { content, size, chunks } = list
    let filled: Filled = { right: new Uint8Array(chunks.length).fill(1), seal: null }
    if (!this.has(content)) {
      await reserveRoom(this.#deps.root().path, size)
      const task = { do: 'part-open', root: this.#deps.root(), content, size, chunks } as const
      filled = await abortable(this.#deps.workers.hash(task), options.signal)
    }
    return this.#file(list, filled)
  }

  async #extendPart(file: DiskStageFile, list: ContentList, options: Waiting): Promise<DiskStageFile> {
    const { content, size, chunks } = list
    const left = await file.rest()
    await reserveRoom(this.#deps.root().path, Math.max(0, size - left.size))
    const task = { do: 'part-extend', ...left.part, into: content, size, chunks } as const
    const extended = await abortable(this.#deps.workers.hash(task), options.signal)
    if (extended === null) return this.#openPart(list, options)
    const right = new Uint8Array(chunks.length)
    right.set(left.have.subarray(0, commonChunks(left.chunks, chunks)))
    return this.#file(list, { right, seal: extended.seal })
  }

  #file(list: ContentList, filled: Filled): DiskStageFile {
    const { content } = list
    return new DiskStageFile(this.#deps, list, filled, {
      isDone: () => this.has(content),
      inTurn: (work, waiting) => this.#inTurn([content], work, waiting),
      done: seal => this.#staged.set(content, seal),
      closed: () => this.#closed(content),
    })
  }

  async sweep(wanted: ReadonlySet<ContentId>): Promise<void> {
    for (const name of await this.#names()) {
      const content = contentOfName(name.endsWith(PART_SUFFIX) ? name.slice(0, -PART_SUFFIX.length) : name)
      const remove = (): Promise<void> => removeFile(areaPath(this.#deps.root().path, STAGE, name))
      if (content === undefined) await remove()
      else if (!wanted.has(content))
        await this.#inTurn([content], async () => {
          if (this.#open.has(content)) return
          this.#staged.delete(content)
          await remove()
        })
    }
  }

  /** The seal to publish by; verifies what was staged by an earlier run. Null where it is not there, or not what it should be. */
  async sealed(content: ContentId): Promise<Seal | null> {
    const known = this.#staged.get(content)
    if (known !== null) return known ?? null
    return this.#inTurn([content], async () => {
      const seal = this.#staged.get(content)
      if (seal !== null) return seal ?? null
      const found = await this.#deps.workers.hash({ do: 'stage-verify', root: this.#deps.root(), content })
      if (found === null) this.#staged.delete(content)
      else this.#staged.set(content, found)
      return found
    })
  }

  /** Publishing used it up, or found it spoilt. */
  forget(content: ContentId): void {
    this.#staged.delete(content)
  }

  /** Publishing gave it another time and did not use it. */
  reseal(content: ContentId, seal: Seal): void {
    if (this.#staged.has(content)) this.#staged.set(content, seal)
  }

  #isVerified(content: ContentId): boolean {
    return (this.#staged.get(content) ?? null) !== null
  }

  async #inTurn<T>(contents: readonly ContentId[], work: () => Promise<T>, options?: Waiting): Promise<T> {
    for (;;) {
      const before = contents.flatMap(content => this.#inWork.get(content) ?? [])
      if (before.length === 0) break
      const ended = Promise.allSettled(before)
      await (options === undefined ? ended : abortable(ended, options.signal))
    }
    const done = work()
    for (const content of contents) this.#inWork.set(content, done)
    try {
      return await done
    } finally {
      for (const content of contents) this.#inWork.delete(content)
    }
  }

  #closed(content: ContentId): void {
    const open = this.#open.get(content)
    if (open !== undefined && --open.users === 0) this.#open.delete(content)
  }

  async #names(): Promise<string[]> {
    try {
      return await readdir(areaPath(this.#deps.root().path, STAGE))
    } catch (error) {
      if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return []
      throw error
    }
  }
}

function contentsOf(items: readonly { content: ContentId }[]): ContentId[] {
  return items.map(({ content }) => content)
}

/** In a buffer of its own, to be given away. */
function joined(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    out.set(piece, at)
    at += piece.length
  }
  return out
}

function* batchesOf<T extends { bytes: Uint8Array }>(items: readonly T[]): Generator<T[]> {
  let batch: T[] = []
  let bytes = 0
  for (const item of items) {
    if (batch.length > 0 && (batch.length === BATCH_FILES || bytes + item.bytes.length > BATCH_BYTES)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(item)
    bytes += item.bytes.length
  }
  if (batch.length > 0) yield batch
}

async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
  }
}
