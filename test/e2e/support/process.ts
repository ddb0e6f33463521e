// Child processes of the tests: run to the end with a deadline, or kept with their lines. Every child is known here and killed, by its
// own pid, when the test process ends in whatever way.
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'

export interface RunResult {
  /** Exit code; 128 + n when signal n ended it (only SIGKILL and SIGTERM are told apart). */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})
// Mocha's own SIGINT handling ends the run by its hooks; these end it at once, through the exit hook above.
for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1))

export function startProcess(command: readonly string[], options: SpawnOptions): ChildProcess {
  const [file, ...args] = command
  if (file === undefined) throw new Error('no command')
  const child = spawn(file, args, options)
  children.add(child)
  child.once('exit', () => children.delete(child))
  child.once('error', () => children.delete(child))
  return child
}

/** Resolves with the exit code, also when it has ended already. */
export function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    const done = (): void => resolve(codeOf(child))
    if (child.exitCode !== null || child.signalCode !== null) done()
    else {
      child.once('exit', done)
      child.once('error', reject)
    }
  })
}

function codeOf(child: ChildProcess): number {
  if (child.exitCode !== null) return child.exitCode
  return child.signalCode === 'SIGKILL' ? 137 : 143
}

export async function runProcess(
  command: readonly string[],
  options: SpawnOptions & { readonly timeoutMs: number },
): Promise<RunResult> {
  const child = startProcess(command, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout?.on('data', (data: Buffer) => out.push(data))
  child.stderr?.on('data', (data: Buffer) => err.push(data))
  let late = false
  const timer = setTimeout(() => {
    late = true
    child.kill('SIGKILL')
  }, options.timeoutMs)
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('close', () => resolve(codeOf(child)))
      child.once('error', reject)
    })
    const result = { code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }
    if (late) throw new Error(`not done after ${options.timeoutMs} ms: ${command.join(' ')}\n${result.stderr}`)
    return result
  } finally {
    clearTimeout(timer)
  }
}

/** The lines that a kept child prints, one at a time. */
export class Lines {
  readonly #lines: string[] = []
  #rest = ''
  #wake: (() => void) | undefined
  #closed = false

  constructor(child: ChildProcess) {
    child.stdout?.on('data', (data: Buffer) => {
      const parts = (this.#rest + data.toString()).split('\n')
      this.#rest = parts.pop() ?? ''
      this.#lines.push(...parts)
      this.#wake?.()
    })
    child.once('close', () => {
      this.#closed = true
      this.#wake?.()
    })
  }

  async next(timeoutMs: number): Promise<string> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const line = this.#lines.shift()
      if (line !== undefined) return line
      const left = deadline - performance.now()
      if (this.#closed || left <= 0) throw new Error(this.#closed ? 'it ended without that line' : 'no line in time')
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, left)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }
}
