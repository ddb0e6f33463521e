// One fetch of many things from several devices at once: who is asked for what. It promises: the fastest are asked first and most; what a
// device does not have is asked of the others; what a lost device had been asked for goes to the others; near the end an idle device
// takes over from a much slower one; no more than BUFFER_BYTES are asked for or unread; and it ends when all came or nobody has the rest.
// Of a content that others receive at the same time, each gets other pieces from those that have it all, and the rest from one another.
import type { Clock } from '../core/clock.ts'
import type { DeviceId } from '../core/ids.ts'
import type { Waiting } from '../core/ports.ts'
import { type Fellow, Fellows, type Held } from './fellows.ts'

/** Asked for and not yet taken by the consumer. */
const BUFFER_BYTES = 4 * 1024 * 1024
const BATCH_ITEMS = 256
/** While a device has something to do it is not asked for less: each request has its price. */
const LEAST_BYTES = 256 * 1024
/** A device whose requests fail this often in one fetch is not asked again. */
const MAX_FAILURES = 3
const TICK_MS = 500
/** While others receive the same. */
const SHARED_TICK_MS = 100
/** An idle device takes over what another has been asked for, once that takes this long or this many times longer than it would itself. */
const OVERDUE_MS = 2_000
const OVERDUE_FACTOR = 4
/** Fewer chunks are there before anybody could say what he has. */
const MIN_SHARED = 64
/** How long it is looked at what comes from others, before those that have everything are asked for their share too. */
const LOOK_MS = 2_000

/** `length` 0: not known. */
export interface Wanted<K> {
  readonly key: K
  readonly length: number
  /** In the list of the content that it belongs to. */
  readonly place?: number
}

/** One device that may be asked. */
export interface Lane<K> {
  readonly device: DeviceId
  /** Bytes a second as measured; Infinity where it never was. */
  rate(): number
  /** The size of the next batch in bytes; 0 while the link has enough to do. */
  room(): number
  /** Answers for as many as came from the front; null for "no". */
  fetch(wanted: readonly Wanted<K>[], bytes: number): Promise<readonly (Uint8Array | null)[]>
  /** What it has by now of the content. */
  holds?(): Promise<Held>
}

export interface FetchJobDeps<K> {
  readonly clock: Clock
  readonly self: DeviceId
  /** Who may be asked now, fastest first. */
  lanes(): readonly Lane<K>[]
  /** It sent something of another length than asked for. */
  onBad(device: DeviceId): void
}

export interface Fetched<K> {
  readonly key: K
  readonly bytes: Uint8Array
  readonly from: DeviceId
}

interface Ready<K> extends Fetched<K> {
  readonly position: number
}

/** What has been asked for in vain. */
interface Bucket {
  readonly refusedBy: ReadonlySet<DeviceId>
  readonly positions: number[]
}

interface Batch<K> {
  readonly lane: Lane<K>
  readonly positions: readonly number[]
  readonly bytes: number
  readonly since: number
  readonly isOfFellow: boolean
  takenOver: boolean
}

/** Of a wanted thing: not asked for yet, asked for, asked for in vain (it is in a bucket), here. */
const FRESH = 0
const ASKED = 1
const RETURNED = 2
const HERE = 3

export class FetchJob<K extends string> {
  readonly #deps: FetchJobDeps<K>
  readonly #items: readonly Wanted<K>[]
  readonly #states: Uint8Array
  #left: number
  #leftBytes = 0
  /** Fresh ones are asked for from the first on, all around; those that others are to bring, if need be, from the back. */
  #first = 0
  #front = 0
  #back: number
  /** What waits to be asked again, by who has refused it. */
  readonly #buckets = new Map<string, Bucket>()
  readonly #refusals = new Map<number, readonly DeviceId[]>()
  readonly #refused = new Map<DeviceId, Set<number>>()
  readonly #batches = new Set<Batch<K>>()
  readonly #failures = new Map<DeviceId, number>()
  readonly #fellows: Fellows
  /** It may be that others receive the same: they are asked. */
  #isShared = false
  /** Those that have everything are asked for what others are to bring, too: they are much faster. */
  #mayHelp = false
  #lookedAt: number
  #fellowBytes = 0
  #enough: AbortSignal | undefined
  #ready: Ready<K>[] = []
  #readyBytes = 0
  /** More would have been asked for, had there been room for it. */
  #isFull = false
  #askedBytes = 0
  #askedFellows = 0
  #wake: (() => void) | null = null

  constructor(wanted: Iterable<Wanted<K>>, deps: FetchJobDeps<K>) {
    this.#deps = deps
    this.#lookedAt = deps.clock.elapsed()
    const items = new Map<K, Wanted<K>>()
    for (const item of wanted) if (!items.has(item.key)) items.set(item.key, item)
    this.#items = [...items.values()]
    this.#states = new Uint8Array(this.#items.length)
    this.#left = this.#items.length
    this.#back = this.#items.length
    for (const { length } of this.#items) this.#leftBytes += length
    const { clock, self } = deps
    this.#fellows = new Fellows(self, { clock, chunks: this.#items.length, onNews: () => this.#onNews() })
  }

  /** Yields what comes, in the order it comes. `enough` aborted: nothing more is asked for, and it ends with what was. */
  async *run(options: Waiting & { readonly enough?: AbortSignal }): AsyncGenerator<Fetched<K>> {
    // One caller's signal may stand for many fetches; listeners on it would add up.
    const signal = AbortSignal.any([options.signal])
    const { enough } = options
    const wake = (): void => this.#wake?.()
    this.#enough = enough
    enough?.addEventListener('abort', wake)
    const ticking = new AbortController()
    void this.#tick(ticking.signal)
    try {
      for (;;) {
        signal.throwIfAborted()
        const item = this.#ready.shift()
        if (item !== undefined) {
          // Whoever takes the bytes may give them away.
          const { key, bytes, from } = item
          const { byteLength } = bytes
          yield { key, bytes, from }
          this.#readyBytes -= byteLength
          if (this.#isFull && this.#room() >= LEAST_BYTES) this.pump()
          continue
        }
        this.pump()
        if (this.#ready.length > 0) continue
        if (this.#over()) return
        await this.#changed(signal)
      }
    } finally {
      enough?.removeEventListener('abort', wake)
      ticking.abort()
      this.#left = 0
      this.#states.fill(HERE)
      this.#buckets.clear()
    }
  }

  /** Asks whoever has room. Called when a lane may have got some. */
  pump(): void {
    if (this.#left === 0 || this.#enough?.aborted === true) return this.#wake?.()
    const lanes = this.#usable()
    this.#look(lanes)
    this.#isFull = false
    for (const lane of lanes) {
      for (let room = lane.room(); room > 0; room = lane.room()) {
        const spare = this.#spare(lane)
        this.#isFull ||= spare < room
        if (spare <= 0 || (spare < Math.min(room, LEAST_BYTES) && this.#isBusy(lane))) break
        const positions = this.#take(lane, Math.min(room, spare)) ?? this.#takeOver(lane)
        if (positions === null) break
        this.#start(lane, positions, room)
      }
    }
    if (this.#over()) this.#wake?.()
  }

  /** What came from it and was not taken yet is forgotten, and it is not asked again here. */
  distrust(device: DeviceId): void {
    this.#failures.set(device, MAX_FAILURES)
    const kept: Ready<K>[] = []
    for (const item of this.#ready) {
      if (item.from !== device) {
        kept.push(item)
        continue
      }
      this.#readyBytes -= item.bytes.byteLength
      this.#left++
      this.#leftBytes += this.#item(item.position).length
      this.#putBack(item.position, [device])
    }
    this.#ready = kept
    this.pump()
  }

  #isBusy(lane: Lane<K>): boolean {
    for (const batch of this.#batches) if (batch.lane.device === lane.device) return true
    return false
  }

  #item(position: number): Wanted<K> {
    return this.#items[position] as Wanted<K>
  }

  #place(position: number): number {
    return this.#item(position).place ?? position
  }

  #usable(): readonly Lane<K>[] {
    return this.#deps.lanes().filter(lane => this.#trusted(lane.device))
  }

  #trusted(device: DeviceId): boolean {
    return (this.#failures.get(device) ?? 0) < MAX_FAILURES
  }

  // -- what others have

  /** With one device that has everything, nothing is asked and all goes from the front. */
  #look(lanes: readonly Lane<K>[]): void {
    if (this.#items.length < MIN_SHARED || this.#items[0]?.place === undefined) return
    this.#isShared ||= lanes.length > 1 || this.#refusals.size > 0
    if (!this.#isShared) return
    this.#fellows.ask(lanes)
    if (!this.#fellows.see(lanes)) return
    this.#first = Math.floor(this.#fellows.start * this.#items.length)
    this.#front = 0
    this.#back = this.#items.length
  }

  #onNews(): void {
    if (this.#left === 0) return
    this.pump()
    this.#wake?.()
  }

  /** What is left to slow devices is at last asked of those that have everything. */
  #weigh(): void {
    const now = this.#deps.clock.elapsed()
    const isIdle = this.#isShared && this.#front === this.#items.length
    if (isIdle && now - this.#lookedAt < LOOK_MS) return
    const perSecond = (this.#fellowBytes * 1_000) / Math.max(1, now - this.#lookedAt)
    const fastest = this.#usable().find(lane => this.#fellows.of(lane.device) === undefined)
    const isSlow = perSecond * OVERDUE_FACTOR < (fastest?.rate() ?? 0)
    this.#mayHelp = isIdle && isSlow && this.#leftBytes * 1_000 > perSecond * OVERDUE_MS
    this.#lookedAt = now
    this.#fellowBytes = 0
  }

  // -- who is asked for what

  #room(): number {
    return BUFFER_BYTES - this.#askedBytes - this.#readyBytes
  }

  /** Of what may be asked, half is for those that have everything and half for the others: neither wait for the other's turn. */
  #spare(lane: Lane<K>): number {
    const all = this.#room()
    if (!this.#fellows.areAny) return all
    const isFellow = this.#fellows.of(lane.device) !== undefined
    const asked = isFellow ? this.#askedFellows : this.#askedBytes - this.#askedFellows
    return Math.min(all, BUFFER_BYTES / 2 - asked)
  }

  #take(lane: Lane<K>, room: number): number[] | null {
    if (this.#fellows.isAwaited(lane.device)) return null
    const fellow = this.#fellows.of(lane.device)
    if (fellow !== undefined && !this.#isLastResort(fellow)) {
      if (fellow.refused > 0) return null
      return (fellow.isDone ? this.#returned(lane.device, room) : null) ?? this.#fromFellow(fellow, room)
    }
    return this.#returned(lane.device, room) ?? this.#fresh(room) ?? (this.#mayHelp ? this.#fromBack(room) : null)
  }

  /** A device without the content may have some of its chunks in others. It is asked where nobody else is there to be asked. */
  #isLastResort(fellow: Fellow): boolean {
    return fellow.hasNothing && this.#usable().every(({ device }) => this.#fellows.of(device)?.hasNothing === true)
  }

  #returned(device: DeviceId, room: number): number[] | null {
    for (const { refusedBy, positions } of this.#buckets.values()) {
      if (positions.length === 0 || refusedBy.has(device)) continue
      const pick = new Pick(room)
      for (let position = positions.at(-1); position !== undefined; position = positions.at(-1)) {
        const isWaiting = this.#states[position] === RETURNED
        if (isWaiting && !pick.add(position, this.#item(position).length)) break
        positions.pop()
        if (isWaiting) this.#states[position] = ASKED
      }
      if (pick.positions.length > 0) return pick.positions
    }
    return null
  }

  #fresh(room: number): number[] | null {
    const pick = new Pick(room)
    for (; this.#front < this.#items.length; this.#front++) {
      const position = (this.#first + this.#front) % this.#items.length
      if (this.#states[position] !== FRESH) continue
      if (this.#fellows.areAny && this.#isLeft(position)) continue
      if (!pick.add(position, this.#item(position).length)) break
      this.#states[position] = ASKED
    }
    return pick.taken
  }

  #isLeft(position: number): boolean {
    const place = this.#place(position)
    return !this.#fellows.isOwn(place) || this.#fellows.isElsewhere(place)
  }

  #fromBack(room: number): number[] | null {
    const pick = new Pick(room)
    for (; this.#back > 0; this.#back--) {
      const position = this.#back - 1
      if (this.#states[position] !== FRESH) continue
      if (!pick.add(position, this.#item(position).length)) break
      this.#states[position] = ASKED
    }
    return pick.taken
  }

  #fromFellow(fellow: Fellow, room: number): number[] | null {
    const pick = new Pick(room)
    for (; fellow.cursor < this.#items.length; fellow.cursor++) {
      const position = fellow.cursor
      if (!this.#mayGive(fellow, position)) continue
      if (!pick.add(position, this.#item(position).length)) break
      this.#states[position] = ASKED
    }
    return pick.taken
  }

  #mayGive(fellow: Fellow, position: number): boolean {
    const state = this.#states[position]
    return (state === FRESH || state === RETURNED) && fellow.has(this.#place(position))
  }

  /** What a much slower device was asked for and has not sent, for a device that has nothing to do here. */
  #takeOver(lane: Lane<K>): number[] | null {
    if (this.#isBusy(lane)) return null
    const now = this.#deps.clock.elapsed()
    const fellow = this.#fellows.of(lane.device)
    // Who shares a source with others is slow for a moment now and then, and nothing is to be sent twice for that.
    const isPatient = this.#fellows.areAny
    for (const batch of this.#batches) {
      const age = now - batch.since
      const own = Number.isFinite(lane.rate()) ? (batch.bytes * 1_000) / lane.rate() : OVERDUE_MS
      if (batch.takenOver || (age < OVERDUE_MS && (isPatient || age < own * OVERDUE_FACTOR))) continue
      const positions = batch.positions.filter(
        position => this.#states[position] === ASKED && (fellow?.has(this.#place(position)) ?? true),
      )
      if (positions.length === 0) continue
      batch.takenOver = true
      return positions
    }
    return null
  }

  #start(lane: Lane<K>, positions: readonly number[], room: number): void {
    let bytes = 0
    for (const position of positions) bytes += this.#item(position).length
    // Lengths that are not known: the answer is no longer than what we ask for.
    if (bytes === 0) bytes = room
    const isOfFellow = this.#fellows.of(lane.device) !== undefined
    const since = this.#deps.clock.elapsed()
    const batch: Batch<K> = { lane, positions, bytes, since, isOfFellow, takenOver: false }
    this.#batches.add(batch)
    this.#askedBytes += bytes
    if (isOfFellow) this.#askedFellows += bytes
    void this.#finish(batch)
  }

  async #finish(batch: Batch<K>): Promise<void> {
    const { device } = batch.lane
    let answers: readonly (Uint8Array | null)[] = []
    try {
      answers = await batch.lane.fetch(
        batch.positions.map(position => this.#item(position)),
        batch.bytes,
      )
    } catch {
      // The link or its stream ended, or it did not answer: the others take over, and this one is not asked for ever.
      this.#failed(device)
    }
    this.#batches.delete(batch)
    this.#askedBytes -= batch.bytes
    if (batch.isOfFellow) this.#askedFellows -= batch.bytes
    // From the back, so that what goes back is asked for next in its old order.
    for (let at = batch.positions.length - 1; at >= 0; at--)
      this.#settle(batch.positions[at] as number, answers[at], device)
    this.pump()
    this.#wake?.()
  }

  #failed(device: DeviceId): void {
    this.#failures.set(device, (this.#failures.get(device) ?? 0) + 1)
  }

  #settle(position: number, bytes: Uint8Array | null | undefined, from: DeviceId): void {
    if (this.#states[position] === HERE) return
    const { key, length } = this.#item(position)
    const wrong = length > 0 && bytes && bytes.byteLength !== length
    if (wrong) this.#deps.onBad(from)
    if (bytes === undefined) this.#putBack(position, [])
    else if (bytes === null || wrong || !this.#trusted(from)) this.#refuse(position, from)
    else {
      this.#states[position] = HERE
      this.#left--
      this.#leftBytes -= length
      for (const refused of this.#refused.values()) refused.delete(position)
      this.#ready.push({ key, bytes, from, position })
      this.#readyBytes += bytes.byteLength
      if (this.#fellows.of(from) !== undefined) this.#fellowBytes += bytes.byteLength
    }
  }

  #refuse(position: number, from: DeviceId): void {
    const fellow = this.#fellows.of(from)
    if (fellow?.has(this.#place(position)) === true) {
      // Once is soon the case, between two places where it lies. A device that says so again and again does not have it.
      if (fellow.refused === 0) this.#failed(from)
      fellow.refused++
    }
    this.#putBack(position, [from])
  }

  #putBack(position: number, refusedBy: readonly DeviceId[]): void {
    const before = this.#refusals.get(position) ?? []
    const all = [...new Set([...before, ...refusedBy])].sort()
    if (all.length > 0) this.#refusals.set(position, all)
    for (const device of all) {
      const refused = this.#refused.get(device) ?? new Set()
      this.#refused.set(device, refused.add(position))
    }
    this.#states[position] = RETURNED
    const name = all.join(' ')
    const bucket = this.#buckets.get(name)
    if (bucket === undefined) this.#buckets.set(name, { refusedBy: new Set(all), positions: [position] })
    else bucket.positions.push(position)
  }

  /** All came, or nobody who is left may have the rest. */
  #over(): boolean {
    if (this.#ready.length > 0) return false
    if (this.#left === 0) return true
    if (this.#batches.size > 0) return false
    return this.#enough?.aborted === true || !this.#usable().some(lane => this.#mayBring(lane))
  }

  #mayBring({ device }: Lane<K>): boolean {
    if (this.#fellows.isAwaited(device)) return true
    const fellow = this.#fellows.of(device)
    if (fellow === undefined || fellow.isDone || this.#isLastResort(fellow))
      return this.#left > (this.#refused.get(device)?.size ?? 0)
    for (; fellow.refused === 0 && fellow.cursor < this.#items.length; fellow.cursor++)
      if (this.#mayGive(fellow, fellow.cursor)) return true
    return fellow.mayGetMore(this.#deps.clock.elapsed())
  }

  async #tick(signal: AbortSignal): Promise<void> {
    try {
      for (;;) {
        await this.#deps.clock.sleep(this.#isShared ? SHARED_TICK_MS : TICK_MS, { signal })
        this.#weigh()
        this.pump()
      }
    } catch {
      return // the fetch is over
    }
  }

  #changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        this.#wake = null
        reject(signal.reason)
      }
      signal.addEventListener('abort', aborted, { once: true })
      this.#wake = () => {
        this.#wake = null
        signal.removeEventListener('abort', aborted)
        resolve()
      }
    })
  }
}

/** What fits into one request; at least one. */
class Pick {
  readonly positions: number[] = []
  readonly #room: number
  #bytes = 0

  constructor(room: number) {
    this.#room = room
  }

  get taken(): number[] | null {
    return this.positions.length === 0 ? null : this.positions
  }

  add(position: number, length: number): boolean {
    const { positions } = this
    if (positions.length === BATCH_ITEMS || (positions.length > 0 && this.#bytes + length > this.#room)) return false
    positions.push(position)
    this.#bytes += length
    return true
  }
}
