// Finding others on the local network by mDNS, under a service tag of our own and a random name per start: peer id and attached
// addresses are all that is said. It promises one callback per sighting (not per peer for ever) and to hear again after an
// interface was re-made. What it passes on is hearsay: nothing is checked here but the form.
import './polyfill.ts'
import { randomBytes } from 'node:crypto'
import type { ComponentLogger, PeerInfo } from '@libp2p/interface'
import type { MulticastDNSComponents } from '@libp2p/mdns'
import { mdns } from '@libp2p/mdns'
import { multiaddr } from '@multiformats/multiaddr'
import type { DeviceId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import { MAX_ADDRESSES_PER_DEVICE } from './addresses.ts'
import { withoutPeer } from './node.ts'

const SERVICE_TAG = '_kith1._udp.local'
const QUERY_INTERVAL_MS = 8_000
/** Sightings a second that are looked at; a flood beyond is dropped. */
const MAX_SIGHTINGS_PER_SECOND = 50

export interface Sighting {
  readonly device: DeviceId
  readonly addresses: readonly string[]
}

export interface DiscoveryDeps {
  readonly device: DeviceId
  /** Addresses to announce now, without the peer id. */
  announce(): readonly string[]
  sighted(sighting: Sighting): void
  readonly logger: ComponentLogger
  readonly log: Log
  elapsed(): number
}

type Instance = ReturnType<ReturnType<typeof mdns>>

export class Discovery {
  readonly #deps: DiscoveryDeps
  #instance: (Instance & Partial<{ start(): Promise<void>; stop(): Promise<void> }>) | null = null
  #running = false
  #tail: Promise<void> = Promise.resolve()
  #window = { from: 0, count: 0 }

  constructor(deps: DiscoveryDeps) {
    this.#deps = deps
  }

  async start(): Promise<void> {
    this.#running = true
    await this.restart()
  }

  async stop(): Promise<void> {
    this.#running = false
    await this.#queue(() => this.#close())
  }

  /** A new socket and a query at once: after the network changed, or when somebody waits for an answer. */
  async restart(): Promise<void> {
    await this.#queue(async () => {
      await this.#close()
      if (this.#running) await this.#open()
    })
  }

  async #open(): Promise<void> {
    const suffix = `/p2p/${this.#deps.device}`
    // Of the address manager mDNS asks for the addresses alone; ours are those of the moment.
    const addressManager = { getAddresses: () => this.#deps.announce().map(address => multiaddr(address + suffix)) }
    const components = { addressManager, logger: this.#deps.logger } as unknown as MulticastDNSComponents
    const init = { serviceTag: SERVICE_TAG, interval: QUERY_INTERVAL_MS, peerName: randomBytes(16).toString('hex') }
    this.#instance = mdns(init)(components)
    this.#instance.addEventListener('peer', event => this.#heard(event.detail))
    try {
      await this.#instance.start?.()
    } catch (error) {
      this.#deps.log.warn({ error }, 'finding devices by mDNS does not work here; give addresses by hand')
    }
  }

  async #close(): Promise<void> {
    const old = this.#instance
    this.#instance = null
    await old?.stop?.()
  }

  #heard(peer: PeerInfo): void {
    if (this.#instance === null) return
    const second = Math.floor(this.#deps.elapsed() / 1000)
    if (second !== this.#window.from) this.#window = { from: second, count: 0 }
    if (++this.#window.count > MAX_SIGHTINGS_PER_SECOND) return
    const device = peer.id.toString() as DeviceId
    if (device === this.#deps.device) return
    const addresses = peer.multiaddrs.slice(0, 2 * MAX_ADDRESSES_PER_DEVICE).map(withoutPeer)
    this.#deps.sighted({ device, addresses })
  }

  async #queue(work: () => Promise<void>): Promise<void> {
    const turn = this.#tail.then(work)
    this.#tail = turn.catch(error => this.#deps.log.warn({ error }, 'mDNS could not be restarted'))
    await this.#tail
  }
}
