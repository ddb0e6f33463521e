// A root that is gone, emptied or replaced is no delete: the folder halts and says so, the other device keeps everything, other folders
// go on, and only a person's word moves it: these deletes are real, or bring the files back.

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Device } from './support/device.ts'
import { writeMany } from './support/sample.ts'
import { diffTrees, readTree, type Tree } from './support/tree.ts'
import { holds, until } from './support/until.ts'
import { get, linked, pair, settle, untilEqual, useWorld } from './support/world.ts'

const QUIET_MS = 4_000
const FILES = 60

/** What happens to the root, the code that status must show, and how it is undone by hand. */
const HARMS: readonly [string, string, (root: string) => void, ((root: string) => void) | undefined][] = [
  ['moved away', 'root-missing', root => renameSync(root, `${root} away`), root => renameSync(`${root} away`, root)],
  ['emptied', 'root-emptied', root => empty(root), undefined],
  ['deleted', 'root-missing', root => rmSync(root, { recursive: true }), undefined],
  [
    'replaced by an empty directory',
    'root-emptied or root-replaced',
    root => {
      renameSync(root, `${root} away`)
      mkdirSync(root)
    },
    root => {
      rmSync(root, { recursive: true })
      renameSync(`${root} away`, root)
    },
  ],
  [
    'replaced by another tree',
    'root-replaced',
    root => {
      renameSync(root, `${root} away`)
      writeMany(join(root, 'foreign'), 5, { perDirectory: 5, bytes: 10 })
    },
    root => {
      rmSync(root, { recursive: true })
      renameSync(`${root} away`, root)
    },
  ],
  [
    'replaced by a file',
    'root-replaced',
    root => {
      renameSync(root, `${root} away`)
      writeFileSync(root, 'a file')
    },
    root => {
      rmSync(root)
      renameSync(`${root} away`, root)
    },
  ],
]

describe('e2e: halted roots', function () {
  this.timeout(90_000)
  const world = useWorld(['desk', 'lamp'])
  let desk: Device
  let lamp: Device
  let whole: Tree

  before(async function () {
    this.timeout(60_000)
    desk = world.device('desk')
    lamp = world.device('lamp')
    writeMany(desk.path('notes', 'many'), FILES, { perDirectory: 20, bytes: 500 })
    mkdirSync(desk.path('other'))
    await desk.start(desk.path('notes'))
    await desk.ok(['add', desk.path('other')])
    await lamp.start()
    await pair(desk, lamp)
    await get(lamp, 'notes', lamp.path('notes'))
    await get(lamp, 'other', lamp.path('other'))
    whole = await settle(world.devices, 'notes')
  })

  // a test that failed half-way must not fail those after it
  beforeEach(async () => {
    const root = lamp.path('notes')
    if (existsSync(`${root} away`)) {
      rmSync(root, { recursive: true, force: true })
      renameSync(`${root} away`, root)
    }
    if (!lamp.running) await lamp.start()
    if (!existsSync(root)) await lamp.cli(['folder', 'remove', 'notes']).then(() => get(lamp, 'notes', root))
    else if ((await lamp.folder('notes')).error !== null) await lamp.cli(['folder', 'reject', 'notes'])
    await linked(desk, lamp)
  })

  async function halted(code: string): Promise<void> {
    await until(
      async () => {
        const folder = await lamp.folder('notes')
        expect(folder.state).to.equal('error')
        expect(folder.error?.code).to.be.oneOf(code.split(' or '))
        expect(folder.error?.message).to.match(/\S+ \S+ \S+/)
        return true
      },
      { timeoutMs: 15_000, what: `status says ${code}` },
    )
  }

  function deskIsWhole(): void {
    expect(diffTrees(whole, readTree(desk.path('notes')), ['before', 'desk'])).to.equal('')
  }

  async function othersGoOn(): Promise<void> {
    const name = `probe ${Math.random()}`
    writeFileSync(lamp.path('other', name), name)
    await until(() => existsSync(desk.path('other', name)), { timeoutMs: 10_000, what: 'another folder goes on' })
  }

  /** By `approve` or `reject`, or by putting the root back; whichever word is needed, all must be whole again. */
  async function mend(undo: ((root: string) => void) | undefined): Promise<void> {
    if (undo === undefined) {
      await lamp.ok(['folder', 'reject', 'notes'])
    } else {
      undo(lamp.path('notes'))
      // put back as it was, there is nothing left to ask: it goes on by itself, or at the latest when told
      const waited = await lamp.cli(['wait', '--timeout', '15', '--folder', 'notes'])
      // It may go on by itself just now: then there is nothing to answer. What follows sees whether it does.
      if (waited.code !== 0) await lamp.cli(['folder', 'reject', 'notes'])
    }
    const tree = await settle(world.devices, 'notes')
    expect(diffTrees(whole, tree, ['before', 'after'])).to.equal('')
    expect((await lamp.folder('notes')).error).to.equal(null)
    // it is live again, both ways: a root that is new to the kernel is watched too
    for (const [name, device] of [
      ['by lamp', lamp],
      ['by desk', desk],
    ] as const) {
      writeFileSync(device.path('notes', 'many', 'd1', name), name)
      await untilEqual(world.devices, 'notes')
      rmSync(device.path('notes', 'many', 'd1', name))
      await untilEqual(world.devices, 'notes')
    }
    whole = await settle(world.devices, 'notes')
  }

  for (const [what, code, harm, undo] of HARMS) {
    it(`${what} while the daemon runs: ${code}, nothing is deleted elsewhere`, async () => {
      harm(lamp.path('notes'))
      const waited = await lamp.cli(['wait', '--timeout', '15'])
      expect(waited.code, waited.stderr).to.equal(1)
      await halted(code)
      await othersGoOn()
      await holds(deskIsWhole, { forMs: QUIET_MS })
      await mend(undo)
    })

    it(`${what} while it is stopped: ${code}, nothing is deleted elsewhere`, async () => {
      await lamp.stop()
      harm(lamp.path('notes'))
      await lamp.start()
      await halted(code)
      await linked(desk, lamp)
      await othersGoOn()
      await holds(deskIsWhole, { forMs: QUIET_MS })
      await mend(undo)
    })
  }

  it('a disk that is unmounted under it is no delete either', async () => {
    const root = lamp.path('disk')
    mkdirSync(root)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1g', 'kithe2e', root])
    try {
      mkdirSync(desk.path('disk'))
      writeMany(desk.path('disk', 'many'), FILES, { perDirectory: 20, bytes: 500 })
      await desk.ok(['add', desk.path('disk')])
      await get(lamp, 'disk', root)
      const before = await settle(world.devices, 'disk')
      execFileSync('umount', ['-l', root])
      await until(async () => (await lamp.folder('disk')).error?.code.startsWith('root-'), {
        timeoutMs: 15_000,
        what: 'status says that the root is gone',
      })
      await holds(() => expect(diffTrees(before, readTree(desk.path('disk')), ['before', 'desk'])).to.equal(''), {
        forMs: QUIET_MS,
      })
      expect(readdirSync(root), 'nothing is written below the mount point').to.deep.equal([])
    } finally {
      spawnSync('umount', ['-l', root])
      await lamp.cli(['folder', 'remove', 'disk'])
      await desk.cli(['folder', 'remove', 'disk'])
    }
  })

  it('edits of the other device wait while it is halted, and arrive with `reject`', async () => {
    empty(lamp.path('notes'))
    await halted('root-emptied')
    writeFileSync(desk.path('notes', 'meanwhile.txt'), 'meanwhile')
    await holds(() => expect(existsSync(lamp.path('notes', 'meanwhile.txt'))).to.equal(false), { forMs: QUIET_MS })
    await lamp.ok(['folder', 'reject', 'notes'])
    whole = await settle(world.devices, 'notes')
    expect(whole.has('meanwhile.txt')).to.equal(true)
    expect(whole.size).to.be.greaterThan(FILES)
  })

  it('stays halted over a restart', async () => {
    empty(lamp.path('notes'))
    await halted('root-emptied')
    await lamp.kill()
    await lamp.start()
    await halted('root-emptied')
    await linked(desk, lamp)
    await holds(deskIsWhole, { forMs: QUIET_MS })
  })

  it('`approve` makes the deletes real, and what they took is kept', async () => {
    await settle(world.devices, 'notes')
    empty(lamp.path('notes'))
    await halted('root-emptied')
    await lamp.ok(['folder', 'approve', 'notes'])
    await until(() => readTree(desk.path('notes')).size === 0, { timeoutMs: 20_000, what: 'desk is empty too' })
    await untilEqual(world.devices, 'notes')
    await settle(world.devices, 'notes')
    const kept = readdirSync(desk.path('notes', '.kith', 'versions'), { recursive: true, withFileTypes: true })
    expect(kept.filter(entry => entry.isFile()).length).to.be.at.least(FILES)
  })
})

/** All but the product's own directory, as `rm -rf root/*` does. */
function empty(root: string): void {
  for (const name of readdirSync(root)) if (name !== '.kith') rmSync(join(root, name), { recursive: true })
}
