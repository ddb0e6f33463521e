// Who gets in, and whom this device may call. A stranger is cut right after the noise handshake, before any protocol, unless a
// pairing window is open; before the handshake, sockets are bounded per address and in all, with room kept for paired devices.
// It holds no connections and makes none.
import type { ConnectionGater, MultiaddrConnection, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { DeviceId } from '../core/ids.ts'
import { parseAddress } from './addresses.ts'

/** Handshakes under way from addresses where no paired device was seen; libp2p's own limit is higher, for those that are. */
export const MAX_PENDING_STRANGERS = 36
export const MAX_PENDING_PER_ADDRESS = 6
/** New sockets a second and burst, for one address without a paired device. */
const SOCKETS_PER_SECOND = 10
const SOCKET_BURST = 20
const MAX_REMEMBERED_ADDRESSES = 1_024

export interface GatekeeperDeps {
  /** Members, and devices whose half-done pairing is still to be resolved. */
  isTrusted(device: DeviceId): boolean
  pairingOpen(): boolean
  /** Monotone ms. */
  elapsed(): number
  /** A connection passed all checks. */
  onUpgraded(connection: MultiaddrConnection): void
}

interface Bucket {
  tokens: number
  at: number
}

export class Gatekeeper {
  readonly #deps: GatekeeperDeps
  readonly #pending = new Map<MultiaddrConnection, string>()
  readonly #buckets = new Map<string, Bucket>()
  readonly #familiar = new Set<string>()
  readonly #callable = new Map<DeviceId, number>()
  readonly #anybodyAt = new Map<string, number>()

  constructor(deps: GatekeeperDeps) {
    this.#deps = deps
  }

  /** The rules as libp2p wants them. */
  get gater(): ConnectionGater {
    return {
      denyDialPeer: peer => !this.#mayCall(peer),
      denyDialMultiaddr: address => !this.#isExact(address),
      denyOutboundConnection: peer => !this.#mayCall(peer),
      denyOutboundEncryptedConnection: (peer, { remoteAddr }) =>
        !this.#mayCall(peer) && !this.#anybodyAt.has(remoteAddr.toString()),
      denyInboundConnection: connection => !this.#admit(connection),
      denyInboundEncryptedConnection: (peer, connection) => {
        this.#settled(connection)
        return !this.mayEnter(idOf(peer))
      },
      denyInboundUpgradedConnection: (peer, connection) => {
        this.#deps.onUpgraded(connection)
        return !this.mayEnter(idOf(peer))
      },
      denyOutboundUpgradedConnection: (_peer, connection) => {
        this.#deps.onUpgraded(connection)
        return false
      },
      filterMultiaddrForPeer: () => false,
    }
  }

  mayEnter(device: DeviceId): boolean {
    return this.#deps.isTrusted(device) || this.#deps.pairingOpen()
  }

  /** A paired device was linked from there: its address is not counted among strangers. */
  familiar(host: string): void {
    if (this.#familiar.size >= MAX_REMEMBERED_ADDRESSES) this.#familiar.clear()
    this.#familiar.add(host)
  }

  /** Until the result is called, that unpaired device may be called (to pair with it). */
  allowCall(device: DeviceId): () => void {
    return hold(this.#callable, device)
  }

  /** Until the result is called, whoever is at that address may be called: a person gave it together with a code. */
  allowAnybodyAt(address: string): () => void {
    return hold(this.#anybodyAt, address)
  }

  #mayCall(peer: PeerId): boolean {
    const device = idOf(peer)
    return this.#deps.isTrusted(device) || this.#callable.has(device)
  }

  /** A call names the peer it expects: an address alone is not enough. */
  #isExact(address: Multiaddr): boolean {
    const endpoint = parseAddress(address.toString())
    return endpoint !== null && (endpoint.peer !== null || this.#anybodyAt.has(address.toString()))
  }

  #admit(connection: MultiaddrConnection): boolean {
    const host = parseAddress(connection.remoteAddr.toString())?.host
    if (host === undefined) return false
    if (this.#familiar.has(host)) return true
    if (!this.#spend(host)) return false
    let fromHere = 0
    for (const other of this.#pending.values()) if (other === host) fromHere++
    if (this.#pending.size >= MAX_PENDING_STRANGERS || fromHere >= MAX_PENDING_PER_ADDRESS) return false
    this.#pending.set(connection, host)
    connection.addEventListener('close', () => this.#settled(connection), { once: true })
    return true
  }

  #settled(connection: MultiaddrConnection): void {
    this.#pending.delete(connection)
  }

  #spend(host: string): boolean {
    const now = this.#deps.elapsed()
    const bucket = this.#buckets.get(host) ?? { tokens: SOCKET_BURST, at: now }
    bucket.tokens = Math.min(SOCKET_BURST, bucket.tokens + ((now - bucket.at) / 1000) * SOCKETS_PER_SECOND)
    bucket.at = now
    this.#buckets.delete(host)
    this.#buckets.set(host, bucket)
    if (this.#buckets.size > MAX_REMEMBERED_ADDRESSES) {
      const [oldest] = this.#buckets.keys()
      if (oldest !== undefined) this.#buckets.delete(oldest)
    }
    if (bucket.tokens < 1) return false
    bucket.tokens -= 1
    return true
  }
}

export function idOf(peer: PeerId): DeviceId {
  return peer.toString() as DeviceId
}

/** Counts holders of a key; the result lets go, once. */
function hold<K>(holders: Map<K, number>, key: K): () => void {
  holders.set(key, (holders.get(key) ?? 0) + 1)
  let held = true
  return () => {
    if (!held) return
    held = false
    const left = (holders.get(key) ?? 1) - 1
    if (left > 0) holders.set(key, left)
    else holders.delete(key)
  }
}
