// The gate against updates that are damaged, forged or incomplete: what passes is complete and well-formed, what does not changes
// nothing, and nothing throws.

import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import * as Y from 'yjs'
import type { Node } from '../../src/core/entry.ts'
import type { ActorId, DeviceId, DocId, NodeId } from '../../src/core/ids.ts'
import { DIRECTORIES_DOC, ROOT_NODE } from '../../src/core/ids.ts'
import { scanUpdate } from '../../src/crdt/gate.ts'
import { encodeActor, encodeNode, nodeId } from '../../src/crdt/record.ts'
import type { SharedTree } from '../../src/crdt/shared-tree.ts'
import { random } from './support/random.ts'
import {
  actorOf,
  content,
  DIRECTORY,
  exchange,
  facts,
  openTree,
  render,
  rootRow,
  rowAt,
  snapshots,
  statOf,
} from './support/replica.ts'

const FLIPS = 5000
const SEED = 4711

function pair(): { a: ReturnType<typeof openTree>; b: ReturnType<typeof openTree> } {
  let time = 1000
  const now = (): number => ++time
  const a = openTree({ number: 1, now })
  const b = openTree({ number: 2, now })
  const d = a.tree.create(rootRow(), 'D', 'directory', DIRECTORY, statOf(5))
  for (let n = 0; n < 6; n++) a.tree.create(d, `f${n}`, 'file', facts(`text${n}`), statOf(10 + n))
  exchange(a.tree, b.tree)
  a.tree.takeUpdates()
  return { a, b }
}

function state(tree: SharedTree): string {
  return `${tree.digest()}\n${render(tree)}`
}

/** An update that a foreign writer makes with plain Yjs. */
function forged(write: (doc: Y.Doc) => void, client = 99): Uint8Array {
  const doc = new Y.Doc()
  doc.clientID = client
  doc.transact(() => write(doc))
  return Y.encodeStateAsUpdate(doc)
}

const push =
  (...values: unknown[]) =>
  (doc: Y.Doc): void =>
    doc.getArray('n').push(values)

const FOREIGN = actorOf(2)
const registration = encodeActor({ actor: FOREIGN, device: 'x' as DeviceId, label: 'x', foldsCase: false })

function fileNode(name: string, parent: NodeId = ROOT_NODE): Node {
  const dot = { actor: FOREIGN, seq: 5 }
  return {
    id: nodeId(parent, name, 0, 'file'),
    kind: 'file',
    birth: { parent, name, generation: 0 },
    placement: null,
    context: new Map([[FOREIGN, 5]]),
    versions: [{ ...facts('x'), dot, base: null, merged: false, metadataOnly: false, copyOf: null }],
  }
}

describe('the gate', () => {
  it('keeps no more than some of a large update decoded, and all of it is taken', () => {
    const a = openTree({ number: 1, now: () => 1 })
    const b = openTree({ number: 2, now: () => 1 })
    const d = a.tree.create(rootRow(), 'D', 'directory', DIRECTORY, statOf(5))
    for (let n = 0; n < 5_000; n++) a.tree.create(d, `f${n}`, 'file', facts(`text${n}`), statOf(10 + n))
    const kept = snapshots(a.tree).map(({ doc, update }) => {
      const found = scanUpdate(doc, update)
      return typeof found === 'string' ? found : found.nodes.size
    })
    expect(Math.max(...kept.map(Number))).to.equal(4_096)
    exchange(a.tree, b.tree)
    expect(state(b.tree)).to.equal(state(a.tree))
  })

  it('is written for the one version of yjs that is installed', () => {
    const installed = JSON.parse(readFileSync(new URL('../../node_modules/yjs/package.json', import.meta.url), 'utf8'))
    const wanted = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    expect(installed.version).to.equal('13.6.33')
    expect(wanted.dependencies.yjs).to.equal('13.6.33')
  })

  it(`${FLIPS} damaged updates: none changes the documents unless it is well-formed and complete`, function () {
    this.timeout(60_000)
    const r = random(SEED)
    const { a, b } = pair()
    const d = rowAt(a.rows, 'D')
    a.tree.edit(rowAt(a.rows, 'D/f1'), facts('edited', { mtime: 5 }), statOf(11))
    a.tree.move(rowAt(a.rows, 'D/f2'), rootRow(), 'moved')
    a.tree.create(d, 'new', 'file', facts('new'), statOf(40))
    a.tree.remove([rowAt(a.rows, 'D/f3')])
    const honest = a.tree.takeUpdates()
    const stored = snapshots(b.tree)
    const before = state(b.tree)
    let passed = 0
    for (let n = 0; n < FLIPS; n++) {
      const { doc, update } = r.pick(honest)
      const bad = update.slice()
      for (let k = 1 + r.below(3); k > 0; k--) bad[r.below(bad.length)] = r.below(256)
      const mutated = r.chance(0.1) ? bad.slice(0, r.below(bad.length)) : bad
      const verdict = b.tree.check(doc, mutated)
      if (!verdict.ok) continue
      passed++
      // what passes must merge completely, leave nothing parked, and load again
      const other = openTree({ number: 3, now: () => 1, stored }).tree
      other.apply(doc, mutated)
      expect(typeof scanUpdate(doc, other.snapshot(doc)), `flip ${n}`).to.equal('object')
      render(other)
    }
    expect(state(b.tree), `seed ${SEED}: checking changes nothing`).to.equal(before)
    expect(passed, 'a few flips only change a name or a time').to.be.lessThan(FLIPS / 2)
    for (const { doc, update } of honest) {
      expect(b.tree.check(doc, update)).to.deep.equal({ ok: true })
      b.tree.apply(doc, update)
    }
    a.tree.apply(DIRECTORIES_DOC, b.tree.snapshot(DIRECTORIES_DOC))
    expect(b.tree.digest()).to.equal(a.tree.digest())
  })

  const refused: [string, () => Uint8Array, DocId?][] = [
    ['nothing at all', () => new Uint8Array()],
    ['another root type', () => forged(doc => doc.getArray('other').push(['x']))],
    ['a map', () => forged(doc => doc.getMap('n').set('__proto__', 'x'))],
    ['a text', () => forged(doc => doc.getText('n').insert(0, 'x'))],
    ['a nested type', () => forged(doc => doc.getArray('n').push([new Y.Array()]))],
    ['a subdocument', () => forged(doc => doc.getArray('n').push([new Y.Doc()]))],
    ['a number', () => forged(push(5))],
    ['an object', () => forged(push({ a: 1 }))],
    ['bytes', () => forged(push(new Uint8Array(3)))],
    ['a string that is no record', () => forged(push('\0hello'))],
    ['code points above 255', () => forged(push('\u0100'))],
    ['a record that is too long', () => forged(push('\0'.repeat(70_000)))],
    ['a record with bytes after it', () => forged(push(`${encodeNode(fileNode('x'))}\0`), FOREIGN)],
    ['a record of another document', () => forged(push(encodeNode(fileNode('x'))), FOREIGN), 7 as DocId],
    ['a registration for somebody else', () => forged(push(registration), 99), DIRECTORIES_DOC],
    ['a registration in a files document', () => forged(push(registration), FOREIGN)],
    ['bytes after the update', () => Uint8Array.of(0, 0, 0)],
    ['a client twice', () => Uint8Array.of(2, 0, 9, 0, 0, 9, 0, 0)],
    ['a huge length', () => Uint8Array.of(1, 1, 9, 0, 8, 1, 1, 110, 255, 255, 255, 255, 255, 255, 7)],
    ['a hundred million deletions that are not there', () => Uint8Array.of(0, 1, 9, 255, 255, 255, 127)],
  ]
  for (const [name, make, doc] of refused) {
    it(`refuses ${name}`, () => {
      const { b } = pair()
      const before = state(b.tree)
      const verdict = b.tree.check(doc ?? (0 as DocId), make())
      expect(verdict).to.include({ ok: false, gap: false })
      expect(state(b.tree)).to.equal(before)
    })
  }

  it('asks for what an update builds on: a gap, an unknown actor, a deletion of what is not here', () => {
    const { a, b } = pair()
    const stranger = forged(push(encodeNode(fileNode('x'))), 99)
    expect(b.tree.check(0 as DocId, stranger)).to.deep.equal({ ok: false, gap: true })
    expect(b.tree.check(0 as DocId, Uint8Array.of(0, 1, 9, 1, 0, 1))).to.deep.equal({ ok: false, gap: true })
    a.tree.create(rootRow(), 'one', 'file', facts('1'), statOf(50))
    a.tree.takeUpdates()
    a.tree.create(rootRow(), 'two', 'file', facts('2'), statOf(51))
    const [second] = a.tree.takeUpdates()
    if (second === undefined) throw new Error('nothing was written')
    expect(b.tree.check(second.doc, second.update)).to.deep.equal({ ok: false, gap: true })
    const whole = a.tree.missing(second.doc, b.tree.stateVector(second.doc))
    expect(b.tree.check(second.doc, whole)).to.deep.equal({ ok: true })
  })

  it('never lets a registration be deleted', () => {
    const { a, b } = pair()
    const actor = actorOf(1)
    const doc = new Y.Doc()
    Y.applyUpdate(doc, a.tree.snapshot(DIRECTORIES_DOC))
    let deletion = new Uint8Array()
    doc.on('update', (update: Uint8Array) => {
      deletion = update.slice()
    })
    doc.getArray('n').delete(0, doc.getArray('n').length)
    const verdict = b.tree.check(DIRECTORIES_DOC, deletion)
    expect(verdict).to.deep.equal({ ok: false, gap: false, reason: 'it deletes a registration' })
    expect(b.tree.actors().has(actor)).to.equal(true)
  })

  it('tells a rollback: writes of its own actor that it does not have', () => {
    const { b } = pair()
    const stored = snapshots(b.tree)
    b.tree.takeUpdates()
    b.tree.create(rootRow(), 'late', 'file', facts('late'), statOf(60))
    const [update] = b.tree.takeUpdates()
    if (update === undefined) throw new Error('nothing was written')
    const restored = openTree({ number: 2, now: () => 1, stored }).tree
    expect(restored.check(update.doc, update.update))
      .to.have.property('reason')
      .that.matches(/^rollback/)
  })

  it('keeps names that are not legal, and shows the rest of the same update', () => {
    const { b } = pair()
    const names = ['.KITH', '..', 'a/b', 'ok', '.', '.k\u0131th', '.\u212aith', 'nul\0', '.ki\u200bth']
    const records = names.map(name => encodeNode(fileNode(name)))
    const opaque = `\x80${records[3]}`
    const client = new Y.Doc()
    client.clientID = FOREIGN
    const { a } = pair()
    Y.applyUpdate(client, a.tree.snapshot(0 as DocId))
    const forgedUpdate = forged(push(...records, opaque), 55)
    const b55 = forged(
      push(encodeActor({ actor: 55 as ActorId, device: 'y' as DeviceId, label: 'y', foldsCase: false })),
      55,
    )
    expect(b.tree.check(DIRECTORIES_DOC, b55)).to.deep.equal({ ok: true })
    b.tree.apply(DIRECTORIES_DOC, b55)
    const verdict = b.tree.check(0 as DocId, forgedUpdate)
    expect(verdict).to.deep.equal({ ok: true, ignored: 8 })
    b.tree.apply(0 as DocId, forgedUpdate)
    const shown = b.tree.entries(ROOT_NODE).map(entry => entry.name)
    expect(shown.sort()).to.deep.equal(['.k\u0131th', 'D', 'ok'])
    expect(b.tree.entries(ROOT_NODE).find(e => e.name === 'ok')?.facts.content).to.equal(content('x'))
  })

  it('refuses items that wait for each other', () => {
    // client 9: item 0 with origin (8, 0); client 8: item 0 with origin (9, 0)
    const { b } = pair()
    for (const client of [8, 9]) {
      const actor = { actor: client as ActorId, device: 'z' as DeviceId, label: 'z', foldsCase: false }
      b.tree.apply(DIRECTORIES_DOC, forged(push(encodeActor(actor)), client))
    }
    const circle = Uint8Array.of(2, 1, 9, 0, 0x81, 8, 0, 1, 1, 8, 0, 0x81, 9, 0, 1, 0)
    expect(b.tree.check(0 as DocId, circle)).to.deep.equal({
      ok: false,
      gap: false,
      reason: 'its items depend on each other',
    })
  })

  it('scans an update of 20,000 records in a moment', function () {
    this.timeout(20_000)
    const records = Array.from({ length: 20_000 }, (_, n) => encodeNode(fileNode(`file ${n}`)))
    const update = forged(push(...records), FOREIGN)
    const start = performance.now()
    expect(typeof scanUpdate(0 as DocId, update)).to.equal('object')
    expect(performance.now() - start).to.be.lessThan(5000)
  })
})
