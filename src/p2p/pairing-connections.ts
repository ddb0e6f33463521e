// Connections that serve a pairing: guests who came for an open window, and calls to devices that need not be members. Links keep
// their hands off them. It promises that guests are few and go again, and that permission to call lasts as long as the call.
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { Libp2p } from 'libp2p'
import type { DeviceId } from '../core/ids.ts'
import type { Waiting } from '../core/ports.ts'
import { type Gatekeeper, idOf } from './gatekeeper.ts'
import type { Candidate } from './joining.ts'
import type { Membership } from './membership.ts'
import { dial, withoutPeer } from './node.ts'
import { PAIRING_EXCHANGE_MS } from './pairing-wire.ts'

const MAX_GUESTS = 8

export interface PairingConnectionsDeps {
  readonly gatekeeper: Pick<Gatekeeper, 'allowAnybodyAt' | 'allowCall'>
  readonly membership: Pick<Membership, 'isMember' | 'isPrepared'>
  node(): Libp2p
  windowOpen(): boolean
  isLinked(device: DeviceId): boolean
  /** A connection is free for links again. */
  onReleased(device: DeviceId): void
}

export class PairingConnections {
  readonly #deps: PairingConnectionsDeps
  readonly #guests = new Set<Connection>()
  readonly #reserved = new Set<Connection>()
  readonly #calling = new Set<string>()

  constructor(deps: PairingConnectionsDeps) {
    this.#deps = deps
  }

  isReserved(connection: Connection): boolean {
    return this.#reserved.has(connection)
  }

  opened(connection: Connection): void {
    const device = idOf(connection.remotePeer)
    const { membership } = this.#deps
    if (this.#isForPairing(device, connection)) this.#reserved.add(connection)
    const guest = !membership.isMember(device) && !membership.isPrepared(device) && connection.direction === 'inbound'
    if (guest) this.#receiveGuest(connection)
  }

  closed(connection: Connection): void {
    this.#guests.delete(connection)
    this.#reserved.delete(connection)
  }

  release(connection: Connection): void {
    if (this.#reserved.delete(connection)) this.#deps.onReleased(idOf(connection.remotePeer))
  }

  windowClosed(): void {
    for (const connection of [...this.#reserved]) if (connection.direction === 'inbound') this.release(connection)
    for (const connection of [...this.#guests]) this.#sendAway(connection)
  }

  /** The device was removed: what it came for is over. */
  cut(device: DeviceId): void {
    for (const connection of [...this.#reserved]) {
      if (connection.direction === 'inbound' && idOf(connection.remotePeer) === device) this.#sendAway(connection)
    }
  }

  /** Calls a device to pair with it; without an id, whoever is at the address. */
  async call({ device, addresses }: Candidate, options: Waiting): Promise<Connection> {
    const { gatekeeper } = this.#deps
    const node = this.#deps.node()
    const releases = device === null ? addresses.map(address => gatekeeper.allowAnybodyAt(address)) : []
    if (device !== null) releases.push(gatekeeper.allowCall(device))
    for (const address of addresses) this.#calling.add(address)
    try {
      if (device !== null) return await dial(node, device, addresses, options)
      const all = addresses.map(address => multiaddr(address))
      return await node.dial(all, { signal: options.signal, force: true })
    } finally {
      for (const address of addresses) this.#calling.delete(address)
      for (const release of releases) release()
    }
  }

  /** Also devices that are paired already may pair once more; their link goes on meanwhile. */
  #isForPairing(device: DeviceId, connection: Connection): boolean {
    if (connection.direction === 'outbound') return this.#calling.has(withoutPeer(connection.remoteAddr))
    return this.#deps.windowOpen() && this.#deps.isLinked(device)
  }

  /** Few at a time, and not for long. */
  #receiveGuest(connection: Connection): void {
    if (!this.#deps.windowOpen() || this.#guests.size >= MAX_GUESTS) {
      connection.abort(new Error('not now'))
      return
    }
    this.#guests.add(connection)
    const timer = setTimeout(() => this.#sendAway(connection), PAIRING_EXCHANGE_MS)
    connection.addEventListener('close', () => clearTimeout(timer), { once: true })
  }

  #sendAway(connection: Connection): void {
    this.#guests.delete(connection)
    // A guest that became a member stays.
    if (this.#deps.membership.isMember(idOf(connection.remotePeer))) return
    // What is on its way, a refusal, may still arrive.
    connection.close().catch(() => connection.abort(new Error('the pairing window is closed')))
  }
}
