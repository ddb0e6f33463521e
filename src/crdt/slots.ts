// What is kept in memory of each node: its packed records and where it hangs in the projection. Directories keep more; there are
// fewer of them. `Merged` is one shown directory: all nodes of one name key in one parent.
import type { Birth, Kind, Placement } from '../core/entry.ts'
import type { NodeId } from '../core/ids.ts'
import type { Listing } from './listing.ts'
import type { Held } from './record-set.ts'

interface Records {
  /** The packed record; null when none is left. */
  record: string | null
  client: number
  clock: number
  more: Held[] | null
}

export interface FileSlot extends Records {
  readonly kind: 'file' | 'symlink'
  readonly id: NodeId
  /** The directory it shows in; null while it is unknown. */
  parent: DirectorySlot | null
  /** It has a version. */
  live: boolean
}

export interface DirectorySlot extends Records {
  readonly kind: 'directory'
  readonly id: NodeId
  parent: DirectorySlot | null
  /** It has a version itself. */
  alive: boolean
  /** Children that are live, here or hidden. */
  liveChildren: number
  readonly children: Set<Slot>
  birth: Birth | null
  placement: Placement | null
  /** The name it shows under, before any merging. */
  name: string
  /** Shown elsewhere than its placement says: a broken cycle, or what it waits for has not arrived. */
  override: 'none' | 'cycle' | 'pending'
  /** The shown directory it is part of, while it is live. */
  merged: Merged | null
}

export type Slot = FileSlot | DirectorySlot

export interface Merged {
  /** Sorted by id; the first is the primary. */
  members: DirectorySlot[]
  parent: Merged | null
  key: string
  readonly directories: Map<string, Merged>
  listing: Listing | null
}

export function newSlot(id: NodeId, kind: Kind): Slot {
  if (kind === 'directory') return newDirectory(id)
  return { kind, id, record: null, client: 0, clock: 0, more: null, parent: null, live: false }
}

export function newDirectory(id: NodeId): DirectorySlot {
  return {
    kind: 'directory',
    id,
    record: null,
    client: 0,
    clock: 0,
    more: null,
    parent: null,
    alive: false,
    liveChildren: 0,
    children: new Set(),
    birth: null,
    placement: null,
    name: '',
    override: 'none',
    merged: null,
  }
}

export function newMerged(members: DirectorySlot[]): Merged {
  return { members, parent: null, key: '', directories: new Map(), listing: null }
}

export function isLive(slot: Slot): boolean {
  return slot.kind === 'directory' ? slot.alive || slot.liveChildren > 0 : slot.live
}
