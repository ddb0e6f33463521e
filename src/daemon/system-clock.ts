// The machine's own time, for everything that the daemon builds.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../core/clock.ts'

/** Node takes anything longer for no time at all. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  async sleep(ms, { signal }) {
    try {
      let left = ms
      for (; left > LONGEST_TIMER_MS; left -= LONGEST_TIMER_MS) await sleep(LONGEST_TIMER_MS, undefined, { signal })
      await sleep(Math.max(0, left), undefined, { signal })
    } catch (error) {
      signal.throwIfAborted()
      throw error
    }
  },
}
