// What a backup device keeps at once, and what it leaves for a quiet moment.
import { expect } from 'chai'
import type { ContentId } from '../../src/core/ids.ts'
import { ROOT_ROW } from '../../src/core/ids.ts'
import type { FolderDisk } from '../../src/core/ports.ts'
import type { Row } from '../../src/core/rows.ts'
import { RowTable } from '../../src/core/rows.ts'
import { DEFAULT_SETTINGS } from '../../src/core/status.ts'
import { KeepAll } from '../../src/sync/keep-all.ts'
import { silentLog } from '../p2p/loopback.ts'
import { fileRow } from '../store/samples.ts'
import { areaOf } from '../support/memory-volume.ts'
import { seeded } from '../support/random.ts'
import { scene } from '../support/scene.ts'

const signal = new AbortController().signal

describe('sync/keep-all', () => {
  const rows = new RowTable()
  const row = (name: string, size: number) => {
    const made = { ...fileRow(seeded(name), rows.allocate()), parent: ROOT_ROW, name, size }
    rows.put(made)
    return made
  }
  rows.put({ ...fileRow(seeded('root'), 1), id: ROOT_ROW, parent: ROOT_ROW, name: '', kind: 'directory' })
  const small = row('small', 1)
  const large = row('large', 65 * 1024 * 1024)
  let kept: ContentId[]
  let missed: number
  let isFull: boolean

  let isOn: boolean
  let damaged: Row | null
  let tried: ContentId[]

  const keepAll = (): KeepAll => {
    kept = []
    isOn = true
    missed = 0
    isFull = false
    damaged = null
    tried = []
    const damage = { has: (one: Row) => one.id === damaged?.id }
    const versions = {
      keep: async (_path: string, _stat: unknown, content: ContentId) => {
        tried.push(content)
        if (content === damaged?.content) return false
        if (isFull) throw new Error('no space')
        kept.push(content)
        return true
      },
    }
    const disk = { hasVersion: (content: ContentId) => kept.includes(content), versions } as unknown as FolderDisk
    const onMissed = (): void => void missed++
    return new KeepAll({ rows: () => rows, disk, isOn: () => isOn, damage, onMissed, log: silentLog })
  }

  it('a large file does not hold up the folder: it is kept in a quiet moment', async () => {
    const all = keepAll()
    await all.keep(['small', 'large'], { signal })
    expect(kept).to.deep.equal([small.content])
    expect(missed).to.equal(1)
    while (await all.catchUp({ signal }));
    expect(kept).to.include.members([small.content, large.content])
  })

  it('what could not be kept is caught up with', async () => {
    const all = keepAll()
    isFull = true
    await all.keep(['small'], { signal })
    expect(missed).to.equal(1)
    isFull = false
    while (await all.catchUp({ signal }));
    expect(kept).to.include(small.content)
  })

  const problem = { code: 'versions-missed', path: '' }
  const pass = async (all: KeepAll): Promise<void> => {
    while (await all.catchUp({ signal }));
  }

  it('what cannot be caught up with is told of, and tried again until it can', async () => {
    const all = keepAll()
    isFull = true
    for (let times = 0; times < 2; times++) {
      await pass(all)
      expect(all.problem).to.include(problem)
      expect(all.problem?.message).to.match(/^2 files are not kept as a version yet: .*no space/)
    }
    isFull = false
    await pass(all)
    expect(kept).to.have.members([small.content, large.content])
    expect(all.problem).to.equal(null)
  })

  it('what fails at once while all else is caught up with is told of too', async () => {
    const all = keepAll()
    await pass(all)
    kept.splice(0)
    isFull = true
    await all.keep(['small'], { signal })
    await pass(all)
    expect(all.problem).to.include({ ...problem, path: 'small' })
    isFull = false
    await pass(all)
    expect(kept).to.deep.equal([small.content])
  })

  it('what is damaged is not read again and again, nor told of as written to, and is kept once it is mended', async () => {
    const all = keepAll()
    damaged = small
    for (let times = 0; times < 2; times++) {
      await pass(all)
      expect(all.problem).to.equal(null)
    }
    expect(tried).to.deep.equal([large.content])
    damaged = null
    await pass(all)
    expect(kept).to.have.members([small.content, large.content])
  })

  it('what was interrupted goes on where it was', async () => {
    const all = keepAll()
    const stop = new AbortController()
    stop.abort(new Error('there is something to do'))
    isFull = true
    const end = await all.catchUp(stop).catch((error: unknown) => error)
    expect(end).to.be.instanceOf(Error)
    isFull = false
    await pass(all)
    expect(kept).to.have.members([small.content, large.content])
  })

  it('set anew, it begins anew', async () => {
    const all = keepAll()
    isFull = true
    await pass(all)
    isOn = false
    expect(all.problem).to.equal(null)
    isOn = true
    all.begin()
    expect(all.problem).to.equal(null)
    isFull = false
    await pass(all)
    isOn = false
    kept.splice(0)
    isOn = true
    all.begin()
    await pass(all)
    expect(kept).to.have.members([small.content, large.content])
  })

  it('a folder says in its status what it could not keep, until it could', () =>
    scene({ devices: 1 }, async stage => {
      const { world, a } = stage
      const codes = (): string[] => a.engine.status().problems.map(({ code }) => code)
      await stage.begin(person => person.write('f', 'all of it'))
      const free = a.volume.freeBytes
      a.volume.freeBytes = 0
      a.engine.configure({ ...DEFAULT_SETTINGS, versions: 'all' })
      await world.pass(60_000)
      expect(codes()).to.deep.equal(['versions-missed'])
      a.volume.freeBytes = free
      await world.pass(15 * 60_000)
      expect(codes()).to.deep.equal([])
      expect(areaOf(a.volume).versions.size).to.equal(1)
    }))

  it('begins though the folder was woken while it was at work', () =>
    scene({ devices: 1, settings: { slownessMs: 100 } }, async stage => {
      const { world, a } = stage
      await stage.begin(person => person.write('f', 'all of it'))
      await world.finish(a.stop(), 'stop')
      a.start()
      while (!a.started) await world.pass(1)
      a.engine.configure({ ...DEFAULT_SETTINGS, versions: 'all', minCopies: 2 })
      await world.pass(5_000)
      expect(areaOf(a.volume).versions.size).to.equal(1)
      expect(a.engine.status().problems.map(({ code }) => code)).to.deep.equal(['few-copies'])
    }))
})
