// What the folder knows of the devices that hold it too: their last word about themselves, and whether all is equal.
import { z } from 'zod'
import type { DeviceId } from '../core/ids.ts'
import type { FolderBatch, FolderState } from '../core/ports.ts'
import type { PeerStatus } from '../core/status.ts'

/** A time that a clock which is set back does not bring again. */
export interface Moment {
  /** This device's wall clock, ms; to be shown. */
  readonly now: number
  readonly journalLength: number
}

interface Peer {
  state: FolderState | null
  /** All documents were compared on this link. */
  compared: boolean
  /** The last known verdict, for when it is away. */
  inSync: boolean
  asOf: number | null
  /** When it was last in sync. */
  synced: Moment | null
}

const storedSchema = z.array(
  z.object({
    id: z.string().transform((id): DeviceId => id as DeviceId),
    inSync: z.boolean(),
    asOf: z.number().nullable(),
    synced: z.object({ now: z.number(), journalLength: z.number() }).nullable(),
  }),
)
type Stored = z.output<typeof storedSchema>[number]

/** What is known of a linked device is stored no more often than this. */
const STORE_EVERY_MS = 10 * 60_000

const NOTHING = { files: 0, bytes: 0 }

export class Peers {
  readonly #peers = new Map<DeviceId, Peer>()
  #storedAt = Number.NEGATIVE_INFINITY
  #unstored = false

  /** True: it was not linked before. */
  heard(device: DeviceId, state: FolderState | null, mine: FolderState, at: Moment): boolean {
    const peer = this.#peer(device)
    const isNew = peer.state === null && state !== null
    if (state === null) {
      this.#unstored = true
      // The last words of a link: what was true until now stays known.
      if (peer.state !== null) {
        peer.inSync = agrees(peer, mine)
        peer.asOf = at.now
        if (peer.inSync) peer.synced = at
      }
      peer.compared = false
    }
    peer.state = state
    return isNew
  }

  compared(device: DeviceId): void {
    this.#peer(device).compared = true
  }

  /** Were all documents compared with a device that knows what belongs in the folder? */
  anyCompared(): boolean {
    return [...this.#peers.values()].some(p => p.compared && p.state?.pulling === false)
  }

  /** Were all documents compared with any device that is linked now? */
  anyLinkCompared(): boolean {
    return [...this.#peers.values()].some(p => p.compared)
  }

  /** Do all that are linked wait for somebody who knows, as this device does, and is it the first of them? Then nobody else will begin. */
  isFirstOfWaiting(own: DeviceId): boolean {
    const linked = [...this.#peers].filter(([, peer]) => peer.state !== null)
    return linked.length > 0 && linked.every(([id, peer]) => own < id && peer.compared && peer.state?.pulling === true)
  }

  /** What was known of those that are away, before this process. */
  load(bytes: Uint8Array | undefined): void {
    for (const { id, ...known } of bytes === undefined ? [] : decode(bytes)) {
      const peer = this.#peer(id)
      if (peer.asOf === null) Object.assign(peer, known)
    }
  }

  /** What is to be remembered over a restart, where it is due, or `last`; in a quiet moment. */
  due(mine: FolderState, at: Moment, elapsed: number, { last = false } = {}): FolderBatch | null {
    for (const peer of this.#peers.values()) {
      if (!agrees(peer, mine)) continue
      if (peer.synced === null) this.#unstored = true
      peer.synced = at
    }
    const isDue = this.#unstored || (this.#peers.size > 0 && (last || elapsed - this.#storedAt >= STORE_EVERY_MS))
    if (!isDue) return null
    this.#unstored = false
    this.#storedAt = elapsed
    const known: Stored[] = [...this.#peers].map(([id, { state, inSync, asOf, synced }]) =>
      state === null
        ? { id, inSync, asOf, synced }
        : { id, inSync: synced !== null, asOf: synced?.now ?? null, synced },
    )
    return { notes: [{ name: 'peers', bytes: Buffer.from(JSON.stringify(known)) }] }
  }

  /** Who is linked and who was, and how far each is in sync: equal as long as nothing of that has changed. */
  key(): string {
    return [...this.#peers]
      .map(
        ([id, { state, synced }]) =>
          `${id} ${state === null ? `away ${synced?.journalLength}` : `${state.digest} ${state.needFiles} ${state.settled}`}`,
      )
      .join(' ')
  }

  /** All that were ever seen to have the folder. */
  ids(): Iterable<DeviceId> {
    return this.#peers.keys()
  }

  /** Those that are not linked. */
  absent(): { device: DeviceId; synced: Moment | null }[] {
    return [...this.#peers].flatMap(([device, { state, synced }]) => (state === null ? [{ device, synced }] : []))
  }

  status(mine: FolderState): PeerStatus[] {
    return [...this.#peers].map(([id, peer]) => {
      const linked = peer.state !== null
      const need = peer.state === null ? NOTHING : { files: peer.state.needFiles, bytes: peer.state.needBytes }
      const stopped = stoppedNow(peer, mine)
      return { id, inSync: linked ? agrees(peer, mine) : peer.inSync, asOf: linked ? null : peer.asOf, need, stopped }
    })
  }

  #peer(device: DeviceId): Peer {
    let peer = this.#peers.get(device)
    if (peer === undefined) {
      peer = { state: null, compared: false, inSync: false, asOf: null, synced: null }
      this.#peers.set(device, peer)
    }
    return peer
  }
}

/** What cannot be read any more is not known: it is learnt again when the devices meet. */
function decode(bytes: Uint8Array): readonly Stored[] {
  try {
    return storedSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
  } catch {
    return []
  }
}

/** What its disk cannot have may be gone from the documents that it has not heard of, or compared with its disk: then it says so no more soon. */
function stoppedNow(peer: Peer, mine: FolderState): string | null {
  const stopped = peer.state?.stopped ?? null
  return stopped === 'cannot-hold' && !hasEqualDocuments(peer, mine) ? null : stopped
}

/** Never before both have scanned and the documents were compared, nor while either lacks a content that it did not publish durably. */
function agrees(peer: Peer, mine: FolderState): boolean {
  return hasEqualDocuments(peer, mine) && peer.state?.needFiles === 0 && mine.needFiles === 0
}

/** What either is to have is the same, and both know what they lack of it. */
function hasEqualDocuments({ state, compared }: Peer, mine: FolderState): boolean {
  return state !== null && compared && state.settled && mine.settled && state.digest === mine.digest
}
