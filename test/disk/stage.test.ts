// Staging beyond the contract: resuming what a crash tore, holes, full disks, lists that no honest device makes.
import { spawnSync } from 'node:child_process'
import {
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import type { ContentList } from '../../src/core/content.ts'
import { contentOf, listOf, sha256 } from '../../src/core/content-list.ts'
import { isKithError } from '../../src/core/errors.ts'
import { type ContentId, NO_CONTENT } from '../../src/core/ids.ts'
import type { FolderDisk, HashedBytes, StageFile } from '../../src/core/ports.ts'
import { areaPath, contentName } from '../../src/disk/area.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import type { HashTask } from '../../src/disk/hash-worker.ts'
import { DiskStage } from '../../src/disk/stage.ts'
import { DiskWorkers } from '../../src/disk/workers.ts'
import { DEVICE, FOLDER, RealPerson, silent, temporaryRoot } from './real-person.ts'

const waiting = { signal: new AbortController().signal }

function stream(length: number, seed: number): Buffer {
  const out = Buffer.alloc(length)
  let state = seed
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    out[i] = state >>> 24
  }
  return out
}

describe('disk/stage', () => {
  const workers = new DiskWorkers()
  let root: string
  let person: RealPerson
  let disk: FolderDisk
  const open = (): Promise<FolderDisk> => openFolderDisk(root, { folder: FOLDER, device: DEVICE, log: silent, workers })

  beforeEach(async () => {
    root = temporaryRoot()
    person = new RealPerson(root)
    disk = await open()
    await disk.accept()
    await disk.recover()
  })
  afterEach(async () => {
    await disk.close()
    rmSync(root, { recursive: true, force: true })
  })
  after(() => workers.close())

  function partsOf(list: ContentList, bytes: Buffer): { index: number; bytes: Uint8Array }[] {
    let at = 0
    return list.chunks.map(({ length }, index) => {
      const part = bytes.subarray(at, at + length)
      at += length
      return { index, bytes: part }
    })
  }
  async function codeOf(promise: Promise<unknown>): Promise<string> {
    return promise.then(
      () => 'none',
      (error: unknown) => (isKithError(error) ? error.code : String(error)),
    )
  }
  const partPath = (list: ContentList): string => areaPath(root, 'stage', `${contentName(list.content)}.part`)

  it('resumes after a restart with what is right, and asks again for what was torn', async () => {
    const bytes = stream(2 << 20, 5)
    const list = contentOf(bytes)
    const parts = partsOf(list, bytes)
    const file = await disk.stage.open(list, waiting)
    await file.write(parts.slice(0, 5), waiting)
    const torn = openSync(partPath(list), 'r+')
    writeSync(torn, Buffer.from('torn'), 0, 4, (list.chunks[0]?.length ?? 0) + 10)
    const next = await open()
    const again = await next.stage.open(list, waiting)
    expect(again.missing()).to.deep.equal([1, ...parts.slice(5).map(part => part.index)])
    await again.write([parts[1] as { index: number; bytes: Uint8Array }, ...parts.slice(5)], waiting)
    await again.finish(waiting)
    await again.close()
    expect(next.stage.has(list.content)).to.equal(true)
    expect(lstatSync(areaPath(root, 'stage', contentName(list.content))).mode & 0o777).to.equal(0o600)
    await next.close()
  })

  it('reads all of it again where something else wrote to what became longer', async () => {
    const bytes = stream(2 << 20, 5)
    const [prefix, list] = [contentOf(bytes.subarray(0, 1 << 20)), contentOf(bytes)]
    const file = await disk.stage.open(prefix, waiting)
    await file.write(partsOf(prefix, bytes), waiting)
    const spoiler = openSync(partPath(prefix), 'r+')
    writeSync(spoiler, Buffer.from('spoilt'), 0, 6, 10)
    const longer = await disk.stage.extend(file, list, waiting)
    expect(readdirSync(areaPath(root, 'stage'))).to.deep.equal([`${contentName(list.content)}.part`])
    const missing = new Set(longer.missing())
    await longer.write(
      partsOf(list, bytes).filter(({ index }) => missing.has(index)),
      waiting,
    )
    expect(await codeOf(longer.finish(waiting))).to.equal('content-mismatch')
    await longer.close()
    expect((await disk.stage.open(list, waiting)).missing()).to.deep.equal([0])
  })

  it('goes on with what another brings, where that is what it becomes', async () => {
    const bytes = stream(2 << 20, 5)
    const list = contentOf(bytes)
    const first = await disk.stage.open(list, waiting)
    const begun = await disk.stage.open(contentOf(bytes.subarray(0, 1 << 20)), waiting)
    const both = await disk.stage.extend(begun, list, waiting)
    expect(both).to.equal(first)
    await first.close()
    await disk.stage.sweep(new Set())
    expect(readdirSync(areaPath(root, 'stage')), 'one of them has it open').to.deep.equal([
      `${contentName(list.content)}.part`,
    ])
    await both.close()
  })

  it('never replaces what was verified and is about to be published from', async () => {
    const bytes = stream(5_000, 9)
    const { content } = contentOf(bytes)
    const put = (): Promise<readonly ContentId[]> => disk.stage.putWhole([{ content, bytes }], waiting)
    const inode = (): number => lstatSync(areaPath(root, 'stage', contentName(content))).ino
    const puts = [put(), put(), put()]
    await Promise.race(puts)
    const first = inode()
    expect((await Promise.all(puts)).flat()).to.deep.equal([])
    await put()
    expect(inode()).to.equal(first)
    const step = {
      do: 'put',
      path: 'f',
      kind: 'file',
      content,
      mode: 0o644,
      mtime: 0,
      expect: null,
      expectContent: NO_CONTENT,
      keep: false,
    } as const
    const [[result], wrong] = await Promise.all([disk.apply([step], waiting), put()])
    expect(result).to.include({ ok: true })
    expect(wrong).to.deep.equal([])
    expect(readFileSync(`${root}/f`).equals(bytes)).to.equal(true)
  })

  it('lets two bring one content at a time: whoever ends first, both have it', async () => {
    const bytes = stream(2 << 20, 6)
    const list = contentOf(bytes)
    const parts = partsOf(list, bytes)
    const [one, other] = await Promise.all([disk.stage.open(list, waiting), disk.stage.open(list, waiting)])
    const middle = parts.length >> 1
    await Promise.all([one.write(parts.slice(0, middle), waiting), other.write(parts.slice(middle), waiting)])
    const late = [one.finish(waiting), other.write(parts.slice(0, 2), waiting), other.finish(waiting)]
    await Promise.all(late)
    expect(await other.write(parts.slice(2, 3), waiting), 'after the end').to.deep.equal([])
    await Promise.all([one.close(), other.close()])
    expect(disk.stage.has(list.content)).to.equal(true)
    expect(readdirSync(areaPath(root, 'stage'))).to.deep.equal([contentName(list.content)])
    await disk.stage.sweep(new Set())
    expect(readdirSync(areaPath(root, 'stage')), 'nobody has it open').to.deep.equal([])
  })

  it('leaves holes where chunks are zeros', async () => {
    const bytes = Buffer.concat([Buffer.alloc(8 << 20), stream(100_000, 1)])
    const list = contentOf(bytes)
    const file = await disk.stage.open(list, waiting)
    expect(await file.write(partsOf(list, bytes), waiting)).to.deep.equal([])
    await file.finish(waiting)
    await file.close()
    const { blocks, size } = lstatSync(areaPath(root, 'stage', contentName(list.content)))
    expect(size).to.equal(bytes.length)
    expect(blocks * 512).to.be.below(1 << 20)
  })

  it('overwrites what was torn with the zeros that belong there', async () => {
    const bytes = Buffer.concat([Buffer.alloc(1 << 20), stream(100_000, 1)])
    const list = contentOf(bytes)
    await (await disk.stage.open(list, waiting)).close()
    writeSync(openSync(partPath(list), 'r+'), Buffer.from('dirt'), 0, 4, 100)
    const file = await disk.stage.open(list, waiting)
    expect(file.missing()).to.include(0)
    await file.write(partsOf(list, bytes), waiting)
    await file.finish(waiting)
    await file.close()
  })

  it('refuses a whole that is cut otherwise than every device cuts it', async () => {
    const bytes = stream(600_000, 3)
    const cuts = [0, 200_000, 400_000, 600_000]
    const forged = listOf(
      cuts.slice(1).map((to, at) => {
        const part = bytes.subarray(cuts[at], to)
        return { hash: sha256(part), length: part.length }
      }),
    )
    const file = await disk.stage.open(forged, waiting)
    expect(await file.write(partsOf(forged, bytes), waiting)).to.deep.equal([])
    expect(await codeOf(file.finish(waiting))).to.equal('content-mismatch')
    expect(disk.stage.has(forged.content)).to.equal(false)
    await file.close()
  })

  it('refuses bytes that were damaged on the disk after each chunk was right', async () => {
    const bytes = stream(300_000, 4)
    const list = contentOf(bytes)
    const file = await disk.stage.open(list, waiting)
    await file.write(partsOf(list, bytes), waiting)
    writeSync(openSync(partPath(list), 'r+'), Buffer.from('X'), 0, 1, 299_999)
    // Some file systems tell the times of two writes apart only after milliseconds.
    utimesSync(partPath(list), 1, 1)
    expect(await codeOf(file.finish(waiting))).to.equal('content-mismatch')
    await file.close()
  })

  it('makes durable what is there while more arrives, and is not whole where that failed', async () => {
    const failing = Object.assign(Object.create(workers) as DiskWorkers, {
      hash: (task: HashTask, given?: ArrayBuffer[]) =>
        task.do === 'part-sync' ? Promise.reject(new Error('the disk is broken')) : workers.hash(task, given),
    })
    const bytes = Buffer.alloc(65 << 20)
    const list = contentOf(bytes)
    for (const [used, code] of [
      [failing, 'Error: the disk is broken'],
      [workers, 'none'],
    ] as const) {
      const stage = new DiskStage({ workers: used, root: () => ({ path: root, identity: null }) })
      const file = await stage.open(list, waiting)
      await file.write(partsOf(list, bytes), waiting)
      expect(await codeOf(file.finish(waiting))).to.equal(code)
      expect(stage.has(list.content)).to.equal(code === 'none')
      await file.close()
      rmSync(partPath(list), { force: true })
    }
  })

  it('answers for chunks that it does not know, and for sources that are gone', async () => {
    const bytes = stream(300_000, 4)
    const list = contentOf(bytes)
    person.write('f', bytes)
    const stat = (await disk.look('f'))?.stat
    if (stat === undefined) throw new Error('no stat')
    const file: StageFile = await disk.stage.open(list, waiting)
    expect(await file.write([{ index: 999, bytes: bytes.subarray(0, 10) }], waiting)).to.deep.equal([999])
    const place = { at: 'file', path: 'f', stat, kind: 'file' } as const
    expect(await file.copy([{ index: 999, place, offset: 0 }], waiting)).to.deep.equal([999])
    expect(await file.copy([{ index: 0, place, offset: 299_999 }], waiting)).to.deep.equal([0])
    const version = { at: 'version', content: contentOf(Buffer.from('none')).content } as const
    expect(await file.copy([{ index: 0, place: version, offset: 0 }], waiting)).to.deep.equal([0])
    person.remove('f')
    symlinkSync('/etc/passwd', person.path('f'))
    expect(await file.copy([{ index: 0, place, offset: 0 }], waiting)).to.deep.equal([0])
    expect(await disk.stage.putLocal(list.content, list.size, place, waiting)).to.equal(false)
    expect(readdirSync(areaPath(root, 'stage'))).to.deep.equal([`${contentName(list.content)}.part`])
    await file.close()
  })

  it('gives chunks of what is not whole yet, and other bytes with another hash', async () => {
    const bytes = stream(600_000, 6)
    const list = contentOf(bytes)
    const parts = partsOf(list, bytes)
    const [first, second] = list.chunks
    if (first === undefined || second === undefined) throw new Error('too few chunks')
    const place = { at: 'part', content: list.content } as const
    const readSecond = (): Promise<HashedBytes | null> => disk.readHashed(place, first.length, second.length, waiting)
    expect(await readSecond(), 'not there').to.equal(null)
    const file = await disk.stage.open(list, waiting)
    expect((await readSecond())?.hash, 'not written').not.to.equal(second.hash)
    expect([file.has(0), file.has(1), file.has(999)]).to.deep.equal([false, false, false])
    await file.write(parts.slice(1, 2), waiting)
    expect([file.has(0), file.has(1)]).to.deep.equal([false, true])
    const read = await readSecond()
    expect(read?.hash).to.equal(second.hash)
    expect(Buffer.compare(read?.bytes ?? Buffer.alloc(0), parts[1]?.bytes ?? Buffer.alloc(0))).to.equal(0)
    const foreign = openSync(partPath(list), 'r+')
    writeSync(foreign, Buffer.from('X'), 0, 1, first.length + 5)
    expect((await readSecond())?.hash, 'another wrote there').not.to.equal(second.hash)
    const { found, release } = await disk.readTogether([{ place, offset: 0, length: first.length }], waiting)
    expect(found[0]?.bytes.length).to.equal(first.length)
    release()
    expect(found[0]?.bytes.length, 'given back').to.equal(0)
    await file.write(parts, waiting)
    await file.finish(waiting)
    expect([file.has(0), await readSecond()], 'whole, and somewhere else').to.deep.equal([true, null])
    expect((await disk.readHashed({ at: 'stage', content: list.content }, 0, first.length, waiting))?.hash).to.equal(
      first.hash,
    )
    await file.close()
  })

  it('copies what lies here by its list, zeros as a hole, and nothing that is not as the list says', async () => {
    const bytes = stream(3_000_000, 8)
    bytes.fill(0, 1_000_000, 2_000_000)
    const list = contentOf(bytes)
    const other = contentOf(stream(3_000_000, 9))
    const placeOf = async (path: string) => {
      const stat = (await disk.look(path))?.stat
      if (stat === undefined) throw new Error('no stat')
      return { at: 'file', path, stat, kind: 'file' } as const
    }
    const put = async (path: string, known: typeof list): Promise<boolean> =>
      disk.stage.putLocal(list.content, list.size, await placeOf(path), { ...waiting, list: known })
    const damaged = Uint8Array.from(bytes)
    damaged[2_500_000] = (damaged[2_500_000] ?? 0) ^ 1
    person.write('damaged', damaged)
    expect(await put('damaged', list)).to.equal(false)
    expect(readdirSync(areaPath(root, 'stage'))).to.deep.equal([])
    person.write('right', bytes)
    for (const known of [list, other]) {
      // Of something else, a list says nothing.
      expect(await put('right', known)).to.equal(true)
      const staged = areaPath(root, 'stage', contentName(list.content))
      expect(readFileSync(staged).equals(bytes)).to.equal(true)
      await disk.stage.sweep(new Set())
    }
  })

  it('stages merged texts and empty contents, and many at a time', async () => {
    const text = Buffer.from('line of a text\n'.repeat(100_000))
    const items = [text, Buffer.alloc(0), ...Array.from({ length: 600 }, (_, at) => Buffer.from(`small ${at}`))]
    const contents = items.map(bytes => ({ content: contentOf(bytes).content, bytes }))
    expect(await disk.stage.putWhole(contents, waiting)).to.deep.equal([])
    expect(contents.every(({ content }) => disk.stage.has(content))).to.equal(true)
    const empty = await disk.stage.open(contentOf(Buffer.alloc(0)), waiting)
    expect(empty.missing()).to.deep.equal([])
    await empty.close()
    const read = await disk.read({ at: 'stage', content: contents[1]?.content as ContentId }, 0, 0, waiting)
    expect(read?.length).to.equal(0)
  })

  it('sweeps what nobody wants, but nothing that is being brought here', async () => {
    const list = contentOf(stream(300_000, 8))
    const other = contentOf(stream(300_000, 9))
    const file = await disk.stage.open(list, waiting)
    await (await disk.stage.open(other, waiting)).close()
    writeFileSync(areaPath(root, 'stage', 'rubbish'), 'x')
    await disk.stage.sweep(new Set())
    expect(readdirSync(areaPath(root, 'stage'))).to.deep.equal([`${contentName(list.content)}.part`])
    await file.close()
    await disk.stage.sweep(new Set())
    expect(readdirSync(areaPath(root, 'stage'))).to.deep.equal([])
  })

  it('says no-space before it starts, and leaves nothing half', function () {
    const child = fileURLToPath(new URL('./full-disk-child.ts', import.meta.url))
    person.mkdir('m')
    const shell = `mount -t tmpfs -o size=80m none "$1/m" && shift && exec "$@"`
    const args = ['-m', '--propagation', 'private', 'sh', '-c', shell, 'sh', root, process.execPath]
    const run = spawnSync('unshare', [...args, ...process.execArgv, child, `${root}/m`], {
      encoding: 'utf8',
    })
    if (process.getuid?.() !== 0 || run.stderr.includes('unshare:')) {
      console.log('      SKIP: mounting for the test needs root')
      return this.skip()
    }
    expect(run.stderr).to.equal('')
    expect(JSON.parse(run.stdout)).to.deep.equal({
      codes: ['no-space', 'done', 'no-space'],
      steps: ['no-space', true],
      files: ['d', 'fill'],
    })
  }).timeout(30_000)
})
