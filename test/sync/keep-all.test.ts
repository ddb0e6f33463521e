// What a backup device keeps at once, and what it leaves for a quiet moment.
import { expect } from 'chai'
import type { ContentId } from '../../src/core/ids.ts'
import { ROOT_ROW } from '../../src/core/ids.ts'
import type { FolderDisk } from '../../src/core/ports.ts'
import { RowTable } from '../../src/core/rows.ts'
import { KeepAll } from '../../src/sync/keep-all.ts'
import { silentLog } from '../p2p/loopback.ts'
import { fileRow } from '../store/samples.ts'
import { seeded } from '../support/random.ts'

const signal = new AbortController().signal

describe('sync/keep-all', () => {
  const rows = new RowTable()
  const row = (name: string, size: number) => {
    const made = { ...fileRow(seeded(name), rows.allocate()), parent: ROOT_ROW, name, size }
    rows.put(made)
    return made
  }
  rows.put({ ...fileRow(seeded('root'), 1), id: ROOT_ROW, parent: ROOT_ROW, name: '', kind: 'directory' })
  const small = row('small', 1)
  const large = row('large', 65 * 1024 * 1024)
  let kept: ContentId[]
  let missed: number
  let isFull: boolean

  const keepAll = (): KeepAll => {
    kept = []
    missed = 0
    isFull = false
    const versions = {
      keep: async (_path: string, _stat: unknown, content: ContentId) => {
        if (isFull) throw new Error('no space')
        kept.push(content)
        return true
      },
    }
    const disk = { hasVersion: (content: ContentId) => kept.includes(content), versions } as unknown as FolderDisk
    return new KeepAll({ rows: () => rows, disk, isOn: () => true, onMissed: () => missed++, log: silentLog })
  }

  it('a large file does not hold up the folder: it is kept in a quiet moment', async () => {
    const all = keepAll()
    await all.keep(['small', 'large'], { signal })
    expect(kept).to.deep.equal([small.content])
    expect(missed).to.equal(1)
    while (await all.catchUp({ signal }));
    expect(kept).to.include.members([small.content, large.content])
  })

  it('what could not be kept is caught up with', async () => {
    const all = keepAll()
    isFull = true
    await all.keep(['small'], { signal })
    expect(missed).to.equal(1)
    isFull = false
    while (await all.catchUp({ signal }));
    expect(kept).to.include(small.content)
  })
})
