// The port `FolderDisk` on a real directory: puts together what scans, hashes, stages, publishes and watches. It holds no user's data,
// only which directory the root is, what versions and stage hold by name, and the threads that do the work.

import { lstatSync } from 'node:fs'
import { lstat, mkdir, readdir, realpath, statfs } from 'node:fs/promises'
import { abortable } from '../core/abortable.ts'
import { KithError, systemCode } from '../core/errors.ts'
import type { ContentId, DeviceId, FolderId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type {
  ContentPlace,
  DiskStep,
  FolderDisk,
  HashedBytes,
  HashOptions,
  HashRequest,
  HashResult,
  Listing,
  Move,
  Observed,
  PlacedRead,
  RootState,
  StepResult,
  Together,
  Unlisted,
  Waiting,
  Watch,
  WatchEvents,
} from '../core/ports.ts'
import { Serial } from '../core/serial.ts'
import { AREA, type Seal } from './area.ts'
import { identityOf, splitPath, within } from './beneath.ts'
import { OWN_COPIES } from './copy-out.ts'
import { hashFiles } from './hasher.ts'
import { DiskJournalCopy } from './journal-copy.ts'
import { LATE_WRITER_MS, type LateReply, type Verdicts } from './late-writers.ts'
import { createMarker, isForeign, readMarker } from './marker.ts'
import { isAbsent } from './problem-of.ts'
import { GatheredReads } from './reads.ts'
import { scanTree } from './scanner.ts'
import type { Root } from './source.ts'
import { DiskStage } from './stage.ts'
import { kindOf, statOf } from './stat.ts'
import type { Verdict } from './version-work.ts'
import { DiskVersions } from './versions.ts'
import { DirectoryWatch } from './watcher.ts'
import { DiskWorkers } from './workers.ts'

/** Steps that the publish worker does at a time: between two such parts a signal is heard, and other folders have their turn. */
const STEPS_A_PART = 256

export interface FolderDiskOptions {
  readonly folder: FolderId
  readonly device: DeviceId
  readonly log: Log
  /** A person said that a root with another device's marker is to be this device's from now on. */
  readonly takeOver?: boolean
  /** Shared by all folders of a daemon; without it the disk has its own and closes them. */
  readonly workers?: DiskWorkers
}

/** Throws KithError `path-foreign-marker` where the root belongs to another device. A root that is not there is for `check` to tell. */
export async function openFolderDisk(root: string, options: FolderDiskOptions): Promise<FolderDisk> {
  const path = await realpath(root).catch(() => root)
  const marker = await readMarker(path).catch(() => null)
  if (options.takeOver !== true && marker !== null && (await isForeign(path, marker, options.device))) {
    throw new KithError(
      'path-foreign-marker',
      `${root} is a folder of another device. If that disk now belongs to this one, say so (--take-over).`,
    )
  }
  if (options.takeOver === true && marker !== null && marker.device !== options.device) {
    await createMarker(path, options)
  }
  const disk = new RealFolderDisk(path, options)
  await disk.load()
  return disk
}

class RealFolderDisk implements FolderDisk {
  readonly root: string
  readonly stage: DiskStage
  readonly versions: DiskVersions
  readonly journalCopy: DiskJournalCopy
  readonly #options: FolderDiskOptions
  readonly #workers: DiskWorkers
  readonly #ownsWorkers: boolean
  readonly #reads: GatheredReads
  readonly #watches = new Set<DirectoryWatch>()
  readonly #events = new Set<WatchEvents>()
  #identity: Root['identity'] = null
  /** Batches and whatever else changes the folder or its `.kith`. */
  readonly #acts = new Serial()
  #late: NodeJS.Timeout | null = null
  /** What twins wait for is being read. */
  #reading = false
  #closed = false

  constructor(root: string, options: FolderDiskOptions) {
    this.root = root
    this.#options = options
    this.#workers = options.workers ?? new DiskWorkers()
    this.#ownsWorkers = options.workers === undefined
    const deps = { workers: this.#workers, root: () => this.#at() }
    this.#reads = new GatheredReads(deps)
    this.stage = new DiskStage(deps)
    this.versions = new DiskVersions({ ...deps, stage: this.stage, acts: this.#acts, log: options.log })
    this.journalCopy = new DiskJournalCopy({ root, log: options.log })
  }

  async load(): Promise<void> {
    this.#identify()
    await this.versions.load()
    await this.stage.load()
    // While the database is read, which takes one core.
    this.#workers.warm()
  }

  async check(options: { hadEntries: boolean }): Promise<RootState> {
    const { root } = this
    try {
      const stats = await lstat(root, { bigint: true })
      if (!stats.isDirectory()) return { state: 'replaced', message: `${root} is not a directory any more.` }
      const names = await readdir(root)
      if (options.hadEntries && names.every(name => name === AREA)) {
        return { state: 'emptied', message: `${root} is empty, and it was not before.` }
      }
      const marker = await readMarker(root)
      if (marker === null) {
        return {
          state: 'replaced',
          message: `${root} has no marker of Kith: another directory, or one without its .kith.`,
        }
      }
      if (marker.folder !== this.#options.folder || marker.device !== this.#options.device) {
        return { state: 'replaced', message: `${root} carries the marker of another folder or device.` }
      }
      if (marker.ino !== `${stats.ino}`) {
        return { state: 'replaced', message: `${root} is another directory than before: it was copied or restored.` }
      }
      // The one that all this was seen of: another may stand there by now.
      this.#identity = { dev: stats.dev, ino: stats.ino }
      return { state: 'ok' }
    } catch (error) {
      if (isAbsent(error)) return { state: 'missing', message: `${root} is not there: is its disk mounted?` }
      return { state: 'unreadable', message: `${root} cannot be read (${systemCode(error) ?? String(error)}).` }
    }
  }

  async recover(moves: readonly Move[] = []): Promise<void> {
    const reply = await this.#acts.run(() =>
      this.#workers.publish({ do: 'recover', root: this.#at(), running: OWN_COPIES, moves }),
    )
    await this.versions.load(reply.versions)
    for (const path of reply.back) this.#options.log.warn({ path }, 'put back what an interrupted run had set aside')
    this.#tookLate(reply.late)
    await this.stage.load()
  }

  scan(paths: readonly string[], options: Waiting & { recursive: boolean }): AsyncIterable<Listing | Unlisted> {
    return scanTree(this.#workers, this.#at(), paths, options)
  }

  async look(path: string): Promise<Observed | null> {
    const { directory, name } = splitPath(path)
    try {
      const stats =
        path === ''
          ? await lstat(this.root, { bigint: true })
          : within(this.root, this.#identity, directory, at => lstatSync(`${at.base}/${name}`, { bigint: true }))
      const kind = kindOf(stats)
      // What cannot be synced is there all the same: to the engine it is something unexpected.
      if (kind === null) throw new KithError('bad-path', 'Neither file nor directory nor symlink.')
      return { name, kind, stat: statOf(stats) }
    } catch (error) {
      if (isAbsent(error)) return null
      throw error
    }
  }

  hash(requests: readonly HashRequest[], options: HashOptions): AsyncIterable<HashResult> {
    return hashFiles(this.#workers, this.#at(), requests, options)
  }

  async read(place: ContentPlace, offset: number, length: number, options: Waiting): Promise<Uint8Array | null> {
    return abortable(this.#reads.read(place, offset, length), options.signal)
  }

  readHashed(place: ContentPlace, offset: number, length: number, options: Waiting): Promise<HashedBytes | null> {
    return abortable(this.#reads.readHashed(place, offset, length), options.signal)
  }

  async readTogether(reads: readonly PlacedRead[], options: Waiting): Promise<Together<HashedBytes>> {
    // Before anything is asked of the workers: those that wait for a stream which ended are many.
    options.signal.throwIfAborted()
    return abortable(this.#reads.readTogether(reads), options.signal)
  }

  async space(): Promise<{ free: number; total: number } | null> {
    try {
      const { bavail, blocks, bsize } = await statfs(this.root)
      return { free: bavail * bsize, total: blocks * bsize }
    } catch (error) {
      this.#options.log.debug({ error: String(error) }, 'the room on the disk is not known')
      return null
    }
  }

  hasVersion(content: ContentId): boolean {
    return this.versions.has(content)
  }

  keepVersion(content: ContentId, bytes: Uint8Array): Promise<void> {
    return this.versions.keepBytes(content, bytes)
  }

  apply(steps: readonly DiskStep[], options: Waiting): Promise<readonly StepResult[]> {
    return this.#acts.run(() => this.#apply(steps, options.signal))
  }

  watch(events: WatchEvents): Watch {
    const watch = new DirectoryWatch(this.root, events)
    this.#watches.add(watch)
    this.#events.add(events)
    return {
      add: paths => watch.add(paths),
      addBefore: (paths, options) => watch.addBefore(paths, options),
      remove: path => watch.remove(path),
      close: async () => {
        this.#watches.delete(watch)
        this.#events.delete(events)
        await watch.close()
      },
    }
  }

  /** A root that is gone is made again: what was accepted is that nothing stands there. */
  async accept(): Promise<void> {
    try {
      await mkdir(this.root, { recursive: true })
      await createMarker(this.root, this.#options)
    } catch (error) {
      throw unacceptable(this.root, error)
    }
    this.#identify()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    if (this.#late !== null) clearTimeout(this.#late)
    for (const watch of this.#watches) await watch.close()
    await this.#acts.ended()
    await this.journalCopy.written()
    if (this.#ownsWorkers) await this.#workers.close()
  }

  async #apply(steps: readonly DiskStep[], signal: AbortSignal): Promise<StepResult[]> {
    const results: StepResult[] = []
    let parked = false
    for (let at = 0; at < steps.length; at += STEPS_A_PART) {
      if (signal.aborted && parked) await this.#applyPart([], true)
      signal.throwIfAborted()
      const part = steps.slice(at, at + STEPS_A_PART)
      parked ||= part.some(step => step.do === 'park')
      results.push(...(await this.#applyPart(part, at + STEPS_A_PART >= steps.length)))
    }
    return results
  }

  async #applyPart(steps: readonly DiskStep[], last: boolean): Promise<readonly StepResult[]> {
    const seals = new Map<ContentId, Seal>()
    for (const step of steps) {
      if (step.do !== 'put' || seals.has(step.content)) continue
      const seal = await this.stage.sealed(step.content)
      if (seal !== null) seals.set(step.content, seal)
    }
    const reply = await this.#workers.publish({ do: 'apply', root: this.#at(), steps, seals, last })
    this.versions.added(reply.versions)
    for (const content of reply.gone) this.stage.forget(content)
    for (const [content, seal] of reply.seals) this.stage.reseal(content, seal)
    for (const path of reply.back) this.#options.log.debug({ path }, 'put back what a batch left parked')
    if (reply.hasLate) this.#watchLate()
    return reply.results
  }

  /** One batch at a time: what is parked belongs to it. */
  #watchLate(): void {
    if (this.#late !== null || this.#closed) return
    this.#late = setTimeout(() => {
      this.#late = null
      this.#lookLate(new Map())
    }, LATE_WRITER_MS + 500)
    this.#late.unref()
  }

  #lookLate(read: Verdicts): void {
    this.#acts
      .run(() => this.#workers.publish({ do: 'late', root: this.#at(), read }))
      .then(reply => this.#tookLate({ ...reply, twins: reply.twins.filter(content => !read.has(content)) }))
      .catch((error: unknown) => this.#options.log.warn({ error }, 'could not look for late writers'))
  }

  /** Reads what twins wait for, beside the batches; one reading at a time, for it may take longer than the next look. */
  async #readFor(twins: readonly ContentId[]): Promise<void> {
    if (this.#reading) return
    this.#reading = true
    const read = new Map<ContentId, Verdict>()
    for (const content of twins) {
      if (this.#closed) return
      read.set(content, await this.#readKept(content))
    }
    this.#reading = false
    if (!this.#closed) this.#lookLate(read)
  }

  async #readKept(content: ContentId): Promise<Verdict> {
    try {
      return await this.#workers.hash({ do: 'version-verify', root: this.#at(), content })
    } catch (error) {
      // Its twin waits on, and the others do not wait for it.
      if (!this.#closed) this.#options.log.warn({ error }, 'could not read what was kept before')
      return { state: 'gone', seal: null }
    }
  }

  #tookLate(reply: LateReply): void {
    this.versions.lost(reply.lost)
    for (const path of reply.back) {
      this.#options.log.warn({ path }, 'a program wrote to a file after it was replaced: its content is beside it')
      const at = path.lastIndexOf('/')
      for (const events of this.#events) events.onDirty(at < 0 ? '' : path.slice(0, at))
    }
    if (reply.waiting.length > 0) this.#watchLate()
    if (reply.twins.length > 0) void this.#readFor(reply.twins)
  }

  #at(): Root {
    return { path: this.root, identity: this.#identity }
  }

  #identify(): void {
    try {
      this.#identity = identityOf(this.root)
    } catch {
      // Not there: nothing is read or written until `check` says ok.
      this.#identity = null
    }
  }
}

function unacceptable(root: string, error: unknown): unknown {
  switch (systemCode(error)) {
    case 'EEXIST':
    case 'ENOTDIR':
      return new KithError('root-replaced', `${root} is not a directory: move away what stands there, and try again.`, {
        cause: error,
      })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new KithError('permission-denied', `Kith cannot write to ${root}: mend its permissions, and try again.`, {
        cause: error,
      })
    default:
      return error
  }
}
