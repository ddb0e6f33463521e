// What the folder knows of the devices that hold it too: their last word about themselves, and whether all is equal.
import type { DeviceId } from '../core/ids.ts'
import type { FolderState } from '../core/ports.ts'
import type { PeerStatus } from '../core/status.ts'

interface Peer {
  state: FolderState | null
  /** All documents were compared on this link. */
  compared: boolean
  /** The last known verdict, for when it is away. */
  inSync: boolean
  asOf: number | null
}

const NOTHING = { files: 0, bytes: 0 }

export class Peers {
  readonly #peers = new Map<DeviceId, Peer>()

  heard(device: DeviceId, state: FolderState | null, mine: FolderState, now: number): void {
    const peer = this.#peer(device)
    if (state === null) {
      // The last words of a link: what was true until now stays known.
      if (peer.state !== null) {
        peer.inSync = agrees(peer, mine)
        peer.asOf = now
      }
      peer.compared = false
    }
    peer.state = state
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

  status(mine: FolderState): PeerStatus[] {
    return [...this.#peers].map(([id, peer]) => {
      const linked = peer.state !== null
      const need = peer.state === null ? NOTHING : { files: peer.state.needFiles, bytes: peer.state.needBytes }
      return { id, inSync: linked ? agrees(peer, mine) : peer.inSync, asOf: linked ? null : peer.asOf, need }
    })
  }

  #peer(device: DeviceId): Peer {
    let peer = this.#peers.get(device)
    if (peer === undefined) {
      peer = { state: null, compared: false, inSync: false, asOf: null }
      this.#peers.set(device, peer)
    }
    return peer
  }
}

/** Never before both have scanned and the documents were compared, nor while either lacks a content that it did not publish durably. */
function agrees(peer: Peer, mine: FolderState): boolean {
  const { state } = peer
  if (state === null || !peer.compared || !state.settled || !mine.settled) return false
  return state.digest === mine.digest && state.needFiles === 0 && mine.needFiles === 0
}
