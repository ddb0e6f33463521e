// Runs one command line in this process, as a shell would, and keeps what it printed.
import { PassThrough, Writable } from 'node:stream'
import { runCli } from '../../../src/cli/program.ts'

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Shell {
  readonly home: string
  readonly cwd: string
  readonly env?: NodeJS.ProcessEnv
  readonly terminal?: boolean
  /** Typed by the person, if one is there. */
  readonly typed?: string
  /** Told of all that is printed on stdout. */
  readonly onStdout?: (text: string) => void
}

export async function kith(shell: Shell, ...args: readonly string[]): Promise<Ran> {
  const stdout = new Page(shell.terminal === true, shell.onStdout)
  const stderr = new Page(shell.terminal === true)
  const stdin = new PassThrough()
  Object.assign(stdin, { isTTY: shell.typed !== undefined })
  stdin.end(shell.typed ?? '')
  const env = { KITH_HOME: shell.home, ...shell.env }
  const code = await runCli(args, { env, cwd: shell.cwd, stdin, stdout, stderr })
  return { code, stdout: stdout.text, stderr: stderr.text }
}

class Page extends Writable {
  text = ''
  readonly isTTY: boolean
  readonly #told: ((text: string) => void) | undefined

  constructor(isTTY: boolean, told?: (text: string) => void) {
    super()
    this.isTTY = isTTY
    this.#told = told
  }

  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.text += chunk.toString()
    this.#told?.(chunk.toString())
    done()
  }
}
