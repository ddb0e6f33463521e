// What counts as a mass change, and what is pinned of it.
import { expect } from 'chai'
import type { ContentId, DeviceId, NodeId } from '../../src/core/ids.ts'
import type { JournalAction, JournalEntry } from '../../src/core/past.ts'
import { type Mass, massChanges, withMass } from '../../src/sync/mass-change.ts'
import { journalEntry } from '../store/samples.ts'

const MINUTE = 60_000

interface Of {
  readonly device?: string
  readonly action?: JournalAction
  readonly was?: string | null
  readonly now?: string
  readonly apartMs?: number
}

/** Newest first: so many files, in one go. */
function entries(count: number, { device = 'one', action = 'edited', was = 'was', now = 'is', apartMs = 1 }: Of = {}) {
  return Array.from({ length: count }, (_, at): JournalEntry => {
    const facts = (name: string) => ({ content: `${name} ${at}` as ContentId, size: 1, mtime: 0, mode: 0o644 })
    const [path, node] = [`f${at}`, `f${at}`.padEnd(16) as NodeId]
    const before = was === null ? null : { path, facts: facts(was) }
    const time = 1e12 - at * apartMs
    return journalEntry({ time, device: device as DeviceId, action, node, path, facts: facts(now), was: before })
  })
}

describe('sync/mass-change', () => {
  const TABLE: readonly (readonly [what: string, entries: readonly JournalEntry[], files: number, pinned: number])[] = [
    ['some twenty files', entries(20), 20, 0],
    ['more than that, of a few', entries(21), 100, 21],
    ['a fifth of many', entries(200), 1_000, 0],
    ['more than a fifth', entries(201), 1_000, 201],
    ['as many by two devices', [...entries(15), ...entries(15, { device: 'other' })], 30, 0],
    ['as many deleted', entries(30, { action: 'deleted', now: 'was' }), 0, 30],
    ['as many that are new', entries(30, { action: 'created', was: null }), 30, 0],
    ['as many moved', entries(30, { action: 'moved', now: 'was' }), 30, 0],
    ['as many in five minutes', entries(30, { apartMs: 10_000 }), 30, 30],
    ['as many in an hour', entries(30, { apartMs: 2 * MINUTE }), 30, 0],
    ['one file over and over', Array.from({ length: 30 }, () => entries(1)).flat(), 30, 0],
  ]
  for (const [what, some, files, pinned] of TABLE)
    it(`${what}: ${pinned} pinned`, () => expect(massChanges(some, files).replaced.size).to.equal(pinned))

  it('pins what was there before all of it', () => {
    const twice = [...entries(30, { was: 'between' }), ...entries(30, { was: 'before', now: 'between' })]
    const pinned = [...massChanges(twice, 30).replaced.values()].map(({ content }) => content)
    expect(pinned).to.have.members(Array.from({ length: 30 }, (_, at) => `before ${at}`))
  })

  it('says of each device from when to when it was', () => {
    const some = [
      ...entries(30, { apartMs: 100 }),
      ...entries(25, { device: 'other' }),
      ...entries(10, { device: 'none' }),
    ]
    const masses = massChanges(some, 30).masses.map(({ device, first, last }) => [device, first - 1e12, last - 1e12])
    expect(masses).to.deep.equal([
      ['one', -2_900, 0],
      ['other', -24, 0],
    ])
  })

  it('of what goes on for hours the newest hour is one, told at once and bit by bit', () => {
    const rounds = Array.from({ length: 11 * 60 }, (_, at) => 11 * 60 - at).filter(minute => minute % 9 === 0)
    const at = (minute: number): JournalEntry[] =>
      entries(25).map(each => ({ ...each, time: 1e12 + minute * MINUTE }) satisfies JournalEntry)
    const last = 1e12 + 657 * MINUTE
    const whole = [{ device: 'one', first: last - 60 * MINUTE, last }]
    expect(massChanges(rounds.flatMap(at), 40).masses).to.deep.equal(whole)
    const looks = rounds.toReversed().map(minute => massChanges([...at(minute), ...at(minute - 9)], 40).masses)
    expect(looks.flat().reduce((known, mass) => withMass(known, mass), [] as readonly Mass[])).to.deep.equal(whole)
  })

  it('tells those that lie apart, the newest as the last, in whatever order clocks had them', () => {
    const go = (minute: number): JournalEntry[] => entries(25).map(each => ({ ...each, time: 1e12 + minute * MINUTE }))
    const { masses } = massChanges([go(100), go(300), go(200), go(205)].flat(), 25)
    expect(masses.map(({ first, last }) => [first, last].map(time => (time - 1e12) / MINUTE))).to.deep.equal([
      [100, 100],
      [200, 205],
      [300, 300],
    ])
  })

  it('of very many files at once is found as well', () => {
    expect(massChanges(entries(200_000, { apartMs: 0 }), 900_000).masses).to.have.length(1)
  })
})
