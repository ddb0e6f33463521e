// Every protection that the simulation must be able to miss.
import type { Mutant } from './mutant.ts'
import { PROJECTION_MUTANTS } from './projection-mutants.ts'
import { RECORD_MUTANTS } from './record-mutants.ts'
import { REJOIN_MUTANTS } from './rejoin-mutants.ts'
import { SYNC_MUTANTS } from './sync-mutants.ts'

export const MUTANTS: readonly Mutant[] = [...RECORD_MUTANTS, ...PROJECTION_MUTANTS, ...SYNC_MUTANTS, ...REJOIN_MUTANTS]
