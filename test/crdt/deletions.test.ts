import { expect } from 'chai'
import type { DocId, NodeId } from '../../src/core/ids.ts'
import { Deletions } from '../../src/crdt/deletions.ts'
import { deletedId } from '../../src/crdt/record.ts'

const DAY_MS = 24 * 3_600_000
const DOC = 7 as DocId

function nodeId(n: number): NodeId {
  return String.fromCharCode(n & 255, (n >> 8) & 255, n >> 16).padEnd(16, '\0') as NodeId
}

function held(client: number, clock: number) {
  return { record: '', client, clock }
}

function deletion(time: number, ...nodes: readonly number[]) {
  return { time, doc: DOC, nodes: nodes.map(n => deletedId(nodeId(n))) }
}

describe('deletions', () => {
  it('name the actor that deleted last, until the record goes', () => {
    const deletions = new Deletions()
    deletions.add(held(1, 0), deletion(10, 1, 2))
    deletions.add(held(2, 0), deletion(30, 1))
    deletions.add(held(3, 0), deletion(20, 1))
    expect(deletions.actorOf(nodeId(1))).to.equal(2)
    expect(deletions.actorOf(nodeId(2))).to.equal(1)
    deletions.remove(held(2, 0), deletion(30, 1))
    expect(deletions.actorOf(nodeId(1))).to.equal(3)
    deletions.remove(held(1, 0), deletion(10, 1, 2))
    expect(deletions.actorOf(nodeId(2))).to.equal(undefined)
  })

  it('of one document are bounded: 20,000 nodes, the newest; and 90 days', () => {
    const deletions = new Deletions()
    for (let n = 0; n < 20_000; n++) deletions.add(held(1, n), deletion(1_000 + n, n))
    expect(deletions.expired(DOC, 100_000)).to.deep.equal([])
    deletions.add(held(1, 20_000), deletion(50_000, 20_000, 20_001))
    expect(deletions.expired(DOC, 100_000).map(said => said.held.clock)).to.deep.equal([1, 0])
    expect(deletions.expired((DOC + 1) as DocId, 100_000)).to.deep.equal([])
    const old = deletions.expired(DOC, 50_000 + 90 * DAY_MS)
    expect(old).to.have.length(20_000)
    expect(old.some(said => said.held.clock === 20_000)).to.equal(false)
  })

  it('are loaded in a time that grows with their number, not with its square', () => {
    const deletions = new Deletions()
    for (let n = 0; n < 100_000; n++) deletions.add(held(1, n), deletion(n, n & 1023))
    expect(deletions.actorOf(nodeId(1023))).to.equal(1)
    for (let n = 0; n < 100_000; n += 100) deletions.remove(held(1, n), deletion(n, n & 1023))
    expect(deletions.expired(DOC, 0)).to.have.length(100_000 - 1_000 - 20_000)
  })
})
