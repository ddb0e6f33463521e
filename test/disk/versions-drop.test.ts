// More versions than go at once: what somebody needs meanwhile stays.
import { rmSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import type { ContentId } from '../../src/core/ids.ts'
import { areaPath, contentName, VERSIONS } from '../../src/disk/area.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { DEVICE, FOLDER, silent, temporaryRoot } from './real-person.ts'

const MANY = 1_500
const options = { folder: FOLDER, device: DEVICE, log: silent }
const waiting = { signal: new AbortController().signal }

describe('disk/versions: many on their way out', () => {
  it('are asked about when their turn comes', async () => {
    const root = temporaryRoot()
    const first = await openFolderDisk(root, options)
    await first.accept()
    await first.recover()
    await first.close()
    const contents = Array.from({ length: MANY }, (_, n) => {
      const bytes = Buffer.from(`version ${n}`)
      const { content } = contentOf(bytes)
      writeFileSync(areaPath(root, VERSIONS, contentName(content)), bytes)
      return content
    })
    const disk = await openFolderDisk(root, options)
    try {
      await disk.recover()
      const needed = contents.at(-1) as ContentId
      // As soon as some are gone, somebody is told that the last of them is here.
      const mayGo = (content: ContentId): boolean => content !== needed || disk.hasVersion(contents[0] as ContentId)
      const gone = await disk.versions.drop(contents, { ...waiting, mayGo })
      expect(gone).to.deep.equal(contents.slice(0, -1))
      expect(contents.filter(content => disk.hasVersion(content))).to.deep.equal([needed])
    } finally {
      await disk.close()
      rmSync(root, { recursive: true, force: true })
    }
  })
})
