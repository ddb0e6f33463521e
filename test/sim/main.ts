// `npm run test:sim -- --histories N [--seed S] [--devices 2-5] [--shrink] [--log]`: random histories of whole engines. Prints the
// seed, the trace and a shrunk history of what fails; ends 1 then. One history in a hundred is run twice: one seed, one trace.
import { parseArgs } from 'node:util'
import { type Counts, runHistory } from './run-history.ts'
import { shrink } from './shrink.ts'
import { generate, printHistory } from './steps.ts'

const TWICE_EVERY = 100
const SHOWN_LINES = 120

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '100' },
    seed: { type: 'string' },
    devices: { type: 'string' },
    failures: { type: 'string', default: '1' },
    seconds: { type: 'string' },
    shrink: { type: 'boolean', default: false },
    log: { type: 'boolean', default: false },
  },
})

const histories = Number(values.histories)
const first = values.seed === undefined ? 1 + Math.floor(Math.random() * 1e9) : Number(values.seed)
const devices = values.devices === undefined ? undefined : Number(values.devices)
const started = performance.now()
const limitMs = values.seconds === undefined ? Number.POSITIVE_INFINITY : Number(values.seconds) * 1000
const total: Counts = {
  users: 0,
  kills: 0,
  contents: 0,
  copies: 0,
  unavailable: 0,
  merged: 0,
  applied: 0,
  published: 0,
  quiets: 0,
}
let failed = 0
let done = 0

console.log(`seeds ${first} … ${first + histories - 1}`)
for (let seed = first; seed < first + histories && performance.now() - started < limitMs; seed++) {
  const history = generate(seed, devices)
  const outcome = await runHistory(history)
  done++
  for (const key of Object.keys(total) as (keyof Counts)[]) total[key] += outcome.counts[key]
  if (values.log) console.log(outcome.log.join('\n'))
  let failure = outcome.failure
  if (failure === null && seed % TWICE_EVERY === 0) {
    const again = await runHistory(history)
    if (again.traceHash !== outcome.traceHash) failure = 'two runs of one seed differ'
  }
  if (failure === null) continue
  failed++
  console.log(`seed ${seed} fails: ${failure}`)
  if (values.shrink) {
    const small = await shrink(history)
    const shown = await runHistory(small)
    console.log(
      `${shown.log.slice(0, SHOWN_LINES).join('\n')}\nshrunk to ${small.steps.length} steps, which fail with: ${shown.failure}`,
    )
    console.log(printHistory(small))
  } else console.log(outcome.log.slice(-SHOWN_LINES).join('\n'))
  if (failed >= Number(values.failures)) break
}
console.log(
  `${done} histories, ${failed} failed, ${((performance.now() - started) / 1000).toFixed(1)} s`,
  JSON.stringify(total),
)
process.exitCode = failed > 0 ? 1 : 0
