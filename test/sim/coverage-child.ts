// A process of its own, for counting starts before anything runs: `coverage-child.ts FIRST COUNT [plain]` runs those seeds, prints one
// line of JSON: the branches, and how long the histories took. `plain`: counts nothing, for comparison.
import { type Coverage, startCoverage, takeCoverage } from './coverage.ts'

const [first = '1', count = '10', plain] = process.argv.slice(2)
if (plain === undefined) await startCoverage()
// Only now: of a module that was loaded before and did nothing since, V8 tells nothing.
const { runHistory } = await import('./run-history.ts')
const { generate } = await import('./steps.ts')
const started = performance.now()
const failed: number[] = []
for (let seed = Number(first); seed < Number(first) + Number(count); seed++) {
  const { failure } = await runHistory(generate(seed))
  if (failure !== null) failed.push(seed)
}
const seconds = (performance.now() - started) / 1000
const coverage: Coverage = plain === undefined ? await takeCoverage() : {}
console.log(JSON.stringify({ coverage, failed, seconds }))
