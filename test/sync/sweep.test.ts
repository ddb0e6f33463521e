// The sweep of versions against crashes and against what is served, read, fetched and restored meanwhile: random histories. What must be there
// is worked out apart from the product; it is there after every step, and every version of it comes back in the end.
// KITH_SWEEP_HISTORIES sets how many.
import { expect } from 'chai'
import type { ContentId } from '../../src/core/ids.ts'
import { RowTable } from '../../src/core/rows.ts'
import { usesOf } from '../../src/sync/sweep.ts'
import { decodeSweepNote } from '../../src/sync/sweep-note.ts'
import { SweepTurn } from '../../src/sync/sweep-turn.ts'
import { fileRow } from '../store/samples.ts'
import { areaOf } from '../support/memory-volume.ts'
import { seeded } from '../support/random.ts'
import { DAY, HOUR, SweepWorld } from './sweep-world.ts'

const HISTORIES = Number(process.env['KITH_SWEEP_HISTORIES'] ?? 500)
const { SEED = String(Date.now()) } = process.env
const FILES = ['a', 'b', 'c']
const STEPS = 25

interface Played {
  readonly dropped: number
  readonly restored: number
}

async function play(seed: string): Promise<Played> {
  const random = seeded(seed)
  const world = new SweepWorld(random)
  await world.start()
  if (random.chance(0.3)) world.configure({ versionLimit: 20 + random.int(300) })
  if (random.chance(0.1)) world.configure({ versions: 'all' })
  if (random.chance(0.3)) world.space = { total: 200 + random.int(2_000), free: random.int(200) }
  let dropped = 0
  for (let step = 0; step < STEPS; step++) {
    await act(world)
    world.rejoining = random.chance(0.1)
    world.pulling = random.chance(0.1)
    world.pass(1 + random.pick([0, HOUR / 2, HOUR - 1, HOUR, 5 * HOUR, DAY, 30 * DAY]))
    const runs = 1 + random.int(3)
    for (let run = 0; run < runs; run++) {
      if (run > 0) world.pass(random.pick([HOUR - 1, HOUR, HOUR, HOUR + 1]))
      let acts = random.chance(0.4) ? 1 + random.int(2) : 0
      world.meanwhile = () => {
        if (acts === 0 || !random.chance(0.3)) return
        acts--
        world.disturb(() => disturb(world))
      }
      dropped += (await world.quiet(random.chance(0.2) ? random.int(9) : -1))?.length ?? 0
      world.meanwhile = () => undefined
    }
    if (random.chance(0.3)) world.hideElsewhere()
    if (random.chance(0.5)) world.wants.clear()
    if (random.chance(0.3)) await world.endReading()
    if (random.chance(0.5)) world.unstage()
  }
  await world.restart()
  return { dropped, restored: await world.restoreAll() }
}

/** One thing that happens between two quiet moments. */
async function act(world: SweepWorld): Promise<void> {
  const { random } = world
  const file = random.pick(FILES)
  const old = anyOf(world, file)
  const x = random()
  if (x < 0.4) await world.write(file)
  else if (x < 0.46) await world.show(file, null)
  else if (x < 0.54 && old !== null) await world.show(file, old, { tree: random.chance(0.7) })
  else if (x < 0.6) await world.restart()
  else if (x < 0.63) world.wall += random.pick([-1, 1]) * random.int(400 * DAY)
  else if (x < 0.7 && old !== null) await world.speakFor(old)
  else if (x < 0.76 && old !== null) world.showElsewhere(old)
  else if (x < 0.81 && old !== null) await world.beginReading(old)
}

/** Another device, or another part of this one, needs a version while the product looks through all of them. */
function disturb(world: SweepWorld): void {
  const old = anyOf(world)
  if (old === null) return
  const x = world.random()
  if (x < 0.4) world.showElsewhere(old)
  else if (x < 0.6) world.touch(old)
  else if (x < 0.8) world.wants.add(old)
  else world.stage(old)
}

function anyOf(world: SweepWorld, file?: string): ContentId | null {
  const all = [...world.versions.keys()].filter(each => file === undefined || world.fileOf(each) === file)
  return all.length === 0 ? null : world.random.pick(all)
}

describe('the sweep of versions', () => {
  it(`× crash × serving, reading, fetching and restoring: ${HISTORIES} random histories (I27)`, async function () {
    this.timeout(60_000 + HISTORIES * 60)
    console.log(`      seed ${SEED}`)
    let [dropped, restored] = [0, 0]
    for (let at = 0; at < HISTORIES; at++) {
      try {
        const played = await play(`${SEED}/${at}`)
        dropped += played.dropped
        restored += played.restored
      } catch (error) {
        throw new Error(`history ${at} of SEED=${SEED}: ${String(error)}`, { cause: error })
      }
    }
    console.log(`      ${dropped} versions went, ${restored} came back`)
    expect(dropped).to.be.greaterThan(HISTORIES / 2)
    expect(restored).to.be.greaterThan(HISTORIES / 2)
  })

  /** A file that was written over once, and what it was: seen as an old version by a first look. */
  async function aged(): Promise<{ world: SweepWorld; old: ContentId }> {
    const world = new SweepWorld()
    await world.start()
    await world.quiet()
    const old = await world.write('a')
    await world.write('a')
    world.pass(HOUR)
    await world.quiet()
    return { world, old }
  }

  /** The next look, an hour later. */
  async function next(world: SweepWorld): Promise<ContentId[] | null> {
    world.pass(HOUR)
    return world.quiet()
  }

  it('with nothing remembered, takes ages from the journal, and keeps what time would have kept', async () => {
    const world = new SweepWorld()
    await world.start()
    for (let day = 0; day < 6; day++) {
      await world.write('a')
      world.pass(DAY)
      await world.quiet()
    }
    const versions = new Set(world.versions.keys())
    expect(versions.size).to.equal(5)
    await world.store.commit({ notes: [{ name: 'sweep', bytes: Uint8Array.of(0) }] })
    world.ledger.forget()
    await world.restart()
    for (let hour = 0; hour < 30; hour++) await next(world)
    expect(new Set(world.versions.keys())).to.deep.equal(versions)
  })

  it('what is lost stands in for nothing that is there', async () => {
    const world = new SweepWorld()
    await world.start()
    const first = await world.write('a')
    const lost = await world.write('a')
    await world.write('a')
    world.pass(1)
    await world.quiet()
    areaOf(world.volume).versions.set(lost, Buffer.from('rotten'))
    const signal = new AbortController().signal
    const { damaged } = await world.past.archive.verify({ signal, onProgress: () => undefined })
    expect(damaged.map(({ content }) => content)).to.deep.equal([lost])
    world.ledger.gone(lost)
    world.pass(DAY)
    for (let hour = 0; hour < 3; hour++) expect(await next(world)).to.deep.equal([])
    expect([...world.versions.keys()]).to.deep.equal([first])
  })

  it('marks first, and drops an hour later', async () => {
    const { world, old } = await aged()
    world.pass(366 * DAY)
    expect(await world.quiet()).to.deep.equal([])
    world.pass(HOUR - 1)
    expect(await world.quiet()).to.deep.equal([])
    world.pass(1)
    expect(await world.quiet()).to.deep.equal([old])
  })

  it('what is lost is told as long as it would have been kept, and no longer', async () => {
    const { world, old } = await aged()
    const lost = async (): Promise<ContentId[]> => {
      const outcome = await world.past.archive.verify({
        signal: new AbortController().signal,
        onProgress: () => undefined,
      })
      return outcome.damaged.filter(({ repaired }) => !repaired).map(({ content }) => content)
    }
    areaOf(world.volume).versions.set(old, Buffer.from('rotten'))
    expect(await lost()).to.deep.equal([old])
    world.ledger.gone(old)
    await next(world)
    world.pass(365 * DAY - 3 * HOUR)
    await world.quiet()
    expect(await lost()).to.deep.equal([old])
    for (let hour = 0; hour < 4; hour++) await next(world)
    expect(await lost()).to.deep.equal([])
    await world.restart()
    expect(await lost()).to.deep.equal([])
  })

  it('a clock that jumped lets nothing go', async () => {
    const { world } = await aged()
    for (let day = 0; day < 20; day++) {
      world.wall += 400 * DAY
      if (day % 10 === 0) await world.restart()
      expect(await next(world)).to.deep.equal([])
    }
  })

  it('what was not running counts for a day a start', async () => {
    const { world, old } = await aged()
    const start = async (): Promise<ContentId[] | null> => {
      world.wall += 3 * DAY
      await world.restart()
      await world.quiet()
      return next(world)
    }
    // A day and the hour that it runs, each.
    for (let starts = 0; starts < 350; starts++) expect(await start(), `start ${starts}`).to.deep.equal([])
    expect(await start()).to.deep.equal([old])
  })

  it('a version that was restored and replaced again between two looks is young again', async () => {
    const { world, old } = await aged()
    world.pass(366 * DAY)
    await world.quiet()
    await world.show('a', old)
    world.pass(HOUR / 2)
    await world.write('a')
    world.pass(HOUR / 2)
    expect(await world.quiet()).to.deep.equal([])
    expect(await next(world)).to.deep.equal([])
  })

  it('keeps what was in two files as long as either has a use for it', async () => {
    const world = new SweepWorld()
    await world.start()
    const shared = await world.write('a')
    await world.write('a')
    await world.show('b', shared)
    const later = await world.write('b')
    await world.write('b')
    world.pass(1)
    await world.quiet()
    world.pass(2 * DAY)
    for (let hours = 0; hours < 3; hours++) await next(world)
    expect([...world.versions.keys()], 'the last of its hour, of each file').to.have.members([shared, later])
    world.pass(366 * DAY)
    await world.quiet()
    expect(await next(world)).to.have.members([shared, later])
  })

  it('knows what came later, though no time passed by the clock', async () => {
    const { world, old } = await aged()
    const later = world.rows.at('a')?.content
    await world.write('a')
    await world.write('b')
    world.wall -= DAY
    await world.restart()
    await world.quiet()
    world.pass(2 * DAY)
    await world.quiet()
    expect(await next(world)).to.deep.equal([old])
    expect([...world.versions.keys()]).to.deep.equal([later])
  })

  it('counts a version from when it is not in use any more', async () => {
    const { world, old } = await aged()
    world.showElsewhere(old)
    world.pass(400 * DAY)
    await world.quiet()
    world.hideElsewhere()
    for (let hours = 0; hours < 24; hours++) expect(await next(world)).to.deep.equal([])
  })

  describe('lets nothing go that is', () => {
    type Act = (world: SweepWorld, old: ContentId) => unknown
    const NEEDS: readonly (readonly [string, Act])[] = [
      ['shown by the folder', (world, old) => world.showElsewhere(old, 'first', [])],
      ['the second version of what the folder shows last', (world, old) => world.showElsewhere(old, 'last', [other])],
      ['wanted', (world, old) => world.wants.add(old)],
      ['staged', (world, old) => world.stage(old)],
      ['being read', (world, old) => world.beginReading(old)],
      ['read a moment ago', (world, old) => world.beginReading(old).then(() => world.endReading())],
      ['being sent', (world, old) => world.touch(old)],
      ['said to be here', (world, old) => world.speakFor(old)],
    ]
    const MOMENTS = ['before a look', 'during it', 'at its end', 'as it is about to go'] as const
    const other = 'another content' as ContentId

    for (const [need, arises] of NEEDS)
      for (const [at, moment] of MOMENTS.entries())
        it(`${need}, ${moment}`, async () => {
          const { world, old } = await aged()
          world.pass(366 * DAY)
          await world.quiet()
          world.pass(HOUR)
          // The versions are listed, the folder is looked through, the disk's space is looked at, the folder once more, and it goes.
          let waits = [0, 3, 4, 5][at] ?? 0
          const act = (): void => world.disturb(() => void arises(world, old))
          if (waits === 0) await arises(world, old)
          world.meanwhile = () => {
            if (--waits === 0) act()
          }
          expect(await world.quiet()).to.deep.equal([])
          expect(waits, 'it came to that').to.be.at.most(0)
        })

    it('read, however long that takes', async () => {
      const { world, old } = await aged()
      await world.beginReading(old)
      world.pass(366 * DAY)
      for (let hours = 0; hours < 3; hours++) expect(await next(world)).to.deep.equal([])
      await world.endReading()
      for (let hours = 0; hours < 3; hours++) expect(await next(world), 'it is young again').to.deep.equal([])
    })

    for (const state of ['rejoining', 'pulling', 'busy'] as const)
      it(`here while the folder is ${state}`, async () => {
        const { world, old } = await aged()
        world.pass(366 * DAY)
        await world.quiet()
        world[state] = true
        for (let hours = 0; hours < 3; hours++) expect(await next(world)).to.deep.equal([])
        world[state] = false
        expect(await next(world)).to.deep.equal([old])
      })
  })

  it('looks again at once where the folder changed while it was looked through, but not for ever', async () => {
    const { world, old } = await aged()
    world.pass(366 * DAY)
    await world.quiet()
    world.pass(HOUR)
    let waits = 0
    world.meanwhile = () => {
      waits++
      if (waits >= 4) world.disturb(() => world.hideElsewhere())
    }
    expect(await world.quiet()).to.deep.equal([])
    expect(waits, 'three times').to.equal(6)
    world.pass(HOUR)
    waits = 0
    world.meanwhile = () => {
      if (++waits === 4) world.disturb(() => world.hideElsewhere())
    }
    expect(await world.quiet()).to.deep.equal([old])
  })

  it('goes on while the folder lacks something: it may lack the room', async () => {
    const { world, old } = await aged()
    world.pass(366 * DAY)
    world.wants.add('what nobody has' as ContentId)
    await world.quiet()
    expect(await next(world)).to.deep.equal([old])
  })

  it('goes on while a step is refused: it may lack the room', async () => {
    const { world, old } = await aged()
    world.pass(366 * DAY)
    world.refused = true
    await world.quiet()
    expect(await next(world)).to.deep.equal([old])
  })

  it('asks again what a row shows, last of all', () => {
    const rows = new RowTable()
    const tree = { revision: 1, node: () => undefined, nodeIds: () => [] }
    const uses = usesOf({ rows: () => rows, tree: () => tree, isWanted: () => false, breathe: async () => undefined })
    const row = fileRow(seeded('row'), rows.allocate())
    expect(uses.isWanted(row.content)).to.equal(false)
    rows.put(row)
    expect(uses.isWanted(row.content)).to.equal(true)
  })

  describe('room', () => {
    const GIB = 1024 ** 3
    /** Five versions of 100 bytes each, the oldest first. */
    async function five(sweepTurn = new SweepTurn()): Promise<{ world: SweepWorld; old: ContentId[] }> {
      const world = new SweepWorld()
      world.sweepTurn = sweepTurn
      await world.start()
      const old: ContentId[] = []
      for (let at = 0; at < 5; at++) old.push(await world.write(`f${at}`, 100))
      for (let at = 0; at < 5; at++) {
        world.pass(HOUR)
        await world.write(`f${at}`, 100)
        world.pass(1)
        await world.quiet()
      }
      return { world, old }
    }
    /** How many of the five are there after all that may go went. */
    async function left(world: SweepWorld): Promise<number> {
      for (let hours = 0; hours < 4; hours++) await next(world)
      return world.versions.size
    }
    const plenty = { free: GIB, total: 2 * GIB }

    it('is a tenth of the disk, where nothing else is set; the oldest go', async () => {
      const { world, old } = await five()
      world.space = { free: 3_000, total: 3_000 }
      expect(await left(world)).to.equal(3)
      expect([...world.versions.keys()]).to.have.members(old.slice(2))
    })

    it('is what is set, however large the disk', async () => {
      const { world } = await five()
      world.space = plenty
      world.configure({ versionLimit: 400 })
      expect(await left(world)).to.equal(4)
    })

    it('is all of the disk on a backup device', async () => {
      const { world } = await five()
      world.space = { free: 3_000, total: 3_000 }
      world.configure({ versions: 'all' })
      expect(await left(world)).to.equal(5)
      world.configure({ versionLimit: 200 })
      expect(await left(world), 'but for what is set').to.equal(2)
    })

    for (const versions of ['standard', 'all'] as const)
      it(`leaves a twentieth of the disk to the user (${versions})`, async () => {
        const { world } = await five()
        world.configure({ versions, versionLimit: 450 })
        world.space = { free: 750, total: 20_000 }
        await next(world)
        expect(await next(world)).to.have.length(3)
      })

    it('that a disk lacks is given back once, by the folders on it together', async () => {
      const turn = new SweepTurn()
      const worlds = [(await five(turn)).world, (await five(turn)).world]
      const kept = (): number => worlds.reduce((sum, { versions }) => sum + versions.size, 0)
      for (const world of worlds)
        world.meanwhile = () => {
          for (const each of worlds) each.space = { free: 750 + (10 - kept()) * 100, total: 20_000 }
        }
      for (let hours = 0; hours < 3; hours++) {
        for (const world of worlds) world.pass(HOUR)
        await Promise.all(worlds.map(world => world.quiet()))
        // Who did not get its turn comes again.
        for (const world of worlds) await world.quiet()
      }
      expect(kept()).to.equal(7)
      for (const world of worlds) expect(world.past.problems()).to.deep.equal([])
    })

    it('leaves 10 GiB to the user at most', async () => {
      const { world } = await five()
      world.space = { free: 10 * GIB, total: 1_000 * GIB }
      expect(await left(world)).to.equal(5)
      world.space = { free: 10 * GIB - 1, total: 1_000 * GIB }
      await next(world)
      expect(await next(world)).to.have.length(1)
    })

    it('never is that of what is in use', async () => {
      const { world, old } = await five()
      for (const content of old.slice(0, 2)) world.showElsewhere(content)
      world.configure({ versionLimit: 1 })
      expect(await left(world)).to.equal(2)
      expect([...world.versions.keys()]).to.have.members(old.slice(0, 2))
    })

    it('that is too little is said, until there is enough', async () => {
      const { world } = await five()
      await next(world)
      expect(world.past.problems()).to.deep.equal([])
      world.configure({ versionLimit: 400 })
      await next(world)
      const [problem] = world.past.problems()
      expect(problem?.code).to.equal('versions-full')
      expect(problem?.message).to.match(
        /^Old versions of files go before their time \(1 now\): they may take 1 MB here\./,
      )
      world.configure({ versionLimit: null })
      await next(world)
      expect(world.past.problems()).to.deep.equal([])
    })
  })

  describe('a mass change', () => {
    const names = Array.from({ length: 40 }, (_, at) => `f${at}`)
    /** Forty files, which the folder has had for a while; hardly any room for old versions. */
    async function forty(): Promise<SweepWorld> {
      const world = new SweepWorld()
      await world.start()
      for (const name of names) await world.write(name, 10, `${name} first`)
      for (let hours = 0; hours < 2; hours++) await next(world)
      world.configure({ versionLimit: 1 })
      return world
    }
    /** Writes over so many, `pauseMs` apart; returns what they were. */
    async function writeOver(world: SweepWorld, from: number, to: number, pauseMs = 1): Promise<ContentId[]> {
      const were: ContentId[] = []
      for (const name of names.slice(from, to)) {
        were.push(world.rows.at(name)?.content as ContentId)
        world.pass(pauseMs)
        await world.write(name, 10, `${name} ${world.elapsed}`)
      }
      return were
    }
    const pin = (world: SweepWorld, contents: readonly ContentId[]): void => {
      for (const each of contents) world.ledger.pinned.add(each)
    }
    const hours = async (world: SweepWorld, count: number): Promise<ContentId[]> => {
      for (let hour = 0; hour < count; hour++) await next(world)
      return [...world.versions.keys()]
    }

    it('is not made up for by the limit: what was there before it stays for a week, and nothing more of the same files', async () => {
      const world = await forty()
      const before = await writeOver(world, 0, 21)
      pin(world, before)
      expect(await hours(world, 3)).to.have.members(before)
      await writeOver(world, 0, 21)
      expect(await hours(world, 2)).to.include.members(before)
      await world.restart()
      expect(await hours(world, 2)).to.have.members(before)
      world.pass(7 * DAY - 9 * HOUR)
      expect(await hours(world, 2)).to.have.members(before)
      world.ledger.pinned.clear()
      expect(await hours(world, 3)).to.deep.equal([])
    })

    it('is told while what was there before it is kept: when it was, of how many files, until when, and how to undo it', async () => {
      const world = await forty()
      const told = () => world.past.problems().filter(({ code }) => code === 'mass-change-kept')
      const at = new Date(world.wall)
      const before = await writeOver(world, 0, 21)
      pin(world, before)
      expect(told()).to.deep.equal([])
      await hours(world, 3)
      const words = (time: Date): string => time.toLocaleString('sv-SE')
      const first = new Date(at.getTime() + 1)
      const [problem] = told()
      expect(problem?.path).to.equal('')
      expect(problem?.message)
        .to.contain('Many files (21) were changed or deleted at once by the device, from ')
        .and.contain(`from ${words(first)} on.`)
        .and.contain(
          `What they were is kept here until ${words(new Date(at.getTime() + HOUR + 7 * DAY)).slice(0, 16)} at least`,
        )
        .and.contain(`: kith undo --device 'the device' --since ${first.toISOString()} --folder 'my notes' takes back`)
      await world.restart()
      await hours(world, 2)
      expect(told()).to.deep.equal([problem])
      world.pass(7 * DAY)
      world.ledger.pinned.clear()
      await hours(world, 1)
      expect(told()).to.deep.equal([])
    })

    it('is told of with all files that it was, though some were equal, went before the last look or do not lie here', async () => {
      const world = new SweepWorld()
      await world.start()
      for (const [at, name] of names.entries()) await world.write(name, 10, at < 20 ? 'equal' : `${name} first`)
      for (let count = 0; count < 2; count++) await next(world)
      const first = new Date(world.wall)
      // Longer than the window that counts, and looked at in the middle of it.
      for (const name of names.slice(0, 25)) {
        await world.show(name, null)
        world.pass(20_000)
      }
      await world.quiet()
      for (const name of names.slice(25)) {
        await world.show(name, null)
        world.pass(20_000)
      }
      for (const each of world.versions.keys()) world.ledger.pinned.add(each)
      world.lose([...world.versions.keys()].at(-1) as ContentId)
      await hours(world, 2)
      const [problem] = world.past.problems()
      expect(problem?.message)
        .to.contain('Many files (40)')
        .and.contain('What 39 of them were is kept here')
        .and.contain(`--since ${first.toISOString()} `)
    })

    it('promises of no more than is pinned that it stays', async () => {
      const world = await forty()
      pin(world, await writeOver(world, 0, 21))
      await hours(world, 3)
      const later = await writeOver(world, 0, 40)
      pin(world, later.slice(21))
      await hours(world, 1)
      const told = (): string => world.past.problems().find(({ code }) => code === 'mass-change-kept')?.message ?? ''
      expect(told()).to.match(
        /^Many files \(40\) .* What 19 of them were is kept here until .* at least\. What 21 of them were lies here now, and may go at any time\. If /,
      )
      const left = await hours(world, 3)
      expect(later.filter(content => left.includes(content))).to.have.length(19)
      expect(told()).to.contain(' What 19 of them were is kept here until ').and.not.contain('21')
    })

    it('of what goes on all day tells the last hour', async () => {
      const world = await forty()
      world.configure({ versionLimit: null })
      for (let round = 0; round < 74; round++) {
        await writeOver(world, 0, 25)
        world.pass(9 * 60_000)
        if (round % 7 === 0) await world.quiet()
      }
      await next(world)
      const since = /--since (\S+)/.exec(world.past.problems()[0]?.message ?? '')?.[1] ?? ''
      expect(world.wall - Date.parse(since)).to.be.within(HOUR, 3 * HOUR)
    })

    it('of which there are more than are remembered at a first look: the newest are', async () => {
      const world = new SweepWorld()
      await world.start()
      for (const name of names) await world.write(name, 10, `${name} first`)
      let first = 0
      for (let count = 0; count < 150; count++) {
        world.pass(HOUR)
        first = world.wall
        // Few contents, for the ledger looks through all of them.
        for (const name of names.slice(0, 21)) await world.write(name, 10, `${name} ${count % 2}`)
      }
      await world.quiet()
      const { masses } = decodeSweepNote(await world.store.note('sweep'))
      expect(masses).to.have.length(100)
      expect(masses.at(-1)?.first).to.equal(first)
      expect(world.past.problems()[0]?.message).to.contain(`--since ${new Date(first).toISOString()} `)
    })

    it('what came back and goes again is not pinned for longer', async () => {
      const world = await forty()
      const before = await writeOver(world, 0, 21)
      pin(world, before)
      await hours(world, 3)
      world.pass(6 * DAY)
      const again = async (): Promise<void> => {
        for (const [at, content] of before.entries()) await world.show(names[at] ?? '', content)
        world.pass(HOUR / 2)
        for (const name of names.slice(0, 21)) await world.write(name, 10, `${name} ${world.elapsed}`)
      }
      await again()
      expect(await hours(world, 3)).to.include.members(before)
      world.pass(DAY)
      world.ledger.pinned.clear()
      expect(await hours(world, 3)).to.deep.equal([])
    })

    it('may have begun before a look', async () => {
      const world = await forty()
      world.pass(HOUR)
      const before = await writeOver(world, 0, 15)
      await world.quiet()
      before.push(...(await writeOver(world, 15, 30)))
      pin(world, before)
      expect(await hours(world, 3)).to.have.members(before)
    })

    it('is more than a few files, in a short time', async () => {
      const world = await forty()
      await writeOver(world, 0, 20)
      expect(await hours(world, 3)).to.deep.equal([])
      await writeOver(world, 0, 40, 60_000)
      expect(await hours(world, 3)).to.deep.equal([])
    })
  })

  describe('forgets', () => {
    it('once a day what is remembered of contents that are gone, and of no others', async () => {
      const { world, old } = await aged()
      const now = world.rows.at('a')?.content ?? old
      const kept = await world.write('b')
      await world.write('b')
      world.pass(364 * DAY)
      world.showElsewhere(kept)
      await world.quiet()
      world.pass(2 * DAY)
      await world.quiet()
      expect(await next(world)).to.deep.equal([old])
      const known = async (): Promise<boolean[]> =>
        Promise.all([old, kept, now].map(async each => (await world.store.list(each)) !== null))
      expect(await known()).to.deep.equal([true, true, true])
      for (let hours = 0; hours < 24; hours++) await next(world)
      expect(await known()).to.deep.equal([false, true, true])
    })

    it('what goes at that moment too', async () => {
      const { world, old } = await aged()
      world.pass(366 * DAY)
      await world.quiet()
      world.pass(DAY)
      expect(await world.quiet()).to.deep.equal([old])
      expect(await world.store.list(old)).to.equal(null)
    })
  })
})
