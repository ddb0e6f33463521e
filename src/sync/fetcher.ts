// Brings wanted contents to the stage: from this device where it has them, else from linked devices. It owns no list of work: the plan
// says again and again what is wanted, and what is no longer wanted is dropped. Everything is verified by the stage.

import type { Clock } from '../core/clock.ts'
import type { ContentList } from '../core/content.ts'
import { SMALL_CONTENT_BYTES } from '../core/content.ts'
import { isKithError } from '../core/errors.ts'
import type { ContentId, DeviceId } from '../core/ids.ts'
import type { FolderNetwork, Problem, Waiting } from '../core/ports.ts'
import { type BringDeps, fetchLarge, stageLocal } from './bring.ts'
import type { EarlyContents } from './early-contents.ts'
import type { Want } from './plan.ts'
import type { Prefetch } from './prefetch.ts'

/** One fetch of small contents names at most this many, and this many bytes; how much of it is on its way is the network's. */
const SMALL_BATCH = 4_096
const SMALL_BATCH_BYTES = 64 * 1024 * 1024
/** Small contents are handed to the stage in pieces of this size, so that publishing starts while the rest arrives. */
const SMALL_PIECE = 256
const SMALL_PIECE_BYTES = 2 * 1024 * 1024
/** Small contents kept in memory between their arrival and their publishing. */
const RECENT_BYTES = 16 * 1024 * 1024
/** Contents of no more than this are fetched several at a time, larger ones one by one. */
const MEDIUM_BYTES = 4 * 1024 * 1024
const MEDIUM_AT_ONCE = 4
/** After everything failed: the next try, doubling. */
const RETRY_FIRST_MS = 500
const RETRY_LAST_MS = 30_000
/** Not of another device or of the way to it: as long as it lasts, nothing that is wanted can come. */
const OF_THIS_DISK: ReadonlySet<string> = new Set(['permission-denied', 'store-failed'])

export interface FetcherDeps extends BringDeps {
  readonly early: EarlyContents
  /** What came ahead of its content. */
  readonly prefetch: Prefetch
  readonly clock: Clock
  /** Staged and ready to be published. */
  readonly onStaged: (contents: readonly ContentId[]) => void
  /** The disk has no room: the folder says so and waits. */
  readonly onNoSpace: (message: string) => void
  /** `problem` says something else than before. */
  readonly onProblem: () => void
}

export class Fetcher {
  readonly #deps: FetcherDeps
  readonly #stop = new AbortController()
  #wanted: ReadonlyMap<ContentId, Want> = new Map()
  /** Recipes of what was fetched, until the commit that publishes it. */
  readonly #lists = new Map<ContentId, ContentList>()
  /** Small contents that just came, so that the base of a text need not be read again. */
  readonly #recent = new Map<ContentId, Uint8Array>()
  #recentBytes = 0
  #running: Promise<void> | null = null
  #again = false
  #retryMs = RETRY_FIRST_MS
  #wake: (() => void) | null = null
  #problem: Problem | null = null
  /** What the round that runs failed at, of this disk. */
  #refused: Problem | null = null

  constructor(deps: FetcherDeps) {
    this.#deps = deps
  }

  /** Why this disk takes nothing of what is wanted: it is read-only, it fails. Tried again all the while. */
  get problem(): Problem | null {
    return this.#problem
  }

  /** What the disk lacks, whole, and kept current by its owner. `news`: some of it was not wanted before. */
  want(wants: ReadonlyMap<ContentId, Want>, news: boolean): void {
    this.#wanted = wants
    const isKept = (content: ContentId): boolean => wants.has(content) || this.#deps.disk.stage.has(content)
    for (const content of [...this.#lists.keys()]) if (!isKept(content)) this.#lists.delete(content)
    this.#deps.early.keep(isKept)
    // What failed before waits for its time, or every cycle would be another try.
    if (news || this.#running === null) this.kick()
  }

  /** A peer came or caught up: try now what failed before. */
  kick(): void {
    this.#retryMs = RETRY_FIRST_MS
    this.#again = true
    this.#wake?.()
    if (this.#running === null && !this.#stop.signal.aborted && this.#wanted.size > 0) this.#running = this.#run()
  }

  /** The recipe of a content staged here, for the commit that publishes it. */
  takeList(content: ContentId): ContentList | undefined {
    const list = this.#lists.get(content)
    this.#lists.delete(content)
    return list
  }

  /** The bytes of a content that was just staged, where they are still at hand. */
  takeBytes(content: ContentId): Uint8Array | undefined {
    const bytes = this.#recent.get(content)
    if (bytes !== undefined && this.#recent.delete(content)) this.#recentBytes -= bytes.byteLength
    return bytes
  }

  #remember(content: ContentId, bytes: Uint8Array): void {
    if (this.#recent.has(content)) return
    this.#recent.set(content, bytes)
    this.#recentBytes += bytes.byteLength
    for (const oldest of this.#recent.keys()) {
      if (this.#recentBytes <= RECENT_BYTES) break
      this.takeBytes(oldest)
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error('the folder stopped'))
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    try {
      while (!signal.aborted && this.#wanted.size > 0) {
        this.#again = false
        const asked = this.#missing()
        const before = asked.length
        this.#refused = null
        try {
          await this.#round({ signal })
        } catch (error) {
          this.#failed(error, { signal })
        }
        this.#say(this.#refused)
        // What the round brought for nobody, whole or in part, is tidied up in the folder's next quiet moment.
        if (asked.some(({ content }) => !this.#wanted.has(content))) this.#deps.onStaged([])
        const left = this.#missing().length
        if (left === 0 && !this.#again) break
        if (left === before && !this.#again) await this.#pause(signal)
      }
    } catch (error) {
      if (!signal.aborted) this.#deps.log.error({ err: error }, 'fetching stopped')
    } finally {
      this.#running = null
    }
    if (this.#wanted.size === 0) this.#say(null)
    // Something may have been wanted between the last look and now.
    if (this.#again && !signal.aborted && this.#wanted.size > 0) this.kick()
  }

  /** Waits for the retry time, or for a kick. */
  async #pause(signal: AbortSignal): Promise<void> {
    const done = new AbortController()
    this.#wake = () => done.abort(new Error('kicked'))
    try {
      await this.#deps.clock.sleep(this.#retryMs, { signal: AbortSignal.any([signal, done.signal]) })
      this.#retryMs = Math.min(this.#retryMs * 2, RETRY_LAST_MS)
    } catch {
      // kicked or stopped: the loop looks which
    } finally {
      this.#wake = null
    }
  }

  #missing(): Want[] {
    const out: Want[] = []
    for (const want of this.#wanted.values()) if (!this.#deps.disk.stage.has(want.content)) out.push(want)
    return out
  }

  async #round(options: Waiting): Promise<void> {
    const missing = await this.#fromHere(this.#missing(), options)
    const small = missing.filter(w => w.size <= SMALL_CONTENT_BYTES)
    const large = missing.filter(w => w.size > SMALL_CONTENT_BYTES).sort((a, b) => a.size - b.size)
    const results = await Promise.allSettled([this.#fetchSmall(small, options), this.#fetchLarge(large, options)])
    for (const result of results) if (result.status === 'rejected') this.#failed(result.reason, options)
  }

  #failed(error: unknown, { signal }: Waiting): void {
    if (signal.aborted) return
    if (isKithError(error) && error.code === 'no-space') return this.#deps.onNoSpace(error.message)
    if (isKithError(error) && OF_THIS_DISK.has(error.code))
      this.#refused = { code: 'failed', path: '', message: error.message }
    this.#deps.log.warn({ err: error }, 'a transfer failed and will be tried again')
  }

  #say(problem: Problem | null): void {
    const before = this.#problem
    this.#problem = problem
    if (before?.message !== problem?.message) this.#deps.onProblem()
  }

  /** Contents that lie whole on this device: copied, nothing is sent. */
  async #fromHere(missing: readonly Want[], options: Waiting): Promise<Want[]> {
    const rest: Want[] = []
    const staged: ContentId[] = []
    for (const want of missing) {
      options.signal.throwIfAborted()
      if (await stageLocal(this.#deps, want, options)) staged.push(want.content)
      else rest.push(want)
      if (staged.length >= SMALL_PIECE) this.#deps.onStaged(staged.splice(0))
    }
    if (staged.length > 0) this.#deps.onStaged(staged)
    return rest
  }

  async #fetchSmall(wants: readonly Want[], options: Waiting): Promise<void> {
    const network = this.#deps.network()
    if (network === null) return
    const asked = new Set<ContentId>()
    // What is wanted since is asked for too: a large content may keep this round for long.
    for (let due = wants; due.length > 0; due = await this.#fromHere(this.#smallBut(asked), options)) {
      for (const { content } of due) asked.add(content)
      for (let at = 0; at < due.length; ) {
        const batch: Want[] = []
        let bytes = 0
        for (; at < due.length && batch.length < SMALL_BATCH && bytes < SMALL_BATCH_BYTES; at++) {
          const want = due[at]
          if (want === undefined || !this.#wanted.has(want.content)) continue
          batch.push(want)
          bytes += want.size
        }
        await this.#fetchSmallBatch(network, batch, options)
      }
    }
  }

  #smallBut(asked: ReadonlySet<ContentId>): Want[] {
    return this.#missing().filter(({ content, size }) => size <= SMALL_CONTENT_BYTES && !asked.has(content))
  }

  async #fetchSmallBatch(network: FolderNetwork, batch: readonly Want[], options: Waiting): Promise<void> {
    let piece: { content: ContentId; bytes: Uint8Array; from: DeviceId }[] = []
    let size = 0
    const flush = async (): Promise<void> => {
      const items = piece
      piece = []
      size = 0
      if (items.length === 0) return
      const wrong = new Set(await this.#deps.disk.stage.putWhole(items, options))
      for (const item of items)
        if (wrong.has(item.content)) network.reportBad(item.from)
        else this.#remember(item.content, item.bytes)
      this.#deps.onStaged(items.map(i => i.content).filter(c => !wrong.has(c)))
    }
    for await (const item of network.fetchWhole(
      batch.map(w => w.content),
      options,
    )) {
      piece.push(item)
      size += item.bytes.byteLength
      if (piece.length >= SMALL_PIECE || size >= SMALL_PIECE_BYTES) await flush()
    }
    await flush()
  }

  async #fetchLarge(wants: readonly Want[], options: Waiting): Promise<void> {
    const network = this.#deps.network()
    if (network === null) return
    const fetchEach = async (some: Iterable<Want>): Promise<void> => {
      for (const want of some) if (this.#wanted.has(want.content)) await this.#fetchOne(network, want, options)
    }
    // The questions and the messages to the disk that each needs take longer than what it holds, up to a size.
    const medium = wants.filter(({ size }) => size <= MEDIUM_BYTES).values()
    const results = await Promise.allSettled(Array.from({ length: MEDIUM_AT_ONCE }, () => fetchEach(medium)))
    for (const result of results) if (result.status === 'rejected') throw result.reason
    await fetchEach(wants.filter(({ size }) => size > MEDIUM_BYTES))
  }

  async #fetchOne(network: FolderNetwork, want: Want, options: Waiting): Promise<void> {
    const list = await fetchLarge(this.#deps, network, want, () => this.#wanted.has(want.content), {
      ...options,
      early: this.#deps.early,
      prefetch: this.#deps.prefetch,
    })
    if (list === null) return
    this.#lists.set(want.content, list)
    this.#deps.onStaged([want.content])
  }
}
