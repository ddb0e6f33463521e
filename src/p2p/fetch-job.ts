// One fetch of many things from several devices at once: who is asked for what. It promises: the fastest are asked first and most; what a
// device does not have is asked of the others; what a lost device had been asked for goes to the others; near the end an idle device
// takes over from a much slower one; no more than BUFFER_BYTES are asked for or unread; and it ends when all came or nobody has the rest.
import type { Clock } from '../core/clock.ts'
import type { DeviceId } from '../core/ids.ts'

/** Asked for and not yet taken by the consumer. */
const BUFFER_BYTES = 4 * 1024 * 1024
const BATCH_ITEMS = 256
/** A device whose requests fail this often in one fetch is not asked again. */
const MAX_FAILURES = 3
const TICK_MS = 500
/** An idle device takes over what another has been asked for, once that takes this long or this many times longer than it would itself. */
const OVERDUE_MS = 2_000
const OVERDUE_FACTOR = 4

/** `length` 0: not known. */
export interface Wanted<K> {
  readonly key: K
  readonly length: number
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
}

export interface FetchJobDeps<K> {
  readonly clock: Clock
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

interface Bucket<K> {
  readonly refusedBy: ReadonlySet<DeviceId>
  items: Wanted<K>[]
}

interface Batch<K> {
  readonly lane: Lane<K>
  readonly items: readonly Wanted<K>[]
  readonly bytes: number
  readonly since: number
  takenOver: boolean
}

export class FetchJob<K extends string> {
  readonly #deps: FetchJobDeps<K>
  readonly #pending = new Set<K>()
  /** What waits to be asked, by who has refused it. */
  readonly #buckets = new Map<string, Bucket<K>>()
  readonly #refusals = new Map<K, readonly DeviceId[]>()
  readonly #batches = new Set<Batch<K>>()
  readonly #failures = new Map<DeviceId, number>()
  #ready: Fetched<K>[] = []
  #readyBytes = 0
  #askedBytes = 0
  #wake: (() => void) | null = null

  constructor(wanted: Iterable<Wanted<K>>, deps: FetchJobDeps<K>) {
    this.#deps = deps
    const items: Wanted<K>[] = []
    for (const item of wanted) {
      if (this.#pending.has(item.key)) continue
      this.#pending.add(item.key)
      items.push(item)
    }
    this.#buckets.set('', { refusedBy: new Set(), items: items.reverse() })
  }

  /** Yields what comes, in the order it comes. */
  async *run(caller: AbortSignal): AsyncGenerator<Fetched<K>> {
    // One caller's signal may stand for many fetches; listeners on it would add up.
    const signal = AbortSignal.any([caller])
    const ticking = new AbortController()
    void this.#tick(ticking.signal)
    try {
      for (;;) {
        signal.throwIfAborted()
        const item = this.#ready.shift()
        if (item !== undefined) {
          // Whoever takes the bytes may give them away.
          const { byteLength } = item.bytes
          yield item
          this.#readyBytes -= byteLength
          this.pump()
          continue
        }
        this.pump()
        if (this.#ready.length > 0) continue
        if (this.#over()) return
        await this.#changed(signal)
      }
    } finally {
      ticking.abort()
      this.#pending.clear()
      this.#buckets.clear()
    }
  }

  /** Asks whoever has room. Called when a lane may have got some. */
  pump(): void {
    for (const lane of this.#usable()) {
      for (let room = lane.room(); room > 0 && this.#spare() > 0; room = lane.room()) {
        const items = this.#take(lane.device, Math.min(room, this.#spare())) ?? this.#takeOver(lane)
        if (items === null) break
        this.#start(lane, items, room)
      }
    }
    if (this.#over()) this.#wake?.()
  }

  /** What came from it and was not taken yet is forgotten, and it is not asked again here. */
  distrust(device: DeviceId): void {
    this.#failures.set(device, MAX_FAILURES)
    const kept: Fetched<K>[] = []
    for (const item of this.#ready) {
      if (item.from !== device) {
        kept.push(item)
        continue
      }
      this.#readyBytes -= item.bytes.byteLength
      this.#pending.add(item.key)
      this.#putBack({ key: item.key, length: item.bytes.byteLength }, [device])
    }
    this.#ready = kept
    this.pump()
  }

  #usable(): readonly Lane<K>[] {
    return this.#deps.lanes().filter(lane => this.#trusted(lane.device))
  }

  #trusted(device: DeviceId): boolean {
    return (this.#failures.get(device) ?? 0) < MAX_FAILURES
  }

  #spare(): number {
    return BUFFER_BYTES - this.#askedBytes - this.#readyBytes
  }

  #take(device: DeviceId, room: number): Wanted<K>[] | null {
    for (const bucket of this.#buckets.values()) {
      if (bucket.items.length === 0 || bucket.refusedBy.has(device)) continue
      const out: Wanted<K>[] = []
      let bytes = 0
      while (out.length < BATCH_ITEMS) {
        const item = bucket.items.at(-1)
        if (item === undefined || (out.length > 0 && bytes + item.length > room)) break
        bucket.items.pop()
        if (!this.#pending.has(item.key)) continue
        out.push(item)
        bytes += item.length
      }
      if (out.length > 0) return out
    }
    return null
  }

  /** What a much slower device was asked for and has not sent, for a device that has nothing to do here. */
  #takeOver(lane: Lane<K>): Wanted<K>[] | null {
    for (const batch of this.#batches) if (batch.lane.device === lane.device) return null
    const now = this.#deps.clock.elapsed()
    for (const batch of this.#batches) {
      const age = now - batch.since
      const own = Number.isFinite(lane.rate()) ? (batch.bytes * 1_000) / lane.rate() : OVERDUE_MS
      if (batch.takenOver || (age < OVERDUE_MS && age < own * OVERDUE_FACTOR)) continue
      const items = batch.items.filter(item => this.#pending.has(item.key))
      if (items.length === 0) continue
      batch.takenOver = true
      return items
    }
    return null
  }

  #start(lane: Lane<K>, items: readonly Wanted<K>[], room: number): void {
    let bytes = 0
    for (const item of items) bytes += item.length
    // Lengths that are not known: the answer is no longer than what we ask for.
    if (bytes === 0) bytes = room
    const batch: Batch<K> = { lane, items, bytes, since: this.#deps.clock.elapsed(), takenOver: false }
    this.#batches.add(batch)
    this.#askedBytes += bytes
    void this.#finish(batch)
  }

  async #finish(batch: Batch<K>): Promise<void> {
    let answers: readonly (Uint8Array | null)[] = []
    try {
      answers = await batch.lane.fetch(batch.items, batch.bytes)
    } catch {
      // The link or its stream ended, or it did not answer: the others take over, and this one is not asked for ever.
      this.#failures.set(batch.lane.device, (this.#failures.get(batch.lane.device) ?? 0) + 1)
    }
    this.#batches.delete(batch)
    this.#askedBytes -= batch.bytes
    // From the back, so that what goes back is asked for next in its old order.
    for (let at = batch.items.length - 1; at >= 0; at--)
      this.#settle(batch.items[at] as Wanted<K>, answers[at], batch.lane.device)
    this.pump()
    this.#wake?.()
  }

  #settle(item: Wanted<K>, bytes: Uint8Array | null | undefined, from: DeviceId): void {
    if (!this.#pending.has(item.key)) return
    const wrong = item.length > 0 && bytes && bytes.byteLength !== item.length
    if (wrong) this.#deps.onBad(from)
    if (bytes === undefined) this.#putBack(item, [])
    else if (bytes === null || wrong || !this.#trusted(from)) this.#putBack(item, [from])
    else {
      this.#pending.delete(item.key)
      this.#ready.push({ key: item.key, bytes, from })
      this.#readyBytes += bytes.byteLength
    }
  }

  #putBack(item: Wanted<K>, refusedBy: readonly DeviceId[]): void {
    const before = this.#refusals.get(item.key) ?? []
    const all = [...new Set([...before, ...refusedBy])].sort()
    if (all.length > 0) this.#refusals.set(item.key, all)
    const name = all.join(' ')
    const bucket = this.#buckets.get(name)
    if (bucket === undefined) this.#buckets.set(name, { refusedBy: new Set(all), items: [item] })
    else bucket.items.push(item)
  }

  /** All came, or nobody who is left may have the rest. */
  #over(): boolean {
    if (this.#ready.length > 0) return false
    if (this.#pending.size === 0) return true
    if (this.#batches.size > 0) return false
    const lanes = this.#usable()
    for (const bucket of this.#buckets.values()) {
      if (bucket.items.length > 0 && lanes.some(lane => !bucket.refusedBy.has(lane.device))) return false
    }
    return true
  }

  async #tick(signal: AbortSignal): Promise<void> {
    try {
      for (;;) {
        await this.#deps.clock.sleep(TICK_MS, { signal })
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
