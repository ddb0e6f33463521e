// `hunt-child.ts NAME FIRST-SEED SECONDS [save]`: random histories on one mutated copy until the first that fails there and passes on the
// unchanged source. A process of its own, because a mutant may hang it. Its last line is a Hunted as JSON.
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runHistory } from '../run-history.ts'
import { generate, type History } from '../steps.ts'
import { Copies, type Simulation } from './copy.ts'
import { MUTANTS } from './list.ts'
import { type Mutant, SAVED, type Saved, WITHIN } from './mutant.ts'
import { shortHistory } from './short.ts'

export interface Hunted {
  /** How many histories it took; null where none caught it. */
  readonly took: number | null
  readonly ran: number
  /** Seeds that fail on the unchanged source too: they prove nothing. */
  readonly unsound: readonly number[]
  readonly failure: string
}

const SHRINK_MS = 30_000

async function hunt(
  mutant: Mutant,
  mutated: Simulation,
  options: { first: number; seconds: number; save: boolean },
): Promise<Hunted> {
  const unsound: number[] = []
  const end = performance.now() + options.seconds * 1000
  const most = mutant.within ?? WITHIN
  let ran = 0
  for (; ran < most && performance.now() < end; ran++) {
    const seed = options.first + ran
    const { short } = mutant
    const history = short === undefined ? generate(seed, mutant.histories) : shortHistory(seed, short)
    const { failure } = await mutated.runHistory(history)
    if (failure === null) continue
    if ((await runHistory(history)).failure !== null) {
      unsound.push(seed)
      continue
    }
    const took = ran + 1
    if (options.save) await save(mutant, mutated, { history, failure, took })
    return { took, ran: took, unsound, failure: firstLine(failure) }
  }
  return { took: null, ran, unsound, failure: '' }
}

/** Shrunk, if what is left still passes on the unchanged source. */
async function save(
  mutant: Mutant,
  mutated: Simulation,
  found: { history: History; failure: string; took: number },
): Promise<void> {
  const small = await mutated.shrink(found.history, { limitMs: SHRINK_MS })
  const sound = (await runHistory(small)).failure === null
  const history = sound ? small : found.history
  const { failure } = await mutated.runHistory(history)
  if (failure === null) throw new Error(`${mutant.name}: one history, two outcomes`)
  const saved: Saved = { failure: firstLine(failure), took: found.took, ...history }
  mkdirSync(SAVED, { recursive: true })
  writeFileSync(fileURLToPath(new URL(`${mutant.name}.json`, SAVED)), `${JSON.stringify(saved, null, 2)}\n`)
}

function firstLine(failure: string): string {
  return (failure.split('\n')[0] ?? '').slice(0, 200)
}

const [name, first, seconds, save_] = process.argv.slice(2)
const found = MUTANTS.find(mutant => mutant.name === name)
if (found === undefined) throw new Error(`no mutant is called ${name}`)
const copies = new Copies()
try {
  const mutated = await copies.load(found)
  const hunted = await hunt(found, mutated, {
    first: Number(first),
    seconds: Number(seconds),
    save: save_ === 'save',
  })
  console.log(JSON.stringify(hunted))
} finally {
  copies.remove()
}
