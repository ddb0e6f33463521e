// What a mutant is: the source with one protection taken out, and what it takes to see that it is missing. The product holds no switch
// for them: a mutant is a text edit of a copy of `src/`, made at run time (copy.ts).
import type { GenerateOptions, History } from '../steps.ts'
import type { Short } from './short.ts'

export interface Edit {
  /** Under `src/`. */
  readonly file: string
  /** Occurs exactly once there; otherwise the mutant is rotten, which is a failure. */
  readonly find: string
  readonly replace: string
}

export interface Mutant {
  /** Also the name of its saved history. */
  readonly name: string
  /** What the protection that is missing is for. */
  readonly protects: string
  readonly edits: readonly Edit[]
  /** The histories that suit it, where the standard ones do not. */
  readonly histories?: GenerateOptions
  /** Short ones that suit it better still. */
  readonly short?: Short
  /** It must be caught within so many fresh histories. */
  readonly within?: number
}

/** A history that fails with the mutant and passes without it. */
export interface Saved extends History {
  readonly failure: string
  /** So many fresh histories it took to find it. */
  readonly took: number
}

export const WITHIN = 20_000

/** Where the saved histories are, one a mutant. */
export const SAVED = new URL('./saved/', import.meta.url)
