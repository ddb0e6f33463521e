// SHARED → LOCAL: what still differs between the projection and the rows, as ordered steps for the disk. Pure: reads rows and tree, and
// returns data; each planned step says what its row becomes once the disk has done it. Order: structure (make, park, move, and what
// must leave a name first), then content, then what is left to remove, children first. Every step re-checks on the disk, so a crash
// or a refusal between any two leaves a tree that the next plan completes.
import type { Entry, NodeRef } from '../core/entry.ts'
import type { ContentId, NodeId, RowId } from '../core/ids.ts'
import { ROOT_NODE, ROOT_ROW } from '../core/ids.ts'
import type { DiskStep, JournalAction, Stat } from '../core/ports.ts'
import type { Row, RowTable } from '../core/rows.ts'
import { PARKED, Shadow } from './shadow.ts'
import type { TreeView } from './tree.ts'

export interface PlannedStep {
  readonly step: DiskStep
  readonly path: string
  readonly action: JournalAction | null
  /** What the rows become; `stat` is what the disk shows afterwards. */
  readonly done: (stat: Stat | null) => void
  readonly directory: NodeId
}

export interface Want {
  readonly content: ContentId
  readonly size: number
  readonly path: string
  readonly directory: NodeId
  readonly mtime: number
}

export interface Plan {
  readonly structure: readonly PlannedStep[]
  readonly puts: readonly PlannedStep[]
  readonly removals: readonly PlannedStep[]
  /** Rows that only take over refs: what stands there is right already. */
  readonly notes: readonly Row[]
  readonly wants: readonly Want[]
  /** Directories with something that could not be planned yet for another reason than content (blocked, moved first). */
  readonly again: ReadonlySet<NodeId>
}

export interface PlanInput {
  readonly rows: RowTable
  readonly tree: TreeView
  readonly directories: Iterable<NodeId>
  readonly nodes: Iterable<NodeId>
  readonly staged: (content: ContentId) => boolean
  /** Nodes whose siblings are about to be merged: left as they are. */
  readonly held: (node: NodeId) => boolean
}

export function makePlan(input: PlanInput): Plan {
  const planner = new Planner(input)
  planner.collect()
  planner.arrange()
  return planner.plan()
}

interface Target {
  readonly entry: Entry
  row: Row | null
}

interface Structural {
  readonly kind: 'mkdir' | 'move'
  readonly entry: Entry
  /** Of a mkdir: the id its row will have. */
  readonly id: RowId
  readonly row: Row | null
  readonly refs: readonly NodeRef[]
  readonly depth: number
}

class Planner {
  readonly #in: PlanInput
  readonly #rows: RowTable
  readonly #tree: TreeView
  readonly #shadow: Shadow
  readonly #scope = new Set<NodeId>()
  readonly #queue: NodeId[] = []
  readonly #doneNodes = new Set<NodeId>()
  readonly #rowOf = new Map<NodeId, Row | null>()
  /** Directories to be made: primary → the id of the row to come. */
  readonly #made = new Map<NodeId, RowId>()
  readonly #doomed = new Map<RowId, Row>()
  readonly #structural: Structural[] = []
  readonly #fills: Target[] = []
  readonly #fresh: Entry[] = []
  readonly #touches: { row: Row; entry: Entry }[] = []
  readonly #notes: Row[] = []
  readonly #wants: Want[] = []
  readonly #again = new Set<NodeId>()
  readonly #structure: PlannedStep[] = []
  readonly #puts: PlannedStep[] = []
  readonly #removals: PlannedStep[] = []
  #tokens = 0

  constructor(input: PlanInput) {
    this.#in = input
    this.#rows = input.rows
    this.#tree = input.tree
    this.#shadow = new Shadow(input.rows, name => input.tree.nameKey(name))
  }

  plan(): Plan {
    return {
      structure: this.#structure,
      puts: this.#puts,
      removals: this.#removals,
      notes: this.#notes,
      wants: this.#wants,
      again: this.#again,
    }
  }

  // ---------------------------------------------------------------------------------- what differs

  collect(): void {
    for (const directory of this.#in.directories) this.#enter(directory)
    for (const node of this.#in.nodes) {
      for (const entry of this.#tree.entriesOf(node)) this.#enter(entry.directory)
      for (const row of this.#rows.byNode(node)) this.#collectRow(row)
    }
    for (let directory = this.#queue.pop(); directory !== undefined; directory = this.#queue.pop())
      this.#collectDirectory(directory)
  }

  #enter(directory: NodeId): void {
    const primary = directory === ROOT_NODE ? directory : (this.#tree.primaryOf(directory) ?? directory)
    if (this.#scope.has(primary)) return
    this.#scope.add(primary)
    this.#queue.push(primary)
  }

  #collectDirectory(directory: NodeId): void {
    for (const entry of this.#tree.entries(directory)) {
      if (entry.kind === 'directory') this.#collectDirectoryEntry(entry)
      else for (const node of entry.nodes) this.#collectNode(node)
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
      for (const ref of row.nodes) this.#collectNode(ref.id)
      return
    }
    const shown = row.nodes.map(ref => this.#tree.primaryOf(ref.id)).find(primary => primary !== undefined)
    if (shown !== undefined) {
      const entry = this.#tree.entriesOf(shown)[0]
      if (entry !== undefined) this.#collectDirectoryEntry(entry)
      if (this.#rowOfDirectory(shown)?.id === row.id) return
      // Several rows became one directory: what is in this one moves over, then it goes.
      this.#enter(shown)
    } else if (row.nodes.some(ref => this.#tree.isPending(ref.id))) return
    if (this.#doomed.has(row.id)) return
    this.#doomed.set(row.id, row)
    for (const child of this.#rows.children(row.id)) this.#collectRow(child)
  }

  /** The one row that stands for a merged directory: the one in place, else the oldest. Null: to be made. */
  #rowOfDirectory(primary: NodeId): Row | null {
    if (primary === ROOT_NODE) return this.#root()
    const known = this.#rowOf.get(primary)
    if (known !== undefined) return known
    this.#rowOf.set(primary, null) // the projection has no cycles; this only bounds a damaged one
    const entry = this.#tree.entriesOf(primary)[0]
    if (entry === undefined) return null
    const parent = this.#rowOfDirectory(entry.directory)
    const candidates = unique(entry.nodes.flatMap(id => this.#rows.byNode(id))).filter(r => r.kind === 'directory')
    candidates.sort((a, b) => a.id - b.id)
    const row = candidates.find(r => this.#inPlace(r, parent, entry)) ?? candidates[0] ?? null
    this.#rowOf.set(primary, row)
    return row
  }

  #inPlace(row: Row, parent: Row | null, entry: Entry): boolean {
    return (
      parent !== null && row.parent === parent.id && this.#tree.nameKey(row.name) === this.#tree.nameKey(entry.name)
    )
  }

  #collectDirectoryEntry(entry: Entry): void {
    const primary = entry.nodes[0]
    if (primary === undefined || this.#doneNodes.has(primary)) return
    this.#doneNodes.add(primary)
    const row = this.#rowOfDirectory(primary)
    const refs = this.#tree.refsOf(entry)
    if (row === null) {
      const id = this.#rows.allocate()
      this.#made.set(primary, id)
      this.#structural.push({ kind: 'mkdir', entry, id, row: null, refs, depth: this.#depth(entry) })
      this.#enter(primary)
      return
    }
    if (entry.nodes.some(id => this.#rows.byNode(id).some(r => r.kind === 'directory' && r.id !== row.id)))
      this.#enter(primary)
    if (!this.#inPlace(row, this.#rowOfDirectory(entry.directory), entry))
      this.#structural.push({ kind: 'move', entry, id: row.id, row, refs, depth: this.#depth(entry) })
    else if (row.mode !== entry.facts.mode) this.#touches.push({ row, entry })
    else if (!sameRefs(row.nodes, refs)) this.#notes.push({ ...row, nodes: refs })
  }

  #depth(entry: Entry): number {
    let depth = 0
    for (let at: Entry | undefined = entry; at !== undefined && at.directory !== ROOT_NODE && depth < 1_000; depth++)
      at = this.#tree.entriesOf(at.directory)[0]
    return depth
  }

  /** All names and all rows of one file node are matched together: equal content in place first, the name itself before its copies. */
  #collectNode(node: NodeId): void {
    if (this.#doneNodes.has(node)) return
    this.#doneNodes.add(node)
    if (this.#in.held(node)) return
    const targets: Target[] = this.#tree.entriesOf(node).map(entry => ({ entry, row: null }))
    const rows = this.#rows.byNode(node).filter(r => r.kind !== 'directory')
    const free = new Set(rows)
    const take = (fits: (target: Target, row: Row) => boolean): void => {
      for (const target of targets) {
        if (target.row !== null) continue
        const row = rows.find(r => free.has(r) && r.kind === target.entry.kind && fits(target, r))
        if (row === undefined) continue
        target.row = row
        free.delete(row)
      }
    }
    const here = (t: Target, r: Row): boolean => this.#inPlace(r, this.#rowOfDirectory(t.entry.directory), t.entry)
    take((t, r) => r.content === t.entry.facts.content && here(t, r))
    take((t, r) => r.content === t.entry.facts.content)
    take((t, r) => !t.entry.copy && !r.copy)
    take(here)
    const winner = targets.find(t => !t.entry.copy)
    for (const target of targets) this.#collectTarget(target, winner)
    if (targets.length === 0 && this.#tree.isPending(node)) return
    for (const row of free) this.#doomed.set(row.id, row)
  }

  #collectTarget(target: Target, winner: Target | undefined): void {
    const { entry, row } = target
    if (row === null) {
      this.#fresh.push(entry)
      return
    }
    if (!this.#inPlace(row, this.#rowOfDirectory(entry.directory), entry)) {
      // The name itself must not go empty while its winner is still on the way.
      if (entry.copy && winner !== undefined && !this.#ready(winner)) return this.#wait(entry)
      const refs = this.#tree.refsOf(entry)
      this.#structural.push({ kind: 'move', entry, id: row.id, row, refs, depth: this.#depth(entry) })
      if (row.content !== entry.facts.content) this.#want(entry)
      return
    }
    if (row.content !== entry.facts.content) this.#fills.push(target)
    else if (row.kind === 'file' && (row.mode !== entry.facts.mode || row.mtime !== entry.facts.mtime))
      this.#touches.push({ row, entry })
    else {
      const refs = this.#tree.refsOf(entry)
      if (!sameRefs(row.nodes, refs) || row.copy !== entry.copy)
        this.#notes.push({ ...row, copy: entry.copy, nodes: refs })
    }
  }

  #ready(target: Target): boolean {
    return target.row?.content === target.entry.facts.content || this.#in.staged(target.entry.facts.content)
  }

  #wait(entry: Entry): void {
    this.#again.add(entry.directory)
  }

  #want(entry: Entry): boolean {
    const { content, size, mtime } = entry.facts
    if (this.#in.staged(content)) return true
    this.#wants.push({ content, size, path: entry.name, directory: entry.directory, mtime })
    return false
  }

  // ---------------------------------------------------------------------------------- in which order

  arrange(): void {
    this.#arrangeStructure()
    for (const { row, entry } of this.#touches) this.#emitTouch(row, entry)
    for (const entry of this.#fresh) this.#arrangeFresh(entry)
    for (const { entry, row } of this.#fills) if (row !== null && this.#want(entry)) this.#emitPut(entry, row)
    this.#markKeeps()
    const doomed = [...this.#doomed.values()].filter(row => this.#shadow.place(row.id) !== null)
    const depths = new Map(doomed.map(row => [row.id, this.#shadow.path(row.id)?.split('/').length ?? 0]))
    doomed.sort((a, b) => (depths.get(b.id) ?? 0) - (depths.get(a.id) ?? 0))
    for (const row of doomed) this.#emitRemoval(row, this.#removals)
  }

  #arrangeStructure(): void {
    let todo = this.#structural.sort((a, b) => a.depth - b.depth)
    while (todo.length > 0) {
      const blocked: Structural[] = []
      for (const item of todo) if (!this.#tryStructural(item)) blocked.push(item)
      if (blocked.length === todo.length && !this.#makeWay(blocked)) {
        for (const item of blocked) this.#wait(item.entry)
        return
      }
      todo = blocked
    }
  }

  #parentOf(entry: Entry): RowId | undefined {
    return this.#made.get(entry.directory) ?? this.#rowOfDirectory(entry.directory)?.id
  }

  #tryStructural(item: Structural): boolean {
    const parent = this.#parentOf(item.entry)
    if (parent === undefined || this.#shadow.path(parent) === undefined) return false
    const occupant = this.#shadow.occupant(parent, item.entry.name)
    if (occupant !== undefined && occupant !== item.id) return false
    if (item.row === null) this.#emitMkdir(item, parent)
    else {
      if (this.#shadow.within(parent, item.id)) return false
      this.#emitMove(item, item.row, parent)
    }
    return true
  }

  /** Nothing could go on: take one name or one directory out of the way. */
  #makeWay(blocked: readonly Structural[]): boolean {
    const moving = new Map(blocked.map(item => [item.id, item]))
    for (const item of blocked) {
      const parent = this.#parentOf(item.entry)
      if (parent === undefined) continue
      const occupant = this.#shadow.occupant(parent, item.entry.name)
      if (occupant !== undefined && occupant !== item.id) {
        const doomed = this.#doomed.get(occupant)
        if (doomed !== undefined && this.#emitRemoval(doomed, this.#structure)) return true
        const other = moving.get(occupant)
        if (other?.row && this.#emitPark(other.row)) return true
      }
      // The directory it goes into is inside it (or inside what is parked): that one steps aside.
      for (let at = parent; at !== ROOT_ROW && at !== PARKED; ) {
        const other = moving.get(at)
        if (other?.row && at !== item.id && this.#shadow.path(at) !== undefined && this.#shadow.within(at, item.id))
          if (this.#emitPark(other.row)) return true
        const place = this.#shadow.place(at)
        if (place === null) break
        at = place.parent
      }
    }
    return false
  }

  #arrangeFresh(entry: Entry): void {
    if (!this.#want(entry)) return
    const parent = this.#parentOf(entry)
    if (parent === undefined || this.#shadow.path(parent) === undefined) return this.#wait(entry)
    const occupant = this.#shadow.occupant(parent, entry.name)
    if (occupant !== undefined) {
      const doomed = this.#doomed.get(occupant)
      if (doomed === undefined || !this.#emitRemoval(doomed, this.#structure)) return this.#wait(entry)
    }
    this.#emitPut(entry, null)
  }

  // ---------------------------------------------------------------------------------- steps

  #emitMkdir(item: Structural, parent: RowId): void {
    const { entry, id, refs } = item
    this.#shadow.move(id, parent, entry.name)
    const path = this.#shadow.path(id) ?? entry.name
    this.#structure.push({
      step: { do: 'mkdir', path, mode: entry.facts.mode },
      path,
      action: 'created',
      directory: entry.directory,
      done: stat => {
        if (stat === null || this.#rows.get(parent) === undefined) return
        this.#rows.put({
          ...entry.facts,
          id,
          parent,
          name: entry.name,
          kind: 'directory',
          stat,
          copy: false,
          nodes: refs,
        })
      },
    })
  }

  #emitMove(item: Structural, row: Row, parent: RowId): void {
    const { entry } = item
    const parked = this.#shadow.place(row.id)?.parent === PARKED
    const from = this.#shadow.path(row.id)
    if (from === undefined && !parked) return this.#wait(entry)
    this.#shadow.move(row.id, parent, entry.name)
    const to = this.#shadow.path(row.id) ?? entry.name
    const fills = row.kind !== 'directory' && row.content !== entry.facts.content
    const filled = row.kind === 'directory' ? row.mode === entry.facts.mode : !fills
    if (fills || !filled || (row.kind === 'file' && (row.mode !== entry.facts.mode || row.mtime !== entry.facts.mtime)))
      this.#wait(entry)
    this.#structure.push({
      step: parked
        ? { do: 'unpark', token: tokenOf(row), kind: row.kind, to }
        : { do: 'move', path: from ?? '', kind: row.kind, expect: row.stat, to },
      path: to,
      action: 'moved',
      directory: entry.directory,
      done: stat => {
        const now = this.#rows.get(row.id)
        if (stat === null || now === undefined) return
        // While the content is still to come the row takes the placement, not the dots: it does not show them.
        const nodes = fills
          ? now.nodes.map(ref => ({ ...ref, placement: this.#tree.node(ref.id)?.placement ?? ref.placement }))
          : item.refs
        const copy = fills ? now.copy : entry.copy
        this.#rows.put({ ...now, parent, name: entry.name, stat: { ...stat, mode: now.stat.mode }, nodes, copy })
      },
    })
  }

  #emitPark(row: Row): boolean {
    const path = this.#shadow.path(row.id)
    if (path === undefined) return false
    this.#tokens++
    this.#shadow.move(row.id, PARKED, tokenOf(row))
    this.#structure.push({
      step: { do: 'park', path, kind: row.kind, expect: row.stat, token: tokenOf(row) },
      path,
      action: null,
      directory: row.nodes[0]?.id ?? ROOT_NODE,
      done: () => {},
    })
    return true
  }

  #emitTouch(row: Row, entry: Entry): void {
    const path = this.#shadow.path(row.id)
    if (path === undefined) return this.#wait(entry)
    const refs = this.#tree.refsOf(entry)
    const mtime = row.kind === 'file' ? entry.facts.mtime : null
    this.#structure.push({
      step: { do: 'touch', path, kind: row.kind, expect: row.stat, mode: entry.facts.mode, mtime },
      path,
      action: 'edited',
      directory: entry.directory,
      done: stat => {
        const now = this.#rows.get(row.id)
        if (stat !== null && now !== undefined)
          this.#rows.put({ ...now, ...entry.facts, stat, copy: entry.copy, nodes: refs })
      },
    })
  }

  #emitPut(entry: Entry, row: Row | null): void {
    const parent = this.#parentOf(entry)
    if (parent === undefined) return this.#wait(entry)
    const id = row?.id ?? this.#rows.allocate()
    if (row === null) this.#shadow.move(id, parent, entry.name)
    const path = this.#shadow.path(id)
    if (path === undefined || (entry.kind !== 'file' && entry.kind !== 'symlink')) return this.#wait(entry)
    const refs = this.#tree.refsOf(entry)
    const { content, mode, mtime } = entry.facts
    this.#puts.push({
      step: {
        do: 'put',
        path,
        kind: entry.kind,
        content,
        mode,
        mtime,
        expect: row?.stat ?? null,
        expectContent: row?.content ?? ('' as ContentId),
        keep: false,
      },
      path,
      action: row === null ? 'created' : 'edited',
      directory: entry.directory,
      done: stat => {
        const now = row === null ? null : this.#rows.get(id)
        if (stat === null || now === undefined || this.#rows.get(parent) === undefined) return
        const at = now ?? { parent, name: entry.name }
        this.#rows.put({
          ...entry.facts,
          id,
          parent: at.parent,
          name: at.name,
          kind: entry.kind,
          stat,
          copy: entry.copy,
          nodes: refs,
        })
      },
    })
  }

  /** All puts of one content but the last leave the stage for the next. */
  #markKeeps(): void {
    const last = new Set<ContentId>()
    for (let i = this.#puts.length - 1; i >= 0; i--) {
      const planned = this.#puts[i]
      if (planned?.step.do !== 'put') continue
      if (last.has(planned.step.content)) this.#puts[i] = { ...planned, step: { ...planned.step, keep: true } }
      last.add(planned.step.content)
    }
  }

  /** A directory goes only after all that was in it; what is not doomed in it keeps it. */
  #emitRemoval(row: Row, into: PlannedStep[]): boolean {
    const path = this.#shadow.path(row.id)
    if (path === undefined) return false
    if (row.kind === 'directory') {
      for (const child of this.#shadow.children(row.id)) {
        const doomed = this.#doomed.get(child)
        if (doomed === undefined || !this.#emitRemoval(doomed, into)) return false
      }
      if (!this.#shadow.isEmpty(row.id)) return false
    }
    this.#shadow.remove(row.id)
    into.push({
      step: { do: 'remove', path, kind: row.kind, expect: row.stat, content: row.content },
      path,
      action: 'deleted',
      directory: row.nodes[0]?.id ?? ROOT_NODE,
      done: () => {
        if (!this.#rows.hasChildren(row.id)) this.#rows.delete(row.id)
      },
    })
    return true
  }
}

function tokenOf(row: Row): string {
  return `row-${row.id}`
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
