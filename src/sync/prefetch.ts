// Brings the beginnings of large files that another device is still reading: their content has no id yet, but most of it is here when it has.
// What is brought lies in the stage under the id of the beginning, and goes on as the part of the whole content once that is wanted. It is
// a help and no more: whatever fails here is left to the transfer of the whole.

import { abortable } from '../core/abortable.ts'
import type { Clock } from '../core/clock.ts'
import type { ContentList } from '../core/content.ts'
import { commonChunks } from '../core/content-list.ts'
import type { ContentId, DeviceId, Hash } from '../core/ids.ts'
import type { StageFile, Waiting } from '../core/ports.ts'
import { type BringDeps, fetchChunks } from './bring.ts'
import type { EarlyContents } from './early-contents.ts'

/** Files at one time. Of more the beginnings are not brought. */
const MOST_FILES = 4
/** What is said of a file that was read may overtake what the shared tree says of it. */
const KEPT_MS = 10_000

export interface PrefetchDeps extends BringDeps {
  readonly early: EarlyContents
  readonly clock: Clock
  /** Nothing here may be the same and not be known yet, and the folder takes what comes. */
  readonly mayBegin: () => boolean
  /** Something is over, and to be given up in time. */
  readonly onOver: () => void
}

/** One file that is being read elsewhere. */
interface Ahead {
  readonly device: DeviceId
  /** The latest of its beginnings; null: the one that is here, or on its way. */
  offered: ContentId | null
  here: { readonly list: ContentList; readonly file: StageFile } | null
  /** Since when it is read to its end, or not linked any more (monotone ms): if that content is not wanted soon, it never will be. */
  overSince: number | null
  running: Promise<void> | null
  readonly stop: AbortController
  /** Nothing more is to be asked for. */
  readonly enough: AbortController
}

/** Nothing came of it, and nothing will. */
function isVoid({ overSince, here, running }: Ahead): boolean {
  return overSince !== null && here === null && running === null
}

export class Prefetch {
  readonly #deps: PrefetchDeps
  readonly #files = new Map<string, Ahead>()

  constructor(deps: PrefetchDeps) {
    this.#deps = deps
  }

  /** That device reads a file, by its number, which begins so; null: it has read it. */
  offered(device: DeviceId, file: number, prefix: ContentId | null): void {
    const key = `${device} ${file}`
    const known = this.#files.get(key)
    if (prefix === null) {
      if (known !== undefined) this.#isOver(key, known)
      return
    }
    if (known === undefined && !(this.#deps.mayBegin() && this.#hasRoom())) return
    const [stop, enough] = [new AbortController(), new AbortController()]
    const ahead = known ?? { device, offered: null, here: null, overSince: null, running: null, stop, enough }
    this.#files.set(key, ahead)
    ahead.offered = prefix
    ahead.running ??= this.#run(key, ahead)
  }

  /** Its link ended. */
  gone(device: DeviceId): void {
    for (const [key, ahead] of [...this.#files]) if (ahead.device === device) this.#isOver(key, ahead)
  }

  /** What is here of this content's beginning, for the caller to extend; what was asked for comes first. Null: nothing. */
  async take(list: ContentList, { signal }: Waiting): Promise<StageFile | null> {
    let best: [string, Ahead] | null = null
    let most = 0
    for (const [key, ahead] of this.#files) {
      const common = ahead.here === null ? 0 : commonChunks(ahead.here.list.chunks, list.chunks)
      if (common > most) [best, most] = [[key, ahead], common]
    }
    if (best === null) return null
    const [key, ahead] = best
    this.#files.delete(key)
    ahead.enough.abort()
    const end = (): void => ahead.stop.abort(signal.reason)
    if (signal.aborted) end()
    signal.addEventListener('abort', end)
    await ahead.running
    signal.removeEventListener('abort', end)
    if (ahead.here === null) return null
    this.#deps.early.end(ahead.here.list.content, false)
    return ahead.here.file
  }

  /** ms until something is to be given up; null: nothing is. */
  nextDueMs(): number | null {
    const now = this.#deps.clock.elapsed()
    const dues = [...this.#files.values()].flatMap(({ overSince }) =>
      overSince === null ? [] : [Math.max(0, overSince + KEPT_MS - now)],
    )
    return dues.length === 0 ? null : Math.min(...dues)
  }

  /** Nothing is wanted that could be one of those that are over. True: something lies in the stage for nothing. */
  async tidy(): Promise<boolean> {
    const since = this.#deps.clock.elapsed() - KEPT_MS
    const over = [...this.#files].filter(([, { overSince }]) => overSince !== null && overSince <= since)
    await Promise.all(over.map(([key, ahead]) => this.#drop(key, ahead)))
    return over.length > 0
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#files].map(([key, ahead]) => this.#drop(key, ahead)))
  }

  /** What is over gives way, but for what still runs: that counts until it has ended. */
  #hasRoom(): boolean {
    if (this.#files.size < MOST_FILES) return true
    const over = [...this.#files].find(([, { overSince, running }]) => overSince !== null && running === null)
    if (over !== undefined) void this.#drop(...over)
    return over !== undefined
  }

  /** A file that is still being written is read again and again, under other numbers: what came the last time is there still. */
  #inherit(list: ContentList): Ahead['here'] {
    const over = [...this.#files].filter(([, { overSince, running }]) => overSince !== null && running === null)
    for (const [key, { here }] of over) {
      if (here === null || commonChunks(here.list.chunks, list.chunks) === 0) continue
      this.#files.delete(key)
      return here
    }
    return null
  }

  #isOver(key: string, ahead: Ahead): void {
    if (ahead.overSince !== null) return
    ahead.overSince = this.#deps.clock.elapsed()
    if (isVoid(ahead)) this.#files.delete(key)
    else this.#deps.onOver()
  }

  async #drop(key: string, ahead: Ahead): Promise<void> {
    this.#files.delete(key)
    ahead.stop.abort(new Error('the beginning of a file is not wanted any more'))
    await ahead.running
    if (ahead.here === null) return
    this.#deps.early.end(ahead.here.list.content, false)
    await ahead.here.file.close()
  }

  async #run(key: string, ahead: Ahead): Promise<void> {
    try {
      for (let prefix = ahead.offered; prefix !== null && !ahead.enough.signal.aborted; prefix = ahead.offered) {
        ahead.offered = null
        await this.#bring(ahead, prefix)
      }
    } catch (error) {
      if (!ahead.stop.signal.aborted)
        this.#deps.log.debug({ error: String(error) }, 'the beginning of a file did not come ahead of it')
    } finally {
      ahead.running = null
      // Under its key may be another by now.
      if (isVoid(ahead) && this.#files.get(key) === ahead) this.#files.delete(key)
    }
  }

  async #bring(ahead: Ahead, prefix: ContentId): Promise<void> {
    const { store, disk, early } = this.#deps
    const network = this.#deps.network()
    if (network === null) return
    const { signal } = ahead.stop
    const known = async (hash: Hash): Promise<Uint8Array | null> =>
      ahead.here?.list.segments.get(hash) ?? (await store.segment(hash))
    // Nobody waits for a device that does not answer.
    const either = AbortSignal.any([signal, ahead.enough.signal])
    const list = await abortable(network.fetchList(prefix, { signal: either, known }), either)
    if (list === null) return
    ahead.here ??= this.#inherit(list)
    if (ahead.here !== null && list.size <= ahead.here.list.size) return
    // The last may go on in a longer one; what lies here already is not sent.
    const lacking = list.chunks.flatMap(({ hash }, at) =>
      at < list.chunks.length - 1 && store.chunk(hash) === null ? [at] : [],
    )
    if (lacking.length === 0) return
    const before = ahead.here
    ahead.here = null
    if (before !== null) early.end(before.list.content, false)
    const file = await (before === null
      ? disk.stage.open(list, { signal })
      : disk.stage.extend(before.file, list, { signal }))
    ahead.here = { list, file }
    early.begin(list, file)
    const missing = new Set(file.missing())
    await fetchChunks(
      { file, list, network, isWanted: () => true },
      lacking.filter(at => missing.has(at)),
      { signal, enough: ahead.enough.signal },
    )
  }
}
