// What every fault test begins with: namespaces of its own, the tools that it needs, and how many of its trials are run.
import { spawnSync } from 'node:child_process'
import type { Context } from 'mocha'

const { CI, KITH_FAULT, KITH_FAULT_FULL } = process.env

/** All trials are run, not the share of them that every change is tested with. */
export const FULL = KITH_FAULT_FULL !== undefined

export function trials(counts: { readonly share: number; readonly full: number }): number {
  return FULL ? counts.full : counts.share
}

/** For a `before`: says SKIP where a tool is missing; on CI that is a failure. */
export function needs(context: Context, ...tools: readonly string[]): void {
  // On a machine that is shared, nothing else may see the mounts.
  if (KITH_FAULT !== 'unshared') throw new Error('run it by `npm run test:fault`: it mounts')
  const missing = tools.filter(tool => spawnSync('sh', ['-c', 'command -v "$0"', tool]).status !== 0)
  if (missing.length === 0) return
  if (CI !== undefined) throw new Error(`needs ${missing.join(', ')}`)
  console.log(`      SKIP: needs ${missing.join(', ')}`)
  context.skip()
}

/** Puts these into the environment of what `start` starts before it first waits. */
export function withEnvironment<T>(more: Readonly<Record<string, string>>, start: () => T): T {
  const before = new Map(Object.keys(more).map(name => [name, process.env[name]]))
  Object.assign(process.env, more)
  try {
    return start()
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
}
