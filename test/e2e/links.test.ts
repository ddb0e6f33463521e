// Links that come back by themselves: whatever the order of starts, on new addresses, and after the interface was gone for 20 s. Both
// sides must be linked, and a file written at that moment must arrive, within 10 s of the time when each could reach the other.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import type { Device } from './support/device.ts'
import { figure, seconds } from './support/figures.ts'
import { until } from './support/until.ts'
import { get, pair, settle, useWorld } from './support/world.ts'

const LINK_MS = 10_000
const DOWN_MS = 20_000

describe('e2e: links come back', function () {
  this.timeout(180_000)
  const world = useWorld(['desk', 'lamp'])
  let probes = 0

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

  /** Called when both can be reached again: measures until both say so, and until a file that is written now has arrived. */
  async function measure(what: string, from: Device, to: Device): Promise<void> {
    const name = `probe ${++probes}`
    writeFileSync(from.path('notes', name), name)
    const started = performance.now()
    const [linked, arrived] = await Promise.all([
      until(async () => (await from.linked(to)) && (await to.linked(from)) && performance.now() - started, {
        timeoutMs: 3 * LINK_MS,
        what: `${what}: linked`,
        everyMs: 20,
      }),
      until(() => existsSync(to.path('notes', name)) && performance.now() - started, {
        timeoutMs: 3 * LINK_MS,
        what: `${what}: a file arrives`,
        everyMs: 20,
      }),
    ])
    figure(`${what}: linked after ${seconds(linked)}, a file across after ${seconds(arrived)}`)
    expect(linked).to.be.below(LINK_MS)
    expect(arrived).to.be.below(LINK_MS)
  }

  for (const [first, second] of [
    ['desk', 'lamp'],
    ['lamp', 'desk'],
  ] as const) {
    it(`${first} started first, ${second} when ${first} had been alone for a while`, async () => {
      const early = world.device(first)
      const late = world.device(second)
      await late.stop()
      await early.stop()
      await early.start()
      await sleep(5_000)
      await late.start()
      await measure(`${second} started last`, early, late)
    })
  }

  it('both restarted at once, one after SIGKILL, on new addresses', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    await desk.stop()
    await lamp.kill()
    desk.node.moveTo(71)
    lamp.node.moveTo(72)
    await Promise.all([desk.start(), lamp.start()])
    await measure('both on new addresses', desk, lamp)
  })

  it('one that swapped its address with the other', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    await lamp.stop()
    await desk.stop()
    desk.node.moveTo(73)
    lamp.node.moveTo(71)
    desk.node.moveTo(72)
    await lamp.start()
    await desk.start()
    await measure('addresses swapped', lamp, desk)
  })

  it('a new address while both run', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    lamp.node.moveTo(80)
    await measure('new address while running', lamp, desk)
  })

  it('the interface down for 20 s', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    lamp.node.linkDown()
    writeFileSync(desk.path('notes', 'while down'), 'by desk')
    await sleep(DOWN_MS)
    expect(await desk.linked(lamp)).to.equal(false)
    expect(await lamp.linked(desk)).to.equal(false)
    lamp.node.linkUp()
    await measure('interface back after 20 s', lamp, desk)
    await settle(world.devices, 'notes')
  })

  it('the cable pulled at the switch for 20 s', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    desk.node.partition()
    await sleep(DOWN_MS)
    expect(await desk.linked(lamp)).to.equal(false)
    expect(await lamp.linked(desk)).to.equal(false)
    desk.node.heal()
    await measure('cable back after 20 s', desk, lamp)
    await settle(world.devices, 'notes')
  })
})
