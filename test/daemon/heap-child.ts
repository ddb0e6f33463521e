// Fills its heap step by step, as a burst does: `node --import tsx heap-child.ts [flags]`. Prints how often V8 looked for
// what is garbage meanwhile; with `flags`, under those of the daemon.
import { PerformanceObserver } from 'node:perf_hooks'
import { setImmediate } from 'node:timers/promises'
import { setEngineFlags } from '../../src/daemon/engine-flags.ts'
import { kindOf, MAJOR } from './support/collections.ts'

const ROUNDS = 200
const OBJECTS = 10_000

if (process.argv[2] === 'flags') setEngineFlags()
let majors = 0
const observer = new PerformanceObserver(list => {
  for (const entry of list.getEntries()) if (kindOf(entry) === MAJOR) majors++
})
await setImmediate()
observer.observe({ entryTypes: ['gc'] })
const held: object[][] = []
for (let round = 0; round < ROUNDS; round++) {
  held.push(Array.from({ length: OBJECTS }, (_, at) => ({ at, name: `${round}/${at}` })))
  await setImmediate()
}
await setImmediate()
observer.disconnect()
process.stdout.write(`${JSON.stringify({ majors, held: held.length })}\n`)
