// Whether a database can be used at all, asked of a process of its own: LevelDB meets some damage with an assertion, which ends whoever
// has it open. Only what proves damage counts; a check that could not be made says nothing.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { KithError } from '../core/errors.ts'
import { damaged } from './codec.ts'

/** The exit code of a check that found damage. */
export const DAMAGED = 3

/** Less than a person who started the daemon is made to wait for it. */
const CHECK_MS = 45_000
const SAID_CHARACTERS = 1_000
const WORKER = new URL(`./check-worker${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`, import.meta.url)
/** What a process dies of by itself. Any other signal was sent: by a person, or by a system that stops or lacks memory. */
const CRASHES: ReadonlySet<NodeJS.Signals> = new Set(['SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGSEGV', 'SIGTRAP'])

export type CheckResult =
  | { readonly found: 'sound' }
  | { readonly found: 'damaged'; readonly error: KithError }
  | { readonly found: 'unknown'; readonly why: string }

/**
 * Opens the database in `directory`, reads all of it and compacts it, elsewhere. Nobody has it open when this settles. Rejects with the
 * reason of the signal.
 */
export async function checkDatabase(
  directory: string,
  { timeoutMs = CHECK_MS, signal: ended }: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
): Promise<CheckResult> {
  ended?.throwIfAborted()
  const child = fork(fileURLToPath(WORKER), [directory], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  const said = textOf(child)
  const kill = (): void => void child.kill('SIGKILL')
  const timer = setTimeout(kill, timeoutMs)
  ended?.addEventListener('abort', kill, { once: true })
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    ended?.throwIfAborted()
    if (code === 0) return { found: 'sound' }
    if (code === DAMAGED) return { found: 'damaged', error: new KithError('database-corrupt', said()) }
    const why = `the process that read it ended with ${signal ?? code}: ${said()}`
    const crashed = signal !== null && CRASHES.has(signal)
    return crashed ? { found: 'damaged', error: damaged('on checking', why) } : { found: 'unknown', why }
  } catch (error) {
    ended?.throwIfAborted()
    // It could not be started: nothing has the database open.
    return { found: 'unknown', why: String(error) }
  } finally {
    clearTimeout(timer)
    ended?.removeEventListener('abort', kill)
  }
}

/** The end of what it says. */
function textOf(child: ChildProcess): () => string {
  let text = ''
  child.stderr?.setEncoding('utf8').on('data', (part: string) => {
    text = (text + part).slice(-SAID_CHARACTERS)
  })
  return () => text.trim()
}
