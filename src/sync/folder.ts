// The engine of one folder: one loop, one cycle at a time. Everything that happens only calls wake(). Interrupted anywhere, the next cycle
// looks and compares again: rows, documents and disk are the truth. A root that is not the one it was, a full disk or a database that
// cannot be written halts this folder, with a reason, and nothing else.
import { setMaxListeners } from 'node:events'
import type { Clock } from '../core/clock.ts'
import { printable } from '../core/display.ts'
import { isKithError, KithError } from '../core/errors.ts'
import type { Emit } from '../core/events.ts'
import type { ContentId, DeviceId, DocId, FolderId, Hash } from '../core/ids.ts'
import { ROOT_ROW } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { HistoryQuery, JournalEntry } from '../core/past.ts'
import type {
  DocUpdate,
  FolderDisk,
  FolderNetwork,
  FolderState,
  FolderStore,
  PastQuery,
  Problem,
  Together,
  Waiting,
  Watch,
} from '../core/ports.ts'
import type {
  Conflict,
  FolderActivity,
  FolderArchive,
  FolderEngine,
  FolderSettings,
  FolderStatus,
  Shown,
} from '../core/status.ts'
import { Beginnings } from './beginnings.ts'
import { loadHeld } from './brake.ts'
import { type Company, isAlone, type PairedDevice, whomToWaitFor } from './company.ts'
import { entryPath, listConflicts } from './conflicts.ts'
import { ContentServer } from './content-server.ts'
import { Cycle } from './cycle.ts'
import { Dirty } from './dirty.ts'
import { EarlyContents } from './early-contents.ts'
import { Fetcher } from './fetcher.ts'
import { FolderPast } from './folder-past.ts'
import { Intents } from './intents.ts'
import { JournalKeeper } from './journal-keeper.ts'
import { parentPath } from './local-changes.ts'
import { lastStored } from './observer.ts'
import { Everybody, isCurrent, Past } from './past.ts'
import { Peers } from './peers.ts'
import { Prefetch } from './prefetch.ts'
import { PUBLISH_LIMITS, type PublishLimits } from './publisher.ts'
import { Replica } from './replica.ts'
import { type Halt, haltOf } from './safety.ts'
import { Signal } from './signal.ts'
import type { SweepTurn } from './sweep-turn.ts'
import type { Refusal } from './turns.ts'

const RESCAN_MIN_MS = 10 * 60_000
/** A full rescan may cost this share of the time between two. */
const RESCAN_COST_FACTOR = 150
/** After a start a linked device may know better what is new here: its documents are waited for, but not longer than this. */
const COMPARE_FIRST_MS = 5_000
/** What a peer's question found to be stale is looked at after this: many ask at once, and ask again. */
const STALE_MS = 100
/** Where all that are linked wait for somebody who knows what belongs in the folder, that one has this long to come. */
const GO_FIRST_MS = 30_000
/** While the folder waits for those who may know better: how often it is seen whether there are any left. */
const STILL_PAIRED_MS = 30_000
/** While halted: how often the root is looked at. */
const RETRY_MS = 5_000
/** Of a folder whose documents are not loaded: it equals that of none which is. */
const NO_DIGEST = '0'.repeat(64)

export interface EngineDeps {
  readonly disk: FolderDisk
  readonly store: FolderStore
  readonly clock: Clock
  /** [0, 1) */
  readonly random: () => number
  readonly emit: Emit
  readonly log: Log
  /** Off the main loop; null where the changes overlap or it is no text. */
  readonly mergeText: (base: Uint8Array, a: Uint8Array, b: Uint8Array, options: Waiting) => Promise<Uint8Array | null>
  readonly limits?: PublishLimits
  /** Of all folders whose disks may be the same. */
  readonly sweepTurn: SweepTurn
  /** What a person types to mean that device, as it is called now. */
  readonly nameOfDevice: (device: DeviceId) => string
  /** The other devices of this person; right once the folder is on the network. */
  readonly paired: () => readonly PairedDevice[]
}

export interface EngineOptions {
  readonly id: FolderId
  readonly name: string
  readonly device: DeviceId
  readonly deviceName: string
  readonly foldsCase: boolean
  /** A `get`: nothing is published before another device's documents were pulled. */
  readonly pull: boolean
  /** The home is a copy of another one: what it knows may be old. */
  readonly rejoin: boolean
}

export function createFolderEngine(deps: EngineDeps, options: EngineOptions): FolderEngine {
  return new Engine(deps, options)
}

class Engine implements FolderEngine {
  readonly id: FolderId
  readonly name: string
  readonly #deps: EngineDeps
  readonly #options: EngineOptions
  readonly #dirty: Dirty
  readonly #fetcher: Fetcher
  readonly #prefetch: Prefetch
  readonly #beginnings: Beginnings
  readonly #server: ContentServer
  readonly #peers = new Peers()
  readonly #past: Past
  readonly #everybody: Everybody
  readonly #ages: FolderPast
  readonly #journal: JournalKeeper
  readonly #intents: Intents
  readonly #watchProblems = new Map<string, Problem>()
  /** Why the watcher may have missed changes, since everything was last looked at. */
  readonly #doubts = new Set<string>()
  readonly #wake = new Signal({ sticky: true })
  readonly #changed = new Signal({ sticky: false })
  readonly #cycled = new Signal({ sticky: false })
  readonly #stop = new AbortController()
  #cycle: Cycle | null = null
  #network: FolderNetwork | null = null
  #watch: Watch | null = null
  #loop: Promise<void> = Promise.resolve()
  #halt: Halt | null = null
  #paused = false
  #toldHeld = false
  /** A person said that what is gone is really gone. */
  #believe = false
  /** A person said that what is gone is to come back. */
  #rejected = false
  #activity: FolderActivity = 'scanning'
  /** The first full look since the start (or since a halt ended) was published. */
  #scanned = false
  #working = false
  /** The last step did not wait for another device, or for an answer to a halt. */
  #mayLook = false
  /** Something came that was not compared with the disk yet. */
  #received = false
  /** A piece of what is done in quiet moments runs. */
  #keepsUp = false
  #fullScanning = false
  /** What changed here is being read. */
  #looking = false
  #fullScans = 0
  #nextRescanAt = 0
  /** What others have is to be learnt first, and nobody who knows is linked. */
  #waitsForPeer = false
  /** Since when nobody could come but somebody unknown, and this device would go on (monotone ms). */
  #firstSince: number | null = null
  /** While it rejoins: the other devices that the copy of the journal has heard of. */
  #writers: ReadonlySet<DeviceId> = new Set()
  #saidAlone = false
  /** Until then (or until compared) nothing is looked at. */
  #compareFirstUntil = 0
  /** Something may lie staged for nothing. */
  #untidy = true
  #lastState = ''

  constructor(deps: EngineDeps, options: EngineOptions) {
    this.#deps = deps
    this.#options = options
    this.id = options.id
    this.name = options.name
    const { disk, store, clock, log } = deps
    // Everything that waits listens to it; none of them stays.
    setMaxListeners(0, this.#stop.signal)
    const replica = (): Replica => this.#live().replica
    const rows = (): Replica['rows'] => replica().rows
    const network = (): FolderNetwork | null => this.#network
    this.#dirty = new Dirty(clock)
    const early = new EarlyContents()
    const prefetch = new Prefetch({
      ...{ disk, store, clock, log, rows, network, early },
      mayBegin: () => this.#mayPrefetch(),
      onOver: () => this.#wake.fire(),
    })
    this.#beginnings = new Beginnings({ early, network })
    this.#fetcher = new Fetcher({
      disk,
      early,
      prefetch,
      store,
      clock,
      log,
      rows,
      network,
      onStaged: contents => {
        this.#untidy = true
        this.#cycle?.onStaged(contents)
        // Without news a halted folder looks again in its own time.
        if (contents.length > 0 || this.#halt === null) this.#wake.fire()
      },
      onNoSpace: message => {
        // What came ahead has no right to the room.
        void this.#prefetch.stop()
        this.#untidy = true
        this.#setHalt({ code: 'disk-full', message, person: false })
      },
      onProblem: () => this.#changed.fire(),
    })
    this.#prefetch = prefetch
    this.#past = new Past({ store, nameKey: name => replica().tree.nameKey(name) })
    this.#everybody = new Everybody({ clock, network, here: (...asked) => this.#pastHere(...asked) })
    this.#ages = new FolderPast({
      ...deps,
      ...{
        folder: options.id,
        name: options.name,
        device: options.device,
        peers: this.#peers,
        network,
        stopped: this.#stop.signal,
      },
      cycle: () => this.#live(),
      refusal: () => this.#refusal(),
      wake: () => this.#wake.fire(),
      onNews: () => this.#news(),
      onUntidy: () => this.#hint(() => (this.#untidy = true)),
      onDirty: path => this.#onFound(path),
      onProblems: () => this.#changed.fire(),
    })
    this.#intents = new Intents(store)
    this.#journal = new JournalKeeper({ store, disk, log, device: options.device, now: () => clock.now() })
    const onStale = (path: string): void =>
      this.#hint(() => this.#dirty.addLater(parentPath(path), STALE_MS, { quiet: true }))
    this.#server = new ContentServer({
      ...{ rows, disk, store, early, onStale },
      onServed: content => this.#ages.touch([content]),
      onDamaged: row => this.#ages.suspect(row),
      onFailed: error => deps.log.debug({ error: String(error) }, 'a chunk that was asked for could not be looked for'),
    })
  }

  get archive(): FolderArchive {
    return this.#ages.archive
  }

  get path(): string {
    return this.#deps.disk.root
  }

  // ------------------------------------------------------------------------------------------------ life

  async start(): Promise<void> {
    try {
      await this.#load()
      if (await this.#rootIsGood()) await this.#recover()
    } catch (error) {
      // A full disk, a database that cannot be read: the folder says so, and the loop tries again.
      if (!this.#stop.signal.aborted) this.#onStepFailed(error)
    }
    this.#loop = this.#run()
  }

  #recover(): Promise<void> {
    const rows = this.#cycle?.replica.rows
    return this.#deps.disk.recover(rows === undefined ? [] : this.#intents.moves(rows))
  }

  async stop(): Promise<void> {
    if (!this.#stop.signal.aborted) this.#stop.abort(new KithError('stopped', 'The folder was stopped.'))
    await this.#loop
    await this.#fetcher.stop()
    await this.#prefetch.stop()
    await this.#watch?.close()
    this.#watch = null
    await this.#sayLast()
    await this.#cycle?.replica.drained()
    await this.#deps.disk.close()
    this.#changed.fire()
    this.#cycled.fire()
  }

  async #sayLast(): Promise<void> {
    const cycle = this.#cycle
    if (cycle === null || cycle.replica.broken !== null) return
    try {
      await this.#ages.last(cycle, this.state())
      if (this.#settled() && cycle.isThrough) await cycle.replica.noteCompared()
    } catch (error) {
      this.#deps.log.warn({ err: error }, 'what is known of other devices could not be stored')
    }
  }

  attach(network: FolderNetwork): void {
    this.#network = network
    this.#fetcher.kick()
    this.#wake.fire()
  }

  async #load(): Promise<void> {
    const { disk, store, clock, random, emit, mergeText, nameOfDevice, limits = PUBLISH_LIMITS } = this.#deps
    const { id, device } = this.#options
    await this.#journal.open({ signal: this.#stop.signal })
    const replica = await Replica.load(
      {
        journal: this.#journal,
        store,
        now: () => clock.now(),
        random,
        emit,
        announce: (updates, from) => this.#network?.announce(updates, from),
        onBroken: error =>
          this.#setHalt({
            code: error.code === 'no-space' ? 'disk-full' : error.code,
            message: error.message,
            person: false,
          }),
        onRolledBack: from => this.#onRolledBack(from),
      },
      { ...this.#options, folder: id },
    )
    this.#writers = replica.rejoining ? await this.#journal.others({ signal: this.#stop.signal }) : new Set()
    await this.#ages.load()
    await this.#intents.load(replica.rows)
    // What was never stored is no older than what others know.
    this.#compareFirstUntil = replica.old ? clock.elapsed() + COMPARE_FIRST_MS : 0
    this.#cycle = new Cycle(
      {
        folder: id,
        device,
        disk,
        store,
        clock,
        emit,
        merge: mergeText,
        dirty: this.#dirty,
        damage: this.#ages.damage,
        onShown: paths => this.#ages.keep(paths),
        fetcher: this.#fetcher,
        beginnings: this.#beginnings,
        ...{ limits, name: this.name, nameOfDevice, maxDeletes: () => this.#ages.maxDeletes },
        held: await loadHeld(store),
        watch: () => this.#watch,
        rootIsGood: () => this.#rootIsGood(),
        restored: this.#ages.restored,
        intents: this.#intents,
        lastStored: await lastStored(store.journal({})),
        past: (queries, options) =>
          this.#isAlone() ? this.#pastHere(queries, options) : this.#everybody.ask(queries, options),
      },
      replica,
    )
  }

  #live(): Cycle {
    if (this.#cycle === null) throw new KithError('stopped', 'The folder is not running.')
    return this.#cycle
  }

  // ------------------------------------------------------------------------------------------------ the loop

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      let waitMs = RESCAN_MIN_MS
      try {
        if (!this.#paused) waitMs = await this.#step({ signal })
      } catch (error) {
        if (signal.aborted) break
        this.#onStepFailed(error)
        waitMs = RETRY_MS
      } finally {
        this.#working = false
        this.#cycled.fire()
        this.#stateChanged()
      }
      await this.#ages.turn()
      if (waitMs > 0) await this.#idle(waitMs)
    }
  }

  /** Waits for a wake, the next look that is due, or the rescan timer. */
  async #idle(ms: number): Promise<void> {
    const { clock } = this.#deps
    // While paused, halted or waiting for a device nothing is looked at, so whatever is due stays due: it must not be waited for.
    if (this.#paused || !this.#mayLook) return this.#wake.wait(ms, clock, this.#stop.signal)
    if (this.#halt !== null) return this.#wake.wait(Math.min(ms, RETRY_MS), clock, this.#stop.signal)
    const untilRescan = this.#scanned ? Math.max(0, this.#nextRescanAt - clock.elapsed()) : ms
    // Nothing that came ahead is given up while anything is wanted, and that ends with a wake.
    const ahead = this.#cycle?.wants.size === 0 ? this.#prefetch.nextDueMs() : null
    const dues = [this.#dirty.nextDueMs(), this.#cycle?.nextDueMs(), ahead]
    const due = Math.min(...dues.map(each => each ?? ms))
    const waitMs = Math.min(ms, due, untilRescan)
    const rests = this.#isAtRest() && !this.#dirty.now
    if (rests) this.#ages.refresh()
    const restMs = rests ? this.#ages.nextMs() : waitMs
    if (restMs <= 0) await this.#keepUp(waitMs)
    else await this.#wake.wait(Math.min(waitMs, restMs), clock, this.#stop.signal)
    if (this.#scanned && clock.elapsed() >= this.#nextRescanAt) this.#dirty.addAll()
  }

  /** The upkeep of the past found something in this directory. What it finds itself must not end its piece: it would begin anew for ever. */
  #onFound(path: string): void {
    this.#dirty.add(path)
    if (!this.#keepsUp) this.#wake.fire()
  }

  /** One piece of what is done in quiet moments; whatever wakes the folder, or is due, ends it. */
  async #keepUp(mostMs: number): Promise<void> {
    const { clock, log } = this.#deps
    this.#keepsUp = true
    const work = new AbortController()
    const end = (): void => work.abort(new KithError('stopped', 'The folder has something to do.'))
    const deaf = this.#wake.listen(end)
    this.#stop.signal.addEventListener('abort', end, { once: true })
    clock.sleep(mostMs, { signal: work.signal }).then(end, () => undefined)
    try {
      await this.#ages.idle({ signal: work.signal })
    } catch (error) {
      log.warn({ err: error }, 'the upkeep of the past failed and is tried again')
    } finally {
      this.#keepsUp = false
      deaf()
      this.#stop.signal.removeEventListener('abort', end)
      end()
      // Whatever it was, the next cycle sees to it. Remembered still, it would end every later piece before it began.
      this.#wake.forget()
    }
  }

  /** One cycle; returns how long to wait for a wake before the next (0: more to do at once), in ms. */
  async #step(options: Waiting): Promise<number> {
    this.#mayLook = false
    if (this.#cycle === null || this.#cycle.replica.broken !== null) await this.#reload()
    const cycle = this.#live()
    if (!(await this.#rootIsGood())) return RETRY_MS
    if (this.#rejected) await this.#forgetRows(cycle)
    if (cycle.replica.pulling || cycle.judging) {
      const waitMs = this.#peerWaitMs()
      this.#waitsForPeer = waitMs > 0
      if (this.#waitsForPeer) return waitMs
      await cycle.replica.endPull()
    }
    const compareFirst = this.#compareFirstMs()
    if (compareFirst > 0) return compareFirst
    this.#mayLook = true
    this.#working = true
    this.#setActivity()
    if (this.#dirty.now && !(await this.#look(cycle, options))) return RETRY_MS
    if (await cycle.endRejoin()) {
      this.#everybody.forget()
      this.#deps.emit({ type: 'folder:rejoined', folder: this.id })
    }
    if (this.#scanned) {
      this.#received = false
      if (await cycle.follow(options)) return 0
    }
    if (this.#dirty.now) return 0
    if (this.#scanned) await this.#tidy(cycle)
    return RESCAN_MIN_MS
  }

  /**
   * How long to wait still for a device that knows what belongs here. Where all that are linked lost their databases, they would wait for one
   * another for ever: the first of them goes on, and what it has is new to all. Where none is paired any more, this one goes on.
   */
  #peerWaitMs(): number {
    const alone = this.#isAlone()
    const goes = alone || (!this.#peers.anyCompared() && this.#peers.isFirstOfWaiting(this.#options.device))
    if (!goes) this.#firstSince = null
    if (this.#peers.anyCompared()) return 0
    this.#everybody.forget()
    if (!goes) return this.#live().replica.pulling ? RESCAN_MIN_MS : STILL_PAIRED_MS
    const now = this.#deps.clock.elapsed()
    // Who is paired may not be known at once.
    this.#firstSince ??= now
    const waitMs = Math.max(0, this.#firstSince + GO_FIRST_MS - now)
    if (alone && waitMs === 0 && !this.#saidAlone) {
      this.#saidAlone = true
      this.#deps.log.warn('no device is paired any more: what lies here is taken as it is')
    }
    return waitMs
  }

  /** It rejoins, and nobody is left who may know what it forgot. A home that is a copy may not know who is paired. */
  #isAlone(): boolean {
    const { pulling, rejoining, copied } = this.#live().replica
    if (this.#network === null || copied || pulling || !rejoining) return false
    return !this.#peers.anyCompared() && isAlone(this.#company())
  }

  #company(): Company {
    const { device } = this.#options
    const writers = [...(this.#cycle?.replica.tree.actors().values() ?? [])]
    const known = new Set([...writers.map(writer => writer.device), ...this.#peers.ids()])
    known.delete(device)
    return { paired: this.#deps.paired(), known, writers: this.#writers }
  }

  /** After a start: how long to wait still for the documents of a linked device, before the first write. 0: go on. */
  #compareFirstMs(): number {
    if (this.#scanned || this.#peers.anyLinkCompared()) return 0
    if (this.#network !== null && this.#network.peers().length === 0) return 0
    return Math.max(0, this.#compareFirstUntil - this.#deps.clock.elapsed())
  }

  /**
   * After a lost database the journal has what stood here then, and no row says yet what of it was never replaced: a file that nobody else
   * had would be taken for the past.
   */
  async #pastHere(queries: readonly PastQuery[], options: Waiting): Promise<readonly boolean[]> {
    return this.#journal.unfinished ? queries.map(() => false) : this.#past.ask(queries, options)
  }

  /** Writes of this device came back that it does not know: what lies here is judged before anything more is published. */
  #onRolledBack(from: DeviceId): void {
    this.#deps.log.warn(
      { from },
      'others hold writes of this device that it does not know: its database is an older copy',
    )
    this.#deps.emit({ type: 'folder:rolled-back', folder: this.id, from })
    this.#cycle?.judgeAll()
    this.#wake.fire()
  }

  async #look(cycle: Cycle, options: Waiting): Promise<boolean> {
    if (this.#watch === null) {
      this.#watch = this.#deps.disk.watch({
        onDirty: path => this.#hint(() => this.#dirty.add(path)),
        onDoubt: reason => this.#onDoubt(reason),
        onDegraded: problem => this.#watchProblems.set(problem.path, problem),
      })
      await this.#watch.addBefore(cycle.directories(), options)
    }
    const { clock } = this.#deps
    const all = this.#dirty.all
    const from = clock.elapsed()
    this.#fullScanning = all
    this.#looking = true
    if (all) this.#doubts.clear()
    try {
      if (!(await cycle.look({ ...options, believe: this.#believe }))) return false
    } finally {
      this.#fullScanning = false
      this.#looking = false
    }
    if (!all) return true
    this.#believe = false
    this.#scanned = true
    this.#fullScans++
    this.#nextRescanAt = clock.elapsed() + Math.max(RESCAN_MIN_MS, (clock.elapsed() - from) * RESCAN_COST_FACTOR)
    return true
  }

  /** The watcher did not see all. Until the look that this asks for, it says the same again and again. */
  #onDoubt(reason: string): void {
    if (!this.#doubts.has(reason)) {
      this.#doubts.add(reason)
      this.#deps.log.warn({ reason }, 'the watcher may have missed changes: everything is looked at')
    }
    this.#hint(() => this.#dirty.addAll())
  }

  #hint(add: () => void): void {
    add()
    this.#wake.fire()
  }

  /** A quiet moment: long logs become snapshots, and what was staged for nothing goes. */
  async #tidy(cycle: Cycle): Promise<void> {
    await cycle.replica.compact()
    await this.#ages.quiet(cycle, this.state())
    if (this.#journal.unfinished && !cycle.replica.rejoining) await cycle.replica.commit(this.#journal.finish())
    if (cycle.wants.size === 0 && !this.#received && (await this.#prefetch.tidy())) this.#untidy = true
    if (!this.#untidy || cycle.unfinished) return
    // What is staged and still wanted may be wanted no more by the next quiet moment, and nothing would say so.
    this.#untidy = cycle.wants.size > 0
    await this.#deps.disk.stage.sweep(new Set([...cycle.wants.keys(), ...cycle.parked, ...this.#ages.pinned]))
  }

  /** A commit failed: nothing that is only in memory counts. Load again, look at everything. */
  async #reload(): Promise<void> {
    await this.#cycle?.replica.drained()
    this.#cycle = null
    await this.#load()
    this.#dirty.addAll()
    this.#scanned = false
  }

  #onStepFailed(error: unknown): void {
    this.#dirty.addAll()
    const code = isKithError(error) ? (error.code === 'no-space' ? 'disk-full' : error.code) : 'internal'
    const message = isKithError(error)
      ? error.message
      : `This folder could not be brought up to date (${String(error)}). It is tried again.`
    if (code !== 'disk-full' && this.#halt?.code !== code)
      this.#deps.log.error({ err: error }, 'a cycle failed and will be tried again')
    this.#setHalt({ code, message, person: false })
  }

  // ------------------------------------------------------------------------------------------------ halts

  /** Looks at the root, and halts or ends a halt by what it finds. */
  async #rootIsGood(): Promise<boolean> {
    const hadEntries = !this.#believe && !this.#rejected && (this.#cycle?.replica.rows.size ?? 0) > 1
    const halt = haltOf(await this.#deps.disk.check({ hadEntries }), this.name)
    if (halt !== null) {
      this.#setHalt(halt)
      return false
    }
    if (this.#halt !== null) {
      // It is the very same root again, or there is room again: nothing for a person to decide.
      this.#halt = null
      this.#scanned = false
      this.#dirty.addAll()
      this.#deps.emit({ type: 'folder:resumed', folder: this.id })
      await this.#recover()
      // What was staged before is there again, and nothing else says so.
      this.#cycle?.onStaged([...this.#cycle.wants.keys()])
    }
    return true
  }

  #setHalt(halt: Halt): void {
    const before = this.#halt
    this.#halt = halt
    if (before?.code === halt.code) return
    this.#deps.log.warn({ code: halt.code }, 'folder halted')
    this.#deps.emit({ type: 'folder:halted', folder: this.id, code: halt.code, message: halt.message })
    this.#cycled.fire()
    this.#stateChanged()
  }

  /** True: a halt is to be answered. False: held deletions are. */
  #isHalted(): boolean {
    if (this.#halt?.person === true) return true
    if (this.#halt === null && this.#cycle?.brake.holding === true) return false
    throw new KithError('folder-halted', `Nothing is held in ${this.name}: there is nothing to approve or reject.`)
  }

  async approve(): Promise<string> {
    if (!this.#isHalted()) {
      this.#hint(() => this.#cycle?.approve())
      return 'what was deleted elsewhere is deleted here too.'
    }
    await this.#deps.disk.accept()
    this.#believe = true
    this.#hint(() => this.#dirty.addAll())
    return 'what is gone here is deleted on your other devices too; where that is much, each of them asks first.'
  }

  async reject(): Promise<string> {
    if (!this.#isHalted()) {
      const said = this.#live().brake.reject()
      this.#wake.fire()
      return said
    }
    // Before the root counts as good again: nothing may be looked at with the rows that are to go.
    this.#rejected = true
    try {
      await this.#deps.disk.accept()
    } catch (error) {
      this.#rejected = false
      throw error
    }
    this.#hint(() => this.#dirty.addAll())
    return 'the files are brought back.'
  }

  /** What this device believed to have: what the shared tree shows is wanted again, what lies here is equal or new. */
  async #forgetRows(cycle: Cycle): Promise<void> {
    const { replica } = cycle
    for (const row of [...replica.rows.all()]) if (row.id !== ROOT_ROW) replica.rows.delete(row.id)
    await replica.commit(this.#intents.clear())
    this.#rejected = false
    cycle.compareAll()
  }

  // ------------------------------------------------------------------------------------------------ what the network asks

  digests(): ReadonlyMap<DocId, Uint8Array> {
    return this.#live().replica.tree.digests()
  }

  stateVector(doc: DocId): Uint8Array {
    return this.#live().replica.tree.stateVector(doc)
  }

  missing(doc: DocId, stateVector: Uint8Array): Uint8Array | null {
    return this.#live().replica.missing(doc, stateVector)
  }

  async receive(
    updates: readonly DocUpdate[],
    from: DeviceId,
  ): Promise<{ gaps: readonly DocId[]; refused: string | null }> {
    this.#received = true
    const result = await this.#live().replica.receive(updates, from)
    this.#news()
    return result
  }

  /** The shared tree says something that the disk was not compared with. */
  #news(): void {
    this.#received = true
    this.#untidy = true
    this.#wake.fire()
    this.#stateChanged()
  }

  state(): FolderState {
    const cycle = this.#cycle
    const wanted = cycle?.wants.size ?? 0
    const unheld = cycle?.unheld ?? 0
    const stopped = this.#paused
      ? 'paused'
      : (this.#error()?.code ?? (wanted === 0 && unheld > 0 ? 'cannot-hold' : null))
    return {
      digest: cycle?.replica.tree.digest() ?? NO_DIGEST,
      needFiles: wanted + unheld,
      needBytes: cycle?.wantedBytes ?? 0,
      settled: this.#settled(),
      pulling: cycle?.replica.pulling ?? true,
      stopped,
    }
  }

  onPeerState(device: DeviceId, state: FolderState | null): void {
    const { clock, store } = this.#deps
    const moment = { now: clock.now(), journalLength: store.journalLength }
    const mends = this.#peers.heard(device, state, this.state(), moment) && this.#ages.linked()
    if (state !== null) this.#fetcher.kick()
    else this.#prefetch.gone(device)
    if (mends || (this.#waitsForPeer && this.#peers.anyCompared()) || this.#ages.countsCopies) this.#wake.fire()
    this.#changed.fire()
  }

  onCompared(device: DeviceId): void {
    this.#peers.compared(device)
    this.#wake.fire()
    this.#changed.fire()
  }

  readWhole(content: ContentId, options: Waiting): Promise<Uint8Array | null> {
    return this.#server.readWhole(content, options)
  }

  readTop(content: ContentId): Promise<{ top: Uint8Array; size: number } | null> {
    return this.#server.readTop(content)
  }

  readSegment(hash: Hash): Promise<Uint8Array | null> {
    return this.#server.readSegment(hash)
  }

  readChunks(hashes: readonly Hash[], options: Waiting): Promise<Together<Uint8Array>> {
    return this.#server.readChunks(hashes, options)
  }

  progress(content: ContentId): Uint8Array | 'all' | null {
    return this.#server.progress(content)
  }

  offered(device: DeviceId, file: number, prefix: ContentId | null): void {
    this.#prefetch.offered(device, file, prefix)
  }

  /** What lies here was read: nothing comes ahead that is here already under another name. */
  #mayPrefetch(): boolean {
    if (this.#paused || this.#halt !== null || this.#stop.signal.aborted) return false
    if (!this.#scanned || this.#looking || !this.#dirty.empty) return false
    return this.#cycle !== null && !this.#cycle.replica.pulling && !this.#cycle.judging
  }

  /** What is shown there now is no past: whoever asks for it has not heard of it yet. */
  async past(queries: readonly PastQuery[], options: Waiting): Promise<readonly boolean[]> {
    const known = await this.#pastHere(queries, options)
    const { rows, tree } = this.#live().replica
    return queries.map((query, at) => known[at] === true && !isCurrent(rows, tree, query))
  }

  history(query: HistoryQuery, options: Waiting): Promise<readonly JournalEntry[]> {
    return this.#ages.history(query, options)
  }

  holds(contents: readonly ContentId[], options: Waiting): Promise<readonly boolean[]> {
    return this.#ages.holds(contents, options)
  }

  // ------------------------------------------------------------------------------------------------ what a person asks

  status(): FolderStatus {
    const state = this.state()
    return {
      id: this.id,
      name: this.name,
      path: this.path,
      state: this.#activity,
      error: this.#error(),
      problems: [
        ...this.#pullProblem(),
        ...(this.#fetcher.problem === null ? [] : [this.#fetcher.problem]),
        ...(this.#cycle?.problems() ?? []),
        ...this.#ages.problems(),
        ...this.#watchProblems.values(),
      ],
      ...(this.#cycle?.replica.rows.totals ?? { files: 0, directories: 0, bytes: 0 }),
      need: { files: state.needFiles, bytes: state.needBytes },
      conflicts: this.conflicts().length,
      peers: this.#peers.status(state),
    }
  }

  /** Why it does not sync, or not all of it. */
  #error(): { code: string; message: string } | null {
    const error = this.#halt ?? this.#cycle?.brake.problem() ?? null
    return error === null ? null : { code: error.code, message: error.message }
  }

  #pullProblem(): Problem[] {
    const pulling = this.#cycle?.replica.pulling === true
    if (!pulling && this.#cycle?.judging !== true) return []
    const asks = this.#everybody.waits
    if (!pulling && ((!asks && this.#peers.anyCompared()) || this.#isAlone())) return []
    const message = pulling
      ? 'Waits for a device that already has this folder, to learn what belongs in it: switch one on.'
      : asks
        ? 'Files here may be older than what other devices have: asks them, and waits for an answer.'
        : `Files here may be older than what other devices have: ${whomToWaitFor(this.name, this.#company())}`
    return [{ code: 'held', path: '', message }]
  }

  conflicts(): readonly Conflict[] {
    return this.#cycle === null ? [] : listConflicts(this.#cycle.replica.tree)
  }

  *entries(): Iterable<Shown> {
    const tree = this.#cycle?.replica.tree
    if (tree === undefined) return
    const actors = tree.actors()
    for (const entry of tree.allEntries()) {
      const [dot] = entry.dots
      const device = dot === undefined ? null : (actors.get(dot.actor)?.device ?? null)
      yield { path: entryPath(tree, entry), entry, device }
    }
  }

  /** Why nobody can change the shared tree now but by the disk. */
  #refusal(): Refusal {
    if (this.#paused) return pausedError(this.name)
    if (this.#halt !== null) return new KithError('folder-halted', this.#halt.message)
    const [problem] = this.#pullProblem()
    if (problem !== undefined) return new KithError('folder-halted', problem.message)
    return this.#scanned && this.#cycle?.replica.broken === null ? null : 'later'
  }

  configure(settings: FolderSettings): void {
    this.#ages.configure(settings)
  }

  async pause(): Promise<void> {
    this.#paused = true
    await this.#prefetch.stop()
    this.#untidy = true
    this.#setActivity()
    while (this.#working && !this.#stop.signal.aborted)
      await this.#cycled.wait(null, this.#deps.clock, this.#stop.signal)
  }

  async resume(): Promise<void> {
    this.#paused = false
    this.#hint(() => this.#dirty.addAll())
  }

  async rescan({ signal }: Waiting): Promise<void> {
    const target = this.#fullScans + (this.#fullScanning ? 2 : 1)
    this.#hint(() => this.#dirty.addAll())
    while (this.#fullScans < target || this.#working) {
      if (this.#halt !== null) throw new KithError('folder-halted', this.#halt.message)
      if (this.#paused) throw pausedError(this.name)
      await this.#cycled.wait(null, this.#deps.clock, AbortSignal.any([signal, this.#stop.signal]))
      signal.throwIfAborted()
      this.#stop.signal.throwIfAborted()
    }
  }

  async changed({ signal }: Waiting): Promise<void> {
    await this.#changed.wait(null, this.#deps.clock, AbortSignal.any([signal, this.#stop.signal]))
    signal.throwIfAborted()
  }

  // ------------------------------------------------------------------------------------------------ state

  /** Nothing is dirty, waits for a second look, or is half done. What is missing is counted in need. */
  #settled(): boolean {
    if (this.#prefetch.nextDueMs() !== null) return false
    return this.#isAtRest() && this.#dirty.empty && this.#cycle?.unfinished === false
  }

  /** Nothing that came is to be compared now. */
  #isAtRest(): boolean {
    if (!this.#scanned || this.#working || this.#halt !== null || this.#paused || this.#cycle === null) return false
    if (this.#cycle.judging) return false
    return !this.#received && !this.#cycle.busy && this.#cycle.replica.broken === null
  }

  #activityNow(): FolderActivity {
    if (this.#paused) return 'paused'
    if (this.#error() !== null) return 'error'
    if (this.#cycle?.replica.pulling === true || this.#cycle?.judging === true) return 'syncing'
    if (!this.#scanned) return 'scanning'
    if (this.#working || (this.#cycle !== null && (this.#cycle.wants.size > 0 || this.#cycle.unfinished)))
      return 'syncing'
    return this.#dirty.empty ? 'idle' : 'scanning'
  }

  /** Too much was deleted elsewhere, and it stays here until somebody answers; or somebody has. */
  #tellHeld(): void {
    const held = this.#cycle?.brake.problem() ?? null
    if ((held !== null) === this.#toldHeld) return
    this.#toldHeld = held !== null
    if (held === null) this.#deps.emit({ type: 'folder:resumed', folder: this.id })
    else this.#deps.emit({ type: 'folder:halted', folder: this.id, code: held.code, message: held.message })
  }

  #setActivity(): void {
    const next = this.#activityNow()
    if (next === this.#activity) return
    this.#activity = next
    this.#deps.emit({ type: 'folder:state', folder: this.id, state: next })
    this.#network?.stateChanged()
    this.#changed.fire()
  }

  #stateChanged(): void {
    this.#tellHeld()
    this.#setActivity()
    // Always: the network may have told a state that was true for a moment only, and says nothing twice.
    this.#network?.stateChanged()
    const state = JSON.stringify(this.state())
    if (state === this.#lastState) return
    this.#lastState = state
    this.#changed.fire()
  }
}

function pausedError(folder: string): KithError {
  const name = printable(folder)
  return new KithError('folder-paused', `"${name}" is paused: type "kith folder resume ${name}" first.`)
}
