// Waiting in tests: a condition polled to a deadline, never a blind sleep. The condition may throw: its last error is what the
// failure shows, so an assertion can be the condition.
import { setTimeout as sleep } from 'node:timers/promises'

export interface UntilOptions {
  readonly timeoutMs: number
  /** What was awaited, for the failure. */
  readonly what: string
  readonly everyMs?: number
}

const POLL_MS = 50

/** Thrown by a condition that can no longer come true: the wait ends at once. */
export class Hopeless extends Error {}

/** Resolves with the first value of `condition` that is neither false, null nor undefined. */
export async function until<T>(
  condition: () => T | Promise<T>,
  options: UntilOptions,
): Promise<Exclude<T, false | null | undefined>> {
  const started = performance.now()
  let last: unknown
  for (;;) {
    try {
      const value = await condition()
      if (value !== false && value !== null && value !== undefined) {
        return value as Exclude<T, false | null | undefined>
      }
      last = undefined
    } catch (error) {
      if (error instanceof Hopeless) throw error
      last = error
    }
    if (performance.now() - started >= options.timeoutMs) {
      const reason = last instanceof Error ? `: ${last.message}` : ''
      throw new Error(`not within ${options.timeoutMs} ms: ${options.what}${reason}`, { cause: last })
    }
    await sleep(options.everyMs ?? POLL_MS)
  }
}

/**
 * For what must *not* happen there is nothing to wait for but time: checks `condition` again and again for `forMs`, and fails at the
 * first time that it does not hold.
 */
export async function holds(condition: () => unknown, options: { forMs: number }): Promise<void> {
  const started = performance.now()
  do {
    await condition()
    await sleep(200)
  } while (performance.now() - started < options.forMs)
}
