// Several simulated devices, their network and their time, as one deterministic world: one seed, one trace. Used by directed tests
// and by the simulation; it knows how to bring the world to rest, and what must then be true of every history.
import { createHash } from 'node:crypto'
import { isKithError } from '../../src/core/errors.ts'
import type { FolderId } from '../../src/core/ids.ts'
import type { FolderState } from '../../src/core/ports.ts'
import { MemoryNetwork } from './memory-network.ts'
import { type Random, seeded } from './random.ts'
import { SimDevice, type SimDeviceOptions } from './sim-device.ts'
import { treeLines, treeOf } from './sim-tree.ts'
import { settle, VirtualClock } from './virtual-clock.ts'

/** Everything must be at rest within this much virtual time. */
const REST_LIMIT_MS = 3 * 60_000
/** One round to catch up with what was lost, two more to reach the fixed point, one to see that it is one. */
const MAX_ROUNDS = 4
/** Nothing happened for so long: all that was sent has arrived. */
const STILL_MS = 30_000
/** Longer than the fetcher's longest pause. */
const UNAVAILABLE_MS = 65_000

const YEAR_MS = 365 * 24 * 3_600_000

export type DeviceSetting = Omit<SimDeviceOptions, 'folder'>

export class SimWorld {
  readonly clock = new VirtualClock()
  readonly random: Random
  readonly network: MemoryNetwork
  readonly devices: SimDevice[] = []
  readonly log: string[] = []
  /** A person answers the halt of a root; without one it stands still for ever. */
  onHalt: (device: SimDevice) => void = () => undefined
  readonly #halted = new Set<SimDevice>()
  /** What may never happen in any history. */
  readonly failures: unknown[] = []
  readonly #folder = 'f0'.repeat(16) as FolderId
  readonly #hash = createHash('sha256')
  #tracedAt = 0

  constructor(seed: number | string) {
    this.random = seeded(seed)
    this.network = new MemoryNetwork({
      clock: this.clock,
      random: this.random.fork('network'),
      trace: line => this.trace(line),
    })
  }

  add(setting: DeviceSetting): SimDevice {
    const device = new SimDevice(
      {
        clock: this.clock,
        random: this.random,
        network: this.network,
        trace: line => this.trace(line),
        devices: () => this.devices,
        onFailure: error => this.failures.push(error),
      },
      { ...setting, folder: this.#folder },
    )
    this.devices.push(device)
    return device
  }

  trace(line: string): void {
    const stamped = `${String(this.clock.elapsed()).padStart(7)} ${line}`
    this.log.push(stamped)
    this.#tracedAt = this.clock.elapsed()
    this.#hash.update(stamped).update('\n')
  }

  traceHash(): string {
    return this.#hash.copy().digest('hex')
  }

  /** Lets `ms` pass. */
  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms)
  }

  /** Everybody's wall clock is a year on; intervals know nothing of it. */
  passYear(): void {
    this.trace('a year passes')
    for (const device of this.devices) device.clock.jump(YEAR_MS)
  }

  /** Lets time pass until the promise settles. */
  async finish<T>(promise: Promise<T>, what: string, limitMs = REST_LIMIT_MS): Promise<T> {
    let settled = false
    const mark = (): void => {
      settled = true
    }
    promise.then(mark, mark)
    await this.clock.until(
      () => settled,
      limitMs,
      () => `${what} (${this.describe()})`,
    )
    return promise
  }

  /** Starts whoever does not run, and waits until all have. */
  async startAll(): Promise<void> {
    for (const device of this.devices) device.start()
    await this.clock.until(
      () => this.failures.length > 0 || this.devices.every(device => device.started),
      REST_LIMIT_MS,
      () => `not all started (${this.describe()})`,
    )
    this.check()
  }

  async stopAll(): Promise<void> {
    for (const device of this.devices) await this.finish(device.stop(), `stop ${device.name}`)
  }

  /** Cuts every device off every other, or joins all. */
  partition(): void {
    for (const a of this.devices) {
      for (const b of this.devices) if (a.id < b.id) this.network.setLinked(a.id, b.id, false)
    }
  }

  heal(): void {
    this.network.healAll()
  }

  /**
   * Waits until every running engine has nothing to do any more, alone or (where linked) with the others. Content that nobody gives
   * for longer than any retry takes is not waited for: who checks the trees must see that nobody has it.
   */
  async rest(): Promise<void> {
    let last = ''
    let since = this.clock.elapsed()
    const atRest = (): boolean => {
      this.#answerHalts()
      const states = this.#states()
      if (states === null) return false
      const now = `${this.log.length} ${JSON.stringify(states)}`
      if (now !== last) {
        since = this.clock.elapsed()
        // Where nothing is due for long, nothing else would make that time pass.
        this.clock.after(UNAVAILABLE_MS + 1, () => undefined)
      }
      last = now
      // What a disk cannot have is tried again by the full look that follows, and no sooner.
      const has =
        states.every(({ needFiles, stopped }) => needFiles === 0 || stopped === 'cannot-hold') && !this.#staged()
      return has || this.clock.elapsed() - since > UNAVAILABLE_MS
    }
    await this.clock.until(
      () => this.failures.length > 0 || this.network.failures.length > 0 || atRest(),
      REST_LIMIT_MS,
      () => `no rest (${this.describe()})`,
    )
    this.check()
  }

  /** What was on its way for nobody any more goes when its fetch ends, and nothing tells of that. What a disk cannot have stays staged. */
  #staged(): boolean {
    return this.devices.some(device => {
      if ((device.volume.root?.kith?.stage.size ?? 0) === 0) return false
      return !device.started || device.engine.state().stopped !== 'cannot-hold'
    })
  }

  async rescanAll(): Promise<void> {
    const abort = new AbortController()
    const scan = async (device: SimDevice): Promise<void> => {
      try {
        await device.engine.rescan({ signal: abort.signal })
      } catch (error) {
        // What a lossy watcher hid until now: it is answered when all are to rest, and the next round scans again.
        if (!isKithError(error) || error.code !== 'folder-halted') throw error
      }
    }
    await this.finish(Promise.all(this.devices.map(scan)), 'rescan')
  }

  /** Each halt of a root is answered once. */
  #answerHalts(): void {
    for (const device of this.devices) {
      const halted = device.started && device.halted?.startsWith('root-') === true
      if (!halted) this.#halted.delete(device)
      else if (!this.#halted.has(device)) {
        this.#halted.add(device)
        this.onHalt(device)
      }
    }
  }

  /** Heals everything and runs to the fixed point. Throws when it is not reached in time. */
  async quiesce(): Promise<void> {
    this.heal()
    await this.startAll()
    await this.rest()
    let before = ''
    for (let round = 1; ; round++) {
      await this.rescanAll()
      await this.rest()
      const now = this.signature()
      if (now === before) return
      if (round >= MAX_ROUNDS) throw new Error(`no fixed point after ${round} rounds`)
      before = now
    }
  }

  /** Disks and documents of all devices. */
  signature(): string {
    const parts = this.devices.map(device =>
      [device.engine.state().digest, ...treeLines(device, { exact: true })].join('\n'),
    )
    return createHash('sha256').update(parts.join('\n\n')).digest('hex')
  }

  /** Throws what must not have happened. */
  check(): void {
    const [failure] = [...this.failures, ...this.network.failures]
    if (failure !== undefined) throw failure instanceof Error ? failure : new Error(String(failure))
  }

  describe(): string {
    return this.devices
      .map(device => {
        if (!device.started) return `${device.name}: not started`
        const { state, error, problems } = device.engine.status()
        const { settled, needFiles, digest } = device.engine.state()
        const said = problems.map(problem => `${problem.code} ${problem.path}`).join(', ')
        return `${device.name}: ${state}${error === null ? '' : ` ${error.code}`}, settled ${settled}, needs ${needFiles}, ${digest.slice(0, 6)}, problems [${said}]`
      })
      .join('; ')
  }

  /** The devices' trees, for messages. */
  picture(): string {
    return this.devices
      .map(device => `--- ${device.name}\n${treeLines(device, { exact: false }).join('\n')}`)
      .join('\n')
  }

  /** Path → text on one device; for directed tests. */
  tree(device: SimDevice): Record<string, string> {
    return treeOf(device)
  }

  async drainMicrotasks(): Promise<void> {
    await settle()
  }

  /** What the running engines say, where they are settled, equal to those they are linked with, and nothing is on its way. */
  #states(): FolderState[] | null {
    // Two devices whose clocks stand still look again every two seconds, and on a slow network one of them always says so.
    const still = this.clock.elapsed() - this.#tracedAt > STILL_MS
    if (!this.network.idle && !(still && this.network.tellsOnly)) return null
    const running = this.devices.filter(device => device.running)
    const states: FolderState[] = []
    for (const device of running) {
      if (!device.started) return null
      const state = device.engine.state()
      const { activity } = device
      const isIdle = state.settled && (activity === 'idle' || (activity === 'syncing' && state.needFiles > 0))
      // Its disk may be so slow that it always looks.
      if (!isIdle && !(still && device.clockStands)) return null
      states.push({ ...state, settled: true })
    }
    const equal = running.every((device, at) =>
      running.every(
        (other, to) => !this.network.linked(device.id, other.id) || states[at]?.digest === states[to]?.digest,
      ),
    )
    return equal ? states : null
  }
}
