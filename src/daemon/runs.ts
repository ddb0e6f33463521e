// The life of the daemon in its process: started, and stopped when that is asked. A damaged database is built anew by a start of its own, once
// a run: what is damaged again is no accident, and its folder stays halted for a person to see.
import { isKithError, KithError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import type { Daemon } from './daemon.ts'

export class StopRequest {
  /** Set by an error after which the process cannot be trusted. */
  failed = false
  isAsked = false
  readonly #asked = new AbortController()
  /** For what takes long before there is a daemon to be stopped. */
  readonly signal = this.#asked.signal
  readonly requested: Promise<void>
  #resolve: () => void = () => undefined

  constructor() {
    this.requested = new Promise(resolve => {
      this.#resolve = resolve
    })
  }

  ask(): void {
    this.isAsked = true
    this.#asked.abort(new KithError('stopped', 'The daemon was stopped while it was starting.'))
    this.#resolve()
  }
}

export interface StartRequest {
  readonly rebuild: boolean
  readonly onDatabaseDamaged: () => void
}

type Run = Pick<Daemon, 'stop'>

export interface RunsDeps<T extends Run> {
  readonly log: Log
  readonly stop: StopRequest
  readonly start: (request: StartRequest) => Promise<T>
  /** Once, after the first start that went well. */
  readonly onStarted: (daemon: T) => Promise<void>
  /** The next process is to build the database anew, unless this one gets to it. */
  readonly leaveDamaged: () => Promise<void>
}

/** False where something did not end well. */
export async function runUntilStopped<T extends Run>(deps: RunsDeps<T>): Promise<boolean> {
  try {
    return await run(deps)
  } catch (error) {
    if (!isStopped(error, deps.stop)) throw error
    deps.log.info('stopped while it was starting')
    return true
  }
}

async function run<T extends Run>({ log, stop, start, onStarted, leaveDamaged }: RunsDeps<T>): Promise<boolean> {
  const end = async (daemon: Run): Promise<boolean> => {
    const clean = await daemon.stop()
    log.info({ clean }, 'stopped')
    return clean
  }
  const leave = async (): Promise<void> => {
    try {
      await leaveDamaged()
    } catch (error) {
      // The next start meets the damage again.
      log.error({ err: error }, 'the next start cannot be told that the database is damaged')
    }
  }
  const endDamaged = async (daemon: Run, damage: StopRequest): Promise<boolean> => {
    // First, while the home is still locked; and after it, as a daemon that stops may meet damage too.
    const { isAsked } = damage
    if (isAsked) await leave()
    const clean = await end(daemon)
    if (damage.isAsked && !isAsked) await leave()
    return clean
  }
  const damage = new StopRequest()
  const onDatabaseDamaged = (): void => damage.ask()
  const first = await startOrDamage({ log, start: () => start({ rebuild: false, onDatabaseDamaged }) })
  if (first !== null) {
    await started(onStarted, first, () => endDamaged(first, damage))
    await Promise.race([stop.requested, damage.requested])
    log.info(stop.isAsked ? 'stopping' : 'stopping, to build the database anew')
    const clean = await endDamaged(first, damage)
    // Where it is not clean, something of it may still run, and must not meet what is built anew.
    if (stop.isAsked || !clean) return clean
  } else {
    await leave()
  }
  // From now on a damaged folder stays halted for a person to see.
  const again = new StopRequest()
  const request = { onDatabaseDamaged: (): void => again.ask() }
  let daemon: T
  try {
    daemon = await start({ ...request, rebuild: true })
  } catch (error) {
    if (isStopped(error, stop)) throw error
    log.error({ err: error }, 'the database could not be built anew')
    if (first === null) throw error
    daemon = await start({ ...request, rebuild: false })
  }
  if (first === null) await started(onStarted, daemon, () => endDamaged(daemon, again))
  await stop.requested
  log.info('stopping')
  return endDamaged(daemon, again)
}

function isStopped(error: unknown, stop: StopRequest): boolean {
  return stop.isAsked && isKithError(error) && error.code === 'stopped'
}

/** Null where the database turned out to be damaged, later than at its opening. */
async function startOrDamage<T>({ log, start }: { log: Log; start: () => Promise<T> }): Promise<T | null> {
  try {
    return await start()
  } catch (error) {
    if (!isKithError(error) || error.code !== 'database-corrupt') throw error
    log.error({ err: error }, 'the database is damaged')
    return null
  }
}

async function started<T>(
  onStarted: (daemon: T) => Promise<void>,
  daemon: T,
  end: () => Promise<unknown>,
): Promise<void> {
  try {
    await onStarted(daemon)
  } catch (error) {
    await end()
    throw error
  }
}
