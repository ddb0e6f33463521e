// What is brought of a file before its content is wanted, and what becomes of it then.
import { setImmediate } from 'node:timers/promises'
import { expect } from 'chai'
import { abortable } from '../../src/core/abortable.ts'
import type { Chunk, ContentList } from '../../src/core/content.ts'
import { listOf, sha256 } from '../../src/core/content-list.ts'
import type { ContentId, DeviceId, Hash } from '../../src/core/ids.ts'
import type { ChunkOptions, FolderNetwork } from '../../src/core/ports.ts'
import { RowTable } from '../../src/core/rows.ts'
import { EarlyContents } from '../../src/sync/early-contents.ts'
import { Prefetch, type PrefetchDeps } from '../../src/sync/prefetch.ts'
import { pseudorandom } from '../contract/network-contract.ts'
import { silentLog } from '../p2p/loopback.ts'
import { FOLDER } from '../store/samples.ts'
import { MemoryDisk } from '../support/memory-disk.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { areaOf, MemoryVolume, mark } from '../support/memory-volume.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const PEER = 'peer' as DeviceId
const CHUNK_BYTES = 20_000
const { signal } = new AbortController()

/** A file of `count` chunks, and its beginnings. */
class Source {
  readonly bytes: Uint8Array
  readonly chunks: readonly Chunk[]

  constructor(count: number, seed: number) {
    this.bytes = pseudorandom(count * CHUNK_BYTES, seed)
    this.chunks = Array.from({ length: count }, (_, at) => ({ hash: sha256(this.chunk(at)), length: CHUNK_BYTES }))
  }

  chunk(at: number): Uint8Array {
    return this.bytes.subarray(at * CHUNK_BYTES, (at + 1) * CHUNK_BYTES)
  }

  beginning(count: number): ContentList {
    return listOf(this.chunks.slice(0, count))
  }
}

class World {
  readonly clock = new VirtualClock()
  readonly volume = new MemoryVolume({ stampUs: () => this.clock.now() * 1000 })
  readonly disk = new MemoryDisk({ volume: this.volume })
  readonly store = new MemoryStore(FOLDER)
  readonly early = new EarlyContents()
  readonly lists = new Map<ContentId, ContentList>()
  readonly here = new Set<Hash>()
  readonly asked: Hash[] = []
  /** Chunks leave one by one, each when this resolves. */
  leaves: () => Promise<unknown> = () => Promise.resolve()
  mayBegin = true
  overs = 0
  readonly prefetch = new Prefetch(this.#deps())

  constructor() {
    mark(this.volume)
  }

  #deps(): PrefetchDeps {
    return {
      ...{ disk: this.disk, log: silentLog, early: this.early, clock: this.clock },
      store: {
        ...{ list: async () => null, segment: async () => null, base: async () => null },
        chunk: hash => (this.here.has(hash) ? { content: '' as ContentId, offset: 0, length: 0 } : null),
      },
      rows: () => new RowTable(),
      network: () => this.#network(),
      mayBegin: () => this.mayBegin,
      onOver: () => this.overs++,
    }
  }

  #network(): FolderNetwork {
    const world = this
    return {
      fetchList: async (content: ContentId) => this.lists.get(content) ?? null,
      async *fetchChunks(_content: ContentId, chunks: readonly Chunk[], { signal, enough }: ChunkOptions) {
        for (const { hash } of chunks) {
          if (enough?.aborted === true) return
          world.asked.push(hash)
          await abortable(world.leaves(), signal)
          yield { hash, bytes: Uint8Array.from(world.bytesOf(hash)), from: PEER }
        }
      },
      reportBad: () => undefined,
    } as unknown as FolderNetwork
  }

  readonly #sources: Source[] = []

  source(count: number, seed = 1): Source {
    const source = new Source(count, seed)
    this.#sources.push(source)
    return source
  }

  bytesOf(hash: Hash): Uint8Array {
    for (const source of this.#sources) {
      const at = source.chunks.findIndex(chunk => chunk.hash === hash)
      if (at >= 0) return source.chunk(at)
    }
    throw new Error('nobody has that chunk')
  }

  offer(list: ContentList | null, file = 1, device = PEER): void {
    if (list !== null) this.lists.set(list.content, list)
    this.prefetch.offered(device, file, list?.content ?? null)
  }

  async rest(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await setImmediate()
  }

  get staged(): ContentId[] {
    return [...areaOf(this.volume).stage.keys()]
  }
}

describe('sync/prefetch', () => {
  let world: World
  beforeEach(() => {
    world = new World()
  })

  /** Takes it, and says what is missing then. */
  async function missing(list: ContentList): Promise<readonly number[] | null> {
    const file = await world.prefetch.take(list, { signal })
    return file && (await world.disk.stage.extend(file, list, { signal })).missing()
  }

  it('brings each beginning but for its last chunk, each chunk once, and serves it meanwhile', async () => {
    const source = world.source(10)
    world.offer(source.beginning(4))
    await world.rest()
    expect(world.early.find(source.chunks[2]?.hash as Hash)).to.include({ content: source.beginning(4).content })
    world.offer(source.beginning(7))
    await world.rest()
    expect(world.asked).to.deep.equal(source.chunks.slice(0, 6).map(({ hash }) => hash))
    expect(world.early.places(source.beginning(4).content)).to.deep.equal([])
    expect(await missing(source.beginning(10))).to.deep.equal([6, 7, 8, 9])
    expect(world.early.find(source.chunks[2]?.hash as Hash)).to.equal(null)
    expect(await missing(source.beginning(10)), 'taken once').to.equal(null)
  })

  it('is not for a content that begins otherwise', async () => {
    world.offer(world.source(5, 1).beginning(4))
    await world.rest()
    expect(await missing(world.source(5, 2).beginning(5))).to.equal(null)
  })

  it('is for no content of which the beginning was given with other lengths', async () => {
    const source = world.source(8)
    const forged = listOf(
      source.chunks.slice(0, 6).map((chunk, at) => ({ ...chunk, length: chunk.length + (at === 0 ? 5 : 0) })),
    )
    world.offer(forged)
    await world.rest()
    expect(await missing(source.beginning(8))).to.equal(null)
  })

  it('is for the content with which it has most in common', async () => {
    const [one, other] = [world.source(9, 1), world.source(9, 2)]
    const both = (tail: Source): ContentList => listOf([...one.chunks.slice(0, 3), ...tail.chunks.slice(3)])
    world.offer(listOf(both(other).chunks.slice(0, 6)), 1)
    world.offer(listOf(both(one).chunks.slice(0, 6)), 2)
    await world.rest()
    expect(await missing(both(one))).to.deep.equal([5, 6, 7, 8])
  })

  it('asks for nothing that lies here', async () => {
    const source = world.source(6)
    for (const { hash } of source.chunks.slice(0, 3)) world.here.add(hash)
    world.offer(source.beginning(4))
    await world.rest()
    expect([world.asked, world.staged]).to.deep.equal([[], []])
    world.offer(source.beginning(6))
    await world.rest()
    expect(world.asked).to.deep.equal(source.chunks.slice(3, 5).map(({ hash }) => hash))
  })

  it('waits for what was asked for, and asks for no more, once its content is wanted', async () => {
    const source = world.source(10)
    let leave: () => void = () => undefined
    world.leaves = () => new Promise<void>(resolve => (leave = resolve))
    world.offer(source.beginning(8))
    await world.rest()
    const taken = missing(source.beginning(10))
    await world.rest()
    leave()
    expect(await taken).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(world.asked.length).to.equal(1)
  })

  it('stops with whoever wants its content, and with the folder', async () => {
    const source = world.source(10)
    world.leaves = () => new Promise(() => undefined)
    for (const stop of ['wanting', 'folder'] as const) {
      world.offer(source.beginning(8))
      await world.rest()
      const wanting = new AbortController()
      const taken = stop === 'wanting' ? world.prefetch.take(source.beginning(10), wanting) : null
      wanting.abort(new Error('not wanted'))
      await world.prefetch.stop()
      await (await taken)?.close()
      await world.rest()
      expect(world.asked.splice(0).length).to.equal(1)
    }
  })

  it('gives up, in a quiet moment, what was read to its end or is not linked any more, and nothing else', async () => {
    const sources = [1, 2, 3].map(seed => world.source(4, seed))
    const [gone, read, going] = sources.map(source => source.beginning(4)) as [ContentList, ContentList, ContentList]
    world.offer(gone, 1, 'other' as DeviceId)
    world.offer(read, 2)
    world.offer(going, 3)
    await world.rest()
    expect([world.prefetch.nextDueMs(), await world.prefetch.tidy()]).to.deep.equal([null, false])
    world.prefetch.gone('other' as DeviceId)
    world.offer(null, 2)
    world.offer(null, 9)
    expect(world.overs).to.equal(2)
    expect(await world.prefetch.tidy(), 'what the tree says of it may come later').to.equal(false)
    await world.clock.advance(world.prefetch.nextDueMs() ?? 0)
    expect(await world.prefetch.tidy()).to.equal(true)
    await world.disk.stage.sweep(new Set([going.content]))
    expect([gone, read, going].map(({ content }) => world.early.places(content).length)).to.deep.equal([0, 0, 2])
    expect(world.staged).to.deep.equal([going.content])
  })

  it('goes on with what came of a file that is read anew, and gives up what is over for others', async () => {
    const source = world.source(10)
    world.offer(source.beginning(6), 1)
    await world.rest()
    world.offer(null, 1)
    world.offer(source.beginning(4), 2)
    await world.rest()
    world.offer(source.beginning(8), 2)
    await world.rest()
    expect(world.asked).to.deep.equal(source.chunks.slice(0, 7).map(({ hash }) => hash))
    for (let file = 3; file < 6; file++) world.offer(world.source(4, file).beginning(4), file)
    await world.rest()
    world.offer(null, 4)
    world.offer(world.source(4, 6).beginning(4), 6)
    await world.rest()
    const lists = [3, 4, 5, 6].map(seed => world.source(4, seed).beginning(4))
    expect(lists.map(({ content }) => world.early.places(content).length)).to.deep.equal([2, 0, 2, 2])
  })

  it('keeps nothing of a file of which nothing came', async () => {
    const source = world.source(6)
    for (const { hash } of source.chunks) world.here.add(hash)
    world.offer(source.beginning(4), 1)
    await world.rest()
    world.offer(null, 1)
    world.offer(source.beginning(4), 2)
    world.offer(null, 2)
    expect(world.prefetch.nextDueMs()).to.equal(10_000)
    await world.rest()
    expect(world.prefetch.nextDueMs()).to.equal(null)
  })

  it('begins nothing where it may not, and never more than four files', async () => {
    world.mayBegin = false
    world.offer(world.source(4, 1).beginning(4))
    world.mayBegin = true
    for (let file = 2; file < 8; file++) world.offer(world.source(4, file).beginning(4), file)
    await world.rest()
    expect(world.staged.length).to.equal(4)
  })

  it('goes on where one of the beginnings could not be had', async () => {
    const source = world.source(10)
    world.prefetch.offered(PEER, 1, source.beginning(4).content)
    await world.rest()
    world.volume.freeBytes = 1000
    world.offer(source.beginning(6))
    await world.rest()
    expect(world.asked).to.deep.equal([])
    world.volume.freeBytes = Number.POSITIVE_INFINITY
    world.offer(source.beginning(8))
    await world.rest()
    expect(await missing(source.beginning(10))).to.deep.equal([7, 8, 9])
  })
})
