// The kept versions' contract on a real directory.
import { closeSync, lstatSync, openSync, readdirSync, readSync, rmSync, utimesSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { contentOf } from '../../src/core/content-list.ts'
import { areaPath, contentName, DAMAGED, PACKS, VERSIONS } from '../../src/disk/area.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { DiskWorkers } from '../../src/disk/workers.ts'
import { versionsContract } from '../contract/versions-contract.ts'
import { DEVICE, FOLDER, RealPerson, silent, temporaryRoot } from './real-person.ts'

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
      for (const path of paths) flip(path)
    },
    damaged: () => readdirSync(areaPath(root, DAMAGED)).length,
  }
})

function flip(path: string): void {
  const { atime, mtime } = lstatSync(path)
  const fd = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(fd, byte, 0, 1, 1000)
  writeSync(fd, Buffer.of((byte[0] ?? 0) ^ 1), 0, 1, 1000)
  closeSync(fd)
  utimesSync(path, atime, mtime)
}
