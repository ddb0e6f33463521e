// Devices whose knowledge is old: a lost database, a home or a folder from a backup, a `get` into old copies. What changed elsewhere
// meanwhile stays as it is there, what was deleted stays deleted, and what nobody knows is kept as new.
import { expect } from 'chai'
import { type Act, type Scene, scene } from '../support/scene.ts'
import type { SimDevice } from '../support/sim-device.ts'

type Tree = Record<string, string>

const base: Act = p => {
  p.mkdirs('D/sub')
  p.mkdir('empty')
  p.write('D/x', 'x0')
  p.write('D/sub/y', 'y0')
  p.write('f', 'f0')
  p.write('g', 'g0')
  p.write('text.txt', 'one\ntwo\nthree\n')
  p.symlink('l', 'f')
}

/** What is done elsewhere, each as one or more steps that everybody linked sees. */
const ELSEWHERE: Record<string, readonly Act[]> = {
  'a file edited': [p => p.write('f', 'f1')],
  'a file edited twice': [p => p.write('f', 'f1'), p => p.write('f', 'f2')],
  'a file deleted': [p => p.remove('f'), p => p.remove('D/sub/y')],
  'a file moved': [p => p.rename('f', 'D/f')],
  'a file moved twice': [p => p.rename('f', 'D/f'), p => p.rename('D/f', 'D/sub/h')],
  'a file moved and edited': [p => p.rename('f', 'D/f'), p => p.write('D/f', 'f1')],
  'a file edited and deleted': [p => p.write('f', 'f1'), p => p.remove('f')],
  'a file replaced by another': [p => p.rename('f', 'g')],
  'a directory renamed': [p => p.rename('D', 'E')],
  'a directory renamed twice': [p => p.rename('D', 'E'), p => p.rename('E', 'F')],
  'a directory moved into another, and back': [p => p.rename('D', 'empty/D'), p => p.rename('empty/D', 'D2')],
  'a directory renamed, a file in it edited, another deleted': [
    p => p.rename('D', 'E'),
    p => p.write('E/x', 'x1'),
    p => p.remove('E/sub/y'),
  ],
  'a directory deleted': [p => p.rmrf('D'), p => p.rmrf('empty')],
  'a directory made a file': [p => p.rmrf('D'), p => p.write('D', 'a file')],
  'a file made a directory': [p => p.remove('f'), p => p.mkdirs('f/in')],
  'a text edited twice': [
    p => p.write('text.txt', 'one\ntwo\nthree\nfour\n'),
    p => p.write('text.txt', 'zero\none\ntwo\nthree\n'),
  ],
  'a link turned': [p => p.remove('l'), p => p.symlink('l', 'g')],
  'modes changed': [p => p.chmod('f', 0o600), p => p.chmod('D', 0o700)],
}

async function stop(stage: Scene, device: SimDevice): Promise<void> {
  await stage.world.finish(device.stop(), 'stop')
}

/** Everybody has the same, it is what the first one had, nobody has a conflict; also after all were started again. */
async function nothingCameBack(stage: Scene): Promise<void> {
  const before = stage.world.tree(stage.a)
  for (let start = 0; start < 2; start++) {
    await stage.meet()
    expect(stage.world.tree(stage.a)).to.deep.equal(before)
    for (const device of stage.world.devices) expect(device.engine.conflicts()).to.deep.equal([])
    await stage.world.stopAll()
  }
  await stage.meet()
  expect(stage.world.tree(stage.a)).to.deep.equal(before)
}

/** How the second device's knowledge becomes old. `steps`: what the others do, one by one, each seen by all that run. */
const WAYS: Record<string, (stage: Scene, steps: readonly Act[]) => Promise<void>> = {
  'a database lost while it was off': async (stage, steps) => {
    await stop(stage, stage.b)
    for (const step of steps) await stage.act(0, step)
    stage.b.eraseDatabase()
  },
  'a database lost half-way': async (stage, steps) => {
    await stage.act(0, steps[0] as Act)
    await stop(stage, stage.b)
    for (const step of steps.slice(1)) await stage.act(0, step)
    stage.b.eraseDatabase()
  },
  'a home from a backup, the folder as it was': async (stage, steps) => {
    const copy = stage.b.snapshot()
    await stage.act(0, steps[0] as Act)
    await stop(stage, stage.b)
    for (const step of steps.slice(1)) await stage.act(0, step)
    stage.b.restore(copy, { volume: null, noticed: true })
  },
  'a home from a backup that nobody noticed, the folder as it was': async (stage, steps) => {
    const copy = stage.b.snapshot()
    await stage.act(0, steps[0] as Act)
    await stop(stage, stage.b)
    stage.b.start()
    await stage.world.pass(10_000)
    await stop(stage, stage.b)
    for (const step of steps.slice(1)) await stage.act(0, step)
    stage.b.restore(copy, { volume: null, noticed: false })
  },
  'a home and a folder from a backup': async (stage, steps) => {
    const copy = stage.b.snapshot()
    for (const step of steps) await stage.act(0, step)
    await stop(stage, stage.b)
    stage.b.restore(copy, { volume: 'new', noticed: true })
  },
  'a snapshot of the whole machine': async (stage, steps) => {
    const copy = stage.b.snapshot()
    for (const step of steps) await stage.act(0, step)
    await stop(stage, stage.b)
    stage.b.restore(copy, { volume: 'same', noticed: false })
  },
  'a folder from a backup and no database': async (stage, steps) => {
    const copy = stage.b.snapshot()
    for (const step of steps) await stage.act(0, step)
    await stop(stage, stage.b)
    stage.b.restore(copy, { volume: 'new', noticed: false })
    stage.b.eraseDatabase()
  },
}

describe('rejoin', () => {
  for (const [way, play] of Object.entries(WAYS)) {
    describe(`after ${way}`, () => {
      for (const [what, steps] of Object.entries(ELSEWHERE)) {
        it(`${what} elsewhere stays so`, () =>
          scene({}, async stage => {
            await stage.begin(base)
            await play(stage, steps)
            await nothingCameBack(stage)
          }))
      }
    })
  }
})
