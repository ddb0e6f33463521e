// Faults in the system calls of a daemon that runs: strace is attached to all of its threads, slows or fails the calls it is told to,
// and lets go again.
import type { ChildProcess } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import type { Device } from '../../e2e/support/device.ts'
import { ended, Lines, startProcess } from '../../e2e/support/process.ts'
import { until } from '../../e2e/support/until.ts'

const ATTACH_MS = 30_000

export class Strace {
  readonly #child: ChildProcess
  readonly #log: string

  private constructor(child: ChildProcess, log: string) {
    this.#child = child
    this.#log = log
  }

  /** `injections` as strace has them, for example `getdents64:error=EIO:when=2+`; counted from now on, for each thread. */
  static async attach(device: Device, injections: readonly string[]): Promise<Strace> {
    const { pid } = (await device.status()).daemon
    const log = device.path(`strace-${process.hrtime.bigint()}`)
    const calls = injections.map(each => each.slice(0, each.indexOf(':'))).join(',')
    const inject = injections.flatMap(each => ['-e', `inject=${each}`])
    const command = ['strace', '-f', '-p', String(pid), '-o', log, '-e', `trace=${calls}`, ...inject]
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

  /** How many of the calls it has changed. */
  get injected(): number {
    if (!existsSync(this.#log)) return 0
    return readFileSync(this.#log, 'latin1').split('(INJECTED)').length - 1 || this.#delayed()
  }

  #delayed(): number {
    return readFileSync(this.#log, 'latin1').split('(DELAYED)').length - 1
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
