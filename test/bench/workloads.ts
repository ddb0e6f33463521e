// The work: what is measured, how large it is at size 1, and what is wanted of Kith. Pieces that start from the same state share a session
// and run in the order that is given here; what one needs of another is made when that one is not asked for.

import { randomBytes } from 'node:crypto'
import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { percentile } from '../e2e/support/figures.ts'
import type { Session } from './session.ts'
import {
  appendRandom,
  copyAll,
  copyTree,
  filesIn,
  holdsAt,
  writeRandom,
  writeRandomTree,
  writeWithHead,
} from './trees.ts'

const MIB = 1 << 20
const CHANGE_TIMEOUT_MS = 900_000
const SAVES = 20
const SAVE_TIMEOUT_MS = 120_000
const IDLE_SETTLE_MS = 15_000
const IDLE_MS = 60_000
/** What a good wireless link gives. A burst of some milliseconds: the timer of the kernel is no finer. */
const SLOW_UPLINK = { rate: '400mbit', burst: '1mb', latency: '100ms' }
const REAL_TREE = '/usr/share'

/** Upper bounds; times are shares of what Syncthing took in the same run. */
export interface Target {
  /** Of the time that libp2p and noise alone take. */
  readonly channel?: number
  /** CPU of each device. */
  readonly deviceCpuSeconds?: number
  /** Of each device at the end. */
  readonly memoryBytes?: number
  readonly offlineEditSeconds?: number
  readonly ratio?: number
  /** Bytes that the source sends, or that times the size of what it has to send. */
  readonly sentBytes?: number
  readonly sentShare?: number
  readonly peakBytes?: number
  readonly seconds?: number
  readonly p95Seconds?: number
}

export interface Workload {
  readonly title: string
  readonly target: Target
}

/** In the order of the report. */
export const WORKLOADS: Readonly<Record<string, Workload>> = {
  W1: { title: 'one random file of 1 GiB', target: { ratio: 1, channel: 1.5, peakBytes: 250e6 } },
  W2: { title: '10,000 files of 4 KiB', target: { ratio: 0.3 } },
  W3: { title: '100,000 files of 1 KiB', target: { ratio: 0.2 } },
  W4a: { title: '4 KiB overwritten in 512 MiB', target: { ratio: 0.9, sentBytes: 250e3 } },
  W4b: { title: '1 KiB inserted at the front of 512 MiB', target: { ratio: 0.2, sentBytes: 250e3 } },
  W4c: { title: '100 MiB appended to 512 MiB', target: { ratio: 0.9, sentBytes: 101 * MIB } },
  W5: { title: 'a directory of 10,000 files renamed', target: { ratio: 0.05, sentBytes: 64e3 } },
  W6: { title: 'one small save', target: { seconds: 0.15, p95Seconds: 0.4 } },
  W7a: { title: 'a minute idle with 10,000 files', target: {} },
  W7b: { title: 'a minute idle with 100,000 files', target: { deviceCpuSeconds: 0.3, memoryBytes: 200e6 } },
  W8: { title: '512 MiB copied within the folder', target: { ratio: 0.9, sentBytes: 64e3 } },
  W9: { title: 'restart with 100,000 unchanged files', target: { ratio: 0.6, offlineEditSeconds: 3 } },
  W10: { title: 'a real tree of 20,000 entries', target: { ratio: 0.25 } },
  W11: { title: '10,000 equal files on both before they meet', target: { ratio: 0.5, sentBytes: 1e6 } },
  W12: { title: '1,000 of 10,000 files changed at once', target: { ratio: 0.4 } },
  W13: { title: '512 MiB to two others at once', target: { ratio: 0.9, sentShare: 1.2 } },
  W13r: { title: 'the same, the source at 400 Mbit/s', target: { ratio: 0.9, sentShare: 1.2 } },
  W14: { title: '512 MiB cut at half by SIGKILL: the rest', target: { sentShare: 0.55 } },
}

export interface SessionPlan {
  readonly name: string
  readonly workloads: readonly string[]
  readonly devices: readonly string[]
  run(session: Session, scale: (whole: number) => number): Promise<void>
}

const TWO = ['desk', 'lamp'] as const
const THREE = [...TWO, 'shelf'] as const

/** The most telling first: a run may end before all is done. */
export const SESSIONS: readonly SessionPlan[] = [
  { name: 'one large file', workloads: ['W1'], devices: TWO, run: largeFile },
  { name: 'small files', workloads: ['W2', 'W12', 'W6', 'W7a', 'W5'], devices: TWO, run: smallFiles },
  { name: 'edits of a large file', workloads: ['W8', 'W4a', 'W4b', 'W4c'], devices: TWO, run: largeEdits },
  { name: 'equal on both', workloads: ['W11'], devices: TWO, run: equalOnBoth },
  { name: 'a real tree', workloads: ['W10'], devices: TWO, run: realTree },
  { name: 'three devices', workloads: ['W13'], devices: THREE, run: threeDevices },
  { name: 'a cut transfer', workloads: ['W14'], devices: TWO, run: cutTransfer },
  { name: 'three devices, a slow uplink', workloads: ['W13r'], devices: THREE, run: slowUplink },
  { name: 'very many files', workloads: ['W3', 'W7b', 'W9'], devices: TWO, run: manyFiles },
]

/** How many bytes the source has at least to send where they must all travel once. */
export const LARGE_BYTES = 512 * MIB

const anywhere = (): boolean => true
const timeoutMs = CHANGE_TIMEOUT_MS

async function largeFile(session: Session, scale: (whole: number) => number): Promise<void> {
  writeRandom(join(session.stage, 'large'), scale(1024 * MIB))
  await session.up()
  await session.change('W1', session.moveIn('large'), { there: anywhere, timeoutMs })
}

async function smallFiles(session: Session, scale: (whole: number) => number): Promise<void> {
  const files = scale(10_000)
  writeRandomTree(join(session.stage, 'many'), files, 4096, 100)
  await session.up()
  await session.change('W2', session.moveIn('many'), { there: anywhere, timeoutMs })
  if (session.wants('W12')) await changeSome(session)
  if (session.wants('W6')) await saves(session)
  if (session.wants('W7a')) await idle(session, 'W7a')
  if (!session.wants('W5')) return
  const rename = (): void => renameSync(join(session.source.root, 'many'), join(session.source.root, 'renamed'))
  await session.change('W5', rename, { there: root => !existsSync(join(root, 'many')), timeoutMs })
}

async function changeSome(session: Session): Promise<void> {
  const picked = filesIn(session.source.root, session.system.own).filter((_, at) => at % 10 === 3)
  const fresh = picked.map(path => ({ path, bytes: randomBytes(4096) }))
  const overwrite = (): void => {
    for (const { path, bytes } of fresh) writeFileSync(join(session.source.root, path), bytes)
  }
  const there = (root: string): boolean => fresh.every(({ path, bytes }) => holdsAt(join(root, path), 0, bytes))
  await session.change('W12', overwrite, { there, timeoutMs })
}

/** At random moments, so that no timer is met in step; each is there when its bytes can be read. */
async function saves(session: Session): Promise<void> {
  const took: number[] = []
  const before = await session.begin()
  for (let number = 0; number < SAVES; number++) {
    await sleep(300 + Math.random() * 1_200)
    const text = Buffer.from(`line ${number} `.repeat(200))
    const started = Date.now()
    writeFileSync(join(session.source.root, 'note.txt'), text)
    const target = join(session.target.root, 'note.txt')
    if (session.system.live) {
      const there = (): boolean => holdsAt(target, 0, text) && statSync(target).size === text.length
      await session.until(there, 'a save arrives', SAVE_TIMEOUT_MS, 5)
      took.push(Math.max(0, statSync(target).ctimeMs - started) / 1000)
    } else {
      await session.system.push()
      took.push((Date.now() - started) / 1000)
    }
  }
  session.compare()
  session.end('W6', before, percentile(took, 0.5), { p95Seconds: percentile(took, 0.95) })
}

async function idle(session: Session, workload: string): Promise<void> {
  if (!session.system.live) return
  await sleep(IDLE_SETTLE_MS)
  const before = await session.begin()
  await sleep(IDLE_MS)
  session.end(workload, before, IDLE_MS / 1000, { memoryBytes: session.places.map(place => place.memory()) })
}

async function largeEdits(session: Session, scale: (whole: number) => number): Promise<void> {
  const size = scale(LARGE_BYTES)
  const path = join(session.source.root, 'large')
  writeRandom(join(session.stage, 'large'), size)
  await session.up()
  await session.change('base', session.moveIn('large'), { there: anywhere, timeoutMs })
  if (session.wants('W8')) {
    copyFileSync(path, join(session.stage, 'copy'))
    await session.change('W8', session.moveIn('copy'), { there: anywhere, timeoutMs })
  }
  if (session.wants('W4a')) {
    const at = (size >> 1) + 12_345
    const block = randomBytes(4096)
    const there = (root: string): boolean => holdsAt(join(root, 'large'), at, block)
    await session.change('W4a', () => overwriteAt(path, at, block), { there, timeoutMs })
  }
  if (session.wants('W4b')) {
    const head = randomBytes(1024)
    writeWithHead(join(session.stage, 'large'), head, path)
    const there = (root: string): boolean => holdsAt(join(root, 'large'), 0, head)
    await session.change('W4b', session.moveIn('large'), { there, timeoutMs })
  }
  if (session.wants('W4c')) {
    await session.change('W4c', () => appendRandom(path, scale(100 * MIB)), { there: anywhere, timeoutMs })
  }
}

function overwriteAt(path: string, at: number, bytes: Uint8Array): void {
  const fd = openSync(path, 'r+')
  writeSync(fd, bytes, 0, bytes.length, at)
  closeSync(fd)
}

/** Nothing changes in either tree: the end is when the system says that all hold the same. */
async function equalOnBoth(session: Session, scale: (whole: number) => number): Promise<void> {
  const files = scale(10_000)
  writeRandomTree(join(session.source.root, 'many'), files, 4096, 100)
  await session.system.prepare(session.places)
  for (const { root } of session.places.slice(1)) copyAll(join(session.source.root, 'many'), root)
  const before = await session.begin()
  let started = Date.now()
  await session.startAll()
  if (!session.system.live) {
    started = Date.now()
    await session.system.push()
  } else await session.until(() => session.system.inSync(files), 'all hold the same', timeoutMs, 100)
  const seconds = (Date.now() - started) / 1000
  if (session.system.live) await sleep(2_000)
  session.compare()
  session.end('W11', before, seconds)
}

async function realTree(session: Session, scale: (whole: number) => number): Promise<void> {
  copyTree(REAL_TREE, join(session.stage, 'tree'), scale(20_000))
  await session.up()
  await session.change('W10', session.moveIn('tree'), { there: anywhere, timeoutMs })
}

/** The receiver is killed when the source has sent half; what is measured begins with its next start. */
async function cutTransfer(session: Session, scale: (whole: number) => number): Promise<void> {
  const { system, source, target } = session
  if (!system.live) return
  const size = scale(LARGE_BYTES)
  writeRandom(join(session.stage, 'large'), size)
  await session.up()
  const before = source.read().sentBytes
  session.moveIn('large')()
  await session.until(() => source.read().sentBytes - before >= size / 2, 'half is sent', timeoutMs, 10)
  await system.kill(target)
  const again = (): void => void system.start(target)
  await session.change('W14', again, { there: anywhere, timeoutMs })
}

async function threeDevices(session: Session, scale: (whole: number) => number): Promise<void> {
  writeRandom(join(session.stage, 'large'), scale(LARGE_BYTES))
  await session.up()
  await session.change('W13', session.moveIn('large'), { there: anywhere, timeoutMs })
}

/** Linked at full speed: only what the source sends of the file is slow. */
async function slowUplink(session: Session, scale: (whole: number) => number): Promise<void> {
  writeRandom(join(session.stage, 'large'), scale(LARGE_BYTES))
  await session.up()
  session.source.node.limit(SLOW_UPLINK)
  await session.change('W13r', session.moveIn('large'), { there: anywhere, timeoutMs })
}

async function manyFiles(session: Session, scale: (whole: number) => number): Promise<void> {
  const files = scale(100_000)
  writeRandomTree(join(session.stage, 'many'), files, 1024, 1000)
  await session.up()
  await session.change('W3', session.moveIn('many'), { there: anywhere, timeoutMs: 3 * timeoutMs })
  if (session.wants('W7b')) await idle(session, 'W7b')
  if (session.wants('W9')) await restart(session, files)
}

/** A file that is written while the daemon is down has to arrive too. */
async function restart(session: Session, files: number): Promise<void> {
  const { source, target, system } = session
  if (system.live) await system.stop(source)
  await sleep(1_000)
  const path = join('many', 'd0000', 'offline.txt')
  writeFileSync(join(source.root, path), 'written while the daemon was down')
  const before = await session.begin()
  const started = Date.now()
  if (!system.live) {
    await system.push()
    session.end('W9', before, (Date.now() - started) / 1000)
    return
  }
  await system.start(source)
  await session.until(() => existsSync(join(target.root, path)), 'the offline edit arrives', timeoutMs, 20)
  const offlineEditSeconds = Math.max(0, statSync(join(target.root, path)).ctimeMs - started) / 1000
  await session.until(() => system.inSync(files + 1), 'all hold the same', timeoutMs, 100)
  session.end('W9', before, (Date.now() - started) / 1000, { offlineEditSeconds })
  if (readFileSync(join(target.root, path)).length === 0) throw new Error('the offline edit is empty')
  session.compare()
}
