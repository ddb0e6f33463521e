// `npm run test:fault -- --without I7`: takes what keeps that invariant out of a copy of the source and runs the test of it, which must
// fail; the product holds no switch. `--without all` does so with every one. Prints what each test says without the protection.
import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { edited } from '../../sim/mutants/copy.ts'
import { runMutants } from '../../sim/mutants/run.ts'
import { runApart } from '../apart.ts'
import { PROTECTIONS, type Protection } from './protections.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const COPIED = ['src', 'test', 'package.json', 'tsconfig.json', 'build.ts', '.mocharc.json']
/** Tests of real daemons: they are given the copy's build. The others run on the copy's source. */
const DAEMONS = /^test\/(fault|e2e)\//
const SAID_LINES = 4
const SAID_COLUMNS = 180

export async function runWithout(ids: readonly string[]): Promise<boolean> {
  const chosen = ids.includes('all') ? Object.keys(PROTECTIONS) : ids
  let missed = 0
  let count = 0
  for (const id of chosen) {
    const protections = PROTECTIONS[id]
    if (protections === undefined) {
      console.log(`${id}: nothing is known that can be taken out (docs/safety.md says what tests it)`)
      return false
    }
    for (const protection of protections) {
      count++
      const said = 'mutants' in protection ? await bySimulation(protection.mutants) : await byTest(protection)
      if (said === null) console.log(`${id} NOT MISSED${'without' in protection ? `: ${protection.without}` : ''}`)
      else {
        missed++
        console.log(said)
      }
    }
  }
  console.log(`${missed} of ${count} protections missed by their tests`)
  return count > 0 && missed === count
}

async function bySimulation(mutants: readonly string[]): Promise<string | null> {
  const caught = await runMutants(['--mutants', ...mutants.flatMap(name => ['--only', name])])
  return caught ? `without ${mutants.join(', ')}: the simulation fails, as it must` : null
}

/** What the test says without the protection; null where it says nothing. */
async function byTest({ without, edits, test }: Protection): Promise<string | null> {
  const files = edited({ name: without, protects: without, edits })
  if (typeof files === 'string') throw new Error(files)
  const copy = mkdtempSync(join(tmpdir(), 'kith-without-'))
  try {
    for (const path of COPIED) cpSync(join(ROOT, path), join(copy, path), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
    for (const [file, text] of files) writeFileSync(join(copy, 'src', file), text)
    const output = DAEMONS.test(test.file) ? await onDaemons(copy, test) : await onSource(copy, test)
    if (output === null) return null
    return `without ${without}: ${test.file} fails, as it must:\n${firstFailure(output)}`
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

async function onDaemons(copy: string, test: Protection['test']): Promise<string | null> {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: copy, stdio: 'inherit' })
  let output = ''
  await runApart(join(ROOT, test.file), {
    environment: { KITH_E2E_MAIN: join(copy, 'dist/cli/main.js') },
    grep: test.grep,
    say: text => {
      output += text
    },
  })
  return hasFailed(output) ? output : null
}

async function onSource(copy: string, test: Protection['test']): Promise<string | null> {
  const child = spawn(join(copy, 'node_modules/.bin/mocha'), [test.file, '--grep', test.grep], {
    cwd: copy,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return hasFailed(output) ? output : null
}

/** A test said so: not a run that ended early, or had no test. */
function hasFailed(output: string): boolean {
  return /^ +[1-9]\d* failing$/m.test(output)
}

/** The lines of the first failure that mocha tells at the end. */
function firstFailure(output: string): string {
  const lines = output.slice(output.search(/^ +\d+ failing$/m)).split('\n')
  const told = lines.slice(1).filter(line => line.trim() !== '' && !/^\s+at /.test(line))
  return told
    .slice(0, SAID_LINES)
    .map(line => line.slice(0, SAID_COLUMNS))
    .join('\n')
}
