// Keeps the documents of shared folders equal over all links: which folders run on which links, who is told what. It promises that an
// announced update goes to every link but the one it came from, in order, and that folders which only one side holds say nothing.
// How one folder talks on one link is folder-link.ts; contents are content-exchange.ts.
import type { Clock } from '../core/clock.ts'
import type { DeviceId, FolderId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { DocUpdate, SharedFolder } from '../core/ports.ts'
import { FolderLink, isFolderMessage } from './folder-link.ts'
import type { PartLink, Peer, SessionPart } from './peer.ts'
import type { Blobs, Outgoing, SyncMessage } from './wire.ts'

/** Changes of a folder's state within this time are told at once. */
const STATE_COALESCE_MS = 20

export interface ReplicationDeps {
  readonly clock: Clock
  readonly log: Log
  /** Asked again for every message: a device removed a moment ago gets and gives nothing. */
  isMember(device: DeviceId): boolean
}

/** The replication half of FolderNetwork. */
export interface FolderReplication {
  peers(): readonly DeviceId[]
  announce(updates: readonly DocUpdate[], from: DeviceId | null): void
  stateChanged(): void
}

interface Shared {
  readonly folder: SharedFolder
  readonly stop: AbortController
  stateDue: boolean
}

export class Replication implements SessionPart {
  readonly #deps: ReplicationDeps
  readonly #folders = new Map<FolderId, Shared>()
  readonly #links = new Set<ReplicationLink>()

  constructor(deps: ReplicationDeps) {
    this.#deps = deps
  }

  attach(peer: Peer): PartLink {
    const link = new ReplicationLink(peer, this.#deps, gone => this.#detached(gone))
    this.#links.add(link)
    for (const { folder } of this.#folders.values()) link.add(folder)
    return link
  }

  share(folder: SharedFolder): FolderReplication {
    const shared: Shared = { folder, stop: new AbortController(), stateDue: false }
    this.#folders.set(folder.id, shared)
    for (const link of this.#links) link.add(folder)
    return {
      peers: () => [...new Set([...this.#links].filter(link => link.holds(folder.id)).map(link => link.device))],
      announce: (updates, from) => {
        for (const link of this.#links) if (link.device !== from) link.folder(folder.id)?.announce(updates)
      },
      stateChanged: () => void this.#tellState(shared),
    }
  }

  unshare(folder: FolderId): void {
    this.#folders.get(folder)?.stop.abort()
    this.#folders.delete(folder)
    for (const link of this.#links) link.remove(folder)
  }

  /** The folder, where this device shares it with that one right now; else undefined. */
  sharedWith(folder: FolderId, device: DeviceId): SharedFolder | undefined {
    if (!this.#deps.isMember(device)) return undefined
    const holds = [...this.#links].some(link => link.device === device && link.holds(folder))
    return holds ? this.#folders.get(folder)?.folder : undefined
  }

  #detached(gone: ReplicationLink): void {
    this.#links.delete(gone)
    // A second link to the same device may still be there, and its state was taken back with this one's.
    for (const link of this.#links) if (link.device === gone.device) link.repeatPeerStates()
  }

  async #tellState(shared: Shared): Promise<void> {
    if (shared.stateDue) return
    shared.stateDue = true
    try {
      await this.#deps.clock.sleep(STATE_COALESCE_MS, { signal: shared.stop.signal })
    } catch {
      return // unshared meanwhile
    } finally {
      shared.stateDue = false
    }
    for (const link of this.#links) link.folder(shared.folder.id)?.tellState()
  }
}

/** One link: its folders, asked in turn for what they have to send. */
class ReplicationLink implements PartLink {
  readonly device: DeviceId
  readonly #peer: Peer
  readonly #deps: ReplicationDeps
  readonly #onDetached: (link: ReplicationLink) => void
  readonly #folders = new Map<FolderId, FolderLink>()
  #held: ReadonlySet<FolderId> = new Set()
  /** Over all folders and all their beginnings: an acknowledgement of something forgotten means nothing. */
  #seq = 0

  constructor(peer: Peer, deps: ReplicationDeps, onDetached: (link: ReplicationLink) => void) {
    this.device = peer.device
    this.#peer = peer
    this.#deps = deps
    this.#onDetached = onDetached
  }

  add(folder: SharedFolder): void {
    this.#folders.get(folder.id)?.close()
    const link = new FolderLink(folder, this.#peer, () => ++this.#seq, this.#deps)
    this.#folders.set(folder.id, link)
    if (this.#held.has(folder.id)) link.begin()
  }

  remove(folder: FolderId): void {
    const link = this.#folders.get(folder)
    if (link === undefined) return
    link.close()
    this.#folders.delete(folder)
    this.#peer.post({ type: 'absent', folder })
  }

  /** Undefined where the peer does not hold it (as far as is known). */
  folder(id: FolderId): FolderLink | undefined {
    const link = this.#folders.get(id)
    return link?.running ? link : undefined
  }

  holds(id: FolderId): boolean {
    return this.folder(id) !== undefined && this.#deps.isMember(this.device)
  }

  onFolders(held: ReadonlySet<FolderId>): void {
    this.#held = held
    for (const [id, link] of this.#folders) {
      if (held.has(id)) link.begin()
      else link.stop()
    }
  }

  receive(message: SyncMessage, blobs: Blobs): boolean {
    if (!isFolderMessage(message)) return false
    const link = this.#folders.get(message.folder)
    const known = link !== undefined && this.#deps.isMember(this.device)
    // Fresh digests say by themselves that the peer holds the folder.
    if (known && !link.running && message.type === 'digests' && message.fresh) link.begin()
    if (known && link.running) link.receive(message, blobs)
    else if (message.type !== 'absent') this.#peer.post({ type: 'absent', folder: message.folder })
    return true
  }

  next(): Outgoing | null {
    if (!this.#deps.isMember(this.device)) return null
    for (const [id, link] of this.#folders) {
      const out = link.next()
      if (out === null) continue
      // The next one asked is another.
      this.#folders.delete(id)
      this.#folders.set(id, link)
      return out
    }
    return null
  }

  repeatPeerStates(): void {
    for (const link of this.#folders.values()) link.repeatPeerState()
  }

  detach(): void {
    for (const link of this.#folders.values()) link.close()
    this.#folders.clear()
    this.#onDetached(this)
  }
}
