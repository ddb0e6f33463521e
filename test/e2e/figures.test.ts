// The figures that are promised: a renamed directory of 10,000 files moves no content, and a save shows on the other device at once.

import { lstatSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import type { Device } from './support/device.ts'
import { figure, percentile, seconds } from './support/figures.ts'
import { random } from './support/random.ts'
import { saveByRename, writeMany } from './support/sample.ts'
import { until } from './support/until.ts'
import { equalTrees, get, pair, settle, untilEqual, useWorld } from './support/world.ts'

const FILES = 10_000
const RENAME_WIRE_BYTES = 64_000
const SAVES = 50
const SAVE_MEDIAN_MS = 500
const PAUSE_MS = 1_500

describe('e2e: figures', function () {
  this.timeout(240_000)
  const world = useWorld(['desk', 'lamp'])

  before(async function () {
    this.timeout(180_000)
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    writeMany(desk.path('files', 'ten thousand'), FILES, { perDirectory: 500, bytes: 2_000 })
    mkdirSync(desk.path('notes'))
    await desk.start(desk.path('files'))
    await desk.ok(['add', desk.path('notes')])
    await lamp.start()
    await pair(desk, lamp)
    await get(lamp, 'files', lamp.path('files'))
    await get(lamp, 'notes', lamp.path('notes'))
    await settle(world.devices, 'files')
  })

  it('renaming a directory with 10,000 files sends under 64 KB and rewrites nothing', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    const inode = lstatSync(lamp.path('files', 'ten thousand', 'd7', 'f3500')).ino
    const before = desk.node.bytes()
    renameSync(desk.path('files', 'ten thousand'), desk.path('files', 'renamed'))
    const renamed = lamp.path('files', 'renamed', 'd7', 'f3500')
    const started = performance.now()
    await until(() => lstatSync(renamed, { throwIfNoEntry: false })?.ino === inode, {
      timeoutMs: 20_000,
      what: 'the directory is renamed on lamp',
      everyMs: 10,
    })
    const shown = performance.now() - started
    await settle(world.devices, 'files')
    const after = desk.node.bytes()
    const bytes = after.sent + after.received - before.sent - before.received
    figure(`shown after ${seconds(shown)}; ${bytes} bytes on the wire until both said that all is done`)
    expect(bytes).to.be.below(RENAME_WIRE_BYTES)
  })

  it('a save shows on the other device in under 500 ms at the median', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    const took: number[] = []
    for (let index = 0; index < SAVES; index++) {
      const [from, to] = random() < 0.5 ? [desk, lamp] : [lamp, desk]
      const path = `notes/${index % 7}.txt`
      await sleep(random() * PAUSE_MS)
      took.push(await save(from, to, path, `save ${index} by ${from.name}\n`, index % 2 === 0))
    }
    const ms = (value: number): string => `${Math.round(value)} ms`
    const [first = 0] = took
    const p50 = percentile(took, 0.5)
    const p95 = percentile(took, 0.95)
    figure(`${SAVES} saves: first ${ms(first)}, p50 ${ms(p50)}, p95 ${ms(p95)}, longest ${ms(Math.max(...took))}`)
    await untilEqual(world.devices, 'notes')
    equalTrees(world.devices, 'notes')
    expect(p50).to.be.below(SAVE_MEDIAN_MS)
    expect(p95).to.be.below(SAVE_MEDIAN_MS * 4)
  })
})

/** From the end of the save to the moment that the other device shows it. */
async function save(from: Device, to: Device, path: string, content: string, inPlace: boolean): Promise<number> {
  if (inPlace) writeFileSync(from.path(path), content)
  else saveByRename(from.path(path), content)
  const saved = performance.now()
  await until(
    () => {
      const size = lstatSync(to.path(path), { throwIfNoEntry: false })?.size
      return size === content.length && readFileSync(to.path(path), 'utf8') === content
    },
    { timeoutMs: 10_000, what: `${path} of ${from.name} shows on ${to.name}`, everyMs: 2 },
  )
  return performance.now() - saved
}
