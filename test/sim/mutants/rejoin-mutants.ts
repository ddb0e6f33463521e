// The protections of a device whose database was lost, or whose home or files are an old copy again (src/sync), each taken out once.
import type { GenerateOptions } from '../steps.ts'
import type { Mutant } from './mutant.ts'

const ROLLBACK: GenerateOptions = { devices: [2, 3], mix: { steps: { remember: 10, restore: 10, erase: 4 } } }

export const REJOIN_MUTANTS: readonly Mutant[] = [
  {
    name: 'one-actor-for-ever',
    protects: 'Every start is an incarnation of its own: a restored home has forgotten which dots it used.',
    histories: ROLLBACK,
    edits: [
      {
        file: 'sync/replica.ts',
        find: 'const actor = newActor(deps.random)',
        replace: 'const actor = stored?.actor ?? newActor(deps.random)',
      },
    ],
  },
]
