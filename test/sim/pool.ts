// Histories over several processes: ranges of seeds are handed out, and what comes back is passed on in the order of the seeds, so that
// the same range prints the same whatever process was faster.
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { GenerateOptions } from './steps.ts'
import type { Task, Told } from './worker.ts'

const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url))
const RANGE = 10

export interface PoolOptions {
  readonly first: number
  readonly processes: number
  readonly options: GenerateOptions
  readonly log: boolean
  /** Called in the order of the seeds; false: enough. */
  readonly onTold: (told: Told) => boolean
}

/** Resolves when `onTold` has had enough. Rejects when a process ends unasked. */
export async function runPool(options: PoolOptions): Promise<void> {
  const waiting = new Map<number, Told>()
  const children: ChildProcess[] = []
  let next = options.first
  let handed = options.first
  let enough = false
  const give = (child: ChildProcess): void => {
    const task: Task = { from: handed, to: handed + RANGE, options: options.options, log: options.log }
    handed += RANGE
    child.send(task)
  }
  const take = (told: Told): void => {
    waiting.set(told.seed, told)
    for (let due = waiting.get(next); due !== undefined && !enough; due = waiting.get(next)) {
      waiting.delete(next++)
      enough = !options.onTold(due)
    }
  }
  try {
    await new Promise<void>((resolve, reject) => {
      for (let at = 0; at < options.processes; at++) {
        const child = fork(WORKER)
        children.push(child)
        child.on('message', (told: Told | 'done') => {
          if (enough) return
          if (told === 'done') return give(child)
          take(told)
          if (enough) resolve()
        })
        child.on('error', reject)
        child.on('exit', code => {
          if (!enough) reject(new Error(`a process that runs histories ended with ${code}`))
        })
        give(child)
      }
    })
  } finally {
    for (const child of children) child.kill()
  }
}
