// System calls that fail are no deletions: directories that cannot be read to the end, files that cannot be looked at or opened. While the
// daemon's calls fail it is told to look at everything; nothing is deleted elsewhere, and when they succeed again all is well by itself.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import type { Device } from '../e2e/support/device.ts'
import { figure } from '../e2e/support/figures.ts'
import { writeMany } from '../e2e/support/sample.ts'
import { diffTrees, readTree } from '../e2e/support/tree.ts'
import { until } from '../e2e/support/until.ts'
import { linked, useWorld } from '../e2e/support/world.ts'
import { FULL, needs } from './support/faults.ts'
import { atRest, REST_MS, share } from './support/pair-of-devices.ts'
import { Strace } from './support/strace.ts'

const FILES = 200
const ALWAYS = '1+'
const SOMETIMES = '2+3'
const ONCE = '5'

/** As strace has them. */
const FAULTS = [
  `getdents64:error=EIO:when=${ALWAYS}`,
  `statx:error=EACCES:when=${SOMETIMES}`,
  `getdents64:error=EIO:when=${SOMETIMES}`,
  `openat:error=EMFILE:when=${SOMETIMES}`,
  `getdents64:error=EACCES:when=${ONCE}`,
  `getdents64:error=ESTALE:when=${SOMETIMES}`,
  `statx:error=EIO:when=${ALWAYS}`,
  `statx:error=EIO:when=${SOMETIMES}`,
  `statx:error=ELOOP:when=${SOMETIMES}`,
  `statx:error=ENAMETOOLONG:when=${ONCE}`,
  `openat:error=EIO:when=${SOMETIMES}`,
  `openat:error=EACCES:when=${ALWAYS}`,
]
const SHARE = 4

describe('fault: calls that fail', function () {
  this.timeout(FULL ? 1_200_000 : 300_000)
  const world = useWorld(['desk', 'lamp'])
  let desk: Device
  let lamp: Device

  before(async function () {
    needs(this, 'strace')
    desk = world.device('desk')
    lamp = world.device('lamp')
    mkdirSync(desk.path('notes'))
    writeMany(desk.path('notes', 'many'), FILES, { perDirectory: 10, bytes: 500 })
    await share(desk, lamp, 'notes')
  })

  it('delete nothing, here or elsewhere', async () => {
    const faults = FULL ? FAULTS : FAULTS.slice(0, SHARE)
    let failed = 0
    for (const [n, fault] of faults.entries()) {
      const whole = readTree(desk.path('notes'))
      const failing = await Strace.attach(lamp, [fault])
      try {
        // It looks at everything; what it answers is its own affair.
        await lamp.cli(['wait', '--timeout', '10'], { timeoutMs: REST_MS })
        await failing.reached(1, REST_MS)
      } finally {
        await failing.detach()
      }
      failed += failing.injected
      await linked(desk, lamp, REST_MS)
      writeFileSync(lamp.path('notes', `probe ${n}`), fault)
      await until(() => existsSync(desk.path('notes', `probe ${n}`)), { timeoutMs: REST_MS, what: `${fault}: a probe` })
      await atRest([desk, lamp], 'notes')
      const after = new Map([...readTree(desk.path('notes'))].filter(([path]) => path !== `probe ${n}`))
      expect(diffTrees(whole, after, ['before', 'after']), fault).to.equal('')
      // A file that had gone and come back would have left one.
      expect(readdirSync(desk.path('notes', '.kith', 'versions')), `${fault}: versions on desk`).to.deep.equal([])
    }
    figure(`N = ${faults.length} faults, ${failed} calls failed: 0 deletions`)
  })
})
