// What is replaced while a version of the same content is kept already: whichever of the two is sound stays.
import { linkSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import type { FolderDisk } from '../../src/core/ports.ts'
import { areaPath, contentName, DAMAGED, LATE_FILE, VERSIONS } from '../../src/disk/area.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { LATE_WRITER_MS } from '../../src/disk/late-writers.ts'
import { DEVICE, FOLDER, RealPerson, silent, temporaryRoot } from './real-person.ts'
import { rotAt } from './rot.ts'

const waiting = { signal: new AbortController().signal }
const precious = Buffer.from('\0sound and precious')
const { content } = contentOf(precious)
const name = contentName(content)

describe('disk/versions: twins', () => {
  let root = ''
  let disk: FolderDisk
  let person: RealPerson
  const versions = (): string[] => readdirSync(areaPath(root, VERSIONS)).sort()
  const kept = (): Buffer => readFileSync(areaPath(root, VERSIONS, name))
  const rot = (): void => rotAt(areaPath(root, VERSIONS, name), 3)

  beforeEach(async () => {
    root = temporaryRoot()
    person = new RealPerson(root)
    disk = await openFolderDisk(root, { folder: FOLDER, device: DEVICE, log: silent })
    await disk.accept()
    await disk.recover()
    await disk.keepVersion(content, precious)
  })
  afterEach(async () => {
    await disk.close()
    rmSync(root, { recursive: true, force: true })
  })

  async function replace(): Promise<void> {
    const found = await disk.look('f')
    if (found?.kind !== 'file') throw new Error('it was just made')
    const bytes = Buffer.from('\0new')
    const next = contentOf(bytes).content
    await disk.stage.putWhole([{ content: next, bytes }], waiting)
    const facts = { content: next, mode: 0o644, mtime: 1_700_000_000_000, keep: false }
    const old = { kind: found.kind, expect: found.stat, expectContent: content }
    const [result] = await disk.apply([{ do: 'put', path: 'f', ...facts, ...old }], waiting)
    expect(result?.ok).to.equal(true)
    expect(person.read('f')).to.deep.equal(bytes)
  }

  /** As at a start, after the time in which a program may still write to what was replaced. */
  async function later(): Promise<void> {
    const log = areaPath(root, LATE_FILE)
    const past = Date.now() - LATE_WRITER_MS - 1
    writeFileSync(log, readFileSync(log, 'utf8').replace(/"time":\d+/g, `"time":${past}`))
    await disk.recover()
    while (versions().length > 1) await setImmediate()
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
})
