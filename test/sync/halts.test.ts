// A root that went away is no deletion: nothing is announced, the folder says why it stopped, and a person decides.
import { expect } from 'chai'
import { type Scene, scene } from '../support/scene.ts'
import type { SimDevice } from '../support/sim-device.ts'

const FILES = { 'D/': '', 'D/x': 'x', f: 'f', g: 'g' }

function base(person: SimDevice['person']): void {
  person.mkdir('D')
  person.write('D/x', 'x')
  person.write('f', 'f')
  person.write('g', 'g')
}

const LOSSES: readonly { name: string; code: string; lose: (person: SimDevice['person']) => void }[] = [
  { name: 'removed', code: 'root-missing', lose: person => void person.removeRoot() },
  { name: 'emptied', code: 'root-emptied', lose: person => person.emptyRoot() },
  { name: 'unmounted', code: 'root-', lose: person => void person.unmountRoot() },
  {
    name: 'replaced by another directory with files',
    code: 'root-replaced',
    lose: person => {
      person.unmountRoot()
      person.write('other', 'other')
    },
  },
]

async function rescanned(stage: Scene, device: SimDevice): Promise<unknown> {
  return stage.world.finish(
    device.engine.rescan({ signal: new AbortController().signal }).then(
      () => null,
      (error: unknown) => error,
    ),
    'rescan',
  )
}

async function othersKeepAll(stage: Scene): Promise<void> {
  await stage.world.pass(60_000)
  expect(stage.world.tree(stage.b)).to.deep.equal(FILES)
}

describe('a root that went away', () => {
  for (const { name, code, lose } of LOSSES) {
    it(`${name} while the daemon runs: halts and announces nothing`, () =>
      scene({}, async stage => {
        await stage.begin(base)
        const digest = stage.b.engine.state().digest
        lose(stage.a.person)
        const error = await rescanned(stage, stage.a)
        expect(error).to.have.property('code', 'folder-halted')
        expect(stage.a.engine.status().error?.code).to.match(new RegExp(`^${code}`))
        expect(stage.a.engine.status().state).to.equal('error')
        await othersKeepAll(stage)
        expect(stage.b.engine.state().digest).to.equal(digest)
      }))

    it(`${name} while the daemon is off: halts at its start`, () =>
      scene({}, async stage => {
        await stage.begin(base)
        await stage.world.finish(stage.a.stop(), 'stop')
        lose(stage.a.person)
        stage.a.start()
        await othersKeepAll(stage)
        expect(stage.a.engine.status().error?.code).to.match(new RegExp(`^${code}`))
      }))
  }

  it('comes back as it was: goes on by itself', () =>
    scene({}, async stage => {
      await stage.begin(base)
      const root = stage.a.person.removeRoot()
      await rescanned(stage, stage.a)
      expect(stage.a.engine.status().error?.code).to.equal('root-missing')
      stage.a.person.restoreRoot(root)
      stage.a.person.write('f', 'edited')
      await stage.meet()
      expect(stage.tree()).to.deep.equal({ ...FILES, f: 'edited' })
    }))

  for (const { name, code, lose } of LOSSES.filter(each => each.code !== 'root-'))
    it(`${name}: the halt and its approval say that other devices delete the files too`, () =>
      scene({}, async stage => {
        await stage.begin(base)
        lose(stage.a.person)
        await rescanned(stage, stage.a)
        expect(stage.a.engine.status().error?.message).to.match(
          /approve folder" .*deletes it on your other devices too\.$/,
        )
        // A root that is gone is made again, which the disk in memory does not do.
        if (code === 'root-missing') return
        const said = await stage.world.finish(stage.a.engine.approve(), 'approve')
        expect(said).to.match(/^what is gone here is deleted on your other devices too/)
        await stage.world.rest()
        for (const path of ['D/x', 'f', 'g']) expect(stage.b.person.exists(path), path).to.equal(false)
      }))

  it('approved: the deletes are real', () =>
    scene({}, async stage => {
      await stage.begin(base)
      stage.a.person.emptyRoot()
      await rescanned(stage, stage.a)
      await stage.world.finish(stage.a.engine.approve(), 'approve')
      await stage.world.rest()
      for (const device of stage.world.devices) expect(stage.world.tree(device), device.name).to.deep.equal({})
      const kept = [...(stage.b.volume.root?.kith?.versions.values() ?? [])].map(bytes => Buffer.from(bytes).toString())
      expect(kept).to.include.members(['x', 'f', 'g'])
    }))

  it('rejected: the files come back', () =>
    scene({}, async stage => {
      await stage.begin(base)
      stage.a.person.emptyRoot()
      await rescanned(stage, stage.a)
      await stage.world.finish(stage.a.engine.reject(), 'reject')
      await stage.world.rest()
      for (const device of stage.world.devices) expect(stage.world.tree(device), device.name).to.deep.equal(FILES)
    }))

  it('replaced and rejected: what is new there is kept too', () =>
    scene({}, async stage => {
      await stage.begin(base)
      stage.a.person.unmountRoot()
      stage.a.person.write('f', 'other f')
      await rescanned(stage, stage.a)
      await stage.world.finish(stage.a.engine.reject(), 'reject')
      await stage.world.rest()
      const contents = Object.values(stage.world.tree(stage.b))
      expect(contents).to.include.members(['x', 'f', 'g', 'other f'])
      expect(stage.world.tree(stage.a)).to.deep.equal(stage.world.tree(stage.b))
    }))

  it('an approve or reject where nothing is held is refused', () =>
    scene({}, async stage => {
      await stage.begin(base)
      for (const answer of [() => stage.a.engine.approve(), () => stage.a.engine.reject()]) {
        const error = await answer().then(
          () => null,
          (reason: unknown) => reason,
        )
        expect(error).to.have.property('code', 'folder-halted')
      }
    }))

  it('a file that cannot be read is told, and the folder rests; it is synced when it can be read', () =>
    scene({}, async stage => {
      const { world, a, b } = stage
      await stage.begin(base)
      a.person.write('new', 'for me alone')
      a.person.setUnreadable('new', true)
      for (let seconds = 0; seconds < 60; seconds++) {
        await world.pass(1_000)
        if (seconds < 5) continue
        const { state, problems } = a.engine.status()
        expect(state).to.equal('idle')
        expect(problems.map(({ code, path }) => [code, path])).to.deep.equal([['unreadable', 'new']])
      }
      expect(a.engine.state().settled).to.equal(true)
      const inode = a.volume.at('new')
      if (inode === null) throw new Error('it was just written')
      // As an error of the disk that passes: nothing tells of it.
      inode.unreadable = false
      await world.pass(15_000)
      expect(world.tree(b)).to.include({ new: 'for me alone' })
      expect(a.engine.status().problems).to.deep.equal([])
    }))

  it('an unreadable directory is no deletion', () =>
    scene({}, async stage => {
      await stage.begin(base)
      stage.a.person.setUnreadable('D', true)
      stage.a.person.write('g', 'edited')
      await rescanned(stage, stage.a)
      await stage.world.pass(60_000)
      expect(stage.world.tree(stage.b)).to.deep.equal({ ...FILES, g: 'edited' })
      expect(stage.a.engine.status().problems.map(problem => [problem.code, problem.path])).to.deep.include([
        'unreadable',
        'D',
      ])
      stage.a.person.setUnreadable('D', false)
      await stage.meet()
      expect(stage.a.engine.status().problems).to.deep.equal([])
      expect(stage.tree()).to.deep.equal({ ...FILES, g: 'edited' })
    }))
})
