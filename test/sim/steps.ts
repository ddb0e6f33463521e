// A history as data: its devices and its steps. Each step carries a salt from which all of its own choices are drawn when it runs, so
// that the other steps can be dropped without changing what it means. A mix says which devices and steps are how likely.
import { type Random, seeded } from '../support/random.ts'
import type { DeviceSetting } from '../support/sim-world.ts'
import { type ActName, pickAct } from './user-actions.ts'

export type Answer = 'approve' | 'reject'

export type Step =
  | UserStep
  /** What a directed history needs exactly; `*` at the end of a path: the first one that begins so. */
  | {
      readonly do: 'person'
      readonly device: number
      readonly act: PersonAct
      readonly path: string
      readonly to?: string
    }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'cut' | 'join'; readonly a: number; readonly b: number }
  | { readonly do: 'withhold' | 'allow' | 'rescan' | 'stop' | 'start' | 'kill' | 'power-cut'; readonly device: number }
  /** The process dies at the n-th await from now, wherever that is. */
  | { readonly do: 'crash-at'; readonly device: number; readonly awaits: number; readonly power: boolean }
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
  /** Everybody's clock is a year on; who is off or cut off was away for it. */
  | { readonly do: 'year' }
  | { readonly do: 'full' | 'room'; readonly device: number }
  /** `unlisted`: it cannot even be looked at, so its directory lists a problem in its place. */
  | { readonly do: 'unreadable'; readonly device: number; readonly salt: number; readonly unlisted?: boolean }
  /** From now on, or no longer, the disk cannot have anything of that name, as one of another system. */
  | { readonly do: 'refuse'; readonly device: number; readonly name: string }
  /** The disk is not mounted: an empty directory in its place. */
  | { readonly do: 'unmount' | 'remount'; readonly device: number }
  /** The root itself is not there, or cannot be read; `remount` and rest bring it back. */
  | { readonly do: 'lose-root' | 'unreadable-root'; readonly device: number }
  /** `rm -rf root/*`; when everybody is to rest, the person gives this answer to the halt. */
  | { readonly do: 'empty'; readonly device: number; readonly answer: Answer }
  /** A copy is made of the home, and of the disk. */
  | { readonly do: 'remember'; readonly device: number }
  /**
   * The process dies and the home is the copy again; so is the disk, with the `same` inodes (a snapshot of the machine), with `new` ones (a
   * backup that was copied back), or not at all. `noticed`: the daemon sees that its home is another directory than it was.
   */
  | {
      readonly do: 'restore'
      readonly device: number
      readonly volume: 'same' | 'new' | null
      readonly noticed: boolean
    }
  /** The process dies and its database is lost. */
  | { readonly do: 'erase'; readonly device: number }
  | { readonly do: 'quiet' }

/** `exact`: everybody rests; then one person does one thing, and exactly that is what all devices show afterwards. */
export interface UserStep {
  readonly do: 'user' | 'exact'
  readonly device: number
  readonly act: ActName
  readonly salt: number
}

export type PersonAct = 'write' | 'mkdir' | 'symlink' | 'rename' | 'copy' | 'rmrf' | 'chmod'

export interface History {
  readonly seed: number
  readonly devices: readonly DeviceSetting[]
  /** What is on each disk before the first start. */
  readonly before: readonly { readonly device: number; readonly salts: readonly number[] }[]
  readonly steps: readonly Step[]
}

type Kind =
  | 'user'
  | 'exact'
  | 'link'
  | 'content'
  | 'kill'
  | 'power-cut'
  | 'crash-at'
  | 'stop'
  | 'start'
  | 'rescan'
  | 'jump'
  | 'year'
  | 'space'
  | 'unreadable'
  | 'refuse'
  | 'unmount'
  | 'empty'
  | 'remember'
  | 'restore'
  | 'erase'

/** How likely what is. Absent: as in the standard mix; weights are relative to one another. */
export interface Mix {
  readonly steps?: Partial<Readonly<Record<Kind, number>>>
  readonly acts?: Partial<Readonly<Record<ActName, number>>>
  /** Share of histories in which some disks fold case. */
  readonly folding?: number
  /** Share of devices with a wrong clock, a stuck one, coarse times. */
  readonly wrongClock?: number
  readonly stuckClock?: number
  readonly coarse?: number
  /** Share of phases that begin with everybody cut off; with a network that loses, repeats and reorders. */
  readonly apart?: number
  readonly badNetwork?: number
  readonly badWatcher?: number
}

const STANDARD: Readonly<Record<Kind, number>> = {
  user: 62,
  exact: 1,
  link: 12,
  content: 8,
  kill: 3,
  'power-cut': 2,
  'crash-at': 3,
  stop: 2,
  start: 6,
  rescan: 1.5,
  jump: 1,
  year: 0.3,
  space: 1,
  unreadable: 1.5,
  refuse: 0.7,
  unmount: 0.7,
  empty: 0.15,
  remember: 0.5,
  restore: 0.5,
  erase: 0.3,
}

const NAMES = ['anna', 'bert', 'carl', 'dora', 'emil']
/** Of those that people use: of files, of directories, and of both. */
const REFUSED_NAMES = ['a', 'b', 'f', 'sub', 'g.txt', 'notes.txt']
const HOUR_MS = 3_600_000

export interface GenerateOptions {
  readonly devices?: readonly [least: number, most: number]
  readonly mix?: Mix
}

export function generate(seed: number, options: GenerateOptions = {}): History {
  const random = seeded(`history ${seed}`)
  const mix = options.mix ?? {}
  const [least, most] = options.devices ?? [2, 4]
  const count = least + random.int(most - least + 1)
  const folding = random.chance(mix.folding ?? 0.15)
  const settings = NAMES.slice(0, count).map((name, at): DeviceSetting => {
    const wrong = random.chance(mix.wrongClock ?? 0.3)
    const device = {
      name,
      pull: at > 0,
      clockOffsetMs: wrong ? random.pick([-400 * 24, -3, -0.01, 0.001, 2, 400 * 24]) * HOUR_MS : 0,
      stuckClock: random.chance(mix.stuckClock ?? 0.06),
      foldsCase: folding && random.chance(0.5),
      granularityUs: random.chance(mix.coarse ?? 0.15) ? random.pick([4_000, 10_000, 2_000_000]) : 1,
      slownessMs: random.pick([0, 3, 30, 300]),
    }
    return { ...device, ...rare(seeded(`device ${at} of ${seed}`), device.slownessMs) }
  })
  const before = settings.map((_, device) => ({
    device,
    salts: salts(random, device === 0 ? 3 + random.int(6) : random.chance(0.25) ? random.int(5) : 0),
  }))
  const steps: Step[] = []
  if (random.chance(0.8)) steps.push({ do: 'quiet' })
  const phases = 1 + random.int(2)
  for (let phase = 0; phase < phases; phase++) {
    phaseSteps(random, count, mix, steps)
    if (phase === 0) clash(random, count, steps)
    steps.push({ do: 'quiet' })
  }
  return { seed, devices: settings, before, steps }
}

/** Disks that tell less than others, and pieces so small that a history needs several: where it takes time, for some wait for time to pass. */
function rare(random: Random, slownessMs: number): Pick<DeviceSetting, 'hasBirthTimes' | 'reusesInodes' | 'limits'> {
  return {
    ...(random.chance(0.1) ? { hasBirthTimes: false } : {}),
    ...(random.chance(0.3) ? { reusesInodes: true } : {}),
    ...(slownessMs > 0 && random.chance(0.2)
      ? {
          limits: { pieceFiles: 1 + random.int(3), cycleFiles: 1 + random.int(4), cycleBytes: 1 + random.int(200_000) },
        }
      : {}),
  }
}

function phaseSteps(random: Random, count: number, mix: Mix, steps: Step[]): void {
  if (random.chance(mix.badNetwork ?? 0.5)) {
    steps.push({
      do: 'network',
      delayMs: random.pick([0, 5, 100, 2_000]),
      loss: random.pick([0, 0, 0.1]),
      repeat: random.pick([0, 0.1]),
      reorder: random.pick([0, 0, 0.3]),
    })
  }
  for (let device = 0; device < count; device++) {
    if (random.chance(mix.badWatcher ?? 0.3)) {
      steps.push({
        do: 'watcher',
        device,
        loss: random.pick([0, 0.3, 1]),
        late: random.pick([0, 0.5]),
        repeat: random.pick([0, 0.3]),
      })
    }
  }
  // Some phases begin with everybody apart, so that much happens unseen.
  if (random.chance(mix.apart ?? 0.4)) cutAll(count, steps)
  const hurried = random.chance(0.5)
  const kinds = weights({ ...STANDARD, ...mix.steps })
  for (let left = 8 + random.int(30); left > 0; left--) {
    steps.push(oneStep(random, count, kinds, mix))
    if (random.chance(hurried ? 0.3 : 0.8)) steps.push(pause(random))
  }
}

/** What makes a history count: two people who edit one file at once, and a process that dies. */
function clash(random: Random, count: number, steps: Step[]): void {
  const victim = random.int(count)
  const other = (victim + 1 + random.int(count - 1)) % count
  const salt = random.int(2 ** 31)
  if (random.chance(0.5)) cutAll(count, steps)
  for (const device of [victim, other]) steps.push({ do: 'start', device })
  for (const device of [victim, other]) {
    steps.push({ do: 'user', device, act: 'clash', salt })
    if (random.chance(0.5)) steps.push(pause(random))
  }
  steps.push({ do: 'crash-at', device: victim, awaits: 1 + random.int(60), power: random.chance(0.3) })
}

function cutAll(count: number, steps: Step[]): void {
  for (let a = 0; a < count; a++) for (let b = a + 1; b < count; b++) steps.push({ do: 'cut', a, b })
}

function pause(random: Random): Step {
  return { do: 'wait', ms: random.pick([0, 20, 150, 700, 1_500, 5_000]) + random.int(40) }
}

type Weighted<T> = readonly (readonly [T, number])[]

function weights<T extends string>(table: Readonly<Record<T, number>>): Weighted<T> {
  return (Object.keys(table) as T[]).map(key => [key, table[key]])
}

function pickOf<T>(random: Random, table: Weighted<T>): T {
  let x = random() * table.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [item, weight] of table) {
    x -= weight
    if (x < 0) return item
  }
  return random.pick(table)[0]
}

function oneStep(random: Random, count: number, kinds: Weighted<Kind>, mix: Mix): Step {
  const device = random.int(count)
  const salt = random.int(2 ** 31)
  const kind = pickOf(random, kinds)
  switch (kind) {
    case 'user':
    case 'exact':
      return { do: kind, device, act: pickAct(random, mix.acts ?? {}), salt }
    case 'link': {
      const other = (device + 1 + random.int(count - 1)) % count
      return { do: random.chance(0.5) ? 'cut' : 'join', a: Math.min(device, other), b: Math.max(device, other) }
    }
    case 'content':
      return { do: random.chance(0.55) ? 'withhold' : 'allow', device }
    case 'crash-at':
      return { do: kind, device, awaits: 1 + random.int(random.pick([10, 100, 1_000])), power: random.chance(0.4) }
    case 'jump':
      return { do: kind, device, ms: random.pick([-HOUR_MS, -2_000, 2_000, 24 * HOUR_MS]) }
    case 'year':
      return { do: kind }
    case 'space':
      return { do: random.chance(0.5) ? 'full' : 'room', device }
    case 'unreadable':
      return { do: kind, device, salt, ...(salt % 3 === 0 ? { unlisted: true } : {}) }
    case 'refuse':
      return { do: kind, device, name: random.pick(REFUSED_NAMES) }
    case 'unmount':
      return { do: random.chance(0.6) ? 'unmount' : 'remount', device }
    case 'empty':
      return { do: kind, device, answer: random.chance(0.5) ? 'approve' : 'reject' }
    case 'restore':
      return {
        do: kind,
        device,
        volume: random.pick(['same', 'new', null, null] as const),
        noticed: random.chance(0.5),
      }
    default:
      return { do: kind, device }
  }
}

function salts(random: Random, count: number): number[] {
  return Array.from({ length: count }, () => random.int(2 ** 31))
}

/** Steps as a test case that can be kept. */
export function printHistory(history: History): string {
  return JSON.stringify(history, null, 1).replaceAll('\n   ', '')
}
