// Verification: rot is told from edits, mended from another device, told where nobody has it, and never spread. And what a folder does for
// its past in quiet moments.
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import type { ContentId } from '../../src/core/ids.ts'
import type { VerifyOutcome } from '../../src/core/status.ts'
import { partnersOf } from '../../src/sync/pack.ts'
import { noise } from '../contract/versions-contract.ts'
import { areaOf } from '../support/memory-volume.ts'
import { scene } from '../support/scene.ts'
import type { SimDevice } from '../support/sim-device.ts'

const HOUR_MS = 60 * 60_000
const idOf = (text: string): ContentId => contentOf(Buffer.from(text)).content

/** One bit of it, unseen by any stat. */
function rot(device: SimDevice, path: string, at = 0): string {
  const inode = device.volume.at(path)
  if (inode === null) throw new Error(`nothing at ${path}`)
  const bytes = Buffer.from(inode.data)
  bytes.writeUInt8((bytes[at] ?? 0) ^ 1, at)
  inode.data = bytes
  return bytes.toString()
}

function rotVersion(device: SimDevice, content: ContentId): void {
  const { versions } = areaOf(device.volume)
  const bytes = Buffer.from(versions.get(content) ?? [])
  if (bytes.length === 0) throw new Error('no such version')
  bytes.writeUInt8((bytes[0] ?? 0) ^ 1, 0)
  versions.set(content, bytes)
}

function problems(device: SimDevice): string[] {
  return device.engine
    .status()
    .problems.filter(({ code }) => code === 'damaged')
    .map(({ path }) => path)
}

describe('verification', () => {
  async function verify(world: { pass(ms: number): Promise<unknown> }, device: SimDevice): Promise<VerifyOutcome> {
    const { signal } = new AbortController()
    let outcome: VerifyOutcome | undefined
    let failed: unknown
    const progress: number[] = []
    device.engine.archive.verify({ signal, onProgress: checked => progress.push(checked) }).then(
      done => (outcome = done),
      error => (failed = error),
    )
    for (let n = 0; n < 200 && outcome === undefined && failed === undefined; n++) await world.pass(100)
    if (outcome === undefined) throw failed ?? new Error('verification does not end')
    expect(progress.length).to.be.greaterThan(0)
    return outcome
  }

  const damagedPaths = ({ damaged }: VerifyOutcome): string[] => damaged.map(({ path }) => path)
  const published = (device: SimDevice): number => device.events.filter(({ type }) => type === 'file:published').length

  it('mends a rotten file from another device, keeps its bytes, and tells nobody of an edit', () =>
    scene({}, async stage => {
      const { world, a, b } = stage
      await stage.begin(p => {
        p.write('f', 'sound')
        p.write('other', 'untouched')
      })
      const rotten = rot(a, 'f')
      const before = published(a)
      const outcome = await verify(world, a)
      // Two files, and the damaged bytes, a version by now.
      expect(outcome).to.include({ checked: 3 })
      expect(outcome.damaged).to.deep.equal([{ path: 'f', version: false, content: idOf('sound'), repaired: true }])
      expect(a.person.text('f')).to.equal('sound')
      expect(areaOf(a.volume).versions.has(idOf(rotten))).to.equal(true)
      expect(areaOf(a.volume).versions.has(idOf('sound')), 'never under what it should have been').to.equal(false)
      await stage.meet()
      expect(world.tree(b)).to.deep.equal({ f: 'sound', other: 'untouched' })
      expect(published(a)).to.equal(before)
      expect(problems(a)).to.deep.equal([])
      expect((await verify(world, a)).damaged).to.deep.equal([])
    }))

  it('tells of what nobody has, and a new time on it does not make it an edit', () =>
    scene({}, async stage => {
      const { world, a, b } = stage
      await stage.begin(p => p.write('f', '\0sound'))
      world.partition()
      const rotten = rot(a, 'f')
      const before = published(a)
      expect((await verify(world, a)).damaged).to.deep.equal([
        { path: 'f', version: false, content: idOf('\0sound'), repaired: false },
      ])
      expect(problems(a)).to.deep.equal(['f'])
      await stage.act(0, p => p.utimes('f', 1_700_000_000_000))
      expect(published(a)).to.equal(before)
      expect(a.person.text('f')).to.equal(rotten)
      // It is still known after a restart.
      await a.stop()
      a.start()
      await world.pass(10_000)
      expect(problems(a)).to.deep.equal(['f'])
      await stage.act(0, p => p.utimes('f', 1_700_000_100_000))
      expect(published(a)).to.equal(before)
      expect(world.tree(b), 'not spread').to.deep.equal({ f: '\0sound' })
      // As soon as the one that has it is linked again, without anybody's asking.
      await stage.meet()
      expect(stage.tree()).to.deep.equal({ f: '\0sound' })
      expect(problems(a)).to.deep.equal([])
      expect((await verify(world, a)).damaged).to.deep.equal([])
    }))

  it('damage done while it is stopped is no edit, of the newest file either, and is mended', () =>
    scene({}, async stage => {
      const { world, a } = stage
      await stage.begin(p => p.write('f', 'sound'))
      await world.finish(a.stop(), 'stop')
      rot(a, 'f')
      const before = published(a)
      a.start()
      await world.quiesce()
      expect(published(a)).to.equal(before)
      expect(damagedPaths(await verify(world, a))).to.deep.equal(['f'])
      await stage.meet()
      expect(stage.tree()).to.deep.equal({ f: 'sound' })
    }))

  it('what a person writes into a rotten file is an edit like any other', () =>
    scene({}, async stage => {
      const { world, a } = stage
      await stage.begin(p => p.write('f', 'sound'))
      world.partition()
      rot(a, 'f')
      await verify(world, a)
      await stage.act(0, p => p.write('f', 'written anew'))
      expect(problems(a)).to.deep.equal([])
      await stage.meet()
      expect(stage.tree()).to.deep.equal({ f: 'written anew' })
    }))

  describe('what nobody has sound, accepted as it is', () => {
    async function accept(
      world: { pass(ms: number): Promise<unknown> },
      device: SimDevice,
      path: string,
    ): Promise<unknown> {
      let told: unknown
      device.engine.archive.accept(path, { signal: new AbortController().signal }).then(
        outcome => (told = outcome),
        error => (told = (error as { code: string }).code),
      )
      for (let n = 0; n < 200 && told === undefined; n++) await world.pass(100)
      return told
    }

    it('is an edit that goes everywhere', () =>
      scene({}, async stage => {
        const { world, a, b } = stage
        await stage.begin(() => undefined)
        world.partition()
        await stage.act(0, p => p.write('f', '\0sound'))
        const rotten = rot(a, 'f')
        expect(damagedPaths(await verify(world, a))).to.deep.equal(['f'])
        world.heal()
        await world.pass(60_000)
        expect(world.tree(b), 'not spread').to.deep.equal({})
        const missing = (): unknown[] =>
          b.engine.status().problems.flatMap(({ code, path }) => (code === 'content-missing' ? [path] : []))
        expect(missing(), 'the other one names what nobody has').to.deep.equal(['f'])
        expect(await accept(world, a, 'f')).to.equal('accepted')
        await stage.meet()
        expect(stage.tree()).to.deep.equal({ f: rotten })
        expect(problems(a)).to.deep.equal([])
        expect(missing()).to.deep.equal([])
        expect((await verify(world, a)).damaged).to.deep.equal([])
      }))

    it('is mended where somebody has it, and left where it is sound', () =>
      scene({}, async stage => {
        const { world, a } = stage
        await stage.begin(p => p.write('f', '\0sound'))
        expect(await accept(world, a, 'f')).to.equal('sound')
        const before = published(a)
        rot(a, 'f')
        expect(await accept(world, a, 'f')).to.equal('repaired')
        expect(a.person.text('f')).to.equal('\0sound')
        expect(published(a)).to.equal(before)
        expect(await accept(world, a, 'none')).to.equal('not-found')
      }))

    it('gives way to an earlier version that another device has', () =>
      scene({}, async stage => {
        const { world, a } = stage
        await stage.begin(p => p.write('f', '\0first'))
        world.partition()
        await stage.act(0, p => p.write('f', '\0second'))
        rot(a, 'f')
        await verify(world, a)
        world.heal()
        await world.pass(60_000)
        const { signal } = new AbortController()
        const versions = a.engine.archive.history('f', { signal })
        await world.pass(1_000)
        const version = (await versions).find(({ facts }) => facts.content === idOf('\0first'))?.id ?? ''
        const restored = a.engine.archive.restore({
          ...{ path: 'f', at: null, version, keepNew: false, dryRun: false, signal },
        })
        await world.pass(10_000)
        expect((await restored).missing).to.deep.equal([])
        await stage.meet()
        expect(stage.tree()).to.deep.equal({ f: '\0first' })
        expect(problems(a)).to.deep.equal([])
      }))

    it('is accepted still after a restart', () =>
      scene({}, async stage => {
        const { world, a } = stage
        await stage.begin(() => undefined)
        world.partition()
        await stage.act(0, p => p.write('f', '\0sound'))
        const rotten = rot(a, 'f')
        await verify(world, a)
        expect(await accept(world, a, 'f')).to.equal('accepted')
        await a.stop()
        a.start()
        world.heal()
        await stage.meet()
        expect(stage.tree()).to.deep.equal({ f: rotten })
      }))
  })

  it('refuses a folder that is paused', () =>
    scene({}, async stage => {
      const { world, a } = stage
      await stage.begin(p => p.write('f', 'sound'))
      await a.engine.pause()
      const failed = await verify(world, a).then(
        () => null,
        error => error as { code: string; message: string },
      )
      expect(failed).to.include({ code: 'folder-paused' })
      expect(failed?.message).to.match(/"kith folder resume [^"]+"/)
    }))

  it('calls no edit damage', () =>
    scene({}, async stage => {
      const { world, a } = stage
      await stage.begin(p => p.write('f', 'old'))
      a.watcher = { loss: 1, late: 0, repeat: 0 }
      await stage.act(0, p => p.write('f', 'new'))
      expect((await verify(world, a)).damaged).to.deep.equal([])
      await stage.meet()
      expect(stage.tree()).to.deep.equal({ f: 'new' })
    }))

  it('nor one that no stat shows, so soon after the last', () =>
    scene({ settings: { granularityUs: 2_000_000 } }, async stage => {
      const { world, a } = stage
      await stage.begin(p => p.write('f', '1st'))
      await world.pass(2_000 - (a.clock.now() % 2_000))
      a.person.write('f', '2nd')
      await world.pass(500)
      expect(published(a), 'it was seen').to.equal(2)
      a.watcher = { loss: 1, late: 0, repeat: 0 }
      a.person.write('f', '3rd')
      expect((await verify(world, a)).damaged).to.deep.equal([])
      await stage.meet()
      expect(stage.tree()).to.deep.equal({ f: '3rd' })
    }))

  it('goes on by and by past what cannot be read', () =>
    scene({}, async stage => {
      const { world, a } = stage
      await stage.begin(p => {
        for (const name of ['b', 'c', 'd']) p.write(name, name)
      })
      const inode = a.volume.at('b')
      if (inode === null) throw new Error('b is not there')
      inode.unreadable = true
      await world.pass(4 * 24 * HOUR_MS)
      expect(a.events.filter(({ type }) => type === 'folder:verified')).to.not.deep.equal([])
    }))

  it('what a person writes right after it was mended is seen, though no stat shows it', () =>
    scene({ settings: { granularityUs: 2_000_000 } }, async stage => {
      const { world, a } = stage
      await stage.begin(p => p.write('f', 'sound'))
      const tick = Math.ceil((a.clock.now() + 20_000) / 2_000) * 2_000
      await stage.act(0, p => p.utimes('f', tick))
      await stage.meet()
      await world.pass(tick + 100 - a.clock.now())
      a.watcher = { loss: 1, late: 0, repeat: 0 }
      rot(a, 'f')
      expect(damagedPaths(await verify(world, a))).to.deep.equal(['f'])
      expect(a.clock.now(), 'in that very tick').to.be.lessThan(tick + 2_000)
      a.person.write('f', 'after')
      await world.pass(10_000)
      await stage.meet()
      expect(stage.tree()).to.deep.equal({ f: 'after' })
    }))

  it('never sends rot, and no device is set aside for it', () =>
    scene({ devices: 3 }, async stage => {
      const { world, a, b, c } = stage
      await stage.begin(() => undefined)
      world.network.setLinked(a.id, c.id, false)
      world.network.setLinked(b.id, c.id, false)
      await stage.act(0, p => p.write('f', '\0sound'))
      expect(world.tree(b)).to.deep.equal({ f: '\0sound' })
      rot(a, 'f')
      world.network.setLinked(a.id, b.id, false)
      world.network.setLinked(a.id, c.id, true)
      await world.pass(60_000)
      expect(world.tree(c)).to.deep.equal({})
      expect(world.network.failures).to.deep.equal([])
      expect(problems(a), 'the sender looked at it').to.deep.equal(['f'])
      world.network.setLinked(a.id, b.id, true)
      await world.pass(15 * 60_000)
      expect(a.person.text('f')).to.equal('\0sound')
      await stage.meet()
      expect(stage.tree()).to.deep.equal({ f: '\0sound' })
    }))

  it('mends a large file by its one bad chunk', () =>
    scene({}, async stage => {
      const { world, a } = stage
      const large = noise(11, 1_000_000)
      await stage.begin(p => p.write('large', large))
      rot(a, 'large', 500_000)
      expect(damagedPaths(await verify(world, a))).to.deep.equal(['large'])
      expect(Buffer.from(a.person.read('large')).equals(large)).to.equal(true)
    }))

  it('mends kept versions from another device, tells of the others by their path, and mends them later', () =>
    scene({}, async stage => {
      const { world, a, b } = stage
      await stage.begin(p => p.write('d', '\0first'))
      await stage.act(0, p => p.write('d', '\0second'))
      await stage.act(0, p => p.write('d', '\0third'))
      const [first, second] = [idOf('\0first'), idOf('\0second')]
      const { versions } = areaOf(b.volume)
      areaOf(a.volume).versions.set(first, Buffer.from('\0first'))
      expect([versions.has(first), versions.has(second)]).to.deep.equal([true, true])
      rotVersion(b, first)
      rotVersion(b, second)
      const { damaged } = await verify(world, b)
      expect(damaged.map(({ content, repaired, path }) => [content, repaired, path])).to.have.deep.members([
        [first, true, 'd'],
        [second, false, 'd'],
      ])
      expect(Buffer.from(versions.get(first) ?? []).toString()).to.equal('\0first')
      expect(versions.has(second)).to.equal(false)
      expect(areaOf(b.volume).damaged).to.have.length(2)
      const stillLost = [{ path: 'd', version: true, content: second, repaired: false }]
      expect((await verify(world, b)).damaged, 'it is as lost as it was').to.deep.equal(stillLost)
      await b.stop()
      b.start()
      await world.pass(10_000)
      expect((await verify(world, b)).damaged, 'after a restart too').to.deep.equal(stillLost)
      areaOf(a.volume).versions.set(second, Buffer.from('\0second'))
      expect((await verify(world, b)).damaged.map(({ repaired }) => repaired)).to.deep.equal([true])
      expect(Buffer.from(areaOf(b.volume).versions.get(second) ?? []).toString()).to.equal('\0second')
      expect((await verify(world, b)).damaged).to.deep.equal([])
    }))

  it('does the same by and by, and rehearses a restore once a month', () =>
    scene({}, async stage => {
      const { world, a } = stage
      await stage.begin(p => {
        for (let n = 0; n < 20; n++) p.write(`f${n}`, `text ${n}`)
      })
      rot(a, 'f7')
      const kinds = (): string[] => a.events.map(({ type }) => type)
      await world.pass(5 * 60_000)
      expect(kinds(), 'not at once').not.to.include('file:damaged')
      await world.pass(8 * HOUR_MS)
      expect(a.person.text('f7')).to.equal('text 7')
      expect(kinds()).to.include('file:damaged').and.include('folder:verified').and.not.include('folder:drilled')
      a.clock.jump(31 * 24 * HOUR_MS)
      await world.pass(8 * HOUR_MS)
      const drill = a.events.find(event => event.type === 'folder:drilled')
      expect(drill).to.include({ checked: 11, damaged: 0 })
    }))
})

describe('a backup device', () => {
  it('keeps what was there before local edits, and what passes by', () =>
    scene({}, async stage => {
      const { a, b } = stage
      await stage.begin(p => p.write('before', '\0was there'))
      for (const device of [a, b])
        device.engine.configure({ versions: 'all', versionLimit: null, minCopies: 1, maxDeletes: 50 })
      await stage.act(0, p => p.write('f', '\0one'))
      await stage.act(0, p => p.write('f', '\0two'))
      for (const device of [a, b])
        for (const text of ['\0one', '\0two'])
          expect(areaOf(device.volume).versions.has(idOf(text)), `${device.name} ${text}`).to.equal(true)
      // Caught up with as soon as it was set.
      expect(areaOf(a.volume).versions.has(idOf('\0was there'))).to.equal(true)
    }))

  it('elsewhere nothing is kept of local edits', () =>
    scene({}, async stage => {
      await stage.begin(p => p.write('f', '\0one'))
      await stage.act(0, p => p.write('f', '\0two'))
      await stage.world.pass(HOUR_MS)
      expect(areaOf(stage.a.volume).versions.size).to.equal(0)
    }))
})

describe('packing', () => {
  const MIB = 1024 * 1024
  const first = noise(21, 9 * MIB)
  const edited = Buffer.from(first)
  noise(22, 4096).copy(edited, 4 * MIB)

  it('is worth it for large versions of which a good part is here in another content', () => {
    const list = contentOf(edited)
    const home = contentOf(first).content
    const known = new Set(contentOf(first).chunks.map(({ hash }) => hash))
    const homeOf = (hash: (typeof list.chunks)[number]['hash']): ContentId | null => (known.has(hash) ? home : null)
    expect(partnersOf(list, homeOf, () => true)).to.deep.equal([home])
    expect(
      partnersOf(list, homeOf, () => false),
      'its partner is gone',
    ).to.deep.equal([])
    expect(
      partnersOf(
        list,
        () => null,
        () => true,
      ),
      'shares nothing',
    ).to.deep.equal([])
    expect(
      partnersOf(
        list,
        () => list.content,
        () => true,
      ),
      'only with itself',
    ).to.deep.equal([])
    const small = contentOf(noise(23, 4 * MIB))
    expect(
      partnersOf(
        small,
        () => home,
        () => true,
      ),
      'small',
    ).to.deep.equal([])
  })

  it('is done in a quiet moment, of both, and of none that shares nothing', function () {
    this.timeout(60_000)
    return scene({}, async stage => {
      const { world, b } = stage
      const lone = noise(24, 9 * MIB)
      await stage.begin(p => {
        p.write('f', first)
        p.write('lone', lone)
      })
      await stage.act(0, p => p.write('f', edited))
      await stage.act(0, p => {
        p.write('f', 'short now')
        p.write('lone', 'short too')
      })
      await world.quiesce()
      const { versions, packed } = areaOf(b.volume)
      const [one, two, alone] = [first, edited, lone].map(bytes => contentOf(bytes).content)
      expect([one, two, alone].every(content => versions.has(content as ContentId))).to.equal(true)
      expect(packed.size).to.equal(0)
      await world.pass(HOUR_MS)
      expect([...packed]).to.have.members([one, two])
    })
  })
})
