// `npm run test:fault -- [--full] [--without ID …] [FILE…]`: each file of tests in a mount and a network namespace of its own, which go with
// it and with all that it mounted. `--full`: every trial of what is otherwise a share of them. `--without I7` takes the protection of that
// invariant out of a copy of the source and shows that its tests miss it (without/run.ts). Ends with `N passed, N failed, N skipped`.
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Counts, runApart } from './apart.ts'
import { runWithout } from './without/run.ts'

const HERE = fileURLToPath(new URL('./', import.meta.url))

async function main(): Promise<boolean> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { full: { type: 'boolean', default: false }, without: { type: 'string', multiple: true } },
  })
  if (values.without !== undefined) return runWithout(values.without)
  const files =
    positionals.length > 0
      ? positionals
      : readdirSync(HERE)
          .filter(name => name.endsWith('.test.ts'))
          .sort()
          .map(name => `${HERE}${name}`)
  const sum: Counts = { passed: 0, failed: 0, skipped: 0 }
  for (const file of files) {
    const counts = await runApart(file, {
      environment: values.full ? { KITH_FAULT_FULL: '1' } : {},
      say: text => void process.stdout.write(text),
    })
    sum.passed += counts.passed
    sum.failed += counts.failed
    sum.skipped += counts.skipped
  }
  console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`)
  return sum.failed === 0 && sum.passed > 0
}

process.exitCode = (await main()) ? 0 : 1
