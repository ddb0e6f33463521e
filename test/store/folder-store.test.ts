import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase } from '../../src/store/database.ts'
import { storeContract } from '../contract/store-contract.ts'
import { failNextWrite } from './failing-writes.ts'
import { FOLDER } from './samples.ts'

storeContract('level', async () => {
  const home = await mkdtemp(join(tmpdir(), 'kith-store-'))
  let database = await openDatabase(join(home, 'database'))
  return {
    store: database.folder(FOLDER),
    restart: async () => {
      await database.close()
      database = await openDatabase(join(home, 'database'))
      return database.folder(FOLDER)
    },
    failNextCommit: error => failNextWrite('before', error.message),
    close: async () => {
      await database.close()
      await rm(home, { recursive: true })
    },
  }
})
