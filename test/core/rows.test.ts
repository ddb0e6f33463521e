import { expect } from 'chai'
import type { RowId } from '../../src/core/ids.ts'
import { ROOT_ROW } from '../../src/core/ids.ts'
import { packRow } from '../../src/core/packed-row.ts'
import { type Row, RowTable } from '../../src/core/rows.ts'
import { fileRow, oddRow, rootRow, row } from '../store/samples.ts'
import { type Random, seeded } from '../support/random.ts'

const STEPS = 4_000
const IDS = 60

describe('rows', () => {
  const { SEED: seed = String(Date.now()) } = process.env
  let random: Random

  before(() => console.log(`      seed ${seed}`))
  beforeEach(() => {
    random = seeded(seed)
  })

  describe('packed', () => {
    it('read, spread, clone and compare as they were', () => {
      for (let count = 0; count < 2_000; count++) {
        const plain = oddRow(random, 2)
        const kept = packRow(plain)
        expect(kept).to.deep.equal(plain)
        expect(Object.getOwnPropertySymbols({ ...kept })).to.deep.equal([])
        expect({ ...kept, name: 'other' }).to.deep.equal({ ...plain, name: 'other' })
        expect(structuredClone(kept)).to.deep.equal(plain)
        expect(packRow(kept)).to.equal(kept)
        expect(packRow({ ...kept, name: 'n', mode: 1 })).to.deep.equal({ ...plain, name: 'n', mode: 1 })
      }
    })

    it('hold every whole number', () => {
      for (let bits = 0; bits <= 53; bits++) {
        for (const offset of [-1, 0, 1]) {
          for (const sign of [1, -1]) {
            const ino = sign * (2 ** bits + offset)
            const plain = { ...rootRow(), stat: { ...rootRow().stat, ino } }
            expect(packRow(plain).stat.ino === ino, String(ino)).to.equal(true)
          }
        }
      }
    })

    it('grow with what they hold', () => {
      const node = fileRow(random, 2).nodes[0]
      if (node === undefined) throw new Error('a file has a node')
      const plain = {
        ...rootRow(),
        nodes: Array.from({ length: 500 }, () => ({ ...node, birth: { ...node.birth, name: '☃'.repeat(999) } })),
      }
      expect(packRow(plain)).to.deep.equal(plain)
    })
  })

  it('are what a simple list says, whatever was done', () => {
    let table = new RowTable()
    const model = new Map<RowId, Row>()
    const changed = new Set<RowId>()
    const put = (next: Row): void => {
      const there = [...model.values()].some(r => r.parent === next.parent && r.name === next.name && r.id !== next.id)
      if (there) return
      table.put(next)
      model.set(next.id, next)
      changed.add(next.id)
    }
    put(rootRow())
    for (let step = 0; step < STEPS; step++) {
      const id = row(2 + random.int(IDS))
      const old = table.get(id)
      const choice = random.int(10)
      if (choice < 4) put(some(random, id))
      else if (choice < 6 && old !== undefined) put({ ...old, parent: row(1 + random.int(5)), name: `moved ${step}` })
      else if (choice < 8) {
        table.delete(id)
        model.delete(id)
        changed.add(id)
      } else if (choice === 8) {
        const changes = table.takeChanges()
        expect([...changes.put.map(r => r.id), ...changes.deleted]).to.have.members([...changed])
        for (const each of changes.put) expect(each).to.deep.equal(model.get(each.id))
        changed.clear()
      } else if (random.chance(0.1) && !table.dirty) {
        table = new RowTable()
        for (const each of model.values()) table.load(each)
      }
      if (step % 20 === 0) check(table, model)
    }
    check(table, model)
  })

  it('are the same object as long as nothing was taken', () => {
    const table = new RowTable()
    for (let number = 2; number < 20; number++) table.load(fileRow(random, number))
    for (let number = 2; number < 20; number++) {
      const found = table.get(row(number)) as Row
      const same = [
        table.child(found.parent, found.name),
        ...table.byInode(found.stat.ino),
        ...table.byContent(found.content),
      ]
      for (const each of same) expect(each).to.equal(found)
    }
  })

  it('give out no id twice', () => {
    const table = new RowTable()
    table.load(fileRow(random, 7))
    expect(table.allocate()).to.equal(8)
    table.reserve(row(20))
    table.reserve(row(10))
    expect(table.allocate()).to.equal(21)
  })
})

/** Few names, inodes, contents and parents, so that indexes collide. */
function some(random: Random, id: RowId): Row {
  const file = random.chance(0.2) ? oddRow(random, id) : fileRow(random, id)
  const parent = row(1 + random.int(5))
  const content = random.chance(0.3) ? fileRow(seeded(random.int(3)), 2).content : file.content
  return {
    ...file,
    parent,
    name: `n${random.int(20)}`,
    size: random.int(1000),
    content,
    stat: { ...file.stat, ino: random.int(20) },
  }
}

function check(table: RowTable, model: ReadonlyMap<RowId, Row>): void {
  const rows = [...model.values()]
  const ids = (found: Iterable<Row>): RowId[] => [...found].map(each => each.id)
  expect([...table.all()]).to.have.deep.members(rows)
  expect(table.size).to.equal(rows.length)
  const files = rows.filter(each => each.kind !== 'directory')
  expect(table.totals.files).to.equal(files.length)
  expect(table.totals.bytes).to.equal(files.reduce((sum, each) => sum + each.size, 0))
  expect(ids(table.copies())).to.have.members(ids(rows.filter(each => each.copy)))
  for (let parent = 1; parent <= 6; parent++) {
    const children = rows.filter(each => each.parent === parent && each.id !== ROOT_ROW)
    expect(ids(table.children(row(parent)))).to.have.members(ids(children))
    expect(table.hasChildren(row(parent))).to.equal(children.length > 0)
  }
  for (const each of rows) {
    if (each.id !== ROOT_ROW) expect(table.child(each.parent, each.name)?.id).to.equal(each.id)
    const twins = rows.filter(other => other.stat.ino === each.stat.ino)
    expect(ids(table.byInode(each.stat.ino))).to.have.members(ids(twins))
    if (each.kind !== 'directory') {
      const equal = files.filter(other => other.content === each.content)
      expect(ids(table.byContent(each.content))).to.have.members(ids(equal))
    }
    for (const node of each.nodes) {
      const holders = rows.filter(other => other.nodes.some(ref => ref.id === node.id))
      expect(ids(table.byNode(node.id))).to.have.members(ids(holders))
    }
  }
}
