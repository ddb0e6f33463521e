// What was started, to be stopped in reverse. Each part has a deadline: when it passes, that is said and the next part's turn comes.
import type { Log } from '../core/log.ts'

const DEADLINE_MS = 10_000

interface Part {
  readonly name: string
  stop(): Promise<void>
}

export class Shutdown {
  readonly #log: Log
  readonly #deadlineMs: number
  readonly #parts: Part[] = []
  #running: Promise<boolean> | null = null

  constructor(deps: { readonly log: Log }, options: { readonly deadlineMs?: number } = {}) {
    this.#log = deps.log
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS
  }

  /** Call when the part runs: it is stopped before all that were added earlier. */
  add(name: string, stop: () => Promise<void>): void {
    this.#parts.push({ name, stop })
  }

  /** Idempotent. False where a part failed or was not done in time: the process must be ended then. */
  run(): Promise<boolean> {
    this.#running ??= this.#stopAll()
    return this.#running
  }

  async #stopAll(): Promise<boolean> {
    let clean = true
    for (const part of this.#parts.reverse()) {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<'late'>(resolve => {
        timer = setTimeout(() => resolve('late'), this.#deadlineMs)
      })
      try {
        if ((await Promise.race([part.stop(), late])) === 'late') {
          this.#log.error({ stopping: part.name }, 'not stopped in time')
          clean = false
        }
      } catch (error) {
        this.#log.error({ err: error, stopping: part.name }, 'did not stop cleanly')
        clean = false
      } finally {
        clearTimeout(timer)
      }
    }
    return clean
  }
}
