// Which kept versions stay, and why: pure, so that a table can show it. All for a day, the last of each hour for a week, of each day for 60
// days, of each week for a year; the size limit wins over age. What is in use stays whatever the limit says. Times are those of the
// sweep's own clock, which no wall clock can push on; a version's age counts from when it was first seen kept.
import type { ContentId } from '../core/ids.ts'
import type { OfFile } from './sweep-note.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const WEEK_MS = 7 * DAY_MS
/** What went in a mass change stays for this long whatever the limit says. */
export const PIN_MS = WEEK_MS

/** Younger than `untilMs`: the last version of each `bucketMs`. */
const RULES = [
  { untilMs: DAY_MS, bucketMs: 0, words: 'younger than a day' },
  { untilMs: WEEK_MS, bucketMs: HOUR_MS, words: 'the last of its hour, younger than a week' },
  { untilMs: 60 * DAY_MS, bucketMs: DAY_MS, words: 'the last of its day, younger than 60 days' },
  { untilMs: 365 * DAY_MS, bucketMs: WEEK_MS, words: 'the last of its week, younger than a year' },
] as const
const BUCKET_WORDS = new Map<number, string>([
  [HOUR_MS, 'hour'],
  [DAY_MS, 'day'],
  [WEEK_MS, 'week'],
])

export interface Kept {
  readonly content: ContentId
  /** Bytes that it takes. */
  readonly occupies: number
  /** When it was first seen kept. */
  readonly since: number
  /** The files that it is a version of: it stays as long as any of them has a use for it. */
  readonly of: readonly OfFile[]
  /** It went in a mass change: for a week it stays whatever the limit says, until somebody sees what happened. */
  readonly pinned: boolean
  /** Why it may not go, in words. */
  readonly inUse: string | null
}

export interface RetentionOptions {
  readonly now: number
  /** Bytes that the folder's versions may take, not counting what is pinned; null: no limit. */
  readonly limit: number | null
  /** Bytes that all of them may take for the disk to have room left; null: it has. */
  readonly room: number | null
  /** A backup device keeps all, for ever. */
  readonly keepAll: boolean
}

export interface Verdict {
  readonly content: ContentId
  readonly keep: boolean
  /** In plain words. */
  readonly reason: string
  /** Only for the sake of the limit. */
  readonly early: boolean
}

/** One verdict for each, in the order given. */
export function retain(versions: readonly Kept[], options: RetentionOptions): Verdict[] {
  const lasts = lastsOf(versions)
  const verdicts = versions.map(version => byAge(version, options, lasts))
  const limit = options.limit ?? Number.POSITIVE_INFINITY
  const room = options.room ?? Number.POSITIVE_INFINITY
  let [bytes, all] = [0, 0]
  for (const [at, version] of versions.entries()) {
    if (verdicts[at]?.keep !== true) continue
    all += version.occupies
    // A mass change must not push out all that was kept before it.
    if (!isPinned(version, options.now)) bytes += version.occupies
  }
  for (const at of firstToGo(versions, lasts)) {
    if (bytes <= limit && all <= room) break
    const version = versions[at]
    if (version === undefined || isHeld(version, options) || verdicts[at]?.keep !== true) continue
    // It gives nothing back.
    if (version.occupies === 0) continue
    const most = bytes > limit ? limit : room
    bytes -= version.occupies
    all -= version.occupies
    const reason = `kept versions may take ${most} bytes, and newer ones fill that`
    verdicts[at] = { content: version.content, keep: false, reason, early: true }
  }
  return verdicts
}

function byAge(version: Kept, { now, keepAll }: RetentionOptions, lasts: ReadonlyMap<string, Place>): Verdict {
  const { content, inUse, since } = version
  const say = (keep: boolean, reason: string): Verdict => ({ content, keep, reason, early: false })
  if (inUse !== null) return say(true, inUse)
  if (isPinned(version, now)) return say(true, 'replaced together with many others, less than a week ago')
  if (keepAll) return say(true, 'this device keeps every version')
  const rule = RULES.find(({ untilMs }) => now - since < untilMs)
  if (rule === undefined) return say(false, 'older than a year')
  if (rule.bucketMs === 0 || isLast(version, rule.bucketMs, lasts)) return say(true, rule.words)
  return say(false, `a later version of the same ${BUCKET_WORDS.get(rule.bucketMs)} is kept`)
}

function isHeld(version: Kept, { now }: RetentionOptions): boolean {
  return version.inUse !== null || isPinned(version, now)
}

function isPinned({ pinned, since }: Kept, now: number): boolean {
  return pinned && now - since < PIN_MS
}

interface Place {
  readonly content: ContentId
  readonly since: number
  readonly order: number
}

/** The last version of each file in each bucket. */
function lastsOf(versions: readonly Kept[]): ReadonlyMap<string, Place> {
  const lasts = new Map<string, Place>()
  for (const { content, since, of } of versions) {
    for (const bucketMs of BUCKET_WORDS.keys()) {
      for (const { file, order } of of) {
        const key = bucketOf(since, bucketMs, file)
        const place = { content, since, order }
        const other = lasts.get(key)
        if (other === undefined || isAfter(place, other)) lasts.set(key, place)
      }
    }
  }
  return lasts
}

function isLast({ content, since, of }: Kept, bucketMs: number, lasts: ReadonlyMap<string, Place>): boolean {
  return of.some(({ file }) => lasts.get(bucketOf(since, bucketMs, file))?.content === content)
}

function bucketOf(since: number, bucketMs: number, file: string): string {
  return `${bucketMs} ${Math.floor(since / bucketMs)} ${file}`
}

function isAfter(a: Place, b: Place): boolean {
  return a.since > b.since || (a.since === b.since && a.order > b.order)
}

/**
 * A flood of versions of one file must not push out what others made: first go those that time would thin out soon, then the oldest.
 * Within each, the oldest first.
 */
function firstToGo(versions: readonly Kept[], lasts: ReadonlyMap<string, Place>): number[] {
  const rank = (version: Kept): number => {
    let at = 0
    for (const bucketMs of BUCKET_WORDS.keys()) {
      if (!isLast(version, bucketMs, lasts)) return at
      at++
    }
    return at
  }
  const ranks = versions.map(rank)
  return [...versions.keys()].sort((a, b) => {
    const [one, other] = [versions[a], versions[b]]
    if (one === undefined || other === undefined) return 0
    return (ranks[a] ?? 0) - (ranks[b] ?? 0) || one.since - other.since || lastOrder(one) - lastOrder(other)
  })
}

function lastOrder({ of }: Kept): number {
  return of.reduce((last, { order }) => Math.max(last, order), Number.NEGATIVE_INFINITY)
}
