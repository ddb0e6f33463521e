// Text merges in a worker, one at a time, so that a long one never holds up the daemon. One that takes too long counts as "cannot be
// merged": both versions are kept.
import { Piscina } from 'piscina'
import type { Waiting } from '../core/ports.ts'
import type { MergeTask } from './merge-worker.ts'

const MERGE_TIMEOUT_MS = 10_000
const IDLE_MS = 5_000

export class MergeTexts {
  #pool: Piscina | null = null

  readonly merge = async (
    base: Uint8Array,
    one: Uint8Array,
    other: Uint8Array,
    { signal }: Waiting,
  ): Promise<Uint8Array | null> => {
    const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
    this.#pool ??= new Piscina({
      filename: new URL(`./merge-worker${extension}`, import.meta.url).href,
      name: 'merge',
      minThreads: 0,
      maxThreads: 1,
      idleTimeout: IDLE_MS,
    })
    const timeout = AbortSignal.timeout(MERGE_TIMEOUT_MS)
    try {
      const task: MergeTask = { base, one, other }
      return (await this.#pool.run(task, { signal: AbortSignal.any([signal, timeout]) })) as Uint8Array | null
    } catch (error) {
      signal.throwIfAborted()
      if (timeout.aborted) return null
      throw error
    }
  }

  async close(): Promise<void> {
    await this.#pool?.destroy()
    this.#pool = null
  }
}
