// Histories over several processes: ranges of seeds are handed out, and what comes back is passed on in the order of the seeds, so that
// the same range prints the same whatever process was faster.
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type Coverage, mergeCoverage } from './coverage.ts'
import type { GenerateOptions } from './steps.ts'
import type { Answer, KeptTold, Task, Told } from './worker.ts'

const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url))
const RANGE = 10

export interface PoolOptions {
  readonly first: number
  readonly processes: number
  readonly options: GenerateOptions
  readonly log: boolean
  /** Called in the order of the seeds; false: enough. */
  readonly onTold: (told: Told) => boolean
  /** Absent: the histories that are kept are not run. */
  readonly onKept?: (kept: KeptTold) => void
}

/** Runs until `onTold` has had enough. Rejects when a process ends unasked. */
export async function runPool(options: PoolOptions): Promise<Coverage> {
  const waiting = new Map<number, Told>()
  let next = options.first
  let handed = options.first
  let enough = false
  const range = (): Task => {
    const from = handed
    handed += RANGE
    return { do: 'run', from, to: handed, options: options.options, log: options.log }
  }
  const take = (told: Told): void => {
    waiting.set(told.seed, told)
    for (let due = waiting.get(next); due !== undefined && !enough; due = waiting.get(next)) {
      waiting.delete(next++)
      enough = !options.onTold(due)
    }
  }
  // Whoever comes first runs them.
  let keptIsDue = options.onKept !== undefined
  const task = (): Task => {
    if (!keptIsDue) return range()
    keptIsDue = false
    return { do: 'run kept' }
  }
  const children = Array.from({ length: options.processes }, () => fork(WORKER))
  try {
    const parts = await Promise.all(
      children.map(child =>
        drive(child, { task, take, kept: options.onKept ?? (() => undefined), enough: () => enough }),
      ),
    )
    return parts.reduce(mergeCoverage, {})
  } finally {
    for (const child of children) child.kill()
  }
}

interface Work {
  readonly task: () => Task
  readonly take: (told: Told) => void
  readonly kept: (kept: KeptTold) => void
  readonly enough: () => boolean
}

/** Gives one process work until it is enough, and takes its coverage. */
function drive(child: ChildProcess, { task, take, kept, enough }: Work): Promise<Coverage> {
  return new Promise((resolve, reject) => {
    const send = (next: Task): boolean => child.send(next)
    child.on('message', (answer: Answer) => {
      if (answer.is === 'told') take(answer.told)
      else if (answer.is === 'kept') kept(answer.kept)
      else if (answer.is === 'coverage') resolve(answer.coverage)
      else send(enough() ? { do: 'tell coverage' } : task())
    })
    child.on('error', reject)
    child.on('exit', code => reject(new Error(`a process that runs histories ended with ${code}`)))
    send(task())
  })
}
