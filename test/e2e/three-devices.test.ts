// Three devices, of which two never met: they know one another through the third. A chain of edits, one of them absent, news that
// travel by a third, and a device that was removed and is refused from then on.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import type { Device } from './support/device.ts'
import { figure, seconds, timed } from './support/figures.ts'
import { lines, saveByRename } from './support/sample.ts'
import { pathsHolding } from './support/tree.ts'
import { holds, until } from './support/until.ts'
import { get, linked, pair, settle, untilEqual, useWorld } from './support/world.ts'

const ABSENT_WAIT_MS = 10_000
const REFUSED_FOR_MS = 10_000

describe('e2e: three devices', function () {
  this.timeout(180_000)
  const world = useWorld(['desk', 'lamp', 'shelf'])
  let desk: Device
  let lamp: Device
  let shelf: Device

  it('link all with all, though desk and shelf never paired', async () => {
    desk = world.device('desk')
    lamp = world.device('lamp')
    shelf = world.device('shelf')
    mkdirSync(desk.path('notes'))
    writeFileSync(desk.path('notes', 'chain.txt'), lines(20))
    await desk.start(desk.path('notes'))
    await lamp.start()
    await shelf.start()
    await pair(desk, lamp)
    await get(lamp, 'notes', lamp.path('notes'))
    await pair(lamp, shelf)
    figure(`desk and shelf linked after ${seconds(await timed(() => linked(desk, shelf)))}`)
    await get(shelf, 'notes', shelf.path('notes'))
    await settle(world.devices, 'notes')
  })

  it('pass an edit on from each to all', async () => {
    const replaced: Record<number, string> = {}
    for (const [at, device] of world.devices.entries()) {
      replaced[at * 5 + 2] = `by ${device.name}`
      saveByRename(device.path('notes', 'chain.txt'), lines(20, replaced))
      await untilEqual(world.devices, 'notes')
    }
    expect(readFileSync(desk.path('notes', 'chain.txt'), 'utf8')).to.equal(lines(20, replaced))
  })

  it('hear by the third what was written while they were away', async () => {
    await shelf.stop()
    writeFileSync(desk.path('notes', 'while away.txt'), 'desk wrote')
    saveByRename(desk.path('notes', 'chain.txt'), lines(20, { 1: 'desk, while shelf is away' }))
    writeFileSync(shelf.path('notes', 'by shelf.txt'), 'shelf wrote')
    // nobody waits for a device that has just gone
    const waited = await timed(() => settle([desk, lamp], 'notes'))
    figure(`\`wait\` returned ${seconds(waited)} after shelf had stopped`)
    expect(waited).to.be.below(ABSENT_WAIT_MS)
    await desk.stop()
    await shelf.start()
    await linked(lamp, shelf)
    const tree = await settle([lamp, shelf], 'notes')
    expect(pathsHolding(tree, 'desk wrote')).to.deep.equal(['while away.txt'])
    await lamp.stop()
    await desk.start()
    await linked(desk, shelf)
    await lamp.start()
    await linked(desk, lamp)
    await linked(lamp, shelf)
    const all = await settle(world.devices, 'notes')
    expect(pathsHolding(all, 'shelf wrote')).to.deep.equal(['by shelf.txt'])
    expect(pathsHolding(all, lines(20, { 1: 'desk, while shelf is away' }))).to.deep.equal(['chain.txt'])
  })

  it('merge what three wrote apart', async () => {
    for (const device of world.devices) device.node.partition()
    for (const [at, device] of world.devices.entries()) {
      saveByRename(
        device.path('notes', 'chain.txt'),
        lines(20, { 1: 'desk, while shelf is away', [at * 6 + 4]: device.name }),
      )
      writeFileSync(device.path('notes', `apart by ${device.name}.txt`), device.name)
    }
    await Promise.all(
      world.devices.map(device =>
        until(async () => (await device.status()).devices.every(other => !other.connected), {
          timeoutMs: 30_000,
          what: `${device.name} is alone`,
        }),
      ),
    )
    for (const device of world.devices) device.node.heal()
    await Promise.all([linked(desk, lamp), linked(lamp, shelf), linked(desk, shelf)])
    const tree = await settle(world.devices, 'notes')
    for (const device of world.devices) {
      expect(pathsHolding(tree, device.name)).to.deep.equal([`apart by ${device.name}.txt`])
      const holding = [...tree.keys()].filter(
        path =>
          path.startsWith('chain') && readFileSync(desk.path('notes', path), 'utf8').includes(`\n${device.name}\n`),
      )
      expect(holding, `the line of ${device.name}`).to.have.length.at.least(1)
    }
    figure(`kept as ${[...tree.keys()].filter(path => path.startsWith('chain')).join(', ')}`)
  })

  it('refuse a removed one: cut at once, on each of the others, and for good', async () => {
    const cutting = await timed(async () => {
      await desk.ok(['device', 'remove', 'shelf'])
      await until(
        async () => {
          const [byDesk, byLamp] = await Promise.all([desk.linked(shelf), lamp.linked(shelf)])
          return !byDesk && !byLamp
        },
        { timeoutMs: 5_000, what: 'the links to shelf are cut', everyMs: 20 },
      )
    })
    figure(`cut on both ${seconds(cutting)} after the command was typed`)
    expect((await lamp.status()).devices.map(device => device.name)).to.deep.equal(['desk'])

    writeFileSync(desk.path('notes', 'secret.txt'), 'not for shelf')
    writeFileSync(shelf.path('notes', 'late.txt'), 'shelf, too late')
    await untilEqual([desk, lamp], 'notes')
    const refused = async (): Promise<void> => {
      expect(existsSync(shelf.path('notes', 'secret.txt'))).to.equal(false)
      expect(existsSync(desk.path('notes', 'late.txt'))).to.equal(false)
      expect(existsSync(lamp.path('notes', 'late.txt'))).to.equal(false)
      expect((await shelf.status()).devices.filter(device => device.connected)).to.deep.equal([])
    }
    await holds(refused, { forMs: REFUSED_FOR_MS })
    await shelf.kill()
    await shelf.start()
    await desk.stop()
    await holds(refused, { forMs: REFUSED_FOR_MS })
    await desk.start()
    await linked(desk, lamp)
    await settle([desk, lamp], 'notes')
  })
})
