// Writing chunks to a file of our own as they come: what lies one behind the other with one call, and what is only zeros not at all.
import { MAX_CHUNK_BYTES } from '../core/content.ts'
import { readFully } from './beneath.ts'
import { writeAll, writeFully } from './own-files.ts'

/** One call writes no more of them. */
const MOST_PIECES = 256

/** What was added is written with the next `write` at the latest: until then its bytes must stay. */
export class Run {
  readonly #fd: number
  #pieces: Uint8Array[] = []
  #start = 0
  #end = 0

  constructor(fd: number) {
    this.#fd = fd
  }

  add(bytes: Uint8Array, at: number): void {
    if (at !== this.#end || this.#pieces.length === MOST_PIECES) this.write()
    if (isZero(bytes)) {
      this.write()
      writeZeros(this.#fd, bytes, at)
      return
    }
    if (this.#pieces.length === 0) this.#start = at
    this.#pieces.push(bytes)
    this.#end = at + bytes.length
  }

  write(): void {
    if (this.#pieces.length > 0) writeAll(this.#fd, this.#pieces, this.#start)
    this.#pieces = []
  }
}

/** Leaves a hole a hole; overwrites what an earlier, torn write left there. */
function writeZeros(fd: number, bytes: Uint8Array, at: number): void {
  const there = Buffer.allocUnsafe(bytes.length)
  if (readFully(fd, there, at) !== bytes.length || !isZero(there)) writeFully(fd, bytes, at)
}

function isZero(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0 || bytes[bytes.length - 1] !== 0) return false
  return Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) === 0
}

const ZEROS = Buffer.alloc(MAX_CHUNK_BYTES)
