// The shared tree of one folder: the façade over documents, index, projection and operations. Bytes in, bytes out, no I/O, and not
// a timer. `sync` loads it, lets updates through its gate, reads the projection, and publishes what a person did, through rows.
// After an error that is thrown here the tree is to be thrown away and loaded again.
import type { Dot, Entry, Facts, Kind, Node, NodeRef, Version } from '../core/entry.ts'
import { hasDot } from '../core/entry.ts'
import { KithError } from '../core/errors.ts'
import type { ActorId, DeviceId, DocId, NodeId } from '../core/ids.ts'
import { DIRECTORIES_DOC } from '../core/ids.ts'
import { nameKey } from '../core/names.ts'
import type { DocUpdate, Stat } from '../core/ports.ts'
import type { Row, RowTable } from '../core/rows.ts'
import { SequenceClock } from './dots.ts'
import { FolderDocs } from './folder-docs.ts'
import { judge, scanUpdate, type Verdict } from './gate.ts'
import { dominated } from './housekeep.ts'
import { documentOf, NodeIndex } from './node-index.ts'
import { Operations } from './operations.ts'
import { type Changes, Projection } from './projection.ts'
import { deletedId, encodeActor, encodeDeletion, encodeNode, MAX_DELETED } from './record.ts'
import type { Resolution } from './resolve.ts'
import type { Revision } from './revise.ts'
import type { Merged } from './slots.ts'
import { type Group, groupsOf } from './versions.ts'
import { primaryOf, View } from './view.ts'

export interface TreeOptions {
  readonly actor: ActorId
  readonly device: DeviceId
  /** At most 16 portable characters of the device's name and 4 of the actor. */
  readonly label: string
  readonly foldsCase: boolean
  /** From the stored meta: no dot of this actor at or above it was used. */
  readonly seqCeiling: number
}

export interface TreeDeps {
  readonly rows: RowTable
  now(): number
}

export type TreeChanges = Changes

export interface ActorFacts {
  readonly device: DeviceId
  readonly label: string
  readonly foldsCase: boolean
}

/** One version that is kept beside another. */
export interface ConflictCopy {
  /** `settled`: it became a node of its own. */
  readonly kind: 'virtual' | 'settled'
  /** The node whose winner it lost against; it may be gone. */
  readonly of: NodeId
  /** The node that holds it; for a virtual copy the same. */
  readonly node: NodeId
  readonly entry: Entry
  /** The write that lost. */
  readonly dot: Dot
  readonly device: DeviceId | null
  /** ms since 1970 */
  readonly time: number
}

const NOTHING_READ: ReadonlyMap<string, Node> = new Map()

export class SharedTree {
  readonly #docs = new FolderDocs()
  readonly #index = new NodeIndex()
  readonly #projection = new Projection(this.#index)
  readonly #view = new View(this.#index, this.#projection)
  readonly #clock: SequenceClock
  readonly #operations: Operations
  readonly #options: TreeOptions
  readonly #writers = new Set<ActorId>()
  /** What the gate read last: it is applied next. */
  #read: ReadonlyMap<string, Node> = NOTHING_READ
  #revision = 0

  constructor(deps: TreeDeps, options: TreeOptions) {
    this.#options = options
    this.#clock = new SequenceClock(() => deps.now(), options.seqCeiling)
    this.#operations = new Operations({
      index: this.#index,
      view: this.#view,
      clock: this.#clock,
      actor: options.actor,
      rows: deps.rows,
      commit: writes => this.#commit(writes),
    })
  }

  /** Stored updates, once, before anything else. Throws KithError `database-corrupt`. */
  load(updates: Iterable<DocUpdate>): void {
    try {
      for (const { doc, update } of updates) this.#take(this.#docs.apply(doc, update))
    } catch (cause) {
      throw new KithError('database-corrupt', 'The stored history of this folder is damaged.', { cause })
    }
    this.#docs.setActor(this.#options.actor)
    // Nobody writes before they are registered.
    if (this.#index.actors.has(this.#options.actor))
      for (const slot of this.#index.slots())
        this.#clock.observe(this.#index.state(slot.id)?.context.get(this.#options.actor) ?? 0)
    this.#projection.rebuild()
    this.#projection.takeChanges()
  }

  /** Writes this actor's registration if it is not there. Before its first other write. */
  register(): void {
    const { actor, device, label, foldsCase } = this.#options
    if (this.#index.actors.has(actor)) return
    this.#index.add(this.#docs.addTo(DIRECTORIES_DOC, encodeActor({ actor, device, label, foldsCase })))
    this.#projection.update([])
  }

  // ---------------------------------------------------------------------------------------------------------------- documents

  /** 32 bytes for each document that is not empty; equal for equal documents, in whatever order things arrived. */
  digests(): Map<DocId, Uint8Array> {
    return this.#docs.digests()
  }

  digest(): string {
    return this.#docs.digest()
  }

  stateVector(doc: DocId): Uint8Array {
    return this.#docs.stateVector(doc)
  }

  missing(doc: DocId, stateVector: Uint8Array): Uint8Array {
    return this.#docs.missing(doc, stateVector)
  }

  snapshot(doc: DocId): Uint8Array {
    return this.#docs.snapshot(doc)
  }

  /** The gate. Never throws for what is in the update. A gap also means: the directories document (registrations) may be behind. */
  check(doc: DocId, update: Uint8Array): Verdict {
    const found = scanUpdate(doc, update)
    this.#read = NOTHING_READ
    if (typeof found === 'string') return { ok: false, gap: false, reason: found }
    const verdict = judge(found, {
      state: client => this.#docs.state(doc, client),
      isRegistered: actor => this.#index.actors.has(actor as ActorId),
      registrations: client => (doc === DIRECTORIES_DOC ? this.#index.registrations(client) : []),
      own: this.#options.actor,
    })
    if (verdict.ok) this.#read = found.nodes
    return verdict
  }

  /** Merges an update that `check` let through. False: all of it was known, so it need be neither stored nor passed on. */
  apply(doc: DocId, update: Uint8Array): boolean {
    this.#revision++
    try {
      const changes = this.#docs.apply(doc, update)
      const read = this.#read
      this.#read = NOTHING_READ
      for (const writer of changes.writers) this.#writers.add(writer as ActorId)
      if (changes.news) this.#projection.update(this.#take(changes, read))
      return changes.news
    } catch (cause) {
      throw new KithError('internal', 'An update could not be merged. Please report this.', { cause })
    }
  }

  /** Whose writes `apply` brought, that were not known before, since the last call. */
  takeWriters(): readonly ActorId[] {
    const writers = [...this.#writers]
    this.#writers.clear()
    return writers
  }

  /** What local operations wrote since the last call, as one update a document, the directories document first. */
  takeUpdates(): DocUpdate[] {
    return this.#docs.takeUpdates()
  }

  /** Something was written in that document that `takeUpdates` has not handed out. */
  isWritten(doc: DocId): boolean {
    return this.#docs.isWritten(doc)
  }

  /** What the projection shows otherwise since the last call (and perhaps a little more than that). */
  takeChanges(): TreeChanges {
    return this.#projection.takeChanges()
  }

  /** No dot at or above this was used: to be stored with (or before) the batch that holds the updates. */
  get seqCeiling(): number {
    return this.#clock.ceiling
  }

  /** The ceiling if it rose since the last call, else null. */
  needsCeiling(): number | null {
    return this.#clock.takeCeiling()
  }

  // ------------------------------------------------------------------------------------------------------------ what it shows

  /** Of the merged directory that this node is part of; empty where it does not show. */
  entries(directory: NodeId): readonly Entry[] {
    const merged = this.#view.mergedOf(directory)
    return merged === null ? [] : [...this.#view.entriesIn(merged)]
  }

  /** What has this name, by key, in the merged directory that this node is part of. */
  entryNamed(directory: NodeId, name: string): Entry | undefined {
    const merged = this.#view.mergedOf(directory)
    return merged === null ? undefined : (this.#view.entryNamed(merged, name) ?? undefined)
  }

  /** Where a node shows: the winner, then its virtual copies; of a directory its one merged entry. */
  entriesOf(node: NodeId): readonly Entry[] {
    return this.#view.entriesOf(node)
  }

  /** Equal keys: one name. Folds case where any member's disk does. */
  nameKey(name: string): string {
    return nameKey(name, this.#projection.fold)
  }

  primaryOf(node: NodeId): NodeId | undefined {
    const merged = this.#view.mergedOf(node)
    return merged === null ? undefined : primaryOf(merged)
  }

  node(id: NodeId): Node | undefined {
    return this.#index.state(id)
  }

  /** Another number where anything was written or merged meanwhile. */
  get revision(): number {
    return this.#revision
  }

  /** Every node that has records, shown or not. */
  *nodeIds(): Iterable<NodeId> {
    for (const { id } of this.#index.slots()) yield id
  }

  /** Alive but hidden, because what it depends on has not arrived: the disk is to be left alone. */
  isPending(id: NodeId): boolean {
    return this.#view.isPending(id)
  }

  /** What a row must say once the disk fully shows this entry. */
  refsOf(entry: Entry): NodeRef[] {
    return entry.nodes.map(id => {
      const versions = this.#index.state(id)?.versions ?? []
      const shown = entry.kind === 'directory' ? versions : versions.filter(v => hasDot(entry.dots, v.dot))
      return this.#operations.ref(id, shown)
    })
  }

  /** The contents kept of one file, the winner first, each with all versions that it stands for. */
  siblings(id: NodeId): readonly Group[] {
    const node = this.#index.state(id)
    return node === undefined ? [] : groupsOf(node)
  }

  /** Everything that shows, parents before children. */
  *allEntries(): Iterable<Entry> {
    const queue: Merged[] = [this.#projection.tree.root]
    for (let merged = queue.shift(); merged !== undefined; merged = queue.shift()) {
      yield* this.#view.entriesIn(merged)
      queue.push(...merged.directories.values())
    }
  }

  /** Who deleted a node, or took away what it showed beside its winner; undefined where nobody is known to have. */
  deleterOf(id: NodeId): ActorId | undefined {
    return this.#index.deletions.actorOf(id) ?? (this.#index.held(id).at(-1)?.client as ActorId | undefined)
  }

  actors(): ReadonlyMap<ActorId, ActorFacts> {
    return this.#index.actors
  }

  /** Versions kept beside another, not yet resolved: neither edited, renamed nor deleted. */
  *conflicts(): Iterable<ConflictCopy> {
    for (const id of this.#projection.conflicted) {
      const node = this.#index.state(id)
      if (node === undefined) continue
      const [winner, ...copies] = this.#view.entriesOf(id)
      if (winner === undefined) continue
      const origin = node.versions.find(v => v.copyOf !== null && hasDot(winner.dots, v.dot))?.copyOf ?? null
      if (origin !== null && node.placement === null)
        yield this.#conflict('settled', origin.node, id, winner, origin.dot)
      for (const entry of copies) {
        const [dot] = entry.dots
        if (dot !== undefined) yield this.#conflict('virtual', id, id, entry, dot)
      }
    }
  }

  #conflict(kind: ConflictCopy['kind'], of: NodeId, node: NodeId, entry: Entry, dot: Dot): ConflictCopy {
    const device = this.#index.actors.get(dot.actor)?.device ?? null
    return { kind, of, node, entry, dot, device, time: dot.seq }
  }

  // ------------------------------------------------------------------------------------------------------------- local changes

  create(parent: Row, name: string, kind: Kind, facts: Facts, stat: Stat): Row {
    return this.#operations.create(parent, name, kind, facts, stat)
  }

  /** Content equal to the row's: a version that only lends its mode and mtime. */
  edit(row: Row, facts: Facts, stat: Stat): Row {
    return this.#operations.edit(row, facts, stat)
  }

  move(row: Row, parent: Row, name: string): Row {
    return this.#operations.move(row, parent, name)
  }

  /** All rows that vanished in one scan, in one batch; deletes them from the table too. */
  remove(rows: readonly Row[]): void {
    this.#operations.remove(rows)
  }

  merge(node: NodeId, dots: readonly Dot[], facts: Facts): Version {
    return this.#operations.merge(node, dots, facts)
  }

  /** What a person asks for without touching the disk, in one go; the rows stay as they are, and the disk follows. Returns the nodes. */
  revise(revisions: readonly Revision[]): readonly NodeId[] {
    return this.#operations.revise(revisions)
  }

  resolve(resolution: Resolution): void {
    this.#operations.resolve(resolution)
  }

  /** Drops records that others say too. Changes nothing that shows. Returns how many went. */
  housekeep(): number {
    let count = 0
    for (const slot of [...this.#index.crowded()]) {
      const node = this.#index.state(slot.id)
      if (node === undefined) continue
      for (const held of dominated(this.#index.held(slot.id))) {
        this.#docs.remove(node, held)
        this.#index.forget(slot.id, held)
        count++
      }
    }
    return count
  }

  #take(
    changes: {
      readonly added: Iterable<Parameters<NodeIndex['add']>[0]>
      readonly removed: Iterable<Parameters<NodeIndex['add']>[0]>
    },
    read: ReadonlyMap<string, Node> = NOTHING_READ,
  ): Set<NodeId> {
    const touched = new Set<NodeId>()
    for (const held of changes.removed) {
      const id = this.#index.remove(held)
      if (id !== null) touched.add(id)
    }
    for (const held of changes.added) {
      const id = this.#index.add(held, read.get(held.record))
      if (id !== null) touched.add(id)
    }
    return touched
  }

  /** Each write replaces every record of its node that is seen here. */
  #commit(writes: ReadonlyMap<NodeId, Node | null>): void {
    this.#revision++
    const gone: Node[] = []
    for (const [id, next] of writes) {
      const node = next ?? this.#index.state(id)
      if (node === undefined) continue
      if (next === null || (next.versions.length === 0 && (this.#index.state(id)?.versions.length ?? 0) > 0))
        gone.push(node)
      for (const held of this.#index.held(id)) {
        this.#docs.remove(node, held)
        this.#index.forget(id, held)
      }
      if (next !== null) this.#index.put(id, next.kind, this.#docs.add(next, encodeNode(next)), inOrder(next))
    }
    this.#noteDeleted(gone)
    this.#projection.update(writes.keys())
  }

  /** Says whose doing it was, where the records went, and drops what was said there long ago. */
  #noteDeleted(gone: readonly Node[]): void {
    const byDoc = new Map<DocId, Node[]>()
    for (const node of gone) {
      const doc = documentOf(node, DIRECTORIES_DOC)
      const others = byDoc.get(doc)
      if (others === undefined) byDoc.set(doc, [node])
      else others.push(node)
    }
    const { deletions } = this.#index
    for (const [doc, nodes] of byDoc) {
      const time = nodes.reduce((last, node) => Math.max(last, this.#clock.next(node)), 0)
      const ids = [...new Set(nodes.map(node => deletedId(node.id)))].sort()
      for (let at = 0; at < ids.length; at += MAX_DELETED) {
        const deletion = { time, doc, nodes: ids.slice(at, at + MAX_DELETED) }
        deletions.add(this.#docs.addTo(doc, encodeDeletion(deletion)), deletion)
      }
      for (const { held, deletion } of deletions.expired(doc, time)) {
        this.#docs.removeFrom(doc, held)
        deletions.remove(held, deletion)
      }
    }
  }
}

/** The node as its record is read: writers and versions in order. With one of each there is no other. */
function inOrder(node: Node): Node | undefined {
  return node.context.size === 1 && node.versions.length === 1 ? node : undefined
}
