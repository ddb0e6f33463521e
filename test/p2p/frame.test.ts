// Frames: what is written is read again however the stream cuts it, and whatever else arrives is refused with a KithError, cheaply.
import { brotliCompressSync } from 'node:zlib'
import { expect } from 'chai'
import fc from 'fast-check'
import { isKithError } from '../../src/core/errors.ts'
import type { Frame } from '../../src/p2p/frame.ts'
import { encodeFrame, FrameReader, MAX_FRAME_BYTES } from '../../src/p2p/frame.ts'
import { parseSync } from '../../src/p2p/wire.ts'
import { pseudorandom } from '../contract/network-contract.ts'

const { signal } = new AbortController()
const { SEED: GIVEN } = process.env
const SEED = Number(GIVEN ?? Date.now() % 1_000_000)

function readerOf(...pieces: Uint8Array[]): FrameReader {
  const queue = [...pieces]
  return new FrameReader({ read: async () => queue.shift() ?? null })
}

async function bytesOf(frame: Frame, compress = true): Promise<Buffer> {
  return Buffer.concat(await encodeFrame(frame, { compress }))
}

/** The code of what reading fails with, or the frames. */
async function readAll(reader: FrameReader): Promise<Frame[] | string> {
  const frames: Frame[] = []
  try {
    for (;;) {
      const frame = await reader.next({ signal })
      if (frame === null) return frames
      frames.push(frame)
    }
  } catch (error) {
    if (isKithError(error)) return error.code
    throw error
  }
}

/** What this process used, so that a busy machine does not count. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

describe('frames', () => {
  it(`come out as they went in, however the stream is cut (seed ${SEED})`, async () => {
    const frame = fc.record({
      type: fc.string({ minLength: 1, maxLength: 20 }),
      fields: fc.dictionary(
        fc.string({ maxLength: 8 }).filter(key => key !== '__proto__'),
        fc.oneof(fc.integer(), fc.boolean(), fc.string(), fc.array(fc.nat(), { maxLength: 50 })),
        { noNullPrototype: true },
      ),
      blobs: fc.array(fc.uint8Array({ maxLength: 5_000 }), { maxLength: 8 }),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(frame, { maxLength: 4 }),
        fc.nat({ max: 3_000 }),
        fc.boolean(),
        async (frames, cut, compress) => {
          const all = Buffer.concat(await Promise.all(frames.map(each => bytesOf(each, compress))))
          const pieces: Uint8Array[] = []
          for (let at = 0; at < all.length; at += cut + 1) pieces.push(all.subarray(at, at + cut + 1))
          const read = await readAll(readerOf(...pieces))
          const plain = (each: Frame): unknown => ({
            ...each,
            blobs: each.blobs.map(blob => Buffer.from(blob).toString('hex')),
          })
          expect(Array.isArray(read) ? read.map(plain) : read).to.deep.equal(frames.map(plain))
        },
      ),
      { seed: SEED, numRuns: 150 },
    )
  })

  it('are packed where that pays, and only there', async () => {
    const text = Buffer.from('the same words again and again. '.repeat(10_000))
    const noise = pseudorandom(300_000, 1)
    expect((await bytesOf({ type: 'x', fields: {}, blobs: [text] })).length).to.be.below(text.length / 10)
    expect((await bytesOf({ type: 'x', fields: {}, blobs: [noise] })).length).to.be.within(
      noise.length,
      noise.length + 64,
    )
    expect((await bytesOf({ type: 'x', fields: {}, blobs: [text] }, false)).length).to.be.above(text.length)
  })

  it('that are too large are not sent', async () => {
    const blob = new Uint8Array(MAX_FRAME_BYTES)
    const error = await encodeFrame({ type: 'x', fields: {}, blobs: [blob] }, { compress: true }).catch(
      (failed: unknown) => failed,
    )
    expect(isKithError(error) && error.code).to.equal('internal')
  })

  it('that lie about themselves are refused', async () => {
    const good = await bytesOf({ type: 'ping', fields: { id: 1 }, blobs: [Buffer.from('abc')] })
    const frameOf = (payload: Uint8Array, flags = 0): Buffer => {
      const prefix = Buffer.alloc(5)
      prefix.writeUInt32BE(payload.length)
      prefix[4] = flags
      return Buffer.concat([prefix, payload])
    }
    const withHeader = (header: Uint8Array, ...blobs: Uint8Array[]): Buffer => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(header.length)
      return frameOf(Buffer.concat([length, header, ...blobs]))
    }
    const cases: [string, Uint8Array, string][] = [
      ['a length beyond the limit', Buffer.from([0xff, 0xff, 0xff, 0xff, 0]), 'peer-protocol'],
      ['an unknown flag', Buffer.from([0, 0, 0, 1, 2, 0]), 'peer-protocol'],
      ['an end in the prefix', good.subarray(0, 3), 'peer-gone'],
      ['an end in the payload', good.subarray(0, good.length - 1), 'peer-gone'],
      ['an empty payload', frameOf(new Uint8Array(0)), 'peer-protocol'],
      ['a header beyond its frame', frameOf(Buffer.from([0, 0, 0, 9, 1])), 'peer-protocol'],
      [
        'a header beyond its limit',
        frameOf(Buffer.concat([Buffer.from([0, 0x10, 0, 0]), Buffer.alloc(0x100000)])),
        'peer-protocol',
      ],
      ['no CBOR', withHeader(Buffer.from([0xff, 0xff])), 'peer-protocol'],
      ['a number', withHeader(Buffer.from([0x01])), 'peer-protocol'],
      ['nothing but nesting', withHeader(Buffer.alloc(200_000, 0x81)), 'peer-protocol'],
      ['an array that promises 2^32 items', withHeader(Buffer.from([0x9a, 0xff, 0xff, 0xff, 0xff])), 'peer-protocol'],
      [
        '["x", {}, [5]] without the five bytes',
        withHeader(Buffer.from([0x83, 0x61, 0x78, 0xa0, 0x81, 5])),
        'peer-protocol',
      ],
      [
        '["x", {}, []] with bytes too many',
        withHeader(Buffer.from([0x83, 0x61, 0x78, 0xa0, 0x80]), Buffer.alloc(1)),
        'peer-protocol',
      ],
      ['["x", {}, [-1]]', withHeader(Buffer.from([0x83, 0x61, 0x78, 0xa0, 0x81, 0x20])), 'peer-protocol'],
      [
        'a key twice',
        withHeader(Buffer.from([0x83, 0x61, 0x78, 0xa2, 0x61, 0x61, 1, 0x61, 0x61, 2, 0x80])),
        'peer-protocol',
      ],
      ['what does not unpack', frameOf(Buffer.from('not brotli at all'), 1), 'peer-protocol'],
      [
        '4 MB unpacked out of 60 bytes, and one more',
        frameOf(brotliCompressSync(Buffer.alloc(MAX_FRAME_BYTES + 1)), 1),
        'peer-protocol',
      ],
    ]
    for (const [what, bytes, code] of cases) {
      const since = cpuMs()
      expect(await readAll(readerOf(bytes)), what).to.equal(code)
      expect(cpuMs() - since, what).to.be.below(250)
    }
  })

  it(`survive 3,000 mutations of real ones (seed ${SEED})`, async () => {
    const originals = await Promise.all([
      bytesOf({ type: 'ping', fields: { id: 7 }, blobs: [] }),
      bytesOf({
        type: 'want',
        fields: { folder: 'ab'.repeat(16), docs: [1, 2] },
        blobs: [Buffer.alloc(9), Buffer.alloc(3)],
      }),
      bytesOf({ type: 'items', fields: { id: 1, has: [true, false] }, blobs: [Buffer.from('x'.repeat(4_000))] }),
      bytesOf({ type: 'hello', fields: { protocol: 1, version: '1', name: 'n', device: 'd' }, blobs: [] }),
    ])
    const noise = pseudorandom(64 * 1024, SEED)
    let at = 0
    const random = (below: number): number => {
      at = (at + 2) % (noise.length - 2)
      return (((noise[at] ?? 0) << 8) | (noise[at + 1] ?? 0)) % below
    }
    const outcomes = new Map<string, number>()
    let slowest = 0
    for (let run = 0; run < 3_000; run++) {
      const bytes = Buffer.from(originals[random(originals.length)] as Buffer)
      for (let flips = 1 + random(4); flips > 0; flips--) bytes[random(bytes.length)] = random(256)
      const since = cpuMs()
      const read = await readAll(readerOf(random(4) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes))
      let outcome = typeof read === 'string' ? read : 'read'
      if (Array.isArray(read)) {
        for (const frame of read) {
          try {
            if ('unknown' in parseSync(frame)) outcome = 'unknown'
          } catch (error) {
            if (!isKithError(error)) throw error
            outcome = error.code
          }
        }
      }
      slowest = Math.max(slowest, cpuMs() - since)
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    }
    console.log(
      `      ${[...outcomes].map(([what, count]) => `${what} ${count}`).join(', ')}; slowest ${slowest.toFixed(1)} ms of CPU`,
    )
    expect(outcomes.get('peer-protocol')).to.be.above(500)
    expect(slowest).to.be.below(250)
  })
})
