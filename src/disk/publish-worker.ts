// The publish worker: one thread, so that the calls of a step stand one behind the other and no two batches meet in a folder.
import type { ContentId } from '../core/ids.ts'
import type { DiskStep, Move, StepResult } from '../core/ports.ts'
import type { Seal } from './area.ts'
import { AreaHandle } from './area-handle.ts'
import { type Envelope, enveloped } from './envelope.ts'
import { appendLate, checkLate, type LateReply, type Verdicts } from './late-writers.ts'
import { putBackParked } from './parked.ts'
import { PreparedStages } from './prepared-stages.ts'
import { writingProblem } from './problem-of.ts'
import { PublishBatch, pathOf } from './publish-batch.ts'
import { ensureArea, settleTransit, settleVersions, undoHalf } from './recover-area.ts'
import type { Root } from './source.ts'
import { changeVersions, type VersionChange, type VersionChanged } from './version-changes.ts'

export type PublishTask =
  | {
      readonly do: 'apply'
      readonly root: Root
      readonly steps: readonly DiskStep[]
      readonly seals: ReadonlyMap<ContentId, Seal>
      /** The last part of a batch: what is still parked goes back. */
      readonly last: boolean
    }
  | {
      readonly do: 'recover'
      readonly root: Root
      /** What in transit is named so is still being filled. */
      readonly running: string
      readonly moves: readonly Move[]
    }
  | { readonly do: 'late'; readonly root: Root; readonly read: Verdicts }
  | { readonly do: 'versions'; readonly root: Root; readonly change: VersionChange }

export interface PublishReplies {
  apply: {
    readonly results: readonly StepResult[]
    /** New in versions. */
    readonly versions: readonly ContentId[]
    /** Not staged any more. */
    readonly gone: readonly ContentId[]
    readonly seals: ReadonlyMap<ContentId, Seal>
    readonly hasLate: boolean
    /** Paths of what was still parked and went back. */
    readonly back: readonly string[]
  }
  recover: { readonly versions: readonly ContentId[]; readonly back: readonly string[]; readonly late: LateReply }
  late: LateReply
  versions: VersionChanged
}

/** The piscina task of this worker. */
export function publish(task: PublishTask): Promise<Envelope<PublishReplies[PublishTask['do']]>> {
  return enveloped(() => act(task))
}

async function act(task: PublishTask): Promise<PublishReplies[PublishTask['do']]> {
  switch (task.do) {
    case 'apply':
      return apply(task)
    case 'recover':
      return recover(task)
    case 'late':
      return withArea(task.root, area => checkLate(area, Date.now(), task.read))
    case 'versions':
      return withArea(task.root, area => changeVersions(area, task.change))
  }
}

async function apply(task: PublishTask & { do: 'apply' }): Promise<PublishReplies['apply']> {
  const { root, steps } = task
  let area: AreaHandle
  try {
    area = openArea(root)
  } catch (error) {
    const results = steps.map(step => ({ ok: false, problem: writingProblem(error, pathOf(step)) }) as const)
    return { results, versions: [], gone: [], seals: task.seals, hasLate: false, back: [] }
  }
  try {
    const stages = new PreparedStages(area, task.seals)
    const batch = new PublishBatch(area, stages)
    await stages.prepare(steps)
    const results = await batch.run(steps)
    stages.release()
    const back = task.last ? putBackParked(area) : []
    appendLate(area, batch.late)
    return {
      results,
      versions: [...batch.versions],
      gone: [...stages.gone],
      seals: stages.seals,
      hasLate: batch.late.length > 0,
      back,
    }
  } finally {
    area.close()
  }
}

/** A user may have deleted `.kith`: it is made again, the folder's check says what that means. */
function openArea(root: Root): AreaHandle {
  try {
    return new AreaHandle(root)
  } catch {
    ensureArea(root)
    return new AreaHandle(root)
  }
}

function recover({ root, running, moves }: PublishTask & { do: 'recover' }): PublishReplies['recover'] {
  ensureArea(root)
  return withArea(root, area => {
    for (const move of moves) undoHalf(area, move)
    const back = putBackParked(area)
    settleTransit(area, running)
    const late = checkLate(area, Date.now())
    return { versions: settleVersions(area), back, late }
  })
}

function withArea<T>(root: Root, use: (area: AreaHandle) => T): T {
  const area = new AreaHandle(root)
  try {
    return use(area)
  } finally {
    area.close()
  }
}
