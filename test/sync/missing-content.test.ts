// A content that nobody has, or that has not come yet, keeps nothing of the past waiting: the folder may lack it for ever.
import { expect } from 'chai'
import { DEFAULT_SETTINGS } from '../../src/core/status.ts'
import { areaOf } from '../support/memory-volume.ts'
import { type Scene, scene } from '../support/scene.ts'

const HOUR = 3_600_000

/** The first device lacks a file: the only one that had it has rot there. */
async function lacking(stage: Scene): Promise<void> {
  const { world, a, b } = stage
  await stage.begin(person => person.write('f', '\0first'))
  for (let edit = 0; edit < 3; edit++) await stage.act(1, person => person.write('f', `\0edit ${edit}`))
  await world.quiesce()
  world.partition()
  await stage.act(1, person => person.write('lost', '\0nobody has it'))
  const inode = b.volume.at('lost')
  if (inode === null) throw new Error('it was just written')
  inode.data = Buffer.from('\0nobody hAs it')
  world.heal()
  await world.pass(10_000)
  expect(a.engine.state().needFiles).to.equal(1)
}

describe('while a content is missing', () => {
  it('old versions go as retention has it', () =>
    scene({}, async stage => {
      await lacking(stage)
      stage.a.engine.configure({ ...DEFAULT_SETTINGS, versionLimit: 1 })
      expect(areaOf(stage.a.volume).versions.size).to.equal(3)
      await stage.world.pass(3 * HOUR)
      expect(areaOf(stage.a.volume).versions.size).to.equal(0)
    }))

  it('copies are counted, and every version is kept where that is set', () =>
    scene({}, async stage => {
      await lacking(stage)
      stage.a.engine.configure({ ...DEFAULT_SETTINGS, versions: 'all', minCopies: 3 })
      await stage.world.pass(HOUR)
      expect(areaOf(stage.a.volume).versions.size).to.equal(4)
      expect(stage.a.engine.status().problems.map(({ code }) => code)).to.include('few-copies')
    }))
})
