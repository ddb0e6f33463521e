// One chunk alone tells whether every device cuts it there: the judgement agrees with cutting the whole, whatever comes behind.
import { expect } from 'chai'
import { cutAll, cutChunk, endsRight, endsRightIfCut } from '../../src/core/chunker.ts'
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from '../../src/core/content.ts'

const BYTES = 4 * 1024 * 1024

function stream(seed: number): Uint8Array {
  const out = new Uint8Array(BYTES)
  let state = seed
  for (let at = 0; at < BYTES; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    out[at] = state >>> 24
  }
  return out
}

describe('core/chunker', () => {
  it('knows the end of each chunk by the chunk alone', () => {
    for (const bytes of [stream(1), stream(2), new Uint8Array(BYTES)]) {
      let at = 0
      const lengths = cutAll(bytes)
      for (const [index, length] of lengths.entries()) {
        const isLast = index === lengths.length - 1
        expect(endsRight(bytes.subarray(at, at + length), isLast)).to.equal(true)
        expect(endsRightIfCut(bytes.subarray(at, at + length), isLast)).to.equal(true)
        at += length
      }
    }
  })

  it('knows the end of what was cut already by its last bytes', () => {
    for (const seed of [4, 5, 6]) {
      const bytes = stream(seed)
      let at = 0
      for (const length of cutAll(bytes).slice(0, 12)) {
        // As the last of a content that ends there: nothing in it is a cut.
        for (let part = MIN_CHUNK_BYTES - 1; part <= length; part += part + 8 < length ? 997 : 1) {
          const chunk = bytes.subarray(at, at + part)
          expect(endsRightIfCut(chunk, false), `seed ${seed}, ${part} of ${length}`).to.equal(endsRight(chunk, false))
          expect(endsRightIfCut(chunk, true)).to.equal(true)
        }
        at += length
      }
    }
  })

  it('says of every other length what cutting says', () => {
    const bytes = stream(3)
    const start = 1_000
    const cut = cutChunk(bytes, start, bytes.length)
    const lengths = [MIN_CHUNK_BYTES - 1, MIN_CHUNK_BYTES, MIN_CHUNK_BYTES + 1, MAX_CHUNK_BYTES, MAX_CHUNK_BYTES + 1]
    for (let near = cut - 9; near < cut + 9; near++) lengths.push(near)
    for (let far = MIN_CHUNK_BYTES; far < MAX_CHUNK_BYTES; far += 997) lengths.push(far)
    for (const length of lengths) {
      const chunk = bytes.subarray(start, start + length)
      expect(endsRight(chunk, false), `${length}`).to.equal(length === cut)
      const isWhole = length <= MAX_CHUNK_BYTES && cutChunk(chunk, 0, length) === length
      expect(endsRight(chunk, true), `${length}, the last`).to.equal(isWhole)
    }
  })

  it('sees a cut at a byte that is left over where nothing comes behind', () => {
    let odd = 0
    for (let seed = 10; seed < 60; seed++) {
      const bytes = stream(seed).subarray(0, 2 * MAX_CHUNK_BYTES)
      const length = cutChunk(bytes, 0, bytes.length)
      if (length % 2 === 1) odd++
      expect(endsRight(bytes.subarray(0, length), false), `seed ${seed}`).to.equal(true)
    }
    expect(odd).to.be.above(5)
  })
})
