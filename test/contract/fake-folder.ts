// A SharedFolder without a disk: documents are logs of (actor, number, payload) that behave like Yjs as far as the network can tell
// (state vectors, differences, gaps that wait), contents lie in memory. For suites of the network alone.
import { setImmediate } from 'node:timers/promises'
import { decode, encode } from 'cborg'
import type { ContentList } from '../../src/core/content.ts'
import { contentOf, sha256 } from '../../src/core/content-list.ts'
import { KithError } from '../../src/core/errors.ts'
import type { ContentId, DeviceId, DocId, FolderId, Hash } from '../../src/core/ids.ts'
import { bytesOf, hexOf } from '../../src/core/ids.ts'
import type { HistoryQuery, JournalEntry } from '../../src/core/past.ts'
import type { DocUpdate, FolderNetwork, FolderState, PastQuery, SharedFolder, Together } from '../../src/core/ports.ts'

type Op = readonly [actor: number, number: number, payload: Uint8Array]

export class FakeFolder implements SharedFolder {
  readonly id: FolderId
  readonly name = 'fake'
  readonly actor: number
  network: FolderNetwork | null = null
  readonly peerStates = new Map<DeviceId, FolderState | null>()
  readonly comparedWith: DeviceId[] = []
  /** Every operation taken from a peer, in order: `doc actor number`. */
  readonly arrived: string[] = []
  readonly arrivedFrom: DeviceId[] = []
  /** Awaited inside of `receive`, before anything is durable. */
  durable: () => Promise<unknown> = setImmediate
  /** The next update is answered as taken, and is not. */
  loseNext = false
  failing: Error | null = null
  needFiles = 0
  stopped: string | null = null
  reads = 0
  readonly segmentsAsked: Hash[] = []
  progressAsked = 0
  readonly offers: { device: DeviceId; file: number; prefix: ContentId | null }[] = []
  /** On its way here: what was added of it can be read. */
  readonly receiving = new Map<ContentId, ContentList>()
  /** Bytes of chunks given away. */
  sent = 0
  /** What was asked of the past. */
  readonly pasts: (readonly PastQuery[])[] = []
  /** It cannot answer. */
  forgetful = false
  remembers: (query: PastQuery) => boolean = () => false
  /** Asked for its history, or what it holds. */
  readonly histories: HistoryQuery[] = []
  readonly holdsAsked: (readonly ContentId[])[] = []
  journal: readonly JournalEntry[] = []
  /** Awaited before every answer with content. */
  reading: () => Promise<unknown> = () => Promise.resolve()
  /** Changes chunks and contents on their way out. */
  spoil: (bytes: Uint8Array) => Uint8Array = bytes => bytes
  readonly #docs = new Map<DocId, Map<number, Uint8Array[]>>()
  /** Hash over each log, continued with each operation. */
  readonly #chains = new Map<string, string>()
  #waiting: { doc: DocId; op: Op }[] = []
  readonly #contents = new Map<ContentId, { list: ContentList; bytes: Uint8Array }>()
  readonly #chunks = new Map<Hash, Uint8Array>()

  constructor(id: FolderId, actor: number) {
    this.id = id
    this.actor = actor
  }

  /** A local edit, announced where there is a network. */
  edit(doc: number, payload: Uint8Array | string): DocUpdate {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
    const log = this.#log(doc as DocId, this.actor)
    this.#append(doc as DocId, this.actor, log, new Uint8Array(bytes))
    const update = { doc: doc as DocId, update: encode([[this.actor, log.length, new Uint8Array(bytes)]]) }
    this.network?.announce([update], null)
    return update
  }

  addContent(bytes: Uint8Array): ContentId {
    const list = contentOf(bytes)
    this.#contents.set(list.content, { list, bytes })
    let at = 0
    for (const chunk of list.chunks) {
      this.#chunks.set(chunk.hash, bytes.subarray(at, at + chunk.length))
      at += chunk.length
    }
    return list.content
  }

  listOf(content: ContentId): ContentList | undefined {
    return this.#contents.get(content)?.list
  }

  addChunk(hash: Hash, bytes: Uint8Array): void {
    this.#chunks.set(hash, bytes)
  }

  /** Forgets one chunk, as a device that is still receiving the content. */
  dropChunk(hash: Hash): void {
    this.#chunks.delete(hash)
  }

  get digest(): string {
    let all = ''
    for (const [doc, digest] of [...this.digests()].sort(([a], [b]) => a - b))
      all += `${doc}:${Buffer.from(digest).toString('hex')} `
    return hexOf(sha256(Buffer.from(all)))
  }

  digests(): ReadonlyMap<DocId, Uint8Array> {
    const out = new Map<DocId, Uint8Array>()
    for (const [doc, actors] of this.#docs) {
      const sorted = [...actors].filter(([, log]) => log.length > 0).sort(([a], [b]) => a - b)
      const line = sorted.map(([actor]) => `${actor}:${this.#chains.get(`${doc} ${actor}`)}`).join()
      if (sorted.length > 0) out.set(doc, bytesOf(sha256(Buffer.from(line, 'latin1'))))
    }
    return out
  }

  stateVector(doc: DocId): Uint8Array {
    return encode([...(this.#docs.get(doc) ?? [])].map(([actor, log]) => [actor, log.length]))
  }

  missing(doc: DocId, stateVector: Uint8Array): Uint8Array {
    const have = new Map(decode(stateVector) as [number, number][])
    const ops: Op[] = []
    for (const [actor, log] of this.#docs.get(doc) ?? []) {
      for (let at = have.get(actor) ?? 0; at < log.length; at++) ops.push([actor, at + 1, log[at] as Uint8Array])
    }
    return encode(ops)
  }

  async receive(
    updates: readonly DocUpdate[],
    from: DeviceId,
  ): Promise<{ gaps: readonly DocId[]; refused: string | null }> {
    await this.durable()
    if (this.failing !== null) throw this.failing
    if (this.loseNext) {
      this.loseNext = false
      return { gaps: [], refused: null }
    }
    const gaps = new Set<DocId>()
    const taken: DocUpdate[] = []
    for (const { doc, update } of updates) {
      let ops: Op[]
      try {
        ops = decode(update) as Op[]
      } catch {
        return { gaps: [], refused: 'malformed' }
      }
      for (const op of ops) {
        if (!this.#apply(doc, op, from)) {
          this.#waiting.push({ doc, op })
          gaps.add(doc)
        } else taken.push({ doc, update: encode([op]) })
      }
    }
    const waiting = this.#waiting
    this.#waiting = []
    for (const each of waiting.sort((a, b) => a.op[1] - b.op[1])) {
      if (this.#apply(each.doc, each.op, from)) taken.push({ doc: each.doc, update: encode([each.op]) })
      else this.#waiting.push(each)
    }
    this.network?.announce(taken, from)
    this.network?.stateChanged()
    return { gaps: [...gaps].filter(doc => this.#waiting.some(each => each.doc === doc)), refused: null }
  }

  state(): FolderState {
    return {
      digest: this.digest,
      needFiles: this.needFiles,
      needBytes: 0,
      settled: true,
      pulling: false,
      stopped: this.stopped,
    }
  }

  onPeerState(device: DeviceId, state: FolderState | null): void {
    this.peerStates.set(device, state)
  }

  onCompared(device: DeviceId): void {
    this.comparedWith.push(device)
  }

  async readWhole(content: ContentId): Promise<Uint8Array | null> {
    this.reads++
    await this.reading()
    const bytes = this.#contents.get(content)?.bytes
    return bytes === undefined ? null : this.spoil(bytes)
  }

  async readTop(content: ContentId): Promise<{ top: Uint8Array; size: number } | null> {
    const list = this.#contents.get(content)?.list
    return list === undefined ? null : { top: this.spoil(list.top), size: list.size }
  }

  async readSegment(hash: Hash): Promise<Uint8Array | null> {
    this.segmentsAsked.push(hash)
    for (const { list } of this.#contents.values()) {
      const segment = list.segments.get(hash)
      if (segment !== undefined) return segment
    }
    return null
  }

  async readChunks(hashes: readonly Hash[]): Promise<Together<Uint8Array>> {
    const found = await Promise.all(hashes.map(hash => this.#readChunk(hash)))
    // Whoever looks at them afterwards finds something else.
    return {
      found,
      release: () => {
        for (const bytes of found) bytes?.fill(0)
      },
    }
  }

  async #readChunk(hash: Hash): Promise<Uint8Array | null> {
    this.reads++
    await this.reading()
    const bytes = this.#chunks.get(hash)
    this.sent += bytes?.byteLength ?? 0
    return bytes === undefined ? null : Uint8Array.from(this.spoil(bytes))
  }

  offered(device: DeviceId, file: number, prefix: ContentId | null): void {
    this.offers.push({ device, file, prefix })
  }

  progress(content: ContentId): Uint8Array | 'all' | null {
    this.progressAsked++
    const list = this.receiving.get(content) ?? this.#contents.get(content)?.list
    if (list === undefined) return null
    if (list.chunks.every(({ hash }) => this.#chunks.has(hash))) return 'all'
    const bits = new Uint8Array((list.chunks.length + 7) >> 3)
    for (const [place, { hash }] of list.chunks.entries())
      if (this.#chunks.has(hash)) bits[place >> 3] = (bits[place >> 3] as number) | (1 << (place & 7))
    return bits
  }

  async past(queries: readonly PastQuery[]): Promise<readonly boolean[]> {
    this.pasts.push(queries)
    await this.reading()
    if (this.forgetful) throw new KithError('store-failed', 'The journal cannot be read.')
    return queries.map(query => this.remembers(query))
  }

  async history(query: HistoryQuery): Promise<readonly JournalEntry[]> {
    this.histories.push(query)
    await this.reading()
    if (this.forgetful) throw new KithError('store-failed', 'The journal cannot be read.')
    return this.journal.filter(({ path, node }) => path === query.path || query.nodes.includes(node))
  }

  async holds(contents: readonly ContentId[]): Promise<readonly boolean[]> {
    this.holdsAsked.push(contents)
    await this.reading()
    if (this.forgetful) throw new KithError('store-failed', 'The versions cannot be read.')
    return contents.map(content => this.#contents.has(content))
  }

  #log(doc: DocId, actor: number): Uint8Array[] {
    const actors = this.#docs.get(doc) ?? new Map<number, Uint8Array[]>()
    this.#docs.set(doc, actors)
    const log = actors.get(actor) ?? []
    actors.set(actor, log)
    return log
  }

  #append(doc: DocId, actor: number, log: Uint8Array[], payload: Uint8Array): void {
    const key = `${doc} ${actor}`
    log.push(payload)
    this.#chains.set(key, sha256(Buffer.concat([Buffer.from(this.#chains.get(key) ?? '', 'latin1'), payload])))
  }

  #apply(doc: DocId, [actor, number, payload]: Op, from: DeviceId): boolean {
    const log = this.#log(doc, actor)
    if (number > log.length + 1) return false
    if (number <= log.length) return true
    this.#append(doc, actor, log, payload)
    this.arrived.push(`${doc} ${actor} ${number}`)
    this.arrivedFrom.push(from)
    return true
  }
}
