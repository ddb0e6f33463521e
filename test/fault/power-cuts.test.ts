// The power of a device is cut while people write on both: what was not on the platter is gone. Its file systems are real ext4, in the
// kernel's own words shut down without a flush, or replaced by a copy of what the disk held at that instant. What the device had said that it
// holds it must hold, whole; and what the cut did to it must reach no other device.
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import type { Device } from '../e2e/support/device.ts'
import { figure } from '../e2e/support/figures.ts'
import { random, randomBytes } from '../e2e/support/random.ts'
import { readTree } from '../e2e/support/tree.ts'
import { get, linked, pair, useWorld } from '../e2e/support/world.ts'
import { Ext4 } from './support/disks.ts'
import { FULL, needs, trials } from './support/faults.ts'
import { atRest, REST_MS, started, statusOf } from './support/pair-of-devices.ts'
import { Written } from './support/written.ts'

const CUTS = trials({ share: 4, full: 20 })
const PAUSE_MS = 30
const MAX_BYTES = 30_000
/** As often as ext4 lets it: what is in the journal and what is not is then different at each cut. */
const COMMIT_SECONDS = 1

describe('fault: power cuts', function () {
  this.timeout(FULL ? 1_800_000 : 400_000)
  const disks: Ext4[] = []
  // Before the world is removed.
  after(async () => {
    for (const device of world.devices) await device.destroy()
    for (const disk of disks) disk.unmount()
  })
  const world = useWorld(['desk', 'lamp'])
  const written = new Written()
  let desk: Device
  let lamp: Device

  before(async function () {
    this.timeout(120_000)
    needs(this, 'mkfs.ext4', 'python3')
    desk = world.device('desk')
    lamp = world.device('lamp')
    for (const at of ['home', 'notes'])
      disks.push(new Ext4(lamp.path(`${at}.img`), lamp.path(at), { mebibytes: 192, commitSeconds: COMMIT_SECONDS }))
    mkdirSync(desk.path('notes'))
    await started(desk)
    await started(lamp)
    await pair(desk, lamp)
    await desk.ok(['add', desk.path('notes')])
    await get(lamp, 'notes', lamp.path('notes'))
    await atRest([desk, lamp], 'notes')
  })

  it('leave what was acknowledged whole, and reach no other device', async () => {
    let acknowledged = 0
    let sent = 0
    for (let cut = 0; cut < CUTS; cut++) {
      const churn = { on: true }
      const people = [desk, lamp].map(device => work(device, churn))
      await sleep(300 + random() * 1_500)
      const holds = await heldBy()
      await sleep(random() * 300)
      const { pid } = (await statusOf(lamp)).daemon
      process.kill(pid, 'SIGSTOP')
      churn.on = false
      await Promise.all(people)
      const onDesk = readTree(desk.path('notes'))
      await (cut % 2 === 0 ? shutDown() : photographed())

      const found = readTree(lamp.path('notes'))
      // Written by the person at desk: published by the daemon that was cut off, so old or new. By the one at lamp: as the disk left it.
      for (const [path, line] of found) {
        if (line.startsWith('file') && path.startsWith('desk'))
          expect(written.isVersion(path, line), `${path}: ${line}`).to.equal(true)
      }
      for (const { path, size, at } of holds) {
        if (!written.isStill(path, size, at)) continue
        // Of one that was renamed meanwhile it holds the bytes under the old name.
        const isThere = [...found.values()].some(line => written.isNewest(path, line))
        expect(isThere, `cut ${cut}: ${path}, acknowledged by lamp, shows ${found.get(path)}`).to.equal(true)
        acknowledged++
      }
      await started(lamp)
      await linked(desk, lamp, REST_MS)
      await atRest([desk, lamp], 'notes')
      const after = readTree(desk.path('notes'))
      for (const path of written.paths()) {
        const line = after.get(path)
        if (path.startsWith('desk')) {
          expect(line, `cut ${cut}: ${path}, by desk`).to.satisfy(
            (is: string | undefined) => is !== undefined && written.isNewest(path, is),
          )
        } else if (onDesk.has(path)) {
          // What another device has it keeps, or it gets a newer version; nothing else comes to it from a disk that was cut.
          const had = written.indexOf(path, onDesk.get(path) ?? '')
          const has = written.indexOf(path, line ?? '')
          expect(has, `cut ${cut}: ${path} was ${onDesk.get(path)}, is ${line}`).to.be.at.least(Math.max(0, had))
          sent++
        }
      }
      written.adopt(after)
    }
    figure(
      `N = ${CUTS} cuts: ${acknowledged} acknowledged files whole, ${sent} files of the cut device kept by the other`,
    )

    async function shutDown(): Promise<void> {
      for (const disk of disks) disk.cut()
      await lamp.kill()
      for (const disk of disks) disk.restart()
    }

    async function photographed(): Promise<void> {
      for (const [n, disk] of disks.entries()) disk.photograph(desk.path(`photograph${n}`))
      await lamp.kill()
      for (const [n, disk] of disks.entries()) disk.become(desk.path(`photograph${n}`))
    }
  })

  /** What desk knows to be held by lamp, as of before it was asked. */
  async function heldBy(): Promise<{ path: string; size: number; at: number }[]> {
    const at = performance.now()
    const { id } = (await statusOf(lamp)).device
    const { files } = (await desk.json(['copies', desk.path('notes')])) as {
      files: { path: string; size: number; holders: string[] }[]
    }
    return files
      .filter(each => each.holders.includes(id) || each.holders.includes(lamp.name))
      .map(({ path, size }) => ({ path, size, at }))
  }

  /** Both make and edit; the one whose power stays also renames and removes. */
  async function work(device: Device, churn: { on: boolean }): Promise<void> {
    const place = (path: string): string => device.path('notes', path)
    while (churn.on) {
      const mine = written.paths().filter(path => path.startsWith(device.name))
      const path = mine[Math.floor(random() * mine.length)]
      const fresh = `${device.name}-${written.number()}`
      const choice = random()
      if (path === undefined || choice < 0.5) put(fresh)
      else if (device === lamp || choice < 0.8) put(path)
      else if (choice < 0.9) {
        renameSync(place(path), place(fresh))
        written.move(path, fresh)
      } else {
        rmSync(place(path))
        written.remove(path)
      }
      await sleep(PAUSE_MS * (0.5 + random()))
    }

    function put(path: string): void {
      const bytes = randomBytes(1 + Math.floor(random() * MAX_BYTES))
      if (random() < 0.5) writeFileSync(place(path), bytes)
      else {
        writeFileSync(place(`.saving-${device.name}`), bytes)
        renameSync(place(`.saving-${device.name}`), place(path))
      }
      written.put(path, bytes)
    }
  }
})
