// What nobody needs goes from a full disk too, and what could not be done is done later.
import { lstatSync, mkdirSync, readdirSync, rmSync, unlinkSync } from 'node:fs'
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import type { FolderDisk } from '../../src/core/ports.ts'
import { Serial } from '../../src/core/serial.ts'
import { areaPath, contentName, PACKS, RECIPES, VERSIONS } from '../../src/disk/area.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { packWork } from '../../src/disk/pack-work.ts'
import { DiskVersions, type DiskVersionsDeps } from '../../src/disk/versions.ts'
import { noise } from '../contract/versions-contract.ts'
import { onFullDisk } from './crash-fs.ts'
import { DEVICE, FOLDER, silent, temporaryRoot } from './real-person.ts'

const waiting = { signal: new AbortController().signal }
const idOf = (text: string) => contentOf(Buffer.from(text)).content

describe('disk/versions: dropping', () => {
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

  const packs = () => readdirSync(areaPath(root, PACKS)).map(name => lstatSync(areaPath(root, PACKS, name)).size)
  const packed = (): number => packs().reduce((sum, size) => sum + size, 0)

  it('gives back the packs that nobody needs before it writes others anew', async () => {
    const first = noise(1)
    const lists = []
    for (const bytes of [first, noise(2), first.subarray(0, 800_000)]) {
      const list = contentOf(bytes)
      await disk.keepVersion(list.content, bytes)
      await disk.versions.pack(list.content, list, waiting)
      lists.push(list)
    }
    for (const { content } of lists.slice(0, 2)) unlinkSync(areaPath(root, RECIPES, contentName(content)))
    const before = packed()
    const clear = () => packWork({ do: 'pack-clear', root: { path: root, identity: null } })
    expect(onFullDisk(clear)).to.include({ blocked: false, full: true })
    expect(before - packed(), 'what was packed of the second').to.be.greaterThan(noise(2).length)
    expect(packed()).to.be.greaterThan(first.length)
    expect(clear()).to.include({ blocked: false, full: false })
    expect(packed(), 'what is left of the first').to.be.lessThan(1_100_000)
    expect(await disk.versions.verify(lists[2]?.content ?? idOf(''), waiting)).to.equal('sound')
  })

  it('tries again what the disk had no room for', async () => {
    const clears: boolean[] = []
    const workers = {
      publish: async () => ({ done: [], packed: false }),
      hash: async () => {
        clears.push(true)
        return { freed: 0, blocked: false, full: clears.length < 3 }
      },
    } as unknown as DiskVersionsDeps['workers']
    const acts = new Serial()
    const versions = new DiskVersions({
      workers,
      acts,
      root: () => ({ path: root, identity: null }),
      stage: disk.stage as DiskVersionsDeps['stage'],
      log: silent,
    })
    for (let n = 0; n < 5; n++) await versions.drop([idOf('x')], { ...waiting, mayGo: () => true })
    expect(clears).to.have.length(3)
  })

  it('knows what is gone where it fails half-way', async () => {
    const [a, b, c] = ['a', 'b', 'c'].map(idOf)
    if (a === undefined || b === undefined || c === undefined) throw new Error('three were made')
    for (const text of ['a', 'c']) await disk.keepVersion(idOf(text), Buffer.from(text))
    mkdirSync(areaPath(root, VERSIONS, contentName(b)))
    await disk.versions.drop([a, b, c], { ...waiting, mayGo: () => true })
    expect(disk.hasVersion(a)).to.equal(false)
    expect(disk.hasVersion(c)).to.equal(true)
    const failed = await disk.versions.drop([b], { ...waiting, mayGo: () => true }).catch((error: unknown) => error)
    expect(failed).to.be.instanceOf(Error)
  })
})
