// What a person did on this disk, as writes on the shared tree. An operation acts on the node of its row, wherever that is now, and
// supersedes only the row's dots: what this disk really showed, never the current projection, for the disk lags behind the documents.
// Rows are brought along in the same go, also those of copies that settling turned into nodes of their own. Never touches a disk.

import type { Dot, Facts, Kind, Node, NodeRef, Placement, Version } from '../core/entry.ts'
import { hasDot, plainFacts } from '../core/entry.ts'
import { KithError } from '../core/errors.ts'
import type { ActorId, NodeId, RowId } from '../core/ids.ts'
import { ROOT_NODE, ROOT_ROW } from '../core/ids.ts'
import { isLegalName, normalName } from '../core/names.ts'
import type { Stat } from '../core/ports.ts'
import type { Row, RowTable } from '../core/rows.ts'
import { Batch, type BatchDeps } from './batch.ts'
import { compareText } from './join.ts'
import { type Resolution, scopeOf, writeResolution } from './resolve.ts'
import { type Revision, writeRevisions } from './revise.ts'
import { revive, type Scope, type Settled, settle } from './settle.ts'
import { inheritedBase, originOf } from './versions.ts'

export interface OperationDeps extends Omit<BatchDeps, 'hasRow'> {
  readonly rows: RowTable
  /** Writes the records and brings the projection up to date. */
  commit(writes: ReadonlyMap<NodeId, Node | null>): void
}

/** What goes with some rows, and what that is near to. */
interface Removal {
  readonly kills: ReadonlyMap<NodeId, readonly Dot[]>
  readonly copies: readonly NodeRef[]
  readonly gone: ReadonlySet<NodeId>
  readonly near: ReadonlySet<NodeId>
  disposes(id: NodeId, dot: Dot): boolean
}

const NOTHING: readonly Dot[] = []

export class Operations {
  readonly #deps: OperationDeps

  constructor(deps: OperationDeps) {
    this.#deps = deps
  }

  create(parent: Row, name: string, kind: Kind, facts: Facts, stat: Stat): Row {
    legal(name)
    const batch = this.#batch()
    const created = batch.create(smallest(parent), name, kind, facts)
    this.#commit(batch, [])
    const row: Row = {
      id: this.#deps.rows.allocate(),
      parent: parent.id,
      name,
      kind,
      stat,
      copy: false,
      nodes: [this.ref(created.id, [created.version])],
      ...plainFacts(facts),
    }
    this.#deps.rows.put(row)
    return row
  }

  edit(row: Row, facts: Facts, stat: Stat): Row {
    if (row.copy) return this.#own({ ...row, ...plainFacts(facts), stat }, row, row.parent, row.name)
    const ref = leading(row)
    const dots = dotsOf(ref)
    const batch = this.#batch()
    const settled = this.#settle(batch, { nodes: [ref.id], disposes: disposesOf(dots) })
    const version = batch.write(batch.rebuilt(ref, []), facts, dots, this.#origin(row, ref, facts))
    this.#commit(batch, settled)
    const nodes = row.nodes.map(other => (other.id === ref.id ? this.ref(ref.id, [version]) : other))
    return this.#put({ ...row, ...plainFacts(facts), stat, nodes })
  }

  move(row: Row, parent: Row, name: string): Row {
    legal(name)
    if (row.copy) return this.#own({ ...row, parent: parent.id, name }, row, parent.id, name)
    const batch = this.#batch()
    const disposes = (id: NodeId, dot: Dot): boolean => row.nodes.some(ref => ref.id === id && hasDot(dotsOf(ref), dot))
    const settled = this.#settle(batch, { nodes: row.nodes.map(ref => ref.id), disposes })
    for (const ref of row.nodes) batch.place(batch.rebuilt(ref, ref.versions), smallest(parent), name)
    this.#commit(batch, settled)
    return this.#put({ ...row, parent: parent.id, name, nodes: row.nodes.map(ref => this.ref(ref.id, ref.versions)) })
  }

  /** All rows that vanished in one scan. */
  remove(rows: readonly Row[]): void {
    const batch = this.#batch()
    const { kills, copies, gone, near, disposes } = this.#removal(rows)
    const settled = this.#settle(batch, { nodes: near, copies, gone, disposes })
    for (const [id, dots] of kills) batch.drop(id, dots)
    this.#commit(batch, settled)
    for (const row of rows) this.#deps.rows.delete(row.id)
  }

  /** What a person asked for without touching the disk: the rows stay as they are. Returns the nodes that it wrote. */
  revise(revisions: readonly Revision[]): readonly NodeId[] {
    for (const revision of revisions) {
      if (revision.do === 'create') legal(revision.name)
      if (revision.do === 'create' || revision.do === 'remove') continue
      const row = this.#now(revision.row)
      if (row.copy) this.#own(row, row, row.parent, row.name)
    }
    const owned = revisions.map(revision =>
      revision.do === 'create' ? revision : { ...revision, row: this.#now(revision.row) },
    )
    const removal = this.#removal(owned.flatMap(revision => (revision.do === 'remove' ? [revision.row] : [])))
    const changed = new Map<NodeId, Dot[]>()
    for (const revision of owned) {
      if (revision.do === 'create' || revision.do === 'remove') continue
      for (const ref of revision.row.nodes) changed.set(ref.id, dotsOf(ref))
    }
    const batch = this.#batch()
    const settled = this.#settle(batch, {
      ...removal,
      nodes: new Set([...removal.near, ...changed.keys()]),
      disposes: (id, dot) => removal.disposes(id, dot) || hasDot(changed.get(id) ?? NOTHING, dot),
    })
    writeRevisions(
      batch,
      {
        directoryOf: smallest,
        leading,
        originOf: (row, ref, facts) => this.#origin(row, ref, facts),
        kills: removal.kills,
      },
      owned,
    )
    this.#commit(batch, settled)
    return [...batch.writes.keys()]
  }

  #now(row: Row): Row {
    return this.#deps.rows.get(row.id) ?? row
  }

  #removal(rows: readonly Row[]): Removal {
    const { view } = this.#deps
    const removed = new Set<RowId>(rows.map(row => row.id))
    const kills = new Map<NodeId, Dot[]>()
    const gone = new Set<NodeId>()
    const near = new Set<NodeId>()
    for (const row of rows) {
      for (const ref of row.nodes) {
        // move beats delete: a file that an unseen placement shows elsewhere stays
        if (row.kind !== 'directory' && this.#movedAway(row, ref)) continue
        kills.set(ref.id, [...(kills.get(ref.id) ?? NOTHING), ...dotsOf(ref)])
        if (row.copy) continue
        gone.add(ref.id)
        if (!removed.has(row.parent)) near.add(ref.id)
      }
    }
    const disposes = (id: NodeId, dot: Dot): boolean => hasDot(kills.get(id) ?? NOTHING, dot)
    // where the version at the name goes, its copies must keep their own names
    for (const id of kills.keys()) {
      const [winner] = view.entriesOf(id)
      if (winner?.dots.some(dot => disposes(id, dot)) === true) near.add(id)
    }
    const copies = rows.filter(row => row.copy).flatMap(row => row.nodes)
    return { kills, copies, gone, near, disposes }
  }

  /** A text merge: one version instead of exactly these. The row stays as it is: the disk does not show it yet. */
  merge(node: NodeId, dots: readonly Dot[], facts: Facts): Version {
    const batch = this.#batch()
    const there = batch.get(node)
    if (there === undefined) throw new KithError('internal', 'The file to merge is gone. Please report this.')
    const merged = there.versions.filter(v => hasDot(dots, v.dot))
    const version = batch.write(there, facts, dots, {
      base: inheritedBase(merged, actor => this.#isOwn(actor)),
      merged: true,
    })
    this.#commit(batch, [])
    return version
  }

  /** What a person decided of a conflict. The rows stay as they are, but for those of copies that become files. */
  resolve(resolution: Resolution): void {
    const batch = this.#batch()
    const versions = (id: NodeId): readonly Version[] => this.#deps.index.state(id)?.versions ?? []
    const settled = this.#settle(
      batch,
      scopeOf(resolution, ({ node, dots }) =>
        this.ref(
          node,
          versions(node).filter(v => hasDot(dots, v.dot)),
        ),
      ),
    )
    writeResolution(batch, resolution, settled)
    const written = settled.map(each => {
      const [version] = batch.get(each.to)?.versions ?? []
      return version === undefined ? each : { ...each, version }
    })
    this.#commit(batch, written)
  }

  /** What a row keeps of a node. */
  ref(id: NodeId, versions: readonly Version[]): NodeRef {
    const node = this.#deps.index.state(id)
    if (node === undefined) throw new KithError('internal', 'A node without records was asked for. Please report this.')
    const { birth, placement } = node
    return { id, birth, placement, versions }
  }

  #batch(): Batch {
    const { rows } = this.#deps
    return new Batch({ ...this.#deps, hasRow: id => rows.byNode(id).length > 0 })
  }

  #settle(batch: Batch, scope: Omit<Scope, 'modeOf'>): Settled[] {
    return settle(batch, this.#deps.view, { ...scope, modeOf: id => this.#modeOf(id) })
  }

  #modeOf(id: NodeId): number | null {
    return this.#deps.rows.byNode(id)[0]?.mode ?? null
  }

  /** Writes, and lets the rows of settled copies stand for the files these became. */
  #commit(batch: Batch, settled: readonly Settled[]): void {
    this.#deps.commit(batch.writes)
    if (settled.length === 0) return
    for (const row of [...this.#deps.rows.copies()]) {
      const [ref] = row.nodes
      if (ref === undefined) continue
      const done = settled.find(s => s.from === ref.id && ref.versions.some(v => hasDot(s.dots, v.dot)))
      if (done !== undefined) this.#put({ ...row, copy: false, nodes: [this.ref(done.to, [done.version])] })
    }
  }

  /** A conflict copy that is edited or moved becomes a node of its own, at the name on this disk. */
  #own(next: Row, row: Row, parent: RowId, name: string): Row {
    const { rows, view } = this.#deps
    const ref = leading(row)
    const dots = dotsOf(ref)
    const directory = rows.get(parent)
    if (directory === undefined) throw new KithError('internal', 'A row without its directory. Please report this.')
    const batch = this.#batch()
    const settled = this.#settle(batch, { nodes: [], copies: [ref], disposes: disposesOf(dots) })
    batch.drop(ref.id, dots)
    const created = batch.create(smallest(directory), name, row.kind, next)
    const left = rows.get(row.parent)
    const merged = left === undefined ? null : view.mergedOf(smallest(left))
    if (merged !== null) revive(batch, merged, { modeOf: id => this.#modeOf(id) })
    this.#commit(batch, settled)
    return this.#put({ ...next, copy: false, nodes: [this.ref(created.id, [created.version])] })
  }

  #origin(row: Row, ref: NodeRef, facts: Facts): Pick<Version, 'base' | 'metadataOnly'> {
    if (row.kind === 'directory') return { base: null, metadataOnly: false }
    const origin = facts.content === row.content ? originOf(ref.versions, row.content) : null
    if (origin !== null) return { base: origin, metadataOnly: true }
    return { base: inheritedBase(ref.versions, actor => this.#isOwn(actor)), metadataOnly: false }
  }

  /** An incarnation of this device, now or before. */
  #isOwn(actor: ActorId): boolean {
    const { actor: own, index } = this.#deps
    return actor === own || (index.actors.has(own) && index.actors.get(actor)?.device === index.actors.get(own)?.device)
  }

  /** Was the node moved by something this disk has not shown? A pin that shows it where it is, or a suffix that fell away, is no move. */
  #movedAway(row: Row, ref: NodeRef): boolean {
    const { index, view, rows } = this.#deps
    const node = index.state(ref.id)
    if (node === undefined || row.copy || samePlacement(node.placement, ref.placement)) return false
    const name = view.shownName(ref.id)
    if (name === null) return false
    const parent = view.spot(ref.id)?.parent
    const directory = rows.get(row.parent)
    const inside = row.parent === ROOT_ROW ? parent === ROOT_NODE : directory?.nodes.some(r => r.id === parent) === true
    return !inside || view.key(name) !== view.key(row.name)
  }

  #put(row: Row): Row {
    this.#deps.rows.put(row)
    return row
  }
}

function legal(name: string): void {
  if (!isLegalName(normalName(name)))
    throw new KithError('bad-path', 'A file of that name cannot be shared. Rename it.')
}

function dotsOf(ref: NodeRef): Dot[] {
  return ref.versions.map(v => v.dot)
}

/** No dot is in two nodes. */
function disposesOf(dots: readonly Dot[]): Scope['disposes'] {
  return (_id, dot) => hasDot(dots, dot)
}

/** The node that an edit of the row is about: of a merged directory the smallest id. */
function leading(row: Row): NodeRef {
  const [first] = [...row.nodes].sort((a, b) => compareText(a.id, b.id))
  if (first === undefined) throw new KithError('internal', 'A row without a node. Please report this.')
  return first
}

/** The id that is the parent of what is put into a directory. */
function smallest(row: Row): NodeId {
  return row.id === ROOT_ROW ? ROOT_NODE : leading(row).id
}

function samePlacement(a: Placement | null, b: Placement | null): boolean {
  if (a === null || b === null) return a === b
  return a.parent === b.parent && a.name === b.name && a.time === b.time && a.actor === b.actor
}
