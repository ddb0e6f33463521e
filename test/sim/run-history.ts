// Runs one history on whole engines and judges it. Never throws for what the history did: the outcome says so, with the trace.
import { inspect } from 'node:util'
import type { SimDevice } from '../support/sim-device.ts'
import { SimWorld } from '../support/sim-world.ts'
import { Oracle } from './oracle.ts'
import type { History, Step } from './steps.ts'
import { ANCHOR, act, prepare } from './user-actions.ts'

export interface Counts {
  users: number
  kills: number
  contents: number
  copies: number
  unavailable: number
  merged: number
  applied: number
  published: number
  quiets: number
}

export interface Outcome {
  readonly failure: string | null
  readonly traceHash: string
  readonly log: readonly string[]
  readonly counts: Counts
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
  #users = 0
  #kills = 0
  #quiets = 0

  constructor(history: History) {
    this.#history = history
    this.world = new SimWorld(history.seed)
    this.#oracle = new Oracle(this.world)
  }

  counts(): Counts {
    const events = this.world.devices.flatMap(device => device.events)
    return {
      users: this.#users,
      kills: this.#kills,
      quiets: this.#quiets,
      contents: this.#oracle.counts.contents,
      copies: this.#oracle.counts.copies,
      unavailable: this.#oracle.counts.unavailable,
      merged: events.filter(event => event.type === 'file:merged').length,
      applied: events.filter(event => event.type === 'file:applied').length,
      published: events.filter(event => event.type === 'file:published').length,
    }
  }

  async all(): Promise<void> {
    for (const setting of this.#history.devices) this.#oracle.watch(this.world.add(setting))
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
      case 'user': {
        const device = this.#device(step.device)
        this.#oracle.seen(device)
        this.#did(device, act(device, step.salt, this.#oracle))
        return
      }
      case 'wait':
        return this.world.pass(step.ms)
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
      case 'full':
      case 'room':
        this.#device(step.device).volume.freeBytes = step.do === 'full' ? 0 : Number.POSITIVE_INFINITY
        this.world.trace(`${this.#device(step.device).name} disk ${step.do}`)
        return
      default:
        return this.#process(step)
    }
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
        if (device.running) this.#kills++
        return device.kill({ power: step.do === 'power-cut' })
      case 'unreadable': {
        const paths = [...device.volume.all()].filter(entry => entry.path !== ANCHOR)
        const entry = paths[step.salt % Math.max(1, paths.length)]
        if (entry === undefined) return
        entry.inode.unreadable = !entry.inode.unreadable
        this.world.trace(`${device.name} ${entry.path} becomes ${entry.inode.unreadable ? 'un' : ''}readable`)
        return
      }
      default:
        throw new Error(`no such step: ${step.do}`)
    }
  }

  async #quiet(): Promise<void> {
    this.#quiets++
    this.world.trace('--- quiet')
    for (const device of this.world.devices) {
      device.volume.freeBytes = Number.POSITIVE_INFINITY
      for (const { inode } of device.volume.all()) inode.unreadable = false
    }
    await this.world.quiesce()
    await this.#oracle.check()
    this.world.trace('--- rested')
  }
}
