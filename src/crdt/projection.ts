// What the records show: from the joined nodes and whether any disk folds case, and nothing else, the tree of entries. Kept up
// incrementally: a change costs what it touches (a file: its directory's listing; a directory: its own chain). Equal records give
// equal trees in any order of arrival; the full projection in the tests is the oracle.
import type { Node } from '../core/entry.ts'
import type { NodeId } from '../core/ids.ts'
import { ROOT_NODE } from '../core/ids.ts'
import { nameKey } from '../core/names.ts'
import { comparePlacement } from './join.ts'
import type { Listing } from './listing.ts'
import { MergedTree } from './merged-tree.ts'
import type { NodeIndex } from './node-index.ts'
import { asked, fallbacks, type Placed, resolveParents, type Where } from './resolve-parents.ts'
import { type DirectorySlot, type FileSlot, isLive, type Merged, type Slot } from './slots.ts'
import { groupsOf } from './versions.ts'

/** Stands in the waiting list for actors that are not registered here yet. */
const UNKNOWN_ACTOR = 'actor' as NodeId

/** Whatever shows otherwise: of each entry the directory (its primary) is told, or the node. */
export interface Changes {
  readonly directories: ReadonlySet<NodeId>
  readonly nodes: ReadonlySet<NodeId>
}

export class Projection {
  readonly #index: NodeIndex
  readonly #tree: MergedTree
  readonly #waiting = new Map<NodeId, Set<NodeId>>()
  readonly #overridden = new Set<DirectorySlot>()
  readonly #conflicted = new Set<NodeId>()
  #fold = false
  #actorCount = 0
  #directories = new Set<NodeId>()
  #nodes = new Set<NodeId>()

  constructor(index: NodeIndex) {
    this.#index = index
    this.#tree = new MergedTree(primary => this.#directories.add(primary))
  }

  get fold(): boolean {
    return this.#fold
  }

  get tree(): MergedTree {
    return this.#tree
  }

  /** Directories shown elsewhere than they ask for, because of a cycle. */
  *brokenCycles(): Iterable<DirectorySlot> {
    for (const slot of this.#overridden) if (slot.override === 'cycle') yield slot
  }

  /** Nodes with siblings, or that were settled out of a conflict. */
  get conflicted(): ReadonlySet<NodeId> {
    return this.#conflicted
  }

  takeChanges(): Changes {
    const changes = { directories: this.#directories, nodes: this.#nodes }
    this.#directories = new Set()
    this.#nodes = new Set()
    return changes
  }

  // ---------------------------------------------------------------------------------------------------------------- keeping up

  /** Everything from nothing: at load, or when the folding of names changed. */
  rebuild(): void {
    this.#fold = [...this.#index.actors.values()].some(actor => actor.foldsCase)
    this.#actorCount = this.#index.actors.size
    this.#tree.touchAll(this.#tree.root)
    this.#tree.clear()
    this.#waiting.clear()
    this.#overridden.clear()
    this.#conflicted.clear()
    const fresh: DirectorySlot[] = []
    for (const slot of [...this.#index.slots()]) {
      this.#nodes.add(slot.id)
      slot.parent = null
      if (slot.kind === 'directory') {
        Object.assign(slot, {
          alive: false,
          liveChildren: 0,
          birth: null,
          placement: null,
          name: '',
          override: 'none',
          merged: null,
        })
        slot.children.clear()
        if (slot.record !== null) fresh.push(slot)
      } else slot.live = false
      this.#index.drop(slot)
    }
    this.#updateDirectories(fresh)
    for (const slot of this.#index.slots())
      if (slot.kind !== 'directory') this.#updateFile(slot, this.#index.passing(slot))
    this.#tree.touchAll(this.#tree.root)
  }

  /** The records of these nodes changed, or actors arrived. */
  update(ids: Iterable<NodeId>): void {
    const fold = this.#fold || this.#folds()
    const directories: DirectorySlot[] = []
    const files: FileSlot[] = []
    let vanished = false
    for (const id of ids) {
      const slot = this.#index.slot(id)
      if (slot === undefined) continue
      this.#nodes.add(id)
      if (slot.kind !== 'directory') files.push(slot)
      else if (slot.record === null) vanished = true
      else directories.push(slot)
    }
    // a directory's records never all go, unless somebody forged a deletion
    if (vanished || fold !== this.#fold || this.#lateActors()) {
      this.rebuild()
      return
    }
    this.#updateDirectories(directories)
    for (const slot of files) this.#updateFile(slot)
  }

  #folds(): boolean {
    if (this.#index.actors.size === this.#actorCount) return false
    return [...this.#index.actors.values()].some(actor => actor.foldsCase)
  }

  /** An actor arrived after nodes that it wrote: they were waiting for it. */
  #lateActors(): boolean {
    if (this.#index.actors.size === this.#actorCount) return false
    this.#actorCount = this.#index.actors.size
    return this.#waiting.has(UNKNOWN_ACTOR)
  }

  #updateDirectories(slots: readonly DirectorySlot[]): void {
    const changed: DirectorySlot[] = []
    const fresh = new Set<DirectorySlot>()
    for (const slot of slots) {
      const node = this.#index.state(slot.id)
      if (node === undefined) continue
      if (slot.birth === null) fresh.add(slot)
      if (slot.birth === null || comparePlacement(slot.placement, node.placement) !== 0) changed.push(slot)
      slot.birth = node.birth
      slot.placement = node.placement
    }
    this.#relocate(this.#whereabouts(changed, fresh))
    for (const slot of slots) {
      const node = this.#index.state(slot.id)
      if (node === undefined) continue
      this.#tree.mark(slot.merged?.parent ?? null)
      const was = isLive(slot)
      slot.alive = node.versions.length > 0
      this.#liveness(slot, was)
    }
    for (const slot of fresh) this.#wake(slot.id)
  }

  /** Where the changed directories show, and all others whose place changes with theirs. */
  #whereabouts(changed: readonly DirectorySlot[], fresh: ReadonlySet<DirectorySlot>): Map<DirectorySlot, Where> {
    const out = new Map<DirectorySlot, Where>()
    if (changed.length === 0) return out
    if (changed.every(slot => this.#plain(slot, fresh, changed.length))) {
      for (const slot of changed) {
        const { birth, placement } = slot
        if (birth === null) continue
        const { parent, name } = asked({ birth, placement })
        out.set(slot, { parent, name, override: 'none' })
      }
      return out
    }
    const all = new Map<NodeId, Placed>()
    for (const slot of this.#index.slots()) {
      if (slot.kind !== 'directory' || slot.birth === null) continue
      all.set(slot.id, { id: slot.id, birth: slot.birth, placement: slot.placement })
    }
    for (const [id, where] of resolveParents(all, known => this.#known(known))) {
      const slot = this.#index.directory(id)
      if (slot !== undefined) out.set(slot, where)
    }
    return out
  }

  /** Can its place have no other answer than what it asks for, and change nobody else's? */
  #plain(slot: DirectorySlot, fresh: ReadonlySet<DirectorySlot>, changed: number): boolean {
    const isNew = fresh.has(slot)
    if (isNew ? this.#awaited(slot.id) : this.#overridden.size > 0) return false
    let at = slot
    for (let steps = 0; ; steps++) {
      const { birth, placement } = at
      if (birth === null) return false
      const { parent } = asked({ birth, placement })
      if (parent === ROOT_NODE) return true
      const above = this.#index.directory(parent)
      if (above === undefined || above.birth === null || above === slot) return false
      // what did not change hangs where it hung; below a new directory nothing hangs yet
      if (isNew && fresh.size === changed && !fresh.has(above)) return true
      if (steps > this.#index.size) return false
      at = above
    }
  }

  /** Does another directory wait for this one? Then more than one place may change. */
  #awaited(id: NodeId): boolean {
    for (const waiter of this.#waiting.get(id) ?? []) if (this.#index.directory(waiter) !== undefined) return true
    return false
  }

  #known(id: NodeId): boolean {
    const slot = this.#index.slot(id)
    return slot !== undefined && slot.record !== null
  }

  #relocate(places: ReadonlyMap<DirectorySlot, Where>): void {
    const moving: { slot: DirectorySlot; where: Where; parent: DirectorySlot | null; wasShown: boolean }[] = []
    for (const [slot, where] of places) {
      const parent = where.parent === null ? null : this.directorySlot(where.parent)
      slot.override = where.override
      if (where.override === 'none') this.#overridden.delete(slot)
      else {
        this.#overridden.add(slot)
        this.#wait(slot)
      }
      if (parent === slot.parent && where.name === slot.name) continue
      moving.push({ slot, where, parent, wasShown: this.#tree.shown(slot.merged) })
    }
    // all leave before any arrives: half a batch must never make a cycle
    for (const { slot } of moving) {
      if (slot.merged !== null) this.#tree.detach(slot)
      if (slot.merged !== null) this.#tree.attach(slot, null, '')
      this.#unhang(slot)
    }
    for (const { slot, where, parent } of moving) {
      slot.name = where.name
      if (slot.merged !== null) this.#tree.detach(slot)
      this.#hang(slot, parent)
      if (slot.merged !== null) this.#tree.attach(slot, parent, this.key(slot.name))
    }
    for (const { slot, wasShown } of moving) {
      this.#nodes.add(slot.id)
      if (slot.merged !== null && this.#tree.shown(slot.merged) !== wasShown) this.#tree.touchAll(slot.merged)
    }
  }

  #hang(slot: Slot, parent: DirectorySlot | null): void {
    slot.parent = parent
    if (parent === null) return
    parent.children.add(slot)
    if (isLive(slot)) this.#countChild(parent, 1)
  }

  #unhang(slot: Slot): void {
    const { parent } = slot
    slot.parent = null
    if (parent === null) return
    parent.children.delete(slot)
    if (isLive(slot)) this.#countChild(parent, -1)
  }

  #countChild(parent: DirectorySlot, by: 1 | -1): void {
    const was = isLive(parent)
    parent.liveChildren += by
    this.#liveness(parent, was)
  }

  /** A directory became live or stopped being it: so may those above. Parents appear before and vanish after what is in them. */
  #liveness(slot: DirectorySlot, was: boolean): void {
    const is = isLive(slot)
    if (is === was || slot === this.#tree.rootSlot) return
    this.#nodes.add(slot.id)
    if (is) {
      if (slot.parent !== null) this.#countChild(slot.parent, 1)
      this.#tree.attach(slot, slot.parent, this.key(slot.name))
    } else {
      this.#tree.remove(slot)
      if (slot.parent !== null) this.#countChild(slot.parent, -1)
    }
  }

  #updateFile(slot: FileSlot, node = this.#index.state(slot.id)): void {
    const before = slot.parent
    const live = node !== undefined && node.versions.length > 0
    const parent = node === undefined ? null : this.#fileParent(node)
    if (parent !== slot.parent || live !== slot.live) {
      this.#unhang(slot)
      slot.live = live
      this.#hang(slot, parent)
    }
    if (live && (groupsOf(node).length > 1 || node.versions.some(v => v.copyOf !== null))) this.#conflicted.add(slot.id)
    else this.#conflicted.delete(slot.id)
    if (before !== null && before !== parent) this.#fileChanged(before, slot, null)
    if (parent !== null) this.#fileChanged(parent, slot, live ? node : null)
    if (node === undefined) this.#index.drop(slot)
  }

  #fileParent(node: Node): DirectorySlot | null {
    return this.fileSpot(node)?.parent ?? null
  }

  /** Where a file shows: what it asks for, else where it was before, else (only if nothing is to arrive) the root. */
  fileSpot(node: Node): { parent: DirectorySlot; name: string } | null {
    const first = asked(node)
    if (this.#unknownActor(node)) {
      this.#waitFor(UNKNOWN_ACTOR, node.id)
      return null
    }
    const direct = this.directorySlot(first.parent)
    if (direct !== null) return { parent: direct, name: first.name }
    const pending = !this.#known(first.parent)
    this.#wait(node)
    for (const spot of fallbacks(node, pending)) {
      const parent = this.directorySlot(spot.parent)
      if (parent !== null) return { parent, name: spot.name }
    }
    return null
  }

  #unknownActor(node: Node): boolean {
    const { actors } = this.#index
    return (
      node.versions.some(v => !actors.has(v.dot.actor)) ||
      (node.placement !== null && !actors.has(node.placement.actor))
    )
  }

  /** It is to be looked at again when one of the directories that it could show in arrives. */
  #wait(node: { id: NodeId; birth: Placed['birth'] | null; placement: Placed['placement'] }): void {
    const { id, birth, placement } = node
    const parents = [placement?.parent, placement?.previousParent, birth?.parent]
    for (const parent of parents)
      if (parent !== undefined && this.directorySlot(parent) === null) this.#waitFor(parent, id)
  }

  #waitFor(what: NodeId, id: NodeId): void {
    const waiters = this.#waiting.get(what)
    if (waiters === undefined) this.#waiting.set(what, new Set([id]))
    else waiters.add(id)
  }

  #wake(id: NodeId): void {
    const waiters = this.#waiting.get(id)
    if (waiters === undefined) return
    this.#waiting.delete(id)
    for (const waiter of waiters) {
      const slot = this.#index.slot(waiter)
      if (slot === undefined || slot.kind === 'directory') continue
      this.#nodes.add(waiter)
      this.#updateFile(slot)
    }
  }

  /**
   * A file's entry in one directory changed. The cached listing is mended where the change can rename nobody else: then only the file shows
   * something new.
   */
  #fileChanged(directory: DirectorySlot, slot: FileSlot, node: Node | null): void {
    const { merged } = directory
    if (merged === null) return
    const { listing } = merged
    if (listing === null || !this.#mend(listing, merged, slot, node)) this.#tree.touch(merged)
  }

  #mend(listing: Listing, merged: Merged, slot: FileSlot, node: Node | null): boolean {
    if (listing.involved.has(slot.id)) return false
    const old = listing.keys.get(slot.id)
    const name = node === null ? undefined : this.fileSpot(node)?.name
    const key = name === undefined ? undefined : this.key(name)
    if (node !== null && groupsOf(node).length > 1) return false
    if (key !== undefined && key !== old && (listing.names.has(key) || merged.directories.has(key))) return false
    if ((old !== undefined && listing.touchy.has(old)) || (key !== undefined && listing.touchy.has(key))) return false
    if (old === key) return true
    if (old !== undefined) {
      listing.names.delete(old)
      listing.keys.delete(slot.id)
    }
    if (key !== undefined) {
      listing.names.set(key, slot.id)
      listing.keys.set(slot.id, key)
    }
    return true
  }

  // ------------------------------------------------------------------------------------------------------------- what it knows

  /** A directory whose records are here; of the root always. */
  directorySlot(id: NodeId): DirectorySlot | null {
    if (id === ROOT_NODE) return this.#tree.rootSlot
    const slot = this.#index.directory(id)
    return slot === undefined || slot.birth === null ? null : slot
  }

  key(name: string): string {
    return nameKey(name, this.#fold)
  }
}
