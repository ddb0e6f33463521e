// Directories that this device itself moved a moment ago. A watcher's hint may still come under the old path, for what a person did in
// there just before: it is to be looked for where the directory is now. Bounded in time and number; forgotten with its cycle.
import type { Clock } from '../core/clock.ts'
import type { RowId } from '../core/ids.ts'
import type { RowTable } from '../core/rows.ts'

/** A hint that comes later than this after the move comes from nowhere. */
const REMEMBERED_MS = 60_000
const MOST_REMEMBERED = 1_000

interface Moved {
  readonly from: string
  readonly row: RowId
  readonly due: number
}

export class MovedDirectories {
  readonly #rows: RowTable
  readonly #clock: Clock
  #moved: Moved[] = []

  constructor(rows: RowTable, clock: Clock) {
    this.#rows = rows
    this.#clock = clock
  }

  /** The directory at `path` was at `from` until now. */
  add(from: string, path: string): void {
    const row = this.#rows.at(path)
    if (row === undefined) return
    this.#moved.push({ from, row: row.id, due: this.#clock.elapsed() + REMEMBERED_MS })
    if (this.#moved.length > MOST_REMEMBERED) this.#moved.shift()
  }

  /** These paths, and where those of them may be now that lay in a directory that moved. */
  follow(paths: readonly string[]): readonly string[] {
    const now = this.#clock.elapsed()
    this.#moved = this.#moved.filter(({ due }) => due > now)
    if (this.#moved.length === 0) return paths
    return [...new Set(paths.flatMap(path => [path, ...this.#now(path)]))]
  }

  #now(path: string): string[] {
    return this.#moved.flatMap(({ from, row }) => {
      if (path !== from && !path.startsWith(`${from}/`)) return []
      const at = this.#rows.path(row)
      return at === undefined ? [] : [`${at}${path.slice(from.length)}`]
    })
  }
}
