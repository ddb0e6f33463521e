// Short histories for what shows only after a conflict: two devices that agree, a few acts of each while they are apart, agreement again,
// and then one person who does one thing, which must be all that happens. Some 20 of them take the time of one full history.
import { type Random, seeded } from '../../support/random.ts'
import type { History, Step } from '../steps.ts'
import type { ActName } from '../user-actions.ts'

export interface Short {
  /** So many first acts of the one device; each is one of these. */
  readonly first: number
  readonly firstActs: readonly ActName[]
  /** What both do while they are apart. */
  readonly apart: readonly ActName[]
  /** They are not apart, but many messages are lost, late, and overtaken by others. */
  readonly badNetwork?: boolean
  /** Twice, something on the first disk cannot be read when all of it is looked at. */
  readonly unreadable?: boolean
  /** Meanwhile no daemon runs. */
  readonly stopped?: boolean
  /** What both do after the documents came, and before the contents did. */
  readonly behind?: readonly ActName[]
  /** What one does in the end; none: it ends with their agreement. */
  readonly afterwards: readonly ActName[]
  readonly stuckClocks?: boolean
}

const SALTS = 2 ** 31

/** Of each device at least one, and a pause after each. */
function actsOf(random: Random, acts: readonly ActName[], most: number, steps: Step[]): void {
  for (const device of [0, 1]) {
    for (let left = 1 + random.int(most); left > 0; left--) {
      steps.push({ do: 'user', device, act: random.pick(acts), salt: random.int(SALTS) })
      steps.push({ do: 'wait', ms: random.pick([20, 700, 1500]) })
    }
  }
}

export function shortHistory(seed: number, short: Short): History {
  const random = seeded(`short ${seed}`)
  const steps: Step[] = []
  for (let left = short.first; left > 0; left--)
    steps.push({ do: 'user', device: 0, act: random.pick(short.firstActs), salt: random.int(SALTS) })
  steps.push({ do: 'quiet' })
  if (short.badNetwork === true) steps.push({ do: 'network', delayMs: 2_000, loss: 0.2, repeat: 0, reorder: 0.5 })
  else if (short.unreadable !== true) steps.push({ do: 'cut', a: 0, b: 1 })
  const rounds = short.afterwards.length === 0 ? 0 : 1 + random.int(2)
  if (short.stopped === true) steps.push({ do: 'stop', device: 0 }, { do: 'stop', device: 1 })
  for (let left = short.unreadable === true ? 2 : 0; left > 0; left--) {
    steps.push({ do: 'unreadable', device: 0, salt: random.int(SALTS) })
    steps.push({ do: 'rescan', device: 0 }, { do: 'wait', ms: 3_000 })
  }
  actsOf(random, short.apart, 3, steps)
  if (short.behind !== undefined) {
    steps.push({ do: 'withhold', device: 0 }, { do: 'withhold', device: 1 }, { do: 'join', a: 0, b: 1 })
    steps.push({ do: 'wait', ms: 5_000 })
    actsOf(random, short.behind, 2, steps)
  }
  steps.push({ do: 'quiet' })
  for (let left = rounds; left > 0; left--)
    steps.push({ do: 'exact', device: random.int(2), act: random.pick(short.afterwards), salt: random.int(SALTS) })
  steps.push({ do: 'quiet' })
  const stuckClock = short.stuckClocks ?? false
  return {
    seed,
    devices: [
      { name: 'anna', pull: false, stuckClock },
      { name: 'bert', pull: true, stuckClock },
    ],
    before: [],
    steps,
  }
}
