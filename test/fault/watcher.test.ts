// What a watcher cannot tell of: more events than the system keeps for a daemon that does not come to read them, and more directories than it
// lets be watched. All of it reaches the other device, and what is missing is said.
import { spawnSync } from 'node:child_process'
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Device } from '../e2e/support/device.ts'
import { figure, seconds } from '../e2e/support/figures.ts'
import { random } from '../e2e/support/random.ts'
import { countFiles, readTree } from '../e2e/support/tree.ts'
import { until } from '../e2e/support/until.ts'
import { linked, untilEqual, useWorld } from '../e2e/support/world.ts'
import { FULL, needs, trials } from './support/faults.ts'
import { atRest, REST_MS, share, started, statusOf } from './support/pair-of-devices.ts'

const DIRECTORIES = 200
const FILES = trials({ share: 2_000, full: 20_000 })
/** Where the files alone do not fill the system's queue (16,384 events), these come before them: then not one file is told of. */
const FILLING = FULL ? 0 : 20_000
/** Far below the ten minutes after which everything is looked at anyway. */
const NOTICED_MS = 240_000

const EARLY_FILES = 400
/** Until then the first look is at work. */
const EARLY_MS = 200
const STARTS = trials({ share: 3, full: 30 })

const WATCHES = 10
const WATCHED_DIRECTORIES = 40
/** Those that are not watched are looked at every ten seconds. */
const POLLED_MS = 60_000
const LIMIT = `echo ${WATCHES} > /proc/sys/user/max_inotify_watches && exec "$0" "$@"`
const FEW_WATCHES = ['unshare', '-U', '-r', 'sh', '-c', LIMIT]

describe('fault: what the watcher misses', function () {
  this.timeout(FULL ? 900_000 : 400_000)
  const world = useWorld(['desk', 'lamp'])
  let desk: Device
  let lamp: Device

  before(function () {
    needs(this, 'unshare')
    desk = world.device('desk')
    lamp = world.device('lamp')
  })

  it('events that overflow their queue: every file is on the other device', async () => {
    const at = (n: number): string => join('flood', `d${n % DIRECTORIES}`)
    for (let n = 0; n < DIRECTORIES; n++) mkdirSync(desk.path(at(n)), { recursive: true })
    writeFileSync(desk.path('flood', 'one'), 'one')
    writeFileSync(desk.path('flood', 'two'), 'two')
    await share(desk, lamp, 'flood')
    await watched(lamp, 'flood', at(DIRECTORIES - 1))
    const { pid } = (await statusOf(lamp)).daemon
    const before = countFiles(readTree(lamp.path('flood')))
    process.kill(pid, 'SIGSTOP')
    try {
      // Equal events that follow one another are one: these are never equal.
      for (let n = 0; n < FILLING; n++) utimesSync(lamp.path('flood', n % 2 === 0 ? 'one' : 'two'), 1e9, 1e9 + n)
      for (let n = 0; n < FILES; n++) writeFileSync(lamp.path(at(n * DIRECTORIES), `f${n}`), `${n}`)
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    const started = performance.now()
    await until(() => countFiles(readTree(desk.path('flood'))) === before + FILES, {
      timeoutMs: NOTICED_MS,
      what: `${FILES} files are on desk`,
      everyMs: 500,
    })
    const took = performance.now() - started
    await atRest([desk, lamp], 'flood')
    figure(`N = ${FILES} files in ${DIRECTORIES} directories while it was stopped: all on desk after ${seconds(took)}`)
  })

  it('a rewrite between the first look at a directory and its watch: every file is on the other device', async () => {
    const at = (n: number): string => join('early', `d${n}`, 'f')
    for (let n = 0; n < EARLY_FILES; n++) {
      mkdirSync(join(desk.path(at(n)), '..'), { recursive: true })
      writeFileSync(desk.path(at(n)), 'start 0')
    }
    await share(desk, lamp, 'early')
    for (let round = 1; round <= STARTS; round++) {
      await lamp.stop()
      await started(lamp)
      // Nothing of its directory changes, and nobody tells of it later.
      await new Promise(resolve => setTimeout(resolve, random() * EARLY_MS))
      for (let n = 0; n < EARLY_FILES; n++) writeFileSync(lamp.path(at(n)), `start ${round}`)
      await linked(desk, lamp, REST_MS)
      await atRest([desk, lamp], 'early')
    }
    figure(`N = ${STARTS} starts, ${EARLY_FILES} files rewritten during each: all on desk`)
  })

  /** The last of the directories is watched: a change in it, of which nobody else tells, is on the other device at once. */
  async function watched(device: Device, name: string, directory: string): Promise<void> {
    writeFileSync(device.path(directory, 'probe'), `${random()}`)
    await atRest([desk, lamp], name)
  }
})

describe('fault: more directories than may be watched', function () {
  this.timeout(400_000)
  const world = useWorld(['desk'])
  let desk: Device
  let lamp: Device

  before(function () {
    needs(this, 'unshare')
    if (!mayLimit()) this.skip()
    desk = world.device('desk')
    lamp = world.add('lamp', { inside: FEW_WATCHES })
  })

  it('it says so, and what changes there is on the other device', async () => {
    const at = (n: number): string => join('wide', `d${n}`)
    for (let n = 0; n < WATCHED_DIRECTORIES; n++) mkdirSync(desk.path(at(n)), { recursive: true })
    await share(desk, lamp, 'wide')
    const problem = await until(
      async () => (await lamp.folder('wide')).problems.find(each => each.code === 'degraded'),
      {
        timeoutMs: REST_MS,
        what: 'lamp says degraded',
      },
    )
    expect(problem.message).to.include('fs.inotify.max_user_watches')
    expect((await lamp.ok(['status'])).stdout, 'what a person reads').to.include('fs.inotify.max_user_watches')
    expect((await desk.folder('wide')).problems).to.deep.equal([])
    for (let n = 0; n < WATCHED_DIRECTORIES; n++) writeFileSync(lamp.path(at(n), 'f'), `${random()}`)
    const started = performance.now()
    await untilEqual([desk, lamp], 'wide', POLLED_MS)
    const took = performance.now() - started
    for (let n = 0; n < WATCHED_DIRECTORIES; n++) writeFileSync(desk.path(at(n), 'g'), `${random()}`)
    await untilEqual([desk, lamp], 'wide', POLLED_MS)
    await atRest([desk, lamp], 'wide')
    figure(`N = ${WATCHED_DIRECTORIES} directories, ${WATCHES} watches: all changes on desk after ${seconds(took)}`)
  })
})

/** Without namespaces for users the limit would be that of the whole machine, which is not to be touched. */
function mayLimit(): boolean {
  const [command = '', ...rest] = FEW_WATCHES
  if (spawnSync(command, [...rest, 'true']).status === 0) return true
  console.log('      SKIP: no user namespaces here')
  return false
}
