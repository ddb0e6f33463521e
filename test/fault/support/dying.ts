// A daemon that dies by SIGKILL right before the n-th call by which it would change a file, whichever of its threads makes it: `dying.c`,
// compiled and loaded into it. A run without a death says how many calls there are and what they are.
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Device } from '../../e2e/support/device.ts'
import { until } from '../../e2e/support/until.ts'
import { withEnvironment } from './faults.ts'
import { started } from './pair-of-devices.ts'

const SOURCE = fileURLToPath(new URL('./dying.c', import.meta.url))
const PAGE_BYTES = 4096
const QUIET_MS = 400

export class Dying {
  readonly #device: Device
  readonly #library: string
  readonly #control: string
  readonly #log: string
  readonly #below: readonly string[]

  /** Calls that change something below one of these are counted. */
  constructor(device: Device, below: readonly string[]) {
    this.#device = device
    this.#below = below
    this.#library = device.path('dying.so')
    this.#control = device.path('dying.page')
    this.#log = device.path('dying.calls')
    execFileSync('gcc', ['-shared', '-fPIC', '-O1', '-o', this.#library, SOURCE, '-ldl'])
    writeFileSync(this.#control, Buffer.alloc(PAGE_BYTES))
  }

  /** The daemon, with one thread for what it does asynchronously. Not armed. */
  async start(): Promise<void> {
    this.#set([0, 0, 0])
    const more = {
      LD_PRELOAD: this.#library,
      KITH_DYING_CONTROL: this.#control,
      KITH_DYING_LOG: this.#log,
      KITH_DYING_BELOW: this.#below.join(':'),
      UV_THREADPOOL_SIZE: '1',
    }
    await withEnvironment(more, () => started(this.#device))
  }

  /** From now on calls are counted, and it dies at the `at`-th; never where that is 0. */
  arm(at: number): void {
    writeFileSync(this.#log, '')
    this.#set([0, at, 0])
    this.#set([1, at, 0])
  }

  /** Resolves when there was no call for a while: what a start or the work before does late is no part of what is to come. */
  async quiet(): Promise<void> {
    this.arm(0)
    let last = 0
    let since = performance.now()
    const isQuiet = (): boolean => {
      const count = this.calls().length
      if (count !== last) since = performance.now()
      last = count
      return performance.now() - since >= QUIET_MS
    }
    await until(isQuiet, { timeoutMs: 60_000, what: 'no more calls' })
  }

  disarm(): void {
    this.#set([0, 0, 0])
  }

  /** The calls since it was armed, as `rename PATH`; where it died, the last is the one that was not made. */
  calls(): string[] {
    return readFileSync(this.#log, 'utf8')
      .split('\n')
      .filter(line => line !== '')
      .map(line => this.#shown(line))
  }

  #shown(line: string): string {
    return line.replace(this.#device.path(), '').replace(/[0-9a-f]{16,}/g, 'HASH')
  }

  #set(words: readonly number[]): void {
    const bytes = Buffer.alloc(words.length * 4)
    for (const [index, word] of words.entries()) bytes.writeInt32LE(word, index * 4)
    const fd = openSync(this.#control, 'r+')
    try {
      writeSync(fd, bytes, 0, bytes.length, 0)
    } finally {
      closeSync(fd)
    }
  }
}
