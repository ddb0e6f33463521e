// The two halves of a cycle over one loaded replica: look (LOCAL → SHARED) and follow (SHARED → LOCAL). It keeps what is not carried out
// yet as places to compare again, never as work to do, and is thrown away with its replica after a failed commit.
import type { Clock } from '../core/clock.ts'
import { plainFacts } from '../core/entry.ts'
import type { Emit } from '../core/events.ts'
import type { ActorId, ContentId, DeviceId, FolderId, NodeId, RowId } from '../core/ids.ts'
import { ROOT_NODE } from '../core/ids.ts'
import type { JournalEntry } from '../core/past.ts'
import type { FolderDisk, FolderStore, PastQuery, Problem, Stat, Waiting, Watch } from '../core/ports.ts'
import type { Row, RowTable } from '../core/rows.ts'
import { Applier, lookAfter } from './applier.ts'
import type { Beginnings } from './beginnings.ts'
import { Brake, type Held } from './brake.ts'
import type { Damage } from './damage.ts'
import type { Dirty } from './dirty.ts'
import type { Fetcher } from './fetcher.ts'
import type { Intents } from './intents.ts'
import { joinPath, parentPath } from './local-changes.ts'
import { Observer } from './observer.ts'
import { makePlan, type Plan, type Want } from './plan.ts'
import { Publisher, type PublishLimits } from './publisher.ts'
import type { Replica } from './replica.ts'
import type { Restored } from './restored.ts'
import { Judge } from './stale.ts'
import { Doers } from './standing.ts'
import { TextMerger } from './text-merger.ts'
import { Unholdable } from './unholdable.ts'
import { Unread } from './unread.ts'
import { Wants } from './wants.ts'

/** A refused step is tried again after this, or when something changes. */
const RETRY_MS = 10_000
/** A refused step that found a local change: looked at soon, but never in a tight loop. */
const LOCAL_CHANGE_MS = 50
/** What may have been written unseen is looked at again after this, before it is replaced. */
const UNSURE_MS = 500

export interface CycleDeps {
  readonly folder: FolderId
  readonly device: DeviceId
  readonly disk: FolderDisk
  readonly store: FolderStore
  readonly clock: Clock
  readonly emit: Emit
  readonly merge: (base: Uint8Array, a: Uint8Array, b: Uint8Array, options: Waiting) => Promise<Uint8Array | null>
  readonly dirty: Dirty
  readonly damage: Damage
  /** These paths show something new. */
  readonly onShown: (paths: readonly string[]) => Promise<void>
  readonly fetcher: Fetcher
  readonly beginnings: Beginnings
  readonly limits: PublishLimits
  /** The folder's. */
  readonly name: string
  /** What a person types to mean that device. */
  readonly nameOfDevice: (device: DeviceId) => string
  /** How much of the folder, in percent, another device may delete at once. */
  readonly maxDeletes: () => number
  /** Deletions that were held in an earlier run. */
  readonly held: Held
  readonly watch: () => Watch | null
  /** Is the root still the one this folder was added with? Asked again before anything is called gone. */
  readonly rootIsGood: () => Promise<boolean>
  readonly restored: Pick<Restored, 'has'>
  readonly intents: Intents
  /** The nodes of what was stored last, in earlier runs. */
  readonly lastStored: ReadonlySet<NodeId>
  /** What the journals of this device and of those linked know; null where nobody else could be asked. */
  readonly past: (queries: readonly PastQuery[], options: Waiting) => Promise<readonly boolean[] | null>
}

export class Cycle {
  readonly replica: Replica
  readonly brake: Brake
  readonly #deps: CycleDeps
  readonly #observer: Observer
  readonly #publisher: Publisher
  readonly #judge: Judge
  readonly #merger: TextMerger
  readonly #applier: Applier
  readonly #unread: Unread
  readonly #stepProblems = new Map<string, Problem>()
  /** Directories and nodes to compare: changed, or not carried out yet. */
  #directories = new Set<NodeId>([ROOT_NODE])
  #nodes = new Set<NodeId>()
  /** Directories of refused steps, and when they are compared again (monotone ms): a step that is tried and undone makes events itself. */
  readonly #resting = new Map<NodeId, number>()
  readonly #unholdable: Unholdable
  /** Nodes of rows that would only take over what the tree says, and are not seen any more: compared again when that is certain, either way. */
  readonly #doubted = new Map<RowId, readonly NodeId[]>()
  /** Directories that are to go and are not empty yet: compared again with whatever else is. */
  #left: readonly NodeId[] = []
  /** What the plans of directories want. */
  readonly #wants = new Wants()
  /** What merges want beside those: all of these are tried in every cycle, so that is what they said last and no more. */
  #mergeWants: readonly Want[] = []
  #allWants: ReadonlyMap<ContentId, Want> = this.#wants.all

  constructor(deps: CycleDeps, replica: Replica) {
    this.#deps = deps
    this.replica = replica
    const { disk, clock, store, emit, folder, device, fetcher, limits } = deps
    const { rows, tree } = replica
    const now = (): number => clock.now()
    const commit = (batch: Parameters<Replica['commit']>[0]): Promise<void> => replica.commit(batch)
    this.#unholdable = new Unholdable(rows, tree)
    this.#unread = new Unread({ rows, nameKey: name => tree.nameKey(name) })
    this.#observer = new Observer({
      disk,
      now,
      elapsed: () => clock.elapsed(),
      watch: deps.watch,
      lookLater: (path, ms, options) => deps.dirty.addLater(path, ms, options),
    })
    const doers = new Doers({ rows, tree, device })
    const { name, nameOfDevice, maxDeletes, held } = deps
    const elapsed = (): number => clock.elapsed()
    this.brake = new Brake({ name, device, rows, tree, doers, nameOfDevice, now, elapsed, maxDeletes, held })
    this.#publisher = new Publisher({
      rows,
      tree,
      disk,
      now,
      elapsed: () => clock.elapsed(),
      device,
      authorOf: row => doers.ofContent(row),
      limits,
      commit: async ({ noted, ...batch }) => {
        await replica.commit({
          ...batch,
          ...deps.intents.done(),
          dots: batch.dots.flatMap(({ row, content }) => dotsOf(replica, row, content)),
          journal: [...noted, ...batch.journal],
        })
        for (const { action, path } of batch.journal) emit({ type: 'file:published', folder, path, action })
        await deps.onShown(batch.journal.map(({ path }) => path))
      },
      onProblem: problem => this.#stepProblems.set(problem.path, problem),
      isRot: (row, found) => deps.damage.isRot(row, found),
      onHashed: stat => this.#observer.hashed(stat),
      onAdopted: directory => this.#directories.add(directory),
      intents: deps.intents,
      beginnings: deps.beginnings,
    })
    this.#merger = new TextMerger({
      folder,
      rows,
      tree,
      disk,
      store,
      elapsed: () => clock.elapsed(),
      commit,
      merge: deps.merge,
      emit,
    })
    this.#judge = new Judge({
      rows,
      tree,
      disk,
      now,
      device,
      doers,
      past: deps.past,
      since: () => replica.rejoinSince,
      commit: batch =>
        commit({ ...batch, dots: batch.dots.flatMap(({ row, content }) => dotsOf(replica, row, content)) }),
      onProblem: problem => this.#stepProblems.set(problem.path, problem),
      onHashed: stat => this.#observer.hashed(stat),
      onAdopted: node => this.#directories.add(node),
      onRemoved: path => emit({ type: 'file:applied', folder, path, action: 'deleted' }),
    })
    this.#applier = new Applier({
      folder,
      rows,
      disk,
      fetcher,
      store,
      now,
      commit: async batch => {
        await commit(batch)
        await deps.onShown((batch.journal ?? []).map(({ path }) => path))
      },
      intents: deps.intents,
      intend: intents => replica.intend(intents),
      doers,
      isRestored: (row, doer) => doer === device && row.nodes.some(ref => deps.restored.has(ref.id)),
      isUnsure: stat => this.#observer.isUnsure(stat),
      damage: deps.damage,
      onWrote: (path, stat) => this.#observer.wrote(path, stat),
      onDirectory: path => {
        const paths = directoriesBelow(rows, path)
        deps.watch()?.add(paths)
        // What a person put there meanwhile was hinted at under another path, or not at all.
        for (const below of paths) deps.dirty.add(below)
      },
      emit,
    })
    if (!replica.wasCompared) {
      this.#observer.suspectNewest(rows, deps.lastStored)
      this.compareAll()
    }
  }

  get wants(): ReadonlyMap<ContentId, Want> {
    return this.#allWants
  }

  /** The sizes of all that is wanted. */
  get wantedBytes(): number {
    const { all, bytes } = this.#wants
    return this.#mergeWants.reduce((sum, want) => (all.has(want.content) ? sum : sum + want.size), bytes)
  }

  /** May what has this stat have been written unseen? */
  isDoubted(stat: Stat): boolean {
    return this.#observer.isDoubted(stat)
  }

  /** A file stands there now, by this device's own hand. */
  wrote(path: string, stat: Stat): void {
    this.#observer.wrote(path, stat)
  }

  /** The paths of those of which a row is. */
  directories(): string[] {
    return directoriesBelow(this.replica.rows, '')
  }

  /** Something is still to be compared (not counting what only waits for content). */
  get unfinished(): boolean {
    return this.busy || this.#resting.size > 0 || this.brake.holding
  }

  /** How many entries this disk cannot have. */
  get unheld(): number {
    return this.#unholdable.size
  }

  /** What lies staged and is waited for by nobody. */
  get parked(): Iterable<ContentId> {
    return this.#unholdable.contents()
  }

  /** So is something that is not only tried again later: what was refused may be refused for long, by a full disk for one. */
  get busy(): boolean {
    return this.#directories.size > 0 || this.#nodes.size > 0
  }

  /** Every row says what the tree shows, none may hide a write, and nothing is left to be done or waited for. */
  get isThrough(): boolean {
    if (this.replica.pulling || this.replica.rejoining || this.#observer.suspects) return false
    const waits = this.#allWants.size + this.#left.length + this.#doubted.size
    const lacks = this.#unholdable.size > 0
    return waits === 0 && !lacks && !this.unfinished && this.#merger.nextDueMs() === null
  }

  /** ms until a refused step is to be tried again, or a file waits for its merge no longer; null where neither is. */
  nextDueMs(): number | null {
    const dues = [this.#merger.nextDueMs(), this.brake.nextTellMs()].filter(ms => ms !== null)
    for (const due of this.#resting.values()) dues.push(Math.max(0, due - this.#deps.clock.elapsed()))
    return dues.length === 0 ? null : Math.min(...dues)
  }

  /** Something that lies here and could be read was not judged yet. What could not be is judged when it can be. */
  get judging(): boolean {
    return this.replica.rejoining && !this.#judge.sawAllReadable
  }

  /** What this device knows turned out to be old: all that lies here is to be judged. */
  judgeAll(): void {
    this.#judge.reset()
    this.#deps.dirty.addAll()
  }

  /** True where the folder rejoined just now: all that lies here was judged. */
  async endRejoin(): Promise<boolean> {
    if (!this.replica.rejoining || !this.#judge.done) return false
    await this.replica.endRejoin()
    // Should it turn out to be old once more, all is judged again.
    this.#judge.reset()
    return true
  }

  problems(): readonly Problem[] {
    const damaged = this.#deps.damage.problems(this.replica.rows)
    return [...this.#observer.problems(), ...this.#stepProblems.values(), ...this.#unholdable.problems(), ...damaged]
  }

  /** Compare everything: at the start, and after a halt was answered. */
  compareAll(): void {
    this.#publisher.reset()
    for (const entry of this.replica.tree.allEntries()) this.#directories.add(entry.directory)
    for (const row of this.replica.rows.all()) for (const ref of row.nodes) this.#nodes.add(ref.id)
    this.replica.tree.takeChanges()
  }

  /** What others deleted at once is to go here too. */
  approve(): void {
    for (const node of this.brake.approve()) this.#nodes.add(node)
  }

  onStaged(contents: readonly ContentId[]): void {
    for (const content of contents) for (const node of this.#wants.waitingFor(content)) this.#nodes.add(node)
  }

  /** LOCAL → SHARED for what is dirty. False: the root went away under the scan, nothing was published. */
  async look(options: Waiting & { believe: boolean }): Promise<boolean> {
    const { dirty, rootIsGood } = this.#deps
    const batch = dirty.take()
    if (batch.all) for (const directory of this.#unholdable.again()) this.#directories.add(directory)
    try {
      const { changes, ...seen } = await this.#observer.observe(this.replica.rows, batch, options)
      if (changes.lost.length > 0 && !options.believe && !(await rootIsGood())) {
        dirty.addAll()
        return false
      }
      for (const path of [...this.#stepProblems.keys()])
        if (seen.looked(parentPath(path))) this.#stepProblems.delete(path)
      const waiting = new Set<string>()
      const unsettled = new Set<string>()
      let left = changes
      if (this.replica.rejoining) {
        const judged = await this.#judge.judge(changes, { ...options, ...seen, all: batch.all })
        for (const [path, afterMs] of judged.again) {
          dirty.addLater(path, afterMs)
          waiting.add(path)
          unsettled.add(path)
        }
        if (judged.lookAtAll) dirty.addAll()
        left = judged.changes
      }
      const wasJudged = this.replica.rejoining
      const outdated = (): boolean => !wasJudged && this.replica.rejoining
      const { again } = await this.#publisher.publish(left, { ...options, looked: seen.looked, outdated })
      for (const { path, afterMs, ...how } of again) dirty.addLater(path, afterMs, how)
      for (const { path, quiet } of again) {
        waiting.add(path)
        if (quiet !== true) unsettled.add(path)
      }
      const paths = new Set(batch.paths)
      const isLooked = (path: string): boolean => batch.all || paths.has(path) || seen.looked(path)
      for (const node of this.#unread.looked(changes.creates, isLooked, path => unsettled.has(path)))
        this.#directories.add(node)
      const isSeen = (path: string): boolean => (batch.all || seen.looked(path)) && !waiting.has(path)
      if (this.#deps.intents.looked(isSeen)) await this.replica.commit(this.#deps.intents.done())
      for (const [row, ids] of this.#doubted) {
        if (this.#publisher.doubts(row)) continue
        this.#doubted.delete(row)
        for (const node of ids) this.#nodes.add(node)
      }
      return true
    } catch (error) {
      dirty.addAll()
      throw error
    }
  }

  /** Nothing changes on this disk, but it is this device's deed: without it others' word of it would be taken for what came before. */
  #broughtBack(row: Row): JournalEntry[] {
    const [path, [ref]] = [this.replica.rows.path(row.id), row.nodes]
    if (path === undefined || ref === undefined) return []
    const { kind } = row
    const facts = plainFacts(row)
    const { clock, device } = this.#deps
    return [{ time: clock.now(), device, action: 'restored', node: ref.id, kind, path, facts, was: { path, facts } }]
  }

  /** SHARED → LOCAL. True: there is more to do at once. */
  async follow(options: Waiting): Promise<boolean> {
    const back = this.brake.takeRejected()
    if (back.length > 0) {
      this.replica.tree.revise(back)
      await this.replica.commit({ journal: back.flatMap(({ row }) => this.#broughtBack(row)) })
    }
    this.#ripen()
    this.#takeChanges()
    for (const directory of this.#unholdable.come()) this.#directories.add(directory)
    const merging = await this.#merger.run(this.#nodes, options)
    for (const node of merging.released) this.#nodes.add(node)
    this.#takeChanges()
    for (const directory of this.#wants.forgetMerged(this.replica.tree)) this.#directories.add(directory)
    const directories = this.#directories
    const nodes = this.#nodes
    const compares = directories.size + nodes.size > 0
    if (compares) for (const node of this.#left) directories.add(node)
    this.#directories = new Set()
    this.#nodes = new Set()
    try {
      const plan = await this.#plan(directories, nodes)
      const released = this.brake.release()
      for (const node of released) this.#nodes.add(node)
      this.#noteWants({ directories, nodes }, plan, merging.wants)
      const { applied, deferred, waiting, failed } = await this.#applier.apply(this.#withoutDoubts(plan), options)
      for (const { path, becomes } of [...plan.puts, ...plan.structure, ...plan.removals]) {
        this.#stepProblems.delete(path)
        for (const directory of this.#unholdable.forget(becomes?.nodes.map(({ id }) => id) ?? []))
          this.#directories.add(directory)
      }
      // What is refused for good leaves all else as it was before: that is compared again as if there had been no such step.
      const refused = failed.filter(({ planned, problem }) => this.#unholdable.take(planned, problem))
      for (const { planned } of refused) this.#directories.add(planned.directory)
      const isWithin = (node: NodeId): boolean => refused.length > 0 && this.#unholdable.isIn(node)
      let restMs = RETRY_MS
      for (const one of failed) {
        const { planned, problem } = one
        if (refused.includes(one)) continue
        const look = lookAfter(problem, planned)
        if (look.local && isWithin(planned.directory)) {
          this.#directories.add(planned.directory)
          continue
        }
        const pauseMs = look.local ? LOCAL_CHANGE_MS : RETRY_MS
        restMs = Math.min(restMs, pauseMs)
        for (const path of look.paths) this.#deps.dirty.addLater(path, pauseMs)
        this.#rest(planned.directory, pauseMs)
        if (!look.local) this.#stepProblems.set(problem.path, problem)
      }
      const parks = this.#unholdable.parking()
      // Why its directory is not there is said of that one, and there is nothing to look at.
      for (const { directory } of waiting) if (!parks(directory)) this.#rest(directory, RETRY_MS)
      for (const { directory, path } of deferred) {
        this.#deps.dirty.addLater(parentPath(path), UNSURE_MS)
        this.#rest(directory, UNSURE_MS)
      }
      const goesOn = applied > 0 || refused.length > 0
      // What is in the way of a refused step was put aside and back again, which wakes the folder: it must not be done again at once.
      const isStuck = !goesOn && failed.length > 0
      for (const directory of plan.again) {
        if (!goesOn && parks(directory)) continue
        if (isStuck) this.#rest(directory, restMs)
        else this.#directories.add(directory)
      }
      if (compares) this.#left = plan.left
      return (goesOn || released.length > 0) && this.busy
    } catch (error) {
      for (const directory of directories) this.#directories.add(directory)
      for (const node of nodes) this.#nodes.add(node)
      throw error
    }
  }

  /** What follows from these, but for what is held. */
  async #plan(directories: ReadonlySet<NodeId>, nodes: ReadonlySet<NodeId>): Promise<Plan> {
    const { rows, tree } = this.replica
    const { stage } = this.#deps.disk
    const make = (): Plan =>
      makePlan({
        ...{ rows, tree, directories, nodes },
        staged: content => stage.has(content),
        held: node => this.#merger.holds(node) || this.brake.holds(node),
        unread: (directory, name) => this.#unread.has(directory, name),
        refused: node => this.#unholdable.has(node),
        beyond: directory => this.#unholdable.isIn(directory),
      })
    const plan = make()
    const stops = this.brake.stops(plan)
    const stored = this.brake.due()
    if (stored !== null) await this.replica.commit(stored)
    return stops ? make() : plan
  }

  #rest(directory: NodeId, ms: number): void {
    const due = this.#deps.clock.elapsed() + ms
    this.#resting.set(directory, Math.min(due, this.#resting.get(directory) ?? due))
  }

  #ripen(): void {
    const now = this.#deps.clock.elapsed()
    for (const [directory, due] of this.#resting) {
      if (due > now) continue
      this.#resting.delete(directory)
      this.#directories.add(directory)
    }
  }

  /** What is not seen any more shows nothing new, however well its row agrees: a deletion would take the new dots with it. */
  #withoutDoubts(plan: Plan): Plan {
    const notes = plan.notes.filter(row => {
      if (!this.#publisher.doubts(row.id)) return true
      this.#doubted.set(
        row.id,
        row.nodes.map(ref => ref.id),
      )
      return false
    })
    return { ...plan, notes }
  }

  #takeChanges(): void {
    const changes = this.replica.tree.takeChanges()
    for (const directory of changes.directories) this.#directories.add(directory)
    for (const node of changes.nodes) this.#nodes.add(node)
    for (const directory of this.#unholdable.forget(changes.nodes)) this.#directories.add(directory)
  }

  /** Replaces what these directories and files, and the merges, want; tells the fetcher the whole. */
  #noteWants(
    { directories, nodes }: { directories: ReadonlySet<NodeId>; nodes: ReadonlySet<NodeId> },
    plan: Plan,
    mergeWants: readonly Want[],
  ): void {
    const before = this.#allWants
    const isNew = mergeWants.some(({ content }) => !before.has(content))
    const news = this.#wants.replace(directories, nodes, plan.wants) || isNew
    const { all } = this.#wants
    this.#mergeWants = mergeWants
    this.#allWants =
      mergeWants.length === 0 ? all : new Map([...mergeWants.map(want => [want.content, want] as const), ...all])
    this.#deps.fetcher.want(this.#allWants, news)
  }
}

/** The paths of a directory and of all below it. */
function directoriesBelow(rows: RowTable, path: string): string[] {
  const top = rows.at(path)
  const paths: string[] = []
  const queue = top === undefined ? [] : [{ id: top.id, path }]
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    paths.push(next.path)
    for (const row of rows.children(next.id))
      if (row.kind === 'directory') queue.push({ id: row.id, path: joinPath(next.path, row.name) })
  }
  return paths
}

function dotsOf(
  replica: Replica,
  rowId: RowId,
  content: ContentId,
): { node: NodeId; actor: ActorId; seq: number; content: ContentId }[] {
  const row = replica.rows.get(rowId)
  return (row?.nodes ?? []).flatMap(ref =>
    ref.versions
      .filter(v => v.content === content)
      .map(({ dot }) => ({ node: ref.id, actor: dot.actor, seq: dot.seq, content })),
  )
}
