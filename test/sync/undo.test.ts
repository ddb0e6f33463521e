// What one device did is taken back, that and nothing else, whichever device is asked: one that was away saw several steps as one.
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import type { RewindOutcome } from '../../src/core/past.ts'
import { type Scene, scene } from '../support/scene.ts'
import type { SimDevice } from '../support/sim-device.ts'

const signal = new AbortController().signal

/** Everybody has this, and some time goes by; then it begins. */
async function began(stage: Scene, base: (person: SimDevice['person']) => void): Promise<number> {
  await stage.begin(base)
  await stage.world.pass(60_000)
  const since = stage.a.clock.now()
  await stage.world.pass(5_000)
  return since
}

/** The third device is away while these act one after the other, and comes back. */
async function withoutThird(stage: Scene, ...acts: readonly (readonly [number, (p: SimDevice['person']) => void])[]) {
  const { world, a, b, c } = stage
  for (const other of [a, b]) world.network.setLinked(other.id, c.id, false)
  for (const [at, act] of acts) {
    await stage.act(at, act)
    await world.pass(10_000)
  }
  for (const other of [a, b]) world.network.setLinked(other.id, c.id, true)
  await stage.meet()
}

function undo(stage: Scene, on: SimDevice, of: SimDevice, since: number, dryRun: boolean): Promise<RewindOutcome> {
  return stage.world.finish(on.engine.archive.undo({ device: of.id, since, dryRun, signal }), 'an undo')
}

function said({ changes, unclear }: RewindOutcome): readonly string[] {
  const lines = changes.map(({ action, path, from, facts }) => [action, path, from, facts.content].join(' '))
  return [...lines, ...unclear.map(path => `unclear ${path}`)].sort()
}

/** What every device says that it would do, then what is there when this one did it. */
async function undone(stage: Scene, on: SimDevice, of: SimDevice, since: number): Promise<Record<string, string>> {
  const plans = []
  for (const device of stage.world.devices) plans.push(said(await undo(stage, device, of, since, true)))
  for (const plan of plans) expect(plan).to.deep.equal(plans[0])
  await undo(stage, on, of, since, false)
  await stage.meet()
  return stage.tree()
}

async function stopped(stage: Scene, device: SimDevice): Promise<void> {
  await stage.world.finish(device.stop(), 'a stop')
  await stage.world.pass(5_000)
}

describe('sync: undo of one device', () => {
  for (const [what, at] of [
    ['the one that was built upon', 0],
    ['the doer', 1],
    ['one that saw all at once', 2],
  ] as const) {
    it(`keeps what another wrote before it: on ${what}`, () =>
      scene({ devices: 3 }, async stage => {
        const since = await began(stage, p => p.write('f', '\0v1'))
        await withoutThird(stage, [0, p => p.write('f', '\0v2')], [1, p => p.write('f', '\0v3')])
        expect(await undone(stage, stage.device(at), stage.b, since)).to.deep.equal({ f: '\0v2' })
      }))

    it(`leaves and names what is in conflict: on ${what}`, () =>
      scene({ devices: 3 }, async stage => {
        const since = await began(stage, p => {
          p.write('f', '\0v1')
          p.write('g', '\0v1')
        })
        const { world, a, b, c } = stage
        for (const [one, two] of [
          [a, b],
          [a, c],
          [b, c],
        ] as const)
          world.network.setLinked(one.id, two.id, false)
        for (const n of [0, 1]) await stage.act(n, p => p.write('f', `\0by ${n}`))
        await stage.act(1, p => p.write('g', '\0v2'))
        await stage.meet()
        const before = stage.tree()
        expect(Object.keys(before).length).to.equal(3)
        expect(await undone(stage, stage.device(at), stage.b, since)).to.deep.equal({ ...before, g: '\0v1' })
        const { unclear } = await undo(stage, stage.device(at), stage.b, since, true)
        expect(unclear).to.include('f')
      }))

    it(`moves back what it moved, and nothing that another did: on ${what}`, () =>
      scene({ devices: 3 }, async stage => {
        const since = await began(stage, p => p.write('old', '\0old'))
        await withoutThird(
          stage,
          [0, p => p.write('mine', '\0mine')],
          [1, p => p.rename('mine', 'moved')],
          [1, p => p.rename('old', 'away')],
          [0, p => p.write('away', '\0edited')],
        )
        expect(await undone(stage, stage.device(at), stage.b, since)).to.deep.equal({ mine: '\0mine', old: '\0edited' })
      }))

    it(`takes back all of several steps, and none of one between them: on ${what}`, () =>
      scene({ devices: 3 }, async stage => {
        const since = await began(stage, p => {
          p.write('f', '\0f1')
          p.write('g', '\0g1')
        })
        await withoutThird(
          stage,
          [1, p => p.write('f', '\0f2')],
          [1, p => p.write('f', '\0f3')],
          [1, p => p.write('g', '\0g2')],
          [0, p => p.write('g', '\0g3')],
          [1, p => p.write('g', '\0g4')],
          [1, p => p.write('new', '\0new')],
        )
        expect(await undone(stage, stage.device(at), stage.b, since)).to.deep.equal({ f: '\0f1', g: '\0g3' })
      }))

    it(`brings back what it deleted as another had left it: on ${what}`, () =>
      scene({ devices: 3 }, async stage => {
        const since = await began(stage, p => {
          p.write('f', '\0v1')
          p.write('other', '\0other')
        })
        await withoutThird(stage, [0, p => p.write('f', '\0v2')], [1, p => p.remove('f')])
        expect(await undone(stage, stage.device(at), stage.b, since)).to.deep.equal({ f: '\0v2', other: '\0other' })
      }))

    it(`brings back what it deleted where another had moved it: on ${what}`, () =>
      scene({ devices: 3 }, async stage => {
        const since = await began(stage, p => {
          p.write('f', '\0f')
          p.write('other', '\0other')
        })
        await withoutThird(stage, [0, p => p.rename('f', 'moved')], [1, p => p.remove('moved')])
        const after = { moved: '\0f', other: '\0other' }
        expect(await undone(stage, stage.device(at), stage.b, since)).to.deep.equal(after)
      }))

    it(`moves back what others wrote to since, though it saw less of that: on ${what}`, () =>
      scene({ devices: 3 }, async stage => {
        const since = await began(stage, p => p.write('f', '\0f1'))
        await stage.act(2, p => p.rename('f', 'moved'))
        await stage.meet()
        await withoutThird(stage, [0, p => p.write('moved', '\0f2')], [1, p => p.write('moved', '\0f3')])
        expect(await undone(stage, stage.device(at), stage.c, since)).to.deep.equal({ f: '\0f3' })
      }))

    it(`moves back what another wrote to meanwhile: on ${what}`, () =>
      scene({ devices: 3 }, async stage => {
        const since = await began(stage, p => p.write('f', '\0f1'))
        await withoutThird(stage, [0, p => p.rename('f', 'moved')], [2, p => p.write('f', '\0f2')])
        expect(await undone(stage, stage.device(at), stage.a, since)).to.deep.equal({ f: '\0f2' })
      }))

    it(`moves back what another had written to, though some saw that later: on ${what}`, () =>
      scene({ devices: 3 }, async stage => {
        const since = await began(stage, p => p.write('f', '\0f1'))
        await withoutThird(stage, [1, p => p.write('f', '\0f2')], [0, p => p.rename('f', 'moved')])
        expect(await undone(stage, stage.device(at), stage.a, since)).to.deep.equal({ f: '\0f2' })
      }))

    it(`leaves a text that was merged, and says so: on ${what}`, () =>
      scene({ devices: 3 }, async stage => {
        const { world, a, b } = stage
        const lines = (first: string, last: string): string => `${first}\n2\n3\n4\n5\n6\n7\n8\n${last}\n`
        const since = await began(stage, p => p.write('f.txt', lines('1', '9')))
        world.partition()
        await stage.act(0, p => p.write('f.txt', lines('by a', '9')))
        await stage.act(1, p => p.write('f.txt', lines('1', 'by b')))
        await stage.meet()
        await world.pass(60_000)
        await stage.meet()
        const merged = { 'f.txt': lines('by a', 'by b') }
        expect(stage.tree()).to.deep.equal(merged)
        for (const of of [a, b]) {
          expect(await undone(stage, stage.device(at), of, since)).to.deep.equal(merged)
          expect((await undo(stage, stage.device(at), of, since, true)).unclear).to.deep.equal(['f.txt'])
        }
      }))
  }

  it('names what it keeps because another wrote to it later, and who that was', () =>
    scene({ devices: 3 }, async stage => {
      const { a, b } = stage
      const since = await began(stage, p => p.write('f', '\0v1'))
      await withoutThird(stage, [1, p => p.write('f', '\0v2')], [0, p => p.write('f', '\0v3')])
      for (const on of stage.world.devices) {
        const { changes, kept } = await undo(stage, on, b, since, true)
        expect([changes, kept]).to.deep.equal([[], [{ path: 'f', by: a.id }]])
      }
    }))

  it('goes by what that device says, whoever else is off', () =>
    scene({ devices: 3 }, async stage => {
      const { a, b, c } = stage
      const since = await began(stage, p => p.write('f', '\0v1'))
      await withoutThird(stage, [0, p => p.write('f', '\0v2')], [1, p => p.write('f', '\0v3')])
      await stopped(stage, a)
      const { changes, missing, unclear } = await undo(stage, c, b, since, false)
      // Only the one that is off kept it.
      expect([changes, unclear]).to.deep.equal([[], []])
      expect(missing.map(change => change.facts.content)).to.deep.equal([contentOf(Buffer.from('\0v2')).content])
      a.start()
      await stage.meet()
      expect(await undone(stage, c, b, since)).to.deep.equal({ f: '\0v2' })
    }))

  it('whose device is off may have had a part in a text that others merged', () =>
    scene({ devices: 3 }, async stage => {
      const { world, a, b } = stage
      const lines = (first: string, last: string): string => `${first}\n2\n3\n4\n5\n6\n7\n8\n${last}\n`
      const since = await began(stage, p => p.write('f.txt', lines('1', '9')))
      world.partition()
      await stage.act(0, p => p.write('f.txt', lines('by a', '9')))
      await stage.act(1, p => p.write('f.txt', lines('1', 'by b')))
      await stage.meet()
      await stopped(stage, a)
      expect(said(await undo(stage, b, a, since, true))).to.deep.equal(['unclear f.txt'])
      a.start()
      await stage.meet()
    }))

  it('whose device is off goes by what all others say', () =>
    scene({ devices: 3 }, async stage => {
      const { b, c } = stage
      const since = await began(stage, p => p.write('f', '\0v1'))
      await withoutThird(stage, [0, p => p.write('f', '\0v2')], [1, p => p.write('f', '\0v3')])
      await stopped(stage, b)
      const { changes, unclear } = await undo(stage, c, b, since, false)
      expect(unclear).to.deep.equal([])
      expect(changes.map(change => change.facts.content)).to.deep.equal([contentOf(Buffer.from('\0v2')).content])
      b.start()
      await stage.meet()
      expect(stage.tree()).to.deep.equal({ f: '\0v2' })
    }))

  describe('while its device and another one are off', () => {
    /** The fourth was lost before; the second, which did it, is off by the time that the third is asked. */
    async function lost(
      base: (p: SimDevice['person']) => void,
      play: (stage: Scene) => Promise<void>,
    ): Promise<string[]> {
      let lines: readonly string[] = []
      await scene({ devices: 4 }, async stage => {
        const since = await began(stage, base)
        const [b, c, d] = [stage.b, stage.c, stage.device(3)]
        await play(stage)
        for (const off of [b, d]) if (off.running) await stopped(stage, off)
        const outcome = await undo(stage, c, b, since, true)
        lines = [...said(outcome), ...outcome.silent.map(id => `silent ${id === b.id ? 'b' : id === d.id ? 'd' : id}`)]
        for (const on of [b, d]) on.start()
        await stage.meet()
      })
      return [...lines]
    }

    /** The fourth writes v2, then the second does these, and nobody else is linked with them until the fourth is off. */
    const amongThem =
      (...acts: readonly ((p: SimDevice['person']) => void)[]) =>
      async (stage: Scene): Promise<void> => {
        const { world, a, b, c } = stage
        for (const one of [a, c])
          for (const other of [b, stage.device(3)]) world.network.setLinked(one.id, other.id, false)
        await stage.act(3, p => p.write('f', '\0v2'))
        await world.pass(10_000)
        for (const act of acts) {
          await stage.act(1, act)
          await world.pass(10_000)
        }
        await stopped(stage, stage.device(3))
        for (const one of [a, c]) world.network.setLinked(one.id, b.id, true)
        await world.pass(30_000)
      }

    it('leaves what the absent one wrote to as well, and says who could tell', async () => {
      const lines = await lost(
        p => p.write('f', '\0v1'),
        amongThem(p => p.write('f', '\0v3')),
      )
      expect(lines).to.deep.equal(['unclear f', 'silent b', 'silent d'])
    })

    it('leaves what came in the place of what the absent one wrote', async () => {
      const lines = await lost(
        p => p.write('f', '\0v1'),
        amongThem(
          p => p.remove('f'),
          p => p.write('f', '\0v3'),
        ),
      )
      expect(lines).to.deep.equal(['unclear f', 'silent b', 'silent d'])
    })
  })

  it('leaves what it cannot tell apart while those who could say are off, and names it', () =>
    scene({ devices: 3 }, async stage => {
      const { a, b, c } = stage
      const since = await began(stage, p => p.write('f', '\0v1'))
      await withoutThird(stage, [0, p => p.write('f', '\0v2')], [1, p => p.write('f', '\0v3')])
      await stage.act(2, p => p.write('mine', '\0mine'))
      await stage.meet()
      for (const off of [a, b]) await stopped(stage, off)
      const outcome = await undo(stage, c, b, since, false)
      expect(said(outcome)).to.deep.equal(['unclear f'])
      for (const on of [a, b]) on.start()
      await stage.meet()
      expect(stage.tree()).to.deep.equal({ f: '\0v3', mine: '\0mine' })
      expect(await undone(stage, c, b, since)).to.deep.equal({ f: '\0v2', mine: '\0mine' })
    }))
})
