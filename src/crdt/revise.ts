// What a person asks for without touching the disk: changes of the shared tree that leave the rows as they are, for the disk shows none of
// it yet and follows. Like the operations on rows they supersede exactly what this disk showed, so that what others did meanwhile joins
// by the ordinary rules. All are one batch, read against the tree as it was before: names may be swapped, what is new may hold what is
// new. Here is how they are written; crdt/operations settles first and commits.
import type { Dot, Facts, Kind, NodeRef, Version } from '../core/entry.ts'
import type { NodeId } from '../core/ids.ts'
import type { Row } from '../core/rows.ts'
import type { Batch } from './batch.ts'

/** A directory that has a row, or one that an earlier revision of the same call makes. */
export type RevisedHome = { readonly row: Row } | { readonly made: number }

export type Revision =
  /** `made`: the number by which later ones speak of it. Directories before what is in them. */
  | {
      readonly do: 'create'
      readonly made: number
      readonly home: RevisedHome
      readonly name: string
      readonly kind: Kind
      readonly facts: Facts
    }
  | { readonly do: 'move'; readonly row: Row; readonly home: RevisedHome; readonly name: string }
  | { readonly do: 'edit'; readonly row: Row; readonly facts: Facts }
  | { readonly do: 'remove'; readonly row: Row }

export interface WriteDeps {
  /** The id that is the parent of what is put into a directory. */
  readonly directoryOf: (row: Row) => NodeId
  /** Of a merged directory the node that an edit is about. */
  readonly leading: (row: Row) => NodeRef
  readonly originOf: (row: Row, ref: NodeRef, facts: Facts) => Pick<Version, 'base' | 'metadataOnly'>
  /** What the removals take away of each node. */
  readonly kills: ReadonlyMap<NodeId, readonly Dot[]>
}

export function writeRevisions(batch: Batch, deps: WriteDeps, revisions: readonly Revision[]): void {
  const made = new Map<number, NodeId>()
  const home = (at: RevisedHome): NodeId => {
    const id = 'row' in at ? deps.directoryOf(at.row) : made.get(at.made)
    if (id === undefined) throw new Error('something is to go into a directory that was not made')
    return id
  }
  // What goes leaves its name to what comes.
  for (const [id, dots] of deps.kills) batch.drop(id, dots)
  const pending = (revision: Revision): void => {
    switch (revision.do) {
      case 'create': {
        const { name, kind, facts } = revision
        made.set(revision.made, batch.create(home(revision.home), name, kind, facts).id)
        break
      }
      case 'move':
        for (const ref of revision.row.nodes)
          batch.place(batch.rebuilt(ref, ref.versions), home(revision.home), revision.name)
        break
      case 'edit': {
        const { row, facts } = revision
        const ref = deps.leading(row)
        const dots = ref.versions.map(v => v.dot)
        batch.write(batch.rebuilt(ref, []), facts, dots, deps.originOf(row, ref, facts))
        break
      }
      case 'remove':
        break
    }
  }
  // A node that moves away leaves the generation that it was born as; a directory to move into is made before.
  const isDirectory = (revision: Revision): boolean => revision.do === 'create' && revision.kind === 'directory'
  for (const revision of revisions) if (isDirectory(revision)) pending(revision)
  for (const revision of revisions) if (revision.do === 'move') pending(revision)
  for (const revision of revisions) if (!isDirectory(revision) && revision.do !== 'move') pending(revision)
}
