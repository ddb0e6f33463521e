// The port FolderDisk on a volume in memory: one process's view of it. Every wait passes through `pause`, so that a simulation can
// let others act in between, or let the process die there.
import { contentOf, listOf, matches, sha256 } from '../../src/core/content-list.ts'
import type { ContentId } from '../../src/core/ids.ts'
import type { JournalEntry } from '../../src/core/past.ts'
import type {
  ContentPlace,
  DiskStep,
  FolderDisk,
  HashedBytes,
  HashOptions,
  HashRequest,
  HashResult,
  JournalCopy,
  Listing,
  Observed,
  PlacedRead,
  Problem,
  RootState,
  StepResult,
  Together,
  Unlisted,
  Waiting,
  Watch,
  WatchEvents,
} from '../../src/core/ports.ts'
import { MemoryStage, noSpace } from './memory-stage.ts'
import { problem, putBackParked, refused, StepBatch } from './memory-steps.ts'
import { MemoryVersions } from './memory-versions.ts'
import type { Inode, KithArea, MemoryVolume, Staged } from './memory-volume.ts'
import { areaOf, isAsExpected, mark, statOf, VolumeError } from './memory-volume.ts'
import { MemoryWatch, type WatchFaults } from './memory-watch.ts'
import { noPause, type Pause } from './process-life.ts'
import { textOf } from './text.ts'

/** What a disk writes whole. */
const SECTOR_BYTES = 512

interface Deps {
  readonly volume: MemoryVolume
  readonly pause?: Pause
  /** What becomes of watcher events; none is lost or late without it. */
  readonly watchFaults?: WatchFaults
  /** Told of each step that was tried; `replaced`: the content that it took away. */
  readonly onStep?: (step: DiskStep, result: StepResult, replaced: Uint8Array | null) => void
  /** A batch of which no step was refused has left these parked: its plan was wrong. */
  readonly onLeftParked?: (tokens: readonly string[]) => void
}

export class MemoryDisk implements FolderDisk {
  readonly root: string
  readonly stage: MemoryStage
  readonly versions: MemoryVersions
  readonly journalCopy: JournalCopy
  #events: WatchEvents | null = null
  readonly #deps: Deps
  readonly #volume: MemoryVolume
  readonly #pause: Pause
  #batch: StepBatch | null = null
  /** Which directory the root was when it was last looked at: as the real disk, it reads and writes in no other. */
  #identity: Inode | null

  constructor(deps: Deps, options: { root?: string } = {}) {
    this.#deps = deps
    this.#volume = deps.volume
    this.#pause = deps.pause ?? noPause
    this.root = options.root ?? '/memory'
    this.journalCopy = {
      append: async entries => {
        await this.#pause('copy journal')
        this.#area().journal.push(...entries)
      },
      read: options_ => this.#readJournal(options_),
    }
    this.#identity = this.#volume.root
    this.stage = new MemoryStage({
      volume: this.#volume,
      area: () => this.#area(),
      pause: this.#pause,
      read: (place, offset, length) => this.#readNow(place, offset, length),
    })
    this.versions = new MemoryVersions({ volume: this.#volume, area: () => this.#area(), pause: this.#pause })
  }

  async check(options: { hadEntries: boolean }): Promise<RootState> {
    await this.#pause('check')
    const root = this.#volume.root
    if (root === null) return { state: 'missing', message: `${this.root} is not there.` }
    if (root.unreadable) return { state: 'unreadable', message: `${this.root} cannot be read.` }
    const marker = root.kith?.marker ?? null
    if (options.hadEntries && root.children.size === 0) {
      return { state: 'emptied', message: `${this.root} is empty, and was not.` }
    }
    if (marker === null) {
      return { state: 'replaced', message: `${this.root} has lost its marker.` }
    }
    if (marker.dev !== root.dev || marker.ino !== root.ino) {
      return { state: 'replaced', message: `${this.root} is another directory than before.` }
    }
    this.#identity = root
    return { state: 'ok' }
  }

  async recover(): Promise<void> {
    await this.#pause('recover')
    putBackParked(this.#volume, this.#area())
  }

  async *scan(paths: readonly string[], options: Waiting & { recursive: boolean }): AsyncIterable<Listing | Unlisted> {
    const waiting = [...paths]
    for (;;) {
      const path = waiting.shift()
      if (path === undefined) return
      await this.#pause('scan')
      options.signal.throwIfAborted()
      const listing = this.#list(path)
      yield listing
      if (!options.recursive || !('entries' in listing)) continue
      for (const entry of listing.entries) {
        if (entry.kind === 'directory') waiting.push(path === '' ? entry.name : `${path}/${entry.name}`)
      }
    }
  }

  async look(path: string): Promise<Observed | null> {
    await this.#pause('look')
    if (this.#volume.blocked(parentOf(path))) throw new VolumeError('EACCES', path)
    const place = this.#volume.place(path)
    if (place === null || place.inode === null) return null
    return { name: place.name, kind: place.inode.kind, stat: statOf(place.inode) }
  }

  async *hash(requests: readonly HashRequest[], options: HashOptions): AsyncIterable<HashResult> {
    for (const request of requests) {
      await this.#pause('hash')
      options.signal.throwIfAborted()
      const before = this.#volume.at(request.path)
      if (before === null || !isAsExpected(before, request.kind, request.stat)) {
        yield { ok: false, request, problem: problem('busy', request.path) }
        continue
      }
      if (this.#volume.blocked(request.path)) {
        yield { ok: false, request, problem: problem('unreadable', request.path) }
        continue
      }
      const bytes = before.data
      const list = contentOf(bytes)
      for (let chunks = 2; chunks < list.chunks.length; chunks *= 2) {
        options.onPrefix?.(request, listOf(list.chunks.slice(0, chunks)))
        await this.#pause('hash more')
      }
      await this.#pause('hash')
      const after = this.#volume.at(request.path)
      if (after !== before || !isAsExpected(after, request.kind, request.stat)) {
        yield { ok: false, request, problem: problem('busy', request.path) }
      } else {
        yield { ok: true, request, list, text: request.kind === 'file' ? textOf(bytes) : null }
      }
    }
  }

  async read(place: ContentPlace, offset: number, length: number, options: Waiting): Promise<Uint8Array | null> {
    await this.#pause('read')
    options.signal.throwIfAborted()
    return this.#readNow(place, offset, length)
  }

  async readHashed(place: ContentPlace, offset: number, length: number, options: Waiting): Promise<HashedBytes | null> {
    const bytes = await this.read(place, offset, length, options)
    return bytes && { bytes, hash: sha256(bytes) }
  }

  async readTogether(reads: readonly PlacedRead[], options: Waiting): Promise<Together<HashedBytes>> {
    const found = await Promise.all(
      reads.map(({ place, offset, length }) => this.readHashed(place, offset, length, options)),
    )
    return { found, release: () => undefined }
  }

  async space(): Promise<{ free: number; total: number } | null> {
    await this.#pause('space')
    return null
  }

  hasVersion(content: ContentId): boolean {
    return this.versions.has(content)
  }

  async keepVersion(content: ContentId, bytes: Uint8Array): Promise<void> {
    await this.#pause('keep version')
    if (bytes.length > this.#volume.freeBytes) throw noSpace()
    if (!matches(content, bytes)) throw new Error('keepVersion: the bytes are not of that content')
    if (this.#isGone) throw new VolumeError('ENOENT', this.root)
    this.#area().versions.set(content, bytes.slice())
  }

  async apply(steps: readonly DiskStep[], options: Waiting): Promise<readonly StepResult[]> {
    const results: StepResult[] = []
    for (const step of steps) {
      // One batch at a time; a process that dies in a pause leaves the rest undone, and what is parked where it is.
      await this.#pause(step.do)
      options.signal.throwIfAborted()
      if (this.#isGone) {
        results.push(refused('failed', 'path' in step ? step.path : step.to))
        continue
      }
      this.#batch ??= new StepBatch(this.#volume, this.#area())
      const there = step.do === 'put' || step.do === 'remove' ? this.#volume.at(step.path) : null
      const replaced = there === null || there.kind === 'directory' ? null : there.data
      const result = this.#batch.run(step)
      this.#deps.onStep?.(step, result, result.ok ? replaced : null)
      results.push(result)
    }
    await this.#pause('sync')
    if (!this.#isGone) {
      const parked = [...this.#area().parked.keys()]
      if (parked.length > 0 && results.every(result => result.ok)) this.#deps.onLeftParked?.(parked)
      putBackParked(this.#volume, this.#area())
    }
    this.#batch = null
    return results
  }

  /** The watcher says that it did not see all. */
  doubt(reason: string): void {
    this.#events?.onDoubt(reason)
  }

  watch(events: WatchEvents): Watch {
    this.#events = events
    return new MemoryWatch(this.#volume, events, this.#deps.watchFaults ?? null)
  }

  async accept(): Promise<void> {
    await this.#pause('accept')
    const root = this.#volume.root
    if (root === null) throw new VolumeError('ENOENT', this.root)
    mark(this.#volume)
    this.#identity = root
  }

  async close(): Promise<void> {
    await this.#pause('close')
  }

  /** The power goes while this process runs: of what was not synced, any part is lost. `lost` is asked for each. */
  powerCut(lost: () => boolean): void {
    this.#batch?.undo(lost)
    this.#batch = null
    const kith = this.#volume.root?.kith ?? null
    if (kith === null) return
    for (const [content, staged] of [...kith.stage]) {
      if (staged.whole !== null) continue
      if (lost()) kith.stage.delete(content)
      else tear(staged, lost)
    }
  }

  async *#readJournal({ signal }: Waiting): AsyncIterable<readonly JournalEntry[]> {
    await this.#pause('read journal')
    signal.throwIfAborted()
    const entries = [...this.#area().journal]
    if (entries.length > 0) yield entries
  }

  #area(): KithArea {
    return areaOf(this.#volume)
  }

  /** The root is not there, or another one than was looked at. */
  get #isGone(): boolean {
    const { root } = this.#volume
    return root === null || (this.#identity !== null && root !== this.#identity)
  }

  #list(path: string): Listing | Unlisted {
    if (this.#isGone || this.#volume.blocked(path)) return { path, gone: false, problem: problem('unreadable', path) }
    const directory = this.#volume.at(path)
    if (directory === null || directory.kind !== 'directory') return { path, gone: true, problem: null }
    const entries: Observed[] = []
    const problems: Problem[] = []
    for (const [name, inode] of directory.children) {
      if (inode.unlisted) problems.push(problem('unreadable', path === '' ? name : `${path}/${name}`))
      else entries.push({ name, kind: inode.kind, stat: statOf(inode) })
    }
    return { path, stat: statOf(directory), entries, problems }
  }

  #readNow(place: ContentPlace, offset: number, length: number): Uint8Array | null {
    if (place.at === 'part') return this.#partNow(place.content, offset, length)
    const whole = this.#whole(place)
    if (whole === null || offset > whole.length) return null
    return whole.slice(offset, offset + length)
  }

  /** What is there of a chunk that begins at this offset. */
  #partNow(content: ContentId, offset: number, length: number): Uint8Array | null {
    const part = this.#volume.root?.kith?.stage.get(content)
    if (part === undefined || part.whole !== null) return null
    return part.chunks.get(part.offsets.indexOf(offset))?.slice(0, length) ?? new Uint8Array(length)
  }

  #whole(place: Exclude<ContentPlace, { at: 'part' }>): Uint8Array | null {
    switch (place.at) {
      case 'file': {
        const inode: Inode | null = this.#volume.at(place.path)
        if (inode === null || this.#volume.blocked(place.path)) return null
        return isAsExpected(inode, place.kind, place.stat) ? inode.data : null
      }
      case 'version':
        return this.#volume.root?.kith?.versions.get(place.content) ?? null
      case 'stage':
        return this.#volume.root?.kith?.stage.get(place.content)?.whole ?? null
    }
  }
}

/** Of an unfinished stage some chunks are there, some are not, and of some only the first sector. */
function tear(staged: Staged, lost: () => boolean): void {
  for (const [index, bytes] of [...staged.chunks]) {
    if (!lost()) continue
    if (lost()) staged.chunks.delete(index)
    else staged.chunks.set(index, bytes.slice(0, SECTOR_BYTES))
  }
}

function parentOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : ''
}
