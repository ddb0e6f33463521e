// What a hundred versions of a 256 MiB file, each with 4 KiB changed somewhere, take when they are packed: `npm run bench:versions
// [DIRECTORY]`. Prints MB; ends with 1 where they take 400 MB or more, or where one of them is not what it was.
import { createHash, randomFillSync } from 'node:crypto'
import { closeSync, lstatSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ContentList } from '../../src/core/content.ts'
import type { ContentId } from '../../src/core/ids.ts'
import type { Stat } from '../../src/core/ports.ts'
import { areaPath, PACKS, RECIPES, VERSIONS } from '../../src/disk/area.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { DEVICE, FOLDER, silent } from './real-person.ts'

const VERSIONS_KEPT = 100
const FILE_BYTES = 256 * 1024 * 1024
const EDIT_BYTES = 4096
const LIMIT_MB = 400
const waiting = { signal: new AbortController().signal }
const root = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'kith-bench-'))
const disk = await openFolderDisk(root, { folder: FOLDER, device: DEVICE, log: silent })
const path = join(root, 'file')

function write(at: number, bytes: Uint8Array): void {
  const fd = openSync(path, 'r+')
  writeSync(fd, bytes, 0, bytes.length, at)
  closeSync(fd)
}

async function current(): Promise<{ stat: Stat; list: ContentList }> {
  const stat = (await disk.look('file'))?.stat
  if (stat === undefined) throw new Error('the file is gone')
  for await (const result of disk.hash([{ path: 'file', kind: 'file', stat }], waiting))
    if (result.ok) return { stat, list: result.list }
  throw new Error('it could not be read')
}

function taken(): number {
  let bytes = 0
  for (const name of [VERSIONS, PACKS, RECIPES])
    for (const file of readdirSync(areaPath(root, name))) bytes += lstatSync(areaPath(root, name, file)).blocks * 512
  return bytes / 1e6
}

async function hashOfVersion(content: ContentId): Promise<string> {
  const hash = createHash('sha256')
  for (let at = 0; at < FILE_BYTES; at += 4 << 20) {
    const bytes = await disk.read({ at: 'version', content }, at, 4 << 20, waiting)
    if (bytes === null) return 'not there'
    hash.update(bytes)
  }
  return hash.digest('hex')
}

async function hashOfFile(stat: Stat): Promise<string> {
  const hash = createHash('sha256')
  for (let at = 0; at < FILE_BYTES; at += 4 << 20) {
    const bytes = await disk.read({ at: 'file', path: 'file', stat, kind: 'file' }, at, 4 << 20, waiting)
    if (bytes === null) throw new Error('the file changed')
    hash.update(bytes)
  }
  return hash.digest('hex')
}

try {
  await disk.accept()
  await disk.recover()
  closeSync(openSync(path, 'w'))
  for (let at = 0; at < FILE_BYTES; at += 1 << 20) write(at, randomFillSync(Buffer.alloc(1 << 20)))
  const made: { content: ContentId; hash: string }[] = []
  const start = performance.now()
  let packing = 0
  for (let n = 0; n < VERSIONS_KEPT; n++) {
    if (n > 0) write(Math.floor(Math.random() * (FILE_BYTES - EDIT_BYTES)), randomFillSync(Buffer.alloc(EDIT_BYTES)))
    const { stat, list } = await current()
    made.push({ content: list.content, hash: await hashOfFile(stat) })
    if (!(await disk.versions.keep('file', stat, list.content, waiting))) throw new Error('it was not kept')
    const from = performance.now()
    await disk.versions.pack(list.content, list, waiting)
    packing += performance.now() - from
    if (n % 10 === 0 || n === VERSIONS_KEPT - 1) console.log(`${n + 1} versions: ${taken().toFixed(1)} MB`)
  }
  console.log(
    `packing one: ${(packing / VERSIONS_KEPT).toFixed(0)} ms; all of it: ${((performance.now() - start) / 1000).toFixed(0)} s`,
  )
  let wrong = 0
  for (const { content, hash } of made) if ((await hashOfVersion(content)) !== hash) wrong++
  console.log(`${made.length - wrong} of ${made.length} versions read back as they were`)
  const before = taken()
  await disk.versions.drop(
    made.slice(0, VERSIONS_KEPT - 1).map(({ content }) => content),
    waiting,
  )
  const last = made.at(-1)
  if (last === undefined || (await hashOfVersion(last.content)) !== last.hash) wrong++
  console.log(`with the first ${VERSIONS_KEPT - 1} dropped: ${taken().toFixed(1)} MB, the last one reads back`)
  if (wrong > 0 || before >= LIMIT_MB) process.exitCode = 1
} finally {
  await disk.close()
  rmSync(root, { recursive: true, force: true })
}
