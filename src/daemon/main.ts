// The process of the daemon: its log, its signals, its end. Run by `kith up` in the foreground and by `kith start` in the background.
// Nothing else in the daemon knows that there is a process around it.
import '../p2p/polyfill.ts'
import { isKithError, KithError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import type { StatusBody } from './api/schema.ts'
import { loadConfig } from './config.ts'
import { type Daemon, startDaemon } from './daemon.ts'
import { setEngineFlags } from './engine-flags.ts'
import { type Home, openHome } from './home.ts'
import { createLog, jsonTarget, type LogTarget, textTarget } from './log.ts'
import { Openings } from './openings.ts'
import { RotatingFile } from './rotating-file.ts'
import { runUntilStopped, type StartRequest, StopRequest } from './runs.ts'

/** After the last part has stopped nothing keeps a process alive; should something do so all the same, it is not waited for. */
const EXIT_MS = 2000

export interface RunOptions {
  readonly home: string
  readonly version: string
  /** Log to a file in the home, not to stderr. */
  readonly background: boolean
  /** A directory to sync, absolute. */
  readonly path?: string
  readonly onReady: (status: StatusBody) => void
}

/** Resolves when the daemon was asked to stop and has stopped. Throws KithError where it could not start. */
export async function runDaemon(options: RunOptions): Promise<void> {
  setEngineFlags()
  // Whatever this process makes is for its user alone, from the moment it exists.
  process.umask(0o077)
  const home = await openHome(options.home)
  const config = await loadConfig(home.configFile)
  const target = options.background ? new RotatingFile(home.logFile) : terminal()
  const log = createLog(config.log.level, [target])
  const stop = new StopRequest()
  const release = guardProcess(log, stop)
  try {
    const running = { ...options, config, log, stop }
    const clean = await runUntilStopped({
      log,
      stop,
      start: request => start(home, { ...running, ...request }),
      onStarted: async ({ control }) => {
        if (options.path !== undefined) await control.ensureFolder(options.path)
        options.onReady(control.status())
      },
      leaveDamaged: () => new Openings(home.openingsFile).leaveDamaged(),
    })
    if (!clean || stop.failed) throw new KithError('internal', 'The daemon did not end well: its log says more.')
  } finally {
    release()
    setTimeout(() => process.exit(), EXIT_MS).unref()
  }
}

interface RunningOptions extends RunOptions {
  readonly config: Awaited<ReturnType<typeof loadConfig>>
  readonly log: Log
  readonly stop: StopRequest
}

interface StartOptions extends RunningOptions, StartRequest {}

async function start(home: Home, options: StartOptions): Promise<Daemon> {
  const { config, version, log, stop, rebuild, onDatabaseDamaged } = options
  const startedAt = performance.now()
  const daemon = await failAsKithError(
    () =>
      startDaemon(
        { log },
        {
          ...{ home, config, version, rebuild, onDatabaseDamaged },
          ...{ onStopRequested: () => stop.ask(), signal: stop.signal },
        },
      ),
    log,
  )
  const ms = Math.round(performance.now() - startedAt)
  log.info({ version, pid: process.pid, home: home.root, ms }, 'started')
  return daemon
}

async function failAsKithError<T>(task: () => Promise<T>, log: Log): Promise<T> {
  try {
    return await task()
  } catch (error) {
    if (isKithError(error)) throw error
    log.error({ err: error }, 'the daemon could not start')
    const what = error instanceof Error ? error.message : String(error)
    throw new KithError('daemon-start-failed', `The daemon could not start: ${what}`, { cause: error })
  }
}

function terminal(): LogTarget {
  return process.stderr.isTTY ? textTarget(process.stderr) : jsonTarget(process.stderr)
}

/** Signals ask for a clean end; a second one does not wait for it. */
function guardProcess(log: Log, stop: StopRequest): () => void {
  let signals = 0
  const onSignal = (): void => {
    if (++signals > 1) process.exit(1)
    stop.ask()
  }
  const onException = (error: unknown): void => {
    log.error({ err: error }, 'an error that nothing caught: the daemon stops')
    stop.failed = true
    stop.ask()
  }
  // A promise that a library forgot: said, and survived. What a stranger sends must not be able to end the daemon.
  const onRejection = (error: unknown): void => log.error({ err: error }, 'a failure that nothing waited for')
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  process.on('SIGHUP', onSignal)
  process.on('uncaughtException', onException)
  process.on('unhandledRejection', onRejection)
  return () => {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
    process.off('SIGHUP', onSignal)
    process.off('uncaughtException', onException)
    process.off('unhandledRejection', onRejection)
  }
}
