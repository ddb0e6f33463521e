// A device that knows of a newer version and does not have its content yet. What a person saves there meanwhile was written on top of
// the old version, not of the new one: both must be kept, also when the daemon is killed and the link cut in between.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import type { Device } from './support/device.ts'
import { figure } from './support/figures.ts'
import { randomBytes } from './support/random.ts'
import { saveByRename } from './support/sample.ts'
import { pathsHolding, readTree, type Tree } from './support/tree.ts'
import { until } from './support/until.ts'
import { get, linked, pair, settle, useWorld } from './support/world.ts'

const BYTES = 4_000_000
/** The new content takes half a minute at this rate; its record is there at once. */
const RATE = '1mbit'

describe('e2e: a save on top of an older version than is known', function () {
  this.timeout(120_000)
  const world = useWorld(['desk', 'lamp'])

  before(async function () {
    this.timeout(60_000)
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    mkdirSync(desk.path('work'))
    for (const name of ['linked.bin', 'apart.bin', 'deleted.bin'])
      writeFileSync(desk.path('work', name), randomBytes(BYTES))
    await desk.start(desk.path('work'))
    await lamp.start()
    await pair(desk, lamp)
    await get(lamp, 'work', lamp.path('work'))
    await settle(world.devices, 'work')
  })

  /** desk saves a new content; returns when lamp has its record and not its content. */
  async function announce(desk: Device, lamp: Device, name: string): Promise<{ content: Buffer; old: Tree }> {
    const old = readTree(lamp.path('work'))
    const content = randomBytes(BYTES)
    desk.node.limit(RATE)
    writeFileSync(desk.path('work', name), content)
    await until(async () => (await lamp.folder('work')).need.bytes > 0, {
      timeoutMs: 20_000,
      what: 'the record arrives',
    })
    expect(readTree(lamp.path('work'))).to.deep.equal(old)
    figure(`${name}: lamp needs ${(await lamp.folder('work')).need.bytes} bytes`)
    return { content, old }
  }

  it('keeps both while the content is on its way', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    const { content } = await announce(desk, lamp, 'linked.bin')
    saveByRename(lamp.path('work', 'linked.bin'), 'saved on lamp')
    await until(async () => (await lamp.folder('work')).need.bytes > 0, { timeoutMs: 1_000, what: 'still under way' })
    desk.node.unlimit()
    const tree = await settle(world.devices, 'work')
    expect(pathsHolding(tree, content)).to.have.length(1)
    expect(pathsHolding(tree, 'saved on lamp')).to.have.length(1)
  })

  it('keeps both when the link is cut and the daemon killed meanwhile', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    const { conflicts } = await lamp.folder('work')
    const { content } = await announce(desk, lamp, 'apart.bin')
    lamp.node.partition()
    await lamp.kill()
    writeFileSync(lamp.path('work', 'apart.bin'), 'saved apart')
    await lamp.start()
    // it cannot be done with waiting, as a content is missing; but it must have noticed the save
    await until(async () => (await lamp.folder('work')).conflicts > conflicts, { timeoutMs: 15_000, what: 'noticed' })
    desk.node.unlimit()
    lamp.node.heal()
    await linked(desk, lamp, 40_000)
    const tree = await settle(world.devices, 'work')
    expect(pathsHolding(tree, content)).to.have.length(1)
    expect(pathsHolding(tree, 'saved apart')).to.have.length(1)
  })

  it('does not let a delete of the old version take the new one', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    const { content } = await announce(desk, lamp, 'deleted.bin')
    rmSync(lamp.path('work', 'deleted.bin'))
    await until(async () => (await lamp.folder('work')).need.bytes > 0, { timeoutMs: 1_000, what: 'still under way' })
    desk.node.unlimit()
    const tree = await settle(world.devices, 'work')
    expect(pathsHolding(tree, content)).to.deep.equal(['deleted.bin'])
  })
})
