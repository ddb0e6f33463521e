// Short scenes for directed tests: a few devices that start equal, do something apart, and meet again.

import type { SimDevice } from './sim-device.ts'
import { treeOf } from './sim-tree.ts'
import { type DeviceSetting, SimWorld } from './sim-world.ts'

/** Between one person's action and the next: every watcher, second look and commit has had its time. */
const ACT_MS = 3_000

export type Act = (person: SimDevice['person']) => void

export interface SceneOptions {
  readonly devices?: number
  readonly settings?: Partial<DeviceSetting>
  readonly seed?: string
}

const NAMES = ['anna', 'bert', 'carl', 'dora', 'emil']

export class Scene {
  readonly world: SimWorld

  constructor(options: SceneOptions = {}) {
    this.world = new SimWorld(options.seed ?? 'scene')
    for (const name of NAMES.slice(0, options.devices ?? 2)) {
      this.world.add({ name, pull: name !== NAMES[0], ...options.settings })
    }
  }

  device(at: number): SimDevice {
    const device = this.world.devices[at]
    if (device === undefined) throw new Error(`no device ${at}`)
    return device
  }

  get a(): SimDevice {
    return this.device(0)
  }

  get b(): SimDevice {
    return this.device(1)
  }

  get c(): SimDevice {
    return this.device(2)
  }

  /** All start, with this on the first one, and rest; the watchers have told of what arrived. */
  async begin(base: Act): Promise<this> {
    base(this.a.person)
    await this.world.quiesce()
    await this.world.pass(ACT_MS)
    return this
  }

  /** One person acts, and that device has the time to notice. */
  async act(at: number, act: Act): Promise<void> {
    act(this.device(at).person)
    await this.world.pass(ACT_MS)
  }

  /** Everybody is cut off; each acts in this order; then all meet. */
  async apart(...acts: readonly (readonly [number, Act])[]): Promise<void> {
    this.world.partition()
    for (const [at, act] of acts) await this.act(at, act)
    await this.meet()
  }

  /** Heals, runs to the fixed point, and sees that all trees are equal. */
  async meet(): Promise<void> {
    await this.world.quiesce()
    const trees = this.world.devices.map(device => JSON.stringify(sorted(treeOf(device))))
    if (new Set(trees).size > 1) throw new Error(`the trees differ\n${this.world.picture()}`)
  }

  /** The tree that all have, as on the first device: path → text, directories as `name/` → ''. */
  tree(): Record<string, string> {
    return sorted(treeOf(this.a))
  }

  async end(): Promise<void> {
    await this.world.stopAll()
    this.world.check()
  }
}

export async function scene<T>(options: SceneOptions, play: (scene: Scene) => Promise<T>): Promise<T> {
  const stage = new Scene(options)
  try {
    const result = await play(stage)
    await stage.end()
    return result
  } catch (error) {
    const tail = stage.world.log.slice(-60).join('\n')
    if (error instanceof Error) error.message += `\n${tail}`
    throw error
  }
}

function sorted(tree: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(tree).sort(([a], [b]) => (a < b ? -1 : 1)))
}
