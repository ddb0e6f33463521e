// The façade: incremental projection in the cases that random histories meet rarely (order of arrival, merging and splitting of
// directories, folding that begins late), documents, sequence ceilings, rejoin, and costs.
import { expect } from 'chai'
import * as Y from 'yjs'
import type { ActorId, NodeId } from '../../src/core/ids.ts'
import { DIRECTORIES_DOC, ROOT_NODE } from '../../src/core/ids.ts'
import type { DocUpdate } from '../../src/core/ports.ts'
import type { Row, RowTable } from '../../src/core/rows.ts'
import { compareText } from '../../src/crdt/join.ts'
import { decodeRecord, encodeNode } from '../../src/crdt/record.ts'
import type { SharedTree } from '../../src/crdt/shared-tree.ts'
import { fullProjection } from './support/full-projection.ts'
import { random } from './support/random.ts'
import {
  actorOf,
  brief,
  DIRECTORY,
  exchange,
  facts,
  openTree,
  paths,
  pull,
  render,
  rootRow,
  rowAt,
  snapshots,
  statOf,
  textOf,
} from './support/replica.ts'

interface Device {
  readonly tree: SharedTree
  readonly rows: RowTable
}

let inode = 100
let time = 1000

function device(
  number: number,
  options: { foldsCase?: boolean; stored?: DocUpdate[]; seqCeiling?: number } = {},
): Device {
  return openTree({ number, now: () => ++time, ...options })
}

function mkdir(d: Device, parent: Row, name: string): Row {
  return d.tree.create(parent, name, 'directory', DIRECTORY, statOf(inode++))
}

function idOf(row: Row): NodeId {
  const [ref] = row.nodes
  if (ref === undefined) throw new Error('a row without a node')
  return ref.id
}

function create(d: Device, parent: Row, name: string, text = name): Row {
  return d.tree.create(parent, name, 'file', facts(text), statOf(inode++))
}

/** Gives the device rows of everything that shows: its disk caught up. */
function catchUp(d: Device): void {
  const at = new Map<NodeId, Row>([[ROOT_NODE, rowAt(d.rows, '')]])
  for (const entry of d.tree.allEntries()) {
    const parent = at.get(entry.directory)
    if (parent === undefined) throw new Error('an entry before its directory')
    const there = entry.nodes.flatMap(id => d.rows.byNode(id))[0]
    const row: Row = {
      ...entry.facts,
      id: there?.id ?? d.rows.allocate(),
      parent: parent.id,
      name: entry.name,
      kind: entry.kind,
      stat: statOf(inode++),
      copy: entry.copy,
      nodes: d.tree.refsOf(entry),
    }
    d.rows.put(row)
    const [primary] = entry.nodes
    if (entry.kind === 'directory' && primary !== undefined) at.set(primary, row)
  }
}

function both(): [Device, Device] {
  const a = device(1)
  const b = device(2)
  exchange(a.tree, b.tree)
  return [a, b]
}

function expectFull(...devices: Device[]): void {
  for (const { tree } of devices) expect(render(tree)).to.equal(fullProjection(snapshots(tree)))
}

/** The directories document of a tree as it would be had another actor written nothing. */
function withoutActor(tree: SharedTree, number: number): Uint8Array {
  const from = new Y.Doc()
  Y.applyUpdate(from, tree.snapshot(DIRECTORIES_DOC))
  const client = actorOf(number)
  const doc = new Y.Doc()
  for (const other of from.store.clients.keys()) {
    if (other === client) continue
    doc.clientID = other
    const records = from
      .getArray<string>('n')
      .toArray()
      .filter(record => writerOf(record) === other)
    doc.getArray('n').push(records)
  }
  return Y.encodeStateAsUpdate(doc)
}

function writerOf(record: string): number | undefined {
  const decoded = decodeRecord(record)
  if (decoded.type === 'actor') return decoded.actor.actor
  return decoded.type === 'node' ? decoded.node.versions[0]?.dot.actor : undefined
}

describe('the shared tree', () => {
  it('is the same in any order in which updates arrive, and equal to the full projection at every step', () => {
    const r = random(99)
    const [a, b] = both()
    const d = mkdir(a, rootRow(), 'D')
    const e = mkdir(a, d, 'E')
    create(a, e, 'f')
    const g = mkdir(a, rootRow(), 'G')
    exchange(a.tree, b.tree)
    catchUp(b)
    const updates: DocUpdate[] = []
    const note = (x: Device): void => void updates.push(...x.tree.takeUpdates())
    note(a)
    note(b)
    // each into the other: a cycle
    a.tree.move(d, g, 'D')
    note(a)
    b.tree.move(rowAt(b.rows, 'G'), rowAt(b.rows, 'D/E'), 'in')
    note(b)
    a.tree.edit(rowAt(a.rows, 'G/D/E/f'), facts('edited'), statOf(inode++))
    note(a)
    create(b, mkdir(b, rowAt(b.rows, 'D/E/in'), 'deep'), 'late')
    note(b)
    for (let n = 0; n < 20; n++) {
      const c = device(3)
      const left = updates.map(update => ({ update, order: r.next() })).sort((x, y) => x.order - y.order)
      for (let rounds = 0; left.length > 0; rounds++) {
        expect(rounds, 'everything gets in').to.be.lessThan(200)
        const [next] = left.splice(0, 1)
        if (next === undefined) break
        if (c.tree.check(next.update.doc, next.update.update).ok) c.tree.apply(next.update.doc, next.update.update)
        else left.push(next)
        expectFull(c)
      }
      exchange(a.tree, c.tree)
      exchange(b.tree, c.tree)
      exchange(a.tree, c.tree)
      expect(render(c.tree)).to.equal(render(a.tree))
      expect(c.tree.digest()).to.equal(a.tree.digest())
    }
  })

  it('a directory waits for the one it was made in, with all that is below it', () => {
    const [a, b] = both()
    const d = mkdir(a, rootRow(), 'D')
    pull(a.tree, b.tree)
    catchUp(b)
    create(b, mkdir(b, mkdir(b, rowAt(b.rows, 'D'), 'in'), 'deep'), 'f')
    const c = device(3)
    const onlyB = snapshots(b.tree).filter(({ doc }) => doc !== DIRECTORIES_DOC)
    // b's directories without a's: as if a's message were late
    for (const { doc, update } of [{ doc: DIRECTORIES_DOC, update: withoutActor(b.tree, 1) }, ...onlyB]) {
      expect(c.tree.check(doc, update)).to.deep.equal({ ok: true })
      c.tree.apply(doc, update)
      expectFull(c)
    }
    expect(brief(c.tree)).to.equal('')
    exchange(a.tree, c.tree)
    expect(brief(c.tree)).to.equal('/D/ /D/in/ /D/in/deep/ /D/in/deep/f=f')
    expectFull(c)
    expect(c.tree.primaryOf(d.nodes[0]?.id as NodeId)).to.equal(d.nodes[0]?.id)
  })

  it('a third move that breaks a cycle up lets the other move be honoured again', () => {
    const [a, b] = both()
    const d = mkdir(a, rootRow(), 'D')
    const e = mkdir(a, rootRow(), 'E')
    const c = device(3)
    for (const x of [b, c]) {
      exchange(a.tree, x.tree)
      catchUp(x)
    }
    a.tree.move(d, e, 'D')
    b.tree.move(rowAt(b.rows, 'E'), rowAt(b.rows, 'D'), 'E')
    c.tree.move(rowAt(c.rows, 'D'), rootRow(), 'X')
    pull(b.tree, a.tree)
    expect(brief(a.tree)).to.equal('/E/ /E/D/')
    expectFull(a)
    pull(c.tree, a.tree)
    expectFull(a)
    expect(brief(a.tree)).to.equal('/X/ /X/E/')
    expect(e.nodes.length).to.equal(1)
  })

  it('what waits for a directory is hidden and pending, and shows when it arrives', () => {
    const [a, b] = both()
    a.tree.takeUpdates()
    const d = mkdir(a, rootRow(), 'D')
    const [directory] = a.tree.takeUpdates()
    const f = create(a, d, 'f')
    const [file] = a.tree.takeUpdates()
    if (directory === undefined || file === undefined) throw new Error('nothing was written')
    const id = f.nodes[0]?.id as NodeId
    b.tree.apply(file.doc, file.update)
    expect(b.tree.isPending(id)).to.equal(true)
    expect(b.tree.entriesOf(id)).to.deep.equal([])
    b.tree.takeChanges()
    b.tree.apply(directory.doc, directory.update)
    expect(b.tree.isPending(id)).to.equal(false)
    expect(brief(b.tree)).to.equal('/D/ /D/f=f')
    const { directories, nodes } = b.tree.takeChanges()
    expect(directories).to.include(d.nodes[0]?.id).and.to.include(ROOT_NODE)
    expect(nodes).to.include(id)
    expectFull(b)
  })

  it('tells of a directory that parts from the one it was merged with', () => {
    const [a] = both()
    const first = mkdir(a, rootRow(), 'P')
    const second = mkdir(a, rootRow(), 'Q')
    const [low, high] = [first, second].sort((x, y) => compareText(idOf(x), idOf(y))) as [Row, Row]
    create(a, high, 'f')
    a.tree.move(high, rootRow(), low.name)
    expect(a.tree.primaryOf(idOf(high))).to.equal(idOf(low))
    a.tree.takeChanges()
    a.tree.move(high, rootRow(), 'out')
    expect(brief(a.tree)).to.equal(`/${low.name}/ /out/ /out/f=f`)
    expect(a.tree.takeChanges().directories).to.include(idOf(high)).and.to.include(idOf(low))
  })

  it('merges and splits directories of one name, deep below too', () => {
    const [a, b] = both()
    for (const x of [a, b]) {
      const top = mkdir(x, rootRow(), x === a ? 'P' : 'Q')
      const inner = mkdir(x, mkdir(x, top, 'i'), 'j')
      create(x, inner, x === a ? 'fa' : 'fb')
    }
    exchange(a.tree, b.tree)
    catchUp(a)
    a.tree.move(rowAt(a.rows, 'Q'), rootRow(), 'P')
    expect(brief(a.tree)).to.equal('/P/ /P/i/ /P/i/j/ /P/i/j/fa=fa /P/i/j/fb=fb')
    expectFull(a)
    pull(a.tree, b.tree)
    catchUp(b)
    const q = b.tree.entries(ROOT_NODE)[0]
    expect(q?.nodes.length).to.equal(2)
    const merged = b.tree.entriesOf(q?.nodes[1] as NodeId)[0]
    expect(merged).to.deep.equal(q)
    expect(b.tree.primaryOf(q?.nodes[1] as NodeId)).to.equal(q?.nodes[0])
    const row = rowAt(b.rows, 'P/i/j')
    b.tree.move({ ...row, nodes: row.nodes.slice(0, 1) }, rootRow(), 'out')
    expectFull(b)
    expect([...paths(b.tree).keys()])
      .to.include('/P/i/j')
      .and.to.include('/out')
    exchange(a.tree, b.tree)
    expect(render(a.tree)).to.equal(render(b.tree))
  })

  it('begins to fold names when a device that must joins, and never stops', () => {
    const [a, b] = both()
    create(a, rootRow(), 'readme', 'r1')
    create(a, rootRow(), 'README', 'r2')
    mkdir(a, rootRow(), 'src')
    create(a, mkdir(a, rootRow(), 'SRC'), 'x')
    expect(a.tree.entries(ROOT_NODE).length).to.equal(4)
    const c = device(3, { foldsCase: true })
    exchange(a.tree, c.tree)
    exchange(a.tree, b.tree)
    for (const x of [a, b, c]) expect(x.tree.entries(ROOT_NODE).length).to.equal(3)
    expect(render(a.tree)).to.equal(render(c.tree))
    expectFull(a, b, c)
    const again = device(1, { stored: snapshots(a.tree) })
    expect(render(again.tree)).to.equal(render(a.tree))
  })

  it('holds names of 255 bytes apart when they clash', () => {
    const [a, b] = both()
    const long = `${'\u00e9'.repeat(125)}.txt`
    create(a, rootRow(), long, 'one')
    create(b, rootRow(), long, 'two')
    mkdir(b, rootRow(), 'x')
    exchange(a.tree, b.tree)
    const names = a.tree.entries(ROOT_NODE).map(e => e.name)
    expect(new Set(names).size).to.equal(3)
    for (const name of names) expect(Buffer.byteLength(name)).to.be.at.most(255)
  })

  it('entriesOf tells the winner and its copies, refsOf what a row must say', () => {
    const [a, b] = both()
    const f = create(a, rootRow(), 'f.txt', 'base')
    exchange(a.tree, b.tree)
    catchUp(b)
    a.tree.edit(f, facts('mine'), statOf(inode++))
    b.tree.edit(rowAt(b.rows, 'f.txt'), facts('yours'), statOf(inode++))
    exchange(a.tree, b.tree)
    const [winner, copy, ...none] = a.tree.entriesOf(f.nodes[0]?.id as NodeId)
    if (winner === undefined || copy === undefined) throw new Error('no copy')
    expect(none).to.deep.equal([])
    expect([winner.copy, copy.copy]).to.deep.equal([false, true])
    expect([winner, copy].map(e => textOf(e.facts.content))).to.deep.equal(['yours', 'mine'])
    expect(copy.name).to.match(/^f \(conflict 1970-01-01 00-00-\d\d dev1\)\.txt$/)
    expect(a.tree.refsOf(copy)[0]?.versions.map(v => v.dot)).to.deep.equal(copy.dots)
  })

  it('digests: equal for equal documents, other after any change, and a state vector tells what is missing', () => {
    const [a, b] = both()
    const empty = a.tree.digest()
    expect(b.tree.digest()).to.equal(empty)
    const f = create(a, rootRow(), 'f')
    expect(a.tree.digest()).to.not.equal(empty)
    const before = a.tree.digest()
    a.tree.remove([f])
    expect(a.tree.digest()).to.not.equal(before)
    exchange(a.tree, b.tree)
    expect(b.tree.digest()).to.equal(a.tree.digest())
    for (const digest of b.tree.digests().values()) expect(digest.length).to.equal(32)
    expect(a.tree.missing(DIRECTORIES_DOC, Uint8Array.of(255)).length).to.be.greaterThan(2)
  })

  it('a home restored from an old copy and written to has other digests at equal state vectors', () => {
    const a = device(1)
    const old = snapshots(a.tree)
    create(a, rootRow(), 'one')
    const restored = device(1, { stored: old })
    create(restored, rootRow(), 'two')
    const doc = 0 as Parameters<SharedTree['stateVector']>[0]
    expect(restored.tree.stateVector(doc)).to.deep.equal(a.tree.stateVector(doc))
    expect(restored.tree.digests().get(doc)).to.not.deep.equal(a.tree.digests().get(doc))
  })

  it('sequence numbers stay under the ceiling, above what was stored, and above what they build on', () => {
    const a = device(1, { seqCeiling: 5_000_000 })
    const row = create(a, rootRow(), 'f')
    const seq = row.nodes[0]?.versions[0]?.dot.seq ?? 0
    expect(seq).to.be.greaterThan(5_000_000)
    expect(a.tree.seqCeiling).to.be.greaterThan(seq)
    expect(a.tree.needsCeiling()).to.equal(a.tree.seqCeiling)
    expect(a.tree.needsCeiling()).to.equal(null)
    const again = device(1, { stored: snapshots(a.tree) })
    expect(create(again, rootRow(), 'g').nodes[0]?.versions[0]?.dot.seq).to.be.greaterThan(seq)
  })

  it('tells whose writes came that were not known, also those that are superseded already, and each once', () => {
    const [a, b] = both()
    const c = device(3)
    const f = create(a, rootRow(), 'f')
    exchange(a.tree, b.tree)
    exchange(b.tree, c.tree)
    for (const { tree } of [a, b, c]) tree.takeWriters()
    a.tree.edit(a.tree.edit(f, facts('1'), statOf(inode++)), facts('2'), statOf(inode++))
    exchange(a.tree, b.tree)
    expect(b.tree.takeWriters()).to.deep.equal([actorOf(1)])
    expect(b.tree.takeWriters()).to.deep.equal([])
    expect(a.tree.takeWriters(), 'own writes that come back are known').not.to.include(actorOf(1))
    exchange(b.tree, c.tree)
    expect([...c.tree.takeWriters()].sort()).to.deep.equal([actorOf(1)])
  })

  it('deleting and creating again keeps the file, and a dead directory lives again', () => {
    const [a, b] = both()
    const d = mkdir(a, rootRow(), 'D')
    const f = create(a, d, 'f', 'old')
    a.tree.remove([f, d])
    expect(brief(a.tree)).to.equal('')
    create(a, mkdir(a, rootRow(), 'D'), 'f', 'new')
    expect(brief(a.tree)).to.equal('/D/ /D/f=new')
    exchange(a.tree, b.tree)
    expectFull(a, b)
    expect(b.tree.node(d.nodes[0]?.id as NodeId)?.birth.generation).to.equal(0)
  })

  it('a record remembers the latest thousand incarnations that wrote it, and never more than its format holds', () => {
    const a = device(1)
    create(a, rootRow(), 'f', 'old')
    const id = rowAt(a.rows, 'f').nodes[0]?.id as NodeId
    const node = a.tree.node(id)
    if (node === undefined) throw new Error('no node')
    // As after four thousand starts, each followed by an edit: what the format just holds.
    const context = new Map(node.context)
    for (let n = 0; n < 4_095; n++) context.set((1_000_000 + n) as ActorId, 500 + ((n * 11) % 4_095))
    const stored = snapshots(a.tree).map(({ doc, update }) => {
      const y = new Y.Doc()
      Y.applyUpdate(y, update)
      const records = y.getArray<string>('n')
      const at = records.toArray().indexOf(encodeNode(node))
      if (at >= 0) {
        records.delete(at, 1)
        records.insert(at, [encodeNode({ ...node, context })])
      }
      return { doc, update: Y.encodeStateAsUpdate(y) }
    })
    const b = device(2, { stored })
    const c = device(3, { stored })
    catchUp(b)
    expect(b.tree.node(id)?.context.size).to.equal(4_096)
    b.tree.edit(rowAt(b.rows, 'f'), facts('new'), statOf(inode++))
    const after = b.tree.node(id)
    expect(after?.context.size).to.equal(1_024)
    const [version] = after?.versions ?? []
    expect(after?.context.get(actorOf(2))).to.equal(version?.dot.seq)
    // The latest of those before.
    const kept = [...(after?.context ?? [])].filter(([actor]) => actor >= 1_000_000 && actor < 2_000_000)
    expect(kept).to.have.length(1_023)
    expect(Math.min(...kept.map(([, seq]) => seq))).to.equal(500 + 4_095 - 1_023)
    // Others take it, it loads, and it is shorter than a quarter of what a record may be.
    pull(b.tree, c.tree)
    expect(brief(c.tree)).to.equal('/f=new')
    expectFull(b, c)
    expect(device(4, { stored: snapshots(b.tree) }).tree.node(id)).to.deep.equal(after)
    if (after !== undefined) expect(encodeNode(after).length).to.be.below(16 * 1024)
    // Who comes back with an older record of it brings nothing back that was superseded since.
    catchUp(c)
    c.tree.edit(rowAt(c.rows, 'f'), facts('newer'), statOf(inode++))
    exchange(b.tree, c.tree)
    expect(brief(b.tree)).to.equal('/f=newer')
  })

  it('illegal names are refused before anything is written', () => {
    const a = device(1)
    const before = a.tree.digest()
    expect(() => create(a, rootRow(), '.Kith')).to.throw(/cannot be shared/)
    expect(() => create(a, rootRow(), 'a/b')).to.throw(/cannot be shared/)
    expect(a.tree.digest()).to.equal(before)
  })

  it('an edit in a folder of 30,000 files does not walk it, a rename of their directory is one record', function () {
    this.timeout(60_000)
    const a = device(1)
    const d = mkdir(a, rootRow(), 'D')
    for (let n = 0; n < 30_000; n++) create(a, d, `file ${n}.txt`)
    a.tree.takeUpdates()
    a.tree.edit(rowAt(a.rows, 'D/file 1.txt'), facts('first'), statOf(inode++))
    const start = performance.now()
    for (let n = 0; n < 300; n++) a.tree.edit(rowAt(a.rows, `D/file ${n * 7}.txt`), facts(`edit ${n}`), statOf(inode++))
    const perEditMs = (performance.now() - start) / 300
    expect(perEditMs, 'ms an edit').to.be.lessThan(5)
    a.tree.takeUpdates()
    a.tree.move(rowAt(a.rows, 'D'), rootRow(), 'E')
    const updates = a.tree.takeUpdates()
    expect(updates.map(u => u.doc)).to.deep.equal([DIRECTORIES_DOC])
    expect(updates[0]?.update.length).to.be.lessThan(400)
    expect(a.tree.entries(d.nodes[0]?.id as NodeId).length).to.equal(30_000)
  })
})
