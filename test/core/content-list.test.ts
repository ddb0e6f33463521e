// The frozen meaning of a content id: gear table, cuts, lists. A failing vector here means that devices no longer agree.
import { createHash } from 'node:crypto'
import { expect } from 'chai'
import fc from 'fast-check'
import { cutAll, gear } from '../../src/core/chunker.ts'
import { isSingle, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from '../../src/core/content.ts'
import {
  buildList,
  contentOf,
  decodeSegment,
  decodeTop,
  listOf,
  matches,
  sha256,
  singleList,
} from '../../src/core/content-list.ts'
import { isKithError } from '../../src/core/errors.ts'
import type { ContentId, Hash } from '../../src/core/ids.ts'
import { hexOf } from '../../src/core/ids.ts'

/** A fixed stream of bytes (a linear congruential generator). */
function stream(length: number, seed = 1): Buffer {
  const out = Buffer.alloc(length)
  let state = seed
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    out[i] = state >>> 24
  }
  return out
}

/** FastCDC one byte a step, straight from its definition: the oracle of the fast one. */
function cutSlowly(bytes: Uint8Array): number[] {
  if (bytes.length <= 65536) return [bytes.length]
  const table = gear()
  const lengths: number[] = []
  for (let start = 0; start < bytes.length; ) {
    const available = bytes.length - start
    let length = Math.min(available, 262144)
    let fingerprint = 0
    for (let at = 16384; at < length; at++) {
      fingerprint = ((fingerprint << 1) + (table[bytes[start + at] as number] as number)) | 0
      const mask = at < 65536 ? 0x7fffe000 : 0x7ffe0000
      if ((fingerprint & mask) === 0) length = at + 1
    }
    lengths.push(length)
    start += length
  }
  return lengths
}

function refused(run: () => unknown): void {
  let caught: unknown
  try {
    run()
  } catch (error) {
    caught = error
  }
  expect(isKithError(caught) && caught.code).to.equal('content-mismatch')
}

describe('core/chunker', () => {
  it('keeps its gear table and cuts', () => {
    expect(gear().slice(0, 4)).to.deep.equal([1168567119, 1107482926, -1282518005, -1461848427])
    const digest = createHash('sha256').update(Int32Array.from(gear())).digest('hex')
    expect(digest).to.equal('8f9e28e8107be26d2e71ae6526331d970e62acc0f02318199a32c0ece51ac8f8')
    expect(cutAll(stream(1 << 20))).to.deep.equal([
      23533, 62958, 72648, 30331, 71661, 103459, 73709, 70555, 61514, 69784, 106196, 67753, 104415, 87780, 42280,
    ])
  })

  it('cuts as the one-byte definition does', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 0, max: 600_000 }), (seed, length) => {
        const bytes = stream(length, seed)
        expect(cutAll(bytes)).to.deep.equal(cutSlowly(bytes))
      }),
      { numRuns: 15 },
    )
  })

  it('cuts an unvarying content at the longest chunk and small ones not at all', () => {
    expect(cutAll(new Uint8Array(600_000))).to.deep.equal([
      MAX_CHUNK_BYTES,
      MAX_CHUNK_BYTES,
      600_000 - 2 * MAX_CHUNK_BYTES,
    ])
    expect(cutAll(new Uint8Array(0))).to.deep.equal([0])
    expect(cutAll(stream(65536))).to.deep.equal([65536])
  })

  it('finds its cuts again after an insertion', () => {
    const before = stream(4 << 20)
    const after = Buffer.concat([stream(1000, 9), before])
    const known = new Set(contentOf(before).chunks.map(c => c.hash))
    const fresh = contentOf(after).chunks.filter(c => !known.has(c.hash))
    expect(fresh.length).to.be.at.most(2)
  })
})

describe('core/content-list', () => {
  it('keeps the ids of known contents', () => {
    expect(hexOf(contentOf(new Uint8Array(0)).content)).to.equal(
      '01e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    )
    expect(hexOf(contentOf(stream(1 << 20)).content)).to.equal(
      '02b56e1fc7a402a58dbc9b9fa16367a7d207259267a8e2ac04d483e1205aee64df',
    )
    const large = contentOf(stream(64 << 20))
    expect(large.segments.size).to.equal(5)
    expect(hexOf(large.content)).to.equal('0220f87b914040c5a7dee91d66aa662a2a9ce8a4c05f888fc36aa1c869d30a1b35')
  })

  it('rebuilds a list from its parts', () => {
    const list = contentOf(stream(40 << 20))
    const built = buildList(list.content, list.top, list.segments)
    expect(built).to.deep.equal(list)
    expect(decodeTop(list.top).size).to.equal(40 << 20)
    expect(built.chunks.slice(0, -1).every(c => c.length >= MIN_CHUNK_BYTES)).to.equal(true)
    expect(matches(list.content, stream(40 << 20))).to.equal(true)
    expect(matches(list.content, stream(40 << 20, 2))).to.equal(false)
  })

  it('refuses every flipped byte of a list', () => {
    const list = contentOf(stream(1 << 20))
    const [hash, bytes] = [...list.segments][0] as [Hash, Uint8Array]
    fc.assert(
      fc.property(
        fc.nat(list.top.length - 1),
        fc.nat(bytes.length - 1),
        fc.integer({ min: 1, max: 255 }),
        (i, j, bit) => {
          const top = Uint8Array.from(list.top)
          top[i] = (top[i] as number) ^ bit
          refused(() => buildList(list.content, top, list.segments))
          const segment = Uint8Array.from(bytes)
          segment[j] = (segment[j] as number) ^ bit
          refused(() => buildList(list.content, list.top, new Map([[hash, segment]])))
        },
      ),
    )
    refused(() => buildList(list.content, list.top, new Map()))
    refused(() => buildList('x' as ContentId, list.top, list.segments))
  })

  it('refuses lists that hash well but that no honest author makes', () => {
    const entry = (hash: string, length: number): Uint8Array => {
      const out = Buffer.alloc(36)
      out.write(hash, 0, 'latin1')
      out.writeUInt32BE(length, 32)
      return out
    }
    const forge = (segments: readonly (readonly [number, number])[][], lie = 0): (() => unknown) => {
      const parts = segments.map(part =>
        Buffer.concat(part.map(([fill, length]) => entry(String.fromCharCode(fill).repeat(32), length))),
      )
      const sums = segments.map(part => part.reduce((total, [, length]) => total + length, lie))
      const top = Buffer.concat(parts.map((bytes, i) => entry(sha256(bytes), sums[i] as number)))
      const content = `\x02${sha256(top)}` as ContentId
      return () => buildList(content, top, new Map(parts.map(bytes => [sha256(bytes), bytes] as const)))
    }
    const long = MAX_CHUNK_BYTES
    expect(
      forge([
        [
          [1, long],
          [2, 5],
        ],
      ]),
    ).not.to.throw()
    refused(
      forge(
        [
          [
            [1, long],
            [2, 5],
          ],
        ],
        1,
      ),
    )
    refused(forge([[[1, long]]]))
    refused(
      forge([
        [
          [1, 5],
          [2, long],
        ],
      ]),
    )
    refused(
      forge([
        [
          [1, long + 1],
          [2, 5],
        ],
      ]),
    )
    refused(
      forge([
        [
          [1, long],
          [2, 0],
        ],
      ]),
    )
    refused(forge([[[1, long]], [[2, 5]]]))
    refused(forge([]))
    refused(() => decodeSegment(new Uint8Array(35)))
    refused(() => decodeTop(new Uint8Array(0)))
    refused(() => singleList(`\x02${'a'.repeat(32)}` as ContentId, 5))
    refused(() => singleList(`\x01${'a'.repeat(32)}` as ContentId, MAX_CHUNK_BYTES + 1))
  })

  it('ends segments by their chunks alone, so that an insertion changes one or two of them', () => {
    const chunks = contentOf(stream(8 << 20)).chunks
    const many = Array.from({ length: 2000 }, (_, i) => ({
      hash: sha256(Buffer.from(`${i}`)),
      length: MAX_CHUNK_BYTES,
    }))
    const before = listOf(many)
    const after = listOf([...many.slice(0, 3), ...chunks.slice(0, 1), ...many.slice(3)])
    expect([...after.segments.keys()].filter(h => !before.segments.has(h)).length).to.be.at.most(3)
    expect(isSingle(before.content)).to.equal(false)
  })
})
