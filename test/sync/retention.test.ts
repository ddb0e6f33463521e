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

interface Of {
  readonly file?: string
  readonly order?: number
  readonly also?: string
  readonly inUse?: string
  readonly pinned?: boolean
}

function kept(name: string, ageMs: number, { file = 'file', order = 0, also, inUse, pinned = false }: Of = {}): Kept {
  const of = [file, ...(also === undefined ? [] : [also])].map(each => ({ file: each, order }))
  return { content: name as ContentId, occupies: 10, since: NOW - ageMs, of, pinned, inUse: inUse ?? null }
}

const plain = { now: NOW, limit: null, room: null, keepAll: false }

const PINNED = 'replaced together with many others, less than a week ago'

type Line = readonly [version: Kept, keep: boolean, reason: string]

const TABLE: readonly Line[] = [
  [kept('now', 0), true, 'younger than a day'],
  [kept('a minute ago', 60_000), true, 'younger than a day'],
  [kept('almost a day', DAY - 1), true, 'younger than a day'],
  [kept('a day', DAY, { file: 'a day' }), true, 'the last of its hour, younger than a week'],
  [kept('hour, last', 2 * DAY, { order: 2 }), true, 'the last of its hour, younger than a week'],
  [kept('hour, first', 2 * DAY, { order: 1 }), false, 'a later version of the same hour is kept'],
  [kept('hour, first, of one more file', 2 * DAY, { also: 'more' }), true, 'the last of its hour, younger than a week'],
  [kept('hour, of another file', 2 * DAY, { file: 'other' }), true, 'the last of its hour, younger than a week'],
  [kept('hour, the hour before', 2 * DAY + HOUR), true, 'the last of its hour, younger than a week'],
  [kept('almost a week', WEEK - 1, { file: 'almost a week' }), true, 'the last of its hour, younger than a week'],
  [kept('a week', WEEK, { file: 'a week' }), true, 'the last of its day, younger than 60 days'],
  [kept('day, last', 20 * DAY), true, 'the last of its day, younger than 60 days'],
  [kept('day, before noon', 20 * DAY + 4 * HOUR), false, 'a later version of the same day is kept'],
  [kept('day, the day before', 21 * DAY), true, 'the last of its day, younger than 60 days'],
  [kept('almost 60 days', 60 * DAY - 1, { file: 'almost 60 days' }), true, 'the last of its day, younger than 60 days'],
  [kept('60 days', 60 * DAY, { file: '60 days' }), true, 'the last of its week, younger than a year'],
  [kept('week, last', 105 * DAY), true, 'the last of its week, younger than a year'],
  [kept('week, earlier', 105 * DAY + 5 * HOUR, { order: -1 }), false, 'a later version of the same week is kept'],
  [kept('week, long ago', 364 * DAY, { file: 'third' }), true, 'the last of its week, younger than a year'],
  [kept('almost a year', 365 * DAY - 1, { file: 'almost a year' }), true, 'the last of its week, younger than a year'],
  [kept('a year', 365 * DAY), false, 'older than a year'],
  [kept('hour, first, in a mass change', WEEK - 1, { pinned: true, file: 'pinned' }), true, PINNED],
  [kept('hour, last', WEEK - 1, { order: 1, file: 'pinned' }), true, 'the last of its hour, younger than a week'],
  [
    kept('day, first, in a mass change', WEEK, { pinned: true, file: 'was' }),
    false,
    'a later version of the same day is kept',
  ],
  [kept('day, last', WEEK, { order: 1, file: 'was' }), true, 'the last of its day, younger than 60 days'],
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
    const versions = [1, 2, 3, 4].map(day => kept(`day ${day}`, day * DAY - 1, { file: `file ${day}` }))
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

  it('the limit does not win over a mass change, for a week', () => {
    const went = kept('went', WEEK - 1, { pinned: true })
    const verdicts = retain([went, kept('later', DAY)], { ...plain, limit: 0 })
    expect(verdicts.map(({ keep }) => keep)).to.deep.equal([true, false])
    expect(retain([went], { ...plain, now: NOW + 1, limit: 0 }).map(({ keep }) => keep)).to.deep.equal([false])
  })

  it('a mass change larger than the limit pushes nothing else out, unless the disk lacks the room', () => {
    const mass = Array.from({ length: 11 }, (_, at) => kept(`mass ${at}`, 2 * HOUR, { pinned: true, file: `m${at}` }))
    const others = Array.from({ length: 5 }, (_, at) => kept(`other ${at}`, HOUR + at, { file: `o${at}` }))
    const left = (limit: number | null, room: number | null): number[] => {
      const keeps = retain([...mass, ...others], { ...plain, limit, room }).map(({ keep }) => keep)
      return [keeps.slice(0, 11), keeps.slice(11)].map(some => some.filter(keep => keep).length)
    }
    expect(left(100, null)).to.deep.equal([11, 5])
    expect(left(20, null), 'what is left of the limit is theirs').to.deep.equal([11, 2])
    expect(left(100, 130), 'the disk counts all').to.deep.equal([11, 2])
    expect(left(null, 100), 'but what is pinned stays').to.deep.equal([11, 0])
  })

  it('a flood of versions of one file pushes nothing else out', () => {
    const mine = Array.from({ length: 20 }, (_, at) => kept(`mine ${at}`, (at + 2) * DAY, { file: `mine ${at}` }))
    const flood = Array.from({ length: 1_000 }, (_, at) =>
      kept(`flood ${at}`, 1_000 - at, { file: 'flooded', order: at }),
    )
    const verdicts = retain([...mine, ...flood], { ...plain, limit: 300 })
    expect(verdicts.slice(0, 20).every(({ keep }) => keep)).to.equal(true)
    expect(verdicts.filter(({ keep }) => keep)).to.have.length(30)
    expect(verdicts.at(-1)?.keep).to.equal(true)
  })

  it('thins out for good: what one look keeps, of what an earlier one kept, is what a single look would have kept', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(500 * 24), fc.nat(3), fc.nat(3)), { maxLength: 60 }),
        fc.array(fc.integer({ min: 1, max: 100 * 24 }), { minLength: 1, maxLength: 6 }),
        (ages, pauses) => {
          const all = ages.map(([hours, file, also], at) =>
            kept(`v${at}`, hours * HOUR, { file: `${file}`, also: `${also}`, order: at }),
          )
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
