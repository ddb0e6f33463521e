// The text merge: a table of bases and sides, then properties.
import { expect } from 'chai'
import fc from 'fast-check'
import { isText, MERGE_LIMIT_BYTES, mergeText } from '../../src/sync/merge-text.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8')
const utf16 = (text: string): Uint8Array => Buffer.from(`\uFEFF${text}`, 'utf16le')

function merge(base: string, one: string, other: string): string | null {
  const merged = mergeText(bytes(base), bytes(one), bytes(other))
  return merged === null ? null : Buffer.from(merged).toString('utf8')
}

describe('merge of texts', () => {
  const cases: [string, string, string, string, string | null][] = [
    ['different lines', 'a\nb\nc\n', 'A\nb\nc\n', 'a\nb\nC\n', 'A\nb\nC\n'],
    ['one side unchanged', 'a\nb\n', 'a\nb\n', 'a\nB\n', 'a\nB\n'],
    ['both the same change', 'a\nb\n', 'a\nX\n', 'a\nX\n', 'a\nX\n'],
    ['the same line', 'a\nb\nc\n', 'a\nX\nc\n', 'a\nY\nc\n', null],
    ['adjoining lines', 'a\nb\n', 'X\nb\n', 'a\nY\n', null],
    ['both append', 'a\n', 'a\nx\n', 'a\ny\n', null],
    ['insert here, delete there', 'a\nb\nc\nd\n', 'a\nnew\nb\nc\nd\n', 'a\nb\nc\n', 'a\nnew\nb\nc\n'],
    ['CRLF stays CRLF', 'a\r\nb\r\nc\r\n', 'A\r\nb\r\nc\r\n', 'a\r\nb\r\nC\r\n', 'A\r\nb\r\nC\r\n'],
    ['no final newline', 'a\nb\nc', 'A\nb\nc', 'a\nb\nC', 'A\nb\nC'],
    ['from nothing', '', 'x\n', 'y\n', null],
    ['a byte order mark on both', '\uFEFFa\nb\nc\n', '\uFEFFA\nb\nc\n', '\uFEFFa\nb\nC\n', '\uFEFFA\nb\nC\n'],
    ['a byte order mark on one', 'a\nb\nc\n', '\uFEFFA\nb\nc\n', 'a\nb\nC\n', null],
  ]
  for (const [name, base, one, other, expected] of cases)
    it(name, () => {
      expect(merge(base, one, other)).to.equal(expected)
      expect(merge(base, other, one)).to.equal(expected)
    })

  it('UTF-16 with a byte order mark', () => {
    const merged = mergeText(utf16('a\nb\nc\n'), utf16('A\nb\nc\n'), utf16('a\nb\nC\n'))
    expect(merged && Buffer.from(merged)).to.deep.equal(Buffer.from(utf16('A\nb\nC\n')))
  })

  it('refuses what is no text, or too much of it', () => {
    const invalid = Uint8Array.of(0x61, 0xff, 0x0a)
    expect(isText(invalid)).to.equal(false)
    expect(mergeText(bytes('a\n'), invalid, bytes('b\n'))).to.equal(null)
    expect(isText(bytes('a\0b'))).to.equal(false)
    expect(isText(Buffer.alloc(MERGE_LIMIT_BYTES, 'a'))).to.equal(true)
    expect(isText(Buffer.alloc(MERGE_LIMIT_BYTES + 1, 'a'))).to.equal(false)
  })

  it('gives the same bytes whichever side is first, and loses no line that one side added', () => {
    const line = fc.constantFrom('a\n', 'b\n', 'c\n', 'd\n', 'e\n')
    const text = fc.array(line, { maxLength: 8 })
    fc.assert(
      fc.property(text, fc.nat(8), fc.nat(8), (base, i, j) => {
        const one = [...base.slice(0, i), 'one\n', ...base.slice(i)].join('')
        const other = [...base.slice(0, j), 'other\n', ...base.slice(j)].join('')
        const left = merge(base.join(''), one, other)
        expect(merge(base.join(''), other, one)).to.equal(left)
        if (left !== null) {
          expect(left).to.include('one\n').and.include('other\n')
          expect(left.split('\n').length).to.equal(base.length + 3)
        }
      }),
    )
  })
})
