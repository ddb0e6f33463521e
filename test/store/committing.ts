// A process that commits for ever, to be killed: `node --import tsx committing.ts DIRECTORY FIRST`. Prints the number of each commit
// once it is acknowledged. Every part of a commit says which one it was.
import { contentOf } from '../../src/core/content-list.ts'
import type { FolderBatch } from '../../src/core/ports.ts'
import { openDatabase } from '../../src/store/database.ts'
import { seeded } from '../support/random.ts'
import { ACTOR, doc, FOLDER, fileRow, journalEntry, metaWith, row } from './samples.ts'

export const DOCS = 5
export const ROWS = 40
/** Every so many commits a document is compacted. */
export const COMPACTED = 17

export function batchOf(number: number): FolderBatch {
  const random = seeded(number)
  const text = Buffer.from(`text ${number}\n`.repeat(100))
  const { content } = contentOf(text)
  const file = fileRow(random, 2 + (number % ROWS))
  const put = [
    { ...file, name: `row ${number}` },
    { ...file, id: row(2 + ROWS + (number % ROWS)), name: `twin ${number}` },
  ]
  const update = { doc: doc(number % DOCS), update: Buffer.from(`${number} `) }
  return {
    ...(number % COMPACTED === 0 ? { snapshots: [update] } : { updates: [update] }),
    rows: { put, deleted: [row(2 + ((number + 1) % ROWS))] },
    lists: [contentOf(text)],
    bases: [{ content, bytes: text }],
    dots: [{ node: file.nodes[0]?.id ?? ('' as never), actor: ACTOR, seq: number, content }],
    journal: [journalEntry({ path: `entry ${number}` })],
    meta: metaWith(number),
  }
}

const [directory, first] = process.argv.slice(2)
if (process.argv[1]?.endsWith('committing.ts') && directory !== undefined) {
  const database = await openDatabase(directory)
  const store = database.folder(FOLDER)
  for (let number = Number(first); ; number++) {
    await store.commit(batchOf(number))
    process.stdout.write(`${number}\n`)
  }
}
