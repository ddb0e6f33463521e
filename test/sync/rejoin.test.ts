// Devices whose knowledge is old: a lost database, a home or a folder from a backup, a `get` into old copies. What changed elsewhere
// meanwhile stays as it is there, what was deleted stays deleted, and what nobody knows is kept as new.
import { expect } from 'chai'
import { type Act, type Scene, scene } from '../support/scene.ts'
import type { SimDevice } from '../support/sim-device.ts'
import { treeOf } from '../support/sim-tree.ts'

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
}

async function stop(stage: Scene, device: SimDevice): Promise<void> {
  await stage.world.finish(device.stop(), 'stop')
}

/** The second device's database forgets the last that it did, and is cut off. */
async function lostItsEnd(stage: Scene): Promise<void> {
  const copy = stage.b.snapshot()
  await stage.act(1, p => p.write('f', 'f1'))
  await stop(stage, stage.b)
  stage.b.person.write('g', 'g here')
  stage.b.person.write('new', 'new')
  stage.b.restore(copy, { volume: null, noticed: false })
  stage.world.partition()
}

/** Then only others can show that the database is old. */
function loseJournalCopy(device: SimDevice): void {
  device.volume.root?.kith?.journal.splice(0)
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
    loseJournalCopy(stage.b)
  },
  'a database that lost its end as it was, with nobody linked at the start': async (stage, steps) => {
    const copy = stage.b.snapshot()
    await stage.act(0, steps[0] as Act)
    await stop(stage, stage.b)
    for (const step of steps.slice(1)) await stage.act(0, step)
    stage.b.restore(copy, { volume: null, noticed: false })
    stage.world.partition()
    stage.b.start()
    await stage.world.pass(60_000)
  },
  'a home and a folder from one backup (rows and disk agree: nothing is judged)': async (stage, steps) => {
    const copy = stage.b.snapshot()
    for (const step of steps) await stage.act(0, step)
    await stop(stage, stage.b)
    stage.b.restore(copy, { volume: 'new', noticed: true })
  },
  'a home and a folder from backups of different days': async (stage, steps) => {
    const home = stage.b.snapshot()
    await stage.act(0, steps[0] as Act)
    const folder = stage.b.snapshot()
    for (const step of steps.slice(1)) await stage.act(0, step)
    await stop(stage, stage.b)
    stage.b.restore({ ...home, volume: folder.volume }, { volume: 'new', noticed: true })
  },
  'a snapshot of the whole machine (rows and disk agree: nothing is judged)': async (stage, steps) => {
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

/** Its disk had the first step already: only what came after it can make a difference. */
const HALF_WAY = /half-way|as it was|different days/

describe('rejoin', () => {
  for (const [way, play] of Object.entries(WAYS)) {
    describe(`after ${way}`, () => {
      for (const [what, steps] of Object.entries(ELSEWHERE)) {
        if (HALF_WAY.test(way) && steps.length === 1) continue
        it(`${what} elsewhere stays so`, () =>
          scene({}, async stage => {
            await stage.begin(base)
            await play(stage, steps)
            await nothingCameBack(stage)
          }))
      }
    })
  }

  describe('with three devices', () => {
    for (const [what, steps] of Object.entries(ELSEWHERE)) {
      it(`${what} stays so, though the one who did it is away`, () =>
        scene({ devices: 3 }, async stage => {
          await stage.begin(base)
          await stop(stage, stage.b)
          for (const step of steps) await stage.act(0, step)
          const tree = stage.world.tree(stage.a)
          await stop(stage, stage.a)
          stage.b.eraseDatabase()
          stage.b.start()
          await stage.world.pass(60_000)
          expect(stage.world.tree(stage.b)).to.deep.equal(tree)
          await nothingCameBack(stage)
        }))
    }

    for (const [what, steps] of Object.entries(ELSEWHERE)) {
      it(`${what}: a device paired anew, on the old files, brings nothing back`, () =>
        scene({ devices: 3 }, async stage => {
          base(stage.a.person)
          stage.a.start()
          stage.b.start()
          await stage.world.pass(30_000)
          // The third one has the files of a former life, at other times and with other inodes, and no database.
          base(stage.c.person)
          for (const step of steps) await stage.act(0, step)
          await nothingCameBack(stage)
        }))
    }
  })

  it('says so: what happened, and why it waits', () =>
    scene({}, async stage => {
      await stage.begin(base)
      const copy = stage.b.snapshot()
      await stop(stage, stage.b)
      stage.b.start()
      await stage.world.pass(10_000)
      await stop(stage, stage.b)
      stage.b.restore(copy, { volume: null, noticed: true })
      stage.world.partition()
      stage.b.start()
      stage.b.person.write('new', 'new')
      await stage.world.pass(120_000)
      expect(stage.b.engine.state().settled).to.equal(false)
      expect(stage.b.engine.status().problems.map(problem => problem.code)).to.deep.equal(['held'])
      expect(stage.b.engine.status().problems[0]?.message).to.match(/older than what other devices have/)
      expect(stage.world.tree(stage.a)).to.not.have.property('new')
      await stage.meet()
      expect(stage.b.engine.status().problems).to.deep.equal([])
      expect(stage.tree()).to.include({ new: 'new', f: 'f0' })
      expect(stage.b.events.map(event => event.type)).to.include('folder:rejoined')
    }))

  it('two devices that both lost their databases do not wait for one another for ever', () =>
    scene({}, async stage => {
      await stage.begin(base)
      await stop(stage, stage.a)
      await stop(stage, stage.b)
      stage.a.person.write('f', 'f at anna')
      stage.b.person.write('new', 'new')
      for (const device of stage.world.devices) device.eraseDatabase()
      for (const device of stage.world.devices) device.start()
      await stage.world.pass(10_000)
      // Somebody who knows may still come.
      for (const device of stage.world.devices) expect(device.engine.state().pulling).to.equal(true)
      await stage.meet()
      expect(stage.tree()).to.include({ new: 'new', g: 'g0', 'D/x': 'x0' })
      // The copies of their journals know what is old: it is replaced, and kept as a version.
      const files = Object.entries(stage.tree()).filter(([path]) => path.startsWith('f'))
      expect(files).to.deep.equal([['f', 'f at anna']])
      const kept = [...(stage.b.volume.root?.kith?.versions.values() ?? [])].map(bytes => Buffer.from(bytes).toString())
      expect(kept).to.include('f0')
    }))

  it('says that no answer comes, and after a while keeps what lies here as new', () =>
    scene({}, async stage => {
      await stage.begin(base)
      await stop(stage, stage.b)
      await stage.act(0, p => p.remove('f'))
      stage.b.person.write('new', 'new')
      stage.b.eraseDatabase()
      let asked = 0
      stage.a.engine.past = async () => {
        asked++
        throw new Error('it cannot be read')
      }
      stage.b.start()
      await stage.world.pass(60_000)
      expect(asked).to.be.greaterThan(2)
      expect(stage.b.engine.status().problems.map(problem => problem.code)).to.deep.equal(['held'])
      expect(stage.b.engine.status().problems[0]?.message).to.match(/waits for an answer/)
      expect(stage.world.tree(stage.a)).to.not.have.any.keys('new', 'f')
      await stage.world.pass(300_000)
      expect(stage.b.engine.status().problems).to.deep.equal([])
      expect(stage.world.tree(stage.a)).to.include({ new: 'new', f: 'f0' })
      await stage.meet()
    }))

  it('is noticed by the writes that others hand back', () =>
    scene({}, async stage => {
      await stage.begin(base)
      const copy = stage.b.snapshot()
      await stage.act(1, p => p.write('mine', 'mine'))
      await stop(stage, stage.b)
      stage.b.restore(copy, { volume: null, noticed: false })
      loseJournalCopy(stage.b)
      const before = stage.b.events.length
      await stage.meet()
      const types = stage.b.events.slice(before).map(event => event.type)
      expect(types).to.include.members(['folder:rolled-back', 'folder:rejoined'])
      expect(stage.a.events.map(event => event.type)).not.to.include('folder:rolled-back')
      expect(stage.tree()).to.include({ mine: 'mine' })
    }))

  it('is noticed by the copy of the journal, before anybody is linked', () =>
    scene({}, async stage => {
      await stage.begin(base)
      const copy = stage.b.snapshot()
      await stage.act(0, p => {
        p.write('f', 'f1')
        p.write('g', 'g1')
        p.write('later', 'later')
      })
      await stop(stage, stage.b)
      await stage.act(0, p => {
        p.remove('f')
        p.write('g', 'g2')
        p.rename('later', 'later still')
      })
      stage.b.person.write('D/x', 'x here')
      stage.b.person.write('new', 'new')
      stage.b.restore(copy, { volume: null, noticed: false })
      stage.world.partition()
      const before = stage.b.events.length
      stage.b.start()
      await stage.world.pass(60_000)
      expect(stage.b.engine.status().problems.map(problem => problem.code)).to.deep.equal(['held'])
      await stage.meet()
      const { f, g, later, ...tree } = stage.tree()
      expect({ f, g, later }).to.deep.equal({ f: undefined, g: 'g2', later: undefined })
      expect(tree).to.include({ 'later still': 'later', 'D/x': 'x here', new: 'new' })
      const types = stage.b.events.slice(before).map(event => event.type)
      expect(types).to.include('folder:rejoined').and.not.to.include('folder:rolled-back')
      for (const device of stage.world.devices) expect(device.engine.conflicts()).to.deep.equal([])
    }))

  it('a database from before anybody else wrote here rejoins too', () =>
    scene({}, async stage => {
      base(stage.a.person)
      stage.a.start()
      await stage.world.pass(10_000)
      const copy = stage.a.snapshot()
      await stage.meet()
      await stage.act(1, p => p.write('f', 'f1'))
      await stage.act(0, p => p.write('g', 'g1'))
      await stop(stage, stage.a)
      await stage.act(1, p => {
        p.remove('f')
        p.remove('g')
      })
      stage.a.restore(copy, { volume: null, noticed: false })
      stage.world.partition()
      stage.a.start()
      await stage.world.pass(60_000)
      await stage.meet()
      expect(stage.tree()).to.not.have.any.keys('f', 'g')
    }))

  it('is seen once: a start after the rejoin waits for nobody', () =>
    scene({}, async stage => {
      await stage.begin(base)
      const copy = stage.b.snapshot()
      await stage.act(1, p => p.write('mine', 'mine'))
      await stage.act(1, p => p.remove('mine'))
      await stop(stage, stage.b)
      // What it lost left nothing to judge, and so nothing that the journal says since.
      stage.b.restore(copy, { volume: null, noticed: false })
      await stage.meet()
      await stop(stage, stage.b)
      stage.world.partition()
      stage.b.start()
      await stage.world.pass(60_000)
      expect(stage.b.engine.status().problems).to.deep.equal([])
    }))

  it('a database that lost its end, where nobody else ever wrote, waits for nobody', () =>
    scene({ devices: 1 }, async stage => {
      await stage.begin(base)
      const copy = stage.a.snapshot()
      await stage.act(0, p => p.write('f', 'f1'))
      await stop(stage, stage.a)
      stage.a.restore(copy, { volume: null, noticed: false })
      stage.a.start()
      await stage.world.pass(60_000)
      expect(stage.a.engine.status().problems).to.deep.equal([])
      expect(stage.tree()).to.include({ f: 'f1' })
      await stage.meet()
    }))

  it('a database that lost its end goes on alone where its other devices were removed, also while it waits', () =>
    scene({ devices: 3 }, async stage => {
      await stage.begin(base)
      await lostItsEnd(stage)
      stage.b.start()
      await stage.world.pass(20 * 60_000)
      const [problem] = stage.b.engine.status().problems
      expect(problem?.code).to.equal('held')
      expect(problem?.message).to.match(/waits for "anna" or "carl", to be sure.*kith device remove/)
      stage.world.network.removed.add(stage.a.id)
      await stage.world.pass(20 * 60_000)
      expect(stage.b.engine.status().problems[0]?.message).to.match(/waits for "carl", to be sure/)
      stage.world.network.removed.add(stage.c.id)
      await stage.world.pass(70_000)
      expect(stage.b.engine.status().problems).to.deep.equal([])
      expect(stage.b.engine.status().state).to.equal('idle')
      expect(treeOf(stage.b)).to.include({ f: 'f1', g: 'g here', new: 'new' })
      await stop(stage, stage.b)
      stage.b.start()
      await stage.world.pass(10_000)
      expect(stage.b.engine.status().state).to.equal('idle')
      await stage.meet()
    }))

  it('a database from before those were paired who wrote here waits, though nobody is paired', () =>
    scene({}, async stage => {
      base(stage.a.person)
      stage.a.start()
      await stage.world.pass(10_000)
      const copy = stage.a.snapshot()
      await stage.meet()
      await stage.act(1, p => p.write('f', 'f1'))
      await stop(stage, stage.a)
      stage.a.restore(copy, { volume: null, noticed: false })
      stage.world.partition()
      stage.world.network.removed.add(stage.b.id)
      stage.a.start()
      await stage.world.pass(20 * 60_000)
      expect(stage.a.engine.status().problems[0]?.message).to.match(/Pair one that has this folder/)
      await stage.meet()
    }))

  it('a home that is a copy waits, though nobody is paired, also after it was started again', () =>
    scene({}, async stage => {
      await stage.begin(base)
      const copy = stage.b.snapshot()
      await stop(stage, stage.b)
      stage.b.restore(copy, { volume: null, noticed: true })
      stage.world.partition()
      stage.world.network.removed.add(stage.a.id)
      for (let start = 0; start < 2; start++) {
        stage.b.start()
        await stage.world.pass(20 * 60_000)
        expect(stage.b.engine.status().problems[0]?.code, `start ${start}`).to.equal('held')
        if (start === 0) await stop(stage, stage.b)
      }
      await stage.meet()
      expect(await stage.b.database.note('copied')).to.deep.equal(new Uint8Array())
    }))

  it('an ordinary restart is none', () =>
    scene({}, async stage => {
      await stage.begin(base)
      for (let start = 0; start < 3; start++) {
        await stage.act(1, p => p.write('mine', `mine ${start}`))
        await stop(stage, stage.b)
        await stage.act(0, p => p.write('theirs', `theirs ${start}`))
        await stage.meet()
      }
      for (const device of stage.world.devices)
        expect(device.events.map(event => event.type)).not.to.include('folder:rolled-back')
    }))

  it('what nobody knows is kept as new, with the directories that it stands in', () =>
    scene({}, async stage => {
      await stage.begin(base)
      await stop(stage, stage.b)
      await stage.act(0, p => p.rmrf('D'))
      stage.b.person.write('D/sub/new', 'new')
      stage.b.person.mkdirs('mine/deep')
      stage.b.person.write('mine/file', 'mine')
      stage.b.person.write('mine/copy', 'f0')
      stage.b.eraseDatabase()
      await stage.meet()
      const { 'D/': _d, 'D/sub/': _sub, ...tree } = stage.tree()
      expect(tree).to.deep.equal({
        'D/sub/new': 'new',
        'empty/': '',
        f: 'f0',
        g: 'g0',
        l: stage.world.tree(stage.a)['l'],
        'mine/': '',
        'mine/copy': 'f0',
        'mine/deep/': '',
        'mine/file': 'mine',
        'text.txt': 'one\ntwo\nthree\n',
      })
      await nothingCameBack(stage)
    }))

  it('edits made here while the database was lost are kept, beside what came meanwhile', () =>
    scene({}, async stage => {
      await stage.begin(base)
      await stop(stage, stage.b)
      await stage.act(0, p => p.write('g', 'g1'))
      stage.b.person.write('f', 'f here')
      stage.b.person.write('g', 'g here')
      stage.b.eraseDatabase()
      await stage.meet()
      const files = Object.entries(stage.tree()).filter(([path]) => /^[fg]( |$)/.test(path))
      expect(files.map(([, content]) => content).sort()).to.deep.equal(['f here', 'f0', 'g here', 'g1'])
    }))

  it('edits, moves and deletions made here on a restored home are kept', () =>
    scene({}, async stage => {
      await stage.begin(base)
      const copy = stage.b.snapshot()
      await stage.act(0, p => p.write('theirs', 'theirs'))
      await stop(stage, stage.b)
      await stage.act(0, p => p.rename('text.txt', 'D/text.txt'))
      stage.b.person.write('f', 'f here')
      stage.b.person.rename('g', 'D/g')
      stage.b.person.remove('D/x')
      stage.b.restore(copy, { volume: null, noticed: true })
      await stage.meet()
      expect(stage.tree()).to.include({ f: 'f here', 'D/g': 'g0', 'D/text.txt': 'one\ntwo\nthree\n', theirs: 'theirs' })
      expect(stage.tree()).to.not.have.any.keys('g', 'D/x', 'text.txt')
      expect(stage.b.engine.conflicts()).to.deep.equal([])
    }))

  it('a folder from an older backup than its home: what is missing in it comes again', () =>
    scene({}, async stage => {
      await stage.begin(base)
      const folder = stage.b.snapshot()
      await stage.act(0, p => {
        p.write('later', 'later')
        p.write('D/later', 'later')
        p.mkdirs('new/deep')
        p.write('new/deep/file', 'new')
        p.write('f', 'f1')
      })
      const home = stage.b.snapshot()
      await stop(stage, stage.b)
      stage.b.restore({ ...home, volume: folder.volume }, { volume: 'new', noticed: true })
      await nothingCameBack(stage)
    }))

  it('a file deleted here while the database was lost comes back: nobody can know', () =>
    scene({}, async stage => {
      await stage.begin(base)
      await stop(stage, stage.b)
      stage.b.person.remove('f')
      stage.b.eraseDatabase()
      await stage.meet()
      expect(stage.tree()).to.include({ f: 'f0' })
    }))

  it('what was old here is a kept version', () =>
    scene({}, async stage => {
      await stage.begin(base)
      await stop(stage, stage.b)
      await stage.act(0, p => p.remove('f'))
      await stage.act(0, p => p.write('g', 'g1'))
      stage.b.volume.root?.kith?.versions.clear()
      stage.b.eraseDatabase()
      await stage.meet()
      const kept = [...(stage.b.volume.root?.kith?.versions.values() ?? [])].map(bytes => Buffer.from(bytes).toString())
      expect(kept.sort()).to.deep.equal(['f0', 'g0'])
    }))

  it('what was taken away as old does not make one directory of two', () =>
    scene({}, async stage => {
      await stage.begin(p => {
        base(p)
        for (const name of ['one', 'two', 'three']) p.mkdir(name)
        p.write('one/x', 'x of one')
        p.write('three/y', 'y of three')
      })
      await stop(stage, stage.b)
      for (const name of ['one', 'two']) await stage.act(0, p => p.rmrf(name))
      stage.b.eraseDatabase()
      await stage.meet()
      // The other one asks what this journal says now. A copy of what only `one` had, in what was `two`, and another name in `three`: both
      // new, though the contents are known.
      await stop(stage, stage.a)
      stage.a.person.mkdir('two')
      stage.a.person.write('two/x', 'x of one')
      stage.a.person.write('three/z', 'y of three')
      stage.a.eraseDatabase()
      await stage.meet()
      expect(stage.tree()).to.include({ 'two/x': 'x of one', 'three/z': 'y of three' })
    }))

  it('what could not be read is judged when it can be', () =>
    scene({}, async stage => {
      await stage.begin(base)
      await stop(stage, stage.b)
      for (const path of ['f', 'D/sub/y']) await stage.act(0, p => p.remove(path))
      stage.b.eraseDatabase()
      const inodes = ['f', 'D/sub'].map(path => stage.b.volume.at(path))
      for (const inode of inodes) if (inode !== null) inode.unreadable = true
      stage.b.start()
      await stage.world.pass(60_000)
      expect(stage.b.engine.state().settled).to.equal(true)
      await stage.world.finish(stage.b.stop(), 'stop')
      stage.b.start()
      await stage.world.pass(60_000)
      for (const inode of inodes) if (inode !== null) inode.unreadable = false
      await nothingCameBack(stage)
      expect(stage.b.events.map(event => event.type)).to.include('folder:rejoined')
    }))

  it('an old disk under a newer home: what stands in a directory that is gone is where the others have it', () =>
    scene({}, async stage => {
      await stage.begin(p => {
        base(p)
        p.mkdirs('Old/sub')
        p.write('Old/file', 'file')
        p.write('Old/sub/deep', 'deep')
      })
      const disk = stage.b.snapshot()
      await stage.act(0, p => {
        p.rename('Old/file', 'file')
        p.rename('Old/sub', 'sub')
        p.rmrf('Old')
      })
      const home = stage.b.snapshot()
      await stop(stage, stage.b)
      await stage.act(0, p => p.rename('file', 'D/file'))
      stage.b.restore({ ...home, volume: disk.volume }, { volume: 'same', noticed: true })
      await stage.meet()
      const tree = stage.tree()
      expect(tree).to.include({ 'D/file': 'file', 'sub/deep': 'deep' })
      expect(tree).not.to.have.any.keys('Old/file', 'Old/sub/', 'file')
    }))

  it('old content that a person puts here again while the folder rejoins stays', () =>
    scene({}, async stage => {
      await stage.begin(base)
      await stop(stage, stage.b)
      await stage.act(0, p => p.remove('f'))
      await stage.act(0, p => p.write('g', 'g1'))
      await stage.act(0, p => p.rmrf('empty'))
      stage.b.eraseDatabase()
      stage.world.partition()
      stage.b.start()
      await stage.world.pass(10_000)
      for (const path of ['f', 'D/sub/y']) stage.b.person.remove(path)
      stage.b.person.write('f', 'f0')
      stage.b.person.rmrf('empty')
      stage.b.person.mkdir('empty')
      await stage.world.pass(10_000)
      await stop(stage, stage.b)
      await stage.meet()
      expect(stage.tree()).to.include({ f: 'f0', 'empty/': '', g: 'g1', 'D/sub/y': 'y0' })
    }))

  it('modes are those of the others', () =>
    scene({}, async stage => {
      await stage.begin(base)
      await stop(stage, stage.b)
      await stage.act(0, p => {
        p.chmod('f', 0o600)
        p.chmod('D', 0o700)
      })
      stage.b.eraseDatabase()
      await stage.meet()
      for (const { volume } of stage.world.devices)
        expect([volume.at('f')?.mode, volume.at('D')?.mode]).to.deep.equal([0o600, 0o700])
    }))

  it('a device that was off for 400 days changes nothing', () =>
    scene({ devices: 3 }, async stage => {
      await stage.begin(base)
      await stop(stage, stage.b)
      for (const steps of Object.values(ELSEWHERE).slice(0, 3))
        for (const step of steps) await stage.act(0, p => whole(p, step))
      await stage.act(0, p => p.rename('D', 'E'))
      await stop(stage, stage.a)
      await stop(stage, stage.c)
      for (const device of stage.world.devices) device.clock.jump(400 * 86_400_000)
      await nothingCameBack(stage)
    }))

  it('old files of another device than the one that is linked are not known, and kept', () =>
    scene({ devices: 3 }, async stage => {
      // The third one takes the folder when the file is long gone: only its own journal can be asked.
      base(stage.a.person)
      stage.a.start()
      stage.b.start()
      await stage.world.pass(30_000)
      await stop(stage, stage.b)
      await stage.act(0, p => p.remove('f'))
      stage.c.start()
      await stage.world.pass(30_000)
      await stop(stage, stage.a)
      stage.b.eraseDatabase()
      stage.b.start()
      await stage.world.pass(60_000)
      expect(stage.world.tree(stage.b)).to.include({ f: 'f0' })
      await stage.meet()
    }))
})

/** A step for which something it needs is gone already does what it still can. */
function whole(person: SimDevice['person'], step: Act): void {
  try {
    step(person)
  } catch {
    person.write('other', 'other')
  }
}
