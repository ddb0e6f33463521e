// A replaced inode that a program may still write to is kept and served, but not given out, dropped, packed or moved.
import { rmSync } from 'node:fs'
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import type { FolderDisk, KeptVersion } from '../../src/core/ports.ts'
import { areaPath, contentName, VERSIONS } from '../../src/disk/area.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { noise } from '../contract/versions-contract.ts'
import { DEVICE, FOLDER, RealPerson, silent, temporaryRoot } from './real-person.ts'
import { rotAt } from './rot.ts'

const waiting = { signal: new AbortController().signal }

describe('disk/versions: late writers', () => {
  let root = ''
  let disk: FolderDisk

  beforeEach(async () => {
    root = temporaryRoot()
    disk = await openFolderDisk(root, { folder: FOLDER, device: DEVICE, log: silent })
    await disk.accept()
    await disk.recover()
  })
  afterEach(async () => {
    await disk.close()
    rmSync(root, { recursive: true, force: true })
  })

  it('are waited for before anything is done to what they may write to', async () => {
    const old = contentOf(noise(1))
    new RealPerson(root).write('f', noise(1))
    const found = await disk.look('f')
    if (found === null) throw new Error('it was just written')
    const step = { do: 'remove', path: 'f', kind: 'file', expect: found.stat, content: old.content } as const
    const [result] = await disk.apply([step], waiting)
    expect(result?.ok).to.equal(true)
    const given: KeptVersion[] = []
    for await (const some of disk.versions.all(waiting)) given.push(...some)
    expect(given).to.deep.equal([])
    const dropped = await disk.versions.drop([old.content], { ...waiting, mayGo: () => true })
    expect(dropped).to.deep.equal([])
    await disk.versions.pack(old.content, old, waiting)
    expect(disk.hasVersion(old.content)).to.equal(true)
    const late: KeptVersion[] = []
    for await (const some of disk.versions.all({ ...waiting, late: true })) late.push(...some)
    expect(late.map(({ content }) => content)).to.deep.equal([old.content])
    expect(await disk.versions.verify(old.content, waiting)).to.equal('sound')
    const bytes = await disk.read({ at: 'version', content: old.content }, 0, 100, waiting)
    expect(Buffer.from(bytes ?? []).equals(noise(1).subarray(0, 100))).to.equal(true)
    // Written by that program, or rot: it is not known yet.
    rotAt(areaPath(root, VERSIONS, contentName(old.content)), 10)
    expect(await disk.versions.verify(old.content, waiting)).to.equal('busy')
    expect(disk.hasVersion(old.content)).to.equal(true)
  })
})
