// The life of the daemon in its process: started, and stopped when that is asked. A damaged database is built anew by a start of its own, once
// a run: what is damaged again is no accident, and its folder stays halted for a person to see.
import type { Log } from '../core/log.ts'
import type { Daemon } from './daemon.ts'

export class StopRequest {
  /** Set by an error after which the process cannot be trusted. */
  failed = false
  isAsked = false
  readonly requested: Promise<void>
  #resolve: () => void = () => undefined

  constructor() {
    this.requested = new Promise(resolve => {
      this.#resolve = resolve
    })
  }

  ask(): void {
    this.isAsked = true
    this.#resolve()
  }
}

export interface StartRequest {
  readonly rebuild: boolean
  readonly onDatabaseDamaged: () => void
}

export interface RunsDeps {
  readonly log: Log
  readonly stop: StopRequest
  readonly start: (request: StartRequest) => Promise<Pick<Daemon, 'stop'>>
}

/** False where something did not end well. */
export async function runUntilStopped({ log, stop, start }: RunsDeps): Promise<boolean> {
  for (let rebuild = false; ; rebuild = true) {
    const damage = new StopRequest()
    const daemon = await start({ rebuild, onDatabaseDamaged: () => damage.ask() })
    await Promise.race(rebuild ? [stop.requested] : [stop.requested, damage.requested])
    const again = !rebuild && !stop.isAsked
    log.info(again ? 'stopping, to build the database anew' : 'stopping')
    const clean = await daemon.stop()
    log.info({ clean }, 'stopped')
    if (!again || !clean || stop.isAsked) return clean
  }
}
