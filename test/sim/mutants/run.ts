// `npm run test:sim -- --mutants [--only NAME] [--fresh [--save] [--stale] [--seed S] [--seconds N]]`: takes protections out of the
// product, one at a time, and must see each one missing. Without `--fresh` by its saved history, which must fail with the mutant and pass
// without it; with `--fresh` by random histories of its mix, and it says how many that took; `--save` keeps what was found, shrunk;
// `--stale` leaves out whose saved history still does its work. Ends with `N of N mutants caught`.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { runHistory } from '../run-history.ts'
import { Copies } from './copy.ts'
import type { Hunted } from './hunt-child.ts'
import { MUTANTS } from './list.ts'
import { type Mutant, SAVED, type Saved, WITHIN } from './mutant.ts'

const PROCESSES = 2
/** A history takes well under a second; a child that says nothing for so long after its time hangs. */
const HANGS_AFTER_S = 240

/** What is wrong, or null: it was caught. */
async function bySavedHistory(mutant: Mutant, copies: Copies): Promise<string | null> {
  const file = new URL(`${mutant.name}.json`, SAVED)
  if (!existsSync(file)) return 'no saved history'
  const history = JSON.parse(readFileSync(file, 'utf8')) as Saved
  const { failure: sound } = await runHistory(history)
  if (sound !== null) return `its history fails on the unchanged source: ${sound}`
  const { runHistory: mutated } = await copies.load(mutant)
  const { failure } = await mutated(history)
  return failure === null ? 'its history does not miss the protection' : null
}

function byFreshHistories(
  mutant: Mutant,
  options: { seed: number; seconds: number; save: boolean },
): Promise<Hunted | string> {
  const { seed, seconds, save } = options
  const child = spawn(
    process.execPath,
    [
      '--import',
      'tsx',
      fileURLToPath(new URL('hunt-child.ts', import.meta.url)),
      mutant.name,
      String(seed),
      String(seconds),
      save ? 'save' : '',
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  const kill = setTimeout(() => child.kill('SIGKILL'), (seconds + HANGS_AFTER_S) * 1000)
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', text => (out += text))
  child.stderr.setEncoding('utf8').on('data', text => (err += text))
  return new Promise(resolve => {
    child.on('close', code => {
      clearTimeout(kill)
      const last = out.trimEnd().split('\n').at(-1) ?? ''
      resolve(code === 0 ? (JSON.parse(last) as Hunted) : `the hunt ended with ${code}: ${err.slice(0, 500)}`)
    })
  })
}

function told(mutant: Mutant, hunted: Hunted | string): string | null {
  if (typeof hunted === 'string') return hunted
  const { took, ran, unsound, failure } = hunted
  const aside = unsound.length === 0 ? '' : ` (seeds that fail without it too: ${unsound.join(', ')})`
  if (took === null) return `not caught in ${ran} histories of at most ${mutant.within ?? WITHIN}${aside}`
  console.log(`${mutant.name}: ${took} histories${aside}: ${failure}`)
  return null
}

export async function runMutants(args: readonly string[]): Promise<boolean> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      mutants: { type: 'boolean' },
      only: { type: 'string', multiple: true },
      fresh: { type: 'boolean', default: false },
      stale: { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
      seed: { type: 'string', default: String(1 + Math.floor(Math.random() * 1e9)) },
      seconds: { type: 'string', default: '36000' },
      processes: { type: 'string', default: String(PROCESSES) },
    },
  })
  const { only } = values
  const chosen = MUTANTS.filter(mutant => only === undefined || only.includes(mutant.name))
  const queue = [...chosen]
  const copies = new Copies()
  const options = { seed: Number(values.seed), seconds: Number(values.seconds), save: values.save }
  let caught = 0
  const work = async (): Promise<void> => {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      let wrong: string | null
      try {
        wrong = values.fresh && !values.stale ? '' : await bySavedHistory(mutant, copies)
        if (values.fresh && wrong !== null) wrong = told(mutant, await byFreshHistories(mutant, options))
      } catch (error) {
        wrong = error instanceof Error ? error.message : String(error)
      }
      if (wrong === null) caught++
      else console.log(`${mutant.name} NOT CAUGHT: ${wrong}`)
    }
  }
  try {
    // Saved histories take turns in this process: a start of Node for each would cost more than they do.
    const workers = values.fresh ? Number(values.processes) : 1
    await Promise.all(Array.from({ length: workers }, work))
  } finally {
    copies.remove()
  }
  if (caught < chosen.length) console.log(`${chosen.length - caught} mutants not caught`)
  console.log(`${caught} of ${chosen.length} mutants caught`)
  return chosen.length > 0 && caught === chosen.length
}
