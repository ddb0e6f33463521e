// The packs of `.kith/packs` as one worker sees them: by hash to bytes that have that hash, or nothing. Indexes of packs are kept in
// memory (a pack never changes under its name), so a look-up reads only the bytes it is for. A hash may lie in several packs: any that
// is sound will do.
import { closeSync, lstatSync, readdirSync } from 'node:fs'
import { sha256 } from '../core/content-list.ts'
import type { Hash } from '../core/ids.ts'
import { AREA, PACK_SUFFIX, PACKS } from './area.ts'
import { type Directory, openRegular, readFully, within } from './beneath.ts'
import { type PackEntry, type PackIndex, readIndex } from './pack-file.ts'
import { isAbsent } from './problem-of.ts'
import type { Root } from './source.ts'

/** Folders whose indexes a worker keeps. */
const MOST_FOLDERS = 8

interface Known {
  mtimeNs: bigint
  /** Null: not readable as a pack. */
  readonly indexes: Map<string, PackIndex | null>
}

const cache = new Map<string, Known>()

export class Packs {
  readonly directory: Directory
  readonly #known: Known
  readonly #open = new Map<string, number>()

  constructor(directory: Directory) {
    this.directory = directory
    const stats = lstatSync(`${directory.base}/.`, { bigint: true })
    const key = `${stats.dev}:${stats.ino}`
    this.#known = cache.get(key) ?? { mtimeNs: -1n, indexes: new Map() }
    cache.delete(key)
    cache.set(key, this.#known)
    for (const oldest of cache.keys()) {
      if (cache.size <= MOST_FOLDERS) break
      cache.delete(oldest)
    }
    if (this.#known.mtimeNs !== stats.mtimeNs) this.refresh()
  }

  /** Name and index of each pack; null where it cannot be read as one. */
  get all(): ReadonlyMap<string, PackIndex | null> {
    return this.#known.indexes
  }

  refresh(): void {
    const { mtimeNs } = lstatSync(`${this.directory.base}/.`, { bigint: true })
    const names = new Set(readdirSync(this.directory.base).filter(name => name.endsWith(PACK_SUFFIX)))
    for (const name of [...this.#known.indexes.keys()]) {
      if (names.has(name)) continue
      this.#known.indexes.delete(name)
      this.#close(name)
    }
    for (const name of names) if (!this.#known.indexes.has(name)) this.#known.indexes.set(name, this.#indexOf(name))
    this.#known.mtimeNs = mtimeNs
  }

  /** Bytes of that hash, verified; null where no pack has them sound. */
  read(hash: Hash): Buffer | null {
    const bytes = this.#readKnown(hash)
    if (bytes !== null) return bytes
    // Packs may have been put together anew since, within one tick of the disk's clock.
    this.refresh()
    return this.#readKnown(hash)
  }

  close(): void {
    for (const name of [...this.#open.keys()]) this.#close(name)
  }

  #readKnown(hash: Hash): Buffer | null {
    for (const [name, index] of this.#known.indexes) {
      const entry = index?.find(hash)
      const bytes = entry && this.#bytes(name, entry)
      if (bytes) return bytes
    }
    return null
  }

  #bytes(name: string, { hash, offset, length }: PackEntry): Buffer | null {
    try {
      let fd = this.#open.get(name)
      if (fd === undefined) {
        fd = openRegular(this.directory, name).fd
        this.#open.set(name, fd)
      }
      const bytes = Buffer.allocUnsafeSlow(length)
      return readFully(fd, bytes, offset) === length && sha256(bytes) === hash ? bytes : null
    } catch {
      // Gone, or the disk cannot read it: another pack may have it.
      return null
    }
  }

  #indexOf(name: string): PackIndex | null {
    try {
      const { fd } = openRegular(this.directory, name)
      try {
        return readIndex(fd)
      } finally {
        closeSync(fd)
      }
    } catch {
      return null
    }
  }

  #close(name: string): void {
    const fd = this.#open.get(name)
    if (fd !== undefined) closeSync(fd)
    this.#open.delete(name)
  }
}

/** Null where the folder has no packs yet. */
export function withPacks<T>(root: Root, use: (packs: Packs) => T): T | null {
  try {
    return within(root.path, root.identity, `${AREA}/${PACKS}`, directory => {
      const packs = new Packs(directory)
      try {
        return use(packs)
      } finally {
        packs.close()
      }
    })
  } catch (error) {
    if (isAbsent(error)) return null
    throw error
  }
}
