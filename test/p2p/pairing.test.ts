import { once } from 'node:events'
import { cp, rm } from 'node:fs/promises'
import { multiaddr } from '@multiformats/multiaddr'
import { expect } from 'chai'
import type { Libp2p } from 'libp2p'
import type { Clock } from '../../src/core/clock.ts'
import { isKithError } from '../../src/core/errors.ts'
import type { DeviceId } from '../../src/core/ids.ts'
import type { Interfaces } from '../../src/p2p/addresses.ts'
import { makeCode, makeTicket, readInvitation, showCode } from '../../src/p2p/pairing-code.ts'
import { PAIR_PROTOCOL } from '../../src/p2p/pairing-wire.ts'
import { Meter, SafeStream } from '../../src/p2p/safe-stream.ts'
import { CONTENT_PROTOCOL, SYNC_PROTOCOL } from '../../src/p2p/session.ts'
import { startNode } from './loopback.ts'
import { addressOf, type Device, linked, Neighbourhood, pair, realClock, until, waiting } from './network-fixture.ts'

const WINDOW_MS = 5 * 60_000
const LOOPBACK_ONLY = (): Interfaces => ({
  lo: [{ address: '127.0.0.1', netmask: '255.0.0.0', mac: '', internal: true, cidr: '127.0.0.1/8', family: 'IPv4' }],
})

async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    return isKithError(error) ? error.code : String(error)
  }
  return 'no failure'
}

function wrong(code: string): string {
  return `${code.slice(0, -1)}${code.endsWith('0') ? '1' : '0'}`
}

describe('pairing code', () => {
  it('is read however it is typed', () => {
    expect(readInvitation(' 7f3k-q2xm ')).to.deep.equal({ kind: 'code', secret: '7F3KQ2XM' })
    expect(readInvitation('oil0 1loo')).to.deep.equal({ kind: 'code', secret: '01101100' })
  })
  it('is refused where it cannot be one', () => {
    for (const text of ['', '7F3K-Q2X', '7F3K-Q2XMM', '7F3K-Q2XU', 'kith:', 'kith:AAAA']) {
      expect(() => readInvitation(text), text)
        .to.throw()
        .with.property('code', 'bad-usage')
    }
  })
  it('survives being shown', () => {
    const code = makeCode()
    expect(showCode(code)).to.match(/^[0-9A-Z]{4}-[0-9A-Z]{4}$/)
    expect(readInvitation(showCode(code))).to.deep.equal({ kind: 'code', secret: code })
  })
  it('travels in a ticket with id and addresses', () => {
    const device = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8' as DeviceId
    const ticket = makeTicket(device, ['/ip4/192.168.1.5/tcp/4000'], 'ab'.repeat(16))
    expect(readInvitation(ticket)).to.deep.equal({
      kind: 'ticket',
      device,
      addresses: ['/ip4/192.168.1.5/tcp/4000'],
      secret: 'ab'.repeat(16),
    })
  })
})

describe('pairing', () => {
  let there: Neighbourhood
  const strangers: Libp2p[] = []
  beforeEach(() => {
    there = new Neighbourhood()
  })
  afterEach(async () => {
    await there.close()
    await Promise.all(strangers.splice(0).map(node => node.stop()))
  })

  async function stranger(): Promise<Libp2p> {
    const node = await startNode()
    strangers.push(node)
    return node
  }

  const members = (device: Device): DeviceId[] => device.network.devices().map(({ id }) => id)
  const join = (device: Device, code: string, at: Device): Promise<unknown> =>
    device.network.join(code, { ...waiting(), address: addressOf(at) })

  it('works by a ticket, which says whom to call', async () => {
    const [laptop, desktop] = [await there.device('laptop'), await there.device('desktop')]
    const offer = await laptop.network.offerPairing(waiting())
    expect(await desktop.network.join(offer.ticket, waiting())).to.include({ id: laptop.id })
    expect(await offer.paired).to.include({ id: desktop.id })
  })

  it('closes after five wrong codes, and the right one is void then', async () => {
    const [laptop, desktop] = [await there.device('laptop'), await there.device('desktop')]
    const offer = await laptop.network.offerPairing(waiting())
    const ended = failure(offer.paired)
    for (let tries = 1; tries <= 4; tries++) {
      expect(await failure(join(desktop, wrong(offer.code), laptop))).to.equal('pairing-wrong-code')
    }
    expect(await failure(join(desktop, wrong(offer.code), laptop))).to.equal('pairing-tries')
    expect(await ended).to.equal('pairing-tries')
    expect(await failure(join(desktop, offer.code, laptop))).to.equal('pairing-not-found')
    expect([...members(laptop), ...members(desktop)]).to.deep.equal([])
  })

  it('lets no more than five be tried at once either', async () => {
    const laptop = await there.device('laptop')
    const others = await Promise.all(Array.from({ length: 4 }, (_, index) => there.device(`other ${index}`)))
    const offer = await laptop.network.offerPairing(waiting())
    const ended = failure(offer.paired)
    const codes = await Promise.all(
      [...others, ...others].map(other => failure(join(other, wrong(offer.code), laptop))),
    )
    expect(await ended).to.equal('pairing-tries')
    expect(codes.filter(code => code === 'pairing-wrong-code')).to.have.length.at.most(4)
  })

  it('takes a code once', async () => {
    const [laptop, desktop, phone] = [
      await there.device('laptop'),
      await there.device('desktop'),
      await there.device('phone'),
    ]
    const offer = await laptop.network.offerPairing(waiting())
    await join(desktop, offer.code, laptop)
    await offer.paired
    expect(await failure(join(phone, offer.code, laptop))).to.equal('pairing-not-found')
    expect(members(laptop)).to.deep.equal([desktop.id])
  })

  it('gives the code to one of two who type it at once', async () => {
    const [laptop, desktop, phone] = [
      await there.device('laptop'),
      await there.device('desktop'),
      await there.device('phone'),
    ]
    const offer = await laptop.network.offerPairing(waiting())
    const results = await Promise.all([desktop, phone].map(device => failure(join(device, offer.code, laptop))))
    expect(results.filter(result => result === 'no failure')).to.have.length(1)
    expect(members(laptop)).to.have.length(1)
  })

  it('ends after five minutes, when cancelled, and by the signal', async () => {
    let pass: () => void = () => undefined
    const passed = new Promise<void>(resolve => {
      pass = resolve
    })
    const clock: Clock = {
      ...realClock,
      sleep: (ms, options) => (ms === WINDOW_MS ? passed : realClock.sleep(ms, options)),
    }
    const [laptop, desktop] = [await there.device('laptop', { clock }), await there.device('desktop')]
    const offer = await laptop.network.offerPairing(waiting())
    expect(offer.expiresAt - Date.now()).to.be.within(WINDOW_MS - 5_000, WINDOW_MS)
    pass()
    expect(await failure(offer.paired)).to.equal('pairing-expired')
    expect(await failure(join(desktop, offer.code, laptop))).to.equal('pairing-not-found')

    const [one, other] = [await there.device('one'), new AbortController()]
    const cancelled = await one.network.offerPairing(waiting())
    cancelled.cancel()
    expect(await failure(cancelled.paired)).to.equal('pairing-expired')
    const aborted = await one.network.offerPairing({ signal: other.signal })
    other.abort(new Error('enough'))
    expect(await failure(aborted.paired)).to.equal('Error: enough')
    expect(await failure(join(desktop, aborted.code, one))).to.equal('pairing-not-found')
  })

  it('gives a man in the middle nothing', async () => {
    const [laptop, desktop] = [await there.device('laptop'), await there.device('desktop')]
    const offer = await laptop.network.offerPairing(waiting())
    const middle = await stranger()
    let relayed = 0
    await middle.handle(PAIR_PROTOCOL, async inbound => {
      const here = new SafeStream(inbound, new Meter())
      const onward = await middle.dial(multiaddr(addressOf(laptop)))
      const far = new SafeStream(await onward.newStream(PAIR_PROTOCOL), new Meter())
      const pump = async (from: SafeStream, to: SafeStream): Promise<void> => {
        for (;;) {
          const bytes = await from.read(waiting())
          if (bytes === null) break
          relayed += bytes.length
          await to.write([bytes], waiting())
        }
      }
      await Promise.allSettled([pump(here, far), pump(far, here)])
    })
    const address =
      middle
        .getMultiaddrs()[0]
        ?.toString()
        .replace(/\/p2p\/.*/, '') ?? ''
    expect(await failure(desktop.network.join(offer.code, { ...waiting(), address }))).to.equal('pairing-wrong-code')
    expect(relayed).to.be.above(0)
    expect([...members(laptop), ...members(desktop)]).to.deep.equal([])
    // Two honest ones can still use it: one try is gone.
    await join(desktop, offer.code, laptop)
    expect(members(laptop)).to.deep.equal([desktop.id])
  })

  it('refuses two groups, and nothing changes', async () => {
    const [a, b, c, d] = [
      await there.device('a'),
      await there.device('b'),
      await there.device('c'),
      await there.device('d'),
    ]
    await pair(a, b)
    await pair(c, d)
    const offer = await a.network.offerPairing(waiting())
    const ended = failure(offer.paired)
    expect(await failure(join(c, offer.code, a))).to.equal('pairing-groups')
    expect(await ended).to.equal('pairing-groups')
    expect(members(a)).to.deep.equal([b.id])
    expect(members(c)).to.deep.equal([d.id])
  })

  it('takes a lone device into either side of a group, and everybody hears of it', async () => {
    const [a, b, c] = [await there.device('a'), await there.device('b'), await there.device('c')]
    await pair(a, b)
    await until('a and b are linked', () => linked(a, b))
    await pair(c, b)
    await until('a knows c', () => members(a).includes(c.id))
    expect(members(c).sort()).to.deep.equal([a.id, b.id].sort())
    expect(a.network.devices().find(({ id }) => id === c.id)?.name).to.equal('c')
  })

  it('refuses a device that was removed, whether it has heard of that or not', async () => {
    const [laptop, desktop] = [await there.device('laptop'), await there.device('desktop')]
    await pair(laptop, desktop)
    await until('they are linked', () => linked(laptop, desktop))
    await desktop.stop()
    await laptop.network.removeDevice(desktop.id)
    const unaware = await there.device('desktop', { home: desktop.home })
    const offer = await laptop.network.offerPairing(waiting())
    const ended = failure(offer.paired)
    expect(await failure(join(unaware, offer.code, laptop))).to.equal('pairing-refused')
    expect(await ended).to.equal('pairing-refused')
    expect(members(laptop)).to.deep.equal([])

    const [tower, phone] = [await there.device('tower'), await there.device('phone')]
    await pair(tower, phone)
    await until('they are linked', () => linked(tower, phone))
    await tower.network.removeDevice(phone.id)
    await until('it has heard', () => phone.events.some(({ type }) => type === 'device:removed'))
    expect(await failure(join(phone, 'AAAA-AAAA', tower))).to.equal('pairing-refused')
    expect(await failure(phone.network.offerPairing(waiting()))).to.equal('pairing-refused')
  })

  it('answers a stranger nothing: cut before any protocol, and with an open window that protocol alone', async () => {
    const laptop = await there.device('laptop')
    const node = await stranger()
    const protocols = [PAIR_PROTOCOL, SYNC_PROTOCOL, CONTENT_PROTOCOL, '/ipfs/id/1.0.0', '/ipfs/ping/1.0.0']
    for (const protocol of protocols) {
      const begun = performance.now()
      const reached = await node
        .dial(multiaddr(addressOf(laptop)), waiting(5_000))
        .then(async connection => {
          const closed = connection.status === 'open' ? once(connection, 'close') : Promise.resolve()
          const opened = await failure(connection.newStream(protocol, waiting(2_000)))
          await closed
          return opened
        })
        .catch(() => 'cut')
      expect(reached, protocol).not.to.equal('no failure')
      expect(performance.now() - begun, 'closed at once').to.be.below(1_000)
    }
    const offer = await laptop.network.offerPairing(waiting())
    const connection = await node.dial(multiaddr(addressOf(laptop)))
    for (const protocol of protocols.slice(3)) {
      expect(await failure(connection.newStream(protocol, waiting(2_000))), protocol).to.include('Protocol')
    }
    for (const protocol of [SYNC_PROTOCOL, CONTENT_PROTOCOL]) {
      const stream = await connection.newStream(protocol, waiting(2_000))
      if (stream.status === 'open') await once(stream, 'close')
    }
    expect(await failure(connection.newStream(PAIR_PROTOCOL, waiting(2_000)))).to.equal('no failure')
    offer.cancel()
    if (connection.status === 'open') await once(connection, 'close')
  })

  describe('killed half-way', () => {
    /** What stands on both sides once they could talk again. */
    const steps: [side: 'offerer' | 'joiner', step: string, both: boolean][] = [
      ['offerer', 'offerer:proved', false],
      ['joiner', 'joiner:proved', false],
      ['offerer', 'offerer:offered', false],
      ['joiner', 'joiner:offered', false],
      ['joiner', 'joiner:prepared', false],
      ['offerer', 'offerer:received-signature', false],
      ['joiner', 'joiner:signed', true],
      ['offerer', 'offerer:committed', true],
      ['offerer', 'offerer:sent', true],
      ['joiner', 'joiner:received', true],
      ['joiner', 'joiner:stored', true],
      ['offerer', 'offerer:confirmed', true],
    ]
    for (const [side, step, both] of steps) {
      it(`at ${step}: ${both ? 'both are paired' : 'neither is'}`, async () => {
        let died: () => void = () => undefined
        const dead = new Promise<void>(resolve => {
          died = resolve
        })
        const reached = (at: string): Promise<void> | undefined => {
          if (at !== step) return undefined
          died()
          // Nothing after this step ever runs, as if the process were gone.
          return new Promise<void>(() => undefined)
        }
        const common = { interfaces: LOOPBACK_ONLY }
        const laptop = await there.device('laptop', { ...common, ...(side === 'offerer' ? { reached } : {}) })
        const desktop = await there.device('desktop', { ...common, ...(side === 'joiner' ? { reached } : {}) })
        const offer = await laptop.network.offerPairing(waiting())
        const joining = failure(join(desktop, offer.code, laptop))
        await dead
        const victim = side === 'offerer' ? laptop : desktop
        const other = side === 'offerer' ? desktop : laptop
        const address = addressOf(victim)
        const home = await there.home()
        await cp(victim.home, home, { recursive: true })
        await victim.stop()
        const back = await there.device(victim.name, { ...common, home, listen: [address] })
        expect(back.id).to.equal(victim.id)
        if (both) await until('both are paired and linked', () => linked(back, other))
        else {
          if (side === 'offerer') expect(await joining).to.match(/^pairing-/)
          // The one who typed the code asks when it starts; the answer changes nothing.
          expect([members(back), members(other)]).to.deep.equal([[], []])
          await rm(victim.home, { recursive: true })
        }
      })
    }
  })
})
