// Modification times of files: what a person sets shows on every device, whatever else is equal.
import { expect } from 'chai'
import { type Scene, scene } from '../support/scene.ts'

const OLD_MS = 1_234_567_890_500

function times(stage: Scene, path: string): (number | undefined)[] {
  return stage.world.devices.map(device => device.volume.at(path)?.mtimeUs)
}

describe('modification times', () => {
  it('a file given another time, and nothing else', () =>
    scene({}, async stage => {
      await stage.begin(p => p.write('a', 'content'))
      await stage.act(0, p => p.utimes('a', OLD_MS))
      await stage.meet()
      expect(times(stage, 'a')).to.deep.equal([OLD_MS * 1000, OLD_MS * 1000])
      await stage.act(1, p => p.utimes('a', OLD_MS + 1))
      await stage.meet()
      expect(times(stage, 'a')).to.deep.equal([(OLD_MS + 1) * 1000, (OLD_MS + 1) * 1000])
    }))

  it('the same content written on both sides at different times is one file with one time', () =>
    scene({}, async stage => {
      await stage.begin(p => p.write('a', 'content'))
      await stage.apart(
        [0, p => p.write('a', 'the same')],
        [
          1,
          p => {
            p.write('a', 'the same')
            p.utimes('a', OLD_MS)
          },
        ],
      )
      expect(stage.tree()).to.deep.equal({ a: 'the same' })
      const [one, other] = times(stage, 'a')
      expect(one).to.equal(other)
    }))

  it('the same file made on both sides at different times, too', () =>
    scene({}, async stage => {
      await stage.begin(p => p.write('b', 'content'))
      await stage.apart(
        [0, p => p.write('a', 'the same')],
        [
          1,
          p => {
            p.write('a', 'the same')
            p.utimes('a', OLD_MS)
          },
        ],
      )
      expect(stage.tree()).to.deep.equal({ a: 'the same', b: 'content' })
      const [one, other] = times(stage, 'a')
      expect(one).to.equal(other)
    }))
})
