// Faults in the system calls of a daemon that runs: strace is attached to all of its threads, slows or fails the calls it is told to,
// and lets go again.
import type { ChildProcess } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import type { Device } from '../../e2e/support/device.ts'
import { ended, Lines, startProcess } from '../../e2e/support/process.ts'
import { until } from '../../e2e/support/until.ts'
import { statusOf } from './pair-of-devices.ts'

const ATTACH_MS = 30_000

export class Strace {
  readonly #child: ChildProcess
  readonly #log: string

  private constructor(child: ChildProcess, log: string) {
    this.#child = child
    this.#log = log
  }

  /**
   * `injections` as strace has them, for example `getdents64:error=EIO:when=2+`; counted from now on, for each thread. `noted`: calls that are
   * only written down; `paths`: those that have nothing to do with one of these are left alone.
   */
  static async attach(
    device: Device,
    injections: readonly string[],
    options: { readonly noted?: readonly string[]; readonly paths?: readonly string[] } = {},
  ): Promise<Strace> {
    const { noted = [], paths = [] } = options
    const { pid } = (await statusOf(device)).daemon
    const log = device.path(`strace-${process.hrtime.bigint()}`)
    const calls = [...injections.map(each => each.slice(0, each.indexOf(':'))), ...noted].join(',')
    const inject = injections.flatMap(each => ['-e', `inject=${each}`])
    const only = paths.flatMap(path => ['-P', path])
    const command = ['strace', '-f', '-y', '-p', String(pid), '-o', log, '-e', `trace=${calls}`, ...inject, ...only]
    const child = startProcess(['sh', '-c', 'exec "$0" "$@" 2>&1', ...command], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const lines = new Lines(child)
    for (;;) {
      const line = await lines.next(ATTACH_MS)
      if (/ attached/.test(line)) break
    }
    return new Strace(child, log)
  }

  /** The calls so far, as strace writes them. */
  get calls(): string[] {
    return existsSync(this.#log) ? readFileSync(this.#log, 'latin1').split('\n') : []
  }

  /** How many of them it has changed. */
  get injected(): number {
    return this.calls.filter(line => /\((INJECTED|DELAYED)\)/.test(line)).length
  }

  async reached(count: number, timeoutMs: number): Promise<void> {
    await until(() => this.injected >= count, { timeoutMs, what: `${count} calls are changed`, everyMs: 5 })
  }

  /** The daemon goes on as if nothing had been. */
  async detach(): Promise<void> {
    this.#child.kill('SIGTERM')
    await ended(this.#child)
  }
}
