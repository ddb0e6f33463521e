import { mkdir, readdir, readFile, rename, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { expect } from 'chai'
import type { FolderId } from '../../src/core/ids.ts'
import { type Database, openDatabase, putBack, setAside } from '../../src/store/database.ts'
import { seeded } from '../support/random.ts'
import { failNextWrite } from './failing-writes.ts'
import { bytesIn, codeOf, newHome, removeHomes } from './homes.ts'
import { counterOf, doc, FOLDER, fileRow, metaWith, OTHER_FOLDER, rootRow } from './samples.ts'

describe('database', () => {
  let directory: string
  let open: Database[]

  beforeEach(async () => {
    directory = await newHome()
    open = []
  })
  afterEach(async () => {
    for (const database of open) await database.close()
    await removeHomes()
  })

  async function opened(): Promise<Database> {
    const database = await openDatabase(directory)
    open.push(database)
    return database
  }

  async function closed(): Promise<void> {
    for (const database of open.splice(0)) await database.close()
  }

  async function withFolder(): Promise<void> {
    const database = await opened()
    await database.folder(FOLDER).commit({ meta: metaWith(1), rows: { put: [rootRow()], deleted: [] } })
    await closed()
  }

  it('is private, and remembers folders and state', async () => {
    const database = await opened()
    expect((await stat(directory)).mode & 0o777).to.equal(0o700)
    expect((await stat(`${directory}.json`)).mode & 0o777).to.equal(0o600)
    expect(database.folders()).to.deep.equal([])
    expect(await database.state.get('machine')).to.equal(null)
    await database.state.set('machine', 'ünï')
    await database.folder(OTHER_FOLDER).commit({ meta: metaWith(2) })
    await database.folder(FOLDER).commit({ meta: metaWith(1) })
    expect(database.folders()).to.deep.equal([FOLDER, OTHER_FOLDER])
    expect(database.folder(FOLDER)).to.equal(database.folder(FOLDER))
    await closed()
    const again = await opened()
    expect(again.folders()).to.deep.equal([FOLDER, OTHER_FOLDER])
    expect(await again.state.get('machine')).to.equal('ünï')
    expect(await again.folder(FOLDER).meta()).to.deep.equal(metaWith(1))
    expect(await again.folder(OTHER_FOLDER).meta()).to.deep.equal(metaWith(2))
  })

  it('erases one folder and leaves its neighbours', async () => {
    const database = await opened()
    const neighbours = [
      `${FOLDER.slice(0, -1)}e`,
      `${FOLDER.slice(0, -4)}de00`,
      '0'.repeat(32),
      'f'.repeat(32),
    ] as FolderId[]
    for (const id of [FOLDER, ...neighbours]) {
      await database.folder(id).commit({ meta: metaWith(3), rows: { put: [rootRow()], deleted: [] } })
    }
    await database.folder(FOLDER).erase()
    expect(database.folders()).to.deep.equal([...neighbours].sort())
    await closed()
    const again = await opened()
    expect(again.folders()).to.deep.equal([...neighbours].sort())
    expect(await again.folder(FOLDER).meta()).to.equal(null)
    for (const id of neighbours) {
      expect(await again.folder(id).meta()).to.deep.equal(metaWith(3))
      expect((await again.folder(id).loadRows()).size).to.equal(1)
    }
  })

  for (const next of ['a restart', 'the next commit']) {
    it(`ends an erasing that was cut off at ${next}`, async () => {
      await withFolder()
      const store = (await opened()).folder(FOLDER)
      failNextWrite('before', 'IO error: as asked', 1)
      expect(await codeOf(store.erase())).to.equal('store-failed')
      if (next === 'a restart') await closed()
      const database = open[0] ?? (await opened())
      expect(database.folders()).to.deep.equal([])
      expect(await database.folder(FOLDER).meta()).to.equal(null)
      await database.folder(FOLDER).commit({ meta: metaWith(7) })
      expect((await database.folder(FOLDER).loadRows()).size).to.equal(0)
      expect(database.folders()).to.deep.equal([FOLDER])
      await closed()
      expect(await (await opened()).folder(FOLDER).meta()).to.deep.equal(metaWith(7))
    })
  }

  it('is opened once', async () => {
    await opened()
    expect(await codeOf(openDatabase(directory))).to.equal('daemon-running')
  })

  it('refuses a newer schema and touches nothing', async () => {
    await withFolder()
    const marker = JSON.parse(await readFile(`${directory}.json`, 'utf8'))
    await writeFile(`${directory}.json`, JSON.stringify({ ...marker, schema: marker.schema + 1, more: true }))
    const before = await bytesIn(directory)
    expect(await codeOf(openDatabase(directory))).to.equal('home-newer')
    expect(await bytesIn(directory)).to.deep.equal(before)
    await writeFile(`${directory}.json`, JSON.stringify(marker))
    expect((await opened()).folders()).to.deep.equal([FOLDER])
  })

  it('refuses a database whose CURRENT is gone, and its tables stay', async () => {
    await withFolder()
    await (await opened()).close()
    open = []
    const current = join(directory, 'CURRENT')
    const bytes = await readFile(current)
    const tables = (await readdir(directory)).filter(name => name.endsWith('.ldb'))
    expect(tables).not.to.deep.equal([])
    await unlink(current)
    for (let times = 0; times < 2; times++) {
      expect(await codeOf(openDatabase(directory))).to.equal('database-corrupt')
      expect(await readdir(directory)).to.include.members(tables)
    }
    await unlink(`${directory}.json`)
    expect(await codeOf(openDatabase(directory))).to.equal('database-corrupt')
    expect(await readdir(directory)).to.include.members(tables)
    await writeFile(current, bytes)
    expect((await opened()).folders()).to.deep.equal([FOLDER])
    expect(await readdir(dirname(directory))).to.include('database.json')
  })

  it('does not take a directory that is gone, or a marker that is garbage, for a new home', async () => {
    await withFolder()
    await rename(directory, `${directory}.elsewhere`)
    expect(await codeOf(openDatabase(directory))).to.equal('database-corrupt')
    await rename(`${directory}.elsewhere`, directory)
    for (const text of ['', '{', '{"kith":"database"}', '{"kith":"database","schema":0}']) {
      await writeFile(`${directory}.json`, text)
      expect(await codeOf(openDatabase(directory))).to.equal('database-corrupt')
    }
  })

  it('begins again where its making was cut off', async () => {
    await withFolder()
    await rename(directory, `${directory}.new`)
    await rm(join(`${directory}.new`, 'CURRENT'))
    await unlink(`${directory}.json`)
    expect((await opened()).folders()).to.deep.equal([])
    expect(await readdir(dirname(directory))).to.have.members(['database', 'database.json'])
  })

  it('is set aside and made anew, also where the first try was cut off', async () => {
    await withFolder()
    await writeFile(join(directory, 'CURRENT'), 'MANIFEST-999999\n')
    expect(await codeOf(openDatabase(directory))).to.equal('database-corrupt')
    const aside = await setAside(directory)
    expect(basename(String(aside))).to.match(/^database-damaged-\d{4}-\d\d-\d\dT/)
    expect(await readdir(String(aside))).to.include('CURRENT')
    expect((await opened()).folders()).to.deep.equal([])
    await closed()
    await rename(directory, `${directory}.gone`)
    expect(await codeOf(openDatabase(directory))).to.equal('database-corrupt')
    await setAside(directory)
    expect((await opened()).folders()).to.deep.equal([])
    await closed()
    await setAside(directory)
    expect(await setAside(directory)).to.equal(null)
  })

  it('what was set aside can be put back in the place of one that could not be made', async () => {
    const store = (await opened()).folder(FOLDER)
    await store.commit({ meta: metaWith(1) })
    await closed()
    const aside = String(await setAside(directory))
    await mkdir(directory)
    await writeFile(join(directory, 'half'), 'made')
    await putBack(aside, directory)
    expect((await opened()).folders()).to.deep.equal([FOLDER])
    expect(await readdir(directory)).not.to.include('half')
  })

  it('of those that were set aside the last three are kept', async () => {
    const kept: string[] = []
    for (let time = 0; time < 5; time++) {
      await opened()
      await closed()
      kept.push(basename(String(await setAside(directory))))
    }
    const beside = (await readdir(dirname(directory))).filter(name => name.startsWith('database-damaged-'))
    expect(beside.filter(name => !name.endsWith('.json')).sort()).to.deep.equal(kept.slice(-3).sort())
    expect(beside.length, 'their markers go with them').to.equal(6)
  })

  describe('a commit that LevelDB reports as failed', () => {
    it('is a success where it is found after opening anew', async () => {
      const database = await opened()
      const store = database.folder(FOLDER)
      await store.commit({ meta: metaWith(1) })
      failNextWrite('after')
      await store.commit({ meta: metaWith(2), updates: [{ doc: doc(4), update: Buffer.from('x') }] })
      await store.commit({ updates: [{ doc: doc(4), update: Buffer.from('y') }] })
      await closed()
      const again = (await opened()).folder(FOLDER)
      expect(counterOf(await again.meta())).to.equal(2)
      expect((await again.loadDoc(doc(4))).map(String)).to.deep.equal(['x', 'y'])
    })

    it('is `no-space` where the disk was full, and other folders go on', async () => {
      const random = seeded('full')
      const database = await opened()
      const [one, two] = [database.folder(FOLDER), database.folder(OTHER_FOLDER)]
      await two.commit({ rows: { put: [rootRow(), fileRow(random, 2)], deleted: [] } })
      failNextWrite('before', 'IO error: 000003.log: No space left on device')
      const failing = codeOf(one.commit({ meta: metaWith(1) }))
      const waiting = two.commit({ rows: { put: [fileRow(random, 3)], deleted: [] } })
      expect(await failing).to.equal('no-space')
      await waiting
      expect(database.folders()).to.deep.equal([OTHER_FOLDER])
      expect((await two.loadRows()).size).to.equal(3)
    })

    it('is refused before anything is written where the reserve would be used up', async () => {
      const database = await openDatabase(directory, { reserveBytes: Number.MAX_SAFE_INTEGER }).catch(error => error)
      expect(database).to.deep.include({ code: 'no-space' })
    })
  })

  it('says that it is closed', async () => {
    const database = await opened()
    const store = database.folder(FOLDER)
    await store.commit({ meta: metaWith(1) })
    await closed()
    expect(await codeOf(store.commit({ meta: metaWith(2) }))).to.equal('stopped')
    expect(await codeOf(store.meta())).to.equal('stopped')
  })
})
