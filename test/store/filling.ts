// A process on a small disk of its own that fills up, again and again: `node --import tsx filling.ts DIRECTORY`. Commits until LevelDB
// itself meets the full disk, frees it, and goes on. Prints what it saw; ends with an error where anything is not as it should be.
import assert from 'node:assert/strict'
import { rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { isKithError } from '../../src/core/errors.ts'
import type { FolderStore } from '../../src/core/ports.ts'
import { openDatabase } from '../../src/store/database.ts'
import { stateOf } from '../contract/store-contract.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { seeded } from '../support/random.ts'
import { batchOf } from './committing.ts'
import { FOLDER } from './samples.ts'

const CYCLES = 4
const HEALED_MS = 10_000

const [disk, seed] = process.argv.slice(2) as [string, string]
const random = seeded(seed)
const ballast = join(disk, 'ballast')
// Below zero: nothing is checked before, all comes from the disk.
const options = { reserveBytes: -(2 ** 40) }
let database = await openDatabase(join(disk, 'database'), options)
const oracle = new MemoryStore(FOLDER)
let next = 0

for (let cycle = 0; cycle < CYCLES; cycle++) {
  await fill()
  let code: string | null = null
  while (code === null) {
    code = await codeOf(database.folder(FOLDER))
    if (code === null) await oracle.commit(batchOf(next++))
  }
  assert.equal(code, 'no-space')
  await rm(ballast)
  const tries = await healed()
  assert.deepEqual(await stateOf(database.folder(FOLDER)), await stateOf(oracle))
  for (let count = 0; count < 50; count++) {
    await database.folder(FOLDER).commit(batchOf(next))
    await oracle.commit(batchOf(next++))
  }
  await database.close()
  database = await openDatabase(join(disk, 'database'), options)
  assert.deepEqual(await stateOf(database.folder(FOLDER)), await stateOf(oracle))
  console.log(`full after commit ${next}, healed at try ${tries}`)
}
await database.close()

/** Leaves a little room, of odd size. */
async function fill(): Promise<void> {
  const bytes = Buffer.alloc(64 * 1024)
  try {
    for (;;) await writeFile(ballast, bytes, { flag: 'a' })
  } catch {
    await truncate(ballast, Math.max(0, (await stat(ballast)).size - random.int(300_000)))
  }
}

async function codeOf(store: FolderStore): Promise<string | null> {
  try {
    await store.commit(batchOf(next))
    return null
  } catch (error) {
    if (isKithError(error)) return error.code
    throw error
  }
}

async function healed(): Promise<number> {
  const deadline = performance.now() + HEALED_MS
  for (let tries = 1; ; tries++) {
    try {
      await database.folder(FOLDER).meta()
      return tries
    } catch (error) {
      if (performance.now() > deadline) throw error
      await setTimeout(50)
    }
  }
}
