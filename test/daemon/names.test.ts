// How devices are named where a person is to type the name.
import { expect } from 'chai'
import type { DeviceId } from '../../src/core/ids.ts'
import type { DeviceState } from '../../src/core/ports.ts'
import { findDevice, wordFor } from '../../src/daemon/names.ts'

function device(id: string, name: string): DeviceState {
  return { id: id as DeviceId, name, connected: true, address: null, lastSeen: null, sighted: false }
}

describe('daemon/names', () => {
  const desk = device('12D3KooWdeskAAAAAA', 'desk')
  const lamp = device('12D3KooWlampBBBBBB', 'lamp')
  const twin = device('12D3KooWtwinCCCCCC', 'lamp')
  const sameEnd = device('12D3KooWelseCCCCCC', 'else')
  const TABLE: readonly (readonly [what: string, device: DeviceState, all: readonly DeviceState[], word: string])[] = [
    ['by its name', lamp, [desk, lamp], 'lamp'],
    ['by the end of its id where another has that name', twin, [desk, lamp, twin], 'CCCCCC'],
    ['by its whole id where that is the end of another too', twin, [desk, lamp, twin, sameEnd], twin.id],
    ['by its whole id where it is no longer paired', twin, [desk, lamp], twin.id],
  ]
  for (const [what, of, all, word] of TABLE)
    it(`names one ${what}`, () => {
      expect(wordFor(of.id, all)).to.equal(word)
      if (all.includes(of)) expect(findDevice(word, all)).to.equal(of)
    })
})
