// Acts in a folder as a user without special rights and prints what came of it. `unprivileged-child ROOT`.
import { chmodSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { valueSymbol } from 'piscina'
import { contentOf } from '../../src/core/content-list.ts'
import type { DiskStep } from '../../src/core/ports.ts'
import { identityOf } from '../../src/disk/beneath.ts'
import { hash } from '../../src/disk/hash-worker.ts'
import { publish } from '../../src/disk/publish-worker.ts'
import { TreeReader } from '../../src/disk/scan-read.ts'
import { stageWork } from '../../src/disk/stage-work.ts'
import { statOf } from '../../src/disk/stat.ts'

const root = process.argv[2] ?? ''
const at = { path: root, identity: identityOf(root) }
const bytes = Buffer.from('new content')
const content = contentOf(bytes).content
const seals = stageWork({ do: 'stage-whole', root: at, items: [{ content, length: bytes.length }], bytes })
const seal = (seals as { ino: bigint; size: bigint; mtimeNs: bigint }[])[0]
if (seal === undefined) throw new Error('not staged')
const stat = statOf(lstatSync(join(root, 'locked/f'), { bigint: true }))
mkdirSync(join(root, 'shut'), 0o500)
const shut = statOf(lstatSync(join(root, 'shut'), { bigint: true }))
const of = { kind: 'file', mode: 0o644, mtime: 0, expect: null, expectContent: '' as never } as const
const steps: DiskStep[] = [
  { do: 'put', path: 'locked/g', content, keep: true, ...of },
  { do: 'move', path: 'locked/f', kind: 'file', expect: stat, to: 'locked/h' },
  { do: 'move', path: 'shut', kind: 'directory', expect: shut, to: 'locked/moved' },
]
const reply = await publish({ do: 'apply', root: at, steps, seals: new Map([[content, seal]]), last: true })
if (!('ok' in reply) || !('results' in reply.ok)) throw new Error(JSON.stringify(reply))

mkdirSync(join(root, 'secret'))
writeFileSync(join(root, 'secret/f'), 'x')
const secret = statOf(lstatSync(join(root, 'secret/f'), { bigint: true }))
chmodSync(join(root, 'secret'), 0)
const read = new TreeReader(root, { identity: at.identity, recursive: true, paths: ['secret'] }).next()
const hashed = await hash({ do: 'hash', root: at, requests: [{ path: 'secret/f', kind: 'file', stat: secret }] })
// What piscina would send; here nobody unwraps it.
const sent = (hashed as { [valueSymbol]?: typeof hashed })[valueSymbol] ?? hashed
const [first] = 'ok' in sent && Array.isArray(sent.ok) ? sent.ok : []
const unreadable =
  read !== undefined && 'gone' in read ? { path: read.path, gone: read.gone, code: read.problem?.code } : read
console.log(
  JSON.stringify({
    results: reply.ok.results.map(result => result.ok),
    names: readdirSync(join(root, 'locked')).sort(),
    mode: lstatSync(join(root, 'locked')).mode & 0o777,
    unreadable,
    hashed: typeof first === 'object' && first !== null && 'problem' in first ? first.problem.code : first,
  }),
)
