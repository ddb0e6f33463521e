// The clock of one device is wrong, or jumps while its daemon runs; that of the other is right. People do on both exactly what they did when
// both were right, together and apart: the trees are equal, hold the same contents, nothing that was deleted is back, and of the past
// nothing is missing. Whose name or version comes first may be another.
// What a running daemon lets go for its age it lets go after an hour at the earliest: that is no part of this (test/sync/sweep.test.ts).
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Device } from '../e2e/support/device.ts'
import { figure } from '../e2e/support/figures.ts'
import { lines } from '../e2e/support/sample.ts'
import { readTree, type Tree } from '../e2e/support/tree.ts'
import { until } from '../e2e/support/until.ts'
import { linked, useWorld } from '../e2e/support/world.ts'
import { FULL, needs, withEnvironment } from './support/faults.ts'
import { atRest, REST_MS, share, started } from './support/pair-of-devices.ts'

const DAY_S = 86_400
const LIBRARIES = '/usr/lib'

interface Setting {
  readonly name: string
  /** Seconds that the clock is ahead at first, and from the middle on. */
  readonly first: number
  readonly later: number
}

const RIGHT: Setting = { name: 'right', first: 0, later: 0 }
const SETTINGS: readonly Setting[] = [
  always('400 days ahead', 400 * DAY_S),
  { name: 'back by 3 days, live', first: 0, later: -3 * DAY_S },
  always('400 days behind', -400 * DAY_S),
  always('1970', secondsTo(1970)),
  always('2040', secondsTo(2040)),
  { name: 'ahead by 400 days, live', first: 0, later: 400 * DAY_S },
]
const SHARE = 2

interface Outcome {
  /** Of all files, sorted. */
  readonly contents: readonly string[]
  /** Those that are there or kept, on either device. */
  readonly held: ReadonlySet<string>
  readonly versions: readonly string[]
}

describe('fault: wrong clocks', function () {
  this.timeout(FULL ? 1_800_000 : 400_000)
  const world = useWorld(['desk', 'lamp'])
  let desk: Device
  let lamp: Device

  before(function () {
    needs(this, 'faketime')
    desk = world.device('desk')
    lamp = world.device('lamp')
  })

  it('lose, hide and bring back nothing', async () => {
    const settings = FULL ? SETTINGS : SETTINGS.slice(0, SHARE)
    const right = await outcomeOf(RIGHT, 0)
    expect(right.contents).not.to.deep.equal([])
    for (const [n, setting] of settings.entries()) {
      const { contents, held, versions } = await outcomeOf(setting, n + 1)
      expect(contents, `${setting.name}: contents`).to.deep.equal(right.contents)
      const missing = [...right.held].filter(hash => !held.has(hash))
      expect(missing, `${setting.name}: kept with a right clock, and not now`).to.deep.equal([])
      expect(versions, `${setting.name}: the history of a file`).to.have.members(right.versions)
    }
    figure(
      `N = ${settings.length} clocks (${settings.map(({ name }) => name).join('; ')}): ${right.contents.length} files and ` +
        `${right.held.size} contents there or kept, as with right clocks; 0 lost, 0 back again`,
    )
  })

  async function outcomeOf(setting: Setting, number: number): Promise<Outcome> {
    const name = `notes${number}`
    const clock = lamp.path(`clock${number}`)
    let ahead = setting.first
    setClock(ahead)
    await restart()
    for (const path of ['text.txt', 'edited', 'gone', 'moved', 'both', 'kept', 'twice', 'sub/deep'])
      put(desk, path, 'v1')
    await share(desk, lamp, name)
    for (const path of ['by lamp', 'gone too', 'moved too', 'theirs']) put(lamp, path, 'v1')
    await atRest([desk, lamp], name)

    // One after the other, each in the other's files.
    put(lamp, 'edited', 'v2')
    put(lamp, 'text.txt', 'v2')
    rmSync(lamp.path(name, 'gone'))
    renameSync(lamp.path(name, 'moved'), lamp.path(name, 'moved by lamp'))
    await atRest([desk, lamp], name)
    ahead = setting.later
    setClock(ahead)
    put(desk, 'by lamp', 'v2')
    put(desk, 'text.txt', 'v3')
    rmSync(desk.path(name, 'gone too'))
    renameSync(desk.path(name, 'moved too'), desk.path(name, 'sub/moved by desk'))
    await atRest([desk, lamp], name)
    put(lamp, 'text.txt', 'v4')
    put(lamp, 'edited', 'v3')
    await atRest([desk, lamp], name)

    // Apart.
    lamp.node.partition()
    put(desk, 'both', 'by desk')
    put(lamp, 'both', 'by lamp')
    put(desk, 'new', 'by desk')
    put(lamp, 'new', 'by lamp')
    for (const device of [desk, lamp]) put(device, 'same', 'equal')
    rmSync(desk.path(name, 'kept'))
    put(lamp, 'kept', 'edited while it was deleted')
    put(desk, 'theirs', 'edited while it was deleted')
    rmSync(lamp.path(name, 'theirs'))
    for (const device of [desk, lamp])
      renameSync(device.path(name, 'twice'), device.path(name, `twice by ${device.name}`))
    rmSync(lamp.path(name, 'sub/deep'))
    for (const device of [desk, lamp]) await seen(device)
    lamp.node.heal()
    await linked(desk, lamp, REST_MS)
    await atRest([desk, lamp], name)

    // Off and on; then with a clock that is right again.
    await restart()
    put(lamp, 'edited', 'v4')
    await atRest([desk, lamp], name)
    await lamp.stop()
    await started(lamp)
    put(lamp, 'edited', 'v5')
    put(desk, 'by lamp', 'v3')
    await linked(desk, lamp, REST_MS)
    await atRest([desk, lamp], name)

    const tree = readTree(desk.path(name))
    for (const path of ['gone', 'gone too', 'moved', 'moved too', 'twice', 'sub/deep'])
      expect(tree.has(path), `${setting.name}: ${path} is back`).to.equal(false)
    const held = new Set([desk, lamp].flatMap(device => hashesBelow(device.path(name))))
    const { versions } = (await desk.json(['history', desk.path(name, 'text.txt')])) as { versions: { id: string }[] }
    return { contents: contentsOf(tree), held, versions: versions.map(({ id }) => id) }

    async function restart(): Promise<void> {
      if (lamp.running) await lamp.stop()
      const more = setting === RIGHT ? {} : faked(clock)
      await withEnvironment(more, () => started(lamp))
      if (desk.running && (await desk.status()).devices.length > 0) await linked(desk, lamp, REST_MS)
    }

    /** For the daemon of lamp, from now on. */
    function setClock(seconds: number): void {
      writeFileSync(`${clock}.new`, `${seconds < 0 ? '' : '+'}${seconds}\n`)
      renameSync(`${clock}.new`, clock)
    }

    /** The same bytes in every setting; with the time of the device's own clock. */
    function put(device: Device, path: string, what: string): void {
      mkdirSync(join(device.path(name, path), '..'), { recursive: true })
      const bytes = path.endsWith('.txt')
        ? lines(40, { 3: `${path} ${what}` })
        : Buffer.from(`\0\xff${path} ${what}`, 'latin1')
      writeFileSync(device.path(name, path), bytes)
      if (device !== desk) {
        const time = Date.now() / 1000 + ahead
        utimesSync(device.path(name, path), time, time)
      }
    }

    /** It has looked at what its person did. */
    async function seen(device: Device): Promise<void> {
      const probe = `probe of ${device.name}`
      const { files } = await device.folder(name)
      put(device, probe, 'v1')
      await until(async () => (await device.folder(name)).files !== files, {
        timeoutMs: REST_MS,
        what: `${probe} is seen`,
      })
      await device.ok(['wait', '--timeout', '120'], { timeoutMs: REST_MS })
    }
  }
})

function always(name: string, ahead: number): Setting {
  return { name, first: ahead, later: ahead }
}

/** To the 5th of January of that year: no time zone makes another year of it. */
function secondsTo(year: number): number {
  return Math.round((Date.UTC(year, 0, 5) - Date.now()) / 1000)
}

/** The clock alone, not what measures intervals, and not the times of files. */
function faked(clock: string): Record<string, string> {
  const library = readdirSync(LIBRARIES)
    .map(name => join(LIBRARIES, name, 'faketime'))
    .flatMap(directory => (hasLibrary(directory) ? [join(directory, 'libfaketimeMT.so.1')] : []))[0]
  if (library === undefined) throw new Error('the library of faketime is nowhere')
  return {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: clock,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DONT_FAKE_MONOTONIC: '1',
    NO_FAKE_STAT: '1',
  }
}

function hasLibrary(directory: string): boolean {
  try {
    return readdirSync(directory).includes('libfaketimeMT.so.1')
  } catch {
    return false
  }
}

function contentsOf(tree: Tree): string[] {
  return [...tree.values()]
    .filter(line => line.startsWith('file '))
    .map(line => line.slice(-64))
    .sort()
}

function hashesBelow(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && !/\.kith\/(?:journal|recipes|packs)/.test(join(entry.parentPath, '/')))
    .filter(entry => !/\.(?:json|log)$|^\.gitignore$/.test(entry.name))
    .map(entry =>
      createHash('sha256')
        .update(readFileSync(join(entry.parentPath, entry.name)))
        .digest('hex'),
    )
}
