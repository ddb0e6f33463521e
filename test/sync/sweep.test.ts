// The sweep of versions against crashes and against what is served, read, fetched and restored meanwhile: random histories. What must be there
// is worked out apart from the product; it is there after every step, and every version of it comes back in the end.
// KITH_SWEEP_HISTORIES sets how many.
import { expect } from 'chai'
import type { ContentId } from '../../src/core/ids.ts'
import { seeded } from '../support/random.ts'
import { DAY, HOUR, SweepWorld } from './sweep-world.ts'

const HISTORIES = Number(process.env['KITH_SWEEP_HISTORIES'] ?? 500)
const { SEED = String(Date.now()) } = process.env
const FILES = ['a', 'b', 'c']
const STEPS = 25

interface Played {
  readonly dropped: number
  readonly restored: number
}

async function play(seed: string): Promise<Played> {
  const random = seeded(seed)
  const world = new SweepWorld(random)
  await world.start()
  if (random.chance(0.3)) world.configure({ versionLimit: 20 + random.int(300) })
  if (random.chance(0.1)) world.configure({ versions: 'all' })
  if (random.chance(0.3)) world.space = { total: 200 + random.int(2_000), free: random.int(200) }
  let dropped = 0
  for (let step = 0; step < STEPS; step++) {
    await act(world)
    world.rejoining = random.chance(0.1)
    world.pulling = random.chance(0.1)
    world.pass(1 + random.pick([0, HOUR / 2, HOUR - 1, HOUR, 5 * HOUR, DAY, 30 * DAY]))
    const runs = 1 + random.int(3)
    for (let run = 0; run < runs; run++) {
      if (run > 0) world.pass(random.pick([HOUR - 1, HOUR, HOUR, HOUR + 1]))
      let acts = random.chance(0.4) ? 1 + random.int(2) : 0
      world.meanwhile = () => {
        if (acts === 0 || !random.chance(0.3)) return
        acts--
        world.disturb(() => disturb(world))
      }
      dropped += (await world.quiet(random.chance(0.2) ? random.int(9) : -1))?.length ?? 0
      world.meanwhile = () => undefined
    }
    if (random.chance(0.3)) world.hideElsewhere()
    if (random.chance(0.5)) world.wants.clear()
    if (random.chance(0.3)) await world.endReading()
    if (random.chance(0.5)) world.unstage()
  }
  await world.restart()
  return { dropped, restored: await world.restoreAll() }
}

/** One thing that happens between two quiet moments. */
async function act(world: SweepWorld): Promise<void> {
  const { random } = world
  const file = random.pick(FILES)
  const old = anyOf(world, file)
  const x = random()
  if (x < 0.4) await world.write(file)
  else if (x < 0.46) await world.show(file, null)
  else if (x < 0.54 && old !== null) await world.show(file, old, { tree: random.chance(0.7) })
  else if (x < 0.6) await world.restart()
  else if (x < 0.63) world.wall += random.pick([-1, 1]) * random.int(400 * DAY)
  else if (x < 0.7 && old !== null) await world.speakFor(old)
  else if (x < 0.76 && old !== null) world.showElsewhere(old)
  else if (x < 0.81 && old !== null) await world.beginReading(old)
}

/** Another device, or another part of this one, needs a version while the product looks through all of them. */
function disturb(world: SweepWorld): void {
  const old = anyOf(world)
  if (old === null) return
  const x = world.random()
  if (x < 0.4) world.showElsewhere(old)
  else if (x < 0.6) world.touch(old)
  else if (x < 0.8) world.wants.add(old)
  else world.stage(old)
}

function anyOf(world: SweepWorld, file?: string): ContentId | null {
  const all = [...world.versions.keys()].filter(each => file === undefined || world.fileOf(each) === file)
  return all.length === 0 ? null : world.random.pick(all)
}

describe('the sweep of versions', () => {
  it(`× crash × serving, reading, fetching and restoring: ${HISTORIES} random histories (I27)`, async function () {
    this.timeout(60_000 + HISTORIES * 60)
    console.log(`      seed ${SEED}`)
    let [dropped, restored] = [0, 0]
    for (let at = 0; at < HISTORIES; at++) {
      try {
        const played = await play(`${SEED}/${at}`)
        dropped += played.dropped
        restored += played.restored
      } catch (error) {
        throw new Error(`history ${at} of SEED=${SEED}: ${String(error)}`, { cause: error })
      }
    }
    console.log(`      ${dropped} versions went, ${restored} came back`)
    expect(dropped).to.be.greaterThan(HISTORIES / 2)
    expect(restored).to.be.greaterThan(HISTORIES / 2)
  })
})
