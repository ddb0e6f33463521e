// The journal and its copy, where one of them fell behind or was lost in the middle of something.
import { expect } from 'chai'
import { KithError } from '../../src/core/errors.ts'
import type { DeviceId } from '../../src/core/ids.ts'
import type { Log } from '../../src/core/log.ts'
import type { JournalEntry } from '../../src/core/past.ts'
import type { JournalCopy } from '../../src/core/ports.ts'
import { JournalKeeper } from '../../src/sync/journal-keeper.ts'
import { FOLDER, journalEntry, metaWith } from '../store/samples.ts'
import { MemoryStore } from '../support/memory-store.ts'

const waiting = { signal: new AbortController().signal }
const log: Log = { error: no, warn: no, info: no, debug: no, child: () => log }
const COUNT = 5_000

function no(): void {
  // Nothing is said.
}

class Copy implements JournalCopy {
  entries: JournalEntry[]
  full = false

  constructor(entries: readonly JournalEntry[]) {
    this.entries = [...entries]
  }

  async append(entries: readonly JournalEntry[]): Promise<void> {
    if (this.full) throw new KithError('no-space', 'as asked')
    this.entries.push(...entries)
  }

  async *read(): AsyncIterable<readonly JournalEntry[]> {
    for (let at = 0; at < this.entries.length; at += 700) yield this.entries.slice(at, at + 700)
  }
}

const entries = Array.from({ length: COUNT }, (_, at) => journalEntry({ time: at, path: `path ${at}` }))

function keeper(store: MemoryStore, journalCopy: Copy): JournalKeeper {
  return new JournalKeeper({ store, disk: { journalCopy }, log, device: 'device' as DeviceId, now: () => 0 })
}

async function stored(store: MemoryStore): Promise<number[]> {
  const out: number[] = []
  for await (const { time } of store.journal({})) out.push(time)
  return out.reverse()
}

describe('the journal and its copy', () => {
  const times = (list: readonly JournalEntry[]): number[] => list.map(({ time }) => time)

  it('a new database takes over what the copy has once, wherever that is interrupted', async () => {
    const copy = new Copy(entries)
    let store = new MemoryStore(FOLDER)
    for (let tries = 0, done = false; !done; tries++) {
      // One commit more goes through each time.
      let left = 1 + (tries % 2)
      const commit = store.commit.bind(store)
      store.commit = async batch => {
        if (left-- === 0) throw new KithError('store-failed', 'as asked')
        await commit(batch)
      }
      done = await keeper(store, copy)
        .open(waiting)
        .then(
          () => true,
          () => false,
        )
      expect(tries).to.be.lessThan(20)
      store = store.crash()
    }
    expect(await stored(store)).to.deep.equal(times(entries))
    await store.commit({ meta: metaWith(1) })
    const again = keeper(store, copy)
    await again.open(waiting)
    expect(again.unfinished).to.equal(true)
    await store.commit(again.finish())
    const later = keeper(store, copy)
    await later.open(waiting)
    expect(later.unfinished).to.equal(false)
  })

  it('what a crash kept from the copy follows at the next start', async () => {
    const store = new MemoryStore(FOLDER)
    await store.commit({ journal: entries, meta: metaWith(1) })
    for (const had of [COUNT, COUNT - 1, COUNT - 800, 0]) {
      const copy = new Copy(entries.slice(0, had))
      await keeper(store, copy).open(waiting)
      expect(times(copy.entries), `after ${had}`).to.deep.equal(times(entries))
    }
  })

  it('a copy that is ahead is left to itself, and says so once', async () => {
    const store = new MemoryStore(FOLDER)
    await store.commit({ journal: entries.slice(0, 10), meta: metaWith(1) })
    const copy = new Copy(entries.slice(0, 20))
    for (const [had, seen] of [
      [20, false],
      [20, true],
      [21, false],
    ] as const) {
      copy.entries = entries.slice(0, had)
      const one = keeper(store, copy)
      await one.open(waiting)
      expect(times(copy.entries)).to.deep.equal(times(entries.slice(0, had)))
      expect(one.ahead === null, `with ${had}`).to.equal(seen)
      if (one.ahead !== null) await store.commit(one.ahead.seen)
    }
  })

  it('knows from a copy that is ahead whether others wrote here', async () => {
    const store = new MemoryStore(FOLDER)
    const own = entries.slice(0, 20).map(entry => ({ ...entry, device: 'device' as DeviceId }))
    await store.commit({ journal: own.slice(0, 10), meta: metaWith(1) })
    const theirs = { ...(own[15] as JournalEntry), device: 'other' as DeviceId }
    for (const [copy, others] of [
      [own, false],
      [own.with(15, theirs), true],
    ] as const) {
      const one = keeper(store, new Copy(copy))
      await one.open(waiting)
      expect(one.ahead?.others).to.equal(others)
    }
  })

  it('a copy that is behind, whole or missing is not ahead', async () => {
    const store = new MemoryStore(FOLDER)
    await store.commit({ journal: entries, meta: metaWith(1) })
    for (const had of [COUNT, COUNT - 1, 1, 0]) {
      const one = keeper(store, new Copy(entries.slice(0, had)))
      await one.open(waiting)
      expect(one.ahead, `with ${had}`).to.equal(null)
    }
  })

  it('what the full disk refused follows with the next', async () => {
    const copy = new Copy([])
    const one = keeper(new MemoryStore(FOLDER), copy)
    copy.full = true
    await one.stored(entries.slice(0, 3))
    expect(copy.entries).to.have.length(0)
    copy.full = false
    await one.stored(entries.slice(3, 5))
    expect(times(copy.entries)).to.deep.equal([0, 1, 2, 3, 4])
  })
})
