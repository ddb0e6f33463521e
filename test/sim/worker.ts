// A process that runs histories for `npm run test:sim`: takes ranges of seeds, tells what came of each, and in the end which branches
// were taken. One seed, one trace: one history in a hundred is run twice.
import { type Coverage, startCoverage, takeCoverage } from './coverage.ts'
import type { Counts, Outcome } from './run-history.ts'
import type { GenerateOptions } from './steps.ts'

const TWICE_EVERY = 100
const SHOWN_LINES = 120
/** Branches are counted in so many histories of each process. */
const MOST_COUNTED = 3_000

export type Task =
  | {
      readonly do: 'run'
      readonly from: number
      readonly to: number
      readonly options: GenerateOptions
      readonly log: boolean
    }
  /** All histories that are kept. */
  | { readonly do: 'run kept' }
  | { readonly do: 'tell coverage' }

/** What came of one seed. */
export interface Told {
  readonly seed: number
  readonly counts: Counts
  readonly worth: boolean
  readonly failure: string | null
  readonly traceHash: string
  /** Of a history that failed, or of any where the log was asked for. */
  readonly log: readonly string[]
}

/** What came of the histories that are kept. */
export interface KeptTold {
  readonly passed: number
  readonly failures: readonly { readonly name: string; readonly failure: string; readonly log: readonly string[] }[]
}

export type Answer =
  | { readonly is: 'told'; readonly told: Told }
  | { readonly is: 'kept'; readonly kept: KeptTold }
  | { readonly is: 'done' }
  | { readonly is: 'coverage'; readonly coverage: Coverage }

await startCoverage()
// Only now: of a module that was loaded before and did nothing since, V8 tells nothing.
const { runHistory, worthCounting } = await import('./run-history.ts')
const { generate } = await import('./steps.ts')
const { allKept } = await import('./kept.ts')

function answer(what: Answer): void {
  process.send?.(what)
}

async function judged(seed: number, options: GenerateOptions): Promise<Outcome> {
  const history = generate(seed, options)
  const outcome = await runHistory(history)
  if (outcome.failure !== null || seed % TWICE_EVERY !== 0) return outcome
  const again = await runHistory(history)
  return again.traceHash === outcome.traceHash ? outcome : { ...outcome, failure: 'two runs of one seed differ' }
}

let run = 0
let counted: Promise<Coverage> | null = null

/** Counting ends with the first call: histories run faster without it. */
function coverage(): Promise<Coverage> {
  counted ??= takeCoverage()
  return counted
}

async function runKept(): Promise<KeptTold> {
  const failures: KeptTold['failures'][number][] = []
  let passed = 0
  for (const { name, history } of allKept()) {
    const { failure, log } = await runHistory(history)
    if (failure === null) passed++
    else failures.push({ name, failure, log: log.slice(-SHOWN_LINES) })
  }
  return { passed, failures }
}

async function take(task: Task): Promise<void> {
  if (task.do === 'tell coverage') return answer({ is: 'coverage', coverage: await coverage() })
  if (task.do === 'run kept') {
    answer({ is: 'kept', kept: await runKept() })
    return answer({ is: 'done' })
  }
  for (let seed = task.from; seed < task.to; seed++) {
    const { failure, traceHash, counts, log } = await judged(seed, task.options)
    const shown = task.log ? log : failure === null ? [] : log.slice(-SHOWN_LINES)
    const told: Told = { seed, counts, worth: worthCounting(counts), failure, traceHash, log: shown }
    answer({ is: 'told', told })
  }
  run += task.to - task.from
  if (run >= MOST_COUNTED) await coverage()
  answer({ is: 'done' })
}

process.on('message', (task: Task) => {
  take(task).catch(error => {
    console.error(error)
    process.exit(1)
  })
})
process.on('disconnect', () => process.exit())
