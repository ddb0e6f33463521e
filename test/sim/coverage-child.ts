// A process of its own, for counting starts before anything runs: `coverage-child.ts FIRST COUNT [plain]` runs those seeds, prints one
// line of JSON: the branches, and how long the histories took. `plain`: counts nothing, for comparison.
import { type Coverage, startCoverage, takeCoverage } from './coverage.ts'
import { runHistory } from './run-history.ts'
import { generate } from './steps.ts'

const [first = '1', count = '10', plain] = process.argv.slice(2)
if (plain === undefined) await startCoverage()
const started = performance.now()
const failed: number[] = []
for (let seed = Number(first); seed < Number(first) + Number(count); seed++) {
  const { failure } = await runHistory(generate(seed))
  if (failure !== null) failed.push(seed)
}
const seconds = (performance.now() - started) / 1000
const coverage: Coverage = plain === undefined ? await takeCoverage() : {}
console.log(JSON.stringify({ coverage, failed, seconds }))
