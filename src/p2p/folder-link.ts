// One shared folder on one link: what is compared, sent and received, in which order. It promises bounded memory on both ends (a link that
// falls behind forgets what it queued and compares again), that what a peer sends is handed to the folder in the order it came, and
// that a folder of ours which fails costs this folder's syncing on this link for a while, and nothing else.
import type { Clock } from '../core/clock.ts'
import { isKithError } from '../core/errors.ts'
import type { DocId } from '../core/ids.ts'
import { binary } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { DocUpdate, FolderState, SharedFolder } from '../core/ports.ts'
import { Comparison } from './comparison.ts'
import { broken } from './frame.ts'
import type { Peer } from './peer.ts'
import { UpdateReceiver } from './update-receiver.ts'
import { UpdateSender } from './update-sender.ts'
import type { Blobs, Outgoing, SyncMessage } from './wire.ts'
import { DIGEST_BYTES } from './wire.ts'

/** A peer whose state differs from ours for this long, with nothing on the way, is compared again; then after twice as long, … */
const DOUBT_MS = 5_000
const MAX_DOUBT_MS = 80_000
/** After the folder could not take an update. */
const RETRY_MS = 5_000

export interface FolderLinkDeps {
  readonly clock: Clock
  readonly log: Log
}

export type FolderMessage = Extract<SyncMessage, { type: 'digests' | 'want' | 'updates' | 'ack' | 'absent' | 'state' }>

export class FolderLink {
  readonly #folder: SharedFolder
  readonly #peer: Peer
  readonly #deps: FolderLinkDeps
  readonly #comparison: Comparison
  readonly #sender: UpdateSender
  readonly #receiver: UpdateReceiver
  #run: AbortController | null = null
  #closed = false
  #doubting = false
  #stateDue = false
  #toldState = ''
  #peerState: FolderState | null = null

  constructor(folder: SharedFolder, peer: Peer, nextSeq: () => number, deps: FolderLinkDeps) {
    this.#folder = folder
    this.#peer = peer
    this.#deps = deps
    this.#comparison = new Comparison({
      folder,
      clock: deps.clock,
      wake: () => peer.wake(),
      onEqual: () => folder.onCompared(peer.device),
    })
    this.#sender = new UpdateSender(folder, nextSeq, { log: deps.log })
    this.#receiver = new UpdateReceiver(
      {
        receive: updates => folder.receive(updates, peer.device),
        onDurable: seq => peer.post({ type: 'ack', folder: folder.id, seq }),
        onGaps: docs => this.#comparison.want(docs),
        onAnswered: docs => this.#comparison.answered(docs),
        onDigests: (digests, ask) => this.#comparison.received(digests, ask),
        onOrphan: () => void this.#comparison.askLater(),
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
    this.#stateDue = true
    this.#comparison.begin()
  }

  /** One side does not hold the folder any more, as far as is known. Idempotent. */
  stop(): void {
    if (this.#run === null) return
    this.#run.abort()
    this.#run = null
    this.#comparison.reset()
    this.#sender.reset()
    this.#receiver.reset()
    this.#toldState = ''
    this.#peerState = null
    this.#folder.onPeerState(this.#peer.device, null)
  }

  /** Stops for good. */
  close(): void {
    this.#closed = true
    this.stop()
  }

  announce(updates: readonly DocUpdate[]): void {
    // The digests that are about to leave stand for these too.
    if (this.#comparison.fresh) return
    // Also for what the peer lacks and could not be told before these were stored.
    if (this.#sender.announce(updates)) this.#peer.wake()
    else this.#comparison.ask()
  }

  tellState(): void {
    this.#stateDue = true
    this.#peer.wake()
  }

  /** Another link to the same device ended and took with it the peer's state, and that all was compared. */
  repeatPeerState(): void {
    if (this.#peerState !== null) this.#folder.onPeerState(this.#peer.device, this.#peerState)
    if (this.running) this.#comparison.ask()
  }

  /** Throws KithError `peer-protocol` for what the peer did wrong. */
  receive(message: FolderMessage, blobs: Blobs): void {
    this.#orFail(() => this.#receive(message, blobs))
  }

  /** What is to be sent next, or null. */
  next(): Outgoing | null {
    return this.#orFail(() => this.#next()) ?? null
  }

  #receive(message: FolderMessage, blobs: Blobs): void {
    switch (message.type) {
      case 'digests':
        if (message.fresh) this.#startOver()
        this.#receiver.digests(digestsOf(message.docs, blobs), message)
        return
      case 'want':
        this.#sender.answer(vectorsOf(message.docs, blobs))
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
        const { digest, needFiles, needBytes, settled, pulling, stopped } = message
        this.#peerState = { digest, needFiles, needBytes, settled, pulling, stopped }
        this.#folder.onPeerState(this.#peer.device, this.#peerState)
        if (this.#differs()) void this.#doubt()
        return
      }
    }
  }

  #next(): Outgoing | null {
    if (this.#run === null) return null
    if (this.#comparison.fresh) return this.#nextDigests()
    const out = this.#nextState() ?? this.#comparison.nextWant() ?? this.#sender.next()
    if (out !== null) return out
    // Digests that stand for updates still waiting here would make the peer ask for them.
    return this.#sender.hasQueued ? null : this.#nextDigests()
  }

  #nextDigests(): Outgoing | null {
    const out = this.#comparison.nextDigests()
    if (out !== null) this.#sender.compared()
    return out
  }

  #nextState(): Outgoing | null {
    if (!this.#stateDue) return null
    this.#stateDue = false
    const { digest, needFiles, needBytes, settled, pulling, stopped } = this.#folder.state()
    const state = { digest, needFiles, needBytes, settled, pulling, stopped }
    const told = JSON.stringify(state)
    if (told === this.#toldState) return null
    this.#toldState = told
    return { message: { type: 'state', folder: this.#folder.id, ...state }, blobs: [] }
  }

  /** The peer dropped what was on its way and forgot what it knew of us. */
  #startOver(): void {
    this.#sender.forgetSent()
    this.#comparison.forgetAsked()
    this.#toldState = ''
    this.#stateDue = true
  }

  #differs(): boolean {
    return this.#peerState !== null && this.#peerState.digest !== this.#folder.state().digest
  }

  /** Whatever went wrong in between, two sides that keep saying different things compare again. */
  async #doubt(): Promise<void> {
    const run = this.#run
    if (this.#doubting || run === null) return
    this.#doubting = true
    try {
      for (let ms = DOUBT_MS; this.#differs(); ms = Math.min(ms * 2, MAX_DOUBT_MS)) {
        await this.#deps.clock.sleep(ms, { signal: run.signal })
        const quiet = this.#sender.idle && this.#receiver.idle && !this.#comparison.pulling
        if (quiet && this.#differs()) this.#comparison.ask()
      }
    } catch {
      return // stopped
    } finally {
      this.#doubting = false
    }
  }

  #orFail<T>(work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      if (isKithError(error) && error.code === 'peer-protocol') throw error
      void this.#failed(error)
      return undefined
    }
  }

  async #failed(error: unknown): Promise<void> {
    const folder = this.#folder.id
    this.#deps.log.warn({ folder, error: String(error) }, 'a folder does not sync over this link for now')
    this.stop()
    this.#peer.post({ type: 'absent', folder })
    try {
      await this.#deps.clock.sleep(RETRY_MS, { signal: this.#peer.signal })
    } catch {
      return // the link ended
    }
    this.begin()
  }
}

export function isFolderMessage(message: SyncMessage): message is FolderMessage {
  switch (message.type) {
    case 'digests':
    case 'want':
    case 'updates':
    case 'ack':
    case 'absent':
    case 'state':
      return true
    default:
      return false
  }
}

function digestsOf(docs: readonly DocId[], blobs: Blobs): Map<DocId, string> {
  const blob = blobs[0] ?? new Uint8Array(0)
  if (blobs.length > 1 || blob.byteLength !== docs.length * DIGEST_BYTES) throw broken('digests of a wrong length')
  return new Map(docs.map((doc, at) => [doc, binary(blob.subarray(at * DIGEST_BYTES, (at + 1) * DIGEST_BYTES))]))
}

function vectorsOf(docs: readonly DocId[], blobs: Blobs): Map<DocId, Uint8Array> {
  const out = new Map<DocId, Uint8Array>()
  for (const [at, doc] of docs.entries()) {
    const blob = blobs[at]
    if (blob === undefined) throw broken('a want without its state vector')
    out.set(doc, blob)
  }
  if (blobs.length !== docs.length) throw broken('more state vectors than documents')
  return out
}
