// The database of a device is damaged while its daemon does not run: one file of it flipped, cut, gone or old, or all of it. The daemon
// must come up by itself within three tries, what it cannot trust it builds anew, and both devices end with exactly what the people made:
// nothing lost, nothing that was deleted back again, and no conflict copy where both hold the same bytes. Where a device that forgot all has
// other bytes than the other, it cannot know which are newer: both are there then, side by side.
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { Level } from 'level'
import { TABLES } from '../../src/store/tables.ts'
import type { Device } from '../e2e/support/device.ts'
import { figure, percentile, seconds } from '../e2e/support/figures.ts'
import { random, randomBytes } from '../e2e/support/random.ts'
import { lines } from '../e2e/support/sample.ts'
import { readTree } from '../e2e/support/tree.ts'
import { Hopeless, until } from '../e2e/support/until.ts'
import { linked, useWorld } from '../e2e/support/world.ts'
import { makeDeadly } from '../store/deadly.ts'
import { FULL, needs, trials } from './support/faults.ts'
import { Model } from './support/model.ts'
import { atRest, expectRest, REST_MS, share, started } from './support/pair-of-devices.ts'

const CASES = trials({ share: 8, full: 60 })
const FILES = 40
const MAX_BYTES = 20_000
const MOST_STARTS = 3
const BUILT_MS = 60_000
/** So many old files and as many new ones are written after what is left of a log. */
const ENDS = 6
const REBUILT = /the database was (?:damaged: it is set aside and built anew|gone: it is built anew)/g

/** All the cases together change many files in a few minutes: that is said, and true. */
const SAID_OF_MANY = 'mass-change-kept'

/** What LevelDB says where it ends the daemon. */
const ASSERTION = /^node: .*table_builder.*Assertion.*last_key.* failed\.$/gm

/** What it knows is older than what it did: it is compared with the others before it says anything. */
const REJOINED = /"type":"folder:rejoined"/

/** `all`: the directory and the file beside it that says it is there. */
type Part = 'CURRENT' | 'MANIFEST' | 'log' | 'ldb' | 'LOCK' | 'LOG' | 'marker' | 'directory' | 'all'
type Harm = 'flip' | 'empty' | 'halve' | 'remove' | 'swap' | 'older'
type Damage = readonly [Harm, Part]

/** The share is the first of them. */
const DAMAGES: readonly Damage[] = [
  ['older', 'directory'],
  ['flip', 'ldb'],
  ['remove', 'all'],
  ['halve', 'log'],
  ['flip', 'ldb'],
  ['swap', 'CURRENT'],
  ['flip', 'log'],
  ['remove', 'ldb'],
  ['remove', 'directory'],
  ['flip', 'MANIFEST'],
  ['empty', 'ldb'],
  ['older', 'log'],
  ['flip', 'ldb'],
  ['remove', 'log'],
  ['halve', 'ldb'],
  ['flip', 'CURRENT'],
  ['remove', 'MANIFEST'],
  ['empty', 'log'],
  ['flip', 'ldb'],
  ['remove', 'CURRENT'],
  ['halve', 'MANIFEST'],
  ['older', 'MANIFEST'],
  ['flip', 'log'],
  ['empty', 'MANIFEST'],
  ['empty', 'CURRENT'],
  ['older', 'ldb'],
  ['flip', 'marker'],
  ['remove', 'marker'],
  ['empty', 'marker'],
  ['flip', 'ldb'],
  ['remove', 'LOCK'],
  ['remove', 'LOG'],
]

describe('fault: a damaged database', function () {
  this.timeout(FULL ? 1_800_000 : 400_000)
  // Not even root reads what nobody may read.
  const world = useWorld(['desk', 'lamp'], { ordinary: true })
  const model = new Model()
  /** What each database was when its device was stopped the last time. */
  const earlier = new Map<Device, string>()
  let desk: Device
  let lamp: Device
  let made = 0

  before(async function () {
    this.timeout(120_000)
    needs(this)
    desk = world.device('desk')
    lamp = world.device('lamp')
    mkdirSync(desk.path('notes', 'sub'), { recursive: true })
    for (let n = 0; n < FILES; n++) put(desk, fresh())
    await share(desk, lamp, 'notes')
    for (const device of [desk, lamp]) {
      for (const path of some(FILES / 8)) put(device, path)
      await atRest([desk, lamp], 'notes')
    }
  })

  it('is found or harms nothing: both devices end with what the people made', async () => {
    const outcomes = new Map<string, string[]>()
    const times: number[] = []
    let rebuilt = 0
    let old = 0
    let crashes = 0
    let copies = 0
    for (let n = 0; n < CASES; n++) {
      const [victim, healthy] = random() < 0.5 ? [desk, lamp] : [lamp, desk]
      const damage = DAMAGES[n % DAMAGES.length] as Damage
      const killed = n % 3 === 1
      await (killed ? victim.kill() : victim.stop())
      const where = `case ${n}: ${damage.join(' ')} of ${victim.name}${killed ? ', killed' : ''}: ${harm(victim, damage)}`
      const edits = n % 2 === 1 ? work(healthy, victim, { both: n % 4 === 1 }) : []
      const seen = logOf(victim).length
      const began = performance.now()
      const starts = await comesToRest(victim, healthy, where)
      times.push(performance.now() - began)
      const anew = (logOf(victim).slice(seen).match(REBUILT) ?? []).length
      expect(anew, `${where}: built anew`).to.be.at.most(1)
      const outcome = anew > 0 ? 'built anew' : REJOINED.test(logOf(victim).slice(seen)) ? 'known as old' : 'harmless'
      copies += await check(edits, { where, forgot: outcome !== 'harmless' })
      crashes += starts - 1
      rebuilt += anew
      if (outcome === 'known as old') old++
      note(outcomes, damage, `${outcome}${starts > 1 ? ` at start ${starts}` : ''}`)
    }
    for (const [what, each] of [...outcomes].sort()) figure(`${what}: ${counted(each)}`)
    figure(
      `N = ${CASES} databases damaged: ${rebuilt} built anew, ${old} known as old, ${CASES - rebuilt - old} harmless, ${crashes} starts died; 0 lost, 0 back again`,
    )
    figure(`${copies} files in two versions of which one device alone had written one while it had no database`)
    figure(`at rest after ${seconds(percentile(times, 0.5))}, at most ${seconds(Math.max(...times))}`)
  })

  it('that lost its end is known as old before another device is there', async () => {
    for (const [victim, healthy] of [
      [desk, lamp],
      [lamp, desk],
    ] as const) {
      // A log of its own for what it is to forget.
      await victim.stop()
      await comesToRest(victim, healthy, 'stopped and started')
      const all = [...some(ENDS), ...Array.from({ length: ENDS }, fresh)]
      for (const path of all) {
        put(victim, path)
        await atRest([desk, lamp], 'notes')
      }
      await victim.stop()
      const where = `half of the log of ${victim.name}: ${harm(victim, ['halve', 'log'])}`
      for (const [at, path] of all.entries()) {
        if (at % 3 === 0) put(healthy, path)
        else if (at % 3 === 1) remove(healthy, path)
        else move(healthy, path, fresh())
      }
      await healthy.stop()
      const seen = logOf(victim).length
      await started(victim)
      await until(async () => (await victim.folder('notes')).state === 'idle' || (await isHeld(victim)), {
        timeoutMs: REST_MS,
        what: `${where}: it has looked, or waits`,
      })
      await started(healthy)
      await comesToRest(victim, healthy, where)
      expect(logOf(victim).slice(seen), where).to.match(REJOINED).and.not.to.match(REBUILT)
      await check([], { where, forgot: true })
    }
    figure(`N = 2 databases that lost half of their log: 0 of ${4 * ENDS} changes made elsewhere meanwhile undone`)
  })

  it('that may not be read is left alone, and used when it may', async () => {
    await lamp.stop()
    const current = join(lamp.home, 'database', 'CURRENT')
    const seen = logOf(lamp).length
    chmodSync(current, 0o000)
    await started(lamp).then(
      () => expect.fail('it started'),
      () => undefined,
    )
    expect(logOf(lamp).slice(seen)).to.match(/may not be read/)
    chmodSync(current, 0o600)
    await comesToRest(lamp, desk, 'readable again')
    expect(logOf(lamp).slice(seen)).not.to.match(REBUILT)
    expect(model.differences(readTree(desk.path('notes')))).to.deep.equal([])
  })

  it('that ends each daemon that opens it is built anew at the third start', async () => {
    const [victim, healthy] = [lamp, desk]
    await victim.stop()
    await makeDeadly(join(victim.home, 'database'))
    const edits = work(healthy, victim, { both: false })
    const seen = logOf(victim).length
    const starts = await comesToRest(victim, healthy, 'deadly')
    const log = logOf(victim).slice(seen)
    expect(starts).to.equal(MOST_STARTS)
    expect((log.match(ASSERTION) ?? []).length, 'daemons that LevelDB ended').to.equal(MOST_STARTS - 1)
    expect(log).to.match(/on checking: the process that read it ended with SIGABRT/)
    expect(log.match(REBUILT)).to.deep.equal(['the database was damaged: it is set aside and built anew'])
    await check(edits, { where: 'deadly', forgot: true })
  })

  it('whose damage is found after the opening is built anew by the same daemon', async () => {
    const [victim, healthy] = [lamp, desk]
    // Of one commit: what was stored last is read at the next start.
    for (let n = 0; n < FILES / 4; n++) put(victim, fresh())
    await atRest([desk, lamp], 'notes')
    await victim.stop()
    await loseJournalEntry(join(victim.home, 'database'))
    const edits = work(healthy, victim, { both: false })
    const seen = logOf(victim).length
    await started(victim)
    await until(() => logOf(victim).slice(seen).match(REBUILT), { timeoutMs: BUILT_MS, what: 'it is built anew' })
    expect(await comesToRest(victim, healthy, 'an entry of the journal is gone'), 'more starts').to.equal(0)
    const log = logOf(victim).slice(seen)
    expect(log)
      .to.match(/"folder:halted".*"database-corrupt"/)
      .and.match(/stopping, to build the database anew/)
    expect(log.match(REBUILT)).to.deep.equal(['the database was damaged: it is set aside and built anew'])
    await check(edits, { where: 'an entry of the journal is gone', forgot: true })
  })

  // -- people

  /** While `victim` is down: each makes, edits, renames and deletes. Returns what was edited at `victim`. */
  function work(healthy: Device, victim: Device, options: { both: boolean }): Edit[] {
    const all = some(model.size)
    const [edited, deleted, renamed, mine] = all as [string, string, string, string]
    // Two edits of a text may merge.
    const ours = all.slice(4).find(path => path.endsWith('.bin')) as string
    put(healthy, edited)
    put(healthy, fresh())
    remove(healthy, deleted)
    move(healthy, renamed, fresh())
    // Deletions and renames by the other are not: with its database it may forget that the file was there, and then it comes back.
    put(victim, fresh())
    const edits: Edit[] = [
      { path: mine, here: put(victim, mine), there: readFileSync(healthy.path('notes', mine)), both: false },
    ]
    if (options.both) edits.push({ path: ours, there: put(healthy, ours), here: put(victim, ours), both: true })
    return edits
  }

  /** Holds the tree against what people made; says how many edits by one person alone made two versions. */
  async function check(edits: readonly Edit[], { where, forgot }: { where: string; forgot: boolean }): Promise<number> {
    const tree = new Map(readTree(desk.path('notes')))
    let copies = 0
    for (const { path, here, there, both } of edits) {
      const found = versionsOf(path)
      const expected = both || (forgot && found.length > 1) ? [here, there] : [here]
      const hex = (all: readonly Buffer[]): string[] => all.map(each => each.toString('hex')).sort()
      expect(hex(found.map(each => readFileSync(desk.path('notes', each)))), `${where}: ${path}`).to.deep.equal(
        hex(expected),
      )
      if (found.length === 1) continue
      if (!both) copies++
      // Somebody makes one of the two.
      for (const each of found) tree.delete(each)
      for (const each of found) if (each !== path) rmSync(desk.path('notes', each))
      model.remove(path)
    }
    expect(model.differences(tree), where).to.deep.equal([])
    for (const { path } of edits) if (!model.paths().includes(path)) put(desk, path)
    await atRest([desk, lamp], 'notes')
    expect(model.differences(readTree(desk.path('notes'))), where).to.deep.equal([])
    for (const device of [desk, lamp]) {
      const { conflicts, problems: all } = await device.folder('notes')
      const problems = all.filter(({ code }) => code !== SAID_OF_MANY)
      expect({ conflicts, problems }, `${where}: ${device.name}`).to.deep.equal({ conflicts: 0, problems: [] })
    }
    return copies
  }

  /** Beside it under a name of a conflict, or of another file that came to the same name. */
  function versionsOf(path: string): string[] {
    const [stem, ending] = path.split('.') as [string, string]
    const names = readdirSync(desk.path('notes'), { recursive: true, encoding: 'utf8' })
    return names.filter(each => each === path || (each.startsWith(`${stem} (`) && each.endsWith(`.${ending}`)))
  }

  function fresh(): string {
    const number = made++
    return `${number % 3 === 0 ? 'sub/' : ''}f${number}.${number % 4 === 0 ? 'txt' : 'bin'}`
  }

  function some(count: number): string[] {
    const paths = model.paths()
    return Array.from({ length: count }, () => paths.splice(Math.floor(random() * paths.length), 1)[0] as string)
  }

  function put(device: Device, path: string): Buffer {
    const bytes = path.endsWith('.txt')
      ? Buffer.from(lines(60, { [1 + Math.floor(random() * 60)]: `number ${made} ${random()}` }))
      : randomBytes(1 + Math.floor(random() * MAX_BYTES))
    writeFileSync(device.path('notes', path), bytes)
    model.put(path, bytes)
    return bytes
  }

  function remove(device: Device, path: string): void {
    rmSync(device.path('notes', path))
    model.remove(path)
  }

  function move(device: Device, from: string, to: string): void {
    renameSync(device.path('notes', from), device.path('notes', to))
    model.move(from, to)
  }

  // -- devices

  /** Says how often it had to be started; dead more than twice is a crash loop. */
  async function comesToRest(victim: Device, healthy: Device, where: string): Promise<number> {
    let starts = 0
    await until(
      async () => {
        if (!victim.running) {
          if (starts === MOST_STARTS) throw new Hopeless(`${where}: it died ${starts} times`)
          starts++
          // One that dies before it answers is started again, too.
          await started(victim).catch((error: unknown) => {
            throw new Error(`${victim.name} did not start`, { cause: error })
          })
          await linked(healthy, victim)
        }
        await expectRest([victim, healthy], 'notes')
        return true
      },
      { timeoutMs: REST_MS, what: `${where}: at rest`, everyMs: 50 },
    )
    return starts
  }

  async function isHeld(device: Device): Promise<boolean> {
    return (await device.folder('notes')).problems.some(({ code }) => code === 'held')
  }

  function logOf(device: Device): string {
    return readFileSync(device.path('daemon.log'), 'utf8')
  }

  // -- damage

  /** Does it, and says what. Afterwards the database as it was before counts as the earlier one. */
  function harm(device: Device, [act, part]: Damage): string {
    const directory = join(device.home, 'database')
    const copy = device.path(`database-${made++}`)
    cpSync(directory, copy, { recursive: true })
    const old = earlier.get(device) ?? copy
    earlier.set(device, copy)
    const marker = `${directory}.json`
    if (part === 'directory' || part === 'all') {
      rmSync(directory, { recursive: true })
      if (act === 'older') cpSync(old, directory, { recursive: true })
      else if (part === 'all') rmSync(marker)
      return part
    }
    const path = part === 'marker' ? marker : one(directory, part)
    if (act === 'remove') rmSync(path)
    else if (act === 'swap') writeFileSync(path, 'MANIFEST-000001\n')
    else if (act === 'older') cpSync(one(old, part), path)
    else return cut(path, act)
    return path.slice(device.home.length)
  }
})

/** By the person at the device that is down. */
interface Edit {
  readonly path: string
  readonly here: Buffer
  /** What the other device has there. */
  readonly there: Buffer
  readonly both: boolean
}

function one(directory: string, part: Part): string {
  const names = readdirSync(directory).filter(
    name => name === part || name.startsWith(`${part}-`) || name.endsWith(`.${part}`),
  )
  const name = names[Math.floor(random() * names.length)]
  if (name === undefined) throw new Error(`no ${part} in ${readdirSync(directory).join(' ')}`)
  return join(directory, name)
}

function cut(path: string, act: 'flip' | 'empty' | 'halve'): string {
  const bytes = readFileSync(path)
  if (act !== 'flip') {
    writeFileSync(path, bytes.subarray(0, act === 'empty' ? 0 : bytes.length >> 1))
    return `${path.split('/').at(-1)} of ${bytes.length} bytes`
  }
  const at = Math.floor(random() * bytes.length)
  const bit = 1 << Math.floor(random() * 8)
  bytes[at] = (bytes[at] ?? 0) ^ bit
  writeFileSync(path, bytes)
  return `${path.split('/').at(-1)} byte ${at} of ${bytes.length} ^ ${bit}`
}

/** The one before the last: that there was one more shows by what is behind it. */
async function loseJournalEntry(directory: string): Promise<void> {
  const level = new Level<Buffer, Buffer>(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  const journal = { gte: Buffer.from([TABLES.journal]), lt: Buffer.from([TABLES.journal + 1]) }
  const [, key] = await level.keys({ ...journal, reverse: true, limit: 2 }).all()
  if (key === undefined) throw new Error('no entry of the journal')
  await level.del(key)
  await level.close()
}

function note(outcomes: Map<string, string[]>, [act, part]: Damage, outcome: string): void {
  const what = `${act} ${part}`
  outcomes.set(what, [...(outcomes.get(what) ?? []), outcome])
}

function counted(all: readonly string[]): string {
  return [...new Set(all)].map(each => `${all.filter(other => other === each).length} ${each}`).join(', ')
}
