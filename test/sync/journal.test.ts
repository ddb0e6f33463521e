// The journal says what this disk showed, and who did it. Random histories on two and three devices: undone newest first, from the rows,
// the journal leads to exactly what each disk showed at recorded moments (paths, kinds, contents, modes). KITH_JOURNAL_SEEDS=FROM-TO runs
// others than the usual ones.
import { expect } from 'chai'
import type { JournalEntry } from '../../src/core/past.ts'
import { act, pickAct } from '../sim/user-actions.ts'
import { type Random, seeded } from '../support/random.ts'
import { Scene, scene } from '../support/scene.ts'
import type { SimDevice } from '../support/sim-device.ts'
import { contentIdOf } from '../support/sim-tree.ts'
import { Rewound, tellEntry } from '../support/undo-journal.ts'

const [FROM = 1, TO = 40] = (process.env['KITH_JOURNAL_SEEDS'] ?? '1-15').split('-').map(Number)

interface Moment {
  readonly entries: number
  readonly disk: ReadonlyMap<string, string>
}

async function journalOf(device: SimDevice): Promise<JournalEntry[]> {
  const out: JournalEntry[] = []
  for await (const entry of device.database.journal({})) out.push(entry)
  return out
}

function shownBy(device: SimDevice): Map<string, string> {
  const lines = [...device.volume.all()].map(({ path, inode }): [string, string] => {
    const content = inode.kind === 'directory' ? '' : Buffer.from(contentIdOf(inode.data), 'latin1').toString('hex')
    return [path, `${inode.kind} ${inode.mode.toString(8)} ${content}`]
  })
  return new Map(lines.sort())
}

/** The same of what the journal led back to. */
function ledTo(rewound: Rewound): Map<string, string> {
  const lines = [...rewound.all().values()].map(({ path, kind, mode, content }): [string, string] => {
    const hex = Buffer.from(content, 'latin1').toString('hex')
    return [path, `${kind} ${mode.toString(8)} ${hex}`]
  })
  return new Map(lines.sort())
}

class Play {
  readonly stage: Scene
  readonly #random: Random
  readonly #moments = new Map<SimDevice, Moment[]>()
  readonly #losses: number
  lost = 0
  #words = 0

  constructor(seed: number, losses: number) {
    this.#losses = losses
    this.#random = seeded(`journal ${seed}`)
    const settings = { foldsCase: this.#random.chance(0.2), slownessMs: this.#random.pick([0, 0, 5]) }
    this.stage = new Scene({ devices: 2 + this.#random.int(2), seed: `journal ${seed}`, settings })
  }

  async run(): Promise<number> {
    const { a, world } = this.stage
    a.person.write('.anchor', 'anchor')
    for (let at = 0; at < 6; at++) this.#user(a)
    await world.quiesce()
    for (let round = 0; round < 6; round++) {
      await this.#remember()
      await this.#meanwhile()
      await world.quiesce()
      if (this.#random.chance(this.#losses)) await this.#loseDatabase()
    }
    let undone = 0
    for (const device of world.devices) undone += await this.#takeBack(device)
    await this.stage.end()
    return undone
  }

  #user(device: SimDevice): void {
    const words = { next: () => `w${++this.#words}w` }
    const { world } = this.stage
    world.trace(`${device.name} ${act(device, pickAct(this.#random, {}), this.#random.int(2 ** 31), words)}`)
  }

  /** A quiet moment. */
  async #remember(): Promise<void> {
    for (const device of this.stage.world.devices) {
      const moments = this.#moments.get(device) ?? []
      moments.push({ entries: (await journalOf(device)).length, disk: shownBy(device) })
      this.#moments.set(device, moments)
    }
  }

  /** And more happens before it is there again. */
  async #loseDatabase(): Promise<void> {
    const { world } = this.stage
    await this.#remember()
    const device = this.#random.pick(world.devices)
    await world.finish(device.stop(), 'stop')
    device.eraseDatabase()
    this.lost++
    for (let left = this.#random.int(4); left > 0; left--) this.#user(this.#random.pick(world.devices))
    device.start()
    await world.pass(this.#random.int(2_000))
    if (this.#random.chance(0.4)) device.kill({ power: false })
    await world.quiesce()
  }

  async #meanwhile(): Promise<void> {
    const { world } = this.stage
    const random = this.#random
    if (random.chance(0.5)) world.partition()
    for (let left = 1 + random.int(8); left > 0; left--) {
      const device = random.pick(world.devices)
      this.#user(device)
      if (random.chance(0.6)) await world.pass(random.int(3_000))
      if (random.chance(0.1)) device.kill({ power: random.chance(0.3) })
      if (random.chance(0.1)) world.heal()
      if (random.chance(0.3)) for (const each of world.devices) each.start()
    }
  }

  async #takeBack(device: SimDevice): Promise<number> {
    const journal = await journalOf(device)
    const rewound = new Rewound(await device.database.loadRows())
    const undone: string[] = []
    let left = journal.length
    for (const moment of [...(this.#moments.get(device) ?? [])].reverse()) {
      for (; left > moment.entries; left--) {
        const entry = journal[journal.length - left]
        if (entry === undefined) throw new Error('a shorter journal than remembered')
        undone.push(tellEntry(entry))
        rewound.undo(entry)
      }
      expect(Object.fromEntries(ledTo(rewound)), `${device.name} at entry ${moment.entries}`).to.deep.equal(
        Object.fromEntries(moment.disk),
      )
    }
    return undone.length
  }
}

describe('the journal', () => {
  async function playAll(losses: number): Promise<{ undone: number; lost: number }> {
    let undone = 0
    let lost = 0
    for (let seed = FROM; seed <= TO; seed++) {
      try {
        const play = new Play(seed, losses)
        undone += await play.run()
        lost += play.lost
      } catch (error) {
        throw new Error(`seed ${seed}: KITH_JOURNAL_SEEDS=${seed}-${seed}: ${String(error)}`, { cause: error })
      }
    }
    console.log(`      ${undone} entries undone, ${lost} databases lost`)
    return { undone, lost }
  }

  it(`undone newest first leads to what the disk showed (${TO - FROM + 1} random histories)`, async function () {
    this.timeout(300_000)
    const { undone } = await playAll(0)
    expect(undone).to.be.greaterThan((TO - FROM + 1) * 20)
  })

  it('does so over databases that were lost', async function () {
    this.timeout(300_000)
    const { undone, lost } = await playAll(0.3)
    expect(undone).to.be.greaterThan((TO - FROM + 1) * 20)
    expect(lost).to.be.greaterThan((TO - FROM + 1) / 3)
  })

  it('is there again after the database was lost, with nothing doubled', () =>
    scene({}, async stage => {
      await stage.begin(p => {
        p.mkdir('D')
        for (const name of ['D/a', 'D/b', 'f', 'g', 'h']) p.write(name, name)
      })
      await stage.act(0, p => p.write('f', 'anew'))
      await stage.act(1, p => p.rename('D', 'E'))
      await stage.act(0, p => p.remove('g'))
      const before = await journalOf(stage.b)
      expect(before.length).to.be.greaterThan(8)
      await stage.world.finish(stage.b.stop(), 'stop')
      await stage.act(0, p => p.remove('h'))
      stage.b.eraseDatabase()
      await stage.meet()
      const after = await journalOf(stage.b)
      expect(after.slice(-before.length)).to.deep.equal(before)
      const news = after.slice(0, -before.length).map(({ action, path }) => `${action} ${path}`)
      expect(news).to.deep.equal(['deleted h'])
      // And not again at the next start.
      await stage.world.finish(stage.b.stop(), 'stop')
      await stage.meet()
      expect(await journalOf(stage.b)).to.deep.equal(after)
    }))

  /** What `at` notes while others act. */
  async function noted(stage: Scene, at: number, meanwhile: () => Promise<void>): Promise<string[]> {
    const before = (await journalOf(stage.device(at))).length
    await meanwhile()
    const entries = (await journalOf(stage.device(at))).reverse().slice(before)
    return entries.map(({ device, action, path }) => `${device} ${action} ${path}`).sort()
  }

  it('does not take for the past what only the device had that lost its database', () =>
    scene({}, async stage => {
      await stage.begin(p => p.write('f', 'f'))
      stage.world.partition()
      await stage.act(1, p => p.write('new', 'nobody else has this'))
      await stage.act(1, p => p.write('f', 'nor this'))
      await stage.world.finish(stage.b.stop(), 'stop')
      expect(await journalOf(stage.b)).to.have.length(3)
      stage.b.eraseDatabase()
      await stage.meet()
      expect(stage.tree()).to.deep.include({ new: 'nobody else has this' })
      expect(Object.values(stage.tree())).to.include('nor this')
    }))

  it('says who did it, on every device', () =>
    scene({ devices: 3 }, async stage => {
      await stage.begin(p => {
        p.mkdirs('D/sub')
        for (const name of ['f', 'D/g', 'D/sub/h', 'keep', 'k']) p.write(name, `first ${name}`)
      })
      const acts: [number, (p: SimDevice['person']) => void, string[]][] = [
        [1, p => p.write('f', 'by bert'), ['device-bert edited f']],
        [2, p => p.rename('f', 'D/f'), ['device-carl moved D/f']],
        [0, p => p.chmod('D/f', 0o600), ['device-anna edited D/f']],
        [1, p => p.rename('D', 'E'), ['device-bert moved E']],
        [2, p => p.chmod('E', 0o700), ['device-carl edited E']],
        [0, p => p.remove('keep'), ['device-anna deleted keep']],
        [1, p => p.write('new', 'new'), ['device-bert created new']],
        [2, p => p.rmrf('E'), ['E', 'E/f', 'E/g', 'E/sub', 'E/sub/h'].map(path => `device-carl deleted ${path}`)],
      ]
      for (const [who, act, lines] of acts) {
        const before = await Promise.all(stage.world.devices.map(async device => (await journalOf(device)).length))
        await stage.act(who, act)
        for (const [at, device] of stage.world.devices.entries()) {
          const entries = (await journalOf(device)).reverse().slice(before[at])
          const told = entries.map(({ device: by, action, path }) => `${by} ${action} ${path}`).sort()
          expect(told, `on ${device.name}`).to.deep.equal(lines)
        }
      }
    }))

  it('says who deleted what while this device was away and others wrote to the same directory', () =>
    scene({ devices: 3 }, async stage => {
      await stage.begin(p => {
        p.mkdir('D')
        for (const name of ['D/a', 'D/b', 'D/c', 'f', 'g']) p.write(name, name)
      })
      const told = await noted(stage, 2, async () => {
        await stage.world.finish(stage.c.stop(), 'stop')
        await stage.act(0, p => p.remove('D/a'))
        await stage.act(1, p => p.remove('D/b'))
        await stage.act(0, p => p.write('D/c', 'anew'))
        await stage.act(1, p => p.remove('f'))
        await stage.act(0, p => p.remove('g'))
        // Who deletes and starts anew is the same device.
        await stage.world.finish(stage.a.stop(), 'stop')
        await stage.world.pass(1_000)
        stage.a.start()
        await stage.world.rest()
        stage.c.start()
        await stage.world.quiesce()
      })
      expect(told).to.deep.equal([
        'device-anna deleted D/a',
        'device-anna deleted g',
        'device-anna edited D/c',
        'device-bert deleted D/b',
        'device-bert deleted f',
      ])
    }))

  /** Taken back, what the person of the first device does while it is off, seen in one look, leads to what its disk showed before. */
  async function leadsBack(stage: Scene, act: (person: SimDevice['person']) => void): Promise<void> {
    const count = (await journalOf(stage.a)).length
    const disk = shownBy(stage.a)
    await stage.world.finish(stage.a.stop(), 'stop')
    act(stage.a.person)
    await stage.meet()
    const entries = (await journalOf(stage.a)).slice(0, -count)
    const rewound = new Rewound(await stage.a.database.loadRows())
    for (const entry of entries) rewound.undo(entry)
    expect(Object.fromEntries(ledTo(rewound))).to.deep.equal(Object.fromEntries(disk))
  }

  it('has a directory that went while what was in it was parked, after what moved out of it', () =>
    scene({}, async stage => {
      await stage.begin(p => {
        p.mkdirs('D/sub')
        p.write('D/sub/f', 'moves out')
        p.mkdir('A')
        p.write('A/name', 'taken')
        p.write('x', 'takes the place')
      })
      const count = (await journalOf(stage.a)).length
      const disk = shownBy(stage.a)
      stage.world.partition()
      await stage.act(1, p => p.remove('A/name'))
      await stage.act(1, p => p.rename('D/sub/f', 'A/name'))
      await stage.act(1, p => p.rmrf('D'))
      await stage.act(1, p => p.rename('x', 'D'))
      await stage.meet()
      expect(stage.tree()).to.deep.equal({ 'A/': '', D: 'takes the place', 'A/name': 'moves out' })
      const entries = (await journalOf(stage.a)).slice(0, -count)
      const told = entries.map(({ action, path }) => `${action} ${path}`)
      expect(told).to.include.members(['deleted D', 'deleted D/sub'])
      const rewound = new Rewound(await stage.a.database.loadRows())
      for (const entry of entries) rewound.undo(entry)
      expect(Object.fromEntries(ledTo(rewound))).to.deep.equal(Object.fromEntries(disk))
    }))

  const LEAVING: readonly [string, (p: SimDevice['person']) => void][] = [
    ['to a free name', p => p.rename('top/D/sub/f', 'top/g')],
    [
      'into a directory that is new',
      p => {
        p.mkdir('N')
        p.rename('top/D/sub/f', 'N/f')
      },
    ],
    [
      'while that in which both were moves',
      p => {
        p.rename('top/D/sub/f', 'f')
        p.rename('top', 'bottom')
      },
    ],
  ]
  for (const [how, leave] of LEAVING)
    it(`has what moved out of a directory whose name is taken, before that one goes: ${how}`, () =>
      scene({}, async stage => {
        await stage.begin(p => {
          p.mkdirs('top/D/sub')
          p.write('top/D/sub/f', 'moves out')
          p.write('top/D/gone', 'goes too')
          p.write('x', 'takes the place')
        })
        await leadsBack(stage, p => {
          leave(p)
          const top = p.exists('bottom') ? 'bottom' : 'top'
          p.rmrf(`${top}/D`)
          p.rename('x', `${top}/D`)
        })
      }))

  it('has what moved out of a directory to its very name, before that one goes', () =>
    scene({}, async stage => {
      await stage.begin(p => {
        p.mkdir('D')
        p.write('D/f', 'takes the place')
        p.write('D/gone', 'goes too')
      })
      await leadsBack(stage, p => {
        p.rename('D/f', 'f')
        p.rmrf('D')
        p.rename('f', 'D')
      })
    }))

  it('has what was here without a row and went, not before the directory that it was in', () =>
    scene({}, async stage => {
      await stage.begin(p => {
        p.mkdirs('old/sub')
        p.write('old/sub/f', 'f')
      })
      await stage.act(0, p => p.rename('old', 'new'))
      await stage.meet()
      await stage.world.finish(stage.b.stop(), 'stop')
      const count = (await journalOf(stage.b)).length
      stage.b.person.rename('new', 'old')
      stage.b.eraseDatabase()
      await stage.meet()
      expect(stage.tree()).to.deep.equal({ 'new/': '', 'new/sub/': '', 'new/sub/f': 'f' })
      const entries = (await journalOf(stage.b)).slice(0, -count)
      const told = entries.reverse().map(({ action, path }) => `${action} ${path}`)
      expect(told).to.deep.equal([
        'created old',
        'created old/sub',
        'created old/sub/f',
        'deleted old/sub/f',
        'deleted old/sub',
        'deleted old',
      ])
    }))

  it('has the merge of a text once, by the device that merged', () =>
    scene({}, async stage => {
      await stage.begin(p => p.write('t.txt', 'one\ntwo\nthree\nfour\nfive\n'))
      await stage.apart(
        [0, p => p.write('t.txt', 'ONE\ntwo\nthree\nfour\nfive\n')],
        [1, p => p.write('t.txt', 'one\ntwo\nthree\nfour\nFIVE\n')],
      )
      expect(stage.tree()).to.deep.equal({ 't.txt': 'ONE\ntwo\nthree\nfour\nFIVE\n' })
      const merges = await Promise.all(
        [stage.a, stage.b].map(async device =>
          (await journalOf(device)).filter(({ action }) => action === 'merged').map(({ device: by }) => by),
        ),
      )
      expect(merges[0]).to.have.length(1)
      expect(merges[1]).to.deep.equal(merges[0])
    }))
})
