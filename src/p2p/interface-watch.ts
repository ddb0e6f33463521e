// The machine's interfaces as they stand, looked at every other second: what changed, what may be announced, what is near.
// It promises one call for each change, and one now and then where nothing changed.
import { networkInterfaces } from 'node:os'
import type { Connection } from '@libp2p/interface'
import type { Interfaces, Surroundings } from './addresses.ts'
import { announced, fingerprint, isAttached, parseAddress } from './addresses.ts'

const POLL_MS = 2_000
/** A multicast socket can go deaf without a word: it is made anew now and then. */
const QUIET_MS = 5 * 60_000

export interface InterfaceWatchDeps {
  /** Tests put other interfaces in the place of this machine's. */
  interfaces?(): Interfaces
  /** Addresses listened on. */
  listening(): readonly string[]
  onChange(): void
  /** Nothing changed for some minutes. */
  onQuiet(): void
}

export class InterfaceWatch {
  readonly #deps: InterfaceWatchDeps
  #timer: NodeJS.Timeout | undefined
  #seen = ''
  #changedAt = 0

  constructor(deps: InterfaceWatchDeps) {
    this.#deps = deps
  }

  start(): void {
    this.#seen = fingerprint(this.#look())
    this.#changedAt = performance.now()
    this.#timer = setInterval(() => this.#poll(), POLL_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  around(): Surroundings {
    const ports = this.#deps.listening().map(address => parseAddress(address)?.port)
    return { interfaces: this.#look(), ownPorts: [...new Set(ports.filter(port => port !== undefined))] }
  }

  announced(): string[] {
    return announced(this.#deps.listening(), this.#look())
  }

  /** Is the other end in a subnet of this machine's? */
  isNear(connection: Connection): boolean {
    const endpoint = parseAddress(connection.remoteAddr.toString())
    return endpoint !== null && isAttached(endpoint, this.#look())
  }

  #look(): Interfaces {
    return this.#deps.interfaces?.() ?? networkInterfaces()
  }

  #poll(): void {
    const now = fingerprint(this.#look())
    const changed = now !== this.#seen
    if (!changed && performance.now() - this.#changedAt < QUIET_MS) return
    this.#seen = now
    this.#changedAt = performance.now()
    if (changed) this.#deps.onChange()
    else this.#deps.onQuiet()
  }
}
