// The port FolderNetwork between simulated devices of one folder. It does what the real network does (digests, state vectors, relayed
// updates, peer states, content) over links that are slow, break, lose what was on its way, repeat, and reorder across documents.
// It knows folders only through SharedFolder, and content only through what a peer's folder answers.
import type { Chunk, ContentList } from '../../src/core/content.ts'
import { buildList } from '../../src/core/content-list.ts'
import type { ContentId, DeviceId, Hash } from '../../src/core/ids.ts'
import type { HistoryQuery, Holding, JournalEntry } from '../../src/core/past.ts'
import type { FolderNetwork, ListOptions, PastQuery, SharedFolder, Waiting } from '../../src/core/ports.ts'
import { decodeTopHashes, MemoryLink } from './memory-link.ts'
import type { Random } from './random.ts'
import type { VirtualClock } from './virtual-clock.ts'

export interface NetworkFaults {
  /** A message takes up to this long. */
  readonly delayMs: number
  /** An update message is lost; the next comparison finds it. */
  readonly loss: number
  /** An update message arrives twice. */
  readonly repeat: number
  /** Updates of different documents overtake one another. */
  readonly reorder: number
}

export const NO_FAULTS: NetworkFaults = { delayMs: 0, loss: 0, repeat: 0, reorder: 0 }

/** As the real network's. */
const HISTORY_TIMEOUT_MS = 10_000

interface Deps {
  readonly clock: VirtualClock
  readonly random: Random
  /** One line about what happened, for a trace. */
  readonly trace?: (line: string) => void
}

interface Station {
  readonly device: DeviceId
  readonly folder: SharedFolder
}

export class MemoryNetwork {
  readonly #deps: Deps
  faults: NetworkFaults
  readonly #stations = new Map<DeviceId, Station>()
  readonly #cut = new Set<string>()
  readonly #links = new Map<string, MemoryLink>()
  /** Devices whose content answers wait until `allow`; see `withhold`. */
  readonly #gates = new Map<DeviceId, Gate>()
  /** What a folder threw, or refused, where it must not. A test looks here at the end. */
  readonly failures: unknown[] = []
  /** Devices that do not belong to this person any more; cutting their links is the test's part. */
  readonly removed = new Set<DeviceId>()

  constructor(deps: Deps, faults: NetworkFaults = NO_FAULTS) {
    this.#deps = deps
    this.faults = faults
  }

  /** A device's process shares its folder. One folder a device; `detach` ends it. */
  attach(device: DeviceId, folder: SharedFolder): FolderNetwork {
    const station: Station = { device, folder }
    this.#stations.set(device, station)
    this.#deps.trace?.(`net ${device} is up`)
    const port = this.#port(station)
    for (const other of this.#stations.values()) if (other !== station) this.#connect(station, other)
    return port
  }

  /** The process died, or stopped. */
  detach(device: DeviceId): void {
    if (!this.#stations.delete(device)) return
    this.#deps.trace?.(`net ${device} is gone`)
    for (const [key, link] of [...this.#links]) if (link.joins(device)) this.#disconnect(key, link, device)
  }

  /** Cuts or joins two devices. */
  setLinked(a: DeviceId, b: DeviceId, linked: boolean): void {
    const key = pair(a, b)
    if (linked === !this.#cut.has(key)) return
    this.#deps.trace?.(`net ${a} ${linked ? 'joins' : 'leaves'} ${b}`)
    if (!linked) {
      this.#cut.add(key)
      const link = this.#links.get(key)
      if (link !== undefined) this.#disconnect(key, link, null)
      return
    }
    this.#cut.delete(key)
    const one = this.#stations.get(a)
    const two = this.#stations.get(b)
    if (one !== undefined && two !== undefined) this.#connect(one, two)
  }

  linked(a: DeviceId, b: DeviceId): boolean {
    return a !== b && this.#links.has(pair(a, b))
  }

  healAll(): void {
    for (const key of [...this.#cut]) {
      const [a, b] = key.split(' ') as [DeviceId, DeviceId]
      this.setLinked(a, b, true)
    }
    this.faults = { ...NO_FAULTS, delayMs: this.faults.delayMs }
    for (const device of [...this.#gates.keys()]) this.allow(device)
  }

  /** From now on no content reaches this device: requests wait, or end when their link does. */
  withhold(device: DeviceId): void {
    if (!this.#gates.has(device)) this.#gates.set(device, new Gate())
  }

  allow(device: DeviceId): void {
    const gate = this.#gates.get(device)
    this.#gates.delete(device)
    gate?.open()
  }

  withholds(device: DeviceId): boolean {
    return this.#gates.has(device)
  }

  /** Nothing is on its way on any link. */
  get idle(): boolean {
    return [...this.#links.values()].every(link => link.idle)
  }

  /** Nothing is on its way but what the devices say of themselves. */
  get tellsOnly(): boolean {
    return [...this.#links.values()].every(link => link.tellsOnly)
  }

  #connect(one: Station, two: Station): void {
    const key = pair(one.device, two.device)
    if (this.#cut.has(key) || this.#links.has(key)) return
    const [first, second] = one.device < two.device ? [one, two] : [two, one]
    const link = new MemoryLink(
      { ...this.#deps, faults: () => this.faults, onFailure: error => this.failures.push(error) },
      first,
      second,
    )
    this.#links.set(key, link)
    link.open()
  }

  #disconnect(key: string, link: MemoryLink, gone: DeviceId | null): void {
    this.#links.delete(key)
    link.close(gone)
  }

  #linksOf(device: DeviceId): MemoryLink[] {
    return [...this.#links.values()].filter(link => link.joins(device))
  }

  /** Links to peers that have not been set aside. */
  #sources(device: DeviceId): MemoryLink[] {
    return this.#linksOf(device).filter(link => link.trusts(device))
  }

  #port(station: Station): FolderNetwork {
    const { device } = station
    const alive = (): boolean => this.#stations.get(device) === station
    return {
      peers: () => (alive() ? this.#linksOf(device).map(link => link.other(device)) : []),
      isMember: other => !this.removed.has(other),
      announce: (updates, from) => {
        if (!alive() || updates.length === 0) return
        for (const link of this.#linksOf(device)) {
          if (link.other(device) !== from) link.send(device, { type: 'updates', updates: [...updates] })
        }
      },
      stateChanged: () => {
        if (!alive()) return
        for (const link of this.#linksOf(device)) link.stateChanged(device)
      },
      fetchWhole: (contents, options) => this.#fetchWhole(device, contents, options),
      fetchList: (content, options) => this.#fetchList(device, content, options),
      fetchChunks: (_content, chunks, options) => this.#fetchChunks(device, chunks, options),
      offer: (file, prefix) => {
        if (!alive()) return
        for (const link of this.#linksOf(device)) {
          const tell = (): void => {
            if (link.isOpen) link.folderOf(link.other(device)).offered(device, file, prefix)
          }
          this.#deps.clock.after(this.#deps.random.int(this.faults.delayMs + 1), tell)
        }
      },
      reportBad: from => {
        this.#links.get(pair(device, from))?.reportBad(device)
      },
      past: (queries, options) => (alive() ? this.#past(device, queries, options) : Promise.resolve(null)),
      history: (query, options) => (alive() ? this.#history(device, query, options) : Promise.resolve([])),
      holders: (contents, options) => (alive() ? this.#holders(device, contents, options) : Promise.resolve([])),
    }
  }

  /** Asks one peer; null where it does not have it, the link ended, or nobody may have it now. */
  async #ask<T>(
    device: DeviceId,
    link: MemoryLink,
    options: Waiting,
    enough: Promise<void>,
    answer: (folder: SharedFolder) => Promise<T | null>,
  ): Promise<T | null> {
    const gate = this.#gates.get(device)
    if (gate !== undefined) await Promise.race([gate.opened, link.closed, enough])
    return this.#askNow(device, link, options, enough, answer)
  }

  async #askNow<T>(
    device: DeviceId,
    link: MemoryLink,
    options: Waiting,
    enough: Promise<void>,
    answer: (folder: SharedFolder) => Promise<T | null>,
  ): Promise<T | null> {
    const ended = Promise.race([link.closed, enough])
    if (options.signal.aborted) throw options.signal.reason
    if (!link.isOpen) return null
    const ms = this.#deps.random.int(this.faults.delayMs + 1)
    const asked = new Promise<T | null>(resolve => {
      this.#deps.clock.after(ms, () => {
        if (!link.isOpen) resolve(null)
        else {
          answer(link.folderOf(link.other(device))).then(resolve, error => {
            if (!options.signal.aborted) this.failures.push(error)
            resolve(null)
          })
        }
      })
    })
    const got = await Promise.race([asked, ended.then(() => null)])
    if (options.signal.aborted) throw options.signal.reason
    return link.isOpen ? got : null
  }

  async #past(device: DeviceId, queries: readonly PastQuery[], options: Waiting): Promise<readonly boolean[] | null> {
    const answers = await this.#askAll(device, options, null, folder => folder.past(queries, options))
    if (answers.length === 0) return null
    return queries.map((_query, at) => answers.some(({ answer }) => answer[at] === true))
  }

  async #history(
    device: DeviceId,
    query: HistoryQuery,
    options: Waiting & { readonly devices?: ReadonlySet<DeviceId> },
  ): Promise<readonly { device: DeviceId; entries: readonly JournalEntry[] }[]> {
    const answers = await this.#askAll(device, options, HISTORY_TIMEOUT_MS, folder => folder.history(query, options))
    return answers.map(({ from, answer }) => ({ device: from, entries: answer }))
  }

  async #holders(device: DeviceId, contents: readonly ContentId[], options: Waiting): Promise<readonly Holding[]> {
    const answers = await this.#askAll(device, options, HISTORY_TIMEOUT_MS, folder => folder.holds(contents, options))
    return answers.map(({ from, answer }) => ({ device: from, holds: answer }))
  }

  /** Those that answered, and in time. */
  async #askAll<T>(
    device: DeviceId,
    options: Waiting & { readonly devices?: ReadonlySet<DeviceId> },
    timeoutMs: number | null,
    ask: (folder: SharedFolder) => Promise<T>,
  ): Promise<{ from: DeviceId; answer: T }[]> {
    const end = watchEnd(options.signal)
    const answered = new AbortController()
    const late = timeoutMs === null ? [] : [this.#deps.clock.sleep(timeoutMs, answered).catch(() => undefined)]
    const enough = Promise.race([end.ended, ...late])
    try {
      const one = async (link: MemoryLink): Promise<{ from: DeviceId; answer: T | null }> => {
        const answer = await this.#askNow(device, link, options, enough, async folder => {
          try {
            return await ask(folder)
          } catch {
            return null // it could not be asked
          }
        })
        return { from: link.other(device), answer }
      }
      const asked = this.#linksOf(device).filter(link => options.devices?.has(link.other(device)) !== false)
      const answers = await Promise.all(asked.map(one))
      return answers.flatMap(({ from, answer }) => (answer === null ? [] : [{ from, answer }]))
    } finally {
      answered.abort()
      end.release()
    }
  }

  /** What peers have of these, asked one by one, of one peer after the other. */
  async *#each<Key>(
    device: DeviceId,
    keys: readonly Key[],
    options: Waiting,
    read: (folder: SharedFolder, key: Key) => Promise<Uint8Array | null>,
  ): AsyncIterable<{ key: Key; bytes: Uint8Array; from: DeviceId }> {
    const end = watchEnd(options.signal)
    const missing = new Set(keys)
    try {
      for (const link of this.#sources(device)) {
        for (const key of [...missing]) {
          const bytes = await this.#ask(device, link, options, end.ended, folder => read(folder, key))
          if (bytes === null) continue
          missing.delete(key)
          yield { key, bytes, from: link.other(device) }
        }
      }
    } finally {
      end.release()
    }
  }

  async *#fetchWhole(
    device: DeviceId,
    contents: readonly ContentId[],
    options: Waiting,
  ): AsyncIterable<{ content: ContentId; bytes: Uint8Array; from: DeviceId }> {
    const read = (folder: SharedFolder, content: ContentId): Promise<Uint8Array | null> =>
      folder.readWhole(content, options)
    for await (const { key, bytes, from } of this.#each(device, contents, options, read)) {
      yield { content: key, bytes, from }
    }
  }

  async *#fetchChunks(
    device: DeviceId,
    chunks: readonly Chunk[],
    options: Waiting,
  ): AsyncIterable<{ hash: Hash; bytes: Uint8Array; from: DeviceId }> {
    const hashes = chunks.map(chunk => chunk.hash)
    const read = async (folder: SharedFolder, hash: Hash): Promise<Uint8Array | null> =>
      (await folder.readChunks([hash], options)).found[0] ?? null
    for await (const { key, bytes, from } of this.#each(device, hashes, options, read)) yield { hash: key, bytes, from }
  }

  async #fetchList(device: DeviceId, content: ContentId, options: ListOptions): Promise<ContentList | null> {
    const end = watchEnd(options.signal)
    try {
      for (const link of this.#sources(device)) {
        const list = await this.#listFrom(device, link, content, options, end.ended)
        if (list !== null) return list
      }
      return null
    } finally {
      end.release()
    }
  }

  async #listFrom(
    device: DeviceId,
    link: MemoryLink,
    content: ContentId,
    options: ListOptions,
    ended: Promise<void>,
  ): Promise<ContentList | null> {
    const top = await this.#ask(device, link, options, ended, folder => folder.readTop(content))
    if (top === null) return null
    const segments = new Map<Hash, Uint8Array>()
    for (const hash of decodeTopHashes(top.top)) {
      const known = (await options.known?.(hash)) ?? null
      const bytes = known ?? (await this.#ask(device, link, options, ended, folder => folder.readSegment(hash)))
      if (bytes === null) return null
      segments.set(hash, bytes)
    }
    try {
      return buildList(content, top.top, segments)
    } catch {
      // A lying peer: the next one.
      return null
    }
  }
}

class Gate {
  readonly opened: Promise<void>
  open: () => void = () => undefined

  constructor() {
    this.opened = new Promise(resolve => {
      this.open = resolve
    })
  }
}

/** Resolves when the signal says so; `release` takes the listener back. */
function watchEnd(signal: AbortSignal): { ended: Promise<void>; release(): void } {
  const gate = new Gate()
  const onAbort = (): void => gate.open()
  if (signal.aborted) gate.open()
  signal.addEventListener('abort', onAbort, { once: true })
  return { ended: gate.opened, release: () => signal.removeEventListener('abort', onAbort) }
}

function pair(a: DeviceId, b: DeviceId): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}
