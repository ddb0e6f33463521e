// What every `Versions` promises, run on the real folder and on the fake one. Contents are large enough to be of many chunks where they
// are to share some.
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import type { ContentId } from '../../src/core/ids.ts'
import { NO_CONTENT } from '../../src/core/ids.ts'
import type { FolderDisk, KeptVersion } from '../../src/core/ports.ts'
import type { DiskSubject } from './disk-contract.ts'

export interface VersionsSubject extends DiskSubject {
  /** Changes one byte of what is kept (whole, or the chunks of all that are packed), unseen: no time or size moves. */
  spoil(content: ContentId): void
  /** How many things lie in `.kith/damaged`. */
  damaged(): number
}

const waiting = { signal: new AbortController().signal }
const LARGE_BYTES = 3 * 1024 * 1024

/** The same for the same seed; of chunks that occur nowhere else. */
export function noise(seed: number, length = LARGE_BYTES): Buffer {
  const bytes = Buffer.alloc(length)
  let state = seed * 2_654_435_761 + 1
  for (let at = 0; at + 4 <= length; at += 4) {
    state = Math.imul(state ^ (state >>> 15), 2_246_822_519) + 0x9e3779b9
    bytes.writeInt32LE(state | 0, at)
  }
  return bytes
}

function edited(bytes: Uint8Array, at: number): Buffer {
  const copy = Buffer.from(bytes)
  noise(at + 7, 4096).copy(copy, at)
  return copy
}

export function versionsContract(name: string, open: () => Promise<VersionsSubject>): void {
  describe(`Versions contract: ${name}`, () => {
    let subject: VersionsSubject
    let disk: FolderDisk

    beforeEach(async () => {
      subject = await open()
      disk = subject.disk
      await disk.accept()
      await disk.recover()
    })
    afterEach(() => subject.close())

    async function all(of = disk): Promise<Map<ContentId, KeptVersion>> {
      const found = new Map<ContentId, KeptVersion>()
      for await (const some of of.versions.all(waiting)) {
        for (const version of some) {
          expect(found.has(version.content), 'each once').to.equal(false)
          found.set(version.content, version)
        }
      }
      return found
    }
    async function keep(bytes: Uint8Array): Promise<ContentId> {
      const { content } = contentOf(bytes)
      subject.person.write('source', bytes)
      const stat = (await disk.look('source'))?.stat
      if (stat === undefined) throw new Error('it was just written')
      expect(await disk.versions.keep('source', stat, content, waiting)).to.equal(true)
      return content
    }
    async function packed(bytes: Uint8Array): Promise<ContentId> {
      const content = await keep(bytes)
      await disk.versions.pack(content, contentOf(bytes), waiting)
      expect((await all()).get(content)?.packed).to.equal(true)
      return content
    }
    async function whole(content: ContentId, size: number, of = disk): Promise<Buffer | null> {
      const bytes = await of.read({ at: 'version', content }, 0, size, waiting)
      return bytes === null ? null : Buffer.from(bytes)
    }

    it('keeps a copy of what stands there, and only of that', async () => {
      const bytes = Buffer.from('what stands there')
      const content = await keep(bytes)
      subject.person.write('source', 'other bytes')
      expect(await whole(content, bytes.length)).to.deep.equal(bytes)
      expect(disk.hasVersion(content)).to.equal(true)
      expect([...(await all()).values()]).to.have.length(1)
      expect((await all()).get(content)).to.include({ size: bytes.length, packed: false })

      const stat = (await disk.look('source'))?.stat
      if (stat === undefined) throw new Error('nothing there')
      const other = contentOf(Buffer.from('not these')).content
      expect(await disk.versions.keep('source', stat, other, waiting), 'other bytes').to.equal(false)
      const { content: right } = contentOf(Buffer.from('other bytes'))
      expect(await disk.versions.keep('source', { ...stat, size: 3 }, right, waiting), 'other stat').to.equal(false)
      expect(await disk.versions.keep('nowhere', stat, right, waiting), 'nothing').to.equal(false)
      expect([...(await all()).keys()]).to.deep.equal([content])
    })

    it('gives what there is where more is asked for', async () => {
      const bytes = Buffer.from('short')
      const content = await keep(bytes)
      expect(await whole(content, 1000)).to.deep.equal(bytes)
      const end = await disk.read({ at: 'version', content }, 3, 1000, waiting)
      expect(Buffer.from(end ?? []).toString()).to.equal('rt')
      expect(await disk.read({ at: 'version', content }, 6, 1, waiting)).to.equal(null)
      const large = noise(8)
      const shared = await packed(large)
      expect((await whole(shared, 2 * LARGE_BYTES))?.equals(large)).to.equal(true)
    })

    it('keeps the target of a symlink', async () => {
      subject.person.symlink('link', 'some/target')
      const found = await disk.look('link')
      if (found === null) throw new Error('nothing there')
      const { content } = contentOf(Buffer.from('some/target'))
      expect(await disk.versions.keep('link', found.stat, content, waiting)).to.equal(true)
      expect(await whole(content, 11)).to.deep.equal(Buffer.from('some/target'))
    })

    it('drops versions, whole and packed, for good', async () => {
      const a = await keep(Buffer.from('a'))
      const b = await keep(Buffer.from('b'))
      const c = await packed(noise(1))
      const dropped = disk.versions.drop([a, c], waiting)
      for (const going of [a, c]) expect(disk.hasVersion(going), 'from the beginning').to.equal(false)
      await dropped
      expect([...(await all()).keys()]).to.deep.equal([b])
      for (const gone of [a, c]) expect(disk.hasVersion(gone)).to.equal(false)
      expect(await whole(a, 1)).to.equal(null)
      expect(await whole(c, LARGE_BYTES)).to.equal(null)
      const again = await subject.reopen()
      expect([...(await all(again)).keys()]).to.deep.equal([b])
      await again.close()
    })

    it('keeps what is staged, and says where it is not', async () => {
      const bytes = Buffer.from('staged')
      const { content } = contentOf(bytes)
      expect(await disk.versions.keepStaged(content, waiting)).to.equal(false)
      await disk.stage.putWhole([{ content, bytes }], waiting)
      expect(await disk.versions.keepStaged(content, waiting)).to.equal(true)
      expect(await whole(content, bytes.length)).to.deep.equal(bytes)
    })

    it('finds a damaged version, moves it away, and takes a sound one in its place', async () => {
      const bytes = noise(2)
      const content = await keep(bytes)
      expect(await disk.versions.verify(content, waiting)).to.equal('sound')
      subject.spoil(content)
      expect(await disk.versions.verify(content, waiting)).to.equal('damaged')
      expect(subject.damaged()).to.equal(1)
      expect(disk.hasVersion(content)).to.equal(false)
      expect([...(await all()).keys()]).to.deep.equal([])
      expect(await disk.versions.verify(content, waiting)).to.equal('gone')
      await disk.stage.putWhole([{ content, bytes }], waiting)
      expect(await disk.versions.keepStaged(content, waiting)).to.equal(true)
      expect(await disk.versions.verify(content, waiting)).to.equal('sound')
    })

    it('packs: the same bytes at any offset, at the cost of what is not shared, after a restart too', async () => {
      const first = noise(3)
      const contents = [await packed(first)]
      const texts = [first]
      for (let n = 1; n <= 4; n++) {
        const bytes = edited(first, n * 500_000)
        texts.push(bytes)
        contents.push(await packed(bytes))
      }
      const again = await subject.reopen()
      const kept = await all(again)
      const occupied = [...kept.values()].reduce((sum, { occupies }) => sum + occupies, 0)
      expect(occupied)
        .to.be.greaterThan(LARGE_BYTES)
        .and.lessThan(1.5 * LARGE_BYTES)
      for (const [at, content] of contents.entries()) {
        const bytes = texts[at] as Buffer
        expect(kept.get(content)).to.include({ size: LARGE_BYTES, packed: true })
        expect(again.hasVersion(content)).to.equal(true)
        expect((await whole(content, LARGE_BYTES, again))?.equals(bytes)).to.equal(true)
        for (const offset of [0, 1, 65_537, 500_001, LARGE_BYTES - 100]) {
          const some = await again.read({ at: 'version', content }, offset, 100, waiting)
          expect(some === null ? null : Buffer.from(some)).to.deep.equal(bytes.subarray(offset, offset + 100))
        }
        expect(await again.versions.verify(content, waiting)).to.equal('sound')
        expect(await again.stage.putLocal(content, LARGE_BYTES, { at: 'version', content }, waiting)).to.equal(true)
      }
      await again.close()
    })

    it('drops a packed version without a loss to those that share its chunks', async () => {
      const first = noise(4)
      const second = edited(first, 1_000_000)
      const a = await packed(first)
      const b = await packed(second)
      await disk.versions.drop([a], waiting)
      expect(await disk.versions.verify(b, waiting)).to.equal('sound')
      expect((await whole(b, LARGE_BYTES))?.equals(second)).to.equal(true)
      const left = [...(await all()).values()]
      expect(left.map(({ content }) => content)).to.deep.equal([b])
      expect(left[0]?.occupies).to.be.lessThan(1.1 * LARGE_BYTES)
    })

    it('finds a damaged packed version, and packing it again from sound bytes mends it', async () => {
      const bytes = noise(5)
      const content = await packed(bytes)
      subject.spoil(content)
      expect(await disk.versions.verify(content, waiting)).to.equal('damaged')
      expect(disk.hasVersion(content)).to.equal(false)
      expect(await whole(content, LARGE_BYTES)).to.equal(null)
      await disk.stage.putWhole([{ content, bytes }], waiting)
      expect(await disk.versions.keepStaged(content, waiting)).to.equal(true)
      await disk.versions.pack(content, contentOf(bytes), waiting)
      expect((await all()).get(content)?.packed).to.equal(true)
      expect(await disk.versions.verify(content, waiting)).to.equal('sound')
      expect((await whole(content, LARGE_BYTES))?.equals(bytes)).to.equal(true)
    })

    it('packs nothing that is not what its list says', async () => {
      const bytes = noise(6)
      const content = await keep(bytes)
      subject.spoil(content)
      await disk.versions.pack(content, contentOf(bytes), waiting)
      expect((await all()).get(content)?.packed).to.equal(false)
      expect(await disk.versions.verify(content, waiting)).to.equal('damaged')
    })

    it('gives out and touches nothing that is not there', async () => {
      const { content } = contentOf(Buffer.from('never kept'))
      await disk.versions.drop([content], waiting)
      await disk.versions.pack(content, contentOf(Buffer.from('never kept')), waiting)
      expect(await disk.versions.verify(content, waiting)).to.equal('gone')
      expect(content).not.to.equal(NO_CONTENT)
      expect((await all()).size).to.equal(0)
    })

    it('stops with the signal', async () => {
      const bytes = noise(7)
      const content = await keep(bytes)
      const shared = await packed(noise(8))
      const stop = new AbortController()
      stop.abort(new Error('stopped'))
      const refused = async (act: () => Promise<unknown>): Promise<void> => {
        let thrown: unknown
        await act().catch((error: unknown) => {
          thrown = error
        })
        expect(thrown).to.equal(stop.signal.reason)
      }
      await refused(() => disk.versions.pack(content, contentOf(bytes), { signal: stop.signal }))
      await refused(() => disk.versions.verify(content, { signal: stop.signal }))
      await refused(() => disk.versions.drop([content, shared], { signal: stop.signal }))
      expect((await all()).get(content)?.packed).to.equal(false)
      expect((await all()).get(shared)?.packed).to.equal(true)
    })
  })
}
