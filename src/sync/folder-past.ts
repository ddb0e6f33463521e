// All that concerns the past of one folder, put together: the archive that a person asks, what peers ask, and what is done about it in the
// folder's quiet moments. The folder's loop stays in charge: it says when it is quiet, and when there is a turn between two cycles.
import type { Clock } from '../core/clock.ts'
import { isKithError, type KithError } from '../core/errors.ts'
import type { Emit } from '../core/events.ts'
import type { ContentId, DeviceId, FolderId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { HistoryQuery, JournalEntry } from '../core/past.ts'
import type { FolderDisk, FolderNetwork, FolderState, FolderStore, Waiting } from '../core/ports.ts'
import type { FolderArchive, FolderSettings } from '../core/status.ts'
import { Archive } from './archive.ts'
import type { Cycle } from './cycle.ts'
import { Damage } from './damage.ts'
import { History } from './history.ts'
import { Holdings } from './holdings.ts'
import type { Peers } from './peers.ts'
import type { Replica } from './replica.ts'
import { Restore } from './restore.ts'
import { Restored } from './restored.ts'
import { type Refusal, Turns } from './turns.ts'
import { Verifier } from './verify.ts'

export interface FolderPastDeps {
  readonly folder: FolderId
  readonly device: DeviceId
  readonly disk: FolderDisk
  readonly store: FolderStore
  readonly clock: Clock
  readonly random: () => number
  readonly emit: Emit
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
  readonly stopped: AbortSignal
}

export class FolderPast {
  readonly archive: FolderArchive
  readonly restored = new Restored()
  readonly damage = new Damage()
  readonly #deps: FolderPastDeps
  readonly #holdings: Holdings
  readonly #history: History
  readonly #turns: Turns
  readonly #verifier: Verifier
  #settings: FolderSettings = { versions: 'standard', versionLimit: null, minCopies: 1 }
  /** Background work under way; it waits for turns of its own. */
  #busy: Promise<void> | null = null
  #busyUntil = new AbortController()
  #verifyAt = 0

  constructor(deps: FolderPastDeps) {
    this.#deps = deps
    const { device, disk, store, log, network, refusal, wake, stopped } = deps
    const replica = (): Replica => deps.cycle().replica
    const rows = (): Replica['rows'] => replica().rows
    const holdings = new Holdings({ rows, disk, store, network })
    const history = new History({ device, store, holdings, network, nameKey: path => replica().tree.nameKey(path) })
    const turns = new Turns({ wake, stopped })
    this.#holdings = holdings
    this.#history = history
    this.#turns = turns
    this.#verifier = new Verifier({
      ...deps,
      rows,
      damage: this.damage,
      commit: batch => replica().commit(batch),
      alone: work => turns.take(work, refusal, { signal: stopped }),
      isUnsure: stat => deps.cycle().isUnsure(stat),
      onWrote: (path, stat) => deps.cycle().wrote(path, stat),
    })
    this.archive = new Archive({
      ...{ device, disk, store, log, network, replica, holdings, history, turns, refusal },
      restore: new Restore({ replica, holdings, restored: this.restored, turns, refusal }),
      absent: () => deps.peers.absent(),
      onRevised: deps.onNews,
      onUntidy: deps.onUntidy,
      verify: options => this.#verifier.run(options),
    })
  }

  /** Contents that are needed for what is under way. */
  get pinned(): ReadonlySet<ContentId> {
    return this.#holdings.pinned
  }

  configure(settings: FolderSettings): void {
    this.#settings = settings
    this.#deps.wake()
  }

  /** What was remembered; before the first cycle. */
  async load(): Promise<void> {
    const { store, peers } = this.#deps
    await this.restored.load(store)
    peers.load(await store.note('peers'))
    await this.#verifier.load()
  }

  history(query: HistoryQuery, options: Waiting): Promise<readonly JournalEntry[]> {
    return this.#history.answer(query, options)
  }

  holds(contents: readonly ContentId[], options: Waiting): Promise<readonly boolean[]> {
    return this.#holdings.answer(contents, options)
  }

  /** What was to be sent to a peer is not what it should be. */
  suspect(row: Parameters<Verifier['suspect']>[0]): void {
    this.#verifier.suspect(row)
    this.#verifyAt = 0
    this.#deps.wake()
  }

  /** Between two cycles: whoever waits for that. */
  turn(): Promise<void> {
    return this.#turns.run()
  }

  /** Nothing else is to be done now. */
  async quiet(cycle: Cycle, state: FolderState): Promise<void> {
    const { clock, peers } = this.#deps
    const known = peers.due(state, clock.now(), clock.elapsed())
    if (known !== null) await cycle.replica.commit(known)
    const isShown = !cycle.unfinished && cycle.wants.size === 0
    if (isShown && !this.restored.empty) await cycle.replica.commit(this.restored.clear())
    if (this.#busy === null && clock.elapsed() >= this.#verifyAt) this.#busy = this.#verifySome()
  }

  /** Background work ends, and is not begun again before the next quiet moment. */
  async rest(): Promise<void> {
    this.#busyUntil.abort(new Error('there is other work'))
    await this.#busy
  }

  async #verifySome(): Promise<void> {
    const { clock, log, stopped } = this.#deps
    this.#busyUntil = new AbortController()
    const signal = AbortSignal.any([this.#busyUntil.signal, stopped])
    try {
      this.#verifyAt = clock.elapsed() + (await this.#verifier.idle({ signal }))
    } catch (error) {
      // It is begun again: nothing depends on it.
      this.#verifyAt = clock.elapsed() + RETRY_MS
      if (!stopped.aborted && !isRefusal(error)) log.warn({ err: error }, 'files could not be verified')
    } finally {
      this.#busy = null
    }
  }
}

const RETRY_MS = 60_000

/** The folder stands still, and says so itself. */
function isRefusal(error: unknown): error is KithError {
  return isKithError(error) && (error.code === 'folder-halted' || error.code === 'folder-paused')
}
