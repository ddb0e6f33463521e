// What a folder says of itself, and what the daemon asks of it. Implemented by sync/folder; shown by daemon/api.
import type { Entry } from './entry.ts'
import type { ContentId, DeviceId, FolderId } from './ids.ts'
import type { DamagedFile, FileVersion, RewindOutcome, Stood, UnverifiedVersion, Whereabouts } from './past.ts'
import type { FolderNetwork, Need, Problem, SharedFolder, Waiting } from './ports.ts'

export type FolderActivity = 'idle' | 'scanning' | 'syncing' | 'paused' | 'error'

export interface PeerStatus {
  readonly id: DeviceId
  /** Digests equal, nothing missing on either side, both settled. For an absent device the last known, with `asOf` (ms). */
  readonly inSync: boolean
  readonly asOf: number | null
  readonly need: Need
  /** Of a linked device: why the folder does not sync there, `paused` or the code of its halt. */
  readonly stopped: string | null
}

export interface FolderStatus {
  readonly id: FolderId
  readonly name: string
  readonly path: string
  readonly state: FolderActivity
  /** Only when it does not sync. `code` is stable: root-missing, root-emptied, root-replaced, disk-full, … */
  readonly error: { readonly code: string; readonly message: string } | null
  readonly problems: readonly Problem[]
  readonly files: number
  readonly directories: number
  readonly bytes: number
  readonly need: Need
  readonly conflicts: number
  /** Every device that was ever seen to hold this folder. */
  readonly peers: readonly PeerStatus[]
}

export interface ConflictVersion {
  readonly id: string
  readonly device: DeviceId | null
  /** ms since 1970 */
  readonly time: number
  readonly path: string
  readonly content: ContentId
}

/** One file of which more than one version is kept beside one another. `path` is the winner's. */
export interface Conflict {
  readonly path: string
  readonly versions: readonly ConflictVersion[]
}

/** An entry of the shared tree and where it shows, relative to the root, with `/`. */
export interface Shown {
  readonly path: string
  readonly entry: Entry
  /** Who wrote what it shows; null for directories, and where nobody is known. */
  readonly device: DeviceId | null
}

/** One folder's engine as the daemon sees it. */
export interface FolderEngine extends SharedFolder {
  readonly path: string
  start(): Promise<void>
  /** Idempotent; aborts, drains, leaves no timer or handle. */
  stop(): Promise<void>
  /** Called once, after `start`. */
  attach(network: FolderNetwork): void
  status(): FolderStatus
  pause(): Promise<void>
  resume(): Promise<void>
  /**
   * Answers a halt: the root as it is now is right ("these deletes are real"). Returns what that does,
   * in words that follow a colon. Throws KithError `folder-halted` where nothing is held.
   */
  approve(): Promise<string>
  /** Answers a halt: bring the files back. As `approve`. */
  reject(): Promise<string>
  /** A full scan that starts after the call; resolves when its cycle was committed. Rejects with the halt as KithError. */
  rescan(options: { signal: AbortSignal }): Promise<void>
  /** Resolves at the next change of `status()`. */
  changed(options: { signal: AbortSignal }): Promise<void>
  conflicts(): readonly Conflict[]
  /** What the shared tree shows, parents before children; the disk may lag behind it. */
  entries(): Iterable<Shown>
  readonly archive: FolderArchive
  /** Takes effect at once. */
  configure(settings: FolderSettings): void
}

/** What a person may set of a folder on this device. */
export interface FolderSettings {
  /** `all`: a backup device, which keeps every version that passes by, local edits too, and for ever. */
  readonly versions: 'standard' | 'all'
  /** What kept versions may take, in bytes; null: a tenth of the disk. */
  readonly versionLimit: number | null
  /** `status` warns of files whose newest content fewer devices hold. */
  readonly minCopies: number
  /** Percent of the folder's files: where another device deletes more of them within ten minutes, a person is asked first. 100: never. */
  readonly maxDeletes: number
}

export const DEFAULT_SETTINGS: FolderSettings = {
  versions: 'standard',
  versionLimit: null,
  minCopies: 1,
  maxDeletes: 50,
}

/** Part of the folder: a path, or '' for the whole. */
export interface RewindRequest extends Waiting {
  readonly path: string
  /** ms since 1970; null: of what is gone, the state before it went. */
  readonly at: number | null
  /** Of one file: that version, whatever `at` says. */
  readonly version: string | null
  /** Leave what came later. */
  readonly keepNew: boolean
  readonly dryRun: boolean
}

export interface UndoRequest extends Waiting {
  readonly device: DeviceId
  /** ms since 1970 */
  readonly since: number
  readonly dryRun: boolean
}

export interface CopiesStatus {
  readonly files: readonly { readonly path: string; readonly size: number; readonly holders: readonly DeviceId[] }[]
  /** Of which this device alone is known to hold the newest content. */
  readonly atRisk: Need
  /** Not linked now: what they hold is what they held then (ms). */
  readonly stale: readonly { readonly device: DeviceId; readonly asOf: number | null }[]
}

/** What became of a file that was to be accepted as it is. */
export type Acceptance = 'accepted' | 'repaired' | 'sound'

export interface VerifyOutcome {
  readonly checked: number
  readonly bytes: number
  /** Kept versions that are not what they were, and that a program may still write to: it is known in a minute or two. */
  readonly unverified: readonly UnverifiedVersion[]
  readonly damaged: readonly DamagedFile[]
  /** The last monthly rehearsal of a restore; null: none yet. */
  readonly drill: { readonly time: number; readonly checked: number; readonly damaged: number } | null
}

/**
 * What was, and bringing it back. Everything that changes the folder is an ordinary change of the shared tree, stored before it resolves; the
 * disk follows. Throws KithError `not-found`, `no-such-version`, `folder-halted`.
 */
export interface FolderArchive {
  /** Newest first, before all others what stands there; of a directory its own events. Never empty. */
  history(path: string, options: Waiting): Promise<readonly FileVersion[]>
  /** `versions`: what `history` says of it. Null: it is gone. */
  whereabouts(path: string, versions: readonly FileVersion[]): Whereabouts | null
  /** What the folder showed then, parents before children, below (and with) `path`. */
  treeAt(path: string, at: number, options: Waiting): Promise<readonly Stood[]>
  restore(request: RewindRequest): Promise<RewindOutcome>
  undo(request: UndoRequest): Promise<RewindOutcome>
  /** `keep`: the id of one of its versions (as `conflicts` says), or both, each as a file of its own. */
  resolve(path: string, keep: string, options: Waiting): Promise<void>
  /** The bytes of a content, from here or a linked device; verified. Throws `content-missing`. */
  read(content: ContentId, size: number, options: Waiting): AsyncIterable<Uint8Array>
  /** None of these is dropped here until what is returned is called. */
  pin(contents: readonly ContentId[]): () => void
  verify(options: Waiting & { onProgress(checked: number, bytes: number): void }): Promise<VerifyOutcome>
  /**
   * A damaged file that no device has sound is taken as it is now, as an edit; where one has it, it is mended. Throws KithError `not-found`,
   * `path-unreadable`.
   */
  accept(path: string, options: Waiting): Promise<Acceptance>
  copies(path: string, options: Waiting): Promise<CopiesStatus>
  /** Of the devices that answer, this one too, those that hold it; what nobody holds is left out. */
  holders(contents: readonly ContentId[], options: Waiting): Promise<ReadonlyMap<ContentId, readonly DeviceId[]>>
  /** Of which, as far as is known, no other device than that one holds the newest content. */
  onlyOn(device: DeviceId, options: Waiting): Promise<readonly { readonly path: string; readonly size: number }[]>
}
