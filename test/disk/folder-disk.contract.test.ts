// The port's contract on a real directory.
import { rmSync } from 'node:fs'
import { contentOf } from '../../src/core/content-list.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { DiskWorkers } from '../../src/disk/workers.ts'
import { diskContract } from '../contract/disk-contract.ts'
import { DEVICE, FOLDER, RealPerson, silent, temporaryRoot } from './real-person.ts'

let workers: DiskWorkers | null = null

after(async () => {
  await workers?.close()
  workers = null
})

diskContract('a real directory', async () => {
  workers ??= new DiskWorkers()
  const shared = workers
  const root = temporaryRoot()
  const options = { folder: FOLDER, device: DEVICE, log: silent, workers: shared }
  const disk = await openFolderDisk(root, options)
  return {
    disk,
    person: new RealPerson(root),
    listOf: contentOf,
    reopen: () => openFolderDisk(root, options),
    close: async () => {
      await disk.close()
      rmSync(root, { recursive: true, force: true })
    },
  }
})
