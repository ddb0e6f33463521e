// `.kith` opened for one batch of the publish worker: handles of the root and of each directory in it, so that every path below starts at
// a handle and none can be redirected.
import { closeSync } from 'node:fs'
import { AREA, DAMAGED, PARKED, RECIPES, STAGE, TRANSIT, VERSIONS } from './area.ts'
import { type Directory, openBelow, openRoot } from './beneath.ts'
import type { Root } from './source.ts'

const OWN_PREFIX = 't-'
export const CAUGHT_PREFIX = 'u-'

export class AreaHandle {
  readonly root: Directory
  readonly area: Directory
  readonly stage: Directory
  readonly versions: Directory
  readonly parked: Directory
  readonly transit: Directory
  readonly recipes: Directory
  readonly damaged: Directory
  readonly #opened: Directory[] = []
  #names = 0

  constructor(root: Root) {
    try {
      this.root = this.#keep(openRoot(root.path, root.identity))
      this.area = this.#keep(openBelow(this.root, AREA))
      this.stage = this.#keep(openBelow(this.area, STAGE))
      this.versions = this.#keep(openBelow(this.area, VERSIONS))
      this.parked = this.#keep(openBelow(this.area, PARKED))
      this.transit = this.#keep(openBelow(this.area, TRANSIT))
      this.recipes = this.#keep(openBelow(this.area, RECIPES))
      this.damaged = this.#keep(openBelow(this.area, DAMAGED))
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** A path in transit that nothing stands at, for a file of our own (a second link, a copy): dropped after a crash. */
  transitPath(): string {
    return this.#path(OWN_PREFIX)
  }

  /** The same for what was the user's until now: never dropped. */
  caughtPath(): string {
    return this.#path(CAUGHT_PREFIX)
  }

  #path(prefix: string): string {
    return `${this.transit.base}/${prefix}${process.pid}-${Date.now().toString(36)}-${++this.#names}`
  }

  /** The directory at `path` in the user's folder, for the length of `use`. */
  inside<T>(path: string, use: (directory: Directory) => T): T {
    if (path === '') return use(this.root)
    let at = this.root
    try {
      for (const part of path.split('/')) {
        const next = openBelow(at, part)
        if (at !== this.root) closeSync(at.fd)
        at = next
      }
      return use(at)
    } finally {
      if (at !== this.root) closeSync(at.fd)
    }
  }

  close(): void {
    for (const directory of this.#opened.reverse()) closeSync(directory.fd)
    this.#opened.length = 0
  }

  #keep(directory: Directory): Directory {
    this.#opened.push(directory)
    return directory
  }
}
