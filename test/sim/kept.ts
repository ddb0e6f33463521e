// Histories that are kept as JSON, each file named for what it shows: those that once failed (saved/), those that catch a change of the
// source that would be wrong (mutants/saved/), and those that reach a branch that random ones reach too seldom (directed/).
import { readdirSync, readFileSync } from 'node:fs'
import type { History } from './steps.ts'

export const SAVED = new URL('./saved/', import.meta.url)
export const DIRECTED = new URL('./directed/', import.meta.url)
const OF_MUTANTS = new URL('./mutants/saved/', import.meta.url)

export interface Kept {
  /** The file's name as words. */
  readonly name: string
  readonly history: History
}

export function keptIn(folder: URL): Kept[] {
  return readdirSync(folder)
    .filter(file => file.endsWith('.json'))
    .sort()
    .map(file => ({
      name: file.replace(/\.json$/, '').replaceAll('-', ' '),
      history: JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as History,
    }))
}

export function allKept(): Kept[] {
  return [SAVED, OF_MUTANTS, DIRECTED].flatMap(keptIn)
}
