import { spawnSync } from 'node:child_process'
import { chmod, lstat, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { KithError } from '../../src/core/errors.ts'
import type { DeviceId, FolderId } from '../../src/core/ids.ts'
import { planRoot } from '../../src/daemon/roots.ts'
import { FakeDaemon, makeDirectory } from './support/fake-daemon.ts'
import { refusal } from './support/refusal.ts'

const OTHER = '12D3KooWOtherDeviceaaaaaaaaaaaaaaaaaaaaaaaaaaaabcde' as DeviceId
const OFFERED = 'ab'.repeat(16) as FolderId

describe('daemon/folders', () => {
  let directory: Awaited<ReturnType<typeof makeDirectory>>
  let daemon: FakeDaemon
  const at = (...parts: string[]): string => join(directory.path, ...parts)

  beforeEach(async () => {
    directory = await makeDirectory()
    daemon = await (await FakeDaemon.create(directory.path)).start()
    await mkdir(at('notes', 'deep'), { recursive: true })
  })
  afterEach(async () => {
    await daemon.stop()
    await directory.remove()
  })

  const add = (path: string, name?: string) => daemon.folders.add(path, { name, create: false })

  /** It must be refused with that code and leave everything as it was. */
  async function refuses(task: () => Promise<unknown>, code: string, says: RegExp): Promise<void> {
    const before = JSON.stringify(await daemon.list.load())
    const error = await refusal(task())
    expect(error.code).to.equal(code)
    expect(error.message).to.match(says).and.not.contain('\n')
    expect(JSON.stringify(await daemon.list.load())).to.equal(before)
    expect(daemon.folders.statuses()).to.have.length((await daemon.list.load()).folders.length)
  }

  it('adds a folder: written down, started, shared, said', async () => {
    const record = await add(at('notes'))
    expect(record).to.deep.include({ name: 'notes', path: at('notes'), taken: false, paused: false, marked: true })
    expect(record.id).to.match(/^[0-9a-f]{32}$/)
    expect((await daemon.list.load()).folders).to.deep.equal([record])
    expect(daemon.opened).to.deep.equal([{ ...record, marked: false }])
    expect(daemon.engine('notes').calls).to.deep.equal(['start'])
    expect(daemon.engine('notes').network).not.to.equal(null)
    expect(daemon.network.shared.has(record.id)).to.equal(true)
    expect(daemon.emitted.at(-1)).to.deep.equal({
      type: 'folder:added',
      folder: record.id,
      name: 'notes',
      path: at('notes'),
    })
  })

  describe('refuses a root', () => {
    it('that is a file', async () => {
      await writeFile(at('file'), '')
      await refuses(() => add(at('file')), 'path-not-directory', /file is not a directory/)
      await refuses(() => add(at('file', 'below')), 'path-not-directory', /not a directory/)
    })

    it('that does not exist', () => refuses(() => add(at('nowhere')), 'bad-path', /nothing at .*nowhere/))

    it('that is a relative path', () => refuses(() => add('notes'), 'bad-path', /no absolute path/))

    it('that this user cannot read', async function () {
      if (process.getuid?.() !== 0) this.skip()
      await chmod(directory.path, 0o755)
      await mkdir(at('locked'), { mode: 0 })
      const plans = () =>
        Promise.allSettled(['locked', 'locked/below'].map(name => planRoot(at(name), [], { create: true })))
      process.seteuid?.(65_534)
      const results = await plans().finally(() => process.seteuid?.(0))
      for (const result of results) {
        expect(result.status === 'rejected' && result.reason).to.have.property('code', 'path-unreadable')
      }
    })

    it('that is a loop of symlinks', async () => {
      await symlink(at('b'), at('a'))
      await symlink(at('a'), at('b'))
      await refuses(() => add(at('a')), 'path-unreadable', /loop/)
    })

    it('in another folder, around it, or equal to it', async () => {
      await mkdir(at('notes', 'deep', 'er'))
      await add(at('notes', 'deep'))
      await refuses(() => add(at('notes', 'deep', 'er')), 'path-nested', /lies in the folder "deep"/)
      await refuses(() => add(at('notes')), 'path-nested', /holds the folder "deep"/)
      await refuses(() => add(at('notes', 'deep'), 'x'), 'folder-exists', /is the folder "deep" already/)
      await refuses(() => add(`${at('notes', 'deep')}/../deep/`, 'x'), 'folder-exists', /is the folder "deep"/)
    })

    it('that a symlink leads into another folder', async () => {
      await add(at('notes'))
      await symlink(at('notes', 'deep'), at('elsewhere'))
      await refuses(() => add(at('elsewhere')), 'path-nested', /lies in the folder "notes"/)
      await symlink(at('notes'), at('same'))
      await refuses(() => add(at('same')), 'folder-exists', /is the folder "notes"/)
      await symlink(directory.path, at('around'))
      await refuses(() => add(at('around')), 'path-nested', /holds/)
    })

    it('that shows a folder, or what is in it, at another place (bind mount)', async function () {
      const script = `import { planRoot } from ${JSON.stringify(new URL('../../src/daemon/roots.ts', import.meta.url).href)}
        const [notes, bound] = process.argv.slice(1)
        for (const [path, taken] of [[bound, notes], [notes, bound]]) {
          await planRoot(path, [{ path: taken, folder: 'notes' }], { create: false }).then(
            () => console.log('taken'), error => console.log(error.code))
        }`
      await mkdir(at('bound'))
      const inner = ['--import', 'tsx', '--input-type=module', '-e', script, at('notes'), at('bound')]
      const mount = 'mount --bind "$1" "$2" || exit 77; shift 2; exec "$@"'
      const names = [at('notes', 'deep'), at('bound')]
      const result = spawnSync('unshare', ['-m', 'sh', '-c', mount, 'sh', ...names, process.execPath, ...inner], {
        cwd: fileURLToPath(new URL('../..', import.meta.url)),
      })
      // SKIP: this machine lets no mounts be made.
      if (result.error !== undefined || result.status === 77 || result.status === 1) this.skip()
      expect(result.stdout.toString()).to.equal('path-nested\npath-nested\n')
    })

    it('in or around a folder whose root is gone at the moment', async () => {
      await mkdir(at('disk', 'photos'), { recursive: true })
      await add(at('disk', 'photos'))
      await rm(at('disk', 'photos'), { recursive: true })
      await refuses(() => add(at('disk')), 'path-nested', /holds the folder "photos"/)
      const below = () => daemon.folders.add(at('disk', 'photos', 'new'), { create: true })
      await refuses(below, 'path-nested', /lies in the folder "photos"/)
      expect(await readdir(at('disk'))).to.deep.equal([])
    })

    it('in the home, around it, or equal to it', async () => {
      await mkdir(join(daemon.home.root, 'sub'))
      await refuses(() => add(join(daemon.home.root, 'sub')), 'path-nested', /lies in Kith's own home/)
      await refuses(() => add(daemon.home.root), 'path-nested', /Kith's own home/)
      await refuses(() => add(directory.path), 'path-nested', /holds Kith's own home/)
      await symlink(daemon.home.root, at('to-home'))
      await refuses(() => add(at('to-home')), 'path-nested', /Kith's own home/)
    })

    it('in a .kith directory, in any spelling', async () => {
      await mkdir(at('other', '.KITH', 'versions'), { recursive: true })
      await refuses(() => add(at('other', '.KITH', 'versions')), 'bad-path', /\.kith/)
    })

    it('that another device syncs', async () => {
      daemon.foreign.add(at('notes'))
      await refuses(() => add(at('notes')), 'path-foreign-marker', /Another device/)
    })

    it('whose name is taken, or is no name', async () => {
      await mkdir(at('b', 'notes'), { recursive: true })
      await add(at('notes'))
      await refuses(() => add(at('b', 'notes')), 'folder-exists', /--name/)
      await refuses(() => add(at('b'), 'a/b'), 'bad-path', /cannot be the name/)
      await refuses(() => add(at('b'), '..'), 'bad-path', /cannot be the name/)
      expect((await add(at('b', 'notes'), 'more notes')).name).to.equal('more notes')
    })

    it('that can no longer be started: nothing is left of it', async () => {
      daemon.onOpen = engine => {
        engine.startError = new KithError('permission-denied', 'No.')
      }
      await refuses(() => add(at('notes')), 'permission-denied', /No/)
      expect(daemon.erased).to.have.length(1)
      expect((await daemon.list.load()).erasing).to.deep.equal([])
    })
  })

  it('tells twins of names apart from nesting', async () => {
    await mkdir(at('notes2'))
    await add(at('notes'))
    expect((await add(at('notes2'))).name).to.equal('notes2')
  })

  describe('up PATH', () => {
    it('makes the directory of a path it does not know', async () => {
      const record = await daemon.folders.ensure(at('new', 'place'))
      expect(record).to.deep.include({ name: 'place', path: at('new', 'place') })
      expect((await lstat(at('new', 'place'))).isDirectory()).to.equal(true)
    })

    it('is the same folder the next time, and never made anew when its root is gone', async () => {
      const first = await daemon.folders.ensure(at('gone'))
      await rm(at('gone'), { recursive: true })
      expect(await daemon.folders.ensure(at('gone'))).to.deep.equal(first)
      expect(await readdir(directory.path)).not.to.contain('gone')
      expect(daemon.folders.statuses()).to.have.length(1)
    })

    it('takes back what it made when the path is refused', async () => {
      daemon.foreign.add(at('x', 'y'))
      await refuses(() => daemon.folders.ensure(at('x', 'y')), 'path-foreign-marker', /Another/)
      expect(await readdir(directory.path)).not.to.contain('x')
    })
  })

  it('starts the folders again after a restart; one that cannot start harms no other', async () => {
    await mkdir(at('photos'))
    const notes = await add(at('notes'))
    await add(at('photos'))
    await daemon.folders.pause('photos')
    await daemon.stop()
    daemon = new FakeDaemon(directory.path, daemon.home)
    daemon.onOpen = engine => {
      if (engine.name === 'notes') engine.startError = new KithError('root-missing', 'The root is gone.')
    }
    await daemon.start()
    const [first, second] = daemon.folders.statuses()
    expect(first).to.deep.include({ id: notes.id, state: 'error' })
    expect(first?.error).to.deep.equal({ code: 'root-missing', message: 'The root is gone.' })
    expect(second).to.deep.include({ name: 'photos', state: 'paused' })
    expect((await refusal(Promise.resolve().then(() => daemon.folders.engine('notes')))).code).to.equal('root-missing')
    daemon.onOpen = () => undefined
    await daemon.folders.resume('notes')
    expect(daemon.folders.statuses()[0]?.state).to.equal('idle')
    expect(daemon.engine('notes').network).not.to.equal(null)
  })

  it('removes a folder: off the network, stopped, erased; the files stay', async () => {
    await writeFile(at('notes', 'a.txt'), 'a')
    const { id } = await add(at('notes'))
    const engine = daemon.engine('notes')
    await daemon.folders.remove('notes')
    expect(engine.calls).to.deep.equal(['start', 'stop', 'close'])
    expect(daemon.erased).to.deep.equal([id])
    expect(daemon.network.shared.size).to.equal(0)
    expect(await daemon.list.load()).to.deep.equal({ folders: [], erasing: [] })
    expect(await readdir(at('notes'))).to.contain('a.txt')
    await add(at('notes'))
  })

  it('erases at the next start what a crash left', async () => {
    await daemon.list.save({ folders: [], erasing: [OFFERED] })
    daemon = await new FakeDaemon(directory.path, daemon.home).start()
    expect(daemon.erased).to.deep.equal([OFFERED])
    expect((await daemon.list.load()).erasing).to.deep.equal([])
  })

  it('refuses a damaged list of folders, untouched', async () => {
    await writeFile(daemon.home.foldersFile, '{"format":1,"folders":[{}]}')
    const error = await refusal(new FakeDaemon(directory.path, daemon.home).start())
    expect(error.code).to.equal('home-damaged')
  })

  it('finds a folder by name, id or the start of an id', async () => {
    const { id } = await add(at('notes'))
    for (const word of ['notes', id, id.slice(0, 6)]) expect(daemon.folders.record(word).id).to.equal(id)
    expect(() => daemon.folders.record('note')).to.throw('no folder "note"')
  })

  describe('get', () => {
    const offer = (name: string, id = OFFERED, devices = [OTHER]) => {
      daemon.network.setDevice(OTHER, { name: 'desktop' })
      daemon.network.offered = [...daemon.network.offered, { id, name, devices }]
    }
    const take = (name: string, path?: string) => daemon.folders.take(name, { path, into: directory.path })

    it('takes an offered folder, by name or id, into a directory of its name', async () => {
      offer('photos')
      const record = await take('photos')
      expect(record).to.deep.equal({
        id: OFFERED,
        name: 'photos',
        path: at('photos'),
        taken: true,
        paused: false,
        foldsCase: false,
        marked: true,
        settings: { versions: 'standard', versionLimit: null, minCopies: 1, maxDeletes: 50 },
      })
      await refuses(() => take('photos', at('again')), 'folder-exists', /here already/)
    })

    it('takes it into a directory that holds files', async () => {
      offer('photos')
      expect((await take(OFFERED, at('notes'))).path).to.equal(at('notes'))
    })

    it('refuses what nobody offers', () => refuses(() => take('nothing'), 'folder-unknown', /No device offers/))

    it('never lets the name from another device choose where it goes', async () => {
      for (const name of ['../evil', '/etc', '..', 'a\\b']) {
        daemon.network.offered = []
        offer(name)
        await refuses(() => take(OFFERED), 'bad-path', /cannot be the name of a directory/)
      }
      expect((await take(OFFERED, at('safe'))).path).to.equal(at('safe'))
    })

    it('calls equal names apart, and asks where it is not clear', async () => {
      const third = '12D3KooWThirdDevice' as DeviceId
      daemon.network.setDevice(third, { name: 'tablet' })
      offer('photos')
      offer('photos', 'cd'.repeat(16) as FolderId, [third])
      await refuses(() => take('photos'), 'folder-ambiguous', /photos \(desktop\) = abab.*photos \(tablet\) = cdcd/)
      expect((await take('photos (tablet)', at('tablet-photos'))).id).to.equal('cd'.repeat(16))
    })

    it('a path that is a folder here joins the other, if it is nobody else’s', async () => {
      const mine = await add(at('notes'))
      offer('notes')
      const joined = await take('notes', at('notes'))
      expect(joined).to.deep.equal({
        id: OFFERED,
        name: 'notes',
        path: at('notes'),
        taken: true,
        paused: false,
        foldsCase: false,
        marked: true,
        settings: { versions: 'standard', versionLimit: null, minCopies: 1, maxDeletes: 50 },
      })
      expect(daemon.erased).to.deep.equal([mine.id])
      expect(daemon.folders.records()).to.deep.equal([joined])
      expect([...daemon.network.shared.keys()]).to.deep.equal([OFFERED])
    })

    it('a path that is a folder shared already does not join, and the message says what to do', async () => {
      await add(at('notes'))
      daemon.engine('notes').peer(OTHER)
      offer('notes')
      await refuses(() => take('notes', at('notes')), 'folder-joined', /desktop.*folder remove/)
      expect(daemon.erased).to.deep.equal([])
    })

    it('a join that fails leaves a folder of this device alone', async () => {
      await add(at('notes'))
      offer('notes')
      daemon.onOpen = engine => {
        if (engine.id === OFFERED) engine.startError = new KithError('store-failed', 'No.')
      }
      expect((await refusal(take('notes', at('notes')))).code).to.equal('store-failed')
      const [record] = daemon.folders.records()
      expect(record).to.deep.include({ name: 'notes', path: at('notes'), taken: false })
      expect(record?.id).not.to.equal(OFFERED)
    })
  })
})
