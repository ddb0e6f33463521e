// What a million edits leave behind: `npm run bench:growth -- [ROUNDS] [FILES] [SCENARIO]`. Whole replicas (documents, rows, log, the
// engine's own compaction) on a store in memory; every round edits every file once. Prints, for each way of editing, what is stored,
// what is in memory, and what a start and one more edit cost. Not part of the tests.
import * as Y from 'yjs'
import type { Entry, Facts } from '../../src/core/entry.ts'
import type { ContentId, DeviceId, DocId, FolderId, NodeId, RowId } from '../../src/core/ids.ts'
import { DOC_COUNT, NO_CONTENT, ROOT_NODE, ROOT_ROW } from '../../src/core/ids.ts'
import type { DocUpdate, Stat } from '../../src/core/ports.ts'
import type { Row } from '../../src/core/rows.ts'
import { Replica } from '../../src/sync/replica.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { type Random, seeded } from '../support/random.ts'

const ROUNDS = Number(process.argv[2] ?? 1_000)
const FILES = Number(process.argv[3] ?? 1_000)
const ONLY = process.argv[4]
const FILES_A_DIRECTORY = 25
/** As the publisher commits. */
const PIECE_FILES = 500
const RESTART_EVERY = 50
const ROUND_MS = 60_000
const FOLDER = 'f0'.repeat(16) as FolderId
const STAT: Stat = { dev: 1, ino: 0, birthUs: 0, size: 0, mtimeUs: 0, ctimeUs: 0, mode: 0o644, links: 1 }

let wall = Date.UTC(2026, 0, 5)
let written = 0
let inode = 1

function facts(): Facts {
  const content = `\x01${String(++written).padStart(32, '.')}` as ContentId
  return { content, size: 1_000, mtime: wall, mode: 0o644 }
}

class Device {
  readonly #name: string
  readonly #random: Random
  #store = new MemoryStore(FOLDER)
  #replica: Replica | null = null
  #outbox: DocUpdate[] = []

  constructor(name: string) {
    this.#name = name
    this.#random = seeded(name)
  }

  get replica(): Replica {
    if (this.#replica === null) throw new Error('not loaded')
    return this.#replica
  }

  /** A start of the daemon: what is stored, under a new actor. */
  async start(): Promise<void> {
    this.#replica = null
    this.#store = this.#store.crash()
    this.#replica = await Replica.load(
      {
        journal: { adjust: entries => entries, stored: async () => undefined, loaded: () => undefined, ahead: null },
        store: this.#store,
        now: () => wall,
        random: this.#random,
        emit: () => undefined,
        announce: (updates, from) => {
          if (from === null) this.#outbox.push(...updates)
        },
        onBroken: error => {
          throw error
        },
        onRolledBack: () => undefined,
      },
      {
        folder: FOLDER,
        device: this.#name as DeviceId,
        deviceName: this.#name,
        foldsCase: false,
        pull: false,
        rejoin: false,
      },
    )
  }

  async send(to: Device): Promise<void> {
    const updates = this.#outbox
    this.#outbox = []
    const { gaps, refused } = await to.replica.receive(updates, this.#name as DeviceId)
    if (gaps.length > 0 || refused !== null) throw new Error(`not taken: ${gaps.join()} ${refused}`)
  }

  files(): Row[] {
    return [...this.replica.rows.all()].filter(row => row.kind === 'file' && !row.copy)
  }

  async create(files: number): Promise<void> {
    const { rows, tree } = this.replica
    let directory = rows.get(ROOT_ROW)
    for (let at = 0; at < files; at++) {
      const root = rows.get(ROOT_ROW)
      if (root !== undefined && at % FILES_A_DIRECTORY === 0)
        directory = tree.create(root, `directory ${at}`, 'directory', { ...facts(), content: NO_CONTENT }, stat())
      if (directory !== undefined) tree.create(directory, `file ${at}.txt`, 'file', facts(), stat())
    }
    await this.replica.commit({})
  }

  async editAll(which: (at: number) => boolean = () => true): Promise<void> {
    const rows = this.files().filter((_, at) => which(at))
    for (const [at, row] of rows.entries()) {
      this.replica.tree.edit(row, facts(), stat())
      if (at % PIECE_FILES === PIECE_FILES - 1) await this.replica.commit({})
    }
    await this.replica.commit({})
  }

  /** The disk comes to show what the tree shows. */
  show(): void {
    const { tree, rows } = this.replica
    const { nodes, directories } = tree.takeChanges()
    const all = [...new Set([...directories, ...nodes])].flatMap(node => tree.entriesOf(node))
    for (const entry of all) if (entry.kind === 'directory') this.#showDirectory(entry)
    for (const node of nodes) if (tree.node(node)?.kind !== 'directory') this.#showFile(node)
    for (const row of [...rows.all()])
      if (row.kind === 'file' && tree.node(row.nodes[0]?.id ?? ROOT_NODE) === undefined) rows.delete(row.id)
  }

  #showDirectory(entry: Entry): void {
    const { tree, rows } = this.replica
    const [node] = entry.nodes
    if (node === undefined || node === ROOT_NODE || rows.byNode(node).length > 0) return
    rows.put({ ...this.#rowOf(entry, rows.allocate()), nodes: tree.refsOf(entry) })
  }

  #showFile(node: NodeId): void {
    const { tree, rows } = this.replica
    const free = new Set(rows.byNode(node))
    for (const entry of tree.entriesOf(node)) {
      const row = [...free].find(r => r.copy === entry.copy)
      if (row !== undefined) free.delete(row)
      rows.put(this.#rowOf(entry, row?.id ?? rows.allocate()))
    }
    for (const row of free) rows.delete(row.id)
  }

  #rowOf(entry: Entry, id: RowId): Row {
    const { tree, rows } = this.replica
    const parent = entry.directory === ROOT_NODE ? ROOT_ROW : (rows.byNode(entry.directory)[0]?.id ?? ROOT_ROW)
    const { name, kind, copy } = entry
    return { ...entry.facts, id, parent, name, kind, copy, stat: stat(), nodes: tree.refsOf(entry) }
  }

  /** Of what was edited on both sides half is merged, of half a person keeps one and drops the copy. */
  async mergeSome(): Promise<void> {
    const { tree } = this.replica
    for (const [at, row] of this.files().entries()) {
      const node = row.nodes[0]?.id
      const siblings = node === undefined ? [] : tree.siblings(node)
      if (node === undefined || siblings.length < 2 || at % 2 === 1) continue
      tree.merge(
        node,
        siblings.flatMap(group => group.versions.map(v => v.dot)),
        facts(),
      )
    }
    await this.replica.commit({})
  }

  async resolveRest(): Promise<void> {
    const { tree, rows } = this.replica
    const copies = [...rows.copies()]
    // First the copies: an edit beside one would settle it, as a file of its own.
    tree.remove(copies)
    for (const copy of copies) {
      const winner = rows.byNode(copy.nodes[0]?.id ?? ROOT_NODE)[0]
      if (winner !== undefined) tree.edit(winner, facts(), stat())
    }
    await this.replica.commit({})
  }

  async figures(): Promise<string[]> {
    const { tree } = this.replica
    const snapshots = Array.from({ length: DOC_COUNT }, (_, doc) => tree.snapshot(doc as DocId))
    const decoded = snapshots.map(update => Y.decodeUpdate(update))
    const clients = new Set(decoded.flatMap(one => one.structs.map(struct => struct.id.client)))
    const records = decoded.flatMap(one => one.structs.flatMap(recordsIn))
    const vectors = Array.from({ length: DOC_COUNT }, (_, doc) => tree.stateVector(doc as DocId))
    let stored = 0
    for await (const { update } of this.#store.loadDocs()) stored += update.byteLength
    const [row] = this.files()
    if (row !== undefined) tree.edit(row, facts(), stat())
    const update = tree.takeUpdates().reduce((sum, one) => sum + one.update.byteLength, 0)
    const rows = sizeOf(records)
    return [
      kb(sum(snapshots)),
      kb(stored),
      String(records.length),
      String(decoded.reduce((count, one) => count + one.structs.length, 0)),
      String(clients.size),
      String(Math.round(rows / Math.max(1, records.length))),
      kb(Math.max(...vectors.map(vector => vector.byteLength))),
      String(update),
      ...(await this.#loading()),
    ]
  }

  async #loading(): Promise<string[]> {
    this.#replica = null
    globalThis.gc?.()
    const before = process.memoryUsage().heapUsed
    const started = performance.now()
    await this.start()
    const took = performance.now() - started
    globalThis.gc?.()
    return [took.toFixed(0), ((process.memoryUsage().heapUsed - before) / 2 ** 20).toFixed(1)]
  }
}

function stat(): Stat {
  return { ...STAT, ino: ++inode }
}

function recordsIn(struct: Y.Item | Y.GC | Y.Skip): string[] {
  return struct instanceof Y.Item && struct.content instanceof Y.ContentAny ? (struct.content.arr as string[]) : []
}

function sizeOf(records: readonly string[]): number {
  return records.reduce((size, record) => size + record.length, 0)
}

function sum(parts: readonly Uint8Array[]): number {
  return parts.reduce((size, part) => size + part.byteLength, 0)
}

function kb(bytes: number): string {
  return (bytes / 1000).toFixed(bytes < 10_000 ? 1 : 0)
}

async function pair(): Promise<[Device, Device]> {
  const a = new Device('anna')
  const b = new Device('bert')
  await a.start()
  await b.start()
  await b.send(a)
  await a.create(FILES)
  await a.send(b)
  for (const device of [a, b]) device.show()
  return [a, b]
}

async function oneDevice(restartEvery: number): Promise<Device> {
  const device = new Device('anna')
  await device.start()
  await device.create(FILES)
  for (let round = 1; round <= ROUNDS; round++) {
    wall += ROUND_MS
    await device.editAll()
    await device.replica.compact()
    if (round % restartEvery === 0) await device.start()
  }
  return device
}

async function turns(restartEvery: number): Promise<Device> {
  const devices = await pair()
  for (let round = 1; round <= ROUNDS; round++) {
    wall += ROUND_MS
    const [one, other] = round % 2 === 0 ? devices : [devices[1], devices[0]]
    await one.editAll()
    await one.send(other)
    other.show()
    await other.replica.commit({})
    for (const device of devices) await device.replica.compact()
    if (round % restartEvery !== 0) continue
    for (const [at, device] of devices.entries()) {
      await device.start()
      await device.send(devices[1 - at] ?? device)
    }
  }
  return devices[0]
}

async function concurrent(): Promise<Device> {
  const [a, b] = await pair()
  const meet = async (): Promise<void> => {
    await a.send(b)
    await b.send(a)
  }
  for (let round = 1; round <= ROUNDS; round++) {
    wall += ROUND_MS
    // Half of the files on both sides at once, half on one side.
    await a.editAll()
    await b.editAll(at => (at + round) % 2 === 0)
    await meet()
    await a.mergeSome()
    await meet()
    for (const device of [a, b]) device.show()
    await a.resolveRest()
    await meet()
    for (const device of [a, b]) {
      device.show()
      await device.replica.commit({})
      await device.replica.compact()
    }
  }
  return a
}

const NEVER = Number.POSITIVE_INFINITY
const SCENARIOS: readonly (readonly [string, () => Promise<Device>])[] = [
  ['one device', () => oneDevice(NEVER)],
  ['two in turns', () => turns(NEVER)],
  ['half at once, resolved', concurrent],
  [`in turns, restarts every ${RESTART_EVERY}`, () => turns(RESTART_EVERY)],
  ['one device, restarts every round', () => oneDevice(1)],
]

console.log(`${FILES} files, ${ROUNDS} edits each`)
console.log(
  '| | snapshots KB | stored KB | records | structs | clients | bytes/record | state vector KB | one update B | load ms | heap MB | s |',
)
console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |')
for (const [name, run] of SCENARIOS) {
  if (ONLY !== undefined && !name.startsWith(ONLY)) continue
  const started = performance.now()
  const device = await run()
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  console.log(`| ${name} | ${(await device.figures()).join(' | ')} | ${seconds} |`)
}
