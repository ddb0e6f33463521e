// A device that joins with files of its own, and devices whose disks lag behind the documents: everything is kept, nothing twice.
import { expect } from 'chai'
import { CYCLE_FILES } from '../../src/sync/publisher.ts'
import { MemoryDisk } from '../support/memory-disk.ts'
import { type Act, Scene, scene } from '../support/scene.ts'
import type { SimDevice } from '../support/sim-device.ts'

const COPY = / \(conflict [^)]*\)/

/** Both disks are filled before either starts; the second one gets the folder. */
async function joined(first: Act, second: Act, options: { devices?: number } = {}): Promise<Scene> {
  const stage = new Scene(options)
  first(stage.a.person)
  second(stage.b.person)
  await stage.meet()
  return stage
}

function same(person: SimDevice['person']): void {
  person.mkdirs('D/sub')
  person.mkdir('empty')
  person.write('D/sub/x.txt', 'x\ny\n')
  person.write('D/b.bin', new Uint8Array([0, 1]))
  person.write('f', 'f')
  person.symlink('l', 'f')
  person.chmod('f', 0o755)
  for (const path of ['D/sub/x.txt', 'D/b.bin', 'f']) person.utimes(path, Date.UTC(2024, 5, 6))
}

describe('get into a directory', () => {
  it('that holds the same tree: no copies, no conflicts, nothing sent', async () => {
    const stage = await joined(same, same)
    expect(Object.keys(stage.tree())).to.deep.equal(['D/', 'D/b.bin', 'D/sub/', 'D/sub/x.txt', 'empty/', 'f', 'l'])
    for (const device of stage.world.devices) {
      expect(device.engine.conflicts()).to.deep.equal([])
      expect(device.volume.root?.kith?.versions.size).to.equal(0)
    }
    const steps = stage.world.log.filter(line => line.includes(' disk '))
    expect(steps).to.deep.equal([])
    await stage.end()
  })

  it('that holds more equal files than one cycle reads: what was not read yet is neither fetched nor put', async () => {
    const many: Act = person => {
      person.mkdir('D')
      for (let at = 0; at < CYCLE_FILES + 50; at++) person.write(`D/${at}`, `${at}`)
      for (let at = 0; at < CYCLE_FILES + 50; at++) person.utimes(`D/${at}`, Date.UTC(2024, 5, 6))
    }
    const stage = new Scene()
    many(stage.a.person)
    stage.a.start()
    await stage.world.pass(10_000)
    const { engine } = stage.a
    const readWhole = engine.readWhole.bind(engine)
    let served = 0
    engine.readWhole = (content, options) => {
      served++
      return readWhole(content, options)
    }
    many(stage.b.person)
    stage.b.start()
    await stage.world.pass(10_000)
    await stage.meet()
    expect(Object.keys(stage.tree())).to.have.length(CYCLE_FILES + 51)
    expect(stage.world.log.filter(line => line.includes(' disk '))).to.deep.equal([])
    expect(served).to.equal(0)
    await stage.end()
  })

  it('that holds the same files with other times and modes: no copies', async () => {
    const stage = await joined(same, person => {
      same(person)
      person.utimes('D/b.bin', Date.UTC(2025, 1, 1))
      person.chmod('f', 0o600)
    })
    expect(Object.keys(stage.tree())).to.have.length(7)
    await stage.end()
  })

  it('with other times, however little: both end with the same', async () => {
    const time = Date.UTC(2024, 5, 6)
    const stage = await joined(same, person => {
      same(person)
      person.utimes('D/b.bin', time - 1)
      person.utimes('f', time + 2)
    })
    for (const path of ['D/b.bin', 'f'])
      expect(new Set(stage.world.devices.map(({ volume }) => volume.at(path)?.mtimeUs)).size, path).to.equal(1)
    await stage.end()
  })

  it('that is read while the other publishes: what has come by then is not read once more', async () => {
    const stage = new Scene()
    stage.a.start()
    same(stage.b.person)
    stage.b.person.write('only-b', 'b')
    await stage.world.pass(10_000)
    const read: string[] = []
    let go = (): void => undefined
    const gone = new Promise<void>(resolve => {
      go = resolve
    })
    const { hash } = MemoryDisk.prototype
    let disk: MemoryDisk | null = null
    MemoryDisk.prototype.hash = async function* (this: MemoryDisk, requests, options) {
      if (requests.some(({ path }) => path === 'only-b')) disk ??= this
      if (disk === this) {
        read.push(...requests.map(({ path }) => path))
        await gone
      }
      yield* hash.call(this, requests, options)
    }
    try {
      stage.b.start()
      await stage.world.pass(10_000)
      expect(read).to.include('D/b.bin')
      same(stage.a.person)
      await stage.world.pass(10_000)
      go()
      await stage.meet()
    } finally {
      MemoryDisk.prototype.hash = hash
    }
    expect(read.sort()).to.deep.equal(['D/b.bin', 'D/sub/x.txt', 'f', 'l', 'only-b', 'only-b'])
    expect(Object.keys(stage.tree())).to.have.length(8)
    await stage.end()
  })

  it('that shares some files and differs in some: everything is kept', async () => {
    const stage = await joined(
      person => {
        same(person)
        person.write('only-a', 'a')
        person.write('both', 'from a')
        person.mkdir('kind')
      },
      person => {
        same(person)
        person.mkdir('B')
        person.write('B/only-b', 'b')
        person.write('both', 'from b')
        person.write('kind', 'a file')
      },
    )
    const contents = Object.entries(stage.tree())
      .filter(([path]) => !path.endsWith('/'))
      .map(([, content]) => content)
    expect(contents.sort()).to.deep.equal(['x\ny\n', '\0\x01', 'f', 'f', 'a', 'from a', 'b', 'from b', 'a file'].sort())
    expect(Object.keys(stage.tree()).filter(path => COPY.test(path))).to.have.length(1)
    await stage.end()
  })

  it('that is empty: it fills, with modes and times', async () => {
    const stage = await joined(same, () => undefined)
    expect(stage.world.tree(stage.b)).to.deep.equal(stage.world.tree(stage.a))
    expect(stage.b.volume.at('f')?.mode).to.equal(0o755)
    expect(stage.b.volume.at('f')?.mtimeUs).to.equal(Date.UTC(2024, 5, 6) * 1000)
    await stage.end()
  })

  it('publishes nothing before another device was there', async () => {
    const stage = new Scene()
    same(stage.a.person)
    stage.b.person.write('mine', 'mine')
    stage.b.start()
    await stage.world.pass(120_000)
    expect(stage.b.engine.status().state).to.equal('syncing')
    expect(stage.b.events.filter(event => event.type === 'file:published')).to.deep.equal([])
    await stage.meet()
    expect(stage.tree()).to.include({ mine: 'mine', f: 'f' })
    await stage.end()
  })
})

describe('a disk that lags behind the documents', () => {
  const base: Act = person => {
    person.mkdir('D')
    person.write('D/x', 'x0')
    person.write('f', 'f0')
  }

  /** The first device acts, the second knows of it but has no content yet, and acts itself. */
  async function lagging(first: Act, second: Act): Promise<Record<string, string>> {
    return scene({}, async stage => {
      await stage.begin(base)
      stage.world.network.withhold(stage.b.id)
      await stage.act(0, first)
      await stage.world.pass(5_000)
      await stage.act(1, second)
      await stage.meet()
      return stage.tree()
    })
  }

  it('a save on top of a newer version that has not arrived: both are kept', async () => {
    const tree = await lagging(
      p => p.write('f', '\0from a'),
      p => p.write('f', '\0from b'),
    )
    const files = Object.entries(tree).filter(([path]) => path === 'f' || COPY.test(path))
    expect(files.map(([, content]) => content).sort()).to.deep.equal(['\0from a', '\0from b'])
    expect(tree).to.include({ 'D/x': 'x0' })
  })

  it('a delete of a file whose newer version has not arrived: the newer stays', async () => {
    const tree = await lagging(
      p => p.write('f', 'newer'),
      p => p.remove('f'),
    )
    expect(tree).to.deep.equal({ 'D/': '', 'D/x': 'x0', f: 'newer' })
  })

  it('a move of a file whose newer version has not arrived: the newer arrives at the new place', async () => {
    const tree = await lagging(
      p => p.write('f', 'newer'),
      p => p.rename('f', 'D/k'),
    )
    expect(tree).to.deep.equal({ 'D/': '', 'D/x': 'x0', 'D/k': 'newer' })
  })

  it('a create where a file is on its way: both are kept', async () => {
    const tree = await lagging(
      p => p.write('n', '\0from a'),
      p => p.write('n', '\0from b'),
    )
    const files = Object.entries(tree).filter(([path]) => path === 'n' || COPY.test(path))
    expect(files.map(([, content]) => content).sort()).to.deep.equal(['\0from a', '\0from b'])
  })

  it('rm -rf of a directory into which a file is on its way: it returns with only that', async () => {
    const tree = await lagging(
      p => p.write('D/new', 'new'),
      p => p.rmrf('D'),
    )
    expect(tree).to.deep.equal({ 'D/': '', 'D/new': 'new', f: 'f0' })
  })

  it('a directory renamed while its new content is on its way: it arrives there', async () => {
    const tree = await lagging(
      p => p.write('D/new', 'new'),
      p => p.rename('D', 'Z'),
    )
    expect(tree).to.deep.equal({ 'Z/': '', 'Z/new': 'new', 'Z/x': 'x0', f: 'f0' })
  })
})

describe('interruptions', () => {
  const many: Act = person => {
    person.mkdir('D')
    for (let at = 0; at < 30; at++) person.write(`D/${at}`, `content ${at}`)
    person.write('large', Buffer.alloc(300_000, 'abcdefg'))
  }

  for (const power of [false, true]) {
    it(`a device that dies again and again while it fills gets there${power ? ', with power cuts' : ''}`, () =>
      scene({ settings: { slownessMs: 40 } }, async stage => {
        many(stage.a.person)
        stage.a.start()
        stage.b.start()
        for (let at = 0; at < 25; at++) {
          await stage.world.pass(150 + 37 * at)
          stage.b.kill({ power })
          await stage.world.pass(10)
          stage.b.start()
        }
        await stage.meet()
        expect(stage.world.tree(stage.b)).to.deep.equal(stage.world.tree(stage.a))
        expect(Object.keys(stage.tree())).to.have.length(32)
      }))

    it(`a device that dies while it publishes loses and doubles nothing${power ? ', with power cuts' : ''}`, () =>
      scene({ settings: { slownessMs: 40 } }, async stage => {
        many(stage.a.person)
        stage.b.start()
        for (let at = 0; at < 15; at++) {
          stage.a.start()
          await stage.world.pass(60 + 41 * at)
          stage.a.kill({ power })
        }
        await stage.meet()
        expect(Object.keys(stage.tree())).to.have.length(32)
      }))
  }

  it('commits that fail store nothing, say so, and are made up for', () =>
    scene({}, async stage => {
      await stage.begin(p => p.write('f', 'f0'))
      stage.a.failCommits(new Error('the database cannot be written'))
      await stage.act(0, p => p.write('f', 'f1'))
      await stage.world.pass(10_000)
      expect(stage.world.tree(stage.b)).to.deep.equal({ f: 'f0' })
      expect(stage.a.engine.status().error).not.to.equal(null)
      expect(stage.a.engine.state().digest, 'what another device can read').to.match(/^[0-9a-f]{64}$/)
      expect(stage.world.failures.length, 'said once, not at every try').to.be.lessThan(3)
      stage.a.failCommits(null)
      stage.world.failures.length = 0
      await stage.world.pass(60_000)
      await stage.meet()
      expect(stage.tree()).to.deep.equal({ f: 'f1' })
    }))

  it('a full disk waits and goes on when there is room', () =>
    scene({}, async stage => {
      await stage.begin(p => p.write('f', 'f0'))
      stage.b.volume.freeBytes = 0
      await stage.act(0, p => p.write('new', Buffer.alloc(200_000, 'xyz')))
      await stage.world.pass(60_000)
      expect(stage.b.events.filter(event => event.type === 'folder:halted').map(event => event.code)).to.include(
        'disk-full',
      )
      expect(stage.world.tree(stage.b)).to.deep.equal({ f: 'f0' })
      stage.b.volume.freeBytes = Number.POSITIVE_INFINITY
      await stage.world.pass(31_000)
      expect(Object.keys(stage.world.tree(stage.b))).to.deep.equal(['f', 'new'])
      await stage.meet()
    }))

  for (const [size, what] of [
    [200, 'a small file'],
    [200_000, 'a large file'],
  ] as const)
    it(`a read-only disk says so while it lasts: ${what}`, () =>
      scene({}, async stage => {
        const problems = (): string[] => stage.b.engine.status().problems.map(({ message }) => message)
        await stage.begin(p => p.write('f', 'f0'))
        stage.b.volume.readOnly = true
        await stage.act(0, p => p.write('new', Buffer.alloc(size, 'xyz')))
        await stage.world.pass(60_000)
        expect(problems()).to.deep.equal(['The disk is read-only.'])
        stage.b.volume.readOnly = false
        await stage.world.pass(31_000)
        expect(problems()).to.deep.equal([])
        await stage.meet()
        expect(Object.keys(stage.tree())).to.deep.equal(['f', 'new'])
      }))
})
