// Folders that hold files already. The same tree added on both sides before they were paired becomes one folder without a copy or a
// conflict and without sending it; a directory that shares some files and differs in others loses nothing by `get`.

import { cpSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import { figure, megabytes } from './support/figures.ts'
import { lines, writeBig, writeMany } from './support/sample.ts'
import { countFiles, pathsHolding, readTree } from './support/tree.ts'
import { get, linked, pair, settle, useWorld } from './support/world.ts'

describe('e2e: joining folders that are not empty', function () {
  this.timeout(180_000)
  const world = useWorld(['desk', 'lamp'])

  it('the same tree on both sides becomes one, nothing doubled', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    const photos = desk.path('photos')
    mkdirSync(photos)
    writeMany(`${photos}/many`, 1_000, { perDirectory: 100, bytes: 5_000 })
    writeBig(`${photos}/big.bin`, 20_000_000)
    mkdirSync(`${photos}/empty`)
    cpSync(photos, lamp.path('photos'), { recursive: true, preserveTimestamps: true })
    // one directory came by a copy that did not keep times: equal content with another time is still one file
    for (const name of readdirSync(lamp.path('photos', 'many', 'd3'))) {
      utimesSync(lamp.path('photos', 'many', 'd3', name), 1_500_000_000, 1_500_000_000)
    }
    const original = readTree(photos)
    await desk.start(photos)
    await lamp.start(lamp.path('photos'))
    await Promise.all(world.devices.map(device => device.ok(['wait', '--timeout', '40'])))

    await pair(desk, lamp)
    const before = lamp.node.bytes()
    await lamp.ok(['get', (await desk.folder('photos')).id, lamp.path('photos')])
    const tree = await settle(world.devices, 'photos')
    const after = lamp.node.bytes()
    const travelled = after.received + after.sent - before.received - before.sent
    figure(`${countFiles(tree)} files, 25 MB, joined with ${megabytes(travelled)} on the wire`)

    expect([...tree.keys()]).to.deep.equal([...original.keys()])
    const bare = (line: string | undefined): string | undefined => line?.replace(/mtime \d+ /, '')
    for (const [path, line] of tree) {
      if (path.startsWith('many/d3/')) expect(bare(line)).to.equal(bare(original.get(path)))
      else expect(line).to.equal(original.get(path))
    }
    for (const device of world.devices) {
      expect(await device.json(['conflicts'])).to.deep.equal({ conflicts: [] })
      expect((await device.status()).folders).to.have.length(1)
    }
    expect((await lamp.folder('photos')).id).to.equal((await desk.folder('photos')).id)
    expect(travelled).to.be.below(3_000_000)
  })

  it('a directory that shares some files and differs in others keeps all contents', async () => {
    const desk = world.device('desk')
    const lamp = world.device('lamp')
    const mine = lamp.path('mine')
    const notes = desk.path('notes')
    for (const root of [mine, notes]) {
      mkdirSync(`${root}/deep/er`, { recursive: true })
      writeFileSync(`${root}/equal.txt`, 'equal')
      writeFileSync(`${root}/deep/er/equal.txt`, 'equal, deep')
    }
    const own = { desk: [notes, 'by desk'], lamp: [mine, 'by lamp'] } as const
    for (const [root, by] of Object.values(own)) {
      writeFileSync(`${root}/differs.txt`, lines(10, { 2: by }))
      writeFileSync(`${root}/deep/er/differs.bin`, Buffer.from([0, 255, ...Buffer.from(by)]))
      writeFileSync(`${root}/only ${by}.txt`, `only ${by}`)
    }
    mkdirSync(`${notes}/kinds`)
    writeFileSync(`${notes}/kinds/inside.txt`, 'in the directory')
    writeFileSync(`${mine}/kinds`, 'a file of that name')
    mkdirSync(`${mine}/empty of lamp`)

    await linked(desk, lamp)
    await desk.ok(['add', notes])
    await get(lamp, 'notes', mine)
    await Promise.all(world.devices.map(device => device.ok(['wait', '--timeout', '40'])))
    const tree = readTree(mine)
    expect(tree).to.deep.equal(readTree(notes))

    for (const [, by] of Object.values(own)) {
      expect(pathsHolding(tree, lines(10, { 2: by }))).to.have.length(1)
      expect(pathsHolding(tree, Buffer.from([0, 255, ...Buffer.from(by)]))).to.have.length(1)
      expect(pathsHolding(tree, `only ${by}`)).to.deep.equal([`only ${by}.txt`])
    }
    expect(pathsHolding(tree, 'equal')).to.deep.equal(['equal.txt'])
    expect(pathsHolding(tree, 'equal, deep')).to.deep.equal(['deep/er/equal.txt'])
    expect(pathsHolding(tree, 'in the directory')).to.deep.equal(['kinds/inside.txt'])
    expect(pathsHolding(tree, 'a file of that name')).to.have.length(1)
    expect(tree.has('empty of lamp')).to.equal(true)
    expect((await lamp.folder('notes')).conflicts).to.equal(2)
  })
})
