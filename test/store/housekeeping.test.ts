import { expect } from 'chai'
import type { ContentList } from '../../src/core/content.ts'
import { isSingle } from '../../src/core/content.ts'
import { contentOf } from '../../src/core/content-list.ts'
import type { ContentId, NodeId } from '../../src/core/ids.ts'
import { type Database, openDatabase } from '../../src/store/database.ts'
import type { LevelFolderStore } from '../../src/store/folder-store.ts'
import { type Random, seeded } from '../support/random.ts'
import { failNextWrite } from './failing-writes.ts'
import { codeOf, newHome, removeHomes } from './homes.ts'
import { ACTOR, FOLDER, listWith, randomBinary, randomBytes } from './samples.ts'

describe('store housekeeping', () => {
  const { SEED: seed = String(Date.now()) } = process.env
  let random: Random
  let directory: string
  let database: Database
  let store: LevelFolderStore

  before(() => console.log(`      seed ${seed}`))
  beforeEach(async () => {
    random = seeded(seed)
    directory = await newHome()
    database = await openDatabase(directory, { baseLimitBytes: 100_000 })
    store = database.folder(FOLDER)
  })
  afterEach(async () => {
    await database.close()
    await removeHomes()
  })

  it('drops what no wanted content is made of, and finds another place for what is shared', async () => {
    const bytes = Buffer.from(randomBytes(random, 4_000_000))
    const lists = [
      contentOf(bytes),
      contentOf(bytes.subarray(0, 2_000_000)),
      contentOf(bytes.subarray(1_000_000)),
      contentOf(randomBytes(random, 500)),
      contentOf(randomBytes(random, 1_500_000)),
    ]
    // A chunk of the large ones that is also a content of its own.
    const chunk = lists[0]?.chunks[3]
    let start = 0
    for (const { length } of lists[0]?.chunks.slice(0, 3) ?? []) start += length
    lists.push(contentOf(bytes.subarray(start, start + (chunk?.length ?? 0))))
    expect(isSingle(lists[5]?.content as ContentId)).to.equal(true)
    for (const list of lists) await store.commit({ lists: [list] })
    for (const wanted of [[0, 1, 2, 3, 4, 5], [1, 2, 3, 5], [2, 3, 5], [2], [5], []]) {
      // What was dropped is not there any more; put it back in another order.
      for (const at of [...wanted].reverse()) await store.commit({ lists: [lists[at] as ContentList] })
      const kept = wanted.map(at => lists[at] as ContentList)
      const swept = await store.sweep(new Set(kept.map(list => list.content)))
      expect(swept.lists).to.be.at.most(5)
      await checkIndex(lists, kept)
      expect(await store.sweep(new Set(kept.map(list => list.content)))).to.deep.equal({ lists: 0, chunks: 0, dots: 0 })
    }
  })

  it('writes a large list ahead of its commit, and shows it only after', async () => {
    const list = listWith(random, 20_000)
    const twin = listWith(random, 10)
    failNextWrite('before')
    expect(await codeOf(store.commit({ lists: [list, twin] }))).to.equal('store-failed')
    await checkIndex([list, twin], [])
    for (const hash of list.segments.keys()) expect(await store.segment(hash)).to.equal(null)
    await store.commit({ lists: [list, twin] })
    await checkIndex([list, twin], [list, twin])
    await store.sweep(new Set([twin.content]))
    await checkIndex([list, twin], [twin])
  })

  it('drops the longest unchanged bases over the limit', async () => {
    const bases = Array.from({ length: 40 }, (_, at) => ({
      content: contentOf(Buffer.from(String(at))).content,
      bytes: randomBytes(random, 5_000),
    }))
    for (const base of bases.slice(0, 15)) await store.commit({ bases: [base] })
    // Put again: it is the newest now.
    await store.commit({ bases: bases.slice(0, 1) })
    for (const base of bases.slice(15)) await store.commit({ bases: [base] })
    const there = await Promise.all(bases.map(async base => (await store.base(base.content)) !== null))
    const kept = there.filter(Boolean).length
    expect(kept).to.be.within(17, 20)
    expect(there.slice(-kept).every(Boolean)).to.equal(true)
    await store.commit({ bases: bases.slice(38) })
    expect(await store.base(bases[39]?.content as ContentId)).not.to.equal(null)
  })

  it('refreshes a base that is put again', async () => {
    const bases = Array.from({ length: 30 }, (_, at) => ({
      content: contentOf(Buffer.from(String(at))).content,
      bytes: randomBytes(random, 5_000),
    }))
    for (const base of bases) await store.commit({ bases: [base, bases[0] as (typeof bases)[0]] })
    expect(await store.base(bases[0]?.content as ContentId)).not.to.equal(null)
    expect(await store.base(bases[1]?.content as ContentId)).to.equal(null)
  })

  it('drops dots whose content is neither wanted nor a base', async () => {
    const [wanted, based, gone] = ['a', 'b', 'c'].map(text => contentOf(Buffer.from(text)).content) as ContentId[]
    const node = randomBinary(random, 16) as NodeId
    const contents = [wanted, based, gone] as ContentId[]
    await store.commit({
      dots: contents.map((content, at) => ({ node, actor: ACTOR, seq: at, content })),
      bases: [{ content: based as ContentId, bytes: Buffer.from('b') }],
    })
    expect((await store.sweep(new Set([wanted as ContentId]))).dots).to.equal(1)
    expect(contents.map((_, at) => store.contentOfDot(node, ACTOR, at))).to.deep.equal([wanted, based, null])
  })

  /** Every chunk of a kept content is found where it is said to be; nothing else is. */
  async function checkIndex(all: readonly ContentList[], kept: readonly ContentList[]): Promise<void> {
    const places = new Map<string, Set<string>>()
    for (const list of kept) {
      expect((await store.list(list.content))?.chunks).to.deep.equal(list.chunks)
      let offset = 0
      for (const { hash, length } of list.chunks) {
        const known = places.get(hash) ?? new Set()
        places.set(hash, known.add(JSON.stringify({ content: list.content, offset, length })))
        offset += length
      }
    }
    for (const list of all) {
      if (!kept.includes(list) && !isSingle(list.content)) expect(await store.list(list.content)).to.equal(null)
      for (const { hash } of list.chunks) {
        const place = store.chunk(hash)
        const known = places.get(hash)
        if (known === undefined) expect(place).to.equal(null)
        else expect(known.has(JSON.stringify(place)), 'a chunk is lost').to.equal(true)
      }
    }
  }
})
