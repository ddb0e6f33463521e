// What is left in `.kith/transit` by another run goes at start, whatever its modes; what this one fills does not.
import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import { areaPath, TRANSIT } from '../../src/disk/area.ts'
import { OWN_COPIES } from '../../src/disk/copy-out.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { DEVICE, FOLDER, silent, temporaryRoot } from './real-person.ts'

describe('disk/recover: what is on its way', () => {
  it('is cleared where it is left over', async () => {
    const root = temporaryRoot()
    const disk = await openFolderDisk(root, { folder: FOLDER, device: DEVICE, log: silent })
    try {
      await disk.accept()
      await disk.recover()
      const own = `${OWN_COPIES}1`
      for (const name of ['copy-of-another-run', own]) {
        mkdirSync(areaPath(root, TRANSIT, name, 'shut'), { recursive: true })
        writeFileSync(areaPath(root, TRANSIT, name, 'shut', 'f'), 'f')
        chmodSync(areaPath(root, TRANSIT, name, 'shut'), 0o500)
      }
      await disk.recover()
      expect(readdirSync(areaPath(root, TRANSIT))).to.deep.equal([own])
      expect(readdirSync(areaPath(root, TRANSIT, own, 'shut'))).to.deep.equal(['f'])
    } finally {
      await disk.close()
      rmSync(root, { recursive: true, force: true })
    }
  })
})
