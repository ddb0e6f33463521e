// `npm run test:sim -- --histories N [--seed S] [--devices 2-5] [--mix NAME] [--seconds S] [--failures N] [--shrink] [--log]`: random
// histories of whole engines. N counts those in which content travelled, a process died and something conflicted. Prints the seeds,
// what happened in them, a hash over all traces, and of what fails the trace and (with --shrink) a short history; ends 1 then.
import { createHash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { MIXES } from './mixes.ts'
import { runPool } from './pool.ts'
import { type Counts, runHistory } from './run-history.ts'
import { shrink } from './shrink.ts'
import { type GenerateOptions, generate, printHistory } from './steps.ts'
import type { Told } from './worker.ts'

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '100' },
    seed: { type: 'string' },
    devices: { type: 'string' },
    mix: { type: 'string' },
    failures: { type: 'string', default: '1' },
    seconds: { type: 'string' },
    processes: { type: 'string' },
    shrink: { type: 'boolean', default: false },
    log: { type: 'boolean', default: false },
  },
})

/** `3` or `2-5`. */
function range(text: string): readonly [number, number] {
  const [, least, most] = /^(\d)(?:-(\d))?$/.exec(text) ?? []
  const low = Number(least)
  const high = Number(most ?? least)
  if (!(low >= 2 && high >= low && high <= 5)) throw new Error(`--devices ${text}: say 2 to 5, or a range such as 2-5`)
  return [low, high]
}

function mixOf(name: string): NonNullable<GenerateOptions['mix']> {
  const mix = MIXES[name]
  if (mix === undefined) throw new Error(`--mix ${name}: there are ${Object.keys(MIXES).join(', ')}`)
  return mix
}

const options: GenerateOptions = {
  ...(values.devices === undefined ? {} : { devices: range(values.devices) }),
  ...(values.mix === undefined ? {} : { mix: mixOf(values.mix) }),
}
const wanted = Number(values.histories)
const first = values.seed === undefined ? 1 + Math.floor(Math.random() * 1e9) : Number(values.seed)
const limitMs = values.seconds === undefined ? Number.POSITIVE_INFINITY : Number(values.seconds) * 1000
const mostFailures = Number(values.failures)
const started = performance.now()
const total = new Map<keyof Counts, number>()
const traces = createHash('sha256')
const failures: Told[] = []
let run = 0
let worth = 0

function take(told: Told): boolean {
  run++
  traces.update(`${told.seed} ${told.traceHash}\n`)
  for (const [key, count] of Object.entries(told.counts) as [keyof Counts, number][])
    total.set(key, (total.get(key) ?? 0) + count)
  if (values.log) console.log(told.log.join('\n'))
  if (told.failure !== null) {
    failures.push(told)
    console.log(`seed ${told.seed} fails: ${told.failure}`)
    if (!values.shrink && !values.log) console.log(told.log.join('\n'))
  } else if (told.worth) worth++
  return worth + failures.length < wanted && failures.length < mostFailures && performance.now() - started < limitMs
}

console.log(`seeds from ${first}`)
await runPool({
  first,
  processes: Math.min(Number(values.processes ?? availableParallelism()), Math.ceil(wanted / 10)),
  options,
  log: values.log,
  onTold: take,
})
if (values.shrink) {
  for (const { seed } of failures) {
    const small = await shrink(generate(seed, options))
    const { failure, log } = await runHistory(small)
    console.log(`${log.slice(-200).join('\n')}\nshrunk to ${small.steps.length} steps, which fail with: ${failure}`)
    console.log(printHistory(small))
  }
}
const seconds = ((performance.now() - started) / 1000).toFixed(1)
console.log(JSON.stringify(Object.fromEntries(total)))
console.log(`traces ${traces.digest('hex').slice(0, 32)}`)
console.log(`${worth + failures.length} histories, ${failures.length} failed (${run} run, ${seconds} s)`)
process.exitCode = failures.length > 0 ? 1 : 0
