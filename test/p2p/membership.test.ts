import { readFileSync as readSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { expect } from 'chai'
import fc from 'fast-check'
import type { KithEvent } from '../../src/core/events.ts'
import type { DeviceId } from '../../src/core/ids.ts'
import type { Identity } from '../../src/p2p/identity.ts'
import { identityOf } from '../../src/p2p/identity.ts'
import { evaluate } from '../../src/p2p/member-graph.ts'
import { Membership } from '../../src/p2p/membership.ts'
import type { StatementBody } from '../../src/p2p/statements.ts'
import { encodeBody, readStatement, seal, sign } from '../../src/p2p/statements.ts'
import { silent } from './network-fixture.ts'

async function person(): Promise<Identity> {
  return identityOf(await generateKeyPair('Ed25519'))
}

async function signed(body: StatementBody, ...by: Identity[]): Promise<Uint8Array> {
  const encoded = encodeBody(body)
  return seal(encoded, await Promise.all(by.map(one => sign(encoded, one.key))))
}

function added(by: Identity, device: Identity, at = 1): Promise<Uint8Array> {
  return signed({ is: 'added', device: device.device, name: 'x', by: by.device, at }, by, device)
}

function removed(by: Identity, device: Identity, keep: readonly Identity[] = []): Promise<Uint8Array> {
  const ids = keep.map(one => one.device)
  return signed({ is: 'removed', device: device.device, by: by.device, at: 2, keep: ids }, by)
}

describe('membership', () => {
  let a: Identity
  let b: Identity
  let c: Identity
  let d: Identity
  let home: string
  let events: KithEvent[]

  before(async () => {
    ;[a, b, c, d] = await Promise.all([person(), person(), person(), person()])
  })
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'kith-members-'))
    events = []
  })
  afterEach(async () => {
    await rm(home, { recursive: true, force: true })
  })

  async function open(identity: Identity, where = home): Promise<Membership> {
    const membership = new Membership(
      { identity, clock: { now: () => 1_000 }, log: silent, emit: event => events.push(event) },
      { home: where, name: 'here' },
    )
    await membership.start()
    return membership
  }

  const refusals = (): string[] => events.flatMap(event => (event.type === 'statement:refused' ? [event.reason] : []))

  it('takes members of members, in whichever order it hears of them', async () => {
    const members = await open(a)
    const chain = [await added(c, d), await added(b, c), await added(a, b)]
    await members.receive(chain, b.device)
    expect([...members.members()].sort()).to.deep.equal([b.device, c.device, d.device].sort())
    expect(refusals()).to.deep.equal([])
    expect(events.filter(event => event.type === 'device:paired')).to.have.length(3)
  })

  it('keeps what it took over a restart, and nothing is refused twice', async () => {
    const members = await open(a)
    await members.receive([await added(a, b)], b.device)
    await members.rename(b.device, 'desktop')
    const again = await open(a)
    expect(again.isMember(b.device)).to.equal(true)
    expect(again.nameOf(b.device)).to.equal('desktop')
    expect(again.nameOf(a.device)).to.equal('here')
    const forged = await added(c, d)
    await again.receive([forged], b.device)
    await again.receive([forged], b.device)
    expect(refusals()).to.have.length(1)
  })

  describe('refuses, with an event, and changes nothing:', () => {
    const cases: Record<string, () => Promise<Uint8Array>> = {
      'an addition without the countersignature of the new device': () =>
        signed({ is: 'added', device: c.device, name: 'x', by: b.device, at: 1 }, b),
      'an addition that the new device did not sign': () =>
        signed({ is: 'added', device: c.device, name: 'x', by: b.device, at: 1 }, b, d),
      'an addition in the name of a member, signed by another': () =>
        signed({ is: 'added', device: c.device, name: 'x', by: b.device, at: 1 }, c, c),
      'an addition by strangers': () => added(c, d),
      'a removal by a stranger': () => removed(c, b),
      'a removal in the name of a member': () =>
        signed({ is: 'removed', device: b.device, by: a.device, at: 1, keep: [] }, b),
      'a name by a stranger': () => signed({ is: 'named', device: b.device, name: 'evil', by: c.device, at: 9 }, c),
      'a device that adds itself': () =>
        signed({ is: 'added', device: b.device, name: 'x', by: b.device, at: 1 }, b, b),
      'an unsigned statement': async () =>
        seal(encodeBody({ is: 'named', device: b.device, name: 'evil', by: b.device, at: 9 }), []),
      'a signature over other bytes': async () => {
        const [other] = [encodeBody({ is: 'named', device: b.device, name: 'fine', by: b.device, at: 9 })]
        const body = encodeBody({ is: 'named', device: b.device, name: 'evil', by: b.device, at: 9 })
        return seal(body, [await sign(other, b.key)])
      },
      'a field that nobody knows': () =>
        signed({ is: 'named', device: b.device, name: 'x', by: b.device, at: 9, admin: true } as StatementBody, b),
      'bytes after the end': async () => Buffer.concat([await added(b, c), Buffer.from([0])]),
      'another encoding of the same': async () => {
        const good = Buffer.from(await removed(b, c))
        // The outer array with its length in one more byte: valid CBOR, not the canonical one.
        return Buffer.concat([Buffer.from([0x98, 0x02]), good.subarray(1)])
      },
      rubbish: async () => Buffer.from('rubbish'),
      nothing: async () => new Uint8Array(),
    }
    for (const [what, make] of Object.entries(cases)) {
      it(what, async () => {
        const members = await open(a)
        await members.receive([await added(a, b)], b.device)
        const before = members.statements().length
        await members.receive([await make()], b.device)
        expect(members.members()).to.deep.equal([b.device])
        expect(members.nameOf(b.device)).to.equal('x')
        expect(members.statements()).to.have.length(before)
        expect(refusals()).to.have.length(1)
      })
    }
  })

  it('keeps a removed device out, whatever is replayed', async () => {
    const members = await open(a)
    const addition = await added(a, b)
    await members.receive([addition], b.device)
    await members.remove(b.device)
    await members.receive([addition, await added(a, b, 99), await added(b, a, 99)], c.device)
    expect(members.members()).to.deep.equal([])
    expect(members.wasRemoved(b.device)).to.equal(true)
    const again = await open(a)
    await again.receive([addition], c.device)
    expect(again.isMember(b.device)).to.equal(false)
  })

  it('lets a removed device add nobody: neither before it is heard of nor after', async () => {
    const removal = await removed(a, c)
    const late = await added(c, d)
    const members = await open(a)
    await members.receive([await added(a, b), await added(b, c)], b.device)
    await members.receive([removal], b.device)
    await members.receive([late], b.device)
    expect(members.isMember(d.device)).to.equal(false)
    expect(refusals()).to.deep.equal(['a removed device added it'])
    // Another device believed it first, and hears of the removal later.
    const other = await mkdtemp(join(tmpdir(), 'kith-members-'))
    const elsewhere = await open(b, other)
    await elsewhere.receive([await added(a, b), await added(b, c), late], c.device)
    expect(elsewhere.isMember(d.device)).to.equal(true)
    await elsewhere.receive([removal], a.device)
    expect(elsewhere.isMember(d.device)).to.equal(false)
    await rm(other, { recursive: true })
  })

  it('keeps those whom a removed device had added and its remover knew, and lists them', async () => {
    const members = await open(a)
    await members.receive([await added(a, c), await added(c, d)], c.device)
    await members.remove(c.device)
    expect(members.members()).to.deep.equal([d.device])
    expect(events.find(event => event.type === 'device:removed')).to.include({ device: c.device, by: a.device })
    expect(events.find(event => event.type === 'device:removed')).to.have.deep.property('added', ['x'])
  })

  it('puts two out who remove each other, on every device', async () => {
    const all = [await added(a, b), await added(a, c), await removed(b, c, [a]), await removed(c, b, [a])]
    const members = await open(a)
    await members.receive(all, b.device)
    expect(members.members()).to.deep.equal([])
    expect(refusals()).to.deep.equal([])
  })

  it('says when this device itself was removed', async () => {
    const members = await open(a)
    await members.receive([await added(a, b), await removed(b, a)], b.device)
    expect(members.members()).to.deep.equal([])
    expect(members.wasRemoved(a.device)).to.equal(true)
    expect(events.find(event => event.type === 'device:removed')).to.include({ device: a.device, by: b.device })
  })

  it('gives a name that holds although another clock runs ahead', async () => {
    const members = await open(a)
    const ahead = await signed({ is: 'named', device: b.device, name: 'old', by: b.device, at: 9e12 }, b)
    await members.receive([await added(a, b), ahead], b.device)
    await members.rename(b.device, 'new')
    expect(members.nameOf(b.device)).to.equal('new')
  })

  it('stores before anybody is told', async () => {
    const members = await open(a)
    let stored = false
    const statement = await added(a, b)
    members.onChange(() => {
      stored = Buffer.from(new Uint8Array(readSync(join(home, 'members')))).includes(
        Buffer.from(statement).subarray(8, 40),
      )
    })
    await members.receive([statement], b.device)
    expect(stored).to.equal(true)
  })

  it('refuses to start on a damaged list', async () => {
    const members = await open(a)
    await members.receive([await added(a, b)], b.device)
    const path = join(home, 'members')
    const bytes = await readFile(path)
    for (const at of [0, 20, bytes.length >> 1, bytes.length - 3]) {
      const broken = Buffer.from(bytes)
      broken[at] = (broken[at] ?? 0) ^ 1
      await writeFile(path, broken)
      const failure = await open(a).then(
        () => 'started',
        (error: unknown) => (error instanceof Error && 'code' in error ? error.code : String(error)),
      )
      expect(failure, `bit flipped at ${at}`).to.equal('home-unsafe')
    }
  })

  it('comes to the same answer in every order (property)', async () => {
    const all = await Promise.all([
      added(a, b),
      added(b, c),
      added(c, d),
      removed(a, c, [d]),
      removed(b, c),
      removed(d, b, [a]),
      removed(c, a),
      signed({ is: 'named', device: b.device, name: 'one', by: c.device, at: 5 }, c),
      signed({ is: 'named', device: b.device, name: 'two', by: a.device, at: 5 }, a),
    ])
    const statements = await Promise.all(all.map(readStatement))
    const shown = (self: DeviceId, order: typeof statements): string => {
      const { members, removed: out, names } = evaluate(self, order)
      return JSON.stringify([[...members].sort(), [...out.keys()].sort(), [...names].sort()])
    }
    fc.assert(
      fc.property(
        fc.shuffledSubarray(statements),
        fc.constantFrom(a, b, c, d),
        fc.infiniteStream(fc.nat()),
        (subset, { device }, random) => {
          const key = new Map(subset.map(one => [one, random.next().value]))
          const shuffled = [...subset].sort((x, y) => (key.get(x) ?? 0) - (key.get(y) ?? 0))
          expect(shown(device, shuffled)).to.equal(shown(device, subset))
        },
      ),
      { numRuns: 300 },
    )
  })
})
