// One run of a simulated device's process: everything its fakes do passes here, takes a moment of virtual time, and stops for ever
// once the process was killed (a promise that never settles: the dead neither act nor hear).
import type { Clock } from '../../src/core/clock.ts'
import type { Random } from './random.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** Waits a moment before an effect; `what` names it for the trace. */
export type Pause = (what: string) => Promise<void>

export const noPause: Pause = () => Promise.resolve()

/** A new one each time: one for all would hold every dead process in memory. */
const forever = (): Promise<never> => new Promise<never>(() => undefined)

export class ProcessLife {
  readonly #clock: VirtualClock
  readonly #random: Random
  readonly #slownessMs: number
  #dead = false

  constructor(clock: VirtualClock, random: Random, slownessMs: number) {
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

  readonly pause: Pause = async () => {
    if (this.#dead) return forever()
    // Mostly at once; now and then slow enough for other things to happen in between.
    if (this.#slownessMs > 0 && this.#random.chance(0.3)) {
      const ms = this.#random.int(this.#slownessMs + 1)
      await new Promise<void>(resolve => this.#clock.after(ms, resolve))
    } else await Promise.resolve()
    if (this.#dead) return forever()
  }

  /** The device's clock as this process sees it. */
  clock(device: Clock): Clock {
    return {
      now: () => device.now(),
      elapsed: () => device.elapsed(),
      sleep: async (ms, options) => {
        if (this.#dead) return forever()
        await device.sleep(ms, options)
        if (this.#dead) return forever()
      },
    }
  }
}
