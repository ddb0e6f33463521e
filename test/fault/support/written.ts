// Every version that people wrote of each file, in order, and when: what a disk shows after a power cut is found in it, or is torn.
import { createHash } from 'node:crypto'
import type { Tree } from '../../e2e/support/tree.ts'

interface File {
  /** The last 64 characters of the lines that a tree has for its versions, the oldest first. */
  readonly hashes: string[]
  /** Of the newest. */
  size: number
  changedAt: number
}

export class Written {
  readonly #files = new Map<string, File>()
  #numbers = 0

  number(): number {
    return this.#numbers++
  }

  paths(): string[] {
    return [...this.#files.keys()]
  }

  put(path: string, bytes: Uint8Array): void {
    const file = this.#files.get(path) ?? { hashes: [], size: 0, changedAt: 0 }
    file.hashes.push(createHash('sha256').update(bytes).digest('hex'))
    file.size = bytes.length
    file.changedAt = performance.now()
    this.#files.set(path, file)
  }

  move(from: string, to: string): void {
    const file = this.#files.get(from)
    if (file === undefined) throw new Error(`no ${from}`)
    this.#files.delete(from)
    this.#files.set(to, { ...file, changedAt: performance.now() })
  }

  remove(path: string): void {
    this.#files.delete(path)
  }

  /** Which of its versions a line of a tree shows; -1: none of them. */
  indexOf(path: string, line: string): number {
    return this.#files.get(path)?.hashes.lastIndexOf(line.slice(-64)) ?? -1
  }

  isNewest(path: string, line: string): boolean {
    return this.indexOf(path, line) === (this.#files.get(path)?.hashes.length ?? 0) - 1
  }

  /** Of a file that is known; of one that was removed or renamed meanwhile nothing is said. */
  isVersion(path: string, line: string): boolean {
    return !this.#files.has(path) || this.indexOf(path, line) >= 0
  }

  /** Whether nobody touched it since, and its newest version is so long: by its length a version is known, as they are all random. */
  isStill(path: string, size: number, since: number): boolean {
    const file = this.#files.get(path)
    return file !== undefined && file.changedAt < since && file.size === size
  }

  /** From now on what the tree shows is what was written; what an editor writes beside a file is nobody's. */
  adopt(tree: Tree): void {
    this.#files.clear()
    for (const [path, line] of tree) {
      if (!line.startsWith('file ') || path.startsWith('.')) continue
      const size = Number(/ size (\d+) /.exec(line)?.[1])
      this.#files.set(path, { hashes: [line.slice(-64)], size, changedAt: performance.now() })
    }
  }
}
