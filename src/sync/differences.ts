// SHARED against SYNCED: what the projection shows and the rows do not say, in the part of the tree that changed. Pure. It decides which
// row stands for which entry (a directory's one row, a file's rows and names matched together) and orders nothing.
import type { Entry, NodeRef } from '../core/entry.ts'
import type { ContentId, NodeId, RowId } from '../core/ids.ts'
import { ROOT_NODE, ROOT_ROW } from '../core/ids.ts'
import type { Row, RowTable } from '../core/rows.ts'
import type { TreeView } from './tree.ts'

export interface DifferencesInput {
  readonly rows: RowTable
  readonly tree: TreeView
  readonly directories: Iterable<NodeId>
  readonly nodes: Iterable<NodeId>
  readonly staged: (content: ContentId) => boolean
  /** Nodes whose siblings are about to be merged: left as they are. */
  readonly held: (node: NodeId) => boolean
  /** This disk cannot have it as it is to be: it stays as it is. */
  readonly refused: (node: NodeId) => boolean
  /** Something stands at this name in the directory of that row that nobody has read yet: left as it is. */
  readonly unread: (directory: RowId, name: string) => boolean
}

interface Target {
  readonly entry: Entry
  row: Row | null
}

/** A directory to be made or a row to be moved; `refs`: what the row says once that is done. */
export interface Structural {
  readonly entry: Entry
  /** Of a directory to be made: the id its row will have. */
  readonly id: RowId
  /** Null: to be made. */
  readonly row: Row | null
  readonly refs: readonly NodeRef[]
  readonly depth: number
}

export interface Placed {
  readonly entry: Entry
  readonly row: Row
}

export class Differences {
  readonly structural: Structural[] = []
  /** Names that have no row yet. */
  readonly fresh: Entry[] = []
  /** Rows in place that show another content. */
  readonly fills: Placed[] = []
  /** Rows in place with the right content and other mode or mtime. */
  readonly touches: Placed[] = []
  /** Rows that only take over refs: what stands there is right already. */
  readonly notes: Row[] = []
  /** Entries whose row moves first and whose content comes then. */
  readonly wanted: Entry[] = []
  /** Rows that nothing shows any more. */
  readonly doomed = new Map<RowId, Row>()
  /** Directories to be made: primary → the id of the row to come. */
  readonly made = new Map<NodeId, RowId>()
  /** Directories to compare again later. */
  readonly again = new Set<NodeId>()
  readonly #in: DifferencesInput
  readonly #rows: RowTable
  readonly #tree: TreeView
  readonly #scope = new Set<NodeId>()
  readonly #queue: NodeId[] = []
  readonly #doneNodes = new Set<NodeId>()
  /** Their rows, of files. */
  readonly #doneFiles = new Set<RowId>()
  /** Files that the directories in scope show: all that they show and all their rows were compared with these. */
  readonly #shown = new Set<NodeId>()
  readonly #rowOf = new Map<NodeId, Row | null>()

  constructor(input: DifferencesInput) {
    this.#in = input
    this.#rows = input.rows
    this.#tree = input.tree
    for (const id of input.directories) {
      // A refused step of a file names the file.
      if (id !== ROOT_NODE && (input.tree.node(id)?.kind ?? 'directory') !== 'directory') this.#collectChanged(id)
      else {
        this.#enter(id)
        // It may be one that is to go and could not the last time.
        for (const row of this.#rows.byNode(id)) this.#collectRow(row)
      }
    }
    this.#collectQueued()
    for (const node of input.nodes) if (!this.#shown.has(node)) this.#collectChanged(node)
    this.#collectQueued()
  }

  #collectQueued(): void {
    for (let directory = this.#queue.pop(); directory !== undefined; directory = this.#queue.pop())
      this.#collectDirectory(directory)
  }

  /** A file is compared by itself: where it renames others, their directory is told of. */
  #collectChanged(node: NodeId): void {
    const entries = this.#tree.entriesOf(node)
    if (entries[0]?.kind === 'directory') for (const entry of entries) this.#enter(entry.directory)
    else this.#collectNode(node, entries)
    for (const row of this.#rows.byNode(node)) this.#collectRow(row)
  }

  #enter(directory: NodeId): void {
    const primary = directory === ROOT_NODE ? directory : (this.#tree.primaryOf(directory) ?? directory)
    if (this.#scope.has(primary)) return
    this.#scope.add(primary)
    this.#queue.push(primary)
  }

  #collectDirectory(directory: NodeId): void {
    const [own] = this.#tree.entriesOf(directory)
    if (own?.kind === 'directory') this.#collectDirectoryEntry(own)
    // The winner of a node's versions stands before its copies, all in one directory.
    const shown = new Map<NodeId, Entry[]>()
    for (const entry of this.#tree.entries(directory)) {
      const [node] = entry.nodes
      const others = node === undefined ? undefined : shown.get(node)
      if (entry.kind === 'directory') this.#collectDirectoryEntry(entry)
      else if (others !== undefined) others.push(entry)
      else if (node !== undefined) shown.set(node, [entry])
    }
    for (const [node, entries] of shown) {
      this.#shown.add(node)
      this.#collectNode(node, entries)
    }
    for (const home of this.#directoryRows(directory))
      for (const row of this.#rows.children(home.id)) this.#collectRow(row)
  }

  #directoryRows(directory: NodeId): Row[] {
    if (directory === ROOT_NODE) return [this.#root()]
    const nodes = this.#tree.entriesOf(directory)[0]?.nodes ?? [directory]
    return unique(nodes.flatMap(id => this.#rows.byNode(id))).filter(r => r.kind === 'directory')
  }

  #root(): Row {
    const root = this.#rows.get(ROOT_ROW)
    if (root === undefined) throw new Error('the row table has no root')
    return root
  }

  #collectRow(row: Row): void {
    if (row.id === ROOT_ROW) return
    if (row.kind !== 'directory') {
      if (!this.#doneFiles.has(row.id)) for (const ref of row.nodes) this.#collectNode(ref.id)
      return
    }
    const shown = this.#standsFor(row)
    if (shown !== undefined) {
      const entry = this.#tree.entriesOf(shown)[0]
      if (entry !== undefined) this.#collectDirectoryEntry(entry)
      if (this.rowOfDirectory(shown)?.id === row.id) return
      // Several rows became one directory: what is in this one moves over, then it goes.
      this.#enter(shown)
    } else if (row.nodes.some(ref => this.#tree.isPending(ref.id))) return
    if (this.doomed.has(row.id)) return
    this.doomed.set(row.id, row)
    for (const child of this.#rows.children(row.id)) this.#collectRow(child)
  }

  /** A merged directory may part again: its row goes with the first of its nodes that is shown, and the others are made anew. */
  #standsFor(row: Row): NodeId | undefined {
    for (const { id } of row.nodes) {
      const primary = this.#tree.primaryOf(id)
      if (primary !== undefined) return primary
    }
    return undefined
  }

  /** The one row that stands for a merged directory: the one in place, else the oldest. Null: to be made. */
  rowOfDirectory(primary: NodeId): Row | null {
    if (primary === ROOT_NODE) return this.#root()
    const known = this.#rowOf.get(primary)
    if (known !== undefined) return known
    this.#rowOf.set(primary, null) // the projection has no cycles; this only bounds a damaged one
    const entry = this.#tree.entriesOf(primary)[0]
    if (entry === undefined) return null
    const parent = this.rowOfDirectory(entry.directory)
    const candidates = unique(entry.nodes.flatMap(id => this.#rows.byNode(id))).filter(
      r => this.#standsFor(r) === primary,
    )
    candidates.sort((a, b) => a.id - b.id)
    const row = candidates.find(r => this.#inPlace(r, parent, entry)) ?? candidates[0] ?? null
    this.#rowOf.set(primary, row)
    return row
  }

  #inPlace(row: Row, parent: Row | null, entry: Entry): boolean {
    if (parent === null || row.parent !== parent.id) return false
    return row.name === entry.name || this.#tree.nameKey(row.name) === this.#tree.nameKey(entry.name)
  }

  #hasPlaceOf(row: Row, entry: Entry): boolean {
    return this.#inPlace(row, this.rowOfDirectory(entry.directory), entry)
  }

  #collectDirectoryEntry(entry: Entry): void {
    const primary = entry.nodes[0]
    if (primary === undefined || this.#doneNodes.has(primary)) return
    this.#doneNodes.add(primary)
    const row = this.rowOfDirectory(primary)
    const refs = this.#tree.refsOf(entry)
    const stays = entry.nodes.some(id => this.#in.refused(id))
    if (row === null) {
      if (stays) return
      const id = this.#rows.allocate()
      this.made.set(primary, id)
      this.structural.push({ entry, id, row: null, refs, depth: this.#depth(entry) })
      this.#enter(entry.directory)
      this.#enter(primary)
      return
    }
    // Other rows of what became one directory: what is in them moves over, then they go, wherever they stand.
    for (const id of entry.nodes)
      for (const other of this.#rows.byNode(id)) if (other.id !== row.id) this.#collectRow(other)
    if (!this.#hasPlaceOf(row, entry)) {
      if (stays) return
      this.structural.push({ entry, id: row.id, row, refs, depth: this.#depth(entry) })
      this.#leave(row)
    } else if (row.mode !== entry.facts.mode) this.touches.push({ row, entry })
    else if (!sameRefs(row.nodes, refs)) this.notes.push({ ...row, nodes: refs })
  }

  #depth(entry: Entry): number {
    let depth = 0
    for (let at: Entry | undefined = entry; at !== undefined && at.directory !== ROOT_NODE && depth < 1_000; depth++)
      at = this.#tree.entriesOf(at.directory)[0]
    return depth
  }

  /** All names and all rows of one file node are matched together: equal content in place first, the name itself before its copies. */
  #collectNode(node: NodeId, entries?: readonly Entry[]): void {
    if (this.#doneNodes.has(node)) return
    this.#doneNodes.add(node)
    if (this.#in.held(node) || this.#in.refused(node)) return
    const targets: Target[] = (entries ?? this.#tree.entriesOf(node)).map(entry => ({ entry, row: null }))
    const rows = this.#rows.byNode(node).filter(r => r.kind !== 'directory')
    for (const each of rows) this.#doneFiles.add(each.id)
    const [target, row] = [targets[0], rows[0]]
    // As nearly all are: one name, and the row that stands for it.
    if (targets.length === 1 && rows.length === 1 && target && row?.content === target.entry.facts.content) {
      this.#collectTarget({ ...target, row }, target.entry.copy ? undefined : target)
      return
    }
    const free = new Set(rows)
    const take = (fits: (target: Target, row: Row) => boolean): void => {
      for (const target of targets) {
        if (target.row !== null) continue
        const row = rows.find(r => free.has(r) && fits(target, r))
        if (row === undefined) continue
        target.row = row
        free.delete(row)
      }
    }
    const here = (t: Target, r: Row): boolean => this.#hasPlaceOf(r, t.entry)
    take((t, r) => r.content === t.entry.facts.content && here(t, r))
    take((t, r) => r.content === t.entry.facts.content)
    take((t, r) => !t.entry.copy && !r.copy)
    take(here)
    const winner = targets.find(t => !t.entry.copy)
    for (const target of targets) this.#collectTarget(target, winner)
    if (targets.length === 0 && this.#tree.isPending(node)) return
    for (const row of free) {
      this.doomed.set(row.id, row)
      this.#leave(row)
    }
  }

  /** What goes from a directory that is to go too may be what that one waited for. */
  #leave(row: Row): void {
    const home = this.#rows.get(row.parent)
    if (home === undefined || home.id === ROOT_ROW || this.doomed.has(home.id)) return
    if (this.#standsFor(home) !== undefined) return
    this.#collectRow(home)
    this.#leave(home)
  }

  #collectTarget(target: Target, winner: Target | undefined): void {
    const { entry, row } = target
    if (row === null) {
      this.fresh.push(entry)
      return
    }
    if (!this.#hasPlaceOf(row, entry)) {
      // The winner's name must not go empty while its content is still on the way: it is wanted, and brings this back. Any other name may be
      // somebody else's by now.
      if (entry.copy && winner !== undefined && this.#hasPlaceOf(row, winner.entry) && !this.#ready(winner)) return
      const refs = this.#tree.refsOf(entry)
      this.structural.push({ entry, id: row.id, row, refs, depth: this.#depth(entry) })
      this.#leave(row)
      if (row.content !== entry.facts.content) this.wanted.push(entry)
      return
    }
    if (row.content !== entry.facts.content) this.fills.push({ entry, row })
    else if (row.kind === 'file' && (row.mode !== entry.facts.mode || row.mtime !== entry.facts.mtime))
      this.touches.push({ row, entry })
    else {
      const refs = this.#tree.refsOf(entry)
      if (!sameRefs(row.nodes, refs) || row.copy !== entry.copy)
        this.notes.push({ ...row, copy: entry.copy, nodes: refs })
    }
  }

  #ready(target: Target): boolean {
    return target.row?.content === target.entry.facts.content || this.#in.staged(target.entry.facts.content)
  }
}

function unique(rows: readonly Row[]): Row[] {
  return [...new Set(rows)]
}

function sameRefs(a: readonly NodeRef[], b: readonly NodeRef[]): boolean {
  if (a.length !== b.length) return false
  return a.every((ref, i) => {
    const other = b[i]
    return other !== undefined && ref.id === other.id && samePlacement(ref, other) && sameVersions(ref, other)
  })
}

function samePlacement(a: NodeRef, b: NodeRef): boolean {
  const p = a.placement
  const q = b.placement
  if (p === null || q === null) return p === q
  return p.time === q.time && p.actor === q.actor && p.parent === q.parent && p.name === q.name
}

function sameVersions(a: NodeRef, b: NodeRef): boolean {
  if (a.versions.length !== b.versions.length) return false
  return a.versions.every(v => b.versions.some(w => w.dot.actor === v.dot.actor && w.dot.seq === v.dot.seq))
}
