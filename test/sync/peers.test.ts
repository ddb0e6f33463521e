// What is remembered of other devices over a restart.
import { expect } from 'chai'
import type { DeviceId } from '../../src/core/ids.ts'
import type { FolderState } from '../../src/core/ports.ts'
import { Peers } from '../../src/sync/peers.ts'

const OTHER = 'other' as DeviceId
const STATE: FolderState = {
  digest: 'd',
  needFiles: 0,
  needBytes: 0,
  settled: true,
  pulling: false,
  stopped: null,
}

describe('sync/peers', () => {
  it('a device that was in sync is known to have been so after a restart', () => {
    const before = new Peers()
    before.compared(OTHER)
    before.heard(OTHER, STATE, STATE, { now: 1_000, journalLength: 3 })
    const stored = before.due(STATE, { now: 2_000, journalLength: 4 }, 0)?.notes?.[0]?.bytes
    const after = new Peers()
    after.load(stored)
    expect(after.absent()).to.deep.equal([{ device: OTHER, synced: { now: 2_000, journalLength: 4 } }])
    expect(after.status(STATE)[0]).to.include({ id: OTHER, inSync: true, asOf: 2_000 })
  })

  it('what cannot be read any more is not known', () => {
    for (const text of ['', '{', '{}', '[{"id":1}]', '[{"id":"a","inSync":true,"asOf":"b","synced":null}]']) {
      const peers = new Peers()
      peers.load(Buffer.from(text))
      expect(peers.absent(), text).to.deep.equal([])
    }
  })

  it('a device that has what it wants only since it settled is another one to count copies by', () => {
    const peers = new Peers()
    const before = peers.key()
    peers.heard(OTHER, { ...STATE, settled: false }, STATE, { now: 1_000, journalLength: 3 })
    const joined = peers.key()
    peers.heard(OTHER, STATE, STATE, { now: 1_000, journalLength: 3 })
    expect(new Set([before, joined, peers.key()])).to.have.length(3)
  })

  it('what its disk cannot have counts only where both have the same documents, and it has compared its disk with them', () => {
    const refusing = { ...STATE, needFiles: 1, stopped: 'cannot-hold' }
    const stopped = (theirs: FolderState, { compared = true, stillThere = true } = {}): string | null | undefined => {
      const peers = new Peers()
      if (compared) peers.compared(OTHER)
      const mine = stillThere ? STATE : { ...STATE, digest: 'the entry was removed' }
      peers.heard(OTHER, theirs, mine, { now: 1_000, journalLength: 3 })
      return peers.status(mine)[0]?.stopped
    }
    expect(stopped(refusing)).to.equal('cannot-hold')
    expect(stopped(refusing, { stillThere: false }), 'it has not heard of it').to.equal(null)
    expect(stopped({ ...refusing, settled: false }), 'it has not looked').to.equal(null)
    expect(stopped(refusing, { compared: false }), 'nobody has compared').to.equal(null)
    expect(stopped({ ...refusing, stopped: 'paused' }, { stillThere: false })).to.equal('paused')
  })
})
