// Are one folder's documents equal on both ends of a link? Digests are exchanged, what differs is pulled, until they are. It promises that
// equality is only said of digests that were really compared, that a document is asked for once at a time, and that a difference
// which stays is looked at less and less often, never in a tight loop. Pure but for the pauses; folder-link.ts carries its messages.
import type { Clock } from '../core/clock.ts'
import type { DocId } from '../core/ids.ts'
import { binary, DIRECTORIES_DOC } from '../core/ids.ts'
import type { SharedFolder } from '../core/ports.ts'
import type { Outgoing } from './wire.ts'

/** This many pulls in a row are made at once, then one after each of growing pauses, until both sides are equal. */
const QUICK_PULLS = 3
const PAUSE_MS = 200
const MAX_PAUSE_MS = 30_000

export interface ComparisonDeps {
  readonly folder: Pick<SharedFolder, 'id' | 'digests' | 'stateVector'>
  readonly clock: Pick<Clock, 'sleep'>
  /** There is something to send. */
  wake(): void
  onEqual(): void
}

export class Comparison {
  readonly #deps: ComparisonDeps
  /** What the peer said last, doc → digest; null before the first. */
  #theirs: ReadonlyMap<DocId, string> | null = null
  #due: 'no' | 'tell' | 'ask' = 'no'
  #fresh = false
  /** Asked for and not yet answered. */
  readonly #wanted = new Set<DocId>()
  /** To be asked for once more when the answer is there. */
  readonly #wantedAgain = new Set<DocId>()
  #wantsDue = new Set<DocId>()
  #pulls = QUICK_PULLS
  #pauses = 0
  #pause: AbortController | null = null

  constructor(deps: ComparisonDeps) {
    this.#deps = deps
  }

  /** Until the first digests have left, the peer may drop whatever it gets. */
  get fresh(): boolean {
    return this.#fresh
  }

  get pulling(): boolean {
    return this.#wanted.size > 0 || this.#wantsDue.size > 0
  }

  begin(): void {
    this.#fresh = true
    this.ask()
  }

  reset(): void {
    this.forgetAsked()
    this.#theirs = null
    this.#due = 'no'
    this.#fresh = false
    this.#wantsDue.clear()
    this.#settled()
  }

  /** Tell ours, and ask for theirs. */
  ask(): void {
    this.#due = 'ask'
    this.#deps.wake()
  }

  /** The same, after a pause that grows; with the one that is running, if there is one. */
  async askLater(): Promise<void> {
    if (this.#pause !== null) return
    const pause = new AbortController()
    this.#pause = pause
    const ms = Math.min(MAX_PAUSE_MS, PAUSE_MS * 2 ** Math.min(this.#pauses, 10))
    try {
      await this.#deps.clock.sleep(ms, { signal: pause.signal })
    } catch {
      return // equal by now, or reset
    }
    this.#pause = null
    this.#pauses++
    this.#pulls = Math.max(this.#pulls, 1)
    this.ask()
  }

  /** The peer started over and will not answer what it was asked before. */
  forgetAsked(): void {
    this.#wanted.clear()
    this.#wantedAgain.clear()
  }

  /** The peer's digests arrived, and everything that it sent before them has been received. */
  received(theirs: ReadonlyMap<DocId, string>, ask: boolean): void {
    this.#theirs = theirs
    if (ask && this.#due === 'no') this.#due = 'tell'
    const differing = this.#differing(theirs)
    if (differing.length === 0) this.#equal()
    else if (this.#pulls > 0) this.#pull(differing)
    else void this.askLater()
    this.#deps.wake()
  }

  /** An update did not fit: something before it is missing. */
  want(docs: readonly DocId[]): void {
    for (const doc of docs) {
      if (this.#wanted.has(doc)) this.#wantedAgain.add(doc)
      else this.#wantsDue.add(doc)
    }
    this.#deps.wake()
  }

  /** All that the peer had of these documents has been received. */
  answered(docs: readonly DocId[]): void {
    for (const doc of docs) {
      this.#wanted.delete(doc)
      if (this.#wantedAgain.delete(doc)) this.want([doc])
    }
    if (this.pulling || this.#theirs === null) return
    // Everything asked for has come: the peer is told where we are now, and we look whether that is where it was.
    if (this.#differing(this.#theirs).length === 0) this.#equal()
    else void this.askLater()
    if (this.#due === 'no') this.#due = 'tell'
    this.#deps.wake()
  }

  nextWant(): Outgoing | null {
    if (this.#wantsDue.size === 0) return null
    const docs = [...this.#wantsDue].sort((a, b) => rank(a) - rank(b) || a - b)
    const blobs = docs.map(doc => this.#deps.folder.stateVector(doc))
    this.#wantsDue = new Set()
    for (const doc of docs) this.#wanted.add(doc)
    return { message: { type: 'want', folder: this.#deps.folder.id, docs }, blobs }
  }

  nextDigests(): Outgoing | null {
    if (this.#due === 'no') return null
    const digests = [...this.#deps.folder.digests()]
    const docs = digests.map(([doc]) => doc)
    const flags = { ask: this.#due === 'ask', fresh: this.#fresh }
    this.#due = 'no'
    this.#fresh = false
    const blob = Buffer.concat(digests.map(([, digest]) => digest))
    return { message: { type: 'digests', folder: this.#deps.folder.id, docs, ...flags }, blobs: [blob] }
  }

  #pull(docs: readonly DocId[]): void {
    const due = docs.filter(doc => !this.#wanted.has(doc) && !this.#wantsDue.has(doc))
    if (due.length === 0) return
    this.#pulls--
    this.want(due)
  }

  #equal(): void {
    this.#settled()
    this.#deps.onEqual()
  }

  #settled(): void {
    this.#pulls = QUICK_PULLS
    this.#pauses = 0
    this.#pause?.abort()
    this.#pause = null
  }

  #differing(theirs: ReadonlyMap<DocId, string>): DocId[] {
    const ours = this.#deps.folder.digests()
    const out: DocId[] = []
    for (const [doc, digest] of ours) if (theirs.get(doc) !== binary(digest)) out.push(doc)
    for (const doc of theirs.keys()) if (!ours.has(doc)) out.push(doc)
    return out
  }
}

/** The directories document says which actors exist: without it the others make no sense. */
export function rank(doc: DocId): number {
  return doc === DIRECTORIES_DOC ? 0 : 1
}
