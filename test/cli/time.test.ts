// Times as people type them, at a moment that stands still, in a zone with summer time.
import { expect } from 'chai'
import { parseSize } from '../../src/cli/size.ts'
import { parsePast, parseTime, TimeAhead } from '../../src/cli/time.ts'

describe('cli/time', () => {
  const { TZ } = process.env
  before(() => {
    process.env['TZ'] = 'Europe/Berlin'
  })
  after(() => {
    if (TZ === undefined) delete process.env['TZ']
    else process.env['TZ'] = TZ
  })

  /** A Tuesday, 15:30:20.500 in Berlin. */
  const NOW = Date.UTC(2026, 10, 24, 14, 30, 20, 500)

  const table: readonly (readonly [text: string, utc: string | null])[] = [
    // RFC 3339
    ['2026-11-20T14:00:00Z', '2026-11-20T14:00:00.000Z'],
    ['2026-11-20t14:00:00z', '2026-11-20T14:00:00.000Z'],
    ['2026-11-20T14:00:00.123Z', '2026-11-20T14:00:00.123Z'],
    ['2026-11-20T14:00:00.123456Z', '2026-11-20T14:00:00.123Z'],
    ['2026-11-20T14:00:00+02:00', '2026-11-20T12:00:00.000Z'],
    ['2026-11-20 14:00-05:30', '2026-11-20T19:30:00.000Z'],
    ['2026-11-20T14:00:00+25:00', null],
    // of this zone: winter, summer
    ['2026-11-20 14:00', '2026-11-20T13:00:00.000Z'],
    ['2026-11-20T14:00', '2026-11-20T13:00:00.000Z'],
    ['2026-07-20 14:00', '2026-07-20T12:00:00.000Z'],
    ['2026-11-20 14:00:05', '2026-11-20T13:00:05.000Z'],
    ['2026-11-20 14:00:05.25', '2026-11-20T13:00:05.250Z'],
    ['  2026-11-20   9:05 ', '2026-11-20T08:05:00.000Z'],
    ['2026-11-20', '2026-11-19T23:00:00.000Z'],
    ['2028-02-29', '2028-02-28T23:00:00.000Z'],
    ['2026-02-29', null],
    ['2026-13-01', null],
    ['2026-11-20 24:00', null],
    ['2026-11-20 14:60', null],
    ['2026-11-20 14', null],
    // a time of day: the last one that was
    ['14:00', '2026-11-24T13:00:00.000Z'],
    ['15:30:20', '2026-11-24T14:30:20.000Z'],
    ['15:31', '2026-11-23T14:31:00.000Z'],
    ['9:5', null],
    // days by name
    ['yesterday', '2026-11-22T23:00:00.000Z'],
    ['yesterday 14:00', '2026-11-23T13:00:00.000Z'],
    ['Yesterday  14:00:30', '2026-11-23T13:00:30.000Z'],
    ['today', '2026-11-23T23:00:00.000Z'],
    ['today 9:00', '2026-11-24T08:00:00.000Z'],
    ['tuesday 14:00', '2026-11-24T13:00:00.000Z'],
    ['tue 16:00', '2026-11-17T15:00:00.000Z'],
    ['last tuesday 14:00', '2026-11-17T13:00:00.000Z'],
    ['monday', '2026-11-22T23:00:00.000Z'],
    ['wednesday', '2026-11-17T23:00:00.000Z'],
    ['tomorrow', null],
    ['last yesterday', null],
    // so long ago
    ['now', '2026-11-24T14:30:20.500Z'],
    ['2h ago', '2026-11-24T12:30:20.500Z'],
    ['2 hours ago', '2026-11-24T12:30:20.500Z'],
    ['90 min ago', '2026-11-24T13:00:20.500Z'],
    ['1.5h ago', '2026-11-24T13:00:20.500Z'],
    ['1h30m ago', '2026-11-24T13:00:20.500Z'],
    ['1 hour 30 minutes ago', '2026-11-24T13:00:20.500Z'],
    ['45s ago', '2026-11-24T14:29:35.500Z'],
    ['3 days ago', '2026-11-21T14:30:20.500Z'],
    // The same time of day, over the end of summer time.
    ['5w ago', '2026-10-20T13:30:20.500Z'],
    ['2 months ago', '2026-09-24T13:30:20.500Z'],
    ['1y ago', '2025-11-24T14:30:20.500Z'],
    ['2 fortnights ago', null],
    ['1.5 days ago', null],
    ['ago', null],
    ['2h', null],
    ['', null],
    ['soon', null],
    ['99999999999 years ago', null],
  ]
  for (const [text, utc] of table) {
    it(`"${text}" is ${utc ?? 'no time'}`, () => {
      expect(parseTime(text, new Date(NOW))?.toISOString() ?? null).to.equal(utc)
    })
  }

  it('a time ahead is none that was; up to a minute of it is what clocks differ by, and is now', () => {
    const now = new Date(NOW)
    const past = (text: string): number | undefined => parsePast(text, now)?.getTime()
    expect(past('2026-11-24T14:30:00Z')).to.equal(Date.UTC(2026, 10, 24, 14, 30))
    expect(past('2026-11-24T14:31:20Z')).to.equal(NOW)
    for (const text of ['2026-11-24T14:31:21Z', 'today 15:32', '2027-01-01'])
      expect(() => parsePast(text, now), text).to.throw(TimeAhead)
    expect(parsePast('soon', now)).to.equal(null)
  })

  it('a month back from a day that the month before does not have is its last day', () => {
    const now = new Date(2026, 2, 31, 12)
    expect(parseTime('1 month ago', now)).to.deep.equal(new Date(2026, 1, 28, 12))
  })
})

describe('cli/size', () => {
  const table: readonly (readonly [text: string, bytes: number | null])[] = [
    ['20GB', 20e9],
    ['20 gb', 20e9],
    ['20G', 20e9],
    ['1.5TB', 1.5e12],
    ['500MiB', 500 * 1024 ** 2],
    ['1kib', 1024],
    ['1000000', 1_000_000],
    ['12B', 12],
    ['0', 0],
    ['', null],
    ['GB', null],
    ['-1GB', null],
    ['1ib', null],
    ['1e3', null],
    ['20 bananas', null],
    ['99999999PB', null],
  ]
  for (const [text, bytes] of table) {
    it(`"${text}" is ${bytes ?? 'no size'}`, () => expect(parseSize(text)).to.equal(bytes))
  }
})
