// Apart and together again: the cable is pulled, both sides edit, both daemons are ended (one of them by SIGKILL) between the last
// sync, the edits and the heal. Afterwards both trees are equal, what can be merged is merged, and everything that anybody wrote is there.

import { mkdirSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import { figure, seconds, timed } from './support/figures.ts'
import { randomBytes } from './support/random.ts'
import { lines, saveByRename } from './support/sample.ts'
import { pathsHolding, type Tree } from './support/tree.ts'
import { until } from './support/until.ts'
import { get, pair, settle, useWorld } from './support/world.ts'

describe('e2e: edits made apart', function () {
  this.timeout(180_000)
  const world = useWorld(['desk', 'lamp'])
  let tree: Tree
  const bytes = { desk: randomBytes(200_000), lamp: randomBytes(200_000) }

  before(async function () {
    this.timeout(60_000)
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    const notes = desk.path('notes')
    for (const name of ['project/src', 'old', 'x', 'y']) mkdirSync(`${notes}/${name}`, { recursive: true })
    for (const name of ['merged.txt', 'merged-while-down.txt', 'clash.txt', 'doomed.txt', 'gone.txt', 'moved.txt']) {
      writeFileSync(`${notes}/${name}`, lines(30, { 1: name }))
    }
    writeFileSync(`${notes}/image.bin`, randomBytes(200_000))
    for (const name of [
      'project/src/inner.txt',
      'project/plan.txt',
      'old/kept.txt',
      'old/left.txt',
      'x/x.txt',
      'y/y.txt',
    ]) {
      writeFileSync(`${notes}/${name}`, `${name} at first\n`)
    }
    await desk.start(notes)
    await lamp.start()
    await pair(desk, lamp)
    await get(lamp, 'notes', lamp.path('notes'))
    await settle(world.devices, 'notes')
  })

  it('come together, with both daemons ended in between', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    const onDesk = (name: string) => desk.path('notes', name)
    const onLamp = (name: string) => lamp.path('notes', name)
    lamp.node.partition()
    await desk.kill()
    await lamp.stop()

    // while no daemon runs
    saveByRename(onDesk('merged-while-down.txt'), lines(30, { 1: 'merged-while-down.txt', 5: 'five by desk' }))
    saveByRename(onLamp('merged-while-down.txt'), lines(30, { 1: 'merged-while-down.txt', 25: 'twenty-five by lamp' }))
    renameSync(onDesk('project'), onDesk('work'))
    unlinkSync(onDesk('gone.txt'))
    rmSync(onLamp('old'), { recursive: true })
    renameSync(onDesk('moved.txt'), onDesk('moved by desk.txt'))
    await desk.start()
    await lamp.start()

    // while both run, apart
    writeFileSync(onDesk('merged.txt'), lines(30, { 1: 'merged.txt', 3: 'three by desk' }))
    saveByRename(onLamp('merged.txt'), lines(30, { 1: 'merged.txt', 28: 'twenty-eight by lamp' }))
    writeFileSync(onDesk('clash.txt'), lines(30, { 1: 'clash.txt', 10: 'ten by desk' }))
    writeFileSync(onLamp('clash.txt'), lines(30, { 1: 'clash.txt', 10: 'ten by lamp' }))
    writeFileSync(onLamp('project/src/inner.txt'), 'inner by lamp\n')
    writeFileSync(onLamp('project/src/new.txt'), 'new by lamp\n')
    unlinkSync(onDesk('doomed.txt'))
    writeFileSync(onLamp('doomed.txt'), 'saved by lamp\n')
    writeFileSync(onDesk('old/kept.txt'), 'kept by desk\n')
    renameSync(onLamp('moved.txt'), onLamp('moved by lamp.txt'))
    renameSync(onDesk('x'), onDesk('y/x'))
    renameSync(onLamp('y'), onLamp('x/y'))
    for (const device of [desk, lamp]) {
      writeFileSync(device.path('notes', 'same.txt'), 'the same on both\n')
      writeFileSync(device.path('notes', 'twin.txt'), `a twin by ${device.name}\n`)
      writeFileSync(device.path('notes', 'image.bin'), bytes[device.name as 'desk' | 'lamp'])
      mkdirSync(device.path('notes', 'made by both'))
      writeFileSync(device.path('notes', 'made by both', `by ${device.name}`), device.name)
    }
    // desk is ended by SIGKILL at once, whatever it has noticed by then; lamp after it has noticed all
    await desk.kill()
    await lamp.ok(['wait', '--timeout', '30'])
    await lamp.stop()
    await desk.start()
    await lamp.start()
    await until(async () => !(await desk.linked(lamp)), { timeoutMs: 20_000, what: 'apart' })

    lamp.node.heal()
    const healing = await timed(async () => {
      await until(() => desk.linked(lamp), { timeoutMs: 20_000, what: 'linked again', everyMs: 20 })
    })
    const settling = await timed(async () => {
      tree = await settle(world.devices, 'notes')
    })
    figure(`linked ${seconds(healing)} after the heal, equal ${seconds(settling)} later`)
  })

  it('merge where lines do not overlap', () => {
    const merged = lines(30, { 1: 'merged.txt', 3: 'three by desk', 28: 'twenty-eight by lamp' })
    expect(pathsHolding(tree, merged)).to.deep.equal(['merged.txt'])
    const down = lines(30, { 1: 'merged-while-down.txt', 5: 'five by desk', 25: 'twenty-five by lamp' })
    expect(pathsHolding(tree, down)).to.deep.equal(['merged-while-down.txt'])
    expect([...tree.keys()].filter(path => path.startsWith('merged'))).to.have.length(2)
  })

  it('are both kept where they do, or where nothing can be merged', () => {
    for (const by of ['desk', 'lamp'] as const) {
      expect(pathsHolding(tree, lines(30, { 1: 'clash.txt', 10: `ten by ${by}` }))).to.have.length(1)
      expect(pathsHolding(tree, `a twin by ${by}\n`)).to.have.length(1)
      expect(pathsHolding(tree, bytes[by])).to.have.length(1)
    }
    for (const stem of ['clash', 'twin', 'image']) {
      const names = [...tree.keys()].filter(path => path.startsWith(stem))
      expect(names).to.have.length(2)
      expect(
        names.filter(name => /^\w+ \(conflict \d{4}-\d\d-\d\d \d\d-\d\d-\d\d .+\)\.\w+$/.test(name)),
      ).to.have.length(1)
    }
    expect(pathsHolding(tree, 'the same on both\n')).to.deep.equal(['same.txt'])
  })

  it('are named by `kith conflicts`, the same on both devices', async () => {
    const listed = await Promise.all(
      world.devices.map(async device => {
        const { conflicts } = (await device.json(['conflicts'])) as {
          conflicts: { path: string; versions: { path: string }[] }[]
        }
        return conflicts.flatMap(({ path, versions }) => versions.map(v => `${path}: ${v.path}`)).sort()
      }),
    )
    const paths = [...tree.keys()].filter(path => /^(clash|twin|image)/.test(path))
    expect(listed[0]).to.deep.equal(paths.map(path => `${path.replace(/ \(conflict .*\)/, '')}: ${path}`).sort())
    expect(listed[1]).to.deep.equal(listed[0])
  })

  it('follow a directory that was renamed on the other side', () => {
    expect(pathsHolding(tree, 'inner by lamp\n')).to.deep.equal(['work/src/inner.txt'])
    expect(pathsHolding(tree, 'new by lamp\n')).to.deep.equal(['work/src/new.txt'])
    expect(pathsHolding(tree, 'project/plan.txt at first\n')).to.deep.equal(['work/plan.txt'])
    expect(tree.has('project')).to.equal(false)
  })

  it('win against a delete, and bring back no more than themselves', () => {
    expect(pathsHolding(tree, 'saved by lamp\n')).to.deep.equal(['doomed.txt'])
    expect(pathsHolding(tree, 'kept by desk\n')).to.deep.equal(['old/kept.txt'])
    expect(tree.has('old/left.txt')).to.equal(false)
    expect(tree.has('gone.txt')).to.equal(false)
  })

  it('duplicate and lose nothing when both sides moved it', () => {
    expect(pathsHolding(tree, lines(30, { 1: 'moved.txt' }))).to.have.length(1)
    expect(pathsHolding(tree, 'x/x.txt at first\n')).to.have.length(1)
    expect(pathsHolding(tree, 'y/y.txt at first\n')).to.have.length(1)
    expect([...tree.keys()].filter(path => path.startsWith('made by both'))).to.deep.equal([
      'made by both',
      'made by both/by desk',
      'made by both/by lamp',
    ])
  })

  it('go on live afterwards', async () => {
    const lamp = world.device('lamp')
    writeFileSync(world.device('desk').path('notes', 'after.txt'), 'afterwards')
    await until(() => readFileSync(lamp.path('notes', 'after.txt'), 'utf8') === 'afterwards', {
      timeoutMs: 5_000,
      what: 'a new file shows',
    })
  })
})
