// One device as a person has it: a home, a directory for folders, and the daemon of `dist/` in its own network namespace and under its
// own host name. Black box: it is driven by the command line, and watched by the status that the local API answers.
import type { ChildProcess } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { LanNode } from './lan.ts'
import { ended, Lines, type RunResult, runProcess, startProcess } from './process.ts'
import { Hopeless, until } from './until.ts'

const { KITH_E2E_MAIN } = process.env
/** The built command line; another build can be named by `KITH_E2E_MAIN`. */
export const MAIN = KITH_E2E_MAIN ?? fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))

const CLI_TIMEOUT_MS = 60_000
const START_TIMEOUT_MS = 15_000
const STOP_TIMEOUT_MS = 15_000
const LOG_TAIL_LINES = 40

/** The part of `status --json` that the tests read; its fields are a contract. */
export interface Status {
  readonly device: { readonly id: string; readonly name: string; readonly version: string }
  readonly daemon: { readonly pid: number; readonly addresses: readonly string[] }
  readonly devices: readonly { readonly id: string; readonly name: string; readonly connected: boolean }[]
  readonly folders: readonly FolderStatus[]
}

export interface FolderStatus {
  readonly id: string
  readonly name: string
  readonly path: string
  readonly state: string
  readonly error: { readonly code: string; readonly message: string } | null
  readonly files: number
  readonly need: { readonly files: number; readonly bytes: number }
  readonly conflicts: number
  readonly problems: readonly { readonly code: string; readonly path: string; readonly message: string }[]
  readonly devices: readonly { readonly id: string; readonly connected: boolean; readonly inSync: boolean }[]
}

export interface DeviceOptions {
  /** Without the right to pass over file permissions, as a daemon of an ordinary user. */
  readonly ordinary?: boolean
  /** Options of Node itself, for its daemon and its commands. */
  readonly node?: readonly string[]
  /** What goes before its daemon and its commands, and becomes them. */
  readonly inside?: readonly string[]
}

export class Device {
  readonly name: string
  readonly node: LanNode
  readonly home: string
  readonly #directory: string
  readonly #ordinary: boolean
  readonly #nodeOptions: readonly string[]
  readonly #inside: readonly string[]
  #daemon: ChildProcess | undefined

  constructor(node: LanNode, directory: string, options: DeviceOptions = {}) {
    this.name = node.name
    this.node = node
    this.#directory = join(directory, node.name)
    this.home = join(this.#directory, 'home')
    this.#ordinary = options.ordinary ?? false
    this.#nodeOptions = options.node ?? []
    this.#inside = options.inside ?? []
    mkdirSync(this.#directory)
  }

  /** A path in this device's own directory. */
  path(...parts: readonly string[]): string {
    return join(this.#directory, ...parts)
  }

  get running(): boolean {
    return this.#daemon !== undefined && this.#daemon.exitCode === null && this.#daemon.signalCode === null
  }

  /** Of the daemon; undefined while none runs. */
  get pid(): number | undefined {
    return this.running ? this.#daemon?.pid : undefined
  }

  /** `kith up …` in the foreground; resolves when it answers. */
  async start(...args: readonly string[]): Promise<Status> {
    if (this.running) throw new Error(`${this.name} runs already`)
    const log = openSync(this.#logPath, 'a')
    const child = startProcess(this.#command(['up', ...args]), { stdio: ['ignore', log, log], env: environment() })
    closeSync(log)
    this.#daemon = child
    const status = await until(
      () => {
        if (!this.running) throw new Hopeless(`the daemon of ${this.name} ended with ${String(child.exitCode)}`)
        return this.status()
      },
      { timeoutMs: START_TIMEOUT_MS, what: `${this.name} answers`, everyMs: 20 },
    )
    if (status.daemon.pid !== child.pid) throw new Error(`the daemon is ${status.daemon.pid}, not ${String(child.pid)}`)
    return status
  }

  /** SIGTERM; it must end cleanly. */
  async stop(): Promise<void> {
    const code = await this.#end('SIGTERM')
    if (code !== 0) throw new Error(`the daemon of ${this.name} ended with ${code} after SIGTERM`)
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** For clean-up: whatever its state. */
  async destroy(): Promise<void> {
    if (this.running) await this.kill()
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number> {
    const child = this.#daemon
    if (child === undefined) throw new Error(`${this.name} does not run`)
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    const code = await ended(child)
    clearTimeout(timer)
    return code
  }

  /** `kith ARGS` with this home, whatever its exit code. */
  cli(
    args: readonly string[],
    options: { readonly timeoutMs?: number; readonly cwd?: string } = {},
  ): Promise<RunResult> {
    return runProcess(this.#command(args), {
      timeoutMs: options.timeoutMs ?? CLI_TIMEOUT_MS,
      cwd: options.cwd ?? this.#directory,
      env: environment(),
    })
  }

  /** The same, which must end with 0. */
  async ok(args: readonly string[], options: { readonly timeoutMs?: number } = {}): Promise<RunResult> {
    const result = await this.cli(args, options)
    if (result.code !== 0) {
      throw new Error(
        `kith ${args.join(' ')} on ${this.name} ended with ${result.code}: ${result.stderr || result.stdout}`,
      )
    }
    return result
  }

  /** The same with `--json`: the document. */
  async json(args: readonly string[], options: { readonly timeoutMs?: number } = {}): Promise<unknown> {
    return JSON.parse((await this.ok([...args, '--json'], options)).stdout)
  }

  /** A command that goes on while the test does. */
  spawn(args: readonly string[]): { readonly lines: Lines; ended(): Promise<number>; end(): void } {
    const child = startProcess(this.#command(args), { stdio: ['ignore', 'pipe', 'inherit'], env: environment() })
    return { lines: new Lines(child), ended: () => ended(child), end: () => child.kill('SIGTERM') }
  }

  /** `GET /api/v1/status` at the home's socket. */
  status(): Promise<Status> {
    return new Promise((resolve, reject) => {
      const call = request({ socketPath: this.#socket(), path: '/api/v1/status', timeout: 5_000 }, response => {
        const parts: Buffer[] = []
        response.on('data', (data: Buffer) => parts.push(data))
        response.on('end', () => {
          try {
            resolve(JSON.parse(Buffer.concat(parts).toString()) as Status)
          } catch (error) {
            reject(error as Error)
          }
        })
        response.on('error', reject)
      })
      call.on('timeout', () => call.destroy(new Error('no answer in 5 s')))
      call.on('error', reject)
      call.end()
    })
  }

  /** The status of one folder. */
  async folder(name: string): Promise<FolderStatus> {
    const folder = (await this.status()).folders.find(f => f.name === name)
    if (folder === undefined) throw new Error(`${this.name} has no folder ${name}`)
    return folder
  }

  /** Whether it holds a live link to that other device. */
  async linked(other: Device): Promise<boolean> {
    return (await this.status()).devices.some(device => device.name === other.name && device.connected)
  }

  /** The last lines of the daemon's output. */
  logTail(): string {
    if (!existsSync(this.#logPath)) return '(no log)'
    return readFileSync(this.#logPath, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n')
  }

  get #logPath(): string {
    return join(this.#directory, 'daemon.log')
  }

  #socket(): string {
    const elsewhere = join(this.home, 'daemon.sock.path')
    return existsSync(elsewhere) ? readFileSync(elsewhere, 'utf8').trim() : join(this.home, 'daemon.sock')
  }

  /** Every step execs the next: the pid is the daemon's. It dies with the tests, however these end. */
  #command(args: readonly string[]): string[] {
    const limits = this.#ordinary ? ['--bounding-set', '-dac_override,-dac_read_search'] : []
    return [
      ...this.node.enter,
      ...['unshare', '--uts', '--', 'sh', '-c', 'hostname "$0" && exec "$@"', this.name],
      ...['setpriv', '--pdeathsig', 'KILL', ...limits],
      ...this.#inside,
      ...[process.execPath, ...this.#nodeOptions, MAIN, '--home', this.home, ...args],
    ]
  }
}

/** As a person's shell has it, without what would change the daemon or the output. */
function environment(): NodeJS.ProcessEnv {
  const { KITH_HOME: _, NODE_OPTIONS: __, FORCE_COLOR: ___, ...rest } = process.env
  return rest
}
