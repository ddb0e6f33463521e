// A folder that is to be on more devices than it is says so by itself, and says no more when it is; what is said to be held is not let go.
import { expect } from 'chai'
import { type Scene, scene } from '../support/scene.ts'
import type { SimDevice } from '../support/sim-device.ts'

const SETTINGS = { versions: 'standard', versionLimit: null, minCopies: 2, maxDeletes: 50 } as const

function warnings(device: SimDevice): readonly string[] {
  return device.engine
    .status()
    .problems.filter(problem => problem.code === 'few-copies')
    .map(problem => problem.message)
}

async function onTwo(stage: Scene): Promise<void> {
  await stage.begin(p => {
    p.write('a', 'a0')
    p.write('b', 'b0')
  })
  stage.a.engine.configure(SETTINGS)
  await stage.world.pass(60_000)
}

describe('sync: min-copies', () => {
  it('warns of what fewer devices have, and no longer than that', () =>
    scene({}, async stage => {
      await onTwo(stage)
      expect(warnings(stage.a)).to.deep.equal([])
      stage.world.partition()
      await stage.act(0, p => p.write('a', 'a1'))
      await stage.world.pass(60_000)
      expect(warnings(stage.a)).to.have.length(1)
      expect(warnings(stage.a)[0]).to.match(/^One file is known to be on fewer than 2 devices, it only on this one/)
      await stage.meet()
      await stage.world.pass(60_000)
      expect(warnings(stage.a)).to.deep.equal([])
      stage.a.engine.configure({ ...SETTINGS, minCopies: 3 })
      await stage.world.pass(60_000)
      expect(warnings(stage.a)[0]).to.match(/^2 files are known to be on fewer than 3 devices:/)
      stage.a.engine.configure({ ...SETTINGS, minCopies: 1 })
      expect(warnings(stage.a)).to.deep.equal([])
    }))

  it('counts at once when another number is set, however soon after the last count', () =>
    scene({}, async stage => {
      await onTwo(stage)
      await stage.act(0, p => p.write('a', 'a1'))
      stage.a.engine.configure({ ...SETTINGS, minCopies: 3 })
      await stage.world.pass(1_000)
      expect(warnings(stage.a)[0]).to.match(/fewer than 3 devices/)
      stage.a.engine.configure({ ...SETTINGS, minCopies: 4 })
      await stage.world.pass(100)
      expect(warnings(stage.a)[0]).to.match(/fewer than 4 devices/)
    }))

  it('a device that was removed does not count', () =>
    scene({}, async stage => {
      await onTwo(stage)
      const options = { signal: new AbortController().signal }
      stage.world.partition()
      await stage.world.pass(60_000)
      expect((await stage.a.engine.archive.copies('', options)).atRisk.files).to.equal(0)
      stage.world.network.removed.add(stage.b.id)
      const { atRisk, stale } = await stage.a.engine.archive.copies('', options)
      expect(atRisk.files).to.equal(2)
      expect(stale).to.deep.equal([])
      expect(await stage.a.engine.archive.onlyOn(stage.a.id, options)).to.have.length(2)
      stage.world.network.removed.clear()
    }))

  it('is not counted again while nothing changes', () =>
    scene({}, async stage => {
      await onTwo(stage)
      let asked = 0
      const holds = stage.b.engine.holds.bind(stage.b.engine)
      stage.b.engine.holds = (...args) => {
        asked++
        return holds(...args)
      }
      await stage.world.pass(3_600_000)
      expect(asked).to.equal(0)
      await stage.act(0, p => p.write('a', 'a1'))
      await stage.world.pass(60_000)
      expect(asked).to.be.greaterThan(0)
    }))
})
