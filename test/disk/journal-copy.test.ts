// The copy of the journal on a real disk: rotation, torn and damaged records, and files that are none of ours.
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Log } from '../../src/core/log.ts'
import type { JournalEntry } from '../../src/core/past.ts'
import { DiskJournalCopy } from '../../src/disk/journal-copy.ts'
import { journalEntry } from '../store/samples.ts'

const waiting = { signal: new AbortController().signal }

describe('the copy of the journal on the disk', () => {
  let root: string
  let warnings: string[]

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'kith-journal-'))
    mkdirSync(join(root, '.kith/journal'), { recursive: true })
    warnings = []
  })
  afterEach(() => rmSync(root, { recursive: true }))

  const log: Log = {
    error: () => undefined,
    warn: (fields: Record<string, unknown> | string, message?: string) => {
      warnings.push(typeof fields === 'string' ? fields : (message ?? ''))
    },
    info: () => undefined,
    debug: () => undefined,
    child: () => log,
  }
  const opened = (rotateBytes = 1 << 20): DiskJournalCopy => new DiskJournalCopy({ root, log, rotateBytes })
  const entry = (at: number): JournalEntry => journalEntry({ time: at, path: `path ${at}` })
  const files = (): string[] => readdirSync(join(root, '.kith/journal')).sort()
  const pathOf = (name: string): string => join(root, '.kith/journal', name)

  async function times(copy: DiskJournalCopy): Promise<number[]> {
    const out: number[] = []
    for await (const entries of copy.read(waiting)) out.push(...entries.map(each => each.time))
    return out
  }

  async function wrote(...numbers: number[]): Promise<void> {
    const copy = opened()
    await copy.append(numbers.map(entry))
  }

  it('begins another file where the last is long, private all', async () => {
    const copy = opened(2_000)
    for (let at = 0; at < 60; at++) await copy.append([entry(at)])
    expect(await times(copy)).to.deep.equal(Array.from({ length: 60 }, (_, at) => at))
    expect(files().length).to.be.greaterThan(4)
    for (const name of files()) {
      expect(statSync(pathOf(name)).size).to.be.lessThan(2_600)
      expect(statSync(pathOf(name)).mode & 0o777).to.equal(0o600)
    }
    expect(warnings).to.deep.equal([])
  })

  it('keeps nothing open, and writes nothing where the disk was', async () => {
    const copy = opened()
    await copy.append([entry(1)])
    if (process.platform === 'linux') {
      const open = readdirSync('/proc/self/fd').flatMap(fd => linkOf(`/proc/self/fd/${fd}`) ?? [])
      expect(open.filter(path => path.startsWith(root))).to.deep.equal([])
    }
    // Unmounted: an empty directory in its place.
    rmSync(join(root, '.kith'), { recursive: true })
    expect(await copy.append([entry(2)]).catch(error => error.code)).to.equal('ENOENT')
    expect(existsSync(join(root, '.kith'))).to.equal(false)
    mkdirSync(join(root, '.kith/journal'), { recursive: true })
    await copy.append([entry(3)])
    expect(await times(copy)).to.deep.equal([3])
  })

  it('gives out no path that leads out of a folder, and no mode that is more than one', async () => {
    const copy = opened()
    const good = journalEntry({ time: 9, path: 'a/b' })
    const { facts } = good
    const led = ['../../out', '/out', 'a//b', 'a/.kith/x', ''].map(path => journalEntry({ path }))
    const came = { ...good, was: { path: '../out', facts } }
    await copy.append([...led, came, { ...good, facts: { ...facts, mode: 0o4755 } }])
    const read: JournalEntry[] = []
    for await (const entries of opened().read(waiting)) read.push(...entries)
    expect(read).to.deep.equal([{ ...good, facts: { ...facts, mode: 0o755 } }])
    expect(warnings).to.have.length(1)
  })

  it('leaves out a torn end, wherever it is torn, and goes on behind it', async () => {
    await wrote(1, 2)
    const [name = ''] = files()
    const whole = readFileSync(pathOf(name))
    for (let length = whole.length - 1; length > 0; length -= 7) {
      writeFileSync(pathOf(name), whole.subarray(0, length))
      const found = await times(opened())
      expect(found).to.deep.equal([1, 2].slice(0, found.length))
      expect(found.length).to.be.lessThan(2)
    }
    writeFileSync(pathOf(name), whole.subarray(0, -1))
    await wrote(3, 4)
    expect(await times(opened())).to.deep.equal([1, 3, 4])
    expect(warnings.length).to.be.greaterThan(0)
  })

  it('leaves out a damaged record, and nothing else', async () => {
    await wrote(1, 2, 3)
    const [name = ''] = files()
    const whole = readFileSync(pathOf(name))
    whole.writeUInt8(whole.readUInt8(whole.indexOf('path 2')) ^ 1, whole.indexOf('path 2'))
    writeFileSync(pathOf(name), whole)
    expect(await times(opened())).to.deep.equal([1, 3])
    expect(warnings).to.have.length(1)
  })

  it('reads no file that is not its own, and no endless length', async () => {
    await wrote(1)
    const [name = ''] = files()
    appendFileSync(pathOf(name), Buffer.from([255, 255, 255, 255, 0, 0, 0, 0, 1]))
    writeFileSync(pathOf('00000007.log'), 'something else')
    writeFileSync(pathOf('notes.txt'), 'something else')
    await wrote(2)
    expect(files()).to.include('00000008.log')
    expect(await times(opened())).to.deep.equal([1, 2])
  })

  it('reads no more than the last where that is asked for, whatever is damaged', async () => {
    const last = async (): Promise<number[]> => {
      const out: number[] = []
      for await (const entries of opened().read({ ...waiting, tail: true }))
        out.push(...entries.map(({ time }) => time))
      return out
    }
    expect(await last()).to.deep.equal([])
    await wrote(1, 2)
    await opened().append([entry(3), entry(4), journalEntry({ time: 5, path: '../out' })])
    expect(await last()).to.deep.equal([4])
    const [, name = ''] = files()
    const whole = readFileSync(pathOf(name))
    whole.writeUInt8(whole.readUInt8(whole.indexOf('path 4')) ^ 1, whole.indexOf('path 4'))
    writeFileSync(pathOf(name), whole)
    expect(await last()).to.deep.equal([3])
    // A file of which nothing is left is as none.
    writeFileSync(pathOf(name), whole.subarray(0, 20))
    expect(await last()).to.deep.equal([2])
  })

  it('is empty where there is none', async () => {
    expect(await times(opened())).to.deep.equal([])
  })
})

function linkOf(path: string): string | null {
  try {
    return readlinkSync(path)
  } catch {
    return null // closed since it was listed
  }
}
