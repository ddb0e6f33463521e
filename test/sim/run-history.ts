// Runs one history on whole engines and judges it. Never throws for what the history did: the outcome says so, with the trace.
import { inspect } from 'node:util'
import { isKithError } from '../../src/core/errors.ts'
import type { DeviceCopy, SimDevice } from '../support/sim-device.ts'
import { SimWorld } from '../support/sim-world.ts'
import { Oracle } from './oracle.ts'
import { Staying } from './staying.ts'
import type { Answer, History, Step, UserStep } from './steps.ts'
import { ANCHOR, act, prepare } from './user-actions.ts'

/** What happened in a history, or in many. */
export interface Counts {
  /** Things that people did. */
  readonly users: number
  /** Processes that died, with and without the power. */
  readonly crashes: number
  /** Homes and disks that were old copies again, and databases lost. */
  readonly rollbacks: number
  readonly contents: number
  /** Names with a suffix, counted on every disk at every rest. */
  readonly copies: number
  /** Texts merged. */
  readonly merges: number
  readonly cycles: number
  /** Directories that show only because of what is in them. */
  readonly revived: number
  /** Contents that the documents name and nobody has. */
  readonly unavailable: number
  /** Replaced and deleted contents found kept. */
  readonly kept: number
  readonly applied: number
  readonly published: number
  readonly rests: number
}

export interface Outcome {
  readonly failure: string | null
  readonly traceHash: string
  readonly log: readonly string[]
  readonly counts: Counts
}

/** A history in which no content travelled, nobody crashed or nothing conflicted says little. */
export function worthCounting({ applied, crashes, copies, merges }: Counts): boolean {
  return applied > 0 && crashes > 0 && copies + merges > 0
}

export async function runHistory(history: History): Promise<Outcome> {
  const run = new HistoryRun(history)
  let failure: string | null = null
  try {
    await run.all()
  } catch (error) {
    failure = error instanceof Error ? (error.stack ?? error.message) : inspect(error)
  }
  return { failure, traceHash: run.world.traceHash(), log: run.world.log, counts: run.counts() }
}

class HistoryRun {
  readonly world: SimWorld
  readonly #history: History
  readonly #oracle: Oracle
  /** What each person will say to the halt of an emptied root. */
  readonly #answers = new Map<SimDevice, Answer>()
  readonly #staying: Staying
  /** No watcher loses or delays anything. */
  readonly #watchful: boolean
  #users = 0
  #crashes = 0
  #rests = 0
  #rollbacks = 0
  /** What each device's home and disk once were. */
  readonly #copies = new Map<SimDevice, DeviceCopy>()

  constructor(history: History) {
    this.#history = history
    this.world = new SimWorld(history.seed)
    this.#oracle = new Oracle(this.world)
    this.#staying = new Staying(word => this.#oracle.isDisposed(word))
    this.#watchful = !history.steps.some(step => step.do === 'watcher' && (step.loss > 0 || step.late > 0))
    this.world.onHalt = device => this.#answer(device)
  }

  counts(): Counts {
    const events = this.world.devices.flatMap(device => device.events)
    const count = (type: string): number => events.filter(event => event.type === type).length
    const { contents, copies, cycles, revived, unavailable, kept } = this.#oracle.counts
    return {
      users: this.#users,
      crashes: this.#crashes,
      rollbacks: this.#rollbacks,
      contents,
      copies,
      merges: count('file:merged'),
      cycles,
      revived,
      unavailable,
      kept,
      applied: count('file:applied'),
      published: count('file:published'),
      rests: this.#rests,
    }
  }

  async all(): Promise<void> {
    for (const setting of this.#history.devices) {
      const device = this.world.add(setting)
      this.#oracle.watch(device)
      this.#staying.watch(device)
    }
    for (const device of this.world.devices) {
      device.person.write(ANCHOR, 'anchor')
      this.#oracle.noteWritten(device, 'anchor')
    }
    for (const { device: at, salts } of this.#history.before) {
      const device = this.#device(at)
      for (const salt of salts) this.#did(device, prepare(device, salt, this.#oracle))
    }
    for (const device of this.world.devices) device.start()
    for (const step of this.#history.steps) {
      await this.#step(step)
      this.world.check()
      if (this.#watchful) await this.#staying.check(this.world.devices)
    }
    for (const device of this.world.devices) await this.world.finish(device.stop(), `stop ${device.name}`)
  }

  #device(at: number): SimDevice {
    const device = this.world.devices[at]
    if (device === undefined) throw new Error(`no device ${at}`)
    return device
  }

  #did(device: SimDevice, what: string | null): void {
    if (what === null) return
    this.#users++
    this.world.trace(`${device.name} user: ${what}`)
    this.#oracle.noteWritten(device, what)
  }

  async #step(step: Step): Promise<void> {
    const { network } = this.world
    switch (step.do) {
      case 'user':
      case 'exact':
        return step.do === 'user' ? this.#act(step) : this.#exact(step)
      case 'person':
        return this.#person(step)
      case 'wait':
        return this.world.pass(step.ms)
      case 'year':
        return this.world.passYear()
      case 'cut':
      case 'join':
        return network.setLinked(this.#device(step.a).id, this.#device(step.b).id, step.do === 'join')
      case 'withhold':
        return network.withhold(this.#device(step.device).id)
      case 'allow':
        return network.allow(this.#device(step.device).id)
      case 'network':
        network.faults = step
        return
      case 'watcher':
        this.#device(step.device).watcher = step
        return
      case 'jump':
        this.world.trace(`${this.#device(step.device).name} clock jumps ${step.ms} ms`)
        return this.#device(step.device).clock.jump(step.ms)
      case 'quiet':
        return this.#quiet()
      default:
        return this.#process(step)
    }
  }

  #act({ device: at, act: name, salt }: UserStep): void {
    const device = this.#device(at)
    this.#oracle.seen(device)
    this.#did(device, act(device, name, salt, this.#oracle))
  }

  /** `to` is also what is written, where it is given. */
  #person({ device: at, act: name, path: asked, to = '' }: Extract<Step, { do: 'person' }>): void {
    const device = this.#device(at)
    const { person } = device
    this.#oracle.seen(device)
    const start = asked.endsWith('*') ? asked.slice(0, -1) : null
    const path = start === null ? asked : (person.tree().find(one => one.startsWith(start)) ?? asked)
    if (name === 'write') person.write(path, to === '' ? `\0${this.#oracle.next()}\0` : to)
    else if (name === 'rename') person.rename(path, to)
    else if (name === 'copy') person.copy(path, to)
    else if (name === 'symlink') person.symlink(path, to)
    else if (name === 'chmod') person.chmod(path, 0o700)
    else person[name](path)
    this.#did(device, `${name} ${path} ${to}`)
  }

  async #process(step: Extract<Step, { device: number }>): Promise<void> {
    const device = this.#device(step.device)
    switch (step.do) {
      case 'rescan':
        if (device.started) device.engine.rescan({ signal: new AbortController().signal }).catch(() => undefined)
        return
      case 'start':
        return device.start()
      case 'stop':
        return this.world.finish(device.stop(), `stop ${device.name}`)
      case 'kill':
      case 'power-cut':
        if (device.running) this.#crashes++
        return device.kill({ power: step.do === 'power-cut' })
      case 'crash-at': {
        const { power } = step
        device.crashAt(step.awaits, { power, onDeath: () => void this.#crashes++ })
        return
      }
      case 'remember':
        this.#copies.set(device, device.snapshot())
        return
      case 'restore':
      case 'erase':
        return this.#rollBack(step, device)
      default:
        return this.#disk(step, device)
    }
  }

  async #rollBack(step: Extract<Step, { do: 'restore' | 'erase' }>, device: SimDevice): Promise<void> {
    const copy = this.#copies.get(device)
    if (device.person.unmounted || (step.do === 'restore' && copy === undefined)) return
    // A folder that nobody knows any more is nowhere to be pulled from.
    if (!(await this.#isKnownWithout(device))) return
    device.kill({ power: false })
    this.#rollbacks++
    if (step.do === 'erase') {
      this.world.trace(`${device.name} loses its database`)
      await this.#oracle.losesDatabase(device)
      return device.eraseDatabase()
    }
    if (copy === undefined) return
    this.world.trace(
      `${device.name} is an old copy again: the home${step.volume === null ? '' : ` and the disk, inodes ${step.volume}`}`,
    )
    if (step.volume === null) return device.restore(copy, step)
    await this.#oracle.replacesDisk(device, () => device.restore(copy, step))
    this.#staying.forget(device)
  }

  async #isKnownWithout(device: SimDevice): Promise<boolean> {
    for (const other of this.world.devices)
      if (other !== device && (await other.database.meta())?.pulling === false) return true
    return false
  }

  async #disk(step: Extract<Step, { device: number }>, device: SimDevice): Promise<void> {
    const trace = (what: string): void => this.world.trace(`${device.name} ${what}`)
    switch (step.do) {
      case 'full':
      case 'room':
        device.volume.freeBytes = step.do === 'full' ? 0 : Number.POSITIVE_INFINITY
        return trace(`disk ${step.do}`)
      case 'unreadable': {
        const paths = [...device.volume.all()].filter(entry => entry.path !== ANCHOR)
        const entry = paths[step.salt % Math.max(1, paths.length)]
        if (entry === undefined) return
        const what = step.unlisted === true ? 'unlisted' : 'unreadable'
        entry.inode[what] = !entry.inode[what]
        return trace(`${entry.path} becomes ${what}: ${entry.inode[what]}`)
      }
      case 'refuse': {
        const { cannotHold } = device.volume
        const had = cannotHold.delete(step.name)
        if (!had) cannotHold.add(step.name)
        return trace(`disk ${had ? 'can' : 'cannot'} have ${step.name}`)
      }
      case 'unmount':
        if (device.person.unmounted) return
        await this.#staying.leaves(device)
        device.person.unmountRoot()
        return trace('disk is unmounted')
      case 'lose-root':
        if (device.person.unmounted) return
        await this.#staying.leaves(device)
        device.person.removeRoot()
        return trace('root is gone')
      case 'unreadable-root':
        if (device.volume.root !== null) device.volume.root.unreadable = true
        return trace('root becomes unreadable')
      case 'remount':
        device.spare()
        device.person.remountRoot()
        return trace('disk is mounted')
      case 'empty':
        if (device.person.unmounted) return
        this.#oracle.seen(device)
        this.#answers.set(device, step.answer)
        device.person.emptyRoot()
        return trace('user: empties the root')
      default:
        throw new Error(`no such step: ${step.do}`)
    }
  }

  /** What one person does when everybody is at rest is what everybody shows afterwards, and nothing else moves. */
  async #exact(step: UserStep): Promise<void> {
    const { unavailable } = this.#oracle.counts
    await this.#quiet()
    const { merges } = this.counts()
    this.#act(step)
    // Of a content that nobody has any more each device shows what it had before.
    if (this.#oracle.counts.unavailable > unavailable) return
    const acted = this.#device(step.device)
    const wanted = this.#oracle.shown(acted)
    // A person may make two names that are one to others: then one of them has to get a suffix.
    if (new Set(wanted.map(({ path }) => path)).size < wanted.length) return
    // Who takes the last file out of the root is asked whether that was meant, and may take it back.
    if (wanted.length === 0) return
    await this.#quiet()
    // What is taken out of a conflict may leave two texts that can be merged.
    if (this.counts().merges > merges) return
    for (const device of this.world.devices) {
      const lines = this.#oracle.shown(device).map(({ line }) => line)
      if (lines.join('\n') !== wanted.map(({ line }) => line).join('\n')) {
        const said = wanted.map(({ line }) => line).join('\n')
        throw new Error(`${device.name} shows more or less than ${acted.name} did\n${said}\n${this.world.picture()}`)
      }
    }
  }

  #answer(device: SimDevice): void {
    const answer = this.#answers.get(device) ?? 'approve'
    this.#answers.delete(device)
    this.world.trace(`${device.name} user: ${answer}s`)
    // The root may have come back by itself meanwhile.
    device.engine[answer]().catch(error => {
      if (!isKithError(error) || error.code !== 'folder-halted') this.world.failures.push(error)
    })
  }

  async #quiet(): Promise<void> {
    this.#rests++
    this.world.trace('--- quiet')
    for (const device of this.world.devices) {
      device.spare()
      device.person.remountRoot()
      device.volume.freeBytes = Number.POSITIVE_INFINITY
      if (device.volume.root !== null) device.volume.root.unreadable = false
      for (const { inode } of device.volume.all()) Object.assign(inode, { unreadable: false, unlisted: false })
    }
    if (this.world.devices.some(({ volume }) => volume.cannotHold.size > 0)) {
      // A disk that cannot have all of it comes to rest too.
      await this.world.quiesce()
      for (const device of this.world.devices) device.volume.cannotHold.clear()
    }
    await this.world.quiesce()
    await this.#oracle.check()
    this.world.trace('--- rested')
  }
}
