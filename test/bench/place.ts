// One machine of a run as the bench sees it: its network namespace, the synced folder, the system's own state, and the counters that are
// read before and after each piece of work. What belongs to it are all processes in its namespace, whoever started them.
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LanNode } from '../e2e/support/lan.ts'

/** Clock ticks a second and bytes a page, as every Linux that Node supports reports them to user space. */
const TICKS = 100
const PAGE_BYTES = 4096

/** What was used between two readings. */
export interface Usage {
  readonly cpuSeconds: number
  readonly sentBytes: number
  readonly receivedBytes: number
}

export class Place {
  readonly name: string
  readonly node: LanNode
  readonly directory: string
  /** The folder that is synced. */
  readonly root: string
  readonly #netns: number
  /** CPU of commands that have ended. */
  #endedSeconds = 0
  #peak = 0

  constructor(node: LanNode, parent: string) {
    this.name = node.name
    this.node = node
    this.directory = join(parent, node.name)
    this.root = join(this.directory, 'files')
    this.#netns = statSync(`/run/netns/${node.namespace}`).ino
    mkdirSync(this.root, { recursive: true })
  }

  path(...parts: readonly string[]): string {
    return join(this.directory, ...parts)
  }

  charge(seconds: number): void {
    this.#endedSeconds += seconds
  }

  read(): Usage {
    const { sent, received } = this.node.bytes()
    const cpuSeconds = this.#pids().reduce((sum, pid) => sum + cpuOf(pid), this.#endedSeconds)
    return { cpuSeconds, sentBytes: sent, receivedBytes: received }
  }

  /** Bytes of memory now. */
  memory(): number {
    return this.#pids().reduce((sum, pid) => sum + residentOf(pid), 0)
  }

  sample(): void {
    this.#peak = Math.max(this.#peak, this.memory())
  }

  forgetPeak(): void {
    this.#peak = 0
    for (const pid of this.#pids()) tolerant(() => writeFileSync(`/proc/${pid}/clear_refs`, '5'), undefined)
  }

  /** The larger of what was sampled for all processes together and what the kernel saw of each. */
  peak(): number {
    return Math.max(
      this.#peak,
      this.#pids().reduce((sum, pid) => sum + highestOf(pid), 0),
    )
  }

  #pids(): string[] {
    return readdirSync('/proc').filter(
      name => /^\d+$/.test(name) && tolerant(() => statSync(`/proc/${name}/ns/net`).ino, 0) === this.#netns,
    )
  }
}

/** A process may end between being listed and being read. */
function tolerant<T>(read: () => T, otherwise: T): T {
  try {
    return read()
  } catch {
    return otherwise
  }
}

/** The fields of a stat line from the third on: the second is a name with anything in it. */
function statFields(pid: string): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

function sumTicks(fields: readonly string[], from: number, to: number): number {
  return fields.slice(from, to).reduce((sum, field) => sum + Number(field), 0) / TICKS
}

/** User and system time of it and of its children that have ended. */
function cpuOf(pid: string): number {
  return tolerant(() => sumTicks(statFields(pid), 11, 15), 0)
}

/** CPU seconds of this process' own children that have ended. */
export function endedChildren(): number {
  return sumTicks(statFields('self'), 13, 15)
}

/** Seconds that all cores of the machine were busy. */
export function machineBusy(): number {
  const fields = (readFileSync('/proc/stat', 'latin1').split('\n')[0] ?? '').trim().split(/\s+/).slice(1, 9).map(Number)
  const [user = 0, nice = 0, system = 0, , , irq = 0, soft = 0, steal = 0] = fields
  return (user + nice + system + irq + soft + steal) / TICKS
}

function residentOf(pid: string): number {
  return tolerant(() => Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * PAGE_BYTES, 0)
}

function highestOf(pid: string): number {
  return tolerant(
    () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) * 1024,
    0,
  )
}
