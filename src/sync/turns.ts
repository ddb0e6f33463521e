// Work that needs the rows to stand still, between one cycle of a folder and the next: it waits for its turn, one after the other.
import type { KithError } from '../core/errors.ts'
import type { Waiting } from '../core/ports.ts'

/** Why not now: never (as things are), or not yet. */
export type Refusal = KithError | 'later' | null

interface Turn {
  readonly signal: AbortSignal
  refused(): Refusal
  run(): Promise<void>
  reject(error: unknown): void
}

export interface TurnsDeps {
  /** Something waits. */
  readonly wake: () => void
  readonly stopped: AbortSignal
}

export class Turns {
  readonly #deps: TurnsDeps
  #waiting: Turn[] = []

  constructor(deps: TurnsDeps) {
    this.#deps = deps
    deps.stopped.addEventListener('abort', () => this.#rejectAll(deps.stopped.reason), { once: true })
  }

  take<T>(work: () => Promise<T>, refused: () => Refusal, { signal }: Waiting): Promise<T> {
    return new Promise((resolve, reject) => {
      const { stopped, wake } = this.#deps
      if (signal.aborted || stopped.aborted) {
        reject(signal.aborted ? signal.reason : stopped.reason)
        return
      }
      const giveUp = (): void => {
        this.#waiting = this.#waiting.filter(each => each !== turn)
        reject(signal.reason)
      }
      const turn: Turn = {
        signal,
        refused,
        reject,
        run: async () => {
          signal.removeEventListener('abort', giveUp)
          await work().then(resolve, reject)
        },
      }
      signal.addEventListener('abort', giveUp, { once: true })
      this.#waiting.push(turn)
      wake()
    })
  }

  /** Between two cycles. Never throws. */
  async run(): Promise<void> {
    const later: Turn[] = []
    for (let turn = this.#waiting.shift(); turn !== undefined; turn = this.#waiting.shift()) {
      const refused = turn.refused()
      if (refused === 'later') later.push(turn)
      else if (refused !== null) turn.reject(refused)
      else await turn.run()
    }
    this.#waiting.push(...later.filter(turn => !turn.signal.aborted))
    // It stopped while these were put off.
    if (this.#deps.stopped.aborted) this.#rejectAll(this.#deps.stopped.reason)
  }

  #rejectAll(reason: unknown): void {
    for (const turn of this.#waiting.splice(0)) turn.reject(reason)
  }
}
