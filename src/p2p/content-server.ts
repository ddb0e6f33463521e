// Answers what linked devices ask of contents: small ones, lists and segments on the sync stream, chunks on content streams. It promises
// that a device gets bytes only out of a folder that both share right now and the same "no" for anything else, and bounded memory and
// bounded reads whoever asks for how much. It reads through SharedFolder alone.
import PQueue from 'p-queue'
import { MAX_CHUNK_BYTES } from '../core/content.ts'
import type { ContentId, DeviceId, FolderId, Hash } from '../core/ids.ts'
import { binary } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { SharedFolder, Together, Waiting } from '../core/ports.ts'
import { broken, encodeFrame, FrameReader } from './frame.ts'
import type { Peer } from './peer.ts'
import type { SafeStream } from './safe-stream.ts'
import type { Blobs, Outgoing, SyncMessage } from './wire.ts'
import {
  CONTENT_ID_BYTES,
  frameOf,
  HASH_BYTES,
  keysOf,
  MAX_ANSWER_BYTES,
  MAX_ARRIVED_BYTES,
  onlyBlob,
  parseContent,
} from './wire.ts'

/** Reads of contents at one time, over all devices. */
const READS = 64
/** Besides, of READ_AHEAD chunks each. */
const CHUNK_READS = 8
/** Contents of one request read at one time: what is asked of the disk together costs little more than one. */
const READS_PER_REQUEST = 32
/** Answers of one session being made or waiting to leave. */
const ANSWERS = 4
/** Requests of one session not yet answered; an honest peer stays far below. */
const MAX_REQUESTS = 64
/** Chunks read together, while those before them are written. */
const READ_AHEAD = 16
const WRITE_BYTES = 256 * 1024
const TOP_PIECE_BYTES = 512 * 1024

const NONE: Together<never> = { found: [], release: () => undefined }

export interface ContentServerDeps {
  readonly log: Log
  /** The folder, where this device shares it with that one right now. */
  sharedWith(folder: FolderId, device: DeviceId): SharedFolder | undefined
}

/** A request for chunks that is being answered, or comes next. */
interface Pull {
  readonly id: number
  readonly count: number
  readonly first: Promise<Together<Uint8Array>>
  /** READ_AHEAD of them, from there on. */
  readonly readFrom: (at: number) => Promise<Together<Uint8Array>>
}

type Request = Extract<SyncMessage, { type: 'get' | 'top' | 'progress' }>

export class ContentServer {
  readonly #deps: ContentServerDeps
  readonly #reads = new PQueue({ concurrency: READS })
  readonly #chunkReads = new PQueue({ concurrency: CHUNK_READS })

  constructor(deps: ContentServerDeps) {
    this.#deps = deps
  }

  desk(peer: Peer): AnswerDesk {
    return new AnswerDesk(peer, (request, blob) => this.#answer(request, blob, peer))
  }

  /** Answers one content stream until the peer ends it. Rejects where it breaks. While one request is answered, the next is being read. */
  async stream(stream: SafeStream, device: DeviceId, options: Waiting): Promise<void> {
    const reader = new FrameReader(stream)
    let next = this.#begin(reader, device, options)
    try {
      for (let pull = await next; pull !== null; pull = await next) {
        next = this.#begin(reader, device, options)
        await this.#answerPull(pull, stream, options)
      }
    } finally {
      // What broke the answer breaks the reading too; nobody waits for that any more.
      void Promise.allSettled([next])
    }
  }

  /** The next request of a stream, its first chunks being read; null where the peer ended it. */
  async #begin(reader: FrameReader, device: DeviceId, options: Waiting): Promise<Pull | null> {
    const frame = await reader.next(options)
    if (frame === null) return null
    const message = parseContent(frame)
    if ('unknown' in message || message.type !== 'pull') throw broken('no request for chunks')
    const hashes = keysOf<Hash>(onlyBlob(frame.blobs), HASH_BYTES)
    const readFrom = async (at: number): Promise<Together<Uint8Array>> => {
      const wanted = hashes.slice(at, at + READ_AHEAD)
      const read = (shared: SharedFolder): Promise<Together<Uint8Array>> => shared.readChunks(wanted, options)
      if (wanted.length === 0) return NONE
      return (await this.#read(this.#chunkReads, message.folder, device, read)) ?? NONE
    }
    return { id: message.id, count: hashes.length, first: readFrom(0), readFrom }
  }

  async #answerPull({ id, count, first, readFrom }: Pull, stream: SafeStream, options: Waiting): Promise<void> {
    let ahead = first
    for (let start = 0; start < count; start += READ_AHEAD) {
      const { found, release } = await ahead
      ahead = readFrom(start + READ_AHEAD)
      let has: boolean[] = []
      let blobs: Uint8Array[] = []
      let bytes = 0
      const end = Math.min(start + READ_AHEAD, count)
      for (let at = start; at < end; at++) {
        const chunk = sendable(found[at - start] ?? null)
        has.push(chunk !== null)
        if (chunk !== null) blobs.push(chunk)
        bytes += chunk?.byteLength ?? 0
        if (bytes < WRITE_BYTES && at < end - 1) continue
        const answer = frameOf({ message: { type: 'items', id, has }, blobs })
        await stream.write(await encodeFrame(answer, { compress: false }), options)
        has = []
        blobs = []
        bytes = 0
      }
      // Written: the stream holds none of it any more.
      release()
    }
  }

  async #answer(request: Request, blob: Uint8Array, peer: Peer): Promise<Outgoing> {
    const { folder, id } = request
    if (request.type === 'top') {
      const content = binary(blob) as ContentId
      const found = await this.#read(this.#reads, folder, peer.device, shared => shared.readTop(content))
      const piece = found?.top.subarray(request.offset, request.offset + TOP_PIECE_BYTES) ?? new Uint8Array(0)
      return { message: { type: 'piece', id, total: found?.top.byteLength ?? null }, blobs: [piece] }
    }
    if (request.type === 'progress') {
      const read = async (shared: SharedFolder) => shared.progress(binary(blob) as ContentId)
      const arrived = await this.#read(this.#reads, folder, peer.device, read)
      if (arrived === null || arrived === 'all') {
        const what = arrived ?? 'none'
        return { message: { type: 'arrived', id, what }, blobs: [new Uint8Array(0)] }
      }
      return { message: { type: 'arrived', id, what: 'some' }, blobs: [arrived.subarray(0, MAX_ARRIVED_BYTES)] }
    }
    const limit = Math.min(request.limit, MAX_ANSWER_BYTES)
    const options = { signal: peer.signal }
    const found =
      request.kind === 'whole'
        ? await this.#front(keysOf<ContentId>(blob, CONTENT_ID_BYTES), limit, key =>
            this.#item(folder, peer.device, shared => shared.readWhole(key, options)),
          )
        : await this.#front(keysOf<Hash>(blob, HASH_BYTES), limit, key =>
            this.#item(folder, peer.device, shared => shared.readSegment(key)),
          )
    const blobs = found.filter(bytes => bytes !== null)
    return { message: { type: 'items', id, has: found.map(bytes => bytes !== null) }, blobs }
  }

  /** As many as fit into `limit` bytes from the front; at least one. */
  async #front<K>(
    keys: readonly K[],
    limit: number,
    read: (key: K) => Promise<Uint8Array | null>,
  ): Promise<(Uint8Array | null)[]> {
    const out: (Uint8Array | null)[] = []
    let bytes = 0
    for (let at = 0; at < keys.length; at += READS_PER_REQUEST) {
      for (const item of await Promise.all(keys.slice(at, at + READS_PER_REQUEST).map(read))) {
        bytes += item?.byteLength ?? 0
        if (bytes > limit && out.length > 0) return out
        out.push(item)
      }
    }
    return out
  }

  async #item(
    folder: FolderId,
    device: DeviceId,
    read: (shared: SharedFolder) => Promise<Uint8Array | null>,
  ): Promise<Uint8Array | null> {
    return sendable(await this.#read(this.#reads, folder, device, read))
  }

  /** Null for every reason alike: not shared, not there, too large, or it could not be read. */
  async #read<T>(
    queue: PQueue,
    folder: FolderId,
    device: DeviceId,
    read: (shared: SharedFolder) => Promise<T | null>,
  ): Promise<T | null> {
    const shared = this.#deps.sharedWith(folder, device)
    if (shared === undefined) return null
    try {
      return await queue.add(() => read(shared))
    } catch (error) {
      this.#deps.log.debug({ folder, error: String(error) }, 'a content that was asked for could not be read')
      return null
    }
  }
}

/** Nothing that travels as one item is longer than a chunk. */
function sendable(item: Uint8Array | null): Uint8Array | null {
  return item !== null && item.byteLength <= MAX_CHUNK_BYTES ? item : null
}

/** The requests of one session: a few at a time, answers leave when the link can take them. */
export class AnswerDesk {
  readonly #peer: Peer
  readonly #answer: (request: Request, blob: Uint8Array) => Promise<Outgoing>
  readonly #asked: { request: Request; blob: Uint8Array }[] = []
  readonly #ready: Outgoing[] = []
  #active = 0

  constructor(peer: Peer, answer: (request: Request, blob: Uint8Array) => Promise<Outgoing>) {
    this.#peer = peer
    this.#answer = answer
  }

  receive(request: Request, blobs: Blobs): void {
    this.#asked.push({ request, blob: onlyBlob(blobs) })
    if (this.#asked.length > MAX_REQUESTS) throw broken('more requests than allowed')
    this.#work()
  }

  next(): Outgoing | null {
    const out = this.#ready.shift() ?? null
    if (out !== null) this.#work()
    return out
  }

  #work(): void {
    while (this.#active + this.#ready.length < ANSWERS) {
      const asked = this.#asked.shift()
      if (asked === undefined) return
      this.#active++
      void this.#make(asked.request, asked.blob)
    }
  }

  async #make(request: Request, blob: Uint8Array): Promise<void> {
    try {
      const out = await this.#answer(request, blob)
      this.#ready.push(out)
      this.#peer.wake()
    } catch (error) {
      this.#peer.fail(error instanceof Error ? error : new Error(String(error)))
    } finally {
      this.#active--
      this.#work()
    }
  }
}
