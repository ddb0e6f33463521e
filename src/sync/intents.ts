// What this device is about to do to its disk, noted before it is done. A process that dies between the doing and its commit finds here, at
// its next start, that what is not as its row says was brought by itself: it is nobody's edit. The shared tree may have gone on since, so
// what lies there need not be what the tree shows.
import { type Facts, type Kind, type NodeRef, sameDot } from '../core/entry.ts'
import type { RowId } from '../core/ids.ts'
import type { FolderBatch, FolderStore, Intent, Move, Stat } from '../core/ports.ts'
import type { Row, RowTable } from '../core/rows.ts'
import { parentPath } from './local-changes.ts'
import type { PlannedStep } from './plan.ts'

/** What was found at a path. */
export interface Met {
  readonly path: string
  readonly parent: RowId
  readonly name: string
  readonly kind: Kind
  readonly stat: Stat
  /** The row that it has already. */
  readonly row: Row | null
  /** Null of what only moved: it is not read. */
  readonly facts: Facts | null
}

export class Intents {
  readonly #store: Pick<FolderStore, 'intents'>
  /** Of the process before, and not yet met. */
  readonly #left = new Map<string, Intent>()
  /** Those rows as they were loaded. One that has changed since was seen to already. */
  readonly #before = new Map<RowId, readonly NodeRef[]>()
  /** The store has other ones than those. */
  #changed = false

  constructor(store: Pick<FolderStore, 'intents'>) {
    this.#store = store
  }

  async load(rows: RowTable): Promise<void> {
    this.#left.clear()
    this.#before.clear()
    this.#changed = false
    for (const intent of await this.#store.intents()) {
      this.#left.set(intent.path, intent)
      if (intent.was !== null) this.#before.set(intent.was, rows.get(intent.was)?.nodes ?? [])
    }
  }

  /** Files that were about to move, and may have both names now. */
  moves(rows: RowTable): readonly Move[] {
    return [...this.#left.values()].flatMap(({ path: to, was, row: { kind } }) => {
      const from = was === null || kind === 'directory' ? undefined : rows.path(was)
      return from === undefined || from === to ? [] : [{ from, to }]
    })
  }

  /** To be stored before these steps are done; empty where none of them leaves what could be taken for somebody's edit. */
  of(steps: readonly PlannedStep[], rows: RowTable): readonly Intent[] {
    const intents = steps.flatMap(({ path, row, becomes }): Intent[] =>
      becomes === undefined ? [] : [{ path, was: rows.get(row) === undefined ? null : row, row: becomes }],
    )
    if (intents.length === 0) return []
    this.#changed = true
    return [...this.#left.values(), ...intents]
  }

  /** To be stored with what became of the steps, or of what was met. */
  done(): FolderBatch {
    if (!this.#changed) return {}
    this.#changed = false
    return { intents: [...this.#left.values()] }
  }

  /**
   * A look is over. What was to stand in a directory where there is nothing left to see, and was not met, was not done: whatever comes to
   * stand there from now on is a person's. True: that is to be stored.
   */
  looked(isSeen: (directory: string) => boolean): boolean {
    for (const path of this.#left.keys()) {
      if (!isSeen(parentPath(path))) continue
      this.#left.delete(path)
      this.#changed = true
    }
    return this.#changed
  }

  /** Nothing that lies here counts as brought. */
  clear(): FolderBatch {
    this.#left.clear()
    this.#changed = false
    return { intents: [] }
  }

  /** The row of what the process before left just so. Asked once of each. */
  take({ path, parent, name, kind, stat, row, facts }: Met): Row | undefined {
    const intent = this.#left.get(path)
    if (intent === undefined || intent.row.kind !== kind || intent.was !== (row?.id ?? null)) return undefined
    if (row !== null && !sameNodes(row.nodes, this.#before.get(row.id) ?? [])) return undefined
    const { content, mode } = intent.row
    if (facts !== null && (facts.content !== content || (kind !== 'symlink' && facts.mode !== mode))) return undefined
    this.#left.delete(path)
    this.#changed = true
    // What only moved has its own facts, and its stat until it was read.
    const { nodes, copy } = intent.row
    if (row !== null && facts === null) return { ...row, parent, name, nodes, copy }
    const mtime = kind === 'file' && facts !== null ? facts.mtime : intent.row.mtime
    return { ...intent.row, id: row?.id ?? intent.row.id, parent, name, stat, mtime }
  }
}

function sameNodes(a: readonly NodeRef[], b: readonly NodeRef[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ id, placement, versions }, at) => {
      const other = b[at]
      return (
        other?.id === id &&
        other.placement?.time === placement?.time &&
        other.placement?.actor === placement?.actor &&
        other.versions.length === versions.length &&
        versions.every(({ dot }) => other.versions.some(version => sameDot(version.dot, dot)))
      )
    })
  )
}
