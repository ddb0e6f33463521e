// Rot in what Kith itself keeps, where more hangs on it than the rotten bytes.
import { lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import type { ContentId } from '../../src/core/ids.ts'
import type { FolderDisk } from '../../src/core/ports.ts'
import { areaPath, contentName, PACKS, RECIPES } from '../../src/disk/area.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { DiskWorkers } from '../../src/disk/workers.ts'
import { noise } from '../contract/versions-contract.ts'
import { DEVICE, FOLDER, RealPerson, silent, temporaryRoot } from './real-person.ts'
import { rotAt } from './rot.ts'

const waiting = { signal: new AbortController().signal }

describe('disk/versions: the recipe of a packed version is rotten', () => {
  const bytes = noise(1)
  const list = contentOf(bytes)
  const { content } = list
  const known = { ...waiting, list: async () => list }
  let root = ''
  let workers: DiskWorkers
  let disk: FolderDisk

  const open = async (): Promise<void> => {
    workers = new DiskWorkers()
    disk = await openFolderDisk(root, { folder: FOLDER, device: DEVICE, log: silent, workers })
  }
  const close = async (): Promise<void> => {
    await disk.close()
    await workers.close()
  }
  const pack = async (what: Buffer): Promise<void> => {
    const recipe = contentOf(what)
    await disk.keepVersion(recipe.content, what)
    await disk.versions.pack(recipe.content, recipe, waiting)
  }
  const rot = (): void => rotAt(areaPath(root, RECIPES, contentName(content)), 20)
  const packed = (): number => {
    const packs = areaPath(root, PACKS)
    return readdirSync(packs).reduce((sum, name) => sum + lstatSync(areaPath(root, PACKS, name)).size, 0)
  }
  const given = async (): Promise<ContentId[]> => {
    const contents: ContentId[] = []
    for await (const some of disk.versions.all(waiting)) contents.push(...some.map(each => each.content))
    return contents
  }

  beforeEach(async () => {
    root = temporaryRoot()
    await open()
    await disk.accept()
    await disk.recover()
    await pack(bytes)
  })
  afterEach(async () => {
    await close()
    rmSync(root, { recursive: true, force: true })
  })

  it('is found though every worker knows what it was, and written anew from the list', async () => {
    for (let n = 0; n < 8; n++) expect(await disk.versions.verify(content, waiting)).to.equal('sound')
    rot()
    expect(await disk.versions.verify(content, known)).to.equal('mended')
    expect(await disk.versions.verify(content, waiting)).to.equal('sound')
    await close()
    await open()
    expect(await disk.versions.verify(content, waiting)).to.equal('sound')
    const read = await disk.read({ at: 'version', content }, 0, bytes.length, waiting)
    expect(read !== null && bytes.equals(read)).to.equal(true)
  })

  it('costs none of its chunks as long as nobody knows the list', async () => {
    rot()
    await close()
    await open()
    expect(await disk.versions.verify(content, waiting)).to.equal('damaged')
    expect(disk.hasVersion(content)).to.equal(false)
    // At the end of a halt.
    await disk.recover()
    expect(disk.hasVersion(content)).to.equal(false)
    // The first packing after a start clears.
    await pack(noise(2))
    expect(packed()).to.be.greaterThan(2 * bytes.length)
    expect(await disk.versions.verify(content, known)).to.equal('mended')
    expect(disk.hasVersion(content)).to.equal(true)
    expect(await disk.versions.verify(content, waiting)).to.equal('sound')
  })

  it('blocks nothing once the version lies whole again', async () => {
    const unneeded = noise(2)
    await pack(unneeded)
    rot()
    await close()
    await open()
    expect(await disk.versions.verify(content, waiting)).to.equal('damaged')
    await disk.stage.putWhole([{ content, bytes }], waiting)
    expect(await disk.versions.keepStaged(content, waiting)).to.equal(true)
    await disk.versions.drop([contentOf(unneeded).content], { ...waiting, mayGo: () => true })
    expect(packed()).to.equal(0)
    expect(await disk.versions.verify(content, waiting)).to.equal('sound')
    // And it can be packed again.
    await disk.versions.pack(content, list, waiting)
    expect(packed()).to.be.greaterThan(bytes.length)
    expect(await disk.versions.verify(content, waiting)).to.equal('sound')
  })

  it('can be dropped, and its chunks with it', async () => {
    rot()
    await close()
    await open()
    await disk.versions.verify(content, waiting)
    expect(await given()).to.deep.equal([content])
    await disk.versions.drop([content], { ...waiting, mayGo: () => true })
    expect(await given()).to.deep.equal([])
    expect(packed()).to.equal(0)
  })
})

describe('disk: a root that goes while it is verified', () => {
  it('says nothing of the files in it', async () => {
    const root = temporaryRoot()
    const disk = await openFolderDisk(root, { folder: FOLDER, device: DEVICE, log: silent })
    try {
      await disk.accept()
      new RealPerson(root).write('f', 'sound')
      const found = await disk.look('f')
      if (found === null) throw new Error('it was just made')
      renameSync(root, `${root}-away`)
      mkdirSync(root)
      const codes: string[] = []
      for await (const one of disk.hash([{ path: 'f', kind: 'file', stat: found.stat }], waiting))
        codes.push(one.ok ? 'read' : one.problem.code)
      expect(codes).to.deep.equal(['busy'])
    } finally {
      await disk.close()
      for (const path of [root, `${root}-away`]) rmSync(path, { recursive: true, force: true })
    }
  })
})
