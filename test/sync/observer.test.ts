// Which files a start takes for not hashed well enough: nothing remembers what was about to be hashed once more when a process died.
import { expect } from 'chai'
import type { ContentId, NodeId } from '../../src/core/ids.ts'
import { ROOT_ROW } from '../../src/core/ids.ts'
import { NO_STAT, type Stat } from '../../src/core/ports.ts'
import { RowTable } from '../../src/core/rows.ts'
import { RACY_MS } from '../../src/sync/local-changes.ts'
import { Observer } from '../../src/sync/observer.ts'

const FILES = 5_000
const STEP_US = 10_000

const statOf = (ino: number, ctimeUs: number): Stat => ({ ...NO_STAT, ino, ctimeUs })

function table(times: readonly number[]): RowTable {
  const rows = new RowTable()
  times.forEach((ctimeUs, ino) => {
    const id = rows.allocate()
    rows.load({
      ...{ id, parent: ROOT_ROW, name: `${ino}`, kind: ino % 10 === 0 ? 'directory' : 'file', copy: false },
      ...{ content: `content ${ino}` as ContentId, size: 1, mtime: 0, mode: 0o644, stat: statOf(ino, ctimeUs) },
      nodes: [
        {
          id: `node ${ino}`.padEnd(16) as NodeId,
          birth: { parent: ''.padEnd(16) as NodeId, name: `${ino}`, generation: 0 },
          placement: null,
          versions: [],
        },
      ],
    })
  })
  return rows
}

function doubted(times: readonly number[], lastStored: readonly number[]): number[] {
  const observer = new Observer({
    disk: { scan: () => expect.fail('nothing is read') },
    now: () => 0,
    elapsed: () => 0,
    watch: () => null,
    lookLater: () => undefined,
  })
  observer.suspectNewest(table(times), new Set(lastStored.map(ino => `node ${ino}`.padEnd(16) as NodeId)))
  return times.flatMap((ctimeUs, ino) => (observer.isDoubted(statOf(ino, ctimeUs)) ? [ino] : []))
}

describe('what a start suspects', () => {
  const rising = Array.from({ length: FILES }, (_, at) => at * STEP_US)
  const newest = (RACY_MS * 1000) / STEP_US
  const files = (from: number, to: number): number[] =>
    Array.from({ length: to - from }, (_, at) => from + at).filter(ino => ino % 10 !== 0)

  it('are the files with the newest times, in whatever order they are, and none of the directories', () => {
    expect(doubted(rising, [])).to.deep.equal(files(FILES - newest, FILES))
    expect(doubted(rising.toReversed(), [])).to.deep.equal(files(0, newest))
    expect(
      doubted(
        Array.from(rising, () => 7),
        [],
      ),
    ).to.deep.equal(files(0, FILES))
  })

  it('and what was stored last, whatever its time', () => {
    expect(doubted(rising, [3, 10, 77])).to.deep.equal([3, 77, ...files(FILES - newest, FILES)])
    expect(doubted([], [])).to.deep.equal([])
  })
})
