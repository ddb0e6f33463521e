// Texts edited on both sides while apart: merged line by line where that is safe, kept twice where it is not, through whole engines.
import { expect } from 'chai'
import { type Act, scene } from '../support/scene.ts'

const FIVE = 'one\ntwo\nthree\nfour\nfive\n'

interface Case {
  readonly name: string
  readonly base: string | Uint8Array
  readonly a: string | Uint8Array
  readonly b: string | Uint8Array
  /** The one content, or null where both must be kept. */
  readonly merged: string | null
}

const utf16 = (text: string): Uint8Array => Buffer.from(`\ufeff${text}`, 'utf16le')
const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1')

const CASES: readonly Case[] = [
  {
    name: 'different lines',
    base: FIVE,
    a: FIVE.replace('one', 'ONE'),
    b: FIVE.replace('five', 'FIVE'),
    merged: 'ONE\ntwo\nthree\nfour\nFIVE\n',
  },
  {
    name: 'a line added here, another dropped there',
    base: FIVE,
    a: `zero\n${FIVE}`,
    b: FIVE.replace('four\n', ''),
    merged: 'zero\none\ntwo\nthree\nfive\n',
  },
  { name: 'the same line', base: FIVE, a: FIVE.replace('three', 'A'), b: FIVE.replace('three', 'B'), merged: null },
  {
    name: 'the same change on both sides, and another on one',
    base: FIVE,
    a: FIVE.replace('three', 'A'),
    b: FIVE.replace('three', 'A').replace('five', 'B'),
    merged: 'one\ntwo\nA\nfour\nB\n',
  },
  { name: 'both append', base: FIVE, a: `${FIVE}six a\n`, b: `${FIVE}six b\n`, merged: null },
  {
    name: 'CRLF stays CRLF',
    base: FIVE.replaceAll('\n', '\r\n'),
    a: FIVE.replace('one', 'ONE').replaceAll('\n', '\r\n'),
    b: FIVE.replace('five', 'FIVE').replaceAll('\n', '\r\n'),
    merged: 'ONE\r\ntwo\r\nthree\r\nfour\r\nFIVE\r\n',
  },
  {
    name: 'no newline at the end',
    base: 'one\ntwo\nthree\nfour',
    a: 'ONE\ntwo\nthree\nfour',
    b: 'one\ntwo\nthree\nFOUR',
    merged: 'ONE\ntwo\nthree\nFOUR',
  },
  {
    name: 'a byte order mark on all',
    base: `\ufeff${FIVE}`,
    a: `\ufeff${FIVE.replace('one', 'ONE')}`,
    b: `\ufeff${FIVE.replace('five', 'FIVE')}`,
    merged: '\ufeffONE\ntwo\nthree\nfour\nFIVE\n',
  },
  {
    name: 'bytes that are no UTF-8',
    base: latin1('caf\xe9\ntwo\nthree\n'),
    a: latin1('CAF\xe9\ntwo\nthree\n'),
    b: latin1('caf\xe9\ntwo\nTHREE\n'),
    merged: null,
  },
  { name: 'a NUL in it', base: `\0\n${FIVE}`, a: `\0\n${FIVE}a\n`, b: `\0\nb\n${FIVE}`, merged: null },
]

function bytes(content: string | Uint8Array): Buffer {
  return Buffer.from(content)
}

describe('texts edited on both sides', () => {
  for (const { name, base, a, b, merged } of CASES) {
    for (const order of ['a first', 'b first'] as const) {
      it(`${name}: ${merged === null ? 'both are kept' : 'one text'} (${order})`, () =>
        scene({}, async stage => {
          await stage.begin(p => p.write('text.txt', base))
          const acts = [
            [0, (p: Parameters<Act>[0]) => p.write('text.txt', a)] as const,
            [1, (p: Parameters<Act>[0]) => p.write('text.txt', b)] as const,
          ]
          await stage.apart(...(order === 'a first' ? acts : acts.reverse()))
          for (const device of stage.world.devices) {
            const contents = [...device.volume.all()]
              .map(entry => Buffer.from(entry.inode.data).toString('latin1'))
              .sort()
            const expected = merged === null ? [a, b] : [merged]
            expect(contents, device.name).to.deep.equal(
              expected.map(content => bytes(content).toString('latin1')).sort(),
            )
          }
        }))
    }
  }

  it('UTF-16 with a byte order mark merges too', () =>
    scene({}, async stage => {
      await stage.begin(p => p.write('text.txt', utf16(FIVE)))
      await stage.apart(
        [0, p => p.write('text.txt', utf16(FIVE.replace('one', 'ONE')))],
        [1, p => p.write('text.txt', utf16(FIVE.replace('five', 'FIVE')))],
      )
      expect(Buffer.from(stage.b.person.read('text.txt')).toString('utf16le')).to.equal(
        '\ufeffONE\ntwo\nthree\nfour\nFIVE\n',
      )
    }))

  it('three devices that edit three places get one text', () =>
    scene({ devices: 3 }, async stage => {
      await stage.begin(p => p.write('text.txt', FIVE))
      await stage.apart(
        [0, p => p.write('text.txt', FIVE.replace('one', 'ONE'))],
        [1, p => p.write('text.txt', FIVE.replace('three', 'THREE'))],
        [2, p => p.write('text.txt', FIVE.replace('five', 'FIVE'))],
      )
      const contents = Object.values(stage.tree()).join('')
      for (const line of ['ONE', 'THREE', 'FIVE']) expect(contents).to.include(line)
    }))

  it('several edits on each side merge against what both last had', () =>
    scene({}, async stage => {
      await stage.begin(p => p.write('text.txt', FIVE))
      const first = FIVE.replace('one', 'ONE')
      await stage.apart(
        [0, p => p.write('text.txt', FIVE.replace('one', 'draft'))],
        [0, p => p.write('text.txt', first)],
        [1, p => p.write('text.txt', FIVE.replace('four', 'draft'))],
        [1, p => p.write('text.txt', FIVE.replace('four', 'FOUR'))],
      )
      expect(stage.tree()).to.deep.equal({ 'text.txt': 'ONE\ntwo\nthree\nFOUR\nfive\n' })
    }))

  it('merges what is edited on one side and renamed and edited on the other', () =>
    scene({}, async stage => {
      await stage.begin(p => p.write('text.txt', FIVE))
      await stage.apart(
        [0, p => p.write('text.txt', FIVE.replace('one', 'ONE'))],
        [
          1,
          p => {
            p.rename('text.txt', 'new.txt')
            p.write('new.txt', FIVE.replace('five', 'FIVE'))
          },
        ],
      )
      const contents = Object.values(stage.tree()).join('')
      expect(contents).to.include('ONE')
      expect(contents).to.include('FIVE')
    }))

  it('merges again after a merge', () =>
    scene({}, async stage => {
      await stage.begin(p => p.write('text.txt', FIVE))
      await stage.apart(
        [0, p => p.write('text.txt', FIVE.replace('one', 'ONE'))],
        [1, p => p.write('text.txt', FIVE.replace('five', 'FIVE'))],
      )
      const merged = 'ONE\ntwo\nthree\nfour\nFIVE\n'
      expect(stage.tree()).to.deep.equal({ 'text.txt': merged })
      await stage.apart(
        [0, p => p.write('text.txt', merged.replace('two', 'TWO'))],
        [1, p => p.write('text.txt', merged.replace('four', 'FOUR'))],
      )
      expect(stage.tree()).to.deep.equal({ 'text.txt': 'ONE\nTWO\nthree\nFOUR\nFIVE\n' })
    }))
})
