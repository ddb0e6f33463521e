// The sweep in a whole engine: a version that may go does not, for an hour, once somebody was told of it, was sent it, or has pinned it.
import { expect } from 'chai'
import type { ContentId } from '../../src/core/ids.ts'
import { type Scene, scene } from '../support/scene.ts'
import type { SimDevice } from '../support/sim-device.ts'
import { contentIdOf } from '../support/sim-tree.ts'

const HOUR_MS = 3_600_000
const OLD = Buffer.from('\0old')
const waiting = { signal: new AbortController().signal }

function isKept(device: SimDevice, content: ContentId): boolean {
  return device.volume.root?.kith?.versions.has(content) === true
}

/** On anna a version is marked, and would go at the next run. */
async function marked(stage: Scene): Promise<ContentId> {
  await stage.begin(p => p.write('f', OLD))
  stage.a.engine.configure({ versions: 'standard', versionLimit: 1, minCopies: 1, maxDeletes: 50 })
  await stage.act(1, p => p.write('f', '\0new'))
  const content = contentIdOf(OLD)
  expect(isKept(stage.a, content)).to.equal(true)
  // A quiet moment comes with every change.
  await stage.world.pass(HOUR_MS)
  await stage.act(1, p => p.write('g', '\0g'))
  expect(stage.a.engine.status().problems.map(({ code }) => code)).to.deep.equal(['versions-full'])
  await stage.world.pass(HOUR_MS / 2)
  return content
}

async function nextRun(stage: Scene, name: string): Promise<void> {
  await stage.world.pass((HOUR_MS * 3) / 4)
  await stage.act(1, p => p.write(name, `\0${name}`))
}

describe('a version that may go', () => {
  const uses: readonly (readonly [string, (device: SimDevice, content: ContentId) => Promise<unknown>])[] = [
    ['is told of', (device, content) => device.engine.holds([content], waiting)],
    ['is sent', (device, content) => device.engine.readWhole(content, waiting)],
    [
      'is read',
      async (device, content) => {
        for await (const bytes of device.engine.archive.read(content, OLD.byteLength, waiting))
          expect(OLD.equals(bytes)).to.equal(true)
      },
    ],
  ]
  for (const [what, use] of uses)
    it(`stays for an hour when it ${what}`, () =>
      scene({}, async stage => {
        const content = await marked(stage)
        await use(stage.a, content)
        await nextRun(stage, 'h')
        expect(isKept(stage.a, content)).to.equal(true)
        await stage.world.pass(HOUR_MS)
        await nextRun(stage, 'i')
        expect(isKept(stage.a, content)).to.equal(false)
      }))

  it('stays as long as a copy of the past is being made of it', () =>
    scene({}, async stage => {
      const content = await marked(stage)
      const unpin = stage.a.engine.archive.pin([content])
      for (const name of ['h', 'i', 'j']) await nextRun(stage, name)
      expect(isKept(stage.a, content)).to.equal(true)
      unpin()
      await stage.world.pass(HOUR_MS)
      for (const name of ['k', 'l', 'm']) await nextRun(stage, name)
      expect(isKept(stage.a, content)).to.equal(false)
    }))

  it('goes where nobody asks', () =>
    scene({}, async stage => {
      const content = await marked(stage)
      await nextRun(stage, 'h')
      expect(isKept(stage.a, content)).to.equal(false)
    }))
})
