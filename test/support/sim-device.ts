// One simulated device of one folder: a volume, a database and a clock that last, and a process that starts, stops and dies over
// them. The process is the real engine; all it is given is fake.
import type { KithEvent } from '../../src/core/events.ts'
import type { DeviceId, FolderId } from '../../src/core/ids.ts'
import type { Log } from '../../src/core/log.ts'
import type { FolderEngine } from '../../src/core/status.ts'
import type { PairedDevice } from '../../src/sync/company.ts'
import { createFolderEngine } from '../../src/sync/folder.ts'
import { mergeText } from '../../src/sync/merge-text.ts'
import type { PublishLimits } from '../../src/sync/publisher.ts'
import { SweepTurn } from '../../src/sync/sweep-turn.ts'
import { LivedStore } from './lived-store.ts'
import { MemoryDisk } from './memory-disk.ts'
import type { MemoryNetwork } from './memory-network.ts'
import { MemoryPerson } from './memory-person.ts'
import { MemoryStore } from './memory-store.ts'
import { MemoryVolume, mark, type VolumeCopy } from './memory-volume.ts'
import { ProcessLife } from './process-life.ts'
import type { Random } from './random.ts'
import { DeviceClock, type VirtualClock } from './virtual-clock.ts'

export interface SimDeviceOptions {
  readonly name: string
  readonly folder: FolderId
  /** A `get`: publishes nothing before it pulled. */
  readonly pull: boolean
  readonly clockOffsetMs?: number
  readonly stuckClock?: boolean
  readonly foldsCase?: boolean
  readonly granularityUs?: number
  readonly keepsModes?: boolean
  readonly hasBirthTimes?: boolean
  readonly reusesInodes?: boolean
  /** Absent: those of the product, which no small history reaches. */
  readonly limits?: PublishLimits
  /** How long one act of the disk or the database may take. */
  readonly slownessMs?: number
}

interface Deps {
  readonly clock: VirtualClock
  readonly random: Random
  readonly network: MemoryNetwork
  readonly trace: (line: string) => void
  /** All devices, with the one that asks. */
  readonly devices: () => readonly SimDevice[]
  /** What must not happen: an error in the log, a start that fails. */
  readonly onFailure: (error: unknown) => void
}

export interface DeviceCopy {
  readonly database: MemoryStore
  readonly volume: VolumeCopy
}

interface Process {
  readonly life: ProcessLife
  readonly disk: MemoryDisk
  readonly store: LivedStore
  readonly engine: FolderEngine
  started: boolean
}

export class SimDevice {
  readonly id: DeviceId
  readonly name: string
  readonly clock: DeviceClock
  readonly volume: MemoryVolume
  readonly person: MemoryPerson
  readonly events: KithEvent[] = []
  /** Told of each content that this device's daemon took off the disk; and of a power cut, after which it may be back. */
  onReplaced: (bytes: Uint8Array) => void = () => undefined
  onPowerCut: () => void = () => undefined
  /** What plans of which no step was refused left parked. */
  readonly leftParked: string[] = []
  /** What devices are called here. */
  nameOfDevice = (id: DeviceId): string => id.replace(/^device-/, '')
  /** Shares of watcher events that are lost, late, repeated. */
  watcher = { loss: 0, late: 0, repeat: 0 }
  /** Watcher events that happened and did not arrive yet. */
  hintsUnderWay = 0
  readonly #deps: Deps
  readonly #options: SimDeviceOptions
  readonly #random: Random
  #database: MemoryStore
  /** The next process starts without its database, or in a home that is a copy of another. */
  #lost = false
  #copied = false
  #process: Process | null = null
  #starts = 0
  #activity: string = 'scanning'
  #halted: string | null = null

  constructor(deps: Deps, options: SimDeviceOptions) {
    this.#deps = deps
    this.#options = options
    this.id = `device-${options.name}` as DeviceId
    this.name = options.name
    this.#random = deps.random.fork(options.name)
    this.clock = new DeviceClock(deps.clock, {
      offsetMs: options.clockOffsetMs ?? 0,
      stuck: options.stuckClock ?? false,
    })
    this.volume = new MemoryVolume({
      stampUs: () => this.clock.stampUs(),
      dev: 1,
      foldsCase: options.foldsCase ?? false,
      granularityUs: options.granularityUs ?? 1,
      keepsModes: options.keepsModes ?? true,
      hasBirthTimes: options.hasBirthTimes ?? true,
      reusesInodes: options.reusesInodes ?? false,
    })
    this.person = new MemoryPerson(this.volume)
    this.#database = new MemoryStore(options.folder)
    // As `add` and `get` do before the folder's first start.
    mark(this.volume)
  }

  get options(): SimDeviceOptions {
    return this.#options
  }

  /** A process runs, started or starting. */
  get running(): boolean {
    return this.#process !== null
  }

  /** The engine, once it has started. */
  get engine(): FolderEngine {
    const process = this.#process
    if (process === null || !process.started) throw new Error(`${this.name} has not started`)
    return process.engine
  }

  /** What the running engine said last of what it does, and why it stands still. */
  get activity(): string {
    return this.#activity
  }

  /** What was just written stays so for ever, and is looked at again every two seconds. */
  get clockStands(): boolean {
    return this.#options.stuckClock ?? false
  }

  get halted(): string | null {
    return this.#halted
  }

  get started(): boolean {
    return this.#process?.started ?? false
  }

  get database(): MemoryStore {
    return this.#database
  }

  /** The watcher of this process says that it did not see all. */
  doubt(reason: string): void {
    this.#process?.disk.doubt(reason)
  }

  /** The next commits of this process fail, until null. */
  failCommits(failure: Error | null): void {
    if (this.#process !== null) this.#process.store.failure = failure
  }

  start(): void {
    if (this.#process !== null) return
    const { clock, network, trace } = this.#deps
    const { folder, name } = this.#options
    const pull = this.#options.pull || this.#lost
    const rejoin = this.#copied
    const random = this.#random.fork(`process ${++this.#starts}`)
    const life = new ProcessLife(clock, random.fork('pauses'), this.#options.slownessMs ?? 0, error =>
      this.#deps.onFailure(error),
    )
    const watching = random.fork('watcher')
    const disk = new MemoryDisk(
      {
        volume: this.volume,
        pause: life.pause,
        watchFaults: {
          after: (ms, run) => {
            this.hintsUnderWay++
            clock.after(ms, () => {
              this.hintsUnderWay--
              if (!life.dead) run()
            })
          },
          fates: () => this.#fates(watching),
        },
        onStep: (step, result, replaced) => {
          if (replaced !== null) this.onReplaced(replaced)
          trace(
            `${name} disk ${step.do} ${'path' in step ? step.path : step.token}${'to' in step ? ` -> ${step.to}` : ''}${
              result.ok ? '' : ` refused: ${result.problem.code} at ${result.problem.path}`
            }`,
          )
        },
        onLeftParked: tokens => this.leftParked.push(...tokens),
      },
      { root: `/${name}` },
    )
    const store = new LivedStore(this.#database, life.pause)
    const engine = createFolderEngine(
      {
        disk,
        store,
        clock: life.clock(this.clock),
        random,
        emit: event => {
          if (life.dead) return
          this.events.push(event)
          if (event.type === 'folder:state') this.#activity = event.state
          if (event.type === 'folder:halted') this.#halted = event.code
          if (event.type === 'folder:resumed') this.#halted = null
          if (event.type !== 'folder:state') trace(`${name} event ${told(event)}`)
        },
        log: this.#log(life),
        sweepTurn: new SweepTurn(),
        nameOfDevice: id => this.nameOfDevice(id),
        paired: () => this.#paired(),
        mergeText: async (base, a, b) => {
          await life.pause('merge')
          return mergeText(base, a, b)
        },
        ...(this.#options.limits === undefined ? {} : { limits: this.#options.limits }),
      },
      {
        id: folder,
        name: 'folder',
        device: this.id,
        deviceName: name,
        foldsCase: this.#options.foldsCase ?? false,
        pull,
        rejoin,
      },
    )
    const process: Process = { life, disk, store, engine, started: false }
    this.#process = process
    this.#activity = 'scanning'
    this.#halted = null
    trace(`${name} starts`)
    engine.start().then(
      () => {
        if (this.#process !== process) return
        process.started = true
        this.#copied = false
        trace(`${name} started`)
        engine.attach(network.attach(this.id, engine))
      },
      error => {
        if (this.#process === process) this.#deps.onFailure(error)
      },
    )
  }

  /** An orderly end; resolves when the engine has stopped. */
  async stop(): Promise<void> {
    const process = this.#process
    if (process === null) return
    this.#deps.trace(`${this.name} stops`)
    this.#process = null
    this.#deps.network.detach(this.id)
    await process.engine.stop()
    process.life.kill()
    this.#deps.trace(`${this.name} stopped`)
  }

  /** SIGKILL; with `power`, what was not on the platter goes too. */
  kill(options: { power: boolean }): void {
    const process = this.#process
    if (process === null) return
    this.#deps.trace(`${this.name} dies${options.power ? ' with the power' : ''}`)
    this.#process = null
    process.life.kill()
    this.#deps.network.detach(this.id)
    if (!options.power) return
    // All of it, none, or any part.
    const share = this.#random.pick([0.1, 0.5, 0.9, 1])
    process.disk.powerCut(() => this.#random.chance(share))
    this.onPowerCut()
  }

  /** Whatever was to kill the running process later does not. */
  spare(): void {
    this.#process?.life.fuse(0, () => undefined)
  }

  /** The process that runs dies at the n-th await from now. */
  crashAt(awaits: number, options: { power: boolean; onDeath: () => void }): void {
    const process = this.#process
    process?.life.fuse(awaits, () => {
      if (this.#process !== process) return
      options.onDeath()
      this.kill(options)
    })
  }

  /** The database is gone; the disk is as it was. The next start pulls, as the daemon has it. Only while nothing runs. */
  eraseDatabase(): void {
    this.#mustNotRun()
    this.#database = new MemoryStore(this.#options.folder)
    this.#lost = true
  }

  /** The database and the disk as they are now, for `restore`. */
  snapshot(): DeviceCopy {
    return { database: this.#database.copy(), volume: this.volume.copy() }
  }

  /**
   * The database is an old copy again, and with `volume` the disk too: its inodes the `same` (a snapshot of the machine) or `new` (a backup
   * that was copied back). `noticed`: the daemon sees that its home is another directory than it was. Only while nothing runs.
   */
  restore(copy: DeviceCopy, options: { volume: 'same' | 'new' | null; noticed: boolean }): void {
    this.#mustNotRun()
    this.#database = copy.database.copy()
    this.#copied = options.noticed
    if (options.volume !== null) this.volume.putBack(copy.volume, { inodes: options.volume })
  }

  #paired(): readonly PairedDevice[] {
    const others = this.#deps.devices().filter(({ id }) => id !== this.id && !this.#deps.network.removed.has(id))
    return others.map(({ id, name }) => ({ id, name }))
  }

  #mustNotRun(): void {
    if (this.#process !== null) throw new Error('stop it first')
  }

  #fates(random: Random): readonly number[] {
    const { loss, late, repeat } = this.watcher
    if (random.chance(loss)) return []
    const first = random.chance(late) ? 100 + random.int(5_000) : random.int(5)
    return random.chance(repeat) ? [first, first + random.int(3_000)] : [first]
  }

  #log(life: ProcessLife): Log {
    const write =
      (level: string) =>
      (fields: Record<string, unknown> | string, message?: string): void => {
        if (life.dead || level === 'debug') return
        const text = typeof fields === 'string' ? fields : `${message} ${describe(fields)}`
        this.#deps.trace(`${this.name} log ${level}: ${text}`)
        if (level === 'error')
          this.#deps.onFailure(typeof fields === 'object' && 'err' in fields ? fields['err'] : text)
      }
    const log: Log = {
      error: write('error'),
      warn: write('warn'),
      info: write('info'),
      debug: write('debug'),
      child: () => log,
    }
    return log
  }
}

function describe(fields: Record<string, unknown>): string {
  return Object.entries(fields)
    .map(([key, value]) => `${key}=${value instanceof Error ? value.message : JSON.stringify(value)}`)
    .join(' ')
}

function told(event: KithEvent): string {
  const parts = Object.entries(event).filter(([key]) => key !== 'folder')
  return parts.map(([key, value]) => (key === 'type' ? String(value) : `${key}=${JSON.stringify(value)}`)).join(' ')
}
