// What a hundred versions of a 256 MiB file, each with 4 KiB changed somewhere, take when they are packed: `npm run bench:versions
// [DIRECTORY]`. Prints MB; ends with 1 where they take 400 MB or more, or where one of them is not what it was.
import { randomFillSync } from 'node:crypto'
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

/** Every chunk is read and compared with its hash; of some, all bytes are read as a restore reads them. */
async function isSound(content: ContentId, asRestored: boolean): Promise<boolean> {
  if ((await disk.versions.verify(content, waiting)) !== 'sound') return false
  return !asRestored || (await disk.stage.putLocal(content, FILE_BYTES, { at: 'version', content }, waiting))
}

try {
  await disk.accept()
  await disk.recover()
  closeSync(openSync(path, 'w'))
  for (let at = 0; at < FILE_BYTES; at += 1 << 20) write(at, randomFillSync(Buffer.alloc(1 << 20)))
  const made: ContentId[] = []
  const start = performance.now()
  let packing = 0
  for (let n = 0; n < VERSIONS_KEPT; n++) {
    if (n > 0) write(Math.floor(Math.random() * (FILE_BYTES - EDIT_BYTES)), randomFillSync(Buffer.alloc(EDIT_BYTES)))
    const { stat, list } = await current()
    made.push(list.content)
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
  for (const [n, content] of made.entries()) if (!(await isSound(content, n % 33 === 0))) wrong++
  await disk.stage.sweep(new Set())
  console.log(`${made.length - wrong} of ${made.length} versions are what they were`)
  const before = taken()
  await disk.versions.drop(made.slice(0, -1), { ...waiting, mayGo: () => true })
  if (!(await isSound(made.at(-1) as ContentId, true))) wrong++
  console.log(`with the first ${VERSIONS_KEPT - 1} dropped: ${taken().toFixed(1)} MB, ${wrong} wrong`)
  if (wrong > 0 || before >= LIMIT_MB) process.exitCode = 1
} finally {
  await disk.close()
  rmSync(root, { recursive: true, force: true })
}
