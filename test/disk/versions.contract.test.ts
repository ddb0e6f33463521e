// The kept versions' contract on a real directory.
import { lstatSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { contentOf } from '../../src/core/content-list.ts'
import { areaPath, contentName, DAMAGED, PACKS, VERSIONS } from '../../src/disk/area.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { DiskWorkers } from '../../src/disk/workers.ts'
import { versionsContract } from '../contract/versions-contract.ts'
import { DEVICE, FOLDER, RealPerson, silent, temporaryRoot } from './real-person.ts'
import { rotAt } from './rot.ts'

let workers: DiskWorkers | null = null

after(async () => {
  await workers?.close()
  workers = null
})

versionsContract('a real directory', async () => {
  workers ??= new DiskWorkers()
  const root = temporaryRoot()
  const options = { folder: FOLDER, device: DEVICE, log: silent, workers }
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
    spoil: content => {
      const whole = areaPath(root, VERSIONS, contentName(content))
      const packs = areaPath(root, PACKS)
      const paths = lstatSync(whole, { throwIfNoEntry: false })
        ? [whole]
        : readdirSync(packs).map(name => join(packs, name))
      for (const path of paths) rotAt(path, 1000)
    },
    damaged: () => readdirSync(areaPath(root, DAMAGED)).length,
  }
})
