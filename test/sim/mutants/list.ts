// Every protection that the simulation must be able to miss.
import type { Mutant } from './mutant.ts'
import { SYNC_MUTANTS } from './sync-mutants.ts'
import { TREE_MUTANTS } from './tree-mutants.ts'

export const MUTANTS: readonly Mutant[] = [...TREE_MUTANTS, ...SYNC_MUTANTS]
