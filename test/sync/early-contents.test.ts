// What is served of contents that are still on their way here.
import { expect } from 'chai'
import type { Chunk, ContentList } from '../../src/core/content.ts'
import { contentOf, listOf, sha256 } from '../../src/core/content-list.ts'
import type { ContentId, Hash } from '../../src/core/ids.ts'
import type { ContentPlace, FolderDisk, FolderStore, HashedBytes, PlacedRead, StageFile } from '../../src/core/ports.ts'
import { RowTable } from '../../src/core/rows.ts'
import { ContentServer } from '../../src/sync/content-server.ts'
import { EarlyContents } from '../../src/sync/early-contents.ts'
import { pseudorandom } from '../contract/network-contract.ts'

const { signal } = new AbortController()

/** A part of which these chunks are there. */
function fileOf({ content }: ContentList, there: ReadonlySet<number>): StageFile {
  return { content, has: (index: number) => there.has(index) } as StageFile
}

describe('what arrives', () => {
  const bytes = pseudorandom(2 << 20, 3)
  const list = contentOf(bytes)
  const there = new Set<number>()
  let early = new EarlyContents()
  const hashAt = (index: number): Hash => list.chunks[index]?.hash as Hash
  beforeEach(() => {
    early = new EarlyContents()
    there.clear()
    early.begin(list, fileOf(list, there))
  })

  it('is found chunk by chunk, as soon as each is there', () => {
    expect(early.find(hashAt(2))).to.equal(null)
    there.add(2)
    const offset = (list.chunks[0]?.length ?? 0) + (list.chunks[1]?.length ?? 0)
    expect(early.find(hashAt(2))).to.include({ content: list.content, offset, length: list.chunks[2]?.length })
    expect(early.find(sha256(Buffer.from('other')))).to.equal(null)
    const bits = early.progress(list.content) as Uint8Array
    expect([bits.length, bits[0], bits[1]]).to.deep.equal([Math.ceil(list.chunks.length / 8), 4, 0])
  })

  it('is all there when it is staged, until nobody wants it; what was given up is not', () => {
    early.end(list.content, true)
    expect(early.progress(list.content)).to.equal('all')
    expect(early.find(hashAt(0))?.offset).to.equal(0)
    expect(early.list(list.content)).to.equal(list)
    for (const [hash, segment] of list.segments) expect(early.segment(hash)).to.equal(segment)
    early.keep(() => true)
    expect(early.places(list.content).length).to.equal(2)
    early.keep(() => false)
    expect(early.progress(list.content)).to.equal(null)
    early.begin(list, fileOf(list, there))
    early.keep(() => false)
    expect(early.places(list.content).length, 'still on its way').to.equal(2)
    early.end(list.content, false)
    expect(early.places(list.content)).to.deep.equal([])
  })

  it('is found among very many chunks whose hashes begin alike', () => {
    const chunks: Chunk[] = Array.from({ length: 300 }, (_, at) => {
      const hash = Buffer.alloc(32)
      hash.writeUInt16BE(at % 3, 0)
      hash.writeUInt32BE(at, 20)
      return { hash: hash.toString('latin1') as Hash, length: 20_000 + at }
    })
    const alike = listOf(chunks)
    const all = new Set(chunks.keys())
    early.begin(alike, fileOf(alike, all))
    for (const [index, { hash, length }] of chunks.entries()) {
      const offset = 20_000 * index + (index * (index - 1)) / 2
      expect(early.find(hash)).to.include({ content: alike.content, offset, length })
    }
  })

  describe('to other devices', () => {
    let spoilt = false
    const asked: ContentPlace[] = []
    const whole = new Set<ContentId>()
    const damaged = 'd'.repeat(32) as Hash
    const failures: string[] = []
    const read = (place: ContentPlace, offset: number, length: number): HashedBytes | null => {
      asked.push(place)
      if (place.at !== (whole.size > 0 ? 'stage' : 'part')) return null
      const found = Uint8Array.from(bytes.subarray(offset, offset + length))
      if (spoilt) found[0] = (found[0] as number) ^ 1
      return { bytes: found, hash: sha256(found) }
    }
    const readChunk = async (hash: Hash): Promise<Uint8Array | null> =>
      (await server().readChunks([hash], { signal })).found[0] ?? null
    const server = (): ContentServer =>
      new ContentServer({
        rows: () => new RowTable(),
        early,
        disk: {
          hasVersion: () => false,
          stage: { has: (content: ContentId) => whole.has(content) },
          readHashed: async (place: ContentPlace, offset: number, length: number) => read(place, offset, length),
          readTogether: async (reads: readonly PlacedRead[]) => ({
            found: reads.map(({ place, offset, length }) => read(place, offset, length)),
            release: () => undefined,
          }),
        } as unknown as FolderDisk,
        store: {
          list: async () => null,
          segment: async () => null,
          chunk: (hash: Hash) => {
            if (hash === damaged) throw new Error('that record is damaged')
            return null
          },
          base: async () => null,
        } as unknown as FolderStore,
        onStale: () => undefined,
        onServed: () => undefined,
        onDamaged: () => undefined,
        onFailed: error => failures.push(String(error)),
      })
    beforeEach(() => {
      spoilt = false
      asked.length = 0
      whole.clear()
    })

    it('goes from the part, and from the stage once it is whole', async () => {
      expect(await readChunk(hashAt(1))).to.equal(null)
      expect(asked.filter(({ at }) => at === 'part')).to.deep.equal([])
      there.add(1)
      expect(sha256((await readChunk(hashAt(1))) ?? new Uint8Array())).to.equal(hashAt(1))
      whole.add(list.content)
      expect(sha256((await readChunk(hashAt(1))) ?? new Uint8Array())).to.equal(hashAt(1))
    })

    it('without those that cannot be looked for, which is told', async () => {
      there.add(1)
      const { found } = await server().readChunks([damaged, hashAt(1)], { signal })
      expect(found.map(chunk => chunk && sha256(chunk))).to.deep.equal([null, hashAt(1)])
      expect(failures).to.deep.equal(['Error: that record is damaged'])
    })

    it('never with bytes that are something else by now', async () => {
      there.add(1)
      spoilt = true
      expect(await readChunk(hashAt(1))).to.equal(null)
    })

    it('with its list, so that they can begin', async () => {
      expect((await server().readTop(list.content))?.size).to.equal(list.size)
      for (const [hash, segment] of list.segments) expect(await server().readSegment(hash)).to.equal(segment)
      expect(server().progress(list.content)).to.be.instanceOf(Uint8Array)
      expect(server().progress(contentOf(Buffer.from('x')).content)).to.equal(null)
    })
  })
})
