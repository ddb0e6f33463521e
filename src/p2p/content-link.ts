// Contents on one link: our requests to that device and its answers, our answers to its requests. It promises that at most GETS requests
// for small things and two content streams are open, that what is asked for fits the link's speed, and that everything waiting
// rejects when the session ends. Who is asked for what is decided in fetch-job.ts.

import PQueue from 'p-queue'
import type { Clock } from '../core/clock.ts'
import { KithError } from '../core/errors.ts'
import type { ContentId, DeviceId, FolderId, Hash } from '../core/ids.ts'
import { bytesOf } from '../core/ids.ts'
import { timeoutSignal } from '../core/timeout.ts'
import type { AnswerDesk } from './content-server.ts'
import type { Held } from './fellows.ts'
import type { Lane, Wanted } from './fetch-job.ts'
import { broken } from './frame.ts'
import type { PartLink, Peer } from './peer.ts'
import { PullStream } from './pull-stream.ts'
import { SafeStream } from './safe-stream.ts'
import type { Blobs, Outgoing, SyncMessage } from './wire.ts'
import { CONTENT_ID_BYTES, itemsOf, joinKeys, keysOf, MAX_ANSWER_BYTES, MAX_ARRIVED_BYTES, onlyBlob } from './wire.ts'

/** Requests for small things on the way at one time. */
const GETS = 4
/** Questions what lies there, at one time: contents are fetched for many folders at once. */
const QUESTIONS = 8
const PULL_STREAMS = 2
/** A second stream is opened when the first has this much to do. */
const SECOND_STREAM_BYTES = 1024 * 1024
const MIN_WINDOW_BYTES = 512 * 1024
const MAX_WINDOW_BYTES = 4 * 1024 * 1024
const MIN_BATCH_BYTES = 256 * 1024
/** What is on the way, and one batch of it, in seconds of the measured rate. */
const WINDOW_S = 0.5
const BATCH_S = 0.25
/** What is smaller says more about the trip than about the rate. */
const MEASURED_BYTES = 64 * 1024
const ANSWER_TIMEOUT_MS = 60_000
const OPEN_TIMEOUT_MS = 10_000

/** Bytes a second, of one device; outlives its links. */
export class Rate {
  #perSecond = Number.POSITIVE_INFINITY
  #since = 0

  get value(): number {
    return this.#perSecond
  }

  /** `bytes` arrived at `now` for a request made at `asked` (ms). */
  measured(bytes: number, asked: number, now: number): void {
    const seconds = Math.max(now - Math.max(asked, this.#since), 1) / 1_000
    this.#since = now
    if (bytes < MEASURED_BYTES) return
    const fresh = bytes / seconds
    this.#perSecond = Number.isFinite(this.#perSecond) ? 0.7 * this.#perSecond + 0.3 * fresh : fresh
  }

  /** So many seconds of it, within bounds. */
  bytesIn(seconds: number, min: number, max: number): number {
    return Math.min(max, Math.max(min, this.#perSecond * seconds))
  }
}

interface Waiting {
  readonly type: Question['type']
  resolve(answer: { message: Answer; blobs: Blobs }): void
  reject(error: unknown): void
}

type Answer = Extract<SyncMessage, { type: 'items' | 'piece' | 'arrived' }>
type Question =
  | { readonly type: 'get'; kind: 'whole' | 'segment'; limit: number }
  | { readonly type: 'top'; offset: number }
  | { readonly type: 'progress' }

export interface ContentLinkDeps {
  readonly clock: Clock
  readonly rate: Rate
  readonly desk: AnswerDesk
  /** Something can be asked here again. */
  onRoom(): void
  onAhead(folder: FolderId, file: number, prefix: ContentId | null): void
  onDetached(link: ContentLink): void
}

export class ContentLink implements PartLink {
  readonly device: DeviceId
  readonly peer: Peer
  readonly rate: Rate
  readonly #deps: ContentLinkDeps
  readonly #waiting = new Map<number, Waiting>()
  #ids = 0
  #gets = 0
  #pulls: PullStream[] = []
  #opening: Promise<PullStream> | null = null
  #pulling = 0
  readonly #questions = new PQueue({ concurrency: QUESTIONS })
  /** It does not know what it is asked there. */
  #isOlder = false

  constructor(peer: Peer, deps: ContentLinkDeps) {
    this.device = peer.device
    this.peer = peer
    this.rate = deps.rate
    this.#deps = deps
  }

  receive(message: SyncMessage, blobs: Blobs): boolean {
    switch (message.type) {
      case 'get':
      case 'top':
      case 'progress':
        this.#deps.desk.receive(message, blobs)
        return true
      case 'ahead': {
        const [prefix = null] = keysOf<ContentId>(onlyBlob(blobs), CONTENT_ID_BYTES)
        this.#deps.onAhead(message.folder, message.file, prefix)
        return true
      }
      case 'items':
      case 'piece':
      case 'arrived': {
        // An answer that nobody waits for any more came too late, and is dropped.
        const waiting = this.#waiting.get(message.id)
        this.#waiting.delete(message.id)
        waiting?.resolve({ message, blobs })
        return true
      }
      default:
        return false
    }
  }

  next(): Outgoing | null {
    return this.#deps.desk.next()
  }

  onFolders(): void {
    this.#deps.onRoom()
  }

  refused(what: string): void {
    if (what !== 'progress') return
    this.#isOlder = true
    for (const [id, waiting] of [...this.#waiting]) {
      if (waiting.type !== what) continue
      this.#waiting.delete(id)
      waiting.reject(new KithError('peer-protocol', 'The other device is of an older version.'))
    }
  }

  detach(): void {
    const reason = this.peer.signal.reason
    for (const waiting of this.#waiting.values()) waiting.reject(reason)
    this.#waiting.clear()
    for (const stream of this.#pulls) stream.end(reason)
    this.#pulls = []
    this.#deps.onDetached(this)
  }

  /** To be asked for what lies there of a file that is being read. */
  offer(folder: FolderId, file: number, prefix: ContentId | null): void {
    this.peer.post({ type: 'ahead', folder, file }, [prefix === null ? new Uint8Array() : bytesOf(prefix)])
  }

  /** Small contents, or segments of lists. */
  gets<K extends ContentId | Hash>(folder: FolderId, kind: 'whole' | 'segment'): Lane<K> {
    return {
      device: this.device,
      rate: () => this.rate.value,
      room: () => (this.#gets < GETS ? this.rate.bytesIn(BATCH_S, MIN_BATCH_BYTES, MAX_ANSWER_BYTES) : 0),
      fetch: (wanted, limit) => this.#get(folder, kind, wanted, limit),
    }
  }

  chunks(folder: FolderId, content: ContentId): Lane<Hash> {
    return {
      device: this.device,
      rate: () => this.rate.value,
      room: () => {
        const window = this.rate.bytesIn(WINDOW_S, MIN_WINDOW_BYTES, MAX_WINDOW_BYTES)
        const free = window - this.#pulling
        const batch = this.rate.bytesIn(BATCH_S, MIN_BATCH_BYTES, MAX_ANSWER_BYTES)
        return free < batch && this.#pulling > 0 ? 0 : batch
      },
      fetch: (wanted, bytes) => this.#pull(folder, wanted, bytes),
      holds: () => this.#holds(folder, content),
    }
  }

  /** One piece of a top list, or null where the device does not have it. */
  async top(
    folder: FolderId,
    content: ContentId,
    offset: number,
  ): Promise<{ piece: Uint8Array; total: number } | null> {
    const { message, blobs } = await this.#ask(folder, { type: 'top', offset }, bytesOf(content))
    if (message.type !== 'piece') throw this.#broken('no piece of a list')
    return message.total === null ? null : { piece: onlyBlob(blobs), total: message.total }
  }

  async #holds(folder: FolderId, content: ContentId): Promise<Held> {
    if (this.#isOlder) return null
    try {
      const ask = () => this.#ask(folder, { type: 'progress' }, bytesOf(content))
      const { message, blobs } = await this.#questions.add(ask)
      const bits = onlyBlob(blobs)
      if (message.type !== 'arrived' || bits.byteLength > MAX_ARRIVED_BYTES) throw this.#broken('no word on a content')
      if (message.what === 'all') return 'all'
      return message.what === 'some' ? bits : new Uint8Array(0)
    } catch (error) {
      if (this.#isOlder) return null
      throw error
    }
  }

  async #get<K extends ContentId | Hash>(
    folder: FolderId,
    kind: 'whole' | 'segment',
    wanted: readonly Wanted<K>[],
    limit: number,
  ): Promise<(Uint8Array | null)[]> {
    const since = this.#deps.clock.elapsed()
    this.#gets++
    try {
      const keys = joinKeys(wanted.map(item => item.key))
      const { message, blobs } = await this.#ask(folder, { type: 'get', kind, limit: Math.floor(limit) }, keys)
      if (message.type !== 'items' || message.has.length === 0 || message.has.length > wanted.length) {
        throw this.#broken('no answer to what was asked')
      }
      const items = itemsOf(message.has, blobs)
      this.#measure(items, since)
      return items
    } finally {
      this.#gets--
      this.#deps.onRoom()
    }
  }

  async #pull(folder: FolderId, wanted: readonly Wanted<Hash>[], bytes: number): Promise<(Uint8Array | null)[]> {
    const since = this.#deps.clock.elapsed()
    this.#pulling += bytes
    try {
      const stream = await this.#pullStream()
      const hashes = wanted.map(item => item.key)
      const items = await stream.ask(folder, hashes, bytes)
      this.#measure(items, since)
      return items
    } finally {
      this.#pulling -= bytes
      this.#deps.onRoom()
    }
  }

  async #pullStream(): Promise<PullStream> {
    this.#pulls = this.#pulls.filter(stream => !stream.ended)
    const [best] = [...this.#pulls].sort((a, b) => a.outstanding - b.outstanding)
    if (best !== undefined && (this.#pulls.length >= PULL_STREAMS || best.outstanding < SECOND_STREAM_BYTES))
      return best
    this.#opening ??= this.#open()
    return best ?? (await this.#opening)
  }

  async #open(): Promise<PullStream> {
    try {
      const signal = AbortSignal.any([this.peer.signal, timeoutSignal(OPEN_TIMEOUT_MS)])
      const stream = new PullStream(
        new SafeStream(await this.peer.openContentStream({ signal }), this.peer.meter),
        this.#deps.clock,
      )
      if (this.peer.signal.aborted) stream.end(this.peer.signal.reason)
      this.#pulls.push(stream)
      return stream
    } finally {
      this.#opening = null
    }
  }

  #ask(folder: FolderId, question: Question, blob: Uint8Array): Promise<{ message: Answer; blobs: Blobs }> {
    const id = ++this.#ids
    const signal = timeoutSignal(ANSWER_TIMEOUT_MS)
    return new Promise((resolve, reject) => {
      if (this.peer.signal.aborted) return reject(this.peer.signal.reason)
      const late = (): void => {
        this.#waiting.delete(id)
        reject(signal.reason)
      }
      signal.addEventListener('abort', late, { once: true })
      const done = (): void => signal.removeEventListener('abort', late)
      this.#waiting.set(id, {
        type: question.type,
        resolve: answer => {
          done()
          resolve(answer)
        },
        reject: error => {
          done()
          reject(error)
        },
      })
      this.peer.post({ ...question, id, folder }, [blob])
    })
  }

  #measure(items: readonly (Uint8Array | null)[], since: number): void {
    let bytes = 0
    for (const item of items) bytes += item?.byteLength ?? 0
    this.rate.measured(bytes, since, this.#deps.clock.elapsed())
  }

  #broken(what: string): Error {
    const error = broken(what)
    this.peer.fail(error)
    return error
  }
}
