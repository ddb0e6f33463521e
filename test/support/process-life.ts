// One run of a simulated device's process: everything its fakes do passes here, takes a moment of virtual time, and stops for ever
// once the process was killed (a promise that never settles: the dead neither act nor hear).
import type { Clock } from '../../src/core/clock.ts'
import type { Random } from './random.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** Waits a moment before an effect; `what` names it for the trace. */
export type Pause = (what: string) => Promise<void>

export const noPause: Pause = () => Promise.resolve()

const SPIN = 50_000

/** A new one each time: one for all would hold every dead process in memory. */
const forever = (): Promise<never> => new Promise<never>(() => undefined)

export class ProcessLife {
  readonly #clock: VirtualClock
  readonly #random: Random
  readonly #slownessMs: number
  readonly #onSpin: (error: Error) => void
  #dead = false
  #fuse = 0
  #onFuse: () => void = () => undefined
  #instant = -1
  #acts = 0

  constructor(clock: VirtualClock, random: Random, slownessMs: number, onSpin: (error: Error) => void) {
    this.#onSpin = onSpin
    this.#clock = clock
    this.#random = random
    this.#slownessMs = slownessMs
  }

  get dead(): boolean {
    return this.#dead
  }

  kill(): void {
    this.#dead = true
  }

  /** Calls back at the n-th await from now, before what it waits for happens: there the process is to be killed. */
  fuse(awaits: number, onFuse: () => void): void {
    this.#fuse = awaits
    this.#onFuse = onFuse
  }

  readonly pause: Pause = async what => {
    if (this.#dead) return forever()
    this.#guard(what)
    if (this.#fuse > 0 && --this.#fuse === 0) this.#onFuse()
    if (this.#dead) return forever()
    // Mostly at once; now and then slow enough for other things to happen in between.
    if (this.#slownessMs > 0 && this.#random.chance(0.3)) {
      const ms = this.#random.int(this.#slownessMs + 1)
      await new Promise<void>(resolve => this.#clock.after(ms, resolve))
    } else await Promise.resolve()
    if (this.#dead) return forever()
  }

  /** A process that does this much in no time does it for ever, and would never let time go on. */
  #guard(what: string): void {
    const now = this.#clock.elapsed()
    if (now !== this.#instant) this.#acts = 0
    this.#instant = now
    if (++this.#acts < SPIN) return
    this.#dead = true
    this.#onSpin(new Error(`a process spins at ${now} ms, now with ${what}`))
  }

  /** The device's clock as this process sees it. */
  clock(device: Clock): Clock {
    return {
      now: () => device.now(),
      elapsed: () => device.elapsed(),
      sleep: async (ms, options) => {
        if (this.#dead) return forever()
        try {
          await device.sleep(ms, options)
        } finally {
          // not even to be told to stop
          if (this.#dead) await forever()
        }
      },
    }
  }
}
