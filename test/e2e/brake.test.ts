// What another device deletes of a folder at once is held until a person has answered, and nothing else is: what was deleted before the brake
// can be brought back, the folder goes on, and a package manager that removes a whole tree and puts it back asks nobody.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Device } from './support/device.ts'
import { writeMany } from './support/sample.ts'
import { diffTrees, type Tree } from './support/tree.ts'
import { until } from './support/until.ts'
import { get, pair, settle, useWorld } from './support/world.ts'

const FILES = 2_000
const DIRECTORIES = 100
const GONE = 1_500
/** Half of them. */
const MOST = 1_000

function filesOf(device: Device): number {
  const many = device.path('notes', 'many')
  return readdirSync(many, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile()).length
}

describe('e2e: the brake on mass deletion', function () {
  this.timeout(180_000)
  const world = useWorld(['desk', 'lamp'])
  let desk: Device
  let lamp: Device
  let whole: Tree
  let wholeAt: string

  before(async () => {
    desk = world.device('desk')
    lamp = world.device('lamp')
    writeMany(desk.path('notes', 'many'), FILES, { perDirectory: FILES / DIRECTORIES, bytes: 300 })
    await desk.start(desk.path('notes'))
    await lamp.start()
    await pair(desk, lamp)
    await get(lamp, 'notes', lamp.path('notes'))
    whole = await settle(world.devices, 'notes')
    wholeAt = new Date().toISOString()
  })

  function remove(device: Device): void {
    for (let at = 0; at < GONE / (FILES / DIRECTORIES); at++)
      rmSync(device.path('notes', 'many', `d${at}`), { recursive: true })
  }

  async function bringBack(): Promise<void> {
    await desk.ok(['restore', desk.path('notes', 'many'), '--at', wholeAt])
    const tree = await settle(world.devices, 'notes')
    expect(diffTrees(whole, tree, ['before', 'after'])).to.equal('')
    wholeAt = new Date().toISOString()
  }

  async function held(): Promise<void> {
    await until(async () => (await desk.folder('notes')).error?.code === 'mass-change', {
      timeoutMs: 60_000,
      what: 'status says mass-change',
    })
  }

  it('holds, says so on both, and goes on with all else', async () => {
    remove(lamp)
    await held()
    const here = filesOf(desk)
    console.log(`      · ${FILES - here} of ${GONE} deleted before the brake`)
    expect(FILES - here).to.be.at.most(MOST)
    const { error, state } = await desk.folder('notes')
    expect(state).to.equal('error')
    expect(error?.message).to.match(/^lamp deleted \d+ of the \d+ files here at once/)
    const waited = await desk.cli(['wait', '--timeout', '30'])
    expect(waited.code, waited.stderr).to.equal(1)
    expect(waited.stderr).to.match(/folder approve notes.*folder reject notes/)
    await until(async () => (await lamp.ok(['status'])).stdout.includes('does not sync there (mass-change)'), {
      timeoutMs: 10_000,
      what: 'the other device says where it is held',
    })
    writeFileSync(desk.path('notes', 'from desk'), 'desk')
    writeFileSync(lamp.path('notes', 'from lamp'), 'lamp')
    await until(() => existsSync(desk.path('notes', 'from lamp')) && existsSync(lamp.path('notes', 'from desk')), {
      timeoutMs: 20_000,
      what: 'the folder goes on',
    })
    for (const device of world.devices)
      for (const name of ['from desk', 'from lamp']) rmSync(device.path('notes', name), { force: true })
  })

  it('over a restart', async () => {
    const here = filesOf(desk)
    await desk.stop()
    await desk.start()
    await held()
    expect(filesOf(desk)).to.equal(here)
  })

  it('`reject` brings it back on both devices', async () => {
    await desk.ok(['folder', 'reject', 'notes'])
    await settle(world.devices, 'notes')
    const back = filesOf(lamp)
    expect(back).to.be.at.least(FILES - MOST)
    // What had gone before is in the past.
    await bringBack()
  })

  it('`approve` deletes them here too, and each can be restored', async () => {
    remove(lamp)
    await held()
    await desk.ok(['folder', 'approve', 'notes'])
    await settle(world.devices, 'notes')
    expect(filesOf(desk)).to.equal(FILES - GONE)
    await bringBack()
  })

  it('a tree that is removed and put back at once asks nobody', async () => {
    const aside = lamp.path('aside')
    mkdirSync(aside)
    for (const name of readdirSync(lamp.path('notes', 'many')))
      renameSync(lamp.path('notes', 'many', name), join(aside, name))
    await until(
      () =>
        desk.ok(['wait', '--timeout', '1']).then(
          () => false,
          () => true,
        ),
      {
        timeoutMs: 20_000,
        what: 'the other device has heard of it',
      },
    )
    for (const name of readdirSync(aside)) renameSync(join(aside, name), lamp.path('notes', 'many', name))
    // Which a hold that anybody was asked about would end.
    const tree = await settle(world.devices, 'notes')
    expect(diffTrees(whole, tree, ['before', 'after'])).to.equal('')
  })
})
