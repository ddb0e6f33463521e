// All that concerns the past of one folder, put together: the archive that a person asks, what peers ask, and what is done about it in the
// folder's quiet moments. The folder's loop stays in charge: it says when it is quiet, and when there is a turn between two cycles.

import type { Clock } from '../core/clock.ts'
import { isKithError } from '../core/errors.ts'
import type { Emit } from '../core/events.ts'
import type { ContentId, DeviceId, FolderId, RowId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { HistoryQuery, JournalEntry } from '../core/past.ts'
import type { FolderDisk, FolderNetwork, FolderState, FolderStore, Problem, Waiting } from '../core/ports.ts'
import type { Row } from '../core/rows.ts'
import { Serial } from '../core/serial.ts'
import type { FolderArchive, FolderSettings } from '../core/status.ts'
import { DEFAULT_SETTINGS } from '../core/status.ts'
import { Archive } from './archive.ts'
import { CopiesWatch } from './copies-watch.ts'
import type { Cycle } from './cycle.ts'
import type { Damage } from './damage.ts'
import { History } from './history.ts'
import { Holdings } from './holdings.ts'
import { Nowhere } from './nowhere.ts'
import type { Peers } from './peers.ts'
import type { Replica } from './replica.ts'
import { Restore } from './restore.ts'
import { Restored } from './restored.ts'
import { rowContents, Sweep, usesOf } from './sweep.ts'
import type { SweepTurn } from './sweep-turn.ts'
import { type Refusal, Turns } from './turns.ts'
import { Upkeep } from './upkeep.ts'

export interface FolderPastDeps {
  readonly folder: FolderId
  /** The folder's. */
  readonly name: string
  readonly device: DeviceId
  /** What a person types to mean that device. */
  readonly nameOfDevice: (device: DeviceId) => string
  readonly disk: FolderDisk
  readonly store: FolderStore
  readonly clock: Clock
  readonly random: () => number
  readonly emit: Emit
  readonly sweepTurn: SweepTurn
  readonly log: Log
  readonly peers: Peers
  readonly network: () => FolderNetwork | null
  /** Throws KithError `stopped` where nothing is loaded. */
  readonly cycle: () => Cycle
  /** Why nobody can change the folder now but by its disk. */
  readonly refusal: () => Refusal
  readonly wake: () => void
  /** The shared tree says something new. */
  readonly onNews: () => void
  /** Something may lie staged for nothing. */
  readonly onUntidy: () => void
  readonly onDirty: (path: string) => void
  /** The folder's status says something else. */
  readonly onProblems: () => void
  readonly stopped: AbortSignal
}

export class FolderPast {
  readonly archive: FolderArchive
  readonly restored = new Restored()
  readonly #deps: FolderPastDeps
  readonly #holdings: Holdings
  readonly #history: History
  readonly #turns: Turns
  readonly #upkeep: Upkeep
  readonly #sweep: Sweep
  readonly #copies: CopiesWatch
  readonly #nowhere: Nowhere
  #sweepProblems: readonly Problem[] = []
  #idling = false
  readonly #alones = new Serial()
  #settings: FolderSettings = DEFAULT_SETTINGS

  constructor(deps: FolderPastDeps) {
    this.#deps = deps
    const { device, disk, store, log, network, refusal, wake, stopped } = deps
    const replica = (): Replica => deps.cycle().replica
    const rows = (): Replica['rows'] => replica().rows
    const onPinned = (contents: readonly ContentId[]): void => this.touch(contents)
    const isDamaged = (row: Row): boolean => this.damage.has(row)
    const holdings = new Holdings({ rows, disk, store, network, isDamaged, onPinned })
    const history = new History({ device, store, holdings, network, nameKey: path => replica().tree.nameKey(path) })
    const turns = new Turns({ wake, stopped })
    this.#holdings = holdings
    this.#history = history
    this.#turns = turns
    this.#upkeep = new Upkeep({
      ...deps,
      rows,
      commit: batch => replica().commit(batch),
      alone: (work, options) => this.#alone(work, options),
      isOn: () => this.#settings.versions === 'all',
      isDoubted: stat => deps.cycle().isDoubted(stat),
      onWrote: (path, stat) => deps.cycle().wrote(path, stat),
      pin: contents => holdings.pin(contents),
    })
    const isWanted = (content: ContentId): boolean =>
      deps.cycle().wants.has(content) || disk.stage.has(content) || holdings.isPinned(content)
    const breathe = (options: Waiting): Promise<void> => deps.clock.sleep(1, options)
    this.#sweep = new Sweep({
      ...{ store, versions: disk.versions, clock: deps.clock, log },
      ...{ name: deps.name, nameOfDevice: deps.nameOfDevice },
      uses: usesOf({ rows, tree: () => replica().tree, isWanted, breathe }),
      held: () => rowContents(rows()),
      lost: () => this.#upkeep.lost,
      files: () => rows().size,
      space: () => disk.space(),
    })
    this.archive = new Archive({
      ...{ device, disk, store, log, network, replica, holdings, history, turns, refusal },
      restore: new Restore({ replica, holdings, restored: this.restored, turns, refusal }),
      now: () => deps.clock.now(),
      absent: () => deps.peers.absent().filter(({ device: other }) => network()?.isMember(other) !== false),
      onRevised: deps.onNews,
      onUntidy: deps.onUntidy,
      verify: options => this.#upkeep.verify(options),
      accept: (path, options) => this.#upkeep.accept(path, options),
    })
    this.#copies = new CopiesWatch({
      ...{ device, clock: deps.clock },
      copies: (path, options) => this.archive.copies(path, options),
      minCopies: () => this.#settings.minCopies,
      key: () => `${replica().tree.revision} ${deps.peers.key()}`,
    })
    this.#nowhere = new Nowhere({
      ...{ clock: deps.clock, holdings, network },
      wanted: () => this.#wants().size,
      missing: () => [...this.#wants().keys()].filter(content => !deps.disk.stage.has(content)),
      tree: () => replica().tree,
      key: () => `${replica().tree.revision} ${deps.peers.key()}`,
    })
  }

  /** Contents that are needed for what is under way. */
  get pinned(): ReadonlySet<ContentId> {
    return this.#holdings.pinned
  }

  configure(settings: FolderSettings): void {
    const begins = settings.versions === 'all' && this.#settings.versions !== 'all'
    this.#settings = settings
    if (begins) this.#upkeep.keepAll.begin()
    this.#deps.wake()
  }

  /** What was remembered; before the first cycle. */
  async load(): Promise<void> {
    const { store, peers } = this.#deps
    await this.restored.load(store)
    peers.load(await store.note('peers'))
    await this.#upkeep.load()
  }

  history(query: HistoryQuery, options: Waiting): Promise<readonly JournalEntry[]> {
    return this.#history.answer(query, options)
  }

  /** What this device says that it holds is not dropped for a while: somebody may rely on it. */
  async holds(contents: readonly ContentId[], options: Waiting): Promise<readonly boolean[]> {
    this.touch(contents.filter(content => this.#deps.disk.hasVersion(content)))
    return this.#holdings.holds(contents, options)
  }

  /** They are spoken for, and are not dropped for a while. */
  touch(contents: readonly ContentId[]): void {
    this.#sweep.touch(contents)
  }

  /** For the folder's status. */
  problems(): readonly Problem[] {
    const own = [this.#copies.problem, this.#upkeep.keepAll.problem].filter(problem => problem !== null)
    return [...this.#sweepProblems, ...own, ...this.#nowhere.problems()]
  }

  /** What was to be sent to a peer is not what it should be. */
  suspect(row: RowId): void {
    this.#upkeep.suspect(row)
  }

  /** A device was linked. True: the next quiet moment has something to do for it. */
  linked(): boolean {
    return this.#upkeep.linked()
  }

  get damage(): Damage {
    return this.#upkeep.damage
  }

  /** What these paths show now, where every version is kept. */
  keep(paths: Iterable<string>): Promise<void> {
    return this.#upkeep.keepAll.keep(paths, { signal: this.#deps.stopped })
  }

  /** Does it matter what other devices have, though nothing changes here? */
  get countsCopies(): boolean {
    return this.#settings.minCopies > 1
  }

  /** How much of the folder, in percent, another device may delete at once. */
  get maxDeletes(): number {
    return this.#settings.maxDeletes
  }

  /** The folder is at rest: sees what there is to do then. */
  refresh(): void {
    this.#nowhere.refresh()
  }

  /** ms until there is something to do while the folder is at rest. */
  nextMs(): number {
    return Math.min(this.#upkeep.nextMs(), this.#copies.nextMs(), this.#nowhere.nextMs())
  }

  /** One piece of what is due, between two cycles; its signal ends it without an error. */
  async idle(options: Waiting): Promise<void> {
    this.#idling = true
    try {
      if (this.#nowhere.nextMs() <= 0) {
        if (await this.#ask(work => this.#nowhere.ask(work), options)) this.#deps.onProblems()
      } else if (this.#copies.nextMs() > 0) {
        const before = this.#upkeep.keepAll.problem?.message
        await this.#upkeep.idle(options)
        if (this.#upkeep.keepAll.problem?.message !== before) this.#deps.onProblems()
      } else if (await this.#ask(work => this.#copies.count(work), options)) this.#deps.onProblems()
    } finally {
      await this.#alones.ended()
      this.#idling = false
    }
  }

  #wants(): ReadonlyMap<ContentId, unknown> {
    try {
      return this.#deps.cycle().wants
    } catch (error) {
      if (isKithError(error) && error.code === 'stopped') return new Map()
      throw error
    }
  }

  /** Of the others, about their contents; false where it is to be done again. */
  async #ask(work: (options: Waiting) => Promise<boolean>, options: Waiting): Promise<boolean> {
    try {
      return await work(options)
    } catch (error) {
      if (options.signal.aborted) return false
      throw error
    }
  }

  /** In a turn between two cycles; where that is now, one after the other. */
  #alone<T>(work: () => Promise<T>, options: Waiting): Promise<T> {
    if (!this.#idling) return this.#turns.take(work, this.#deps.refusal, options)
    return this.#alones.run(work)
  }

  /** Between two cycles: whoever waits for that. */
  turn(): Promise<void> {
    return this.#turns.run()
  }

  /** The folder stops: what is known of the others is all that there will be of it when they are away at the next start. */
  last(cycle: Cycle, state: FolderState): Promise<void> {
    return this.#storePeers(cycle, state, { last: true })
  }

  async #storePeers(cycle: Cycle, state: FolderState, options: { readonly last?: boolean } = {}): Promise<void> {
    const { clock, peers, store } = this.#deps
    const at = { now: clock.now(), journalLength: store.journalLength }
    const known = peers.due(state, at, clock.elapsed(), options)
    if (known !== null) await cycle.replica.commit(known)
  }

  /** Nothing else is to be done now. */
  async quiet(cycle: Cycle, state: FolderState): Promise<void> {
    const { sweepTurn, stopped } = this.#deps
    await this.#storePeers(cycle, state)
    if (cycle.busy) return
    const isThrough = !cycle.unfinished && cycle.wants.size === 0
    if (isThrough && !this.restored.empty) await cycle.replica.commit(this.restored.clear())
    // While it is not known what belongs in the folder, it is not known either what is of no use. What is missing may come from nowhere, or
    // wait for the room that is made here.
    if (!this.#sweep.due || cycle.replica.rejoining || cycle.replica.pulling) return
    const run = () => this.#sweep.run({ signal: stopped, settings: this.#settings })
    const outcome = await sweepTurn.take(run)
    if (outcome === null) return
    this.#sweepProblems = outcome.problems
    await this.#upkeep.forgetLost([...outcome.dropped, ...outcome.forgotten])
  }
}
