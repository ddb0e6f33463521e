import { storeContract } from '../contract/store-contract.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { FOLDER } from './samples.ts'

storeContract('in memory', async () => {
  let store = new MemoryStore(FOLDER)
  return {
    store,
    restart: async () => {
      store = store.crash()
      return store
    },
    failNextCommit: error => store.failNextCommit(error),
    close: async () => {},
  }
})
