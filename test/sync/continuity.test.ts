// The journal's chain over a lost database: what of the copy still stands, and what is told of it. (Whole histories: journal.test.ts.)
import { expect } from 'chai'
import type { Facts } from '../../src/core/entry.ts'
import type { DeviceId, NodeId } from '../../src/core/ids.ts'
import type { JournalEntry } from '../../src/core/past.ts'
import { Continuity } from '../../src/sync/continuity.ts'

const FACTS: Facts = { content: '' as Facts['content'], size: 0, mtime: 0, mode: 0o755 }
const BY = { time: 1, device: 'desk' as DeviceId }

/** A directory's: made at `path`, or moved there from `from`. */
function directory(node: string, path: string, from?: string): JournalEntry {
  const was = from === undefined ? null : { path: from, facts: FACTS }
  const action = was === null ? 'created' : 'moved'
  return { ...BY, action, node: node as NodeId, kind: 'directory', path, facts: FACTS, was }
}

describe('sync/continuity', () => {
  it('keeps apart two directories that met under one name and parted again', () => {
    const continuity = new Continuity()
    const history = [directory('y', 'a'), directory('x', 'c'), directory('y', 'c', 'a'), directory('y', 'a', 'c')]
    continuity.replay(history)
    expect(
      continuity.adjust([directory('x', 'c'), directory('y', 'a')]),
      'both stand as the copy has them',
    ).to.deep.equal([])
    expect(continuity.rest(BY)).to.deep.equal([])
  })

  it('tells of each of two that stand under one name and are not found again', () => {
    const continuity = new Continuity()
    continuity.replay([directory('y', 'a'), directory('x', 'c'), directory('y', 'c', 'a')])
    const gone = continuity.rest(BY)
    expect(gone.map(({ action, node, path }) => `${action} ${node} ${path}`)).to.deep.equal([
      'deleted x c',
      'deleted y c',
    ])
  })

  it('keeps a directory whose name a file took that was in it, until that goes too', () => {
    const continuity = new Continuity()
    const file: JournalEntry = { ...directory('f', 'd', 'd/f'), kind: 'file' }
    const made: JournalEntry = { ...file, action: 'created', path: 'd/f', was: null }
    const gone: JournalEntry = { ...directory('d', 'd'), action: 'deleted', was: { path: 'd', facts: FACTS } }
    continuity.replay([directory('d', 'd'), made, file, gone])
    const left = continuity.rest(BY)
    expect(left.map(({ node, kind, path }) => `${node} ${kind} ${path}`)).to.deep.equal(['f file d'])
  })
})
