// Two devices that know nothing of one another: found by mDNS, paired by a code, and an empty folder filled from the other side with a
// real tree, byte for byte, with modes, links and times; after which there is silence.

import { chmodSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import { figure, megabytes, seconds, timed } from './support/figures.ts'
import { copyModules, writeBig } from './support/sample.ts'
import { countFiles, diffTrees, readTree } from './support/tree.ts'
import { holds } from './support/until.ts'
import { equalTrees, get, pair, settle, useWorld } from './support/world.ts'

const FILES = 6_000
const QUIET_MS = 5_000
const QUIET_BYTES = 20_000

describe('e2e: the first sync', function () {
  this.timeout(240_000)
  const world = useWorld(['desk', 'lamp'], { ordinary: true })

  it('fills an empty folder with a real tree', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    const root = desk.path('modules')
    copyModules(root, FILES)
    writeBig(`${root}/big.bin`, 40_000_000)
    mkdirSync(`${root}/locked`)
    for (const mode of [0o400, 0o444, 0o600, 0o640, 0o755, 0o777]) {
      const path = `${root}/locked/${mode.toString(8)}`
      writeFileSync(path, `mode ${mode}`)
      chmodSync(path, mode)
      utimesSync(path, 1_000_000_000 + mode, 1_000_000_000.125)
    }
    chmodSync(`${root}/locked`, 0o555)
    mkdirSync(`${root}/empty/emptier`, { recursive: true })
    const original = readTree(root)
    expect(countFiles(original)).to.be.at.least(5_000)

    await desk.start()
    await lamp.start()
    const meeting = await timed(() => pair(desk, lamp))
    const hashing = await timed(() => desk.ok(['add', root]))
    const before = lamp.node.bytes()
    const filling = await timed(async () => {
      await get(lamp, 'modules', lamp.path('modules'))
      await settle([lamp], 'modules', 180_000)
    })
    const received = lamp.node.bytes().received - before.received
    const size = (await lamp.folder('modules')).files
    figure(`found and paired in ${seconds(meeting)}; added in ${seconds(hashing)}`)
    figure(`${size} files in ${seconds(filling)}, ${megabytes(received)} received`)

    expect(diffTrees(original, readTree(lamp.path('modules')), ['original', 'lamp'])).to.equal('')
    expect(diffTrees(original, readTree(root), ['original', 'desk'])).to.equal('')
    expect(size).to.equal(countFiles(original) + countLinks(original))
  })

  it('is idle and silent afterwards', async () => {
    const devices = world.devices
    await settle(devices, 'modules')
    const before = devices.map(device => device.node.bytes().sent)
    await holds(
      async () => {
        for (const device of devices) {
          const folder = await device.folder('modules')
          expect(folder).to.include({ state: 'idle', conflicts: 0, error: null })
          expect(folder.need).to.deep.equal({ files: 0, bytes: 0 })
          expect(folder.devices.map(peer => peer.inSync)).to.deep.equal([true])
        }
      },
      { forMs: QUIET_MS },
    )
    devices.forEach((device, at) => {
      const sent = device.node.bytes().sent - (before[at] ?? 0)
      figure(`${device.name} sent ${sent} bytes in ${seconds(QUIET_MS)} of silence`)
      expect(sent).to.be.below(QUIET_BYTES)
    })
    equalTrees(devices, 'modules')
  })
})

function countLinks(tree: ReadonlyMap<string, string>): number {
  return [...tree.values()].filter(line => line.startsWith('symlink')).length
}
