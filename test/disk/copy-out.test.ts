// `restore --to`: never over anything, all or nothing, and as it was.
import { chmod, lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Facts, Kind } from '../../src/core/entry.ts'
import { type CopyItem, copyOut } from '../../src/disk/copy-out.ts'
import { FakeArchive } from '../daemon/support/fake-archive.ts'
import { makeDirectory } from '../daemon/support/fake-daemon.ts'
import { refusal } from '../daemon/support/refusal.ts'

const MTIME = Date.UTC(2020, 1, 2, 3, 4, 5)

describe('disk/copy-out', () => {
  let directory: Awaited<ReturnType<typeof makeDirectory>>
  let archive: FakeArchive
  let progress: [number, number][]
  const at = (...parts: string[]): string => join(directory.path, ...parts)

  beforeEach(async () => {
    directory = await makeDirectory()
    archive = new FakeArchive()
    progress = []
  })
  afterEach(async () => {
    for (const path of [at('to'), at('notes', 'to')]) await chmod(path, 0o700).catch(() => undefined)
    await directory.remove()
  })

  const options = (signal = new AbortController().signal) => ({
    signal,
    onProgress: (files: number, bytes: number) => void progress.push([files, bytes]),
  })
  const copy = (items: readonly CopyItem[], to: string, signal?: AbortSignal) =>
    copyOut(archive, items, to, options(signal))
  const item = (path: string, text: string, change: Partial<Facts> = {}, kind: Kind = 'file'): CopyItem => {
    return { kind, path, facts: archive.put(text, { mtime: MTIME, mode: 0o640, ...change }) }
  }
  const folder = (path: string, mode = 0o755): CopyItem => {
    return { kind: 'directory', path, facts: { content: '' as Facts['content'], size: 0, mtime: MTIME, mode } }
  }
  const code = async (promise: Promise<unknown>): Promise<string> => (await refusal(promise)).code

  it('writes a file with its mode and time, and leaves nothing beside it', async () => {
    const { to, files, bytes, missing } = await copy([item('', 'hello world')], at('to'))
    expect({ to, files, bytes, missing }).to.deep.equal({ to: at('to'), files: 1, bytes: 11, missing: [] })
    expect(await readFile(at('to'), 'utf8')).to.equal('hello world')
    const facts = await lstat(at('to'))
    expect(facts.mode & 0o777).to.equal(0o640)
    expect(facts.mtimeMs).to.equal(MTIME)
    expect(await readdir(directory.path)).to.deep.equal(['to'])
    expect(progress.at(-1)).to.deep.equal([1, 11])
  })

  it('writes an empty file, and a symlink as one', async () => {
    await copy([item('', '')], at('empty'))
    expect(await readFile(at('empty'), 'utf8')).to.equal('')
    await copy([item('', 'some/where', {}, 'symlink')], at('link'))
    expect(await readlink(at('link'))).to.equal('some/where')
    expect((await lstat(at('link'))).mtimeMs).to.equal(MTIME)
  })

  it('writes a tree, with modes that shut it', async () => {
    const items = [
      folder('', 0o555),
      folder('a', 0o500),
      item('a/b', 'b'),
      folder('empty'),
      item('c', 'target', {}, 'symlink'),
    ]
    const { files } = await copy(items, at('to'))
    expect(files).to.equal(2)
    expect(await readFile(at('to', 'a', 'b'), 'utf8')).to.equal('b')
    expect(await readdir(at('to', 'empty'))).to.deep.equal([])
    expect((await lstat(at('to'))).mode & 0o777).to.equal(0o555)
    expect((await lstat(at('to', 'a'))).mode & 0o777).to.equal(0o500)
    expect((await lstat(at('to', 'a'))).mtimeMs).to.equal(MTIME)
    expect(await readdir(directory.path)).to.deep.equal(['to'])
    await chmod(at('to', 'a'), 0o700)
  })

  it('overwrites nothing, whatever stands there', async () => {
    await writeFile(at('file'), 'mine')
    await mkdir(at('directory'))
    await symlink('/nowhere', at('dangling'))
    for (const name of ['file', 'directory', 'dangling']) {
      expect(await code(copy([item('', 'x')], at(name)))).to.equal('path-exists')
      expect(await code(copy([folder('')], at(name)))).to.equal('path-exists')
    }
    expect(await readFile(at('file'), 'utf8')).to.equal('mine')
    expect((await readdir(directory.path)).sort()).to.deep.equal(['dangling', 'directory', 'file'])
  })

  it('overwrites nothing that comes to stand there meanwhile', async () => {
    archive.working = () => writeFile(at('to'), 'mine')
    expect(await code(copy([item('', 'x')], at('to')))).to.equal('path-exists')
    expect(await readFile(at('to'), 'utf8')).to.equal('mine')
    archive.working = async () => {
      await mkdir(at('tree'), { recursive: true })
      await writeFile(at('tree', 'a'), 'mine')
    }
    expect(await code(copy([folder(''), item('a', 'x')], at('tree')))).to.equal('path-exists')
    expect(await readFile(at('tree', 'a'), 'utf8')).to.equal('mine')
    expect((await readdir(directory.path)).sort()).to.deep.equal(['to', 'tree'])
  })

  it('replaces no empty directory that comes to stand there, not even when all is copied', async () => {
    archive.working = async () => {
      archive.working = async () => undefined
      await mkdir(at('to'))
    }
    const items = [folder(''), item('a', 'a')]
    expect(await code(copy(items, at('to')))).to.equal('path-exists')
    expect(await readdir(at('to'))).to.deep.equal([])
    expect(await readdir(directory.path)).to.deep.equal(['to'])
  })

  it('writes no path that is none', async () => {
    await mkdir(at('sub'))
    for (const path of ['../escaped', 'a/../../../escaped', '/escaped', '.kith/x', 'a//b', '..']) {
      expect(await code(copy([folder(''), item(path, 'x')], at('sub', 'to'))), path).to.equal('bad-path')
    }
    expect((await readdir(directory.path, { recursive: true })).sort()).to.deep.equal(['sub'])
  })

  it('gives nobody more rights than a mode has', async () => {
    await copy([item('', 'x', { mode: 0o4755 })], at('to'))
    expect((await lstat(at('to'))).mode & 0o7777).to.equal(0o755)
  })

  it('needs a directory to put it into, and none of Kith’s own', async () => {
    await writeFile(at('file'), '')
    expect(await code(copy([item('', 'x')], at('none', 'to')))).to.equal('path-not-directory')
    expect(await code(copy([item('', 'x')], at('file', 'to')))).to.equal('path-not-directory')
    await mkdir(at('notes', '.kith', 'versions'), { recursive: true })
    await symlink(at('notes', '.kith'), at('door'))
    for (const path of [at('notes', '.kith', 'x'), at('.KITH'), at('door', 'x'), 'relative']) {
      expect(await code(copy([item('', 'x')], path)), path).to.equal('bad-path')
    }
  })

  it('in a synced folder nothing half-written shows', async () => {
    await mkdir(at('notes', '.kith', 'transit'), { recursive: true })
    await mkdir(at('notes', 'sub'))
    const seen: string[][] = []
    archive.working = async () => {
      seen.push([...(await readdir(at('notes'))), ...(await readdir(at('notes', 'sub')))].sort())
    }
    await copy([item('', 'x')], at('notes', 'sub', 'to'))
    expect(seen).to.deep.equal([['.kith', 'sub']])
    const shown: string[][] = []
    archive.working = async () => void shown.push((await readdir(at('notes'))).sort())
    await copy([folder('', 0o500), item('a', 'a'), item('b', 'b')], at('notes', 'to'))
    expect(shown).to.deep.equal([
      ['.kith', 'sub'],
      ['.kith', 'sub'],
    ])
    expect((await lstat(at('notes', 'to'))).mode & 0o777).to.equal(0o500)
    expect(await readFile(at('notes', 'to', 'a'), 'utf8')).to.equal('a')
    expect(await readdir(at('notes', '.kith', 'transit'))).to.deep.equal([])
  })

  it('one file that nobody holds is an error; in a tree it is named and the rest is there', async () => {
    const lost = item('', 'lost')
    archive.forget(lost.facts.content)
    expect(await code(copy([lost], at('to')))).to.equal('content-missing')
    expect(await readdir(directory.path)).to.deep.equal([])
    const { missing, files } = await copy([folder(''), { ...lost, path: 'lost' }, item('there', 'x')], at('to'))
    expect(missing.map(each => each.path)).to.deep.equal(['lost'])
    expect(files).to.equal(1)
    expect(await readdir(at('to'))).to.deep.equal(['there'])
  })

  it('takes back nothing but what it wrote', async () => {
    await mkdir(at('notes', '.kith', 'transit'), { recursive: true })
    const abort = new AbortController()
    archive.working = async () => {
      await mkdir(at('notes', 'to'), { recursive: true })
      await writeFile(at('notes', 'to', 'mine'), 'mine')
      abort.abort(new Error('enough'))
    }
    const items = [folder(''), folder('shut', 0o500), item('shut/a', 'a'), item('b', 'b')]
    const failed = await copy(items, at('notes', 'to'), abort.signal).catch((error: unknown) => error)
    expect(String(failed)).to.contain('enough')
    expect(await readdir(at('notes', 'to'))).to.deep.equal(['mine'])
    expect(await readdir(at('notes', '.kith', 'transit'))).to.deep.equal([])
  })

  it('ends with the signal, and takes back what it began', async () => {
    for (const items of [[item('', 'abcdef')], [folder(''), item('a', 'a'), item('b', 'b')]]) {
      const abort = new AbortController()
      archive.working = async () => abort.abort(new Error('enough'))
      const failed = await copy(items, at('to'), abort.signal).then(
        () => null,
        (error: unknown) => error,
      )
      expect(String(failed)).to.contain('enough')
      expect(await readdir(directory.path)).to.deep.equal([])
    }
  })
})
