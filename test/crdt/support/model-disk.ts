// A device's disk in memory, its scanner (disk against rows → operations) and its plan (projection against rows → steps), as small as
// they can be. Disks follow the documents as late, and in whatever order, as the history wants.
import type { Entry, Facts, Kind } from '../../../src/core/entry.ts'
import type { NodeId, RowId } from '../../../src/core/ids.ts'
import { ROOT_NODE, ROOT_ROW } from '../../../src/core/ids.ts'
import { nameKey } from '../../../src/core/names.ts'
import type { Row, RowTable } from '../../../src/core/rows.ts'
import type { SharedTree } from '../../../src/crdt/shared-tree.ts'
import { content, DIRECTORY, line, paths, rootRow, statOf, textOf } from './replica.ts'

let inodes = 10

export interface Thing {
  name: string
  readonly kind: Kind
  text: string
  mode: number
  mtime: number
  ino: number
  parent: Thing | null
  readonly kids: Map<string, Thing>
}

export function thing(name: string, kind: Kind, text: string, mtime = 1000): Thing {
  const mode = kind === 'directory' ? 0o755 : 0o644
  return {
    name,
    kind,
    text,
    mode,
    mtime: kind === 'directory' ? 0 : mtime,
    ino: inodes++,
    parent: null,
    kids: new Map(),
  }
}

export function* walk(top: Thing): Iterable<Thing> {
  for (const kid of [...top.kids.values()]) {
    if (kid.name === '.kith') continue
    yield kid
    yield* walk(kid)
  }
}

export function pathOf(at: Thing): string {
  return at.parent === null ? '' : `${pathOf(at.parent)}/${at.name}`
}

export function put(parent: Thing, child: Thing): void {
  child.parent = parent
  parent.kids.set(child.name, child)
}

export function cut(child: Thing): void {
  if (child.parent?.kids.get(child.name) === child) child.parent.kids.delete(child.name)
}

function within(at: Thing | null, top: Thing): boolean {
  for (let x = at; x !== null; x = x.parent) if (x === top) return true
  return false
}

function factsOf(what: Thing): Facts {
  if (what.kind === 'directory') return { ...DIRECTORY, mode: what.mode }
  return { content: content(what.text), size: what.text.length, mtime: what.mtime, mode: what.mode }
}

function sameFacts(a: Facts, b: Facts): boolean {
  return a.content === b.content && a.mtime === b.mtime && a.mode === b.mode
}

export interface Operation {
  readonly what: 'create' | 'move' | 'edit' | 'touch' | 'remove'
  readonly text: string
  readonly name: string
}

interface Target {
  readonly entry: Entry
  readonly parent: Target | null
  row: Row | null
  readonly path: string
}

export interface Step {
  readonly what: string
  run(): boolean
  readonly blocked?: Target
}

export class ModelDisk {
  readonly root = thing('', 'directory', '')
  readonly have = new Set<string>()
  readonly rows: RowTable
  readonly fold: boolean
  tree: SharedTree
  readonly #parked = thing('.kith', 'directory', '')
  readonly #parkedRow: RowId

  constructor(tree: SharedTree, rows: RowTable, fold: boolean) {
    this.tree = tree
    this.rows = rows
    this.fold = fold
    this.#parkedRow = rows.allocate()
    rows.put({ ...rootRow(), id: this.#parkedRow, parent: ROOT_ROW, name: '.kith', stat: statOf(this.#parked.ino) })
    put(this.root, this.#parked)
  }

  key(name: string): string {
    return nameKey(name, this.fold)
  }

  taken(directory: Thing, name: string, but: Thing | null = null): boolean {
    for (const kid of directory.kids.values()) if (kid !== but && this.key(kid.name) === this.key(name)) return true
    return false
  }

  /** The row that is not part of the folder. */
  get hidden(): RowId {
    return this.#parkedRow
  }

  get parkedCount(): number {
    return this.#parked.kids.size
  }

  #rows(): Row[] {
    return [...this.rows.all()].filter(row => row.id !== ROOT_ROW && row.id !== this.#parkedRow)
  }

  #isParked(row: Row): boolean {
    return this.rows.within(row.id, this.#parkedRow)
  }

  /** What stands where the row says, if it is still what the row says. */
  #thingOf(row: Row): Thing | null {
    if (row.id === ROOT_ROW) return this.root
    if (row.id === this.#parkedRow) return this.#parked
    const parent = this.rows.get(row.parent)
    const found = parent === undefined ? undefined : this.#thingOf(parent)?.kids.get(row.name)
    if (found === undefined || found.ino !== row.stat.ino || found.kind !== row.kind) return null
    if (found.mode !== row.mode) return null
    return row.kind === 'directory' || (content(found.text) === row.content && found.mtime === row.mtime) ? found : null
  }

  // ------------------------------------------------------------------------------------------------------------------ scanner

  scan(): Operation[] {
    const byInode = new Map<number, Row>()
    for (const row of this.#rows()) if (!this.#isParked(row)) byInode.set(row.stat.ino, row)
    const things = [...walk(this.root)]
    const onDisk = new Set(things.map(x => x.ino))
    const rowOf = new Map<Thing, RowId>([[this.root, ROOT_ROW]])
    const used = new Set<RowId>()
    const claim = (x: Thing, row: Row): void => {
      rowOf.set(x, row.id)
      used.add(row.id)
    }
    const here = (x: Thing): Row | undefined => {
      const parent = x.parent === null ? undefined : rowOf.get(x.parent)
      const row = parent === undefined ? undefined : this.rows.child(parent, x.name)
      return row !== undefined && row.kind === x.kind && !used.has(row.id) ? row : undefined
    }
    for (const x of things) {
      const there = here(x)
      if (x.kind !== 'directory') {
        if (there !== undefined) claim(x, there)
        continue
      }
      const known = byInode.get(x.ino)
      if (known?.kind === 'directory') claim(x, known)
      else if (there !== undefined && !onDisk.has(there.stat.ino)) claim(x, there)
    }
    for (const x of things) {
      if (rowOf.has(x) || x.kind === 'directory') continue
      const known = byInode.get(x.ino)
      if (known?.kind === x.kind && !used.has(known.id)) claim(x, known)
    }
    const done: Operation[] = []
    for (const x of things) this.#publish(x, rowOf, used, done)
    const lost = this.#rows().filter(row => !used.has(row.id) && !this.#isParked(row))
    if (lost.length > 0) this.tree.remove(lost)
    for (const row of lost) done.push({ what: 'remove', text: textOf(row.content), name: row.name })
    return done
  }

  #publish(x: Thing, rowOf: Map<Thing, RowId>, used: Set<RowId>, done: Operation[]): void {
    const parentId = x.parent === null ? undefined : rowOf.get(x.parent)
    const parent = parentId === undefined ? undefined : this.rows.get(parentId)
    if (parent === undefined) throw new Error('scanned below what has no row')
    const id = rowOf.get(x)
    const stat = statOf(x.ino)
    const say = (what: Operation['what']): void => void done.push({ what, text: x.text, name: x.name })
    if (id === undefined) {
      const row = this.tree.create(parent, x.name, x.kind, factsOf(x), stat)
      rowOf.set(x, row.id)
      used.add(row.id)
      say('create')
      return
    }
    let row = this.#row(id)
    if (row.parent !== parent.id || row.name !== x.name) {
      row = this.tree.move(row, parent, x.name)
      say('move')
    }
    if (!sameFacts(factsOf(x), row)) {
      this.tree.edit(row, factsOf(x), stat)
      say(factsOf(x).content === row.content ? 'touch' : 'edit')
    }
    row = this.#row(id)
    if (row.stat.ino !== x.ino) this.rows.put({ ...row, stat })
  }

  #row(id: RowId): Row {
    const row = this.rows.get(id)
    if (row === undefined) throw new Error('a row is gone')
    return row
  }

  // --------------------------------------------------------------------------------------------------------------------- plan

  plan(): { steps: Step[]; park(): boolean } {
    const targets = this.#targets()
    const used = new Set<RowId>()
    this.#match(targets, used)
    const steps = targets.flatMap(target => this.#stepFor(target))
    for (const row of this.#rows()) {
      if (used.has(row.id) || row.nodes.some(ref => this.tree.isPending(ref.id))) continue
      steps.push({ what: `rm ${row.name}`, run: () => this.#removeStep(row) })
    }
    return { steps, park: () => this.#park(steps) }
  }

  #targets(): Target[] {
    const root: Target = { entry: null as never, parent: null, row: this.#row(ROOT_ROW), path: '' }
    const at = new Map<NodeId, Target>([[ROOT_NODE, root]])
    const out: Target[] = []
    for (const entry of this.tree.allEntries()) {
      const parent = at.get(entry.directory)
      if (parent === undefined) throw new Error('an entry came before its directory')
      const target: Target = { entry, parent, row: null, path: `${parent.path}/${entry.name}` }
      out.push(target)
      const [primary] = entry.nodes
      if (entry.kind === 'directory' && primary !== undefined) at.set(primary, target)
    }
    return out
  }

  #inPlace(target: Target, row: Row): boolean {
    return target.parent?.row?.id === row.parent && this.key(row.name) === this.key(target.entry.name)
  }

  #match(targets: readonly Target[], used: Set<RowId>): void {
    const take = (target: Target, ok: (row: Row) => boolean): void => {
      if (target.row !== null) return
      const found = target.entry.nodes
        .flatMap(id => this.rows.byNode(id))
        .filter(row => row.kind === target.entry.kind && !used.has(row.id) && ok(row))
      const row = found.find(r => this.#inPlace(target, r)) ?? found[0]
      if (row === undefined) return
      target.row = row
      used.add(row.id)
    }
    for (const t of targets) if (t.entry.kind === 'directory') take(t, () => true)
    const files = targets.filter(t => t.entry.kind !== 'directory')
    for (const t of files) take(t, row => row.content === t.entry.facts.content && this.#inPlace(t, row))
    for (const t of files) take(t, row => row.content === t.entry.facts.content)
    for (const t of files) if (!t.entry.copy) take(t, row => !row.copy)
    for (const t of files) take(t, row => this.#inPlace(t, row))
  }

  #stepFor(target: Target): Step[] {
    const { entry, row, path } = target
    const blocked = target.parent?.row != null ? { blocked: target } : {}
    if (row === null) return [{ what: `new ${path}`, run: () => this.#makeStep(target), ...blocked }]
    if (!this.#inPlace(target, row))
      return [{ what: `mv ${row.name} ${path}`, run: () => this.#moveStep(target), ...blocked }]
    if (row.content !== entry.facts.content) return [{ what: `put ${path}`, run: () => this.#fillStep(target) }]
    if (!sameFacts(row, entry.facts)) return [{ what: `touch ${path}`, run: () => this.#fillStep(target) }]
    const refs = this.tree.refsOf(entry)
    if (JSON.stringify(refs) === JSON.stringify(row.nodes) && row.copy === entry.copy) return []
    return [{ what: `note ${path}`, run: () => this.#noteStep(target) }]
  }

  #current(target: Target | null): Row | null {
    return target?.row == null ? null : (this.rows.get(target.row.id) ?? null)
  }

  #makeStep(target: Target): boolean {
    const { entry } = target
    const parent = this.#current(target.parent)
    const text = textOf(entry.facts.content)
    if (parent === null || (entry.kind !== 'directory' && !this.have.has(text))) return false
    const directory = this.#thingOf(parent)
    if (directory === null || this.taken(directory, entry.name) || this.#rowTaken(parent, entry.name, null))
      return false
    const made = thing(entry.name, entry.kind, text, entry.facts.mtime)
    made.mode = entry.facts.mode
    put(directory, made)
    this.rows.put({
      ...entry.facts,
      id: this.rows.allocate(),
      parent: parent.id,
      name: entry.name,
      kind: entry.kind,
      stat: statOf(made.ino),
      copy: entry.copy,
      nodes: this.tree.refsOf(entry),
    })
    return true
  }

  #rowTaken(parent: Row, name: string, but: RowId | null): boolean {
    for (const row of this.rows.children(parent.id))
      if (row.id !== but && this.key(row.name) === this.key(name)) return true
    return false
  }

  #moveStep(target: Target): boolean {
    const { entry } = target
    const row = this.#current(target)
    const parent = this.#current(target.parent)
    if (row === null || parent === null) return false
    const x = this.#thingOf(row)
    const directory = this.#thingOf(parent)
    if (x === null || directory === null || within(directory, x)) return false
    if (this.taken(directory, entry.name, x) || this.#rowTaken(parent, entry.name, row.id)) return false
    cut(x)
    x.name = entry.name
    put(directory, x)
    // a move takes over the placement, but the dots only when nothing of the content is still to come
    const nodes = sameFacts(row, entry.facts)
      ? { nodes: this.tree.refsOf(entry), copy: entry.copy }
      : { nodes: row.nodes.map(ref => ({ ...ref, placement: this.tree.node(ref.id)?.placement ?? ref.placement })) }
    this.rows.put({ ...row, parent: parent.id, name: entry.name, ...nodes })
    return true
  }

  #fillStep(target: Target): boolean {
    const { entry } = target
    const row = this.#current(target)
    const x = row === null ? null : this.#thingOf(row)
    const text = textOf(entry.facts.content)
    if (row === null || x === null || (entry.kind !== 'directory' && !this.have.has(text))) return false
    if (x.kind !== 'directory' && x.text !== text) x.ino = inodes++
    x.text = text
    x.mode = entry.facts.mode
    x.mtime = entry.facts.mtime
    const nodes = this.tree.refsOf(entry)
    this.rows.put({ ...row, ...entry.facts, stat: statOf(x.ino), nodes, copy: entry.copy })
    return true
  }

  #noteStep(target: Target): boolean {
    const row = this.#current(target)
    if (row === null || this.#thingOf(row) === null) return false
    this.rows.put({ ...row, nodes: this.tree.refsOf(target.entry), copy: target.entry.copy })
    return true
  }

  #removeStep(old: Row): boolean {
    const row = this.rows.get(old.id)
    const x = row === undefined ? null : this.#thingOf(row)
    if (row === undefined || x === null || this.rows.hasChildren(row.id) || x.kids.size > 0) return false
    cut(x)
    this.rows.delete(row.id)
    return true
  }

  /** Names that wait for each other: one is moved aside. */
  #park(steps: readonly Step[]): boolean {
    for (const { blocked } of steps) {
      const parent = this.#current(blocked?.parent ?? null)
      if (blocked === undefined || parent === null) continue
      for (const row of this.rows.children(parent.id)) {
        if (row.id === blocked.row?.id || this.key(row.name) !== this.key(blocked.entry.name)) continue
        if (this.#parkOne(row)) return true
      }
    }
    for (const { blocked } of steps) {
      const row = this.#current(blocked ?? null)
      const parent = this.#current(blocked?.parent ?? null)
      if (row === null || parent === null || !this.rows.within(parent.id, row.id) || this.#isParked(parent)) continue
      if (this.#parkOne(parent)) return true
    }
    return false
  }

  #parkOne(row: Row): boolean {
    const x = this.#thingOf(row)
    if (x === null) return false
    cut(x)
    x.name = `p${inodes++}`
    put(this.#parked, x)
    this.rows.put({ ...row, parent: this.#parkedRow, name: x.name })
    return true
  }

  /** One step, in any order that its conditions allow. */
  some(below: (n: number) => number): string | null {
    const { steps } = this.plan()
    for (let tries = 0; tries < 4 && steps.length > 0; tries++) {
      const [step] = steps.splice(below(steps.length), 1)
      if (step?.run() === true) return step.what
    }
    return null
  }

  /** Brings the disk where the projection is; false where it gets stuck. */
  catchUp(): boolean {
    for (let round = 0; round < 500; round++) {
      const { steps, park } = this.plan()
      if (steps.length === 0) return true
      if (!steps.some(step => step.run()) && !park()) return false
    }
    return false
  }

  #line(path: string, kind: Kind, what: Facts): string {
    return line(
      path
        .split('/')
        .map(part => this.key(part))
        .join('/'),
      kind,
      what,
    )
  }

  render(): string {
    return [...walk(this.root)]
      .map(x => this.#line(pathOf(x), x.kind, factsOf(x)))
      .sort()
      .join('\n')
  }

  renderTree(): string {
    return [...paths(this.tree)]
      .map(([path, entry]) => this.#line(path, entry.kind, entry.facts))
      .sort()
      .join('\n')
  }
}
