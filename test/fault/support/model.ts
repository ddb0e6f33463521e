// What people made of a folder, kept beside it: path → bytes. What the devices show is held against it.
import { createHash } from 'node:crypto'
import type { Tree } from '../../e2e/support/tree.ts'

export class Model {
  readonly #hashes = new Map<string, string>()

  get size(): number {
    return this.#hashes.size
  }

  paths(): string[] {
    return [...this.#hashes.keys()]
  }

  put(path: string, bytes: Uint8Array): void {
    this.#hashes.set(path, createHash('sha256').update(bytes).digest('hex'))
  }

  move(from: string, to: string): void {
    const hash = this.#hashes.get(from)
    if (hash === undefined) throw new Error(`no ${from}`)
    this.#hashes.delete(from)
    this.#hashes.set(to, hash)
  }

  remove(path: string): void {
    this.#hashes.delete(path)
  }

  /** Nothing where the files of the tree are exactly these. */
  differences(tree: Tree): string[] {
    const files = [...tree].filter(([, line]) => line.startsWith('file '))
    const wrong = files.flatMap(([path, line]) => {
      const hash = this.#hashes.get(path)
      if (hash === undefined) return [`${path} is there: ${line}`]
      return line.endsWith(hash) ? [] : [`${path} is other bytes: ${line}`]
    })
    const missing = this.paths().filter(path => !tree.has(path))
    return [...wrong, ...missing.map(path => `${path} is missing`)]
  }
}
