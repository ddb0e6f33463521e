// What every FolderStore promises. `open` gives a store on what was committed to this name before; each test takes a new name.
import { expect } from 'chai'
import { singleContent } from '../../src/core/content.ts'
import { contentOf } from '../../src/core/content-list.ts'
import type { Facts } from '../../src/core/entry.ts'
import { KithError } from '../../src/core/errors.ts'
import type { ActorId, ContentId, DocId, NodeId, RowId } from '../../src/core/ids.ts'
import { ROOT_ROW } from '../../src/core/ids.ts'
import type { JournalEntry } from '../../src/core/past.ts'
import type { FolderBatch, FolderStore, Intent, JournalFilter } from '../../src/core/ports.ts'
import {
  ACTOR,
  counterOf,
  doc,
  fileRow,
  journalEntry,
  listWith,
  metaWith,
  oddRow,
  randomBinary,
  randomBytes,
  randomHash,
  rootRow,
  row,
} from '../store/samples.ts'
import { type Random, seeded } from '../support/random.ts'

export interface StoreUnderTest {
  readonly store: FolderStore
  /** As after a crash of the process: only what was committed is there. */
  restart(): Promise<FolderStore>
  /** Makes the next commit fail with this code. */
  failNextCommit(error: KithError): void
  close(): Promise<void>
}

export function storeContract(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`FolderStore: ${name}`, () => {
    const { SEED: seed = String(Date.now()) } = process.env
    let random: Random
    let subject: StoreUnderTest
    let store: FolderStore

    before(() => console.log(`      seed ${seed}`))
    beforeEach(async () => {
      random = seeded(`${seed}/${name}`)
      subject = await open()
      store = subject.store
    })
    afterEach(() => subject.close())

    const restart = async (): Promise<void> => {
      store = await subject.restart()
    }

    it('is empty before the first commit', async () => {
      expect(await store.meta()).to.equal(null)
      expect(await updatesOf(store)).to.deep.equal([])
      const rows = await store.loadRows()
      expect(rows.size).to.equal(0)
      expect(rows.allocate()).to.equal(ROOT_ROW + 1)
      expect(store.logBytes(doc(3))).to.equal(0)
      expect(await store.loadDoc(doc(3))).to.deep.equal([])
      expect(await store.list(singleContent(randomHash(random)))).to.equal(null)
      expect(await store.list(listWith(random, 3).content)).to.equal(null)
      expect(await store.segment(randomHash(random))).to.equal(null)
      expect(store.chunk(randomHash(random))).to.equal(null)
      expect(await store.base(singleContent(randomHash(random)))).to.equal(null)
      expect(store.contentOfDot(randomBinary(random, 16) as NodeId, ACTOR, 1)).to.equal(null)
      expect(await entriesOf(store, {})).to.deep.equal([])
      await store.commit({})
      expect(await store.meta()).to.equal(null)
    })

    it('keeps a whole commit over a restart', async () => {
      const rows = [rootRow(), fileRow(random, 2)]
      const list = listWith(random, 300)
      const text = Buffer.from('line\n'.repeat(1000))
      const base = { content: contentOf(text).content, bytes: text }
      const node = randomBinary(random, 16) as NodeId
      const entry = journalEntry({ node, path: 'Ünïcode ☃/b.txt' })
      await store.commit({
        updates: [{ doc: doc(256), update: randomBytes(random, 50) }],
        rows: { put: rows, deleted: [] },
        lists: [list],
        bases: [base],
        dots: [{ node, actor: ACTOR, seq: 17, content: base.content }],
        journal: [entry],
        meta: metaWith(1),
      })
      const before = await stateOf(store)
      await restart()
      expect(await stateOf(store)).to.deep.equal(before)
      expect(await store.meta()).to.deep.equal(metaWith(1))
      expect([...(await store.loadRows()).all()]).to.have.deep.members(rows)
      expect(await store.list(list.content)).to.deep.include({ content: list.content, size: list.size })
      expect(bytesOf(await store.base(base.content))).to.deep.equal([...text])
      expect(store.contentOfDot(node, ACTOR, 17)).to.equal(base.content)
      expect(await entriesOf(store, {})).to.deep.equal([entry])
    })

    describe('documents', () => {
      it('appends in order, and counts the log', async () => {
        const updates = [10, 0, 20, 30].map(length => randomBytes(random, length))
        await store.commit({ updates: updates.slice(0, 2).map(update => ({ doc: doc(7), update })) })
        await store.commit({ updates: [{ doc: doc(0), update: randomBytes(random, 5) }] })
        await store.commit({ updates: updates.slice(2).map(update => ({ doc: doc(7), update })) })
        expect((await store.loadDoc(doc(7))).map(bytesOf)).to.deep.equal(updates.map(bytesOf))
        expect(store.logBytes(doc(7))).to.equal(60)
        expect(store.logBytes(doc(0))).to.equal(5)
        await restart()
        await store.meta()
        expect((await store.loadDoc(doc(7))).map(bytesOf)).to.deep.equal(updates.map(bytesOf))
        expect(store.logBytes(doc(7))).to.equal(60)
        expect((await updatesOf(store)).map(([id]) => id)).to.deep.equal([0, 7, 7, 7, 7])
      })

      it('replaces log and snapshot by a snapshot, and puts an update of the same commit behind it', async () => {
        const send = (key: 'updates' | 'snapshots', text: string): FolderBatch => ({
          [key]: [{ doc: doc(9), update: Buffer.from(text) }],
        })
        for (const text of ['a', 'b', 'c']) await store.commit(send('updates', text))
        await store.commit(send('snapshots', 'abc'))
        expect(store.logBytes(doc(9))).to.equal(0)
        expect(await textsOf(store, doc(9))).to.deep.equal(['abc'])
        await store.commit(send('updates', 'd'))
        expect(store.logBytes(doc(9))).to.equal(1)
        await store.commit({ ...send('updates', 'e'), ...send('snapshots', 'abcd') })
        expect(await textsOf(store, doc(9))).to.deep.equal(['abcd', 'e'])
        await restart()
        expect(await textsOf(store, doc(9))).to.deep.equal(['abcd', 'e'])
      })

      it('keeps its own copy of an update', async () => {
        const update = Buffer.from('before')
        const done = store.commit({ updates: [{ doc: doc(1), update }] })
        await done
        update.fill(0)
        for (const read of await store.loadDoc(doc(1))) read.fill(1)
        expect(await textsOf(store, doc(1))).to.deep.equal(['before'])
      })
    })

    describe('rows', () => {
      it('keeps every field of every row', async () => {
        // One name in a directory has one row.
        const names = new Set<string>()
        const rows = Array.from({ length: 300 }, (_, at) => oddRow(random, at + 2)).filter(({ parent, name }) => {
          const key = `${parent}/${name}`
          return !names.has(key) && names.add(key)
        })
        await store.commit({ rows: { put: [rootRow(), ...rows], deleted: [] } })
        await restart()
        expect([...(await store.loadRows()).all()]).to.have.deep.members([rootRow(), ...rows])
      })

      it('replaces and deletes', async () => {
        const rows = [2, 3, 4, 5].map(number => fileRow(random, number))
        await store.commit({ rows: { put: [rootRow(), ...rows], deleted: [] } })
        const changed = { ...fileRow(random, 3), name: 'other' }
        await store.commit({ rows: { put: [changed], deleted: [row(4), row(99)] } })
        await restart()
        const loaded = await store.loadRows()
        expect([...loaded.all()].map(r => r.id).sort()).to.deep.equal([1, 2, 3, 5])
        expect(loaded.get(row(3))).to.deep.equal(changed)
        expect(loaded.dirty).to.equal(false)
      })

      it('never gives out the id of a row that is gone', async () => {
        await store.commit({ rows: { put: [rootRow(), fileRow(random, 40)], deleted: [] } })
        await store.commit({ rows: { put: [], deleted: [row(40)] } })
        await restart()
        expect((await store.loadRows()).allocate()).to.equal(41)
      })
    })

    describe('contents', () => {
      it('gives back the recipe, its segments and the place of each chunk', async () => {
        const list = listWith(random, 700)
        await store.commit({ lists: [list] })
        await restart()
        const found = await store.list(list.content)
        expect(found?.chunks).to.deep.equal(list.chunks)
        expect(bytesOf(found?.top ?? null)).to.deep.equal(bytesOf(list.top))
        expect([...(found?.segments.keys() ?? [])]).to.have.members([...list.segments.keys()])
        for (const [hash, bytes] of list.segments) {
          expect(bytesOf(await store.segment(hash))).to.deep.equal(bytesOf(bytes))
        }
        let offset = 0
        for (const { hash, length } of list.chunks) {
          expect(store.chunk(hash)).to.deep.equal({ content: list.content, offset, length })
          offset += length
        }
      })

      it('knows a content of one chunk', async () => {
        const list = contentOf(Buffer.from('small'))
        await store.commit({ lists: [list] })
        expect(await store.list(list.content)).to.deep.include({ size: 5, chunks: list.chunks })
        const hash = list.chunks[0]?.hash
        expect(hash && store.chunk(hash)).to.deep.equal({ content: list.content, offset: 0, length: 5 })
      })

      it('finds what two contents share', async () => {
        const bytes = randomBytes(random, 1_000_000)
        const first = contentOf(bytes)
        const second = contentOf(Buffer.concat([bytes, randomBytes(random, 300_000)]))
        await store.commit({ lists: [first, second] })
        for (const list of [first, second]) {
          expect((await store.list(list.content))?.chunks).to.deep.equal(list.chunks)
          for (const { hash, length } of list.chunks) {
            const place = store.chunk(hash)
            expect(place?.length).to.equal(length)
            const holder = [first, second].find(l => l.content === place?.content)
            let offset = 0
            const at = holder?.chunks.find(chunk => {
              if (offset === place?.offset) return true
              offset += chunk.length
              return false
            })
            expect(at?.hash).to.equal(hash)
          }
        }
      })
    })

    describe('bases and dots', () => {
      it('gives back bases of any size, and the newest content of a dot', async () => {
        const texts = [0, 1, 300, 100_000].map(length => Buffer.from('abc\n'.repeat(length)))
        const bases = texts.map(bytes => ({ content: contentOf(bytes).content, bytes }))
        bases.push({ content: singleContent(randomHash(random)), bytes: Buffer.from(randomBytes(random, 5000)) })
        await store.commit({ bases })
        const node = randomBinary(random, 16) as NodeId
        const seq = 2 ** 53 - 1
        const dot = (content: ContentId, actor: ActorId = ACTOR) => ({ dots: [{ node, actor, seq, content }] })
        await store.commit(dot(bases[0]?.content as ContentId))
        await store.commit(dot(bases[1]?.content as ContentId))
        await restart()
        for (const { content, bytes } of bases) expect(bytesOf(await store.base(content))).to.deep.equal([...bytes])
        expect(store.contentOfDot(node, ACTOR, seq)).to.equal(bases[1]?.content)
        expect(store.contentOfDot(node, (ACTOR - 1) as ActorId, seq)).to.equal(null)
        expect(store.contentOfDot(node, ACTOR, seq - 1)).to.equal(null)
      })
    })

    describe('journal', () => {
      it('answers newest first, by node and by time, whatever the clock did', async () => {
        const nodes = [0, 1, 2].map(() => randomBinary(random, 16) as NodeId)
        const some = [0, 1].map(() => ({ ...oddFacts(random), mode: 0o644 }))
        const facts = () => (random.chance(0.5) ? random.pick(some) : oddFacts(random))
        const entries: JournalEntry[] = []
        for (let at = 0; at < 60; at++) {
          entries.push(
            journalEntry({
              time: 1_000_000 + (at % 20) * 1000 + random.int(900),
              node: nodes[at % 3] as NodeId,
              path: `p${at}`,
              action: random.pick(['created', 'edited', 'moved', 'deleted', 'merged', 'restored'] as const),
              kind: random.pick(['file', 'directory', 'symlink'] as const),
              facts: facts(),
              was: random.pick([null, { path: `p${at}`, facts: facts() }, { path: 'before', facts: facts() }]),
            }),
          )
        }
        for (let at = 0; at < 60; at += 20) await store.commit({ journal: entries.slice(at, at + 20) })
        await restart()
        expect(store.journalLength).to.equal(entries.length)
        const newest = [...entries].reverse()
        const stored = newest.map((entry, at) => ({ entry, latest: Math.max(...newest.slice(at).map(e => e.time)) }))
        expect(await entriesOf(store, {})).to.deep.equal(newest)
        for (const node of nodes) {
          expect(await entriesOf(store, { node })).to.deep.equal(newest.filter(entry => entry.node === node))
        }
        for (const since of [0, 1_005_000, 1_019_500, 2_000_000]) {
          expect(await entriesOf(store, { since })).to.deep.equal(
            stored.filter(one => one.latest >= since).map(one => one.entry),
          )
        }
        const node = nodes[0] as NodeId
        expect(await entriesOf(store, { node, since: 1_010_000 })).to.deep.equal(
          stored.filter(one => one.entry.node === node && one.latest >= 1_010_000).map(one => one.entry),
        )
        for await (const entry of store.journal({})) {
          expect(entry).to.deep.equal(newest[0])
          break
        }
      })

      /** What each time was noted, in order; looked at since `since`, when it is `now`. */
      const JUMPS = [
        { clock: 'was ahead for a moment', times: [10, 11, 400, 12, 13], since: 12.5, now: 14, found: [13] },
        { clock: 'was ahead just then', times: [10, 11, 400, 12, 13], since: 10.5, now: 14, found: [13, 12, 400, 11] },
        { clock: 'is ahead still', times: [10, 11, 400, 401], since: 11.5, now: 402, found: [401, 400] },
        { clock: 'was back for a moment', times: [10, 20, 5, 6, 21], since: 15, now: 22, found: [21, 6, 5, 20] },
        { clock: 'was back before that', times: [10, 20, 5, 6, 21], since: 20.5, now: 22, found: [21] },
        { clock: 'is back still', times: [10, 20, 5, 6], since: 5.5, now: 7, found: [6] },
      ]
      for (const { clock, times, since, now, found } of JUMPS)
        it(`ends where a time was passed, though the clock ${clock}`, async () => {
          const node = randomBinary(random, 16) as NodeId
          await store.commit({ journal: times.map(time => journalEntry({ time, node })) })
          for (const filter of [
            { since, now },
            { since, now, node },
          ])
            expect((await entriesOf(store, filter)).map(({ time }) => time)).to.deep.equal(found)
        })
    })

    it('keeps notes by name, the last of each, with the rest of their commit', async () => {
      expect(await store.note('sweep')).to.equal(undefined)
      const bytes = randomBytes(random, 3_000)
      await store.commit({ notes: [{ name: 'sweep', bytes }], meta: metaWith(1) })
      await store.commit({ notes: [{ name: 'peers', bytes: new Uint8Array(0) }] })
      const error = new KithError('store-failed', 'as asked')
      subject.failNextCommit(error)
      await failureOf(store.commit({ notes: [{ name: 'sweep', bytes: Buffer.from('lost') }], meta: metaWith(2) }))
      for (let times = 0; times < 2; times++) {
        expect(bytesOf((await store.note('sweep')) ?? null)).to.deep.equal([...bytes])
        expect(bytesOf((await store.note('peers')) ?? null)).to.deep.equal([])
        expect(await store.note('verify')).to.equal(undefined)
        await restart()
      }
      const own = Buffer.from('newer')
      await store.commit({ notes: [{ name: 'sweep', bytes: own }] })
      own.fill(0)
      expect(Buffer.from((await store.note('sweep')) ?? []).toString()).to.equal('newer')
      await store.erase()
      expect(await store.note('sweep')).to.equal(undefined)
      await restart()
      expect(await store.note('sweep')).to.equal(undefined)
    })

    it('keeps what is intended, the last of it, until a commit says otherwise', async () => {
      const intent = (path: string, was: RowId | null): Intent => ({ path, was, row: fileRow(random, 7) })
      const plain = async (): Promise<unknown> => (await store.intents()).map(one => ({ ...one, row: { ...one.row } }))
      await store.commit({ meta: metaWith(1) })
      expect(await plain()).to.deep.equal([])
      await store.intend([intent('gone', null)])
      const intents = [intent('a/ü', null), intent('b', 3 as RowId)]
      await store.intend(intents)
      for (let times = 0; times < 2; times++) {
        expect(await plain()).to.deep.equal(intents)
        await restart()
      }
      subject.failNextCommit(new KithError('store-failed', 'as asked'))
      await failureOf(store.commit({ intents: [], meta: metaWith(2) }))
      expect(await plain()).to.deep.equal(intents)
      await store.commit({ meta: metaWith(2) })
      expect(await plain()).to.deep.equal(intents)
      await store.commit({ intents: [] })
      expect(await plain()).to.deep.equal([])
      await store.intend(intents)
      await store.erase()
      expect(await plain()).to.deep.equal([])
    })

    it('stores nothing of a commit that failed, and goes on', async () => {
      const list = listWith(random, 400)
      const base = { content: singleContent(randomHash(random)), bytes: Buffer.from('base') }
      const node = randomBinary(random, 16) as NodeId
      await store.commit(everything(1))
      const before = await stateOf(store)
      const error = new KithError('store-failed', 'as asked')
      subject.failNextCommit(error)
      const failed = await failureOf(store.commit({ ...everything(2), lists: [list], bases: [base] }))
      expect(failed).to.deep.include({ code: 'store-failed' })
      expect(await stateOf(store)).to.deep.equal(before)
      expect(await store.list(list.content)).to.equal(null)
      for (const { hash } of list.chunks) expect(store.chunk(hash)).to.equal(null)
      for (const hash of list.segments.keys()) expect(await store.segment(hash)).to.equal(null)
      expect(await store.base(base.content)).to.equal(null)
      await store.commit({ ...everything(3), lists: [list] })
      const after = await stateOf(store)
      await restart()
      expect(await stateOf(store)).to.deep.equal(after)
      expect((await store.list(list.content))?.chunks).to.deep.equal(list.chunks)
      expect((await store.loadRows()).get(row(3))?.name).to.equal('row of 3')

      function everything(number: number): FolderBatch {
        return {
          updates: [{ doc: doc(number), update: Buffer.from(`update ${number}`) }],
          rows: {
            put: [rootRow(), { ...fileRow(random, number + 1), id: row(3), name: `row of ${number}` }],
            deleted: [],
          },
          dots: [{ node, actor: ACTOR, seq: number, content: base.content }],
          journal: [journalEntry({ path: `path ${number}` })],
          meta: metaWith(number),
        }
      }
    })

    it('commits in the order of the calls', async () => {
      await Promise.all(
        Array.from({ length: 50 }, (_, at) =>
          store.commit({ updates: [{ doc: doc(1), update: Buffer.from(String(at)) }], meta: metaWith(at) }),
        ),
      )
      expect(await textsOf(store, doc(1))).to.deep.equal(Array.from({ length: 50 }, (_, at) => String(at)))
      expect(counterOf(await store.meta())).to.equal(49)
    })

    it('forgets a folder', async () => {
      const list = listWith(random, 3)
      await store.commit({
        updates: [{ doc: doc(1), update: Buffer.from('x') }],
        rows: { put: [rootRow()], deleted: [] },
        lists: [list],
        journal: [journalEntry()],
        meta: metaWith(1),
      })
      await store.erase()
      const empty = { meta: null, docs: [], rows: [], journal: [] }
      expect(await stateOf(store)).to.deep.equal(empty)
      await restart()
      expect(await stateOf(store)).to.deep.equal(empty)
      expect(await store.list(list.content)).to.equal(null)
      await store.commit({ meta: metaWith(5), updates: [{ doc: doc(1), update: Buffer.from('y') }] })
      await restart()
      expect(await textsOf(store, doc(1))).to.deep.equal(['y'])
    })
  })
}

function oddFacts(random: Random): Facts {
  const content = random.chance(0.5) ? singleContent(randomHash(random)) : ('' as ContentId)
  return { content, size: random.int(2 ** 40), mtime: random.int(2 ** 45) - 2 ** 44, mode: random.int(512) }
}

export async function stateOf(store: FolderStore) {
  const rows = [...(await store.loadRows()).all()].sort((a, b) => a.id - b.id)
  return { meta: await store.meta(), docs: await updatesOf(store), rows, journal: await entriesOf(store, {}) }
}

async function updatesOf(store: FolderStore): Promise<[number, number[]][]> {
  const out: [number, number[]][] = []
  for await (const { doc: id, update } of store.loadDocs()) out.push([id, [...update]])
  return out
}

async function textsOf(store: FolderStore, id: DocId): Promise<string[]> {
  return (await store.loadDoc(id)).map(update => Buffer.from(update).toString())
}

async function entriesOf(store: FolderStore, filter: JournalFilter): Promise<JournalEntry[]> {
  const out: JournalEntry[] = []
  for await (const entry of store.journal(filter)) out.push(entry)
  return out
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('it should have failed')
}

function bytesOf(bytes: Uint8Array | null): number[] | null {
  return bytes === null ? null : [...bytes]
}
