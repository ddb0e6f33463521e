// The commands about the past, on a daemon whose engines are fakes: what they ask for, what they print, their exit codes.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { z } from 'zod'
import { KithError } from '../../src/core/errors.ts'
import type { ContentId, DeviceId, NodeId } from '../../src/core/ids.ts'
import { NO_CONTENT } from '../../src/core/ids.ts'
import type { Change } from '../../src/core/past.ts'
import type { Shown } from '../../src/core/status.ts'
import * as shapes from '../../src/daemon/api/schema.ts'
import type { FakeArchive } from '../daemon/support/fake-archive.ts'
import { FakeDaemon, makeDirectory } from '../daemon/support/fake-daemon.ts'
import type { FakeEngine } from '../daemon/support/fake-engine.ts'
import { OWN_ID } from '../daemon/support/fake-network.ts'
import { kith, type Ran, type Shell } from './support/run.ts'

const OTHER = '12D3KooWOtherDeviceaaaaaaaaaaaaaaaaaaaaaaaaaaaabcde' as DeviceId
const HOSTILE = 'evil\u001b[2J\u202etxt'
const RAW = /(?!\n)[\p{Cc}\p{Bidi_Control}]/u
const AT = '2026-11-20T14:00:00Z'
const AT_MS = Date.parse(AT)
/** Nothing moved for so long: whoever waits for the disk gives up. */
const FOLLOW_MS = 20_000

describe('cli: the past', () => {
  let directory: Awaited<ReturnType<typeof makeDirectory>>
  let daemon: FakeDaemon
  let shell: Shell
  let engine: FakeEngine
  let archive: FakeArchive

  beforeEach(async () => {
    directory = await makeDirectory()
    daemon = await (await FakeDaemon.create(directory.path)).start()
    await daemon.serve()
    await mkdir(join(directory.path, 'notes'))
    shell = { home: daemon.home.root, cwd: directory.path }
    await run('add', 'notes')
    daemon.network.setDevice(OTHER, { name: 'desktop' })
    engine = daemon.engine('notes')
    archive = engine.archive
  })
  afterEach(async () => {
    await daemon.stop()
    await directory.remove()
  })

  const run = (...args: string[]): Promise<Ran> => kith(shell, ...args)

  async function json<S extends z.ZodType>(schema: S, ...args: string[]): Promise<z.infer<S>> {
    const { code, stdout, stderr } = await run(...args, '--json')
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' })
    return schema.parse(JSON.parse(stdout))
  }

  async function fails(code: number, says: RegExp, ...args: string[]): Promise<void> {
    const plain = await run(...args)
    expect(plain).to.include({ code, stdout: '' })
    expect(plain.stderr).to.match(says)
  }

  const change = (action: Change['action'], path: string, more: Partial<Change> = {}): Change => {
    const facts = { content: NO_CONTENT, size: 7, mtime: 0, mode: 0o644 }
    return { action, kind: 'file', path, from: null, facts, ...more }
  }

  describe('history', () => {
    it('has the fields of the contract, newest first, the folder found from the path', async () => {
      const one = archive.version('a.txt', archive.put('one'))
      const two = archive.version('a.txt', archive.put('two!'), {
        device: OTHER,
        here: false,
        holders: [OTHER, OWN_ID],
      })
      const body = await json(shapes.historySchema, 'history', 'notes/a.txt')
      expect(body.path).to.equal('a.txt')
      expect(body.folder).to.equal('notes')
      expect(body.versions[0]).to.deep.equal({
        id: two.id,
        time: '2026-11-20T01:00:00.000Z',
        device: 'desktop',
        deviceId: OTHER,
        action: 'edited',
        kind: 'file',
        path: 'a.txt',
        from: null,
        size: 4,
        hash: Buffer.from(two.facts.content, 'latin1').toString('hex'),
        here: false,
        devices: ['desktop', 'laptop'],
      })
      expect(body.versions.map(version => version.id)).to.deep.equal([two.id, one.id])
      shell = { ...shell, cwd: join(directory.path, 'notes') }
      expect((await json(shapes.historySchema, 'history', 'a.txt')).versions).to.have.length(2)
      expect((await run('history', 'a.txt')).stdout)
        .to.match(/VERSION +WHEN +DEVICE +WHAT +SIZE +LIES ON/)
        .and.match(/desktop +edited +4 B +desktop, laptop/)
        .and.contain('kith restore a.txt --version VERSION')
    })

    it('shows as much of the ids as tells them apart, and how to bring back what is gone', async () => {
      archive.version('a', archive.put('1'), { id: 'abcdefgh11' })
      archive.version('a', archive.put('1'), { id: 'abcdefgh12', action: 'deleted' })
      const { stdout } = await run('history', 'notes/a')
      expect(stdout).to.contain('abcdefgh11 ').and.contain('abcdefgh12 ').and.contain('kith restore notes/a')
    })

    it('fails where nothing is known, and outside of every folder', async () => {
      await fails(1, /Nothing is known/, 'history', 'notes/none')
      await fails(1, /in no folder of this device/, 'history', 'elsewhere')
      await fails(1, /Kith's own files/, 'history', 'notes/.kith/versions')
    })
  })

  it('explain tells the story in words', async () => {
    const first = archive.put('one')
    archive.version('draft.txt', first)
    archive.version('a.txt', first, { path: 'draft.txt' })
    archive.version('a.txt', first, { action: 'moved', from: 'draft.txt', device: OTHER })
    archive.version('a.txt', archive.put('one and two'))
    archive.version('a.txt', archive.put('merged text'), { action: 'merged' })
    archive.version('a.txt', first, { action: 'deleted', device: OTHER })
    const { stdout, code } = await run('explain', 'notes/a.txt')
    expect(code).to.equal(0)
    const told = stdout.split('\n').map(line => line.replace(/^ {2}\S+ \S+ {2}/, ''))
    expect(told.slice(1, -3)).to.deep.equal([
      'laptop made the file "draft.txt" (3 B).',
      'desktop moved it from "draft.txt" to "a.txt".',
      'laptop edited it (3 B → 11 B).',
      'laptop put the edits of two devices together in it (11 B).',
      'desktop deleted it.',
      '',
    ])
    expect(stdout).to.match(/It is gone since .*\nTo bring it back: {2}kith restore notes\/a.txt\n/)
    archive.version('a.txt', first, { action: 'restored' })
    const { story, now } = JSON.parse((await run('explain', 'notes/a.txt', '--json')).stdout) as {
      story: { text: string }[]
      now: string[]
    }
    expect(story.at(-1)?.text).to.match(/^laptop brought it back as it was on 2026-11-20 .*\(3 B\)\.$/)
    expect(now).to.deep.equal(['It is there, 3 B, on laptop.'])
  })

  it('history and explain say where it is now, by what stands there and not by who told last', async () => {
    const facts = archive.put('one')
    const told = async (path: string): Promise<string[]> =>
      (JSON.parse((await run('explain', path, '--json')).stdout) as { now: string[] }).now
    archive.version('d/f', facts)
    archive.now.set('d/f', { path: 'e/f', kind: 'file', facts, copyOf: null })
    expect(await told('notes/d/f')).to.deep.equal(['It is "e/f" now.'])
    expect((await run('history', 'notes/d/f')).stdout).to.contain('It is e/f now.')
    archive.now.set('d/f', { path: 'd/f', kind: 'file', facts: archive.put('two!'), copyOf: null })
    expect(await told('notes/d/f')).to.deep.equal(['It is there, 4 B, on laptop.'])
    archive.now.set('d/f', null)
    expect(await told('notes/d/f')).to.deep.equal(['It is gone.', 'To bring it back:  kith restore notes/d/f'])
    archive.version('c', facts)
    archive.now.set('c', { path: 'c', kind: 'file', facts, copyOf: 'w' })
    expect(await told('notes/c')).to.deep.equal(['It is there, 3 B, on laptop.', 'It is a conflict copy of "w".'])
    expect((await run('history', 'notes/c')).stdout).to.contain('It is a conflict copy of w.')
    archive.version('g', facts, { path: 'h' })
    archive.version('g', facts, { path: 'g', from: 'h', action: 'moved' })
    archive.version('g', facts, { path: 'h', from: 'g', action: 'restored', device: OTHER })
    expect((await run('explain', 'notes/g')).stdout).to.match(
      /desktop moved it back from "g" to "h".\n\nIt is "h" now.\n$/,
    )
  })

  describe('ls', () => {
    it('shows the tree now: size, time, device, copies', async () => {
      const facts = archive.put('text')
      const entry = { directory: '' as NodeId, nodes: [], dots: [], copy: false }
      engine.shown = [
        {
          path: 'sub',
          device: null,
          entry: { ...entry, name: 'sub', kind: 'directory', facts: { ...facts, size: 0 } },
        },
        { path: 'sub/a', device: OTHER, entry: { ...entry, name: 'a', kind: 'file', facts } },
        { path: 'b', device: OWN_ID, entry: { ...entry, name: 'b', kind: 'symlink', facts } },
      ]
      archive.held = { ...archive.held, files: [{ path: 'sub/a', size: 4, holders: [OWN_ID, OTHER] }] }
      const body = await json(shapes.treeSchema, 'ls', 'notes')
      expect(body.at).to.equal(null)
      expect(body.entries.map(each => [each.path, each.device, each.copies])).to.deep.equal([
        ['b', 'laptop', null],
        ['sub', null, null],
        ['sub/a', 'desktop', 2],
      ])
      expect(body.entries[2]).to.deep.include({ size: 4, kind: 'file', time: '2026-11-20T14:00:00.000Z' })
      shell = { ...shell, cwd: join(directory.path, 'notes') }
      expect((await json(shapes.treeSchema, 'ls', 'sub')).entries).to.have.length(2)
      expect((await run('ls')).stdout)
        .to.match(/4 B +\S+ \S+ +desktop +2 +sub\/a\n/)
        .and.contain('sub/\n')
        .and.contain('b@\n')
      await fails(1, /There is nothing at "none" in "notes"/, 'ls', 'none')
    })

    it('--at shows what was', async () => {
      archive.trees.set(AT_MS, [
        { ...change('create', 'old', { facts: archive.put('past') }), device: OTHER },
        change('create', 'sub', { kind: 'directory' }),
        change('create', 'sub/lost'),
      ])
      const body = await json(shapes.treeSchema, 'ls', 'notes', '--at', AT)
      expect(body.at).to.equal('2026-11-20T14:00:00.000Z')
      expect(body.entries[0]).to.deep.include({ path: 'old', size: 4, device: 'desktop', copies: 1 })
      expect(body.entries.slice(1).map(each => [each.path, each.device, each.copies])).to.deep.equal([
        ['sub', null, null],
        ['sub/lost', null, 0],
      ])
      expect((await run('ls', 'notes', '--at', AT)).stdout).to.match(
        /^SIZE +MODIFIED +DEVICE +COPIES +PATH\n4 B .* desktop +1 +old\n/,
      )
      await fails(
        1,
        /There was nothing on 2026-11-20 \d\d:00:00 at "old"/,
        'ls',
        'notes/old',
        '--at',
        '2026-11-20T15:00:00Z',
      )
    })
  })

  describe('restore', () => {
    it('asks for what was meant', async () => {
      archive.version('a', archive.put('1'), { id: 'abc1' })
      archive.version('a', archive.put('2'), { id: 'abd2' })
      await json(shapes.outcomeSchema, 'restore', 'notes/a')
      await json(shapes.outcomeSchema, 'restore', 'notes/a', '--version', 'abc')
      await json(shapes.outcomeSchema, 'restore', 'notes', '--at', AT, '--keep-new', '--dry-run')
      const plain = { path: 'a', at: null, version: null, keepNew: false, dryRun: false }
      expect(archive.asked).to.deep.equal([
        plain,
        { ...plain, version: 'abc1' },
        { path: '', at: AT_MS, version: null, keepNew: true, dryRun: true },
      ])
    })

    it('refuses a version that is none, or more than one', async () => {
      archive.version('a', archive.put('1'), { id: 'abc1' })
      archive.version('a', archive.put('2'), { id: 'abd2' })
      archive.version('d', archive.put(''), { id: 'ddd', kind: 'directory' })
      await fails(1, /no version "x" of it: "kith history"/, 'restore', 'notes/a', '--version', 'x')
      await fails(1, /More than one version starts with "ab"/, 'restore', 'notes/a', '--version', 'ab')
      await fails(2, /is a directory: say with --at/, 'restore', 'notes/d', '--version', 'ddd')
      expect(archive.asked).to.deep.equal([])
    })

    it('2 for what does not go together, and times that are none', async () => {
      await fails(2, /do not go together/, 'restore', 'notes/a', '--version', 'a', '--at', AT)
      await fails(2, /--to makes a copy/, 'restore', 'notes/a', '--to', 'x', '--dry-run')
      await fails(2, /TIME is like "2h ago"/, 'restore', 'notes/a', '--at', 'soon')
      const ahead = new Date(Date.now() + 3_600_000).toISOString()
      for (const command of ['restore', 'ls', 'diff'])
        await fails(2, /is still to come: say a time that was/, command, 'notes/a', '--at', ahead)
      await fails(2, /is still to come/, 'undo', '--device', 'desktop', '--since', ahead)
      await fails(2, /empty/, 'restore', 'notes/a', '--version', '')
    })

    it('says what it did, and what it could not: then 1', async () => {
      archive.outcome = {
        changes: [
          change('create', 'x'),
          change('edit', HOSTILE),
          change('move', 'new', { from: 'old', kind: 'directory' }),
          change('delete', 'z'),
        ],
        missing: [],
      }
      const done = await run('restore', 'notes', '--at', AT)
      expect(done.code).to.equal(0)
      expect(done.stdout).to.contain('  + x\n').and.contain('  > old/ → new/\n').and.contain('  - z\n')
      expect(done.stdout).to.contain('Done: 1 brought back, 1 changed back, 1 moved back, 1 deleted.')
      expect(done.stdout).not.to.match(RAW)
      expect((await run('restore', 'notes', '--at', AT, '--dry-run')).stdout).to.contain(
        'That is what would change: 1 ',
      )
      archive.outcome = { changes: [], missing: [change('create', 'lost')] }
      const partly = await run('restore', 'notes', '--at', AT, '--json')
      expect(partly.code).to.equal(1)
      expect(shapes.outcomeSchema.parse(JSON.parse(partly.stdout)).missing).to.have.length(1)
      expect(partly.stderr).to.contain('lost')
      archive.outcome = { changes: [], missing: [] }
      expect((await run('restore', 'notes', '--at', AT)).stdout).to.contain('nothing to do')
    })

    it('returns when the disk has followed', async () => {
      archive.outcome = { changes: [change('edit', 'a')], missing: [] }
      engine.set({ settled: false })
      let ended = false
      const running = run('restore', 'notes', '--at', AT).then(ran => {
        ended = true
        return ran
      })
      while (archive.asked.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
      engine.set({ settled: true, need: { files: 1, bytes: 5 } })
      await new Promise(resolve => setImmediate(resolve))
      expect(ended).to.equal(false)
      engine.set({ need: { files: 0, bytes: 0 } })
      expect((await running).code).to.equal(0)
    })

    it('of what this disk has, while something newer does not get to it: says so, and not that all is well', async () => {
      const old = archive.put('one')
      archive.version('a', old, { id: 'abc1' })
      archive.version('a', archive.put('two!'), { id: 'abd2', device: OTHER })
      engine.set({ problems: [{ code: 'unreadable', path: 'a', message: 'Permission denied.' }] })
      const refused = await run('restore', 'notes/a', '--version', 'abc1')
      expect(refused).to.include({ code: 1, stdout: '' })
      expect(refused.stderr).to.contain('a: Permission denied.').and.not.contain('nothing to do')
      engine.set({ problems: [] })
      const facts = archive.put('two!')
      archive.now.set('a', { path: 'a', kind: 'file', facts, copyOf: null })
      expect((await run('restore', 'notes/a', '--version', 'abc1')).stderr).to.contain('on its way to this disk')
      archive.now.set('a', { path: 'a', kind: 'file', facts: old, copyOf: null })
      const same = await run('restore', 'notes/a', '--version', 'abc1')
      expect(same).to.include({ code: 0, stdout: 'It is as it was then: nothing to do.\n' })
    })

    it('names no file where a version of a whole folder is asked for', async () => {
      archive.version('', archive.put(''), { id: 'abc1', kind: 'directory' })
      await fails(2, /That is a directory: say with --at/, 'restore', 'notes', '--version', 'abc1')
    })

    describe('where the disk does not follow', () => {
      const timer = globalThis.setTimeout
      beforeEach(() => {
        archive.outcome = { changes: [change('edit', 'a'), change('edit', 'b')], missing: [] }
        const hurried = (run: () => void, ms?: number): unknown => timer(run, ms === FOLLOW_MS ? 1 : ms)
        globalThis.setTimeout = hurried as typeof setTimeout
      })
      afterEach(() => {
        globalThis.setTimeout = timer
      })

      it('says how many files are still to come, and ends with 4', async () => {
        engine.set({ settled: true, need: { files: 2, bytes: 5 } })
        for (const command of [
          ['restore', 'notes', '--at', AT],
          ['undo', '--device', 'desktop', '--since', AT],
        ]) {
          const { code, stdout, stderr } = await run(...command)
          expect(code).to.equal(4)
          expect(stdout).to.contain('Under way: 2 changed back.').and.not.contain('Done')
          expect(stderr).to.contain('notes: 2 files still to come.')
          const json = await run(...command, '--json')
          expect(json.code).to.equal(4)
          expect(shapes.outcomeSchema.parse(JSON.parse(json.stdout)).pending).to.deep.equal([
            { folder: 'notes', files: 2, stopped: null },
          ])
        }
        expect((await run('restore', 'notes', '--at', AT, '--dry-run')).code).to.equal(0)
        archive.outcome = { changes: [], missing: [] }
        expect((await run('restore', 'notes', '--at', AT)).code).to.equal(0)
      })

      it('says so of what is not written, and of a folder that stands still', async () => {
        engine.set({ settled: false })
        expect((await run('restore', 'notes', '--at', AT)).stderr).to.contain('some of it is still to be written')
        engine.stopped = 'root-missing'
        const { code, stderr } = await run('restore', 'notes', '--at', AT)
        expect(code).to.equal(1)
        expect(stderr).to.contain('notes: it is stored, but the folder stands still')
      })

      it('ends with 1 where something is left as it is, too', async () => {
        engine.set({ settled: true, need: { files: 1, bytes: 5 } })
        archive.outcome = { ...archive.outcome, missing: [change('create', 'lost')] }
        const { code, stderr } = await run('restore', 'notes', '--at', AT)
        expect(code).to.equal(1)
        expect(stderr).to.contain('1 file still to come').and.contain('lost')
      })
    })

    it('--to: a version, what was then, and what is gone', async () => {
      archive.version('a', archive.put('first'), { id: 'abc1' })
      archive.version('a', archive.put('second'), { id: 'abd2' })
      const body = await json(shapes.copiedSchema, 'restore', 'notes/a', '--version', 'abc1', '--to', 'copy')
      expect(body).to.deep.include({ folder: 'notes', path: 'a', to: join(directory.path, 'copy'), files: 1, bytes: 5 })
      expect(await readFile(join(directory.path, 'copy'), 'utf8')).to.equal('first')
      archive.trees.set(AT_MS, [
        change('create', 'sub', { kind: 'directory', facts: { ...archive.put(''), mode: 0o755 } }),
        change('create', 'sub/x', { facts: archive.put('x') }),
      ])
      expect((await run('restore', 'notes/sub', '--at', AT, '--to', 'tree')).stdout).to.contain(
        'Wrote 1 file (1 B) to ',
      )
      expect(await readFile(join(directory.path, 'tree', 'x'), 'utf8')).to.equal('x')
      await json(shapes.copiedSchema, 'restore', 'notes', '--at', AT, '--to', 'all')
      expect(await readFile(join(directory.path, 'all', 'sub', 'x'), 'utf8')).to.equal('x')
      archive.outcome = {
        changes: [change('create', 'gone', { facts: archive.put('gone') }), change('create', 'other')],
        missing: [],
      }
      await json(shapes.copiedSchema, 'restore', 'notes/gone', '--to', 'back')
      expect(await readFile(join(directory.path, 'back'), 'utf8')).to.equal('gone')
      expect(archive.asked).to.deep.equal([{ path: 'gone', at: null, version: null, keepNew: true, dryRun: true }])
    })

    it('--to holds on to all that it copies, until it has', async () => {
      const [x, y] = [archive.put('x'), archive.put('y')]
      archive.trees.set(AT_MS, [change('create', 'sub/x', { facts: x }), change('create', 'sub/y', { facts: y })])
      const seen: unknown[] = []
      archive.working = async () => void seen.push([...archive.pinned])
      await json(shapes.copiedSchema, 'restore', 'notes/sub', '--at', AT, '--to', 'tree')
      expect(seen).to.deep.equal([
        [x.content, y.content],
        [x.content, y.content],
      ])
      expect(archive.pinned).to.deep.equal([])
    })

    it('--to overwrites nothing, and says what nobody holds', async () => {
      await writeFile(join(directory.path, 'mine'), 'mine')
      const facts = archive.put('lost')
      archive.version('a', facts, { id: 'abc1' })
      await fails(1, /something at .*mine already/, 'restore', 'notes/a', '--version', 'abc1', '--to', 'mine')
      expect(await readFile(join(directory.path, 'mine'), 'utf8')).to.equal('mine')
      archive.forget(facts.content)
      const { code, stdout } = await run('restore', 'notes/a', '--version', 'abc1', '--to', 'x', '--json')
      expect(code).to.equal(1)
      expect(shapes.errorSchema.parse(JSON.parse(stdout)).error.code).to.equal('content-missing')
      const tree = [change('create', 'sub', { kind: 'directory' }), change('create', 'sub/lost', { facts })]
      archive.trees.set(AT_MS, tree)
      const partly = await run('restore', 'notes/sub', '--at', AT, '--to', 'part')
      expect(partly.code).to.equal(1)
      expect(partly.stderr).to.contain('lost')
      await fails(1, /There was nothing on/, 'restore', 'notes/none', '--at', AT, '--to', 'y')
    })
  })

  it('undo: the device by name, in one folder or all', async () => {
    await mkdir(join(directory.path, 'photos'))
    await run('add', 'photos')
    archive.outcome = { changes: [change('edit', 'a')], missing: [] }
    const body = await json(shapes.outcomeSchema, 'undo', '--device', 'desktop', '--since', AT, '--dry-run')
    expect(body).to.deep.include({ done: false })
    expect(body.changes).to.deep.equal([
      { folder: 'notes', action: 'edit', kind: 'file', path: 'a', from: null, size: 7 },
    ])
    const asked = { device: OTHER, since: AT_MS, dryRun: true }
    expect(archive.asked).to.deep.equal([asked])
    expect(daemon.engine('photos').archive.asked).to.deep.equal([asked])
    expect((await run('undo', '--device', 'laptop', '--since', AT, '--folder', 'notes')).stdout).to.contain(
      '1 changed back',
    )
    expect(archive.asked[1]).to.deep.equal({ device: OWN_ID, since: AT_MS, dryRun: false })
    expect(daemon.engine('photos').archive.asked).to.have.length(1)
    archive.outcome = { changes: [], missing: [], unclear: ['mixed', HOSTILE] }
    const unclear = await run('undo', '--device', 'desktop', '--since', AT)
    expect(unclear).to.include({ code: 1, stdout: '' })
    expect(unclear.stderr).to.contain('what desktop did to them').and.contain(': mixed, evil')
    expect(unclear.stderr).not.to.match(RAW)
    archive.outcome = { changes: [], missing: [], unclear: ['mixed'], silent: [OTHER] }
    const silent = await run('undo', '--device', 'desktop', '--since', AT)
    expect(silent.stderr).to.contain('while desktop is linked').and.contain('device remove NAME')
    archive.outcome = {
      changes: [],
      missing: [],
      kept: [
        { path: 'theirs', by: OWN_ID },
        { path: HOSTILE, by: null },
      ],
    }
    const kept = await run('undo', '--device', 'desktop', '--since', AT)
    expect(kept).to.include({ code: 0, stderr: '' })
    expect(kept.stdout).to.contain('2 files that others changed later: theirs (laptop), evil').and.not.to.match(RAW)
    const told = await json(shapes.outcomeSchema, 'undo', '--device', 'desktop', '--since', AT, '--folder', 'notes')
    expect(told.kept[0]).to.deep.equal({ folder: 'notes', path: 'theirs', by: 'laptop' })
    await fails(1, /No device "tablet"/, 'undo', '--device', 'tablet', '--since', AT)
    await fails(2, /required option '--since/, 'undo', '--device', 'desktop')
    // One that was removed is known by its whole id alone.
    const removed = `12D3KooW${'a'.repeat(44)}`
    archive.outcome = { changes: [], missing: [] }
    await json(shapes.outcomeSchema, 'undo', '--device', removed, '--since', AT)
    expect(archive.asked.at(-1)).to.deep.include({ device: removed })
  })

  describe('diff', () => {
    const diffOf = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await run('diff', ...args)
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' })
      return stdout
    }

    it('of a text: the newest and the one before it, one and the newest, two', async () => {
      archive.version('a.txt', archive.put('one\ntwo\nthree\n'), { id: 'aaa' })
      archive.version('a.txt', archive.put('one\n2\nthree\n'), { id: 'bbb', device: OTHER })
      archive.version('a.txt', archive.put('one\n2\nthree\n', { mode: 0o600 }), { id: 'ccc' })
      archive.version('a.txt', archive.put('one\n2\nthree\nfour\n'), { id: 'ddd' })
      expect(await diffOf('notes/a.txt')).to.match(
        /^--- a.txt\t.* ccc\n\+\+\+ a.txt\t.* laptop ddd\n@@ .*\n one\n 2\n three\n\+four\n$/,
      )
      expect(await diffOf('notes/a.txt', '--version', 'a')).to.contain('\n-two\n+2\n three\n+four\n')
      expect(await diffOf('notes/a.txt', '--version', 'aaa', '--version', 'bbb')).to.contain('\n-two\n+2\n three\n')
      expect(await diffOf('notes/a.txt', '--version', 'bbb', '--version', 'ccc')).to.contain('the same')
      expect(await diffOf('notes/a.txt', '--at', '2026-11-20T00:30:00Z')).to.contain('\n-two\n+2\n')
      const body = JSON.parse((await run('diff', 'notes/a.txt', '--json')).stdout) as {
        patch: string
        from: { id: string }
      }
      expect(body.patch).to.contain('+four')
      expect(body.from.id).to.equal('ccc')
    })

    it('of a file in conflict: what came of the text before, not what another device made of it', async () => {
      archive.version('a.txt', archive.put('base\n'))
      const theirs = archive.version('a.txt', archive.put('theirs\n'), { device: OTHER })
      const mine = archive.version('a.txt', archive.put('mine\n'))
      const side = (path: string, { id, device, time, facts }: typeof mine) => ({
        id,
        device,
        time,
        path,
        content: facts.content,
      })
      engine.found = [{ path: 'a.txt', versions: [side('a.txt', mine), side('a (conflict).txt', theirs)] }]
      expect(await diffOf('notes/a.txt')).to.contain('\n-base\n+mine\n')
      engine.found = []
      expect(await diffOf('notes/a.txt')).to.contain('\n-theirs\n+mine\n')
    })

    it('of a file that was made, or is gone, and what is no text', async () => {
      archive.version('new', archive.put('x\n'))
      expect(await diffOf('notes/new'))
        .to.match(/^--- \/dev\/null.*\n\+\+\+ new/)
        .and.contain('+x')
      archive.version('gone', archive.put('x\n'))
      archive.version('gone', archive.put('x\n'), { action: 'deleted' })
      expect(await diffOf('notes/gone'))
        .to.match(/\n\+\+\+ \/dev\/null/)
        .and.contain('-x')
      archive.version('bin', archive.put(Buffer.from([0, 1, 2])))
      archive.version('bin', archive.put(Buffer.from([0, 1, 2, 3])))
      expect(await diffOf('notes/bin')).to.contain('bin: 3 B → 4 B')
    })

    it('prints no raw control characters of a text, but tabs and the line ends of Windows', async () => {
      archive.version('a', archive.put('a\r\n'))
      archive.version('a', archive.put(`\t${HOSTILE}\r\n`))
      const stdout = await diffOf('notes/a')
      expect(stdout).to.contain('+\tevil\\x1b[2J')
      expect(stdout.replace(/\r\n|\t/g, '')).not.to.match(RAW)
    })

    it('of a directory: what changed since then, and between two times', async () => {
      const [one, two] = [archive.put('one'), archive.put('two')]
      const entry = { directory: '' as NodeId, nodes: [], dots: [], copy: false, kind: 'file' as const }
      archive.trees.set(AT_MS, [change('create', 'a', { facts: one }), change('create', 'b', { facts: two })])
      engine.shown = [{ path: 'c', device: null, entry: { ...entry, name: 'c', facts: two } }]
      expect(await diffOf('notes', '--at', AT)).to.equal('  - a\n  > b → c\n2 changes.\n')
      const later = '2026-11-20T15:00:00Z'
      archive.trees.set(Date.parse(later), [
        change('create', 'a', { facts: two }),
        change('create', 'd', { facts: one }),
      ])
      const body = JSON.parse((await run('diff', 'notes', '--at', AT, '--at', later, '--json')).stdout) as {
        changes: { action: string; path: string }[]
      }
      expect(body.changes.map(each => [each.action, each.path])).to.deep.equal([
        ['edit', 'a'],
        ['delete', 'b'],
        ['create', 'd'],
      ])
      await fails(2, /The whole folder is a directory: say with --at/, 'diff', 'notes')
      await fails(2, /not more/, 'diff', 'notes', '--at', AT, '--at', AT, '--at', AT)
      await fails(2, /do not go together/, 'diff', 'notes', '--at', AT, '--version', 'a')
    })

    it('says so where nobody holds a version', async () => {
      const facts = archive.put('lost')
      archive.version('a', facts)
      archive.version('a', archive.put('here'))
      archive.forget(facts.content)
      await fails(1, /Version a0000000 lies on no device that answers/, 'diff', 'notes/a')
    })
  })

  it('resolve: by the start of a version, or both', async () => {
    const version = { id: '1a.zz', device: OTHER, time: 0, path: 'a.txt', content: '' as ContentId }
    const copy = { ...version, id: '1b.yy', path: 'a (desktop).txt' }
    engine.found = [{ path: 'a.txt', versions: [version, copy] }]
    expect(await json(shapes.resolvedSchema, 'resolve', 'notes/a.txt', '--keep', '1b')).to.deep.equal({
      folder: 'notes',
      path: 'a.txt',
      kept: '1b.yy',
    })
    await json(shapes.resolvedSchema, 'resolve', 'notes/a (desktop).txt', '--keep', 'both')
    expect(archive.asked).to.deep.equal([
      { path: 'a.txt', keep: '1b.yy' },
      { path: 'a.txt', keep: 'both' },
    ])
    await fails(1, /More than one version starts with "1"/, 'resolve', 'notes/a.txt', '--keep', '1')
    await fails(1, /in no conflict/, 'resolve', 'notes/b', '--keep', 'both')
    await fails(2, /required option '--keep/, 'resolve', 'notes/a.txt')
    expect((await run('conflicts')).stdout)
      .to.contain('1b.yy')
      .and.contain('kith resolve PATH --keep')
  })

  it('verify: all or one folder; 1 where something could not be repaired', async () => {
    const drill = { time: AT_MS, checked: 9, damaged: 0 }
    archive.verified = { checked: 5, bytes: 50, unverified: [], damaged: [], drill }
    expect(await json(shapes.verifySchema, 'verify')).to.deep.equal({
      checked: 5,
      bytes: 50,
      unverified: 0,
      unverifiedFiles: [],
      paused: [],
      damaged: [],
      drills: [{ folder: 'notes', time: '2026-11-20T14:00:00.000Z', checked: 9, damaged: 0 }],
    })
    expect((await run('verify', 'notes')).stdout)
      .to.contain('Read 5 files again (50 B).')
      .and.contain('sound')
    const content = '\x01\xff' as ContentId
    archive.verified = {
      checked: 5,
      bytes: 50,
      unverified: [],
      damaged: [{ path: 'a', version: true, content, repaired: true }],
      drill: null,
    }
    expect((await json(shapes.verifySchema, 'verify')).damaged).to.deep.equal([
      {
        ...{ folder: 'notes', root: join(directory.path, 'notes'), path: 'a', version: true, hash: '01ff' },
        ...{ repaired: true, unreadable: false, away: [], earlier: null },
      },
    ])
    archive.verified = {
      checked: 5,
      bytes: 50,
      unverified: [],
      damaged: [{ path: HOSTILE, version: false, content, repaired: false }],
      drill: null,
    }
    const bad = await run('verify')
    expect(bad.code).to.equal(1)
    expect(bad.stdout).to.contain('evil\\x1b').and.not.match(RAW)
    expect(bad.stderr).to.contain('1 damaged file could not be repaired')
    archive.verified = {
      checked: 5,
      bytes: 50,
      unverified: [],
      damaged: [{ path: 'locked', version: false, content, repaired: false, unreadable: true }],
      drill: null,
    }
    const locked = await run('verify')
    expect(locked.code).to.equal(1)
    expect(locked.stdout).to.contain('unreadable: locked in notes').and.not.contain('sound')
    expect(locked.stderr).to.contain('1 file could not be read').and.not.contain('repaired')
    const kept = [
      { path: 'draft', content },
      { path: HOSTILE, content },
    ]
    archive.verified = { checked: 5, bytes: 50, unverified: kept, damaged: [], drill: null }
    const early = await run('verify')
    expect(early.code).to.equal(0)
    expect(early.stdout).to.contain('The rest is sound')
    expect(early.stderr)
      .to.contain('2 versions of draft, evil')
      .and.contain('not verified yet')
      .and.contain('again in two minutes')
    await fails(1, /no folder "none"/, 'verify', 'none')
    archive.working = async () => {
      throw new KithError('folder-halted', 'It stands still.')
    }
    await fails(1, /It stands still/, 'verify')
  })

  describe('a damaged file that no device has sound', () => {
    const damagedFile = (): ReturnType<FakeArchive['put']> => {
      const old = archive.put('one')
      archive.version('a', old, { id: 'abc1' })
      const facts = archive.put('two!')
      archive.version('a', facts, { id: 'abd2', here: false, holders: [] })
      archive.held = { ...archive.held, files: [{ path: 'a', size: 4, holders: [] }] }
      engine.set({ problems: [{ code: 'damaged', path: 'a', message: 'It is damaged.' }] })
      return facts
    }

    it('verify says who may have it, what was before, and how to take it as it is', async () => {
      const { content } = damagedFile()
      const damaged = [{ path: 'a', version: false, content, repaired: false }]
      archive.verified = { checked: 1, bytes: 4, unverified: [], damaged, drill: null }
      const file = join(directory.path, 'notes', 'a')
      const alone = await run('verify')
      expect(alone.code).to.equal(1)
      expect(alone.stderr)
        .to.contain(
          'a is damaged here, and no known device has it sound. What can be done: bring back an earlier version: ',
        )
        .and.contain(`kith restore ${file} --version abc1`)
        .and.contain(`kith verify --accept ${file}`)
        .and.not.contain('switch on')
      daemon.network.setDevice(OTHER, { name: 'desktop', connected: false })
      engine.peer(OTHER)
      expect((await run('verify')).stderr).to.contain('switch on desktop, which may have it sound')
    })

    it('explain, history and copies say the same, and nothing of it being on its way', async () => {
      damagedFile()
      const explained = (await run('explain', 'notes/a')).stdout
      expect(explained)
        .to.contain('It is damaged on this disk')
        .and.contain('No known device has it sound.')
        .and.contain('kith restore notes/a --version abc1')
        .and.contain('kith verify --accept notes/a')
        .and.not.contain('on its way')
      expect((await run('history', 'notes/a')).stdout).to.contain('kith explain notes/a')
      expect((await run('copies')).stdout)
        .to.contain('Damaged here, and sound on no device that answers: 1 file (4 B)')
        .and.not.contain('wrote it')
      engine.set({ problems: [] })
      expect((await run('explain', 'notes/a')).stdout)
        .to.contain('lies on no device that answers')
        .and.not.contain('--accept')
    })

    it('--accept takes it as it is', async () => {
      expect(await json(shapes.acceptedSchema, 'verify', '--accept', 'notes/a')).to.deep.equal({
        folder: 'notes',
        path: 'a',
        outcome: 'accepted',
      })
      expect(archive.asked).to.deep.equal([{ accept: 'a' }])
      archive.accepted = 'sound'
      expect((await run('verify', '--accept', 'notes/a')).stdout).to.contain('a is not damaged')
      await fails(2, /takes a path/, 'verify', 'notes', '--accept', 'notes/a')
    })
  })

  it('verify leaves out folders that are paused, and says so', async () => {
    archive.verified = { checked: 5, bytes: 50, unverified: [], damaged: [], drill: null }
    await mkdir(join(directory.path, 'photos'))
    await run('add', 'photos')
    engine.set({ state: 'paused' })
    const { code, stderr, stdout } = await run('verify')
    expect(code).to.equal(1)
    expect(stderr).to.contain('not verified: notes').and.contain('kith folder resume')
    expect(stdout).to.contain('Read 0 files').and.not.contain('sound')
  })

  it('history names the devices that could not be asked', async () => {
    archive.version('a', archive.put('one'))
    expect((await run('history', 'notes/a')).stdout).not.to.contain('Away')
    daemon.network.setDevice(OTHER, { name: 'desktop', connected: false })
    engine.peer(OTHER)
    expect((await run('history', 'notes/a')).stdout).to.contain('Away, so not asked what they know and hold: desktop.')
  })

  it('copies: of all folders, or of a path', async () => {
    archive.held = {
      files: [
        { path: 'a', size: 10, holders: [OWN_ID, OTHER] },
        { path: 'sub/b', size: 5, holders: [OWN_ID] },
      ],
      atRisk: { files: 1, bytes: 5 },
      stale: [{ device: OTHER, asOf: AT_MS }],
    }
    expect(await json(shapes.copiesSchema, 'copies')).to.deep.equal({
      devices: 2,
      files: [
        { folder: 'notes', path: 'a', size: 10, holders: ['laptop', 'desktop'], here: true, damaged: false },
        { folder: 'notes', path: 'sub/b', size: 5, holders: ['laptop'], here: true, damaged: false },
      ],
      atRisk: { files: 1, bytes: 5 },
      stale: [{ id: OTHER, name: 'desktop', asOf: '2026-11-20T14:00:00.000Z' }],
    })
    expect((await json(shapes.copiesSchema, 'copies', 'notes/sub')).files).to.have.length(1)
    const { stdout } = await run('copies')
    expect(stdout).to.contain('1 file (5 B) on 1 device').and.contain('With this device 1 file (5 B) would be lost.')
    expect(stdout).to.contain('desktop is not here')
    expect((await run('copies', 'notes/sub')).stdout).to.match(/^2 devices: 1 file \(5 B\) on 1 device\n\n/)
    await fails(1, /There is nothing at "none"/, 'copies', 'notes/none')
    const facts = { content: NO_CONTENT, size: 0, mtime: 0, mode: 0o755 }
    const entry = { kind: 'directory', name: 'empty', facts, directory: '', nodes: [], dots: [], copy: false }
    engine.shown = [{ path: 'empty', entry: entry as unknown as Shown['entry'], device: null }]
    expect(await run('copies', 'notes/empty')).to.include({ code: 0, stdout: 'There is no file in it.\n' })
  })

  it('copies: a file that did not come yet is no loss, and says where it is', async () => {
    const none = { files: 0, bytes: 0 }
    archive.held = {
      files: [
        { path: 'lost', size: 7, holders: [] },
        { path: 'coming', size: 5, holders: [OTHER] },
      ],
      atRisk: none,
      stale: [],
    }
    const { stdout } = await run('copies', 'notes/lost')
    expect(stdout).to.match(/^2 devices: 1 file \(7 B\) on no device\n/)
    expect(stdout).to.contain(
      'Not held here, nor by any device that answers: 1 file (7 B). No device is away that might have it. "kith explain PATH" says',
    )
    expect(stdout).not.to.contain('With this device')
    const stale = [
      { device: OTHER, asOf: null },
      { device: OWN_ID, asOf: AT_MS },
    ]
    archive.held = { ...archive.held, stale }
    const away = (await run('copies', 'notes/lost')).stdout
    expect(away).to.contain('Away, and may have it: desktop').and.contain('what it holds is not known.')
    expect(away).to.match(/what it holds is told as of 2026-11-20 /)
    const coming = await run('copies', 'notes/coming')
    expect(coming.stdout).to.contain('desktop').and.contain('Still to come here: 1 file (5 B).')
  })

  it('folder set: at once, kept over a restart, and nothing that is no setting', async () => {
    expect((await run('folder', 'set', 'notes')).stdout).to.equal(
      'versions = standard\nversion-limit = default (a tenth of the disk)\nmin-copies = 1\nmax-deletes = 50%\n',
    )
    const { folder } = await json(
      shapes.folderResultSchema,
      ...['folder', 'set', 'notes', 'versions=all', 'version-limit=20GB', 'min-copies=2', 'max-deletes=80%'],
    )
    const settings = { versions: 'all', versionLimit: 20e9, minCopies: 2, maxDeletes: 80 }
    expect(folder.settings).to.deep.equal(settings)
    expect(engine.settings).to.deep.equal(settings)
    expect((await daemon.list.load()).folders[0]?.settings).to.deep.equal(settings)
    expect((await run('folder', 'set', 'notes', 'version-limit=default')).stdout)
      .to.contain('versions = all')
      .and.contain('default')
    for (const [pair, says] of [
      ['colour=red', /"colour=red" is no setting/],
      ['versions=some', /"standard" or "all"/],
      ['version-limit=big', /a size, like 20GB/],
      ['version-limit=0', /a size, like 20GB/],
      ['min-copies=0', /a number of devices/],
      ['max-deletes=0%', /from 1% to 100%/],
      ['max-deletes=101%', /from 1% to 100%/],
      ['max-deletes=50', /from 1% to 100%/],
      ['versions', /"standard" or "all"/],
    ] as const) {
      await fails(2, says, 'folder', 'set', 'notes', pair)
    }
    await daemon.folders.pause('notes')
    const again = await FakeDaemon.create(directory.path)
    await again.folders.start()
    expect(again.engine('notes').settings).to.deep.equal({ ...settings, versionLimit: null })
    await again.folders.stop()
  })

  it('device remove: refused while something lies there alone, unless it is forced', async () => {
    archive.only = [
      { path: 'a', size: 1 },
      { path: HOSTILE, size: 2 },
      { path: 'c', size: 3 },
      { path: 'd', size: 4 },
    ]
    const refused = await run('device', 'remove', 'desktop', '--yes')
    expect(refused.code).to.equal(1)
    expect(refused.stderr).to.contain('notes/a, notes/evil').and.contain('1 more').and.contain('--force')
    expect(refused.stderr).not.to.match(RAW)
    expect(daemon.network.calls).to.deep.equal([])
    expect(archive.asked).to.deep.equal([{ onlyOn: OTHER }])
    expect((await run('device', 'remove', 'desktop', '--force')).code).to.equal(0)
    expect(daemon.network.calls).to.deep.equal([['remove', OTHER]])
  })

  it('3 where no daemon runs; nothing but JSON on stdout', async () => {
    shell = { ...shell, home: join(directory.path, 'nowhere') }
    for (const command of [
      ['history', 'notes/a'],
      ['explain', 'notes/a'],
      ['ls'],
      ['diff', 'notes/a'],
      ['restore', 'notes/a'],
      ['restore', 'notes/a', '--to', 'x'],
      ['undo', '--device', 'x', '--since', '1h ago'],
      ['resolve', 'notes/a', '--keep', 'both'],
      ['verify'],
      ['copies'],
      ['folder', 'set', 'notes'],
    ]) {
      const { code, stdout } = await run(...command, '--json')
      expect(code, command.join(' ')).to.equal(3)
      shapes.errorSchema.parse(JSON.parse(stdout))
    }
  })
})
