// What any FolderNetwork must do, said through SharedFolder alone: run on the real thing over loopback and on the simulation's fake.
import { expect } from 'chai'
import { matches, sha256 } from '../../src/core/content-list.ts'
import type { ContentId, DeviceId, FolderId, NodeId } from '../../src/core/ids.ts'
import { binary, NO_CONTENT } from '../../src/core/ids.ts'
import type { JournalEntry } from '../../src/core/past.ts'
import { type FolderNetwork, MAX_HISTORY, type PastQuery, type SharedFolder } from '../../src/core/ports.ts'
import { FakeFolder } from './fake-folder.ts'

export interface NetworkDevice {
  readonly id: DeviceId
  share(folder: SharedFolder): FolderNetwork
}

export interface NetworkUnderTest {
  readonly devices: readonly NetworkDevice[]
  /** They start unlinked. Indexes into `devices`. */
  link(a: number, b: number): Promise<void>
  unlink(a: number, b: number): Promise<void>
  /** Questions about the past in one request. */
  readonly queriesAtOnce: number
  /** Lets time go on until it holds; fails with `what` after a deadline. */
  until(what: string, holds: () => boolean): Promise<void>
  close(): Promise<void>
}

const FOLDER = 'f0'.repeat(16) as FolderId

/** `open(n)`: a network of n devices that hold the same folders. */
export function networkContract(name: string, open: (count: number) => Promise<NetworkUnderTest>): void {
  describe(`FolderNetwork: ${name}`, () => {
    let network: NetworkUnderTest
    let folders: FakeFolder[] = []
    const { signal } = new AbortController()

    async function start(count: number): Promise<void> {
      network = await open(count)
      folders = network.devices.map((_device, at) => new FakeFolder(FOLDER, at + 1))
    }

    function share(...which: number[]): void {
      for (const at of which) {
        const folder = folders[at] as FakeFolder
        folder.network = (network.devices[at] as NetworkDevice).share(folder)
      }
    }

    const at = (index: number): { folder: FakeFolder; id: DeviceId; network: FolderNetwork } => {
      const folder = folders[index] as FakeFolder
      return { folder, id: (network.devices[index] as NetworkDevice).id, network: folder.network as FolderNetwork }
    }
    const equal = (): boolean => new Set(folders.map(folder => folder.digest)).size === 1

    afterEach(async () => {
      await network.close()
    })

    it('compares on linking, brings what each lacks, and says so to both', async () => {
      await start(2)
      for (let doc = 0; doc < 20; doc++) at(0).folder.edit(doc, `a${doc}`)
      for (let doc = 10; doc < 40; doc++) at(1).folder.edit(doc, `b${doc}`)
      at(1).folder.edit(256, 'directories')
      share(0, 1)
      await network.link(0, 1)
      await network.until('equal', equal)
      await network.until(
        'said',
        () => at(0).folder.comparedWith.includes(at(1).id) && at(1).folder.comparedWith.includes(at(0).id),
      )
      expect(at(0).network.peers()).to.deep.equal([at(1).id])
      expect(at(0).folder.arrived).to.have.length(31)
      expect(at(1).folder.arrived).to.have.length(20)
    })

    it('says that empty folders are equal', async () => {
      await start(2)
      share(0, 1)
      await network.link(0, 1)
      await network.until(
        'said',
        () => at(0).folder.comparedWith.includes(at(1).id) && at(1).folder.comparedWith.includes(at(0).id),
      )
    })

    it('works where the folder is shared after linking', async () => {
      await start(2)
      await network.link(0, 1)
      share(0)
      at(0).folder.edit(3, 'early')
      share(1)
      await network.until('equal', equal)
    })

    it('brings announced updates in order, to all but who sent them, over all devices', async () => {
      await start(3)
      share(0, 1, 2)
      await network.link(0, 1)
      await network.link(1, 2)
      await network.until('linked', () => at(1).network.peers().length === 2)
      for (let number = 1; number <= 300; number++) at(0).folder.edit(number % 3, `edit ${number}`)
      await network.until('equal', equal)
      for (const index of [1, 2]) {
        for (const doc of [0, 1, 2]) {
          const seen = at(index).folder.arrived.filter(each => each.startsWith(`${doc} `))
          expect(seen).to.deep.equal(Array.from({ length: 100 }, (_, n) => `${doc} 1 ${n + 1}`))
        }
      }
      expect(new Set(at(2).folder.arrivedFrom)).to.deep.equal(new Set([at(1).id]))
      expect(at(0).folder.arrived).to.deep.equal([])
    })

    it('heals an update that got lost', async () => {
      await start(2)
      share(0, 1)
      await network.link(0, 1)
      await network.until('linked', () => at(1).folder.comparedWith.length > 0)
      at(1).folder.loseNext = true
      at(0).folder.edit(7, 'lost')
      await network.until('lost', () => !at(1).folder.loseNext)
      at(0).folder.edit(7, 'found')
      await network.until('equal', equal)
    })

    it('brings what was changed on both sides while apart', async () => {
      await start(2)
      share(0, 1)
      await network.link(0, 1)
      await network.until('linked', () => at(0).folder.comparedWith.length > 0)
      await network.unlink(0, 1)
      await network.until('apart', () => at(0).network.peers().length === 0 && at(1).network.peers().length === 0)
      at(0).folder.edit(1, 'here')
      at(1).folder.edit(1, 'there')
      await network.link(0, 1)
      await network.until('equal', equal)
    })

    it('tells states, and when a peer is gone', async () => {
      await start(2)
      share(0, 1)
      at(0).folder.needFiles = 5
      at(0).folder.stopped = 'paused'
      await network.link(0, 1)
      await network.until('first', () => at(1).folder.peerStates.get(at(0).id)?.needFiles === 5)
      expect(at(1).folder.peerStates.get(at(0).id)?.stopped).to.equal('paused')
      at(0).folder.needFiles = 0
      at(0).folder.stopped = null
      at(0).network.stateChanged()
      await network.until('second', () => at(1).folder.peerStates.get(at(0).id)?.needFiles === 0)
      expect(at(1).folder.peerStates.get(at(0).id)).to.deep.equal(at(0).folder.state())
      await network.unlink(0, 1)
      await network.until('gone', () => at(1).folder.peerStates.get(at(0).id) === null)
    })

    it('fetches small contents, leaves out what nobody has, and ends', async () => {
      await start(3)
      const here = contents(200, 1)
      const there = contents(200, 2)
      const wanted = [
        ...here.map(bytes => at(1).folder.addContent(bytes)),
        ...there.map(bytes => at(2).folder.addContent(bytes)),
        at(0).folder.addContent(Buffer.from('nobody else has this')),
      ]
      share(0, 1, 2)
      await network.link(0, 1)
      await network.link(0, 2)
      await network.until('linked', () => at(0).network.peers().length === 2)
      const got = new Map<ContentId, Uint8Array>()
      for await (const { content, bytes } of at(0).network.fetchWhole(wanted, { signal })) {
        expect(got.has(content)).to.equal(false)
        expect(matches(content, bytes)).to.equal(true)
        got.set(content, bytes)
      }
      expect(got.size).to.equal(400)
    })

    it('fetches a list and its chunks from all who have some', async () => {
      await start(3)
      const bytes = pseudorandom(3_000_000, 7)
      const content = at(1).folder.addContent(bytes)
      at(2).folder.addContent(bytes)
      share(0, 1, 2)
      await network.link(0, 1)
      await network.link(0, 2)
      await network.until('linked', () => at(0).network.peers().length === 2)
      const list = await at(0).network.fetchList(content, { signal })
      expect(list).to.deep.equal(at(1).folder.listOf(content))
      const chunks = list?.chunks ?? []
      // Each of the two lacks every second chunk.
      for (const [index, chunk] of chunks.entries()) at(1 + (index % 2)).folder.dropChunk(chunk.hash)
      const got = new Map<string, Uint8Array>()
      for await (const chunk of at(0).network.fetchChunks(content, chunks, { signal })) {
        expect(sha256(chunk.bytes)).to.equal(chunk.hash)
        got.set(chunk.hash, chunk.bytes)
      }
      expect(sha256(Buffer.concat(chunks.map(chunk => got.get(chunk.hash) ?? new Uint8Array(0))))).to.equal(
        sha256(bytes),
      )
    })

    it('answers null, or nothing, where nobody has it', async () => {
      await start(2)
      const content = at(0).folder.addContent(pseudorandom(300_000, 3))
      share(0, 1)
      const { chunks } = at(0).folder.listOf(content) ?? { chunks: [] }
      for (const linked of [false, true]) {
        if (linked) await network.link(0, 1)
        if (linked) await network.until('linked', () => at(0).network.peers().length === 1)
        expect(await at(0).network.fetchList(content, { signal })).to.equal(null)
        expect(await count(at(0).network.fetchChunks(content, chunks, { signal }))).to.equal(0)
        expect(await count(at(0).network.fetchWhole([content], { signal }))).to.equal(0)
      }
    })

    it('tells linked devices that share the folder of what is being read, and nobody else', async () => {
      await start(3)
      share(0, 1)
      await network.link(0, 1)
      await network.link(0, 2)
      await network.until('linked', () => at(0).network.peers().length === 1)
      const content = at(0).folder.addContent(pseudorandom(300_000, 3))
      at(0).network.offer(3, content)
      at(0).network.offer(3, null)
      await network.until('told', () => at(1).folder.offers.length === 2)
      const of = { device: at(0).id, file: 3 }
      expect(at(1).folder.offers).to.deep.equal([
        { ...of, prefix: content },
        { ...of, prefix: null },
      ])
      expect([at(0), at(2)].map(({ folder }) => folder.offers)).to.deep.equal([[], []])
    })

    it('does not ask a device again that sent three bad pieces', async () => {
      await start(2)
      const wanted = contents(10, 5).map(bytes => at(1).folder.addContent(bytes))
      share(0, 1)
      await network.link(0, 1)
      await network.until('linked', () => at(0).network.peers().length === 1)
      for (let bad = 0; bad < 2; bad++) at(0).network.reportBad(at(1).id)
      expect(await count(at(0).network.fetchWhole(wanted, { signal }))).to.equal(10)
      at(0).network.reportBad(at(1).id)
      expect(await count(at(0).network.fetchWhole(wanted, { signal }))).to.equal(0)
    })

    it('asks all of the past: true where any of them knows', async () => {
      await start(3)
      const queries = pastQueries(2_500)
      at(1).folder.remembers = ({ path }) => path.endsWith('7')
      at(2).folder.remembers = ({ path, node, content }) =>
        path.endsWith('0') && node !== null && content !== NO_CONTENT
      share(0, 1, 2)
      await network.link(0, 1)
      await network.link(0, 2)
      await network.until('linked', () => at(0).network.peers().length === 2)
      const expected = queries.map(({ path, node, content }) => {
        if (path.endsWith('7')) return true
        return path.endsWith('0') && node !== null && content !== NO_CONTENT
      })
      expect(await at(0).network.past(queries, { signal })).to.deep.equal(expected)
      for (const index of [1, 2]) {
        const asked = at(index).folder.pasts
        expect(asked.flat()).to.deep.equal(queries)
        for (const each of asked) expect(each.length).to.be.at.most(network.queriesAtOnce)
      }
      expect(await at(0).network.past([], { signal })).to.deep.equal([])
    })

    it('asks on where one cannot answer, and says null where nobody does', async () => {
      await start(3)
      const queries = pastQueries(10)
      share(0, 1, 2)
      expect(await at(0).network.past(queries, { signal })).to.equal(null)
      await network.link(0, 1)
      await network.link(0, 2)
      await network.until('linked', () => at(0).network.peers().length === 2)
      at(1).folder.remembers = () => true
      at(2).folder.forgetful = true
      expect(await at(0).network.past(queries, { signal })).to.deep.equal(queries.map(() => true))
      at(1).folder.forgetful = true
      expect(await at(0).network.past(queries, { signal })).to.equal(null)
    })

    it('does not wait for a past after its link ended', async () => {
      await start(2)
      share(0, 1)
      await network.link(0, 1)
      await network.until('linked', () => at(0).network.peers().length === 1)
      at(1).folder.reading = () => new Promise(() => undefined)
      const answer = at(0).network.past(pastQueries(3), { signal })
      await network.until('asked', () => at(1).folder.pasts.length > 0)
      await network.unlink(0, 1)
      expect(await answer).to.equal(null)
    })

    it('ends a question with the signal', async () => {
      await start(2)
      share(0, 1)
      await network.link(0, 1)
      await network.until('linked', () => at(0).network.peers().length === 1)
      at(1).folder.reading = () => new Promise(() => undefined)
      const abort = new AbortController()
      const reason = new Error('enough')
      const failed = at(0)
        .network.past(pastQueries(3), { signal: abort.signal })
        .then(
          () => null,
          (error: unknown) => error,
        )
      await network.until('asked', () => at(1).folder.pasts.length > 0)
      abort.abort(reason)
      expect(await failed).to.equal(reason)
    })

    it('asks all for a history: what each has, newest first', async () => {
      await start(3)
      const node = binary(pseudorandom(16, 1)) as NodeId
      at(1).folder.journal = journal(2_500, node)
      at(2).folder.journal = journal(3, node).slice(1)
      share(0, 1, 2)
      const query = { path: 'entry 0', nodes: [node] }
      expect(await at(0).network.history(query, { signal })).to.deep.equal([])
      await network.link(0, 1)
      await network.link(0, 2)
      await network.until('linked', () => at(0).network.peers().length === 2)
      const told = new Map((await at(0).network.history(query, { signal })).map(each => [each.device, each.entries]))
      expect(told).to.deep.equal(
        new Map([
          [at(1).id, at(1).folder.journal],
          [at(2).id, at(2).folder.journal],
        ]),
      )
      expect(at(1).folder.histories).to.deep.equal([query])
      const byPath = await at(0).network.history({ path: 'entry 0', nodes: [] }, { signal })
      expect(new Map(byPath.map(each => [each.device, each.entries.length]))).to.deep.equal(
        new Map([
          [at(1).id, 1],
          [at(2).id, 0],
        ]),
      )
    })

    it('brings a history of as many entries as one may have', async () => {
      await start(2)
      const node = binary(pseudorandom(16, 1)) as NodeId
      at(1).folder.journal = journal(MAX_HISTORY, node)
      share(0, 1)
      await network.link(0, 1)
      await network.until('linked', () => at(0).network.peers().length === 1)
      const [told] = await at(0).network.history({ path: '', nodes: [node] }, { signal })
      expect(told?.entries).to.deep.equal(at(1).folder.journal)
    })

    it('asks all who holds what', async () => {
      await start(3)
      const wanted = contents(2_500, 9).map((bytes, n) => {
        const holders = [at(1).folder, at(2).folder].filter((_folder, device) => (n & (1 << device)) !== 0)
        for (const folder of holders) folder.addContent(bytes)
        return at(0).folder.addContent(bytes)
      })
      share(0, 1, 2)
      expect(await at(0).network.holders(wanted, { signal })).to.deep.equal([])
      await network.link(0, 1)
      await network.link(0, 2)
      await network.until('linked', () => at(0).network.peers().length === 2)
      const told = new Map((await at(0).network.holders(wanted, { signal })).map(each => [each.device, each.holds]))
      expect(told).to.deep.equal(
        new Map([
          [at(1).id, wanted.map((_content, n) => (n & 1) !== 0)],
          [at(2).id, wanted.map((_content, n) => (n & 2) !== 0)],
        ]),
      )
      for (const index of [1, 2]) {
        expect(at(index).folder.holdsAsked.flat()).to.deep.equal(wanted)
        for (const each of at(index).folder.holdsAsked) expect(each.length).to.be.at.most(network.queriesAtOnce)
      }
    })

    it('leaves out of a history, and of the holders, who cannot answer, or not in time', async () => {
      await start(3)
      const node = binary(pseudorandom(16, 1)) as NodeId
      const content = at(1).folder.addContent(pseudorandom(10, 1))
      for (const index of [1, 2]) at(index).folder.journal = journal(2, node)
      share(0, 1, 2)
      await network.link(0, 1)
      await network.link(0, 2)
      await network.until('linked', () => at(0).network.peers().length === 2)
      const ask = async (): Promise<unknown[]> => [
        (await at(0).network.history({ path: '', nodes: [node] }, { signal })).map(each => each.device),
        await at(0).network.holders([content], { signal }),
      ]
      const one = [[at(1).id], [{ device: at(1).id, holds: [true] }]]
      at(2).folder.forgetful = true
      expect(await ask()).to.deep.equal(one)
      at(2).folder.forgetful = false
      at(2).folder.reading = () => new Promise(() => undefined)
      expect(await ask()).to.deep.equal(one)
    })

    it('ends the question for a history with the signal, and with the link', async () => {
      await start(2)
      share(0, 1)
      await network.link(0, 1)
      await network.until('linked', () => at(0).network.peers().length === 1)
      at(1).folder.reading = () => new Promise(() => undefined)
      const abort = new AbortController()
      const reason = new Error('enough')
      const failed = at(0)
        .network.history({ path: 'a', nodes: [] }, { signal: abort.signal })
        .then(
          () => null,
          (error: unknown) => error,
        )
      await network.until('asked', () => at(1).folder.histories.length > 0)
      abort.abort(reason)
      expect(await failed).to.equal(reason)
      const answer = at(0).network.holders([at(0).folder.addContent(pseudorandom(5, 5))], { signal })
      await network.until('asked again', () => at(1).folder.holdsAsked.length > 0)
      await network.unlink(0, 1)
      expect(await answer).to.deep.equal([])
    })

    it('ends a fetch with the signal', async () => {
      await start(2)
      const wanted = contents(10, 6).map(bytes => at(1).folder.addContent(bytes))
      share(0, 1)
      await network.link(0, 1)
      await network.until('linked', () => at(0).network.peers().length === 1)
      const abort = new AbortController()
      at(1).folder.reading = () => new Promise(() => undefined)
      const reason = new Error('enough')
      const fetching = count(at(0).network.fetchWhole(wanted, { signal: abort.signal }))
      const failed = fetching.then(
        () => null,
        (error: unknown) => error,
      )
      await network.until('asked', () => at(1).folder.reads > 0)
      abort.abort(reason)
      expect(await failed).to.equal(reason)
    })
  })
}

function pastQueries(many: number): PastQuery[] {
  return Array.from({ length: many }, (_, at): PastQuery => {
    const kind = at % 5 === 0 ? 'directory' : 'file'
    const node = at % 2 === 0 ? (binary(pseudorandom(16, at)) as NodeId) : null
    const content = kind === 'directory' ? NO_CONTENT : contentAt(at)
    return { path: `ü/${'long '.repeat(at % 300)}${at}`, node, content, kind }
  })
}

function journal(many: number, node: NodeId): JournalEntry[] {
  return Array.from({ length: many }, (_, at): JournalEntry => {
    const facts = { content: contentAt(at), size: at, mtime: 1_000_000 - at * 1_000, mode: 0o644 }
    const path = at % 2 === 0 ? `entry ${at}` : `ü/${'long '.repeat(at % 40)}${at}`
    const was = at % 3 === 0 ? null : { path: `was ${at}`, facts: { ...facts, content: contentAt(at + 1) } }
    const device = `12D3KooW${at % 7}` as DeviceId
    return { time: 1_800_000_000_000 - at, device, action: 'edited', node, kind: 'file', path, facts, was }
  })
}

function contentAt(at: number): ContentId {
  return `\x01${sha256(Buffer.from([at & 255, at >> 8]))}` as ContentId
}

async function count(items: AsyncIterable<unknown>): Promise<number> {
  let found = 0
  for await (const _item of items) found++
  return found
}

function contents(many: number, seed: number): Uint8Array[] {
  return Array.from({ length: many }, (_, index) => pseudorandom(1 + ((index * 37) % 4_000), seed * 10_007 + index))
}

/** xorshift32: the same bytes for the same seed. */
export function pseudorandom(length: number, seed: number): Uint8Array {
  const out = new Uint8Array(length)
  let x = (seed + 1) * 2_654_435_761
  for (let at = 0; at < length; at++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    out[at] = x
  }
  return out
}
