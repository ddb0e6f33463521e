import { expect } from 'chai'
import { checkDatabase } from '../../src/store/check.ts'
import { type Database, openDatabase } from '../../src/store/database.ts'
import { stateOf } from '../contract/store-contract.ts'
import { batchOf } from './committing.ts'
import { makeDeadly } from './deadly.ts'
import { copyOf, newHome, removeHomes } from './homes.ts'
import { FOLDER } from './samples.ts'

const COMMITS = 10

describe('database, checked by another process', function () {
  this.timeout(60_000)
  let whole: string
  let state: string

  before(async () => {
    whole = await newHome()
    const database = await openDatabase(whole)
    for (let number = 0; number < COMMITS; number++) await database.folder(FOLDER).commit(batchOf(number))
    state = await told(database)
    await database.close()
  })
  after(removeHomes)

  it('is sound, and as it was', async () => {
    const directory = await copyOf(whole)
    expect(await checkDatabase(directory)).to.deep.equal({ found: 'sound' })
    const database = await openDatabase(directory)
    expect(await told(database)).to.equal(state)
    await database.close()
  })

  it('is damaged where the process dies of it', async () => {
    const directory = await copyOf(whole)
    await makeDeadly(directory)
    const result = await checkDatabase(directory)
    if (result.found !== 'damaged') expect.fail(JSON.stringify(result))
    expect(result.error.code).to.equal('database-corrupt')
    expect(result.error.message).to.match(/SIGABRT.*Compare\(key, Slice\(r->last_key\)\) > 0/)
  })

  it('is unknown where there is no time for it: nobody has it open then', async () => {
    const directory = await copyOf(whole)
    const result = await checkDatabase(directory, { timeoutMs: 1 })
    expect(result).to.deep.equal({ found: 'unknown', why: 'the process that read it ended with SIGKILL: ' })
    const database = await openDatabase(directory)
    await database.close()
  })

  it('ends at once where that is asked, with the reason: nobody has it open then', async () => {
    const directory = await copyOf(whole)
    const asked = new AbortController()
    const reason = new Error('asked')
    const checking = checkDatabase(directory, { signal: asked.signal })
    asked.abort(reason)
    expect(await checking.catch((error: unknown) => error)).to.equal(reason)
    const database = await openDatabase(directory)
    await database.close()
    expect(await checkDatabase(directory, { signal: asked.signal }).catch((error: unknown) => error)).to.equal(reason)
  })

  it('is unknown where another process has it open, and untouched', async () => {
    const directory = await copyOf(whole)
    const database = await openDatabase(directory)
    const result = await checkDatabase(directory)
    if (result.found !== 'unknown') expect.fail(JSON.stringify(result))
    expect(result.why).to.match(/Another process has the database .* open/)
    expect(await told(database)).to.equal(state)
    await database.close()
  })
})

async function told(database: Database): Promise<string> {
  return JSON.stringify(await stateOf(database.folder(FOLDER)))
}
