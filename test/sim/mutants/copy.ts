// Copies of what the simulation runs, in a temporary directory, one a mutant, with its edits made. A copy is loaded into this process
// beside the unchanged source: another path is another module. All copies go when the process is done with them.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type * as runs from '../run-history.ts'
import type * as shrinks from '../shrink.ts'
import type { Mutant } from './mutant.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
/** The floors that whole engines on fakes are made of; what is missing fails the import. */
const COPIED = ['src/core', 'src/crdt', 'src/sync', 'test/support', 'test/crdt/support']
const COPIED_FILES = ['package.json', 'tsconfig.json']

export interface Simulation {
  readonly runHistory: typeof runs.runHistory
  readonly shrink: typeof shrinks.shrink
}

/** The edited files by path under `src/`; or what is wrong with the mutant. */
export function edited(mutant: Mutant): Map<string, string> | string {
  const files = new Map<string, string>()
  for (const { file, find, replace } of mutant.edits) {
    const text = files.get(file) ?? readFileSync(join(ROOT, 'src', file), 'utf8')
    const count = text.split(find).length - 1
    if (count !== 1) return `what it replaces occurs ${count} times in src/${file}: ${find}`
    files.set(
      file,
      text.replace(find, () => replace),
    )
  }
  return files
}

export class Copies {
  readonly #top = mkdtempSync(join(tmpdir(), 'kith-mutants-'))

  /** The simulation of the mutated source. Throws where the mutant is rotten. */
  async load(mutant: Mutant): Promise<Simulation> {
    const files = edited(mutant)
    if (typeof files === 'string') throw new Error(`${mutant.name} is rotten: ${files}`)
    const at = join(this.#top, mutant.name)
    for (const path of COPIED) cpSync(join(ROOT, path), join(at, path), { recursive: true })
    // Not what lies in directories below: saved histories, and the mutants themselves.
    mkdirSync(join(at, 'test/sim'))
    cpSync(join(ROOT, 'test/sim'), join(at, 'test/sim'), {
      recursive: true,
      filter: path =>
        path === join(ROOT, 'test/sim') || (dirname(path) === join(ROOT, 'test/sim') && path.endsWith('.ts')),
    })
    for (const file of COPIED_FILES) cpSync(join(ROOT, file), join(at, file))
    symlinkSync(join(ROOT, 'node_modules'), join(at, 'node_modules'))
    for (const [file, text] of files) writeFileSync(join(at, 'src', file), text)
    const url = (file: string): string => pathToFileURL(join(at, 'test/sim', file)).href
    const { runHistory } = (await import(url('run-history.ts'))) as typeof runs
    const { shrink } = (await import(url('shrink.ts'))) as typeof shrinks
    return { runHistory, shrink }
  }

  remove(): void {
    rmSync(this.#top, { recursive: true, force: true })
  }
}
