// A condition to wait on: fired, timed out or aborted. A sticky one remembers a fire until the next wait: for one waiter that must miss
// nothing. A plain one wakes all who wait now: for many, who each look first and then wait in the same turn.
import type { Clock } from '../core/clock.ts'

/** Any reason will do, and one that is at hand costs nothing. */
const DONE = new Error('it need not be waited for any more')

export class Signal {
  readonly #sticky: boolean
  readonly #waiters = new Set<() => void>()
  #fired = false

  constructor({ sticky }: { sticky: boolean }) {
    this.#sticky = sticky
  }

  /** Called at each fire, and at once where one is remembered, without taking it from who waits. Returns how to end it. */
  listen(listener: () => void): () => void {
    this.#waiters.add(listener)
    if (this.#fired) listener()
    return () => this.#waiters.delete(listener)
  }

  /** What was remembered is answered by what is done next. */
  forget(): void {
    this.#fired = false
  }

  fire(): void {
    this.#fired = this.#sticky
    for (const waiter of [...this.#waiters]) waiter()
  }

  /** Resolves when fired, after `ms` (null: never), or when the signal aborts. */
  async wait(ms: number | null, clock: Clock, signal: AbortSignal): Promise<void> {
    if (!this.#fired && !signal.aborted) {
      const timer = new AbortController()
      await new Promise<void>(resolve => {
        const finish = (): void => {
          this.#waiters.delete(finish)
          signal.removeEventListener('abort', finish)
          timer.abort(DONE)
          resolve()
        }
        this.#waiters.add(finish)
        signal.addEventListener('abort', finish)
        if (ms !== null) clock.sleep(ms, { signal: timer.signal }).then(finish, () => undefined)
      })
    }
    this.#fired = false
  }
}
