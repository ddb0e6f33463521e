// The fake network brings documents together under every fault, and content only from who has it and may be reached.
import { createHash } from 'node:crypto'
import { expect } from 'chai'
import * as Y from 'yjs'
import { contentOf } from '../../src/core/content-list.ts'
import type { ContentId, DeviceId, DocId, FolderId } from '../../src/core/ids.ts'
import type { DocUpdate, FolderNetwork, SharedFolder } from '../../src/core/ports.ts'
import { MemoryNetwork } from './memory-network.ts'
import { seeded } from './random.ts'
import { VirtualClock } from './virtual-clock.ts'

const signal = new AbortController().signal

/** A shared folder of bare documents. */
class Bare implements SharedFolder {
  readonly id = 'f' as FolderId
  readonly name = 'bare'
  readonly docs = new Map<DocId, Y.Doc>()
  readonly held = new Map<ContentId, Uint8Array>()
  readonly states: [DeviceId, boolean][] = []
  readonly compared: DeviceId[] = []
  network: FolderNetwork | null = null

  doc(id: number): Y.Doc {
    const doc = this.docs.get(id as DocId) ?? new Y.Doc()
    this.docs.set(id as DocId, doc)
    return doc
  }

  write(id: number, text: string): void {
    const doc = this.doc(id)
    const before = Y.encodeStateVector(doc)
    doc.getArray<string>('records').push([text])
    this.network?.announce([{ doc: id as DocId, update: Y.encodeStateAsUpdate(doc, before) }], null)
    this.network?.stateChanged()
  }

  contents(): unknown {
    const all = [...this.docs].map(([id, doc]) => [id, doc.getArray('records').toArray().sort()] as const)
    return all.filter(([, records]) => records.length > 0).sort(([a], [b]) => a - b)
  }

  digests(): Map<DocId, Uint8Array> {
    const out = new Map<DocId, Uint8Array>()
    for (const [id, doc] of this.docs) {
      const records = doc.getArray('records').toArray().sort()
      if (records.length > 0) out.set(id, createHash('sha256').update(JSON.stringify(records)).digest())
    }
    return out
  }

  stateVector(id: DocId): Uint8Array {
    return Y.encodeStateVector(this.doc(id))
  }

  missing(id: DocId, vector: Uint8Array): Uint8Array {
    return Y.encodeStateAsUpdate(this.doc(id), vector)
  }

  async receive(updates: readonly DocUpdate[], from: DeviceId): Promise<{ gaps: DocId[]; refused: null }> {
    await Promise.resolve()
    const news = updates.filter(({ doc, update }) => {
      const before = Y.encodeStateAsUpdate(this.doc(doc))
      Y.applyUpdate(this.doc(doc), update)
      return Buffer.compare(before, Y.encodeStateAsUpdate(this.doc(doc))) !== 0
    })
    if (news.length > 0) this.network?.announce(news, from)
    this.network?.stateChanged()
    return { gaps: [], refused: null }
  }

  state(): { digest: string; needFiles: number; needBytes: number; settled: boolean } {
    return { digest: JSON.stringify(this.contents()), needFiles: 0, needBytes: 0, settled: true }
  }

  onPeerState(device: DeviceId, state: unknown): void {
    this.states.push([device, state !== null])
  }

  onCompared(device: DeviceId): void {
    this.compared.push(device)
  }

  readWhole(content: ContentId): Promise<Uint8Array | null> {
    return Promise.resolve(this.held.get(content) ?? null)
  }

  readTop(): Promise<null> {
    return Promise.resolve(null)
  }

  readSegment(): Promise<null> {
    return Promise.resolve(null)
  }

  readChunk(): Promise<null> {
    return Promise.resolve(null)
  }
}

function world(count: number): { clock: VirtualClock; network: MemoryNetwork; folders: Bare[]; ids: DeviceId[] } {
  const clock = new VirtualClock()
  const network = new MemoryNetwork({ clock, random: seeded('network') })
  const ids = Array.from({ length: count }, (_, at) => `d${at}` as DeviceId)
  const folders = ids.map(id => {
    const folder = new Bare()
    folder.network = network.attach(id, folder)
    return folder
  })
  return { clock, network, folders, ids }
}

async function fetched(port: FolderNetwork | null, contents: ContentId[]): Promise<string[]> {
  const out: string[] = []
  if (port === null) return out
  for await (const { bytes, from } of port.fetchWhole(contents, { signal })) {
    out.push(`${Buffer.from(bytes).toString()} from ${from}`)
  }
  return out
}

describe('the network in memory', () => {
  it('brings documents together whatever is lost, repeated and overtaken, and heals partitions', async () => {
    const { clock, network, folders, ids } = world(3)
    const [a, b, c] = folders
    network.faults = { delayMs: 300, loss: 0.4, repeat: 0.3, reorder: 0.5 }
    const [one, two] = ids
    for (let round = 0; round < 30; round++) {
      for (const [at, folder] of folders.entries()) folder.write(round % 4, `${at} ${round}`)
      await clock.advance(50)
      if (round === 10 && one !== undefined && two !== undefined) network.setLinked(one, two, false)
    }
    network.healAll()
    await clock.advance(60_000)
    expect(network.failures).to.deep.equal([])
    expect(network.idle).to.equal(true)
    expect(b?.contents()).to.deep.equal(a?.contents())
    expect(c?.contents()).to.deep.equal(a?.contents())
    expect(JSON.stringify(a?.contents())).to.have.length.greaterThan(90 * 4)
  })

  it('tells of peers that come, are equal, and go', async () => {
    const { clock, network, folders, ids } = world(2)
    const [a] = folders
    const [one, two] = ids
    a?.write(1, 'x')
    await clock.advance(10_000)
    expect(a?.network?.peers()).to.deep.equal([two])
    expect(a?.compared).to.include(two)
    if (one !== undefined && two !== undefined) network.setLinked(one, two, false)
    expect(a?.states.at(-1)).to.deep.equal([two, false])
    expect(a?.network?.peers()).to.deep.equal([])
  })

  it('fetches from whoever has it, waits while it is withheld, and ends when the peer goes', async () => {
    const { clock, network, folders, ids } = world(3)
    const [a, b, c] = folders
    const [one, two, three] = ids
    if (a === undefined || one === undefined || two === undefined || three === undefined) throw new Error('no world')
    const bytes = Buffer.from('content')
    const id = contentOf(bytes).content
    const other = contentOf(Buffer.from('nobody has it')).content
    c?.held.set(id, bytes)
    const first = fetched(a.network, [id, other])
    await clock.advance(100)
    expect(await first).to.deep.equal([`content from ${three}`])

    network.withhold(one)
    let late: string[] | null = null
    const second = fetched(a.network, [id]).then(got => {
      late = got
    })
    await clock.advance(10_000)
    expect(late).to.equal(null)
    network.allow(one)
    await clock.advance(100)
    await second
    expect(late).to.deep.equal([`content from ${three}`])

    network.withhold(one)
    b?.held.set(id, bytes)
    const third = fetched(a.network, [id])
    await clock.advance(100)
    network.detach(two)
    network.detach(three)
    await clock.advance(100)
    expect(await third).to.deep.equal([])
  })
})
