// The fake network keeps the contract of the real one; beyond it, it does its worst on purpose.
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import type { ContentId, DeviceId, FolderId } from '../../src/core/ids.ts'
import type { FolderNetwork, SharedFolder } from '../../src/core/ports.ts'
import { FakeFolder } from '../contract/fake-folder.ts'
import { type NetworkUnderTest, networkContract } from '../contract/network-contract.ts'
import { MemoryNetwork } from './memory-network.ts'
import { seeded } from './random.ts'
import { settle, VirtualClock } from './virtual-clock.ts'

const signal = new AbortController().signal

interface World {
  readonly clock: VirtualClock
  readonly network: MemoryNetwork
  readonly folders: readonly [FakeFolder, FakeFolder, FakeFolder]
  readonly ids: readonly [DeviceId, DeviceId, DeviceId]
}

function world(): World {
  const clock = new VirtualClock()
  const network = new MemoryNetwork({ clock, random: seeded('network') })
  const ids = ['d0', 'd1', 'd2'] as unknown as World['ids']
  const one = (at: number): FakeFolder => new FakeFolder('f' as FolderId, at + 1)
  const folders = [one(0), one(1), one(2)] as const
  // A chain: the one in the middle relays.
  network.setLinked(ids[0], ids[2], false)
  for (const [at, folder] of folders.entries()) folder.network = network.attach(ids[at] as DeviceId, folder)
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
    const { clock, network, folders, ids } = world()
    network.faults = { delayMs: 300, loss: 0.4, repeat: 0.3, reorder: 0.5 }
    for (let round = 0; round < 30; round++) {
      for (const [at, folder] of folders.entries()) folder.edit(round % 4, `${at} ${round}`)
      await clock.advance(50)
      if (round === 10) network.setLinked(ids[0], ids[1], false)
    }
    expect(new Set(folders.map(folder => folder.digest)).size).to.equal(3)
    network.setLinked(ids[0], ids[1], true)
    network.faults = { delayMs: 300, loss: 0, repeat: 0, reorder: 0 }
    await clock.advance(60_000)
    expect(network.failures).to.deep.equal([])
    expect(network.idle).to.equal(true)
    expect(new Set(folders.map(folder => folder.digest)).size).to.equal(1)
    for (const folder of folders) expect(new Set(folder.arrived).size).to.equal(60)
  })

  it('waits while content is withheld, and ends a request when the peer goes', async () => {
    const { clock, network, folders, ids } = world()
    const [a, b] = folders
    const bytes = Buffer.from('content')
    const id = contentOf(bytes).content
    b.addContent(bytes)
    await clock.advance(1_000)

    network.withhold(ids[0])
    let late: string[] | null = null
    const first = fetched(a.network, [id]).then(got => {
      late = got
    })
    await clock.advance(10_000)
    expect(late).to.equal(null)
    network.allow(ids[0])
    await clock.advance(100)
    await first
    expect(late).to.deep.equal([`content from ${ids[1]}`])

    network.withhold(ids[0])
    const second = fetched(a.network, [id])
    await clock.advance(100)
    network.detach(ids[1])
    await clock.advance(100)
    expect(await second).to.deep.equal([])
  })
})

networkContract('in memory', open)

/** Devices on one virtual clock; nothing is shared yet. Links start cut, as the contract wants. */
function open(count: number): Promise<NetworkUnderTest> {
  const clock = new VirtualClock()
  const network = new MemoryNetwork({ clock, random: seeded('contract') })
  const ids = Array.from({ length: count }, (_, at) => `d${at}` as DeviceId)
  const set = (a: number, b: number, linked: boolean): Promise<void> => {
    const [one, two] = [ids[a], ids[b]]
    if (one !== undefined && two !== undefined) network.setLinked(one, two, linked)
    return Promise.resolve()
  }
  for (const a of ids.keys()) for (const b of ids.keys()) if (a < b) void set(a, b, false)
  // The contract awaits what only virtual time brings: it runs on in the background.
  let open = true
  const run = async (): Promise<void> => {
    while (open) await clock.advance(100)
  }
  const running = run()
  return Promise.resolve({
    devices: ids.map(id => ({ id, share: (folder: SharedFolder) => network.attach(id, folder) })),
    queriesAtOnce: Number.POSITIVE_INFINITY,
    link: (a, b) => set(a, b, true),
    unlink: (a, b) => set(a, b, false),
    until: async (what, holds) => {
      for (let left = 10_000; !holds(); left--) {
        if (left === 0) throw new Error(`not in time: ${what}`)
        await settle()
      }
    },
    close: async () => {
      open = false
      await running
    },
  })
}
