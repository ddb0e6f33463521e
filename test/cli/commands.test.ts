// The contract of the commands, on a daemon whose network and engines are fakes: exit codes, what is on stdout, and the JSON shapes.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { z } from 'zod'
import { createProgram } from '../../src/cli/program.ts'
import { KithError } from '../../src/core/errors.ts'
import type { ContentId, DeviceId, FolderId } from '../../src/core/ids.ts'
import * as shapes from '../../src/daemon/api/schema.ts'
import { FakeDaemon, makeDirectory } from '../daemon/support/fake-daemon.ts'
import { CODE, OWN_ID } from '../daemon/support/fake-network.ts'
import { kith, type Ran, type Shell } from './support/run.ts'

const OTHER = '12D3KooWOtherDeviceaaaaaaaaaaaaaaaaaaaaaaaaaaaabcde' as DeviceId
const OFFERED = 'ab'.repeat(16) as FolderId
const HOSTILE = 'evil\u001b[2J\u202etxt\nx\u009b'
/** Raw control or direction characters; line breaks are the commands' own. */
const RAW = /(?!\n)[\p{Cc}\p{Bidi_Control}]/u
const ESCAPE = '\u001b['

describe('cli', () => {
  let directory: Awaited<ReturnType<typeof makeDirectory>>
  let daemon: FakeDaemon
  let shell: Shell

  beforeEach(async () => {
    directory = await makeDirectory()
    daemon = await (await FakeDaemon.create(directory.path)).start()
    await daemon.serve()
    await mkdir(join(directory.path, 'notes'))
    shell = { home: daemon.home.root, cwd: directory.path }
  })
  afterEach(async () => {
    await daemon.stop()
    await directory.remove()
  })

  const run = (...args: string[]): Promise<Ran> => kith(shell, ...args)

  /** With `--json`: exit 0, nothing but one document of that shape on stdout, nothing on stderr. */
  async function json<S extends z.ZodType>(schema: S, ...args: string[]): Promise<z.infer<S>> {
    const { code, stdout, stderr } = await run(...args, '--json')
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' })
    return schema.parse(JSON.parse(stdout))
  }

  async function fails(code: number, says: RegExp, ...args: string[]): Promise<void> {
    const plain = await run(...args)
    expect(plain).to.include({ code, stdout: '' })
    expect(plain.stderr)
      .to.match(says)
      .and.match(/^kith: [^\n]*\n$/)
    const withJson = await run(...args, '--json')
    expect(withJson.code).to.equal(code)
    expect(withJson.stderr).to.equal(plain.stderr)
    shapes.errorSchema.parse(JSON.parse(withJson.stdout))
  }

  it('status: the contract’s fields', async () => {
    await run('add', 'notes')
    daemon.network.setDevice(OTHER, { name: 'desktop' })
    daemon.engine('notes').peer(OTHER, { inSync: false, need: { files: 1, bytes: 5 } })
    daemon.engine('notes').peer('12D3KooWRemoved' as DeviceId)
    const status = await json(shapes.statusSchema, 'status')
    expect(status.device).to.deep.equal({ id: OWN_ID, name: 'laptop', version: '1.2.3' })
    expect(status.daemon).to.deep.equal({
      pid: process.pid,
      startedAt: '1970-01-01T00:00:00.000Z',
      home: daemon.home.root,
      addresses: ['/ip4/192.0.2.7/tcp/4001'],
    })
    expect(status.devices).to.deep.equal([
      {
        id: OTHER,
        name: 'desktop',
        connected: true,
        address: '/ip4/192.0.2.8/tcp/4001',
        lastSeen: '2026-11-22T00:00:00.000Z',
        sighted: true,
      },
    ])
    const [folder] = status.folders
    expect(folder).to.deep.include({ name: 'notes', path: join(directory.path, 'notes'), mode: 'two-way', error: null })
    expect(folder?.devices).to.deep.equal([
      {
        id: OTHER,
        name: 'desktop',
        connected: true,
        inSync: false,
        asOf: null,
        need: { files: 1, bytes: 5 },
        stopped: null,
      },
    ])
    const { stdout } = await run('status')
    expect(stdout).to.contain('laptop').and.contain('desktop: syncing, 1 file (5 B) to go').and.contain('idle')
    expect((await run('status', '--watch', '--json')).code).to.equal(2)
  })

  it('status shows what is said about the folder itself without a path', async () => {
    await run('add', 'notes')
    daemon.engine('notes').set({ problems: [{ code: 'held', path: '', message: 'Waits for a device.' }] })
    expect((await run('status')).stdout).to.contain('\n  Waits for a device.\n')
  })

  it('errors name the home that was given', async () => {
    await run('add', 'notes')
    await run('folder', 'pause', 'notes')
    const home = daemon.home.root
    const { stderr } = await kith({ ...shell, home: '/nowhere' }, '--home', home, 'wait', '--folder', 'notes')
    expect(stderr).to.contain(`"kith --home ${home} folder resume notes"`)
    const none = await kith(shell, '--home', '/nowhere', 'status')
    expect(none.stderr).to.contain('"kith --home /nowhere start"')
  })

  it('status names equally named folders that are not joined, with the line to type', async () => {
    await run('add', 'notes')
    daemon.network.setDevice(OTHER, { name: 'desktop' })
    daemon.network.offered = [
      { id: OFFERED, name: 'notes', devices: [OTHER] },
      { id: 'cd'.repeat(16) as FolderId, name: 'my photos', devices: [OTHER] },
    ]
    const line = `kith get ${OFFERED} ${join(directory.path, 'notes')}`
    for (const command of ['status', 'folders']) {
      const { stdout } = await run(command)
      expect(stdout).to.contain(line).and.contain("kith get 'my photos'")
    }
    const { offers } = await json(shapes.foldersSchema, 'folders')
    expect(offers.map(offer => [offer.shownAs, offer.twin])).to.deep.equal([
      ['notes (desktop)', join(directory.path, 'notes')],
      ['my photos', null],
    ])
  })

  it('add: a path relative to the current directory, exit 1 and nothing changed where it is refused', async () => {
    await writeFile(join(directory.path, 'file'), '')
    await fails(1, /file is not a directory/, 'add', 'file')
    await fails(1, /nothing at/, 'add', 'nowhere')
    await fails(1, /Kith's own home/, 'add', 'home')
    expect(daemon.folders.records()).to.deep.equal([])
    const { folder } = await json(shapes.folderResultSchema, 'add', 'notes', '--name', 'my notes')
    expect(folder).to.deep.include({ name: 'my notes', path: join(directory.path, 'notes') })
    await fails(1, /is the folder "my notes" already/, 'add', 'notes')
  })

  it('get: into the current directory, into a path, and not what nobody offers', async () => {
    await fails(1, /No device offers a folder "photos"/, 'get', 'photos')
    daemon.network.setDevice(OTHER, { name: 'desktop' })
    daemon.network.offered = [{ id: OFFERED, name: 'photos', devices: [OTHER] }]
    const { folder } = await json(shapes.folderResultSchema, 'get', 'photos')
    expect(folder).to.deep.include({ id: OFFERED, path: join(directory.path, 'photos') })
    await json(shapes.removedFolderSchema, 'folder', 'remove', 'photos')
    expect((await json(shapes.folderResultSchema, 'get', 'photos', 'notes')).folder.path).to.equal(
      join(directory.path, 'notes'),
    )
  })

  it('get waits for a device that was paired a moment ago', async () => {
    daemon.network.setDevice(OTHER, { name: 'desktop', connected: false })
    setTimeout(() => {
      daemon.network.offered = [{ id: OFFERED, name: 'photos', devices: [OTHER] }]
    }, 50)
    expect((await run('get', 'photos')).code).to.equal(0)
  })

  it('folder pause, resume, approve, reject, remove', async () => {
    await run('add', 'notes')
    expect((await json(shapes.folderResultSchema, 'folder', 'pause', 'notes')).folder.state).to.equal('paused')
    expect((await json(shapes.folderResultSchema, 'folder', 'resume', 'notes')).folder.state).to.equal('idle')
    await fails(1, /Nothing is held/, 'folder', 'approve', 'notes')
    await fails(1, /Nothing is held/, 'folder', 'reject', 'notes')
    for (const verb of ['approve', 'reject']) {
      const error = { code: 'root-emptied', message: 'It is empty.' }
      daemon.engine('notes').set({ state: 'error', error })
      expect((await run('status')).stdout)
        .to.contain('It is empty.')
        .and.contain('stopped')
      const { message } = await json(shapes.answeredFolderSchema, 'folder', verb, 'notes')
      expect(message).to.equal(`${verb} was said.`)
      expect(daemon.engine('notes').calls.at(-1)).to.equal(verb)
      daemon.engine('notes').set({ state: 'error', error })
      expect((await run('folder', verb, 'notes')).stdout).to.equal(`"notes" goes on: ${verb} was said.\n`)
    }
    await json(shapes.removedFolderSchema, 'folder', 'remove', 'notes')
    await fails(1, /no folder "notes"/, 'folder', 'remove', 'notes')
  })

  it('devices, device rename, address, remove', async () => {
    daemon.network.setDevice(OTHER, { name: 'desktop' })
    expect((await json(shapes.devicesSchema, 'devices')).devices).to.have.length(1)
    expect((await run('devices')).stdout).to.match(/NAME +ID +STATE.*\ndesktop +…\w{6} +connected/)
    await json(shapes.deviceResultSchema, 'device', 'rename', 'desktop', 'big one')
    await json(shapes.deviceResultSchema, 'device', 'rename', 'laptop', 'small one')
    await json(shapes.deviceResultSchema, 'device', 'address', OTHER.slice(-6), '/ip4/192.0.2.9/tcp/1')
    await fails(1, /No device "tablet"/, 'device', 'remove', 'tablet')
    await json(shapes.removedDeviceSchema, 'device', 'remove', 'desktop', '--force')
    expect(daemon.network.calls).to.deep.equal([
      ['rename', OTHER, 'big one'],
      ['rename', OWN_ID, 'small one'],
      ['address', OTHER, '/ip4/192.0.2.9/tcp/1'],
      ['remove', OTHER],
    ])
    expect((await run('devices')).stdout).to.contain('kith pair')
  })

  it('device remove asks a person first, and a script not', async () => {
    daemon.network.setDevice(OTHER, { name: 'desktop' })
    expect((await kith({ ...shell, typed: 'n\n' }, 'device', 'remove', 'desktop')).code).not.to.equal(0)
    expect(daemon.network.calls).to.deep.equal([])
    expect((await kith({ ...shell, typed: 'y\n' }, 'device', 'remove', 'desktop')).code).to.equal(0)
    daemon.network.setDevice(OTHER, { name: 'desktop' })
    const script = await run('device', 'remove', 'desktop')
    expect(script).to.deep.include({
      code: 0,
      stderr: 'No terminal is there, so nothing was asked; --yes says so beforehand.\n',
    })
    daemon.network.setDevice(OTHER, { name: 'desktop' })
    for (const flag of ['--yes', '--force']) {
      daemon.network.setDevice(OTHER, { name: 'desktop' })
      expect(await kith({ ...shell, typed: 'n\n' }, 'device', 'remove', 'desktop', flag)).to.include({
        code: 0,
        stderr: '',
      })
    }
  })

  it('device rename asks for the id where two devices have the name, this one too', async () => {
    daemon.network.setDevice(OTHER, { name: 'laptop' })
    await fails(
      1,
      new RegExp(`More than one device is called "laptop": give its id \\(${OWN_ID}, ${OTHER}\\)`),
      'device',
      'rename',
      'laptop',
      'new',
    )
    expect(daemon.network.calls).to.deep.equal([])
    await json(shapes.deviceResultSchema, 'device', 'rename', OWN_ID, 'new')
    expect(daemon.network.calls).to.deep.equal([['rename', OWN_ID, 'new']])
  })

  describe('pair', () => {
    const use = (by: { id: DeviceId; name: string } | Error) => (text: string) => {
      if (text.includes('code')) setImmediate(() => daemon.network.offer?.use(by))
    }

    it('--json: a line with the code at once, a line when done', async () => {
      shell = { ...shell, onStdout: use({ id: OTHER, name: 'desktop' }) }
      const { code, stdout, stderr } = await run('pair', '--json')
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' })
      const [first = '', second = '', ...rest] = stdout.split('\n')
      const offer = shapes.pairingOfferSchema.parse(JSON.parse(first))
      expect(offer).to.deep.include({ code: CODE, ticket: 'kith:ticket' })
      expect(Date.parse(offer.expiresAt)).to.be.greaterThan(Date.now())
      expect(JSON.parse(second)).to.deep.equal({ paired: { id: OTHER, name: 'desktop' } })
      expect(rest).to.deep.equal([''])
    })

    it('shows the code, its square, and the other device', async () => {
      shell = { ...shell, onStdout: use({ id: OTHER, name: 'desktop' }) }
      const { code, stdout } = await run('pair')
      expect(code).to.equal(0)
      expect(stdout).to.contain(`kith pair ${CODE}`).and.contain('█').and.contain('5 minutes')
      expect(stdout).to.contain(`Paired with desktop (…${OTHER.slice(-6)})`)
    })

    it('says why the window closed', async () => {
      shell = { ...shell, onStdout: use(new KithError('pairing-tries', 'Five wrong codes: try again.')) }
      const { code, stderr } = await run('pair')
      expect({ code, stderr }).to.deep.equal({ code: 1, stderr: 'kith: Five wrong codes: try again.\n' })
    })

    it('gives up at the timeout with 4, and the code is dead', async () => {
      const { code, stderr } = await run('pair', '--timeout', '0.2')
      expect(code).to.equal(4)
      expect(stderr).to.match(/No device was paired within 0.2 s/)
      for (let turn = 0; turn < 100 && daemon.network.offer?.cancelled() !== true; turn++) {
        await new Promise(resolve => setTimeout(resolve, 10))
      }
      expect(daemon.network.offer?.cancelled()).to.equal(true)
    })

    it('CODE: joins, at an address if one is given', async () => {
      expect(await json(shapes.pairedSchema, 'pair', CODE)).to.deep.equal({
        paired: { id: '12D3KooWOther', name: 'desktop' },
      })
      await json(shapes.pairedSchema, 'pair', CODE, '--addr', '/ip4/192.0.2.1/tcp/1')
      expect(daemon.network.calls).to.deep.equal([
        ['join', CODE, undefined],
        ['join', CODE, '/ip4/192.0.2.1/tcp/1'],
      ])
      await fails(1, /not the code/, 'pair', 'AAAA-AAAA')
      await fails(2, /--addr goes with a code/, 'pair', '--addr', '/ip4/192.0.2.1/tcp/1')
    })
  })

  describe('wait', () => {
    beforeEach(() => run('add', 'notes'))

    it('0 when in sync; absent devices are named on stderr', async () => {
      expect(await json(shapes.waitResultSchema, 'wait')).to.deep.equal({
        inSync: true,
        folders: ['notes'],
        absent: [],
        paused: [],
      })
      daemon.network.setDevice(OTHER, { name: 'desktop', connected: false, sighted: false })
      daemon.engine('notes').peer(OTHER)
      const { code, stderr } = await run('wait', '--json')
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: 'Not here, so not waited for: desktop.\n' })
    })

    it('4 at the timeout, with what is missing', async () => {
      daemon.engine('notes').set({ settled: false })
      await fails(4, /after 0.1 s|after 100 ms/, 'wait', '--timeout', '0.1')
    })

    it('--device: 4 where it does not come, 1 where there is no such device', async () => {
      daemon.network.setDevice(OTHER, { name: 'desktop', connected: false, sighted: false })
      await fails(4, /a link to desktop/, 'wait', '--device', 'desktop', '--timeout', '0.1')
      await fails(1, /No device "tablet"/, 'wait', '--device', 'tablet')
    })

    it('says which folders are paused, and who stands still elsewhere', async () => {
      daemon.network.setDevice(OTHER, { name: 'desktop' })
      const notes = daemon.engine('notes')
      notes.peer(OTHER, { inSync: false, stopped: 'root-missing' })
      await fails(
        4,
        /"notes": it does not sync until it is answered \(root-missing\) on desktop/,
        'wait',
        '--timeout',
        '0.1',
      )
      expect((await run('status')).stdout).to.contain('desktop: does not sync there (root-missing)')
      notes.peer(OTHER, { inSync: false, stopped: 'paused' })
      await fails(4, /"notes": it is paused on desktop/, 'wait', '--timeout', '0.1')
      const long = await run('wait', '--timeout', '1.5')
      expect(long.stderr).to.match(/^"notes" is paused on desktop: .*\nkith: Not in sync/)
      await run('folder', 'pause', 'notes')
      const paused = await run('wait')
      expect(paused).to.deep.include({ code: 0, stdout: 'Every folder is paused.\n' })
      expect(paused.stderr).to.contain('Paused, so not waited for: notes.')
      expect((JSON.parse((await run('wait', '--json')).stdout) as { paused: unknown }).paused).to.deep.equal(['notes'])
      await fails(1, /"notes" is paused/, 'wait', '--folder', 'notes')
    })

    it('1 at a halt, with its sentence; --folder looks at that one alone', async () => {
      await mkdir(join(directory.path, 'photos'))
      await run('add', 'photos')
      daemon.engine('notes').set({ state: 'error', error: { code: 'root-missing', message: 'The root is gone.' } })
      await fails(1, /The root is gone/, 'wait')
      await fails(1, /The root is gone/, 'wait', '--folder', 'notes')
      expect((await run('wait', '--folder', 'photos')).code).to.equal(0)
      await fails(1, /no folder "none"/, 'wait', '--folder', 'none')
    })
  })

  it('conflicts', async () => {
    await run('add', 'notes')
    expect(await json(shapes.conflictsSchema, 'conflicts')).to.deep.equal({ conflicts: [] })
    daemon.network.setDevice(OTHER, { name: 'desktop' })
    const version = { id: 'v1', device: OTHER, time: 0, path: 'a.txt', content: '\x01\xff' as ContentId }
    daemon.engine('notes').found = [{ path: 'a.txt', versions: [version, { ...version, id: 'v2', device: OWN_ID }] }]
    const { conflicts } = await json(shapes.conflictsSchema, 'conflicts')
    expect(conflicts).to.have.length(1)
    expect(conflicts[0]).to.deep.include({ folder: 'notes', path: 'a.txt' })
    expect(conflicts[0]?.versions.map(each => each.device)).to.deep.equal(['desktop', 'laptop'])
    expect((await run('conflicts')).stdout).to.contain('1 file in conflict')
  })

  it('events: a line of JSON each; 1 when the daemon ends', async () => {
    const seen: string[] = []
    const watching = kith({ ...shell, onStdout: text => seen.push(text) }, 'events')
    while (seen.length < 2) {
      daemon.events.emit({ type: 'file:applied', folder: OFFERED, path: HOSTILE, action: 'created' })
      await new Promise(resolve => setTimeout(resolve, 10))
    }
    await daemon.stop()
    const { code, stdout } = await watching
    expect(code).to.equal(1)
    const lines = stdout.trimEnd().split('\n')
    for (const line of lines) {
      expect(line).not.to.match(RAW)
      expect(JSON.parse(line)).to.deep.include({ type: 'file:applied', path: HOSTILE })
      expect(Date.parse((JSON.parse(line) as { time: string }).time)).to.be.greaterThan(0)
    }
  })

  it('3 where no daemon runs, whatever the command', async () => {
    const commands = [
      ['status'],
      ['wait'],
      ['stop'],
      ['pair'],
      ['pair', CODE],
      ['devices'],
      ['device', 'remove', 'x', '--force'],
      ['add', 'notes'],
      ['folders'],
      ['get', 'x'],
      ['folder', 'pause', 'x'],
      ['conflicts'],
      ['events'],
    ]
    for (const home of [join(directory.path, 'nowhere'), join(directory.path, 'notes')]) {
      shell = { ...shell, home }
      for (const command of commands)
        await fails(3, /No daemon is running for .* start it with "kith start"/, ...command)
    }
  })

  it('2 for wrong usage, and nothing asked of the daemon', async () => {
    const lines = [
      ['nonsense'],
      ['status', '--nonsense'],
      ['add'],
      ['add', 'a', 'b'],
      ['device', 'rename', 'x'],
      ['folder', 'nonsense', 'x'],
      ['wait', '--timeout', 'soon'],
      ['wait', '--timeout', '-1'],
      ['completion', 'tcsh'],
    ]
    for (const line of lines) {
      const { code, stdout, stderr } = await run(...line)
      expect({ line, code, stdout }).to.deep.equal({ line, code: 2, stdout: '' })
      expect(stderr).to.match(/^kith: /)
    }
    expect((await run('stauts')).stderr).to.contain('status')
  })

  it('hostile names reach a terminal as harmless text, and scripts unchanged', async () => {
    daemon.network.setDevice(OTHER, { name: HOSTILE, address: HOSTILE })
    daemon.network.offered = [{ id: OFFERED, name: HOSTILE, devices: [OTHER] }]
    await run('add', 'notes')
    const engine = daemon.engine('notes')
    engine.peer(OTHER)
    engine.set({
      problems: [{ code: 'failed', path: HOSTILE, message: HOSTILE }],
      error: { code: 'root-missing', message: HOSTILE },
    })
    const version = { id: 'v', device: OTHER, time: 0, path: HOSTILE, content: '' as ContentId }
    engine.found = [{ path: HOSTILE, versions: [version] }]
    for (const command of [
      ['status'],
      ['devices'],
      ['folders'],
      ['conflicts'],
      ['get', HOSTILE],
      ['folder', 'pause', HOSTILE],
    ]) {
      const { stdout, stderr } = await run(...command)
      expect(stdout + stderr, command.join(' ')).not.to.match(RAW)
      expect(stdout + stderr).to.contain('evil\\x1b[2J')
    }
    const { stdout } = await run('devices', '--json')
    expect(stdout).not.to.match(RAW)
    expect((JSON.parse(stdout) as { devices: { name: string }[] }).devices[0]?.name).to.equal(HOSTILE)
  })

  it('has colours at a terminal alone, and not with NO_COLOR or --json', async () => {
    daemon.network.setDevice(OTHER, { name: 'desktop' })
    expect((await kith({ ...shell, terminal: true }, 'status')).stdout).to.contain(ESCAPE)
    expect((await run('status')).stdout).not.to.contain(ESCAPE)
    expect((await kith({ ...shell, terminal: true, env: { NO_COLOR: '1' } }, 'status')).stdout).not.to.contain(ESCAPE)
    expect((await kith({ ...shell, terminal: true }, 'status', '--json')).stdout).not.to.contain(ESCAPE)
  })

  describe('help', () => {
    const program = createProgram({
      env: {},
      cwd: '/',
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
    })
    const all = program.commands.flatMap(command => [
      [command.name()],
      ...command.commands.map(child => [command.name(), child.name()]),
    ])
    for (const command of all) {
      it(`kith ${command.join(' ')} --help`, async () => {
        const { code, stdout, stderr } = await run(...command, '--help')
        expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' })
        expect(stdout)
          .to.contain(`Usage: kith ${command.join(' ')}`)
          .and.contain('--json')
          .and.contain('--home')
      })
    }

    it('names every command of the contract', async () => {
      const { code, stdout } = await run('help')
      expect(code).to.equal(0)
      const words =
        'up start stop restart status wait pair demo devices device add folders get folder history explain ls diff restore undo conflicts resolve verify copies events completion help'
      for (const word of words.split(' ')) expect(stdout).to.match(new RegExp(`^ {2}${word}\\b`, 'm'))
      expect(await run()).to.deep.include({ code: 0, stdout })
      expect((await run('help', 'wait')).stdout).to.contain('Usage: kith wait')
      expect((await run('--version')).stdout).to.match(/^\d+\.\d+\.\d+\n$/)
    })

    for (const name of ['bash', 'zsh', 'fish']) {
      it(`completion ${name}: knows the commands`, async () => {
        const { code, stdout } = await run('completion', name)
        expect(code).to.equal(0)
        for (const word of ['conflicts', 'rename', 'timeout', 'approve', 'restore', 'dry-run', 'verify'])
          expect(stdout).to.contain(word)
        expect(stdout).not.to.contain('undefined')
      })
    }
  })
})
