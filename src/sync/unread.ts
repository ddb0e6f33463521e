// What stands on this disk without a row and waits for the next look to be read: where the shared tree shows something of the same name, it may
// be just that. So it is not fetched, and nothing is put there, before it was read. What holds back a plan here keeps its directory dirty.
import type { NodeId, RowId } from '../core/ids.ts'
import type { RowTable } from '../core/rows.ts'
import type { Found } from './local-changes.ts'

export interface UnreadDeps {
  readonly rows: Pick<RowTable, 'get' | 'at' | 'child' | 'path'>
  readonly nameKey: (name: string) => string
}

export class Unread {
  readonly #deps: UnreadDeps
  readonly #names = new Map<RowId, Set<string>>()

  constructor(deps: UnreadDeps) {
    this.#deps = deps
  }

  has(directory: RowId, name: string): boolean {
    return this.#names.get(directory)?.has(this.#deps.nameKey(name)) === true
  }

  /**
   * After a look that found these new. `isWaiting`: the directory at this path is looked at again, and the folder is not settled before. Returns
   * the nodes of the directories that waited until now.
   */
  looked(
    creates: readonly Found[],
    isLooked: (path: string) => boolean,
    isWaiting: (path: string) => boolean,
  ): readonly NodeId[] {
    const { rows, nameKey } = this.#deps
    const waited: NodeId[] = []
    for (const id of this.#names.keys()) {
      const path = rows.path(id)
      if (path !== undefined && !isLooked(path)) continue
      this.#names.delete(id)
      waited.push(...(rows.get(id)?.nodes ?? []).map(ref => ref.id))
    }
    for (const { parent, observed } of creates) {
      const home = observed.kind !== 'directory' && isWaiting(parent) ? rows.at(parent) : undefined
      if (home === undefined || rows.child(home.id, observed.name) !== undefined) continue
      const names = this.#names.get(home.id)
      if (names === undefined) this.#names.set(home.id, new Set([nameKey(observed.name)]))
      else names.add(nameKey(observed.name))
    }
    return waited
  }
}
