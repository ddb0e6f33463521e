// libp2p as Kith uses it: TCP, noise, yamux, and nothing else that answers. It promises one port for all its listeners, limits
// that strangers cannot use up, and native crypto. It decides nothing: who may enter is the gatekeeper's, whom to call links'.
import './polyfill.ts'
import { createCipheriv, getCiphers } from 'node:crypto'
import { createServer } from 'node:net'
import { yamux } from '@chainsafe/libp2p-yamux'
import type { Connection, ConnectionGater, Ed25519PrivateKey } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import type { Libp2p } from 'libp2p'
import { createLibp2p } from 'libp2p'
import { KithError } from '../core/errors.ts'
import type { DeviceId } from '../core/ids.ts'
import type { Waiting } from '../core/ports.ts'
import { leanNoise } from './lean-noise.ts'
import { writingWhole } from './whole-writes.ts'

const MIB = 1024 * 1024
/** Pending handshakes in all; the gatekeeper keeps some of them for paired devices. */
const MAX_PENDING_INBOUND = 48
const MAX_INBOUND_PER_SECOND_AND_ADDRESS = 100
const MAX_CONNECTIONS = 256
const UPGRADE_TIMEOUT_MS = 3_000
const DIAL_TIMEOUT_MS = 15_000
/** For one address: on a local network one that answers does so at once. */
const ADDRESS_DIAL_TIMEOUT_MS = 3_000
const PORT_TRIES = 5

export interface NodeDeps {
  readonly key: Ed25519PrivateKey
  readonly gater: ConnectionGater
}

export interface NodeOptions {
  /** Kept in the home by the caller; another is taken where it is in use. 0: any. */
  readonly port: number
  /** Instead of all interfaces (tests): multiaddrs. */
  readonly listen?: readonly string[]
}

/** Makes and starts it. */
export async function startNode(deps: NodeDeps, options: NodeOptions): Promise<Libp2p> {
  assertNativeCrypto()
  let failure: unknown
  for (let tries = 0, port = options.port; tries < PORT_TRIES; tries++, port = 0) {
    const listen = options.listen ?? (await listenAddresses(port))
    try {
      return await create(deps, listen)
    } catch (error) {
      // Another process took the port since it was looked at.
      failure = error
      if (options.listen !== undefined) break
    }
  }
  throw new KithError('daemon-start-failed', 'No TCP port could be opened for other devices.', { cause: failure })
}

async function create(deps: NodeDeps, listen: readonly string[]): Promise<Libp2p> {
  const node = await createLibp2p({
    start: false,
    privateKey: deps.key,
    // What identify would say; it does not run, and this says nothing of the machine in any case.
    nodeInfo: { name: 'kith', version: '1', userAgent: 'kith' },
    addresses: { listen: [...listen] },
    transports: [writingWhole(tcp())],
    connectionEncrypters: [leanNoise()],
    streamMuxers: [
      yamux({
        // The read buffer must hold more than a full window, or a late reader resets the stream.
        streamOptions: {
          maxStreamWindowSize: 2 * MIB,
          maxReadBufferLength: 8 * MIB,
          maxWriteBufferLength: 16 * MIB,
        },
      }),
    ],
    connectionGater: deps.gater,
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      maxIncomingPendingConnections: MAX_PENDING_INBOUND,
      inboundConnectionThreshold: MAX_INBOUND_PER_SECOND_AND_ADDRESS,
      inboundUpgradeTimeout: UPGRADE_TIMEOUT_MS,
      dialTimeout: DIAL_TIMEOUT_MS,
      addressDialTimeout: ADDRESS_DIAL_TIMEOUT_MS,
      maxParallelDials: 16,
      maxDialQueueLength: 64,
      maxPeerAddrsToDial: 8,
      reconnectRetries: 0,
    },
    // Life is any byte received, and links judge it: a ping behind a full window would kill slow links.
    connectionMonitor: { enabled: false },
  })
  try {
    await node.start()
  } catch (error) {
    await node.stop()
    throw error
  }
  return node
}

/** Dials one device, and only it, at these addresses in this order. A new connection each time. */
export async function dial(
  node: Libp2p,
  device: DeviceId,
  addresses: readonly string[],
  options: Waiting,
): Promise<Connection> {
  return await node.dial(
    addresses.map(address => multiaddr(`${address}/p2p/${device}`)),
    { signal: options.signal, force: true },
  )
}

/** Without the peer id, as text. */
export function withoutPeer(address: { toString(): string }): string {
  return address.toString().replace(/\/p2p\/[^/]+$/, '')
}

/** One port for IPv4 and IPv6 (where there is any): `wanted` if it is free. */
async function listenAddresses(wanted: number): Promise<string[]> {
  const port = (await tryListen('0.0.0.0', wanted)) ?? (await tryListen('0.0.0.0', 0))
  if (port === null) throw new KithError('daemon-start-failed', 'No TCP port could be opened for other devices.')
  const addresses = [`/ip4/0.0.0.0/tcp/${port}`]
  if ((await tryListen('::', port)) !== null) addresses.push(`/ip6/::/tcp/${port}`)
  return addresses
}

async function tryListen(host: string, port: number): Promise<number | null> {
  return await new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(null))
    server.listen({ host, port, ipv6Only: host === '::', exclusive: true }, () => {
      const address = server.address()
      server.close(() => resolve(address !== null && typeof address === 'object' ? address.port : null))
    })
  })
}

/** noise falls back to code ten times slower where Node lacks the cipher: then say so at once. */
function assertNativeCrypto(): void {
  try {
    if (!getCiphers().includes('chacha20-poly1305')) throw new Error('not in the list of ciphers')
    createCipheriv('chacha20-poly1305', Buffer.alloc(32), Buffer.alloc(12), { authTagLength: 16 })
  } catch (cause) {
    throw new KithError('daemon-start-failed', 'This build of Node has no ChaCha20-Poly1305 cipher; Kith needs it.', {
      cause,
    })
  }
}
