// Disks that are full or read-only, under the folder and under the home: nothing half-written is ever visible, the folder says what is
// wrong, and when there is room again it goes on by itself.
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { expect } from 'chai'
import type { Device } from '../e2e/support/device.ts'
import { figure, seconds } from '../e2e/support/figures.ts'
import { random, randomBytes } from '../e2e/support/random.ts'
import { readTree, type Tree } from '../e2e/support/tree.ts'
import { until } from '../e2e/support/until.ts'
import { get, linked, pair, useWorld } from '../e2e/support/world.ts'
import { Ext4, Tmpfs } from './support/disks.ts'
import { FULL, needs, trials } from './support/faults.ts'
import { REST_MS, started } from './support/pair-of-devices.ts'

const CYCLES = trials({ share: 3, full: 10 })
/** Of these 64 are never used: the database and the person need some. */
const DISK_MEBIBYTES = 128
const HOME_MEBIBYTES = 128
const FOLDERS = ['tmpfs', 'ext4'] as const
const FILES = 6
const FILE_BYTES = 400_000
/** It must go on by itself in that time. */
const RESUME_MS = 30_000

describe('fault: full disks', function () {
  this.timeout(FULL ? 1_800_000 : 400_000)
  const disks: { unmount(): void }[] = []
  // Before the world is removed.
  after(async () => {
    for (const device of world.devices) await device.destroy()
    for (const disk of disks) disk.unmount()
  })
  const world = useWorld(['desk', 'lamp'])
  let desk: Device
  let lamp: Device
  let data: Tmpfs
  let home: Tmpfs
  let ext4: Ext4

  before(async function () {
    this.timeout(120_000)
    needs(this, 'mkfs.ext4')
    desk = world.device('desk')
    lamp = world.device('lamp')
    data = new Tmpfs(lamp.path('data'), DISK_MEBIBYTES)
    home = new Tmpfs(lamp.home, HOME_MEBIBYTES)
    ext4 = new Ext4(lamp.path('ext4.img'), lamp.path('ext4'), { mebibytes: 256 })
    disks.push(data, home, ext4)
    await started(desk)
    await started(lamp)
    await pair(desk, lamp)
    for (const name of FOLDERS) {
      mkdirSync(desk.path(name))
      change(desk.path(name))
      await desk.ok(['add', desk.path(name)])
      await get(lamp, name, places()[name])
    }
    for (const name of FOLDERS) await cameWhole(name)
  })

  it('of the folder: old or new at every path, and it goes on by itself', async () => {
    const took: number[] = []
    for (let n = 0; n < CYCLES; n++) {
      const old = readTree(desk.path('tmpfs'))
      if (random() < 0.5) {
        data.fill()
        change(desk.path('tmpfs'))
      } else {
        // In the middle of what arrives.
        change(desk.path('tmpfs'))
        await until(async () => (await lamp.folder('tmpfs')).need.files > 0, { timeoutMs: REST_MS, what: 'it begins' })
        data.fill()
      }
      const isFull = await stands()
      onlyWhole(readTree(places().tmpfs), [old, readTree(desk.path('tmpfs'))])
      data.free()
      const freed = performance.now()
      await cameWhole('tmpfs')
      if (isFull) took.push(performance.now() - freed)
    }
    expect(took.length, 'cycles that stood still').to.be.greaterThan(0)
    figure(`N = ${CYCLES} times full, ${took.length} times it stood still, whole again after ${spread(took)}`)
    expect(Math.max(...took)).to.be.below(RESUME_MS)
  })

  it('of the home: nothing is lost, and it goes on by itself', async () => {
    const took: number[] = []
    let ended = 0
    for (let n = 0; n < CYCLES; n++) {
      const old = readTree(desk.path('ext4'))
      home.fill()
      change(desk.path('ext4'))
      await until(async () => !lamp.running || (await desk.folder('ext4')).devices.some(each => !each.inSync), {
        timeoutMs: REST_MS,
        what: 'the change is on its way',
      })
      await lamp.cli(['wait', '--timeout', '5'], { timeoutMs: REST_MS })
      onlyWhole(readTree(places().ext4), [old, readTree(desk.path('ext4'))])
      home.free()
      const freed = performance.now()
      if (!lamp.running) {
        ended++
        await started(lamp)
      }
      await cameWhole('ext4')
      took.push(performance.now() - freed)
    }
    figure(`N = ${CYCLES} times full, the daemon ended ${ended} times, whole again after ${spread(took)}`)
    expect(Math.max(...took)).to.be.below(RESUME_MS)
  })

  it('that turn read-only: they say so, nothing is lost, and it goes on by itself', async () => {
    const saysReadOnly = async (): Promise<boolean> =>
      (await lamp.folder('ext4')).problems.some(({ message }) => message.includes('is read-only'))
    const old = readTree(desk.path('ext4'))
    // It is refused while any file is open for writing.
    const remounted = (): boolean => {
      ext4.remount('ro')
      return true
    }
    await until(remounted, { timeoutMs: 30_000, what: 'it is read-only' })
    change(desk.path('ext4'))
    await until(saysReadOnly, { timeoutMs: REST_MS, what: 'it tries in vain and says why' })
    onlyWhole(readTree(places().ext4), [old])
    ext4.remount('rw')
    const freed = performance.now()
    await cameWhole('ext4')
    const took = performance.now() - freed
    expect(await saysReadOnly()).to.equal(false)
    figure(`read-only, whole again after ${seconds(took)}`)
    expect(took).to.be.below(RESUME_MS)
  })

  function places(): { readonly tmpfs: string; readonly ext4: string } {
    return { tmpfs: lamp.path('data', 'tmpfs'), ext4: lamp.path('ext4', 'ext4') }
  }

  /** Whether the folder in memory stood still and said so, before it had all. */
  async function stands(): Promise<boolean> {
    const what = await until(
      async () => {
        const { state, error, need } = await lamp.folder('tmpfs')
        if (state === 'error' && error?.code === 'disk-full') return 'stands'
        return state === 'idle' && need.files === 0 && isEqual('tmpfs') ? 'done' : null
      },
      { timeoutMs: REST_MS, what: 'it stands still, or has all' },
    )
    return what === 'stands'
  }

  function isEqual(name: 'tmpfs' | 'ext4'): boolean {
    const [a, b] = [readTree(desk.path(name)), readTree(places()[name])]
    return JSON.stringify([...a]) === JSON.stringify([...b])
  }

  async function cameWhole(folder: 'tmpfs' | 'ext4'): Promise<void> {
    await linked(desk, lamp, REST_MS)
    await until(
      async () => {
        const { state, error, need } = await lamp.folder(folder)
        expect({ state, error, need: need.files }).to.deep.equal({ state: 'idle', error: null, need: 0 })
        return isEqual(folder)
      },
      { timeoutMs: REST_MS, what: `${folder} is whole` },
    )
  }
})

/** Some files are new, some replaced, one goes. */
function change(root: string): void {
  for (let n = 0; n < FILES; n++) put(`${root}/f${n}`, randomBytes(FILE_BYTES))
  rmSync(`${root}/g${FILES}`, { force: true })
  put(`${root}/g${FILES - 1}`, randomBytes(FILE_BYTES))
}

/** As editors save: a file that is written in place is empty for a moment, and that is seen and told where the machine is slow. */
function put(path: string, bytes: Uint8Array): void {
  const beside = `${dirname(dirname(path))}/saved`
  writeFileSync(beside, bytes)
  renameSync(beside, path)
}

/** Every visible file is, to the byte and to its time and mode, what one of the trees has at that path. */
function onlyWhole(seen: Tree, allowed: readonly Tree[]): void {
  for (const [path, line] of seen) {
    if (!line.startsWith('file')) continue
    expect(
      allowed.map(tree => tree.get(path)),
      path,
    ).to.include(line)
  }
}

function spread(took: readonly number[]): string {
  return `${seconds(Math.min(...took))} to ${seconds(Math.max(...took))}`
}
