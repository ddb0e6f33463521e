// `npm run test:sim -- --histories N [--seed S] [--devices 2-5] [--mix NAME] [--seconds S] [--failures N] [--shrink] [--log]`: random
// histories of whole engines. N counts those in which content travelled, a process died and something conflicted. Prints the seeds,
// what happened in them, a hash over all traces, and of what fails the trace and (with --shrink) a short history; ends 1 then.
// Long runs first see that the fakes keep the contracts of the real parts, run the histories that are kept (see kept.ts) beside the
// random ones, and fail also for a branch of the code that compares and plans which none of all these took (unless
// test/sim/unreachable.ts says why none can).
import { createHash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { runContracts } from './contracts.ts'
import { judge, told } from './coverage.ts'
import { MIXES } from './mixes.ts'
import { runMutants } from './mutants/run.ts'
import { runPool } from './pool.ts'
import { type Counts, runHistory } from './run-history.ts'
import { shrink } from './shrink.ts'
import { type GenerateOptions, generate, printHistory } from './steps.ts'
import type { KeptTold, Told } from './worker.ts'

const LONG_FROM = 1_000
const COVERAGE_FROM = 100
const COVERAGE_WHOLE_FROM = 3_000
// Another thing altogether, with options of its own: see there.
if (process.argv.includes('--mutants')) process.exit((await runMutants(process.argv.slice(2))) ? 0 : 1)

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
let broken = 0
const total = new Map<keyof Counts, number>()
const traces = createHash('sha256')
const failures: Told[] = []
let run = 0
let worth = 0

function take(one: Told): boolean {
  run++
  traces.update(`${one.seed} ${one.traceHash}\n`)
  for (const [key, count] of Object.entries(one.counts) as [keyof Counts, number][])
    total.set(key, (total.get(key) ?? 0) + count)
  if (values.log) console.log(one.log.join('\n'))
  if (one.failure !== null) {
    failures.push(one)
    console.log(`seed ${one.seed} fails: ${one.failure}`)
    if (!values.shrink && !values.log) console.log(one.log.join('\n'))
  } else if (one.worth) worth++
  return worth + failures.length < wanted && failures.length < mostFailures && performance.now() - started < limitMs
}

function takeKept({ passed, failures: failed }: KeptTold): void {
  console.log(`histories that are kept: ${passed} passed, ${failed.length} failed`)
  for (const { name, failure, log } of failed) console.log(`${name}: ${failure}\n${log.join('\n')}`)
  broken += failed.length
}

if (wanted >= LONG_FROM) {
  const { passed, failed, failures: lines } = await runContracts()
  console.log(`contracts of fakes and real parts: ${passed} passed, ${failed} failed`)
  for (const line of lines) console.log(line)
  broken += failed
}
console.log(`seeds from ${first}`)
const coverage = await runPool({
  first,
  processes: Math.min(Number(values.processes ?? availableParallelism()), Math.ceil(wanted / 10)),
  options,
  log: values.log,
  onTold: take,
  ...(wanted >= LONG_FROM ? { onKept: takeKept } : {}),
})
if (values.shrink) {
  for (const { seed } of failures) {
    const small = await shrink(generate(seed, options))
    const { failure, log } = await runHistory(small)
    console.log(`${log.slice(-200).join('\n')}\nshrunk to ${small.steps.length} steps, which fail with: ${failure}`)
    console.log(printHistory(small))
  }
}
let unjudged = 0
if (run >= COVERAGE_FROM) {
  const { lines, missed, stale } = judge(coverage)
  console.log(`branches of what compares and plans\n${lines.join('\n')}`)
  for (const branch of missed) console.log(`never taken: ${told(branch)}`)
  for (const line of stale) console.log(line)
  // A short run, or one of a special mix, need not take all.
  if (worth >= COVERAGE_WHOLE_FROM && values.mix === undefined) unjudged = missed.length + stale.length
}
const seconds = ((performance.now() - started) / 1000).toFixed(1)
console.log(JSON.stringify(Object.fromEntries(total)))
console.log(`traces ${traces.digest('hex').slice(0, 32)}`)
console.log(`${worth + failures.length} histories, ${failures.length} failed (${run} run, ${seconds} s)`)
process.exitCode = failures.length + broken + unjudged > 0 ? 1 : 0
