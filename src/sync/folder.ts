// The engine of one folder: one loop, one cycle at a time. A cycle looks (root, dirty directories), says what a person did, merges and
// applies what others did, and asks for what is missing. Everything that happens only calls wake(). Interrupted anywhere, the next cycle
// looks and compares again. No work list is kept beyond hints: rows, documents and disk are the truth.
import type { Clock } from '../core/clock.ts'
import { MAX_CHUNK_BYTES } from '../core/content.ts'
import { isKithError, KithError } from '../core/errors.ts'
import type { Emit } from '../core/events.ts'
import type { ContentId, DeviceId, DocId, FolderId, Hash, NodeId } from '../core/ids.ts'
import { ROOT_NODE } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type {
  DocUpdate,
  FolderDisk,
  FolderNetwork,
  FolderState,
  FolderStore,
  Problem,
  Waiting,
  Watch,
} from '../core/ports.ts'
import type { Conflict, FolderActivity, FolderEngine, FolderStatus } from '../core/status.ts'
import { Applier, lookAfter } from './applier.ts'
import { listConflicts } from './conflicts.ts'
import { ContentServer } from './content-server.ts'
import { Dirty } from './dirty.ts'
import { Fetcher } from './fetcher.ts'
import { parentPath } from './local-changes.ts'
import { Observer } from './observer.ts'
import { Peers } from './peers.ts'
import { makePlan, type Plan, type Want } from './plan.ts'
import { Publisher } from './publisher.ts'
import { Replica } from './replica.ts'
import { type Halt, haltOf } from './safety.ts'
import { Signal } from './signal.ts'
import { TextMerger } from './text-merger.ts'

const RESCAN_MIN_MS = 10 * 60_000
/** A full rescan may cost this share of the time between two. */
const RESCAN_COST_FACTOR = 150
const RETRY_MS = 10_000
/** A refused step finds a local change: looked at at once, but never in a tight loop. */
const LOCAL_CHANGE_MS = 50

export interface EngineDeps {
  readonly disk: FolderDisk
  readonly store: FolderStore
  readonly clock: Clock
  /** [0, 1) */
  readonly random: () => number
  readonly emit: Emit
  readonly log: Log
  readonly mergeText: (base: Uint8Array, a: Uint8Array, b: Uint8Array, options: Waiting) => Promise<Uint8Array | null>
}

export interface EngineOptions {
  readonly id: FolderId
  readonly name: string
  readonly device: DeviceId
  readonly deviceName: string
  readonly foldsCase: boolean
  /** A `get`: nothing is published before another device's documents were pulled. */
  readonly pull: boolean
}

export function createFolderEngine(deps: EngineDeps, options: EngineOptions): FolderEngine {
  return new Engine(deps, options)
}

/** What is built over one loaded replica, and thrown away with it. */
interface Live {
  readonly replica: Replica
  readonly publisher: Publisher
  readonly merger: TextMerger
  readonly applier: Applier
}

class Engine implements FolderEngine {
  readonly id: FolderId
  readonly name: string
  readonly #deps: EngineDeps
  readonly #options: EngineOptions
  readonly #dirty: Dirty
  readonly #peers = new Peers()
  readonly #observer: Observer
  readonly #fetcher: Fetcher
  readonly #server: ContentServer
  readonly #wake = new Signal({ sticky: true })
  readonly #changed = new Signal({ sticky: false })
  readonly #cycled = new Signal({ sticky: false })
  readonly #stop = new AbortController()
  readonly #stepProblems = new Map<string, Problem>()
  readonly #watchProblems = new Map<string, Problem>()
  /** Directories and nodes whose plan is not carried out yet. */
  #scope = { directories: new Set<NodeId>(), nodes: new Set<NodeId>() }
  #wants = new Map<ContentId, Want>()
  #waiting = new Map<ContentId, Set<NodeId>>()
  #live: Live | null = null
  #network: FolderNetwork | null = null
  #watch: Watch | null = null
  #loop: Promise<void> = Promise.resolve()
  #halt: Halt | null = null
  #paused = false
  #believe = false
  #activity: FolderActivity = 'scanning'
  /** The first full look since the start (or since a halt ended) was published. */
  #scanned = false
  #working = false
  #cycles = 0
  #fullScans = 0
  #scanning = false
  /** Something was staged since the last sweep. */
  #untidy = true
  #nextRescanAt = 0
  #lastState = ''

  constructor(deps: EngineDeps, options: EngineOptions) {
    this.#deps = deps
    this.#options = options
    this.id = options.id
    this.name = options.name
    this.#dirty = new Dirty(deps.clock)
    this.#observer = new Observer({
      disk: deps.disk,
      now: () => deps.clock.now(),
      watch: () => this.#watch,
      lookLater: (path, ms) => this.#dirty.addLater(path, ms),
    })
    this.#fetcher = new Fetcher({
      disk: deps.disk,
      store: deps.store,
      clock: deps.clock,
      log: deps.log,
      rows: () => this.#replica().rows,
      network: () => this.#network,
      onStaged: contents => this.#onStaged(contents),
      onNoSpace: message => this.#setHalt({ code: 'disk-full', message, person: false }),
    })
    this.#server = new ContentServer({ rows: () => this.#replica().rows, disk: deps.disk, store: deps.store })
  }

  get path(): string {
    return this.#deps.disk.root
  }

  // ------------------------------------------------------------------------------------------------ life

  async start(): Promise<void> {
    await this.#load()
    const root = await this.#deps.disk.check({ hadEntries: this.#replica().rows.size > 1 })
    if (root.state === 'ok') await this.#deps.disk.recover()
    this.#loop = this.#run()
  }

  async stop(): Promise<void> {
    if (!this.#stop.signal.aborted) this.#stop.abort(new KithError('stopped', 'The folder was stopped.'))
    this.#wake.fire()
    await this.#loop
    await this.#fetcher.stop()
    await this.#watch?.close()
    this.#watch = null
    await this.#live?.replica.drained()
    await this.#deps.disk.close()
    this.#changed.fire()
    this.#cycled.fire()
  }

  attach(network: FolderNetwork): void {
    this.#network = network
    this.#fetcher.kick()
    this.#wake.fire()
  }

  async #load(): Promise<void> {
    const { disk, store, clock, random, emit } = this.#deps
    const { id, device, deviceName, foldsCase, pull } = this.#options
    const replica = await Replica.load(
      {
        store,
        now: () => clock.now(),
        random,
        emit,
        announce: (updates, from) => this.#network?.announce(updates, from),
        onBroken: error => this.#onBroken(error),
      },
      { folder: id, device, deviceName, foldsCase, pull },
    )
    const { rows, tree } = replica
    const commit = (batch: Parameters<Replica['commit']>[0]): Promise<void> => replica.commit(batch)
    const now = (): number => clock.now()
    const publisher = new Publisher({
      rows,
      tree,
      disk,
      now,
      elapsed: () => clock.elapsed(),
      device,
      commit: async batch => {
        await replica.commit({
          ...batch,
          dots: batch.dots.flatMap(({ row, content }) => dotsOf(replica, row, content)),
        })
        for (const { action, path } of batch.journal) emit({ type: 'file:published', folder: id, path, action })
      },
      onProblem: problem => this.#stepProblems.set(problem.path, problem),
      onAdopted: directory => this.#scope.directories.add(directory),
    })
    const merger = new TextMerger({
      folder: id,
      device,
      rows,
      tree,
      disk,
      store,
      now,
      commit,
      merge: this.#deps.mergeText,
      emit,
    })
    const deviceOf = (node: NodeId): DeviceId => lastWriter(replica, node) ?? device
    const applier = new Applier({ folder: id, rows, disk, fetcher: this.#fetcher, now, commit, deviceOf, emit })
    this.#live = { replica, publisher, merger, applier }
    this.#scope = { directories: new Set([ROOT_NODE]), nodes: new Set() }
    for (const entry of tree.allEntries()) {
      this.#scope.directories.add(entry.directory)
      if (entry.copy) for (const node of entry.nodes) this.#scope.nodes.add(node)
    }
    for (const row of rows.all()) for (const ref of row.nodes) this.#scope.nodes.add(ref.id)
    tree.takeChanges()
  }

  #replica(): Replica {
    if (this.#live === null) throw new KithError('stopped', 'The folder is not running.')
    return this.#live.replica
  }

  /** A commit failed: nothing that is only in memory counts. Wait, load again, look at everything. */
  #onBroken(error: KithError): void {
    this.#setHalt({ code: error.code === 'no-space' ? 'disk-full' : error.code, message: error.message, person: false })
  }

  // ------------------------------------------------------------------------------------------------ the loop

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      let next = RETRY_MS
      try {
        next = this.#paused ? RESCAN_MIN_MS : await this.#cycle({ signal })
      } catch (error) {
        if (signal.aborted) break
        this.#onCycleFailed(error)
      }
      this.#setActivity()
      if (next > 0) await this.#idle(next)
    }
  }

  #onCycleFailed(error: unknown): void {
    this.#working = false
    this.#dirty.addAll()
    if (isKithError(error) && error.code === 'no-space')
      this.#setHalt({ code: 'disk-full', message: error.message, person: false })
    else if (this.#halt === null) {
      this.#deps.log.error({ err: error }, 'a cycle failed and will be tried again')
      const message = `This folder could not be brought up to date (${String(error)}); it is tried again.`
      this.#setHalt({ code: isKithError(error) ? error.code : 'internal', message, person: false })
    }
  }

  /** Waits for a wake, the next due look, or the rescan timer. */
  async #idle(ms: number): Promise<void> {
    const untilRescan = Math.max(0, this.#nextRescanAt - this.#deps.clock.elapsed())
    const wait = Math.min(ms, this.#dirty.nextDueMs() ?? ms, this.#scanned ? untilRescan : ms)
    await this.#wake.wait(wait, this.#deps.clock, this.#stop.signal)
    if (this.#scanned && this.#deps.clock.elapsed() >= this.#nextRescanAt) this.#dirty.addAll()
  }

  /** One cycle; returns how long to wait for a wake before the next (0: more to do at once). */
  async #cycle(options: Waiting): Promise<number> {
    if (this.#live === null || this.#live.replica.broken !== null) await this.#reload()
    const live = this.#live
    if (live === null) return RETRY_MS
    if (!(await this.#rootIsGood(live))) return RETRY_MS
    if (live.replica.pulling) {
      if (!this.#peers.anyCompared()) return RETRY_MS
      await live.replica.endPull()
    }
    this.#working = true
    this.#setActivity()
    const more = (await this.#look(live, options)) && (await this.#follow(live, options))
    this.#working = false
    this.#cycles++
    this.#cycled.fire()
    this.#stateChanged()
    if (more || this.#dirty.now) return 0
    if (this.#scanned) await this.#tidy(live)
    return RESCAN_MIN_MS
  }

  /** A quiet moment: long logs become snapshots, and what was staged for nothing goes. */
  async #tidy(live: Live): Promise<void> {
    await live.replica.compact()
    if (!this.#untidy || this.#wants.size > 0 || this.#scope.directories.size > 0) return
    this.#untidy = false
    await this.#deps.disk.stage.sweep(new Set())
  }

  async #reload(): Promise<void> {
    await this.#live?.replica.drained()
    this.#live = null
    await this.#load()
    this.#dirty.addAll()
    this.#scanned = false
  }

  async #rootIsGood(live: Live): Promise<boolean> {
    const halt = haltOf(await this.#deps.disk.check({ hadEntries: live.replica.rows.size > 1 }))
    if (halt !== null) {
      this.#setHalt(halt)
      return false
    }
    if (this.#halt !== null) {
      // It is the very same root again, or there is room again: nothing to decide.
      this.#halt = null
      this.#dirty.addAll()
      this.#scanned = false
      await this.#deps.disk.recover()
      this.#deps.emit({ type: 'folder:resumed', folder: this.id })
    }
    return true
  }

  /** LOCAL → SHARED. False: the root went away under the scan. */
  async #look(live: Live, options: Waiting): Promise<boolean> {
    if (!this.#dirty.now) return true
    this.#watch ??= this.#deps.disk.watch({
      onDirty: path => this.#hint(() => this.#dirty.add(path)),
      onDoubt: () => this.#hint(() => this.#dirty.addAll()),
      onDegraded: problem => this.#watchProblems.set(problem.path, problem),
    })
    const batch = this.#dirty.take()
    this.#scanning = batch.all
    const from = this.#deps.clock.elapsed()
    try {
      const { changes, looked } = await this.#observer.observe(live.replica.rows, batch, options)
      if (changes.lost.length > 0 && !this.#believe && !(await this.#rootIsGood(live))) {
        this.#dirty.addAll()
        return false
      }
      for (const path of [...this.#stepProblems.keys()]) if (looked(parentPath(path))) this.#stepProblems.delete(path)
      const { again } = await live.publisher.publish(changes, { ...options, believe: this.#believe, looked })
      for (const { path, afterMs } of again) this.#dirty.addLater(path, afterMs)
    } catch (error) {
      this.#dirty.addAll()
      throw error
    } finally {
      this.#scanning = false
    }
    if (batch.all) {
      this.#believe = false
      this.#scanned = true
      this.#fullScans++
      const cost = this.#deps.clock.elapsed() - from
      this.#nextRescanAt = this.#deps.clock.elapsed() + Math.max(RESCAN_MIN_MS, cost * RESCAN_COST_FACTOR)
    }
    return true
  }

  #hint(add: () => void): void {
    add()
    this.#wake.fire()
  }

  /** SHARED → LOCAL. True: there is more to do at once. */
  async #follow(live: Live, options: Waiting): Promise<boolean> {
    const { replica, merger, applier } = live
    const { tree, rows } = replica
    if (!this.#scanned) return false
    const changes = tree.takeChanges()
    for (const directory of changes.directories) this.#scope.directories.add(directory)
    for (const node of changes.nodes) this.#scope.nodes.add(node)
    const mergeWants = await merger.run(this.#scope.nodes, options)
    const scope = this.#scope
    this.#scope = { directories: new Set(), nodes: new Set() }
    try {
      const { stage } = this.#deps.disk
      const staged = (content: ContentId): boolean => stage.has(content)
      const plan = makePlan({ rows, tree, ...scope, staged, held: node => merger.holds(node) })
      this.#noteWants(scope.directories, plan, mergeWants)
      const { applied, failed } = await applier.apply(plan, options)
      for (const { path } of [...plan.puts, ...plan.structure, ...plan.removals]) this.#stepProblems.delete(path)
      for (const { planned, problem } of failed) {
        const look = lookAfter(problem, planned)
        this.#dirty.addLater(look.path, look.local ? LOCAL_CHANGE_MS : RETRY_MS)
        this.#scope.directories.add(planned.directory)
        if (!look.local) this.#stepProblems.set(problem.path, problem)
      }
      for (const directory of plan.again) this.#scope.directories.add(directory)
      return applied > 0 && this.#scope.directories.size > 0
    } catch (error) {
      for (const directory of scope.directories) this.#scope.directories.add(directory)
      for (const node of scope.nodes) this.#scope.nodes.add(node)
      throw error
    }
  }

  /** Replaces what these directories want; asks the fetcher for the whole. */
  #noteWants(directories: ReadonlySet<NodeId>, plan: Plan, mergeWants: readonly Want[]): void {
    for (const [content, wanting] of [...this.#waiting]) {
      for (const directory of directories) wanting.delete(directory)
      if (wanting.size === 0) {
        this.#waiting.delete(content)
        this.#wants.delete(content)
      }
    }
    for (const want of [...plan.wants, ...mergeWants]) {
      const wanting = this.#waiting.get(want.content)
      if (wanting === undefined) this.#waiting.set(want.content, new Set([want.directory]))
      else wanting.add(want.directory)
      this.#wants.set(want.content, want)
    }
    this.#fetcher.want(this.#wants)
  }

  #onStaged(contents: readonly ContentId[]): void {
    this.#untidy = true
    for (const content of contents)
      for (const directory of this.#waiting.get(content) ?? []) this.#scope.directories.add(directory)
    this.#wake.fire()
  }

  // ------------------------------------------------------------------------------------------------ what the network asks

  digests(): ReadonlyMap<DocId, Uint8Array> {
    return this.#replica().tree.digests()
  }

  stateVector(doc: DocId): Uint8Array {
    return this.#replica().tree.stateVector(doc)
  }

  missing(doc: DocId, stateVector: Uint8Array): Uint8Array {
    return this.#replica().tree.missing(doc, stateVector)
  }

  async receive(
    updates: readonly DocUpdate[],
    from: DeviceId,
  ): Promise<{ gaps: readonly DocId[]; refused: string | null }> {
    const result = await this.#replica().receive(updates, from)
    this.#wake.fire()
    this.#stateChanged()
    return result
  }

  state(): FolderState {
    let needBytes = 0
    for (const want of this.#wants.values()) needBytes += want.size
    const digest = this.#live?.replica.tree.digest() ?? ''
    return { digest, needFiles: this.#wants.size, needBytes, settled: this.#settled() }
  }

  onPeerState(device: DeviceId, state: FolderState | null): void {
    this.#peers.heard(device, state, this.state(), this.#deps.clock.now())
    if (state !== null) this.#fetcher.kick()
    this.#changed.fire()
  }

  onCompared(device: DeviceId): void {
    this.#peers.compared(device)
    this.#wake.fire()
    this.#changed.fire()
  }

  readWhole(content: ContentId, options: Waiting): Promise<Uint8Array | null> {
    return this.#server.readWhole(content, MAX_CHUNK_BYTES, options)
  }

  readTop(content: ContentId): Promise<{ top: Uint8Array; size: number } | null> {
    return this.#server.readTop(content)
  }

  readSegment(hash: Hash): Promise<Uint8Array | null> {
    return this.#server.readSegment(hash)
  }

  readChunk(hash: Hash, options: Waiting): Promise<Uint8Array | null> {
    return this.#server.readChunk(hash, options)
  }

  // ------------------------------------------------------------------------------------------------ what a person asks

  status(): FolderStatus {
    const rows = this.#live?.replica.rows
    const state = this.state()
    return {
      id: this.id,
      name: this.name,
      path: this.path,
      state: this.#activity,
      error: this.#halt === null ? null : { code: this.#halt.code, message: this.#halt.message },
      problems: [...this.#observer.problems(), ...this.#stepProblems.values(), ...this.#watchProblems.values()],
      ...(rows?.totals ?? { files: 0, directories: 0, bytes: 0 }),
      need: { files: state.needFiles, bytes: state.needBytes },
      conflicts: this.conflicts().length,
      peers: this.#peers.status(state),
    }
  }

  conflicts(): readonly Conflict[] {
    return this.#live === null ? [] : listConflicts(this.#live.replica.tree)
  }

  async pause(): Promise<void> {
    this.#paused = true
    this.#setActivity()
    while (this.#working && !this.#stop.signal.aborted)
      await this.#cycled.wait(null, this.#deps.clock, this.#stop.signal)
  }

  async resume(): Promise<void> {
    this.#paused = false
    this.#hint(() => this.#dirty.addAll())
  }

  async approve(): Promise<void> {
    this.#needHalt()
    await this.#deps.disk.accept()
    this.#believe = true
    this.#live?.publisher.reset()
    this.#hint(() => this.#dirty.addAll())
  }

  async reject(): Promise<void> {
    this.#needHalt()
    await this.#deps.disk.accept()
    // What this device believed to have is forgotten: all that the shared tree shows is wanted again, what lies here is new or equal.
    const { rows } = this.#replica()
    for (const row of [...rows.all()]) if (row.parent !== row.id) rows.delete(row.id)
    await this.#replica().commit({})
    for (const entry of this.#replica().tree.allEntries()) this.#scope.directories.add(entry.directory)
    this.#hint(() => this.#dirty.addAll())
  }

  #needHalt(): void {
    if (this.#halt?.person !== true)
      throw new KithError('folder-halted', `Nothing is held in ${this.name}: there is nothing to approve or reject.`)
  }

  async rescan({ signal }: Waiting): Promise<void> {
    const target = this.#fullScans + (this.#scanning ? 2 : 1)
    this.#hint(() => this.#dirty.addAll())
    while (this.#fullScans < target || this.#working) {
      if (this.#halt !== null) throw new KithError('folder-halted', this.#halt.message)
      if (this.#paused)
        throw new KithError('folder-paused', `${this.name} is paused: run kith folder resume ${this.name}.`)
      await this.#cycled.wait(null, this.#deps.clock, AbortSignal.any([signal, this.#stop.signal]))
      signal.throwIfAborted()
      this.#stop.signal.throwIfAborted()
    }
  }

  async changed({ signal }: Waiting): Promise<void> {
    await this.#changed.wait(null, this.#deps.clock, signal)
    signal.throwIfAborted()
  }

  // ------------------------------------------------------------------------------------------------ state

  /** Nothing is dirty, waited for a second look, or half done; what is missing is counted in need. */
  #settled(): boolean {
    if (!this.#scanned || this.#working || this.#halt !== null || this.#paused || this.#live === null) return false
    return this.#dirty.empty && this.#live.replica.broken === null
  }

  #setHalt(halt: Halt): void {
    const before = this.#halt
    this.#halt = halt
    this.#working = false
    if (before?.code !== halt.code) {
      this.#deps.log.warn({ code: halt.code }, 'folder halted')
      this.#deps.emit({ type: 'folder:halted', folder: this.id, code: halt.code, message: halt.message })
    }
    this.#setActivity()
    this.#cycled.fire()
    this.#stateChanged()
  }

  #setActivity(): void {
    const next = this.#activityNow()
    if (next === this.#activity) return
    this.#activity = next
    this.#deps.emit({ type: 'folder:state', folder: this.id, state: next })
    this.#changed.fire()
  }

  #activityNow(): FolderActivity {
    if (this.#paused) return 'paused'
    if (this.#halt !== null) return 'error'
    if (this.#live?.replica.pulling === true) return 'syncing'
    if (!this.#scanned || (this.#working && this.#cycles === 0)) return 'scanning'
    if (this.#wants.size > 0 || this.#scope.directories.size > 0 || this.#working) return 'syncing'
    return this.#dirty.empty ? 'idle' : 'scanning'
  }

  #stateChanged(): void {
    this.#setActivity()
    const state = JSON.stringify(this.state())
    if (state === this.#lastState) return
    this.#lastState = state
    this.#network?.stateChanged()
    this.#changed.fire()
  }
}

function dotsOf(
  replica: Replica,
  rowId: Parameters<Replica['rows']['get']>[0],
  content: ContentId,
): { node: NodeId; actor: Parameters<FolderStore['contentOfDot']>[1]; seq: number; content: ContentId }[] {
  const row = replica.rows.get(rowId)
  return (row?.nodes ?? []).flatMap(ref =>
    ref.versions
      .filter(v => v.content === content)
      .map(({ dot }) => ({ node: ref.id, actor: dot.actor, seq: dot.seq, content })),
  )
}

function lastWriter(replica: Replica, node: NodeId): DeviceId | undefined {
  const state = replica.tree.node(node)
  const newest = state?.versions.reduce(
    (a, b) => (b.dot.seq > a.dot.seq ? b : a),
    state.versions[0] as (typeof state.versions)[number],
  )
  return newest && replica.tree.actors().get(newest.dot.actor)?.device
}
