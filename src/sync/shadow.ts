// The rows as they will be when the steps planned so far have been done: which row is where, and who has a name. Only the plan uses it.
import type { RowId } from '../core/ids.ts'
import { ROOT_ROW } from '../core/ids.ts'
import type { RowTable } from '../core/rows.ts'
import { joinPath } from './local-changes.ts'

/** The parent of what was moved to `.kith/parked`. */
export const PARKED = 0 as RowId

interface Place {
  readonly parent: RowId
  readonly name: string
}

export class Shadow {
  readonly #rows: RowTable
  readonly #key: (name: string) => string
  /** Null: removed. */
  readonly #moved = new Map<RowId, Place | null>()
  readonly #arrived = new Map<RowId, Set<RowId>>()
  readonly #names = new Map<RowId, Map<string, RowId>>()

  constructor(rows: RowTable, nameKey: (name: string) => string) {
    this.#rows = rows
    this.#key = nameKey
  }

  place(id: RowId): Place | null {
    const moved = this.#moved.get(id)
    return moved === undefined ? (this.#rows.get(id) ?? null) : moved
  }

  /** Undefined where the row or one above it is parked or removed. */
  path(id: RowId): string | undefined {
    if (id === ROOT_ROW) return ''
    const at = this.place(id)
    if (at === null || at.parent === PARKED) return undefined
    const above = this.path(at.parent)
    return above === undefined ? undefined : joinPath(above, at.name)
  }

  within(id: RowId, top: RowId): boolean {
    for (let at: RowId = id; ; ) {
      if (at === top) return true
      if (at === ROOT_ROW || at === PARKED) return false
      const place = this.place(at)
      if (place === null) return false
      at = place.parent
    }
  }

  /** The row that has this name (by key) in a directory. */
  occupant(parent: RowId, name: string): RowId | undefined {
    return this.#directory(parent).get(this.#key(name))
  }

  isEmpty(directory: RowId): boolean {
    return this.#directory(directory).size === 0
  }

  children(directory: RowId): RowId[] {
    return [...this.#directory(directory).values()]
  }

  move(id: RowId, parent: RowId, name: string): void {
    this.#leave(id)
    this.#moved.set(id, { parent, name })
    let arrived = this.#arrived.get(parent)
    if (arrived === undefined) {
      arrived = new Set()
      this.#arrived.set(parent, arrived)
    }
    arrived.add(id)
    if (parent !== PARKED) this.#names.get(parent)?.set(this.#key(name), id)
  }

  remove(id: RowId): void {
    this.#leave(id)
    this.#moved.set(id, null)
  }

  #leave(id: RowId): void {
    const at = this.place(id)
    if (at === null) return
    this.#arrived.get(at.parent)?.delete(id)
    const names = this.#names.get(at.parent)
    if (names?.get(this.#key(at.name)) === id) names.delete(this.#key(at.name))
  }

  #directory(parent: RowId): Map<string, RowId> {
    let names = this.#names.get(parent)
    if (names === undefined) {
      names = new Map()
      for (const row of this.#rows.children(parent))
        if (!this.#moved.has(row.id)) names.set(this.#key(row.name), row.id)
      for (const id of this.#arrived.get(parent) ?? []) {
        const place = this.#moved.get(id)
        if (place) names.set(this.#key(place.name), id)
      }
      this.#names.set(parent, names)
    }
    return names
  }
}
