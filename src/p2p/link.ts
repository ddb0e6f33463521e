// The supervisor of one paired device: while it runs, it keeps exactly one session with it, or goes on trying for ever. The smaller
// device id opens the session and chooses between connections; both sides dial. It promises to notice a dead link within fifteen
// seconds and never to kill one that still carries bytes. It must not know what is said on a session.

import type { Connection, Stream } from '@libp2p/interface'
import type { DeviceId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { Waiting } from '../core/ports.ts'
import { timeoutSignal } from '../core/timeout.ts'
import { type Session, SYNC_PROTOCOL } from './session.ts'

const FIRST_RETRY_MS = 1_000
const MAX_RETRY_MS = 15_000
/** After a loss the other is likely to come back soon: no longer pauses than this for a while. */
const EAGER_RETRY_MS = 5_000
const EAGER_FOR_MS = 5 * 60_000
/** The larger id lets the smaller one dial first. */
const POLITE_DELAY_MS = 400
/** How long a connection may stand without a session before it is given up. */
const SESSION_WAIT_MS = 6_000
const OPEN_TIMEOUT_MS = 10_000
const SILENT_AFTER_MS = 5_000
const DEAD_AFTER_MS = 15_000
/** Before a standing link gives way to another connection, a byte within this time proves that it is alive. */
const PROOF_OF_LIFE_MS = 1_500
/** After the network changed, another connection is dialled if no byte came within this time. */
const DOUBT_MS = 700
/** What was sent last may still arrive, for so long; a reset would take it back. */
const FAREWELL_MS = 500
/** Another connection is looked for while linked over a foreign subnet at most this often. */
const UPGRADE_PAUSE_MS = 60_000

export interface LinkDeps {
  readonly self: DeviceId
  readonly log: Log
  /** Monotone ms. */
  elapsed(): number
  /** A random number in [0, 1). */
  random(): number
  candidates(device: DeviceId): readonly string[]
  dial(device: DeviceId, addresses: readonly string[], options: Waiting): Promise<Connection>
  connectionsTo(device: DeviceId): readonly Connection[]
  isNear(connection: Connection): boolean
  /** Of any byte on it, on the clock of `elapsed`. */
  lastByteAt(connection: Connection): number
  openSession(stream: Stream, connection: Connection, options: Waiting): Promise<Session>
  onLinked(device: DeviceId, session: Session, connection: Connection): void
  onUnlinked(device: DeviceId, reason: string): void
}

interface Live {
  readonly session: Session
  readonly connection: Connection
  readonly since: number
}

export class Link {
  readonly device: DeviceId
  readonly #deps: LinkDeps
  readonly #controller = new AbortController()
  readonly #bad = new WeakSet<Connection>()
  readonly #waiters = new Set<() => void>()
  #live: Live | null = null
  #run: Promise<void> | null = null
  /** Counts what may make a dial worth another try at once. */
  #news = 0
  #newsAtDial = -1
  #failures = 0
  #lostAt: number
  #doubted = false
  #pinging = false
  #upgradedAt = Number.NEGATIVE_INFINITY
  #dialling: AbortController | null = null
  #dialled: readonly string[] = []

  constructor(device: DeviceId, deps: LinkDeps) {
    this.device = device
    this.#deps = deps
    this.#lostAt = deps.elapsed()
  }

  get session(): Session | null {
    return this.#live?.session ?? null
  }

  get connection(): Connection | null {
    return this.#live?.connection ?? null
  }

  start(): void {
    this.#run ??= this.#loop()
  }

  async stop(reason: string): Promise<void> {
    this.#controller.abort(new Error(reason))
    this.#wake()
    const live = this.#live
    await live?.session.close(reason)
    await Promise.all(this.#deps.connectionsTo(this.device).map(connection => farewell(connection, reason)))
    await this.#run
  }

  /** A sighting, a network change, a new address, a new connection: try now. `doubt`: the link that stands may be dead. */
  nudge(options: { readonly doubt: boolean }): void {
    this.#news++
    this.#failures = 0
    if (options.doubt && this.#live !== null) this.#doubted = true
    // A dial that is stuck on old addresses makes room for the new ones.
    if (this.#deps.candidates(this.device).some(address => !this.#dialled.includes(address))) this.#dialling?.abort()
    this.#wake()
  }

  /** A connection opened or closed. */
  connectionChanged(): void {
    this.#wake()
  }

  /** The other side opened the sync stream: it has the smaller id, and has chosen this connection. */
  async accept(stream: Stream, connection: Connection): Promise<void> {
    if (this.#deps.self < this.device || this.#controller.signal.aborted) {
      stream.abort(new Error('it is the smaller id that opens the session'))
      return
    }
    // One session at a time: the older one is gone on the other side, or about to be.
    const older = this.#live
    if (older !== null) {
      this.#drop(older, 'replaced')
      await older.session.closed
    }
    await this.#establish(connection, async signal => await this.#deps.openSession(stream, connection, { signal }))
  }

  /** Called about every second while the process runs as it should. `late`: it did not (suspended), so silence proves nothing. */
  tick(late: boolean): void {
    const live = this.#live
    if (live === null || late) return
    const silent = this.#deps.elapsed() - this.#lastByteAt(live)
    if (silent > DEAD_AFTER_MS) this.#drop(live, 'it does not answer any more')
    else if (silent > SILENT_AFTER_MS) this.#ping(live)
  }

  // --------------------------------------------------------------------------------------------------------------- inside

  get #opens(): boolean {
    return this.#deps.self < this.device
  }

  async #loop(): Promise<void> {
    while (!this.#controller.signal.aborted) {
      try {
        await this.#turn()
      } catch (error) {
        if (!this.#controller.signal.aborted)
          this.#deps.log.warn({ device: this.device, error }, 'a link had to start over')
        await this.#pause(FIRST_RETRY_MS)
      }
    }
  }

  async #turn(): Promise<void> {
    const live = this.#live
    const others = this.#deps
      .connectionsTo(this.device)
      .filter(one => one.status === 'open' && one !== live?.connection && !this.#bad.has(one))
    if (live !== null) return await this.#whileLinked(live, others)
    const best = others.sort((a, b) => this.#rank(a) - this.#rank(b))[0]
    if (best === undefined) return await this.#dialOrWait()
    if (this.#opens) return await this.#open(best)
    // The other side opens; if it does not, the connection is of no use.
    await this.#pause(SESSION_WAIT_MS, () => this.#live !== null || best.status !== 'open')
    if (this.#live === null && best.status === 'open') this.#giveUp(best, 'no session came')
  }

  async #whileLinked(live: Live, others: readonly Connection[]): Promise<void> {
    const other = others[0]
    if (this.#opens && other !== undefined) {
      const better = this.#deps.isNear(other) && !this.#deps.isNear(live.connection)
      if (better || !(await this.#alive(live, PROOF_OF_LIFE_MS))) {
        this.#drop(live, better ? 'a nearer way was found' : 'it does not answer any more')
        await live.session.closed
      } else this.#giveUp(other, 'one connection is enough')
      return
    }
    if (this.#doubted) {
      this.#doubted = false
      if (!(await this.#alive(live, DOUBT_MS)) && this.#live === live) await this.#dial()
      return
    }
    if (this.#mayUpgrade(live)) {
      this.#upgradedAt = this.#deps.elapsed()
      await this.#dial()
      return
    }
    await this.#pause(null)
  }

  #mayUpgrade(live: Live): boolean {
    if (this.#deps.isNear(live.connection) || this.#deps.elapsed() - this.#upgradedAt < UPGRADE_PAUSE_MS) return false
    const standing = live.connection.remoteAddr.toString()
    return this.#deps.candidates(this.device).some(address => !standing.startsWith(address))
  }

  /** The lower the better: an attached subnet, then the connection that the smaller id dialled. */
  #rank(connection: Connection): number {
    const dialledBySmaller = (connection.direction === 'outbound') === this.#opens
    return (this.#deps.isNear(connection) ? 0 : 2) + (dialledBySmaller ? 0 : 1)
  }

  async #open(connection: Connection): Promise<void> {
    await this.#establish(connection, async signal => {
      const stream = await connection.newStream(SYNC_PROTOCOL, { signal })
      return await this.#deps.openSession(stream, connection, { signal })
    })
    if (this.#live === null) await this.#pause(this.#retryDelay())
  }

  async #establish(connection: Connection, open: (signal: AbortSignal) => Promise<Session>): Promise<void> {
    const signal = AbortSignal.any([this.#controller.signal, timeoutSignal(OPEN_TIMEOUT_MS)])
    let session: Session
    try {
      session = await open(signal)
    } catch (error) {
      this.#failures++
      this.#deps.log.debug({ device: this.device, error }, 'no session came about')
      this.#giveUp(connection, 'no session came about')
      return
    }
    if (this.#controller.signal.aborted || this.#live !== null) {
      await session.close('not needed')
      return
    }
    const live: Live = { session, connection, since: this.#deps.elapsed() }
    this.#live = live
    this.#doubted = false
    this.#failures = 0
    this.#deps.onLinked(this.device, session, connection)
    void session.closed.then(reason => this.#ended(live, reason))
    this.#wake()
  }

  #ended(live: Live, reason: string): void {
    if (this.#live !== live) return
    this.#live = null
    const now = this.#deps.elapsed()
    this.#lostAt = now
    // A link that ends at once counts as a failed try.
    if (now - live.since < EAGER_RETRY_MS) this.#failures++
    this.#giveUp(live.connection, reason)
    this.#deps.onUnlinked(this.device, reason)
    this.#wake()
  }

  /** Ends the session and its connection without waiting for the other side. */
  #drop(live: Live, reason: string): void {
    void live.session.close(reason)
    live.connection.abort(new Error(reason))
    this.#ended(live, reason)
  }

  #giveUp(connection: Connection, reason: string): void {
    this.#bad.add(connection)
    connection.abort(new Error(reason))
  }

  async #dialOrWait(): Promise<void> {
    // A dial that ended without a session is a failed one, also where somebody answered: it may be that we are refused.
    if (this.#failures > 0 && this.#newsAtDial === this.#news) {
      await this.#pause(this.#retryDelay())
      if (this.#live !== null || this.#hasConnection()) return
    }
    if (!this.#opens && (await this.#pause(POLITE_DELAY_MS, () => this.#hasConnection()))) return
    this.#newsAtDial = this.#news
    this.#failures++
    await this.#dial()
  }

  #hasConnection(): boolean {
    return this.#deps.connectionsTo(this.device).some(one => one.status === 'open' && !this.#bad.has(one))
  }

  async #dial(): Promise<Connection | null> {
    const addresses = this.#deps.candidates(this.device)
    if (addresses.length === 0) return null
    const controller = new AbortController()
    this.#dialling = controller
    this.#dialled = addresses
    try {
      const signal = AbortSignal.any([this.#controller.signal, controller.signal])
      return await this.#deps.dial(this.device, addresses, { signal })
    } catch (error) {
      this.#deps.log.debug({ device: this.device, error }, 'it could not be reached')
      return null
    } finally {
      this.#dialling = null
      this.#dialled = []
    }
  }

  #retryDelay(): number {
    const eager = this.#deps.elapsed() - this.#lostAt < EAGER_FOR_MS
    const cap = eager ? EAGER_RETRY_MS : MAX_RETRY_MS
    const base = Math.min(cap, FIRST_RETRY_MS * 2 ** Math.min(this.#failures - 1, 10))
    return base * (0.5 + this.#deps.random() / 2)
  }

  /** Did a byte come, or does one come soon? A ping asks for it; on a slow link any other byte answers as well. */
  async #alive(live: Live, withinMs: number): Promise<boolean> {
    const asked = this.#deps.elapsed()
    this.#ping(live)
    const answered = (): boolean => this.#lastByteAt(live) >= asked
    const signal = AbortSignal.any([this.#controller.signal, timeoutSignal(withinMs)])
    await this.#until(() => answered() || this.#live !== live, signal)
    return answered()
  }

  #lastByteAt(live: Live): number {
    return Math.max(live.session.lastByteAt(), this.#deps.lastByteAt(live.connection))
  }

  #ping(live: Live): void {
    if (this.#pinging) return
    this.#pinging = true
    const signal = AbortSignal.any([this.#controller.signal, timeoutSignal(DEAD_AFTER_MS)])
    live.session.ping({ signal }).then(
      () => this.#pinged(),
      () => this.#pinged(),
    )
  }

  #pinged(): void {
    this.#pinging = false
    this.#wake()
  }

  /** Waits for the time (null: for ever), for news, or for the condition. True where the condition holds. */
  async #pause(ms: number | null, condition?: () => boolean): Promise<boolean> {
    const news = this.#news
    const stop = new AbortController()
    const timer = ms === null ? undefined : setTimeout(() => stop.abort(), ms)
    const changed = this.#live
    try {
      await this.#until(
        () =>
          condition === undefined
            ? this.#news !== news || this.#live !== changed || (ms === null && this.#doubted) || this.#hasOther()
            : condition(),
        AbortSignal.any([this.#controller.signal, stop.signal]),
      )
    } finally {
      clearTimeout(timer)
    }
    return condition?.() ?? false
  }

  /** A connection that this side has to look at: while linked, only the side that chooses does. */
  #hasOther(): boolean {
    if (this.#live !== null && !this.#opens) return false
    return this.#deps
      .connectionsTo(this.device)
      .some(one => one.status === 'open' && one !== this.#live?.connection && !this.#bad.has(one))
  }

  async #until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !condition()) {
      await new Promise<void>(resolve => {
        const done = (): void => {
          this.#waiters.delete(done)
          signal.removeEventListener('abort', done)
          resolve()
        }
        this.#waiters.add(done)
        signal.addEventListener('abort', done)
      })
    }
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter()
  }
}

async function farewell(connection: Connection, reason: string): Promise<void> {
  try {
    await connection.close({ signal: timeoutSignal(FAREWELL_MS) })
  } catch {
    connection.abort(new Error(reason))
  }
}
