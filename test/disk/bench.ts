// How fast the disk's parts are here: `node --import tsx --import ./test/support/typescript-workers.mjs test/disk/bench.ts [DIRECTORY]`.
// Not a test: it prints figures.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { contentOf } from '../../src/core/content-list.ts'
import type { ContentId } from '../../src/core/ids.ts'
import { NO_CONTENT } from '../../src/core/ids.ts'
import type { DiskStep, HashRequest } from '../../src/core/ports.ts'
import { openFolderDisk } from '../../src/disk/folder-disk.ts'
import { DEVICE, FOLDER, silent } from './real-person.ts'

const signal = new AbortController().signal
const root = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'kith-bench-'))
const disk = await openFolderDisk(root, { folder: FOLDER, device: DEVICE, log: silent })

async function timed(name: string, unit: string, count: number, work: () => Promise<void>): Promise<void> {
  const start = performance.now()
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  const seconds = (performance.now() - start) / 1000
  const perCpu = Math.round(count / ((user + system) / 1e6))
  console.log(`${name}: ${Math.round(count / seconds)} ${unit}/s, ${perCpu} a second of CPU (${seconds.toFixed(2)} s)`)
}

async function scanAll(): Promise<HashRequest[]> {
  const found: HashRequest[] = []
  for await (const read of disk.scan([''], { signal, recursive: true })) {
    if (!('entries' in read)) throw new Error(`cannot read ${read.path}`)
    for (const { name, kind, stat } of read.entries) {
      if (kind !== 'directory') found.push({ path: read.path === '' ? name : `${read.path}/${name}`, kind, stat })
    }
  }
  return found
}

try {
  await disk.accept()
  await disk.recover()

  const files = 60_000
  for (let d = 0; d < files / 100; d++) {
    mkdirSync(join(root, `scan/${d % 20}/${d}`), { recursive: true })
    for (let f = 0; f < 100; f++) writeFileSync(join(root, `scan/${d % 20}/${d}/file-${f}.txt`), `${d} ${f}`)
  }
  let requests: HashRequest[] = []
  for (let n = 0; n < 3; n++) {
    await timed('scan', 'files', files, async () => {
      requests = await scanAll()
    })
  }
  await timed('hash small files', 'files', files, async () => {
    for await (const result of disk.hash(requests, { signal })) if (!result.ok) throw new Error(result.problem.message)
  })
  rmSync(join(root, 'scan'), { recursive: true })

  const large = 512 << 20
  const block = Buffer.alloc(large / 4)
  for (let at = 0; at < block.length; at += 4) block.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at)
  for (let n = 0; n < 4; n++) writeFileSync(join(root, `large${n}`), block)
  requests = await scanAll()
  for (let n = 0; n < 2; n++) {
    await timed('hash large files', 'MB', large / 1e6, async () => {
      for await (const result of disk.hash(requests, { signal }))
        if (!result.ok) throw new Error(result.problem.message)
    })
  }
  for (const request of requests) rmSync(join(root, request.path))

  for (let round = 0; round < 2; round++) {
    const count = 10_000
    const items = Array.from({ length: count }, (_, at) => {
      const bytes = Buffer.alloc(4096, `${round} ${at} `)
      return { content: contentOf(bytes).content as ContentId, bytes }
    })
    await timed('stage 4 KiB files', 'files', count, async () => {
      await disk.stage.putWhole(items, { signal })
    })
    const made: DiskStep[] = Array.from({ length: 20 }, (_, at) => ({
      do: 'mkdir',
      path: `r${round}d${at}`,
      mode: 0o755,
    }))
    await disk.apply(made, { signal })
    const steps: DiskStep[] = items.map(({ content }, at) => ({
      do: 'put',
      path: `r${round}d${Math.floor(at / 500)}/f${at}`,
      kind: 'file',
      content,
      mode: 0o644,
      mtime: 1_600_000_000_000 + at,
      expect: null,
      expectContent: NO_CONTENT,
      keep: false,
    }))
    await timed('publish 4 KiB files', 'files', count, async () => {
      for (const result of await disk.apply(steps, { signal })) if (!result.ok) throw new Error(result.problem.message)
    })
  }
} finally {
  await disk.close()
  rmSync(root, { recursive: true, force: true })
}
