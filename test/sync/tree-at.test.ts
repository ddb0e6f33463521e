// What the folder showed at a time, who had written it, and who still has it.
import { expect } from 'chai'
import { NO_CONTENT } from '../../src/core/ids.ts'
import { scene } from '../support/scene.ts'

const signal = new AbortController().signal

describe('sync: the tree at a time', () => {
  it('names who wrote each file by then, not who did it later, and who holds it now', () =>
    scene({}, async stage => {
      const { world, a, b } = stage
      await stage.begin(p => {
        p.mkdirs('d')
        p.write('d/f', '\0f1')
        p.write('g', '\0g1')
        p.write('h', '\0h1')
      })
      await stage.act(1, p => p.write('d/f', '\0f2'))
      await stage.act(0, p => p.rename('d/f', 'f'))
      await world.pass(5_000)
      const at = a.clock.now()
      await world.pass(5_000)
      await stage.act(0, p => p.write('f', '\0f3'))
      await stage.act(0, p => p.write('f', '\0f2'))
      await stage.act(1, p => p.write('g', '\0g2'))
      await stage.act(1, p => p.remove('h'))
      await stage.meet()
      const stood = await world.finish(a.engine.archive.treeAt('', at, { signal }), 'a tree')
      expect(stood.map(each => [each.path, each.device]).sort()).to.deep.equal([
        ['d', null],
        ['f', b.id],
        ['g', a.id],
        ['h', a.id],
      ])
      const contents = new Map(stood.map(each => [each.path, each.facts.content]))
      const holders = await world.finish(a.engine.archive.holders([...contents.values()], { signal }), 'holders')
      const of = (path: string) => holders.get(contents.get(path) ?? NO_CONTENT)
      expect(of('g')).to.deep.equal([a.id])
      expect(of('f')).to.have.members([a.id, b.id])
    }))
})
