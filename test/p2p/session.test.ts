// Sessions over real libp2p on loopback: hello, membership, ping, goodbye; and a peer that speaks another version, nonsense, or dies.

import type { Connection } from '@libp2p/interface'
import { encode } from 'cborg'
import { expect } from 'chai'
import { isKithError } from '../../src/core/errors.ts'
import type { DeviceId, FolderId } from '../../src/core/ids.ts'
import { timeoutSignal } from '../../src/core/timeout.ts'
import type { Frame } from '../../src/p2p/frame.ts'
import { encodeFrame, FrameReader } from '../../src/p2p/frame.ts'
import { Meter, SafeStream } from '../../src/p2p/safe-stream.ts'
import { SYNC_PROTOCOL } from '../../src/p2p/session.ts'
import { FakeFolder } from '../contract/fake-folder.ts'
import { pseudorandom } from '../contract/network-contract.ts'
import { type Device, openLoopback, startNode, until } from './loopback.ts'

const { signal } = new AbortController()
const FOLDER = 'aa'.repeat(16) as FolderId
const { SEED: GIVEN } = process.env
const SEED = Number(GIVEN ?? Date.now() % 1_000_000)
const HOSTILE_STREAMS = 800

/** A peer that writes whatever it likes on a sync stream. */
class Raw {
  readonly stream: SafeStream
  readonly reader: FrameReader

  constructor(stream: SafeStream) {
    this.stream = stream
    this.reader = new FrameReader(stream)
  }

  static async open(connection: Connection): Promise<Raw> {
    return new Raw(new SafeStream(await connection.newStream(SYNC_PROTOCOL), new Meter()))
  }

  async send(type: string, fields: unknown, blobs: Uint8Array[] = []): Promise<void> {
    await this.stream.write(await encodeFrame({ type, fields, blobs }, { compress: false }), { signal })
  }

  async hello(device: string, protocol = 1, extra: object = {}): Promise<void> {
    await this.send('hello', { protocol, version: '2.0.0', name: 'raw', device, ...extra })
  }

  /** The next frame of that type. */
  async expect(type: string): Promise<Frame> {
    for (;;) {
      const frame = await this.reader.next({ signal })
      if (frame === null) throw new Error(`the stream ended before a ${type}`)
      if (frame.type === type) return frame
    }
  }

  /** Resolves when the other side has ended the stream. */
  async ended(): Promise<void> {
    try {
      for (let frame = await this.reader.next({ signal }); frame !== null; ) frame = await this.reader.next({ signal })
    } catch (error) {
      if (!isKithError(error)) throw error
    }
  }
}

describe('a session', () => {
  let devices: readonly Device[] = []
  let close: () => Promise<void> = async () => undefined

  async function start(count: number): Promise<readonly Device[]> {
    const network = await openLoopback(count)
    devices = network.devices
    close = network.close
    return devices
  }

  afterEach(() => close())

  it('says who we are, and carries statements and folders both ways, again when they change', async () => {
    const [a, b] = (await start(2)) as [Device, Device]
    a.ownStatements = [Buffer.from('one'), Buffer.from('two')]
    b.held = [{ id: FOLDER, name: 'photos', formatVersion: 1 }]
    const session = await a.dial(b)
    expect(session.name).to.equal(`device ${b.id.slice(-4)}`)
    await until('exchanged', () => b.received.length === 2 && a.offered.get(b.id)?.length === 1)
    expect(b.received).to.deep.equal([
      { statement: 'one', from: a.id },
      { statement: 'two', from: a.id },
    ])
    expect(a.offered.get(b.id)).to.deep.equal(b.held)
    b.ownStatements = Array.from({ length: 40 }, (_, at) => pseudorandom(100_000, at))
    b.held = []
    b.sessions.get(a.id)?.sendMembership()
    await until('again', () => a.received.length === 40 && a.offered.get(b.id)?.length === 0)
  })

  it('measures a round trip, counts bytes, and ends with the reason given', async () => {
    const [a, b] = (await start(2)) as [Device, Device]
    const session = await a.dial(b)
    const before = session.lastByteAt()
    expect(await session.ping({ signal })).to.be.within(0, 5_000)
    expect(session.lastByteAt()).to.be.above(before)
    expect(session.bytesIn).to.be.above(0)
    expect(session.bytesOut).to.be.above(0)
    const other = b.sessions.get(a.id)
    await session.close('time for bed')
    expect(await session.closed).to.equal('time for bed')
    expect(await other?.closed).to.equal('time for bed')
    const failed = await session.ping({ signal }).catch((error: unknown) => error)
    expect(isKithError(failed) && failed.code).to.equal('stopped')
  })

  it('notices a peer that dies, and lets nothing wait for it', async () => {
    const [a, b] = (await start(2)) as [Device, Device]
    const session = await a.dial(b)
    const other = b.sessions.get(a.id)
    const ping = session.ping({ signal }).catch((error: unknown) => error)
    await b.connections.get(a.id)?.abort(new Error('killed'))
    await session.closed
    await other?.closed
    const result = await ping
    expect(typeof result === 'number' || isKithError(result)).to.equal(true)
  })

  for (const protocol of [0, 2]) {
    it(`with protocol ${protocol} is refused on both sides with a sentence that says whom to update`, async () => {
      const [a, b] = (await start(2)) as [Device, Device]
      const connection = await a.node.dial(b.node.getMultiaddrs())
      const raw = await Raw.open(connection)
      await raw.hello(a.id, protocol)
      const { fields } = await raw.expect('goodbye')
      const older = protocol === 0 ? '2.0.0' : '1.0.0'
      expect((fields as { reason: string }).reason).to.match(new RegExp(`cannot talk.*update the one with ${older}`))
      await raw.ended()
      expect(b.sessions.size).to.equal(0)
      // And the side that opened it: the raw end answers with that version.
      const node = await startNode()
      await node.handle(SYNC_PROTOCOL, async stream => {
        const answering = new Raw(new SafeStream(stream, new Meter()))
        await answering.hello(node.peerId.toString(), protocol)
        await answering.ended()
      })
      const outgoing = await a.node.dial(node.getMultiaddrs())
      const error = await a.open(await outgoing.newStream(SYNC_PROTOCOL), outgoing).catch((failed: unknown) => failed)
      expect(isKithError(error) && error.code).to.equal('peer-protocol')
      expect(String(error)).to.match(new RegExp(`update the one with ${older}`))
      await node.stop()
    })
  }

  it('refuses types it does not know politely, and does not mind fields it does not know', async () => {
    const [a, b] = (await start(2)) as [Device, Device]
    const raw = await Raw.open(await a.node.dial(b.node.getMultiaddrs()))
    await raw.hello(a.id, 1, { favourite: 'colour', __proto__: { x: 1 } })
    await raw.expect('folders')
    await raw.send('purge-versions', { all: true })
    expect((await raw.expect('refused')).fields).to.deep.equal({ what: 'purge-versions' })
    await raw.send('ping', { id: 5, mood: 'good' })
    expect((await raw.expect('pong')).fields).to.deep.equal({ id: 5 })
    expect(b.sessions.size).to.equal(1)
  })

  it('is not opened by a hello in the name of another device, nor without one', async () => {
    const [a, b] = (await start(2)) as [Device, Device]
    const connection = await a.node.dial(b.node.getMultiaddrs())
    const liar = await Raw.open(connection)
    await liar.hello(b.id)
    await liar.ended()
    const hasty = await Raw.open(connection)
    await hasty.send('members', { more: false })
    await hasty.ended()
    expect(b.sessions.size).to.equal(0)
  })

  it('ends where a peer asks and does not read', async () => {
    const [a, b] = (await start(2)) as [Device, Device]
    const stream = await (await a.node.dial(b.node.getMultiaddrs())).newStream(SYNC_PROTOCOL)
    stream.pause()
    const write = async (type: string, fields: unknown, count: number): Promise<void> => {
      const frame = Buffer.concat(await encodeFrame({ type, fields, blobs: [] }, { compress: false }))
      stream.send(Buffer.concat(Array.from({ length: count }, () => frame)))
    }
    await write('hello', { protocol: 1, version: '1', name: 'deaf', device: a.id }, 1)
    await until('linked', () => b.sessions.has(a.id))
    const session = b.sessions.get(a.id)
    await until('ended', () => {
      if (stream.status === 'open' && stream.writeBufferLength === 0) void write('ping', { id: 1 }, 1_000)
      return !b.sessions.has(a.id)
    })
    expect(await session?.closed).to.match(/does not read/)
  })

  it(`with a hostile peer, on ${HOSTILE_STREAMS} streams, costs those streams and nothing else (seed ${SEED})`, async function () {
    this.timeout(60_000)
    const [a, b, c] = (await start(3)) as [Device, Device, Device]
    const folders = [new FakeFolder(FOLDER, 1), new FakeFolder(FOLDER, 2)] as const
    folders[0].network = b.share(folders[0])
    folders[1].network = c.share(folders[1])
    folders[0].edit(1, 'before')
    await c.dial(b)
    await until('equal', () => folders[0].digest === folders[1].digest)
    const { digest } = folders[0]
    const unhandled: unknown[] = []
    const onUnhandled = (error: unknown): void => void unhandled.push(error)
    process.on('unhandledRejection', onUnhandled)
    const connection = await a.node.dial(b.node.getMultiaddrs())
    const random = randomFrom(SEED)
    const before = process.memoryUsage().rss
    let longest = 0
    let frames = 0
    let last = performance.now()
    const beat = setInterval(() => {
      longest = Math.max(longest, performance.now() - last - 10)
      last = performance.now()
    }, 10)
    for (let done = 0; done < HOSTILE_STREAMS; done += 10) {
      const sent = await Promise.all(Array.from({ length: 10 }, () => attack(connection, a.id, random)))
      for (const count of sent) frames += count
    }
    clearInterval(beat)
    process.off('unhandledRejection', onUnhandled)
    const grown = (process.memoryUsage().rss - before) / 1024 / 1024
    console.log(
      `      ${frames} hostile frames, main loop held for at most ${longest.toFixed(0)} ms, RSS ${grown.toFixed(0)} MiB more`,
    )
    expect(unhandled).to.deep.equal([])
    await until('all ended', () => !b.sessions.has(a.id))
    expect(folders[0].digest, 'no state change').to.equal(digest)
    folders[1].edit(2, 'after')
    await until('the other link lives', () => folders[0].digest === folders[1].digest)
    expect(frames).to.be.above(2_000)
    expect(longest).to.be.below(1_000)
  })
})

async function attack(connection: Connection, self: DeviceId, random: (below: number) => number): Promise<number> {
  const hostile = await hostileFrames(random)
  const raw = await Raw.open(connection)
  try {
    if (random(10) > 0) await raw.hello(self)
    if (random(2) === 0)
      await raw.send('digests', { folder: FOLDER, docs: [], ask: true, fresh: true }, [new Uint8Array(0)])
    for (const bytes of hostile) await raw.stream.write([bytes], { signal })
    await raw.stream.close({ signal: timeoutSignal(5_000) })
    await raw.ended()
  } catch (error) {
    // The other side may have ended it while we were still writing.
    if (!isKithError(error) || error.code !== 'peer-gone') throw error
  }
  return hostile.length
}

async function hostileFrames(random: (below: number) => number): Promise<Uint8Array[]> {
  const any = (): unknown =>
    [-1, 2 ** 60, 'x', '', null, [], {}, [[]], FOLDER, true, new Uint8Array(3), 1e300][random(12)]
  const messages: [string, object, Uint8Array[]][] = [
    [
      'updates',
      { folder: FOLDER, seq: 1, items: [{ doc: 1, part: 0, of: 1 }], answered: [] },
      [pseudorandom(50, random(1_000))],
    ],
    [
      'updates',
      { folder: FOLDER, seq: 1, items: [{ doc: 1, part: random(4), of: 3 }], answered: [] },
      [Buffer.alloc(9)],
    ],
    ['updates', { folder: FOLDER, seq: 1, items: [], answered: [] }, [Buffer.alloc(9)]],
    ['updates', { folder: FOLDER, seq: 1, items: [{ doc: 999, part: 0, of: 1 }], answered: [] }, [Buffer.alloc(9)]],
    ['digests', { folder: FOLDER, docs: [1, 2], ask: true, fresh: false }, [Buffer.alloc(63)]],
    ['want', { folder: FOLDER, docs: [1, 2] }, [encode([])]],
    ['want', { folder: FOLDER, docs: [1] }, [pseudorandom(20, random(1_000))]],
    ['state', { folder: FOLDER, digest: 'zz', needFiles: 0, needBytes: 0, settled: true }, []],
    ['get', { id: 1, folder: FOLDER, kind: 'whole', limit: 2 ** 40 }, [Buffer.alloc(34)]],
    ['get', { id: 1, folder: FOLDER, kind: 'everything', limit: 1 }, [Buffer.alloc(33)]],
    ['top', { id: 1, folder: FOLDER, offset: 2 ** 50 }, [Buffer.alloc(33, 2)]],
    ['items', { id: 77, has: [true] }, []],
    ['piece', { id: 77, total: 9 }, []],
    ['hello', { protocol: 1, version: '1', name: 'again', device: 'x' }, []],
    ['ack', { folder: FOLDER, seq: 2 ** 52 }, []],
    ['folders', { folders: [{ id: '../../etc', name: 'x', formatVersion: 1 }] }, []],
    ['__proto__', { polluted: true }, []],
    ['constructor', { polluted: true }, []],
    ['pong', { id: 12345 }, []],
  ]
  const out: Uint8Array[] = []
  for (let count = 1 + random(5); count > 0; count--) {
    const [type, fields, blobs] = messages[random(messages.length)] as [string, object, Uint8Array[]]
    const keys = Object.keys(fields)
    const changed = random(3) === 0 ? { ...fields, [keys[random(keys.length)] ?? 'x']: any() } : fields
    const bytes = Buffer.concat(await encodeFrame({ type, fields: changed, blobs }, { compress: false }))
    for (let flips = random(3); flips > 0; flips--) bytes[random(bytes.length)] = random(256)
    out.push(random(20) === 0 ? Buffer.from([0xff, 0xff, 0xff, 0xff, 0]) : bytes)
  }
  return out
}

function randomFrom(seed: number): (below: number) => number {
  const bytes = pseudorandom(1024 * 1024, seed)
  let at = 0
  return below => {
    at = (at + 2) % (bytes.length - 2)
    return (((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)) % below
  }
}
