// Replaces f0 … fN in a folder, one batch; killed or traced by a test. `publish-child ROOT COUNT`.
import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { contentOf } from '../../src/core/content-list.ts'
import type { ContentId } from '../../src/core/ids.ts'
import type { DiskStep } from '../../src/core/ports.ts'
import type { Seal } from '../../src/disk/area.ts'
import { identityOf } from '../../src/disk/beneath.ts'
import { publish } from '../../src/disk/publish-worker.ts'
import { stageWork } from '../../src/disk/stage-work.ts'
import { statOf } from '../../src/disk/stat.ts'

const [root = '', count = '1'] = process.argv.slice(2)
const at = { path: root, identity: identityOf(root) }
const seals = new Map<ContentId, Seal>()
const steps: DiskStep[] = []
for (let index = 0; index < Number(count); index++) {
  const bytes = Buffer.from(`new content ${index}`)
  const content = contentOf(bytes).content
  const items = [{ content, length: bytes.length }]
  const [seal] = stageWork({ do: 'stage-whole', root: at, items, bytes }) as (Seal | null)[]
  if (seal) seals.set(content, seal)
  const expect = statOf(lstatSync(join(root, `f${index}`), { bigint: true }))
  const expectContent = contentOf(Buffer.from('old content')).content
  const of = { kind: 'file', content, mode: 0o644, mtime: 1_600_000_000_000, keep: false } as const
  steps.push({ do: 'put', path: `f${index}`, expect, expectContent, ...of })
}
process.stdout.write('ready\n')
const reply = await publish({ do: 'apply', root: at, steps, seals, last: true })
if ('failed' in reply) throw new Error(reply.failed.message)
