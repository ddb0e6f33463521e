// The floors of the code, as a test: who may import whom, and which package has one importer alone. A rule that is never broken proves
// nothing, so each is shown to catch a planted import.
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { cruise, type ICruiseResult, type IForbiddenRuleType } from 'dependency-cruiser'

const ROOT = resolve(fileURLToPath(new URL('..', import.meta.url)))

/** Folder → the folders that it may import (itself always). */
const FLOORS = {
  core: [],
  crdt: ['core'],
  disk: ['core'],
  store: ['core'],
  p2p: ['core'],
  sync: ['core', 'crdt'],
  daemon: ['core', 'crdt', 'disk', 'store', 'p2p', 'sync'],
  cli: ['core'],
} as const

/** Package (a pattern of its name) → its one importer. */
const OWNERS = [
  ['yjs|lib0', 'crdt'],
  ['libp2p|@libp2p/[^/]+|@chainsafe/[^/]+|@multiformats/[^/]+', 'p2p'],
  ['level|classic-level|abstract-level', 'store'],
  ['chokidar', 'disk'],
  ['node-diff3', 'sync'],
  ['hono|@hono/[^/]+|pino|smol-toml', 'daemon'],
  ['commander|cli-table3|picocolors|qr|env-paths|diff', 'cli'],
] as const

const rules: IForbiddenRuleType[] = [
  // Types may name one another; what runs may not need itself.
  {
    name: 'no-cycles',
    severity: 'error',
    from: {},
    to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
  },
  { name: 'all-in-a-folder', severity: 'error', from: { pathNot: inFolders(Object.keys(FLOORS)) }, to: {} },
  ...Object.entries(FLOORS).map(
    ([folder, below]): IForbiddenRuleType => ({
      name: `floor-${folder}`,
      severity: 'error',
      from: { path: inFolders([folder]) },
      to: {
        path: '^src/',
        pathNot: inFolders([folder, ...below]),
        // The types of the API are what a client may know of the daemon; its process is run by `up` alone.
        ...(folder === 'cli' ? { dependencyTypesNot: ['type-only'] } : {}),
      },
    }),
  ),
  {
    name: 'cli-knows-the-api-alone',
    severity: 'error',
    from: { path: '^src/cli/' },
    to: { path: '^src/', pathNot: ['^src/(cli|core)/', '^src/daemon/api/schema\\.ts$', '^src/daemon/main\\.ts$'] },
  },
  ...OWNERS.map(
    ([packages, folder]): IForbiddenRuleType => ({
      name: `only-${folder}-imports-${packages.split('|')[0] ?? ''}`,
      severity: 'error',
      from: { pathNot: inFolders([folder]) },
      to: { path: `(^|/)node_modules/(${packages})/` },
    }),
  ),
  {
    // Five threads begin with each start: the schemas' library would be most of what they load.
    name: 'disk-workers-load-no-schemas',
    severity: 'error',
    from: { path: '^src/disk/[^/]+-worker\\.ts$' },
    to: { path: '(^|/)node_modules/zod/', reachable: true },
  },
  {
    name: 'core-imports-nothing',
    severity: 'error',
    from: { path: '^src/core/' },
    to: { pathNot: ['^src/core/', '^(node:)?crypto$'] },
  },
]

function inFolders(folders: readonly string[]): string {
  return `^src/(${folders.join('|')})/`
}

/** The process of the daemon is loaded by the command that is the daemon, and by no other. */
const UP_RUNS_THE_DAEMON = /^floor-cli: src\/cli\/commands\/up\.ts → src\/daemon\/main\.ts$/

async function violations(root: string): Promise<string[]> {
  const { output } = await cruise(
    ['src'],
    {
      baseDir: root,
      ruleSet: { forbidden: rules },
      validate: true,
      doNotFollow: { path: 'node_modules' },
      tsPreCompilationDeps: true,
      combinedDependencies: true,
    },
    { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  )
  const { summary } = output as ICruiseResult
  if (summary.totalCruised === 0) throw new Error('nothing was looked at')
  return summary.violations
    .map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`)
    .filter(line => !UP_RUNS_THE_DAEMON.test(line))
}

describe('layout', function () {
  this.timeout(60_000)

  it('nothing imports what is not below it', async () => {
    expect(await violations(ROOT)).to.deep.equal([])
  })

  const planted: readonly (readonly [rule: string, file: string, text: string])[] = [
    ['floor-core', 'core/planted.ts', "import '../crdt/there.ts'"],
    ['floor-crdt', 'crdt/planted.ts', "import '../sync/there.ts'"],
    ['floor-disk', 'disk/planted.ts', "import '../store/there.ts'"],
    ['floor-disk', 'disk/planted.ts', "import '../crdt/there.ts'"],
    ['floor-store', 'store/planted.ts', "import type { there } from '../crdt/there.ts'\nexport type T = typeof there"],
    ['floor-p2p', 'p2p/planted.ts', "import '../sync/there.ts'"],
    ['floor-sync', 'sync/planted.ts', "import '../disk/there.ts'"],
    ['floor-sync', 'sync/planted.ts', "await import('../p2p/there.ts')"],
    ['floor-daemon', 'daemon/planted.ts', "import '../cli/there.ts'"],
    ['floor-cli', 'cli/planted.ts', "import '../daemon/api/schema.ts'"],
    ['floor-cli', 'cli/planted.ts', "import '../daemon/main.ts'"],
    [
      'cli-knows-the-api-alone',
      'cli/planted.ts',
      "import type { there } from '../daemon/there.ts'\nexport type T = typeof there",
    ],
    ['only-crdt-imports-yjs', 'sync/planted.ts', "import 'yjs'"],
    ['only-p2p-imports-libp2p', 'daemon/planted.ts', "import '@libp2p/peer-id'"],
    ['only-p2p-imports-libp2p', 'daemon/planted.ts', "import type { Libp2p } from 'libp2p'\nexport type T = Libp2p"],
    ['only-store-imports-level', 'daemon/planted.ts', "import 'level'"],
    ['only-disk-imports-chokidar', 'sync/planted.ts', "import 'chokidar'"],
    ['only-daemon-imports-hono', 'cli/planted.ts', "import 'hono'"],
    ['disk-workers-load-no-schemas', 'disk/planted-worker.ts', "import './marker.ts'"],
    ['no-cycles', 'core/planted.ts', "import './there.ts'\nexport const planted = 1"],
    ['all-in-a-folder', 'planted.ts', "import './core/there.ts'"],
  ]
  for (const [rule, file, text] of planted) {
    it(`${rule} catches: ${text.split('\n')[0] ?? ''} in src/${file}`, async () => {
      const root = await mkdtemp(join(tmpdir(), 'kith-layout-'))
      try {
        for (const folder of Object.keys(FLOORS)) {
          await mkdir(join(root, 'src', folder), { recursive: true })
          await writeFile(join(root, 'src', folder, 'there.ts'), 'export const there = 1\n')
        }
        await mkdir(join(root, 'src', 'daemon', 'api'))
        for (const there of ['daemon/main.ts', 'daemon/api/schema.ts']) {
          await writeFile(join(root, 'src', there), 'export const there = 1\n')
        }
        await writeFile(join(root, 'src/disk/marker.ts'), "import 'zod'\n")
        await symlink(join(ROOT, 'node_modules'), join(root, 'node_modules'))
        await writeFile(join(root, 'package.json'), '{"type":"module"}')
        expect(await violations(root)).to.deep.equal([])
        await mkdir(dirname(join(root, 'src', file)), { recursive: true })
        await writeFile(join(root, 'src', file), `${text}\n`)
        if (rule === 'no-cycles') await writeFile(join(root, 'src/core/there.ts'), "import './planted.ts'\n")
        expect((await violations(root)).map(line => line.split(':')[0])).to.include(rule)
      } finally {
        await rm(root, { recursive: true, force: true })
      }
    })
  }
})
