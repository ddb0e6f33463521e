// Which part of what is told of a node is of the file that is asked for.
import { expect } from 'chai'
import type { ContentId, DeviceId, NodeId } from '../../src/core/ids.ts'
import type { JournalAction, JournalEntry } from '../../src/core/past.ts'
import { strandOf, type ToldVersion } from '../../src/sync/strand.ts'

const COPY = 'd/f (conflict 2026-01-05 12-00-05 anna-v94w).txt'
const FILE = 'd/f.txt'

/** `action path content`, with `<from` of a move; newest first. */
function told(...lines: readonly (readonly [JournalAction, string, string, { from?: string; node?: string }?])[]) {
  return lines.map(([action, path, content, { from, node = 'n' } = {}], at): ToldVersion => {
    const facts = { content: content as ContentId, size: 1, mtime: 0, mode: 0o644 }
    const was = from === undefined ? (action === 'created' ? null : { path, facts }) : { path: from, facts }
    const entry: JournalEntry = {
      time: 100 - at,
      device: 'device' as DeviceId,
      action,
      node: node as NodeId,
      kind: 'file',
      path,
      facts,
      was,
    }
    return { id: String(at), entry }
  })
}

function ids(versions: readonly ToldVersion[], path: string, stands: string | null, node = 'n'): string {
  const spot = { path, stands: stands === null ? null : { nodes: [node as NodeId], content: stands as ContentId } }
  return strandOf(versions, spot, name => name)
    .map(({ id }) => id)
    .join('')
}

describe('sync/strand', () => {
  it('a file that never was in conflict is told whole, whatever its name', () => {
    const plain = told(['edited', FILE, 'b'], ['moved', FILE, 'a', { from: 'g' }], ['created', 'g', 'a'])
    expect(ids(plain, FILE, 'b')).to.equal('012')
    expect(ids(plain, 'g', null)).to.equal('012')
    const named = told(['edited', COPY, 'b'], ['created', COPY, 'a'])
    expect(ids(named, COPY, 'b')).to.equal('01')
    const renamed = told(['edited', 'g', 'b'], ['moved', 'g', 'a', { from: COPY }], ['created', COPY, 'a'])
    expect(ids(renamed, 'g', 'b')).to.equal('012')
  })

  it('a winner and its copy are two, told by each device in its own way', () => {
    const both = told(
      ['moved', COPY, 'b', { from: FILE }],
      ['created', COPY, 'b'],
      ['edited', FILE, 'c'],
      ['edited', FILE, 'b'],
      ['created', FILE, 'a'],
    )
    expect(ids(both, FILE, 'c')).to.equal('234')
    expect(ids(both, COPY, 'b')).to.equal('134')
  })

  it('a copy that is gone is told by what it was', () => {
    const gone = told(
      ['deleted', COPY, 'b'],
      ['created', COPY, 'b'],
      ['edited', FILE, 'c'],
      ['edited', FILE, 'b'],
      ['created', FILE, 'a'],
    )
    expect(ids(gone, FILE, 'c')).to.equal('234')
    expect(ids(gone, COPY, null)).to.equal('0134')
  })

  it('what stands comes first though a clock says otherwise', () => {
    const ahead = told(['deleted', FILE, 'c'], ['moved', FILE, 'b', { from: COPY }], ['edited', FILE, 'c'])
    expect(ids(ahead, FILE, 'b')).to.equal('102')
    expect(ids(ahead, FILE, null)).to.equal('012')
  })
})
