// Times as people type them: RFC 3339, `2026-11-20 14:00`, `yesterday 14:00`, `monday 9:30`, `14:00`, `2h ago`. Pure; what has no zone is in
// that of this machine. A time of day without a day is the last one that was.

const CLOCK = String.raw`(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?`
const DATE = String.raw`(\d{4})-(\d{2})-(\d{2})`
const ZONED = new RegExp(`^${DATE}[Tt ]${CLOCK}([Zz]|[+-]\\d{2}:\\d{2})$`)
const LOCAL = new RegExp(`^${DATE}(?:[Tt ]+${CLOCK})?$`)
const NAMED = new RegExp(`^(?:last )?([a-z]+)(?: ${CLOCK})?$`)
const TIME_OF_DAY = new RegExp(`^${CLOCK}$`)
const AGO = /^((?:\d+(?:\.\d+)? ?[a-z]+ ?)+)ago$/

const UNITS: readonly (readonly [names: RegExp, ms: number])[] = [
  [/^(s|secs?|seconds?)$/, 1000],
  [/^(m|mins?|minutes?)$/, 60_000],
  [/^(h|hrs?|hours?)$/, 3_600_000],
]
const DAYS: readonly (readonly [names: RegExp, days: number])[] = [
  [/^(d|days?)$/, 1],
  [/^(w|weeks?)$/, 7],
]
const WEEKDAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']

/** A time that another device noted may be ahead of this one's clock by so much. */
const CLOCKS_DIFFER_MS = 60_000

interface TimeOfDay {
  readonly hours: number
  readonly minutes: number
  readonly seconds: number
  readonly ms: number
}

const MIDNIGHT: TimeOfDay = { hours: 0, minutes: 0, seconds: 0, ms: 0 }

/** Null where it is none of these. */
export function parseTime(text: string, now: Date): Date | null {
  const words = text.trim().replace(/\s+/g, ' ')
  const lower = words.toLowerCase()
  if (lower === 'now') return now
  return zoned(words) ?? local(words) ?? timeOfDay(lower, now) ?? named(lower, now) ?? ago(lower, now)
}

export class TimeAhead extends Error {}

/** A time that was: nobody can go back to what is still to come. Null where it is no time; throws TimeAhead. */
export function parsePast(text: string, now: Date): Date | null {
  const time = parseTime(text, now)
  if (time === null || time <= now) return time
  if (time.getTime() - now.getTime() > CLOCKS_DIFFER_MS) throw new TimeAhead(text)
  return now
}

function zoned(text: string): Date | null {
  const found = ZONED.exec(text)
  if (found === null) return null
  const [, year = '', month = '', day = '', hours, minutes, seconds, fraction, zone = ''] = found
  const clock = clockOf([hours, minutes, seconds, fraction])
  if (clock === null || dayOf(year, month, day) === null) return null
  const utc = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    clock.hours,
    clock.minutes,
    clock.seconds,
    clock.ms,
  )
  const offset = offsetOf(zone)
  return offset === null ? null : new Date(utc - offset)
}

/** Minutes east of Greenwich, in ms. */
function offsetOf(zone: string): number | null {
  if (/^z$/i.test(zone)) return 0
  const hours = Number(zone.slice(1, 3))
  const minutes = Number(zone.slice(4, 6))
  if (hours > 23 || minutes > 59) return null
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000
}

function local(text: string): Date | null {
  const found = LOCAL.exec(text)
  if (found === null) return null
  const [, year = '', month = '', day = '', ...rest] = found
  const date = dayOf(year, month, day)
  const clock = rest[0] === undefined ? MIDNIGHT : clockOf(rest)
  return date === null || clock === null ? null : at(date, clock)
}

function timeOfDay(text: string, now: Date): Date | null {
  const found = TIME_OF_DAY.exec(text)
  const clock = found === null ? null : clockOf(found.slice(1))
  if (clock === null) return null
  const today = at(now, clock)
  return today > now ? at(now, clock, -1) : today
}

/** `today`, `yesterday`, or the last of a day of the week. */
function named(text: string, now: Date): Date | null {
  const found = NAMED.exec(text)
  if (found === null) return null
  const [, day = '', ...rest] = found
  const clock = rest[0] === undefined ? MIDNIGHT : clockOf(rest)
  if (clock === null) return null
  const isLast = text.startsWith('last ')
  if (day === 'today' && !isLast) return at(now, clock)
  if (day === 'yesterday' && !isLast) return at(now, clock, -1)
  const weekday = WEEKDAYS.findIndex(each => each === day || each.slice(0, 3) === day)
  if (weekday < 0) return null
  const back = (now.getDay() - weekday + 7) % 7
  const nearest = at(now, clock, -back)
  return nearest > now || (isLast && back === 0) ? at(now, clock, -back - 7) : nearest
}

function ago(text: string, now: Date): Date | null {
  const found = AGO.exec(text)
  if (found === null) return null
  let ms = 0
  let days = 0
  let months = 0
  for (const [, number = '', unit = ''] of (found[1] ?? '').matchAll(/(\d+(?:\.\d+)?) ?([a-z]+)/g)) {
    const count = Number(number)
    const short = UNITS.find(([names]) => names.test(unit))
    const long = DAYS.find(([names]) => names.test(unit))
    const many = /^months?$/.test(unit) ? 1 : /^(y|years?)$/.test(unit) ? 12 : null
    if (short !== undefined) ms += count * short[1]
    else if (!Number.isInteger(count)) return null
    else if (long !== undefined) days += count * long[1]
    else if (many !== null) months += count * many
    else return null
  }
  // Days, months and years back it is the same time of day, whatever the clock of the land did between.
  const date = new Date(now)
  if (months > 0) {
    date.setMonth(date.getMonth() - months)
    // The 31st of a month that has none.
    if (date.getDate() !== now.getDate()) date.setDate(0)
  }
  date.setDate(date.getDate() - days)
  const result = new Date(date.getTime() - ms)
  return Number.isFinite(result.getTime()) ? result : null
}

function at(day: Date, clock: TimeOfDay, days = 0): Date {
  const { hours, minutes, seconds, ms } = clock
  return new Date(day.getFullYear(), day.getMonth(), day.getDate() + days, hours, minutes, seconds, ms)
}

/** Null for a day that no calendar has. */
function dayOf(year: string, month: string, day: string): Date | null {
  const date = new Date(Number(year), Number(month) - 1, Number(day))
  return date.getMonth() === Number(month) - 1 && date.getDate() === Number(day) ? date : null
}

function clockOf([hours, minutes, seconds, fraction]: readonly (string | undefined)[]): TimeOfDay | null {
  const clock = {
    hours: Number(hours),
    minutes: Number(minutes),
    seconds: Number(seconds ?? 0),
    ms: Math.floor(Number(`0.${fraction ?? 0}`) * 1000),
  }
  return clock.hours < 24 && clock.minutes < 60 && clock.seconds < 60 ? clock : null
}
