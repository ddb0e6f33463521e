// What stands on the disk and what the shared tree shows at the same place, brought together without an operation: agreement. So a crash
// between doing and recording heals itself, and two devices that hold the same files send nothing.
import { type Dot, type Entry, type Facts, hasDot, type Kind, type Version } from '../core/entry.ts'
import type { NodeId } from '../core/ids.ts'
import { ROOT_ROW } from '../core/ids.ts'
import type { Stat } from '../core/ports.ts'
import type { Row, RowTable } from '../core/rows.ts'
import type { TreeView } from './tree.ts'

export interface AdoptDeps {
  readonly rows: RowTable
  readonly tree: Pick<TreeView, 'primaryOf' | 'entryNamed' | 'refsOf'>
  /** To be compared: a row came to agree with what the tree shows in this directory, without an operation, or one of this node went. */
  readonly onAdopted: (directory: NodeId) => void
}

/** What the tree shows at a name in the directory of a row. */
export interface Shown {
  readonly directory: NodeId
  readonly entry: Entry
}

export function shownAt(deps: AdoptDeps, parent: Row, name: string, kind: Kind): Shown | undefined {
  const { tree } = deps
  const [first] = parent.nodes
  if (first === undefined) return undefined
  const directory = parent.id === ROOT_ROW ? first.id : tree.primaryOf(first.id)
  if (directory === undefined) return undefined
  const entry = tree.entryNamed(directory, name)
  return entry?.kind === kind ? { directory, entry } : undefined
}

/** The row that now agrees with what is shown; undefined where it does not. `row`: the one that stands here already. */
export function adopt(
  deps: AdoptDeps,
  row: Row | null,
  at: { readonly parent: Row; readonly name: string; readonly kind: Kind; readonly stat: Stat },
  facts: Facts,
): Row | undefined {
  const { rows, tree } = deps
  const { parent, name, kind, stat } = at
  const shown = shownAt(deps, parent, name, kind)
  if (shown === undefined) return undefined
  const { directory, entry } = shown
  // What it stood for already is nothing to adopt: then a person gave it another time.
  if (row !== null && sameDots(entry.dots, row.nodes[0]?.versions ?? [])) return undefined
  if (row !== null ? entry.nodes[0] !== row.nodes[0]?.id : entry.nodes.some(id => rows.byNode(id).length > 0))
    return undefined
  if (kind !== 'directory' && entry.facts.content !== facts.content) return undefined
  if (kind !== 'symlink' && entry.facts.mode !== facts.mode) return undefined
  const next: Row = {
    id: row?.id ?? rows.allocate(),
    parent: parent.id,
    name,
    kind,
    stat,
    copy: entry.copy,
    nodes: tree.refsOf(entry),
    ...entry.facts,
    // As the disk has it: where the entry has another, the plan sets it.
    mtime: kind === 'file' ? facts.mtime : entry.facts.mtime,
  }
  rows.put(next)
  deps.onAdopted(directory)
  return next
}

export function sameDots(dots: readonly Dot[], versions: readonly Version[]): boolean {
  return dots.length === versions.length && versions.every(version => hasDot(dots, version.dot))
}
