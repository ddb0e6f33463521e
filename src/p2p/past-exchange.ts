// What linked devices' journals know of the past: asked of all of them in bounded batches, and answered to them. It promises that a device
// is told only of a folder that both share right now, that few questions of one link wait here at a time, and that a device that
// cannot answer (an older version, a link that ended, a folder it does not share) counts as one that was not there.
import type { ContentId, DeviceId, FolderId, NodeId } from '../core/ids.ts'
import { binary } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { FolderNetwork, PastQuery, SharedFolder, Waiting } from '../core/ports.ts'
import { broken } from './frame.ts'
import type { PartLink, Peer, SessionPart } from './peer.ts'
import type { Blobs, SyncMessage } from './wire.ts'
import { CONTENT_ID_BYTES, MAX_PAST_PATH, MAX_QUERIES, NODE_BYTES, onlyBlob } from './wire.ts'

/** Batches on the way to one device at one time: it answers those that wait together. */
const ASKING = 4
/** Paths of one batch, in UTF-16 units: all of them travel in one header. */
const BATCH_PATHS = 64 * 1024
/** Questions of one link not yet answered; an honest peer stays far below. */
const MAX_WAITING = 16
const ANSWER_TIMEOUT_MS = 120_000
const QUERY_BYTES = NODE_BYTES + CONTENT_ID_BYTES

export interface PastExchangeDeps {
  readonly log: Log
  /** How long a device may take to answer. */
  readonly answerMs?: number
  /** The folder, where this device shares it with that one right now. */
  sharedWith(folder: FolderId, device: DeviceId): SharedFolder | undefined
}

export class PastExchange implements SessionPart {
  readonly #deps: PastExchangeDeps
  readonly #links = new Set<PastLink>()

  constructor(deps: PastExchangeDeps) {
    this.#deps = deps
  }

  attach(peer: Peer): PartLink {
    const link = new PastLink(peer, this.#deps, gone => this.#links.delete(gone))
    this.#links.add(link)
    return link
  }

  share(folder: FolderId): Pick<FolderNetwork, 'past'> {
    return { past: (queries, options) => this.#past(folder, queries, options) }
  }

  async #past(folder: FolderId, queries: readonly PastQuery[], options: Waiting): Promise<readonly boolean[] | null> {
    options.signal.throwIfAborted()
    const byDevice = new Map<DeviceId, PastLink>()
    for (const link of this.#links)
      if (this.#deps.sharedWith(folder, link.device) !== undefined) byDevice.set(link.device, link)
    const batches = batchesOf(queries)
    const answers = await Promise.all([...byDevice.values()].map(link => link.askAll(folder, batches, options)))
    options.signal.throwIfAborted()
    const known = queries.map(() => false)
    let answered = false
    for (const answer of answers) {
      if (answer === null) continue
      answered = true
      for (const at of answer) known[at] = true
    }
    return answered ? known : null
  }
}

interface Batch {
  /** Where they stand among all. */
  readonly at: readonly number[]
  readonly queries: readonly PastQuery[]
}

/** A path that is longer than any message takes is not asked about: nobody knows it. */
function batchesOf(queries: readonly PastQuery[]): Batch[] {
  const batches: Batch[] = []
  let at: number[] = []
  let some: PastQuery[] = []
  let length = 0
  const flush = (): void => {
    if (some.length > 0) batches.push({ at, queries: some })
    at = []
    some = []
    length = 0
  }
  for (const [index, query] of queries.entries()) {
    if (query.path.length > MAX_PAST_PATH) continue
    if (some.length === MAX_QUERIES || length + query.path.length > BATCH_PATHS) flush()
    at.push(index)
    some.push(query)
    length += query.path.length
  }
  flush()
  return batches
}

class PastLink implements PartLink {
  readonly device: DeviceId
  readonly #peer: Peer
  readonly #deps: PastExchangeDeps
  readonly #onDetached: (link: PastLink) => void
  /** Null: no answer. */
  readonly #waiting = new Map<number, (known: readonly boolean[] | null) => void>()
  #ids = 0
  #answering = 0
  #refused = false
  /** It let a question wait too long: it is not waited for again before it answers one. */
  #silent = false

  constructor(peer: Peer, deps: PastExchangeDeps, onDetached: (link: PastLink) => void) {
    this.device = peer.device
    this.#peer = peer
    this.#deps = deps
    this.#onDetached = onDetached
  }

  /** The places of what the device knows; null where it did not answer. */
  async askAll(folder: FolderId, batches: readonly Batch[], options: Waiting): Promise<readonly number[] | null> {
    const known: number[] = []
    for (let from = 0; from < batches.length; from += ASKING) {
      const some = batches.slice(from, from + ASKING)
      const answers = await Promise.all(some.map(({ queries }) => this.#ask(folder, queries, options)))
      for (const [n, answer] of answers.entries()) {
        if (answer === null) return null
        for (const [place, yes] of answer.entries()) {
          const at = some[n]?.at[place]
          if (yes && at !== undefined) known.push(at)
        }
      }
    }
    return known
  }

  #ask(folder: FolderId, queries: readonly PastQuery[], options: Waiting): Promise<readonly boolean[] | null> {
    const id = ++this.#ids
    if (this.#refused || this.#silent || this.#peer.signal.aborted || options.signal.aborted)
      return Promise.resolve(null)
    const signal = AbortSignal.any([options.signal, AbortSignal.timeout(this.#deps.answerMs ?? ANSWER_TIMEOUT_MS)])
    return new Promise(resolve => {
      const finish = (known: readonly boolean[] | null): void => {
        this.#waiting.delete(id)
        signal.removeEventListener('abort', late)
        resolve(known?.length === queries.length ? known : null)
      }
      const late = (): void => {
        this.#silent ||= !options.signal.aborted
        finish(null)
      }
      signal.addEventListener('abort', late, { once: true })
      this.#waiting.set(id, finish)
      this.#peer.post({ type: 'past', id, folder, queries: queries.map(({ path, kind }) => ({ path, kind })) }, [
        packed(queries),
      ])
    })
  }

  receive(message: SyncMessage, blobs: Blobs): boolean {
    switch (message.type) {
      case 'past':
        if (++this.#answering > MAX_WAITING) throw broken('more questions than allowed')
        void this.#answer(message.id, message.folder, unpacked(message.queries, onlyBlob(blobs)))
        return true
      case 'known':
        this.#silent = false
        this.#waiting.get(message.id)?.(message.known)
        return true
      default:
        return false
    }
  }

  next(): null {
    return null
  }

  onFolders(): void {}

  refused(what: string): void {
    if (what !== 'past') return
    this.#refused = true
    this.#giveUp()
  }

  detach(): void {
    this.#giveUp()
    this.#onDetached(this)
  }

  #giveUp(): void {
    for (const finish of [...this.#waiting.values()]) finish(null)
  }

  /** Without an answer for each question there is none. */
  async #answer(id: number, folder: FolderId, queries: readonly PastQuery[]): Promise<void> {
    let known: readonly boolean[] = []
    try {
      const shared = this.#deps.sharedWith(folder, this.device)
      if (shared !== undefined) known = await shared.past(queries, { signal: this.#peer.signal })
    } catch (error) {
      this.#deps.log.debug({ folder, error: String(error) }, 'the past that was asked for could not be read')
    } finally {
      this.#answering--
    }
    this.#peer.post({ type: 'known', id, known: [...known] })
  }
}

function packed(queries: readonly PastQuery[]): Uint8Array {
  const out = Buffer.alloc(queries.length * QUERY_BYTES)
  for (const [at, { node, content }] of queries.entries()) {
    out.write(node ?? '', at * QUERY_BYTES, 'latin1')
    out.write(content, at * QUERY_BYTES + NODE_BYTES, 'latin1')
  }
  return out
}

/** All zeros stand for no node (the root is never asked about) and no content. */
function unpacked(queries: readonly Pick<PastQuery, 'path' | 'kind'>[], blob: Uint8Array): PastQuery[] {
  if (blob.byteLength !== queries.length * QUERY_BYTES) throw broken('questions of a wrong length')
  const text = (from: number, length: number): string => {
    const bytes = blob.subarray(from, from + length)
    return bytes.some(byte => byte !== 0) ? binary(bytes) : ''
  }
  return queries.map(({ path, kind }, at) => {
    const node = text(at * QUERY_BYTES, NODE_BYTES)
    const content = text(at * QUERY_BYTES + NODE_BYTES, CONTENT_ID_BYTES) as ContentId
    return { path, kind, node: node === '' ? null : (node as NodeId), content }
  })
}
