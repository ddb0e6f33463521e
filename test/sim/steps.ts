// A history as data: its devices and its steps. Each step carries a salt from which all of its own choices are drawn when it runs, so
// that the other steps can be dropped without changing what it means.
import { type Random, seeded } from '../support/random.ts'
import type { DeviceSetting } from '../support/sim-world.ts'

export type Step =
  | { readonly do: 'user'; readonly device: number; readonly salt: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'cut' | 'join'; readonly a: number; readonly b: number }
  | { readonly do: 'withhold' | 'allow' | 'rescan' | 'stop' | 'start' | 'kill' | 'power-cut'; readonly device: number }
  | {
      readonly do: 'network'
      readonly delayMs: number
      readonly loss: number
      readonly repeat: number
      readonly reorder: number
    }
  | {
      readonly do: 'watcher'
      readonly device: number
      readonly loss: number
      readonly late: number
      readonly repeat: number
    }
  | { readonly do: 'jump'; readonly device: number; readonly ms: number }
  | { readonly do: 'full' | 'room'; readonly device: number }
  | { readonly do: 'unreadable'; readonly device: number; readonly salt: number }
  | { readonly do: 'quiet' }

export interface History {
  readonly seed: number
  readonly devices: readonly DeviceSetting[]
  /** What is on each disk before the first start. */
  readonly before: readonly { readonly device: number; readonly salts: readonly number[] }[]
  readonly steps: readonly Step[]
}

const NAMES = ['anna', 'bert', 'carl', 'dora', 'emil']
const HOUR_MS = 3_600_000

export function generate(seed: number, devices?: number): History {
  const random = seeded(`history ${seed}`)
  const count = devices ?? 2 + random.int(3)
  const folding = random.chance(0.15)
  const settings = NAMES.slice(0, count).map((name, at): DeviceSetting => {
    return {
      name,
      pull: at > 0,
      clockOffsetMs: random.chance(0.3) ? random.pick([-400 * 24, -3, -0.01, 0.001, 2, 400 * 24]) * HOUR_MS : 0,
      stuckClock: random.chance(0.06),
      foldsCase: folding && random.chance(0.5),
      granularityUs: random.chance(0.15) ? random.pick([4_000, 10_000, 2_000_000]) : 1,
      slownessMs: random.pick([0, 3, 30, 300]),
    }
  })
  const before = settings.map((_, device) => ({
    device,
    salts: salts(random, device === 0 ? 3 + random.int(6) : random.chance(0.25) ? random.int(5) : 0),
  }))
  const steps: Step[] = []
  if (random.chance(0.8)) steps.push({ do: 'quiet' })
  for (let phase = 1 + random.int(2); phase > 0; phase--) {
    phaseSteps(random, count, steps)
    steps.push({ do: 'quiet' })
  }
  return { seed, devices: settings, before, steps }
}

function phaseSteps(random: Random, count: number, steps: Step[]): void {
  if (random.chance(0.5)) {
    steps.push({
      do: 'network',
      delayMs: random.pick([0, 5, 100, 2_000]),
      loss: random.pick([0, 0, 0.1]),
      repeat: random.pick([0, 0.1]),
      reorder: random.pick([0, 0, 0.3]),
    })
  }
  for (let device = 0; device < count; device++) {
    if (random.chance(0.3)) {
      steps.push({
        do: 'watcher',
        device,
        loss: random.pick([0, 0.3, 1]),
        late: random.pick([0, 0.5]),
        repeat: random.pick([0, 0.3]),
      })
    }
  }
  // Some histories begin with everybody apart, so that much happens unseen.
  if (random.chance(0.4)) {
    for (let a = 0; a < count; a++) for (let b = a + 1; b < count; b++) steps.push({ do: 'cut', a, b })
  }
  const hurried = random.chance(0.5)
  for (let left = 8 + random.int(30); left > 0; left--) {
    steps.push(oneStep(random, count))
    if (random.chance(hurried ? 0.3 : 0.8)) {
      steps.push({ do: 'wait', ms: random.pick([0, 20, 150, 700, 1_500, 5_000]) + random.int(40) })
    }
  }
}

function oneStep(random: Random, count: number): Step {
  const device = random.int(count)
  const x = random()
  if (x < 0.62) return { do: 'user', device, salt: random.int(2 ** 31) }
  if (x < 0.74) {
    const other = (device + 1 + random.int(count - 1)) % count
    return { do: random.chance(0.5) ? 'cut' : 'join', a: Math.min(device, other), b: Math.max(device, other) }
  }
  if (x < 0.82) return { do: random.chance(0.55) ? 'withhold' : 'allow', device }
  if (x < 0.86) return { do: 'kill', device }
  if (x < 0.88) return { do: 'power-cut', device }
  if (x < 0.9) return { do: 'stop', device }
  if (x < 0.95) return { do: 'start', device }
  if (x < 0.965) return { do: 'rescan', device }
  if (x < 0.975) return { do: 'jump', device, ms: random.pick([-HOUR_MS, -2_000, 2_000, 24 * HOUR_MS]) }
  if (x < 0.985) return { do: random.chance(0.5) ? 'full' : 'room', device }
  return { do: 'unreadable', device, salt: random.int(2 ** 31) }
}

function salts(random: Random, count: number): number[] {
  return Array.from({ length: count }, () => random.int(2 ** 31))
}

/** Steps as a test case that can be kept. */
export function printHistory(history: History): string {
  return `const history: History = ${JSON.stringify(history, null, 1).replaceAll('\n   ', '')}`
}
