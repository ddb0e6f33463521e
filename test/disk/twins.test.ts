// What is replaced while a version of the same content is kept already: whichever of the two is sound stays.
import { linkSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import type { ContentId } from '../../src/core/ids.ts'
import type { FolderDisk } from '../../src/core/ports.ts'
import { areaPath, contentName, DAMAGED, LATE_FILE, VERSIONS } from '../../src/disk/area.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { LATE_WRITER_MS } from '../../src/disk/late-writers.ts'
import { DiskWorkers } from '../../src/disk/workers.ts'
import { DEVICE, FOLDER, RealPerson, silent, temporaryRoot } from './real-person.ts'
import { rotAt } from './rot.ts'

const waiting = { signal: new AbortController().signal }
const precious = Buffer.from('\0sound and precious')
const { content } = contentOf(precious)
const name = contentName(content)

describe('disk/versions: twins', () => {
  let root = ''
  let workers: DiskWorkers
  let disk: FolderDisk
  let person: RealPerson
  const versions = (): string[] => readdirSync(areaPath(root, VERSIONS)).sort()
  const kept = (): Buffer => readFileSync(areaPath(root, VERSIONS, name))
  const rot = (): void => rotAt(areaPath(root, VERSIONS, name), 3)

  beforeEach(async () => {
    root = temporaryRoot()
    person = new RealPerson(root)
    workers = new DiskWorkers()
    disk = await openFolderDisk(root, { folder: FOLDER, device: DEVICE, log: silent, workers })
    await disk.accept()
    await disk.recover()
    await disk.keepVersion(content, precious)
  })
  afterEach(async () => {
    await disk.close()
    await workers.close()
    rmSync(root, { recursive: true, force: true })
  })

  async function replace(path = 'f', expectContent = content): Promise<void> {
    const found = await disk.look(path)
    if (found?.kind !== 'file') throw new Error('it was just made')
    const bytes = Buffer.from('\0new')
    const next = contentOf(bytes).content
    await disk.stage.putWhole([{ content: next, bytes }], waiting)
    const facts = { content: next, mode: 0o644, mtime: 1_700_000_000_000, keep: false }
    const old = { kind: found.kind, expect: found.stat, expectContent }
    const [result] = await disk.apply([{ do: 'put', path, ...facts, ...old }], waiting)
    expect(result?.ok).to.equal(true)
    expect(person.read(path)).to.deep.equal(bytes)
  }

  /** Every reading of a kept version begins with `act`. */
  function onRead(act: (content: ContentId) => Promise<void>): void {
    const hash = workers.hash.bind(workers)
    workers.hash = async task => {
      if (task.do === 'version-verify') await act(task.content)
      return hash(task)
    }
  }

  /** As at a start, after the time in which a program may still write to what was replaced. */
  async function later(left = 1): Promise<void> {
    const log = areaPath(root, LATE_FILE)
    const past = Date.now() - LATE_WRITER_MS - 1
    writeFileSync(log, readFileSync(log, 'utf8').replace(/"time":\d+/g, `"time":${past}`))
    await disk.recover()
    // Where one is to stay, it gets its name last.
    const isNamed = (): boolean => left > 1 || versions()[0] === name
    while (versions().length > left || !isNamed()) await setImmediate()
  }

  it('a sound file takes the place of a version that is rotten', async () => {
    person.write('f', precious)
    rot()
    await replace()
    await later()
    expect(versions()).to.deep.equal([name])
    expect(kept()).to.deep.equal(precious)
    expect(readdirSync(areaPath(root, DAMAGED))).to.have.length(1)
    expect(await disk.versions.verify(content, waiting)).to.equal('sound')
  })

  it('a sound version stays', async () => {
    person.write('f', precious)
    await replace()
    await later()
    expect(versions()).to.deep.equal([name])
    expect(kept()).to.deep.equal(precious)
    expect(readdirSync(areaPath(root, DAMAGED))).to.deep.equal([])
  })

  it('so it is with a file that has another name, of which a copy is kept', async () => {
    person.write('other', precious)
    linkSync(person.path('other'), person.path('f'))
    await replace()
    expect(versions(), 'no copy of what is sound').to.deep.equal([name])
    person.remove('f')
    linkSync(person.path('other'), person.path('f'))
    rot()
    await replace()
    await later()
    expect(kept()).to.deep.equal(precious)
  })

  describe('what they wait for', () => {
    const second = Buffer.from('\0the other one')
    const { content: other } = contentOf(second)

    async function replaceTwo(): Promise<void> {
      await disk.keepVersion(other, second)
      person.write('f', precious)
      person.write('g', second)
      await replace('f')
      await replace('g', other)
      expect(versions()).to.have.length(4)
    }

    it('is read once at a time, and no more once the folder is closed', async () => {
      await replaceTwo()
      const reading: ContentId[] = []
      let release = (): void => undefined
      const first = new Promise<void>(resolve => {
        release = resolve
      })
      onRead(async id => {
        reading.push(id)
        await first
      })
      for (let look = 0; look < 3; look++) await later(4)
      expect(reading).to.have.length(1)
      await disk.close()
      release()
      await workers.close()
      await setImmediate()
      expect(reading).to.have.length(1)
    })

    it('is no business of the others where it cannot be read', async () => {
      await replaceTwo()
      let times = 0
      onRead(async id => {
        if (id !== content) return
        times++
        throw Object.assign(new Error('not permitted'), { code: 'EACCES' })
      })
      await later(3)
      expect(versions().filter(each => each.startsWith(contentName(other)))).to.have.length(1)
      expect(versions().filter(each => each.startsWith(name))).to.have.length(2)
      await disk.recover()
      expect(times, 'it is tried again at the next look').to.equal(2)
    })
  })
})
