// What the scanner sees and what it says of what it cannot see: odd kinds, odd names, unreadable places, roots that go away.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { expect } from 'chai'
import fc from 'fast-check'
import type { FolderDisk, Listing, Problem, Stat, Unlisted } from '../../src/core/ports.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { Packer, unpack } from '../../src/disk/scan-read.ts'
import { DiskWorkers } from '../../src/disk/workers.ts'
import { DEVICE, FOLDER, RealPerson, silent, temporaryRoot } from './real-person.ts'

const signal = new AbortController().signal

describe('disk/scanner', () => {
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

  async function scan(paths: string[] = [''], recursive = true): Promise<(Listing | Unlisted)[]> {
    const reads: (Listing | Unlisted)[] = []
    for await (const read of disk.scan(paths, { signal, recursive })) reads.push(read)
    return reads
  }
  async function rootListing(): Promise<Listing> {
    const [first] = await scan([''], false)
    if (first === undefined || !('entries' in first)) throw new Error('the root was not read')
    return first
  }

  it('packs and unpacks any listing', () => {
    const whole = fc.nat({ max: 2 ** 31 })
    const stat: fc.Arbitrary<Stat> = fc.record({
      dev: whole,
      ino: fc.maxSafeNat(),
      birthUs: fc.maxSafeInteger(),
      size: fc.maxSafeNat(),
      mtimeUs: fc.maxSafeInteger(),
      ctimeUs: fc.maxSafeInteger(),
      mode: fc.nat({ max: 0o777 }),
      links: whole,
    })
    const name = fc.string({ minLength: 1 }).filter(text => !text.includes('\0'))
    const problem: fc.Arbitrary<Problem> = fc.record({
      code: fc.constantFrom('unreadable', 'unsupported', 'mount', 'bad-name', 'failed'),
      path: name,
      message: name,
    })
    const kind = fc.constantFrom('file', 'directory', 'symlink')
    const listing: fc.Arbitrary<Listing | Unlisted> = fc.oneof(
      fc.record({
        path: name,
        stat,
        entries: fc.array(fc.record({ name, kind, stat })),
        problems: fc.array(problem),
      }),
      fc.record({ path: name, gone: fc.constant(true), problem: fc.constant(null) }),
      fc.record({ path: name, gone: fc.constant(false), problem }),
    )
    fc.assert(
      fc.property(fc.array(listing), listings => {
        const packer = new Packer()
        for (const one of listings) packer.add(one)
        expect([...unpack(packer.take())]).to.deep.equal(listings)
      }),
    )
  })

  it('reports FIFOs and sockets, and neither opens nor lists them', async () => {
    execFileSync('mkfifo', [person.path('pipe')])
    const server = createServer()
    await new Promise<void>(resolve => server.listen(person.path('socket'), resolve))
    try {
      person.write('f', 'x')
      const { entries, problems } = await rootListing()
      expect(entries.map(entry => entry.name)).to.deep.equal(['f'])
      expect(problems.map(({ code, path }) => [code, path]).sort()).to.deep.equal([
        ['unsupported', 'pipe'],
        ['unsupported', 'socket'],
      ])
      const stat = entries[0]?.stat
      if (stat === undefined) throw new Error('no stat')
      // A FIFO where a file was observed: the read must come back at once.
      for await (const result of disk.hash([{ path: 'pipe', kind: 'file', stat }], { signal })) {
        expect(!result.ok && result.problem.code).to.equal('busy')
      }
    } finally {
      await new Promise(resolve => server.close(resolve))
    }
  })

  it('lists every name that is UTF-8, and reports those that are not', async () => {
    const names = ['new\nline', 'tab\t', 'a'.repeat(255), '\ufffd', '\u202e', 'e\u0301', '\u00e9', ' ', '...']
    for (const name of names) person.write(name, 'x')
    writeFileSync(Buffer.concat([Buffer.from(`${root}/bad`), Buffer.of(0xff, 0xfe)]), 'x')
    const { entries, problems } = await rootListing()
    expect(entries.map(entry => entry.name).sort()).to.deep.equal([...names].sort())
    expect(problems.map(problem => problem.code)).to.deep.equal(['bad-name'])
  })

  it('keeps the reserved name out of the tree, at any depth and in any case', async () => {
    person.mkdir('d')
    person.mkdir('d/.KITH')
    person.write('d/.KITH/f', 'x')
    person.write('.Kith', 'x')
    const reads = await scan()
    expect(reads.map(read => read.path).sort()).to.deep.equal(['', 'd'])
    const problems = reads.flatMap(read => ('entries' in read ? read.problems : []))
    expect(problems.map(({ code, path }) => [code, path]).sort()).to.deep.equal([
      ['bad-name', '.Kith'],
      ['bad-name', 'd/.KITH'],
    ])
  })

  it('follows no symlink, in the tree or on the way to it', async () => {
    person.mkdir('real')
    person.write('real/f', 'x')
    symlinkSync('real', person.path('link'))
    symlinkSync('/', person.path('root'))
    const reads = await scan()
    expect(reads.map(read => read.path).sort()).to.deep.equal(['', 'real'])
    for (const path of ['link', 'link/f', 'root/etc', 'real/..', '..', 'real/../real']) {
      expect(await scan([path]), path).to.deep.equal([{ path, gone: true, problem: null }])
    }
  })

  it('says unreadable, never gone, of everything once the root is away or another', async () => {
    person.mkdir('d')
    const away = `${root}-away`
    execFileSync('mv', [root, away])
    for (const make of [() => undefined, () => mkdirSync(root)]) {
      make()
      for (const read of await scan(['', 'd', 'd/e'])) {
        expect('gone' in read && [read.gone, read.problem?.code], read.path).to.deep.equal([false, 'unreadable'])
      }
    }
    rmSync(root, { recursive: true })
    execFileSync('mv', [away, root])
    expect((await scan(['d']))[0]).to.have.property('entries')
  })

  it('takes an error of the disk while it reads a directory for unknown, not for empty', function () {
    if (spawnSync('strace', ['-V']).status !== 0) {
      console.log('      SKIP: strace is not installed')
      return this.skip()
    }
    person.mkdir('d')
    person.write('d/f', 'x')
    const script = `
      import { TreeReader } from './src/disk/scan-read.ts'
      const reader = new TreeReader(${JSON.stringify(root)}, { identity: null, recursive: false, paths: ['d'] })
      const read = reader.next()
      console.log(JSON.stringify('gone' in read ? { gone: read.gone, code: read.problem?.code } : read.entries.length))`
    for (const [call, when] of [
      ['getdents64', 1],
      ['getdents64', 2],
    ] as const) {
      const inject = `inject=${call}:error=EIO:when=${when}`
      const args = ['-f', '-qq', '-o', '/dev/null', '-P', `${root}/d`, '-e', inject, process.execPath]
      const { stdout } = spawnSync('strace', [...args, ...process.execArgv, '--input-type=module', '-e', script], {
        encoding: 'utf8',
      })
      expect(JSON.parse(stdout), `${call} ${when}`).to.deep.equal({ gone: false, code: 'unreadable' })
    }
  }).timeout(30_000)

  it('does not enter another file system, and says so', function () {
    const unshared = ['-m', '--propagation', 'private', 'true']
    if (process.getuid?.() !== 0 || spawnSync('unshare', unshared).status !== 0) {
      console.log('      SKIP: mounting for the test needs root')
      return this.skip()
    }
    person.mkdir('m')
    person.write('m/below', 'x')
    const script = `
      import { TreeReader } from './src/disk/scan-read.ts'
      const reader = new TreeReader(${JSON.stringify(root)}, { identity: null, recursive: true, paths: [''] })
      const read = reader.next()
      console.log(JSON.stringify([read.entries.map(e => e.name), read.problems.map(p => [p.code, p.path]), reader.next() === undefined]))`
    const shell = `mount -t tmpfs none "$1/m" && shift && exec "$@"`
    const args = ['-m', '--propagation', 'private', 'sh', '-c', shell, 'sh', root, process.execPath]
    const { stdout } = spawnSync('unshare', [...args, ...process.execArgv, '--input-type=module', '-e', script], {
      encoding: 'utf8',
    })
    expect(JSON.parse(stdout)).to.deep.equal([[], [['mount', 'm']], true])
  }).timeout(30_000)

  it('scans many directories in batches, and stops when told', async () => {
    for (let at = 0; at < 40; at++) {
      person.mkdir(`d${at}`)
      for (let f = 0; f < 50; f++) person.write(`d${at}/f${f}`, '')
    }
    const reads = await scan()
    expect(reads.length).to.equal(41)
    expect(reads.flatMap(read => ('entries' in read ? read.entries : [])).length).to.equal(2040)
    const stop = new AbortController()
    let seen = 0
    let caught: unknown
    try {
      for await (const _ of disk.scan([''], { signal: stop.signal, recursive: true })) {
        if (++seen === 5) stop.abort(new Error('enough'))
      }
    } catch (error) {
      caught = error
    }
    expect(seen).to.equal(5)
    expect(caught).to.have.property('message', 'enough')
    expect((await scan([''], false)).length).to.equal(1)
  })

  it('hashes a file of holes and one that is text to the last byte', async () => {
    person.write('holes', '')
    truncateSync(person.path('holes'), 5 << 20)
    person.write('text', 'ü'.repeat(1 << 20))
    person.write('long', 'x'.repeat((2 << 20) + 1))
    person.write('cut', Buffer.from('ü'.repeat(10)).subarray(0, 19))
    person.write('wide', Buffer.from('\ufeffhello', 'utf16le'))
    const listing = await rootListing()
    const texts = new Map<string, number | null>()
    const requests = listing.entries.map(({ name, stat }) => ({ path: name, kind: 'file' as const, stat }))
    for await (const result of disk.hash(requests, { signal })) {
      if (!result.ok) throw new Error(result.problem.message)
      texts.set(result.request.path, result.text?.length ?? null)
    }
    expect(Object.fromEntries(texts)).to.deep.equal({ holes: null, text: 2 << 20, long: null, cut: null, wide: 12 })
  })
})
