// What the disk lacks, by content and by the directory that waits for it.
import { expect } from 'chai'
import type { ContentId, NodeId } from '../../src/core/ids.ts'
import type { Want } from '../../src/sync/plan.ts'
import { Wants } from '../../src/sync/wants.ts'

const want = (content: string, directory: string, size = 1, node = `${content} in ${directory}`): Want => ({
  content: content as ContentId,
  node: node as NodeId,
  directory: directory as NodeId,
  size,
  path: content,
  mtime: 0,
})
const dir = (name: string): NodeId => name as NodeId
const listed = (wants: Wants): string[] => [...wants.all.keys()].sort()

describe('wants', () => {
  it('are what the directories said last, and their bytes', () => {
    const wants = new Wants()
    expect(
      wants.replace([dir('D'), dir('E')], [], [want('a', 'D', 10), want('b', 'D', 5), want('a', 'E', 10)]),
    ).to.equal(true)
    expect(listed(wants)).to.deep.equal(['a', 'b'])
    expect(wants.bytes).to.equal(15)
    expect([...wants.waitingFor('a' as ContentId)].sort()).to.deep.equal(['a in D', 'a in E'])
    wants.replace([dir('D')], [], [])
    expect(listed(wants)).to.deep.equal(['a'])
    expect(wants.bytes).to.equal(10)
    wants.replace([dir('E')], [], [want('c', 'E', 2)])
    expect(listed(wants)).to.deep.equal(['c'])
    expect(wants.bytes).to.equal(2)
  })

  it('of a file that was compared by itself are what it said last', () => {
    const wants = new Wants()
    wants.replace([dir('D')], [], [want('a', 'D', 10, 'n'), want('b', 'D', 5, 'n'), want('c', 'D', 1, 'm')])
    wants.replace([], ['n' as NodeId], [want('b', 'D', 5, 'n')])
    expect(listed(wants)).to.deep.equal(['b', 'c'])
    expect(wants.bytes).to.equal(6)
    wants.replace([], ['n' as NodeId], [want('b', 'E', 5, 'n')])
    wants.replace([dir('D')], [], [])
    expect(listed(wants), 'it moved').to.deep.equal(['b'])
    expect(wants.forgetMerged({ primaryOf: id => id })).to.deep.equal([])
    wants.replace([dir('E')], [], [])
    expect(listed(wants)).to.deep.equal([])
    expect(wants.bytes).to.equal(0)
  })

  it('are news where nothing wanted them before', () => {
    const wants = new Wants()
    wants.replace([dir('D')], [], [want('a', 'D')])
    expect(wants.replace([dir('D')], [], [want('a', 'D')])).to.equal(false)
    expect(wants.replace([dir('E')], [], [want('a', 'E')])).to.equal(false)
    expect(wants.replace([dir('E')], [], [want('a', 'E'), want('b', 'E')])).to.equal(true)
  })

  it('of a directory that became part of another one are forgotten, and that one is named', () => {
    const wants = new Wants()
    wants.replace([dir('D'), dir('E'), dir('F')], [], [want('a', 'D'), want('b', 'E'), want('c', 'F')])
    const primaries: Record<string, string | undefined> = { D: 'D', E: 'D', F: undefined }
    const now = wants.forgetMerged({ primaryOf: id => primaries[id] as NodeId | undefined })
    expect(now).to.deep.equal(['D'])
    expect(listed(wants)).to.deep.equal(['a'])
  })
})
