// One device of the demo: a home, a directory for folders, and this same command line run as child processes. Ends what it started.
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { KithError } from '../core/errors.ts'
import type { StatusBody } from '../daemon/api/schema.ts'

const KILL_AFTER_MS = 15_000

interface Options {
  readonly signal: AbortSignal
}

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** The lines of a command that goes on. */
export interface RunningLines {
  next(): Promise<string>
  ended(): Promise<void>
}

export class Actor {
  readonly name: string
  readonly home: string
  readonly #directory: string
  readonly #children = new Set<ChildProcess>()

  constructor(name: string, directory: string) {
    this.name = name
    this.#directory = join(directory, name)
    this.home = join(this.#directory, 'home')
  }

  /** A directory of this device. */
  folder(name: string): string {
    return join(this.#directory, name)
  }

  /** `kith up` as a child, until it answers. */
  async up(folders: readonly string[], options: Options): Promise<StatusBody> {
    const args = ['up', ...folders.map(name => this.folder(name)), '--json']
    const child = this.#spawn(args)
    const errors = collect(child.stderr)
    const text = collect(child.stdout)
    for (;;) {
      // The document is whole when it parses: it is the only thing on stdout.
      await unlessAborted(Promise.race([once(child.stdout, 'data'), once(child, 'exit')]), options.signal)
      const status = parse(text())
      if (status !== null) {
        child.stdout?.resume()
        child.stderr?.resume()
        return status
      }
      if (child.exitCode !== null)
        throw new KithError('daemon-start-failed', lastLine(errors()) ?? `${this.name} did not start.`)
    }
  }

  /** Runs a command to its end; throws where it fails. */
  async run(args: readonly string[], options: Options): Promise<string> {
    const outcome = await this.try(args, options)
    if (outcome.code !== 0) {
      const why = lastLine(outcome.stderr)?.replace(/^kith: /, '') ?? `exit code ${outcome.code}`
      throw new KithError('internal', `On ${this.name}, "kith ${args.join(' ')}" failed: ${why}`)
    }
    return outcome.stdout
  }

  async json<T>(args: readonly string[], options: Options): Promise<T> {
    return JSON.parse(await this.run([...args, '--json'], options)) as T
  }

  async try(args: readonly string[], { signal }: Options): Promise<Outcome> {
    const child = this.#spawn(args)
    const stdout = collect(child.stdout)
    const stderr = collect(child.stderr)
    await unlessAborted(once(child, 'close'), signal)
    return { code: child.exitCode ?? 1, stdout: stdout(), stderr: stderr() }
  }

  lines(args: readonly string[], { signal }: Options): RunningLines {
    const child = this.#spawn(args)
    const stderr = collect(child.stderr)
    if (child.stdout === null) throw new KithError('internal', 'A command has no output.')
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const closed = once(child, 'close')
    return {
      next: async () => {
        const line = await unlessAborted(lines.next(), signal)
        if (line.done !== true) return line.value
        throw new KithError('internal', lastLine(stderr()) ?? `"kith ${args.join(' ')}" ended early.`)
      },
      ended: () => closed,
    }
  }

  /** Asks all that still runs to end, and sees that it does. */
  async end(): Promise<void> {
    await Promise.all(
      [...this.#children].map(async child => {
        const gone = once(child, 'exit')
        child.kill('SIGTERM')
        const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS)
        await gone
        clearTimeout(timer)
      }),
    )
  }

  #spawn(args: readonly string[]): ChildProcess {
    const main = process.argv[1]
    if (main === undefined) throw new KithError('internal', 'This kith does not know its own file.')
    const child = spawn(process.execPath, [...process.execArgv, main, '--home', this.home, ...args], {
      cwd: this.#directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  const parts: Buffer[] = []
  stream?.on('data', (part: Buffer) => parts.push(part))
  return () => Buffer.concat(parts).toString()
}

function once(emitter: NodeJS.EventEmitter | null, event: string): Promise<void> {
  return new Promise(resolve => emitter?.once(event, () => resolve()))
}

/** What the promise resolves with, or the signal's reason as an error when that comes first. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  let fail: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    fail = () => reject(signal.reason as Error)
    signal.addEventListener('abort', fail, { once: true })
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', fail)
  }
}

function parse(text: string): StatusBody | null {
  try {
    return JSON.parse(text) as StatusBody
  } catch {
    return null
  }
}

function lastLine(text: string): string | undefined {
  return text.trimEnd().split('\n').at(-1) || undefined
}
