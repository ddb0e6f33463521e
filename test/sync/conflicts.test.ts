// What each conflict becomes: the whole table, on two devices and with a third one looking on, in both orders of time.
import { expect } from 'chai'
import { type Act, scene } from '../support/scene.ts'

type Tree = Record<string, string>

interface Row {
  readonly name: string
  readonly base?: Act
  readonly one: Act
  readonly other: Act
  /** `order`: which of the two acted first. */
  readonly becomes: (tree: Tree, order: 'one first' | 'other first') => void
}

const COPY = /^(.+) \(conflict \d{4}-\d\d-\d\d \d\d-\d\d-\d\d [\w.-]+\)(\.\w+)?$/
const SUFFIXED = /^(.+) \([0-9a-f]{6}\)(\.\w+)?$/

const standard: Act = person => {
  person.mkdirs('D/sub')
  person.mkdir('E')
  person.write('D/x', 'x0')
  person.write('D/sub/y', 'y0')
  person.write('f.txt', 'one\ntwo\nthree\nfour\nfive\n')
  person.write('g', 'g0')
  person.write('h.bin', new Uint8Array([0, 1, 2]))
}

const STANDARD: Tree = {
  'D/': '',
  'D/sub/': '',
  'D/sub/y': 'y0',
  'D/x': 'x0',
  'E/': '',
  'f.txt': 'one\ntwo\nthree\nfour\nfive\n',
  g: 'g0',
  'h.bin': '\0\x01\x02',
}

/** The standard tree with changes; null takes away. */
function but(changes: Record<string, string | null>): Tree {
  const tree: Tree = { ...STANDARD }
  for (const [path, content] of Object.entries(changes)) {
    if (content === null) delete tree[path]
    else tree[path] = content
  }
  return tree
}

const is =
  (changes: Record<string, string | null>) =>
  (tree: Tree): void => {
    expect(tree).to.deep.equal(but(changes))
  }

/** Both contents are there: one at the path, the other beside it under a name of that form; all else is as given. */
const both =
  (path: string, form: RegExp, contents: readonly [string, string], changes: Record<string, string | null> = {}) =>
  (tree: Tree): void => {
    const beside = Object.keys(tree).filter(other => other.replace(form, '$1$2') === path && other !== path)
    expect(beside, Object.keys(tree).join()).to.have.length(1)
    const copy = beside[0] ?? ''
    expect([tree[path], tree[copy]].sort()).to.deep.equal([...contents].sort())
    const rest = { ...tree }
    delete rest[path]
    delete rest[copy]
    const expected = but(changes)
    delete expected[path]
    expect(rest).to.deep.equal(expected)
  }

const TABLE: readonly Row[] = [
  {
    name: 'edit ∥ edit, the same content',
    one: p => p.write('f.txt', 'same\n'),
    other: p => p.replaceByRename('f.txt', 'same\n'),
    becomes: is({ 'f.txt': 'same\n' }),
  },
  {
    name: 'edit ∥ edit of a text, on different lines',
    one: p => p.write('f.txt', 'ONE\ntwo\nthree\nfour\nfive\n'),
    other: p => p.write('f.txt', 'one\ntwo\nthree\nfour\nFIVE\n'),
    becomes: is({ 'f.txt': 'ONE\ntwo\nthree\nfour\nFIVE\n' }),
  },
  {
    name: 'edit ∥ edit of a text, on the same line',
    one: p => p.write('f.txt', 'one\ntwo\nthree\nfour\nA\n'),
    other: p => p.write('f.txt', 'one\ntwo\nthree\nfour\nB\n'),
    becomes: both('f.txt', COPY, ['one\ntwo\nthree\nfour\nA\n', 'one\ntwo\nthree\nfour\nB\n']),
  },
  {
    name: 'edit ∥ edit of what is no text',
    one: p => p.write('h.bin', new Uint8Array([0, 7])),
    other: p => p.write('h.bin', new Uint8Array([0, 8])),
    becomes: both('h.bin', COPY, ['\0\x07', '\0\x08']),
  },
  {
    name: 'edit ∥ delete',
    one: p => p.write('g', 'edited'),
    other: p => p.remove('g'),
    becomes: is({ g: 'edited' }),
  },
  {
    name: 'edit ∥ rename',
    one: p => p.write('g', 'edited'),
    other: p => p.rename('g', 'k'),
    becomes: is({ g: null, k: 'edited' }),
  },
  {
    name: 'edit ∥ move',
    one: p => p.replaceByRename('g', 'edited'),
    other: p => p.rename('g', 'E/g'),
    becomes: is({ g: null, 'E/g': 'edited' }),
  },
  {
    name: 'edit ∥ rename of a directory above',
    one: p => p.write('D/sub/y', 'edited'),
    other: p => p.rename('D', 'Z'),
    becomes: is({
      'D/': null,
      'D/sub/': null,
      'D/sub/y': null,
      'D/x': null,
      'Z/': '',
      'Z/sub/': '',
      'Z/sub/y': 'edited',
      'Z/x': 'x0',
    }),
  },
  {
    name: 'create ∥ rename of the directory',
    one: p => p.write('D/new', 'new'),
    other: p => p.rename('D', 'Z'),
    becomes: is({
      'D/': null,
      'D/sub/': null,
      'D/sub/y': null,
      'D/x': null,
      'Z/': '',
      'Z/sub/': '',
      'Z/sub/y': 'y0',
      'Z/x': 'x0',
      'Z/new': 'new',
    }),
  },
  {
    name: 'rename ∥ rename of a file',
    one: p => p.rename('g', 'k'),
    other: p => p.rename('g', 'l'),
    becomes: (tree, order) => expect(tree).to.deep.equal(but({ g: null, [order === 'one first' ? 'l' : 'k']: 'g0' })),
  },
  {
    name: 'rename ∥ rename of a directory',
    one: p => p.rename('E', 'K'),
    other: p => p.rename('E', 'L'),
    becomes: (tree, order) =>
      expect(tree).to.deep.equal(but({ 'E/': null, [order === 'one first' ? 'L/' : 'K/']: '' })),
  },
  {
    name: 'move ∥ delete of a file',
    one: p => p.rename('g', 'E/k'),
    other: p => p.remove('g'),
    becomes: is({ g: null, 'E/k': 'g0' }),
  },
  {
    name: 'move ∥ delete of a directory',
    one: p => p.rename('D', 'Z'),
    other: p => p.rmrf('D'),
    // Only the directory was touched: what was in it was deleted, and it goes with that.
    becomes: is({ 'D/': null, 'D/sub/': null, 'D/sub/y': null, 'D/x': null }),
  },
  {
    name: 'create into D ∥ delete D',
    one: p => p.write('D/new', 'new'),
    other: p => p.rmrf('D'),
    becomes: is({ 'D/sub/': null, 'D/sub/y': null, 'D/x': null, 'D/new': 'new' }),
  },
  {
    name: 'edit in D ∥ delete D',
    one: p => p.write('D/sub/y', 'edited'),
    other: p => p.rmrf('D'),
    becomes: is({ 'D/x': null, 'D/sub/y': 'edited' }),
  },
  {
    name: 'move into D ∥ delete D',
    one: p => p.rename('g', 'D/g'),
    other: p => p.rmrf('D'),
    becomes: is({ 'D/sub/': null, 'D/sub/y': null, 'D/x': null, g: null, 'D/g': 'g0' }),
  },
  {
    name: 'move out of D ∥ delete D',
    one: p => p.rename('D/x', 'x'),
    other: p => p.rmrf('D'),
    becomes: is({ 'D/': null, 'D/sub/': null, 'D/sub/y': null, 'D/x': null, x: 'x0' }),
  },
  {
    name: 'delete D ∥ nothing',
    one: p => p.rmrf('D'),
    other: () => undefined,
    becomes: is({ 'D/': null, 'D/sub/': null, 'D/sub/y': null, 'D/x': null }),
  },
  {
    name: 'mkdir ∥ mkdir',
    one: p => {
      p.mkdir('N')
      p.write('N/a', 'a')
    },
    other: p => {
      p.mkdir('N')
      p.write('N/b', 'b')
    },
    becomes: is({ 'N/': '', 'N/a': 'a', 'N/b': 'b' }),
  },
  {
    name: 'mkdir ∥ rename of a directory to that name',
    one: p => {
      p.mkdir('N')
      p.write('N/a', 'a')
    },
    other: p => p.rename('D', 'N'),
    becomes: is({
      'D/': null,
      'D/sub/': null,
      'D/sub/y': null,
      'D/x': null,
      'N/': '',
      'N/a': 'a',
      'N/sub/': '',
      'N/sub/y': 'y0',
      'N/x': 'x0',
    }),
  },
  {
    name: 'create ∥ create, equal',
    one: p => p.write('n.txt', 'equal\n'),
    other: p => p.write('n.txt', 'equal\n'),
    becomes: is({ 'n.txt': 'equal\n' }),
  },
  {
    name: 'create ∥ create, different',
    one: p => p.write('n.txt', 'mine\n'),
    other: p => p.write('n.txt', 'yours\n'),
    becomes: both('n.txt', COPY, ['mine\n', 'yours\n']),
  },
  {
    name: 'create ∥ another file moved onto that name',
    one: p => p.write('n.txt', 'new\n'),
    other: p => p.rename('g', 'n.txt'),
    becomes: both('n.txt', SUFFIXED, ['new\n', 'g0'], { g: null }),
  },
  {
    name: 'two files moved to one name',
    one: p => p.rename('g', 'n'),
    other: p => p.rename('D/x', 'n'),
    becomes: both('n', SUFFIXED, ['g0', 'x0'], { g: null, 'D/x': null }),
  },
  {
    name: 'move A into B ∥ move B into A',
    one: p => p.rename('D', 'E/D'),
    other: p => p.rename('E', 'D/E'),
    becomes: (tree, order) => {
      // The newer move is not honoured.
      const top = order === 'one first' ? 'E/D' : 'D'
      expect(tree).to.deep.equal(
        but({
          'D/': null,
          'D/sub/': null,
          'D/sub/y': null,
          'D/x': null,
          'E/': null,
          ...(order === 'one first' ? { 'E/': '' } : { 'D/E/': '' }),
          [`${top}/`]: '',
          [`${top}/sub/`]: '',
          [`${top}/sub/y`]: 'y0',
          [`${top}/x`]: 'x0',
        }),
      )
    },
  },
  {
    name: 'file n ∥ directory n',
    one: p => p.write('n', 'file'),
    other: p => {
      p.mkdir('n')
      p.write('n/in', 'in')
    },
    becomes: tree => {
      const file = Object.keys(tree).find(path => SUFFIXED.test(path)) ?? ''
      expect(file.replace(SUFFIXED, '$1$2')).to.equal('n')
      expect(tree).to.deep.equal(but({ 'n/': '', 'n/in': 'in', [file]: 'file' }))
    },
  },
  {
    name: 'file renamed to n ∥ directory n',
    one: p => p.rename('g', 'n'),
    other: p => {
      p.mkdir('n')
      p.write('n/in', 'in')
    },
    becomes: tree => {
      const file = Object.keys(tree).find(path => SUFFIXED.test(path)) ?? ''
      expect(file.replace(SUFFIXED, '$1$2')).to.equal('n')
      expect(tree).to.deep.equal(but({ g: null, 'n/': '', 'n/in': 'in', [file]: 'g0' }))
    },
  },
  {
    name: 'edit ∥ move of a directory above into another',
    one: p => p.write('D/sub/y', 'edited'),
    other: p => p.rename('D', 'E/D'),
    becomes: is({
      'D/': null,
      'D/sub/': null,
      'D/sub/y': null,
      'D/x': null,
      'E/D/': '',
      'E/D/sub/': '',
      'E/D/sub/y': 'edited',
      'E/D/x': 'x0',
    }),
  },
  {
    name: 'edit ∥ move onto the name of another file',
    one: p => p.write('g', 'edited'),
    other: p => p.rename('g', 'D/x'),
    // A rename over an existing file is an edit of the target: g is gone there, and what was edited lives.
    becomes: is({ g: 'edited', 'D/x': 'g0' }),
  },
  {
    name: 'touch ∥ touch',
    one: p => p.utimes('f.txt', Date.UTC(2020, 1, 2)),
    other: p => p.utimes('f.txt', Date.UTC(2021, 1, 2)),
    becomes: is({}),
  },
  {
    name: 'touch ∥ rename',
    one: p => p.utimes('f.txt', Date.UTC(2020, 1, 2)),
    other: p => p.rename('f.txt', 'k.txt'),
    becomes: is({ 'f.txt': null, 'k.txt': 'one\ntwo\nthree\nfour\nfive\n' }),
  },
  {
    name: 'touch ∥ delete',
    one: p => p.utimes('g', Date.UTC(2020, 1, 2)),
    other: p => p.remove('g'),
    becomes: is({}),
  },
  {
    name: 'touch ∥ edit',
    one: p => p.utimes('f.txt', Date.UTC(2020, 1, 2)),
    other: p => p.write('f.txt', 'edited\n'),
    becomes: is({ 'f.txt': 'edited\n' }),
  },
  {
    name: 'delete and create again ∥ edit',
    one: p => {
      p.remove('g')
      p.write('g', 'again')
    },
    other: p => p.write('g', 'edited'),
    becomes: tree => {
      const contents = Object.entries(tree).filter(([path]) => path === 'g' || COPY.test(path) || SUFFIXED.test(path))
      expect(contents.map(([, content]) => content).sort()).to.deep.equal(['again', 'edited'])
    },
  },
  {
    name: 'rename over an existing file ∥ edit of that file',
    one: p => p.rename('D/x', 'g'),
    other: p => p.write('g', 'edited'),
    becomes: both('g', COPY, ['x0', 'edited'], { 'D/x': null }),
  },
  {
    name: 'swap of two files ∥ edit of one',
    one: p => p.swap('g', 'D/x'),
    other: p => p.write('g', 'edited'),
    becomes: tree => {
      const contents = Object.values(tree)
      expect(contents).to.include.members(['edited', 'g0', 'x0'])
    },
  },
]

describe('what each conflict becomes', () => {
  for (const row of TABLE) {
    for (const order of ['one first', 'other first'] as const) {
      for (const devices of [2, 3]) {
        it(`${row.name}, ${order}${devices === 3 ? ', with a third device' : ''}`, () =>
          scene({ devices }, async stage => {
            await stage.begin(row.base ?? standard)
            const acts = [[0, row.one] as const, [1, row.other] as const]
            await stage.apart(...(order === 'one first' ? acts : acts.reverse()))
            row.becomes(stage.tree(), order)
          }))
      }
    }
  }

  const EDITS: readonly (readonly [string, Act, Tree])[] = [
    ['edit', p => p.write('f.txt', 'edited\n'), but({ 'f.txt': 'edited\n' })],
    ['save by rename', p => p.replaceByRename('f.txt', 'edited\n'), but({ 'f.txt': 'edited\n' })],
    ['touch', p => p.utimes('f.txt', Date.UTC(2020, 1, 2)), STANDARD],
  ]
  for (const [what, edit, tree] of EDITS) {
    for (const order of ['one first', 'other first'] as const) {
      for (const devices of [2, 3]) {
        it(`chmod ∥ ${what}, ${order}${devices === 3 ? ', with a third device' : ''}`, () =>
          scene({ devices }, async stage => {
            // Beside an edit a chmod lends its mode; two that leave the content alone have one mode and mtime: the later one's.
            const mode = what === 'touch' && order === 'one first' ? 0o644 : 0o755
            await stage.begin(standard)
            const acts = [[0, (p: Parameters<Act>[0]) => p.chmod('f.txt', 0o755)] as const, [1, edit] as const]
            await stage.apart(...(order === 'one first' ? acts : acts.reverse()))
            expect(stage.tree()).to.deep.equal(tree)
            for (const device of stage.world.devices) {
              expect(device.volume.at('f.txt')?.mode, device.name).to.equal(mode)
              expect(device.engine.conflicts()).to.deep.equal([])
            }
          }))
      }
    }
  }

  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
  ] as const) {
    it(`three edits of one line, ${order.join()}: all are kept, and none is a copy of a copy, whatever happens to them`, () =>
      scene({ devices: 3 }, async stage => {
        const copies = (): string[] => Object.keys(stage.tree()).filter(path => path.includes('(conflict'))
        await stage.begin(standard)
        await stage.apart(...order.map(at => [at, (p: Parameters<Act>[0]) => p.write('g', `by ${at}`)] as const))
        expect(copies()).to.have.length(2)
        const contents = [stage.tree()['g'], ...copies().map(path => stage.tree()[path])]
        expect(contents.sort()).to.deep.equal(['by 0', 'by 1', 'by 2'])
        // The copies are edited on all sides: each of them is a file like any other now.
        const [copy = ''] = copies()
        await stage.apart(...order.map(at => [at, (p: Parameters<Act>[0]) => p.write(copy, `copy by ${at}`)] as const))
        expect(Object.values(stage.tree())).to.include.members(['copy by 0', 'copy by 1', 'copy by 2'])
        for (const path of copies()) expect(path.split('(conflict').length, path).to.be.at.most(3)
        expect(copies().length).to.be.at.most(4)
      }))
  }

  it('keeps what it deletes or replaces as versions on the device that had them', () =>
    scene({}, async stage => {
      await stage.begin(standard)
      await stage.act(0, p => {
        p.rmrf('D')
        p.write('g', 'edited')
      })
      await stage.meet()
      const versions = [...(stage.b.volume.root?.kith?.versions.values() ?? [])]
      expect(versions.map(bytes => Buffer.from(bytes).toString())).to.include.members(['x0', 'y0', 'g0'])
    }))

  it('lists conflicts until one side is deleted', () =>
    scene({}, async stage => {
      await stage.begin(standard)
      await stage.apart([0, p => p.write('g', 'mine')], [1, p => p.write('g', 'yours')])
      expect(stage.b.engine.conflicts()).to.have.length(1)
      const copy = Object.keys(stage.tree()).find(path => COPY.test(path)) ?? ''
      await stage.act(1, p => p.remove(copy))
      await stage.meet()
      for (const device of stage.world.devices) expect(device.engine.conflicts()).to.deep.equal([])
      expect(stage.tree()).to.have.property('g')
      expect(stage.tree()).not.to.have.property(copy)
    }))
})
