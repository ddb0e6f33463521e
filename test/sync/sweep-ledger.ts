// What must be there of a folder's kept versions, worked out apart from the product: from the rules of the design ("Kept versions") and from what
// happened alone. All for a day, the last of each hour for a week, of each day for two months, of each week for a year, within a limit that
// wins over age; what is in use stays and has no age; what may go is marked, and goes an hour of running later at the soonest.
import type { ContentId } from '../../src/core/ids.ts'

export const HOUR = 3_600_000
export const DAY = 24 * HOUR
const WEEK = 7 * DAY
const YEAR = 365 * DAY
const TWO_MONTHS = 60 * DAY

export interface Version {
  readonly file: string
  readonly bytes: number
}

export interface Look {
  /** Running ms, and those of the wall clock, which jumps. */
  readonly elapsed: number
  readonly wall: number
  readonly used: ReadonlySet<ContentId>
  /** Bytes of those that are not pinned, and of all. */
  readonly limit: number | null
  readonly room: number | null
  readonly keepAll: boolean
}

export class Ledger {
  readonly versions = new Map<ContentId, Version>()
  /** Went in a mass change a short while ago. */
  readonly pinned = new Set<ContentId>()
  /** Since when each is an old version and no more, by the ledger's clock; and since when it may go (running ms). */
  readonly #since = new Map<ContentId, number>()
  readonly #marks = new Map<ContentId, number>()
  /** What was written over or restored, in order, and how much of it was there at the last look. */
  readonly #journal: { readonly file: string; readonly contents: readonly ContentId[]; readonly wall: number }[] = []
  #lookedTo = 0
  #clock = 0
  #wall: number | null = null
  #lookedAt: number | null = null

  keep(content: ContentId, version: Version): void {
    this.versions.set(content, version)
  }

  noted(file: string, contents: readonly ContentId[], wall: number): void {
    this.#journal.push({ file, contents, wall })
  }

  /** Marks live in memory. */
  restarted(): void {
    this.#lookedAt = null
    this.#marks.clear()
  }

  /** What was remembered is lost, as with a lost database. */
  forget(): void {
    this.#wall = null
    this.#clock = 0
    this.#since.clear()
  }

  gone(content: ContentId): void {
    this.versions.delete(content)
    this.#since.delete(content)
    this.#marks.delete(content)
  }

  /** All kept versions are looked at; returns those that may go now, if nobody needs them after all. */
  look({ elapsed, wall, used, limit, room, keepAll }: Look): ReadonlySet<ContentId> {
    const isFirst = this.#wall === null
    const away = this.#wall === null ? 0 : Math.min(DAY, Math.max(0, wall - this.#wall))
    const passed = this.#lookedAt === null ? away : elapsed - this.#lookedAt
    this.#clock += this.#wall === null ? 0 : Math.max(1, passed)
    if (this.#wall !== null)
      for (const content of this.#journal.slice(this.#lookedTo).flatMap(({ contents }) => contents)) {
        this.#since.delete(content)
        this.#marks.delete(content)
      }
    this.#lookedTo = this.#journal.length
    this.#wall = wall
    this.#lookedAt = elapsed
    for (const content of this.versions.keys()) {
      if (used.has(content)) this.#since.delete(content)
      else if (!this.#since.has(content))
        this.#since.set(content, this.#clock - (isFirst ? this.#ageByWall(content, wall) : 0))
    }
    const stay = new Set(used)
    for (const content of this.#since.keys())
      if (keepAll || this.#isYoung(content) || this.pinned.has(content)) stay.add(content)
    const held = new Set([...used, ...this.pinned])
    const free = [...stay].filter(content => !this.pinned.has(content))
    if (limit !== null) this.#fit(stay, { held, of: free, most: limit })
    if (room !== null) this.#fit(stay, { held, of: [...stay], most: room })
    for (const content of this.versions.keys()) {
      if (stay.has(content)) this.#marks.delete(content)
      else if (!this.#marks.has(content)) this.#marks.set(content, elapsed)
    }
    return new Set([...this.#marks].filter(([, at]) => elapsed - at >= HOUR).map(([content]) => content))
  }

  /** The first look at a past that is there already. */
  #ageByWall(content: ContentId, wall: number): number {
    const at = this.#journal[this.#lastEntry(content)]?.wall
    return at === undefined ? 0 : Math.min(YEAR - DAY, Math.max(0, wall - at))
  }

  #isYoung(content: ContentId): boolean {
    const age = this.#clock - (this.#since.get(content) ?? 0)
    if (age < DAY) return true
    if (age < WEEK) return this.#isLast(content, HOUR)
    if (age < TWO_MONTHS) return this.#isLast(content, DAY)
    return age < YEAR && this.#isLast(content, WEEK)
  }

  /** Of any file that it was a version of, in its hour, day or week. */
  #isLast(content: ContentId, period: number): boolean {
    const mine = this.#since.get(content) ?? 0
    const files = this.#filesOf(content)
    const peers = [...this.#since].filter(([, since]) => Math.floor(since / period) === Math.floor(mine / period))
    return files.some(file =>
      peers.every(([other]) => !this.#filesOf(other).includes(file) || !this.#comesAfter(other, content, file)),
    )
  }

  #filesOf(content: ContentId): string[] {
    return [...new Set(this.#journal.flatMap(({ file, contents }) => (contents.includes(content) ? [file] : [])))]
  }

  /** `of`: among the versions of that file; else whichever was written over last. */
  #comesAfter(one: ContentId, other: ContentId, of?: string): boolean {
    const apart = (this.#since.get(one) ?? 0) - (this.#since.get(other) ?? 0)
    return apart !== 0 ? apart > 0 : this.#lastEntry(one, of) > this.#lastEntry(other, of)
  }

  #lastEntry(content: ContentId, of?: string): number {
    return this.#journal.findLastIndex(
      ({ file, contents }) => (of === undefined || file === of) && contents.includes(content),
    )
  }

  /** What time would thin out first goes first, and of that the oldest. */
  #fit(
    stay: Set<ContentId>,
    { held, of, most }: { held: ReadonlySet<ContentId>; of: readonly ContentId[]; most: number },
  ): void {
    const lasts = (content: ContentId): number => {
      const missed = [HOUR, DAY, WEEK].findIndex(period => !this.#isLast(content, period))
      return missed < 0 ? 3 : missed
    }
    const order = new Map([...stay].filter(each => !held.has(each)).map(content => [content, lasts(content)]))
    const first = [...order.keys()].sort(
      (a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0) || (this.#comesAfter(a, b) ? 1 : -1),
    )
    let bytes = 0
    for (const content of of) bytes += this.versions.get(content)?.bytes ?? 0
    for (const content of first) {
      if (bytes <= most) return
      stay.delete(content)
      bytes -= this.versions.get(content)?.bytes ?? 0
    }
  }
}
