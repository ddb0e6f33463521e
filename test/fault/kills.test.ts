// SIGKILL of either daemon or of both at random moments, a hundred times, while people write on both devices without a pause, also in each
// other's files: at every rest the folder is to the byte what the people made of it.
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import type { Device } from '../e2e/support/device.ts'
import { figure, percentile, seconds, timed } from '../e2e/support/figures.ts'
import { random, randomBytes } from '../e2e/support/random.ts'
import { readTree } from '../e2e/support/tree.ts'
import { linked, useWorld } from '../e2e/support/world.ts'
import { FULL, needs, trials } from './support/faults.ts'
import { Model } from './support/model.ts'
import { atRest, REST_MS, share, started, statusOf } from './support/pair-of-devices.ts'

const KILLS = trials({ share: 18, full: 100 })
/** Between two rests. */
const KILLS_A_ROUND = 6
const FILES = 120
const PAUSE_MS = 25
const MAX_BYTES = 40_000

describe('fault: random SIGKILLs', function () {
  this.timeout(FULL ? 1_800_000 : 400_000)
  const world = useWorld(['desk', 'lamp'])

  before(function () {
    needs(this)
  })

  it('lose nothing, tear nothing, leave nothing behind', async () => {
    const [desk, lamp] = [world.device('desk'), world.device('lamp')]
    const model = new Model()
    mkdirSync(desk.path('notes'))
    for (let n = 0; n < FILES; n++) put(desk, model, `f${n}`)
    await share(desk, lamp, 'notes')
    const starts: number[] = []
    const acts = { count: 0 }
    let acknowledged = 0
    let kills = 0
    while (kills < KILLS) {
      // Both said that the other has all of these.
      acknowledged += model.size
      const owners = new Map(model.paths().map(path => [path, random() < 0.5 ? desk : lamp]))
      const churn = { on: true }
      const people = [desk, lamp].map(device =>
        work(device, model, { mine: path => owners.get(path) === device, churn, acts }),
      )
      for (let n = 0; n < KILLS_A_ROUND && kills < KILLS; n++) {
        await sleep(random() * 800)
        const victims = random() < 0.25 ? [desk, lamp] : [random() < 0.5 ? desk : lamp]
        await Promise.all(victims.map(device => device.kill()))
        kills += victims.length
        for (const device of victims) starts.push(await timed(() => started(device)))
      }
      churn.on = false
      await Promise.all(people)
      await linked(desk, lamp, REST_MS)
      await atRest([desk, lamp], 'notes')
      expect(model.differences(readTree(desk.path('notes'))), `after ${kills} kills`).to.deep.equal([])
      for (const device of [desk, lamp])
        for (const { conflicts } of (await statusOf(device)).folders) expect(conflicts, 'conflicts').to.equal(0)
    }
    figure(
      `N = ${kills} kills, ${acts.count} acts of people, ${acknowledged} times a file acknowledged, 0 lost, 0 torn`,
    )
    figure(`up again after ${seconds(percentile(starts, 0.5))}, at most ${seconds(Math.max(...starts))}`)
  })
})

/** A person who makes, edits, renames and removes files without a pause, of those that are theirs in this round. */
async function work(
  device: Device,
  model: Model,
  turn: { mine: (path: string) => boolean; churn: { on: boolean }; acts: { count: number } },
): Promise<void> {
  const own = new Set(model.paths().filter(turn.mine))
  while (turn.churn.on) {
    const path = [...own][Math.floor(random() * own.size)]
    const fresh = `${device.name}-${turn.acts.count++}`
    const choice = random()
    if (path === undefined || choice < 0.35) {
      put(device, model, fresh)
      own.add(fresh)
    } else if (choice < 0.65) put(device, model, path)
    else if (choice < 0.85) {
      renameSync(device.path('notes', path), device.path('notes', fresh))
      model.move(path, fresh)
      own.delete(path)
      own.add(fresh)
    } else {
      rmSync(device.path('notes', path))
      model.remove(path)
      own.delete(path)
    }
    await sleep(PAUSE_MS * (0.5 + random()))
  }
}

/** Half of them as an editor saves: beside it, and renamed over it. */
function put(device: Device, model: Model, path: string): void {
  const bytes = randomBytes(1 + Math.floor(random() * MAX_BYTES))
  if (random() < 0.5) writeFileSync(device.path('notes', path), bytes)
  else {
    writeFileSync(device.path(`.saved-${path}`), bytes)
    renameSync(device.path(`.saved-${path}`), device.path('notes', path))
  }
  model.put(path, bytes)
}
