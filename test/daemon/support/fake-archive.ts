// A folder's archive moved by the test: the past is what it says it was, and what is asked for is remembered.
import { contentOf } from '../../../src/core/content-list.ts'
import type { Facts } from '../../../src/core/entry.ts'
import { KithError } from '../../../src/core/errors.ts'
import type { ContentId, DeviceId, NodeId } from '../../../src/core/ids.ts'
import type { Change, FileVersion, RewindOutcome, Stood, Whereabouts } from '../../../src/core/past.ts'
import type { Waiting } from '../../../src/core/ports.ts'
import type {
  Acceptance,
  CopiesStatus,
  FolderArchive,
  RewindRequest,
  UndoRequest,
  VerifyOutcome,
} from '../../../src/core/status.ts'
import { OWN_ID } from './fake-network.ts'

const PIECE = 3

export class FakeArchive implements FolderArchive {
  /** By path, newest first. */
  readonly versions = new Map<string, FileVersion[]>()
  /** Of the whole folder, by the time it was so. */
  readonly trees = new Map<number, readonly (Change & Partial<Stood>)[]>()
  readonly now = new Map<string, Whereabouts | null>()
  readonly asked: unknown[] = []
  readonly pinned: ContentId[] = []
  outcome: Pick<RewindOutcome, 'changes' | 'missing'> & Partial<RewindOutcome> = { changes: [], missing: [] }
  only: readonly { path: string; size: number }[] = []
  held: CopiesStatus = { files: [], atRisk: { files: 0, bytes: 0 }, stale: [] }
  verified: VerifyOutcome = { checked: 0, bytes: 0, unverified: [], damaged: [], drill: null }
  accepted: Acceptance = 'accepted'
  /** Awaited by what takes long. */
  working: (options: Waiting) => Promise<unknown> = async () => undefined
  readonly #contents = new Map<ContentId, Uint8Array>()

  /** A content that lies here. */
  put(text: string | Uint8Array, change: Partial<Facts> = {}): Facts {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text
    const { content, size } = contentOf(bytes)
    this.#contents.set(content, bytes)
    return { content, size, mtime: Date.UTC(2026, 10, 20, 14), mode: 0o640, ...change }
  }

  forget(content: ContentId): void {
    this.#contents.delete(content)
  }

  /** Adds a version, the newest of its path. */
  version(path: string, facts: Facts, change: Partial<FileVersion> = {}): FileVersion {
    const had = this.versions.get(path) ?? []
    const version: FileVersion = {
      id: `${String.fromCharCode(97 + had.length)}${'0'.repeat(15)}`,
      time: Date.UTC(2026, 10, 20, had.length),
      device: OWN_ID,
      action: had.length === 0 ? 'created' : 'edited',
      node: 'node' as NodeId,
      kind: 'file',
      path,
      from: null,
      facts,
      here: true,
      holders: [OWN_ID],
      ...change,
    }
    this.versions.set(path, [version, ...had])
    return version
  }

  async history(path: string, options: Waiting): Promise<readonly FileVersion[]> {
    // As real ones do, which hand it on with more in it.
    const { signal } = { ...options }
    signal.throwIfAborted()
    const versions = this.versions.get(path)
    if (versions === undefined) throw new KithError('not-found', `Nothing is known of "${path}".`)
    return versions
  }

  /** Unless the test says otherwise, it stands where the newest version has it. */
  whereabouts(path: string, versions: readonly FileVersion[]): Whereabouts | null {
    const said = this.now.get(path)
    const [newest] = versions
    if (said !== undefined || newest === undefined || newest.action === 'deleted') return said ?? null
    return { path: newest.path, kind: newest.kind, facts: newest.facts, copyOf: null }
  }

  async treeAt(path: string, at: number): Promise<readonly Stood[]> {
    const all = (this.trees.get(at) ?? []).map(each => ({ device: null, ...each }))
    return all.filter(change => path === '' || change.path === path || change.path.startsWith(`${path}/`))
  }

  async restore({ signal: _, ...request }: RewindRequest): Promise<RewindOutcome> {
    this.asked.push(request)
    return { unclear: [], kept: [], silent: [], ...this.outcome, done: !request.dryRun }
  }

  async undo({ signal: _, ...request }: UndoRequest): Promise<RewindOutcome> {
    this.asked.push(request)
    return { unclear: [], kept: [], silent: [], ...this.outcome, done: !request.dryRun }
  }

  async resolve(path: string, keep: string): Promise<void> {
    this.asked.push({ path, keep })
  }

  async *read(content: ContentId, _size: number, options: Waiting): AsyncIterable<Uint8Array> {
    await this.working(options)
    const bytes = this.#contents.get(content)
    if (bytes === undefined) throw new KithError('content-missing', 'No device that answers holds it.')
    for (let at = 0; at < bytes.byteLength; at += PIECE) yield bytes.subarray(at, at + PIECE)
  }

  pin(contents: readonly ContentId[]): () => void {
    this.pinned.push(...contents)
    return () => void this.pinned.splice(0)
  }

  async verify(options: Waiting & { onProgress(checked: number, bytes: number): void }): Promise<VerifyOutcome> {
    options.onProgress(1, 10)
    await this.working(options)
    options.onProgress(2, 20)
    return this.verified
  }

  async accept(path: string): Promise<Acceptance> {
    this.asked.push({ accept: path })
    return this.accepted
  }

  async copies(path: string): Promise<CopiesStatus> {
    const files = this.held.files.filter(file => path === '' || file.path === path || file.path.startsWith(`${path}/`))
    return { ...this.held, files }
  }

  async holders(contents: readonly ContentId[]): Promise<ReadonlyMap<ContentId, readonly DeviceId[]>> {
    return new Map(contents.filter(content => this.#contents.has(content)).map(content => [content, [OWN_ID]]))
  }

  async onlyOn(device: DeviceId): Promise<readonly { path: string; size: number }[]> {
    this.asked.push({ onlyOn: device })
    return this.only
  }
}
