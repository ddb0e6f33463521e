// One supervisor per paired device, and what wakes them all: connections that come and go, sightings, changes of the network, and a
// slow pulse that notices silence. It promises that no device has a supervisor that is not a member. See link.ts for one of them.
import type { Connection, Stream } from '@libp2p/interface'
import type { DeviceId } from '../core/ids.ts'
import { Link, type LinkDeps } from './link.ts'
import type { Session } from './session.ts'

const PULSE_MS = 1_000
/** A pulse this late means that the process stood still (suspended): silence proves nothing then. */
const LATE_MS = 3_000

export class Links {
  readonly #deps: LinkDeps
  readonly #links = new Map<DeviceId, Link>()
  readonly #stopping = new Set<Promise<void>>()
  #timer: NodeJS.Timeout | undefined
  #pulse = 0

  constructor(deps: LinkDeps) {
    this.#deps = deps
  }

  start(): void {
    this.#pulse = this.#deps.elapsed()
    this.#timer = setInterval(() => {
      const now = this.#deps.elapsed()
      const late = now - this.#pulse > LATE_MS
      this.#pulse = now
      for (const link of this.#links.values()) link.tick(late)
    }, PULSE_MS)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all([...this.#links.keys()].map(device => this.unwatch(device, 'the device goes offline')))
    await Promise.all(this.#stopping)
  }

  watch(device: DeviceId): void {
    if (this.#links.has(device)) return
    const link = new Link(device, this.#deps)
    this.#links.set(device, link)
    link.start()
  }

  /** Ends the session and every connection of the device, within a second. */
  async unwatch(device: DeviceId, reason: string): Promise<void> {
    const link = this.#links.get(device)
    if (link === undefined) return
    this.#links.delete(device)
    const stopped: Promise<void> = link.stop(reason).finally(() => this.#stopping.delete(stopped))
    this.#stopping.add(stopped)
    await stopped
  }

  /** The other side opened a sync stream. */
  async accept(device: DeviceId, stream: Stream, connection: Connection): Promise<void> {
    const link = this.#links.get(device)
    if (link === undefined) stream.abort(new Error('not a member'))
    else await link.accept(stream, connection)
  }

  nudge(device: DeviceId, options: { readonly doubt: boolean }): void {
    this.#links.get(device)?.nudge(options)
  }

  nudgeAll(options: { readonly doubt: boolean }): void {
    for (const link of this.#links.values()) link.nudge(options)
  }

  connectionChanged(device: DeviceId): void {
    this.#links.get(device)?.connectionChanged()
  }

  session(device: DeviceId): Session | null {
    return this.#links.get(device)?.session ?? null
  }

  connection(device: DeviceId): Connection | null {
    return this.#links.get(device)?.connection ?? null
  }

  sessions(): Session[] {
    return [...this.#links.values()].flatMap(link => (link.session === null ? [] : [link.session]))
  }
}
