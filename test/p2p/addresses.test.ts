import type { NetworkInterfaceInfo } from 'node:os'
import { expect } from 'chai'
import type { AddressSource, Interfaces } from '../../src/p2p/addresses.ts'
import { announced, fingerprint, MAX_ADDRESSES_PER_DEVICE, mayDial, rankAddresses } from '../../src/p2p/addresses.ts'

const PEER = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'
const OTHER = '12D3KooWJjvRhUd6VbGpLvCpLyzuGY8uyvFAQSZYwS5pVoxSNUSz'
const OWN_PORT = 41_000

function card(address: string, cidr: string): NetworkInterfaceInfo {
  const v6 = address.includes(':')
  const base = {
    address,
    netmask: '',
    mac: '02:00:00:00:00:01',
    internal: address === '::1' || address.startsWith('127.'),
    cidr,
  }
  return v6 ? { ...base, family: 'IPv6', scopeid: 0 } : { ...base, family: 'IPv4' }
}

const LO = [card('127.0.0.1', '127.0.0.1/8'), card('::1', '::1/128')]
const HOME: Interfaces = {
  lo: LO,
  eth0: [card('192.168.1.5', '192.168.1.5/24'), card('fd00::5', 'fd00::5/64'), card('fe80::5', 'fe80::5/64')],
}
const ALONE: Interfaces = { lo: LO }

describe('addresses', () => {
  const table: [address: string, source: AddressSource, interfaces: Interfaces, may: boolean, why: string][] = [
    ['/ip4/192.168.1.9/tcp/4000', 'sighted', HOME, true, 'attached'],
    [`/ip4/192.168.1.9/tcp/4000/p2p/${PEER}`, 'sighted', HOME, true, 'attached, with its id'],
    [`/ip4/192.168.1.9/tcp/4000/p2p/${OTHER}`, 'sighted', HOME, false, 'the id of another'],
    ['/ip6/fd00::9/tcp/4000', 'sighted', HOME, true, 'attached IPv6'],
    ['/ip4/192.168.2.9/tcp/4000', 'sighted', HOME, false, 'another subnet'],
    ['/ip4/192.168.2.9/tcp/4000', 'given', HOME, true, 'another subnet, by a person'],
    ['/ip4/8.8.8.8/tcp/4000', 'sighted', HOME, false, 'public'],
    ['/ip4/192.168.1.9/tcp/22', 'sighted', HOME, false, 'a service port'],
    ['/ip4/192.168.1.9/tcp/1023', 'sighted', HOME, false, 'the last service port'],
    ['/ip4/192.168.1.9/tcp/1024', 'sighted', HOME, true, 'the first free port'],
    ['/ip4/192.168.1.9/tcp/0', 'given', HOME, false, 'no port'],
    ['/ip4/192.168.1.9/tcp/65536', 'given', HOME, false, 'beyond all ports'],
    ['/ip4/127.0.0.1/tcp/4000', 'sighted', HOME, false, 'loopback beside a network'],
    ['/ip4/127.0.0.1/tcp/4000', 'sighted', ALONE, true, 'loopback where there is nothing else'],
    ['/ip4/127.0.0.1/tcp/4000', 'given', HOME, true, 'loopback, by a person'],
    ['/ip6/::ffff:127.0.0.1/tcp/4000', 'sighted', HOME, false, 'loopback in disguise'],
    [`/ip4/192.168.1.5/tcp/${OWN_PORT}`, 'sighted', HOME, false, 'my own listener'],
    [`/ip4/192.168.1.5/tcp/${OWN_PORT}`, 'given', HOME, false, 'my own listener, by a person'],
    [`/ip4/127.0.0.1/tcp/${OWN_PORT}`, 'given', HOME, false, 'my own listener on loopback'],
    ['/ip4/192.168.1.5/tcp/4001', 'sighted', HOME, true, 'a second home on this machine'],
    ['/dns4/evil.test/tcp/4000', 'sighted', HOME, false, 'a name'],
    ['/dns4/evil.test/tcp/4000', 'given', HOME, false, 'a name, by a person'],
    ['/ip4/192.168.1.9/udp/4000/quic-v1', 'sighted', HOME, false, 'another transport'],
    [`/ip4/192.168.1.9/tcp/4000/p2p/${OTHER}/p2p-circuit/p2p/${PEER}`, 'sighted', HOME, false, 'a relay'],
    ['/ip4/192.168.1.9/tcp/4000/ws', 'sighted', HOME, false, 'a websocket'],
    ['/ip4/0.0.0.0/tcp/4000', 'given', HOME, false, 'unspecified'],
    ['/ip4/224.0.0.251/tcp/5353', 'given', HOME, false, 'multicast'],
    ['/ip4/255.255.255.255/tcp/4000', 'given', HOME, false, 'broadcast'],
    ['/ip6/fe80::9/tcp/4000', 'sighted', HOME, false, 'link-local IPv6'],
    ['/ip4/192.168.1.999/tcp/4000', 'sighted', HOME, false, 'no address'],
    ['/ip4/0x7f.1/tcp/4000', 'given', HOME, false, 'hex'],
    ['', 'given', HOME, false, 'nothing'],
  ]
  for (const [address, source, interfaces, may, why] of table) {
    it(`${may ? 'takes' : 'refuses'} ${why}: ${address} (${source})`, () => {
      expect(mayDial(address, PEER, source, { interfaces, ownPorts: [OWN_PORT] })).to.equal(may)
    })
  }

  it('dials attached subnets first, each once, and at most eight', () => {
    const many = Array.from({ length: 500 }, (_, index) => `/ip4/192.168.1.${(index % 250) + 1}/tcp/4000`)
    const around = { interfaces: HOME, ownPorts: [OWN_PORT] }
    const far = { address: '/ip4/10.9.9.9/tcp/4000', source: 'given' as const }
    const near = [many[0], many[0], many[1]].map(address => ({ address: address ?? '', source: 'sighted' as const }))
    expect(rankAddresses([far, ...near], PEER, around)).to.deep.equal([many[0], many[1], far.address])
    const ranked = rankAddresses(
      many.map(address => ({ address, source: 'sighted' as const })),
      PEER,
      around,
    )
    expect(ranked).to.deep.equal(many.slice(0, MAX_ADDRESSES_PER_DEVICE))
  })

  it('announces neither loopback nor link-local where there is a network', () => {
    const listening = ['/ip4/127.0.0.1/tcp/1', '/ip4/192.168.1.5/tcp/1', '/ip6/::1/tcp/1', '/ip6/fe80::5/tcp/1']
    expect(announced(listening, HOME)).to.deep.equal(['/ip4/192.168.1.5/tcp/1'])
    expect(announced(['/ip4/127.0.0.1/tcp/1'], ALONE)).to.deep.equal(['/ip4/127.0.0.1/tcp/1'])
  })

  it('sees that an interface got another address', () => {
    const moved: Interfaces = { ...HOME, eth0: [card('192.168.1.6', '192.168.1.6/24')] }
    expect(fingerprint(HOME)).to.equal(fingerprint({ eth0: HOME['eth0'], lo: LO }))
    expect(fingerprint(HOME)).not.to.equal(fingerprint(moved))
  })
})
