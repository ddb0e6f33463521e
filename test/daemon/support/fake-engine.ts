// A folder's engine as the daemon sees it, moved by the test: what it says of itself is set, what is asked of it is remembered.
import { KithError } from '../../../src/core/errors.ts'
import type { DeviceId, DocId, FolderId } from '../../../src/core/ids.ts'
import type { JournalEntry } from '../../../src/core/past.ts'
import type { FolderNetwork, FolderState, Together } from '../../../src/core/ports.ts'
import type {
  Conflict,
  FolderEngine,
  FolderSettings,
  FolderStatus,
  PeerStatus,
  Shown,
} from '../../../src/core/status.ts'
import { FakeArchive } from './fake-archive.ts'

export class FakeEngine implements FolderEngine {
  readonly id: FolderId
  readonly name: string
  readonly path: string
  readonly calls: string[] = []
  network: FolderNetwork | null = null
  found: readonly Conflict[] = []
  shown: readonly Shown[] = []
  readonly archive = new FakeArchive()
  settings: FolderSettings | null = null
  /** Thrown by `start`. */
  startError: Error | null = null
  /** Thrown by `rescan`. */
  rescanError: Error | null = null
  #status: FolderStatus
  #settled = true
  stopped: string | null = null
  #waiting: (() => void)[] = []

  constructor(id: FolderId, name: string, path: string) {
    this.id = id
    this.name = name
    this.path = path
    this.#status = {
      id,
      name,
      path,
      state: 'idle',
      error: null,
      problems: [],
      files: 3,
      directories: 1,
      bytes: 1234,
      need: { files: 0, bytes: 0 },
      conflicts: 0,
      peers: [],
    }
  }

  set(change: Partial<FolderStatus> & { settled?: boolean }): void {
    const { settled, ...status } = change
    this.#status = { ...this.#status, ...status }
    if (settled !== undefined) this.#settled = settled
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  peer(id: DeviceId, change: Partial<PeerStatus> = {}): void {
    const peer = { id, inSync: true, asOf: null, need: { files: 0, bytes: 0 }, stopped: null, ...change }
    this.set({ peers: [...this.#status.peers.filter(each => each.id !== id), peer] })
  }

  async start(): Promise<void> {
    this.calls.push('start')
    if (this.startError !== null) throw this.startError
  }
  async stop(): Promise<void> {
    this.calls.push('stop')
  }
  attach(network: FolderNetwork): void {
    if (this.network !== null) throw new Error('attached twice')
    this.network = network
  }
  status(): FolderStatus {
    return this.#status
  }
  async pause(): Promise<void> {
    this.calls.push('pause')
    this.set({ state: 'paused' })
  }
  async resume(): Promise<void> {
    this.calls.push('resume')
    this.set({ state: 'idle' })
  }
  approve(): Promise<string> {
    return this.#answer('approve')
  }
  reject(): Promise<string> {
    return this.#answer('reject')
  }
  async #answer(what: string): Promise<string> {
    if (this.#status.error === null) throw new KithError('folder-halted', 'Nothing is held.')
    this.calls.push(what)
    this.set({ state: 'idle', error: null })
    return `${what} was said.`
  }
  async rescan(): Promise<void> {
    this.calls.push('rescan')
    if (this.rescanError !== null) throw this.rescanError
  }
  changed({ signal }: { signal: AbortSignal }): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) reject(signal.reason as Error)
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      this.#waiting.push(resolve)
    })
  }
  configure(settings: FolderSettings): void {
    this.settings = settings
  }
  entries(): readonly Shown[] {
    return this.shown
  }

  conflicts(): readonly Conflict[] {
    return this.found
  }
  state(): FolderState {
    const { files, bytes } = this.#status.need
    const { stopped } = this
    return { digest: '00', needFiles: files, needBytes: bytes, settled: this.#settled, pulling: false, stopped }
  }
  digests(): ReadonlyMap<DocId, Uint8Array> {
    return new Map()
  }
  stateVector(): Uint8Array {
    return new Uint8Array()
  }
  missing(): Uint8Array {
    return new Uint8Array()
  }
  async receive(): Promise<{ gaps: readonly DocId[]; refused: string | null }> {
    return { gaps: [], refused: null }
  }
  onPeerState(): void {}
  onCompared(): void {}
  async readWhole(): Promise<null> {
    return null
  }
  async readTop(): Promise<null> {
    return null
  }
  async readSegment(): Promise<null> {
    return null
  }
  async readChunks(): Promise<Together<never>> {
    return { found: [], release: () => undefined }
  }
  offered(): void {}

  progress(): null {
    return null
  }
  async past(): Promise<readonly boolean[]> {
    return []
  }
  async history(): Promise<readonly JournalEntry[]> {
    return []
  }
  async holds(): Promise<readonly boolean[]> {
    return []
  }
}
