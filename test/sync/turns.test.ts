// What waits for its turn always hears how it ended.
import { expect } from 'chai'
import { Turns } from '../../src/sync/turns.ts'

describe('turns', () => {
  const stopped = new Error('stopped')
  const heard = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

  it('one that is put off while the folder stops ends with it', async () => {
    const stop = new AbortController()
    const turns = new Turns({ wake: () => undefined, stopped: stop.signal })
    const { signal } = new AbortController()
    const later = heard(
      turns.take(
        async () => 'done',
        () => 'later',
        { signal },
      ),
    )
    const work = turns.take(
      async () => stop.abort(stopped),
      () => null,
      { signal },
    )
    await turns.run()
    await work
    expect(await Promise.race([later, work.then(() => 'nothing')])).to.equal(stopped)
  })

  it('one that is given up while it is put off is not worked on', async () => {
    const stop = new AbortController()
    const turns = new Turns({ wake: () => undefined, stopped: stop.signal })
    const giveUp = new AbortController()
    let worked = false
    let refusal: 'later' | null = 'later'
    const later = heard(
      turns.take(
        async () => {
          worked = true
        },
        () => refusal,
        giveUp,
      ),
    )
    const work = turns.take(
      async () => giveUp.abort(stopped),
      () => null,
      { signal: stop.signal },
    )
    await turns.run()
    await work
    expect(await later).to.equal(stopped)
    refusal = null
    await turns.run()
    expect(worked).to.equal(false)
  })
})
