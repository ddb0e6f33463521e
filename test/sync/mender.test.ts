// What verification does about damage that is more than a wrong bit.
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import type { ContentId } from '../../src/core/ids.ts'
import { noise } from '../contract/versions-contract.ts'
import { areaOf } from '../support/memory-volume.ts'
import { type Scene, scene } from '../support/scene.ts'
import type { SimDevice } from '../support/sim-device.ts'

const { signal } = new AbortController()

const idOf = (text: string): ContentId => contentOf(Buffer.from(text)).content

function verify(stage: Scene, device: SimDevice) {
  return stage.world.finish(device.engine.archive.verify({ signal, onProgress: () => undefined }), 'verify')
}

function rot(device: SimDevice, path: string, bytes: string): void {
  const inode = device.volume.at(path)
  if (inode === null) throw new Error('nothing there')
  inode.data = Buffer.from(bytes)
}

describe('mending', () => {
  it('of a version that was cut short asks for what it was, not for what is left', () =>
    scene({ devices: 3 }, async stage => {
      const { b } = stage
      const bytes = noise(31, 1_000_000)
      const { content } = contentOf(bytes)
      await stage.begin(p => p.write('f', bytes))
      await stage.act(0, p => p.write('f', 'short now'))
      await stage.meet()
      const { versions } = areaOf(b.volume)
      expect(versions.get(content)?.length).to.equal(bytes.length)
      for (const left of [1_000, 0]) {
        versions.set(content, bytes.subarray(0, left))
        const { damaged } = await verify(stage, b)
        expect(damaged).to.deep.equal([{ path: 'f', version: true, content, repaired: true }])
        expect(versions.get(content)?.length).to.equal(bytes.length)
      }
    }))

  it('is not said of what cannot be read: that is told, until it can be', () =>
    scene({}, async stage => {
      const { world, a } = stage
      await stage.begin(p => {
        p.write('f', 'sound')
        p.write('other', 'sound too')
      })
      const told = () => a.engine.status().problems.filter(({ path }) => path === 'f')
      world.partition()
      a.person.setUnreadable('f', true)
      const { checked, damaged } = await verify(stage, a)
      expect(checked).to.equal(1)
      const found = { path: 'f', version: false, content: idOf('sound'), repaired: false, unreadable: true }
      expect(damaged).to.deep.equal([found])
      expect(told().map(({ code }) => code)).to.deep.equal(['unreadable'])
      a.person.setUnreadable('f', false)
      // Nobody is linked, and nobody is needed.
      await world.pass(2 * 60 * 60_000)
      expect(told()).to.deep.equal([])
      expect((await verify(stage, a)).damaged).to.deep.equal([])
    }))

  it('of what rotted, and could not be read for a while, does not end with the rot everywhere', () =>
    scene({}, async stage => {
      const { world, a, b } = stage
      await stage.begin(p => p.write('f', '\0sound'))
      await world.pass(60_000)
      world.partition()
      rot(b, 'f', '\0sotnd')
      await verify(stage, b)
      b.person.setUnreadable('f', true)
      await verify(stage, b)
      b.person.setUnreadable('f', false)
      // As after a chmod back: its times tell of an edit.
      await stage.act(1, p => p.utimes('f', 1_700_000_000_000))
      world.heal()
      await world.pass(60 * 60_000)
      await stage.meet()
      expect(a.person.text('f')).to.equal('\0sound')
    }))

  for (const how of ['edited', 'removed']) {
    const change = (stage: Scene) => stage.act(0, p => (how === 'edited' ? p.write('f', '\0edited') : p.remove('f')))
    const changed = { ...(how === 'edited' ? { f: '\0edited' } : {}), other: 'other' }
    const begin = async (stage: Scene): Promise<void> => {
      await stage.begin(p => {
        p.write('f', '\0sound')
        p.write('other', 'other')
      })
      await stage.world.pass(60_000)
      stage.world.partition()
    }

    it(`what is known to be rotten and is ${how} elsewhere is kept under what it is`, () =>
      scene({}, async stage => {
        const { b } = stage
        await begin(stage)
        rot(b, 'f', '\0sotnd')
        expect((await verify(stage, b)).damaged).to.have.length(1)
        await change(stage)
        await stage.meet()
        expect(stage.tree()).to.deep.equal(changed)
        const { versions } = areaOf(b.volume)
        expect([...versions.keys()]).to.deep.equal([idOf('\0sotnd')])
      }))

    for (const is of ['\0sotnd', '\0sound'])
      it(`so is what could not be read, of which nobody knew what it is (${is.slice(1)}), ${how}`, () =>
        scene({}, async stage => {
          const { world, b } = stage
          await begin(stage)
          rot(b, 'f', is)
          b.person.setUnreadable('f', true)
          expect((await verify(stage, b)).damaged).to.have.length(1)
          await change(stage)
          world.heal()
          await world.pass(60_000)
          const { versions } = areaOf(b.volume)
          expect(b.person.text('f'), 'it stays as long as nobody can tell').to.equal(is)
          expect([...versions.keys()]).to.deep.equal([])
          b.person.setUnreadable('f', false)
          await stage.meet()
          expect(stage.tree()).to.deep.equal(changed)
          expect([...versions.keys()]).to.deep.equal([idOf(is)])
        }))
  }
})
