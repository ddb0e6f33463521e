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

describe('what a process did and did not live to record', () => {
  for (const { name, base, brought, later, tree } of CASES)
    it(`${name}, with the next one seen first`, async () => {
      for (let awaits = 1; awaits < 400; awaits++) {
        let died = false
        await scene({}, async stage => {
          const { b, world } = stage
          await stage.begin(base)
          b.crashAt(awaits, {
            power: false,
            onDeath: () => {
              died = true
            },
          })
          await stage.act(0, brought)
          if (!died) b.kill({ power: false })
          await stage.act(0, later)
          b.start()
          await world.pass(5_000)
          await stage.meet()
          expect(stage.tree(), `died at the await ${awaits}`).to.deep.equal(tree)
        })
        if (!died) return
      }
      expect.fail('it never lived through it')
    })
})
