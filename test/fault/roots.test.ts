// The root of a folder goes away in every way there is, at rest, while the daemon is stopped, and in the middle of a scan: the folder
// halts, no other device hears of a deletion, and once the root is back everything is as it was.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Device } from '../e2e/support/device.ts'
import { figure } from '../e2e/support/figures.ts'
import { random } from '../e2e/support/random.ts'
import { writeMany } from '../e2e/support/sample.ts'
import { diffTrees, readTree, type Tree } from '../e2e/support/tree.ts'
import { until } from '../e2e/support/until.ts'
import { get, linked, pair, settle, useWorld } from '../e2e/support/world.ts'
import { Ext4 } from './support/disks.ts'
import { FULL, needs, trials } from './support/faults.ts'
import { REST_MS, started } from './support/pair-of-devices.ts'
import { Strace } from './support/strace.ts'

const TRIALS = trials({ share: 9, full: 40 })
const FILES = 400
const PER_DIRECTORY = 10
/** Each directory is read so much slower, so that a scan lasts. */
const SLOWER_MICROSECONDS = 20_000

interface Harm {
  readonly name: string
  do(root: string): void
  /** Null: only a person's word brings the files back. */
  readonly undo: ((root: string) => void) | null
}

describe('fault: roots that vanish', function () {
  this.timeout(FULL ? 1_800_000 : 400_000)
  let disk: Ext4 | undefined
  // Before the world is removed.
  after(async () => {
    for (const device of world.devices) await device.destroy()
    disk?.unmount()
  })
  const world = useWorld(['desk', 'lamp'])
  let desk: Device
  let lamp: Device
  let whole: Tree

  before(async function () {
    this.timeout(120_000)
    needs(this, 'strace', 'mkfs.ext4')
    desk = world.device('desk')
    lamp = world.device('lamp')
    disk = new Ext4(lamp.path('disk.img'), lamp.path('disk'), { mebibytes: 256 })
    writeMany(desk.path('notes', 'many'), FILES, { perDirectory: PER_DIRECTORY, bytes: 500 })
    mkdirSync(desk.path('other'))
    await started(desk)
    await desk.ok(['add', desk.path('notes')])
    await desk.ok(['add', desk.path('other')])
    await started(lamp)
    await pair(desk, lamp)
    await get(lamp, 'notes', root())
    await get(lamp, 'other', lamp.path('other'))
    await settle([desk, lamp], 'other', REST_MS)
    whole = readTree(desk.path('notes'))
    await isWhole(lamp, root())
  })

  const away = (path: string): string => `${path} away`
  const back = (path: string): void => {
    rmSync(path, { recursive: true, force: true })
    renameSync(away(path), path)
  }
  const HARMS: readonly Harm[] = [
    { name: 'moved away', do: path => renameSync(path, away(path)), undo: back },
    { name: 'emptied', do: path => empty(path, ['.kith']), undo: null },
    { name: 'emptied to the last', do: path => empty(path, []), undo: null },
    { name: 'deleted', do: path => rmSync(path, { recursive: true }), undo: null },
    {
      name: 'replaced by an empty directory',
      do(path) {
        renameSync(path, away(path))
        mkdirSync(path)
      },
      undo: back,
    },
    {
      name: 'replaced by another tree',
      do(path) {
        renameSync(path, away(path))
        writeMany(join(path, 'foreign'), 5, { perDirectory: 5, bytes: 10 })
      },
      undo: back,
    },
    {
      name: 'replaced by a file',
      do(path) {
        renameSync(path, away(path))
        writeFileSync(path, 'a file')
      },
      undo: back,
    },
    { name: 'its disk unmounted', do: () => disk?.unmount(), undo: () => disk?.mount() },
    {
      name: 'another disk mounted over it',
      do: path => void execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'kithfault', path]),
      undo: path => void spawnSync('umount', ['-l', path]),
    },
  ]
  const MOMENTS = ['at rest', 'while it is stopped', 'in the middle of a scan'] as const

  it('halt, send no deletion, and come back whole', async () => {
    const done = new Map<string, number>()
    for (let n = 0; n < TRIALS; n++) {
      const harm = HARMS[n % HARMS.length] as Harm
      // Every harm at every moment; what is left over in the middle of scans, each at another point.
      const moment = MOMENTS[(n + Math.floor(n / HARMS.length)) % MOMENTS.length] as (typeof MOMENTS)[number]
      await trial(harm, n >= HARMS.length * MOMENTS.length ? 'in the middle of a scan' : moment)
      done.set(moment, (done.get(moment) ?? 0) + 1)
    }
    figure(`N = ${TRIALS} roots gone (${[...done].map(([what, count]) => `${count} ${what}`).join(', ')}): 0 deletions`)
  })

  async function trial(harm: Harm, moment: (typeof MOMENTS)[number]): Promise<void> {
    const where = `${harm.name}, ${moment}`
    if (moment === 'at rest') harm.do(root())
    else if (moment === 'while it is stopped') {
      await lamp.stop()
      harm.do(root())
      await started(lamp)
    } else await inScan(() => harm.do(root()))
    // A disk that is mounted over it makes no event; who looks after it must see it.
    const waited = await lamp.cli(['wait', '--timeout', '60', '--folder', 'notes'], { timeoutMs: REST_MS })
    expect(waited.code, `${where}: ${waited.stdout}`).to.equal(1)
    await until(
      async () => {
        const { state, error } = await lamp.folder('notes')
        expect(state).to.equal('error')
        expect(error?.code).to.match(/^root-/)
        return true
      },
      { timeoutMs: REST_MS, what: `${where}: it halts` },
    )
    await linked(desk, lamp, REST_MS)
    // What was sent before this has arrived when this has.
    const probe = `probe ${random()}`
    writeFileSync(lamp.path('other', probe), probe)
    await until(() => existsSync(desk.path('other', probe)), { timeoutMs: REST_MS, what: `${where}: others go on` })
    noDeletion(where)
    harm.undo?.(root())
    if (harm.undo === null) await lamp.ok(['folder', 'reject', 'notes'])
    else if (!(await goesOn())) await rejectWhatIsHeld()
    await isWhole(lamp, root())
    noDeletion(where)
  }

  /** With the very same root back there is nothing to ask a person. */
  async function goesOn(): Promise<boolean> {
    return (await lamp.cli(['wait', '--timeout', '30', '--folder', 'notes'], { timeoutMs: REST_MS })).code === 0
  }

  /** On a busy machine it may have gone on a moment ago, and then nothing is held. */
  async function rejectWhatIsHeld(): Promise<void> {
    const { code, stderr } = await lamp.cli(['folder', 'reject', 'notes'])
    if (code !== 0) expect(stderr).to.include('Nothing is held')
  }

  /** `harm` in the middle of a look at everything. */
  async function inScan(harm: () => void): Promise<void> {
    const slow = await Strace.attach(lamp, [`getdents64:delay_exit=${SLOWER_MICROSECONDS}`])
    const wait = lamp.spawn(['wait', '--timeout', '60'])
    try {
      await slow.reached(1 + Math.floor((random() * FILES) / PER_DIRECTORY), REST_MS)
      harm()
    } finally {
      await slow.detach()
    }
    // It may have read all through the handles that it had.
    await wait.ended()
  }

  /** The files of desk are those from the beginning; one that had gone and come back would have left a version. */
  function noDeletion(where: string): void {
    expect(diffTrees(whole, readTree(desk.path('notes')), ['before', 'desk']), where).to.equal('')
    expect(readdirSync(desk.path('notes', '.kith', 'versions')), `${where}: versions on desk`).to.deep.equal([])
  }

  async function isWhole(device: Device, path: string): Promise<void> {
    await until(
      async () => {
        const { state, error, need } = await device.folder('notes')
        expect({ state, error, need: need.files }).to.deep.equal({ state: 'idle', error: null, need: 0 })
        expect(diffTrees(whole, readTree(path), ['before', device.name])).to.equal('')
        return true
      },
      { timeoutMs: REST_MS, what: 'all is as it was' },
    )
  }

  function root(): string {
    return lamp.path('disk', 'notes')
  }
})

function empty(path: string, but: readonly string[]): void {
  for (const name of readdirSync(path)) if (!but.includes(name)) rmSync(join(path, name), { recursive: true })
}
