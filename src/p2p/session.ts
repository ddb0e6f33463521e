// One live link's conversation on `/kith/sync/1`: hello, membership, folder offers, ping and goodbye, and the frames of the parts
// (replication, content exchange) that ride on it. It promises that whatever a peer sends can end this session and nothing else,
// and that a device counts as linked only after its hello. It must not decide who may link (the gatekeeper) nor dial (links).

import { setMaxListeners } from 'node:events'
import type { Stream } from '@libp2p/interface'
import { isKithError, KithError } from '../core/errors.ts'
import type { DeviceId, FolderId } from '../core/ids.ts'
import type { Waiting } from '../core/ports.ts'
import { timeoutSignal } from '../core/timeout.ts'
import type { Frame } from './frame.ts'
import { broken, FrameReader } from './frame.ts'
import { greeted } from './hello.ts'
import { Outbox, overfull } from './outbox.ts'
import type { PartLink, Peer, SessionPart } from './peer.ts'
import { Pings } from './pings.ts'
import { Meter, SafeStream } from './safe-stream.ts'
import type { Blobs, SyncMessage } from './wire.ts'
import { MAX_NAME_LENGTH, PROTOCOL_VERSION, parseSync } from './wire.ts'

export const SYNC_PROTOCOL = '/kith/sync/1'
export const CONTENT_PROTOCOL = '/kith/content/1'

const HELLO_TIMEOUT_MS = 10_000
const GOODBYE_TIMEOUT_MS = 1_000
/** Frames are handled in slices of this length, so that a flood of small ones cannot hold the process. */
const SLICE_MS = 10
const STATEMENTS_FRAME_BYTES = 1024 * 1024

/** A libp2p connection to a paired device, as a session needs it. */
export interface LinkConnection {
  readonly device: DeviceId
  readonly address: string
  openStream(protocol: string, options: Waiting): Promise<Stream>
}

export interface OfferedFolder {
  readonly id: FolderId
  readonly name: string
  readonly formatVersion: number
}

/** What a session asks of membership: the statements to send, and where those of the peer go. */
export interface MembershipPort {
  statements(): readonly Uint8Array[]
  receive(statements: readonly Uint8Array[], from: DeviceId): Promise<void>
  /** Folders that this device holds. */
  folders(): readonly OfferedFolder[]
  onFolders(from: DeviceId, folders: readonly OfferedFolder[]): void
}

interface Self {
  readonly device: DeviceId
  /** The device's name for people. */
  readonly name: string
  /** The app's version. */
  readonly version: string
}

export interface Session {
  readonly device: DeviceId
  /** The name that the peer gave itself. */
  readonly name: string
  /** Resolves with the reason, once; never rejects. */
  readonly closed: Promise<string>
  /** `performance.now()` of the last byte that arrived on this link, content streams included. */
  lastByteAt(): number
  readonly bytesIn: number
  readonly bytesOut: number
  /** Statements or held folders changed: send both again. */
  sendMembership(): void
  /** Round trip in ms; rejects with the signal's reason or when the session ends. */
  ping(options: Waiting): Promise<number>
  /** Says goodbye with the reason, if the peer still reads. Idempotent. */
  close(reason: string): Promise<void>
}

export interface SessionParts {
  readonly replication: SessionPart
  readonly exchange: SessionPart
  readonly past: SessionPart
  readonly membership: MembershipPort
}

export type SessionOptions = Waiting & { readonly self: Self }

/**
 * Both sides call it on their end of the sync stream. Resolves after both hellos were exchanged and fit; rejects with KithError
 * `peer-protocol` (the message says which side must be updated), `peer-gone`, or the signal's reason, with the stream aborted.
 */
export async function openSession(
  stream: Stream,
  connection: LinkConnection,
  parts: SessionParts,
  options: SessionOptions,
): Promise<Session> {
  const session = new LinkSession(stream, connection, parts, options.self)
  await session.open(options)
  return session
}

class LinkSession implements Session, Peer {
  readonly device: DeviceId
  readonly meter = new Meter()
  readonly closed: Promise<string>
  readonly #connection: LinkConnection
  readonly #parts: SessionParts
  readonly #self: Self
  readonly #stream: SafeStream
  readonly #reader: FrameReader
  readonly #outbox: Outbox
  readonly #ended = new AbortController()
  readonly #pings = new Pings()
  #links: readonly PartLink[] = []
  #name = ''
  #sending: Promise<void> = Promise.resolve()
  #resolveClosed: (reason: string) => void = () => undefined

  constructor(stream: Stream, connection: LinkConnection, parts: SessionParts, self: Self) {
    this.device = connection.device
    this.#connection = connection
    this.#parts = parts
    this.#self = self
    this.#stream = new SafeStream(stream, this.meter)
    this.#reader = new FrameReader(this.#stream)
    this.#outbox = new Outbox(this.#stream)
    // Everything that waits on this link listens to it.
    setMaxListeners(0, this.#ended.signal)
    this.closed = new Promise(resolve => {
      this.#resolveClosed = resolve
    })
  }

  get name(): string {
    return this.#name
  }

  get signal(): AbortSignal {
    return this.#ended.signal
  }

  get bytesIn(): number {
    return this.meter.bytesIn
  }

  get bytesOut(): number {
    return this.meter.bytesOut
  }

  lastByteAt(): number {
    return this.meter.lastByteAt
  }

  async open(options: Waiting): Promise<void> {
    const signal = AbortSignal.any([options.signal, this.signal, timeoutSignal(HELLO_TIMEOUT_MS)])
    const { device, name, version } = this.#self
    this.post({ type: 'hello', protocol: PROTOCOL_VERSION, device, name: short(name), version })
    this.#sending = this.#send()
    try {
      const frame = await this.#reader.next({ signal })
      if (frame === null) throw new KithError('peer-gone', 'The other device closed the connection.')
      this.#name = greeted(frame, this.device, this.#self.version)
    } catch (error) {
      const timedOut = !options.signal.aborted && error instanceof Error && error.name === 'TimeoutError'
      const why = timedOut ? new KithError('peer-gone', 'The other device did not answer.') : error
      if (isKithError(why) && why.code === 'peer-protocol') await this.close(why.message)
      this.#end(why)
      throw why
    }
    const { replication, exchange, past } = this.#parts
    this.#links = [replication.attach(this), exchange.attach(this), past.attach(this)]
    for (const link of this.#links) this.#outbox.addSource(() => link.next())
    this.sendMembership()
    void this.#receive()
  }

  post(message: SyncMessage, blobs: Blobs = []): void {
    if (this.signal.aborted) return
    this.#outbox.post({ message, blobs })
    if (this.#outbox.overfull) this.fail(overfull())
  }

  wake(): void {
    this.#outbox.wake()
  }

  fail(error: Error): void {
    this.#end(error)
  }

  openContentStream(options: Waiting): Promise<Stream> {
    return this.#connection.openStream(CONTENT_PROTOCOL, options)
  }

  sendMembership(): void {
    let blobs: Uint8Array[] = []
    let bytes = 0
    for (const statement of this.#parts.membership.statements()) {
      if (bytes + statement.byteLength > STATEMENTS_FRAME_BYTES) {
        this.post({ type: 'members', more: true }, blobs)
        blobs = []
        bytes = 0
      }
      blobs.push(statement)
      bytes += statement.byteLength
    }
    if (blobs.length > 0) this.post({ type: 'members', more: false }, blobs)
    const held = this.#parts.membership.folders()
    const folders = held.map(({ id, name, formatVersion }) => ({ id, name: short(name), formatVersion }))
    this.post({ type: 'folders', folders })
  }

  ping(options: Waiting): Promise<number> {
    return this.#pings.ping(options, id => this.post({ type: 'ping', id }))
  }

  async close(reason: string): Promise<void> {
    if (this.signal.aborted) return
    this.post({ type: 'goodbye', reason: reason.slice(0, 512) })
    this.#outbox.finish()
    const signal = AbortSignal.any([this.signal, timeoutSignal(GOODBYE_TIMEOUT_MS)])
    try {
      await Promise.race([this.#sending, aborted(signal)])
      await this.#stream.close({ signal })
    } catch {
      // A peer that does not read any more gets no goodbye.
    }
    this.#end(new KithError('stopped', reason))
  }

  async #send(): Promise<void> {
    try {
      await this.#outbox.run({ signal: this.signal })
    } catch (error) {
      this.#end(error)
    }
  }

  async #receive(): Promise<void> {
    let slice = performance.now()
    try {
      for (;;) {
        const frame = await this.#reader.next({ signal: this.signal })
        if (frame === null) throw new KithError('peer-gone', 'The other device went away.')
        await this.#handle(frame)
        if (performance.now() - slice > SLICE_MS) {
          await new Promise(setImmediate)
          slice = performance.now()
        }
      }
    } catch (error) {
      this.#end(error)
    }
  }

  async #handle(frame: Frame): Promise<void> {
    const message = parseSync(frame)
    if ('unknown' in message) {
      this.post({ type: 'refused', what: message.unknown })
      return
    }
    switch (message.type) {
      case 'hello':
        throw broken('a second hello')
      case 'goodbye':
        throw new KithError('peer-gone', message.reason)
      case 'refused':
        for (const link of this.#links) link.refused?.(message.what)
        return
      case 'ping':
        this.post({ type: 'pong', id: message.id })
        return
      case 'pong':
        this.#pings.answered(message.id)
        return
      case 'members':
        await this.#parts.membership.receive(frame.blobs, this.device)
        return
      case 'folders': {
        this.#parts.membership.onFolders(this.device, message.folders)
        const held = this.#commonFormat(message.folders)
        for (const link of this.#links) link.onFolders(held)
        return
      }
      default:
        if (!this.#links.some(link => link.receive(message, frame.blobs))) {
          this.post({ type: 'refused', what: message.type })
        }
    }
  }

  /** A folder whose format differs is offered and shown, and not synced. */
  #commonFormat(folders: readonly OfferedFolder[]): Set<FolderId> {
    const mine = new Map(this.#parts.membership.folders().map(folder => [folder.id, folder.formatVersion]))
    const differs = (folder: OfferedFolder): boolean =>
      (mine.get(folder.id) ?? folder.formatVersion) !== folder.formatVersion
    return new Set(folders.filter(folder => !differs(folder)).map(folder => folder.id))
  }

  #end(error: unknown): void {
    if (this.signal.aborted) return
    const reason = error instanceof Error ? error : new KithError('peer-gone', String(error))
    this.#ended.abort(reason)
    for (const link of this.#links) link.detach()
    this.#pings.end(reason)
    this.#stream.abort(reason)
    this.#resolveClosed(reason.message)
  }
}

/** Longer names would break the frame for the other side. */
function short(name: string): string {
  return name.slice(0, MAX_NAME_LENGTH)
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
