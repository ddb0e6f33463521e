// Three devices for minutes: people change what they share five times a second, links go down and up, daemons are killed. Nothing that a
// daemon takes may grow with the time that it runs: descriptors, timers, memory, temporary files, its log. One of the three is never
// killed, and what it holds after a collection at every rest shows what leaks.
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import type { Device } from '../e2e/support/device.ts'
import { figure, megabytes, seconds } from '../e2e/support/figures.ts'
import { random } from '../e2e/support/random.ts'
import { writeBig } from '../e2e/support/sample.ts'
import { readTree } from '../e2e/support/tree.ts'
import { until } from '../e2e/support/until.ts'
import { get, linked, pair, useWorld } from '../e2e/support/world.ts'
import { Churn, topOf } from './support/churn.ts'
import { FULL, needs, trials, withEnvironment } from './support/faults.ts'
import { Model } from './support/model.ts'
import { atRest, onTheWay, REST_MS, share, started, statusOf } from './support/pair-of-devices.ts'
import {
  type Held,
  held,
  homeTemporaries,
  logBytes,
  openCount,
  openFiles,
  processorSeconds,
  type Taken,
  TELLING,
  taken,
} from './support/taken.ts'

const ROUNDS = trials({ share: 3, full: 10 })
/** Of churn, before all come to rest. */
const ROUND_MS = trials({ share: 15_000, full: 60_000 })
const FILES = 300
const OPERATIONS_A_SECOND = 5
const SAMPLE_MS = 2_000
const KILL_AFTER_MS = FULL ? { least: 30_000, most: 60_000 } : { least: 6_000, most: 12_000 }
const UP_MS = FULL ? { least: 3_000, most: 20_000 } : { least: 2_000, most: 6_000 }
const DOWN_MS = FULL ? { least: 500, most: 6_000 } : { least: 500, most: 2_000 }

const MIB = 1024 * 1024
const MAX_BASE_OPEN = 200
const MAX_MORE_OPEN = 16
const MAX_MORE_HANDLES = 16
const MAX_MORE_THREADS = 4
const MAX_RSS = 300 * MIB
const MAX_LOG_AN_HOUR = 10 * MIB
/** What a rest may add to what is held for each operation since the first: journal and tree remember each for good. */
const MAX_HELD_AN_OPERATION = 4 * 1024
/** Caches that fill and code that is compiled, whatever the number of operations. */
const MAX_WARMING = 8 * MIB
/** Of the second and the last of these parts of the time. */
const WINDOWS = 5
const MAX_MORE_RESIDENT = 48 * MIB
/** Of what a killed daemon left; also on a machine that does something else meanwhile. */
const CLEARED_MS = 120_000
const IDLE_MS = 60_000
const MAX_IDLE_SHARE = 0.01

interface Rest {
  readonly taken: Taken
  readonly held: Held
}

describe('fault: soak', function () {
  this.timeout(FULL ? 2_400_000 : 600_000)
  const world = useWorld(['desk', 'lamp', 'shelf'], { node: TELLING })
  const place = `${tmpdir()}/kith-held-${process.pid}`
  const model = new Model()
  let desk: Device
  let lamp: Device
  let shelf: Device

  /** Each daemon is told where to say what it holds. */
  const up = (device: Device): Promise<void> => withEnvironment({ KITH_HELD: place }, () => started(device))

  const rest = async (): Promise<Map<Device, Rest>> => {
    for (const [a, b] of pairs(world.devices)) await linked(a, b, REST_MS)
    await atRest(world.devices, 'notes')
    const rests = new Map<Device, Rest>()
    for (const device of world.devices) {
      const { pid } = (await statusOf(device)).daemon
      const inside = await held(pid, place)
      const outside = await until(() => taken(device, pid, 'notes'), {
        timeoutMs: REST_MS,
        what: `${device.name} lives`,
      })
      rests.set(device, { taken: outside, held: inside })
    }
    return rests
  }

  before(async function () {
    needs(this)
    desk = world.device('desk')
    lamp = world.device('lamp')
    shelf = world.device('shelf')
    for (const device of world.devices) await up(device)
    mkdirSync(desk.path('notes'))
    const first = new Churn(desk, model, { owns: () => true })
    for (let n = 0; n < FILES; n++) first.create()
    await share(desk, lamp, 'notes')
    await pair(lamp, shelf)
    await linked(desk, shelf, REST_MS)
    await get(shelf, 'notes', shelf.path('notes'))
    await atRest(world.devices, 'notes')
  })

  after(() => {
    for (const name of readdirSync(tmpdir())) {
      if (name.startsWith(`kith-held-${process.pid}.`)) rmSync(`${tmpdir()}/${name}`)
    }
  })

  it('bounds handles, memory, temporary files and the log, whatever happens meanwhile', async () => {
    const base = await rest()
    const logBase = new Map(world.devices.map(device => [device, logBytes(device)]))
    const samples = new Map<Device, Taken[]>(world.devices.map(device => [device, []]))
    const done = { operations: 0, kills: 0, flaps: 0 }
    const rests: { operations: number; held: Held }[] = [{ operations: 0, held: of(base, shelf).held }]
    let churned = 0
    let last = base
    for (let round = 0; round < ROUNDS; round++) {
      const began = performance.now()
      const on = new AbortController()
      const owners = new Map(
        [...new Set(model.paths().map(topOf))].map(top => [top, world.devices[Math.floor(random() * 3)]]),
      )
      const people = world.devices.map(device => new Churn(device, model, { owns: top => owners.get(top) === device }))
      const works = [
        ...people.map(person => repeat(on.signal, () => work(person, done))),
        repeat(on.signal, signal => flap(world.devices, done, signal)),
        repeat(on.signal, signal => kill([desk, lamp], done, { up, signal })),
        repeat(on.signal, signal => sample(world.devices, samples, signal)),
      ]
      try {
        // What one of them throws ends the round at once.
        await Promise.race([sleep(ROUND_MS), Promise.all(works)])
      } finally {
        on.abort()
      }
      await Promise.all(works)
      churned += performance.now() - began
      last = await rest()
      expect(model.differences(readTree(shelf.path('notes'))), `after round ${round}`).to.deep.equal([])
      rests.push({ operations: done.operations, held: of(last, shelf).held })
      figure(
        `round ${round + 1}: shelf holds ${heldText(of(last, shelf).held)}, resident ${mb(of(last, shelf).taken.rss)}`,
      )
    }
    figure(
      `N = ${ROUNDS} rounds, ${done.operations} operations in ${seconds(churned)} (${((done.operations * 1000) / churned).toFixed(1)}/s), ${done.flaps} flaps, ${done.kills} kills; ${model.size} files at the end`,
    )
    for (const device of world.devices) tell(device, of(base, device), of(last, device), samples.get(device) ?? [])
    const logHours = churned / 3_600_000
    for (const device of world.devices) {
      const grown = logBytes(device) - (logBase.get(device) ?? 0)
      figure(`log of ${device.name}: ${(grown / 1024).toFixed(0)} KiB, ${mb(grown / logHours)} an hour`)
      expect(grown / logHours, `log of ${device.name} in an hour`).to.be.below(MAX_LOG_AN_HOUR)
    }
    for (const device of world.devices) judge(device, of(base, device), of(last, device), samples.get(device) ?? [])
    judgeHeld(rests)
    judgeResident(of(samples, shelf))
    if (FULL) await judgeIdle(world.devices)
  })

  it('removes what a killed daemon left on its way, and syncs none of it', async () => {
    const rubbish = [
      'stage/rubbish',
      `stage/${'ab'.repeat(33)}.part`,
      'transit/copy-of-another-run',
      'parked/gone.json',
    ]
    const big = 40_000_000
    desk.node.limit('40mbit')
    writeBig(desk.path('notes', 'big'), big)
    await until(() => parts(lamp).length > 0, { timeoutMs: REST_MS, what: 'a part of it is on lamp', everyMs: 10 })
    await lamp.kill()
    const left = parts(lamp)
    expect(left, 'what the kill left').to.have.length.at.least(1)
    desk.node.unlimit()
    rmSync(desk.path('notes', 'big'))
    for (const name of rubbish) writeFileSync(lamp.path('notes', '.kith', name), '{}')
    writeFileSync(`${lamp.home}/folders.json.0123456789ab.tmp`, '{}', { mode: 0o600 })
    await up(lamp)
    await until(
      () => {
        const here = [...onTheWay(lamp.path('notes')), ...homeTemporaries(lamp)]
        return here.length === 0 || Promise.reject(new Error(here.join(', ')))
      },
      { timeoutMs: CLEARED_MS, what: 'what was left on lamp goes' },
    )
    for (const [a, b] of pairs(world.devices)) await linked(a, b, REST_MS)
    await atRest(world.devices, 'notes')
    for (const device of world.devices) {
      expect(homeTemporaries(device), `in the home of ${device.name}`).to.deep.equal([])
      expect(model.differences(readTree(device.path('notes'))), device.name).to.deep.equal([])
    }
    figure(`N = ${left.length} real part and ${rubbish.length + 1} made up: all gone after the start, none synced`)
  })
})

function of<T>(all: ReadonlyMap<Device, T>, device: Device): T {
  const one = all.get(device)
  if (one === undefined) throw new Error(`nothing of ${device.name}`)
  return one
}

function pairs(devices: readonly Device[]): [Device, Device][] {
  return devices.flatMap((a, at) => devices.slice(at + 1).map((b): [Device, Device] => [a, b]))
}

function between({ least, most }: { least: number; most: number }): number {
  return least + random() * (most - least)
}

/** Until it is told to stop; a wait within it may be cut short then. */
async function repeat(signal: AbortSignal, act: (signal: AbortSignal) => Promise<void>): Promise<void> {
  try {
    while (!signal.aborted) await act(signal)
  } catch (error) {
    if (!signal.aborted || !(error instanceof Error) || error.name !== 'AbortError') throw error
  }
}

async function work(person: Churn, done: { operations: number }): Promise<void> {
  // Three people make the rate together.
  await sleep((3_000 / OPERATIONS_A_SECOND) * (0.5 + random()))
  person.act()
  done.operations++
}

/** One link is down for a while; it is up again when this ends, however it ends. */
async function flap(devices: readonly Device[], done: { flaps: number }, signal: AbortSignal): Promise<void> {
  await sleep(between(UP_MS), undefined, { signal })
  const device = devices[Math.floor(random() * devices.length)]
  if (device === undefined) return
  device.node.linkDown()
  done.flaps++
  try {
    await sleep(between(DOWN_MS), undefined, { signal })
  } finally {
    device.node.linkUp()
  }
}

async function kill(
  devices: readonly Device[],
  done: { kills: number },
  options: { up: (device: Device) => Promise<void>; signal: AbortSignal },
): Promise<void> {
  await sleep(between(KILL_AFTER_MS), undefined, { signal: options.signal })
  const device = devices[Math.floor(random() * devices.length)]
  if (device === undefined) return
  await device.kill()
  done.kills++
  await options.up(device)
}

async function sample(
  devices: readonly Device[],
  samples: ReadonlyMap<Device, Taken[]>,
  signal: AbortSignal,
): Promise<void> {
  await sleep(SAMPLE_MS, undefined, { signal })
  for (const device of devices) {
    const { pid } = device
    const one = pid === undefined ? null : taken(device, pid, 'notes')
    if (one !== null) samples.get(device)?.push(one)
  }
}

function judge(device: Device, base: Rest, last: Rest, samples: readonly Taken[]): void {
  const { name } = device
  const most = openCount(base.taken) + MAX_MORE_OPEN
  expect(openCount(base.taken), `open at the start on ${name}`).to.be.at.most(MAX_BASE_OPEN)
  const open = openCount(last.taken)
  expect(open, `open on ${name}: ${open > most ? openFiles(last.taken.pid).join(', ') : ''}`).to.be.at.most(most)
  expect(last.taken.threads, `threads of ${name}`).to.be.at.most(base.taken.threads + MAX_MORE_THREADS)
  const { FSEventWrap: watches = 0, ...handles } = last.held.handles
  const directories = [...readTree(device.path('notes')).values()].filter(line => line.startsWith('directory ')).length
  // One of each directory that there is, and of the root; none of those that went.
  expect(watches, `${name} watches ${directories} directories`).to.be.at.most(directories + 2)
  const { FSEventWrap: _, ...before } = base.held.handles
  expect(total(handles), `${name} holds ${JSON.stringify(handles)}`).to.be.at.most(total(before) + MAX_MORE_HANDLES)
  expect(Math.max(...samples.map(({ rss }) => rss)), `resident on ${name}`).to.be.below(MAX_RSS)
  expect(homeTemporaries(device), `in the home of ${name}`).to.deep.equal([])
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}

/** The least resident memory in each of five equal parts of the time: what the collector has not got round to is not in it. */
function judgeResident(samples: readonly Taken[]): void {
  const [began = 0, ended = 0] = [samples[0]?.at, samples.at(-1)?.at]
  const least = Array.from({ length: WINDOWS }, (_, n) => {
    const from = began + (n * (ended - began)) / WINDOWS
    const within = samples.filter(({ at }) => at >= from && at <= from + (ended - began) / WINDOWS)
    return Math.min(...within.map(({ rss }) => rss))
  })
  const half = samples.slice(Math.floor(samples.length / 2))
  figure(
    `shelf, resident at least, in ${WINDOWS} windows: ${least.map(mb).join(', ')}${FULL ? `; slope of the last half ${mb(slopeAnHour(half))} an hour` : ''}`,
  )
  // The first window warms up.
  expect((least.at(-1) ?? 0) - (least[1] ?? 0), 'bytes that shelf takes more').to.be.below(MAX_MORE_RESIDENT)
}

/** Bytes an hour, by least squares. */
function slopeAnHour(samples: readonly Taken[]): number {
  const mean = (of: (sample: Taken) => number): number =>
    samples.reduce((sum, each) => sum + of(each), 0) / samples.length
  const [at, rss] = [mean(each => each.at), mean(each => each.rss)]
  const covariance = mean(each => (each.at - at) * (each.rss - rss))
  return (covariance / mean(each => (each.at - at) ** 2)) * 3_600_000
}

/** Of the one that was never killed: from the first round, when all code has run, to the last. */
function judgeHeld(rests: readonly { operations: number; held: Held }[]): void {
  const [first, last] = [rests[0], rests.at(-1)]
  if (first === undefined || last === undefined) throw new Error('no rests')
  const bytes = ({ held: { heap, external } }: { held: Held }): number => heap + external
  const grown = bytes(last) - bytes(first)
  const operations = last.operations - first.operations
  figure(`shelf holds ${mb(grown)} more after ${operations} operations: ${(grown / operations).toFixed(0)} bytes each`)
  expect(grown, 'bytes that shelf holds more').to.be.below(MAX_WARMING + operations * MAX_HELD_AN_OPERATION)
}

async function judgeIdle(devices: readonly Device[]): Promise<void> {
  const pids = devices.map(({ pid }) => pid ?? 0)
  const before = pids.map(processorSeconds)
  const began = performance.now()
  await sleep(IDLE_MS)
  const passed = (performance.now() - began) / 1000
  for (const [at, device] of devices.entries()) {
    const share = (processorSeconds(pids[at] ?? 0) - (before[at] ?? 0)) / passed
    figure(`${device.name} idle: ${(share * 100).toFixed(2)} % of a core`)
    expect(share, `of a core on ${device.name}, idle`).to.be.below(MAX_IDLE_SHARE)
  }
}

function tell(device: Device, base: Rest, last: Rest, samples: readonly Taken[]): void {
  const peak = (of: (sample: Taken) => number): number => Math.max(...samples.map(of))
  const { open } = last.taken
  figure(
    `${device.name}: resident ${mb(base.taken.rss)} → ${mb(last.taken.rss)}, at most ${mb(peak(s => s.rss))}; open ${openCount(base.taken)} → ${openCount(last.taken)} (${open.socket} sockets, ${open.file} files, ${open.inotify} inotify), at most ${peak(openCount)}; threads ${base.taken.threads} → ${last.taken.threads}, at most ${peak(s => s.threads)}; on the way at most ${peak(s => s.onTheWay)}`,
  )
  figure(`${device.name} keeps ${JSON.stringify(base.held.handles)} → ${JSON.stringify(last.held.handles)}`)
}

function heldText({ heap, external }: Held): string {
  return `${mb(heap)} and ${mb(external)} outside the heap`
}

const mb = megabytes

function parts(device: Device): string[] {
  const stage = device.path('notes', '.kith', 'stage')
  return existsSync(stage) ? readdirSync(stage).filter(name => name.endsWith('.part')) : []
}
