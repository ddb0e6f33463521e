// A process that dies at the n-th act on the disk, in this process: from there on no act reaches the disk any more, as after SIGKILL,
// whatever `catch` and `finally` still try. What was done before stays done.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const ACTS = [
  'appendFileSync',
  'chmodSync',
  'copyFileSync',
  'fchmodSync',
  'fsyncSync',
  'ftruncateSync',
  'futimesSync',
  'linkSync',
  'lutimesSync',
  'mkdirSync',
  'renameSync',
  'rmdirSync',
  'symlinkSync',
  'unlinkSync',
  'utimesSync',
  'writeFileSync',
  'writeSync',
] as const

/** Runs `work`; the `dieAt`-th act and all after it fail. Returns the acts there were. */
export function dyingAt(dieAt: number, work: () => Promise<unknown>): Promise<string[]> {
  return watched(work, count => {
    if (count >= dieAt) throw Object.assign(new Error('the process is dead'), { code: 'EDEAD' })
  })
}

/** Runs `work`; someone else acts right before its `at`-th act. */
export function meddlingAt(at: number, meddle: () => void, work: () => Promise<unknown>): Promise<string[]> {
  return watched(work, count => {
    if (count === at) meddle()
  })
}

/** Runs `work` on a disk that takes no byte more. */
export function onFullDisk<T>(work: () => T): T {
  const { writeSync } = fs
  fs.writeSync = () => {
    throw Object.assign(new Error('the disk is full'), { code: 'ENOSPC' })
  }
  syncBuiltinESMExports()
  try {
    return work()
  } finally {
    fs.writeSync = writeSync
    syncBuiltinESMExports()
  }
}

async function watched(work: () => Promise<unknown>, before: (count: number) => void): Promise<string[]> {
  const table = fs as unknown as Record<string, (...args: unknown[]) => unknown>
  const originals = new Map<string, (...args: unknown[]) => unknown>()
  const acts: string[] = []
  let meddling = false
  for (const name of ACTS) {
    const original = table[name] as (...args: unknown[]) => unknown
    originals.set(name, original)
    table[name] = (...args: unknown[]) => {
      // What the meddler itself does is not counted.
      if (!meddling) {
        acts.push(name)
        meddling = true
        try {
          before(acts.length)
        } finally {
          meddling = false
        }
      }
      return original.apply(fs, args)
    }
  }
  syncBuiltinESMExports()
  try {
    await work()
  } catch {
    // What a dying process says is heard by nobody.
  } finally {
    for (const [name, original] of originals) table[name] = original
    syncBuiltinESMExports()
  }
  return acts
}
