// One thread that merges texts for all folders, started when first used and ended when idle.
import { Piscina } from 'piscina'
import type { Waiting } from '../core/ports.ts'
import type { MergeTask } from './merge-worker.ts'

const IDLE_MS = 10_000
const EXTENSION = import.meta.url.slice(import.meta.url.lastIndexOf('.'))

export class Merger {
  #pool: Piscina<MergeTask, Uint8Array | null> | null = null

  /** Null where the two cannot be merged. */
  readonly merge = (
    base: Uint8Array,
    one: Uint8Array,
    other: Uint8Array,
    { signal }: Waiting,
  ): Promise<Uint8Array | null> => {
    this.#pool ??= new Piscina({
      filename: new URL(`./merge-worker${EXTENSION}`, import.meta.url).href,
      minThreads: 0,
      maxThreads: 1,
      idleTimeout: IDLE_MS,
    })
    return this.#pool.run({ base, one, other }, { name: 'merge', signal })
  }

  async stop(): Promise<void> {
    await this.#pool?.destroy()
    this.#pool = null
  }
}
