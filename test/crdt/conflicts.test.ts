// What each conflict becomes: every row of the table, and the directed cases of disks that lag. Each case runs twice: truly
// concurrent, and with the other device's change already in the documents but not on the disk. Both must end the same.
import { expect } from 'chai'
import { commonBase } from '../../src/crdt/versions.ts'
import { cut, ModelDisk, pathOf, put, type Thing, thing, walk } from './support/model-disk.ts'
import { actorOf, brief, exchange, facts, openTree, render } from './support/replica.ts'

const TICK = 100

class Person {
  readonly disk: ModelDisk
  readonly #time: { now: number }

  constructor(number: number, time: { now: number }) {
    this.#time = time
    const { tree, rows } = openTree({ number, now: () => ++time.now })
    this.disk = new ModelDisk(tree, rows, false)
  }

  get tree() {
    return this.disk.tree
  }

  at(path: string): Thing {
    let found: Thing | undefined = this.disk.root
    for (const name of path.split('/').slice(1)) found = found?.kids.get(name)
    if (found === undefined) throw new Error(`nothing at ${path}`)
    return found
  }

  #put(path: string, what: Thing): void {
    const slash = path.lastIndexOf('/')
    what.name = path.slice(slash + 1)
    put(this.at(path.slice(0, slash)), what)
  }

  scan(): number {
    return this.disk.scan().length
  }

  create(path: string, text: string): this {
    this.#put(path, thing('', 'file', text, 1000))
    this.scan()
    return this
  }

  mkdir(path: string): this {
    this.#put(path, thing('', 'directory', ''))
    this.scan()
    return this
  }

  edit(path: string, text: string): this {
    this.at(path).text = text
    this.at(path).mtime = this.#time.now
    this.scan()
    return this
  }

  touch(path: string, change: { mode?: number; mtime?: number }): this {
    Object.assign(this.at(path), change)
    this.scan()
    return this
  }

  remove(path: string): this {
    cut(this.at(path))
    this.scan()
    return this
  }

  move(from: string, to: string): this {
    const what = this.at(from)
    cut(what)
    this.#put(to, what)
    this.scan()
    return this
  }

  over(from: string, to: string): this {
    const what = this.at(from)
    cut(this.at(to))
    cut(what)
    this.#put(to, what)
    this.scan()
    return this
  }

  /** The path of the first conflict copy. */
  get copy(): string {
    const found = [...walk(this.disk.root)].map(pathOf).find(path => path.includes('(conflict '))
    if (found === undefined) throw new Error('no conflict copy')
    return found
  }
}

function quiet(people: readonly Person[], rounds = 3): void {
  for (let n = 0; n < rounds; n++) {
    for (const a of people) for (const b of people) if (a !== b) exchange(a.tree, b.tree)
    for (const { disk } of people) {
      disk.have.add = () => disk.have
      disk.have.has = () => true
      expect(disk.catchUp(), 'the disk gets there').to.equal(true)
      expect(disk.scan(), 'nothing echoes').to.deep.equal([])
    }
  }
}

function base(a: Person): void {
  a.mkdir('/D').mkdir('/E').create('/D/x', 'x0').create('/D/y', 'y0').create('/f', 'f0').create('/g', 'g0')
}

type Act = (person: Person) => unknown
type Before = (a: Person, b: Person, settle: () => void) => void

function outcome(lagging: boolean, before: Before, first: Act, second: Act): string {
  const time = { now: TICK }
  const a = new Person(1, time)
  const b = new Person(2, time)
  base(a)
  quiet([a, b])
  before(a, b, () => quiet([a, b]))
  first(a)
  if (lagging) exchange(a.tree, b.tree)
  second(b)
  quiet([a, b])
  expect(render(b.tree), 'both show the same').to.equal(render(a.tree))
  for (const { disk } of [a, b]) expect(disk.render(), 'the disk shows it').to.equal(disk.renderTree())
  expect(b.tree.digest()).to.equal(a.tree.digest())
  return brief(a.tree)
    .replace(/\(conflict [^)]*\)/g, '(conflict)')
    .replace(/\([0-9a-f]{6,}\)/g, '(hex)')
}

interface Case {
  readonly name: string
  readonly first: Act
  readonly second: Act
  readonly shows: string
  /** With the first change in the documents and not on the disk, where that ends otherwise. */
  readonly unseen?: string
  readonly before?: Before
}

const REST = '/D/ /D/x=x0 /D/y=y0 /E/'
const conflict: Before = (a, b, settle) => {
  a.edit('/f', 'fA')
  b.edit('/f', 'fB')
  settle()
}

const CASES: readonly Case[] = [
  {
    name: 'edit ∥ edit',
    first: a => a.edit('/f', 'fA'),
    second: b => b.edit('/f', 'fB'),
    shows: `/D/ /D/x=x0 /D/y=y0 /E/ /f (conflict)=fA /f=fB /g=g0`,
  },
  {
    name: 'edit ∥ edit, same content',
    first: a => a.edit('/f', 'S'),
    second: b => b.edit('/f', 'S'),
    shows: `${REST} /f=S /g=g0`,
  },
  {
    name: 'edit ∥ edit twice',
    first: a => a.edit('/f', 'fA'),
    second: b => b.edit('/f', 'fB').edit('/f', 'fC'),
    shows: `${REST} /f (conflict)=fA /f=fC /g=g0`,
  },
  {
    name: 'edit ∥ move',
    first: a => a.edit('/f', 'fA'),
    second: b => b.move('/f', '/E/f'),
    shows: `${REST} /E/f=fA /g=g0`,
  },
  { name: 'edit ∥ delete', first: a => a.edit('/f', 'fA'), second: b => b.remove('/f'), shows: `${REST} /f=fA /g=g0` },
  {
    name: 'move ∥ edit',
    first: a => a.move('/f', '/E/k'),
    second: b => b.edit('/f', 'fB'),
    shows: `${REST} /E/k=fB /g=g0`,
  },
  {
    name: 'move ∥ move',
    first: a => a.move('/f', '/E/k'),
    second: b => b.move('/f', '/D/l'),
    shows: '/D/ /D/l=f0 /D/x=x0 /D/y=y0 /E/ /g=g0',
  },
  {
    name: 'move ∥ delete',
    first: a => a.move('/f', '/E/k'),
    second: b => b.remove('/f'),
    shows: `${REST} /E/k=f0 /g=g0`,
  },
  { name: 'delete ∥ edit', first: a => a.remove('/f'), second: b => b.edit('/f', 'fB'), shows: `${REST} /f=fB /g=g0` },
  {
    name: 'delete ∥ move',
    first: a => a.remove('/f'),
    second: b => b.move('/f', '/E/k'),
    shows: `${REST} /E/k=f0 /g=g0`,
  },
  { name: 'delete ∥ delete', first: a => a.remove('/f'), second: b => b.remove('/f'), shows: `${REST} /g=g0` },
  {
    name: 'move into D ∥ rm -rf D',
    first: a => a.move('/f', '/D/f'),
    second: b => b.remove('/D'),
    shows: '/D/ /D/f=f0 /E/ /g=g0',
  },
  {
    name: 'move out of D ∥ rm -rf D',
    first: a => a.move('/D/x', '/x'),
    second: b => b.remove('/D'),
    shows: '/E/ /f=f0 /g=g0 /x=x0',
  },
  {
    name: 'create in D ∥ rm -rf D',
    first: a => a.create('/D/n', 'n'),
    second: b => b.remove('/D'),
    shows: '/D/ /D/n=n /E/ /f=f0 /g=g0',
  },
  {
    name: 'edit in D ∥ rm -rf D',
    first: a => a.edit('/D/x', 'xA'),
    second: b => b.remove('/D'),
    shows: '/D/ /D/x=xA /E/ /f=f0 /g=g0',
  },
  { name: 'mv D ∥ rm -rf D', first: a => a.move('/D', '/Z'), second: b => b.remove('/D'), shows: '/E/ /f=f0 /g=g0' },
  {
    name: 'mv D ∥ create in D',
    first: a => a.move('/D', '/Z'),
    second: b => b.create('/D/n', 'n'),
    shows: '/E/ /Z/ /Z/n=n /Z/x=x0 /Z/y=y0 /f=f0 /g=g0',
  },
  {
    name: 'mv D ∥ edit in D',
    first: a => a.move('/D', '/Z'),
    second: b => b.edit('/D/x', 'xB'),
    shows: '/E/ /Z/ /Z/x=xB /Z/y=y0 /f=f0 /g=g0',
  },
  {
    name: 'mv D ∥ mv D',
    first: a => a.move('/D', '/Z'),
    second: b => b.move('/D', '/Y'),
    shows: '/E/ /Y/ /Y/x=x0 /Y/y=y0 /f=f0 /g=g0',
  },
  {
    name: 'rm -rf D ∥ create in D',
    first: a => a.remove('/D'),
    second: b => b.create('/D/n', 'n'),
    shows: '/D/ /D/n=n /E/ /f=f0 /g=g0',
  },
  {
    name: 'rm -rf D ∥ edit in D',
    first: a => a.remove('/D'),
    second: b => b.edit('/D/x', 'xB'),
    shows: '/D/ /D/x=xB /E/ /f=f0 /g=g0',
  },
  { name: 'rm -rf D ∥ mv D', first: a => a.remove('/D'), second: b => b.move('/D', '/Z'), shows: '/E/ /f=f0 /g=g0' },
  {
    name: 'create n ∥ create n',
    first: a => a.create('/n', 'nA'),
    second: b => b.create('/n', 'nB'),
    shows: `${REST} /f=f0 /g=g0 /n (conflict)=nA /n=nB`,
  },
  {
    name: 'create n ∥ create n, same content',
    first: a => a.create('/n', 'n'),
    second: b => b.create('/n', 'n'),
    shows: `${REST} /f=f0 /g=g0 /n=n`,
  },
  {
    name: 'mv f n ∥ create n',
    first: a => a.move('/f', '/n'),
    second: b => b.create('/n', 'nB'),
    shows: `${REST} /g=g0 /n (hex)=f0 /n=nB`,
  },
  {
    name: 'create n ∥ mv f n',
    first: a => a.create('/n', 'nA'),
    second: b => b.move('/f', '/n'),
    shows: `${REST} /g=g0 /n (hex)=f0 /n=nA`,
  },
  {
    name: 'mv f n ∥ mv g n',
    first: a => a.move('/f', '/n'),
    second: b => b.move('/g', '/n'),
    shows: `${REST} /n (hex)=g0 /n=f0`,
  },
  {
    name: 'mkdir n ∥ create n',
    first: a => a.mkdir('/n'),
    second: b => b.create('/n', 'nB'),
    shows: `${REST} /f=f0 /g=g0 /n (hex)=nB /n/`,
  },
  {
    name: 'create n ∥ mkdir n',
    first: a => a.create('/n', 'nA'),
    second: b => b.mkdir('/n'),
    shows: `${REST} /f=f0 /g=g0 /n (hex)=nA /n/`,
  },
  {
    name: 'mkdir n ∥ mkdir n',
    first: a => a.mkdir('/n').create('/n/q', 'q'),
    second: b => b.mkdir('/n'),
    shows: `${REST} /f=f0 /g=g0 /n/ /n/q=q`,
  },
  {
    name: 'mkdir n, rmdir n ∥ mkdir n',
    first: a => a.mkdir('/n').remove('/n'),
    second: b => b.mkdir('/n'),
    shows: `${REST} /f=f0 /g=g0 /n/`,
  },
  {
    name: 'mv D n ∥ mkdir n',
    first: a => a.move('/D', '/n'),
    second: b => b.mkdir('/n'),
    shows: '/E/ /f=f0 /g=g0 /n/ /n/x=x0 /n/y=y0',
  },
  {
    name: 'mkdir n, fill n ∥ mv D n',
    first: a => a.mkdir('/n').create('/n/q', 'q'),
    second: b => b.move('/D', '/n'),
    shows: '/E/ /f=f0 /g=g0 /n/ /n/q=q /n/x=x0 /n/y=y0',
  },
  {
    name: 'create n, mv n k ∥ create n',
    first: a => a.create('/n', 'nA').move('/n', '/k'),
    second: b => b.create('/n', 'nB'),
    shows: '/D/ /D/x=x0 /D/y=y0 /E/ /f=f0 /g=g0 /k (conflict)=nA /k=nB',
    unseen: '/D/ /D/x=x0 /D/y=y0 /E/ /f=f0 /g=g0 /k=nA /n=nB',
  },
  {
    name: 'mv D E/D ∥ mv E D/E',
    first: a => a.move('/D', '/E/D'),
    second: b => b.move('/E', '/D/E'),
    shows: '/E/ /E/D/ /E/D/x=x0 /E/D/y=y0 /f=f0 /g=g0',
  },
  {
    name: 'conflict: edit winner ∥ edit winner',
    before: conflict,
    first: a => a.edit('/f', 'fX'),
    second: b => b.edit('/f', 'fY'),
    shows: '/D/ /D/x=x0 /D/y=y0 /E/ /f (conflict) (hex)=fX /f (conflict)=fA /f=fY /g=g0',
  },
  {
    name: 'conflict: rm copy ∥ edit copy',
    before: conflict,
    first: a => a.remove(a.copy),
    second: b => b.edit(b.copy, 'cB'),
    shows: `${REST} /f (conflict)=cB /f=fB /g=g0`,
  },
  {
    name: 'conflict: edit copy ∥ edit copy',
    before: conflict,
    first: a => a.edit(a.copy, 'cA'),
    second: b => b.edit(b.copy, 'cB'),
    shows: '/D/ /D/x=x0 /D/y=y0 /E/ /f (conflict) (conflict)=cA /f (conflict)=cB /f=fB /g=g0',
  },
  {
    name: 'conflict: rm winner ∥ edit copy',
    before: conflict,
    first: a => a.remove('/f'),
    second: b => b.edit(b.copy, 'cB'),
    shows: '/D/ /D/x=x0 /D/y=y0 /E/ /f (conflict) (conflict)=fA /f (conflict)=cB /f=fB /g=g0',
    unseen: '/D/ /D/x=x0 /D/y=y0 /E/ /f (conflict) (conflict)=fA /f (conflict)=cB /g=g0',
  },
  {
    name: 'conflict: rm winner ∥ rm copy',
    before: conflict,
    first: a => a.remove('/f'),
    second: b => b.remove(b.copy),
    shows: '/D/ /D/x=x0 /D/y=y0 /E/ /f (conflict)=fA /f=fB /g=g0',
    unseen: '/D/ /D/x=x0 /D/y=y0 /E/ /f (conflict)=fA /g=g0',
  },
  {
    name: 'conflict: mv winner ∥ edit copy',
    before: conflict,
    first: a => a.move('/f', '/E/k'),
    second: b => b.edit(b.copy, 'cB'),
    shows: '/D/ /D/x=x0 /D/y=y0 /E/ /E/k=fB /f (conflict) (conflict)=fA /f (conflict)=cB /g=g0',
  },
  {
    name: 'conflict: mv winner ∥ rm copy',
    before: conflict,
    first: a => a.move('/f', '/E/k'),
    second: b => b.remove(b.copy),
    shows: '/D/ /D/x=x0 /D/y=y0 /E/ /E/k=fB /f (conflict)=fA /g=g0',
  },
  {
    name: 'conflict: edit copy ∥ mv winner',
    before: conflict,
    first: a => a.edit(a.copy, 'cA'),
    second: b => b.move('/f', '/E/k'),
    shows: '/D/ /D/x=x0 /D/y=y0 /E/ /E/k=fB /f (conflict) (conflict)=cA /f (conflict)=fA /g=g0',
    unseen: '/D/ /D/x=x0 /D/y=y0 /E/ /E/k=fB /f (conflict)=cA /g=g0',
  },
  {
    name: 'conflict: edit copy ∥ rm winner',
    before: conflict,
    first: a => a.edit(a.copy, 'cA'),
    second: b => b.remove('/f'),
    shows: '/D/ /D/x=x0 /D/y=y0 /E/ /f (conflict) (conflict)=cA /f (conflict)=fA /f=fB /g=g0',
    unseen: '/D/ /D/x=x0 /D/y=y0 /E/ /f (conflict)=cA /g=g0',
  },
  {
    name: 'rm D, mkdir D ∥ rm -rf D',
    first: a => a.remove('/D').mkdir('/D'),
    second: b => b.remove('/D'),
    shows: '/D/ /E/ /f=f0 /g=g0',
  },
  {
    name: 'move ∥ rm, create again',
    first: a => a.move('/f', '/E/k'),
    second: b => b.remove('/f').create('/f', 'fB'),
    shows: '/D/ /D/x=x0 /D/y=y0 /E/ /E/k (conflict)=f0 /E/k=fB /g=g0',
    unseen: '/D/ /D/x=x0 /D/y=y0 /E/ /E/k=f0 /f=fB /g=g0',
  },
  {
    name: 'edit ∥ rm, create again',
    first: a => a.edit('/f', 'fA'),
    second: b => b.remove('/f').create('/f', 'fB'),
    shows: '/D/ /D/x=x0 /D/y=y0 /E/ /f (conflict)=fA /f=fB /g=g0',
  },
  {
    name: 'edit ∥ mv over',
    first: a => a.edit('/f', 'fA'),
    second: b => b.over('/g', '/f'),
    shows: '/D/ /D/x=x0 /D/y=y0 /E/ /f (conflict)=fA /f=g0',
  },
  {
    name: 'edit source ∥ mv over',
    first: a => a.edit('/g', 'gA'),
    second: b => b.over('/g', '/f'),
    shows: '/D/ /D/x=x0 /D/y=y0 /E/ /f=g0 /g=gA',
  },
  {
    name: 'chmod ∥ edit',
    first: a => a.touch('/f', { mode: 0o755 }),
    second: b => b.edit('/f', 'fB'),
    shows: `${REST} /f=fB /g=g0`,
  },
  {
    name: 'edit ∥ chmod',
    first: a => a.edit('/f', 'fA'),
    second: b => b.touch('/f', { mode: 0o755 }),
    shows: `${REST} /f=fA /g=g0`,
  },
  {
    name: 'touch ∥ touch',
    first: a => a.touch('/f', { mtime: 5 }),
    second: b => b.touch('/f', { mtime: 6 }),
    shows: `${REST} /f=f0 /g=g0`,
  },
  {
    name: 'chmod ∥ delete',
    first: a => a.touch('/f', { mode: 0o755 }),
    second: b => b.remove('/f'),
    shows: `${REST} /f=f0 /g=g0`,
  },
  {
    name: 'chmod ∥ rename',
    first: a => a.touch('/f', { mode: 0o755 }),
    second: b => b.move('/f', '/E/f'),
    shows: `${REST} /E/f=f0 /g=g0`,
  },
  {
    name: 'chmod D ∥ mv D',
    first: a => a.touch('/D', { mode: 0o700 }),
    second: b => b.move('/D', '/Z'),
    shows: '/E/ /Z/ /Z/x=x0 /Z/y=y0 /f=f0 /g=g0',
  },
]

describe('conflicts', () => {
  for (const { name, before, first, second, shows, unseen } of CASES) {
    it(name, () => {
      const nothing: Before = () => {}
      expect(outcome(false, before ?? nothing, first, second), 'concurrent').to.equal(shows)
      expect(outcome(true, before ?? nothing, first, second), 'unseen').to.equal(unseen ?? shows)
    })
  }
})

/** Some people with the usual files, in agreement. */
function group(count: number): Person[] {
  const time = { now: TICK }
  const people = Array.from({ length: count }, (_, i) => new Person(i + 1, time))
  const [first] = people
  if (first !== undefined) base(first)
  quiet(people)
  return people
}

function agree(people: readonly Person[]): Person {
  quiet(people)
  const [first] = people
  if (first === undefined) throw new Error('nobody')
  for (const person of people) {
    expect(render(person.tree)).to.equal(render(first.tree))
    expect(person.disk.render()).to.equal(person.disk.renderTree())
  }
  return first
}

describe('conflicts of modes and times', () => {
  it("a chmod beside an edit lends its mode; content and time are the edit's", () => {
    for (const chmodFirst of [true, false]) {
      const [a, b] = group(2) as [Person, Person]
      const acts = [() => a.touch('/f', { mode: 0o755 }), () => b.edit('/f', 'fB')]
      for (const act of chmodFirst ? acts : acts.reverse()) act()
      const edited = b.at('/f').mtime
      agree([a, b])
      const f = a.at('/f')
      expect([f.text, f.mode, f.mtime]).to.deep.equal(['fB', 0o755, edited])
    }
  })

  it('three devices: chmod, touch and edit become one file', () => {
    const [a, b, c] = group(3) as [Person, Person, Person]
    a.touch('/f', { mode: 0o755 })
    b.touch('/f', { mtime: 77 })
    c.edit('/f', 'fC')
    expect(brief(agree([a, b, c]).tree)).to.not.contain('conflict')
    expect(a.at('/f').text).to.equal('fC')
  })

  it('a chmod does not hide its content beside an edit of something else', () => {
    const [a, b, c] = group(3) as [Person, Person, Person]
    a.create('/n', 'nA')
    exchange(a.tree, c.tree)
    quiet([c], 1)
    c.touch('/n', { mode: 0o755 })
    b.create('/n', 'nB').edit('/n', 'nC')
    const shown = brief(agree([a, b, c]).tree)
    expect(shown).to.contain('=nA')
    expect(shown).to.contain('=nC')
  })

  it('a save after the chmod of another stays no conflict with a second chmod of the first content', () => {
    const [a, b, c] = group(3) as [Person, Person, Person]
    a.touch('/f', { mode: 0o755 })
    exchange(a.tree, b.tree)
    quiet([b], 1)
    b.edit('/f', 'fB')
    c.touch('/f', { mode: 0o600 })
    expect(brief(agree([a, b, c]).tree)).to.not.contain('conflict')
  })

  it('the mode of a directory goes along when it is merged, and 0700 stands for an unknown one', () => {
    const [a, b] = group(2) as [Person, Person]
    a.touch('/D', { mode: 0o750 })
    agree([a, b])
    expect(b.at('/D').mode).to.equal(0o750)
    a.remove('/D')
    b.create('/D/n', 'n')
    agree([a, b])
    expect([a.at('/D').mode, b.at('/D').mode]).to.deep.equal([0o700, 0o700])
  })
})

describe('conflicts of three devices and of clocks', () => {
  it('move, delete, and an edit over the unseen delete: one file, at the new place, with the edit', () => {
    const [a, b, c] = group(3) as [Person, Person, Person]
    a.move('/f', '/E/k')
    agree([a, b, c])
    c.move('/E/k', '/D/l')
    a.remove('/E/k')
    exchange(a.tree, b.tree)
    b.edit('/E/k', 'fB')
    expect(brief(agree([a, b, c]).tree)).to.equal('/D/ /D/l=fB /D/x=x0 /D/y=y0 /E/ /g=g0')
  })

  it('a clock far ahead decides who keeps the name, and blocks nobody', () => {
    const time = { now: TICK }
    const a = new Person(1, time)
    const b = new Person(2, time)
    base(a)
    quiet([a, b])
    time.now = 4e12
    a.edit('/f', 'fA')
    time.now = 200
    b.edit('/f', 'fB')
    agree([a, b])
    expect(a.at('/f').text).to.equal('fA')
    expect(a.at(a.copy).text).to.equal('fB')
    b.edit('/f', 'later')
    expect(agree([a, b]).at('/f').text).to.equal('later')
  })

  it('no copy of a copy: three edits leave one winner and two copies, on every device', () => {
    const people = group(4)
    people.forEach((person, i) => {
      if (i > 0) person.edit('/f', `f${i}`)
    })
    const first = agree(people)
    const copies = [...walk(first.disk.root)].filter(x => x.name.includes('(conflict '))
    expect(copies.map(x => x.text).sort()).to.deep.equal(['f1', 'f2'])
    expect(copies.every(x => x.name.split('(conflict ').length === 2)).to.equal(true)
  })

  it('conflicts() lists copies until they are resolved', () => {
    const [a, b] = group(2) as [Person, Person]
    conflict(a, b, () => agree([a, b]))
    expect([...a.tree.conflicts()].map(c => [c.kind, c.device])).to.deep.equal([['virtual', 'device-1']])
    a.edit('/f', 'after')
    agree([a, b])
    expect([...b.tree.conflicts()].map(c => [c.kind, c.device])).to.deep.equal([['settled', 'device-1']])
    b.remove(b.copy)
    agree([a, b])
    expect([...a.tree.conflicts()]).to.deep.equal([])
  })

  it('a merged text is one version instead of the siblings it was made of', () => {
    const [a, b] = group(2) as [Person, Person]
    conflict(a, b, () => {})
    exchange(a.tree, b.tree)
    const id = a.disk.rows.at('f')?.nodes[0]?.id
    if (id === undefined) throw new Error('no row')
    for (const person of [a, b]) {
      const groups = person.tree.siblings(id)
      const [v, w] = groups.flatMap(g => g.versions)
      if (v === undefined || w === undefined) throw new Error('no siblings')
      expect(commonBase(v, w), 'the base is known').to.not.equal(null)
      person.tree.merge(id, [v.dot, w.dot], facts('merged', { mtime: 5000 }))
    }
    expect(brief(agree([a, b]).tree)).to.contain('/f=merged')
    expect(brief(a.tree)).to.not.contain('conflict')
  })

  it('ten saves offline still have the common ancestor as base', () => {
    const [a, b] = group(2) as [Person, Person]
    for (let n = 0; n < 10; n++) a.edit('/f', `a${n}`)
    b.edit('/f', 'fB')
    exchange(a.tree, b.tree)
    const id = a.disk.rows.at('f')?.nodes[0]?.id
    const [v, w] = id === undefined ? [] : b.tree.siblings(id).flatMap(g => g.versions)
    if (v === undefined || w === undefined) throw new Error('no siblings')
    const shared = commonBase(v, w)
    expect(shared?.actor).to.equal(actorOf(1))
    expect(commonBase(w, v)).to.deep.equal(shared)
  })

  it('a save over an unseen version of a clock far ahead keeps the name here', () => {
    const time = { now: TICK }
    const a = new Person(1, time)
    const b = new Person(2, time)
    base(a)
    quiet([a, b])
    time.now = 4e12
    a.edit('/f', 'fA')
    time.now = 200
    exchange(a.tree, b.tree)
    b.edit('/f', 'fB')
    agree([a, b])
    expect(a.at('/f').text).to.equal('fB')
    expect(a.at(a.copy).text).to.equal('fA')
  })

  it('the row of a copy that was settled stands for the file it became', () => {
    const [a, b] = group(2) as [Person, Person]
    conflict(a, b, () => agree([a, b]))
    a.edit('/f', 'winner')
    a.edit(a.copy, 'copy')
    expect(a.disk.rows.at(a.copy.slice(1))?.copy).to.equal(false)
    const shown = brief(agree([a, b]).tree)
    expect(shown.match(/conflict/g)?.length, shown).to.equal(1)
    expect(shown).to.contain('=copy').and.to.contain('/f=winner')
  })

  it('deleting a file and its copy in one go settles neither', () => {
    const [a, b] = group(2) as [Person, Person]
    a.move('/f', '/D/f')
    agree([a, b])
    a.edit('/D/f', 'fA')
    b.edit('/D/f', 'fB')
    agree([a, b])
    a.remove('/D')
    expect(brief(agree([a, b]).tree)).to.equal('/E/ /g=g0')
  })
})
