// Carries a plan out: steps to the disk in batches, and after each batch one commit of what was really done. A refused step is a
// problem and a directory to look at again, never an exception.
import type { ContentList } from '../core/content.ts'
import { isSingle } from '../core/content.ts'
import type { Emit } from '../core/events.ts'
import type { ActorId, ContentId, DeviceId, FolderId, NodeId, RowId } from '../core/ids.ts'
import type { JournalAction, JournalEntry, Standing } from '../core/past.ts'
import type {
  Base,
  DiskStep,
  FolderBatch,
  FolderDisk,
  FolderStore,
  HashRequest,
  Intent,
  Problem,
  Stat,
  StepResult,
  Waiting,
} from '../core/ports.ts'
import type { Row, RowTable } from '../core/rows.ts'
import type { Damage } from './damage.ts'
import type { Fetcher } from './fetcher.ts'
import type { Intents } from './intents.ts'
import { parentPath } from './local-changes.ts'
import { isText, MERGE_LIMIT_BYTES } from './merge-text.ts'
import type { Plan, PlannedStep } from './plan.ts'
import { type Doers, sameStanding, standing, transition } from './standing.ts'

/** Contents published per batch: their fsyncs share the directory's and the database's. */
const PUT_BATCH = 256
const REMOVE_BATCH = 512
/** Of what is staged, so much is in memory at a time to be looked at. */
const READ_BYTES = 8 * 1024 * 1024

export interface ApplierDeps {
  readonly folder: FolderId
  readonly rows: RowTable
  readonly disk: FolderDisk
  readonly fetcher: Pick<Fetcher, 'takeList' | 'takeBytes'>
  readonly store: Pick<FolderStore, 'list'>
  readonly now: () => number
  readonly commit: (batch: FolderBatch) => Promise<void>
  readonly intents: Pick<Intents, 'of' | 'done'>
  /** Stores what is about to be done, after all that was committed. */
  readonly intend: (intents: readonly Intent[]) => Promise<void>
  readonly doers: Pick<Doers, 'ofContent' | 'ofMove' | 'ofDeletion'>
  /** Did a person on this device bring it back? */
  readonly isRestored: (row: Row, doer: DeviceId) => boolean
  /** May what stands there differ from its row without showing it? Then it is looked at before it is replaced or removed. */
  readonly isUnsure: (stat: Stat) => boolean
  readonly damage: Pick<Damage, 'contentIn' | 'isUnread' | 'read'>
  /** A file or symlink stands there now, with this stat, by this device's own hand. */
  readonly onWrote: (path: string, stat: Stat) => void
  /** A directory was made or moved there by this device's own hand: nobody has looked into it yet under this path. */
  readonly onDirectory: (path: string) => void
  readonly emit: Emit
}

export interface ApplyOutcome {
  readonly applied: number
  /** Left for after the next look. */
  readonly deferred: readonly PlannedStep[]
  /** Whose directory could not be made or moved to where it is to be: left alone, or done in the one that stands there instead. */
  readonly waiting: readonly PlannedStep[]
  readonly failed: readonly { readonly planned: PlannedStep; readonly problem: Problem }[]
}

export class Applier {
  readonly #deps: ApplierDeps

  constructor(deps: ApplierDeps) {
    this.#deps = deps
  }

  async apply(plan: Plan, options: Waiting): Promise<ApplyOutcome> {
    const failed: { planned: PlannedStep; problem: Problem }[] = []
    const deferred: PlannedStep[] = []
    const waiting: PlannedStep[] = []
    let applied = 0
    const run = async (planned: readonly PlannedStep[]): Promise<void> => {
      const sure = planned.filter(one => !this.#replacesUnsure(one))
      if (sure.length < planned.length) deferred.push(...planned.filter(one => this.#replacesUnsure(one)))
      const steps = await this.#readFirst(sure, failed, options)
      if (steps.length === 0) return
      options.signal.throwIfAborted()
      applied += await this.#batch(steps, { failed, waiting }, options)
    }
    // What is parked goes back when its batch ends, so all structure is one batch.
    await run(plan.structure)
    // Another directory may stand at the path of the one that it goes into: nothing may be put there.
    const puts: PlannedStep[] = []
    for (const planned of plan.puts) (planned.ready?.() === false ? waiting : puts).push(planned)
    for (let at = 0; at < puts.length; at += PUT_BATCH) await run(puts.slice(at, at + PUT_BATCH))
    for (let at = 0; at < plan.removals.length; at += REMOVE_BATCH)
      await run(plan.removals.slice(at, at + REMOVE_BATCH))
    if (plan.notes.length > 0) {
      for (const row of plan.notes) if (this.#deps.rows.get(row.id) !== undefined) this.#deps.rows.put(row)
      await this.#deps.commit({})
    }
    return { applied, deferred, waiting, failed }
  }

  #replacesUnsure({ step }: PlannedStep): boolean {
    if (step.do === 'put') return step.expect !== null && this.#deps.isUnsure(step.expect)
    return step.do === 'remove' && step.kind !== 'directory' && this.#deps.isUnsure(step.expect)
  }

  /** What could not be read when it was verified is read before it goes, to be kept under what it is; as long as it cannot be, it stays. */
  async #readFirst(
    steps: readonly PlannedStep[],
    failed: { planned: PlannedStep; problem: Problem }[],
    options: Waiting,
  ): Promise<readonly PlannedStep[]> {
    const { rows, disk, damage } = this.#deps
    const requests: HashRequest[] = []
    for (const { step, row: id } of steps) {
      const row = rows.get(id)
      const path = rows.path(id)
      if (!replaces(step) || row === undefined || path === undefined) continue
      if (row.kind !== 'directory' && damage.isUnread(row)) requests.push({ path, kind: row.kind, stat: row.stat })
    }
    if (requests.length === 0) return steps
    const refused = new Map<RowId, Problem>()
    for await (const result of disk.hash(requests, options)) {
      const row = rows.at(result.request.path)
      if (row === undefined) continue
      if (result.ok) damage.read(row, result.list.content)
      else refused.set(row.id, result.problem)
    }
    return steps.filter(planned => {
      const problem = replaces(planned.step) ? refused.get(planned.row) : undefined
      if (problem !== undefined) failed.push({ planned, problem })
      return problem === undefined
    })
  }

  async #batch(
    steps: readonly PlannedStep[],
    { failed, waiting }: { failed: { planned: PlannedStep; problem: Problem }[]; waiting: PlannedStep[] },
    options: Waiting,
  ): Promise<number> {
    const { rows, disk, intents } = this.#deps
    const texts = await this.#texts(steps, options)
    const intended = intents.of(steps, rows)
    if (intended.length > 0) await this.#deps.intend(intended)
    const results: readonly StepResult[] = await disk.apply(
      steps.map(planned => this.#asItLies(planned)),
      options,
    )
    const lists: ContentList[] = []
    const unlisted: HashRequest[] = []
    const journal: JournalEntry[] = []
    const bases: Base[] = []
    const dots: { node: NodeId; actor: ActorId; seq: number; content: ContentId }[] = []
    /** Directories that went and keep their rows as long as something of them is parked. */
    const leaving = new Set<PlannedStep>()
    let done = 0
    for (const [i, planned] of steps.entries()) {
      const result = results[i]
      if (result === undefined) continue
      if (!result.ok) {
        failed.push({ planned, problem: result.problem })
        continue
      }
      const before = rows.get(planned.row)
      const was = standing(rows, before)
      const left = [...leaving].map(gone => ({
        gone,
        row: rows.get(gone.row),
        was: standing(rows, rows.get(gone.row)),
      }))
      if (planned.done(result.stat)) done++
      // What only stepped aside is no step of its own.
      else if (planned.action !== null) waiting.push(planned)
      const { step } = planned
      if (result.stat !== null && step.do !== 'mkdir') this.#deps.onWrote(planned.path, result.stat)
      if (result.stat !== null && isDirectory(step)) this.#deps.onDirectory(planned.path)
      if (step.do === 'put') {
        const list = this.#deps.fetcher.takeList(step.content)
        if (list !== undefined) lists.push(list)
        else if (step.kind === 'file' && result.stat !== null && !isSingle(step.content))
          unlisted.push({ path: planned.path, kind: step.kind, stat: result.stat })
        const text = texts.get(step.content)
        const row = rows.at(planned.path)
        if (text !== undefined && row !== undefined) {
          bases.push({ content: step.content, bytes: text })
          for (const ref of row.nodes)
            for (const { dot } of ref.versions)
              dots.push({ node: ref.id, actor: dot.actor, seq: dot.seq, content: step.content })
        }
      }
      this.#note(planned, before, was, journal)
      // Said after what moved out of it: taken back newest first, the directory is there for that.
      for (const { gone, row, was } of left) {
        if (rows.get(gone.row) !== undefined) continue
        leaving.delete(gone)
        this.#note(gone, row, was, journal)
      }
      if (step.do === 'remove' && rows.get(planned.row) !== undefined) leaving.add(planned)
    }
    await this.#deps.commit({ lists, bases, dots, journal, ...intents.done() })
    // Reading may end with the folder, so what was done is recorded by then.
    const read = await this.#listsOf(unlisted, lists, options)
    if (read.length > 0) await this.#deps.commit({ lists: read })
    return done
  }

  /** Rot is kept under what it is, never under what it should have been. */
  #asItLies({ step, row: id }: PlannedStep): DiskStep {
    const row = this.#deps.rows.get(id)
    const lies = row === undefined ? undefined : this.#deps.damage.contentIn(row)
    if (lies === undefined || lies === row?.content) return step
    if (step.do === 'put' && step.expect !== null) return { ...step, expectContent: lies }
    return step.do === 'remove' ? { ...step, content: lies } : step
  }

  /**
   * The recipes of what another run of this process had staged: nobody remembers them, and without them no other device could have these
   * contents from here. Contents that are stored already, or are in `taken`, are not read.
   */
  async #listsOf(
    requests: readonly HashRequest[],
    taken: readonly ContentList[],
    options: Waiting,
  ): Promise<ContentList[]> {
    const { rows, disk, store } = this.#deps
    const known = new Set(taken.map(list => list.content))
    const unknown: HashRequest[] = []
    for (const request of requests) {
      const content = rows.at(request.path)?.content
      if (content === undefined || known.has(content) || (await store.list(content)) !== null) continue
      known.add(content)
      unknown.push(request)
    }
    const lists: ContentList[] = []
    if (unknown.length === 0) return lists
    for await (const result of disk.hash(unknown, options)) if (result.ok) lists.push(result.list)
    return lists
  }

  /** What the rows say otherwise after the step, whatever it was meant to do. */
  #note(planned: PlannedStep, before: Row | undefined, was: Standing | null, journal: JournalEntry[]): void {
    const { rows, doers, now, emit, folder } = this.#deps
    const after = rows.get(planned.row)
    const row = after ?? before
    const shown = standing(rows, after)
    const here = shown ?? was
    if (planned.action === null || row === undefined || here === null || sameStanding(was, shown)) return
    const action = actionOf(before, after, was?.path === shown?.path)
    const device = doerOf(before, row, action, doers)
    const told = action !== 'deleted' && this.#deps.isRestored(row, device) ? 'restored' : action
    const entry = transition(row, { time: now(), device, action: told }, here, was)
    if (entry === null) return
    journal.push(entry)
    emit({ type: 'file:applied', folder, path: here.path, action: planned.action })
  }

  /** The bytes of the texts among what is about to be published: their bases, should both sides edit them. */
  async #texts(steps: readonly PlannedStep[], options: Waiting): Promise<Map<ContentId, Uint8Array>> {
    const { fetcher, disk } = this.#deps
    const texts = new Map<ContentId, Uint8Array>()
    const take = (content: ContentId, bytes: Uint8Array | null): void => {
      if (bytes !== null && bytes.byteLength <= MERGE_LIMIT_BYTES && isText(bytes)) texts.set(content, bytes)
    }
    const asked = new Set<ContentId>()
    let reads: Promise<void>[] = []
    let size = 0
    for (const { step, becomes } of steps) {
      if (step.do !== 'put' || step.kind !== 'file' || becomes === undefined || becomes.size > MERGE_LIMIT_BYTES)
        continue
      const { content } = step
      if (asked.has(content)) continue
      asked.add(content)
      const held = fetcher.takeBytes(content)
      if (held !== undefined) {
        take(content, held)
        continue
      }
      const length = becomes.size
      const read = disk.read({ at: 'stage', content }, 0, length + 1, options)
      // Of a content that is longer than it is said to be this is not the whole.
      reads.push(read.then(bytes => take(content, bytes?.byteLength === length ? bytes : null)))
      size += becomes.size
      if (size < READ_BYTES) continue
      await Promise.all(reads)
      reads = []
      size = 0
    }
    await Promise.all(reads)
    return texts
  }
}

function actionOf(before: Row | undefined, after: Row | undefined, inPlace: boolean): JournalAction {
  if (after === undefined) return 'deleted'
  if (before === undefined) return 'created'
  if (!inPlace) return 'moved'
  const merged = before.content !== after.content && after.nodes.some(ref => ref.versions.some(v => v.merged))
  return merged ? 'merged' : 'edited'
}

function doerOf(
  before: Row | undefined,
  row: Row,
  action: JournalAction,
  doers: Pick<Doers, 'ofContent' | 'ofMove' | 'ofDeletion'>,
): DeviceId {
  if (action === 'deleted') return doers.ofDeletion(row)
  if (action === 'moved' && before !== undefined) return doers.ofMove(before, row)
  return doers.ofContent(row)
}

function replaces(step: DiskStep): boolean {
  return step.do === 'remove' || (step.do === 'put' && step.expect !== null)
}

function isDirectory(step: DiskStep): boolean {
  return step.do === 'mkdir' || (step.do !== 'put' && step.kind === 'directory')
}

/** Where a refused step wants another look (where it was to act, and where from), and whether it was a local change. */
export function lookAfter(problem: Problem, planned: PlannedStep): { paths: ReadonlySet<string>; local: boolean } {
  const paths = new Set([parentPath(planned.path)])
  if ('path' in planned.step) paths.add(parentPath(planned.step.path))
  // A directory that could not go has something in it that nobody has looked at.
  if (planned.step.do === 'remove' && planned.step.kind === 'directory') paths.add(planned.step.path)
  return { paths, local: problem.code === 'changed' || problem.code === 'busy' }
}
