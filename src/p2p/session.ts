// One live link's conversation on `/kith/sync/1`: hello, membership, folder offers, ping and goodbye, and the frames of the parts
// (replication, content exchange) that ride on it. It promises that whatever a peer sends can end this session and nothing else,
// and that a device counts as linked only after its hello. It must not decide who may link (the gatekeeper) nor dial (links).
import type { Stream } from '@libp2p/interface'
import { KithError } from '../core/errors.ts'
import type { DeviceId, FolderId } from '../core/ids.ts'
import type { Waiting } from '../core/ports.ts'

export const SYNC_PROTOCOL = '/kith/sync/1'
export const CONTENT_PROTOCOL = '/kith/content/1'

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

export interface Self {
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
  readonly replication: object
  readonly exchange: object
  readonly membership: MembershipPort
}

/**
 * Both sides call it on their end of the sync stream. Resolves after both hellos were exchanged and fit; rejects with KithError
 * `peer-protocol` (the message says which side must be updated), `peer-gone`, or the signal's reason, with the stream aborted.
 */
export async function openSession(
  _stream: Stream,
  _connection: LinkConnection,
  _parts: SessionParts,
  _options: Waiting & { readonly self: Self },
): Promise<Session> {
  throw new KithError('internal', 'The session is not wired yet.')
}
