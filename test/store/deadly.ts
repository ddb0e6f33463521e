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
const FLIPPED = 'm'
const PREFIX_BYTES = 17
const BIT = 0x10

/** Damages the database in `directory`, which nobody has open. */
export async function makeDeadly(directory: string): Promise<void> {
  await rest(directory)
  // Each opening makes a table of what the one before wrote; the last is left to whoever opens it.
  await addLetters(directory, LETTERS)
  for (let opening = 1; opening < MOST_TABLES; opening++) await addLetters(directory, LETTERS.replace(FLIPPED, ''))
  const table = await tableWith(directory, keyOf(FLIPPED))
  const bytes = await readFile(table)
  flip(bytes, bytes.indexOf(keyOf(FLIPPED).subarray(PREFIX_BYTES)))
  await writeFile(table, bytes)
}

/** A letter at `at` is greater than all that come after it then. */
function flip(bytes: Buffer, at: number): void {
  bytes[at] = (bytes[at] ?? 0) ^ BIT
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

/** The checksum of the one that is to be flipped is that of the key that it becomes: only the order shows it, to who looks at that. */
async function addLetters(directory: string, letters: string): Promise<void> {
  const level = opened(directory)
  const puts = [...letters].map(letter => {
    const sealed = keyOf(letter)
    if (letter === FLIPPED) flip(sealed, PREFIX_BYTES)
    return { type: 'put' as const, key: keyOf(letter), value: seal(sealed, Buffer.alloc(0)) }
  })
  await level.batch(puts)
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

async function tableWith(directory: string, key: Buffer): Promise<string> {
  for (const name of (await readdir(directory)).sort()) {
    const path = join(directory, name)
    if (name.endsWith('.ldb') && (await readFile(path)).includes(key.subarray(PREFIX_BYTES))) return path
  }
  throw new Error('no table has it')
}
