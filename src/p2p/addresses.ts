// Which addresses may be announced and dialled, and in which order. Pure: what the machine looks like is passed in.
// Text that a stranger may have chosen goes through here before anything is dialled: no names, no foreign subnets, no service
// ports, no loopback while there is a network, never this device's own listener.
import { BlockList, isIPv4, isIPv6 } from 'node:net'
import type { NetworkInterfaceInfo } from 'node:os'

export const MAX_ADDRESSES_PER_DEVICE = 8
const FIRST_UNPRIVILEGED_PORT = 1024

/** What `os.networkInterfaces()` returns. */
export type Interfaces = NodeJS.Dict<NetworkInterfaceInfo[]>

export interface Endpoint {
  readonly host: string
  readonly family: 'ipv4' | 'ipv6'
  readonly port: number
  /** The peer id that the address ended in. */
  readonly peer: string | null
}

/** `sighted`: anybody may have said it. `given`: a person typed it or scanned it. */
export type AddressSource = 'sighted' | 'given'

/** The machine as it stands now. */
export interface Surroundings {
  readonly interfaces: Interfaces
  /** Ports that this device listens on. */
  readonly ownPorts: readonly number[]
}

const ADDRESS = /^\/(ip4|ip6)\/([0-9a-fA-F.:]+)\/tcp\/([0-9]{1,5})(?:\/p2p\/([1-9A-HJ-NP-Za-km-z]+))?$/

/** `/ip4/…/tcp/…` or `/ip6/…/tcp/…`, with or without `/p2p/…`; null for all else (names, zones, other transports). */
export function parseAddress(text: string): Endpoint | null {
  const found = ADDRESS.exec(text)
  if (found === null) return null
  const [, kind, host = '', portText, peer] = found
  const port = Number(portText)
  if (port < 1 || port > 65_535) return null
  if (kind === 'ip4' ? !isIPv4(host) : !isIPv6(host)) return null
  return { host, family: kind === 'ip4' ? 'ipv4' : 'ipv6', port, peer: peer ?? null }
}

/** Without the peer id. */
export function formatAddress(endpoint: Pick<Endpoint, 'host' | 'family' | 'port'>): string {
  return `/${endpoint.family === 'ipv4' ? 'ip4' : 'ip6'}/${endpoint.host}/tcp/${endpoint.port}`
}

/** May this device dial that address, to reach `device`? */
export function mayDial(text: string, device: string, source: AddressSource, around: Surroundings): boolean {
  const endpoint = parseAddress(text)
  if (endpoint === null) return false
  if (endpoint.peer !== null && endpoint.peer !== device) return false
  if (SENSELESS.check(endpoint.host, endpoint.family)) return false
  if (around.ownPorts.includes(endpoint.port) && isOwn(endpoint, around.interfaces)) return false
  if (source === 'given') return true
  if (endpoint.port < FIRST_UNPRIVILEGED_PORT) return false
  if (isLoopback(endpoint)) return !hasNetwork(around.interfaces)
  return isAttached(endpoint, around.interfaces)
}

/** Those that may be dialled, best first: attached subnets before others, then the order they came in. At most eight. */
export function rankAddresses(
  candidates: readonly { readonly address: string; readonly source: AddressSource }[],
  device: string,
  around: Surroundings,
): string[] {
  const seen = new Set<string>()
  const ranked: { address: string; far: boolean }[] = []
  for (const { address, source } of candidates) {
    const endpoint = parseAddress(address)
    if (endpoint === null || !mayDial(address, device, source, around)) continue
    const plain = formatAddress(endpoint)
    if (seen.has(plain)) continue
    seen.add(plain)
    ranked.push({ address: plain, far: !isAttached(endpoint, around.interfaces) })
  }
  return [...ranked.filter(one => !one.far), ...ranked.filter(one => one.far)]
    .slice(0, MAX_ADDRESSES_PER_DEVICE)
    .map(one => one.address)
}

/** Of the addresses listened on, those to tell others: no loopback unless there is nothing else, no link-local. */
export function announced(listening: readonly string[], interfaces: Interfaces): string[] {
  const all = listening.filter(text => {
    const endpoint = parseAddress(text)
    return endpoint !== null && !SENSELESS.check(endpoint.host, endpoint.family)
  })
  if (!hasNetwork(interfaces)) return all
  const reachable = all.filter(text => {
    const endpoint = parseAddress(text)
    return endpoint !== null && !isLoopback(endpoint)
  })
  return reachable.length > 0 ? reachable : all
}

/** Is it in a subnet of one of this machine's interfaces (loopback left out)? */
export function isAttached(endpoint: Pick<Endpoint, 'host' | 'family'>, interfaces: Interfaces): boolean {
  for (const one of addressesOf(interfaces)) {
    if (one.internal || one.cidr === null || one.family.toLowerCase() !== endpoint.family) continue
    const [network = '', bits] = one.cidr.split('/')
    const subnet = new BlockList()
    subnet.addSubnet(network, Number(bits), endpoint.family)
    if (subnet.check(endpoint.host, endpoint.family)) return true
  }
  return false
}

/** Is any address up that other machines could reach? */
function hasNetwork(interfaces: Interfaces): boolean {
  return addressesOf(interfaces).some(one => !one.internal && !LINK_LOCAL.check(one.address, family(one)))
}

/** What the supervisor compares to see that the network changed. */
export function fingerprint(interfaces: Interfaces): string {
  return Object.entries(interfaces)
    .flatMap(([name, list]) =>
      // The scope of an IPv6 address is the interface's number: it tells one that was made anew under its old name.
      (list ?? []).map(one => `${name} ${one.cidr ?? one.address} ${one.mac} ${'scopeid' in one ? one.scopeid : ''}`),
    )
    .sort()
    .join('\n')
}

function isLoopback(endpoint: Pick<Endpoint, 'host' | 'family'>): boolean {
  return LOOPBACK.check(endpoint.host, endpoint.family)
}

function isOwn(endpoint: Endpoint, interfaces: Interfaces): boolean {
  if (isLoopback(endpoint)) return true
  const own = new BlockList()
  for (const one of addressesOf(interfaces)) own.addAddress(one.address, family(one))
  return own.check(endpoint.host, endpoint.family)
}

function addressesOf(interfaces: Interfaces): NetworkInterfaceInfo[] {
  return Object.values(interfaces).flatMap(list => list ?? [])
}

function family(one: NetworkInterfaceInfo): 'ipv4' | 'ipv6' {
  return one.family === 'IPv4' ? 'ipv4' : 'ipv6'
}

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')
LOOPBACK.addSubnet('::ffff:127.0.0.0', 104, 'ipv6')

const LINK_LOCAL = new BlockList()
LINK_LOCAL.addSubnet('169.254.0.0', 16, 'ipv4')
LINK_LOCAL.addSubnet('fe80::', 10, 'ipv6')

/** Never a device: unspecified, multicast, broadcast, and link-local IPv6, which needs a zone. */
const SENSELESS = new BlockList()
SENSELESS.addSubnet('0.0.0.0', 8, 'ipv4')
SENSELESS.addSubnet('224.0.0.0', 4, 'ipv4')
SENSELESS.addSubnet('240.0.0.0', 4, 'ipv4')
SENSELESS.addAddress('::', 'ipv6')
SENSELESS.addSubnet('ff00::', 8, 'ipv6')
SENSELESS.addSubnet('fe80::', 10, 'ipv6')
