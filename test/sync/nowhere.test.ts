// When it is time to ask for content that no linked device may have.
import { expect } from 'chai'
import type { ContentId, DeviceId } from '../../src/core/ids.ts'
import { Nowhere } from '../../src/sync/nowhere.ts'

describe('sync/nowhere', () => {
  let now: number
  let wanted: number
  let key: string
  let nowhere: Nowhere

  beforeEach(() => {
    now = 0
    wanted = 1
    key = 'a'
    nowhere = new Nowhere({
      clock: { elapsed: () => now },
      wanted: () => wanted,
      missing: () => (wanted > 0 ? ['c' as ContentId] : []),
      tree: () => ({ allEntries: () => [], entriesOf: () => [] }) as never,
      holdings: { holders: async () => new Map() },
      network: () => ({ peers: () => ['b' as DeviceId] }),
      key: () => key,
    })
  })

  it('it is soon after what is known is something else, and now and then while it is not', async () => {
    nowhere.refresh()
    expect(nowhere.nextMs()).to.equal(3_000)
    now = 3_000
    nowhere.refresh()
    expect(nowhere.nextMs()).to.equal(0)
    await nowhere.ask({ signal: new AbortController().signal })
    nowhere.refresh()
    expect(nowhere.nextMs()).to.equal(30_000)
    wanted = 0
    nowhere.refresh()
    expect(nowhere.nextMs()).to.equal(Number.POSITIVE_INFINITY)
  })

  it('to ask when changes nothing', () => {
    expect(nowhere.nextMs(), 'nothing was seen yet').to.equal(Number.POSITIVE_INFINITY)
    nowhere.refresh()
    now = 1_000
    key = 'b'
    expect([nowhere.nextMs(), nowhere.nextMs()]).to.deep.equal([2_000, 2_000])
    nowhere.refresh()
    expect(nowhere.nextMs()).to.equal(3_000)
  })
})
