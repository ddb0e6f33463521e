// The codec is canonical and total; the join is a join; how siblings are grouped does not depend on order.
import { expect } from 'chai'
import fc from 'fast-check'
import type { Node, Version } from '../../src/core/entry.ts'
import type { ActorId, ContentId, NodeId } from '../../src/core/ids.ts'
import { ROOT_NODE } from '../../src/core/ids.ts'
import { join } from '../../src/crdt/join.ts'
import { checkRecord, decodeRecord, encodeActor, encodeNode, nodeId, RecordError } from '../../src/crdt/record.ts'
import { commonBase, groupsOf, originOf } from '../../src/crdt/versions.ts'
import { content } from './support/replica.ts'

const actor = fc.constantFrom(1, 2, 3, 2 ** 52 + 9).map(n => n as ActorId)
const seq = fc.integer({ min: 1, max: 12 })
const dot = fc.record({ actor, seq })
const id = fc.constantFrom('a', 'b').map(c => c.repeat(16) as NodeId)

/** What a dot wrote is a function of the dot, as it is in life. */
function versionOf(d: { actor: ActorId; seq: number }): Version {
  const n = d.actor * 31 + d.seq * 7
  const metadataOnly = n % 3 === 0 && d.seq > 1
  return {
    dot: d,
    content: content(`c${n % 4}`),
    size: n % 1000,
    mtime: (n % 5) * 1e11 - 2e11,
    mode: n % 0o777,
    base: metadataOnly || n % 2 === 0 ? { actor: ((n % 3) + 1) as ActorId, seq: Math.max(1, d.seq - 1) } : null,
    merged: n % 11 === 0,
    metadataOnly,
    copyOf: n % 13 === 0 ? { node: ROOT_NODE, dot: d } : null,
  }
}

const birth = { parent: ROOT_NODE, name: 'na\u00efve \u{1f600}.txt', generation: 300 }
const nodes = fc
  .record({
    dots: fc.uniqueArray(dot, { maxLength: 6, selector: d => `${d.actor}.${d.seq}` }),
    seen: fc.array(dot, { maxLength: 4 }),
    placement: fc.option(
      fc.record({
        parent: id,
        name: fc.constantFrom('x', '\u00e9'),
        time: seq,
        actor,
        previousParent: id,
        previousName: fc.constant('p'),
      }),
    ),
  })
  .map(({ dots, seen, placement }): Node => {
    const context = new Map<ActorId, number>()
    for (const d of [...dots, ...seen]) context.set(d.actor, Math.max(context.get(d.actor) ?? 0, d.seq))
    const versions = dots.map(versionOf).sort((a, b) => a.dot.actor - b.dot.actor || a.dot.seq - b.dot.seq)
    return {
      id: nodeId(birth.parent, birth.name, birth.generation, 'file'),
      kind: 'file',
      birth,
      placement,
      context,
      versions,
    }
  })

describe('records', () => {
  it('come back as they were, in one encoding', () => {
    fc.assert(
      fc.property(nodes, node => {
        const text = encodeNode(node)
        const back = checkRecord(text)
        expect(back).to.deep.equal({
          type: 'node',
          node: { ...node, context: new Map([...node.context].sort((a, b) => a[0] - b[0])) },
        })
        expect(encodeNode({ ...node, versions: [...node.versions].reverse() })).to.equal(text)
      }),
    )
  })

  it('never decode to something else after damage: an error, or another record that is canonical', () => {
    fc.assert(
      fc.property(nodes, fc.nat(), fc.nat(255), (node, at, byte) => {
        const text = encodeNode(node)
        const where = at % text.length
        const damaged = text.slice(0, where) + String.fromCharCode(byte) + text.slice(where + 1)
        try {
          const back = checkRecord(damaged)
          if (back.type === 'node') expect(encodeNode(back.node)).to.equal(damaged)
        } catch (error) {
          expect(error).to.be.instanceOf(RecordError)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('short ones are refused, later formats are opaque', () => {
    const text = encodeNode({
      id: 'x' as NodeId,
      kind: 'file',
      birth,
      placement: null,
      context: new Map(),
      versions: [],
    })
    for (let length = 0; length < text.length; length++)
      expect(() => decodeRecord(text.slice(0, length))).to.throw(RecordError)
    expect(decodeRecord(`\x40${text.slice(1)}`)).to.deep.equal({ type: 'opaque' })
  })

  it('the format is frozen: ids and bytes are what they were', () => {
    const one: Node = {
      id: nodeId(ROOT_NODE, 'caf\u00e9', 1, 'symlink'),
      kind: 'symlink',
      birth: { parent: ROOT_NODE, name: 'caf\u00e9', generation: 1 },
      placement: {
        parent: ROOT_NODE,
        name: 'b',
        time: 300,
        actor: 7 as ActorId,
        previousParent: ROOT_NODE,
        previousName: 'a',
      },
      context: new Map([[7 as ActorId, 300]]),
      versions: [
        {
          dot: { actor: 7 as ActorId, seq: 299 },
          content: `\x01${'h'.repeat(32)}` as ContentId,
          size: 5,
          mtime: -3,
          mode: 0o777,
          base: { actor: 8 as ActorId, seq: 2 },
          merged: false,
          metadataOnly: true,
          copyOf: { node: ROOT_NODE, dot: { actor: 9 as ActorId, seq: 1 } },
        },
      ],
    }
    const hex = (text: string): string => Buffer.from(text, 'latin1').toString('hex')
    expect(hex(one.id)).to.equal('1eb783cbbb53143ffca826a9dba52ca1')
    expect(hex(encodeNode(one))).to.equal(
      '060000000000000000000000000000000005636166c3a901000000000000000000000000000000000162ac02070000000000000000000000000000000001610107ac020100010e210168686868686868686868686868686868686868686868686868686868686868680505ff030802000000000000000000000000000000000901',
    )
    expect(hex(encodeActor({ actor: 7 as ActorId, device: 'D' as never, label: 'lap-1', foldsCase: true }))).to.equal(
      '03070144056c61702d3101',
    )
    expect(nodeId(ROOT_NODE, 'cafe\u0301', 1, 'symlink')).to.equal(one.id)
  })
})

describe('the join', () => {
  it('is commutative, associative and idempotent', () => {
    fc.assert(
      fc.property(nodes, nodes, nodes, (a, b, c) => {
        const text = (node: Node): string => encodeNode(node)
        expect(text(join(a, b))).to.equal(text(join(b, a)))
        expect(text(join(join(a, b), c))).to.equal(text(join(a, join(b, c))))
        expect(text(join(a, a))).to.equal(text(a))
      }),
      { numRuns: 1000 },
    )
  })
})

describe('siblings', () => {
  it('each version is in exactly one group, whatever the order', () => {
    fc.assert(
      fc.property(nodes, fc.infiniteStream(fc.nat(100)), (node, rank) => {
        const groups = groupsOf(node)
        const all = groups.flatMap(group => group.versions)
        expect(all.length).to.equal(node.versions.length)
        expect(new Set(all).size).to.equal(node.versions.length)
        for (const [i, group] of groups.entries()) {
          expect(group.facts.content).to.equal(group.versions[0]?.content)
          expect(groups.findIndex(g => g.facts.content === group.facts.content)).to.equal(i)
        }
        const shuffled = node.versions
          .map(v => ({ v, r: rank.next().value }))
          .sort((a, b) => a.r - b.r)
          .map(x => x.v)
        expect(groupsOf({ versions: shuffled })).to.deep.equal(groups)
      }),
      { numRuns: 1000 },
    )
  })

  const at = (a: number, s: number, text: string, more: Partial<Version> = {}): Version => ({
    ...versionOf({ actor: 1 as ActorId, seq: 1 }),
    dot: { actor: a as ActorId, seq: s },
    content: content(text),
    mode: 0o644,
    mtime: s,
    base: null,
    merged: false,
    metadataOnly: false,
    copyOf: null,
    ...more,
  })
  const base = (a: number, s: number) => ({ base: { actor: a as ActorId, seq: s } })

  it('two chmods of different contents never lend to each other and vanish', () => {
    const m1 = at(2, 11, 'old', { ...base(1, 5), metadataOnly: true })
    const m2 = at(1, 12, 'new', { ...base(2, 7), metadataOnly: true })
    const groups = groupsOf({ versions: [m1, m2] })
    expect(groups.map(g => g.versions)).to.deep.equal([[m2, m1]])
  })

  it('a chmod names who wrote its content, not what newer ones lend to it', () => {
    const edit = at(1, 6, 'new', base(3, 5))
    const touch = at(2, 7, 'old', { ...base(3, 5), metadataOnly: true })
    const [group] = groupsOf({ versions: [touch, edit] })
    expect(group?.versions).to.deep.equal([edit, touch])
    expect(originOf(group?.versions ?? [], edit.content)).to.deep.equal(edit.dot)
    expect(originOf([touch], touch.content)).to.deep.equal(touch.base)
  })

  it('a chmod of what the edit does not build on keeps its content', () => {
    const m = at(2, 11, 'old', { ...base(1, 5), metadataOnly: true })
    const v = at(3, 12, 'new', base(4, 6))
    expect(groupsOf({ versions: [m, v] }).map(g => g.versions)).to.deep.equal([[v], [m]])
  })

  it('the common base is the last version both build on, and null where that cannot be proven', () => {
    expect(commonBase(at(1, 9, 'x', base(3, 2)), at(2, 8, 'y', base(3, 2)))).to.deep.equal({ actor: 3, seq: 2 })
    expect(commonBase(at(1, 9, 'x'), at(2, 8, 'y', base(1, 4)))).to.deep.equal({ actor: 1, seq: 4 })
    expect(commonBase(at(2, 8, 'y', base(1, 4)), at(1, 9, 'x'))).to.deep.equal({ actor: 1, seq: 4 })
    expect(commonBase(at(1, 9, 'x', base(3, 6)), at(2, 8, 'y', base(1, 4)))).to.equal(null)
    expect(commonBase(at(1, 9, 'x'), at(2, 8, 'y'))).to.equal(null)
    expect(commonBase(at(1, 9, 'x', base(3, 2)), at(2, 8, 'y', base(3, 5)))).to.equal(null)
  })
})
