// Daemons of a run that are no child of another: each in the namespace of its place, and dead when the bench is.
import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { ended, startProcess } from '../e2e/support/process.ts'
import type { Place } from './place.ts'

export class Daemons {
  readonly #running = new Map<Place, ChildProcess>()

  start(place: Place, command: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    const log = openSync(place.path('log'), 'a')
    const inside = [...place.node.enter, 'setpriv', '--pdeathsig', 'KILL', ...command]
    const child = startProcess(inside, { stdio: ['ignore', log, log, 'ipc'], env: { ...process.env, ...env } })
    closeSync(log)
    this.#running.set(place, child)
    return child
  }

  async stop(place: Place, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#running.get(place)
    if (child === undefined) return
    this.#running.delete(place)
    child.kill(signal)
    await ended(child)
  }

  async close(): Promise<void> {
    for (const place of [...this.#running.keys()]) await this.stop(place, 'SIGKILL')
  }
}
