// Verification, piece by piece: what counts as damage, what is known before it is mended, what is tried again, and what is told.
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import { KithError } from '../../src/core/errors.ts'
import type { KithEvent } from '../../src/core/events.ts'
import type { ContentId, DeviceId, RowId } from '../../src/core/ids.ts'
import type { FolderNetwork } from '../../src/core/ports.ts'
import type { Row } from '../../src/core/rows.ts'
import { RowTable } from '../../src/core/rows.ts'
import { Damage } from '../../src/sync/damage.ts'
import { Upkeep } from '../../src/sync/upkeep.ts'
import { Verifier, type VerifierDeps } from '../../src/sync/verify.ts'
import { noise } from '../contract/versions-contract.ts'
import { silentLog } from '../p2p/loopback.ts'
import { FOLDER, fileRow, rootRow } from '../store/samples.ts'
import { MemoryDisk } from '../support/memory-disk.ts'
import { MemoryPerson } from '../support/memory-person.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { areaOf, MemoryVolume, mark, statOf } from '../support/memory-volume.ts'
import { seeded } from '../support/random.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const MINUTE = 60_000
const MONTH = 30 * 24 * 60 * MINUTE
const { signal } = new AbortController()
const bytesOf = (text: string | Buffer): Buffer => Buffer.from(text)
const idOf = (text: string | Buffer): ContentId => contentOf(bytesOf(text)).content

class World {
  readonly clock = new VirtualClock()
  readonly volume = new MemoryVolume({ stampUs: () => this.clock.now() * 1000 })
  readonly disk = new MemoryDisk({ volume: this.volume })
  readonly person = new MemoryPerson(this.volume)
  readonly store = new MemoryStore(FOLDER)
  readonly rows = new RowTable()
  readonly events: KithEvent[] = []
  readonly dirty: string[] = []
  readonly wrote: string[] = []
  readonly pinned = new Set<ContentId>()
  /** What the linked device has; null: none is linked. */
  peer: Map<ContentId, Buffer> | null = null
  /** Contents that were asked for there. */
  readonly asked: ContentId[] = []
  onAsked: () => void = () => undefined
  isDoubted = false
  refusal: Error | null = null
  damage = new Damage()
  verifier = this.#start()

  constructor() {
    mark(this.volume)
    this.rows.put(rootRow())
  }

  #start(): Verifier {
    return new Verifier({ ...this.deps(), damage: this.damage })
  }

  deps(): Omit<VerifierDeps, 'damage'> {
    const { disk, store, clock, rows } = this
    return {
      ...{ disk, store, clock, log: silentLog, folder: FOLDER, random: seeded('drill') },
      rows: () => rows,
      network: () => (this.peer === null ? null : this.#network(this.peer)),
      emit: event => this.events.push(event),
      commit: batch => store.commit({ ...batch, rows: rows.takeChanges() }),
      isDoubted: () => this.isDoubted,
      onDirty: path => this.dirty.push(path),
      onWrote: path => this.wrote.push(path),
      pin: contents => {
        for (const content of contents) this.pinned.add(content)
        return () => {
          for (const content of contents) this.pinned.delete(content)
        }
      },
      alone: work => (this.refusal === null ? work() : Promise.reject(this.refusal)),
    }
  }

  #network(peer: ReadonlyMap<ContentId, Buffer>): FolderNetwork {
    const from = 'peer' as DeviceId
    const ask = (content: ContentId): Buffer | undefined => {
      this.asked.push(content)
      this.onAsked()
      return peer.get(content)
    }
    return {
      peers: () => [from],
      async *fetchWhole(contents: readonly ContentId[]) {
        for (const content of contents) {
          const bytes = ask(content)
          if (bytes !== undefined) yield { content, bytes, from }
        }
      },
      async *fetchChunks(content: ContentId) {
        const bytes = ask(content)
        let at = 0
        for (const { hash, length } of bytes === undefined ? [] : contentOf(bytes).chunks) {
          yield { hash, bytes: bytes?.subarray(at, at + length), from }
          at += length
        }
      },
      fetchList: async (content: ContentId) => {
        const bytes = peer.get(content)
        return bytes === undefined ? null : contentOf(bytes)
      },
      offer: () => undefined,
      reportBad: () => undefined,
    } as unknown as FolderNetwork
  }

  restart(): void {
    this.damage = new Damage()
    this.verifier = this.#start()
  }

  file(path: string, text: string): RowId {
    this.person.write(path, text)
    const inode = this.volume.at(path)
    if (inode === null) throw new Error('nothing there')
    const id = this.rows.allocate()
    const facts = { content: idOf(text), size: text.length, stat: statOf(inode) }
    this.rows.put({ ...fileRow(seeded(path), id), name: path, ...facts })
    return id
  }

  change(id: RowId, facts: Partial<Row>): void {
    const row = this.rows.get(id)
    if (row !== undefined) this.rows.put({ ...row, ...facts })
  }

  version(bytes: string | Buffer): ContentId {
    areaOf(this.volume).versions.set(idOf(bytes), bytesOf(bytes))
    return idOf(bytes)
  }

  rot(path: string): ContentId {
    const inode = this.volume.at(path)
    if (inode === null) throw new Error('nothing there')
    inode.data = flipped(inode.data)
    return idOf(Buffer.from(inode.data))
  }

  rotVersion(content: ContentId): void {
    const { versions } = areaOf(this.volume)
    versions.set(content, flipped(versions.get(content) ?? new Uint8Array()))
  }

  has(...all: readonly (string | Buffer)[]): void {
    this.peer = new Map(all.map(bytes => [idOf(bytes), bytesOf(bytes)]))
  }

  run() {
    return this.verifier.run({ signal, onProgress: () => undefined })
  }

  /** Quiet moments, one after the other, for so long. */
  async idle(ms: number): Promise<void> {
    const until = this.clock.elapsed() + ms
    for (;;) {
      const wait = Math.max(1, await this.verifier.idle({ signal }))
      if (this.clock.elapsed() + wait > until) break
      await this.clock.advance(wait)
    }
    await this.clock.advance(until - this.clock.elapsed())
  }

  told(type: KithEvent['type']): object[] {
    return this.events.filter(event => event.type === type).map(({ type: _, ...rest }) => ({ ...rest, folder: '' }))
  }
}

function flipped(bytes: Uint8Array): Buffer {
  const out = Buffer.from(bytes)
  out.writeUInt8((out[0] ?? 0) ^ 1, 0)
  return out
}

describe('sync/verify', () => {
  let world: World
  beforeEach(() => {
    world = new World()
  })

  describe('a file whose bytes are not what its row says', () => {
    it('is looked at, and no damage, where it may have been written unseen', async () => {
      world.file('f', 'sound')
      world.rot('f')
      world.has('sound')
      world.isDoubted = true
      expect((await world.run()).damaged).to.deep.equal([])
      expect(world.dirty).to.deep.equal([''])
      expect(world.asked, 'nothing is fetched for it').to.deep.equal([])
      expect(world.damage.all()).to.deep.equal([])
      expect(world.person.text('f')).not.to.equal('sound')
    })

    it('is known as damaged while it is mended, so that it spreads nowhere; and not any more when it is', async () => {
      const id = world.file('f', 'sound')
      const found = world.rot('f')
      world.has('sound')
      const row = world.rows.get(id)
      if (row === undefined) throw new Error('no row')
      let known: boolean | null = null
      world.onAsked = () => (known = world.damage.isRot(row, found) && world.damage.has(row))
      await world.run()
      expect(known).to.equal(true)
      expect(world.damage.all()).to.deep.equal([])
      expect(world.wrote).to.deep.equal(['f'])
      const inode = world.volume.at('f')
      expect(world.rows.get(id)?.stat).to.deep.equal(inode && statOf(inode))
      expect((await world.store.loadRows()).get(id)?.stat, 'durably').to.deep.equal(inode && statOf(inode))
    })

    it('that nobody has is remembered at once', async () => {
      const id = world.file('f', 'sound')
      const found = world.rot('f')
      await world.run()
      world.restart()
      await world.verifier.load()
      expect(world.damage.all()).to.deep.equal([{ row: id, content: idOf('sound'), found }])
    })

    it('is still known for what it is when it cannot be read for a while', async () => {
      const id = world.file('f', 'sound')
      const found = world.rot('f')
      await world.run()
      world.person.setUnreadable('f', true)
      await world.run()
      expect(world.damage.all()).to.deep.equal([{ row: id, content: idOf('sound'), found }])
    })

    it('is remembered before the rest was read', async () => {
      world.file('f', 'sound')
      world.rot('f')
      world.version('kept')
      const broken = new Error('the process dies')
      world.disk.versions.verify = async () => Promise.reject(broken)
      expect(await world.run().catch((error: unknown) => error)).to.equal(broken)
      world.restart()
      await world.verifier.load()
      expect(world.damage.all()).to.have.length(1)
    })

    it('stays staged until it is mended, and no longer', async () => {
      world.file('f', 'sound')
      world.rot('f')
      world.rotVersion(world.version('kept'))
      world.has('sound', 'kept')
      const pinned: string[][] = []
      world.onAsked = () => pinned.push([...world.pinned])
      await world.run()
      expect(pinned).to.deep.equal([[idOf('sound')], [idOf('kept')]])
      expect(world.pinned.size).to.equal(0)
    })

    it('is mended once, by whoever found it first, and told as mended by both', async () => {
      world.file('f', 'sound')
      world.rot('f')
      world.rotVersion(world.version('kept'))
      world.has('sound', 'kept')
      let idle: Promise<number> | undefined
      world.onAsked = () => {
        idle ??= world.verifier.idle({ signal })
      }
      const runs = [world.run(), world.run()]
      const [first, second] = await Promise.all(runs)
      await idle
      expect(world.asked).to.deep.equal([idOf('sound'), idOf('kept')])
      for (const outcome of [first, second])
        expect(outcome?.damaged.filter(({ version }) => !version).map(({ repaired }) => repaired)).to.deep.equal([true])
      expect(world.verifier.lost).to.deep.equal([])
      expect(world.damage.all()).to.deep.equal([])
      expect(world.person.text('f')).to.equal('sound')
    })

    it('is none where its row says by now what it is', async () => {
      const id = world.file('f', 'sound')
      const content = world.rot('f')
      world.has('sound')
      const hash = world.disk.hash.bind(world.disk)
      world.disk.hash = async function* (requests, options) {
        for await (const result of hash(requests, options)) {
          world.change(id, { content })
          yield result
        }
      }
      expect((await world.run()).damaged).to.deep.equal([])
      expect(idOf(world.person.text('f'))).to.equal(content)
    })

    it('is left alone where its row says something else by the time it could be mended', async () => {
      const id = world.file('f', 'sound')
      const found = world.rot('f')
      world.has('sound')
      world.onAsked = () => world.change(id, { content: idOf('another') })
      expect((await world.run()).damaged.map(({ repaired }) => repaired)).to.deep.equal([false])
      expect(idOf(world.person.text('f'))).to.equal(found)
    })

    it('that is edited while its content is fetched is left alone', async () => {
      world.file('f', 'sound')
      world.rot('f')
      world.has('sound')
      world.onAsked = () => world.person.write('f', 'edited')
      const { damaged } = await world.run()
      expect(damaged.map(({ repaired }) => repaired)).to.deep.equal([false])
      expect(world.person.text('f')).to.equal('edited')
      expect(world.dirty).to.deep.equal([''])
    })
  })

  describe('a folder that stands still', () => {
    for (const code of ['folder-halted', 'folder-paused'] as const)
      it(`is told of its damage, and mended later (${code})`, async () => {
        world.file('f', 'sound')
        const rotten = world.rot('f')
        world.file('g', 'other')
        world.rot('g')
        world.has('sound', 'other')
        world.refusal = new KithError(code, 'not now')
        const { damaged } = await world.run()
        expect(damaged.map(({ path, repaired }) => [path, repaired])).to.deep.equal([
          ['f', false],
          ['g', false],
        ])
        expect(idOf(world.person.text('f'))).to.equal(rotten)
        expect(world.damage.all()).to.have.length(2)
        world.refusal = null
        expect((await world.run()).damaged.map(({ repaired }) => repaired)).to.deep.equal([true, true])
        expect(world.person.text('f')).to.equal('sound')
      })

    it('is another thing than one that fails', async () => {
      world.file('f', 'sound')
      world.rot('f')
      world.has('sound')
      world.refusal = new KithError('store-failed', 'the database cannot be written')
      expect(await world.run().catch((error: unknown) => error)).to.equal(world.refusal)
    })
  })

  describe('what nobody had', () => {
    async function unmended(): Promise<void> {
      world.file('f', 'sound')
      world.rot('f')
      world.rotVersion(world.version('kept'))
      await world.run()
      expect(world.damage.all().filter(({ found }) => found !== null)).to.have.length(1)
      expect(world.disk.hasVersion(idOf('kept'))).to.equal(false)
    }

    it('is mended soon after a device that has it is linked, over a restart too', async () => {
      await unmended()
      world.restart()
      await world.idle(MINUTE)
      world.has('sound', 'kept')
      await world.verifier.idle({ signal })
      expect(world.person.text('f')).to.equal('sound')
      expect(world.damage.all()).to.deep.equal([])
      expect(world.disk.hasVersion(idOf('kept'))).to.equal(true)
      // And forgotten, over a restart too.
      world.restart()
      expect((await world.run()).damaged).to.deep.equal([])
    })

    it('of a version is remembered before it is asked for: whatever ends that, it is asked for again', async () => {
      world.rotVersion(world.version('kept'))
      world.has('kept')
      world.onAsked = () => {
        throw new Error('the process dies')
      }
      expect(String(await world.run().catch((error: unknown) => error))).to.contain('the process dies')
      world.restart()
      world.onAsked = () => undefined
      await world.verifier.idle({ signal })
      expect(world.disk.hasVersion(idOf('kept'))).to.equal(true)
      expect(world.verifier.lost).to.deep.equal([])
    })

    it('for want of room is told, and mended later', async () => {
      world.file('f', 'sound')
      world.rot('f')
      world.has('sound')
      const { stage } = world.disk
      const putLocal = stage.putLocal.bind(stage)
      stage.putLocal = () => Promise.reject(new KithError('no-space', 'the disk is full'))
      expect((await world.run()).damaged.map(({ repaired }) => repaired)).to.deep.equal([false])
      stage.putLocal = putLocal
      expect((await world.run()).damaged.map(({ repaired }) => repaired)).to.deep.equal([true])
    })

    it('is left to a person who mends it just now, and looked at again soon', async () => {
      world.file('f', 'sound')
      world.rot('f')
      world.has('sound')
      let mend: Promise<boolean> | undefined
      world.onAsked = () => {
        mend ??= world.verifier.mend({ signal })
      }
      await world.run()
      expect(await mend, 'not through').to.equal(false)
      expect(await world.verifier.mend({ signal })).to.equal(true)
    })

    it('of a version is remembered before the rest was read, and forgotten once it is mended', async () => {
      world.rotVersion(world.version('kept'))
      world.version('other')
      const verify = world.disk.versions.verify.bind(world.disk.versions)
      world.disk.versions.verify = async (content, options) => {
        if (content === idOf('other')) throw new Error('the process dies')
        return verify(content, options)
      }
      expect(await world.run().catch((error: unknown) => String(error))).to.include('dies')
      world.disk.versions.verify = verify
      world.restart()
      await world.idle(MINUTE)
      world.has('kept')
      await world.verifier.idle({ signal })
      expect(world.disk.hasVersion(idOf('kept'))).to.equal(true)
      world.restart()
      expect((await world.run()).damaged).to.deep.equal([])
    })

    it('is asked for again every ten minutes, and not more often', async () => {
      await unmended()
      await world.idle(20 * MINUTE)
      world.has()
      await world.verifier.idle({ signal })
      const times = (): number => world.asked.filter(content => content === idOf('sound')).length
      expect(times()).to.equal(1)
      await world.clock.advance(10 * MINUTE - 1)
      await world.verifier.idle({ signal })
      expect(times()).to.equal(1)
      await world.clock.advance(1)
      await world.verifier.idle({ signal })
      expect(times()).to.equal(2)
    })

    it('is neither read nor told again as long as nobody is linked, for what cannot be read beside it', async () => {
      const unread = world.file('unread', 'unread')
      world.person.setUnreadable('unread', true)
      await unmended()
      const told = world.told('file:damaged')
      const read: string[][] = []
      const hash = world.disk.hash.bind(world.disk)
      world.disk.hash = (requests, options) => {
        read.push(requests.map(({ path }) => path))
        return hash(requests, options)
      }
      for (let times = 0; times < 3; times++) {
        await world.verifier.idle({ signal })
        await world.clock.advance(10 * MINUTE)
      }
      expect(read.filter(paths => paths.includes('f')).length, 'by the round alone').to.be.lessThan(2)
      expect(read.filter(paths => paths.includes('unread')).length).to.be.greaterThan(2)
      world.has()
      await world.verifier.idle({ signal })
      expect(world.told('file:damaged')).to.deep.equal(told)
      world.person.setUnreadable('unread', false)
      await world.clock.advance(10 * MINUTE)
      await world.verifier.idle({ signal })
      expect(world.damage.all().map(({ row }) => row)).not.to.include(unread)
    })

    it('is damaged no more once it is gone', async () => {
      await unmended()
      for (const { row } of world.damage.all()) world.rows.delete(row)
      await world.run()
      expect(world.damage.all()).to.deep.equal([])
    })
  })

  it('a version that was packed is packed again once it is mended', async () => {
    const large = noise(31, 1_000_000)
    const content = world.version(large)
    await world.store.commit({ lists: [contentOf(large)] })
    const { packed, versions, damaged } = areaOf(world.volume)
    packed.add(content)
    world.rotVersion(content)
    world.has(large)
    expect((await world.run()).damaged.map(({ repaired }) => repaired)).to.deep.equal([true])
    expect(Buffer.from(versions.get(content) ?? []).equals(large)).to.equal(true)
    expect([...packed]).to.deep.equal([content])
    expect(damaged, 'what it had become is kept').to.have.length(1)
    // One that was not is not.
    const loose = noise(32, 1_000_000)
    await world.store.commit({ lists: [contentOf(loose)] })
    world.rotVersion(world.version(loose))
    world.has(loose)
    await world.run()
    expect([...packed]).to.deep.equal([content])
  })

  describe('tells', () => {
    it('of each that is damaged, and how much there is', async () => {
      for (const name of ['mended', 'lost', 'sound']) world.file(name, name)
      for (const name of ['mended', 'lost']) world.rot(name)
      for (const text of ['old mended', 'old lost', 'old sound']) world.version(text)
      for (const text of ['old mended', 'old lost']) world.rotVersion(idOf(text))
      world.has('mended', 'old mended')
      const outcome = await world.run()
      const damaged = (path: string, version: boolean, repaired: boolean) => ({ folder: '', path, version, repaired })
      expect(world.told('file:damaged')).to.have.deep.members([
        damaged('mended', false, true),
        damaged('lost', false, false),
        damaged('', true, true),
        damaged('', true, false),
      ])
      // The damaged bytes of what was mended are a version by now.
      expect(world.told('folder:verified')).to.deep.equal([{ folder: '', checked: 7, damaged: 4 }])
      expect(outcome).to.deep.include({ checked: 7, drill: null })
      expect(outcome.damaged).to.have.length(4)
    })

    it('what is not known yet, as neither sound nor damaged', async () => {
      world.version('kept a moment ago')
      world.disk.versions.verify = async () => 'busy'
      const unverified = [{ path: '', content: idOf('kept a moment ago') }]
      expect(await world.run()).to.deep.include({ checked: 0, unverified, damaged: [] })
    })

    it('the same of a whole round of quiet moments', async () => {
      for (let at = 0; at < 3; at++) world.file(`f${at}`, `text ${at}`)
      for (let at = 0; at < 4; at++) world.version(`version ${at}`)
      world.rot('f1')
      world.rotVersion(idOf('version 2'))
      await world.idle(MONTH - MINUTE)
      expect(world.told('folder:verified')[0]).to.deep.equal({ folder: '', checked: 7, damaged: 2 })
    })
  })

  describe('the drill', () => {
    function many(): void {
      for (let at = 0; at < 15; at++) world.file(`f${at}`, `text ${at}`)
      for (let at = 0; at < 15; at++) world.version(`version ${at}`)
    }

    it('reads ten files and ten versions, once a month, and is remembered', async () => {
      many()
      await world.idle(MONTH - 60 * MINUTE)
      expect(world.told('folder:drilled')).to.deep.equal([])
      expect(world.verifier.drill).to.equal(null)
      await world.idle(120 * MINUTE)
      expect(world.told('folder:drilled')).to.deep.equal([{ folder: '', checked: 20, damaged: 0 }])
      world.restart()
      await world.verifier.load()
      expect(world.verifier.drill).to.deep.include({ checked: 20, damaged: 0 })
      await world.idle(MONTH - 120 * MINUTE)
      expect(world.told('folder:drilled')).to.have.length(1)
      await world.idle(180 * MINUTE)
      expect(world.told('folder:drilled')).to.have.length(2)
    })

    it('counts what is damaged, mends what can be, and knows the rest', async () => {
      world.file('mended', 'mended')
      const lost = world.file('lost', 'lost')
      world.version('old')
      await world.idle(MONTH - 60 * MINUTE)
      for (const name of ['mended', 'lost']) world.rot(name)
      world.rotVersion(idOf('old'))
      world.has('mended', 'old')
      await world.clock.advance(60 * MINUTE)
      // One item a moment: no round of verification comes first.
      for (let at = 0; at < 4; at++) {
        await world.verifier.idle({ signal })
        await world.clock.advance(MINUTE)
      }
      expect(world.told('folder:drilled')).to.deep.equal([{ folder: '', checked: 3, damaged: 3 }])
      expect(world.person.text('mended')).to.equal('mended')
      expect(Buffer.from(areaOf(world.volume).versions.get(idOf('old')) ?? []).toString()).to.equal('old')
      expect(world.damage.all().map(({ row }) => row)).to.deep.equal([lost])
      world.restart()
      await world.verifier.load()
      expect(world.verifier.drill).to.deep.include({ checked: 3, damaged: 3 })
    })
  })

  describe('what was to be sent and was rotten', () => {
    it('is looked at in the next quiet moment', async () => {
      world.file('f', 'sound')
      const id = world.file('g', 'other')
      await world.idle(MINUTE)
      world.rot('g')
      world.verifier.suspect(id)
      await world.verifier.idle({ signal })
      expect(world.damage.all().map(({ row }) => row)).to.deep.equal([id])
    })

    it('is still to be looked at where that failed', async () => {
      const id = world.file('g', 'other')
      await world.idle(MINUTE)
      world.rot('g')
      world.verifier.suspect(id)
      const hash = world.disk.hash.bind(world.disk)
      // biome-ignore lint/correctness/useYield: it fails before it has anything to say.
      world.disk.hash = async function* () {
        throw new Error('cannot be read now')
      }
      expect(await world.verifier.idle({ signal }).catch((error: unknown) => String(error))).to.include(
        'cannot be read',
      )
      world.disk.hash = hash
      await world.verifier.idle({ signal })
      expect(world.damage.all().map(({ row }) => row)).to.deep.equal([id])
    })
  })
})

describe('sync/upkeep', () => {
  let world: World
  let upkeep: Upkeep
  let looks = 0
  beforeEach(async () => {
    world = new World()
    world.file('f', 'sound')
    world.rot('f')
    world.peer = new Map()
    looks = 0
    const hash = world.disk.hash.bind(world.disk)
    world.disk.hash = (requests, options) => {
      if (requests.length > 0) looks++
      return hash(requests, options)
    }
    upkeep = new Upkeep({ ...world.deps(), isOn: () => false })
    await upkeep.load()
    upkeep.suspect(world.rows.at('f')?.id as RowId)
  })

  /** So many seconds of rest. */
  async function rest(seconds: number, each: () => void = () => undefined): Promise<void> {
    for (let second = 0; second < seconds; second++) {
      each()
      if (upkeep.nextMs() === 0) await upkeep.idle({ signal })
      await world.clock.advance(1_000)
    }
  }

  it('looks at what is suspected at once, and at nothing else', async () => {
    world.file('g', 'other')
    world.rot('g')
    await rest(60)
    expect(world.damage.all()).to.deep.equal([])
    expect(upkeep.damage.all().map(({ content }) => content)).to.deep.equal([idOf('sound')])
  })

  it('mends what nobody had when a device is linked, and looks at it now and then while links come and go', async () => {
    await rest(30)
    const before = looks
    await rest(60, () => upkeep.linked())
    expect(looks - before).to.be.within(2, 7)
    world.has('sound')
    await rest(15, () => upkeep.linked())
    expect(world.person.text('f')).to.equal('sound')
    expect(upkeep.linked(), 'nothing is left to be mended').to.equal(false)
  })

  it('takes long rests where that fails, and does all else meanwhile', async () => {
    const broken = new Error('the disk fails')
    const hash = world.disk.hash
    world.disk.hash = () => {
      looks++
      throw broken
    }
    expect(await upkeep.idle({ signal }).catch((error: unknown) => error)).to.equal(broken)
    const before = looks
    await rest(9 * 60)
    expect(looks).to.equal(before)
    world.disk.hash = hash
    world.has('sound')
    await rest(2 * 60)
    expect(world.person.text('f')).to.equal('sound')
  })
})
