import { appendFile, readdir, readFile, truncate, unlink, writeFile } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import { expect } from 'chai'
import { isKithError } from '../../src/core/errors.ts'
import { DOC_COUNT } from '../../src/core/ids.ts'
import type { FolderBatch, FolderStore } from '../../src/core/ports.ts'
import { type Database, openDatabase, setAside } from '../../src/store/database.ts'
import { stateOf } from '../contract/store-contract.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { type Random, seeded } from '../support/random.ts'
import { batchOf } from './committing.ts'
import { copyOf, newHome, removeHomes } from './homes.ts'
import { doc, FOLDER, fileRow, journalEntry, randomBytes } from './samples.ts'

const COMMITS = 120
/** The database is opened anew after so many: LevelDB makes a table of its log then. */
const REOPENED = 30
const FLIPS = 30
/** Commits into the log that loses some; fewer than there are documents. */
const LOST = 200
/** What LevelDB skips, silently, where a checksum of its log is wrong. */
const LOG_BLOCK_BYTES = 32 * 1024

type Outcome = 'found' | 'harmless' | 'older'

describe('database, damaged', () => {
  // Fixed by default: a flipped bit may also end the whole process in an assertion of LevelDB (SEED=1795553988002), which a test cannot
  // outlive; docs/decisions.md says what is to be done about it.
  const { SEED: seed = '1' } = process.env
  const random = seeded(seed)
  /** JSON of the state after each number of commits. */
  const states: string[] = []
  let whole: string
  let files: string[]

  before(async function () {
    this.timeout(60_000)
    console.log(`      seed ${seed}`)
    whole = await newHome()
    const oracle = new MemoryStore(FOLDER)
    let database = await openDatabase(whole)
    states.push(await told(oracle))
    for (let number = 0; number < COMMITS; number++) {
      if (number % REOPENED === REOPENED / 2) {
        await database.close()
        database = await openDatabase(whole)
      }
      await database.folder(FOLDER).commit(batchOf(number))
      await oracle.commit(batchOf(number))
      states.push(await told(oracle))
    }
    await database.close()
    files = (await readdir(whole)).filter(name => /^\d+\.(ldb|log)$|^MANIFEST|^CURRENT$/.test(name)).sort()
  })
  after(removeHomes)

  it('is the same where nothing was damaged', async () => {
    expect(files.map(name => extname(name))).to.include.members(['.ldb', '.log'])
    expect(await outcomeOf(await copyOf(whole))).to.equal('harmless')
  })

  it('is found, harmless, or as it was after an earlier commit where the end of the log is gone', async function () {
    this.timeout(120_000)
    const counts = new Map<string, number>()
    for (const damage of damages(random, files)) {
      const directory = await copyOf(whole)
      const what = await damage(directory)
      const outcome = await outcomeOf(directory)
      counts.set(`${what} ${outcome}`, (counts.get(`${what} ${outcome}`) ?? 0) + 1)
      if (outcome === 'older') expect(what, 'tables lost something silently').to.match(/\.log|MANIFEST/)
      if (outcome === 'found') await rebuilt(directory)
    }
    for (const [what, count] of [...counts].sort()) console.log(`      ${what}: ${count}`)
    const all = [...counts].filter(([what]) => what.startsWith('flip .ldb'))
    expect(
      all.some(([what]) => what.endsWith('found')),
      'no flip in a table was found',
    ).to.equal(true)
  })

  const parts: [string, (number: number) => FolderBatch][] = [
    ['all', batchOf],
    [
      'rows',
      number => ({ rows: { put: [{ ...fileRow(random, 1_000 + number), name: 'x'.repeat(1_000) }], deleted: [] } }),
    ],
    ['documents', number => ({ updates: [{ doc: doc(number % DOC_COUNT), update: randomBytes(random, 1_000) }] })],
    ['journal', () => ({ journal: [journalEntry({ path: 'x'.repeat(1_000) })] })],
  ]
  for (const [what, batch] of parts) {
    it(`shows the loss of a commit in the middle of the log (${what})`, async () => {
      const directory = await copyOf(whole)
      const database = await openDatabase(directory)
      for (let number = COMMITS; number < COMMITS + LOST; number++) await database.folder(FOLDER).commit(batch(number))
      await database.close()
      const log = join(directory, (await readdir(directory)).find(name => name.endsWith('.log')) ?? '')
      const bytes = await readFile(log)
      expect(bytes.length).to.be.greaterThan(3 * LOG_BLOCK_BYTES)
      bytes[LOG_BLOCK_BYTES + 1_000] = (bytes[LOG_BLOCK_BYTES + 1_000] ?? 0) ^ 1
      await writeFile(log, bytes)
      expect(await outcomeOf(directory)).to.equal('found')
    })
  }

  async function rebuilt(directory: string): Promise<void> {
    await setAside(directory)
    const database = await openDatabase(directory)
    expect(database.folders()).to.deep.equal([])
    await database.close()
  }

  async function outcomeOf(directory: string): Promise<Outcome> {
    let database: Database | null = null
    try {
      database = await openDatabase(directory)
      const store = database.folder(FOLDER)
      const found = states.lastIndexOf(await told(store))
      expect(found, 'the state is none that there ever was').to.be.at.least(0)
      await checkContents(store, found)
      return found === COMMITS ? 'harmless' : 'older'
    } catch (error) {
      if (isKithError(error) && error.code === 'database-corrupt') return 'found'
      throw error
    } finally {
      await database?.close()
    }
  }
})

async function told(store: FolderStore): Promise<string> {
  return JSON.stringify(await stateOf(store))
}

/** What can be fetched or done without again may be forgotten (a damaged filter hides a key), but never be wrong. */
async function checkContents(store: FolderStore, commits: number): Promise<void> {
  for (let number = 0; number < commits; number++) {
    const { lists = [], bases = [], dots = [] } = batchOf(number)
    for (const list of lists) {
      const found = await store.list(list.content)
      if (found !== null) expect(found).to.deep.equal(list)
    }
    for (const { content, bytes } of bases) {
      const base = await store.base(content)
      expect(base === null || Buffer.compare(bytes, base) === 0).to.equal(true)
    }
    for (const { node, actor, seq, content } of dots) {
      expect(store.contentOfDot(node, actor, seq)).to.be.oneOf([null, content])
    }
  }
}

/** Each damages one database and says how. */
function* damages(random: Random, files: readonly string[]): Iterable<(directory: string) => Promise<string>> {
  for (const name of files) {
    const kind = /^\d/.test(name) ? extname(name) : name.replace(/-.*/, '')
    yield async directory => {
      await truncate(join(directory, name), 0)
      return `empty ${kind}`
    }
    yield async directory => {
      const { length } = await readFile(join(directory, name))
      await truncate(join(directory, name), length >> 1)
      return `halve ${kind}`
    }
    yield async directory => {
      await unlink(join(directory, name))
      return `delete ${kind}`
    }
    yield async directory => {
      await appendFile(join(directory, name), Buffer.from('junk\n'))
      return `append to ${kind}`
    }
  }
  yield async directory => {
    await writeFile(join(directory, 'CURRENT'), 'MANIFEST-000001\n')
    return 'swap CURRENT'
  }
  for (let at = 0; at < FLIPS; at++) {
    yield async directory => {
      const name = random.pick(files)
      const path = join(directory, name)
      const bytes = await readFile(path)
      const offset = random.int(bytes.length)
      bytes[offset] = (bytes[offset] ?? 0) ^ (1 << random.int(8))
      await writeFile(path, bytes)
      return `flip ${/^\d/.test(name) ? extname(name) : basename(name).replace(/-.*/, '')}`
    }
  }
}
