// SYNCED: what this device last brought to agreement, as rows keyed by (directory's row, name on this disk), held in memory
// with its indexes. It records what changed since the last commit; the store persists that and nothing else writes it.
// After a failed commit the table is thrown away and loaded again. Renaming a directory changes one row. Rows are values: a row that
// was put is another object, with the same fields, once its change was taken.
import type { Facts, Kind, NodeRef } from './entry.ts'
import type { ContentId, NodeId, RowId } from './ids.ts'
import { ROOT_ROW } from './ids.ts'
import { packRow } from './packed-row.ts'
import type { Stat } from './ports.ts'

export interface Row extends Facts {
  readonly id: RowId
  /** The row of the directory it is in; the root's own row names itself. */
  readonly parent: RowId
  /** The spelling on this disk. */
  readonly name: string
  readonly kind: Kind
  /** What stood there when it was last scanned or published. */
  readonly stat: Stat
  /** It was shown as a virtual conflict copy. */
  readonly copy: boolean
  /** One for a file; one per node for a merged directory. */
  readonly nodes: readonly NodeRef[]
}

export interface RowChanges {
  readonly put: readonly Row[]
  readonly deleted: readonly RowId[]
}

const NOTHING: ReadonlyMap<string, RowId> = new Map()

export class RowTable {
  readonly #rows = new Map<RowId, Row>()
  readonly #children = new Map<RowId, Map<string, RowId>>()
  readonly #byNode = new Map<NodeId, RowId | RowId[]>()
  readonly #byContent = new Map<ContentId, RowId | RowId[]>()
  readonly #byInode = new Map<number, RowId | RowId[]>()
  readonly #copies = new Set<RowId>()
  readonly #dirty = new Set<RowId>()
  #next = ROOT_ROW as number
  #files = 0
  #bytes = 0

  get size(): number {
    return this.#rows.size
  }

  /** Files and symlinks (count and bytes), directories without the root. */
  get totals(): { files: number; directories: number; bytes: number } {
    return { files: this.#files, directories: Math.max(0, this.#rows.size - this.#files - 1), bytes: this.#bytes }
  }

  /** The next free id; ids are never used again while the database lives (the store keeps them monotone by the largest seen). */
  allocate(): RowId {
    return ++this.#next as RowId
  }

  /** No id up to this one is given out: rows that are gone had them. */
  reserve(id: RowId): void {
    if (id > this.#next) this.#next = id
  }

  get(id: RowId): Row | undefined {
    return this.#rows.get(id)
  }

  child(parent: RowId, name: string): Row | undefined {
    const id = this.#children.get(parent)?.get(name)
    return id === undefined ? undefined : this.#rows.get(id)
  }

  *children(parent: RowId): Iterable<Row> {
    for (const id of [...(this.#children.get(parent) ?? NOTHING).values()]) {
      const row = this.#rows.get(id)
      if (row !== undefined) yield row
    }
  }

  hasChildren(parent: RowId): boolean {
    return this.childCount(parent) > 0
  }

  childCount(parent: RowId): number {
    return this.#children.get(parent)?.size ?? 0
  }

  byNode(id: NodeId): Row[] {
    return this.#resolve(this.#byNode.get(id))
  }

  byContent(id: ContentId): Row[] {
    return this.#resolve(this.#byContent.get(id))
  }

  byInode(ino: number): Row[] {
    return this.#resolve(this.#byInode.get(ino))
  }

  /** Rows that show a virtual conflict copy. */
  *copies(): Iterable<Row> {
    yield* this.#resolve([...this.#copies])
  }

  *all(): Iterable<Row> {
    yield* this.#rows.values()
  }

  /** The path on this disk, relative to the root, with `/`; '' for the root. Undefined where a row above is missing. */
  path(id: RowId): string | undefined {
    const parts: string[] = []
    for (let at = id; at !== ROOT_ROW; ) {
      const row = this.#rows.get(at)
      if (row === undefined || parts.length > 10_000) return undefined
      parts.push(row.name)
      at = row.parent
    }
    return parts.reverse().join('/')
  }

  /** The row at a path on this disk. */
  at(path: string): Row | undefined {
    let row = this.#rows.get(ROOT_ROW)
    if (path === '') return row
    for (const name of path.split('/')) {
      if (row === undefined) return undefined
      row = this.child(row.id, name)
    }
    return row
  }

  /** Is `id` equal to `top` or below it? */
  within(id: RowId, top: RowId): boolean {
    for (let at = id; ; ) {
      if (at === top) return true
      if (at === ROOT_ROW) return false
      const row = this.#rows.get(at)
      if (row === undefined) return false
      at = row.parent
    }
  }

  /**
   * Adds or replaces the row of that id. A row may move: its parent or name may differ from before. Another row that had the name is
   * not forgotten: the disk shows that what it stood for is not there any more, but not yet whether it was deleted or moved. It stays,
   * under a name that no disk can have, until a scan finds it lost or somewhere else.
   */
  put(row: Row): void {
    this.#drop(row.id)
    const other = this.child(row.parent, row.name)
    if (other !== undefined && row.id !== ROOT_ROW) {
      this.#drop(other.id)
      this.#insert({ ...other, name: `${other.name}\0${other.id}` })
      this.#dirty.add(other.id)
    }
    this.#insert(row)
    this.#dirty.add(row.id)
  }

  /** Removes one row (not what is below it). */
  delete(id: RowId): void {
    this.#drop(id)
    this.#dirty.add(id)
  }

  /** Adds a row that came from the database: not dirty. */
  load(row: Row): void {
    this.#insert(row)
    // Packed only now, or it would be unpacked at once for the indexes.
    this.#rows.set(row.id, packRow(row))
  }

  /** What changed since the last call; the caller persists it. */
  takeChanges(): RowChanges {
    const put: Row[] = []
    const deleted: RowId[] = []
    for (const id of this.#dirty) {
      const row = this.#rows.get(id)
      if (row === undefined) {
        deleted.push(id)
        continue
      }
      put.push(row)
      // From now on it is kept for long.
      this.#rows.set(id, packRow(row))
    }
    this.#dirty.clear()
    return { put, deleted }
  }

  get dirty(): boolean {
    return this.#dirty.size > 0
  }

  #resolve(found: RowId | RowId[] | undefined): Row[] {
    if (found === undefined) return []
    const out: Row[] = []
    for (const id of typeof found === 'number' ? [found] : found) {
      const row = this.#rows.get(id)
      if (row !== undefined) out.push(row)
    }
    return out
  }

  #insert(row: Row): void {
    this.#rows.set(row.id, row)
    if (row.id > this.#next) this.#next = row.id
    if (row.id !== ROOT_ROW) {
      let siblings = this.#children.get(row.parent)
      if (siblings === undefined) {
        siblings = new Map()
        this.#children.set(row.parent, siblings)
      }
      siblings.set(row.name, row.id)
    }
    for (const ref of row.nodes) index(this.#byNode, ref.id, row.id)
    index(this.#byInode, row.stat.ino, row.id)
    if (row.kind !== 'directory') {
      index(this.#byContent, row.content, row.id)
      this.#files++
      this.#bytes += row.size
    }
    if (row.copy) this.#copies.add(row.id)
  }

  #drop(id: RowId): void {
    const row = this.#rows.get(id)
    if (row === undefined) return
    this.#rows.delete(id)
    const siblings = this.#children.get(row.parent)
    if (siblings?.get(row.name) === id) {
      siblings.delete(row.name)
      if (siblings.size === 0) this.#children.delete(row.parent)
    }
    for (const ref of row.nodes) unindex(this.#byNode, ref.id, id)
    unindex(this.#byInode, row.stat.ino, id)
    if (row.kind !== 'directory') {
      unindex(this.#byContent, row.content, id)
      this.#files--
      this.#bytes -= row.size
    }
    this.#copies.delete(id)
  }
}

function index<K>(map: Map<K, RowId | RowId[]>, key: K, id: RowId): void {
  const had = map.get(key)
  if (had === undefined) map.set(key, id)
  else if (typeof had === 'number') {
    if (had !== id) map.set(key, [had, id])
  } else if (!had.includes(id)) had.push(id)
}

function unindex<K>(map: Map<K, RowId | RowId[]>, key: K, id: RowId): void {
  const had = map.get(key)
  if (had === id) map.delete(key)
  else if (typeof had === 'object') {
    const at = had.indexOf(id)
    if (at >= 0) {
      had[at] = had[had.length - 1] as RowId
      had.pop()
    }
    if (had.length === 0) map.delete(key)
  }
}
