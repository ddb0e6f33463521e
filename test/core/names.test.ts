// Names: what is legal, what is reserved, when two are one, and how suffixes fit.
import { expect } from 'chai'
import fc from 'fast-check'
import {
  cutName,
  foldCase,
  isLegalName,
  isReserved,
  MAX_NAME_BYTES,
  nameKey,
  normalName,
  splitName,
  withSuffix,
} from '../../src/core/names.ts'

const unicode = fc.string({ unit: 'grapheme', maxLength: 120 })

describe('names', () => {
  const illegal = ['', '.', '..', 'a/b', '/', 'nul\0byte', '\ud800', 'x\udfff', 'a'.repeat(256), '\u00e9'.repeat(128)]
  for (const name of illegal)
    it(`refuses ${JSON.stringify(name.slice(0, 20))}`, () => expect(isLegalName(name)).to.equal(false))

  const legal = [
    'a',
    '...',
    '.x',
    'a\\b',
    'CON',
    'aux.txt',
    'a:b',
    'trailing.',
    'trailing ',
    '\n',
    '\x1b[31m',
    '\u202e',
    'a'.repeat(255),
  ]
  for (const name of legal)
    it(`lets ${JSON.stringify(name.slice(0, 20))} be`, () => expect(isLegalName(name)).to.equal(true))

  const reserved = [
    '.kith',
    '.KITH',
    '.Kith',
    '.\u212aith',
    '\uff0ekith',
    '.k\u200bith',
    '\ufeff.kith',
    '.kit\u00adh',
    '.\uff2b\uff29\uff34\uff28',
    '.k\u2060ith',
  ]
  for (const name of reserved) {
    it(`reserves ${JSON.stringify(name)}`, () => {
      expect(isReserved(name)).to.equal(true)
      expect(isLegalName(name)).to.equal(false)
    })
  }
  for (const name of ['kith', '.kith2', '.kit', '. kith', '.k\u0131th']) {
    it(`does not reserve ${JSON.stringify(name)}`, () => expect(isReserved(name)).to.equal(false))
  }

  const same: [string, string][] = [
    ['README', 'readme'],
    ['caf\u00e9', 'cafe\u0301'],
    ['STRASSE', 'stra\u00dfe'],
    ['\u03a3', '\u03c2'],
    ['\u0130', 'i\u0307'],
    ['\u212a', 'k'],
    ['\u1e9e', 'ss'],
    ['\u00c5', 'a\u030a'],
    ['\u{10400}', '\u{10428}'],
  ]
  for (const [a, b] of same) {
    it(`folds ${a} and ${b} together`, () => {
      expect(nameKey(a, true)).to.equal(nameKey(b, true))
    })
  }

  it('tells cases apart where no disk folds, never the forms of one text', () => {
    expect(nameKey('README', false)).to.not.equal(nameKey('readme', false))
    expect(nameKey('caf\u00e9', false)).to.equal(nameKey('cafe\u0301', false))
    expect(nameKey('\u0131', true)).to.not.equal(nameKey('i', true))
  })

  it('agrees with itself: folding twice, and folding any form, gives the same key', () => {
    fc.assert(
      fc.property(unicode, text => {
        const key = foldCase(text)
        expect(foldCase(key)).to.equal(key)
        for (const form of ['NFC', 'NFD'] as const) expect(foldCase(text.normalize(form))).to.equal(key)
        expect(normalName(normalName(text))).to.equal(normalName(text))
      }),
    )
  })

  it('the folding table is frozen', async () => {
    const { FOLD_FULL, FOLD_RUNS } = await import('../../src/core/fold-table.ts')
    const { hash } = await import('node:crypto')
    expect(hash('sha256', JSON.stringify([FOLD_RUNS, FOLD_FULL]), 'hex').slice(0, 16)).to.equal('6613bc3eb6da8534')
  })

  it('splits stem and extension', () => {
    expect(splitName('a.b.txt')).to.deep.equal({ stem: 'a.b', extension: '.txt' })
    expect(splitName('.bashrc')).to.deep.equal({ stem: '.bashrc', extension: '' })
    expect(splitName('plain')).to.deep.equal({ stem: 'plain', extension: '' })
    expect(splitName(`a.${'x'.repeat(40)}`).extension).to.equal('')
  })

  it('suffixes fit in 255 bytes, keep the extension, and cut between code points', () => {
    expect(withSuffix('a.txt', '123456')).to.equal('a (123456).txt')
    expect(withSuffix(`${'\u{1f600}'.repeat(63)}.txt`, '123456')).to.equal(`${'\u{1f600}'.repeat(60)} (123456).txt`)
    fc.assert(
      fc.property(unicode, text => {
        const name = withSuffix(cutName(text, MAX_NAME_BYTES), 'conflict 2026-01-01 00-00-00 laptop-1234')
        expect(Buffer.byteLength(name)).to.be.at.most(MAX_NAME_BYTES)
        expect(/\p{Cs}/u.test(name)).to.equal(/\p{Cs}/u.test(cutName(text, MAX_NAME_BYTES)))
        expect(name).to.contain(' (conflict ')
      }),
    )
  })
})
