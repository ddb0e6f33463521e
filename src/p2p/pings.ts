// Round trips that are being measured on one session. All end when it ends.
import type { Waiting } from '../core/ports.ts'

interface Pending {
  readonly since: number
  resolve(ms: number): void
  reject(error: unknown): void
}

export class Pings {
  readonly #pending = new Map<number, Pending>()
  #ids = 0
  #ended: Error | null = null

  ping(options: Waiting, send: (id: number) => void): Promise<number> {
    const id = ++this.#ids
    const { signal } = options
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      if (this.#ended !== null) return reject(this.#ended)
      const done = (): void => {
        signal.removeEventListener('abort', aborted)
        this.#pending.delete(id)
      }
      const aborted = (): void => {
        done()
        reject(signal.reason)
      }
      signal.addEventListener('abort', aborted)
      this.#pending.set(id, {
        since: performance.now(),
        resolve: ms => {
          done()
          resolve(ms)
        },
        reject: error => {
          done()
          reject(error)
        },
      })
      send(id)
    })
  }

  answered(id: number): void {
    const pending = this.#pending.get(id)
    pending?.resolve(performance.now() - pending.since)
  }

  end(reason: Error): void {
    this.#ended = reason
    for (const pending of [...this.#pending.values()]) pending.reject(reason)
  }
}
