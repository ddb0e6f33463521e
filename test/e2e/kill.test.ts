// Daemons killed with SIGKILL in the middle of a transfer, the receiver and the sender in turn: nothing half-made is ever visible, and
// after the restarts the transfer finishes.

import { cpSync, mkdirSync } from 'node:fs'
import { expect } from 'chai'
import type { Device } from './support/device.ts'
import { figure, megabytes } from './support/figures.ts'
import { writeBig, writeMany } from './support/sample.ts'
import { readTree, type Tree } from './support/tree.ts'
import { until } from './support/until.ts'
import { get, pair, settle, useWorld } from './support/world.ts'

const BIG_BYTES = 60_000_000
const SMALL_FILES = 2_000
const SMALL_BYTES = 10_000
const RATE = '80mbit'
/** What lamp must have received since the last kill before the next. */
const STEP_BYTES = 15_000_000

describe('e2e: killed during a transfer', function () {
  this.timeout(180_000)
  const world = useWorld(['desk', 'lamp'])

  it('finishes a new folder, with never a torn file in sight', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    const root = desk.path('media')
    mkdirSync(root)
    writeBig(`${root}/big.bin`, BIG_BYTES)
    writeMany(`${root}/many`, SMALL_FILES, { perDirectory: 250, bytes: SMALL_BYTES })
    const original = readTree(root)
    await desk.start(root)
    await lamp.start()
    await pair(desk, lamp)
    desk.node.limit(RATE)
    const before = lamp.node.bytes().received
    await get(lamp, 'media', lamp.path('media'))

    for (const victim of [lamp, desk, lamp, desk]) {
      await killDuring(victim, lamp, 'media')
      onlyWhole(readTree(lamp.path('media')), [original])
      await victim.start()
    }
    expect(await settle(world.devices, 'media')).to.deep.equal(original)
    const received = lamp.node.bytes().received - before
    const content = BIG_BYTES + SMALL_FILES * SMALL_BYTES
    figure(`${megabytes(received)} received for ${megabytes(content)} of content, with four kills`)
    expect(received).to.be.below(content * 2)
  })

  it('finishes new versions of files that are there: old or new, nothing between', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    const root = desk.path('media')
    const old = readTree(root)
    cpSync(root, desk.path('fresh'), { recursive: true })
    writeBig(`${desk.path('fresh')}/big.bin`, BIG_BYTES)
    writeMany(`${desk.path('fresh')}/many`, SMALL_FILES, { perDirectory: 250, bytes: SMALL_BYTES })
    cpSync(desk.path('fresh'), root, { recursive: true, filter: source => !source.endsWith('.kith') })
    const fresh = readTree(root)

    for (const victim of [lamp, desk]) {
      await killDuring(victim, lamp, 'media')
      onlyWhole(readTree(lamp.path('media')), [old, fresh])
      await victim.start()
    }
    expect(await settle(world.devices, 'media')).to.deep.equal(fresh)
    for (const device of world.devices) expect((await device.folder('media')).conflicts).to.equal(0)
  })
})

/** SIGKILL once the receiver got another part, and only while something is still missing there. */
async function killDuring(victim: Device, receiver: Device, folder: string): Promise<void> {
  const start = receiver.node.bytes().received
  await until(() => receiver.node.bytes().received - start > STEP_BYTES, {
    timeoutMs: 60_000,
    what: 'the next part',
    everyMs: 20,
  })
  const { need } = await receiver.folder(folder)
  await victim.kill()
  expect(need.bytes, 'missing at the kill').to.be.greaterThan(0)
  figure(`${victim.name} killed with ${need.files} files, ${megabytes(need.bytes)} missing`)
}

/** Every visible file is, to the byte and to its time and mode, what one of the trees has at that path. */
function onlyWhole(seen: Tree, allowed: readonly Tree[]): void {
  for (const [path, line] of seen) {
    if (!line.startsWith('file')) continue
    const possible = allowed.map(tree => tree.get(path))
    if (!possible.includes(line)) expect.fail(`${path} is ${line}, not ${possible.join(' or ')}`)
  }
}
