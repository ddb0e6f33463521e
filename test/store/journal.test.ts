// What an older version noted: it cannot be undone, so the journal begins after it.
import { expect } from 'chai'
import type { NodeId } from '../../src/core/ids.ts'
import type { JournalEntry } from '../../src/core/past.ts'
import type { Batch } from '../../src/store/engine.ts'
import { Journal } from '../../src/store/journal.ts'
import type { Table } from '../../src/store/tables.ts'
import { journalEntry } from './samples.ts'

class MemoryTable {
  readonly pairs = new Map<string, Buffer>()

  put(_batch: unknown, key: Uint8Array, payload: Uint8Array): void {
    this.pairs.set(Buffer.from(key).toString('latin1'), Buffer.from(payload))
  }

  async get(key: Uint8Array): Promise<Buffer | undefined> {
    return this.pairs.get(Buffer.from(key).toString('latin1'))
  }

  async *entries(start: Uint8Array = Buffer.alloc(0)): AsyncIterable<{ key: Buffer; payload: Buffer }[]> {
    const begin = Buffer.from(start).toString('latin1')
    const found = [...this.pairs].filter(([key]) => key.startsWith(begin)).sort(([a], [b]) => (a < b ? 1 : -1))
    yield found.map(([key, payload]) => ({ key: Buffer.from(key, 'latin1'), payload }))
  }
}

describe('store/journal', () => {
  it('begins after what schema 2 and earlier noted', async () => {
    const [journal, nodeJournal] = [new MemoryTable(), new MemoryTable()]
    const entries = [1, 2, 3, 4].map(time => journalEntry({ time }))
    const node = entries[0]?.node as NodeId
    const tables = { journal, nodeJournal } as unknown as { journal: Table; nodeJournal: Table }
    new Journal(tables).write({} as Batch, entries, { next: 0, latest: 0 })
    for (const [at, payload] of [...journal.pairs.values()].entries()) if (at < 2) payload[0] = 1
    const read = async (filter: { node?: NodeId; since?: number }): Promise<number[]> => {
      const out: JournalEntry[] = []
      for await (const entry of new Journal(tables).read(filter)) out.push(entry)
      return out.map(({ time }) => time)
    }
    expect(await read({})).to.deep.equal([4, 3])
    expect(await read({ node })).to.deep.equal([4, 3])
    expect(await read({ since: 0 })).to.deep.equal([4, 3])
  })
})
