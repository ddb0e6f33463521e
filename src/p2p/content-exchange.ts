// Contents between devices: the fetching half of FolderNetwork, and the answering half behind SharedFolder. It promises that several
// devices serve one fetch together, that a device which sent bad bytes three times is set aside for a while, that lists are verified
// before they are handed out (bytes are not: the stage does that), and bounded memory on both ends whatever the size.
import type { Stream } from '@libp2p/interface'
import type { Clock } from '../core/clock.ts'
import type { Chunk, ContentList } from '../core/content.ts'
import { isSingle } from '../core/content.ts'
import { buildList, decodeTop, MAX_TOP_BYTES, sha256 } from '../core/content-list.ts'
import { isKithError, KithError } from '../core/errors.ts'
import type { ContentId, DeviceId, FolderId, Hash } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { ChunkOptions, FolderNetwork, ListOptions, SharedFolder, Waiting } from '../core/ports.ts'
import { ContentLink, Rate } from './content-link.ts'
import { ContentServer } from './content-server.ts'
import type { Lane, Wanted } from './fetch-job.ts'
import { FetchJob } from './fetch-job.ts'
import type { PartLink, Peer, SessionPart } from './peer.ts'
import { Meter, SafeStream } from './safe-stream.ts'

/** Content streams that one device may have open here: its two, and two that are just ending. */
const MAX_SERVED_STREAMS = 4
const BAD_CHUNKS = 3
const SET_ASIDE_MS = 10 * 60_000
/** Segments that came wrong are asked for again so often. */
const SEGMENT_TRIES = 4

export interface ContentExchangeDeps {
  readonly clock: Clock
  readonly log: Log
  /** This one. */
  readonly device: DeviceId
  /** The folder, where this device shares it with that one right now. */
  sharedWith(folder: FolderId, device: DeviceId): SharedFolder | undefined
}

/** The content half of FolderNetwork. */
export type FolderContent = Pick<FolderNetwork, 'fetchWhole' | 'fetchList' | 'fetchChunks' | 'offer' | 'reportBad'>

export class ContentExchange implements SessionPart {
  readonly #deps: ContentExchangeDeps
  readonly #server: ContentServer
  readonly #links = new Set<ContentLink>()
  readonly #rates = new Map<DeviceId, Rate>()
  readonly #bad = new Map<DeviceId, { count: number; asideUntil: number }>()
  readonly #served = new Map<DeviceId, number>()
  readonly #jobs = new Set<{ pump(): void; distrust(device: DeviceId): void }>()
  #pumping = false

  constructor(deps: ContentExchangeDeps) {
    this.#deps = deps
    this.#server = new ContentServer(deps)
  }

  attach(peer: Peer): PartLink {
    const rate = this.#rates.get(peer.device) ?? new Rate()
    this.#rates.set(peer.device, rate)
    const link = new ContentLink(peer, {
      clock: this.#deps.clock,
      rate,
      desk: this.#server.desk(peer),
      onRoom: () => this.#pumpAll(),
      onAhead: (folder, file, prefix) => this.#deps.sharedWith(folder, peer.device)?.offered(peer.device, file, prefix),
      onDetached: gone => {
        this.#links.delete(gone)
        this.#pumpAll()
      },
    })
    this.#links.add(link)
    return link
  }

  share(id: FolderId): FolderContent {
    return {
      fetchWhole: (contents, options) => this.#fetchWhole(id, contents, options),
      fetchList: (content, options) => this.#fetchList(id, content, options),
      fetchChunks: (content, chunks, options) => this.#fetchChunks(id, content, chunks, options),
      offer: (file, prefix) => {
        for (const link of this.#sorted(id)) link.offer(id, file, prefix)
      },
      reportBad: device => this.#reportBad(device),
    }
  }

  /** Answers a content stream that a device opened; resolves when it is over. Only linked devices are answered. */
  async serve(stream: Stream, device: DeviceId): Promise<void> {
    const link = [...this.#links].find(each => each.device === device)
    const safe = new SafeStream(stream, link?.peer.meter ?? new Meter())
    const count = this.#served.get(device) ?? 0
    if (link === undefined || count >= MAX_SERVED_STREAMS) {
      safe.abort(new KithError('peer-protocol', 'No transfer without a link.'))
      return
    }
    const { signal } = link.peer
    this.#served.set(device, count + 1)
    try {
      await this.#server.stream(safe, device, { signal })
      await safe.close({ signal })
    } catch (error) {
      safe.abort(error instanceof Error ? error : new Error(String(error)))
      this.#deps.log.debug({ device, error: String(error) }, 'a content stream ended')
    } finally {
      this.#served.set(device, (this.#served.get(device) ?? 1) - 1)
    }
  }

  async *#fetchWhole(
    folder: FolderId,
    contents: readonly ContentId[],
    options: Waiting,
  ): AsyncGenerator<{ content: ContentId; bytes: Uint8Array; from: DeviceId }> {
    const wanted = contents.map(key => ({ key, length: 0 }))
    const lanes = (): Lane<ContentId>[] => this.#sorted(folder).map(link => link.gets(folder, 'whole'))
    for await (const { key, bytes, from } of this.#run(wanted, lanes, options)) yield { content: key, bytes, from }
  }

  async *#fetchChunks(
    folder: FolderId,
    content: ContentId,
    chunks: readonly Chunk[],
    options: ChunkOptions,
  ): AsyncGenerator<{ hash: Hash; bytes: Uint8Array; from: DeviceId }> {
    const { places } = options
    const wanted = chunks.map(({ hash, length }, at) => {
      const place = places?.[at]
      return { key: hash, length, ...(place === undefined ? {} : { place }) }
    })
    const lanes = (): Lane<Hash>[] => this.#sorted(folder).map(link => link.chunks(folder, content))
    for await (const { key, bytes, from } of this.#run(wanted, lanes, options)) yield { hash: key, bytes, from }
  }

  async #fetchList(folder: FolderId, content: ContentId, options: ListOptions): Promise<ContentList | null> {
    if (isSingle(content)) return null
    for (const link of this.#sorted(folder)) {
      options.signal.throwIfAborted()
      try {
        const top = await this.#fetchTop(folder, content, link, options)
        if (top === null) continue
        const segments = await this.#fetchSegments(folder, top, options)
        if (segments !== null) return buildList(content, top, segments)
      } catch (error) {
        options.signal.throwIfAborted()
        // A top that is not what its id says is the fault of who sent it; all else is a link that ended. The next may have it.
        if (isKithError(error) && error.code === 'content-mismatch') this.#reportBad(link.device)
      }
    }
    return null
  }

  async #fetchTop(
    folder: FolderId,
    content: ContentId,
    link: ContentLink,
    options: Waiting,
  ): Promise<Uint8Array | null> {
    const pieces: Uint8Array[] = []
    let bytes = 0
    for (let total = 1; bytes < total; ) {
      options.signal.throwIfAborted()
      const found = await link.top(folder, content, bytes)
      if (found === null) return null
      total = found.total
      bytes += found.piece.byteLength
      pieces.push(found.piece)
      if (found.piece.byteLength === 0 || bytes > Math.min(total, MAX_TOP_BYTES)) throw mismatch()
    }
    const top = Buffer.concat(pieces, bytes)
    if (sha256(top) !== content.slice(1)) throw mismatch()
    return top
  }

  /** All segments of a verified top, each verified; null where nobody has them all. */
  async #fetchSegments(
    folder: FolderId,
    top: Uint8Array,
    options: ListOptions,
  ): Promise<ReadonlyMap<Hash, Uint8Array> | null> {
    const hashes = new Set(decodeTop(top).segments.map(segment => segment.hash))
    const found = await knownOf(hashes, options)
    const missing = new Set([...hashes].filter(hash => !found.has(hash)))
    const liars = new Set<DeviceId>()
    for (let tries = 0; missing.size > 0 && tries < SEGMENT_TRIES; tries++) {
      const lanes = (): Lane<Hash>[] =>
        this.#sorted(folder)
          .filter(link => !liars.has(link.device))
          .map(link => link.gets(folder, 'segment'))
      const wanted = [...missing].map(key => ({ key, length: 0 }))
      for await (const { key, bytes, from } of this.#run(wanted, lanes, options)) {
        if (sha256(bytes) !== key) {
          liars.add(from)
          this.#reportBad(from)
          continue
        }
        missing.delete(key)
        found.set(key, bytes)
      }
      if (liars.size === 0) break
    }
    return missing.size === 0 ? found : null
  }

  async *#run<K extends string>(
    wanted: readonly Wanted<K>[],
    lanes: () => Lane<K>[],
    options: Waiting & Pick<ChunkOptions, 'enough'>,
  ) {
    const onBad = (device: DeviceId): void => this.#reportBad(device)
    const job = new FetchJob(wanted, { clock: this.#deps.clock, self: this.#deps.device, lanes, onBad })
    this.#jobs.add(job)
    try {
      yield* job.run(options)
    } finally {
      this.#jobs.delete(job)
    }
  }

  /** Links to devices that hold the folder and are not set aside, fastest first, one for each device. */
  #sorted(folder: FolderId): ContentLink[] {
    const now = this.#deps.clock.elapsed()
    const byDevice = new Map<DeviceId, ContentLink>()
    for (const link of this.#links) {
      if ((this.#bad.get(link.device)?.asideUntil ?? 0) > now) continue
      if (this.#deps.sharedWith(folder, link.device) !== undefined) byDevice.set(link.device, link)
    }
    return [...byDevice.values()].sort((a, b) =>
      a.rate.value < b.rate.value ? 1 : a.rate.value > b.rate.value ? -1 : 0,
    )
  }

  #reportBad(device: DeviceId): void {
    const now = this.#deps.clock.elapsed()
    const before = this.#bad.get(device) ?? { count: 0, asideUntil: 0 }
    const count = before.count + 1
    if (count < BAD_CHUNKS) {
      this.#bad.set(device, { ...before, count })
      return
    }
    this.#bad.set(device, { count: 0, asideUntil: now + SET_ASIDE_MS })
    for (const job of this.#jobs) job.distrust(device)
    this.#deps.log.warn({ device }, 'a device sent wrong bytes and is not asked for contents for ten minutes')
  }

  /** Each job in turn is the first to be asked. */
  #pumpAll(): void {
    if (this.#pumping) return
    this.#pumping = true
    queueMicrotask(() => {
      this.#pumping = false
      const [first] = this.#jobs
      if (first !== undefined && this.#jobs.delete(first)) this.#jobs.add(first)
      for (const job of this.#jobs) job.pump()
    })
  }
}

/** What lies here already of a content that was changed in places. Where it cannot be read, or is not what it was, it is asked for. */
async function knownOf(hashes: Iterable<Hash>, { signal, known }: ListOptions): Promise<Map<Hash, Uint8Array>> {
  const found = new Map<Hash, Uint8Array>()
  if (known === undefined) return found
  for (const hash of hashes) {
    signal.throwIfAborted()
    const bytes = await known(hash).catch(() => null)
    if (bytes !== null && sha256(bytes) === hash) found.set(hash, bytes)
  }
  return found
}

function mismatch(): KithError {
  return new KithError('content-mismatch', 'The other device sent a list that does not belong to its content.')
}
