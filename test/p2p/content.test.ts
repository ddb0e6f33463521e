// Contents over real links: speed, bounds, streams, and devices that lie, stall or die.
import { expect } from 'chai'
import { contentOf, sha256 } from '../../src/core/content-list.ts'
import type { ContentId, FolderId, Hash } from '../../src/core/ids.ts'
import { bytesOf } from '../../src/core/ids.ts'
import type { FolderNetwork } from '../../src/core/ports.ts'
import { ContentLink, Rate } from '../../src/p2p/content-link.ts'
import { ContentServer } from '../../src/p2p/content-server.ts'
import type { Peer } from '../../src/p2p/peer.ts'
import { FakeFolder } from '../contract/fake-folder.ts'
import { pseudorandom } from '../contract/network-contract.ts'
import type { Device } from './loopback.ts'
import { openLoopback, realClock, silentLog, until } from './loopback.ts'

const FOLDER = 'ee'.repeat(16) as FolderId
const MIB = 1024 * 1024
const { signal } = new AbortController()

describe('contents', () => {
  let devices: readonly Device[] = []
  let folders: FakeFolder[] = []
  let close: () => Promise<void> = async () => undefined
  const device = (at: number): Device => devices[at] as Device
  const folder = (at: number): FakeFolder => folders[at] as FakeFolder
  const network = (): FolderNetwork => folder(0).network as FolderNetwork

  /** Device 0 linked with all others. */
  async function start(count: number): Promise<void> {
    const net = await openLoopback(count)
    devices = net.devices
    close = net.close
    folders = devices.map((_device, at) => new FakeFolder(FOLDER, at + 1))
    for (const [at, each] of devices.entries()) folder(at).network = each.share(folder(at))
    for (let other = 1; other < count; other++) await device(0).dial(device(other))
    await until('linked', () => network().peers().length === count - 1)
  }

  afterEach(() => close())

  it('small ones come by the thousand, without a stream of their own', async function () {
    this.timeout(60_000)
    await start(2)
    const wanted: ContentId[] = []
    for (let at = 0; at < 5_000; at++) wanted.push(folder(1).addContent(pseudorandom(200 + (at % 50) * 40, at)))
    const since = performance.now()
    let bytes = 0
    let found = 0
    for await (const item of network().fetchWhole(wanted, { signal })) {
      bytes += item.bytes.byteLength
      found++
    }
    const seconds = (performance.now() - since) / 1_000
    console.log(`      ${Math.round(found / seconds)} contents/s, ${(bytes / seconds / MIB).toFixed(0)} MiB/s`)
    expect(found).to.equal(5_000)
    expect(device(1).contentStreams).to.equal(0)
    // A busy machine is slow; a stream or a round trip for each would stay far below even there.
    expect(found / seconds).to.be.above(500)
  })

  it('large ones come over at most two streams, however many are fetched at once', async function () {
    this.timeout(60_000)
    await start(2)
    const contents = Array.from({ length: 12 }, (_, at) => folder(1).addContent(pseudorandom(2 * MIB, at)))
    const since = performance.now()
    await Promise.all(
      contents.map(async content => {
        const chunks = folder(1).listOf(content)?.chunks ?? []
        let bytes = 0
        for await (const chunk of network().fetchChunks(content, chunks, { signal })) bytes += chunk.bytes.byteLength
        expect(bytes).to.equal(2 * MIB)
      }),
    )
    console.log(`      ${((24 * 1_000) / (performance.now() - since)).toFixed(0)} MiB/s`)
    expect(device(1).contentStreams).to.be.within(1, 2)
  })

  it('a consumer that stops to read stops the sender', async () => {
    await start(2)
    const content = folder(1).addContent(pseudorandom(24 * MIB, 1))
    const chunks = folder(1).listOf(content)?.chunks ?? []
    const iterator = network().fetchChunks(content, chunks, { signal })[Symbol.asyncIterator]()
    await iterator.next()
    let last = -1
    let since = performance.now()
    await until('quiet', () => {
      if (folder(1).reads !== last) since = performance.now()
      last = folder(1).reads
      return performance.now() - since > 200
    })
    const session = device(0).sessions.get(device(1).id)
    console.log(
      `      ${folder(1).reads} of ${chunks.length} chunks read, ${((session?.bytesIn ?? 0) / MIB).toFixed(1)} MiB sent`,
    )
    expect(session?.bytesIn).to.be.below(7 * MIB)
    let rest = 1
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) rest++
    expect(rest).to.equal(new Set(chunks.map(chunk => chunk.hash)).size)
  })

  it('a device that lies is set aside after three bad chunks, and the others bring the content', async () => {
    await start(3)
    const bytes = pseudorandom(6 * MIB, 2)
    const content = folder(1).addContent(bytes)
    folder(2).addContent(bytes)
    folder(1).spoil = chunk => Buffer.from(chunk).fill(7, 0, 1)
    // The honest one is slow, so that the liar gets its share.
    folder(2).reading = () => new Promise(resolve => setTimeout(resolve, 5))
    const chunks = folder(2).listOf(content)?.chunks ?? []
    const have = new Map<string, Uint8Array>()
    const bad = { count: 0 }
    while (chunks.some(chunk => !have.has(chunk.hash))) {
      const missing = chunks.filter(chunk => !have.has(chunk.hash))
      for await (const { hash, bytes: got, from } of network().fetchChunks(content, missing, { signal })) {
        if (sha256(got) === hash) {
          have.set(hash, got)
          continue
        }
        expect(from).to.equal(device(1).id)
        bad.count++
        network().reportBad(from)
      }
    }
    expect(sha256(Buffer.concat(chunks.map(chunk => have.get(chunk.hash) as Uint8Array)))).to.equal(sha256(bytes))
    const reads = folder(1).reads
    for await (const each of network().fetchChunks(content, chunks, { signal }))
      expect(each.from).to.equal(device(2).id)
    expect(folder(1).reads, 'not asked any more').to.equal(reads)
    console.log(`      ${bad.count} bad chunks`)
    expect(bad.count).to.equal(3)
  })

  it('a chunk or a list of another length is never handed out', async () => {
    await start(3)
    const bytes = pseudorandom(MIB, 3)
    const content = folder(1).addContent(bytes)
    folder(2).addContent(bytes)
    folder(1).spoil = chunk => chunk.subarray(1)
    const list = await network().fetchList(content, { signal })
    expect(list?.size).to.equal(MIB)
    for await (const { hash, bytes: got } of network().fetchChunks(content, list?.chunks ?? [], { signal })) {
      expect(sha256(got)).to.equal(hash)
    }
  })

  it('segments that lie here already are not asked for, unless they cannot be read or are something else', async () => {
    await start(2)
    const bytes = pseudorandom(24 * MIB, 7)
    const before = contentOf(bytes)
    const changed = Buffer.from(bytes)
    changed.fill(1, 12 * MIB, 12 * MIB + 4_096)
    const content = folder(1).addContent(changed)
    const segments = [...(folder(1).listOf(content)?.segments.keys() ?? [])]
    const fresh = segments.filter(hash => !before.segments.has(hash))
    const shared = segments.filter(hash => before.segments.has(hash))
    expect(fresh.length).to.be.within(1, 2)
    expect(shared.length).to.be.above(0)
    const known = async (hash: Hash): Promise<Uint8Array | null> => before.segments.get(hash) ?? null
    const list = await network().fetchList(content, { signal, known })
    expect(list?.chunks).to.deep.equal(folder(1).listOf(content)?.chunks)
    expect(folder(1).segmentsAsked).to.have.members(fresh)
    for (const useless of [
      async () => new Uint8Array(36),
      async () => {
        throw new Error('it cannot be read')
      },
    ]) {
      folder(1).segmentsAsked.length = 0
      expect((await network().fetchList(content, { signal, known: useless }))?.size).to.equal(24 * MIB)
      expect(folder(1).segmentsAsked).to.have.members(segments)
    }
  })

  it('a device that dies in the middle is replaced by another', async () => {
    await start(3)
    const bytes = pseudorandom(8 * MIB, 4)
    const content = folder(1).addContent(bytes)
    folder(2).addContent(bytes)
    const chunks = folder(1).listOf(content)?.chunks ?? []
    const have = new Set<string>()
    for await (const { hash, bytes: got } of network().fetchChunks(content, chunks, { signal })) {
      expect(sha256(got)).to.equal(hash)
      have.add(hash)
      if (have.size === 20) device(1).connections.get(device(0).id)?.abort(new Error('killed'))
    }
    expect(have.size).to.equal(new Set(chunks.map(chunk => chunk.hash)).size)
  })

  it('the only device that has it dies: the fetch ends, with what came and no more', async () => {
    await start(2)
    const content = folder(1).addContent(pseudorandom(8 * MIB, 5))
    const chunks = folder(1).listOf(content)?.chunks ?? []
    let got = 0
    for await (const { hash, bytes } of network().fetchChunks(content, chunks, { signal })) {
      expect(sha256(bytes)).to.equal(hash)
      if (++got === 20) device(1).connections.get(device(0).id)?.abort(new Error('killed'))
    }
    expect(got).to.be.within(20, chunks.length - 1)
    expect(await network().fetchList(content, { signal })).to.equal(null)
  })

  it('what a device has just received it serves at once', async () => {
    await start(3)
    const bytes = pseudorandom(MIB, 6)
    const content = folder(2).addContent(bytes)
    const chunks = folder(2).listOf(content)?.chunks ?? []
    const half = chunks.slice(0, chunks.length >> 1)
    for (const chunk of half) folder(2).dropChunk(chunk.hash)
    const partly = folder(1)
    partly.addContent(bytes)
    for (const chunk of chunks.slice(chunks.length >> 1)) partly.dropChunk(chunk.hash)
    const from = new Set<string>()
    let got = 0
    for await (const each of network().fetchChunks(content, chunks, { signal })) {
      from.add(each.from)
      got++
    }
    expect(got).to.equal(chunks.length)
    expect(from.size).to.equal(2)
  })

  it('two that receive the same share it: the source sends it little more than once', async function () {
    this.timeout(60_000)
    await start(3)
    await device(1).dial(device(2))
    await until('all linked', () => folder(2).network?.peers().length === 2)
    const bytes = pseudorandom(48 * MIB, 8)
    const content = folder(0).addContent(bytes)
    const list = folder(0).listOf(content)
    if (list === undefined) throw new Error('no list')
    // As fast as a disk and a network are, and not as a loop in one process.
    for (const each of folders) each.reading = () => new Promise(resolve => setTimeout(resolve, 10))
    const places = list.chunks.map((_chunk, at) => at)
    const receive = async (at: number): Promise<void> => {
      folder(at).receiving.set(content, list)
      const network = folder(at).network as FolderNetwork
      for await (const { hash, bytes: got } of network.fetchChunks(content, list.chunks, { signal, places })) {
        expect(sha256(got)).to.equal(hash)
        folder(at).addChunk(hash, got)
      }
      expect(folder(at).progress(content)).to.equal('all')
    }
    await Promise.all([receive(1), receive(2)])
    console.log(`      the source sent ${(folder(0).sent / bytes.byteLength).toFixed(2)} times the size`)
    expect(folder(0).sent).to.be.below(1.15 * bytes.byteLength)
    expect(folder(0).progressAsked).to.be.within(2, 4)
  })

  it('what one has of a content is said within a folder that both share, and to nobody else', async () => {
    await start(1)
    const content = folder(0).addContent(pseudorandom(8 * MIB, 9))
    const shared = new Set<FolderId>([FOLDER])
    const desk = new ContentServer({
      log: silentLog,
      sharedWith: id => (shared.has(id) ? folder(0) : undefined),
    }).desk({ device: device(0).id, signal, wake: () => undefined } as Peer)
    const ask = async (id: FolderId, of = content): Promise<{ what: unknown; bits: Uint8Array | undefined }> => {
      desk.receive({ type: 'progress', id: 7, folder: id }, [bytesOf(of)])
      let out = desk.next()
      await until('answered', () => {
        out ??= desk.next()
        return out !== null
      })
      expect(out?.message).to.include({ type: 'arrived', id: 7 })
      return { what: out?.message.type === 'arrived' && out.message.what, bits: out?.blobs[0] }
    }
    const none = { what: 'none', bits: new Uint8Array(0) }
    expect(await ask(FOLDER)).to.deep.equal({ what: 'all', bits: new Uint8Array(0) })
    expect(await ask('dd'.repeat(16) as FolderId)).to.deep.equal(none)
    expect(await ask(FOLDER, contentOf(new Uint8Array(5)).content)).to.deep.equal(none)
    folder(0).dropChunk(folder(0).listOf(content)?.chunks[3]?.hash as Hash)
    const some = await ask(FOLDER)
    expect([some.what, some.bits?.[0], some.bits?.[1]]).to.deep.equal(['some', 0b11110111, 0xff])
    shared.clear()
    expect(await ask(FOLDER)).to.deep.equal(none)
  })

  it('an older device that does not know the question is not asked again', async () => {
    await start(1)
    const posted: string[] = []
    const peer = { device: device(0).id, signal, post: ({ type }: { type: string }) => posted.push(type) }
    const link = new ContentLink(peer as unknown as Peer, {
      clock: realClock,
      rate: new Rate(),
      desk: new ContentServer({ log: silentLog, sharedWith: () => undefined }).desk(peer as unknown as Peer),
      onRoom: () => undefined,
      onAhead: () => undefined,
      onDetached: () => undefined,
    })
    const lane = link.chunks(FOLDER, contentOf(new Uint8Array(5)).content)
    const held = lane.holds?.()
    link.refused('something else')
    link.refused('progress')
    expect(await held).to.equal(null)
    expect(await lane.holds?.()).to.equal(null)
    expect(posted).to.deep.equal(['progress'])
  })

  it('a stream from a device without a link is not answered', async () => {
    await start(2)
    const connection = device(1).connections.get(device(0).id)
    await device(0).sessions.get(device(1).id)?.close('bye')
    await until('unlinked', () => !device(1).sessions.has(device(0).id) && !device(0).sessions.has(device(1).id))
    const stream = await connection?.newStream('/kith/content/1')
    if (stream?.status === 'open') stream.send(new Uint8Array(100))
    await until('ended', () => stream?.status !== 'open')
    expect(folder(0).reads).to.equal(0)
  })
})
