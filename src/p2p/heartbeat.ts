// When the last byte of a connection arrived, of whatever kind: a window update of a slow transfer is life as much as a message is.
// It only listens; who is dead is for links to say.
import type { Connection, MultiaddrConnection } from '@libp2p/interface'

export class Heartbeat {
  // libp2p hands the raw connection's timeline on to the finished one: the only thing that both show.
  readonly #lastByteAt = new WeakMap<object, { at: number }>()

  watch(raw: MultiaddrConnection): void {
    const last = { at: performance.now() }
    this.#lastByteAt.set(raw.timeline, last)
    raw.addEventListener('message', () => {
      last.at = performance.now()
    })
  }

  /** As `performance.now()`; minus infinity where nothing is known. */
  lastByteAt(connection: Connection): number {
    return this.#lastByteAt.get(connection.timeline)?.at ?? Number.NEGATIVE_INFINITY
  }
}
