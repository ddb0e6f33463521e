// What any Clock must do: run on the machine's time, on virtual time, and on what a simulated process sees of it.
import { getEventListeners } from 'node:events'
import { expect } from 'chai'
import type { Clock } from '../../src/core/clock.ts'

export interface ClockSubject {
  readonly clock: Clock
  /** Lets that much time go by, and a little more where time is real; resolves when all that fell due has run. */
  pass(ms: number): Promise<void>
  /** How many timers wait. */
  waiting(): number
}

/** The machine's timers may fire this much before the time, as its monotone clock tells it. */
const EARLY_MS = 1
const MONTH_MS = 30 * 24 * 3_600_000

export function clockContract(name: string, open: () => ClockSubject): void {
  describe(`Clock: ${name}`, () => {
    let subject: ClockSubject
    let clock: Clock
    let abort: AbortController

    beforeEach(() => {
      subject = open()
      clock = subject.clock
      abort = new AbortController()
    })
    // A failed test leaves no timer to the next one.
    afterEach(() => abort.abort())

    const outcome = (slept: Promise<void>): Promise<unknown> =>
      slept.then(
        () => 'slept',
        (reason: unknown) => ({ reason }),
      )

    it('tells the wall time in whole milliseconds', () => {
      expect(clock.now()).to.be.a('number').greaterThan(0)
      expect(Number.isInteger(clock.now())).to.equal(true)
    })

    it('measures intervals that never run backwards and last as long as they say', async () => {
      const seen = [clock.elapsed()]
      for (const ms of [0, 1, 5, 20]) {
        const before = clock.elapsed()
        const slept = clock.sleep(ms, { signal: abort.signal })
        await subject.pass(ms)
        await slept
        expect(clock.elapsed() - before).to.be.at.least(ms - EARLY_MS)
        seen.push(clock.elapsed())
      }
      expect(seen).to.deep.equal([...seen].sort((a, b) => a - b))
    })

    it('does not wake before the time', async () => {
      let awake = false
      const slept = clock.sleep(60_000, { signal: abort.signal }).then(() => {
        awake = true
      })
      await subject.pass(5)
      expect(awake).to.equal(false)
      abort.abort()
      await outcome(slept)
    })

    it('wakes in the order of due times, of equal ones in the order they were asked', async () => {
      const order: string[] = []
      const sleep = async (what: string, ms: number): Promise<void> => {
        await clock.sleep(ms, { signal: abort.signal })
        order.push(what)
      }
      const all = [sleep('late', 60), sleep('soon', 5), sleep('middle', 30), sleep('soon too', 5)]
      await subject.pass(60)
      await Promise.all(all)
      expect(order).to.deep.equal(['soon', 'soon too', 'middle', 'late'])
    })

    it('takes no time, or less than none, as the next moment', async () => {
      const slept = Promise.all([0, -1, -1e9].map(ms => clock.sleep(ms, { signal: abort.signal })))
      await subject.pass(0)
      expect(await slept).to.have.length(3)
    })

    for (const reason of [new Error('stopping'), 'a word', undefined] as const) {
      it(`rejects with the very reason of its signal (${String(reason)}) and leaves no timer`, async () => {
        const before = subject.waiting()
        const slept = outcome(clock.sleep(60_000, { signal: abort.signal }))
        expect(subject.waiting()).to.equal(before + 1)
        abort.abort(reason)
        expect(subject.waiting()).to.equal(before)
        expect(await slept).to.deep.equal({ reason: abort.signal.reason })
      })
    }

    it('rejects at once where the signal was aborted before, and sets no timer', async () => {
      const before = subject.waiting()
      abort.abort('before')
      const slept = outcome(clock.sleep(60_000, { signal: abort.signal }))
      expect(subject.waiting()).to.equal(before)
      expect(await slept).to.deep.equal({ reason: 'before' })
    })

    it('leaves nothing on a signal that lives on', async () => {
      const slept = clock.sleep(1, { signal: abort.signal })
      await subject.pass(1)
      await slept
      expect(getEventListeners(abort.signal, 'abort')).to.have.length(0)
    })

    it('sleeps for longer than a timer of the machine holds', async () => {
      let awake = false
      const slept = clock.sleep(MONTH_MS, { signal: abort.signal }).then(() => {
        awake = true
      })
      await subject.pass(10)
      expect(awake).to.equal(false)
      abort.abort('enough')
      expect(await outcome(slept)).to.deep.equal({ reason: 'enough' })
    })
  })
}
