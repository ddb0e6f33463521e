// What was done on a disk and not recorded before the process died was still done by this device: the next start takes it for nobody's edit,
// also where the shared tree has gone on since.
import { expect } from 'chai'
import { type Scene, scene } from '../support/scene.ts'

type Act = Parameters<Scene['act']>[1]

const CASES: readonly { name: string; base: Act; brought: Act; later: Act; tree: Record<string, string> }[] = [
  {
    name: 'an edit',
    base: p => p.write('f', '\0one'),
    brought: p => p.write('f', '\0two'),
    later: p => p.write('f', '\0three'),
    tree: { f: '\0three' },
  },
  {
    name: 'a new file',
    base: p => p.write('stays', ''),
    brought: p => p.write('f', '\0new'),
    later: p => p.remove('f'),
    tree: { stays: '' },
  },
  {
    name: 'a new file in a new directory',
    base: p => p.write('stays', ''),
    brought: p => {
      p.mkdir('d')
      p.write('d/f', '\0new')
    },
    later: p => p.rename('d', 'e'),
    tree: { stays: '', 'e/': '', 'e/f': '\0new' },
  },
  {
    name: 'a move',
    base: p => p.write('f', '\0f'),
    brought: p => p.rename('f', 'g'),
    later: p => p.rename('g', 'h'),
    tree: { h: '\0f' },
  },
  {
    name: "a directory's move",
    base: p => {
      p.mkdir('d')
      p.write('d/f', '\0f')
    },
    brought: p => p.rename('d', 'e'),
    later: p => p.rename('e', 'g'),
    tree: { 'g/': '', 'g/f': '\0f' },
  },
  {
    name: 'a swap',
    base: p => {
      p.write('f', '\0f')
      p.write('g', '\0g')
    },
    brought: p => {
      p.rename('f', 'x')
      p.rename('g', 'f')
      p.rename('x', 'g')
    },
    later: p => {
      p.rename('f', 'h')
      p.write('g', '\0later')
    },
    tree: { g: '\0later', h: '\0g' },
  },
  {
    name: 'a move with an edit',
    base: p => p.write('f', '\0f'),
    brought: p => {
      p.rename('f', 'g')
      p.write('g', '\0g')
    },
    later: p => p.write('g', '\0later'),
    tree: { g: '\0later' },
  },
]

/** Long after the crash; what was brought is there. */
const LATER: readonly {
  name: string
  base: Act
  brought: Act
  after: (stage: Scene) => Promise<void>
  tree: Record<string, string>
}[] = [
  {
    name: 'makes a file as it once was brought',
    base: p => p.write('stays', ''),
    brought: p => p.write('f', '\0new'),
    after: async stage => {
      await stage.act(1, p => p.remove('f'))
      await stage.world.pass(20_000)
      await stage.act(1, p => p.write('f', '\0new'))
    },
    tree: { f: '\0new', stays: '' },
  },
  {
    name: 'makes a directory as it once was brought',
    base: p => p.write('stays', ''),
    brought: p => p.mkdir('d'),
    after: async stage => {
      await stage.act(1, p => p.remove('d'))
      await stage.world.pass(20_000)
      await stage.act(1, p => p.mkdir('d'))
    },
    tree: { 'd/': '', stays: '' },
  },
  {
    name: 'puts back what a file once was, after another restart',
    base: p => p.write('f', '\0one'),
    brought: p => p.write('f', '\0two'),
    after: async stage => {
      await stage.act(0, p => p.write('f', '\0three'))
      await stage.world.pass(20_000)
      await stage.b.stop()
      stage.b.start()
      await stage.world.pass(20_000)
      await stage.act(1, p => p.write('f', '\0two'))
    },
    tree: { f: '\0two' },
  },
]

/** Dies at the n-th await of what is brought, for every n: until it lives through it. */
async function atEveryAwait(
  { base, brought }: { readonly base: Act; readonly brought: Act },
  check: (stage: Scene, where: string) => Promise<void>,
): Promise<void> {
  for (let awaits = 1; awaits < 400; awaits++) {
    let died = false
    await scene({}, async stage => {
      await stage.begin(base)
      const onDeath = (): void => {
        died = true
      }
      stage.b.crashAt(awaits, { power: false, onDeath })
      await stage.act(0, brought)
      if (!died) stage.b.kill({ power: false })
      await check(stage, `died at the await ${awaits}`)
      await stage.meet()
      expect([...(await stage.b.database.intents())], 'intended still').to.deep.equal([])
    })
    if (!died) return
  }
  expect.fail('it never lived through it')
}

describe('what a process did and did not live to record', () => {
  for (const { name, base, brought, later, tree } of CASES)
    it(`${name}, with the next one seen first`, () =>
      atEveryAwait({ base, brought }, async (stage, where) => {
        await stage.act(0, later)
        stage.b.start()
        await stage.world.pass(5_000)
        await stage.meet()
        expect(stage.tree(), where).to.deep.equal(tree)
      }))

  for (const { name, base, brought, after, tree } of LATER)
    it(`a person who ${name} is believed`, () =>
      atEveryAwait({ base, brought }, async (stage, where) => {
        stage.b.start()
        await stage.world.pass(3_600_000)
        await after(stage)
        await stage.meet()
        expect(stage.tree(), where).to.deep.equal(tree)
      }))
})
