// Carries a rewind out: first it makes sure that every content can still be had, here or on a linked device, then it says all of it in the
// shared tree, in one durable commit, so that nothing can stop half-way. The rows and the disk are left alone: the next cycle makes the
// disk follow, as for any other change. What nobody holds is left as it is, and listed.
import type { ContentId } from '../core/ids.ts'
import type { Change, RewindOutcome } from '../core/past.ts'
import type { FolderBatch, Waiting } from '../core/ports.ts'
import type { RowTable } from '../core/rows.ts'
import type { Revision } from '../crdt/revise.ts'
import type { SharedTree } from '../crdt/shared-tree.ts'
import type { Holdings } from './holdings.ts'
import type { Restored } from './restored.ts'
import type { Home, RewindStep } from './rewind.ts'
import type { Refusal, Turns } from './turns.ts'

/** While others are asked, more may be needed; after so many rounds what is unknown counts as missing. */
const MAX_ROUNDS = 5

export interface RestoreDeps {
  readonly replica: () => {
    readonly rows: RowTable
    readonly tree: Pick<SharedTree, 'revise'>
    commit(extra: FolderBatch): Promise<void>
  }
  readonly holdings: Holdings
  readonly restored: Restored
  readonly turns: Turns
  /** Why the folder cannot be changed now. */
  readonly refusal: () => Refusal
}

export type Planner = (rows: RowTable) => Promise<readonly RewindStep[]>

interface Attempt {
  readonly outcome: RewindOutcome | null
  /** Contents that nobody was asked for yet. */
  readonly unknown: readonly ContentId[]
}

export class Restore {
  readonly #deps: RestoreDeps

  constructor(deps: RestoreDeps) {
    this.#deps = deps
  }

  async run(plan: Planner, { dryRun, ...options }: Waiting & { readonly dryRun: boolean }): Promise<RewindOutcome> {
    const { turns, holdings, refusal } = this.#deps
    const asked = new Map<ContentId, boolean>()
    const unpins: (() => void)[] = []
    try {
      for (let round = 1; ; round++) {
        const { outcome, unknown } = await turns.take(
          () => this.#attempt(plan, asked, { dryRun, last: round >= MAX_ROUNDS }, unpins),
          dryRun ? () => null : refusal,
          options,
        )
        if (outcome !== null) return outcome
        const held = await holdings.holders(unknown, options)
        for (const content of unknown) asked.set(content, held.has(content))
      }
    } finally {
      for (const unpin of unpins) unpin()
    }
  }

  async #attempt(
    plan: Planner,
    asked: ReadonlyMap<ContentId, boolean>,
    { dryRun, last }: { readonly dryRun: boolean; readonly last: boolean },
    unpins: (() => void)[],
  ): Promise<Attempt> {
    const { replica, holdings, restored } = this.#deps
    const live = replica()
    const { rows, tree } = live
    const steps = await plan(rows)
    unpins.push(holdings.pin(steps.map(step => step.change.facts.content)))
    const here = new Map<ContentId, boolean>()
    const unknown: ContentId[] = []
    for (const step of steps) {
      if (!needsContent(step)) continue
      const { content, size } = step.change.facts
      if (here.has(content)) continue
      const has = await holdings.has(content, size)
      here.set(content, has || asked.get(content) === true)
      if (!has && !asked.has(content)) unknown.push(content)
    }
    if (unknown.length > 0 && !last) return { outcome: null, unknown }
    const lacks = (step: RewindStep): boolean => needsContent(step) && here.get(step.change.facts.content) !== true
    const missing = steps.filter(lacks)
    const done = withoutEmpty(steps, missing)
    const changes = done.map(step => step.change)
    const outcome = (isDone: boolean): RewindOutcome => ({
      changes,
      missing: missing.map((step): Change => step.change),
      unclear: [],
      kept: [],
      silent: [],
      done: isDone,
    })
    if (!dryRun && done.length > 0) await live.commit(restored.add(tree.revise(done.map(revisionOf(rows)))))
    return { outcome: outcome(!dryRun), unknown: [] }
  }
}

function needsContent(step: RewindStep): boolean {
  return (step.do === 'create' || step.do === 'edit') && step.change.kind !== 'directory'
}

/** Without what cannot be had, and without new directories that would hold nothing but that. */
function withoutEmpty(steps: readonly RewindStep[], missing: readonly RewindStep[]): readonly RewindStep[] {
  if (missing.length === 0) return steps
  const gone = new Set<RewindStep>(missing)
  const holds = new Map<number, RewindStep[]>()
  for (const step of steps) {
    if (step.do !== 'create' && step.do !== 'move') continue
    if ('made' in step.home) holds.set(step.home.made, [...(holds.get(step.home.made) ?? []), step])
  }
  // Children come after their directory.
  for (const step of [...steps].reverse()) {
    if (step.do !== 'create' || step.change.kind !== 'directory') continue
    const inside = holds.get(step.made) ?? []
    if (inside.length > 0 && inside.every(each => gone.has(each))) gone.add(step)
  }
  return steps.filter(step => !gone.has(step))
}

function revisionOf(rows: RowTable): (step: RewindStep) => Revision {
  const homeOf = (home: Home): { row: NonNullable<ReturnType<RowTable['get']>> } | { made: number } => {
    if ('made' in home) return home
    const row = rows.get(home.row)
    if (row === undefined) throw new Error('a directory went while it was to be filled')
    return { row }
  }
  return step => {
    const { kind, facts } = step.change
    switch (step.do) {
      case 'create':
        return { do: 'create', made: step.made, home: homeOf(step.home), name: step.name, kind, facts }
      case 'move':
        return { do: 'move', row: step.row, home: homeOf(step.home), name: step.name }
      case 'edit':
        return { do: 'edit', row: step.row, facts }
      case 'remove':
        return { do: 'remove', row: step.row }
    }
  }
}
