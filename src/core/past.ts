// The nouns of the past: what the journal notes, what is known of a file's versions, and what a rewind would change. Data only.
import type { Facts, Kind } from './entry.ts'
import type { ContentId, DeviceId, NodeId } from './ids.ts'

export type JournalAction = 'created' | 'edited' | 'moved' | 'deleted' | 'merged' | 'restored'

/** What stood at a path. */
export interface Standing {
  /** Relative to the folder, with `/`. */
  readonly path: string
  readonly facts: Facts
}

/**
 * One change of what this device's disk shows, local or applied. Undone newest first, the entries lead from what the disk shows now to what
 * it showed at any time: what stands at `path` becomes `was`, with all that is below a directory.
 */
export interface JournalEntry {
  /** This device's wall clock, ms. */
  readonly time: number
  /** Who did it, not who applied it. */
  readonly device: DeviceId
  readonly action: JournalAction
  readonly node: NodeId
  readonly kind: Kind
  /** Where it stands since; of a deletion where it stood. */
  readonly path: string
  /** What stands there since; of a deletion what stood there. */
  readonly facts: Facts
  /** What stood there before, and where; null: it is new. Of a deletion the same as `path` and `facts`. */
  readonly was: Standing | null
}

/** One version of a file, of all that the asked devices know; or one event of a directory. */
export interface FileVersion {
  /** Opaque, equal on all devices: hex of a hash over who did what to which node with what result. */
  readonly id: string
  /** ms since 1970: by the clock of the device that did it where that answered, else of the first that applied it. */
  readonly time: number
  readonly device: DeviceId
  readonly action: JournalAction
  readonly node: NodeId
  readonly kind: Kind
  readonly path: string
  /** Of a move: where it came from. */
  readonly from: string | null
  readonly facts: Facts
  /** Is the content on this device? */
  readonly here: boolean
  /** Devices that answered and hold the content, this one included. */
  readonly holders: readonly DeviceId[]
}

/** What stands at a path now; or what stood there, at the path where it is now. */
export interface Whereabouts {
  readonly path: string
  readonly kind: Kind
  readonly facts: Facts
  /** It is a conflict copy: of the file at this path. */
  readonly copyOf: string | null
}

/** One change that brings a folder back to what it was; `undo`, `restore` and their dry runs speak of these. */
export interface Change {
  readonly action: 'create' | 'edit' | 'move' | 'delete'
  readonly kind: Kind
  readonly path: string
  /** Of a move: where it stands now. */
  readonly from: string | null
  /** What is to stand at `path`; of a deletion what stands there now. */
  readonly facts: Facts
}

/** What stood at a path at some time. */
export interface Stood extends Change {
  /** Who wrote it so; null where this device's journal does not say, and of a directory. */
  readonly device: DeviceId | null
}

/** A file that a device changed and another one later. */
export interface KeptFile {
  readonly path: string
  /** Who that was. */
  readonly by: DeviceId | null
}

export interface RewindOutcome {
  readonly changes: readonly Change[]
  /** Left as they are: no device that answered holds what they were. */
  readonly missing: readonly Change[]
  /** Of an undo: paths left as they are, since nobody can tell what that device did to them from what others did. */
  readonly unclear: readonly string[]
  /** Who could tell more of what is unclear, and did not answer. */
  readonly silent: readonly DeviceId[]
  /** Of an undo: what others changed later than that device, and what stays for that. */
  readonly kept: readonly KeptFile[]
  /** False for a dry run. */
  readonly done: boolean
}

/** What one device holds of a content. */
export interface Holding {
  readonly device: DeviceId
  /** For each content that was asked for. */
  readonly holds: readonly boolean[]
}

/** `kith history`: all that concerns a path, or the nodes that ever were there. */
export interface HistoryQuery {
  readonly path: string
  readonly nodes: readonly NodeId[]
}

export interface DamagedFile {
  readonly path: string
  /** A kept version, not a file of the tree. */
  readonly version: boolean
  readonly content: ContentId
  readonly repaired: boolean
  /** Of a file: whether it is sound cannot be told. */
  readonly unreadable?: boolean
}

/** A kept version of what was (or is) at the path; '' where the journal knows none. */
export interface UnverifiedVersion {
  readonly path: string
  readonly content: ContentId
}
