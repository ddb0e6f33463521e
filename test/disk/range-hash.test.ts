// A large file hashed in ranges has the content id that it has as a whole, also where no two ranges meet.
import { closeSync, ftruncateSync, openSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import type { ContentList } from '../../src/core/content.ts'
import { listOf } from '../../src/core/content-list.ts'
import type { ContentId } from '../../src/core/ids.ts'
import type { FolderDisk, HashRequest, HashResult } from '../../src/core/ports.ts'
import { readChunks } from '../../src/disk/content-read.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { hashRange, joinRanges, meet, RANGE_BYTES, type RangeChunks, rangesOf } from '../../src/disk/range-hash.ts'
import { DEVICE, FOLDER, silent, temporaryRoot } from './real-person.ts'

const waiting = { signal: new AbortController().signal }
const MIB = 1024 * 1024
const SIZE = 2 * RANGE_BYTES + 3 * MIB + 17

function noise(length: number): Buffer {
  const out = Buffer.alloc(length)
  let state = 7
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    out[at] = state >>> 24
  }
  return out
}

describe('disk/range-hash', function () {
  this.timeout(60_000)
  let root: string
  let path: string

  beforeEach(() => {
    root = temporaryRoot()
    path = join(root, 'large')
  })
  afterEach(() => rmSync(root, { recursive: true, force: true }))

  /** Holes, and `bytes` where two ranges meet. */
  function writeLarge(bytes: Buffer, at: number): void {
    const fd = openSync(path, 'w')
    ftruncateSync(fd, SIZE)
    writeSync(fd, bytes, 0, bytes.length, at)
    closeSync(fd)
  }

  function whole(): ContentId {
    const fd = openSync(path, 'r')
    const { content } = listOf(readChunks(fd, 0, SIZE, SIZE))
    closeSync(fd)
    return content
  }

  async function hashed(disk: FolderDisk): Promise<HashResult> {
    const stat = (await disk.look('large'))?.stat
    if (stat === undefined) throw new Error('no stat')
    for await (const result of disk.hash([{ path: 'large', kind: 'file', stat }], waiting)) return result
    throw new Error('no result')
  }

  for (const [what, at] of [
    ['cuts of their own where two ranges meet', RANGE_BYTES - 3 * MIB - 5],
    ['cuts of their own in the middle of one', MIB + 1],
  ] as const) {
    it(`finds the same as cutting the whole: ${what}`, async () => {
      writeLarge(noise(6 * MIB), at)
      const disk = await openFolderDisk(root, { folder: FOLDER, device: DEVICE, log: silent })
      const result = await hashed(disk)
      await disk.close()
      if (!result.ok) throw new Error(result.problem.message)
      expect(result.list.content).to.equal(whole())
      expect(result.list.size).to.equal(statSync(path).size)
    })
  }

  it('tells of each beginning that is longer than the last, before all is read', async () => {
    const size = 6 * RANGE_BYTES
    writeLarge(noise(RANGE_BYTES + 3 * MIB), 0)
    truncateSync(path, size)
    const disk = await openFolderDisk(root, { folder: FOLDER, device: DEVICE, log: silent })
    const stat = (await disk.look('large'))?.stat
    if (stat === undefined) throw new Error('no stat')
    const request = { path: 'large', kind: 'file', stat } as const
    const told: ContentList[] = []
    const onPrefix = (of: HashRequest, prefix: ContentList): void => {
      expect(of).to.equal(request)
      told.push(prefix)
    }
    for await (const result of disk.hash([request], { ...waiting, onPrefix })) {
      if (!result.ok) throw new Error(result.problem.message)
      expect(told.length).to.be.greaterThan(0)
      let least = 0
      for (const { chunks, size: bytes, content } of told) {
        expect(bytes).to.be.within(least + 1, size - 1)
        expect(content).to.equal(listOf(chunks).content)
        expect(chunks.slice(0, -1)).to.deep.equal(result.list.chunks.slice(0, chunks.length - 1))
        least = bytes
      }
    }
    await disk.close()
  })

  it('knows where two ranges meet, and that some never do', () => {
    writeLarge(noise(6 * MIB), RANGE_BYTES - 3 * MIB)
    const fd = openSync(path, 'r')
    const [first, second, third] = rangesOf(SIZE).map(range => hashRange(fd, range, SIZE)) as [
      RangeChunks,
      RangeChunks,
      RangeChunks,
    ]
    expect(hashRange(fd, { from: 2 * RANGE_BYTES, until: SIZE + 1 }, SIZE + 1), 'a file that is shorter').to.equal(null)
    expect(meet(first, second)).not.to.equal(null)
    expect(meet(second, third), 'zeros that follow on other bytes').to.equal(null)
    const again = hashRange(fd, { from: second.end, until: SIZE }, SIZE) as RangeChunks
    closeSync(fd)
    expect(meet(second, again)).to.deep.equal({ dropped: 0, skipped: 0 })
    expect(joinRanges([first, second, again]).content).to.equal(whole())
  })
})
