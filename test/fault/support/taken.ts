// What a daemon takes of its machine, seen from outside (/proc, the files of its folder and home), and what it holds inside, as it says
// itself when asked (resources.mjs).
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Device } from '../../e2e/support/device.ts'
import { until } from '../../e2e/support/until.ts'
import { onTheWay, REST_MS } from './pair-of-devices.ts'

/** Of Linux on every machine that these tests run on. */
const TICKS_A_SECOND = 100
const HOME_TEMPORARY = /\.tmp$/
const KINDS = ['socket', 'inotify', 'pipe', 'file', 'other'] as const

type Kind = (typeof KINDS)[number]

export interface Taken {
  /** When, as `performance.now()`. */
  readonly at: number
  readonly pid: number
  /** Bytes. */
  readonly rss: number
  readonly threads: number
  /** Open descriptors. */
  readonly open: Readonly<Record<Kind, number>>
  readonly onTheWay: number
}

/** What only the daemon knows. Bytes that are reachable, not those that wait to be collected. */
export interface Held {
  readonly heap: number
  readonly external: number
  /** Timers, sockets, requests, … that keep its main thread. */
  readonly handles: Readonly<Record<string, number>>
}

/** Options of Node with which a daemon answers `held`. */
export const TELLING = ['--expose-gc', '--import', fileURLToPath(new URL('./resources.mjs', import.meta.url))] as const

/** Null where it died meanwhile. */
export function taken(device: Device, pid: number, root: string): Taken | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1])
    const rss = field('VmRSS') * 1024
    // A zombie has no memory any more.
    if (Number.isNaN(rss)) return null
    const at = performance.now()
    return { at, pid, rss, threads: field('Threads'), open: openOf(pid), onTheWay: onTheWay(device.path(root)).length }
  } catch (error) {
    if (existsSync(`/proc/${pid}`)) throw error
    return null
  }
}

export function openCount(sample: Taken): number {
  return KINDS.reduce((sum, kind) => sum + sample.open[kind], 0)
}

function openOf(pid: number): Record<Kind, number> {
  const open = { socket: 0, inotify: 0, pipe: 0, file: 0, other: 0 }
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      open[kindOf(readlinkSync(`/proc/${pid}/fd/${fd}`))]++
    } catch {
      // It was closed since the list was read.
    }
  }
  return open
}

function kindOf(target: string): Kind {
  if (target.startsWith('/')) return 'file'
  if (target.startsWith('socket:')) return 'socket'
  if (target.startsWith('pipe:')) return 'pipe'
  return target === 'anon_inode:inotify' ? 'inotify' : 'other'
}

/** The paths of the files it has open, for the failure that says there are too many. */
export function openFiles(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap(fd => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)]
    } catch {
      return []
    }
  })
}

/** Seconds of processor time that it has used. */
export function processorSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name of the process, in brackets, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND
}

/** The daemon collects what is garbage, and says what it still holds. */
export async function held(pid: number, place: string): Promise<Held> {
  const file = `${place}.${pid}`
  rmSync(file, { force: true })
  process.kill(pid, 'SIGUSR2')
  await until(() => existsSync(file), { timeoutMs: REST_MS, what: `${pid} says what it holds` })
  return JSON.parse(readFileSync(file, 'utf8')) as Held
}

/** Of all that it ever wrote. */
export function logBytes(device: Device): number {
  return statSync(device.path('daemon.log')).size
}

/** What was to replace a file of the home, and did not. */
export function homeTemporaries(device: Device): string[] {
  return readdirSync(device.home).filter(name => HOME_TEMPORARY.test(name))
}
