// A device whose knowledge is old: its database was lost, or its home was put back from a backup. What the others changed and deleted
// meanwhile stays so, and what it alone has is kept. Nothing is asked of a person.
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import type { Device } from './support/device.ts'
import { readTree } from './support/tree.ts'
import { get, linked, pair, settle, useWorld } from './support/world.ts'

describe('e2e: a device whose knowledge is old', function () {
  this.timeout(180_000)
  const world = useWorld(['desk', 'lamp'])
  const desk = (): Device => world.device('desk')
  const lamp = (): Device => world.device('lamp')

  /** The desk is as the others left it, and so is the lamp. */
  async function settled(expected: Record<string, string>): Promise<void> {
    await linked(desk(), lamp())
    await settle(world.devices, 'notes')
    const tree = readTree(desk().path('notes'))
    const files = [...tree.keys()].filter(path => statSync(desk().path('notes', path)).isFile())
    const found = files.map(path => [path, readFileSync(desk().path('notes', path), 'utf8')])
    expect(Object.fromEntries(found)).to.deep.equal(expected)
    for (const device of world.devices) expect((await device.folder('notes')).conflicts).to.equal(0)
  }

  it('a lost database: nothing comes back', async () => {
    for (const name of ['sub', 'gone']) mkdirSync(desk().path('notes', name), { recursive: true })
    for (const name of ['a', 'b', 'c', 'sub/d', 'gone/e']) writeFileSync(desk().path('notes', name), `${name} 0`)
    await desk().start()
    await lamp().start()
    await pair(desk(), lamp())
    await desk().ok(['add', desk().path('notes')])
    await get(lamp(), 'notes', lamp().path('notes'))
    await settle(world.devices, 'notes')
    await lamp().stop()
    cpSync(lamp().home, `${lamp().home}.backup`, { recursive: true, preserveTimestamps: true })
    writeFileSync(desk().path('notes', 'a'), 'a 1')
    unlinkSync(desk().path('notes', 'b'))
    renameSync(desk().path('notes', 'sub'), desk().path('notes', 'other'))
    rmSync(desk().path('notes', 'gone'), { recursive: true })
    await desk().ok(['wait'])
    writeFileSync(lamp().path('notes', 'mine'), 'mine')
    for (const name of ['database', 'database.json']) rmSync(`${lamp().home}/${name}`, { recursive: true })
    await lamp().start()
    await settled({ a: 'a 1', c: 'c 0', 'other/d': 'sub/d 0', mine: 'mine' })
  })

  it('a home from a backup, the folder as it was: nothing comes back', async () => {
    await lamp().stop()
    rmSync(lamp().home, { recursive: true })
    cpSync(`${lamp().home}.backup`, lamp().home, { recursive: true, preserveTimestamps: true })
    writeFileSync(desk().path('notes', 'a'), 'a 2')
    unlinkSync(desk().path('notes', 'mine'))
    renameSync(desk().path('notes', 'other'), desk().path('notes', 'third'))
    await desk().ok(['wait'])
    writeFileSync(lamp().path('notes', 'new'), 'new')
    await lamp().start()
    await settled({ a: 'a 2', c: 'c 0', 'third/d': 'sub/d 0', new: 'new' })
    expect(lamp().logTail()).to.match(/this home is a copy/)
  })
})
