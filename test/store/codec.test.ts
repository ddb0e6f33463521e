import { expect } from 'chai'
import fc from 'fast-check'
import { isKithError } from '../../src/core/errors.ts'
import type { RowId } from '../../src/core/ids.ts'
import { Reader, seal, uintBytes, uintOf, unseal, Writer } from '../../src/store/codec.ts'
import { RowCodec, RowSums } from '../../src/store/synced-rows.ts'
import { seeded } from '../support/random.ts'
import { oddRow, row } from './samples.ts'

const name = () => 'sample'

describe('store codec', () => {
  it('gives back numbers, strings and bytes', () => {
    const number = fc.oneof(fc.maxSafeInteger(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.nat(300))
    fc.assert(
      fc.property(fc.array(number), fc.string({ unit: 'grapheme' }), fc.uint8Array(), (numbers, text, bytes) => {
        const out = new Writer(1)
        for (const value of numbers) out.number(value)
        out.text(text)
        out.shortBinary(Buffer.from(bytes).toString('latin1'))
        out.raw(bytes)
        const input = new Reader(out.take(), name)
        for (const value of numbers) expect(input.number() === value).to.equal(true)
        expect(input.text(1 << 20)).to.equal(text)
        expect(input.shortBinary(1 << 20)).to.equal(Buffer.from(bytes).toString('latin1'))
        expect([...input.raw(bytes.length)]).to.deep.equal([...bytes])
        input.end()
      }),
    )
  })

  it('orders unsigned integers', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.maxSafeInteger(), (a, b) => {
        const [x, y] = [Math.abs(a), Math.abs(b)]
        expect(uintOf(uintBytes(x, 7))).to.equal(x)
        expect(Math.sign(Buffer.compare(uintBytes(x, 7), uintBytes(y, 7)))).to.equal(Math.sign(x - y))
      }),
    )
  })

  it('sees every changed bit of a key or a value', () => {
    const key = Buffer.from('key of a row')
    const value = seal(key, Buffer.from('payload'))
    expect(unseal(key, value, name).toString()).to.equal('payload')
    for (let bit = 0; bit < value.length * 8; bit++)
      expect(() => unseal(key, flipped(value, bit), name)).to.throw(/sample/)
    for (let bit = 0; bit < key.length * 8; bit++)
      expect(() => unseal(flipped(key, bit), value, name)).to.throw(/sample/)
    for (let length = 0; length < value.length; length++) {
      expect(() => unseal(key, value.subarray(0, length), name)).to.throw(/sample/)
    }
  })

  it('refuses any bytes that are no row with `database-corrupt`, and never anything else', () => {
    const codec = new RowCodec()
    const random = seeded('rows')
    for (let count = 0; count < 300; count++) {
      const bytes = codec.encode(oddRow(random, 2))
      for (let times = 0; times < 10; times++) {
        const broken = random.chance(0.5)
          ? flipped(bytes, random.int(bytes.length * 8))
          : bytes.subarray(0, random.int(bytes.length))
        try {
          codec.decode(row(2), Buffer.from(broken))
        } catch (error) {
          expect(isKithError(error) && error.code).to.equal('database-corrupt')
          expect(String(error)).to.include('rows 2')
        }
      }
    }
  })
})

describe('sums of rows', () => {
  it('are those of what is there, in whatever order it came', () => {
    const step = fc.record({ id: fc.nat(2000), checksum: fc.nat(0xffffffff), there: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), steps => {
        const sums = new RowSums()
        const model = new Map<number, number>()
        for (const { id, checksum, there } of steps) {
          if (there) {
            sums.set(id as RowId, checksum)
            model.set(id, checksum)
          } else {
            sums.delete(id as RowId)
            model.delete(id)
          }
          expect(sums.has(id as RowId)).to.equal(there)
        }
        let sum = 0
        for (const checksum of model.values()) sum = (sum + checksum) % 2 ** 32
        expect([sums.count, sums.sum]).to.deep.equal([model.size, sum])
      }),
    )
  })
})

function flipped(bytes: Buffer, bit: number): Buffer {
  const out = Buffer.from(bytes)
  out[bit >> 3] = (out[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return out
}
