// Documents over real links: what the contract does not say, because only the real network has frames, windows and sessions.
import { expect } from 'chai'
import type { DocId, FolderId } from '../../src/core/ids.ts'
import { DIRECTORIES_DOC } from '../../src/core/ids.ts'
import type { DocUpdate } from '../../src/core/ports.ts'
import { SYNC_PROTOCOL } from '../../src/p2p/session.ts'
import { UpdateReceiver } from '../../src/p2p/update-receiver.ts'
import { UpdateSender } from '../../src/p2p/update-sender.ts'
import { FakeFolder } from '../contract/fake-folder.ts'
import { pseudorandom } from '../contract/network-contract.ts'
import { type Device, openLoopback, realClock, silentLog, until } from './loopback.ts'

const FOLDER = 'bb'.repeat(16) as FolderId
const MIB = 1024 * 1024

describe('replication', () => {
  let devices: readonly Device[] = []
  let folders: FakeFolder[] = []
  let close: () => Promise<void> = async () => undefined
  const device = (at: number): Device => devices[at] as Device
  const folder = (at: number): FakeFolder => folders[at] as FakeFolder
  const equal = (): boolean => new Set(folders.map(each => each.digest)).size === 1
  const compared = (): boolean => folders.every(each => each.comparedWith.length > 0)

  /** Pauses and retries pass `speed` times as fast. */
  async function start(count: number, speed = 1): Promise<void> {
    const network = await openLoopback(count, {
      ...realClock,
      sleep: (ms, options) => realClock.sleep(ms / speed, options),
    })
    devices = network.devices
    close = network.close
    folders = devices.map((_device, at) => new FakeFolder(FOLDER, at + 1))
    for (const [at, each] of devices.entries()) folder(at).network = each.share(folder(at))
  }

  afterEach(() => close())

  it('sends an update of 20 MB in parts, and what follows after it', async () => {
    await start(2)
    await device(0).dial(device(1))
    await until('compared', compared)
    folder(0).edit(3, pseudorandom(20 * MIB, 1))
    folder(0).edit(3, 'small')
    folder(0).edit(4, 'other')
    await until('equal', equal)
    expect(folder(1).arrived).to.deep.equal(['3 1 1', '3 1 2', '4 1 1'])
  })

  it('pulls a difference of 20 MB', async () => {
    await start(2)
    for (let doc = 0; doc < 40; doc++) folder(0).edit(doc, pseudorandom(MIB / 2, doc))
    await device(1).dial(device(0))
    await until('equal', equal)
    await until('compared', compared)
  })

  it('forgets what a slow device cannot take, within bounds, and compares when it can', async () => {
    await start(2)
    await device(0).dial(device(1))
    await until('compared', compared)
    let open = (): void => undefined
    const held = new Promise<void>(resolve => {
      open = resolve
    })
    folder(1).durable = () => held
    const session = device(0).sessions.get(device(1).id)
    const before = session?.bytesOut ?? 0
    for (let edit = 0; edit < 400; edit++) folder(0).edit(edit % 50, pseudorandom(100_000, edit))
    await until('window full', () => (session?.bytesOut ?? 0) - before > 2 * MIB)
    await until(
      'quiet',
      quietFor(100, () => session?.bytesOut ?? 0),
    )
    expect((session?.bytesOut ?? 0) - before, 'no more than the window is sent').to.be.below(6 * MIB)
    open()
    await until('equal', equal)
    expect((session?.bytesOut ?? 0) - before).to.be.above(35 * MIB)
  })

  it('brings an update that was lost without another one following', async () => {
    await start(2, 50)
    await device(0).dial(device(1))
    await until('compared', compared)
    folder(1).loseNext = true
    folder(0).edit(1, 'lost')
    folder(0).network?.stateChanged()
    await until('lost', () => !folder(1).loseNext)
    await until('equal', equal)
  })

  it('goes on after a folder could not keep an update', async () => {
    await start(2, 50)
    await device(0).dial(device(1))
    await until('compared', compared)
    folder(1).failing = new Error('disk full')
    folder(0).edit(1, 'first')
    await until('failed', () => folder(0).peerStates.get(device(1).id) === null)
    expect(device(0).sessions.size, 'the session stays').to.equal(1)
    folder(1).failing = null
    await until('equal', equal)
  })

  it('compares again on the link that stays, where one of two to a device ended', async () => {
    await start(2)
    const first = await device(0).dial(device(1))
    await until('compared', compared)
    const [connection] = device(0).node.getConnections()
    if (connection === undefined) throw new Error('no connection')
    await device(0).open(await connection.newStream(SYNC_PROTOCOL), connection)
    await until('compared twice', () => folders.every(each => each.comparedWith.length > 1))
    for (const each of folders) {
      each.comparedWith.length = 0
      each.peerStates.clear()
    }
    await first.close('enough')
    await until('compared anew', compared)
    expect(folder(0).peerStates.get(device(1).id)?.digest).to.equal(folder(1).digest)
  })

  it('does not run hot where two sides never become equal', async () => {
    await start(2)
    const { digests } = folder(1)
    folder(1).digests = () => new Map([...digests.call(folder(1)), [9 as DocId, new Uint8Array(32)]])
    await device(0).dial(device(1))
    const session = device(0).sessions.get(device(1).id)
    const until1s = performance.now() + 1_000
    await until('a second later', () => performance.now() > until1s)
    expect(session?.bytesOut).to.be.below(20_000)
    expect(folder(0).comparedWith).to.deep.equal([])
  })

  it('gives and takes nothing once a device is no member any more', async () => {
    await start(2)
    await device(0).dial(device(1))
    await until('compared', compared)
    const content = folder(0).addContent(Buffer.from('secret'))
    device(0).strangers.add(device(1).id)
    folder(0).edit(1, 'secret')
    folder(1).edit(2, 'unwanted')
    const got: unknown[] = []
    for await (const each of folder(1).network?.fetchWhole([content], { signal: new AbortController().signal }) ?? [])
      got.push(each)
    expect(got).to.deep.equal([])
    expect(folder(0).network?.peers()).to.deep.equal([])
    await device(1).sessions.get(device(0).id)?.ping({ signal: new AbortController().signal })
    expect(folder(0).arrived).to.deep.equal([])
    expect(folder(1).arrived).to.deep.equal([])
  })

  it('stops with a folder that is not shared any more, and starts with it again', async () => {
    await start(2)
    await device(0).dial(device(1))
    await until('compared', compared)
    device(1).unshare(FOLDER)
    await until(
      'gone',
      () => folder(0).peerStates.get(device(1).id) === null && folder(0).network?.peers().length === 0,
    )
    folder(0).edit(1, 'meanwhile')
    expect(folder(1).arrived).to.deep.equal([])
    folder(1).network = device(1).share(folder(1))
    await until('equal', equal)
    folder(0).edit(1, 'and live')
    await until('equal', equal)
  })

  it('keeps two folders on one link apart, and one that is not shared here to itself', async () => {
    await start(2)
    const other = [
      new FakeFolder('cc'.repeat(16) as FolderId, 1),
      new FakeFolder('cc'.repeat(16) as FolderId, 2),
    ] as const
    const only = new FakeFolder('dd'.repeat(16) as FolderId, 1)
    for (const at of [0, 1] as const) other[at].network = device(at).share(other[at])
    only.network = device(0).share(only)
    const secret = only.addContent(Buffer.from('only here'))
    only.edit(1, 'only')
    await device(0).dial(device(1))
    other[0].edit(5, 'other')
    folder(1).edit(6, 'first')
    await until('equal', () => equal() && other[0].digest === other[1].digest && other[0].digest !== folder(0).digest)
    // Asked for within a folder that both hold, and within the one that only the other holds.
    const asking = [folder(1).network, device(1).exchange.share(only.id)]
    for (const network of asking) {
      for await (const _item of network?.fetchWhole([secret], { signal: new AbortController().signal }) ?? []) {
        expect.fail('a content of a folder that is not shared')
      }
    }
    expect(only.network.peers()).to.deep.equal([])
    expect(only.reads).to.equal(0)
  })

  it('is quick: a save is there within 150 ms', async () => {
    await start(2)
    await device(0).dial(device(1))
    await until('compared', compared)
    const times: number[] = []
    for (let edit = 0; edit < 50; edit++) {
      const since = performance.now()
      const before = folder(1).arrived.length
      folder(0).edit(edit % 7, `save ${edit}`)
      while (folder(1).arrived.length === before) await new Promise(setImmediate)
      times.push(performance.now() - since)
    }
    times.sort((a, b) => a - b)
    console.log(`      median ${times[25]?.toFixed(1)} ms, worst ${times[49]?.toFixed(1)} ms`)
    expect(times[25]).to.be.below(150)
  })
})

describe('updates on their way', () => {
  it('are acknowledged after they are durable, and digests are looked at after all that came before', async () => {
    const log: string[] = []
    let durable = (): void => undefined
    const receiver = new UpdateReceiver(
      {
        receive: async updates => {
          log.push(`receive ${updates.map(update => update.doc).join()}`)
          await new Promise<void>(resolve => {
            durable = resolve
          })
          return { gaps: [2 as DocId], refused: null }
        },
        onDurable: seq => log.push(`durable ${seq}`),
        onAnswered: docs => log.push(`answered ${docs}`),
        onGaps: docs => log.push(`gaps ${docs}`),
        onDigests: () => log.push('digests'),
        onOrphan: () => log.push('orphan'),
        onFailed: error => log.push(`failed ${error}`),
      },
      { log: silentLog },
    )
    const blob = new Uint8Array(3)
    const item = (doc: number) => ({ doc: doc as DocId, part: 0, of: 1 })
    receiver.updates({ type: 'updates', folder: FOLDER, seq: 1, items: [item(1)], answered: [] }, [blob])
    receiver.updates({ type: 'updates', folder: FOLDER, seq: 2, items: [item(2)], answered: [3 as DocId] }, [blob])
    receiver.updates({ type: 'updates', folder: FOLDER, seq: 3, items: [item(256)], answered: [] }, [blob])
    receiver.digests(new Map(), { ask: false, fresh: false })
    await new Promise(setImmediate)
    expect(log).to.deep.equal(['receive 1'])
    durable()
    await new Promise(setImmediate)
    expect(log.slice(1), 'batched, directories first').to.deep.equal(['durable 1', 'gaps 2', 'receive 256,2'])
    durable()
    await new Promise(setImmediate)
    expect(log.slice(4)).to.deep.equal(['durable 3', 'answered 3', 'gaps 2', 'digests'])
  })

  it('travel many in a frame, stop at the window, go on with the acknowledgement', () => {
    let seq = 0
    const source = { id: FOLDER, missing: () => new Uint8Array(0) }
    const sender = new UpdateSender(source, () => ++seq, { log: silentLog })
    const update = (bytes: number): DocUpdate => ({ doc: 1 as DocId, update: new Uint8Array(bytes) })
    sender.announce(Array.from({ length: 2_000 }, () => update(100)))
    expect(sender.next()?.blobs.length).to.equal(2_000)
    expect(sender.next()).to.equal(null)
    sender.announce(Array.from({ length: 70 }, () => update(100_000)))
    let frames = 0
    while (sender.next() !== null) frames++
    expect(frames).to.be.within(8, 10)
    expect(sender.announce([update(1_500_000), update(1_500_000)]), 'still within what may wait').to.equal(true)
    sender.acknowledged(seq)
    expect(sender.next()).not.to.equal(null)
    expect(sender.announce(Array.from({ length: 90 }, () => update(100_000))), 'too much').to.equal(false)
    expect(sender.hasQueued, 'forgotten').to.equal(false)
    expect(sender.announce([update(1)]), 'until the digests left').to.equal(false)
    sender.compared()
    expect(sender.announce([update(1)])).to.equal(true)
  })

  it('what a peer lacks and is not stored yet is told when it is', () => {
    let seq = 0
    let stored = false
    const source = { id: FOLDER, missing: () => (stored ? new Uint8Array(9) : null) }
    const sender = new UpdateSender(source, () => ++seq, { log: silentLog })
    sender.answer(new Map([[1 as DocId, new Uint8Array(1)]]))
    expect(sender.next()).to.equal(null)
    expect(sender.idle, 'it is still owed').to.equal(false)
    stored = true
    sender.announce([{ doc: 1 as DocId, update: new Uint8Array(3) }])
    expect(sender.next()?.message, 'before what is announced').to.deep.include({ answered: [1] })
    expect(sender.next()?.message).to.deep.include({ answered: [] })
    expect(sender.next()).to.equal(null)
  })

  it('a document that is not stored yet holds up no other, but for that of the directories', () => {
    let seq = 0
    const held = new Set<DocId>([1 as DocId])
    const source = { id: FOLDER, missing: (doc: DocId) => (held.has(doc) ? null : new Uint8Array(9)) }
    const sender = new UpdateSender(source, () => ++seq, { log: silentLog })
    sender.answer(new Map([1, 2, DIRECTORIES_DOC].map(doc => [doc as DocId, new Uint8Array(1)])))
    expect(sender.next()?.message).to.deep.include({ answered: [DIRECTORIES_DOC, 2] })
    expect(sender.next()).to.equal(null)
    held.clear()
    expect(sender.next()?.message).to.deep.include({ answered: [1] })
    held.add(DIRECTORIES_DOC)
    sender.answer(new Map([3, DIRECTORIES_DOC].map(doc => [doc as DocId, new Uint8Array(1)])))
    expect(sender.next(), 'files before their directories').to.equal(null)
  })
})

/** True once `value` has not changed for `ms`. */
function quietFor(ms: number, value: () => number): () => boolean {
  let last = value()
  let since = performance.now()
  return () => {
    if (value() !== last) {
      last = value()
      since = performance.now()
    }
    return performance.now() - since > ms
  }
}
