// `kith start`, `stop`, `restart`: the daemon in the background. `start` returns once it answers, or with the sentence that kept it from
// starting; `stop` returns when the process is gone.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { ERRORS, type ErrorCode, isKithError, KithError, systemCode } from '../../core/errors.ts'
import type { StatusBody, StoppingBody } from '../../daemon/api/schema.ts'
import type { Context } from '../context.ts'
import { name, shortId } from '../output.ts'
import { nextSteps } from './up.ts'

const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 60_000
const POLL_MS = 30
/** Of Node itself, as `npm start` has them: V8 takes its largest young generation from the command line alone, and 16 MB are more than helps. */
export const NODE_ARGS = ['--max-semi-space-size=4']
/**
 * For the C library where that is glibc, which takes them at the start of a process alone (mallopt(3)): else it gives memory back, and takes
 * it anew page by page, with every buffer of a transfer, and has an arena for each of eight threads, of which each keeps what it once took.
 */
export const ALLOCATOR = {
  MALLOC_TRIM_THRESHOLD_: String(8 * 1024 * 1024),
  MALLOC_MMAP_THRESHOLD_: String(4 * 1024 * 1024),
  MALLOC_ARENA_MAX: '2',
}

export async function start(context: Context): Promise<void> {
  const { out, place } = context
  const status = await launch(context)
  if (out.json) {
    out.document(status)
    return
  }
  const { device, daemon } = status
  out.text(
    `Kith runs in the background on this device, ${name(device.name)} (${shortId(device.id)}, pid ${daemon.pid}).`,
  )
  for (const line of nextSteps(place.command, status.devices.length > 0, status.folders.length > 0)) out.text(line)
}

export async function stop(context: Context): Promise<void> {
  const pid = await shutDown(context)
  if (context.out.json) context.out.document({ stopped: true, pid })
  else context.out.text('Kith has stopped.')
}

export async function restart(context: Context): Promise<void> {
  try {
    await shutDown(context)
  } catch (error) {
    if (!isKithError(error) || error.code !== 'daemon-absent') throw error
  }
  await start(context)
}

function launch({ place, surroundings }: Context): Promise<StatusBody> {
  const main = process.argv[1]
  if (main === undefined) throw new KithError('internal', 'This kith does not know its own file.')
  const child = spawn(process.execPath, [...NODE_ARGS, ...process.execArgv, main, '--home', place.home, 'daemon'], {
    cwd: '/',
    env: { ...ALLOCATOR, ...surroundings.env },
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  return new Promise<StatusBody>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill()
      reject(ended(place.command, `did not answer within ${START_TIMEOUT_MS / 1000} s`))
    }, START_TIMEOUT_MS)
    child.on('message', message => {
      clearTimeout(timer)
      const told = message as { ready?: StatusBody; failed?: { code: string; message: string } }
      if (told.ready !== undefined) resolve(told.ready)
      else if (told.failed !== undefined) reject(new KithError(codeOf(told.failed.code), told.failed.message))
      if (child.connected) child.disconnect()
      child.unref()
    })
    child.once('error', error => reject(ended(place.command, `could not be started (${error.message})`)))
    child.once('exit', code => {
      clearTimeout(timer)
      reject(ended(place.command, `ended at once (${code ?? 'by a signal'})`))
    })
  })
}

function codeOf(code: string): ErrorCode {
  return Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'daemon-start-failed'
}

function ended(command: string, what: string): KithError {
  return new KithError('daemon-start-failed', `The daemon ${what}: "${command} up" shows why.`)
}

async function shutDown({ client }: Context): Promise<number> {
  const { pid } = await client.post<StoppingBody>('/stop', {})
  const deadline = performance.now() + STOP_TIMEOUT_MS
  while (isRunning(pid)) {
    if (performance.now() > deadline) {
      throw new KithError(
        'internal',
        `The daemon (pid ${pid}) is still not done after ${STOP_TIMEOUT_MS / 1000} s: look at its log.`,
      )
    }
    await sleep(POLL_MS)
  }
  return pid
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return systemCode(error) !== 'ESRCH'
  }
  try {
    // Ended, and only waiting for a parent that does not collect it.
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return fields.slice(fields.lastIndexOf(')') + 2, fields.lastIndexOf(')') + 3) !== 'Z'
  } catch (error) {
    return !existsSync('/proc/self/stat') || systemCode(error) !== 'ENOENT'
  }
}
