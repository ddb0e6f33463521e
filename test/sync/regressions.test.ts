// What random histories found, as short scenes.
import { expect } from 'chai'
import { scene } from '../support/scene.ts'

describe('found by random histories', () => {
  it('a file that became a directory, and the reverse', () =>
    scene({}, async stage => {
      await stage.begin(p => {
        p.write('n', 'file')
        p.mkdir('m')
        p.write('m/in', 'in')
      })
      await stage.act(1, p => {
        p.rmrf('n')
        p.mkdir('n')
        p.rmrf('m')
        p.write('m', 'file')
      })
      await stage.world.rest()
      for (const device of stage.world.devices) {
        expect(stage.world.tree(device), device.name).to.deep.equal({ 'n/': '', m: 'file' })
      }
    }))

  it('a file deleted in a directory that is then renamed, before anybody looked', () =>
    scene({}, async stage => {
      await stage.begin(p => {
        p.mkdir('a')
        p.write('a/b', 'b')
        p.write('a/c', 'c')
      })
      await stage.act(0, p => {
        p.remove('a/b')
        p.rename('a', 'z')
      })
      await stage.world.rest()
      for (const device of stage.world.devices) {
        expect(stage.world.tree(device), device.name).to.deep.equal({ 'z/': '', 'z/c': 'c' })
      }
    }))

  it('one directory merged into another whose name inside it is taken by itself', () =>
    scene({}, async stage => {
      await stage.begin(p => p.mkdirs('A/a'))
      await stage.apart(
        [1, p => p.rename('A/a', 'c')],
        [
          0,
          p => {
            p.mkdir('A/a/x')
            p.write('A/a/x/in', 'in')
            p.rename('A', 'c')
            p.rename('c/a/x', 'c/a/a')
          },
        ],
      )
      expect(stage.tree()).to.deep.equal({ 'c/': '', 'c/a/': '', 'c/a/in': 'in' })
    }))

  it('a move of what was deleted here unnoticed: it comes to the new place', () =>
    scene({}, async stage => {
      await stage.begin(p => {
        p.mkdir('c')
        p.mkdir('a')
        p.write('c/b', 'b')
      })
      // What is new is looked at once more.
      await stage.world.pass(5_000)
      stage.b.watcher = { loss: 1, late: 0, repeat: 0 }
      await stage.act(1, p => p.remove('c/b'))
      await stage.act(0, p => p.rename('c/b', 'a/n'))
      await stage.world.rest()
      for (const device of stage.world.devices) {
        expect(stage.world.tree(device), device.name).to.deep.equal({ 'a/': '', 'a/n': 'b', 'c/': '' })
      }
    }))

  it('a file that became a directory with something in it', () =>
    scene({}, async stage => {
      await stage.begin(p => p.write('n', 'file'))
      await stage.act(1, p => {
        p.remove('n')
        p.mkdir('n')
        p.symlink('n/l', 'target')
      })
      await stage.world.rest()
      for (const device of stage.world.devices) {
        expect(stage.world.tree(device), device.name).to.deep.equal({ 'n/': '', 'n/l': 'target' })
      }
    }))

  it('a get that was told of equal documents before it was told of the peer goes on at once', () =>
    scene({}, async stage => {
      stage.a.start()
      stage.b.start()
      await stage.world.pass(700)
      stage.b.kill({ power: false })
      stage.b.start()
      await stage.world.rest()
      expect(stage.b.engine.status().state).to.equal('idle')
    }))

  it('a directory that is to go while something unnoticed stands in it: it is found, and stays with that', () =>
    scene({}, async stage => {
      await stage.begin(p => p.mkdirs('b/c'))
      stage.b.watcher = { loss: 1, late: 0, repeat: 0 }
      await stage.act(1, p => p.write('b/c/f', 'f'))
      await stage.act(0, p => p.rmrf('b/c'))
      await stage.world.rest()
      for (const device of stage.world.devices) {
        expect(stage.world.tree(device), device.name).to.deep.equal({ 'b/': '', 'b/c/': '', 'b/c/f': 'f' })
      }
    }))

  it('a directory that became part of another one goes, wherever it stands', () =>
    scene({}, async stage => {
      await stage.begin(p => {
        p.mkdir('a')
        p.mkdir('c')
        p.mkdir('sub')
      })
      stage.b.watcher = { loss: 1, late: 0, repeat: 0 }
      await stage.apart([1, p => p.rename('c', 'sub/a')], [0, p => p.rename('a', 'sub/a')])
      expect(stage.tree()).to.deep.equal({ 'sub/': '', 'sub/a/': '' })
    }))

  it('a directory renamed by case alone on a disk that folds case, while a change in it is still told under the old name', () =>
    scene({ settings: { foldsCase: true } }, async stage => {
      await stage.begin(p => {
        p.mkdirs('dir/sub')
        p.write('dir/sub/f', 'f')
      })
      stage.a.watcher = { loss: 0, late: 1, repeat: 0 }
      await stage.act(0, p => {
        p.write('dir/sub/g', 'g')
        p.rename('dir', 'DIR')
      })
      await stage.world.pass(10_000)
      await stage.world.rest()
      expect(stage.world.tree(stage.a)).to.deep.equal({
        'DIR/': '',
        'DIR/sub/': '',
        'DIR/sub/f': 'f',
        'DIR/sub/g': 'g',
      })
      expect(Object.values(stage.world.tree(stage.b)).sort()).to.deep.equal(['', '', 'f', 'g'])
    }))

  it('a large file that was appended to reaches a device that never had the shorter one', () =>
    scene({}, async stage => {
      const bytes = Buffer.alloc(300_000)
      for (let at = 0; at < bytes.length; at++) bytes[at] = Math.imul(at, 2654435761) >>> 17
      stage.a.person.write('large', bytes)
      stage.a.start()
      await stage.act(0, () => undefined)
      await stage.act(0, p => p.append('large', '\0more'))
      await stage.meet()
      expect(stage.b.person.read('large').length).to.equal(300_005)
    }))

  it('two directories merged by name that part again: one goes along with its row, the other is made', () =>
    scene({}, async stage => {
      await stage.begin(p => p.mkdir('y'))
      await stage.apart(
        [
          0,
          p => {
            p.mkdir('d')
            p.write('d/in', 'in')
          },
        ],
        [1, p => p.mkdir('x')],
      )
      stage.world.partition()
      await stage.act(1, p => p.rename('x', 'e'))
      await stage.act(0, p => p.rename('d', 'e'))
      await stage.meet()
      await stage.apart([0, p => p.rename('y', 'e/y')], [1, p => p.rename('e', 'y/e')])
      expect(stage.tree()).to.deep.equal({ 'e/': '', 'e/in': 'in', 'e/y/': '', 'e/y/e/': '' })
    }))

  it('a directory that could not come because one of its name was just made: what follows it goes into that one', () =>
    scene({}, async stage => {
      const { world, a, b } = stage
      await stage.begin(p => {
        p.mkdirs('c/d')
        p.write('c/d/in', 'in')
      })
      world.partition()
      await stage.act(0, p => {
        p.rename('c/d', 'b')
        p.rename('c', 'b/a')
      })
      b.watcher = { loss: 1, late: 0, repeat: 0 }
      b.person.mkdir('b')
      world.network.setLinked(a.id, b.id, true)
      await world.pass(10)
      // Something else arrives before this disk was looked at again.
      await stage.act(0, p => p.chmod('b/a', 0o700))
      world.check()
      await stage.meet()
      expect(stage.tree()).to.deep.equal({ 'b/': '', 'b/a/': '', 'b/in': 'in' })
    }))

  it('a file gone here, deleted and made again elsewhere with the same content: it stays, as what nobody here deleted', () =>
    scene({}, async stage => {
      await stage.begin(p => {
        p.write('kept', 'kept')
        p.mkdir('a')
        p.write('a/a', 'same')
        p.utimes('a/a', Date.UTC(2024, 5, 6))
      })
      await stage.world.finish(stage.b.stop(), 'stop')
      stage.b.person.rmrf('a')
      await stage.act(0, p => p.rmrf('a'))
      await stage.act(0, p => {
        p.mkdir('a')
        p.write('a/a', 'same')
        p.utimes('a/a', Date.UTC(2024, 5, 6))
      })
      await stage.meet()
      expect(stage.tree()).to.deep.equal({ 'a/': '', 'a/a': 'same', kept: 'kept' })
    }))

  it('a file moved out of a directory that is gone, to a name that is not believed free yet', () =>
    scene({}, async stage => {
      await stage.begin(p => {
        p.mkdirs('E/D')
        p.write('E/D/x', 'x')
        p.mkdirs('E/k')
      })
      await stage.world.pass(5_000)
      stage.a.person.rename('E/D/x', 'E/z')
      stage.a.person.rmrf('E/D')
      await stage.world.pass(300)
      stage.a.person.rmrf('E/k')
      stage.a.person.rename('E/z', 'E/k')
      await stage.world.rest()
      for (const device of stage.world.devices) {
        expect(stage.world.tree(device), device.name).to.deep.equal({ 'E/': '', 'E/k': 'x' })
        const rows = await device.database.loadRows()
        const lost = [...rows.all()].filter(row => rows.path(row.id) === undefined)
        expect(
          lost.map(row => row.name),
          device.name,
        ).to.deep.equal([])
      }
    }))

  it('a directory that goes while something of it is on its way to the very name: nobody is told that it was deleted', () =>
    scene({}, async stage => {
      await stage.begin(p => {
        p.mkdir('Y')
        p.write('Y/f', 'f')
      })
      stage.world.partition()
      await stage.act(1, p => p.mkdir('X'))
      await stage.act(0, p => p.rename('Y', 'X'))
      await stage.act(0, p => p.rename('X/f', 'Y'))
      await stage.meet()
      await stage.world.pass(5_000)
      await stage.b.engine.rescan({ signal: new AbortController().signal })
      await stage.world.rest()
      expect(stage.tree()).to.deep.equal({ 'X/': '', Y: 'f' })
      const gone = stage.b.events.filter(event => event.type === 'file:published' && event.action === 'deleted')
      expect(gone).to.deep.equal([])
    }))
})
