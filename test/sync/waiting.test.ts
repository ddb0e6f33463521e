// What a folder says and does while a content is still to come: it is settled but for that content, and who no longer has it says so.
import { expect } from 'chai'
import { areaOf } from '../support/memory-volume.ts'
import { scene } from '../support/scene.ts'

/** More than a small content has: it goes by chunks. */
const LONG_LINES = 20_000

describe('a content still to come', () => {
  it('a conflict copy that waits for the winner of its name is no unfinished work', () =>
    scene({}, async stage => {
      const { world, a, b } = stage
      await stage.begin(p => p.write('f', '\0base'))
      world.partition()
      world.network.withhold(b.id)
      await stage.act(1, p => p.write('f', '\0older'))
      await stage.act(0, p => p.write('f', '\0newer'))
      world.network.setLinked(a.id, b.id, true)
      await world.pass(5_000)
      expect(world.tree(b)).to.deep.equal({ f: '\0older' })
      expect(b.engine.state()).to.include({ needFiles: 1, settled: true })
      await stage.meet()
      expect(Object.values(stage.tree()).sort()).to.deep.equal(['\0newer', '\0older'])
    }))

  it('whose holder deleted it while no watcher saw: the holder looks, and nobody waits for it any more', () =>
    scene({}, async stage => {
      const { world, a, b } = stage
      await stage.begin(p => p.write('stays', 'stays'))
      world.network.withhold(b.id)
      await stage.act(0, p => p.write('goes', '\0content'))
      a.watcher = { loss: 1, late: 0, repeat: 0 }
      await stage.act(0, p => p.remove('goes'))
      expect(b.engine.state().needFiles).to.equal(1)
      world.network.allow(b.id)
      await world.pass(5_000)
      expect(b.engine.state()).to.include({ needFiles: 0, settled: true })
      for (const device of world.devices) expect(world.tree(device), device.name).to.deep.equal({ stays: 'stays' })
    }))

  it('a text that its holder deleted comes from its base, where another moved the file', () =>
    scene({}, async stage => {
      const { world } = stage
      const text = 'line\n'.repeat(LONG_LINES)
      await stage.begin(p => {
        p.write('f', 'old')
        p.write('stays', 'stays')
      })
      world.network.withhold(stage.b.id)
      await stage.act(0, p => p.write('f', text))
      world.partition()
      await stage.act(0, p => p.remove('f'))
      await stage.act(1, p => p.rename('f', 'g'))
      await stage.meet()
      expect(stage.tree()).to.deep.equal({ g: text, stays: 'stays' })
    }))

  it('for a directory that this disk cannot have: the folder rests without it, says so, and a full look tries it again', () =>
    scene({}, async stage => {
      const { world, b } = stage
      await stage.begin(p => p.write('stays', 'stays'))
      b.volume.cannotHold.add('d')
      await stage.act(0, p => {
        p.mkdir('d')
        p.write('d/f', 'f')
      })
      const tries = (): number => world.log.filter(line => line.includes('bert disk mkdir d refused')).length
      const before = tries()
      await world.pass(5 * 60_000)
      expect(tries() - before).to.be.lessThan(2)
      expect(b.engine.status().state).to.equal('idle')
      expect(b.engine.state()).to.include({ settled: true, stopped: 'cannot-hold', needFiles: 1 })
      expect(stage.a.engine.status().peers.map(({ inSync }) => inSync)).to.deep.equal([false])
      await world.pass(10 * 60_000)
      expect(tries() - before).to.be.lessThan(5)
      expect(b.engine.status().problems.map(({ code, path }) => [code, path])).to.deep.equal([['cannot-hold', 'd']])
      b.volume.cannotHold.clear()
      await stage.meet()
      expect(stage.tree()).to.include({ 'd/f': 'f' })
    }))

  it('for a file whose name this disk cannot have: its content comes once and stays, until it has another name', () =>
    scene({}, async stage => {
      const { world, b } = stage
      await stage.begin(p => p.write('stays', 'stays'))
      b.volume.cannotHold.add('a:b')
      await stage.act(0, p => p.write('a:b', '\0content'))
      await world.pass(30 * 60_000)
      expect(b.engine.status().problems.map(({ code, path }) => [code, path])).to.deep.equal([['cannot-hold', 'a:b']])
      expect(areaOf(b.volume).stage.size).to.equal(1)
      await stage.act(0, p => p.rename('a:b', 'ab'))
      await world.pass(60_000)
      expect(world.tree(b)).to.deep.equal({ ab: '\0content', stays: 'stays' })
      expect(b.engine.status().problems).to.deep.equal([])
      expect(b.engine.state()).to.include({ stopped: null, needFiles: 0 })
      await stage.act(0, p => p.rename('ab', 'a:b'))
      await world.pass(60_000)
      expect(world.tree(b)).to.deep.equal({ ab: '\0content', stays: 'stays' })
      await stage.act(0, p => p.remove('a:b'))
      await stage.meet()
      expect(stage.tree()).to.deep.equal({ stays: 'stays' })
      expect(b.engine.status().problems).to.deep.equal([])
    }))

  it('for a name that this disk cannot have: a restart forgets nothing of it', () =>
    scene({}, async stage => {
      const { world, b } = stage
      await stage.begin(p => p.mkdir('sub'))
      b.volume.cannotHold.add('a:b')
      await stage.act(0, p => p.write('sub/a:b', '\0content'))
      await world.pass(60_000)
      await b.stop()
      b.start()
      await world.pass(60_000)
      expect(b.engine.status().problems.map(({ code, path }) => [code, path])).to.deep.equal([
        ['cannot-hold', 'sub/a:b'],
      ])
      expect(b.engine.state()).to.include({ settled: true, stopped: 'cannot-hold', needFiles: 1 })
      b.volume.cannotHold.clear()
      await stage.meet()
      expect(stage.tree()).to.include({ 'sub/a:b': '\0content' })
    }))

  it('for a directory that this disk cannot have: under another name it comes at once, with what is in it', () =>
    scene({}, async stage => {
      const { world, b } = stage
      await stage.begin(p => p.write('stays', 'stays'))
      b.volume.cannotHold.add('d:')
      await stage.act(0, p => {
        p.mkdir('d:')
        p.write('d:/f', 'f')
      })
      await world.pass(60_000)
      await stage.act(0, p => p.rename('d:', 'd'))
      await world.pass(60_000)
      expect(world.tree(b)).to.include({ 'd/f': 'f' })
      expect(b.engine.state()).to.include({ settled: true, stopped: null, needFiles: 0 })
    }))

  it('that is refused for long holds up nothing of what is done in quiet moments', () =>
    scene({}, async stage => {
      const { world, b } = stage
      await stage.begin(p => p.write('f', '\0old'))
      b.engine.configure({ versions: 'standard', versionLimit: 1, minCopies: 1, maxDeletes: 50 })
      await stage.act(0, p => p.write('f', '\0new'))
      const versions = (): number => areaOf(b.volume).versions.size
      expect(versions()).to.equal(1)
      b.volume.cannotHold.add('d')
      await stage.act(0, p => p.mkdir('d'))
      await world.pass(8 * 3_600_000)
      expect(b.engine.status().problems.map(({ code }) => code)).to.include('cannot-hold')
      expect(versions(), 'the limit holds').to.equal(0)
      expect(b.events.map(({ type }) => type)).to.include('folder:verified')
      b.volume.cannotHold.clear()
      await stage.meet()
    }))
})
