// The root's identity: what `check` says when it is gone, emptied, replaced, copied or another device's, and what a probe finds out.
import { execFileSync } from 'node:child_process'
import { chmodSync, lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import { isKithError } from '../../src/core/errors.ts'
import type { DeviceId, FolderId } from '../../src/core/ids.ts'
import type { FolderDisk } from '../../src/core/ports.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { createMarker, probeRoot, readMarker } from '../../src/disk/marker.ts'
import { DiskWorkers } from '../../src/disk/workers.ts'
import { DEVICE, FOLDER, RealPerson, silent, temporaryRoot } from './real-person.ts'

const OTHER = '12D3KooWOther' as DeviceId

describe('disk/marker', () => {
  const workers = new DiskWorkers()
  let root: string
  let person: RealPerson
  const opened: FolderDisk[] = []
  const open = async (at = root, over: { device?: DeviceId; takeOver?: boolean } = {}): Promise<FolderDisk> => {
    const disk = await openFolderDisk(at, { folder: FOLDER, device: DEVICE, log: silent, workers, ...over })
    opened.push(disk)
    return disk
  }
  const stateOf = async (disk: FolderDisk): Promise<string> => {
    const state = await disk.check({ hadEntries: true })
    if (state.state !== 'ok') expect(state.message).to.match(/\.$|\?$/)
    return state.state
  }
  async function codeOf(promise: Promise<unknown>): Promise<string> {
    try {
      await promise
      return 'none'
    } catch (error) {
      return isKithError(error) ? error.code : String(error)
    }
  }

  beforeEach(async () => {
    root = temporaryRoot()
    person = new RealPerson(root)
    person.write('f', 'x')
    await createMarker(root, { folder: FOLDER, device: DEVICE })
  })
  afterEach(async () => {
    for (const disk of opened.splice(0)) await disk.close()
    for (const path of [root, `${root}-copy`, `${root}-away`]) rmSync(path, { recursive: true, force: true })
  })
  after(() => workers.close())

  it('keeps its area private, and out of git', async () => {
    const disk = await open()
    await disk.recover()
    expect(lstatSync(person.path('.kith')).mode & 0o777).to.equal(0o700)
    expect(lstatSync(person.path('.kith/folder.json')).mode & 0o777).to.equal(0o600)
    expect(readFileSync(person.path('.kith/.gitignore'), 'utf8')).to.equal('*\n')
    chmodSync(person.path('.kith'), 0o777)
    await disk.recover()
    expect(lstatSync(person.path('.kith')).mode & 0o777).to.equal(0o700)
  })

  it('says what became of the root', async () => {
    const disk = await open()
    expect(await stateOf(disk)).to.equal('ok')
    execFileSync('mv', [root, `${root}-away`])
    expect(await stateOf(disk)).to.equal('missing')
    writeFileSync(root, 'a file')
    expect(await stateOf(disk)).to.equal('replaced')
    rmSync(root)
    mkdirSync(root)
    expect(await stateOf(disk)).to.equal('emptied')
    person.write('other', 'y')
    expect(await stateOf(disk)).to.equal('replaced')
    rmSync(root, { recursive: true })
    execFileSync('cp', ['-a', `${root}-away`, root])
    expect(await stateOf(disk)).to.equal('replaced')
    rmSync(root, { recursive: true })
    execFileSync('mv', [`${root}-away`, root])
    expect(await stateOf(disk)).to.equal('ok')
    rmSync(person.path('.kith'), { recursive: true })
    expect(await stateOf(disk)).to.equal('replaced')
    await disk.accept()
    expect(await stateOf(disk)).to.equal('ok')
    person.emptyRoot()
    expect(await stateOf(disk)).to.equal('emptied')
    rmSync(person.path('.kith'), { recursive: true })
    expect(await stateOf(disk)).to.equal('emptied')
  })

  it('makes a root again that is gone and was accepted, and nothing where a file stands', async () => {
    const disk = await open()
    rmSync(root, { recursive: true })
    writeFileSync(root, 'a file')
    expect(await codeOf(disk.accept())).to.equal('root-replaced')
    rmSync(root)
    await disk.accept()
    expect(await stateOf(disk)).to.equal('emptied')
    expect((await readMarker(root))?.device).to.equal(DEVICE)
  })

  it('opens while the root is away, and goes on when it is back', async () => {
    execFileSync('mv', [root, `${root}-away`])
    const disk = await open()
    expect(await stateOf(disk)).to.equal('missing')
    expect(await codeOf(disk.recover())).to.equal('root-missing')
    execFileSync('mv', [`${root}-away`, root])
    expect(await stateOf(disk)).to.equal('ok')
    await disk.recover()
    expect((await disk.look('f'))?.kind).to.equal('file')
  })

  it("refuses another device's folder until a person takes it over", async () => {
    expect(await codeOf(open(root, { device: OTHER }))).to.equal('path-foreign-marker')
    const disk = await open(root, { device: OTHER, takeOver: true })
    expect(await stateOf(disk)).to.equal('ok')
    expect((await readMarker(root))?.device).to.equal(OTHER)
    expect(await codeOf(open(root))).to.equal('path-foreign-marker')
  })

  it('takes a marker that a copy brought along for nobody’s while the original lives', async () => {
    execFileSync('cp', ['-a', root, `${root}-copy`])
    expect((await probeRoot(`${root}-copy`, OTHER)).foreign).to.equal(false)
    expect((await probeRoot(root, OTHER)).foreign).to.equal(true)
    expect((await probeRoot(root, DEVICE)).foreign).to.equal(false)
    rmSync(root, { recursive: true })
    expect((await probeRoot(`${root}-copy`, OTHER)).foreign).to.equal(true)
  })

  it('finds out what a directory is and can', async () => {
    const probe = await probeRoot(root, DEVICE)
    expect(probe).to.deep.include({ path: root, foreign: false, empty: false, foldsCase: false, keepsModes: true })
    expect(probe.marker?.folder).to.equal(FOLDER)
    person.emptyRoot()
    expect((await probeRoot(root, DEVICE)).empty).to.equal(true)
    person.write('f', 'x')
    expect(await codeOf(probeRoot(person.path('f'), DEVICE))).to.equal('path-not-directory')
    expect(await codeOf(probeRoot(person.path('none'), DEVICE))).to.equal('path-not-directory')
    expect(await codeOf(probeRoot('/proc', DEVICE))).to.equal('path-unreadable')
  })

  it('takes a damaged marker for none', async () => {
    for (const text of ['', '{', '{"version":2}', JSON.stringify({ version: 1, folder: '../..', device: 'x' })]) {
      person.write('.kith/folder.json', text)
      expect(await readMarker(root)).to.equal(null)
      expect(await stateOf(await open())).to.equal('replaced')
    }
    await createMarker(root, { folder: 'a'.repeat(32) as FolderId, device: DEVICE })
    expect(await stateOf(await open())).to.equal('replaced')
  })
})
