// Fills a small disk and prints what Kith says of it. `full-disk-child ROOT`, a file system of 80 MB.
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { contentOf } from '../../src/core/content-list.ts'
import { isKithError } from '../../src/core/errors.ts'
import type { DiskStep } from '../../src/core/ports.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { DEVICE, FOLDER, silent } from './real-person.ts'

const root = process.argv[2] ?? ''
const waiting = { signal: new AbortController().signal }
const disk = await openFolderDisk(root, { folder: FOLDER, device: DEVICE, log: silent })
await disk.accept()
await disk.recover()

const codes: string[] = []
async function say(promise: Promise<unknown>): Promise<void> {
  try {
    await promise
    codes.push('done')
  } catch (error) {
    codes.push(isKithError(error) ? error.code : String(error))
  }
}
const small = Buffer.from('small')
const content = contentOf(small).content
await say(disk.stage.open(contentOf(Buffer.alloc(30 << 20, 'x')), waiting))
await say(disk.stage.putWhole([{ content, bytes: small }], waiting))
for (let size = 100 << 20; size > 0; size >>= 1) {
  try {
    writeFileSync(join(root, 'fill'), Buffer.alloc(size), { flag: 'a' })
  } catch {
    // Full up to that size: the rest in smaller pieces.
  }
}
await say(
  disk.stage.putWhole([{ content: contentOf(Buffer.from('another')).content, bytes: Buffer.from('another') }], waiting),
)
// A copy of the stage cannot be made any more; a directory can.
const of = { kind: 'file', content, mode: 0o644, mtime: 0, expect: null, expectContent: '' as never } as const
const steps: DiskStep[] = [
  { do: 'put', path: 'f', keep: true, ...of },
  { do: 'mkdir', path: 'd', mode: 0o755 },
]
const results = await disk.apply(steps, waiting)
console.log(
  JSON.stringify({
    codes,
    steps: results.map(result => result.ok || result.problem.code),
    files: readdirSync(root).filter(name => name !== '.kith'),
  }),
)
rmSync(join(root, 'fill'))
await disk.close()
