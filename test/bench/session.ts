// One system on a fresh network, and the pieces of work that are done there one after the other. A change is made ready on the same disk
// and renamed into the first device's folder: that moment is zero. The time is that of the last change (ctime) in the receiving tree, so
// that polling costs no precision; then type, target and SHA-256 of everything are compared, and a run that differs is no run.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Lan } from '../e2e/support/lan.ts'
import { until } from '../e2e/support/until.ts'
import { machineBusy, Place, type Usage } from './place.ts'
import type { System } from './systems.ts'
import { differing, manifest, outline, shown } from './trees.ts'

const READY_TIMEOUT_MS = 120_000
const END_TIMEOUT_MS = 10_000
const SAMPLE_MS = 200
/** After all is there: what is exchanged afterwards is paid for too. */
const SETTLE_MS = 2_000
/** Looking may take this share of a core at most. */
const LOOK_SHARE = 1 / 20
const LOOK_MS = 50
const COMPARE_AGAIN_MS = 1_000

export interface Measured {
  readonly system: string
  readonly workload: string
  readonly round: number
  readonly seconds: number
  readonly cpuSeconds: number
  /** Of each device, the first is the source. */
  readonly peakBytes: readonly number[]
  readonly sentBytes: readonly number[]
  /** Cores that something else used meanwhile, this process' looking included. */
  readonly otherCores: number
  /** Files whose mode or whole second of mtime is another. */
  readonly metaDiffers?: number
  readonly p95Seconds?: number
  /** Idle: bytes of memory at the end. */
  readonly memoryBytes?: readonly number[]
  /** When it began and was over, in µs of the monotonic clock that CPU profiles use too. */
  readonly window: readonly [number, number]
  /** After a restart: when what was written before it was there. */
  readonly offlineEditSeconds?: number
}

interface Reading {
  readonly at: number
  readonly micros: number
  readonly busy: number
  readonly usage: readonly Usage[]
}

export interface SessionOptions {
  readonly system: System
  readonly devices: readonly string[]
  readonly scratch: string
  readonly round: number
  readonly wanted: ReadonlySet<string>
  readonly deadline: number
  readonly report: (measured: Measured) => void
  /** Takes over the directory of what was done. */
  readonly discard: (directory: string) => void
}

export class Session {
  readonly system: System
  readonly places: readonly Place[]
  /** Where changes are made ready. */
  readonly stage: string
  readonly #options: SessionOptions
  readonly #directory: string
  readonly #lan: Lan
  readonly #sampling: NodeJS.Timeout

  constructor(options: SessionOptions) {
    this.#options = options
    this.system = options.system
    mkdirSync(options.scratch, { recursive: true })
    this.#directory = mkdtempSync(join(options.scratch, 'kith-bench-'))
    this.stage = join(this.#directory, 'stage')
    mkdirSync(this.stage)
    this.#lan = Lan.create()
    this.places = options.devices.map(name => new Place(this.#lan.add(name), this.#directory))
    this.#sampling = setInterval(() => {
      for (const place of this.places) place.sample()
    }, SAMPLE_MS)
  }

  get source(): Place {
    return this.places[0] as Place
  }

  get target(): Place {
    return this.places[1] as Place
  }

  wants(workload: string): boolean {
    return this.#options.wanted.has(workload)
  }

  async close(): Promise<void> {
    clearInterval(this.#sampling)
    await this.system.close()
    // One that goes on would take CPU of all runs after this one.
    const isOver = (): boolean => this.places.every(place => place.memory() === 0)
    await until(isOver, { timeoutMs: END_TIMEOUT_MS, what: `nothing of ${this.system.name} runs any more` })
    this.#lan.destroy()
    this.#options.discard(this.#directory)
  }

  async up(): Promise<void> {
    await this.system.prepare(this.places)
    await this.startAll()
    await this.until(() => this.system.ready(), 'all are connected and idle', READY_TIMEOUT_MS)
    if (this.system.live) await sleep(1_000)
  }

  async startAll(): Promise<void> {
    await Promise.all(this.places.map(place => this.system.start(place)))
  }

  async until(holds: () => boolean | Promise<boolean>, what: string, timeoutMs: number, everyMs = 200): Promise<void> {
    await until(holds, { timeoutMs: Math.min(timeoutMs, this.#left()), what: `${this.system.name}: ${what}`, everyMs })
  }

  /** Renames what is ready into the source's folder. */
  moveIn(name: string): () => void {
    return () => renameSync(join(this.stage, name), join(this.source.root, name))
  }

  /** Makes a change, waits until all have it, and compares everything. `there` says whether a tree may hold it already. */
  async change(workload: string, make: () => void, options: ChangeOptions): Promise<void> {
    const before = await this.begin()
    const started = Date.now()
    make()
    let passSeconds = 0
    if (!this.system.live) {
      await this.system.push()
      passSeconds = (Date.now() - started) / 1000
    }
    const { seconds, metaDiffers } = await this.#converged(started, options)
    if (this.system.live) await sleep(SETTLE_MS)
    if (this.wants(workload)) this.end(workload, before, Math.max(seconds, passSeconds), { metaDiffers })
  }

  async begin(): Promise<Reading> {
    execFileSync('sync')
    await sleep(500)
    for (const place of this.places) place.forgetPeak()
    return this.#read()
  }

  end(workload: string, before: Reading, seconds: number, more: Partial<Measured> = {}): void {
    const after = this.#read()
    const used = this.places.map((_, at) => {
      const [was, is] = [before.usage[at], after.usage[at]]
      if (was === undefined || is === undefined) throw new Error('not read')
      return { cpu: is.cpuSeconds - was.cpuSeconds, sent: is.sentBytes - was.sentBytes }
    })
    const cpuSeconds = used.reduce((sum, { cpu }) => sum + cpu, 0)
    this.#options.report({
      system: this.system.name,
      workload,
      round: this.#options.round,
      seconds,
      cpuSeconds,
      peakBytes: this.places.map(place => place.peak()),
      sentBytes: used.map(({ sent }) => sent),
      window: [before.micros, after.micros],
      otherCores: Math.max(0, (after.busy - before.busy - cpuSeconds) / ((after.at - before.at) / 1000)),
      ...more,
    })
  }

  /** All trees against the source's. */
  compare(): void {
    const want = manifest(this.source.root, this.system.own)
    for (const place of this.places.slice(1)) {
      const paths = differing(want.entries, manifest(place.root, this.system.own).entries)
      if (paths.length > 0) throw new Error(`${this.system.name}: ${place.name} differs in ${shown(paths)}`)
    }
  }

  #read(): Reading {
    return { at: Date.now(), micros: micros(), busy: machineBusy(), usage: this.places.map(place => place.read()) }
  }

  #left(): number {
    return Math.max(1, this.#options.deadline - Date.now())
  }

  async #converged(started: number, options: ChangeOptions): Promise<{ seconds: number; metaDiffers: number }> {
    const { own } = this.system
    const goal = outline(this.source.root, own)
    const end = Date.now() + Math.min(options.timeoutMs, this.#left())
    const missing = new Set(this.places.slice(1))
    let want: ReturnType<typeof manifest> | undefined
    let last = 0
    let metaDiffers = 0
    let again = COMPARE_AGAIN_MS
    while (missing.size > 0) {
      const looked = performance.now()
      const ready = [...missing].filter(place => options.there(place.root) && outline(place.root, own) === goal)
      const cost = performance.now() - looked
      for (const place of ready) {
        want ??= manifest(this.source.root, own)
        const got = manifest(place.root, own)
        const paths = differing(want.entries, got.entries)
        if (paths.length === 0) {
          last = Math.max(last, got.lastChange)
          metaDiffers += differing(want.meta, got.meta).length
          missing.delete(place)
        } else if (Date.now() > end) throw new Error(`${this.system.name}: ${place.name} differs in ${shown(paths)}`)
        else {
          await sleep(again)
          again = Math.min(again * 2, 10_000)
        }
      }
      if (missing.size === 0) break
      if (Date.now() > end) throw new Error(`${this.system.name}: not there after ${options.timeoutMs} ms`)
      await sleep(Math.max(LOOK_MS, cost / LOOK_SHARE))
    }
    return { seconds: Math.max(0, (last - started) / 1000), metaDiffers }
  }
}

const micros = (): number => Number(process.hrtime.bigint() / 1000n)

interface ChangeOptions {
  readonly there: (root: string) => boolean
  readonly timeoutMs: number
}
