// A database that ends whoever opens it: one flipped bit in a key of a table, which LevelDB meets with an assertion when it makes one table
// of others. It does so by itself once four were made, one at each opening, and begins again at every opening after.
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { seal } from '../../src/store/codec.ts'
import { TABLES } from '../../src/store/tables.ts'

/** LevelDB compacts so many by itself. */
const MOST_TABLES = 4
const LETTERS = 'abcdefghijklmnopqrstuvwxyz'
const PREFIX_BYTES = 17
const BIT = 0x10

/** Damages the database in `directory`, which nobody has open. */
export async function makeDeadly(directory: string): Promise<void> {
  await rest(directory)
  // Each opening makes a table of what the one before wrote; the last is left to whoever opens it.
  for (let opening = 0; opening < MOST_TABLES; opening++) await addLetters(directory)
  const table = await tableOf(directory, keyOf('m'))
  const bytes = await readFile(table)
  const at = bytes.indexOf('m'.repeat(16))
  // It is greater than all that come after it then.
  bytes[at] = (bytes[at] ?? 0) ^ BIT
  await writeFile(table, bytes)
}

/** All that there is becomes one table below those that are to be made. */
async function rest(directory: string): Promise<void> {
  const level = opened(directory) as ReturnType<typeof opened> & {
    compactRange(start: Buffer, end: Buffer): Promise<void>
  }
  await level.open()
  await level.compactRange(Buffer.from([0]), Buffer.from([255]))
  await level.close()
}

async function addLetters(directory: string): Promise<void> {
  const level = opened(directory)
  await level.batch(
    [...LETTERS].map(letter => ({ type: 'put', key: keyOf(letter), value: seal(keyOf(letter), Buffer.alloc(0)) })),
  )
  await level.close()
}

/** Chunks of no folder: nothing reads them. */
function keyOf(letter: string): Buffer {
  return Buffer.concat([Buffer.from([TABLES.chunks]), Buffer.alloc(PREFIX_BYTES - 1), Buffer.from(letter.repeat(16))])
}

/** Uncompressed, so that a bit of a key can be found. */
function opened(directory: string): Level<Buffer, Buffer> {
  return new Level(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer', compression: false })
}

async function tableOf(directory: string, key: Buffer): Promise<string> {
  for (const name of (await readdir(directory)).sort()) {
    const path = join(directory, name)
    if (name.endsWith('.ldb') && (await readFile(path)).includes(key.subarray(PREFIX_BYTES))) return path
  }
  throw new Error('no table has it')
}
