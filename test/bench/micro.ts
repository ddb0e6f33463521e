// Parts of Kith, each alone: `npm run bench -- micro`. One thread, nothing on the network; the best of several rounds, since whatever else
// the machine does only ever adds.
import { randomFillSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cutAll } from '../../src/core/chunker.ts'
import { contentOf, sha256 } from '../../src/core/content-list.ts'
import type { HashRequest } from '../../src/core/ports.ts'
import type { Row } from '../../src/core/rows.ts'
import { decodeRecord, encodeNode } from '../../src/crdt/record.ts'
import type { SharedTree } from '../../src/crdt/shared-tree.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { DIRECTORY, exchange, facts, openTree, rootRow, statOf } from '../crdt/support/replica.ts'
import { DEVICE, FOLDER, silent } from '../disk/real-person.ts'
import { writeRandomTree } from './trees.ts'

const ROUNDS = 5
const MIB = 1 << 20
const BYTES = 64 * MIB
const CHUNK_BYTES = 64 * 1024
const RECORDS = 10_000
const FILES = 5_000
const { signal } = new AbortController()

/** `work` does `count` of something each time; `fresh` makes what it needs, unmeasured. */
async function best<T>(
  what: string,
  unit: string,
  count: number,
  fresh: () => T,
  work: (given: T) => unknown,
): Promise<void> {
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const given = fresh()
    const started = performance.now()
    await work(given)
    least = Math.min(least, performance.now() - started)
  }
  const rate = Math.round((count / least) * 1000).toLocaleString('en')
  console.log(`${what.padEnd(44)} ${rate.padStart(12)} ${unit}/s  ${least.toFixed(1).padStart(8)} ms`)
}

const nothing = (): void => undefined

async function content(): Promise<void> {
  const bytes = randomFillSync(Buffer.alloc(BYTES))
  await best('chunker: cut', 'MB', BYTES / 1e6, nothing, () => cutAll(bytes))
  await best('hasher: SHA-256 of 64 KiB pieces', 'MB', BYTES / 1e6, nothing, () => {
    for (let at = 0; at < BYTES; at += CHUNK_BYTES) sha256(bytes.subarray(at, at + CHUNK_BYTES))
  })
  await best('content list: cut and hash', 'MB', BYTES / 1e6, nothing, () => contentOf(bytes))
}

async function disk(): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'kith-micro-'))
  const folder = await openFolderDisk(root, { folder: FOLDER, device: DEVICE, log: silent })
  try {
    await folder.accept()
    await folder.recover()
    mkdirSync(join(root, 'many'))
    writeRandomTree(join(root, 'many'), FILES, 4096, 50)
    let requests: HashRequest[] = []
    const scan = async (): Promise<void> => {
      requests = []
      for await (const read of folder.scan([''], { signal, recursive: true })) {
        if (!('entries' in read)) throw new Error(`cannot read ${read.path}`)
        for (const { name, kind, stat } of read.entries) {
          if (kind !== 'directory')
            requests.push({ path: read.path === '' ? name : `${read.path}/${name}`, kind, stat })
        }
      }
    }
    await best('scanner: worker', 'files', FILES, nothing, scan)
    await best('hasher: workers, files of 4 KiB', 'files', FILES, nothing, async () => {
      for await (const result of folder.hash(requests, { signal }))
        if (!result.ok) throw new Error(result.problem.message)
    })
  } finally {
    await folder.close()
    rmSync(root, { recursive: true, force: true })
  }
}

interface Replica {
  readonly tree: SharedTree
  readonly directory: Row
}

let devices = 0

/** A device with RECORDS files in one directory. */
function filled(): Replica {
  const { tree } = openTree({ number: ++devices, now: () => 1000 })
  const directory = tree.create(rootRow(), 'many', 'directory', DIRECTORY, statOf(1))
  fill({ tree, directory })
  return { tree, directory }
}

function empty(): Replica {
  const { tree } = openTree({ number: ++devices, now: () => 1000 })
  return { tree, directory: tree.create(rootRow(), 'many', 'directory', DIRECTORY, statOf(1)) }
}

function fill({ tree, directory }: Replica): void {
  for (let at = 0; at < RECORDS; at++)
    tree.create(directory, `file-${at}.txt`, 'file', facts(`text ${at}`), statOf(at + 2))
}

async function tree(): Promise<void> {
  await best('tree: files created', 'files', RECORDS, empty, fill)
  const whole = filled()
  const nodes = whole.tree.allEntries()
  const records: string[] = []
  for (const entry of nodes) {
    for (const id of entry.nodes) {
      const node = whole.tree.node(id)
      if (node !== undefined) records.push(encodeNode(node))
    }
  }
  await best('record codec: decode', 'records', records.length, nothing, () =>
    records.map(record => decodeRecord(record)),
  )
  const decoded = records.map(record => decodeRecord(record))
  await best('record codec: encode', 'records', records.length, nothing, () => {
    for (const each of decoded) if (each.type === 'node') encodeNode(each.node)
  })
  await best(
    'projection: all entries of a replica',
    'entries',
    RECORDS,
    nothing,
    () => [...whole.tree.allEntries()].length,
  )
  const other = (): SharedTree => openTree({ number: ++devices, now: () => 1000 }).tree
  await best('replication: check and merge of all files', 'files', RECORDS, other, to => exchange(whole.tree, to))
}

await content()
await disk()
await tree()
