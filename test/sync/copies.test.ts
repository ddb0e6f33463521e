// On how many devices a file is: only what is known to lie there counts, so that nobody lets the last one go.
import { expect } from 'chai'
import type { DeviceId } from '../../src/core/ids.ts'
import { type Scene, scene } from '../support/scene.ts'
import type { SimDevice } from '../support/sim-device.ts'

const options = { signal: new AbortController().signal }

const HOUR = 3_600_000

/** One byte of it flips, and nobody wrote. */
function rot(device: SimDevice, path: string): void {
  const inode = device.volume.at(path)
  if (inode === null) throw new Error(`nothing at ${path}`)
  const bytes = Buffer.from(inode.data)
  bytes.writeUInt8((bytes[0] ?? 0) ^ 1, 0)
  inode.data = bytes
}

async function lostWith(stage: Scene, at: SimDevice, of: SimDevice): Promise<readonly string[]> {
  const lost = await stage.world.finish(at.engine.archive.onlyOn(of.id, options), 'an answer')
  return lost.map(file => file.path)
}

async function holders(stage: Scene, at: SimDevice, path: string): Promise<readonly DeviceId[] | undefined> {
  const { files } = await stage.world.finish(at.engine.archive.copies('', options), 'copies')
  return files.find(file => file.path === path)?.holders
}

describe('sync: copies', () => {
  it('what is known to be rotten is none', () =>
    scene({}, async stage => {
      const { world, a, b } = stage
      await stage.begin(p => p.write('f', '\0sound'))
      world.partition()
      rot(a, 'f')
      await world.finish(a.engine.archive.verify({ ...options, onProgress: () => undefined }), 'verify')
      expect(await lostWith(stage, a, b)).to.deep.equal(['f'])
      world.heal()
      await world.pass(5_000)
      await world.finish(a.engine.archive.verify({ ...options, onProgress: () => undefined }), 'verify')
      expect(await lostWith(stage, a, b)).to.deep.equal([])
    }))

  for (const paused of [false, true])
    it(`a device whose root is gone has none${paused ? ', though its folder is paused' : ''}`, () =>
      scene({}, async stage => {
        const { world, a, b } = stage
        await stage.begin(p => p.write('f', '\0one'))
        if (paused) await world.finish(b.engine.pause(), 'pause')
        b.person.unmountRoot()
        await world.pass(20_000)
        expect(await holders(stage, a, 'f')).to.deep.equal([a.id])
        expect(await lostWith(stage, b, a)).to.deep.equal(['f'])
        b.person.remountRoot()
        if (paused) await world.finish(b.engine.resume(), 'resume')
        await stage.meet()
        expect(await lostWith(stage, b, a)).to.deep.equal([])
      }))

  it('what has not arrived is on those that hold it, and is nothing that this device could lose', () =>
    scene({}, async stage => {
      const { world, a, b } = stage
      await stage.begin(p => p.write('f', '\0one'))
      world.network.withhold(a.id)
      await stage.act(1, p => p.write('new', '\0on its way'))
      await world.pass(5_000)
      const copies = () => world.finish(a.engine.archive.copies('new', options), 'copies')
      expect((await copies()).files).to.deep.equal([{ path: 'new', size: 11, holders: [b.id] }])
      await world.finish(b.stop(), 'stop')
      await world.pass(3_000)
      const alone = await copies()
      expect(alone.files).to.deep.equal([{ path: 'new', size: 11, holders: [] }])
      expect(alone.atRisk).to.deep.equal({ files: 0, bytes: 0 })
      b.start()
      world.heal()
      await stage.meet()
    }))

  it('of a path however it is spelled', () =>
    scene({}, async stage => {
      await stage.begin(p => p.write('\u00fc', '\0one'))
      const { files } = await stage.world.finish(stage.a.engine.archive.copies('u\u0308', options), 'copies')
      expect(files.map(file => file.path)).to.deep.equal(['\u00fc'])
    }))

  it('an absent device has nothing that came after it left, though the clock was ahead when it was here', () =>
    scene({}, async stage => {
      const { world, a, b } = stage
      a.clock.jump(HOUR)
      await stage.begin(p => p.write('f', '\0one'))
      world.partition()
      await world.pass(60_000)
      a.clock.jump(-HOUR)
      await stage.act(0, p => p.write('new', '\0only here'))
      expect(await holders(stage, a, 'new')).to.deep.equal([a.id])
      await world.pass(2 * HOUR)
      expect(await holders(stage, a, 'new')).to.deep.equal([a.id])
      expect(await holders(stage, a, 'f')).to.have.members([a.id, b.id])
    }))
})
