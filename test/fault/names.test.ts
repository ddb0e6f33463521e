// Disks that cannot hold every name: FAT, exFAT and NTFS under the folder of one device. Nothing is overwritten by its twin, what the disk
// refuses is told of and stays on the other device as it is, and what the disk cannot keep (case, times, modes) is no change.
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import type { Device } from '../e2e/support/device.ts'
import { figure } from '../e2e/support/figures.ts'
import { random, randomBytes } from '../e2e/support/random.ts'
import { diffTrees, pathsHolding, readTree, type Tree } from '../e2e/support/tree.ts'
import { until } from '../e2e/support/until.ts'
import { get, pair, useWorld } from '../e2e/support/world.ts'
import { FULL, needs, trials } from './support/faults.ts'
import { FOREIGN_TOOLS, ForeignDisk, type ForeignKind } from './support/foreign-disks.ts'
import { REST_MS, started } from './support/pair-of-devices.ts'

const KINDS: readonly ForeignKind[] = ['exfat', 'ntfs']
const ROUNDS = trials({ share: 1, full: 5 })
const REWRITES = trials({ share: 2, full: 20 })
/** A disk that cuts times to whole seconds makes what is two seconds old of what is one: later than this a rewrite may leave no trace. */
const TRACE_MS = 900

/** By what they are where case and form count: of each of these groups a disk may take only one. */
const TWINS = [
  ['Readme.txt', 'README.TXT', 'readme.txt'],
  ['\u00e9t\u00e9', 'e\u0301te\u0301'],
  ['Stra\u00dfe', 'STRASSE'],
] as const
const RESERVED = [
  'CON',
  'AUX',
  'NUL',
  'COM1',
  'LPT1.txt',
  'a:b',
  'what?',
  'st*r',
  'back\\slash',
  'dot.',
  'space ',
  'GIT~1',
]
const ORDINARY = [
  'plain.txt',
  'edited',
  'doomed',
  '.hidden',
  'with space.md',
  'long'.repeat(63),
  'UPPER',
  'r\u00e9sum\u00e9',
  '\u65e5\u672c',
]
const LINK = 'link'
const PROGRAM = 'program'
const DIRECTORY_TWINS = ['Docs/one', 'docs/two']
const REFUSED_DIRECTORY = 'dir:colon/inside'

describe('fault: names that a disk cannot hold', function () {
  this.timeout(FULL ? 1_800_000 : 400_000)
  const disks = new Map<ForeignKind, ForeignDisk>()
  // Before the world is removed.
  after(async () => {
    for (const device of world.devices) await device.destroy()
    for (const disk of disks.values()) disk.unmount()
  })
  const world = useWorld(['desk', 'lamp'])
  let desk: Device
  let lamp: Device

  before(async function () {
    this.timeout(120_000)
    needs(this, ...FOREIGN_TOOLS)
    desk = world.device('desk')
    lamp = world.device('lamp')
    await started(desk)
    await started(lamp)
    await pair(desk, lamp)
  })

  // fusefat answers ENOSYS to chmod, where the FAT of the kernel says nothing.
  it('fat, by a driver that lets no mode be set: refused with a sentence, and nothing is left', async () => {
    const disk = new ForeignDisk('fat', lamp.path('fat.img'), lamp.path('fat disk'))
    disks.set('fat', disk)
    mkdirSync(desk.path('fat'))
    writeFileSync(desk.path('fat', 'precious'), 'precious')
    await desk.ok(['add', desk.path('fat')])
    const tree = readTree(desk.path('fat'))
    await until(async () => (await lamp.ok(['folders'])).stdout.includes('fat'), {
      timeoutMs: REST_MS,
      what: 'the folder is offered',
    })
    const { code, stderr } = await lamp.cli(['get', 'fat', join(disk.at, 'fat')])
    expect({ code, stderr }).to.deep.equal({
      code: 1,
      stderr: `kith: Kith cannot read and write ${join(disk.at, 'fat')}: its disk knows no permissions, choose another one.\n`,
    })
    expect(readdirSync(disk.at), 'left on the disk').to.deep.equal([])
    expect((await lamp.status()).folders.map(({ name }) => name)).not.to.include('fat')
    expect(diffTrees(tree, readTree(desk.path('fat')), ['before', 'after'])).to.equal('')
  })

  for (const kind of KINDS) {
    it(`${kind}: nothing is lost, overwritten or mangled`, async () => {
      const disk = new ForeignDisk(kind, lamp.path(`${kind}.img`), lamp.path(`${kind} disk`))
      disks.set(kind, disk)
      let held = 0
      let refused = 0
      for (let round = 0; round < ROUNDS; round++) {
        const trial = new Trial({ desk, lamp, disk, name: `${kind}${round}` })
        await trial.begin()
        await trial.editThere()
        await trial.changeHere()
        await trial.restart()
        held += trial.held
        refused += trial.refused
      }
      figure(`N = ${ROUNDS} rounds, ${held} names held, ${refused} refused and told of; 0 lost`)
    })

    it(`${kind}: a rewrite of equal length and time is seen`, async () => {
      const trial = new Trial({ desk, lamp, disk: disks.get(kind) as ForeignDisk, name: `${kind}0` })
      for (let n = 0; n < REWRITES; n++) await trial.rewrite()
      figure(`N = ${REWRITES} rewrites of equal length and time: all on desk after the next look`)
    })
  }
})

interface TrialOptions {
  readonly desk: Device
  readonly lamp: Device
  readonly disk: ForeignDisk
  readonly name: string
}

class Trial {
  readonly #desk: Device
  readonly #lamp: Device
  readonly #disk: ForeignDisk
  readonly #name: string
  /** What people made and did not remove, each other bytes: the bytes → the name that it was given. */
  readonly #made = new Map<string, string>()
  held = 0
  refused = 0

  constructor({ desk, lamp, disk, name }: TrialOptions) {
    this.#desk = desk
    this.#lamp = lamp
    this.#disk = disk
    this.#name = name
  }

  async begin(): Promise<void> {
    const names = [...TWINS.flat(), ...RESERVED, ...ORDINARY, PROGRAM, ...DIRECTORY_TWINS, REFUSED_DIRECTORY]
    for (const name of names) this.#write(name)
    chmodSync(this.#here(PROGRAM), 0o755)
    symlinkSync('plain.txt', this.#here(LINK))
    await this.#desk.ok(['add', this.#here()])
    await get(this.#lamp, this.#name, this.#there())
    await this.#asItMustBe('after it was taken')
    const { problems } = await this.#lamp.folder(this.#name)
    this.refused = problems.length
    this.held = this.#made.size - this.refused
    expect(problems.map(({ path }) => path)).to.include.members(['a:b', 'what?', 'dir:colon'])
  }

  /** A person edits on lamp what is there. */
  async editThere(): Promise<void> {
    const tree = readTree(this.#there())
    for (const name of ['edited', 'plain.txt', PROGRAM, 'UPPER']) {
      const path = [...tree.keys()].find(key => keyOf(key) === keyOf(name))
      if (path === undefined) throw new Error(`lamp has no ${name}`)
      this.#forget(name)
      const text = `${name} edited on lamp ${random()}`
      writeFileSync(this.#there(path), text)
      this.#made.set(text, name)
    }
    await this.#asItMustBe('after edits on lamp')
  }

  /** A person edits, removes and renames on desk. */
  async changeHere(): Promise<void> {
    this.#forget('edited')
    this.#write('edited')
    this.#forget('doomed')
    rmSync(this.#here('doomed'))
    this.#rename('plain.txt', 'PLAIN.txt')
    // What the disk refuses comes once its name is one that it takes; and what is removed is told of no more.
    this.#rename('what?', 'what')
    this.#forget('st*r')
    rmSync(this.#here('st*r'))
    await this.#asItMustBe('after changes on desk')
  }

  /** All is looked at anew: nothing that the disk changed by itself is a change. */
  async restart(): Promise<void> {
    const tree = readTree(this.#here())
    const versions = this.#versions()
    await this.#lamp.stop()
    await started(this.#lamp)
    await this.#looked()
    await this.#asItMustBe('after a restart')
    expect(diffTrees(tree, readTree(this.#here()), ['before', 'after'])).to.equal('')
    expect(this.#versions(), 'what was replaced on desk').to.deep.equal(versions)
  }

  /** The same length, the same time to the last digit that this disk keeps. */
  async rewrite(): Promise<void> {
    const path = 'rewritten'
    const last = randomBytes(64)
    for (let first = 0; first === 0 || performance.now() - first > TRACE_MS; ) {
      first = performance.now()
      writeFileSync(this.#there(path), randomBytes(64))
      const { atime, mtime } = lstatSync(this.#there(path))
      await sleep(random() * (TRACE_MS / 2))
      writeFileSync(this.#there(path), last)
      utimesSync(this.#there(path), atime, mtime)
    }
    await this.#looked()
    await until(() => readFileSync(this.#here(path)).equals(last), {
      timeoutMs: 20_000,
      what: 'the rewrite is on desk',
    })
  }

  /** `wait` begins a look at everything, and ends with it, though the disk cannot have all. */
  async #looked(): Promise<void> {
    const { code, stderr } = await this.#lamp.cli(['wait', '--timeout', '120', '--folder', this.#name], {
      timeoutMs: REST_MS,
    })
    if (code !== 0) expect(stderr).to.contain('cannot be had by the disk of this device')
    expect((await this.#lamp.folder(this.#name)).state).to.equal('idle')
  }

  async #asItMustBe(when: string): Promise<void> {
    await until(
      async () => {
        const here = readTree(this.#here())
        this.#checkHere(here)
        await this.#checkThere(here, readTree(this.#there()))
        return true
      },
      { timeoutMs: FULL ? REST_MS : 60_000, what: `${this.#name} ${when}`, everyMs: 200 },
    )
  }

  /**
   * On desk is all that was made, once, under its name; of twins one has the name, and the others one that is like it. The driver of NTFS shows
   * all names in small letters, which a person might have given them as well.
   */
  #checkHere(here: Tree): void {
    const twins: readonly string[] = TWINS.flat()
    const spelt = this.#name.startsWith('ntfs') ? keyOf : (path: string): string => path.normalize('NFC')
    for (const [text, name] of this.#made) {
      const paths = pathsHolding(here, text)
      expect(paths.length, `copies of ${JSON.stringify(name)} on desk`).to.equal(1)
      if (twins.includes(name) || DIRECTORY_TWINS.includes(name)) continue
      expect(spelt(paths[0] ?? '')).to.equal(spelt(name))
    }
    const files = [...here.values()].filter(line => line.startsWith('file ')).length
    expect(files, 'files on desk').to.equal(this.#made.size)
    expect(here.get(LINK)).to.equal('symlink \u2192 plain.txt')
    expect(here.get(PROGRAM)).to.match(/^file 755 /)
  }

  /** What this disk takes is there to the byte; of all else it is told that this disk cannot hold it. */
  async #checkThere(here: Tree, there: Tree): Promise<void> {
    const byKey = new Map([...there].map(([path, line]) => [keyOf(path), line]))
    const { problems } = await this.#lamp.folder(this.#name)
    const told = new Map(problems.map(({ code, path }) => [path, code]))
    for (const [path, line] of here) {
      if (path.startsWith('dir:colon/')) continue
      const found = byKey.get(keyOf(path))
      if (this.#takes(path, line)) {
        expect(contentOf(found ?? 'nothing'), JSON.stringify(path)).to.equal(contentOf(line))
        expect(told.get(path), `told of ${JSON.stringify(path)}`).to.equal(undefined)
      } else {
        expect(found, JSON.stringify(path)).to.equal(undefined)
        expect(told.get(path), `told of ${JSON.stringify(path)}`).to.equal('cannot-hold')
      }
    }
    const known = new Set([...here.keys()].map(keyOf))
    expect(
      [...there.keys()].filter(path => !known.has(keyOf(path))),
      'only on lamp',
    ).to.deep.equal([])
  }

  /** Asks the disk itself, beside the folder. */
  #takes(path: string, line: string): boolean {
    const probe = join(this.#disk.at, 'probe')
    rmSync(probe, { recursive: true, force: true })
    mkdirSync(probe)
    try {
      const name = path.slice(path.lastIndexOf('/') + 1)
      if (line.startsWith('symlink')) symlinkSync('x', join(probe, name))
      else if (line.startsWith('directory')) mkdirSync(join(probe, name))
      else writeFileSync(join(probe, name), '')
      return true
    } catch {
      return false
    }
  }

  #write(name: string): void {
    const text = `${name} of desk ${random()}`
    mkdirSync(join(this.#here(name), '..'), { recursive: true })
    writeFileSync(this.#here(name), text)
    this.#made.set(text, name)
  }

  #rename(from: string, to: string): void {
    renameSync(this.#here(from), this.#here(to))
    for (const [text, name] of this.#made) if (name === from) this.#made.set(text, to)
  }

  #forget(name: string): void {
    for (const [text, of] of this.#made) if (of === name) this.#made.delete(text)
  }

  #versions(): string[] {
    return readdirSync(this.#here('.kith', 'versions')).sort()
  }

  #here(...parts: readonly string[]): string {
    return this.#desk.path(this.#name, ...parts)
  }

  #there(...parts: readonly string[]): string {
    return join(this.#disk.at, this.#name, ...parts)
  }
}

/** As such a disk compares names. */
function keyOf(path: string): string {
  return path.normalize('NFC').toLowerCase()
}

/** Kind, size and bytes: no mode and no time. */
function contentOf(line: string): string {
  return line.replace(/^(file|directory) \d+( mtime -?\d+)?/, '$1')
}
