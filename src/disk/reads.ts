// Reads of pieces of contents, gathered: what is asked for within one turn of the loop goes to the workers in few messages, because a
// message and the opening of a file cost more than the reading of a chunk does.
import type { Hash } from '../core/ids.ts'
import type { ContentPlace, HashedBytes, PlacedRead, Together } from '../core/ports.ts'
import type { Piece, PieceRead } from './piece-reads.ts'
import type { Root } from './source.ts'
import { discard } from './transfer.ts'
import type { DiskWorkers } from './workers.ts'

/** One message reads at most so much: the workers share the work, and memory stays bounded. */
const MESSAGE_BYTES = 2 * 1024 * 1024
const MESSAGE_READS = 64

interface Asked {
  readonly read: PieceRead
  resolve(piece: Piece | null): void
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
  async read(place: ContentPlace, offset: number, length: number): Promise<Uint8Array | null> {
    return (await this.#piece({ place, offset, length, hashed: false }))?.bytes ?? null
  }

  /** With the hash that these bytes have. */
  async readHashed(place: ContentPlace, offset: number, length: number): Promise<HashedBytes | null> {
    const piece = await this.#piece({ place, offset, length, hashed: true })
    return piece && { bytes: piece.bytes, hash: piece.hash as Hash }
  }

  /** In messages of their own: nobody else has bytes in the same memory, so that it can be given back. */
  async readTogether(reads: readonly PlacedRead[]): Promise<Together<HashedBytes>> {
    const root = this.#deps.root()
    const messages = inMessages(reads.map(read => ({ hashed: true, ...read })))
    const parts = await Promise.all(messages.map(part => this.#deps.workers.hash({ do: 'read', root, reads: part })))
    const pieces = parts.flat()
    return {
      found: pieces.map(piece => piece && { bytes: piece.bytes, hash: piece.hash as Hash }),
      release: () => discard(pieces.flatMap(piece => piece?.bytes.buffer ?? [])),
    }
  }

  #piece(read: PieceRead): Promise<Piece | null> {
    return new Promise((resolve, reject) => {
      if (this.#asked.length === MESSAGE_READS || this.#bytes + read.length > MESSAGE_BYTES) this.#send()
      // After all that is ready to go on has gone on, and asked for more.
      if (this.#asked.length === 0) process.nextTick(() => this.#send())
      this.#asked.push({ read, resolve, reject })
      this.#bytes += read.length
    })
  }

  #send(): void {
    const asked = this.#asked
    this.#asked = []
    this.#bytes = 0
    if (asked.length === 0) return
    const reads = asked.map(({ read }) => read)
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

function inMessages(reads: readonly PieceRead[]): readonly PieceRead[][] {
  const messages: PieceRead[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const read of reads) {
    if (bytes + read.length > MESSAGE_BYTES || messages.at(-1)?.length === MESSAGE_READS) {
      messages.push([])
      bytes = 0
    }
    messages.at(-1)?.push(read)
    bytes += read.length
  }
  return messages
}
