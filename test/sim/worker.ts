// A process that runs histories for `npm run test:sim`: takes ranges of seeds, tells what came of each. One seed, one trace: one
// history in a hundred is run twice.
import { type Counts, type Outcome, runHistory, worthCounting } from './run-history.ts'
import { type GenerateOptions, generate } from './steps.ts'

const TWICE_EVERY = 100
const SHOWN_LINES = 120

export interface Task {
  readonly from: number
  readonly to: number
  readonly options: GenerateOptions
  readonly log: boolean
}

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

async function judged(seed: number, options: GenerateOptions): Promise<Outcome> {
  const history = generate(seed, options)
  const outcome = await runHistory(history)
  if (outcome.failure !== null || seed % TWICE_EVERY !== 0) return outcome
  const again = await runHistory(history)
  return again.traceHash === outcome.traceHash ? outcome : { ...outcome, failure: 'two runs of one seed differ' }
}

async function run({ from, to, options, log }: Task): Promise<void> {
  for (let seed = from; seed < to; seed++) {
    const { failure, traceHash, counts, log: lines } = await judged(seed, options)
    const shown = log ? lines : failure === null ? [] : lines.slice(-SHOWN_LINES)
    const told: Told = { seed, counts, worth: worthCounting(counts), failure, traceHash, log: shown }
    process.send?.(told)
  }
  process.send?.('done')
}

process.on('message', (task: Task) => {
  run(task).catch(error => {
    console.error(error)
    process.exit(1)
  })
})
process.on('disconnect', () => process.exit())
