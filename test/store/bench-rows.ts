// What 100,000 rows cost: `node --expose-gc --import tsx test/store/bench-rows.ts [ROWS]`. Prints times of committing and loading, the
// size on the disk, and the memory that the loaded table takes. Not part of the tests.
import { spawnSync } from 'node:child_process'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { NodeId, RowId } from '../../src/core/ids.ts'
import { ROOT_NODE, ROOT_ROW } from '../../src/core/ids.ts'
import type { Row } from '../../src/core/rows.ts'
import { type Database, openDatabase } from '../../src/store/database.ts'
import { type Random, seeded } from '../support/random.ts'
import { newHome, removeHomes } from './homes.ts'
import { FOLDER, fileRow, randomBinary, rootRow, row } from './samples.ts'

const ROWS = Number(process.argv[2] ?? 100_000)
const BATCH_ROWS = 10_000
/** Every so many rows a directory. */
const DIRECTORY_ROWS = 50
const MIB = 1024 * 1024

function* rowsOf(random: Random): Iterable<Row> {
  yield rootRow()
  let directory: { id: RowId; node: NodeId } = { id: ROOT_ROW, node: ROOT_NODE }
  for (let number = 2; number <= ROWS; number++) {
    const file = fileRow(random, number, directory.id)
    const nodes = file.nodes.map(node => ({ ...node, birth: { ...node.birth, parent: directory.node } }))
    if (number % DIRECTORY_ROWS !== 0) {
      yield { ...file, nodes }
      continue
    }
    const node = randomBinary(random, 16) as NodeId
    const birth = { parent: ROOT_NODE, name: file.name, generation: 0 }
    yield { ...file, parent: ROOT_ROW, kind: 'directory', nodes: [{ id: node, birth, placement: null, versions: [] }] }
    directory = { id: row(number), node }
  }
}

async function write(database: Database): Promise<void> {
  let put: Row[] = []
  const times: number[] = []
  const flush = async (): Promise<void> => {
    const start = performance.now()
    await database.folder(FOLDER).commit({ rows: { put, deleted: [] } })
    times.push(performance.now() - start)
    put = []
  }
  for (const each of rowsOf(seeded('bench'))) if (put.push(each) === BATCH_ROWS) await flush()
  if (put.length > 0) await flush()
  console.log(`commits of ${BATCH_ROWS} rows: ${times.map(time => time.toFixed(0)).join(' ')} ms`)
}

async function load(directory: string): Promise<void> {
  const database = await openDatabase(directory)
  globalThis.gc?.()
  const before = process.memoryUsage()
  const start = performance.now()
  const table = await database.folder(FOLDER).loadRows()
  const took = performance.now() - start
  globalThis.gc?.()
  const after = process.memoryUsage()
  const heap = (after.heapUsed - before.heapUsed) / MIB
  const outside = (after.arrayBuffers - before.arrayBuffers) / MIB
  const rss = (after.rss - before.rss) / MIB
  console.log(
    `${table.size} rows loaded in ${took.toFixed(0)} ms: heap ${heap.toFixed(1)} MiB + buffers ${outside.toFixed(1)} MiB, RSS +${rss.toFixed(0)} to ${(after.rss / MIB).toFixed(0)} MiB`,
  )
  const walk = performance.now()
  let seen = 0
  for (const each of table.all()) if (table.path(each.id) !== undefined && table.child(each.parent, each.name)) seen++
  console.log(`walked ${seen} in ${(performance.now() - walk).toFixed(0)} ms`)
  await database.close()
}

const [, , , existing] = process.argv
if (existing !== undefined) await load(existing)
else {
  const directory = await newHome()
  const database = await openDatabase(directory)
  await write(database)
  await database.close()
  let bytes = 0
  for (const name of await readdir(directory)) bytes += (await stat(join(directory, name))).size
  console.log(`on the disk: ${(bytes / MIB).toFixed(1)} MiB, ${(bytes / ROWS).toFixed(0)} bytes a row`)
  // A process of its own, so that what writing left in the heap is not counted.
  const script = fileURLToPath(import.meta.url)
  spawnSync(process.execPath, ['--expose-gc', '--import', 'tsx', script, String(ROWS), directory], { stdio: 'inherit' })
  await removeHomes()
}
