// The ports: what the engine (sync/) asks of the disk, the store and the network, and what the network asks of a folder.
// disk/, store/ and p2p/ implement them on the real thing, test/support on fakes; one contract suite runs on both.
// Everything that waits takes `{ signal }` last and rejects with the signal's reason.
import type { Chunk, ContentList } from './content.ts'
import type { Kind } from './entry.ts'
import type { ActorId, ContentId, DeviceId, DocId, FolderId, Hash, NodeId, RowId } from './ids.ts'
import type { HistoryQuery, Holding, JournalEntry } from './past.ts'
import type { Row, RowChanges, RowTable } from './rows.ts'

export interface Waiting {
  readonly signal: AbortSignal
}

/** Data about one path: shown to the user, retried in the next cycle; never thrown. `path` is relative to the folder, with `/`. */
export interface Problem {
  readonly code: ProblemCode
  readonly path: string
  readonly message: string
}

export type ProblemCode =
  | 'versions-full' // kept versions go before their time
  | 'mass-change-kept' // many files were changed or deleted at once: what they were is kept for a while
  | 'versions-missed' // every version is to be kept here, and some could not be
  | 'mass-change' // another device deleted so much at once that a person is asked first
  | 'content-missing' // no linked device has what is wanted here
  | 'few-copies' // fewer devices than asked for are known to hold it
  | 'unreadable' // EACCES, EIO, …: what stands there is unknown, it and all below it is left alone
  | 'unsupported' // FIFO, socket, device
  | 'mount' // another file system: not entered
  | 'bad-name' // not valid UTF-8, or a name that cannot be shared
  | 'cannot-hold' // this disk cannot have an entry of that name or kind
  | 'busy' // it changed while it was read
  | 'changed' // a step found something else than expected: a local change, scanned first
  | 'no-space'
  | 'failed' // any other error of the disk, retried
  | 'degraded' // watching is limited here; polled instead
  | 'held'
  | 'damaged' // its bytes changed though nobody wrote to it, and no device that was asked has them

// ------------------------------------------------------------------------------------------------ the user's folder (disk/)

/** What stat said. Times in whole microseconds; `birthUs` is 0 where the disk has none. `mode` = nine permission bits. */
export interface Stat {
  /** Of the disk, as it was numbered then: after it was plugged in again, or a restart, it may be another. Never compared over time. */
  readonly dev: number
  readonly ino: number
  readonly birthUs: number
  readonly size: number
  readonly mtimeUs: number
  readonly ctimeUs: number
  readonly mode: number
  readonly links: number
}

/** Of what nobody has looked at yet: it fits nothing that stands on a disk. */
export const NO_STAT: Stat = { dev: 0, ino: 0, birthUs: 0, size: 0, mtimeUs: 0, ctimeUs: 0, mode: 0, links: 1 }

export interface Observed {
  readonly name: string
  readonly kind: Kind
  readonly stat: Stat
}

/** One directory as it was read. `.kith` is never in it. Names that are not valid UTF-8, FIFOs, mounts … are in `problems`, not in `entries`. */
export interface Listing {
  readonly path: string
  readonly stat: Stat
  readonly entries: readonly Observed[]
  /** About single entries; `unreadable` entries keep their rows. */
  readonly problems: readonly Problem[]
}

/** A directory that is gone, or could not be read: an error is not a deletion. */
export interface Unlisted {
  readonly path: string
  readonly gone: boolean
  readonly problem: Problem | null
}

export interface HashRequest {
  readonly path: string
  readonly kind: 'file' | 'symlink'
  /** What was observed; the result says `busy` where the file no longer matches it before or after reading. */
  readonly stat: Stat
}

export interface HashOptions extends Waiting {
  /**
   * Of a large file that is still being read: the list of all its first chunks that are known by now. As long as the file stays what it is,
   * they are the first of the whole list too, but for the last. Longer each time.
   */
  readonly onPrefix?: (request: HashRequest, prefix: ContentList) => void
}

export type HashResult =
  | {
      readonly ok: true
      readonly request: HashRequest
      readonly list: ContentList
      /** The whole bytes of a text (valid UTF-8, or UTF-16 with BOM) of at most 2 MB, to be kept as a base; else null. */
      readonly text: Uint8Array | null
    }
  | { readonly ok: false; readonly request: HashRequest; readonly problem: Problem }

/** Where bytes of a content lie on this device. */
export type ContentPlace =
  | { readonly at: 'file'; readonly path: string; readonly stat: Stat; readonly kind: 'file' | 'symlink' }
  | { readonly at: 'version'; readonly content: ContentId }
  | { readonly at: 'stage'; readonly content: ContentId }
  /** On its way to the stage: what was not written yet is anything. */
  | { readonly at: 'part'; readonly content: ContentId }

/** `Expected`: what must stand there (ino, birth; for files and symlinks also size, mtime, ctime), or null for nothing. */
export type Expected = Stat | null

/** What the plan asks of the disk. Every step re-checks `expect` right before it acts and stands alone. Paths are relative to the root. */
export type DiskStep =
  | { readonly do: 'mkdir'; readonly path: string; readonly mode: number }
  /** Never replaces: fails with `changed` where something (other than itself under another spelling) stands at `to`. */
  | { readonly do: 'move'; readonly path: string; readonly kind: Kind; readonly expect: Stat; readonly to: string }
  /** Moves it to `.kith/parked/TOKEN`; an `unpark` of the same batch takes it out. What is still parked when the batch ends goes back. */
  | { readonly do: 'park'; readonly path: string; readonly kind: Kind; readonly expect: Stat; readonly token: string }
  | { readonly do: 'unpark'; readonly token: string; readonly kind: Kind; readonly to: string }
  /** Publishes a finished stage; `keep`: another step needs the same stage, so publish a copy of it. What it replaces is kept in versions
   * under `expectContent`. */
  | {
      readonly do: 'put'
      readonly path: string
      readonly kind: 'file' | 'symlink'
      readonly content: ContentId
      readonly mode: number
      readonly mtime: number
      readonly expect: Expected
      readonly expectContent: ContentId
      readonly keep: boolean
    }
  /** chmod / utimes of what is there. `mtime` null leaves it (directories). */
  | {
      readonly do: 'touch'
      readonly path: string
      readonly kind: Kind
      readonly expect: Stat
      readonly mode: number
      readonly mtime: number | null
    }
  /** A file or symlink goes to versions under `content`; a directory must be empty, else `changed`. */
  | {
      readonly do: 'remove'
      readonly path: string
      readonly kind: Kind
      readonly expect: Stat
      readonly content: ContentId
    }

/** Both relative to the root. */
export interface Move {
  readonly from: string
  readonly to: string
}

/** `stat`: what stands at the step's final path afterwards (null after remove and park). Durable when the batch resolves. */
export type StepResult =
  | { readonly ok: true; readonly stat: Stat | null }
  | { readonly ok: false; readonly problem: Problem }

export type RootState =
  | { readonly state: 'ok' }
  | { readonly state: 'missing' | 'emptied' | 'replaced' | 'unreadable'; readonly message: string }

export interface WatchEvents {
  /** A hint that something in this directory changed (not below it). Only the scanner decides. */
  onDirty(path: string): void
  /** A hint about everything: events may have been lost. */
  onDoubt(reason: string): void
  /** These directories cannot be watched and are polled. */
  onDegraded(problem: Problem): void
}

export interface Watch {
  /** Directories found by a scan: watch them. Idempotent. Each is hinted at once when it is watched: what changed in it since its scan was not heard. */
  add(paths: readonly string[]): void
  /** Directories that are scanned next: resolves once each is watched, or cannot be. */
  addBefore(paths: readonly string[], options: Waiting): Promise<void>
  /** A directory was renamed or removed on disk by us or by the user. */
  remove(path: string): void
  close(): Promise<void>
}

/** Bytes as they were read, and their SHA-256. */
export interface HashedBytes {
  readonly bytes: Uint8Array
  readonly hash: Hash
}

export interface PlacedRead {
  readonly place: ContentPlace
  readonly offset: number
  readonly length: number
}

/** What was read together, in the order in which it was asked for; null for what is not there. */
export interface Together<T> {
  readonly found: readonly (T | null)[]
  /** Gives the memory of all of it back at once: nobody may look at it afterwards. Who does not call it leaves that to the collector. */
  release(): void
}

/** One content being brought to this device, in `.kith/stage`. Resumable: after a restart `missing` says what is still to come. */
export interface StageFile {
  readonly content: ContentId
  /** Indexes into `list.chunks` not yet there. */
  missing(): readonly number[]
  /** Is this one there? It lies at { at: 'part' }, and after `finish` at { at: 'stage' }. */
  has(index: number): boolean
  /** Verifies each chunk by its hash and writes it; returns the indexes that were wrong. */
  write(chunks: readonly { index: number; bytes: Uint8Array }[], options: Waiting): Promise<readonly number[]>
  /**
   * Copies chunks from where they lie on this device; verified; returns the indexes that failed. `cut`: some list that this device knows
   * to be right has the same chunk.
   */
  copy(
    chunks: readonly { index: number; place: ContentPlace; offset: number; cut?: boolean }[],
    options: Waiting,
  ): Promise<readonly number[]>
  /** Verifies the whole, fsyncs; afterwards `has(content)`. Throws KithError `content-mismatch`. */
  finish(options: Waiting): Promise<void>
  /** Closes the handle and keeps what is there for a later resume. */
  close(): Promise<void>
}

export interface Stage {
  /** Is the whole content staged, verified and ready for a `put`? */
  has(content: ContentId): boolean
  /** Whole contents of at most SMALL_CONTENT_BYTES (or merged texts); verified; returns those that were wrong. */
  putWhole(items: readonly { content: ContentId; bytes: Uint8Array }[], options: Waiting): Promise<readonly ContentId[]>
  /**
   * Stages a content from where it lies whole on this device, verified; false if it is not there any more as said. `list`: its own, which
   * this device knows to be right: then it is compared with that and not cut again.
   */
  putLocal(
    content: ContentId,
    size: number,
    place: ContentPlace,
    options: Waiting & { readonly list?: ContentList | null },
  ): Promise<boolean>
  /** Checks free space first: throws KithError `no-space`. */
  open(list: ContentList, options: Waiting): Promise<StageFile>
  /**
   * Opens a longer content with what is there of one that begins as it does, which is closed by it and gone: all chunks that both begin
   * with, but for the last of the shorter one. Throws as `open`.
   */
  extend(file: StageFile, list: ContentList, options: Waiting): Promise<StageFile>
  /** Removes everything staged that is not in `wanted`. */
  sweep(wanted: ReadonlySet<ContentId>): Promise<void>
}

export interface KeptVersion {
  readonly content: ContentId
  /** The length of the content. */
  readonly size: number
  /** What dropping it gives back at most, in bytes. */
  readonly occupies: number
  /** Its chunks are shared with other versions. */
  readonly packed: boolean
}

/** What is kept in `.kith/versions`. Contents that a program may still write to are not among them until that is excluded. */
export interface DropOptions extends Waiting {
  /** Asked right before each goes: what may is not said to be here from then on. */
  mayGo(content: ContentId): boolean
}

export interface Versions {
  /** Each content once, some at a time, in no order. `late`: those too that a program may still write to. */
  all(options: Waiting & { readonly late?: boolean }): AsyncIterable<readonly KeptVersion[]>
  /** Says which went, durably. A content that is being read stays readable for who reads it. */
  drop(contents: readonly ContentId[], options: DropOptions): Promise<readonly ContentId[]>
  /** Keeps a copy (clone ranges where the disk can) of what stands at the path, verified; false: it is not that any more. */
  keep(path: string, stat: Stat, content: ContentId, options: Waiting): Promise<boolean>
  /** Keeps what is staged, in the place of a version that was damaged too. False: it is not staged. */
  keepStaged(content: ContentId, options: Waiting): Promise<boolean>
  /**
   * Reads it again. What is damaged is moved to `.kith/damaged` and kept no longer under its content. 'mended': only the recipe of a packed
   * one was damaged, and the list had it. 'busy': it is not what it was, and a program may have written that: it is not known yet.
   */
  verify(
    content: ContentId,
    options: Waiting & { readonly list?: () => Promise<ContentList | null> },
  ): Promise<'sound' | 'mended' | 'damaged' | 'busy' | 'gone'>
  /** Keeps it as shared chunks from now on; resumable, verified before the whole file goes. */
  pack(content: ContentId, list: ContentList, options: Waiting): Promise<void>
}

export interface JournalCopy {
  /** In order. Not synced at once: what a power cut takes with it, the database has. */
  append(entries: readonly JournalEntry[]): Promise<void>
  /** Oldest first; a torn or damaged piece is left out, and said in the log. `tail`: only what was appended last, and perhaps what is near it. */
  read(options: Waiting & { readonly tail?: boolean }): AsyncIterable<readonly JournalEntry[]>
}

export interface FolderDisk {
  readonly root: string
  readonly stage: Stage
  /** Marker and identity of the root: is it the one this folder was added with? `hadEntries`: rows exist, so an empty root is suspicious. */
  check(options: { hadEntries: boolean }): Promise<RootState>
  /** Puts back what a crash left parked, looks at late writers, prepares `.kith`. `moves`: of files, begun before it. Before the first scan. */
  recover(moves?: readonly Move[]): Promise<void>
  /** Reads directories; with `recursive` all below them too, parents before children. Order otherwise free. */
  scan(paths: readonly string[], options: Waiting & { recursive: boolean }): AsyncIterable<Listing | Unlisted>
  /** Current stat of one path without following; null if nothing is there. Throws on any other error. */
  look(path: string): Promise<Observed | null>
  /** Hashes, chunks and reads in workers. Results come in any order. */
  hash(requests: readonly HashRequest[], options: HashOptions): AsyncIterable<HashResult>
  /** Bytes of a content from where it lies, fewer where it ends; null if it is not there any more as said (stat changed, version swept). */
  read(place: ContentPlace, offset: number, length: number, options: Waiting): Promise<Uint8Array | null>
  /** The same, with the hash that these bytes have: what it should be is for the caller to compare. */
  readHashed(place: ContentPlace, offset: number, length: number, options: Waiting): Promise<HashedBytes | null>
  /** The same of many. */
  readTogether(reads: readonly PlacedRead[], options: Waiting): Promise<Together<HashedBytes>>
  hasVersion(content: ContentId): boolean
  /** Bytes of the file system that the folder is on; null: unknown. */
  space(): Promise<{ readonly free: number; readonly total: number } | null>
  /** Keeps bytes as a version (a base whose row moved on). Durable when it resolves. */
  keepVersion(content: ContentId, bytes: Uint8Array): Promise<void>
  readonly versions: Versions
  /** A copy of the journal beside the versions: a lost database does not take the past with it. */
  readonly journalCopy: JournalCopy
  /** Executes steps in order (what does not depend on each other in parallel); one result a step. Directory fsyncs are done. */
  apply(steps: readonly DiskStep[], options: Waiting): Promise<readonly StepResult[]>
  watch(events: WatchEvents): Watch
  /** Writes the marker anew: a person said that this root, as it is now, is the folder. */
  accept(): Promise<void>
  close(): Promise<void>
}

/** Entries of one answer about the past. */
export const MAX_HISTORY = 10_000

// ------------------------------------------------------------------------------------------------ the private database (store/)

export interface DocUpdate {
  readonly doc: DocId
  /** Yjs update, V1. */
  readonly update: Uint8Array
}

/** A text kept so that a later concurrent edit can be merged. */
export interface Base {
  readonly content: ContentId
  readonly bytes: Uint8Array
}

/** What a folder remembers of itself. */
export interface FolderMeta {
  /** This incarnation. */
  readonly actor: ActorId
  /** No dot at or above this was ever used; persisted ahead. */
  readonly seqCeiling: number
  /** True until a `get` has pulled the documents of another device: nothing is published before. */
  readonly pulling: boolean
  /**
   * What this device knows may be old (its database was lost, its home or folder is an old copy): until the whole disk was judged with
   * another device, nothing is published that another device's journal knows as the past.
   */
  readonly rejoining: boolean
  /** When that began, by the wall clock, in ms: what is put here later is a person's. Null where it does not, or nobody knows. */
  readonly rejoinSince: number | null
}

/** Was this content ever at this path, or of this node? Asked of journals. */
export interface PastQuery {
  /** Relative to the folder, with `/`. */
  readonly path: string
  /** What the documents show at that path, if anything. */
  readonly node: NodeId | null
  /** NO_CONTENT for a directory. */
  readonly content: ContentId
  readonly kind: Kind
}

/**
 * `sweep`: versions marked to go and the clock of retention; `verify`: how far and what was found; `peers`: when each was last in sync;
 * `restored`: nodes that were brought back and that the disk does not show yet; `copy`: whether the journal began with what its copy had;
 * `compared`: at the last stop every row said what the tree showed; `brake`: whose deletions are held;
 * `copied`: the home was a copy when the rejoin began that is not ended.
 */
export type NoteName = 'sweep' | 'verify' | 'peers' | 'restored' | 'copy' | 'compared' | 'brake' | 'copied'

/** What a step is about to make of the disk. */
export interface Intent {
  readonly path: string
  /** The row that it had before; null of what is new. */
  readonly was: RowId | null
  /** As it will be, but for its stat, its parent and the id of a new one. */
  readonly row: Row
}

/** Everything of one commit; atomic, and on the platter when it resolves. */
export interface FolderBatch {
  readonly updates?: readonly DocUpdate[]
  /** Replace all that was stored of the document (compaction, rejoin). */
  readonly snapshots?: readonly DocUpdate[]
  readonly rows?: RowChanges
  readonly lists?: readonly ContentList[]
  readonly bases?: readonly Base[]
  /** (node, dot) of a version whose content is kept as base. */
  readonly dots?: readonly { node: NodeId; actor: ActorId; seq: number; content: ContentId }[]
  readonly journal?: readonly JournalEntry[]
  readonly notes?: readonly { name: NoteName; bytes: Uint8Array }[]
  /** Instead of all that were stored. */
  readonly intents?: readonly Intent[]
  readonly meta?: FolderMeta
}

export interface JournalFilter {
  readonly node?: NodeId
  /** Down to the oldest that was stored when some time at or after that had been noted already. */
  readonly since?: number
  /** What time it is: a clock that had noted a later one was ahead, and what was stored since then counts by its own time. */
  readonly now?: number
}

export interface FolderStore {
  readonly folder: FolderId
  /** Null for a folder that was never committed. */
  meta(): Promise<FolderMeta | null>
  /** The stored updates of every document that has any: snapshot first, then the log, in order. */
  loadDocs(): AsyncIterable<DocUpdate>
  loadDoc(doc: DocId): Promise<readonly Uint8Array[]>
  /** Bytes in the log since the snapshot, for compaction. */
  logBytes(doc: DocId): number
  loadRows(): Promise<RowTable>
  /** Throws KithError `store-failed` / `no-space`; then nothing of the batch is stored. */
  commit(batch: FolderBatch): Promise<void>
  /** Instead of all that were stored. It outlives the process when it resolves, and the power after the next commit. */
  intend(intents: readonly Intent[]): Promise<void>
  intents(): Promise<readonly Intent[]>
  /** The recipe of a content that was hashed or fetched here. */
  list(content: ContentId): Promise<ContentList | null>
  segment(hash: Hash): Promise<Uint8Array | null>
  /** Where a chunk occurs: content, offset and length within it. */
  chunk(hash: Hash): { content: ContentId; offset: number; length: number } | null
  base(content: ContentId): Promise<Uint8Array | null>
  /** The content of a dot that this device once showed or published. */
  contentOfDot(node: NodeId, actor: ActorId, seq: number): ContentId | null
  /** Newest first, by the order in which they were stored: a clock that was set back changes nothing of it. */
  journal(filter: JournalFilter): AsyncIterable<JournalEntry>
  /** How many entries the journal has: the newest was stored as the last of them, whatever clocks said. */
  readonly journalLength: number
  /** What the sweep of versions, verification and copies remember; small. Undefined: never stored. */
  note(name: NoteName): Promise<Uint8Array | undefined>
  /** Drops what is remembered of contents that are neither in `wanted` (all that a row, a kept version or the stage has) nor bases. */
  sweep(wanted: ReadonlySet<ContentId>): Promise<unknown>
  /** Forgets the folder. */
  erase(): Promise<void>
}

// ------------------------------------------------------------------------------------------------ the network (p2p/)

/** What a folder tells its peers about itself; `digest` is over all documents (32 bytes, hex). */
export interface FolderState {
  readonly digest: string
  /** What the documents show and this disk does not hold yet. */
  readonly needFiles: number
  readonly needBytes: number
  /** The first full scan since start is done, nothing is dirty, every cycle has been committed. */
  readonly settled: boolean
  /** It waits itself for another device's documents: nothing can be learnt from it yet. */
  readonly pulling: boolean
  /** It does not sync until somebody answers there: `paused`, or the code of its halt. */
  readonly stopped: string | null
}

export interface Need {
  readonly files: number
  readonly bytes: number
}

/** What the network asks of a folder. Implemented by sync/folder. Never throws for what a peer sent: it answers. */
export interface SharedFolder {
  readonly id: FolderId
  readonly name: string
  /** One 32-byte digest per document that is not empty. Equal digests ⇔ equal documents. */
  digests(): ReadonlyMap<DocId, Uint8Array>
  stateVector(doc: DocId): Uint8Array
  /**
   * What a peer with that state vector lacks (includes the delete set). Null while something that this device wrote is not on the platter:
   * no other device may know what this one could still forget. An announcement follows; then it can be asked again.
   */
  missing(doc: DocId, stateVector: Uint8Array): Uint8Array | null
  /**
   * Checks (the gate), makes durable, merges. Resolves when it is all on the platter. Directories documents first.
   * `gaps`: documents whose update lacks what it builds on: ask for the difference. `refused`: malformed, and why.
   */
  receive(updates: readonly DocUpdate[], from: DeviceId): Promise<{ gaps: readonly DocId[]; refused: string | null }>
  state(): FolderState
  /** A peer's state arrived, or its link ended (null). */
  onPeerState(device: DeviceId, state: FolderState | null): void
  /** All documents were compared with this peer and are equal now. */
  onCompared(device: DeviceId): void
  /** Content a peer asks for; null where this folder does not hold it. */
  readWhole(content: ContentId, options: Waiting): Promise<Uint8Array | null>
  readTop(content: ContentId): Promise<{ top: Uint8Array; size: number } | null>
  readSegment(hash: Hash): Promise<Uint8Array | null>
  readChunks(hashes: readonly Hash[], options: Waiting): Promise<Together<Uint8Array>>
  /** A linked device reads a large file that begins so, or has read it (null). */
  offered(device: DeviceId, file: number, prefix: ContentId | null): void
  /** What of a content can be read here by now: 'all', a bit for each chunk of its list while it is received, or null. */
  progress(content: ContentId): Uint8Array | 'all' | null
  /** For each query: does this device's journal know it? */
  past(queries: readonly PastQuery[], options: Waiting): Promise<readonly boolean[]>
  /** What this device's journal has of these, newest first, at most MAX_HISTORY. */
  history(query: HistoryQuery, options: Waiting): Promise<readonly JournalEntry[]>
  /** For each content: does it lie on this device, whole, where it can be read? */
  holds(contents: readonly ContentId[], options: Waiting): Promise<readonly boolean[]>
}

export interface ListOptions extends Waiting {
  /** Null for a segment that does not lie on this device. */
  readonly known?: (hash: Hash) => Promise<Uint8Array | null>
}

export interface ChunkOptions extends Waiting {
  /** Where each of the chunks stands in the content's list: with it, devices that still receive the content share what they have. */
  readonly places?: readonly number[]
  /** Aborted: nothing more is asked for; what was asked for still comes. */
  readonly enough?: AbortSignal
}

/** What a folder asks of the network, given to it when it is shared. */
export interface FolderNetwork {
  /** Linked devices that hold this folder. */
  peers(): readonly DeviceId[]
  /** Does that device belong to this person still, linked or not? */
  isMember(device: DeviceId): boolean
  /** Durable updates, to every linked device but the one they came from. In order on each link. */
  announce(updates: readonly DocUpdate[], from: DeviceId | null): void
  /** `state()` changed: tell the peers (coalesced). */
  stateChanged(): void
  /** Small contents, pipelined, from whichever peers have them. Yields what came, unverified; ends when all were answered or no peer is left. */
  fetchWhole(
    contents: readonly ContentId[],
    options: Waiting,
  ): AsyncIterable<{ content: ContentId; bytes: Uint8Array; from: DeviceId }>
  /** Top and segments of a listed content, verified against the id; null if no peer has it. Segments that are `known` here are not asked for. */
  fetchList(content: ContentId, options: ListOptions): Promise<ContentList | null>
  /** Chunks, unverified (the stage verifies), from all peers that have them, bounded in memory: the next is asked for as the consumer goes on. */
  fetchChunks(
    content: ContentId,
    chunks: readonly Chunk[],
    options: ChunkOptions,
  ): AsyncIterable<{ hash: Hash; bytes: Uint8Array; from: DeviceId }>
  /**
   * Tells linked devices that this one is reading a large file, by a number of its own, which begins with this content: they may ask for
   * that. Null: it has been read.
   */
  offer(file: number, prefix: ContentId | null): void
  /** A device sent bytes that do not match their hash; after three it is set aside. */
  reportBad(device: DeviceId): void
  /** Asks every linked device that holds the folder: true where any of them knows. Null: not one of them answered. */
  past(queries: readonly PastQuery[], options: Waiting): Promise<readonly boolean[] | null>
  /** Asks every linked device that holds the folder, or those of `devices`; those that do not answer in time are left out. */
  history(
    query: HistoryQuery,
    options: Waiting & { readonly devices?: ReadonlySet<DeviceId> },
  ): Promise<readonly { readonly device: DeviceId; readonly entries: readonly JournalEntry[] }[]>
  /** As `history`: who holds which of these contents. Without the asker. */
  holders(contents: readonly ContentId[], options: Waiting): Promise<readonly Holding[]>
}

export interface DeviceState {
  readonly id: DeviceId
  readonly name: string
  readonly connected: boolean
  readonly address: string | null
  /** ms since 1970 */
  readonly lastSeen: number | null
  /** Seen by mDNS but not linked (yet). */
  readonly sighted: boolean
}

export interface FolderOffer {
  readonly id: FolderId
  readonly name: string
  readonly devices: readonly DeviceId[]
}

export interface PairingOffer {
  readonly code: string
  readonly ticket: string
  readonly expiresAt: number
  /** The device that used it; rejects with KithError `pairing-expired`, `pairing-tries`, or the signal's reason. */
  readonly paired: Promise<{ id: DeviceId; name: string }>
  cancel(): void
}

/** The network as the daemon sees it. */
export interface Network {
  readonly device: DeviceId
  /** What this device is called, here and on the others. */
  readonly name: string
  start(): Promise<void>
  stop(): Promise<void>
  /** Multiaddrs listened on, without the peer id. */
  addresses(): readonly string[]
  devices(): readonly DeviceState[]
  offerPairing(options: Waiting): Promise<PairingOffer>
  /** Throws KithError `pairing-wrong-code`, `pairing-not-found`, `pairing-refused`, … */
  join(code: string, options: Waiting & { address?: string }): Promise<{ id: DeviceId; name: string }>
  /** Revokes: links are cut and the statement is on its way when it resolves. */
  removeDevice(device: DeviceId): Promise<void>
  renameDevice(device: DeviceId, name: string): Promise<void>
  addAddress(device: DeviceId, address: string): Promise<void>
  /** Folders that linked devices offer (and were last known to offer), joined here or not. */
  offers(): readonly FolderOffer[]
  share(folder: SharedFolder): FolderNetwork
  unshare(folder: FolderId): Promise<void>
}
