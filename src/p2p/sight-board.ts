// Devices in sight that are not members: the candidates for a pairing. Bounded, since anybody may announce anything; older
// sightings make room. It decides nothing about whom to call.
import type { DeviceId } from '../core/ids.ts'
import type { Waiting } from '../core/ports.ts'
import type { Sighting } from './discovery.ts'

const MAX_STRANGERS = 64
const FRESH_MS = 60_000

export class SightBoard {
  readonly #seen = new Map<DeviceId, { readonly at: number; readonly addresses: readonly string[] }>()
  readonly #watchers = new Set<(sighting: Sighting) => void>()
  readonly #elapsed: () => number

  constructor(elapsed: () => number) {
    this.#elapsed = elapsed
  }

  put(device: DeviceId, addresses: readonly string[]): void {
    this.#seen.delete(device)
    this.#seen.set(device, { at: this.#elapsed(), addresses })
    if (this.#seen.size > MAX_STRANGERS) {
      const [oldest] = this.#seen.keys()
      if (oldest !== undefined) this.#seen.delete(oldest)
    }
    for (const watcher of this.#watchers) watcher({ device, addresses })
  }

  remove(device: DeviceId): void {
    this.#seen.delete(device)
  }

  /** Those in sight now, then each further sighting, until the signal. */
  async *watch(options: Waiting): AsyncGenerator<Sighting> {
    const queue: Sighting[] = []
    for (const [device, { at, addresses }] of this.#seen) {
      if (this.#elapsed() - at < FRESH_MS) queue.push({ device, addresses })
    }
    let wake: () => void = () => undefined
    const watcher = (sighting: Sighting): void => {
      if (queue.length < MAX_STRANGERS) queue.push(sighting)
      wake()
    }
    const aborted = (): void => wake()
    this.#watchers.add(watcher)
    options.signal.addEventListener('abort', aborted)
    try {
      while (!options.signal.aborted) {
        const next = queue.shift()
        if (next !== undefined) yield next
        else await new Promise<void>(resolve => (wake = resolve))
      }
    } finally {
      this.#watchers.delete(watcher)
      options.signal.removeEventListener('abort', aborted)
    }
  }
}
