// The port `Versions` on `.kith/versions`, `.kith/recipes` and `.kith/packs`: knows by content id what is kept whole and what is packed;
// the workers read and write. A name whose inode a program may still write to is kept, and served, but nothing is done to it.

import { readdir } from 'node:fs/promises'
import { abortable } from '../core/abortable.ts'
import type { ContentList } from '../core/content.ts'
import { isSingle } from '../core/content.ts'
import { decodeTop } from '../core/content-list.ts'
import { KithError } from '../core/errors.ts'
import type { ContentId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { DropOptions, KeptVersion, Stat, Versions, Waiting } from '../core/ports.ts'
import { Serial } from '../core/serial.ts'
import { areaPath, contentOfName, RECIPES, VERSIONS } from './area.ts'
import { reserveRoom } from './room.ts'
import type { Root } from './source.ts'
import type { DiskStage } from './stage.ts'
import type { VersionChange, VersionChanged } from './version-changes.ts'
import type { DiskWorkers } from './workers.ts'

const BATCH = 1_000
/** Between two slices of a packing a signal is heard. */
const SLICE_BYTES = 64 * 1024 * 1024
/** So many were packed since the packs were last put in order. */
const CLEAR_AFTER = 16

export interface DiskVersionsDeps {
  readonly workers: DiskWorkers
  readonly root: () => Root
  readonly stage: DiskStage
  /** One after the other with the folder's batches. */
  readonly acts: Serial
  readonly log: Log
}

export class DiskVersions implements Versions {
  readonly #deps: DiskVersionsDeps
  readonly #whole = new Set<ContentId>()
  readonly #packed = new Set<ContentId>()
  /** On their way out. */
  readonly #leaving = new Set<ContentId>()
  /** Packed, but their recipes are damaged: given out to be dropped, and held no more. */
  readonly #unreadable = new Set<ContentId>()
  /** One packing or clearing at a time: what is in work is not cleared away. */
  readonly #packing = new Serial()
  /** What an interrupted run left may be cleared; later, how many were packed since. */
  #untidy = CLEAR_AFTER

  constructor(deps: DiskVersionsDeps) {
    this.#deps = deps
  }

  /** `whole`: where what is there was just looked at. */
  async load(whole?: readonly ContentId[]): Promise<void> {
    const { path } = this.#deps.root()
    fill(this.#whole, whole ?? (await contentsIn(areaPath(path, VERSIONS))))
    const packed = await contentsIn(areaPath(path, RECIPES))
    fill(
      this.#packed,
      packed.filter(content => !this.#unreadable.has(content)),
    )
  }

  has(content: ContentId): boolean {
    return (this.#whole.has(content) || this.#packed.has(content)) && !this.#leaving.has(content)
  }

  /** A batch kept them. */
  added(contents: Iterable<ContentId>): void {
    for (const content of contents) this.#whole.add(content)
  }

  /** What had these names was written to and went back to the user. */
  lost(contents: Iterable<ContentId>): void {
    for (const content of contents) this.#whole.delete(content)
  }

  async keepBytes(content: ContentId, bytes: Uint8Array): Promise<void> {
    await this.#left(content)
    if (this.has(content)) return
    const task = { do: 'version-keep', root: this.#deps.root(), content, bytes: Uint8Array.from(bytes) } as const
    if (!(await this.#deps.workers.hash(task)))
      throw new KithError('content-mismatch', 'A version to be kept is not what its id says.')
    this.#whole.add(content)
  }

  async *all(options: Waiting & { readonly late?: boolean }): AsyncIterable<readonly KeptVersion[]> {
    options.signal.throwIfAborted()
    const root = this.#deps.root()
    const whole = [...this.#whole]
    const task = { do: 'version-shares', root } as const
    const isPacked = (content: ContentId): boolean => this.#packed.has(content) || this.#unreadable.has(content)
    const packed =
      this.#packed.size + this.#unreadable.size === 0
        ? []
        : await abortable(this.#deps.workers.hash(task), options.signal)
    for (let at = 0; at < whole.length; at += BATCH) {
      const contents = whole.slice(at, at + BATCH)
      const stat = { do: 'version-stat', root, contents, late: options.late === true } as const
      yield await abortable(this.#deps.workers.hash(stat), options.signal)
    }
    // What is whole and packed at once was told as whole.
    const rest = packed.filter(({ content }) => !this.#whole.has(content) && isPacked(content))
    for (let at = 0; at < rest.length; at += BATCH) yield rest.slice(at, at + BATCH)
  }

  async drop(contents: readonly ContentId[], options: DropOptions): Promise<readonly ContentId[]> {
    const gone: ContentId[] = []
    let freed = false
    for (let at = 0; at < contents.length; at += BATCH) {
      const batch = contents.slice(at, at + BATCH)
      const { done, packed } = await this.#deps.acts.run(() => this.#dropNow(batch, options))
      gone.push(...done)
      freed ||= packed
    }
    if (freed || this.#untidy >= CLEAR_AFTER) await this.#packing.run(() => this.#clear(options))
    return gone
  }

  async #dropNow(batch: readonly ContentId[], { signal, mayGo }: DropOptions): Promise<VersionChanged> {
    signal.throwIfAborted()
    const { workers, root, log } = this.#deps
    const contents = batch.filter(content => mayGo(content))
    for (const content of contents) this.#leaving.add(content)
    try {
      const changed = await workers.publish({ do: 'versions', root: root(), change: { do: 'drop', contents } })
      for (const content of changed.done) {
        this.#whole.delete(content)
        this.#packed.delete(content)
        this.#unreadable.delete(content)
      }
      const { failure } = changed
      if (failure !== undefined) log.warn({ failure }, 'not all versions that may go could be dropped durably')
      return changed
    } finally {
      for (const content of contents) this.#leaving.delete(content)
    }
  }

  /** What is on its way out is gone when this resolves, so that it can be kept anew. */
  async #left(content: ContentId): Promise<void> {
    if (this.#leaving.has(content)) await this.#deps.acts.ended()
  }

  async keep(path: string, stat: Stat, content: ContentId, options: Waiting): Promise<boolean> {
    options.signal.throwIfAborted()
    await this.#left(content)
    if (this.has(content)) return true
    const root = this.#deps.root()
    await reserveRoom(root.path, stat.size)
    const kept = await this.#deps.workers.hash({ do: 'version-copy', root, path, stat, content })
    if (kept) this.#whole.add(content)
    return kept
  }

  async keepStaged(content: ContentId, options: Waiting): Promise<boolean> {
    options.signal.throwIfAborted()
    const seal = await this.#deps.stage.sealed(content)
    if (seal === null) return false
    const { done } = await this.#change({ do: 'keep-staged', content, seal })
    if (done.length === 0) return false
    this.#deps.stage.forget(content)
    this.#whole.add(content)
    return true
  }

  async verify(
    content: ContentId,
    options: Waiting & { readonly list?: () => Promise<ContentList | null> },
  ): Promise<'sound' | 'mended' | 'damaged' | 'busy' | 'gone'> {
    let wasDamaged = false
    let mended = false
    for (;;) {
      options.signal.throwIfAborted()
      const task = { do: 'version-verify', root: this.#deps.root(), content } as const
      const { state, seal } = await abortable(this.#deps.workers.hash(task), options.signal)
      // One of two damaged ones is gone, or there was one only; with a seal it is there, and written to.
      if (state === 'gone') return wasDamaged ? 'damaged' : seal === null ? 'gone' : 'busy'
      if (state === 'sound') {
        if (seal === null && this.#unreadable.delete(content)) this.#packed.add(content)
        return mended ? 'mended' : state
      }
      if (state === 'recipe-damaged') {
        const top: Uint8Array | null = mended ? null : ((await options.list?.())?.top ?? null)
        mended = top !== null && (await this.#change({ do: 'write-recipe', content, top })).done.length > 0
        if (mended) continue
        // It stays: which chunks are its own nobody can tell now, and none of them may be cleared.
        this.#packed.delete(content)
        this.#unreadable.add(content)
        return 'damaged'
      }
      wasDamaged = true
      const { done } = await this.#change({ do: 'set-aside', content, seal })
      // It changed since it was read, or may change yet.
      if (done.length === 0) return 'busy'
      if (seal === null) this.#packed.delete(content)
      else this.#whole.delete(content)
    }
  }

  pack(content: ContentId, list: ContentList, options: Waiting): Promise<void> {
    return this.#packing.run(async () => {
      if (!this.#whole.has(content) || isSingle(content)) return
      await this.#pack(content, list, options)
      if (this.#untidy >= CLEAR_AFTER) await this.#clear(options)
    })
  }

  async #pack(content: ContentId, list: ContentList, options: Waiting): Promise<void> {
    const { workers } = this.#deps
    const root = this.#deps.root()
    options.signal.throwIfAborted()
    const seal = await workers.hash({ do: 'pack-begin', root, content, top: list.top })
    if (seal === null) return
    for (const { offset, segments } of slicesOf(list)) {
      options.signal.throwIfAborted()
      const isThere = await workers.hash({ do: 'pack-slice', root, content, offset, segments })
      // It changed, or is damaged: it stays whole, for `verify` to find.
      if (!isThere) return
    }
    const { done } = await this.#change({ do: 'end-packing', content, seal })
    if (done.length === 0) return
    this.#packed.add(content)
    this.#unreadable.delete(content)
    this.#whole.delete(content)
    this.#untidy++
  }

  async #clear(options: Waiting): Promise<void> {
    options.signal.throwIfAborted()
    const { workers, root, log } = this.#deps
    // Until it went through it is tried again.
    this.#untidy = CLEAR_AFTER
    const { blocked, full } = await workers.hash({ do: 'pack-clear', root: root() })
    // Nothing is taken away as long as it is not known what all of them need; verification finds which it is.
    if (blocked) log.warn({}, 'a packed version is damaged: what others of the kind no longer need keeps its room')
    if (!full) this.#untidy = 0
  }

  #change(change: VersionChange): Promise<VersionChanged> {
    const { workers, root, acts } = this.#deps
    return acts.run(() => workers.publish({ do: 'versions', root: root(), change }))
  }
}

/** Whole segments, in order, of about SLICE_BYTES of content at a time. */
function* slicesOf(list: ContentList): Iterable<{ offset: number; segments: Uint8Array[] }> {
  let segments: Uint8Array[] = []
  let offset = 0
  let length = 0
  for (const ref of decodeTop(list.top).segments) {
    const bytes = list.segments.get(ref.hash)
    if (bytes === undefined) throw new RangeError('a segment of the list is missing')
    segments.push(bytes)
    length += ref.length
    if (length < SLICE_BYTES) continue
    yield { offset, segments }
    offset += length
    segments = []
    length = 0
  }
  if (segments.length > 0) yield { offset, segments }
}

function fill(set: Set<ContentId>, contents: readonly ContentId[]): void {
  set.clear()
  for (const content of contents) set.add(content)
}

async function contentsIn(path: string): Promise<ContentId[]> {
  try {
    return (await readdir(path)).flatMap(name => contentOfName(name) ?? [])
  } catch {
    // Not there yet, or unreadable: `recover` and `check` tell.
    return []
  }
}
