// Reads of pieces of contents, gathered: what is asked for within one turn of the loop goes to the workers in few messages, because a
// message and the opening of a file cost more than the reading of a chunk does.
import type { ContentPlace } from '../core/ports.ts'
import type { PieceRead } from './hash-worker.ts'
import type { Root } from './source.ts'
import type { DiskWorkers } from './workers.ts'

/** One message reads at most so much: the workers share the work, and memory stays bounded. */
const MESSAGE_BYTES = 2 * 1024 * 1024
const MESSAGE_READS = 64

interface Asked extends PieceRead {
  resolve(bytes: Uint8Array | null): void
  reject(error: unknown): void
}

interface Deps {
  readonly workers: DiskWorkers
  readonly root: () => Root
}

export class GatheredReads {
  readonly #deps: Deps
  #asked: Asked[] = []
  #bytes = 0

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Fewer bytes where the content ends; null where it is not there as said. */
  read(place: ContentPlace, offset: number, length: number): Promise<Uint8Array | null> {
    return new Promise((resolve, reject) => {
      if (this.#asked.length === MESSAGE_READS || this.#bytes + length > MESSAGE_BYTES) this.#send()
      // After all that is ready to go on has gone on, and asked for more.
      if (this.#asked.length === 0) process.nextTick(() => this.#send())
      this.#asked.push({ place, offset, length, resolve, reject })
      this.#bytes += length
    })
  }

  #send(): void {
    const asked = this.#asked
    this.#asked = []
    this.#bytes = 0
    if (asked.length === 0) return
    const reads = asked.map(({ place, offset, length }) => ({ place, offset, length }))
    this.#deps.workers.hash({ do: 'read', root: this.#deps.root(), reads }).then(
      found => {
        asked.forEach((each, at) => {
          each.resolve(found[at] ?? null)
        })
      },
      (error: unknown) => {
        for (const each of asked) each.reject(error)
      },
    )
  }
}
