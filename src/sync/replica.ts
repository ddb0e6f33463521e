// This device's copy of what is shared, and its rows, as one thing with one way to the store: every change of either is committed in
// the order it was made, atomically, and only then announced. After a commit that failed nothing more is written: the replica is
// broken, and the folder throws it away and loads it again.
import { isDeepStrictEqual } from 'node:util'
import { KithError } from '../core/errors.ts'
import type { Emit } from '../core/events.ts'
import type { ActorId, DeviceId, DocId, FolderId } from '../core/ids.ts'
import { DOC_COUNT, ROOT_NODE, ROOT_ROW } from '../core/ids.ts'
import {
  type DocUpdate,
  type FolderBatch,
  type FolderMeta,
  type FolderStore,
  type Intent,
  NO_STAT,
} from '../core/ports.ts'
import type { Row, RowTable } from '../core/rows.ts'
import { SharedTree } from '../crdt/shared-tree.ts'
import type { JournalKeeper } from './journal-keeper.ts'

/** A document's log is folded into a snapshot once it is longer than this and than twice the snapshot. */
const COMPACT_LOG_BYTES = 256 * 1024
const ACTOR_LABEL_DEVICE_CHARS = 16
/** Another one where the same records are to show another tree, or other rows stand for it. */
const COMPARED = new TextEncoder().encode('1')
const NOT_COMPARED = new Uint8Array()
const COPIED = new TextEncoder().encode('1')
const NOT_COPIED = new Uint8Array()

export interface ReplicaDeps {
  readonly store: FolderStore
  readonly now: () => number
  readonly random: () => number
  readonly emit: Emit
  /** Durable updates, to every peer but `from`. */
  readonly announce: (updates: readonly DocUpdate[], from: DeviceId | null) => void
  readonly journal: Pick<JournalKeeper, 'adjust' | 'stored' | 'loaded' | 'ahead'>
  /** The first failed commit. */
  readonly onBroken: (error: KithError) => void
  /** A peer brought writes of this device that it does not know. */
  readonly onRolledBack: (from: DeviceId) => void
}

export interface ReplicaOptions {
  readonly folder: FolderId
  readonly device: DeviceId
  readonly deviceName: string
  readonly foldsCase: boolean
  /** A `get`: publish nothing before another device's documents were pulled. */
  readonly pull: boolean
  /** The home is a copy of another: what it knows may be old. */
  readonly rejoin: boolean
}

export class Replica {
  readonly #deps: ReplicaDeps
  readonly #options: ReplicaOptions
  readonly rows: RowTable
  readonly tree: SharedTree
  /** What it starts from was stored before. */
  readonly old: boolean
  /** When it was stored last, every row said what the tree showed, and nothing was left to be done. */
  readonly wasCompared: boolean
  #copied: boolean
  #meta: FolderMeta
  /** As it was last given to the store. */
  #said: FolderMeta | null = null
  #commits: Promise<void> = Promise.resolve()
  /** Of each document, the commits on their way to the store with something that this device wrote there. */
  readonly #unstored = new Map<DocId, number>()
  #broken: KithError | null = null
  /** The note says so: nothing has changed since. */
  #isCompared: boolean

  private constructor(
    deps: ReplicaDeps,
    options: ReplicaOptions,
    loaded: { rows: RowTable; tree: SharedTree; meta: FolderMeta; old: boolean; isCompared: boolean; copied: boolean },
  ) {
    this.#deps = deps
    this.#options = options
    this.rows = loaded.rows
    this.tree = loaded.tree
    this.old = loaded.old
    this.wasCompared = loaded.isCompared && !loaded.meta.pulling && !loaded.meta.rejoining
    this.#isCompared = loaded.isCompared
    this.#copied = loaded.copied
    this.#meta = loaded.meta
  }

  static async load(deps: ReplicaDeps, options: ReplicaOptions): Promise<Replica> {
    const stored = await deps.store.meta()
    // Every load is an incarnation of its own. What this device wrote and a crash kept from its database may have reached a peer; a
    // restored home has forgotten what others know. Neither can ever use a clock or a dot twice.
    const actor = newActor(deps.random)
    const meta: FolderMeta =
      stored === null
        ? { actor, seqCeiling: 0, pulling: options.pull, rejoining: options.pull, rejoinSince: null }
        : { ...stored, actor }
    const rows = await deps.store.loadRows()
    if (rows.get(ROOT_ROW) === undefined) rows.put(rootRow())
    const tree = new SharedTree(
      { rows, now: deps.now },
      {
        actor: meta.actor,
        device: options.device,
        label: actorLabel(options.deviceName, meta.actor),
        foldsCase: options.foldsCase,
        seqCeiling: meta.seqCeiling,
      },
    )
    const updates: DocUpdate[] = []
    for await (const update of deps.store.loadDocs()) updates.push(update)
    tree.load(updates)
    tree.register()
    // Where nobody else ever wrote there is nobody to learn from.
    const { ahead } = deps.journal
    const alone = !ahead?.others && [...tree.actors().values()].every(({ device }) => device === options.device)
    const rejoining = meta.rejoining || ((options.rejoin || ahead !== null) && !alone)
    const began = stored?.rejoining === true ? meta.rejoinSince : deps.now()
    const isCompared = Buffer.compare((await deps.store.note('compared')) ?? NOT_COMPARED, COMPARED) === 0
    const wasCopied = Buffer.compare((await deps.store.note('copied')) ?? NOT_COPIED, COPIED) === 0
    const replica = new Replica(deps, options, {
      rows,
      tree,
      meta: { ...meta, rejoining, rejoinSince: rejoining ? began : null },
      old: stored !== null,
      isCompared,
      copied: rejoining && (options.rejoin || wasCopied),
    })
    deps.journal.loaded(rows)
    const { notes = [] } = ahead?.seen ?? {}
    const copied = replica.copied && !wasCopied ? [{ name: 'copied' as const, bytes: COPIED }] : []
    await replica.commit({ ...ahead?.seen, notes: [...notes, ...copied] })
    return replica
  }

  get pulling(): boolean {
    return this.#meta.pulling
  }

  get rejoining(): boolean {
    return this.#meta.rejoining
  }

  get rejoinSince(): number | null {
    return this.#meta.rejoinSince
  }

  /** It rejoins since its home was a copy of another: what the home says may be as old, whichever process it is. */
  get copied(): boolean {
    return this.#copied
  }

  get broken(): KithError | null {
    return this.#broken
  }

  /** Another device's documents are all here: from now on this device may say what it has. */
  async endPull(): Promise<void> {
    if (!this.#meta.pulling) return
    this.#meta = { ...this.#meta, pulling: false }
    await this.commit({})
  }

  /** All that lies here was judged. */
  async endRejoin(): Promise<void> {
    if (!this.#meta.rejoining) return
    this.#meta = { ...this.#meta, rejoining: false, rejoinSince: null }
    const notes = this.#copied ? [{ name: 'copied' as const, bytes: NOT_COPIED }] : []
    this.#copied = false
    await this.commit({ notes })
  }

  /**
   * Stores what the tree and the rows changed since the last commit, with `extra`, and announces the updates. Where that is nothing it
   * resolves when all before is stored.
   */
  async commit(extra: FolderBatch): Promise<void> {
    const updates = this.tree.takeUpdates()
    const rows = this.rows.takeChanges()
    const journal = this.#deps.journal.adjust(extra.journal ?? [])
    this.#meta = { ...this.#meta, seqCeiling: this.tree.seqCeiling }
    const changes = updates.length + rows.put.length + rows.deleted.length + journal.length
    if (changes === 0 && saysNothing(extra) && isDeepStrictEqual(this.#meta, this.#said)) return this.#settled()
    this.#said = this.#meta
    const isOther = updates.length + rows.put.length + rows.deleted.length > 0
    const notes = [...(extra.notes ?? []), ...(isOther ? this.#compareAgain() : [])]
    const stored = this.#enqueue({ ...extra, notes, journal, updates, rows, meta: this.#meta })
    if (updates.length > 0) await this.#announced(updates, stored)
    else await stored
    await this.#deps.journal.stored(journal)
  }

  /** Every row says what the tree shows, and nothing is left to be done: the next start need not compare them, unless something is stored. */
  async noteCompared(): Promise<void> {
    if (this.#isCompared) return
    this.#isCompared = true
    await this.commit({ notes: [{ name: 'compared', bytes: COMPARED }] })
  }

  /** For what is about to be stored. */
  #compareAgain(): NonNullable<FolderBatch['notes']> {
    if (!this.#isCompared) return []
    this.#isCompared = false
    return [{ name: 'compared', bytes: NOT_COMPARED }]
  }

  /** What was enqueued so far is stored. */
  #settled(): Promise<void> {
    return this.#inTurn(() => Promise.resolve())
  }

  async #announced(updates: readonly DocUpdate[], stored: Promise<void>): Promise<void> {
    const docs = new Set(updates.map(({ doc }) => doc))
    for (const doc of docs) this.#unstored.set(doc, (this.#unstored.get(doc) ?? 0) + 1)
    // Not where it failed: a replica that is broken answers nobody.
    await stored
    for (const doc of docs) {
      const left = (this.#unstored.get(doc) ?? 1) - 1
      if (left > 0) this.#unstored.set(doc, left)
      else this.#unstored.delete(doc)
    }
    this.#deps.announce(updates, null)
  }

  /**
   * What a peer with that state vector lacks; null while a write of this device in that document is not stored. A process that dies then has said nothing
   * that it knows nothing of afterwards: what lies here would look like an edit of a version of its own that is nowhere any more.
   */
  missing(doc: DocId, stateVector: Uint8Array): Uint8Array | null {
    if (this.#broken !== null || this.#unstored.has(doc) || this.tree.isWritten(doc)) return null
    return this.tree.missing(doc, stateVector)
  }

  /** After all that was committed, whatever becomes of this device's process. */
  async intend(intents: readonly Intent[]): Promise<void> {
    await this.#inTurn(() => this.#deps.store.intend(intents))
  }

  /** Checks, applies and stores what a peer sent; resolves when it is on the platter. */
  async receive(
    updates: readonly DocUpdate[],
    from: DeviceId,
  ): Promise<{ gaps: readonly DocId[]; refused: string | null }> {
    if (this.#broken !== null) throw this.#broken
    const gaps = new Set<DocId>()
    const taken: DocUpdate[] = []
    let refused: string | null = null
    for (const update of updates) {
      if (gaps.has(update.doc)) continue
      const verdict = this.tree.check(update.doc, update.update)
      if (verdict.ok) {
        if (this.#apply(update)) taken.push(update)
      } else if (verdict.gap) gaps.add(update.doc)
      else {
        refused = verdict.reason
        this.#deps.emit({ type: 'update:refused', folder: this.#options.folder, from, reason: verdict.reason })
      }
    }
    const rolledBack = this.#isRolledBack()
    if (rolledBack) {
      // At once: nothing is published in between that was not judged.
      this.#meta = { ...this.#meta, rejoining: true, rejoinSince: this.#deps.now() }
      this.#deps.onRolledBack(from)
    }
    if (taken.length > 0) {
      const notes = this.#compareAgain()
      await this.#enqueue({ updates: taken, notes, ...(rolledBack ? { meta: this.#meta } : {}) })
      this.#deps.announce(taken, from)
    } else await this.#commits // what is known already may still be on its way to the platter
    return { gaps: [...gaps], refused }
  }

  /**
   * Others hold writes of this device that it does not know: they are of an incarnation that this database never had, or has forgotten
   * the end of, as a disk does that lies about what it stored. Nobody's writes come before their registration: the gate sees to that.
   */
  #isRolledBack(): boolean {
    const actors = this.tree.actors()
    const { device } = this.#options
    const own = this.tree.takeWriters().filter(writer => actors.get(writer)?.device === device)
    return own.some(writer => writer !== this.#meta.actor) && !this.#meta.rejoining
  }

  /** A merge that failed half-way leaves a tree that nobody may build on. */
  #apply(update: DocUpdate): boolean {
    try {
      return this.tree.apply(update.doc, update.update)
    } catch (error) {
      this.#break(error)
      throw error
    }
  }

  #break(error: unknown): KithError {
    this.#broken ??=
      error instanceof KithError
        ? error
        : new KithError('store-failed', 'The database could not be written; the folder waits and tries again.', {
            cause: error,
          })
    this.#deps.onBroken(this.#broken)
    return this.#broken
  }

  /**
   * Folds long logs into snapshots; for quiet moments. Before the first of them, records that others say too go: they are few (the next
   * write to their node takes them along anyway), so this is worth no look of its own.
   */
  async compact(): Promise<void> {
    let tidied = this.#meta.pulling
    for (let doc = 0; doc < DOC_COUNT; doc++) {
      const id = doc as DocId
      const log = this.#deps.store.logBytes(id)
      if (log < COMPACT_LOG_BYTES) continue
      const update = this.tree.snapshot(id)
      if (log <= 2 * update.byteLength && log <= 16 * COMPACT_LOG_BYTES) continue
      if (!tidied && this.tree.housekeep() > 0) await this.commit({})
      tidied = true
      await this.#enqueue({ snapshots: [{ doc: id, update: this.tree.snapshot(id) }] })
    }
  }

  /** Resolves when everything enqueued so far was stored (or failed). */
  async drained(): Promise<void> {
    await this.#commits
  }

  #enqueue(batch: FolderBatch): Promise<void> {
    return this.#inTurn(() => this.#deps.store.commit(batch))
  }

  #inTurn(write: () => Promise<void>): Promise<void> {
    const run = this.#commits.then(async () => {
      if (this.#broken !== null) throw this.#broken
      try {
        await write()
      } catch (error) {
        throw this.#break(error)
      }
    })
    this.#commits = run.then(
      () => undefined,
      () => undefined,
    )
    return run
  }
}

/** Intents replace those that are stored, so none of them says something too. */
function saysNothing({ intents, ...parts }: FolderBatch): boolean {
  return intents === undefined && Object.values(parts).every(part => Array.isArray(part) && part.length === 0)
}

function newActor(random: () => number): ActorId {
  // 53 random bits, never 0.
  return (Math.floor(random() * (Number.MAX_SAFE_INTEGER - 1)) + 1) as ActorId
}

/** What conflict copies are named after: portable characters of the device's name, and four of the actor. */
function actorLabel(deviceName: string, actor: ActorId): string {
  const portable = deviceName.replace(/[^A-Za-z0-9._-]+/g, '-').slice(0, ACTOR_LABEL_DEVICE_CHARS)
  return `${portable === '' ? 'device' : portable}-${actor.toString(36).slice(-4)}`
}

function rootRow(): Row {
  return {
    id: ROOT_ROW,
    parent: ROOT_ROW,
    name: '',
    kind: 'directory',
    content: '' as Row['content'],
    size: 0,
    mtime: 0,
    mode: 0o755,
    stat: { ...NO_STAT, mode: 0o755 },
    copy: false,
    nodes: [{ id: ROOT_NODE, birth: { parent: ROOT_NODE, name: '', generation: 0 }, placement: null, versions: [] }],
  }
}
