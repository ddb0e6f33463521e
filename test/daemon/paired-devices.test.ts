import { expect } from 'chai'
import type { DeviceId, FolderId } from '../../src/core/ids.ts'
import type { DeviceState } from '../../src/core/ports.ts'
import { pairedDevices } from '../../src/daemon/paired-devices.ts'

const FOLDER = '11'.repeat(16) as FolderId
const OTHER = '22'.repeat(16) as FolderId

function device(name: string, lastSeen: number | null): DeviceState {
  return { id: name as DeviceId, name, connected: false, address: null, lastSeen, sighted: false }
}

describe('daemon/paired-devices', () => {
  it('a device may have a folder that it offered last, or where it never said what it has', () => {
    const network = {
      devices: () => [device('has', 1), device('has-not', 1), device('never-seen', null)],
      offers: () => [
        { id: OTHER, name: 'other', devices: ['has-not' as DeviceId] },
        { id: FOLDER, name: 'notes', devices: ['has' as DeviceId] },
      ],
    }
    const may = pairedDevices(FOLDER, network).map(({ name, mayHold }) => [name, mayHold])
    expect(Object.fromEntries(may)).to.deep.equal({ has: true, 'has-not': false, 'never-seen': true })
  })
})
