// The projection as it is read: listings of merged directories (named when first asked for, cached, mended by the projection), and
// the entries that nodes show as. Pure reading: nothing here changes what shows.

import type { Entry, Facts } from '../core/entry.ts'
import { plainFacts } from '../core/entry.ts'
import type { ActorId, NodeId } from '../core/ids.ts'
import { NO_CONTENT, ROOT_NODE } from '../core/ids.ts'
import { normalName } from '../core/names.ts'
import { type Candidate, candidate, type Listing, listFiles, type Special } from './listing.ts'
import type { NodeIndex } from './node-index.ts'
import type { Projection } from './projection.ts'
import { type DirectorySlot, isLive, type Merged } from './slots.ts'
import { groupsOf } from './versions.ts'

/** A directory that is dead itself and shows only because of what is in it. */
const GHOST: Facts = { content: NO_CONTENT, size: 0, mtime: 0, mode: 0o700 }
/** Files in cached listings, all directories together. */
const CACHED_NAMES = 50_000

export class View {
  readonly #index: NodeIndex
  readonly #projection: Projection
  readonly #listed = new Set<Merged>()

  constructor(index: NodeIndex, projection: Projection) {
    this.#index = index
    this.#projection = projection
  }

  key(name: string): string {
    return this.#projection.key(name)
  }

  brokenCycles(): Iterable<DirectorySlot> {
    return this.#projection.brokenCycles()
  }

  /** The merged directory that a directory node is part of, if it shows. */
  mergedOf(id: NodeId): Merged | null {
    const merged = this.#projection.directorySlot(id)?.merged ?? null
    return this.#projection.tree.shown(merged) ? merged : null
  }

  /** The merged directory that a shown node (of any kind) is in. */
  containing(id: NodeId): Merged | null {
    const slot = this.#index.slot(id)
    if (slot === undefined || !isLive(slot)) return null
    const merged = slot.kind === 'directory' ? (slot.merged?.parent ?? null) : (slot.parent?.merged ?? null)
    return this.#projection.tree.shown(merged) ? merged : null
  }

  shows(id: NodeId): boolean {
    return id === ROOT_NODE || this.containing(id) !== null
  }

  isPending(id: NodeId): boolean {
    const slot = this.#index.slot(id)
    return slot !== undefined && isLive(slot) && this.containing(id) === null
  }

  /** Where a node hangs now, shown or not, and under which name before merging and suffixes. */
  spot(id: NodeId): { parent: NodeId; name: string } | null {
    const slot = this.#index.slot(id)
    if (slot === undefined || slot.parent === null) return null
    if (slot.kind === 'directory') return { parent: slot.parent.id, name: slot.name }
    const node = this.#index.state(id)
    const found = node === undefined ? null : this.#projection.fileSpot(node)
    return found === null ? null : { parent: found.parent.id, name: found.name }
  }

  /** The name that a shown node's winner has. */
  shownName(id: NodeId): string | null {
    const merged = this.containing(id)
    const slot = this.#index.slot(id)
    if (merged === null || slot === undefined) return null
    if (slot.kind === 'directory') return slot.merged === null ? null : spelling(slot.merged)
    const { names, keys } = this.listing(merged)
    const found = names.get(keys.get(id) ?? '')
    if (found === undefined) return null
    if (typeof found === 'object') return found.name
    const spot = this.spot(id)
    return spot === null ? null : normalName(spot.name)
  }

  listing(merged: Merged): Listing {
    if (merged.listing !== null) return merged.listing
    const files: Candidate[] = []
    for (const member of merged.members) {
      for (const child of member.children) {
        if (child.kind === 'directory' || !child.live) continue
        const node = this.#index.state(child.id)
        const spot = node === undefined ? null : this.#projection.fileSpot(node)
        if (node !== undefined && spot !== null) files.push(candidate(node, spot.name))
      }
    }
    const labelOf = (actor: ActorId): string => this.#index.actors.get(actor)?.label ?? String(actor)
    merged.listing = listFiles(files, merged.directories, { fold: this.#projection.fold, labelOf })
    this.#listed.delete(merged)
    this.#listed.add(merged)
    this.#trim(merged)
    return merged.listing
  }

  #trim(latest: Merged): void {
    let names = 0
    for (const merged of this.#listed) names += merged.listing?.names.size ?? 0
    for (const merged of this.#listed) {
      if (names <= CACHED_NAMES || merged === latest) return
      names -= merged.listing?.names.size ?? 0
      merged.listing = null
      this.#listed.delete(merged)
    }
  }

  *entriesIn(merged: Merged): Iterable<Entry> {
    for (const below of merged.directories.values()) yield this.directoryEntry(below, merged)
    for (const found of this.listing(merged).names.values()) {
      const entry = typeof found === 'object' ? specialEntry(found, merged) : this.#plainEntry(found, merged)
      if (entry !== null) yield entry
    }
  }

  /** What has this name, by key, in a merged directory. */
  entryNamed(merged: Merged, name: string): Entry | null {
    const key = this.key(name)
    const below = merged.directories.get(key)
    if (below !== undefined) return this.directoryEntry(below, merged)
    const found = this.listing(merged).names.get(key)
    if (found === undefined) return null
    return typeof found === 'object' ? specialEntry(found, merged) : this.#plainEntry(found, merged)
  }

  entriesOf(id: NodeId): Entry[] {
    const merged = this.containing(id)
    const slot = this.#index.slot(id)
    if (merged === null || slot === undefined) return []
    if (slot.kind === 'directory') return slot.merged === null ? [] : [this.directoryEntry(slot.merged, merged)]
    const listing = this.listing(merged)
    const out: Entry[] = []
    const winner = listing.names.get(listing.keys.get(id) ?? '')
    const first = typeof winner === 'object' ? specialEntry(winner, merged) : this.#plainEntry(id, merged)
    if (first !== null) out.push(first)
    if (!listing.involved.has(id)) return out
    for (const special of listing.specials)
      if (special.id === id && special.copy) out.push(specialEntry(special, merged))
    return out
  }

  directoryEntry(merged: Merged, parent: Merged): Entry {
    return {
      directory: primaryOf(parent),
      name: spelling(merged),
      kind: 'directory',
      nodes: merged.members.map(member => member.id),
      facts: this.#directoryFacts(merged),
      dots: [],
      copy: false,
    }
  }

  #directoryFacts(merged: Merged): Facts {
    for (const member of merged.members) {
      const node = member.alive ? this.#index.state(member.id) : undefined
      const [group] = node === undefined ? [] : groupsOf(node)
      if (group !== undefined) return plainFacts(group.facts)
    }
    return GHOST
  }

  #plainEntry(id: NodeId, merged: Merged): Entry | null {
    const node = this.#index.state(id)
    const spot = node === undefined ? null : this.#projection.fileSpot(node)
    const [group] = node === undefined ? [] : groupsOf(node)
    if (node === undefined || spot === null || group === undefined) return null
    return {
      directory: primaryOf(merged),
      name: normalName(spot.name),
      kind: node.kind,
      nodes: [id],
      facts: plainFacts(group.facts),
      dots: group.versions.map(v => v.dot),
      copy: false,
    }
  }
}

export function primaryOf(merged: Merged): NodeId {
  const [primary] = merged.members
  if (primary === undefined) throw new Error('a merged directory without members')
  return primary.id
}

/** A merged directory is spelled as its smallest id. */
function spelling(merged: Merged): string {
  return normalName(merged.members[0]?.name ?? '')
}

export function specialEntry(special: Special, merged: Merged): Entry {
  return {
    directory: primaryOf(merged),
    name: special.name,
    kind: special.kind,
    nodes: [special.id],
    facts: plainFacts(special.group.facts),
    dots: special.group.versions.map(v => v.dot),
    copy: special.copy,
  }
}
