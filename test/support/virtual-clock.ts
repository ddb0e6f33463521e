// Time that moves only when a test moves it. Timers fire in order of due time, then of creation; between two of them everything
// that can run does run (microtasks to quiescence). So a simulation on fakes is one thread with one order of events.
import type { Clock } from '../../src/core/clock.ts'

/** So many timers at one instant: something waits for nothing, again and again. */
const SPIN = 50_000

interface Timer {
  readonly due: number
  readonly order: number
  fire(): void
}

/** Lets all microtasks, and what they queue, run. Fakes wait for nothing else than microtasks and this clock. */
export function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

export class VirtualClock implements Clock {
  readonly #startWall: number
  #timers: Timer[] = []
  #elapsed = 0
  #order = 0
  #atThisInstant = 0

  constructor(startWall = Date.UTC(2026, 0, 5, 12)) {
    this.#startWall = startWall
  }

  now(): number {
    return this.#startWall + this.#elapsed
  }

  elapsed(): number {
    return this.#elapsed
  }

  /** How many timers wait: a stopped part leaves none. */
  get waiting(): number {
    return this.#timers.length
  }

  sleep(ms: number, options: { signal: AbortSignal }): Promise<void> {
    const { signal } = options
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      const timer: Timer = {
        due: this.#elapsed + Math.max(0, Math.ceil(ms)),
        order: this.#order++,
        fire: () => {
          signal.removeEventListener('abort', onAbort)
          resolve()
        },
      }
      const onAbort = (): void => {
        this.#timers = this.#timers.filter(other => other !== timer)
        reject(signal.reason)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#insert(timer)
    })
  }

  /** Calls back after `ms`; for fakes. */
  after(ms: number, fire: () => void): void {
    this.#insert({ due: this.#elapsed + Math.max(0, Math.ceil(ms)), order: this.#order++, fire })
  }

  /** Moves time on by `ms`, firing what falls due on the way. */
  async advance(ms: number): Promise<void> {
    const until = this.#elapsed + ms
    await settle()
    for (;;) {
      const next = this.#timers[0]
      if (next === undefined || next.due > until) break
      this.#timers.shift()
      if (next.due > this.#elapsed) this.#atThisInstant = 0
      else if (++this.#atThisInstant > SPIN) throw new Error(`something spins at ${this.#elapsed} ms`)
      this.#elapsed = Math.max(this.#elapsed, next.due)
      next.fire()
      await settle()
    }
    this.#elapsed = until
  }

  /** Moves time on until `done`, in small steps; throws after `limitMs` of virtual time. */
  async until(done: () => boolean, limitMs: number, what: () => string): Promise<void> {
    const end = this.#elapsed + limitMs
    await settle()
    while (!done()) {
      const next = this.#timers[0]
      if (next === undefined || next.due > end) throw new Error(`not within ${limitMs} ms of virtual time: ${what()}`)
      await this.advance(next.due - this.#elapsed)
    }
  }

  #insert(timer: Timer): void {
    let low = 0
    let high = this.#timers.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = this.#timers[middle]
      if (other !== undefined && other.due <= timer.due) low = middle + 1
      else high = middle
    }
    this.#timers.splice(low, 0, timer)
  }
}

/** The clock of one device: its wall may be wrong, stuck or jump; intervals stay true. After `kill` nothing that waits on it goes on. */
export class DeviceClock implements Clock {
  readonly #clock: VirtualClock
  #offset = 0
  #stuckAt: number | null = null
  #last = 0

  constructor(clock: VirtualClock, options: { offsetMs?: number; stuck?: boolean } = {}) {
    this.#clock = clock
    this.#offset = options.offsetMs ?? 0
    if (options.stuck === true) this.#stuckAt = clock.now() + this.#offset
  }

  now(): number {
    return Math.max(0, Math.floor(this.#stuckAt ?? this.#clock.now() + this.#offset))
  }

  elapsed(): number {
    return this.#clock.elapsed()
  }

  sleep(ms: number, options: { signal: AbortSignal }): Promise<void> {
    return this.#clock.sleep(ms, options)
  }

  jump(byMs: number): void {
    if (this.#stuckAt !== null) this.#stuckAt += byMs
    this.#offset += byMs
  }

  /** Whole microseconds of wall time for a disk on this device: ever a little later, but for jumps, where times repeat. */
  stampUs(): number {
    const us = this.now() * 1000
    this.#last = us > this.#last || us < this.#last - 1_000_000 ? us : this.#last + 1
    return this.#last
  }
}
