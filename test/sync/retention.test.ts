// Retention's table: versions of files by age, what stays, and why, in plain words.
import { expect } from 'chai'
import fc from 'fast-check'
import type { ContentId } from '../../src/core/ids.ts'
import { type Kept, retain } from '../../src/sync/retention.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const WEEK = 7 * DAY
/** A whole number of weeks and a bit more. */
const NOW = 7 * DAY * 1_000 + 5 * HOUR

function kept(name: string, ageMs: number, more: Partial<Kept> = {}): Kept {
  const since = NOW - ageMs
  return { content: name as ContentId, occupies: 10, since, order: 0, of: 'file', inUse: null, ...more }
}

const plain = { now: NOW, limit: null, keepAll: false }

type Line = readonly [version: Kept, keep: boolean, reason: string]

const TABLE: readonly Line[] = [
  [kept('now', 0), true, 'younger than a day'],
  [kept('a minute ago', 60_000), true, 'younger than a day'],
  [kept('almost a day', DAY - 1), true, 'younger than a day'],
  [kept('a day', DAY, { of: 'a day' }), true, 'the last of its hour, younger than a week'],
  [kept('hour, last', 2 * DAY, { order: 2 }), true, 'the last of its hour, younger than a week'],
  [kept('hour, first', 2 * DAY, { order: 1 }), false, 'a later version of the same hour is kept'],
  [kept('hour, of another file', 2 * DAY, { of: 'other' }), true, 'the last of its hour, younger than a week'],
  [kept('hour, the hour before', 2 * DAY + HOUR), true, 'the last of its hour, younger than a week'],
  [kept('almost a week', WEEK - 1, { of: 'almost a week' }), true, 'the last of its hour, younger than a week'],
  [kept('a week', WEEK, { of: 'a week' }), true, 'the last of its day, younger than 60 days'],
  [kept('day, last', 20 * DAY), true, 'the last of its day, younger than 60 days'],
  [kept('day, before noon', 20 * DAY + 4 * HOUR), false, 'a later version of the same day is kept'],
  [kept('day, the day before', 21 * DAY), true, 'the last of its day, younger than 60 days'],
  [kept('almost 60 days', 60 * DAY - 1, { of: 'almost 60 days' }), true, 'the last of its day, younger than 60 days'],
  [kept('60 days', 60 * DAY, { of: '60 days' }), true, 'the last of its week, younger than a year'],
  [kept('week, last', 105 * DAY), true, 'the last of its week, younger than a year'],
  [kept('week, earlier', 105 * DAY + 5 * HOUR, { order: -1 }), false, 'a later version of the same week is kept'],
  [kept('week, long ago', 364 * DAY, { of: 'third' }), true, 'the last of its week, younger than a year'],
  [kept('almost a year', 365 * DAY - 1, { of: 'almost a year' }), true, 'the last of its week, younger than a year'],
  [kept('a year', 365 * DAY), false, 'older than a year'],
  [kept('ten years, in use', 3_650 * DAY, { inUse: 'the folder shows it' }), true, 'the folder shows it'],
]

describe('retention', () => {
  it('the table, with reasons', () => {
    const verdicts = retain(
      TABLE.map(([version]) => version),
      plain,
    )
    for (const [at, [version, keep, reason]] of TABLE.entries()) {
      const verdict = verdicts[at]
      console.log(`      ${keep ? 'keep' : 'drop'}  ${version.content.padEnd(24)} ${verdict?.reason}`)
      expect(verdict, version.content).to.deep.equal({ content: version.content, keep, reason, early: false })
    }
  })

  it('a backup device keeps all, for ever', () => {
    for (const { keep } of retain(
      TABLE.map(([version]) => version),
      { ...plain, keepAll: true },
    ))
      expect(keep).to.equal(true)
  })

  it('the limit wins over age: oldest first, never what is in use, and it says so', () => {
    const versions = [1, 2, 3, 4].map(day => kept(`day ${day}`, day * DAY - 1, { of: `file ${day}` }))
    const verdicts = retain([...versions, kept('used', 400 * DAY, { inUse: 'the folder shows it' })], {
      ...plain,
      limit: 30,
    })
    expect(verdicts.map(({ keep }) => keep)).to.deep.equal([true, true, false, false, true])
    expect(verdicts[2]).to.deep.include({
      early: true,
      reason: 'kept versions may take 30 bytes, and newer ones fill that',
    })
  })

  it('a flood of versions of one file pushes nothing else out', () => {
    const mine = Array.from({ length: 20 }, (_, at) => kept(`mine ${at}`, (at + 2) * DAY, { of: `mine ${at}` }))
    const flood = Array.from({ length: 1_000 }, (_, at) =>
      kept(`flood ${at}`, 1_000 - at, { of: 'flooded', order: at }),
    )
    const verdicts = retain([...mine, ...flood], { ...plain, limit: 300 })
    expect(verdicts.slice(0, 20).every(({ keep }) => keep)).to.equal(true)
    expect(verdicts.filter(({ keep }) => keep)).to.have.length(30)
    expect(verdicts.at(-1)?.keep).to.equal(true)
  })

  it('thins out for good: what one look keeps, of what an earlier one kept, is what a single look would have kept', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 500 * 24 }), fc.integer({ min: 0, max: 3 })), { maxLength: 60 }),
        fc.array(fc.integer({ min: 1, max: 100 * 24 }), { minLength: 1, maxLength: 6 }),
        (ages, pauses) => {
          const all = ages.map(([hours, file], at) => kept(`v${at}`, hours * HOUR, { of: `${file}`, order: at }))
          let left: readonly Kept[] = all
          let now = NOW
          for (const pause of pauses) {
            now += pause * HOUR
            const verdicts = retain(left, { ...plain, now })
            left = left.filter((_, at) => verdicts[at]?.keep === true)
          }
          const once = retain(all, { ...plain, now })
          expect(left.map(({ content }) => content)).to.deep.equal(
            once.filter(({ keep }) => keep).map(({ content }) => content),
          )
        },
      ),
      { numRuns: 500 },
    )
  })
})
