// The simulation stands on fakes; what it proves holds only while these keep the contracts of the real parts. So both pass the same
// suites in the same run, in a process of their own: the simulation's fakes and what the daemon is built of.
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Fake and real, side by side. Each must run at least one test. */
export const SUITES: readonly string[] = [
  'test/support/memory-disk.test.ts',
  'test/disk/folder-disk.contract.test.ts',
  'test/store/memory-store.test.ts',
  'test/store/folder-store.test.ts',
  'test/support/memory-network.test.ts',
  'test/p2p/network-contract.test.ts',
  'test/support/virtual-clock.test.ts',
  'test/daemon/system-clock.test.ts',
]

const MAX_OUTPUT_CHARS = 20_000

const TEST = z.object({ fullTitle: z.string(), file: z.string() })
const REPORT = z.object({
  passes: z.array(TEST),
  failures: z.array(TEST.extend({ err: z.object({ message: z.string().optional() }) })),
})

export interface ContractResults {
  readonly passed: number
  readonly failed: number
  readonly seconds: number
  /** One line each. */
  readonly failures: readonly string[]
}

/** Rejects where the suites could not be run at all. */
export async function runContracts(suites: readonly string[] = SUITES): Promise<ContractResults> {
  const started = performance.now()
  const directory = await mkdtemp(join(tmpdir(), 'kith-contracts-'))
  try {
    const file = join(directory, 'report.json')
    const { code, output } = await mocha(['--reporter', 'json', '--reporter-option', `output=${file}`, ...suites])
    const text = await readFile(file, 'utf8').catch(() => null)
    if (text === null) throw new Error(`the contract suites did not run:\n${output}`)
    const { passes, failures } = REPORT.parse(JSON.parse(text))
    const silent = suites.filter(suite => ![...passes, ...failures].some(test => test.file.endsWith(suite)))
    if (silent.length > 0) throw new Error(`no test ran in ${silent.join(', ')}:\n${output}`)
    if (code !== 0 && failures.length === 0) throw new Error(`the contract suites ended with ${code}:\n${output}`)
    return {
      passed: passes.length,
      failed: failures.length,
      seconds: (performance.now() - started) / 1000,
      failures: failures.map(({ fullTitle, err }) => `${fullTitle}: ${err.message ?? 'failed'}`),
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function mocha(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(ROOT, 'node_modules/mocha/bin/mocha.js'), ...args], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-MAX_OUTPUT_CHARS)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.on('error', reject)
    child.on('close', code => resolve({ code, output }))
  })
}
