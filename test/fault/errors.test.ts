// System calls that fail are no deletions: directories that cannot be read to the end, files that cannot be looked at or opened. While the
// daemon's calls fail it is told to look at everything; nothing is deleted elsewhere, and when they succeed again all is well by itself.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import type { Device } from '../e2e/support/device.ts'
import { figure } from '../e2e/support/figures.ts'
import { lines, writeMany } from '../e2e/support/sample.ts'
import { diffTrees, readTree } from '../e2e/support/tree.ts'
import { until } from '../e2e/support/until.ts'
import { linked, useWorld } from '../e2e/support/world.ts'
import { FULL, needs } from './support/faults.ts'
import { atRest, REST_MS, share } from './support/pair-of-devices.ts'
import { Strace } from './support/strace.ts'

const FILES = 200
/** Not the few looks at the root before a scan, but every so many of the scan itself. */
const IN_SCAN = 'when=20+7'

/** As strace has them; `some`: of some directories alone. */
const FAULTS: readonly { readonly fault: string; readonly some?: true }[] = [
  { fault: 'getdents64:error=EIO', some: true },
  { fault: `statx:error=EACCES:${IN_SCAN}` },
  { fault: `openat:error=EMFILE:${IN_SCAN}` },
  { fault: 'getdents64:error=EIO' },
  { fault: 'getdents64:error=EIO:when=2+2', some: true },
  { fault: 'getdents64:error=EACCES', some: true },
  { fault: 'getdents64:error=ESTALE:when=2', some: true },
  { fault: `statx:error=EIO:${IN_SCAN}` },
  { fault: `statx:error=ELOOP:${IN_SCAN}` },
  { fault: `statx:error=ENAMETOOLONG:${IN_SCAN}` },
  { fault: 'statx:error=EIO' },
  { fault: `openat:error=EIO:${IN_SCAN}` },
  { fault: `openat:error=EACCES:${IN_SCAN}` },
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
    for (const [n, { fault, some }] of faults.entries()) {
      const whole = readTree(desk.path('notes'))
      const directories = ['d0', 'd3', 'd7'].map(name => lamp.path('notes', 'many', name))
      const failing = await Strace.attach(lamp, [fault], some === true ? { paths: directories } : {})
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

  it('of a sync: a sync that fails publishes nothing, and what comes next is a new file', async () => {
    const old = lines(300)
    const fresh = lines(300, { 7: 'by desk' })
    writeFileSync(desk.path('notes', 'text'), old)
    await atRest([desk, lamp], 'notes')
    const failing = await Strace.attach(lamp, ['fsync:error=EIO'], { noted: ['unlink'] })
    const failed = (): string[] => failing.calls.filter(line => line.includes('fsync') && line.includes('/stage/'))
    try {
      writeFileSync(desk.path('notes', 'text'), fresh)
      await until(() => failed().length >= 2, { timeoutMs: REST_MS, what: 'a staged file was synced in vain, twice' })
      expect(readFileSync(lamp.path('notes', 'text'), 'utf8'), 'while the sync fails').to.equal(old)
    } finally {
      await failing.detach()
    }
    // Between two tries the file went: a descriptor whose sync failed once would be lied to by the next.
    const name = /stage\/([0-9a-f]+)/.exec(failed()[0] ?? '')?.[1] ?? 'none'
    const acts = failing.calls.filter(line => line.includes(name)).map(line => /(fsync|unlink)/.exec(line)?.[0])
    expect(acts.slice(0, 3)).to.deep.equal(['fsync', 'unlink', 'fsync'])
    await until(() => readFileSync(lamp.path('notes', 'text'), 'utf8') === fresh, {
      timeoutMs: REST_MS,
      what: 'it comes when the disk is well again',
    })
    await atRest([desk, lamp], 'notes')
    figure(`N = ${failed().length} syncs of a staged file failed: each time it went, and nothing was published`)
  })
})
