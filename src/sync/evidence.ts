// What tells a person's change from an old copy, while a folder rejoins: whether this device had a file up to date, and whether the disk
// under it was put back. A disk that was copied back has other inodes; one that its file system put back in place has earlier times than
// its rows: whatever a person does makes them later. Reads rows, the tree and what was seen; changes nothing.
import type { Dot } from '../core/entry.ts'
import type { NodeId, RowId } from '../core/ids.ts'
import { ROOT_ROW } from '../core/ids.ts'
import type { Stat } from '../core/ports.ts'
import type { Row, RowTable } from '../core/rows.ts'
import { sameDots } from './adopt.ts'
import type { Found, FoundRow, LocalChanges } from './local-changes.ts'
import { sameObject } from './local-changes.ts'
import type { TreeView } from './tree.ts'

export interface EvidenceDeps {
  readonly rows: RowTable
  readonly tree: Pick<TreeView, 'entriesOf' | 'node'>
  /** The directory at this path, as it was read. */
  readonly statOf: (path: string) => Stat | undefined
  /** When the rejoin began, by the wall clock, in ms; null where nobody knows. */
  readonly since: number | null
}

export class Evidence {
  readonly #deps: EvidenceDeps
  /** Rows of directories that are not what they were, though they stand where they were: copied back, or made anew. */
  readonly #copied: Set<RowId>
  readonly #standsAt: ReadonlyMap<RowId, string>
  /** Rows of files over which something was brought that this device had up to date elsewhere. */
  readonly #broughtOver: ReadonlySet<RowId>

  /** `copied`: what earlier looks of this rejoin found; added to. */
  constructor(deps: EvidenceDeps, changes: LocalChanges, copied: Set<RowId>) {
    this.#deps = deps
    this.#copied = copied
    this.#standsAt = new Map([...changes.claimed].map(([path, { id }]) => [id, path]))
    const { touched, edits, moves, lost } = changes
    for (const { row, observed } of touched) if (!sameObject(row.stat, observed.stat)) this.#copied.add(row.id)
    // Nothing is known of the root's own inode: it is the one it was if anything in it is.
    const other = [...touched, ...edits].filter(found => !sameObject(found.row.stat, found.observed.stat))
    const out = new Set([
      ...other.map(found => found.row.id),
      ...moves.map(move => move.row.id),
      ...lost.map(r => r.id),
    ])
    out.add(ROOT_ROW)
    if (![...deps.rows.children(ROOT_ROW)].some(row => !out.has(row.id))) this.#copied.add(ROOT_ROW)
    this.#broughtOver = new Set(edits.filter(found => this.#isBrought(found)).map(({ row }) => row.id))
  }

  /** Its inode and times say nothing from now on: what its row spoke of stood in another one, or the daemon itself changed it. */
  noteCopied(directory: RowId): void {
    this.#copied.add(directory)
  }

  /** Does the tree show exactly what the row says? */
  isUpToDate(row: Row): boolean {
    if (row.kind === 'directory') return row.nodes.every(ref => sameDots(this.#dots(ref.id), ref.versions))
    const [ref] = row.nodes
    return ref !== undefined && this.#deps.tree.entriesOf(ref.id).some(entry => sameDots(entry.dots, ref.versions))
  }

  isUnmoved(row: Row): boolean {
    return row.nodes.every(ref => samePlacement(this.#deps.tree.node(ref.id)?.placement, ref.placement))
  }

  /** A person did this to what this device had up to date: nothing about it can be old. */
  isEdit(found: FoundRow): boolean {
    return this.isUpToDate(found.row) && !this.#copied.has(found.row.parent) && !isOlder(found)
  }

  /** What the row stood for was moved away, and something else has its name now: no edit, though the name is the same. */
  isAnother({ row, observed }: FoundRow): boolean {
    return !sameObject(row.stat, observed.stat) && !this.isUnmoved(row)
  }

  isMove(found: FoundRow): boolean {
    return this.isUnmoved(found.row) && !isOlder(found)
  }

  isChmod(found: FoundRow): boolean {
    return this.isUpToDate(found.row) && !this.#copied.has(found.row.id)
  }

  /**
   * It came to stand here while the folder rejoined: a person put it here, whatever a journal knows of it. What is done in a directory moves
   * its change time, so of that only the birth counts.
   */
  isMadeSince({ observed: { kind, stat } }: Found): boolean {
    return this.#isSince(kind === 'directory' ? stat.birthUs : stat.ctimeUs)
  }

  /**
   * Written or brought here while the folder rejoined. The daemon itself may have moved it since: that changes the one time, and its row
   * then says where it stands.
   */
  isWrittenSince({ row, observed: { stat } }: FoundRow): boolean {
    if (!this.#isSince(stat.ctimeUs) || stat.ctimeUs <= row.stat.ctimeUs) return false
    return this.#isSince(stat.mtimeUs) || this.#broughtOver.has(row.id)
  }

  #isBrought({ row, observed: { kind, stat } }: FoundRow): boolean {
    return this.#deps.rows.byInode(stat.ino).some(other => {
      if (other.id === row.id || other.kind !== kind || !sameObject(other.stat, stat)) return false
      const isSame = other.stat.size === stat.size && other.stat.mtimeUs === stat.mtimeUs
      return isSame && stat.ctimeUs > other.stat.ctimeUs && this.isUpToDate(other)
    })
  }

  #isSince(us: number): boolean {
    const { since } = this.#deps
    return since !== null && Math.floor(us / 1000) > since
  }

  /** It was up to date, in the directory that it stood in, and that directory was changed since. */
  isDeletion(row: Row): boolean {
    if (!this.isUpToDate(row) || !this.isUnmoved(row) || this.#copied.has(row.parent)) return false
    const directory = this.#deps.statOf(this.#standsAt.get(row.parent) ?? '')
    return directory === undefined || directory.ctimeUs >= row.stat.ctimeUs
  }

  #dots(node: NodeId): readonly Dot[] {
    return (this.#deps.tree.node(node)?.versions ?? []).map(version => version.dot)
  }
}

function isOlder({ row, observed }: FoundRow): boolean {
  return observed.stat.ctimeUs < row.stat.ctimeUs
}

type Placement = Row['nodes'][number]['placement']

function samePlacement(a: Placement | undefined, b: Placement): boolean {
  if (a === undefined) return false
  if (a === null || b === null) return a === b
  return a.time === b.time && a.actor === b.actor && a.parent === b.parent && a.name === b.name
}
