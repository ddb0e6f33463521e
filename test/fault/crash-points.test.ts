// A daemon that receives a change dies right before the first call by which it would write anything, then before the second, and so on to
// the last: in its home and in the folder, whichever thread makes it. Each time what a person sees is old or new and whole, the old content
// is somewhere, and after a restart both devices are equal and nothing is left on its way.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Device } from '../e2e/support/device.ts'
import { figure } from '../e2e/support/figures.ts'
import { random } from '../e2e/support/random.ts'
import { readTree } from '../e2e/support/tree.ts'
import { until } from '../e2e/support/until.ts'
import { equalTrees, useWorld } from '../e2e/support/world.ts'
import { Dying } from './support/dying.ts'
import { FULL, needs } from './support/faults.ts'
import { atRest, expectRest, holdsBytes, REST_MS, share } from './support/pair-of-devices.ts'

/** Trials of a case where not all are run. */
const SHARE = 3
/** Prepared at once. */
const BATCH = 30
const LINES = 100

/** What stands in a trial's directory: name → `old`, `new`, or null for a directory. */
type Seen = Readonly<Record<string, 'old' | 'new' | 'torn' | null>>

interface Case {
  readonly name: string
  readonly before: Seen
  readonly after: Seen
  /** What else may be seen between them. */
  readonly between: readonly Seen[]
  /** The old content loses its place, and must be kept. */
  readonly isReplaced: boolean
  /** What a person does on the other device; null: a version is restored here. */
  readonly act: ((at: (name: string) => string, fresh: Buffer) => void) | null
}

const write: Case['act'] = (at, fresh) => writeFileSync(at('f'), fresh)
const CASES: readonly Case[] = [
  { name: 'create', before: {}, after: { f: 'new' }, between: [], isReplaced: false, act: write },
  { name: 'replace', before: { f: 'old' }, after: { f: 'new' }, between: [], isReplaced: true, act: write },
  {
    name: 'rename',
    before: { f: 'old' },
    after: { g: 'old' },
    // Both names for a moment: two files with the same bytes.
    between: [{ f: 'old', g: 'old' }],
    isReplaced: true,
    act: at => renameSync(at('f'), at('g')),
  },
  { name: 'delete', before: { f: 'old' }, after: {}, between: [], isReplaced: true, act: at => rmSync(at('f')) },
  {
    name: 'file to directory',
    before: { f: 'old' },
    after: { f: null, 'f/in': 'new' },
    between: [{}, { f: null }],
    isReplaced: true,
    act(at, fresh) {
      rmSync(at('f'))
      mkdirSync(at('f'))
      writeFileSync(at('f/in'), fresh)
    },
  },
  {
    name: 'directory to file',
    before: { f: null, 'f/in': 'old' },
    after: { f: 'new' },
    between: [{}, { f: null }],
    isReplaced: true,
    act(at, fresh) {
      rmSync(at('f'), { recursive: true })
      writeFileSync(at('f'), fresh)
    },
  },
  { name: 'restore', before: { f: 'new' }, after: { f: 'old' }, between: [], isReplaced: true, act: null },
]

describe('fault: SIGKILL at every call that writes', function () {
  this.timeout(FULL ? 3_600_000 : 300_000)
  const world = useWorld(['desk', 'lamp'])
  let desk: Device
  let lamp: Device
  let dying: Dying

  before(async function () {
    needs(this, 'gcc')
    desk = world.device('desk')
    lamp = world.device('lamp')
    await share(desk, lamp, 'notes')
    await lamp.stop()
    dying = new Dying(lamp, [lamp.path('notes'), lamp.home])
    await dying.start()
  })

  for (const each of CASES) {
    it(`${each.name}: old or new, whole, nothing left, equal in the end`, async () => {
      const killed: string[] = []
      if (FULL) {
        // Not every run makes the same number of calls: it is over when two in a row have not so many.
        for (let at = 1, over = 0; over < 2; ) {
          const call = await trial(each, at)
          if (call === null) over++
          else {
            killed.push(call)
            over = 0
            at++
          }
        }
      } else {
        await trial(each, 0)
        const count = dying.calls().length
        for (let tries = 0; killed.length < SHARE && tries < 3 * SHARE; tries++) {
          const call = await trial(each, 1 + Math.floor(random() * count))
          if (call !== null) killed.push(call)
        }
      }
      expect(killed.length, 'killed').to.be.greaterThan(0)
      const kinds = new Map<string, number>()
      for (const call of killed.map(line => line.split(' ')[0] ?? '')) kinds.set(call, (kinds.get(call) ?? 0) + 1)
      figure(`${each.name}: N = ${killed.length} kills: ${[...kinds].map(([call, n]) => `${call} ${n}`).join(', ')}`)
    })
  }

  const prepared = new Map<Case, { made: number; used: number }>()

  /** Kills at the `at`-th call; says at which it was, or null where there were not so many. */
  async function trial(each: Case, at: number): Promise<string | null> {
    const here = `${each.name}/${await nextPrepared(each)}`
    const [old, fresh] = [contentOf(here, 'old'), contentOf(here, 'new')]
    const seen = (): Seen => look(lamp.path('notes', here), old, fresh)
    const others = (): string[] =>
      [...readTree(lamp.path('notes'))].filter(([path]) => !`${path}/`.startsWith(`${here}/`)).map(String)
    const before = others()
    const restore = each.act === null ? await restoreOf(here) : null
    await dying.quiet()
    dying.arm(at)
    each.act?.(name => desk.path('notes', here, name), fresh)
    const command = restore === null ? null : lamp.cli(restore, { timeoutMs: REST_MS })
    await until(
      async () => {
        if (!lamp.running) return true
        expect(seen()).to.deep.equal(each.after)
        await expectRest([desk, lamp], 'notes')
        return true
      },
      { timeoutMs: REST_MS, what: `${here}: rest or death at call ${at}`, everyMs: 20 },
    )
    await command
    dying.disarm()
    // It may have come to rest and died of a late call before it was disarmed.
    if (at > 0 && dying.calls().length >= at)
      await until(() => !lamp.running, { timeoutMs: REST_MS, what: `${here}: death at call ${at}` })
    if (lamp.running) return null

    const call = dying.calls().at(-1) ?? 'none'
    const where = `${each.name}, killed at call ${at}, ${call}`
    expect([each.before, each.after, ...each.between], `${where}: seen`).to.deep.include(seen())
    expect(others(), `${where}: what had no part in it`).to.deep.equal(before)
    const isKept = (): boolean => !each.isReplaced || holdsBytes(lamp.path('notes'), old)
    expect(isKept(), `${where}: the old content is there`).to.equal(true)
    await dying.start()
    await atRest([desk, lamp], 'notes').catch(error => {
      throw new Error(`${where}: ${error instanceof Error ? error.message : String(error)}`)
    })
    // A command whose daemon died was not answered: it was done, or it was not.
    expect(each.act === null ? [each.before, each.after] : [each.after], `${where}: in the end`).to.deep.include(seen())
    expect(isKept(), `${where}: the old content is there in the end`).to.equal(true)
    return call
  }

  /** The number of a directory of this case that stands on both devices as it is before; many are made at once. */
  async function nextPrepared(each: Case): Promise<number> {
    const numbers = prepared.get(each) ?? { made: 0, used: 0 }
    prepared.set(each, numbers)
    if (numbers.used === numbers.made) {
      // What is to be restored is written over first.
      const states = each.act === null ? [each.after, each.before] : [each.before]
      for (const state of states) {
        for (let number = numbers.made; number < numbers.made + BATCH; number++) {
          const here = `${each.name}/${number}`
          mkdirSync(desk.path('notes', here), { recursive: true })
          for (const [name, what] of Object.entries(state)) {
            if (what === null || what === 'torn') mkdirSync(desk.path('notes', here, name))
            else writeFileSync(desk.path('notes', here, name), contentOf(here, what))
          }
        }
        await until(() => equalTrees([desk, lamp], 'notes').has(`${each.name}/${numbers.made + BATCH - 1}`), {
          timeoutMs: REST_MS,
          what: 'all is prepared',
        })
        await atRest([desk, lamp], 'notes')
      }
      numbers.made += BATCH
    }
    return numbers.used++
  }

  /** The command that brings the version before the last back. */
  async function restoreOf(here: string): Promise<string[]> {
    const path = lamp.path('notes', here, 'f')
    const { versions } = (await lamp.json(['history', path])) as { versions: { id: string }[] }
    const version = versions[1]
    if (version === undefined) throw new Error(`${here} has ${versions.length} versions`)
    return ['restore', path, '--version', version.id]
  }
})

function contentOf(here: string, what: 'old' | 'new'): Buffer {
  return Buffer.from(`${what} content of ${here}\n`.repeat(LINES))
}

function look(directory: string, old: Buffer, fresh: Buffer): Seen {
  const seen: Record<string, Seen[string]> = {}
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const name = path.slice(directory.length + 1)
    if (entry.isDirectory()) seen[name] = null
    else {
      const bytes = readFileSync(path)
      seen[name] = bytes.equals(old) ? 'old' : bytes.equals(fresh) ? 'new' : 'torn'
    }
  }
  return seen
}
