// SHARED → LOCAL: the differences as ordered steps for the disk. Pure: it returns data, and each planned step says what its row becomes
// once the disk has done it. Order: structure (make, park, move, and what must leave a name first), then content, then what is left to
// remove, children first. Every step re-checks on the disk, so a crash or a refusal between any two leaves a tree that the next plan
// completes.
import type { Entry } from '../core/entry.ts'
import type { ContentId, NodeId, RowId } from '../core/ids.ts'
import { NO_CONTENT, ROOT_NODE, ROOT_ROW } from '../core/ids.ts'
import type { JournalAction } from '../core/past.ts'
import { type DiskStep, NO_STAT, type Stat } from '../core/ports.ts'
import type { Row, RowTable } from '../core/rows.ts'
import { Differences, type DifferencesInput, type Structural } from './differences.ts'
import { PARKED, Shadow } from './shadow.ts'
import type { TreeView } from './tree.ts'

export interface PlannedStep {
  readonly step: DiskStep
  readonly path: string
  readonly row: RowId
  readonly action: JournalAction | null
  /** What the rows become; `stat` is what the disk shows afterwards. False: that is not what was planned, and no step forward. */
  readonly done: (stat: Stat | null) => boolean
  /** The row that it leaves, where that could be taken for somebody's edit; its stat, its parent and the id of a new one are not known. */
  readonly becomes?: Row
  readonly directory: NodeId
  /** Of a new file: is the directory that it goes into where earlier steps were to bring it? Asked before its batch. */
  readonly ready?: () => boolean
}

export interface Want {
  readonly content: ContentId
  readonly size: number
  readonly path: string
  readonly node: NodeId
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
  /** Directories with something that could not be planned yet for another reason than content (blocked, or moved first). */
  readonly again: ReadonlySet<NodeId>
  /** Directories that are to go and still have something in them that stays for now: to be compared with whatever changes next. */
  readonly left: readonly NodeId[]
}

export interface PlanInput extends DifferencesInput {
  /** Is this directory, or one above it, one that this disk cannot have? */
  readonly beyond: (directory: NodeId) => boolean
}

export function makePlan(input: PlanInput): Plan {
  return new Planner(input).plan()
}

class Planner {
  readonly #rows: RowTable
  readonly #tree: TreeView
  readonly #staged: (content: ContentId) => boolean
  readonly #unread: DifferencesInput['unread']
  readonly #beyond: PlanInput['beyond']
  readonly #diff: Differences
  #shadow: Shadow
  readonly #again: Set<NodeId>
  readonly #wants: Want[] = []
  #structure: PlannedStep[] = []
  readonly #puts: PlannedStep[] = []
  readonly #removals: PlannedStep[] = []
  readonly #left: NodeId[] = []
  /** Directories that went while something of them was parked: their rows go when that stands somewhere. */
  readonly #gone = new Set<RowId>()

  constructor(input: PlanInput) {
    this.#rows = input.rows
    this.#tree = input.tree
    this.#staged = input.staged
    this.#unread = input.unread
    this.#beyond = input.beyond
    this.#diff = new Differences(input)
    this.#again = this.#diff.again
    this.#shadow = this.#shadowOfRows()
  }

  #shadowOfRows(): Shadow {
    return new Shadow(this.#rows, name => this.#tree.nameKey(name))
  }

  plan(): Plan {
    this.#arrange()
    return {
      structure: this.#structure,
      puts: this.#puts,
      removals: this.#removals,
      notes: this.#diff.notes,
      wants: this.#wants,
      again: this.#again,
      left: this.#left,
    }
  }

  #wait(entry: Entry): void {
    this.#again.add(entry.directory)
  }

  /** Is the content at hand? If not, it is asked for. */
  #want(entry: Entry): boolean {
    const { content, size, mtime } = entry.facts
    if (this.#staged(content)) return true
    for (const node of entry.nodes)
      this.#wants.push({ content, size, path: entry.name, node, directory: entry.directory, mtime })
    return false
  }

  #arrange(): void {
    this.#arrangeStructure()
    for (const { row, entry } of this.#diff.touches) this.#emitTouch(row, entry)
    for (const entry of this.#diff.fresh) this.#arrangeFresh(entry)
    for (const { entry, row } of this.#diff.fills) if (this.#want(entry)) this.#emitPut(entry, row)
    for (const entry of this.#diff.wanted) this.#want(entry)
    this.#markKeeps()
    const doomed = [...this.#diff.doomed.values()].filter(row => this.#shadow.place(row.id) !== null)
    const depths = new Map(doomed.map(row => [row.id, this.#shadow.path(row.id)?.split('/').length ?? 0]))
    doomed.sort((a, b) => (depths.get(b.id) ?? 0) - (depths.get(a.id) ?? 0))
    for (const row of doomed)
      if (!this.#emitRemoval(row, this.#removals)) this.#left.push(...row.nodes.map(ref => ref.id))
  }

  /**
   * What is parked and finds no way on would come back under another name, which is an edit that nobody made: it is planned again with that
   * left where it is.
   */
  #arrangeStructure(): void {
    let todo = this.#diff.structural.sort((a, b) => a.depth - b.depth)
    for (;;) {
      const left = this.#structureOf(todo)
      for (const item of left) this.#wait(item.entry)
      const parked = new Set(left.filter(({ id }) => this.#shadow.place(id)?.parent === PARKED))
      if (parked.size === 0) return
      todo = todo.filter(item => !parked.has(item))
      this.#shadow = this.#shadowOfRows()
      this.#structure = []
    }
  }

  /** Returns what is blocked for good. */
  #structureOf(items: readonly Structural[]): readonly Structural[] {
    let todo = items
    while (todo.length > 0) {
      const blocked: Structural[] = []
      for (const item of todo) if (!this.#tryStructural(item)) blocked.push(item)
      if (blocked.length === todo.length && !this.#makeWay(blocked)) return blocked
      todo = blocked
    }
    return todo
  }

  #parentOf(entry: Entry): RowId | undefined {
    return this.#diff.made.get(entry.directory) ?? this.#diff.rowOfDirectory(entry.directory)?.id
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

  /**
   * Nothing could go on: take one name out of the way. The topmost of what is blocked, as the tree shall be, waits for nothing but its
   * name: the directory that it goes into and all above it are in place. So it is enough to look at who has the name.
   */
  #makeWay(blocked: readonly Structural[]): boolean {
    const moving = new Map(blocked.map(item => [item.id, item]))
    for (const item of blocked) {
      const parent = this.#parentOf(item.entry)
      if (parent === undefined) continue
      const occupant = this.#shadow.occupant(parent, item.entry.name)
      if (occupant !== undefined && occupant !== item.id) {
        const doomed = this.#diff.doomed.get(occupant)
        if (doomed !== undefined && this.#emitRemoval(doomed, this.#structure)) return true
        // What still has to leave the directory that is to go steps aside, so that it can go.
        if (doomed !== undefined && this.#parkOneIn(occupant, blocked)) return true
        if (moving.get(occupant)?.row && this.#parkOneIn(occupant, blocked)) return true
      }
    }
    return false
  }

  /** The deepest of what is to move at or below this directory: what is parked inside of something parked could not be taken out. */
  #parkOneIn(directory: RowId, blocked: readonly Structural[]): boolean {
    let deepest: Row | null = null
    let depth = -1
    for (const { id, row } of blocked) {
      const path = this.#shadow.path(id)
      if (row === null || path === undefined || !this.#shadow.within(id, directory)) continue
      const parts = path.split('/').length
      if (parts > depth) deepest = row
      depth = Math.max(depth, parts)
    }
    return deepest !== null && this.#emitPark(deepest)
  }

  #arrangeFresh(entry: Entry): void {
    const parent = this.#parentOf(entry)
    // It comes with its directory, should that ever be made.
    if (parent === undefined && this.#beyond(entry.directory)) return
    if ((parent !== undefined && this.#unread(parent, entry.name)) || !this.#want(entry)) return
    if (parent === undefined || this.#shadow.path(parent) === undefined) return this.#wait(entry)
    const occupant = this.#shadow.occupant(parent, entry.name)
    if (occupant !== undefined) {
      const doomed = this.#diff.doomed.get(occupant)
      if (doomed === undefined || !this.#emitRemoval(doomed, this.#structure)) return this.#wait(entry)
    }
    this.#emitPut(entry, null)
  }

  // ---------------------------------------------------------------------------------- steps

  #emitMkdir(item: Structural, parent: RowId): void {
    const { entry, id, refs } = item
    this.#shadow.move(id, parent, entry.name)
    const path = this.#shadow.path(id) ?? entry.name
    const made: Omit<Row, 'stat'> = {
      id,
      parent,
      name: entry.name,
      kind: 'directory',
      copy: false,
      nodes: refs,
      ...entry.facts,
    }
    this.#structure.push({
      step: { do: 'mkdir', path, mode: entry.facts.mode },
      path,
      row: id,
      action: 'created',
      becomes: { stat: NO_STAT, ...made },
      directory: entry.directory,
      done: stat => {
        const into = this.#standing(path)
        if (stat === null || into === undefined) return false
        this.#rows.put({ stat, ...made, parent: into })
        return into === parent
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
    // While the content is still to come the row takes the placement, not the dots: it does not show them.
    const nodesOf = (now: Row): Row['nodes'] =>
      fills
        ? now.nodes.map(ref => ({ ...ref, placement: this.#tree.node(ref.id)?.placement ?? ref.placement }))
        : item.refs
    const copyOf = (now: Row): boolean => (fills ? now.copy : entry.copy)
    this.#structure.push({
      step: parked
        ? { do: 'unpark', token: tokenOf(row), kind: row.kind, to }
        : { do: 'move', path: from ?? '', kind: row.kind, expect: row.stat, to },
      path: to,
      row: row.id,
      action: 'moved',
      becomes: { ...row, name: entry.name, nodes: nodesOf(row), copy: copyOf(row) },
      directory: entry.directory,
      done: stat => {
        const now = this.#rows.get(row.id)
        if (stat === null || now === undefined) return false
        const at = { name: entry.name, stat: { ...stat, mode: now.stat.mode } }
        const into = this.#standing(to)
        if (into !== parent) {
          if (into !== undefined && !this.#rows.within(into, row.id)) this.#rows.put({ ...now, ...at, parent: into })
          this.#forgetGone()
          return false
        }
        this.#rows.put({ ...now, ...at, parent, nodes: nodesOf(now), copy: copyOf(now) })
        this.#forgetGone()
        return true
      },
    })
  }

  #emitPark(row: Row): boolean {
    const path = this.#shadow.path(row.id)
    if (path === undefined) return false
    this.#shadow.move(row.id, PARKED, tokenOf(row))
    this.#structure.push({
      step: { do: 'park', path, kind: row.kind, expect: row.stat, token: tokenOf(row) },
      path,
      row: row.id,
      action: null,
      directory: row.nodes[0]?.id ?? ROOT_NODE,
      // Parked alone is no step forward: it goes back when the batch ends.
      done: () => false,
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
      row: row.id,
      action: 'edited',
      directory: entry.directory,
      done: stat => {
        const now = this.#rows.get(row.id)
        if (stat === null || now === undefined) return false
        this.#rows.put({ ...now, ...entry.facts, stat, copy: entry.copy, nodes: refs })
        return true
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
    const made: Omit<Row, 'stat'> = {
      id,
      parent,
      name: entry.name,
      kind: entry.kind,
      copy: entry.copy,
      nodes: refs,
      ...entry.facts,
    }
    this.#puts.push({
      step: {
        do: 'put',
        path,
        kind: entry.kind,
        content,
        mode,
        mtime,
        expect: row?.stat ?? null,
        expectContent: row?.content ?? NO_CONTENT,
        keep: false,
      },
      path,
      row: id,
      action: row === null ? 'created' : 'edited',
      becomes: { stat: NO_STAT, ...made },
      directory: entry.directory,
      done: stat => {
        const now = row === null ? null : this.#rows.get(id)
        if (stat === null || now === undefined) return false
        const at = now ?? made
        this.#rows.put({ stat, ...made, parent: at.parent, name: at.name })
        return true
      },
      ...(row === null ? { ready: () => this.#standing(path) === parent } : {}),
    })
  }

  /**
   * The directory that stands above this path now. Where the one that was to be made or moved there could not be (what was there before
   * could not go), a step that went through went into that other one: the row says so, and the next plan takes it out again. Where
   * it has no row yet the row stays as it was, and the next scan finds it there.
   */
  #standing(path: string): RowId | undefined {
    let at: RowId = ROOT_ROW
    for (const name of path.split('/').slice(0, -1)) {
      const key = this.#tree.nameKey(name)
      const below =
        this.#rows.child(at, name) ?? [...this.#rows.children(at)].find(r => this.#tree.nameKey(r.name) === key)
      if (below?.kind !== 'directory') return undefined
      at = below.id
    }
    return at
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
        const doomed = this.#diff.doomed.get(child)
        if (doomed === undefined || !this.#emitRemoval(doomed, into)) return false
      }
      if (!this.#shadow.isEmpty(row.id)) return false
    }
    this.#shadow.remove(row.id)
    into.push({
      step: { do: 'remove', path, kind: row.kind, expect: row.stat, content: row.content },
      path,
      row: row.id,
      action: 'deleted',
      directory: row.nodes[0]?.id ?? ROOT_NODE,
      done: () => {
        this.#gone.add(row.id)
        this.#forgetGone()
        return true
      },
    })
    return true
  }

  /** The rows of what was removed. While something of it is parked, that one's row would have none above it. */
  #forgetGone(): void {
    // What is inside of something that goes went before it.
    for (const id of this.#gone) {
      if (this.#rows.hasChildren(id)) continue
      this.#rows.delete(id)
      this.#gone.delete(id)
    }
  }
}

function tokenOf(row: Row): string {
  return `row-${row.id}`
}
