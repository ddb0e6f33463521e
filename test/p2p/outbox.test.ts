// What is posted leaves, whenever it comes.
import { expect } from 'chai'
import { Outbox } from '../../src/p2p/outbox.ts'
import { until } from './loopback.ts'

const PING = { message: { type: 'ping' as const, id: 1 }, blobs: [] }

describe('the outbox of a link', () => {
  it('sends what is posted right after it found nothing to send', async () => {
    let writes = 0
    const outbox = new Outbox({ write: async () => void writes++ })
    let posts = 1
    outbox.addSource(() => {
      if (posts-- > 0) void Promise.resolve().then(() => outbox.post(PING))
      return null
    })
    const end = new AbortController()
    const running = outbox.run({ signal: end.signal }).catch((error: unknown) => error)
    await until('sent', () => writes === 1)
    posts = 1
    outbox.wake()
    await until('sent again', () => writes === 2)
    end.abort(new Error('enough'))
    expect(await running).to.be.an('error')
  })

  it('sends what was posted right before the end', async () => {
    let writes = 0
    const outbox = new Outbox({ write: async () => void writes++ })
    let asked = false
    outbox.addSource(() => {
      if (!asked) {
        void Promise.resolve().then(() => {
          outbox.post(PING)
          outbox.finish()
        })
      }
      asked = true
      return null
    })
    await outbox.run({ signal: new AbortController().signal })
    expect(writes).to.equal(1)
  })
})
