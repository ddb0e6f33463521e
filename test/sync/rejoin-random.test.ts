// One person changes one device at random; meanwhile another one's database, home or folder is lost or put back, at random moments. At the
// end all have what the first one had, and nothing more. KITH_REJOIN_SEEDS=FROM-TO runs others than the usual ones.
import { act, pickAct } from '../sim/user-actions.ts'
import { type Random, seeded } from '../support/random.ts'
import { Scene } from '../support/scene.ts'
import type { DeviceCopy, SimDevice } from '../support/sim-device.ts'

const ROUNDS = 2
const [FROM = 1, TO = 10] = (process.env['KITH_REJOIN_SEEDS'] ?? '1-10').split('-').map(Number)

class Play {
  readonly stage: Scene
  readonly #random: Random
  #words = 0

  constructor(seed: number) {
    this.#random = seeded(`rejoin ${seed}`)
    this.stage = new Scene({ devices: 2 + this.#random.int(2), seed: `rejoin ${seed}` })
  }

  async run(): Promise<void> {
    const { a, world } = this.stage
    a.person.write('.anchor', 'anchor')
    for (let at = 0; at < 8; at++) this.#user()
    await world.quiesce()
    for (let round = 0; round < ROUNDS; round++) {
      const copies = await this.#meanwhile()
      await this.#goBack(copies)
      await this.#nothingCameBack()
    }
    await this.stage.end()
  }

  #user(): void {
    const words = { next: () => `w${++this.#words}w` }
    this.stage.world.trace(`user ${act(this.stage.a, pickAct(this.#random, {}), this.#random.int(2 ** 31), words)}`)
  }

  /** The second device is there now and then; returns copies of it from before and on the way. */
  async #meanwhile(): Promise<readonly DeviceCopy[]> {
    const { b, world } = this.stage
    const random = this.#random
    const copies = [b.snapshot()]
    for (let left = 3 + random.int(10); left > 0; left--) {
      this.#user()
      if (random.chance(0.7)) await world.pass(random.int(4_000))
      if (random.chance(0.15)) {
        if (b.running) await world.finish(b.stop(), 'stop')
        else b.start()
        await world.pass(3_000)
      }
      if (random.chance(0.3)) copies.push(b.snapshot())
    }
    await world.pass(5_000)
    await world.finish(b.stop(), 'stop')
    return copies
  }

  async #goBack(copies: readonly DeviceCopy[]): Promise<void> {
    const { b, world } = this.stage
    const random = this.#random
    const way = random.int(6)
    const { database } = random.pick(copies)
    const home = { database, volume: copies[0]?.volume ?? b.snapshot().volume }
    const both = random.pick(copies)
    const mixed = { database, volume: both.volume }
    world.trace(`goes back, in way ${way}`)
    if (way === 0) b.eraseDatabase()
    else if (way === 1) b.restore(home, { volume: null, noticed: true })
    else if (way === 2) b.restore(mixed, { volume: 'new', noticed: true })
    else if (way === 3) b.restore(both, { volume: 'same', noticed: false })
    else if (way === 4) {
      b.restore(both, { volume: 'new', noticed: false })
      b.eraseDatabase()
    } else b.restore(mixed, { volume: 'same', noticed: true })
  }

  async #nothingCameBack(): Promise<void> {
    const { world, a } = this.stage
    const before = this.#tree(a)
    for (let start = 0; start < 2; start++) {
      await world.quiesce()
      for (const device of world.devices) {
        const after = this.#tree(device)
        if (after !== before) throw new Error(`${device.name} differs\n${before}\n---\n${after}`)
        if (device.engine.conflicts().length > 0) throw new Error(`${device.name} has conflicts`)
      }
      await world.stopAll()
      await world.startAll()
    }
    await world.quiesce()
  }

  /** A device may spell a name as its disk did. */
  #tree(device: SimDevice): string {
    const lines = Object.entries(this.stage.world.tree(device)).map(
      ([path, content]) => `${path.normalize('NFC')} ${JSON.stringify(content)}`,
    )
    return lines.sort().join('\n')
  }
}

describe('rejoin, at random', () => {
  for (let seed = FROM; seed <= TO; seed++) {
    it(`seed ${seed}`, async () => {
      const play = new Play(seed)
      try {
        await play.run()
      } catch (error) {
        if (error instanceof Error) error.message += `\n${play.stage.world.log.slice(-120).join('\n')}`
        throw error
      }
    })
  }
})
