// What the parts that ride on a link (replication, content exchange) see of its session, and what the session sees of them.
// Small messages are posted and overtake bulk; bulk is asked for (`next`) when the link can take more, so nothing piles up in between.
import type { Stream } from '@libp2p/interface'
import type { DeviceId, FolderId } from '../core/ids.ts'
import type { Waiting } from '../core/ports.ts'
import type { Meter } from './safe-stream.ts'
import type { Blobs, Outgoing, SyncMessage } from './wire.ts'

export interface Peer {
  readonly device: DeviceId
  readonly meter: Meter
  /** Aborted when the session ends. */
  readonly signal: AbortSignal
  /** Queues a small message ahead of all bulk. Does nothing once the session has ended. */
  post(message: SyncMessage, blobs?: Blobs): void
  /** A part has bulk to send: `next` will be asked. */
  wake(): void
  /** The peer broke the protocol: the session ends. */
  fail(error: Error): void
  openContentStream(options: Waiting): Promise<Stream>
}

/** One part's side of one link. `receive` may throw: the session ends with that. */
export interface PartLink {
  /** False where the message is not for this part. */
  receive(message: SyncMessage, blobs: Blobs): boolean
  /** The next bulk message, or null for none now. */
  next(): Outgoing | null
  /** The peer said which folders it holds. */
  onFolders(folders: ReadonlySet<FolderId>): void
  /** The peer does not know this type of message. */
  refused?(what: string): void
  /** The session ended. */
  detach(): void
}

export interface SessionPart {
  attach(peer: Peer): PartLink
}
