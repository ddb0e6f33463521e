// The past comes back: a directory that was deleted, what a script did to hundreds of files, a whole folder as it stood then, a version that
// only a third device still has, a file's history through its renames; and nobody removes the device that alone holds something.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import type { Device } from './support/device.ts'
import { figure, seconds, timed } from './support/figures.ts'
import { random, randomBytes } from './support/random.ts'
import { readTree, type Tree } from './support/tree.ts'
import { until } from './support/until.ts'
import { get, linked, pair, settle, useWorld } from './support/world.ts'

interface Version {
  readonly id: string
  readonly time: string
  readonly device: string
  readonly action: string
  readonly path: string
  readonly from: string | null
  readonly here: boolean
  readonly devices: readonly string[]
}

interface Outcome {
  readonly done: boolean
  readonly changes: readonly { readonly action: string; readonly path: string }[]
  readonly missing: readonly unknown[]
}

const MANY = 1_000
const OVERWRITTEN = 500
const EDITED_AFTER = 20
const KILLS = 10

async function historyOf(device: Device, ...path: readonly string[]): Promise<readonly Version[]> {
  const { versions } = (await device.json(['history', device.path(...path)])) as { versions: readonly Version[] }
  return versions
}

/** This very moment, which is over when it resolves. */
async function thisMoment(): Promise<string> {
  const now = Date.now()
  await until(() => Date.now() > now, { timeoutMs: 1_000, what: 'the clock goes on', everyMs: 1 })
  return new Date(now).toISOString()
}

/** What is in some part of a folder, without the times of directories. */
function below(tree: Tree, top: string): ReadonlyMap<string, string> {
  return new Map([...tree].filter(([path]) => path === top || path.startsWith(`${top}/`)))
}

describe('e2e: the past', function () {
  this.timeout(300_000)
  const world = useWorld(['desk', 'lamp', 'shelf'])
  let desk: Device
  let lamp: Device
  let shelf: Device

  it('begins with two devices that have a folder', async () => {
    desk = world.device('desk')
    lamp = world.device('lamp')
    shelf = world.device('shelf')
    mkdirSync(desk.path('notes', 'many'), { recursive: true })
    for (let n = 0; n < MANY; n++)
      writeFileSync(desk.path('notes', 'many', `file ${n}.txt`), `line one of ${n}\nline two\n`)
    await desk.start(desk.path('notes'))
    await lamp.start()
    await pair(desk, lamp)
    await get(lamp, 'notes', lamp.path('notes'))
    await settle([desk, lamp], 'notes')
    // Nobody is to be asked about deletions here.
    for (const device of [desk, lamp]) await device.ok(['folder', 'set', 'notes', 'max-deletes=100%'])
  })

  it(`a directory of ${MANY} files that was deleted is brought back, from the other device`, async () => {
    const before = below(readTree(desk.path('notes')), 'many')
    rmSync(desk.path('notes', 'many'), { recursive: true })
    // It was all that the folder had: an emptied root is asked about where it was emptied.
    const isGone = async (): Promise<boolean> => {
      if ((await desk.folder('notes')).error !== null) await desk.ok(['folder', 'approve', 'notes'])
      return !existsSync(lamp.path('notes', 'many'))
    }
    await until(isGone, { timeoutMs: 60_000, what: 'the deletion is everywhere' })
    await settle([desk, lamp], 'notes')
    const dry = (await lamp.json(['restore', lamp.path('notes', 'many'), '--dry-run'])) as Outcome
    expect(dry.done).to.equal(false)
    expect(dry.changes).to.have.length(MANY + 1)
    expect(existsSync(lamp.path('notes', 'many'))).to.equal(false)
    const took = await timed(async () => {
      const { done, changes, missing } = (await lamp.json(['restore', lamp.path('notes', 'many')])) as Outcome
      expect({ done, changes: changes.length, missing }).to.deep.equal({ done: true, changes: MANY + 1, missing: [] })
      expect(below(readTree(lamp.path('notes')), 'many').size).to.equal(MANY + 1)
      await settle([desk, lamp], 'notes')
    })
    figure(`${MANY} files restored and everywhere after ${seconds(took)}`)
    expect(below(readTree(desk.path('notes')), 'many')).to.deep.equal(before)
  })

  it(`what a script did to ${OVERWRITTEN} files is undone, and the edits that others made later stay`, async () => {
    const before = below(readTree(desk.path('notes')), 'many')
    const since = await thisMoment()
    for (let n = 0; n < OVERWRITTEN; n++) writeFileSync(desk.path('notes', 'many', `file ${n}.txt`), randomBytes(64))
    await settle([desk, lamp], 'notes')
    for (let n = 0; n < EDITED_AFTER; n++)
      writeFileSync(lamp.path('notes', 'many', `file ${n}.txt`), `saved by hand ${n}\n`)
    writeFileSync(lamp.path('notes', 'many', 'by lamp.txt'), 'new here\n')
    await settle([desk, lamp], 'notes')
    const undo = ['undo', '--device', 'desk', '--since', since]
    const dry = (await lamp.json([...undo, '--dry-run'])) as Outcome
    expect(dry.changes).to.have.length(OVERWRITTEN - EDITED_AFTER)
    const { changes, missing } = (await lamp.json(undo)) as Outcome
    expect({ changes: changes.length, missing }).to.deep.equal({ changes: OVERWRITTEN - EDITED_AFTER, missing: [] })
    const after = below(await settle([desk, lamp], 'notes'), 'many')
    for (const [path, line] of before) {
      const n = /file (\d+)\.txt/.exec(path)?.[1]
      if (n !== undefined && Number(n) < EDITED_AFTER) {
        expect(readFileSync(desk.path('notes', path), 'utf8')).to.equal(`saved by hand ${n}\n`)
      } else if (n !== undefined) expect(after.get(path), path).to.equal(line)
    }
    expect(readFileSync(desk.path('notes', 'many', 'by lamp.txt'), 'utf8')).to.equal('new here\n')
    expect(after.size).to.equal(before.size + 1)
  })

  it(`a folder is brought back to what it was, though the device is killed ${KILLS} times and another one edits`, async () => {
    const then = await settle([desk, lamp], 'notes')
    const at = await thisMoment()
    rmSync(desk.path('notes', 'many', 'file 7.txt'))
    renameSync(desk.path('notes', 'many'), desk.path('notes', 'renamed'))
    for (let n = 100; n < 400; n++) writeFileSync(desk.path('notes', 'renamed', `file ${n}.txt`), `other ${n}\n`)
    mkdirSync(desk.path('notes', 'new'))
    for (let n = 0; n < 100; n++) writeFileSync(desk.path('notes', 'new', `${n}`), `new ${n}\n`)
    await settle([desk, lamp], 'notes')
    let edits = 0
    let editing = true
    const edit = async (): Promise<void> => {
      while (editing) {
        writeFileSync(desk.path('notes', 'live.txt'), `edit ${++edits}\n`)
        await sleep(20)
      }
    }
    const other = edit()
    const restore = ['restore', lamp.path('notes'), '--at', at]
    for (let kill = 0; kill < KILLS; kill++) {
      const running = lamp.cli(restore)
      await sleep(random() * 400)
      await lamp.kill()
      await running
      await lamp.start()
    }
    await linked(desk, lamp)
    await lamp.ok(['wait', '--timeout', '60'])
    await lamp.ok(restore, { timeoutMs: 120_000 })
    editing = false
    await other
    writeFileSync(desk.path('notes', 'live.txt'), 'the last edit\n')
    const now = new Map(await settle([desk, lamp], 'notes'))
    expect(now.delete('live.txt')).to.equal(true)
    expect(now).to.deep.equal(new Map(then))
    expect(readFileSync(lamp.path('notes', 'live.txt'), 'utf8')).to.equal('the last edit\n')
    figure(`killed ${KILLS} times, ${edits} edits meanwhile`)
    // and that is taken back by another restore
    await lamp.ok(['restore', lamp.path('notes', 'new', '5')])
    await settle([desk, lamp], 'notes')
    expect(readFileSync(desk.path('notes', 'new', '5'), 'utf8')).to.equal('new 5\n')
  })

  it('a version that only a third device holds comes back through the network', async () => {
    const old = randomBytes(3_000_000)
    // As if shelf had been there and lamp had not.
    await lamp.stop()
    await shelf.start()
    await pair(desk, shelf)
    await get(shelf, 'notes', shelf.path('notes'))
    writeFileSync(desk.path('notes', 'big.bin'), old)
    await settle([desk, shelf], 'notes')
    writeFileSync(desk.path('notes', 'big.bin'), randomBytes(2_000_000))
    await settle([desk, shelf], 'notes')
    await lamp.start()
    await linked(lamp, desk)
    await linked(lamp, shelf)
    await settle(world.devices, 'notes')
    const versions = await historyOf(lamp, 'notes', 'big.bin')
    const first = versions.at(-1)
    expect(first).to.deep.include({ action: 'created', device: 'desk', here: false, devices: ['shelf'] })
    await lamp.ok([
      'restore',
      lamp.path('notes', 'big.bin'),
      '--version',
      first?.id ?? '',
      '--to',
      lamp.path('copy.bin'),
    ])
    expect(readFileSync(lamp.path('copy.bin')).equals(old)).to.equal(true)
    await lamp.ok(['restore', lamp.path('notes', 'big.bin'), '--version', (first?.id ?? '').slice(0, 10)])
    expect(hashOf(lamp.path('notes', 'big.bin'))).to.equal(hashOf(lamp.path('copy.bin')))
    await settle(world.devices, 'notes')
    expect(hashOf(desk.path('notes', 'big.bin'))).to.equal(hashOf(lamp.path('copy.bin')))
  })

  it('a history follows a file through two renames, and is told alike by all', async () => {
    writeFileSync(desk.path('notes', 'draft.txt'), 'first words\n')
    await settle(world.devices, 'notes')
    renameSync(desk.path('notes', 'draft.txt'), desk.path('notes', 'letter.txt'))
    await settle(world.devices, 'notes')
    writeFileSync(lamp.path('notes', 'letter.txt'), 'first words\nand more\n')
    await settle(world.devices, 'notes')
    mkdirSync(shelf.path('notes', 'sent'))
    renameSync(shelf.path('notes', 'letter.txt'), shelf.path('notes', 'sent', 'to mother.txt'))
    await settle(world.devices, 'notes')
    const told = await Promise.all(world.devices.map(device => historyOf(device, 'notes', 'sent', 'to mother.txt')))
    const facts = told.map(versions =>
      versions.map(({ id, device, action, path, from }) => ({ id, device, action, path, from })),
    )
    expect(facts[0]?.map(({ device, action, path, from }) => [device, action, path, from])).to.deep.equal([
      ['shelf', 'moved', 'sent/to mother.txt', 'letter.txt'],
      ['lamp', 'edited', 'letter.txt', null],
      ['desk', 'moved', 'letter.txt', 'draft.txt'],
      ['desk', 'created', 'draft.txt', null],
    ])
    expect(facts[1]).to.deep.equal(facts[0])
    expect(facts[2]).to.deep.equal(facts[0])
    const { stdout } = await desk.ok(['explain', desk.path('notes', 'sent', 'to mother.txt')])
    expect(stdout).to.contain('desk moved it from "draft.txt" to "letter.txt".').and.contain('lamp edited it')
    const { stdout: diff } = await desk.ok(['diff', desk.path('notes', 'sent', 'to mother.txt')])
    expect(diff).to.contain('+and more')
  })

  it('a device that alone holds something is not removed without force', async () => {
    shelf.node.limit('4mbit')
    try {
      writeFileSync(shelf.path('notes', 'only here.bin'), randomBytes(20_000_000))
      await until(async () => (await desk.folder('notes')).need.files > 0, {
        timeoutMs: 30_000,
        what: 'desk has heard of it and not got it',
        everyMs: 10,
      })
      await shelf.kill()
    } finally {
      shelf.node.unlimit()
    }
    expect(existsSync(desk.path('notes', 'only here.bin'))).to.equal(false)
    const refused = await desk.cli(['device', 'remove', 'shelf'])
    expect(refused.code).to.equal(1)
    expect(refused.stderr).to.contain('only here.bin').and.contain('--force')
    expect((await desk.status()).devices.map(device => device.name)).to.include('shelf')
    await shelf.start()
    await settle(world.devices, 'notes')
    expect(hashOf(desk.path('notes', 'only here.bin'))).to.equal(hashOf(shelf.path('notes', 'only here.bin')))
    const { files, atRisk } = (await desk.json(['copies'])) as {
      files: { path: string; holders: string[] }[]
      atRisk: { files: number }
    }
    expect(files.find(file => file.path === 'only here.bin')?.holders.sort()).to.deep.equal(['desk', 'lamp', 'shelf'])
    expect(atRisk.files).to.equal(0)
    await shelf.stop()
    expect((await desk.cli(['device', 'remove', 'shelf'])).code).to.equal(0)
  })
})

function hashOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}
