// Devices on 127.0.0.1: real libp2p (TCP, noise, yamux), real sessions, replication and exchange; links are made by hand.
import '../../src/p2p/polyfill.ts'
import { setTimeout as delay } from 'node:timers/promises'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import type { Connection, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import type { Libp2p } from 'libp2p'
import { createLibp2p } from 'libp2p'
import type { Clock } from '../../src/core/clock.ts'
import type { DeviceId, FolderId } from '../../src/core/ids.ts'
import type { Log } from '../../src/core/log.ts'
import type { FolderNetwork, SharedFolder } from '../../src/core/ports.ts'
import { ContentExchange } from '../../src/p2p/content-exchange.ts'
import { PastExchange } from '../../src/p2p/past-exchange.ts'
import { Replication } from '../../src/p2p/replication.ts'
import type { LinkConnection, MembershipPort, OfferedFolder, Session } from '../../src/p2p/session.ts'
import { CONTENT_PROTOCOL, openSession, SYNC_PROTOCOL } from '../../src/p2p/session.ts'
import { MAX_QUERIES } from '../../src/p2p/wire.ts'
import type { NetworkUnderTest } from '../contract/network-contract.ts'

const MIB = 1024 * 1024
const DEADLINE_MS = 15_000

export const realClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  sleep: async (ms, { signal }) => {
    await delay(ms, undefined, { signal })
  },
}

export const silentLog: Log = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  child: () => silentLog,
}

export function startNode(listen: readonly string[] = ['/ip4/127.0.0.1/tcp/0']): Promise<Libp2p> {
  return createLibp2p({
    addresses: { listen: [...listen] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({
        streamOptions: {
          maxStreamWindowSize: 2 * MIB,
          maxReadBufferLength: 8 * MIB,
          maxWriteBufferLength: 16 * MIB,
        },
      }),
    ],
    connectionMonitor: { enabled: false },
  })
}

export async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not ${what} within ${DEADLINE_MS} ms`)
    await delay(2)
  }
}

export class Device implements MembershipPort {
  readonly node: Libp2p
  readonly id: DeviceId
  readonly replication: Replication
  readonly exchange: ContentExchange
  readonly past: PastExchange
  readonly sessions = new Map<DeviceId, Session>()
  readonly connections = new Map<DeviceId, Connection>()
  readonly strangers = new Set<DeviceId>()
  readonly received: { statement: string; from: DeviceId }[] = []
  readonly offered = new Map<DeviceId, readonly OfferedFolder[]>()
  held: OfferedFolder[] = []
  ownStatements: Uint8Array[] = []
  version = '1.0.0'
  contentStreams = 0

  constructor(node: Libp2p, clock: Clock = realClock) {
    this.node = node
    this.id = node.peerId.toString() as DeviceId
    this.replication = new Replication({ clock, log: silentLog, isMember: device => !this.strangers.has(device) })
    this.exchange = new ContentExchange({
      clock,
      log: silentLog,
      device: this.id,
      sharedWith: (folder, device) => this.replication.sharedWith(folder, device),
    })
    this.past = new PastExchange(
      { log: silentLog, sharedWith: (folder, device) => this.replication.sharedWith(folder, device) },
      { historyTimeoutMs: 2_000 },
    )
  }

  static async start(clock: Clock = realClock): Promise<Device> {
    const device = new Device(await startNode(), clock)
    await device.node.handle(SYNC_PROTOCOL, async (stream, connection) => {
      await device.open(stream, connection).catch(() => undefined)
    })
    await device.node.handle(CONTENT_PROTOCOL, async (stream, connection) => {
      device.contentStreams++
      await device.exchange.serve(stream, connection.remotePeer.toString() as DeviceId)
    })
    return device
  }

  statements(): Uint8Array[] {
    return this.ownStatements
  }

  async receive(statements: readonly Uint8Array[], from: DeviceId): Promise<void> {
    for (const each of statements) this.received.push({ statement: Buffer.from(each).toString(), from })
  }

  folders(): OfferedFolder[] {
    return this.held
  }

  onFolders(from: DeviceId, folders: readonly OfferedFolder[]): void {
    this.offered.set(from, folders)
  }

  async open(stream: Stream, connection: Connection): Promise<Session> {
    const device = connection.remotePeer.toString() as DeviceId
    const link: LinkConnection = {
      device,
      address: connection.remoteAddr.toString(),
      openStream: (protocol, options) => connection.newStream(protocol, { signal: options.signal }),
    }
    const parts = { replication: this.replication, exchange: this.exchange, past: this.past, membership: this }
    const self = { device: this.id, name: `device ${this.id.slice(-4)}`, version: this.version }
    const session = await openSession(stream, link, parts, { signal: new AbortController().signal, self })
    this.sessions.set(device, session)
    this.connections.set(device, connection)
    void session.closed.then(() => {
      if (this.sessions.get(device) === session) this.sessions.delete(device)
    })
    return session
  }

  async dial(other: Device): Promise<Session> {
    const connection = await this.node.dial(other.node.getMultiaddrs())
    const session = await this.open(await connection.newStream(SYNC_PROTOCOL), connection)
    await until('linked', () => other.sessions.has(this.id))
    return session
  }

  share(folder: SharedFolder): FolderNetwork {
    this.held = [
      ...this.held.filter(each => each.id !== folder.id),
      { id: folder.id, name: folder.name, formatVersion: 1 },
    ]
    const network = {
      ...this.replication.share(folder),
      ...this.exchange.share(folder.id),
      ...this.past.share(folder.id),
      isMember: (device: DeviceId) => !this.strangers.has(device),
    }
    for (const session of this.sessions.values()) session.sendMembership()
    return network
  }

  unshare(folder: FolderId): void {
    this.held = this.held.filter(each => each.id !== folder)
    this.replication.unshare(folder)
    for (const session of this.sessions.values()) session.sendMembership()
  }

  async stop(): Promise<void> {
    await Promise.all([...this.sessions.values()].map(session => session.close('stopping')))
    await this.node.stop()
  }
}

export async function openLoopback(
  count: number,
  clock: Clock = realClock,
): Promise<NetworkUnderTest & { devices: readonly Device[] }> {
  const devices = await Promise.all(Array.from({ length: count }, () => Device.start(clock)))
  const at = (index: number): Device => devices[index] as Device
  return {
    devices,
    queriesAtOnce: MAX_QUERIES,
    until,
    link: async (a, b) => {
      await at(a).dial(at(b))
    },
    unlink: async (a, b) => {
      await at(a).sessions.get(at(b).id)?.close('unlinked')
      await at(a).connections.get(at(b).id)?.close()
    },
    close: async () => {
      await Promise.all(devices.map(device => device.stop()))
    },
  }
}
