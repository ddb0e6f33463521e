// One shared folder on one link: digests compared, differences pulled, updates sent in order and acknowledged when durable, states told.
// It promises bounded memory on both ends (a link that falls behind forgets what it queued and compares again) and that what a
// peer sends is handed to the folder in the order it came. Sending is in UpdateSender, receiving in UpdateReceiver; here is when to
// compare. It never retries in a tight loop: a difference that stays is looked at less and less often.
import type { Clock } from '../core/clock.ts'
import type { DocId, FolderId } from '../core/ids.ts'
import { binary, DIRECTORIES_DOC } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { DocUpdate, FolderState, SharedFolder } from '../core/ports.ts'
import { broken } from './frame.ts'
import type { Peer } from './peer.ts'
import { UpdateReceiver } from './update-receiver.ts'
import { UpdateSender } from './update-sender.ts'
import type { Blobs, Outgoing, SyncMessage } from './wire.ts'
import { DIGEST_BYTES } from './wire.ts'

/** This many pulls in a row are made at once, then one after each of growing pauses, until both sides are equal. */
const QUICK_PULLS = 3
const ROUND_PAUSE_MS = 200
const MAX_ROUND_PAUSE_MS = 30_000
/** A peer whose state differs from ours for this long, with nothing on the way, is compared again. */
const DOUBT_MS = 5_000
/** After the folder could not take an update. */
const RETRY_MS = 5_000

export interface FolderLinkDeps {
  readonly clock: Clock
  readonly log: Log
}

type FolderMessage = Extract<SyncMessage, { folder: FolderId }>

export class FolderLink {
  readonly #folder: SharedFolder
  readonly #peer: Peer
  readonly #deps: FolderLinkDeps
  readonly #sender: UpdateSender
  readonly #receiver: UpdateReceiver
  #run: AbortController | null = null
  /** What the peer said last, doc → digest; null before the first. */
  #theirs: ReadonlyMap<DocId, string> | null = null
  #compareDue: 'no' | 'tell' | 'ask' = 'no'
  #fresh = false
  #stateDue = false
  #toldState = ''
  #peerState: FolderState | null = null
  readonly #wanted = new Set<DocId>()
  readonly #wantedAgain = new Set<DocId>()
  #wantsDue = new Set<DocId>()
  #pulls = QUICK_PULLS
  #pauses = 0
  #closed = false
  #pause: AbortController | null = null

  constructor(folder: SharedFolder, peer: Peer, nextSeq: () => number, deps: FolderLinkDeps) {
    this.#folder = folder
    this.#peer = peer
    this.#deps = deps
    this.#sender = new UpdateSender(folder, nextSeq, { log: deps.log })
    this.#receiver = new UpdateReceiver(
      {
        receive: updates => folder.receive(updates, peer.device),
        onDurable: seq => peer.post({ type: 'ack', folder: folder.id, seq }),
        onGaps: docs => this.#want(docs),
        onAnswered: docs => this.#answered(docs),
        onDigests: (digests, ask) => this.#compared(digests, ask),
        onOrphan: () => this.#compareLater(),
        onFailed: error => void this.#failed(error),
      },
      { log: deps.log },
    )
  }

  get running(): boolean {
    return this.#run !== null
  }

  /** Both sides hold the folder: compare. Idempotent. */
  begin(): void {
    if (this.#run !== null || this.#closed) return
    this.#run = new AbortController()
    this.#fresh = true
    this.#compareDue = 'ask'
    this.#stateDue = true
    this.#peer.wake()
  }

  /** The link ended, or one side does not hold the folder any more. Idempotent. */
  stop(): void {
    if (this.#run === null) return
    this.#run.abort()
    this.#run = null
    this.#sender.reset()
    this.#receiver.reset()
    this.#theirs = null
    this.#compareDue = 'no'
    this.#toldState = ''
    this.#peerState = null
    this.#wanted.clear()
    this.#wantedAgain.clear()
    this.#wantsDue.clear()
    this.#pulls = QUICK_PULLS
    this.#pauses = 0
    this.#pause?.abort()
    this.#pause = null
    this.#folder.onPeerState(this.#peer.device, null)
  }

  /** Stops for good. */
  close(): void {
    this.#closed = true
    this.stop()
  }

  announce(updates: readonly DocUpdate[]): void {
    // While a comparison is due, its digests will stand for these too.
    if (this.#fresh) return
    if (!this.#sender.announce(updates)) this.#compareDue = 'ask'
    this.#peer.wake()
  }

  tellState(): void {
    this.#stateDue = true
    this.#peer.wake()
  }

  /** Another link to the same device ended and took the peer's state with it. */
  repeatPeerState(): void {
    if (this.#peerState !== null) this.#folder.onPeerState(this.#peer.device, this.#peerState)
  }

  receive(message: FolderMessage, blobs: Blobs): void {
    switch (message.type) {
      case 'digests':
        if (message.fresh) this.#startOver()
        this.#receiver.digests(digestsOf(message.docs, blobs), message)
        return
      case 'want':
        this.#sender.answer(pairs(message.docs, blobs))
        this.#peer.wake()
        return
      case 'updates':
        this.#receiver.updates(message, blobs)
        return
      case 'ack':
        this.#sender.acknowledged(message.seq)
        this.#peer.wake()
        return
      case 'absent':
        this.stop()
        return
      case 'state': {
        const { digest, needFiles, needBytes, settled } = message
        this.#peerState = { digest, needFiles, needBytes, settled }
        this.#folder.onPeerState(this.#peer.device, this.#peerState)
        if (digest !== this.#folder.state().digest) void this.#doubt()
        return
      }
      default:
        throw broken(`a message of type ${message.type} about documents`)
    }
  }

  /** What is to be sent next, or null. */
  next(): Outgoing | null {
    if (this.#run === null) return null
    // The peer may drop whatever comes before the fresh digests.
    if (this.#fresh) return this.#nextDigests()
    return this.#nextState() ?? this.#nextWant() ?? this.#sender.next() ?? this.#nextDigests()
  }

  #nextState(): Outgoing | null {
    if (!this.#stateDue) return null
    this.#stateDue = false
    const { digest, needFiles, needBytes, settled } = this.#folder.state()
    const state = { digest, needFiles, needBytes, settled }
    const told = JSON.stringify(state)
    if (told === this.#toldState) return null
    this.#toldState = told
    return { message: { type: 'state', folder: this.#folder.id, ...state }, blobs: [] }
  }

  #nextWant(): Outgoing | null {
    if (this.#wantsDue.size === 0) return null
    const docs = [...this.#wantsDue].sort(directoriesFirst)
    this.#wantsDue = new Set()
    for (const doc of docs) this.#wanted.add(doc)
    const blobs = docs.map(doc => this.#folder.stateVector(doc))
    return { message: { type: 'want', folder: this.#folder.id, docs }, blobs }
  }

  #nextDigests(): Outgoing | null {
    // Digests that stand for updates still waiting here would make the peer ask for them.
    if (this.#compareDue === 'no' || (this.#sender.hasQueued && !this.#fresh)) return null
    const ask = this.#compareDue === 'ask'
    const digests = [...this.#folder.digests()]
    const docs = digests.map(([doc]) => doc)
    const message = { type: 'digests' as const, folder: this.#folder.id, docs, ask, fresh: this.#fresh }
    this.#compareDue = 'no'
    this.#fresh = false
    this.#sender.compared()
    this.#peer.wake()
    return { message, blobs: [Buffer.concat(digests.map(([, digest]) => digest))] }
  }

  /** The peer's digests arrived, after everything that it sent before them has been received. */
  #compared(theirs: ReadonlyMap<DocId, string>, ask: boolean): void {
    this.#theirs = theirs
    const differing = this.#differing(theirs)
    if (ask) this.#compareDue = this.#compareDue === 'ask' ? 'ask' : 'tell'
    if (differing.length === 0) this.#equal()
    else if (this.#pulls > 0) this.#pull(differing)
    else this.#compareLater()
    this.#peer.wake()
  }

  #pull(docs: readonly DocId[]): void {
    const due = docs.filter(doc => !this.#wanted.has(doc) && !this.#wantsDue.has(doc))
    if (due.length === 0) return
    this.#pulls--
    this.#want(due)
  }

  #answered(docs: readonly DocId[]): void {
    for (const doc of docs) {
      this.#wanted.delete(doc)
      if (this.#wantedAgain.delete(doc)) this.#want([doc])
    }
    if (this.#wanted.size > 0 || this.#wantsDue.size > 0 || this.#theirs === null) return
    // Everything asked for has come: the peer is told where we are now, and we look whether that is where it was.
    if (this.#differing(this.#theirs).length === 0) this.#equal()
    else this.#compareLater()
    if (this.#compareDue === 'no') this.#compareDue = 'tell'
    this.#peer.wake()
  }

  #equal(): void {
    this.#pulls = QUICK_PULLS
    this.#pauses = 0
    this.#pause?.abort()
    this.#pause = null
    this.#folder.onCompared(this.#peer.device)
  }

  #want(docs: readonly DocId[]): void {
    for (const doc of docs) {
      if (this.#wanted.has(doc)) this.#wantedAgain.add(doc)
      else this.#wantsDue.add(doc)
    }
    this.#peer.wake()
  }

  #differing(theirs: ReadonlyMap<DocId, string>): DocId[] {
    const ours = this.#folder.digests()
    const out = new Set<DocId>()
    for (const [doc, digest] of ours) if (theirs.get(doc) !== binary(digest)) out.add(doc)
    for (const doc of theirs.keys()) if (!ours.has(doc)) out.add(doc)
    return [...out]
  }

  #compareLater(): void {
    const ms = Math.min(MAX_ROUND_PAUSE_MS, ROUND_PAUSE_MS * 2 ** Math.min(this.#pauses, 10))
    void this.#after(ms, () => {
      this.#pauses++
      this.#pulls = Math.max(this.#pulls, 1)
      this.#compareDue = 'ask'
      this.#peer.wake()
    })
  }

  /** The peer dropped what was on its way and will not answer what it was asked before. */
  #startOver(): void {
    this.#sender.forgetSent()
    this.#wanted.clear()
    this.#wantedAgain.clear()
    this.#toldState = ''
    this.#stateDue = true
  }

  async #failed(error: unknown): Promise<void> {
    this.#deps.log.warn({ folder: this.#folder.id, error: String(error) }, 'an update could not be kept')
    this.stop()
    this.#peer.post({ type: 'absent', folder: this.#folder.id })
    try {
      await this.#deps.clock.sleep(RETRY_MS, { signal: this.#peer.signal })
    } catch {
      return // the link ended
    }
    this.begin()
  }

  #doubt(): Promise<void> {
    return this.#after(DOUBT_MS, () => {
      const quiet = this.#sender.idle && this.#receiver.idle && this.#wanted.size === 0
      if (!quiet || this.#peerState === null || this.#peerState.digest === this.#folder.state().digest) return
      this.#compareDue = 'ask'
      this.#peer.wake()
    })
  }

  /** One pause at a time: what is to come after the running one comes with it. */
  async #after(ms: number, then: () => void): Promise<void> {
    const run = this.#run
    if (this.#pause !== null || run === null) return
    const pause = new AbortController()
    this.#pause = pause
    try {
      await this.#deps.clock.sleep(ms, { signal: AbortSignal.any([pause.signal, run.signal]) })
    } catch {
      return // equal now, or stopped
    } finally {
      if (this.#pause === pause) this.#pause = null
    }
    then()
  }
}

function directoriesFirst(a: DocId, b: DocId): number {
  if (a === b) return 0
  return a === DIRECTORIES_DOC ? -1 : b === DIRECTORIES_DOC ? 1 : a - b
}

function digestsOf(docs: readonly DocId[], blobs: Blobs): Map<DocId, string> {
  const blob = blobs[0] ?? new Uint8Array(0)
  if (blobs.length > 1 || blob.byteLength !== docs.length * DIGEST_BYTES) throw broken('digests of a wrong length')
  return new Map(docs.map((doc, at) => [doc, binary(blob.subarray(at * DIGEST_BYTES, (at + 1) * DIGEST_BYTES))]))
}

function pairs(docs: readonly DocId[], blobs: Blobs): Map<DocId, Uint8Array> {
  const out = new Map<DocId, Uint8Array>()
  for (const [at, doc] of docs.entries()) {
    const blob = blobs[at]
    if (blob === undefined) throw broken('a want without its state vector')
    out.set(doc, blob)
  }
  if (blobs.length !== docs.length) throw broken('more state vectors than documents')
  return out
}
