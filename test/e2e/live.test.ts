// A linked pair, one change after another, from either side: each must show on the other side by itself (nobody asks the daemons to
// scan or wait), and the whole folder must be equal, names as bytes, modes, times and links included.

import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Device } from './support/device.ts'
import { figure, seconds } from './support/figures.ts'
import { random, randomBytes } from './support/random.ts'
import { lines, saveByRename, writeMany } from './support/sample.ts'
import { get, linked, pair, settle, untilEqual, useWorld } from './support/world.ts'

const CHANGE_TIMEOUT_MS = 15_000

/** One after the other, each on what the ones before left; `at` makes a path in the folder. */
const CHANGES: readonly [string, (at: (path: string) => string) => void][] = [
  ['a new file', at => writeFileSync(at('a.txt'), lines(20))],
  ['an edit in place', at => writeFileSync(at('a.txt'), lines(20, { 3: 'third' }))],
  ['an append', at => appendFileSync(at('a.txt'), 'more\n')],
  ['a save by rename', at => saveByRename(at('a.txt'), lines(20, { 4: 'fourth' }))],
  ['an empty file', at => writeFileSync(at('empty'), '')],
  ['a file of 3 MB', at => writeFileSync(at('b.bin'), randomBytes(3_000_000))],
  ['a copy of it', at => copyFileSync(at('b.bin'), at('c.bin'))],
  ['a few bytes changed in it', at => writeFileSync(at('b.bin'), 'changed', { flag: 'r+' })],
  ['it cut short', at => writeFileSync(at('b.bin'), randomBytes(10))],
  ['a renamed file', at => renameSync(at('a.txt'), at('renamed.txt'))],
  ['an empty directory', at => mkdirSync(at('empty dir'))],
  ['directories in directories', at => mkdirSync(at('one/two/three'), { recursive: true })],
  ['a file deep in them', at => writeFileSync(at('one/two/three/deep.txt'), 'deep')],
  ['a file moved there', at => renameSync(at('renamed.txt'), at('one/two/moved.txt'))],
  ['a renamed directory', at => renameSync(at('one'), at('first'))],
  ['a directory moved', at => renameSync(at('first/two'), at('empty dir/two'))],
  ['another mode', at => chmodSync(at('c.bin'), 0o751)],
  ['another mode of a directory', at => chmodSync(at('first'), 0o700)],
  ['another time', at => utimesSync(at('c.bin'), 1_234_567_890, 1_234_567_890.5)],
  ['a symlink', at => symlinkSync('c.bin', at('link'))],
  ['a symlink to nowhere', at => symlinkSync('../../no/such', at('first/dangling'))],
  ['a symlink changed', at => relink(at('link'), 'empty')],
  ['a case-only rename', at => renameSync(at('c.bin'), at('C.BIN'))],
  ['a file in place of a directory', at => replaceByFile(at('first'))],
  ['a directory in place of a file', at => replaceByDirectory(at('b.bin'))],
  ['two files that swap names', at => swap(at('C.BIN'), at('empty'), at('t'))],
  ['a name of 255 bytes', at => writeFileSync(at('x'.repeat(255)), 'long')],
  ['a name with a line break', at => writeFileSync(at('a\nb'), 'break')],
  ['names beyond ASCII', at => writeFileSync(at('🦊 fox 狐.txt'), 'fox')],
  ['a decomposed name', at => writeFileSync(at('cafe\u0301'), 'nfd')],
  ['names that shells dislike', at => writeFileSync(at(' -rf "*" \\ %s `x` $HOME '), 'shell')],
  ['dot files', at => writeFileSync(at('.hidden'), 'hidden')],
  ['a deleted file', at => unlinkSync(at('b.bin/inside'))],
  ['a directory deleted and made again', at => remake(at('empty dir'))],
  ['a file in the new one', at => writeFileSync(at('empty dir/in the new one'), 'new')],
  ['a deleted tree', at => rmSync(at('empty dir'), { recursive: true })],
  ['everything deleted but one', at => deleteAllBut(at(''), '.hidden')],
]

describe('e2e: live, both ways', function () {
  this.timeout(180_000)
  const world = useWorld(['desk', 'lamp'], { ordinary: true })

  before(async function () {
    this.timeout(60_000)
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    mkdirSync(desk.path('notes'))
    await desk.start(desk.path('notes'))
    await lamp.start()
    await pair(desk, lamp)
    await get(lamp, 'notes', lamp.path('notes'))
    await settle(world.devices, 'notes')
  })

  for (const [from, to] of [
    ['desk', 'lamp'],
    ['lamp', 'desk'],
  ] as const) {
    it(`carries every kind of change from ${from} to ${to}`, async () => {
      const root = world.device(from).path('notes')
      let longest: [number, string] = [0, '']
      for (const [what, change] of CHANGES) {
        change(path => join(root, path))
        const took = await untilEqual(world.devices, 'notes', CHANGE_TIMEOUT_MS).catch((error: unknown) => {
          throw new Error(`after ${what}: ${error instanceof Error ? error.message : String(error)}`)
        })
        if (took > longest[0]) longest = [took, what]
      }
      figure(`${CHANGES.length} changes, each equal by itself; the longest in ${seconds(longest[0])}: ${longest[1]}`)
      await noConflicts(world.devices)
    })
  }

  it('renames a directory with 1,000 files without rewriting any', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    writeMany(desk.path('notes', 'thousand'), 1_000, { perDirectory: 1_000, bytes: 100 })
    await settle(world.devices, 'notes')
    const inodes = inodesOf(lamp.path('notes', 'thousand', 'd0'))
    renameSync(desk.path('notes', 'thousand'), desk.path('notes', 'renamed'))
    figure(`renamed on desk, equal after ${seconds(await untilEqual(world.devices, 'notes'))}`)
    expect(inodesOf(lamp.path('notes', 'renamed', 'd0'))).to.deep.equal(inodes)
    renameSync(lamp.path('notes', 'renamed', 'd0'), lamp.path('notes', 'back'))
    figure(`a part moved back on lamp, equal after ${seconds(await untilEqual(world.devices, 'notes'))}`)
    expect(inodesOf(lamp.path('notes', 'back'))).to.deep.equal(inodes)
    // Most of the folder, so that lamp would ask first.
    await lamp.ok(['folder', 'set', 'notes', 'max-deletes=100%'])
    rmSync(desk.path('notes', 'back'), { recursive: true })
    figure(`1,000 files deleted on desk, equal after ${seconds(await untilEqual(world.devices, 'notes'))}`)
    await noConflicts(world.devices)
  })

  it('keeps up while both sides change different files', async () => {
    await Promise.all(world.devices.map(device => churn(device, 60)))
    await settle(world.devices, 'notes')
    await noConflicts(world.devices)
    await linked(world.device('desk'), world.device('lamp'))
  })
})

async function noConflicts(devices: readonly Device[]): Promise<void> {
  await settle(devices, 'notes')
  for (const device of devices) {
    expect(await device.json(['conflicts'])).to.deep.equal({ conflicts: [] })
    const names = readdirSync(device.path('notes'), { recursive: true, encoding: 'utf8' })
    expect(names.filter(name => name.includes('(conflict '))).to.deep.equal([])
  }
}

/** Random work in a directory of the device's own, with pauses as a person makes them. */
async function churn(device: Device, operations: number): Promise<void> {
  const own = device.path('notes', device.name)
  mkdirSync(own)
  const files: string[] = []
  for (let index = 0; index < operations; index++) {
    const dice = random()
    const at = Math.floor(random() * files.length)
    const file = files[at]
    if (file === undefined || dice < 0.4) {
      files.push(join(own, `f${index}`))
      writeFileSync(join(own, `f${index}`), randomBytes(Math.floor(random() * 100_000)))
    } else if (dice < 0.7) saveByRename(file, randomBytes(Math.floor(random() * 5_000)))
    else if (dice < 0.85) {
      files[at] = join(own, `r${index}`)
      renameSync(file, join(own, `r${index}`))
    } else {
      files.splice(at, 1)
      unlinkSync(file)
    }
    await new Promise(resolve => setTimeout(resolve, random() * 60))
  }
}

function relink(path: string, target: string): void {
  unlinkSync(path)
  symlinkSync(target, path)
}

function replaceByFile(path: string): void {
  rmSync(path, { recursive: true })
  writeFileSync(path, 'a file now')
}

function replaceByDirectory(path: string): void {
  unlinkSync(path)
  mkdirSync(path)
  writeFileSync(join(path, 'inside'), 'a directory now')
}

function remake(path: string): void {
  rmSync(path, { recursive: true })
  mkdirSync(path)
}

function swap(a: string, b: string, between: string): void {
  renameSync(a, between)
  renameSync(b, a)
  renameSync(between, b)
}

function deleteAllBut(root: string, kept: string): void {
  for (const name of readdirSync(root)) {
    if (name !== kept && name !== '.kith') rmSync(join(root, name), { recursive: true })
  }
}

function inodesOf(directory: string): ReadonlyMap<string, number> {
  return new Map(readdirSync(directory).map(name => [name, lstatSync(join(directory, name)).ino]))
}
