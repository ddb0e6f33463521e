// What keeping versions costs while syncing: `npm run bench:keeping [-- --pairs 7] [--only small|large]`. Two builds of the same source run
// the same work in turn, order alternating: the product, and one from which the keeping of what is replaced was taken out. Each run is
// two daemons on a private network; the time is from the moment the changes may be seen until both say that all is done. Prints each
// pair and the median of the ratios; ends with 1 where one is over 1.10. Needs root.
import { execFileSync, spawn } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import {
  closeSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { edited } from '../sim/mutants/copy.ts'
import { writeMany } from './support/sample.ts'
import { equalTrees, get, pair, settle, World } from './support/world.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const MOST = 1.1
const FILES = 10_000
const FILE_BYTES = 4096
const LARGE_BYTES = 1 << 30

/** The publish worker without versions: what is replaced is not linked, not synced, and nobody looks for late writers. */
const WITHOUT_VERSIONS = {
  name: 'without-versions',
  protects: 'what a publish replaces',
  edits: [
    {
      file: 'disk/old-files.ts',
      find: 'const kept = keepOld(this.#area, parent, name, old, content)',
      replace: "const kept = { name: String(content) && '', linked: false, made: false }",
    },
    {
      file: 'disk/old-files.ts',
      find: 'if (this.#ahead.size === 0) return',
      replace: 'if (this.#ahead.size >= 0) return',
    },
    {
      file: 'disk/old-files.ts',
      find: "import { ChangedError, isSameBytes, type Kept, keepOld } from './keep-old.ts'",
      replace: "import { ChangedError, isSameBytes, type Kept } from './keep-old.ts'",
    },
    {
      file: 'disk/publish-batch.ts',
      find: 'this.versions.add(content)',
      replace: 'if (!kept.linked) return void content',
    },
  ],
}

const WORK = {
  small: {
    what: `${FILES} files of ${FILE_BYTES} bytes, all overwritten`,
    make: (folder: string): void => writeMany(folder, FILES, { perDirectory: 100, bytes: FILE_BYTES }),
  },
  large: {
    what: 'one file of 1 GiB, replaced',
    make: (folder: string): void => {
      const fd = openSync(join(folder, 'large'), 'w')
      const block = Buffer.alloc(1 << 24)
      for (let at = 0; at < LARGE_BYTES; at += block.length) writeSync(fd, randomFillSync(block))
      closeSync(fd)
    },
  },
} as const
type Work = keyof typeof WORK

/** In a process of its own, whose daemons are of the build that its environment names. Prints ms. */
async function measure(work: Work): Promise<void> {
  const world = new World({})
  world.open(['desk', 'lamp'])
  try {
    const { make } = WORK[work]
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    mkdirSync(desk.path('files'))
    await desk.start(desk.path('files'))
    make(desk.path('files'))
    await lamp.start()
    await pair(desk, lamp)
    await get(lamp, 'files', lamp.path('files'))
    await settle(world.devices, 'files', 600_000)
    await desk.ok(['folder', 'pause', 'files'])
    make(desk.path('files'))
    execFileSync('sync')
    const started = performance.now()
    await desk.ok(['folder', 'resume', 'files'])
    await Promise.all(world.devices.map(device => device.ok(['wait', '--timeout', '600'], { timeoutMs: 610_000 })))
    const took = performance.now() - started
    equalTrees(world.devices, 'files')
    console.log(String(took))
  } finally {
    await world.close()
  }
}

function built(at: string, edits: ReadonlyMap<string, string>): string {
  cpSync(join(ROOT, 'src'), join(at, 'src'), { recursive: true })
  for (const file of ['package.json', 'tsconfig.json', 'build.ts']) cpSync(join(ROOT, file), join(at, file))
  symlinkSync(join(ROOT, 'node_modules'), join(at, 'node_modules'))
  for (const [file, text] of edits) writeFileSync(join(at, 'src', file), text)
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: at, stdio: 'inherit' })
  return join(at, 'dist/cli/main.js')
}

async function run(work: Work, main: string): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), '--measure', work], {
    env: { ...process.env, KITH_E2E_MAIN: main },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  const code = await new Promise<number | null>(resolve => child.on('close', resolve))
  const ms = Number(out.trim().split('\n').at(-1))
  if (code !== 0 || !(ms > 0)) throw new Error(`${work} with ${main} ended with ${code}: ${out}`)
  return ms
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const [low, high] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]]
  if (low === undefined || high === undefined) throw new Error('nothing was measured')
  return (low + high) / 2
}

async function compare(pairs: number, works: readonly Work[]): Promise<boolean> {
  const without = edited(WITHOUT_VERSIONS)
  if (typeof without === 'string') throw new Error(without)
  const top = mkdtempSync(join(tmpdir(), 'kith-bench-'))
  try {
    const mains = [built(join(top, 'with'), new Map()), built(join(top, 'without'), without)] as const
    let held = true
    for (const work of works) {
      console.log(WORK[work].what)
      const ratios: number[] = []
      for (let n = 0; n < pairs; n++) {
        const [first, second] = n % 2 === 0 ? mains : ([mains[1], mains[0]] as const)
        const times = new Map([[first, await run(work, first)]])
        times.set(second, await run(work, second))
        const [kept, not] = mains.map(main => times.get(main) ?? Number.NaN) as [number, number]
        ratios.push(kept / not)
        console.log(`  ${(kept / 1000).toFixed(2)} s with versions, ${(not / 1000).toFixed(2)} s without`)
      }
      const ratio = median(ratios)
      console.log(`  median of ${pairs} pairs: ${ratio.toFixed(3)}`)
      held &&= ratio <= MOST
    }
    return held
  } finally {
    rmSync(top, { recursive: true, force: true })
  }
}

const { values } = parseArgs({
  options: { measure: { type: 'string' }, pairs: { type: 'string', default: '7' }, only: { type: 'string' } },
})
const isWork = (name: string): name is Work => Object.hasOwn(WORK, name)
const named = values.measure ?? values.only
if (named !== undefined && !isWork(named)) throw new Error(`there are ${Object.keys(WORK).join(', ')}`)
if (values.measure !== undefined && named !== undefined) await measure(named)
else if (!(await compare(Number(values.pairs), named === undefined ? ['small', 'large'] : [named])))
  process.exitCode = 1
