// Everything that a device knows survives SIGKILL of both daemons at any moment: who is paired, which folders there are and what they
// held, and every change that was on its way. Nothing is asked of a person afterwards.

import { appendFileSync, mkdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import type { Device } from './support/device.ts'
import { figure } from './support/figures.ts'
import { random, randomBytes } from './support/random.ts'
import { lines, saveByRename, writeMany } from './support/sample.ts'
import { pathsHolding } from './support/tree.ts'
import { get, linked, pair, settle, untilEqual, useWorld } from './support/world.ts'

const ROUNDS = 6

describe('e2e: SIGKILL of both daemons', function () {
  this.timeout(180_000)
  const world = useWorld(['desk', 'lamp'])
  const written = new Map<string, Buffer>()

  async function killBoth(): Promise<void> {
    await Promise.all(world.devices.map(device => device.kill()))
  }

  async function startBoth(): Promise<void> {
    await Promise.all(world.devices.map(device => device.start()))
    await linked(world.device('desk'), world.device('lamp'))
  }

  it('right after pairing, `add` and `get` were answered: all three stand', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    for (const name of ['notes', 'other']) mkdirSync(desk.path(name))
    writeMany(desk.path('notes', 'many'), 300, { perDirectory: 100, bytes: 3_000 })
    await desk.start()
    await lamp.start()
    await pair(desk, lamp)
    await killBoth()
    await startBoth()
    await desk.ok(['add', desk.path('notes')])
    await desk.ok(['add', desk.path('other'), '--name', 'second'])
    await killBoth()
    await startBoth()
    await get(lamp, 'notes', lamp.path('notes'))
    await get(lamp, 'second', lamp.path('other'))
    await killBoth()
    const before = await Promise.all([describeDevice(desk), describeDevice(lamp)])
    await settle(world.devices, 'notes')
    expect(await Promise.all([describeDevice(desk), describeDevice(lamp)])).to.deep.equal(before)
    writeFileSync(lamp.path('other', 'by lamp'), 'by lamp')
    await untilEqual(world.devices, 'other')

    async function describeDevice(device: Device): Promise<unknown> {
      if (!device.running) await device.start()
      const { device: self, devices, folders } = await device.status()
      return {
        id: self.id,
        devices: devices.map(({ id, name }) => [id, name]),
        folders: folders.map(({ id, name, path }) => [id, name, path]).sort(),
      }
    }
  })

  it('at random moments while both work: nothing written is lost', async () => {
    await settle(world.devices, 'notes')
    for (let round = 0; round < ROUNDS; round++) {
      for (const device of world.devices) work(device, round)
      await sleep(random() * 1_000)
      await killBoth()
      if (round % 2 === 0) for (const device of world.devices) work(device, round + 0.5)
      await startBoth()
    }
    const tree = await settle(world.devices, 'notes')
    figure(`${ROUNDS} times both killed, ${written.size} files written in between, all there`)
    for (const [path, content] of written) expect(pathsHolding(tree, content), path).to.deep.equal([path])
    expect((await world.device('desk').folder('notes')).conflicts).to.equal(0)
  })

  it('with edits of both sides of one file not yet exchanged: they merge afterwards', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    writeFileSync(desk.path('notes', 'text.txt'), lines(20))
    await settle(world.devices, 'notes')
    desk.node.partition()
    saveByRename(desk.path('notes', 'text.txt'), lines(20, { 2: 'by desk' }))
    saveByRename(lamp.path('notes', 'text.txt'), lines(20, { 19: 'by lamp' }))
    await Promise.all(world.devices.map(device => device.ok(['wait', '--timeout', '40'])))
    await killBoth()
    desk.node.heal()
    await startBoth()
    const tree = await settle(world.devices, 'notes')
    expect(pathsHolding(tree, lines(20, { 2: 'by desk', 19: 'by lamp' }))).to.deep.equal(['text.txt'])
  })

  /** New files, edits of own files, and deletes of the other's untouched ones would be conflicts: each works on its own. */
  function work(device: Device, round: number): void {
    const own = (name: string): string => `${device.name} ${name}`
    for (let index = 0; index < 15; index++) {
      const name = own(`${round}-${index}`)
      const content = randomBytes(100 + Math.floor(random() * 200_000))
      writeFileSync(device.path('notes', name), content)
      written.set(name, content)
    }
    const edited = own('log')
    const line = Buffer.from(`${device.name}, round ${round}\n`)
    appendFileSync(device.path('notes', edited), line)
    written.set(edited, Buffer.concat([written.get(edited) ?? Buffer.alloc(0), line]))
    const gone = own(`${round}-3`)
    unlinkSync(device.path('notes', gone))
    written.delete(gone)
  }
})
