// What the devices that are asked for one content hold of it, as they said last. It promises that a device is asked for this seldom and
// never twice at once, that one which cannot say counts as before (it may have everything, and says no to what it has not), and that
// all who receive the same content leave different pieces of it to one another.
import type { Clock } from '../core/clock.ts'
import type { DeviceId } from '../core/ids.ts'

/** How often a device that is still receiving is asked what it has by now; more seldom where the answer is long. */
const ASK_MS = 100
const CHUNKS_A_MS = 128
/** Before it has answered once, a device is asked for nothing else, but no longer than this. */
const FIRST_ANSWER_MS = 250
/** A device that is still receiving may come to have what is missing, as long as it gets anything in such a time. */
const PATIENCE_MS = 5_000
/** Chunks one behind the other that one device takes from the source: a disk reads on, and a request holds about one run. */
const RUN_SHIFT = 4

/** A bit for each place in the content's list, nothing at all for nothing, 'all', or null: it cannot say. */
export type Held = Uint8Array | 'all' | null

interface Asked {
  readonly device: DeviceId
  holds?(): Promise<Held>
}

/** A device that did not have all of it when it was first asked. */
export class Fellow {
  readonly device: DeviceId
  /** So many chunks it did not give though it said that it has them: before it says so again it is asked for nothing. */
  refused = 0
  /** Where the next look for something that it has begins. */
  cursor = 0
  #held: Uint8Array | 'all'
  #newsAt: number

  constructor(device: DeviceId, held: Uint8Array | 'all', now: number) {
    this.device = device
    this.#held = held
    this.#newsAt = now
  }

  get isReceiving(): boolean {
    return this.#held !== 'all' && this.#held.byteLength > 0
  }

  get hasNothing(): boolean {
    return this.#held !== 'all' && this.#held.byteLength === 0
  }

  get isDone(): boolean {
    return this.#held === 'all' && this.refused === 0
  }

  has(place: number): boolean {
    if (this.#held === 'all') return true
    return (((this.#held[place >> 3] ?? 0) >> (place & 7)) & 1) === 1
  }

  mayGetMore(now: number): boolean {
    return !this.hasNothing && now - this.#newsAt < PATIENCE_MS
  }

  learn(held: Uint8Array | 'all', now: number): void {
    if (held === 'all' ? this.#held !== 'all' : this.#held === 'all' || Buffer.compare(held, this.#held) !== 0)
      this.#newsAt = now
    this.#held = held
    this.refused = 0
    this.cursor = 0
  }
}

export class Fellows {
  readonly #self: DeviceId
  readonly #clock: Clock
  readonly #everyMs: number
  readonly #onNews: () => void
  readonly #known = new Map<DeviceId, Fellow>()
  /** They have everything, or cannot say. */
  readonly #sources = new Set<DeviceId>()
  readonly #asked = new Map<DeviceId, { readonly first: number; last: number; waiting: boolean }>()
  #here: readonly Fellow[] = []
  #receivers: readonly DeviceId[] = []
  #seen = ''
  #areAny = false
  #isNews = false
  #lanes: readonly Asked[] = []

  constructor(self: DeviceId, deps: { clock: Clock; chunks: number; onNews: () => void }) {
    this.#self = self
    this.#clock = deps.clock
    this.#everyMs = Math.max(ASK_MS, deps.chunks / CHUNKS_A_MS)
    this.#onNews = deps.onNews
  }

  /** Of those that are here now: is there one that has anything, or may receive it? */
  get areAny(): boolean {
    return this.#areAny
  }

  of(device: DeviceId): Fellow | undefined {
    return this.#known.get(device)
  }

  /** It will soon say what it has. */
  isAwaited(device: DeviceId): boolean {
    const asked = this.#asked.get(device)
    if (asked === undefined || this.#sources.has(device) || this.#known.has(device)) return false
    return asked.waiting && this.#clock.elapsed() - asked.first < FIRST_ANSWER_MS
  }

  /** True where others than before are here, or receive: what was left to them is to be looked at anew. */
  see(lanes: readonly Asked[]): boolean {
    const isAsBefore =
      lanes.length === this.#lanes.length && lanes.every(({ device }, at) => this.#lanes[at]?.device === device)
    this.#lanes = lanes
    if (isAsBefore && !this.#isNews) return false
    this.#isNews = false
    this.#here = lanes.flatMap(({ device }) => this.#known.get(device) ?? [])
    // Who has not said yet may receive it too: if all begin at once, none begins where another does.
    const receivers = lanes.filter(({ device, holds }) => {
      const fellow = this.#known.get(device)
      return fellow?.isReceiving ?? (holds !== undefined && !this.#sources.has(device))
    })
    this.#receivers = [...receivers.map(({ device }) => device), this.#self].sort()
    const holding = this.#here.filter(fellow => !fellow.hasNothing).map(({ device }) => device)
    this.#areAny = holding.length > 0 || receivers.length > 0
    const seen = [...this.#receivers, '', ...holding.sort()].join(' ')
    const isOther = seen !== this.#seen
    this.#seen = seen
    return isOther
  }

  ask(lanes: readonly Asked[]): void {
    const now = this.#clock.elapsed()
    for (const lane of lanes) {
      if (lane.holds === undefined || this.#sources.has(lane.device) || this.#known.get(lane.device)?.isDone) continue
      const asked = this.#asked.get(lane.device) ?? { first: now, last: Number.NEGATIVE_INFINITY, waiting: false }
      if (asked.waiting || now - asked.last < this.#everyMs) continue
      this.#asked.set(lane.device, asked)
      asked.last = now
      asked.waiting = true
      void this.#learn(lane, asked)
    }
  }

  /** Is this place one that this device is to get from those that have everything? Each run has one receiver who does. */
  isOwn(place: number): boolean {
    const { length } = this.#receivers
    return length < 2 || this.#receivers[(place >> RUN_SHIFT) % length] === this.#self
  }

  /** As a share of the whole: where to begin, so that one who was alone before is not met at once. */
  get start(): number {
    const { length } = this.#receivers
    return length < 2 ? 0 : (this.#receivers.indexOf(this.#self) + 0.5) / length
  }

  /** Somebody else has it: those that have everything are spared. */
  isElsewhere(place: number): boolean {
    return this.#here.some(fellow => fellow.has(place))
  }

  async #learn(lane: Asked, asked: { waiting: boolean }): Promise<void> {
    try {
      this.#take(lane.device, (await lane.holds?.()) ?? null)
    } catch {
      // It did not answer, or is gone: asked again in its time.
    }
    asked.waiting = false
    this.#onNews()
  }

  #take(device: DeviceId, held: Held): void {
    const known = this.#known.get(device)
    this.#isNews = true
    if (held === null || (held === 'all' && known === undefined)) {
      this.#known.delete(device)
      this.#sources.add(device)
    } else if (known !== undefined) known.learn(held, this.#clock.elapsed())
    else this.#known.set(device, new Fellow(device, held, this.#clock.elapsed()))
  }
}
