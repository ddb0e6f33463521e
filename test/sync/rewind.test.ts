// Rewinds, pure: a journal that a model of a disk keeps, undone to any moment, against what the model showed then; and what one device
// did taken back, what others did kept.
import { expect } from 'chai'
import fc from 'fast-check'
import type { Facts, Kind } from '../../src/core/entry.ts'
import type { ContentId, DeviceId, NodeId, RowId } from '../../src/core/ids.ts'
import { NO_CONTENT, ROOT_ROW } from '../../src/core/ids.ts'
import type { JournalEntry } from '../../src/core/past.ts'
import { type Row, RowTable } from '../../src/core/rows.ts'
import { Rewind, type RewindStep, type Selection } from '../../src/sync/rewind.ts'

const STAT = { dev: 1, ino: 1, birthUs: 0, size: 0, mtimeUs: 0, ctimeUs: 0, mode: 0o644, links: 1 }
const WHOLE: Selection = { path: '', keepNew: false, yields: false }
const UNDO: Selection = { path: '', keepNew: false, yields: true }

function text(what: string): Facts {
  return { content: what as ContentId, size: what.length, mtime: what.length, mode: 0o644 }
}

const DIRECTORY: Facts = { content: NO_CONTENT, size: 0, mtime: 0, mode: 0o755 }

/** A disk with its rows and its journal, kept as the engine keeps them. */
class Model {
  readonly rows = new RowTable()
  readonly journal: JournalEntry[] = []
  device = 'd1' as DeviceId
  #nodes = 0

  constructor() {
    this.rows.load({
      ...DIRECTORY,
      id: ROOT_ROW,
      parent: ROOT_ROW,
      name: '',
      kind: 'directory',
      stat: STAT,
      copy: false,
      nodes: [],
    })
  }

  by(device: string): this {
    this.device = device as DeviceId
    return this
  }

  row(path: string): Row {
    const row = this.rows.at(path)
    if (row === undefined) throw new Error(`no row at ${path}`)
    return row
  }

  create(path: string, kind: Kind, facts: Facts): this {
    const at = path.lastIndexOf('/')
    const node = `n${++this.#nodes}` as NodeId
    const birth = { parent: '' as NodeId, name: '', generation: 0 }
    const row: Row = {
      ...facts,
      id: this.rows.allocate(),
      parent: this.row(path.slice(0, Math.max(0, at))).id,
      name: path.slice(at + 1),
      kind,
      stat: STAT,
      copy: false,
      nodes: [{ id: node, birth, placement: null, versions: [] }],
    }
    this.rows.put(row)
    this.#note('created', row, path, null)
    return this
  }

  file(path: string, what: string): this {
    return this.create(path, 'file', text(what))
  }

  mkdir(path: string): this {
    return this.create(path, 'directory', DIRECTORY)
  }

  edit(path: string, facts: Partial<Facts>): this {
    const row = this.row(path)
    const was = { path, facts: plain(row) }
    this.rows.put({ ...row, ...facts })
    this.#note('edited', this.row(path), path, was)
    return this
  }

  write(path: string, what: string): this {
    return this.edit(path, text(what))
  }

  move(from: string, to: string): this {
    const row = this.row(from)
    const at = to.lastIndexOf('/')
    const was = { path: from, facts: plain(row) }
    const moved = { ...row, parent: this.row(to.slice(0, Math.max(0, at))).id, name: to.slice(at + 1) }
    this.rows.put(moved)
    this.#note('moved', moved, to, was)
    return this
  }

  /** With all that is in it, in the order in which a scan finds it lost or in the other. */
  remove(path: string, order: 'parents first' | 'children first' = 'parents first'): this {
    const rows = [{ row: this.row(path), path }]
    for (const { row, path: at } of rows)
      for (const child of this.rows.children(row.id)) rows.push({ row: child, path: `${at}/${child.name}` })
    if (order === 'children first') rows.reverse()
    for (const { row, path: at } of rows) this.#note('deleted', row, at, { path: at, facts: plain(row) })
    for (const { row } of rows) this.rows.delete(row.id)
    return this
  }

  #note(action: JournalEntry['action'], row: Row, path: string, was: JournalEntry['was']): void {
    const node = row.nodes[0]?.id ?? ('' as NodeId)
    const time = this.journal.length + 1
    this.journal.push({ time, device: this.device, action, node, kind: row.kind, path, facts: plain(row), was })
  }

  lines(): string[] {
    const out: string[] = []
    for (const row of this.rows.all())
      if (row.id !== ROOT_ROW) out.push(line(this.rows.path(row.id) ?? '?', row.kind, row))
    return out.sort()
  }

  /** What is after the first `count` entries undone. */
  rewind(count: number, take: (entry: JournalEntry) => boolean = () => true): Rewind {
    const rewind = new Rewind(this.rows)
    for (const entry of this.journal.slice(count).reverse()) rewind.undo(entry, take(entry) ? 'back' : 'stays')
    return rewind
  }

  restored(count: number, selection: Partial<Selection> = {}): string[] {
    return this.#after(this.rewind(count).steps({ ...WHOLE, ...selection }))
  }

  undone(device: string, since = 0): string[] {
    return this.#after(this.rewind(since, entry => entry.device === device).steps(UNDO))
  }

  /** What an undo says that it leaves to those who came later. */
  kept(device: string): string[] {
    const rewind = this.rewind(0, entry => entry.device === device)
    return rewind.kept(rewind.steps(UNDO)).map(({ path, by }) => `${path} ${by}`)
  }

  #after(steps: readonly RewindStep[]): string[] {
    return apply(this.rows, steps)
  }
}

function plain({ content, size, mtime, mode }: Facts): Facts {
  return { content, size, mtime, mode }
}

function line(path: string, kind: Kind, facts: Facts): string {
  return kind === 'directory'
    ? `${path}/ ${facts.mode.toString(8)}`
    : `${path}=${facts.content} ${facts.mtime} ${facts.mode.toString(8)}`
}

interface Standing {
  readonly parent: RowId | string
  readonly name: string
  readonly kind: Kind
  readonly facts: Facts
}

/** The steps done on what the rows say. What is told of each must be what it does. */
function apply(rows: RowTable, steps: readonly RewindStep[]): string[] {
  const all = new Map<RowId | string, Standing>()
  for (const row of rows.all())
    if (row.id !== ROOT_ROW) all.set(row.id, { parent: row.parent, name: row.name, kind: row.kind, facts: plain(row) })
  const path = (id: RowId | string): string => {
    if (id === ROOT_ROW) return ''
    const at = all.get(id)
    if (at === undefined) throw new Error('something is in a directory that is not there')
    const above = path(at.parent)
    return above === '' ? at.name : `${above}/${at.name}`
  }
  const told: [RowId | string, string][] = []
  for (const step of steps) {
    const home = 'home' in step ? ('row' in step.home ? step.home.row : `made ${step.home.made}`) : ''
    const { kind, facts } = step.change
    switch (step.do) {
      case 'create':
        all.set(`made ${step.made}`, { parent: home, name: step.name, kind, facts })
        told.push([`made ${step.made}`, step.change.path])
        break
      case 'move': {
        const there = all.get(step.row.id)
        if (there === undefined) throw new Error('what is not there cannot be moved')
        all.set(step.row.id, { ...there, parent: home, name: step.name })
        told.push([step.row.id, step.change.path])
        break
      }
      case 'edit': {
        const there = all.get(step.row.id)
        if (there === undefined) throw new Error('what is not there cannot be edited')
        all.set(step.row.id, { ...there, facts })
        told.push([step.row.id, step.change.path])
        break
      }
      case 'remove':
        expect(step.change.path).to.equal(rows.path(step.row.id))
        all.delete(step.row.id)
    }
  }
  for (const [id, said] of told) expect(path(id)).to.equal(said)
  const out = [...all].map(([id, { kind, facts }]) => line(path(id), kind, facts)).sort()
  const names = [...all.keys()].map(path)
  expect(new Set(names).size, 'two things at one name').to.equal(names.length)
  return out
}

type Chosen = readonly [number, number, number, number]

/** One thing that a person might do, chosen by numbers, on whatever is there. */
function act(model: Model, device: string, [what, which, where, how]: Chosen, top = ''): void {
  model.by(device)
  const rows = [...model.rows.all()].filter(row => row.id !== ROOT_ROW)
  const pathOf = (row: Row): string => model.rows.path(row.id) ?? ''
  const inside = (path: string): boolean => top === '' || path.startsWith(`${top}/`)
  const directories = [
    top,
    ...rows
      .filter(row => row.kind === 'directory')
      .map(pathOf)
      .filter(inside),
  ].sort()
  const things = rows.map(pathOf).filter(inside).sort()
  const directory = directories[where % directories.length] ?? ''
  const name = ['a', 'b', 'c', 'd'][how % 4] ?? 'a'
  const target = directory === '' ? name : `${directory}/${name}`
  const thing = things[which % Math.max(1, things.length)]
  const free = model.rows.at(target) === undefined
  if (what < 3 || thing === undefined) {
    if (!free) return
    if (what === 0 || how % 3 === 0) model.mkdir(target)
    else model.file(target, `t${where}`)
  } else if (what < 5) {
    if (model.row(thing).kind === 'directory') model.edit(thing, { mode: how % 2 === 0 ? 0o700 : 0o755 })
    else if (how === 0) model.edit(thing, { mode: 0o600 })
    else model.write(thing, `t${where}`)
  } else if (what < 8) {
    if (free && target !== thing && !target.startsWith(`${thing}/`)) model.move(thing, target)
  } else model.remove(thing, how % 2 === 0 ? 'parents first' : 'children first')
}

const chosen = fc.tuple(fc.integer({ min: 0, max: 8 }), fc.nat({ max: 40 }), fc.nat({ max: 40 }), fc.nat({ max: 11 }))
const acts = fc.array(chosen, { minLength: 1, maxLength: 60 })

describe('rewind', () => {
  it('to any moment: what was shown then, and what leads there, equal the snapshot of then', () => {
    fc.assert(
      fc.property(acts, history => {
        const model = new Model()
        const snapshots = [model.lines()]
        for (const each of history) {
          act(model, 'd1', each)
          while (snapshots.length <= model.journal.length) snapshots.push([])
          snapshots[model.journal.length] = model.lines()
        }
        for (const [count, snapshot] of snapshots.entries()) {
          // Between two entries of one deletion there is no moment.
          if (snapshot.length === 0 && count > 0) continue
          const shown = [...model.rewind(count).shown('')].map(each => line(each.path, each.kind, each.facts)).sort()
          expect(shown).to.deep.equal(snapshot)
          expect(model.restored(count)).to.deep.equal(snapshot)
        }
      }),
      { numRuns: 600 },
    )
  })

  it('a part only: that part as it was, all else as it is', () => {
    const model = new Model().mkdir('p').mkdir('q').file('p/a', '1').file('q/a', '2').mkdir('p/s').file('p/s/x', '3')
    const then = model.journal.length
    model.write('p/a', 'later').write('q/a', 'later').remove('p/s').file('p/new', 'n')
    expect(model.restored(then, { path: 'p' })).to.deep.equal(
      ['p/ 755', 'p/a=1 1 644', 'p/s/ 755', 'p/s/x=3 1 644', 'q/ 755', 'q/a=later 5 644'].sort(),
    )
    expect(model.restored(then, { path: 'p/s/x' })).to.deep.equal(
      ['p/ 755', 'p/a=later 5 644', 'p/new=n 1 644', 'p/s/ 755', 'p/s/x=3 1 644', 'q/ 755', 'q/a=later 5 644'].sort(),
    )
  })

  it('a part of which only something moved away: it comes back, the rest stays', () => {
    const model = new Model().mkdir('p').file('p/a', '1').file('z', '2')
    const then = model.journal.length
    model.move('p/a', 'b').write('b', 'edited').write('z', 'edited')
    expect(model.restored(then, { path: 'p' })).to.deep.equal(['p/ 755', 'p/a=1 1 644', 'z=edited 6 644'])
  })

  it('the part that one directory now has of another that went into it does not go in circles', () => {
    const model = new Model().mkdir('p').mkdir('p/q').file('p/q/x', '1')
    const then = model.journal.length
    model.move('p/q', 'q').move('p', 'q/p')
    expect(model.restored(then)).to.deep.equal(['p/ 755', 'p/q/ 755', 'p/q/x=1 1 644'])
    // `q` was in `p`, which stays in `q` when only what is there now is asked for.
    expect(model.restored(then, { path: 'q' })).to.deep.equal(['p/ 755', 'p/q/ 755', 'p/q/x=1 1 644'])
    expect(model.restored(then, { path: 'p/q/x' })).to.deep.equal(['q/ 755', 'q/p/ 755', 'q/x=1 1 644'])
  })

  it('leaves what came later where that is asked for, but not what was written over', () => {
    const model = new Model().mkdir('p').file('p/a', '1').file('p/b', '2')
    const then = model.journal.length
    model.write('p/a', 'later').remove('p/b').file('p/b', 'again').file('p/new', 'n')
    expect(model.restored(then, { keepNew: true })).to.deep.equal([
      'p/ 755',
      'p/a=1 1 644',
      'p/b=2 1 644',
      'p/new=n 1 644',
    ])
  })

  it('a file that was made again at its name is edited, not made anew', () => {
    const model = new Model().mkdir('p').file('p/a', '1')
    const then = model.journal.length
    model.remove('p').mkdir('p').file('p/a', '2')
    expect(
      model
        .rewind(then)
        .steps(WHOLE)
        .map(step => `${step.do} ${step.change.path}`),
    ).to.deep.equal(['edit p/a'])
  })

  it('two that changed places change back', () => {
    const model = new Model().mkdir('a').file('a/1', '1').mkdir('b').file('b/2', '2')
    const then = model.journal.length
    const rows = { a: model.row('a'), b: model.row('b') }
    // As one scan publishes it: each row at once.
    model.move('a', 'b')
    const displaced = [...model.rows.all()].find(row => row.name.startsWith('b\0'))
    if (displaced === undefined) throw new Error('nobody made way')
    model.rows.put({ ...displaced, name: 'a', parent: ROOT_ROW })
    const node = rows.b.nodes[0]?.id ?? ('' as NodeId)
    const was = { path: 'b', facts: DIRECTORY }
    model.journal.push({
      time: 9,
      device: model.device,
      action: 'moved',
      node,
      kind: 'directory',
      path: 'a',
      facts: DIRECTORY,
      was,
    })
    expect(model.lines()).to.deep.equal(['a/ 755', 'a/2=2 1 644', 'b/ 755', 'b/1=1 1 644'])
    expect(model.restored(then)).to.deep.equal(['a/ 755', 'a/1=1 1 644', 'b/ 755', 'b/2=2 1 644'])
  })

  describe('of one device', () => {
    it('takes back what it did and keeps what others did elsewhere', () => {
      fc.assert(
        fc.property(fc.array(fc.tuple(fc.boolean(), chosen), { maxLength: 50 }), history => {
          // Each in a directory of its own: what one did is what the other's model never saw.
          const both = new Model()
          const alone = new Model()
          for (const model of [both, alone]) model.by('setup').mkdir('x').mkdir('y')
          const since = both.journal.length
          for (const [mine, what] of history)
            for (const model of mine ? [both, alone] : [both])
              act(model, mine ? 'me' : 'culprit', what, mine ? 'x' : 'y')
          expect(both.undone('culprit', since)).to.deep.equal(alone.lines())
        }),
        { numRuns: 300 },
      )
    })

    const table: readonly {
      name: string
      play: (m: Model) => void
      after: readonly string[]
      /** And who changed it later. */
      kept?: readonly string[]
    }[] = [
      { name: 'an edit', play: m => m.by('bad').write('f', 'x'), after: ['f=1 1 644'] },
      {
        name: 'an edit that another edited: it stays',
        play: m => m.by('bad').write('f', 'x').by('me').write('f', 'mine'),
        after: ['f=mine 4 644'],
        kept: ['f me'],
      },
      {
        name: 'an edit that another only made private',
        play: m => m.by('bad').write('f', 'x').by('me').edit('f', { mode: 0o600 }),
        after: ['f=1 1 600'],
      },
      {
        name: 'an edit of what another moved',
        play: m => m.by('bad').write('f', 'x').by('me').move('f', 'g'),
        after: ['g=1 1 644'],
      },
      {
        name: 'a move of what another edited',
        play: m => m.by('bad').move('f', 'g').by('me').write('g', 'mine'),
        after: ['f=mine 4 644'],
      },
      {
        name: 'a move that another moved on',
        play: m => m.by('bad').move('f', 'g').by('me').move('g', 'h'),
        after: ['h=1 1 644'],
        kept: ['h me'],
      },
      { name: 'a deletion', play: m => m.by('bad').remove('f'), after: ['f=1 1 644'] },
      {
        name: 'a deletion where another made a new one',
        play: m => m.by('bad').remove('f').by('me').file('f', 'mine'),
        after: ['f=mine 4 644'],
        kept: ['f me'],
      },
      {
        name: 'an edit, then a deletion by another',
        play: m => m.by('bad').write('f', 'x').by('me').remove('f'),
        after: [],
        kept: ['f me'],
      },
      { name: 'what it made', play: m => m.by('bad').file('n', 'x').mkdir('d').file('d/n', 'x'), after: ['f=1 1 644'] },
      {
        name: 'what it made and another edited',
        play: m => m.by('bad').file('n', 'x').by('me').write('n', 'mine'),
        after: ['f=1 1 644', 'n=mine 4 644'],
        kept: ['n me'],
      },
      {
        name: 'a directory that it made, with something of another in it',
        play: m => m.by('bad').mkdir('d').file('d/n', 'x').by('me').file('d/m', 'mine'),
        after: ['d/ 755', 'd/m=mine 4 644', 'f=1 1 644'],
      },
      {
        name: 'each file encrypted under another name',
        play: m => m.by('bad').file('f.locked', 'x').remove('f'),
        after: ['f=1 1 644'],
      },
      {
        name: 'a deletion in a directory that another deleted then',
        play: m => m.by('me').mkdir('d').file('d/a', '2').by('bad').remove('d/a').by('me').remove('d'),
        after: ['d/ 755', 'd/a=2 1 644', 'f=1 1 644'],
      },
      {
        name: "a move to a name that is another's now",
        play: m => m.by('bad').move('f', 'g').by('me').file('f', 'mine'),
        after: ['f=mine 4 644', 'g=1 1 644'],
        kept: ['g me'],
      },
      {
        name: 'an edit after one of another: only its own',
        play: m => m.by('bad').write('f', 'x').by('me').write('f', 'mine').by('bad').write('f', 'y'),
        after: ['f=mine 4 644'],
        kept: ['f me'],
      },
    ]
    for (const { name, play, after, kept = [] } of table)
      it(name, () => {
        const model = new Model().by('me').file('f', '1')
        play(model)
        expect(model.undone('bad')).to.deep.equal(after)
        expect(model.kept('bad')).to.deep.equal(kept)
      })

    const again: readonly { name: string; play: (m: Model) => void }[] = [
      { name: 'an edit', play: m => m.by('bad').write('f', 'x').by('me').write('f', '1') },
      { name: 'two edits', play: m => m.by('bad').write('f', 'x').write('f', 'y').by('me').write('f', '1') },
      { name: 'a move', play: m => m.by('bad').move('f', 'g').by('me').move('g', 'f') },
      { name: 'a deletion', play: m => m.by('bad').remove('f').by('me').file('f', '1') },
      { name: 'what it made', play: m => m.by('bad').file('n', 'x').by('me').remove('n') },
      {
        name: 'an edit, through a deletion',
        play: m => m.by('bad').write('f', 'x').by('me').remove('f').file('f', '1'),
      },
    ]
    for (const { name, play } of again)
      it(`says nothing of what was put right already: ${name}`, () => {
        const model = new Model().by('me').file('f', '1')
        play(model)
        expect(model.undone('bad')).to.deep.equal(['f=1 1 644'])
        expect(model.kept('bad')).to.deep.equal([])
      })
  })
})
