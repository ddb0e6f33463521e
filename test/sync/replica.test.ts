// A replica: what peers are told when, and what folding a log does over a long life.
import { expect } from 'chai'
import type { Facts } from '../../src/core/entry.ts'
import type { ContentId, DeviceId, DocId, FolderId } from '../../src/core/ids.ts'
import { DIRECTORIES_DOC, DOC_COUNT, NO_CONTENT, ROOT_ROW } from '../../src/core/ids.ts'
import type { DocUpdate, Stat } from '../../src/core/ports.ts'
import type { Row } from '../../src/core/rows.ts'
import { Replica } from '../../src/sync/replica.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { seeded } from '../support/random.ts'

const FOLDER = 'f0'.repeat(16) as FolderId
/** Root's id begins with a zero byte. */
const FILES_OF_ROOT = 0 as DocId
const STAT: Stat = { dev: 1, ino: 7, birthUs: 7, size: 0, mtimeUs: 0, ctimeUs: 0, mode: 0o644, links: 1 }

let count = 0
let wall = Date.UTC(2026, 0, 5)

function facts(): Facts {
  return { content: `\x01${String(++count).padStart(32, '.')}` as ContentId, size: 1, mtime: 1, mode: 0o644 }
}

class Device {
  readonly name: string
  readonly sent: DocUpdate[] = []
  store = new MemoryStore(FOLDER)
  #replica: Replica | null = null
  readonly #random

  constructor(name: string) {
    this.name = name
    this.#random = seeded(name)
  }

  get replica(): Replica {
    if (this.#replica === null) throw new Error('not started')
    return this.#replica
  }

  async start(): Promise<this> {
    this.store = this.store.crash()
    this.#replica = await Replica.load(
      {
        journal: { adjust: entries => entries, stored: async () => undefined, loaded: () => undefined, ahead: null },
        store: this.store,
        now: () => ++wall,
        random: this.#random,
        emit: () => undefined,
        announce: (updates, from) => void (from === null && this.sent.push(...updates)),
        onBroken: error => {
          throw error
        },
        onRolledBack: () => undefined,
      },
      {
        folder: FOLDER,
        device: this.name as DeviceId,
        deviceName: this.name,
        foldsCase: false,
        pull: false,
        rejoin: false,
      },
    )
    return this
  }

  async send(to: Device): Promise<void> {
    const outcome = await to.replica.receive(this.sent.splice(0), this.name as DeviceId)
    expect(outcome).to.deep.equal({ gaps: [], refused: null })
  }

  root(): Row {
    const root = this.replica.rows.get(ROOT_ROW)
    if (root === undefined) throw new Error('no root')
    return root
  }

  create(name: string): Row {
    return this.replica.tree.create(this.root(), name, 'file', facts(), STAT)
  }

  /** A row for each name that a node shows under, as when the disk has come to show it. */
  show(row: Row): Row[] {
    const { tree, rows } = this.replica
    const node = idOf(row)
    for (const old of rows.byNode(node)) rows.delete(old.id)
    for (const { name, kind, copy, facts: shown, ...entry } of tree.entriesOf(node)) {
      const nodes = tree.refsOf({ ...entry, name, kind, copy, facts: shown })
      rows.put({ ...shown, id: rows.allocate(), parent: ROOT_ROW, name, kind, copy, stat: STAT, nodes })
    }
    return rows.byNode(node)
  }

  digest(): string {
    return this.replica.tree.digest()
  }
}

function idOf(row: Row): Row['nodes'][number]['id'] {
  const [ref] = row.nodes
  if (ref === undefined) throw new Error('a row without a node')
  return ref.id
}

async function meet(a: Device, b: Device): Promise<void> {
  while (a.sent.length + b.sent.length > 0) {
    await a.send(b)
    await b.send(a)
  }
}

const logOf = (device: Device): number =>
  Math.max(...Array.from({ length: DOC_COUNT }, (_, doc) => device.store.logBytes(doc as DocId)))

/** Edits one file until its document's log is long enough to be folded. */
async function edit(device: Device, row: Row): Promise<void> {
  let at = row
  while (logOf(device) < 300 * 1024) {
    for (let n = 0; n < 50; n++) {
      at = device.replica.tree.edit(at, facts(), STAT)
      await device.replica.commit({})
    }
  }
}

describe('a replica', () => {
  it('tells a peer nothing that is not stored, and announces it when it is', async () => {
    const device = await new Device('anna').start()
    device.sent.length = 0
    const { replica, store } = device
    const lacks = (): Uint8Array | null => replica.missing(DIRECTORIES_DOC, Uint8Array.of(0))
    const before = lacks()
    expect(before?.byteLength).to.be.greaterThan(2)
    replica.tree.create(device.root(), 'd', 'directory', { ...facts(), content: NO_CONTENT }, STAT)
    expect(lacks(), 'written, not handed to the store').to.equal(null)
    const commit = store.commit.bind(store)
    let release: () => void = () => undefined
    const slow = new Promise<void>(resolve => {
      release = resolve
    })
    store.commit = async batch => {
      await slow
      return commit(batch)
    }
    const committed = replica.commit({})
    await new Promise(setImmediate)
    expect(lacks(), 'on its way to the store').to.equal(null)
    expect(replica.missing(FILES_OF_ROOT, Uint8Array.of(0)), 'of another document').not.to.equal(null)
    device.create('f')
    expect(replica.missing(FILES_OF_ROOT, Uint8Array.of(0)), 'written while that is on its way').to.equal(null)
    expect(device.sent).to.deep.equal([])
    release()
    await committed
    expect(device.sent.length).to.equal(1)
    expect(replica.missing(FILES_OF_ROOT, Uint8Array.of(0)), 'not handed to the store yet').to.equal(null)
    expect(lacks()?.byteLength).to.be.greaterThan(before?.byteLength ?? 0)
  })

  it('stores nothing where nothing changed, after all that was on its way', async () => {
    const device = await new Device('anna').start()
    const { replica, store } = device
    const commit = store.commit.bind(store)
    let commits = 0
    let stored = 0
    store.commit = async batch => {
      commits++
      await new Promise(setImmediate)
      await commit(batch)
      stored++
    }
    await replica.commit({})
    await replica.commit({ journal: [], lists: [] })
    expect(commits).to.equal(0)
    device.create('f')
    void replica.commit({})
    await replica.commit({})
    expect(stored).to.equal(1)
    await replica.commit({ intents: [] })
    expect(stored, 'intents replace those that are stored').to.equal(2)
  })

  it('was compared at its last stop, unless something was stored since', async () => {
    const device = await new Device('anna').start()
    expect(device.replica.wasCompared, 'new').to.equal(false)
    const row = device.create('f')
    await device.replica.commit({})
    await device.replica.noteCompared()
    await device.start()
    expect(device.replica.wasCompared).to.equal(true)
    await device.start()
    expect(device.replica.wasCompared, 'that start did not end well').to.equal(false)
    await device.replica.noteCompared()
    await device.replica.commit({ journal: [] })
    await device.start()
    expect(device.replica.wasCompared, 'nothing was stored').to.equal(true)
    await device.replica.noteCompared()
    device.replica.rows.put({ ...row, mode: 0o600 })
    await device.replica.commit({})
    await device.start()
    expect(device.replica.wasCompared, 'a row was stored').to.equal(false)
    const other = await new Device('bert').start()
    other.create('g')
    await other.replica.commit({})
    await device.replica.noteCompared()
    await other.send(device)
    await device.start()
    expect(device.replica.wasCompared, 'something came').to.equal(false)
    device.create('h')
    await device.replica.noteCompared()
    await device.start()
    expect(device.replica.wasCompared, 'stored with the note').to.equal(false)
  })

  it('drops what records of one node say twice when it folds a log, on two devices at once, and comes to an end', async () => {
    const [a, b] = [await new Device('anna').start(), await new Device('bert').start()]
    await meet(a, b)
    const busy = a.create('busy')
    const mine = a.create('both')
    await a.replica.commit({})
    const yours = b.create('both')
    await b.replica.commit({})
    await meet(a, b)
    // Both delete the copy at once, and so both write the same.
    for (const [device, row] of [
      [a, mine],
      [b, yours],
    ] as const) {
      device.replica.tree.remove(device.show(row).filter(each => each.copy))
      await device.replica.commit({})
    }
    await edit(a, busy)
    await meet(a, b)
    const shown = (device: Device): string => JSON.stringify([...device.replica.tree.allEntries()])
    const before = shown(a)
    expect(shown(b)).to.equal(before)
    expect(a.digest()).to.equal(b.digest())
    for (const device of [a, b]) await device.replica.compact()
    // Each dropped the same one, unseen by the other.
    expect([a.sent.length, b.sent.length]).to.deep.equal([1, 1])
    expect(a.digest()).to.equal(b.digest())
    await meet(a, b)
    expect([shown(a), shown(b)]).to.deep.equal([before, before])
    for (const device of [a, b]) {
      expect(logOf(device)).to.be.below(20_000)
      await device.replica.compact()
      expect(device.sent).to.deep.equal([])
      expect(device.replica.tree.housekeep()).to.equal(0)
      await device.start()
      expect(shown(device)).to.equal(before)
    }
  })
})
