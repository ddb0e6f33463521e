import type { MultiaddrConnection, PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { expect } from 'chai'
import { Gatekeeper, MAX_PENDING_PER_ADDRESS, MAX_PENDING_STRANGERS } from '../../src/p2p/gatekeeper.ts'

const MEMBER = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'
const STRANGER = '12D3KooWJjvRhUd6VbGpLvCpLyzuGY8uyvFAQSZYwS5pVoxSNUSz'
const member = peerIdFromString(MEMBER)
const stranger = peerIdFromString(STRANGER)

/** As much of a raw connection as the gatekeeper looks at. */
class Raw extends EventTarget {
  readonly remoteAddr
  constructor(host: string, port = 50_000) {
    super()
    this.remoteAddr = multiaddr(`/ip4/${host}/tcp/${port}`)
  }
}

function raw(host: string): MultiaddrConnection {
  return new Raw(host) as unknown as MultiaddrConnection
}

describe('gatekeeper', () => {
  let now: number
  let open: boolean
  let gate: Gatekeeper
  beforeEach(() => {
    now = 0
    open = false
    gate = new Gatekeeper({
      isTrusted: device => device === MEMBER,
      pairingOpen: () => open,
      elapsed: () => now,
      onUpgraded: () => undefined,
    })
  })

  const admits = async (host: string): Promise<MultiaddrConnection | null> => {
    const connection = raw(host)
    return (await gate.gater.denyInboundConnection?.(connection)) === true ? null : connection
  }
  const enters = async (peer: PeerId, connection = raw('10.0.0.1')): Promise<boolean> =>
    !(await gate.gater.denyInboundEncryptedConnection?.(peer, connection)) &&
    !(await gate.gater.denyInboundUpgradedConnection?.(peer, connection))
  const mayCall = async (peer: PeerId): Promise<boolean> => !(await gate.gater.denyDialPeer?.(peer))

  it('lets members in, and others only while a pairing window is open', async () => {
    expect(await enters(member)).to.equal(true)
    expect(await enters(stranger)).to.equal(false)
    open = true
    expect(await enters(stranger)).to.equal(true)
  })

  it('calls members, and others only while somebody holds the permission', async () => {
    expect([await mayCall(member), await mayCall(stranger)]).to.deep.equal([true, false])
    const [one, other] = [gate.allowCall(stranger.toString() as never), gate.allowCall(stranger.toString() as never)]
    one()
    one()
    expect(await mayCall(stranger)).to.equal(true)
    other()
    expect(await mayCall(stranger)).to.equal(false)
  })

  it('dials no address without the id of who is expected there', async () => {
    const denied = (address: string) => gate.gater.denyDialMultiaddr?.(multiaddr(address))
    expect(await denied('/ip4/10.0.0.1/tcp/4000')).to.equal(true)
    expect(await denied('/dns4/evil.test/tcp/4000')).to.equal(true)
    expect(await denied(`/ip4/10.0.0.1/tcp/4000/p2p/${MEMBER}`)).to.equal(false)
    const release = gate.allowAnybodyAt('/ip4/10.0.0.1/tcp/4000')
    expect(await denied('/ip4/10.0.0.1/tcp/4000')).to.equal(false)
    expect(await denied('/ip4/10.0.0.1/tcp/4001')).to.equal(true)
    release()
    expect(await denied('/ip4/10.0.0.1/tcp/4000')).to.equal(true)
  })

  it('bounds the handshakes under way for one address, until they end', async () => {
    const held = []
    for (let count = 0; count < MAX_PENDING_PER_ADDRESS; count++) held.push(await admits('10.0.0.1'))
    expect(held).not.to.include(null)
    expect(await admits('10.0.0.1')).to.equal(null)
    expect(await admits('10.0.0.2')).not.to.equal(null)
    held[0]?.dispatchEvent(new Event('close'))
    expect(await admits('10.0.0.1')).not.to.equal(null)
    await enters(stranger, held[1] ?? undefined)
    expect(await admits('10.0.0.1')).not.to.equal(null)
  })

  it('bounds them in all, and keeps room for where a paired device was', async () => {
    let admitted = 0
    for (let host = 1; host <= 250; host++) if ((await admits(`10.0.1.${host}`)) !== null) admitted++
    expect(admitted).to.equal(MAX_PENDING_STRANGERS)
    gate.familiar('10.0.2.1')
    expect(await admits('10.0.2.1')).not.to.equal(null)
  })

  it('bounds new sockets a second for one address', async () => {
    const attempt = async (): Promise<boolean> => {
      const connection = await admits('10.0.0.1')
      connection?.dispatchEvent(new Event('close'))
      return connection !== null
    }
    let admitted = 0
    for (let dials = 0; dials < 500; dials++) if (await attempt()) admitted++
    expect(admitted).to.equal(20)
    now += 1_000
    for (let dials = 0; dials < 500; dials++) if (await attempt()) admitted++
    expect(admitted).to.equal(30)
  })
})
