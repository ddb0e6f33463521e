// Kith beside its peers: `npm run bench -- [--only W2,W5] [--size 0.01] [--rounds 3] [--systems kith,syncthing,rsync,libp2p]`. Each round runs
// every session once on every system that is installed, in turn. A whole run writes bench/results.md and the single runs beside it; one of
// `--only` some work replaces that part of them; a scaled one prints. `npm run bench -- micro` measures parts. Needs Linux, root, iproute2.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { MAIN } from '../e2e/support/device.ts'
import { bytes, markdown, time } from './report.ts'
import { type Measured, Session } from './session.ts'
import { SYSTEMS } from './systems.ts'
import { removeLarge } from './trees.ts'
import { SESSIONS, type SessionPlan, WORKLOADS } from './workloads.ts'

const RESULTS = fileURLToPath(new URL('../../bench/', import.meta.url))

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string' },
    size: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '3' },
    systems: { type: 'string', default: Object.keys(SYSTEMS).join(',') },
    scratch: { type: 'string', default: tmpdir() },
    minutes: { type: 'string', default: '120' },
    profile: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
})

function listed(text: string, known: readonly string[], what: string): string[] {
  const names = text.split(',')
  const strange = names.filter(name => !known.includes(name))
  if (strange.length > 0) throw new Error(`no ${what} ${strange.join(', ')}; there are ${known.join(', ')}`)
  return names
}

async function compare(): Promise<boolean> {
  if (process.getuid?.() !== 0) throw new Error('needs root, for network namespaces')
  if (!existsSync(MAIN)) throw new Error('dist/ is missing: run `npm run build` first')
  const size = Number(values.size)
  const wanted = new Set(
    values.only === undefined ? Object.keys(WORKLOADS) : listed(values.only, Object.keys(WORKLOADS), 'work'),
  )
  const versions = new Map<string, string>()
  for (const name of listed(values.systems, Object.keys(SYSTEMS), 'system')) {
    const version = SYSTEMS[name]?.installed() ?? null
    if (version === null) console.log(`SKIP ${name}: not installed`)
    else versions.set(name, version)
  }
  const all: Measured[] = []
  const used: string[] = []
  const failures: string[] = []
  const deadline = Date.now() + Number(values.minutes) * 60_000
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const plan of SESSIONS) {
      if (!plan.workloads.some(id => wanted.has(id))) continue
      for (const name of turned([...versions.keys()], round)) {
        const { only } = SYSTEMS[name] ?? {}
        if (only !== undefined && !(wanted.has(only) && plan.workloads.includes(only))) continue
        if (Date.now() > deadline) {
          failures.push(`round ${round + 1}, ${plan.name}, ${name}: not run, the time was up`)
          continue
        }
        const report = (measured: Measured): number => all.push(measured)
        const discard = (directory: string): number => used.push(directory)
        const failure = await runSession(plan, name, { size, wanted, round, deadline, report, discard })
        // ext4 goes round every inode that was deleted in the last half minute: files that are made then cost ten times as much.
        if (!values.keep) for (const directory of used.slice(-1)) removeLarge(directory)
        if (failure !== null) failures.push(`round ${round + 1}, ${plan.name}, ${name}: ${failure}`)
      }
    }
  }
  if (!values.keep) for (const directory of used) rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  write(all, failures, { size, versions, whole: values.only === undefined })
  return failures.length === 0
}

/** The order of the systems, another one first in each round. */
function turned<T>(items: readonly T[], by: number): T[] {
  const at = by % Math.max(1, items.length)
  return [...items.slice(at), ...items.slice(0, at)]
}

interface RunOptions {
  readonly size: number
  readonly wanted: ReadonlySet<string>
  readonly round: number
  readonly deadline: number
  readonly report: (measured: Measured) => void
  readonly discard: (directory: string) => void
}

async function runSession(plan: SessionPlan, name: string, options: RunOptions): Promise<string | null> {
  const { profile, scratch } = values
  const system = SYSTEMS[name]?.make(profile === undefined ? {} : { profiles: profile })
  if (system === undefined) throw new Error(name)
  console.log(`round ${options.round + 1}: ${plan.name}, ${name}`)
  const session = new Session({
    ...{ system, scratch, devices: plan.devices, discard: options.discard },
    ...{ round: options.round, wanted: options.wanted, deadline: options.deadline },
    report: measured => {
      options.report(measured)
      if (profile !== undefined) console.log(`  in the profiles: ${measured.window.join(' to ')}`)
      const { workload, seconds, cpuSeconds, sentBytes, peakBytes, p95Seconds, otherCores } = measured
      console.log(
        `  ${workload.padEnd(4)} ${time(seconds).padStart(8)}  CPU ${time(cpuSeconds).padStart(8)}  sent ${sentBytes.map(bytes).join(' / ')}` +
          `  peak ${peakBytes.map(bytes).join(' / ')}  others ${otherCores.toFixed(1)} cores` +
          (p95Seconds === undefined ? '' : `  p95 ${time(p95Seconds)}`),
      )
    },
  })
  try {
    await plan.run(session, whole => Math.max(1, Math.floor(whole * options.size)))
    return null
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    console.log(`  FAILED ${text}`)
    return text
  } finally {
    await session.close()
  }
}

/** Full-size figures stay until the same work is measured again. */
function write(
  all: readonly Measured[],
  notes: readonly string[],
  { size, versions, whole }: { size: number; versions: ReadonlyMap<string, string>; whole: boolean },
): void {
  const facts = { day: new Date().toISOString().slice(0, 10), versions, size, notes }
  if (size !== 1 || values.profile !== undefined) {
    console.log(`\n${markdown(all, facts)}`)
    return
  }
  mkdirSync(RESULTS, { recursive: true })
  const path = join(RESULTS, 'results.json')
  const old = whole || !existsSync(path) ? [] : (JSON.parse(readFileSync(path, 'utf8')) as Measured[])
  const measured = new Set(all.map(m => `${m.workload} ${m.system}`))
  const merged = [...old.filter(m => !measured.has(`${m.workload} ${m.system}`)), ...all]
  writeFileSync(path, `[\n${merged.map(m => JSON.stringify(m)).join(',\n')}\n]\n`)
  writeFileSync(join(RESULTS, 'results.md'), markdown(merged, facts))
  console.log('\nbench/results.md is written')
}

if (positionals[0] === 'micro') {
  const micro = fileURLToPath(new URL('micro.ts', import.meta.url))
  execFileSync(process.execPath, [...process.execArgv, micro, ...positionals.slice(1)], { stdio: 'inherit' })
} else if (!(await compare())) process.exitCode = 1
