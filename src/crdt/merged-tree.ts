// The shown directories as a tree of merged ones: directories of one name key in one parent are one. Keeps that true while
// directories come, go and move, at a cost of what is really merged or split: renaming a directory moves one object. What hangs
// below a directory whose parent is unknown lives in limbo, shown to nobody. Tells the projection which primaries to look at again.
import type { NodeId } from '../core/ids.ts'
import { ROOT_NODE } from '../core/ids.ts'
import { compareText } from './join.ts'
import { type DirectorySlot, type Merged, newDirectory, newMerged } from './slots.ts'

export class MergedTree {
  readonly rootSlot: DirectorySlot
  readonly root: Merged
  readonly #limbo = newMerged([])
  readonly #mark: (primary: NodeId) => void

  constructor(mark: (primary: NodeId) => void) {
    this.#mark = mark
    this.rootSlot = newDirectory(ROOT_NODE)
    this.rootSlot.alive = true
    this.root = newMerged([this.rootSlot])
    this.rootSlot.merged = this.root
  }

  /** Everything again from nothing. */
  clear(): void {
    this.root.directories.clear()
    this.root.listing = null
    this.#limbo.directories.clear()
    this.rootSlot.children.clear()
    this.rootSlot.liveChildren = 0
  }

  shown(merged: Merged | null): boolean {
    let at = merged
    while (at !== null && at !== this.root) at = at.parent
    return at !== null
  }

  /** Something that it shows changed; its names did not. */
  mark(merged: Merged | null): void {
    const primary = merged?.members[0]
    if (primary !== undefined) this.#mark(primary.id)
  }

  /** Its names changed. */
  touch(merged: Merged | null): void {
    if (merged === null) return
    merged.listing = null
    this.mark(merged)
  }

  /** Takes a directory, with all below it, out of where it is. It keeps a merged directory of its own. */
  detach(slot: DirectorySlot): Merged {
    const merged = slot.merged ?? newMerged([slot])
    slot.merged = merged
    const { parent } = merged
    this.touch(parent)
    if (merged.members.length <= 1) {
      if (parent?.directories.get(merged.key) === merged) parent.directories.delete(merged.key)
      merged.parent = null
      return merged
    }
    this.touch(merged)
    merged.members = merged.members.filter(member => member !== slot)
    this.touch(merged)
    const own = newMerged([slot])
    slot.merged = own
    // What is in it showed under the primary of all until now.
    this.mark(own)
    for (const child of slot.children) {
      if (child.kind !== 'directory' || child.merged === null) continue
      const { key } = child.merged
      this.#attach(this.detach(child), own, key)
    }
    return own
  }

  /** Puts what `detach` returned, or a new directory, under a parent; a null parent is limbo. */
  attach(slot: DirectorySlot, parent: DirectorySlot | null, key: string): void {
    const merged = slot.merged ?? newMerged([slot])
    slot.merged = merged
    if (parent === null || parent.merged === null) this.#attach(merged, this.#limbo, slot.id)
    else this.#attach(merged, parent.merged, key)
  }

  /** A directory that shows no more: nothing live is below it. */
  remove(slot: DirectorySlot): void {
    if (slot.merged === null) return
    this.touch(slot.merged)
    this.detach(slot)
    slot.merged = null
  }

  /** All below was hidden and is shown now, or the other way round. */
  touchAll(merged: Merged): void {
    this.touch(merged)
    for (const below of merged.directories.values()) this.touchAll(below)
  }

  #attach(merged: Merged, parent: Merged, key: string): void {
    this.touch(parent)
    const there = parent.directories.get(key)
    if (there === undefined) {
      parent.directories.set(key, merged)
      merged.parent = parent
      merged.key = key
      return
    }
    this.touch(there)
    this.touch(merged)
    there.members = [...there.members, ...merged.members].sort((a, b) => compareText(a.id, b.id))
    for (const member of merged.members) member.merged = there
    for (const [belowKey, below] of merged.directories) this.#attach(below, there, belowKey)
    this.touch(there)
  }
}
