// The past by times, where a clock was wrong for a moment: what was done at a right time counts by that.
import { expect } from 'chai'
import { scene } from '../support/scene.ts'

const { signal } = new AbortController()
const HOUR = 3_600_000
const JUMP = 400 * 24 * HOUR

describe('the past and a clock that was wrong for a moment', () => {
  for (const [how, jump] of [
    ['ahead', JUMP],
    ['back', -JUMP],
  ] as const)
    it(`lists, restores and undoes to the minute, though the clock was ${how}`, () =>
      scene({ devices: 1 }, async stage => {
        const { world, a } = stage
        await stage.begin(person => {
          person.write('f', 'v1')
          person.write('g', 'g1')
        })
        a.clock.jump(jump)
        await stage.act(0, person => person.write('other', 'x'))
        a.clock.jump(-jump)
        await world.pass(HOUR)
        await stage.act(0, person => person.write('f', 'v2'))
        await world.pass(HOUR)
        const { archive } = a.engine
        const at = a.clock.now()
        await world.pass(HOUR)
        await stage.act(0, person => person.write('g', 'g2'))
        await world.pass(HOUR)

        const then = await world.finish(archive.treeAt('', at, { signal }), 'a list')
        expect(then.map(({ path }) => path)).to.have.members(['f', 'g', 'other'])
        const undo = { device: a.id, since: at, dryRun: true, signal }
        const undone = await world.finish(archive.undo(undo), 'an undo')
        expect(undone.changes.map(({ action, path }) => `${action} ${path}`)).to.deep.equal(['edit g'])
        const restore = { path: '', at, version: null, keepNew: false, dryRun: false, signal }
        await world.finish(archive.restore(restore), 'a restore')
        await world.quiesce()
        expect(stage.tree()).to.deep.equal({ f: 'v2', g: 'g1', other: 'x' })
      }))
})
