// So much deleted elsewhere at once that a person is asked first: nothing of it is carried out here until they have answered, nothing else
// waits for it, and what comes back by itself asks nobody.
import { expect } from 'chai'
import type { DeviceId } from '../../src/core/ids.ts'
import { DEFAULT_SETTINGS } from '../../src/core/status.ts'
import { Brake, type BrakeDeps } from '../../src/sync/brake.ts'
import type { Plan } from '../../src/sync/plan.ts'
import { type Scene, scene } from '../support/scene.ts'
import type { SimDevice } from '../support/sim-device.ts'

const FILES = 300
const QUIET_MS = 30_000
const WINDOW_MS = 10 * 60_000

const nameOf = (at: number): string => `d${at % 3}/f${at}`

async function begin(stage: Scene): Promise<void> {
  await stage.begin(p => {
    for (const directory of ['d0', 'd1', 'd2']) p.mkdir(directory, 0o750)
    for (let at = 0; at < FILES; at++) p.write(nameOf(at), `content ${at}`)
    p.write('other', 'o0')
  })
}

/** The person at `bert` deletes these. */
function remove(stage: Scene, from: number, to: number): Promise<void> {
  return stage.act(1, p => {
    for (let at = from; at < to; at++) p.remove(nameOf(at))
  })
}

function here(device: SimDevice): number {
  return Object.keys(device.person.files()).filter(path => /(^|\/)f\d+$/.test(path)).length
}

function error(device: SimDevice): string | null {
  return device.engine.status().error?.code ?? null
}

function told(device: SimDevice): string[] {
  return device.events.flatMap(event => (event.type === 'folder:halted' ? [event.code] : []))
}

describe('sync/brake', () => {
  it('holds what another device deleted of a folder, says so, and holds nothing else up', () =>
    scene({}, async stage => {
      await begin(stage)
      await remove(stage, 0, 10)
      expect(here(stage.a)).to.equal(FILES - 10)
      await stage.act(1, p => p.rmrf('d0'))
      await stage.act(1, p => p.rmrf('d1'))
      await stage.act(1, p => p.rmrf('d2'))
      await stage.world.pass(QUIET_MS)
      // With the 10 what was in one directory may go. The other two are too much.
      expect(here(stage.a)).to.equal(194)
      expect(error(stage.a)).to.equal('mass-change')
      expect(told(stage.a)).to.deep.equal(['mass-change'])
      const { state, error: said, peers } = stage.a.engine.status()
      expect(state).to.equal('error')
      expect(said?.message).to.match(/^bert deleted 194 of the 195 files here at once: .*approve .*reject /)
      expect(peers[0]?.inSync).to.equal(false)
      await stage.act(1, p => p.write('other', 'o1'))
      await stage.act(0, p => p.write('new', 'n0'))
      expect(stage.a.person.text('other')).to.equal('o1')
      expect(stage.b.person.text('new')).to.equal('n0')
      expect(error(stage.b)).to.equal(null)
      await stage.a.engine.approve()
      await stage.meet()
    }))

  it('lets go what a person approves, and asks again the next time', () =>
    scene({}, async stage => {
      await begin(stage)
      await remove(stage, 0, FILES)
      await stage.world.pass(QUIET_MS)
      expect(here(stage.a)).to.equal(FILES)
      await stage.a.engine.approve()
      await stage.world.pass(1_000)
      expect(here(stage.a)).to.equal(0)
      expect(error(stage.a)).to.equal(null)
      expect(stage.a.events.some(({ type }) => type === 'folder:resumed')).to.equal(true)
      await stage.meet()
      await stage.act(1, p => {
        for (let at = 0; at < FILES; at++) p.write(nameOf(at), `again ${at}`)
      })
      await stage.meet()
      await remove(stage, 0, FILES)
      await stage.world.pass(QUIET_MS)
      expect(here(stage.a)).to.equal(FILES)
      await stage.a.engine.approve()
      await stage.meet()
    }))

  it('brings back everywhere what a person rejects, with the directories as they were', () =>
    scene({}, async stage => {
      await begin(stage)
      const before = stage.world.tree(stage.a)
      await stage.act(1, p => {
        for (const directory of ['d0', 'd1', 'd2']) p.rmrf(directory)
      })
      await stage.world.pass(QUIET_MS)
      expect(here(stage.b)).to.equal(0)
      await stage.a.engine.reject()
      await stage.meet()
      expect(stage.world.tree(stage.b)).to.deep.equal(before)
      expect(stage.b.volume.at('d1')?.mode).to.equal(0o750)
      expect(error(stage.a)).to.equal(null)
      await remove(stage, 0, 5)
      expect(here(stage.a)).to.equal(FILES - 5)
    }))

  it('asks nobody where it all comes back by itself', () =>
    scene({}, async stage => {
      await begin(stage)
      await remove(stage, 0, FILES)
      expect(here(stage.a)).to.equal(FILES)
      await stage.act(1, p => {
        for (let at = 0; at < FILES - 5; at++) p.write(nameOf(at), `content ${at}${at % 2 === 0 ? '' : ' anew'}`)
      })
      await stage.world.pass(QUIET_MS)
      await stage.meet()
      expect(here(stage.a)).to.equal(FILES - 5)
      expect(told(stage.a)).to.deep.equal([])
    }))

  it('over a restart and a long time it is still held, with what had been carried out before', () =>
    scene({}, async stage => {
      await begin(stage)
      await remove(stage, 0, 150)
      expect(here(stage.a)).to.equal(150)
      await remove(stage, 150, FILES)
      expect(here(stage.a)).to.equal(150)
      await stage.world.finish(stage.a.stop(), 'stop')
      stage.a.start()
      await stage.world.pass(2 * WINDOW_MS)
      expect(here(stage.a)).to.equal(150)
      expect(error(stage.a)).to.equal('mass-change')
      await stage.a.engine.approve()
      await stage.meet()
      expect(here(stage.a)).to.equal(0)
      await stage.world.finish(stage.a.stop(), 'stop')
      stage.a.start()
      await stage.meet()
      expect(error(stage.a)).to.equal(null)
    }))

  it('what is deleted slowly, by a person here, or of few files, goes', () =>
    scene({}, async stage => {
      await begin(stage)
      await remove(stage, 0, 200)
      expect(here(stage.a)).to.equal(100)
      await stage.world.pass(WINDOW_MS)
      await remove(stage, 200, 290)
      expect(here(stage.a)).to.equal(10)
      await stage.act(1, p => {
        for (let at = 0; at < FILES; at++) p.write(nameOf(at), `again ${at}`)
      })
      await stage.meet()
      await stage.act(0, p => p.rmrf('d0'))
      await stage.act(0, p => p.rmrf('d1'))
      await stage.act(0, p => p.rmrf('d2'))
      await stage.b.engine.approve()
      await stage.meet()
      expect(told(stage.a)).to.deep.equal([])
    }))

  it('says what went before it held, and the line that takes back all since then, also after a restart', () =>
    scene({}, async stage => {
      await begin(stage)
      await stage.act(1, p => p.write('other', 'o1'))
      await remove(stage, 0, 120)
      await stage.act(0, p => p.write('new', 'n0'))
      await remove(stage, 120, FILES)
      await stage.world.pass(QUIET_MS)
      expect(here(stage.a)).to.equal(FILES - 120)
      const line =
        /What bert deleted just before that \(120\) went here too, .*\. "kith undo --device bert --since (\S+) --folder folder --dry-run" shows all that bert did in this folder since then, .* takes all of that back\.$/
      expect(stage.a.engine.status().error?.message).to.match(line)
      await stage.world.finish(stage.a.stop(), 'stop')
      stage.a.start()
      await stage.world.pass(2 * QUIET_MS)
      const said = await stage.a.engine.reject()
      expect(said).to.match(/^the 180 files that were held are brought back on all devices\. What bert/)
      const [, since = ''] = line.exec(said) ?? []
      await stage.meet()
      expect(here(stage.b)).to.equal(FILES - 120)
      const asked = { device: stage.b.id, since: Date.parse(since), dryRun: false }
      const undone = stage.a.engine.archive.undo({ ...asked, signal: new AbortController().signal })
      await stage.world.finish(undone, 'undo')
      await stage.meet()
      expect(here(stage.b)).to.equal(FILES)
      expect(stage.b.person.text('other')).to.equal('o1')
      expect(stage.b.person.text('new')).to.equal('n0')
    }))

  it('the line that brings back what went takes what was made since: its sentence says so', () =>
    scene({}, async stage => {
      await begin(stage)
      await remove(stage, 0, 120)
      await stage.act(1, p => p.write('made', 'm0'))
      await remove(stage, 120, FILES)
      await stage.world.pass(QUIET_MS)
      const said = await stage.a.engine.reject()
      expect(said).to.contain('shows all that bert did in this folder since then, also what is new;')
      await stage.meet()
      const since = Date.parse(/--since (\S+)/.exec(said)?.[1] ?? '')
      const asked = { device: stage.b.id, since, dryRun: true, signal: new AbortController().signal }
      const shown = await stage.world.finish(stage.a.engine.archive.undo(asked), 'undo')
      expect(shown.changes.filter(({ action }) => action === 'delete').map(({ path }) => path)).to.deep.equal(['made'])
    }))

  it('what a person rejects and approves stands in the history when it was, on both', () =>
    scene({}, async stage => {
      await begin(stage)
      const begun = stage.a.clock.now()
      for (const answer of ['reject', 'approve'] as const) {
        await remove(stage, 0, FILES)
        await stage.world.pass(QUIET_MS)
        await stage.a.engine[answer]()
        await stage.meet()
      }
      for (const device of [stage.a, stage.b]) {
        const asked = device.engine.archive.history(nameOf(7), { signal: new AbortController().signal })
        const versions = await stage.world.finish(asked, 'history')
        expect(versions.map(({ action, device: by }) => `${action} by ${by}`)).to.deep.equal([
          'deleted by device-bert',
          'restored by device-anna',
          'deleted by device-bert',
          'created by device-anna',
        ])
        const times = versions.map(({ time }) => time)
        expect(times).to.deep.equal([...times].sort((a, b) => b - a))
        expect(times[1]).to.be.greaterThan(begun + QUIET_MS)
      }
    }))

  it('says nothing of what went before where nothing did', () =>
    scene({}, async stage => {
      await begin(stage)
      await remove(stage, 0, FILES)
      await stage.world.pass(QUIET_MS)
      expect(stage.a.engine.status().error?.message).to.match(/brings them back on all devices\.$/)
      expect(await stage.a.engine.reject()).to.match(/^the 300 files .* on all devices\.$/)
      await stage.meet()
    }))

  it('names the device as it is called now, not as it was when it wrote', () =>
    scene({}, async stage => {
      await begin(stage)
      await remove(stage, 0, FILES)
      await stage.world.pass(QUIET_MS)
      stage.a.nameOfDevice = id => (id === stage.b.id ? 'lamp' : id)
      expect(stage.a.engine.status().error?.message).to.match(/^lamp deleted 300 of /)
      await stage.a.engine.approve()
      await stage.meet()
    }))

  it('a share of the folder may be set, and none', () =>
    scene({}, async stage => {
      await begin(stage)
      stage.a.engine.configure({ ...DEFAULT_SETTINGS, maxDeletes: 100 })
      await remove(stage, 0, FILES)
      await stage.meet()
      expect(here(stage.a)).to.equal(0)
    }))

  it('what is held and written to is new again, and what takes its name waits', () =>
    scene({}, async stage => {
      await begin(stage)
      await remove(stage, 0, FILES)
      await stage.act(0, p => p.write(nameOf(7), 'written while it is held'))
      expect(stage.b.person.text(nameOf(7))).to.equal('written while it is held')
      await stage.act(0, p => p.remove(nameOf(8)))
      await stage.act(1, p => {
        p.rmrf('d0')
        p.write('d0', 'a file now')
      })
      await stage.world.pass(QUIET_MS)
      expect(here(stage.a)).to.equal(FILES - 1)
      expect(stage.a.person.exists('d0/f0')).to.equal(true)
      await stage.a.engine.approve()
      await stage.meet()
      expect(here(stage.a)).to.equal(1)
      expect(stage.a.person.text('d0')).to.equal('a file now')
    }))

  it('says how to find what went before, where nobody knows since when; one file is one', () => {
    const bert = 'bert' as DeviceId
    const row = { nodes: [{ id: 'node' }] }
    const brake = new Brake({
      rows: { get: () => row, byNode: () => [row] },
      tree: { entriesOf: () => [] },
      doers: { ofDeletion: () => bert },
      ...{ name: 'folder', device: 'anna', nameOfDevice: String, elapsed: () => 0 },
      held: new Map([[bert, { applied: 3, appliedSince: null }]]),
    } as unknown as BrakeDeps)
    brake.stops({ structure: [], removals: [{ row: 1, step: { do: 'remove', kind: 'file' } }] } as unknown as Plan)
    expect(brake.reject())
      .to.match(/^the 1 file that was held is brought back on all devices\. What bert deleted just before that \(3\) /)
      .and.contain('"kith restore PATH", with the path of the folder, changes nothing and says what is gone from it')
      .and.not.contain('kith undo')
  })

  it('there is nothing to approve where nothing is held', () =>
    scene({}, async stage => {
      await begin(stage)
      for (const answer of [stage.a.engine.approve(), stage.a.engine.reject()])
        expect(await answer.then(() => 'done', String)).to.contain('Nothing is held')
    }))
})
