// Where all parts put their events and from where people and logs get them. Order is kept; a listener that throws harms nobody else.
// A place for facts: nothing in the daemon may depend on a listener.
import type { Emit, KithEvent } from '../core/events.ts'
import type { Log } from '../core/log.ts'

export interface StampedEvent {
  readonly time: string
  readonly event: KithEvent
}

export type Listener = (stamped: StampedEvent) => void

export class EventHub {
  readonly #log: Log
  readonly #listeners = new Set<Listener>()

  constructor(deps: { readonly log: Log }) {
    this.#log = deps.log
  }

  readonly emit: Emit = event => {
    const stamped = { time: new Date().toISOString(), event }
    this.#write(event)
    for (const listener of [...this.#listeners]) {
      try {
        listener(stamped)
      } catch (error) {
        this.#log.error({ err: error }, 'a listener for events failed')
      }
    }
  }

  /** Returns how to stop listening. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #write(event: KithEvent): void {
    // File names are for debug alone, and what changes with every save.
    const small = event.type.startsWith('file:') || event.type === 'problem:found' || event.type === 'folder:state'
    if (small) this.#log.debug({ ...event }, event.type)
    else if (event.type === 'folder:halted' || event.type.endsWith(':refused')) this.#log.warn({ ...event }, event.type)
    else this.#log.info({ ...event }, event.type)
  }
}
