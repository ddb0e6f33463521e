// What verification does about damage that is more than a wrong bit.
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import { noise } from '../contract/versions-contract.ts'
import { areaOf } from '../support/memory-volume.ts'
import { type Scene, scene } from '../support/scene.ts'
import type { SimDevice } from '../support/sim-device.ts'

const { signal } = new AbortController()

function verify(stage: Scene, device: SimDevice) {
  return stage.world.finish(device.engine.archive.verify({ signal, onProgress: () => undefined }), 'verify')
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
})
