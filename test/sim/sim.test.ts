// Random histories on every `npm test`: fixed seeds, so that a failure is the change's. KITH_SIM_HISTORIES and KITH_SIM_SEED enlarge
// and move the range; `npm run test:sim` is for long runs.
import { expect } from 'chai'
import { runHistory } from './run-history.ts'
import { generate } from './steps.ts'

const HISTORIES = Number(process.env['KITH_SIM_HISTORIES'] ?? 100)
const FIRST_SEED = Number(process.env['KITH_SIM_SEED'] ?? 1)
const BATCH = 10
const HISTORY_LIMIT_MS = 3_000

describe('simulated histories', () => {
  for (let from = FIRST_SEED; from < FIRST_SEED + HISTORIES; from += BATCH) {
    const to = Math.min(from + BATCH, FIRST_SEED + HISTORIES)
    it(`seeds ${from} to ${to - 1}: equal trees, nothing lost, nothing invented`, async function () {
      this.timeout(HISTORY_LIMIT_MS * BATCH)
      for (let seed = from; seed < to; seed++) {
        const { failure, log } = await runHistory(generate(seed))
        if (failure !== null) expect.fail(`seed ${seed}: ${failure}\n${log.slice(-80).join('\n')}`)
      }
    })
  }

  it('tells the same story twice from one seed', async () => {
    const history = generate(FIRST_SEED)
    const one = await runHistory(history)
    const two = await runHistory(history)
    expect(two.traceHash, `seed ${FIRST_SEED}`).to.equal(one.traceHash)
    expect(one.log.length).to.be.greaterThan(10)
  })
})
