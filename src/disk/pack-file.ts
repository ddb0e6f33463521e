// One pack: an immutable file of byte strings named by their SHA-256 (chunks of kept versions, and the segments that list them), then an
// index sorted by hash, then a footer that vouches for the index. It has its name only once all of it is on the platter. For workers.
import { closeSync, constants, fstatSync, fsyncSync, openSync } from 'node:fs'
import { sha256 } from '../core/content-list.ts'
import type { Hash } from '../core/ids.ts'
import { bytesOf } from '../core/ids.ts'
import { PRIVATE_MODE } from './area.ts'
import { readFully } from './beneath.ts'
import { removeIfThere, writeFully } from './own-files.ts'

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants
const HASH_BYTES = 32
/** Hash, offset (64 bits), length (32 bits). */
const ENTRY_BYTES = HASH_BYTES + 12
/** SHA-256 of the index, its offset (64 bits), number of entries (32 bits), magic. */
const FOOTER_BYTES = HASH_BYTES + 12 + 4
const MAGIC = 'KPK1'

export interface PackEntry {
  readonly hash: Hash
  readonly offset: number
  readonly length: number
}

export class PackIndex {
  readonly #bytes: Buffer
  readonly count: number

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.count = bytes.length / ENTRY_BYTES
  }

  find(hash: Hash): PackEntry | undefined {
    const wanted = bytesOf(hash)
    let low = 0
    let high = this.count - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const at = middle * ENTRY_BYTES
      const order = this.#bytes.compare(wanted, 0, HASH_BYTES, at, at + HASH_BYTES)
      if (order === 0) return this.#entry(at)
      if (order < 0) low = middle + 1
      else high = middle - 1
    }
    return undefined
  }

  *entries(): Iterable<PackEntry> {
    for (let at = 0; at < this.#bytes.length; at += ENTRY_BYTES) yield this.#entry(at)
  }

  #entry(at: number): PackEntry {
    return {
      hash: this.#bytes.toString('latin1', at, at + HASH_BYTES) as Hash,
      offset: Number(this.#bytes.readBigUInt64BE(at + HASH_BYTES)),
      length: this.#bytes.readUInt32BE(at + HASH_BYTES + 8),
    }
  }
}

/** Null where it is no pack, or its index is not what its footer says. */
export function readIndex(fd: number): PackIndex | null {
  const { size } = fstatSync(fd)
  if (size < FOOTER_BYTES) return null
  const footer = Buffer.alloc(FOOTER_BYTES)
  if (readFully(fd, footer, size - FOOTER_BYTES) !== FOOTER_BYTES) return null
  const start = Number(footer.readBigUInt64BE(HASH_BYTES))
  const length = footer.readUInt32BE(HASH_BYTES + 8) * ENTRY_BYTES
  if (footer.toString('latin1', HASH_BYTES + 12) !== MAGIC || start + length + FOOTER_BYTES !== size) return null
  const index = Buffer.alloc(length)
  if (readFully(fd, index, start) !== length) return null
  return sha256(index) === footer.toString('latin1', 0, HASH_BYTES) ? new PackIndex(index) : null
}

export class PackWriter {
  readonly path: string
  readonly #fd: number
  readonly #entries: PackEntry[] = []
  #at = 0

  constructor(path: string) {
    this.path = path
    this.#fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | (O_NOFOLLOW ?? 0), PRIVATE_MODE)
  }

  get bytes(): number {
    return this.#at
  }

  /** Each hash once. */
  add(hash: Hash, bytes: Uint8Array): void {
    writeFully(this.#fd, bytes, this.#at)
    this.#entries.push({ hash, offset: this.#at, length: bytes.length })
    this.#at += bytes.length
  }

  /** On the platter when it returns; what could not be synced is thrown away. */
  finish(): void {
    try {
      const index = encode(this.#entries)
      const footer = Buffer.alloc(FOOTER_BYTES)
      footer.write(sha256(index), 0, 'latin1')
      footer.writeBigUInt64BE(BigInt(this.#at), HASH_BYTES)
      footer.writeUInt32BE(this.#entries.length, HASH_BYTES + 8)
      footer.write(MAGIC, HASH_BYTES + 12, 'latin1')
      writeFully(this.#fd, Buffer.concat([index, footer]), this.#at)
      fsyncSync(this.#fd)
    } catch (error) {
      this.discard()
      throw error
    }
    closeSync(this.#fd)
  }

  discard(): void {
    closeSync(this.#fd)
    removeIfThere(this.path)
  }
}

function encode(entries: readonly PackEntry[]): Buffer {
  const sorted = [...entries].sort((a, b) => (a.hash < b.hash ? -1 : 1))
  const out = Buffer.alloc(sorted.length * ENTRY_BYTES)
  let at = 0
  for (const { hash, offset, length } of sorted) {
    out.write(hash, at, HASH_BYTES, 'latin1')
    out.writeBigUInt64BE(BigInt(offset), at + HASH_BYTES)
    out.writeUInt32BE(length, at + HASH_BYTES + 8)
    at += ENTRY_BYTES
  }
  return out
}
