// What publishing does beyond the contract: hard links, late writers, leftovers of crashes, damaged stages, order of syncs, symlink
// races, and directories that their owner may not write in.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import type { ContentId } from '../../src/core/ids.ts'
import { NO_CONTENT } from '../../src/core/ids.ts'
import type { DiskStep, FolderDisk, Stat, StepResult } from '../../src/core/ports.ts'
import { areaPath, contentName } from '../../src/disk/area.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { statOf as toStat } from '../../src/disk/stat.ts'
import { DiskWorkers } from '../../src/disk/workers.ts'
import { DEVICE, FOLDER, RealPerson, silent, temporaryRoot } from './real-person.ts'

const waiting = { signal: new AbortController().signal }
const idOf = (text: string): ContentId => contentOf(Buffer.from(text)).content

describe('disk/publish', () => {
  const workers = new DiskWorkers()
  let root: string
  let person: RealPerson
  let disk: FolderDisk

  beforeEach(async () => {
    root = temporaryRoot()
    person = new RealPerson(root)
    disk = await openFolderDisk(root, { folder: FOLDER, device: DEVICE, log: silent, workers })
    await disk.accept()
    await disk.recover()
  })
  afterEach(async () => {
    await disk.close()
    rmSync(root, { recursive: true, force: true })
  })
  after(() => workers.close())

  async function statOf(path: string): Promise<Stat> {
    const found = await disk.look(path)
    if (found === null) throw new Error(`nothing at ${path}`)
    return found.stat
  }

  async function put(path: string, text: string, over: Partial<DiskStep & { do: 'put' }> = {}): Promise<DiskStep> {
    const content = idOf(text)
    await disk.stage.putWhole([{ content, bytes: Buffer.from(text) }], waiting)
    const rest = { mode: 0o644, mtime: 1_600_000_000_000, expect: null, expectContent: NO_CONTENT, keep: false }
    return { do: 'put', path, kind: 'file', content, ...rest, ...over }
  }
  const replace = async (path: string, old: string, text: string): Promise<DiskStep> =>
    put(path, text, { expect: await statOf(path), expectContent: idOf(old) })
  async function run(...steps: DiskStep[]): Promise<readonly StepResult[]> {
    return disk.apply(steps, waiting)
  }
  async function succeed(...steps: DiskStep[]): Promise<void> {
    for (const result of await run(...steps)) {
      if (!result.ok) throw new Error(`${result.problem.code} at ${result.problem.path}: ${result.problem.message}`)
    }
  }
  async function version(text: string): Promise<string | null> {
    const bytes = await disk.read({ at: 'version', content: idOf(text) }, 0, text.length, waiting)
    return bytes === null ? null : Buffer.from(bytes).toString()
  }

  it('copies an inode with other names, so that writing to those does not change the version', async () => {
    person.write('f', 'old')
    linkSync(person.path('f'), person.path('g'))
    await succeed(await replace('f', 'old', 'new'))
    writeFileSync(person.path('g'), 'OLD')
    expect(await version('old')).to.equal('old')
    person.write('h', 'gone')
    linkSync(person.path('h'), person.path('i'))
    await succeed({ do: 'remove', path: 'h', kind: 'file', expect: await statOf('h'), content: idOf('gone') })
    writeFileSync(person.path('i'), 'GONE')
    expect(await version('gone')).to.equal('gone')
    expect([person.text('f'), person.text('g'), person.text('i')]).to.deep.equal(['new', 'OLD', 'GONE'])
  })

  it('keeps equal contents of several files once, and all of them', async () => {
    for (const name of ['a', 'b', 'c']) person.write(name, 'same')
    await succeed(await replace('a', 'same', 'A'), await replace('b', 'same', 'B'), {
      do: 'remove',
      path: 'c',
      kind: 'file',
      expect: await statOf('c'),
      content: idOf('same'),
    })
    expect(await version('same')).to.equal('same')
  })

  it('brings what a late writer wrote into a replaced file back beside it', async () => {
    person.write('doc.txt', 'old')
    const late = openSync(person.path('doc.txt'), 'r+')
    await succeed(await replace('doc.txt', 'old', 'new'))
    writeSync(late, 'written late', 0)
    await disk.recover()
    const names = readdirSync(root).filter(name => name !== '.kith')
    expect(names.length).to.equal(2)
    const copy = names.find(name => name !== 'doc.txt') ?? ''
    expect(copy).to.match(/^doc \(conflict \d{4}-\d\d-\d\d \d\d-\d\d-\d\d late\)\.txt$/)
    expect([person.text('doc.txt'), person.text(copy)]).to.deep.equal(['new', 'written late'])
    expect(disk.hasVersion(idOf('old'))).to.equal(false)
    // It is the inode itself: what is still to come is seen too.
    writeSync(late, 'WRITTEN', 0)
    expect(person.text(copy)).to.equal('WRITTEN late')
  })

  it('brings a removed file back where it was if a program wrote to it afterwards', async () => {
    person.mkdir('d')
    person.write('d/f', 'old')
    const late = openSync(person.path('d/f'), 'a')
    await succeed({ do: 'remove', path: 'd/f', kind: 'file', expect: await statOf('d/f'), content: idOf('old') })
    expect(existsSync(person.path('d/f'))).to.equal(false)
    writeSync(late, ' and new')
    await disk.recover()
    expect(person.text('d/f')).to.equal('old and new')
    const log = readFileSync(areaPath(root, 'late.log'), 'utf8')
    expect(log).to.equal('')
  })

  it('leaves what nobody wrote to in versions', async () => {
    person.write('f', 'old')
    await succeed(await replace('f', 'old', 'new'))
    await disk.recover()
    expect(await version('old')).to.equal('old')
    expect(readdirSync(root).filter(name => name !== '.kith')).to.deep.equal(['f'])
  })

  it('finds a change that size and times do not show, in a file written a moment ago', async () => {
    person.write('f', 'old')
    const step = await replace('f', 'OLD', 'new')
    const [result] = await run(step)
    expect(result?.ok === false && result.problem.code).to.equal('changed')
    expect(person.text('f')).to.equal('old')
    const remove = { do: 'remove', path: 'f', kind: 'file', expect: await statOf('f'), content: idOf('OLD') } as const
    const [removed] = await run(remove)
    expect(removed?.ok === false && removed.problem.code).to.equal('changed')
    expect(person.text('f')).to.equal('old')
  })

  it('undoes what it kept for a step that then fails', async () => {
    person.write('f', 'old')
    const step = await replace('f', 'old', 'new')
    rmSync(areaPath(root, 'stage', contentName(idOf('new'))))
    const [result] = await run(step)
    expect(result?.ok === false && result.problem.code).to.equal('changed')
    expect(readdirSync(areaPath(root, 'versions'))).to.deep.equal([])
    expect(lstatSync(person.path('f')).nlink).to.equal(1)
  })

  it('refuses a stage that was damaged after it was verified', async () => {
    const step = await put('f', 'precious')
    writeFileSync(areaPath(root, 'stage', contentName(idOf('precious'))), 'poisoned')
    const [result] = await run(step)
    expect(result?.ok === false && result.problem.code).to.equal('failed')
    expect(existsSync(person.path('f'))).to.equal(false)
    expect(disk.stage.has(idOf('precious'))).to.equal(false)
  })

  it('puts back what was parked when the process died, or beside it', async () => {
    person.write('f', 'F')
    person.write('g', 'G')
    const parked = areaPath(root, 'parked')
    for (const name of ['f', 'g']) {
      person.rename(name, `.kith/parked/${name}`)
      writeFileSync(join(parked, `${name}.json`), JSON.stringify({ from: name }))
    }
    person.write('g', 'another')
    person.write('.kith/parked/no-note', 'N')
    await disk.recover()
    expect(person.text('f')).to.equal('F')
    expect(person.text('g')).to.equal('another')
    expect(person.text('g (kept 1)')).to.equal('G')
    expect(person.text('recovered no-note')).to.equal('N')
    expect(readdirSync(parked)).to.deep.equal([])
  })

  it('leaves a note of a parked thing that tries to lead out of the folder powerless', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'kith-outside-'))
    try {
      symlinkSync(outside, person.path('link'))
      person.write('.kith/parked/x', 'X')
      writeFileSync(areaPath(root, 'parked', 'x.json'), JSON.stringify({ from: 'link/x' }))
      person.write('.kith/parked/y', 'Y')
      writeFileSync(areaPath(root, 'parked', 'y.json'), JSON.stringify({ from: `../${outside.split('/').pop()}/y` }))
      await disk.recover()
      expect(readdirSync(outside)).to.deep.equal([])
      expect([person.text('x'), person.text('y')]).to.deep.equal(['X', 'Y'])
    } finally {
      rmSync(outside, { recursive: true })
    }
  })

  it('gives a directory without owner-write that right for the step, and takes it back', function () {
    if (process.getuid?.() !== 0) {
      console.log('      SKIP: the test starts a child as another user, which only root can')
      return this.skip()
    }
    chmodSync(root, 0o777)
    mkdirSync(person.path('locked'))
    writeFileSync(person.path('locked/f'), 'old content')
    const chown = ['-R', '65534:65534', root]
    execFileSync('chown', chown)
    chmodSync(person.path('locked'), 0o555)
    const child = fileURLToPath(new URL('./unprivileged-child.ts', import.meta.url))
    const run = asNobody([child, root])
    expect(run.stderr).to.equal('')
    expect(JSON.parse(run.stdout)).to.deep.equal({
      results: [true, true, true],
      names: ['g', 'h', 'moved'],
      mode: 0o555,
      unreadable: { path: 'secret', gone: false, code: 'unreadable' },
      hashed: 'unreadable',
    })
  }).timeout(30_000)

  it('syncs the bytes, then renames, then syncs the directory; versions are synced before the rename', function () {
    if (spawnSync('strace', ['-V']).status !== 0) {
      console.log('      SKIP: strace is not installed')
      return this.skip()
    }
    person.write('f0', 'old content')
    const child = fileURLToPath(new URL('./publish-child.ts', import.meta.url))
    const calls = 'trace=fsync,rename,renameat,renameat2,link,linkat,write,pwrite64,utimensat,fchmod,openat'
    const args = ['-f', '-y', '-qq', '-s', '200', '-e', calls, process.execPath, ...process.execArgv, child, root, '1']
    const { stderr, status } = spawnSync('strace', args, { encoding: 'utf8' })
    expect(status).to.equal(0)
    const stage = `stage/${contentName(idOf('new content 0'))}`
    const lines = stderr.split('\n')
    const last = (...parts: string[]): number => lines.findLastIndex(line => parts.every(part => line.includes(part)))
    const first = (...parts: string[]): number => lines.findIndex(line => parts.every(part => line.includes(part)))
    const order = {
      written: last('pwrite64(', stage),
      timed: last('utimensat(', stage),
      synced: last('fsync(', stage),
      kept: first('link', '/f0'),
      versionsSynced: first('fsync(', '/.kith/versions>'),
      renamed: last('rename', contentName(idOf('new content 0')), '/f0'),
      directorySynced: last('fsync(', `${root}>`),
    }
    for (const [name, line] of Object.entries(order)) expect(line, `${name}\n${stderr.slice(-6000)}`).to.be.at.least(0)
    const { written, timed, synced, kept, versionsSynced, renamed, directorySynced } = order
    expect([written, timed, synced, renamed, directorySynced]).to.deep.equal(
      [written, timed, synced, renamed, directorySynced].sort((a, b) => a - b),
    )
    expect([kept, versionsSynced, renamed]).to.deep.equal([kept, versionsSynced, renamed].sort((a, b) => a - b))
  }).timeout(30_000)

  it('never writes outside while directories are swapped for symlinks', async function () {
    this.timeout(60_000)
    const outside = mkdtempSync(join(tmpdir(), 'kith-outside-'))
    writeFileSync(join(outside, 'f0'), 'canary')
    chmodSync(join(outside, 'f0'), 0o600)
    const before = JSON.stringify(lstatSync(join(outside, 'f0')))
    mkdirSync(person.path('d'))
    const flipper = spawn(process.execPath, ['-e', FLIPPER, root, outside], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      await once(flipper.stdout, 'data')
      let done = 0
      for (let round = 0; round < 15; round++) {
        const steps: DiskStep[] = []
        for (let at = 0; at < 50; at++) steps.push(await put(`d/r${round}f${at}`, `${round} ${at}`))
        steps.push({ do: 'mkdir', path: `d/dir${round}`, mode: 0o755 })
        done += (await run(...steps)).filter(result => result.ok).length
      }
      flipper.kill('SIGTERM')
      const [code] = await once(flipper, 'exit')
      expect(code).to.equal(0)
      expect(done).to.be.greaterThan(0)
      expect(readdirSync(outside)).to.deep.equal(['f0'])
      expect(JSON.stringify(lstatSync(join(outside, 'f0')))).to.equal(before)
      const flips = Number(readFileSync(join(root, '.kith', 'flips'), 'utf8'))
      expect(flips).to.be.greaterThan(500)
    } finally {
      flipper.kill('SIGKILL')
      rmSync(outside, { recursive: true, force: true })
    }
  })

  it('never reads outside while a directory is swapped for a symlink', async function () {
    this.timeout(60_000)
    const outside = mkdtempSync(join(tmpdir(), 'kith-outside-'))
    writeFileSync(join(outside, 'f'), 'canary')
    person.mkdir('d')
    person.write('d/f', 'public')
    const secret = statOfFile(join(outside, 'f'))
    const inside = statOfFile(person.path('d/f'))
    const flipper = spawn(process.execPath, ['-e', FLIPPER, root, outside], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    try {
      await once(flipper.stdout, 'data')
      let right = 0
      const until = Date.now() + 30_000
      for (let round = 0; round < 200 || (right === 0 && Date.now() < until); round++) {
        const looked = await disk.look('d/f')
        if (looked !== null) expect(looked.stat.ino).to.equal(inside.ino)
        // Also with what stands outside given as observed: by path alone it would match.
        const stat = round % 2 === 0 ? secret : inside
        const request = { path: 'd/f', kind: 'file', stat } as const
        for await (const result of disk.hash([request], waiting)) {
          if (!result.ok) continue
          expect(result.list.content).to.equal(idOf('public'))
          right++
        }
        for await (const read of disk.scan(['d'], { ...waiting, recursive: true })) {
          if ('entries' in read) expect(read.entries[0]?.stat.ino).not.to.equal(secret.ino)
        }
      }
      expect(right).to.be.greaterThan(0)
    } finally {
      flipper.kill('SIGKILL')
      rmSync(outside, { recursive: true, force: true })
    }
  })

  it('never takes half of one content and half of another for a file', async function () {
    this.timeout(60_000)
    const whole = ['a', 'b'].map(letter => contentOf(Buffer.alloc(8 << 20, letter)).content)
    person.write('f', Buffer.alloc(8 << 20, 'a'))
    const writer = spawn(process.execPath, ['-e', REWRITER, person.path('f')], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      await once(writer.stdout, 'data')
      let right = 0
      let busy = 0
      const until = Date.now() + 30_000
      for (let round = 0; (round < 60 || right === 0 || busy === 0) && Date.now() < until; round++) {
        const request = { path: 'f', kind: 'file', stat: await statOf('f') } as const
        for await (const result of disk.hash([request], waiting)) {
          if (result.ok) {
            expect(whole).to.include(result.list.content)
            right++
          } else {
            expect(result.problem.code).to.equal('busy')
            busy++
          }
        }
      }
      expect(right).to.be.greaterThan(0)
      expect(busy).to.be.greaterThan(0)
    } finally {
      writer.kill('SIGKILL')
    }
  })

  it('holds names of any bytes that are UTF-8, up to 255 of them, and empty files', async () => {
    const names = [
      'new\nline',
      'tab\t',
      '\\back',
      'a'.repeat(255),
      'ü'.repeat(127),
      '…',
      ' lead',
      'trail. ',
      '\u202e',
      '-rf',
      '\ufffd',
    ]
    await succeed(
      ...(await Promise.all(names.map((name, at) => put(name, at % 2 === 0 ? '' : `${at}`, { keep: true })))),
    )
    for (const [at, name] of names.entries()) expect(person.text(name)).to.equal(at % 2 === 0 ? '' : `${at}`)
    const [result] = await run(await put('b'.repeat(256), 'x'))
    expect(result?.ok === false && result.problem.code).to.equal('cannot-hold')
  })

  it('answers failed for every step once the root is another directory, and touches nothing', async () => {
    const step = await put('f', 'x')
    const away = `${root}-away`
    person.write('keep', 'y')
    execFileSync('mv', [root, away])
    mkdirSync(root)
    try {
      const [result] = await run(step)
      expect(result?.ok === false && result.problem.code).to.equal('failed')
      expect(readdirSync(root)).to.deep.equal([])
    } finally {
      rmSync(root, { recursive: true })
      execFileSync('mv', [away, root])
    }
    await succeed(step)
  })

  it('ends a log line that a crash tore', async () => {
    person.write('f', 'old')
    await succeed(await replace('f', 'old', 'new'))
    appendFileSync(areaPath(root, 'late.log'), '{"name":"00')
    await disk.recover()
    expect(await version('old')).to.equal('old')
  })

  it('leaves out of that log what it could not have written', async () => {
    person.write('f', 'old')
    await succeed(await replace('f', 'old', 'new'))
    const path = areaPath(root, 'late.log')
    const good = JSON.parse(readFileSync(path, 'utf8')) as { name: string }
    const bad = { name: `./${good.name}`, path: 7, ino: 'x', size: '-1', mtimeNs: '1.5', time: '0' }
    const lines = Object.entries(bad).map(([key, value]) => JSON.stringify({ ...good, [key]: value }))
    appendFileSync(path, ['null', '[]', '7', ...lines, ''].join('\n'))
    await disk.recover()
    expect(readFileSync(path, 'utf8')).to.equal(`${JSON.stringify(good)}\n`)
  })
})

const statOfFile = (path: string): Stat => toStat(lstatSync(path, { bigint: true }))

function asNobody(args: string[]): { stdout: string; stderr: string } {
  const user = ['--reuid=65534', '--regid=65534', '--clear-groups']
  const { stdout, stderr } = spawnSync('setpriv', [...user, process.execPath, ...process.execArgv, ...args], {
    encoding: 'utf8',
    env: { ...process.env, HOME: '/nonexistent', TMPDIR: '/tmp' },
  })
  return { stdout, stderr }
}

const FLIPPER = `
const fs = require('node:fs'); const { join } = require('node:path')
const [root, outside] = process.argv.slice(1)
const d = join(root, 'd'), away = join(root, 'd2')
let flips = 0, stop = false
process.on('SIGTERM', () => { stop = true })
const step = () => {
  for (let n = 0; n < 50; n++) {
    fs.renameSync(d, away); fs.symlinkSync(outside, d); fs.unlinkSync(d); fs.renameSync(away, d); flips += 2
  }
  if (stop) { fs.writeFileSync(join(root, '.kith', 'flips'), String(flips)); process.exit(0) }
  setImmediate(step)
}
console.log('ready'); step()`

/** Alternates two contents in place, resting now and then. */
const REWRITER = `
const fs = require('node:fs')
const fd = fs.openSync(process.argv[1], 'r+'); let n = 0
const both = ['a', 'b'].map(letter => Buffer.alloc(64 << 10, letter))
console.log('ready')
const step = () => {
  n++
  for (let at = 0; at < 8 << 20; at += 64 << 10) fs.writeSync(fd, both[n % 2], 0, 64 << 10, at)
  setTimeout(step, n % 4 === 0 ? 60 : 0)
}
step()`
