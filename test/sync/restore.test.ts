// What a restore needs stays to be had until it is said in the shared tree, however long others take to answer; and not for longer.
import { expect } from 'chai'
import type { ContentId } from '../../src/core/ids.ts'
import type { Change } from '../../src/core/past.ts'
import type { FolderNetwork } from '../../src/core/ports.ts'
import { RowTable } from '../../src/core/rows.ts'
import { Holdings } from '../../src/sync/holdings.ts'
import { Restore } from '../../src/sync/restore.ts'
import { Restored } from '../../src/sync/restored.ts'
import type { RewindStep } from '../../src/sync/rewind.ts'
import { Turns } from '../../src/sync/turns.ts'
import { rootRow } from '../store/samples.ts'
import { DAY, HOUR, SweepWorld } from './sweep-world.ts'

const { signal } = new AbortController()
const here = 'lies here' as ContentId
const elsewhere = 'lies elsewhere' as ContentId

/** One linked device, which answers as it likes. */
function network(holders: FolderNetwork['holders']): FolderNetwork {
  return { peers: () => ['peer'], isMember: () => true, holders } as unknown as FolderNetwork
}

function made(content: ContentId, at: number): RewindStep {
  const facts = { content, size: 1, mtime: 0, mode: 0o644 }
  const change: Change = { action: 'create', kind: 'file', path: `f${at}`, from: null, facts }
  return { do: 'create', made: at, home: { row: rootRow().id }, name: `f${at}`, change }
}

describe('sync/restore', () => {
  function part(holders: FolderNetwork['holders']) {
    const rows = new RowTable()
    rows.put(rootRow())
    const turns = new Turns({ wake: () => void Promise.resolve().then(() => turns.run()), stopped: signal })
    const touched: ContentId[] = []
    const holdings = new Holdings({
      rows: () => rows,
      disk: {
        hasVersion: content => content === here,
        stage: { has: () => false } as never,
        check: async () => ({ state: 'ok' }),
      },
      store: { base: async () => null },
      network: () => network(holders),
      isDamaged: () => false,
      onPinned: contents => touched.push(...contents),
    })
    const pinnedAtCommit: ContentId[] = []
    const replica = {
      rows,
      tree: { revise: () => [] },
      commit: async () => {
        await Promise.resolve()
        pinnedAtCommit.push(...holdings.pinned)
      },
    }
    const restored = new Restored()
    const restore = new Restore({ replica: () => replica, holdings, restored, turns, refusal: () => null })
    const run = () => restore.run(async () => [made(here, 1), made(elsewhere, 2)], { signal, dryRun: false })
    return { holdings, touched, pinnedAtCommit, run }
  }

  it('holds on to all that it needs while others are asked, and until it is said', async () => {
    const pinnedWhileAsked: ContentId[] = []
    const { holdings, touched, pinnedAtCommit, run } = part(async contents => {
      await Promise.resolve()
      pinnedWhileAsked.push(...holdings.pinned)
      return [{ device: 'peer' as never, holds: contents.map(() => true) }]
    })
    expect(await run()).to.deep.include({ done: true, missing: [] })
    expect(pinnedWhileAsked).to.have.members([here, elsewhere])
    expect(pinnedAtCommit).to.have.members([here, elsewhere])
    expect(touched).to.include.members([here, elsewhere])
    expect([...holdings.pinned], 'not for longer').to.deep.equal([])
  })

  it('lets go of it where it fails', async () => {
    const { holdings, run } = part(async () => {
      throw new Error('nobody answers')
    })
    const failed = await run().catch((error: unknown) => error)
    expect(String(failed)).to.equal('Error: nobody answers')
    expect([...holdings.pinned]).to.deep.equal([])
  })

  it('of a version, its content is not swept while others think about it for hours', async () => {
    const world = new SweepWorld()
    await world.start()
    const wanted = await world.write('a')
    const lost = await world.write('b')
    world.pass(1)
    const then = world.wall
    world.pass(1)
    await world.show('a', null)
    await world.show('b', null)
    await world.quiet()
    world.pass(366 * DAY)
    world.lose(lost)
    await world.quiet()
    let asked = 0
    world.network = network(async contents => {
      asked++
      for (let hours = 0; hours < 3; hours++) {
        world.pass(HOUR)
        expect(await world.quiet(), `after ${hours + 1} hours`).to.deep.equal([])
      }
      return [{ device: 'peer' as never, holds: contents.map(() => false) }]
    })
    world.needed.add(wanted)
    const whole = { path: '', at: then, version: null, keepNew: false, dryRun: false, signal }
    const outcome = await world.past.archive.restore(whole)
    expect(asked).to.equal(1)
    expect(outcome.changes.map(({ path }) => path)).to.deep.equal(['a'])
    expect(outcome.missing.map(({ path }) => path)).to.deep.equal(['b'])
    world.needed.clear()
    expect(world.isUsed(wanted), 'it is said').to.equal(true)
    expect([...world.past.pinned]).to.deep.equal([])
  })
})
