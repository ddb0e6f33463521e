// The ground that simulations stand on: time that only a test moves, and choices that only the seed makes.
import { expect } from 'chai'
import type { Clock } from '../../src/core/clock.ts'
import { type ClockSubject, clockContract } from '../contract/clock-contract.ts'
import { ProcessLife } from './process-life.ts'
import { seeded } from './random.ts'
import { DeviceClock, settle, VirtualClock } from './virtual-clock.ts'

const signal = new AbortController().signal

function subject(virtual: VirtualClock, clock: Clock): ClockSubject {
  return { clock, pass: ms => virtual.advance(ms), waiting: () => virtual.waiting }
}

function lifeOn(clock: VirtualClock): ProcessLife {
  return new ProcessLife(clock, seeded(1), 10, error => {
    throw error
  })
}

clockContract('virtual', () => {
  const virtual = new VirtualClock()
  return subject(virtual, virtual)
})

for (const [name, options] of [
  ['right', {}],
  ['wrong', { offsetMs: -400 * 24 * 3_600_000 }],
  ['stuck', { stuck: true }],
] as const) {
  clockContract(`of a device, ${name}`, () => {
    const virtual = new VirtualClock()
    return subject(virtual, new DeviceClock(virtual, options))
  })
}

clockContract('of a process on a device', () => {
  const virtual = new VirtualClock()
  return subject(virtual, lifeOn(virtual).clock(new DeviceClock(virtual)))
})

describe('virtual time', () => {
  it('fires timers in order of due time, then of creation, and lets all that follows run in between', async () => {
    const clock = new VirtualClock()
    const seen: string[] = []
    const wait = async (name: string, ms: number): Promise<void> => {
      await clock.sleep(ms, { signal })
      seen.push(`${name} ${clock.elapsed()}`)
      await Promise.resolve()
      seen.push(`${name} after`)
    }
    const all = Promise.all([wait('late', 20), wait('first', 10), wait('second', 10)])
    await clock.advance(9)
    expect(seen).to.deep.equal([])
    await clock.advance(30)
    await all
    expect(seen).to.deep.equal(['first 10', 'first after', 'second 10', 'second after', 'late 20', 'late after'])
    expect(clock.elapsed()).to.equal(39)
  })

  it('rejects a sleep with the reason of its signal and leaves no timer', async () => {
    const clock = new VirtualClock()
    const abort = new AbortController()
    const slept = clock.sleep(1_000, { signal: abort.signal }).then(
      () => 'slept',
      (error: unknown) => error,
    )
    abort.abort('enough')
    expect(await slept).to.equal('enough')
    expect(clock.waiting).to.equal(0)
  })

  it('a device clock may be wrong, stuck or jump; intervals and stamps stay in order', () => {
    const clock = new VirtualClock()
    const wrong = new DeviceClock(clock, { offsetMs: -5_000 })
    expect(wrong.now()).to.equal(clock.now() - 5_000)
    const stamps = [wrong.stampUs(), wrong.stampUs()]
    expect(stamps[1]).to.be.greaterThan(stamps[0] ?? 0)
    wrong.jump(-3_600_000)
    expect(wrong.stampUs()).to.be.lessThan(stamps[0] ?? 0)
    expect(wrong.elapsed()).to.equal(clock.elapsed())
  })

  it('a dead process never hears of what it waited for', async () => {
    const clock = new VirtualClock()
    const life = lifeOn(clock)
    let went = false
    const work = (async () => {
      for (;;) {
        await life.pause('work')
        went = true
      }
    })()
    work.catch(() => undefined)
    life.kill()
    went = false
    await clock.advance(100)
    await settle()
    expect(went).to.equal(false)
  })

  it('a dead process never wakes, not even to be told to stop', async () => {
    const clock = new VirtualClock()
    const life = lifeOn(clock)
    const mine = life.clock(clock)
    const stop = new AbortController()
    let heard = 0
    const hear = (): void => {
      heard++
    }
    mine.sleep(10, { signal }).then(hear, hear)
    mine.sleep(20, { signal: stop.signal }).then(hear, hear)
    life.kill()
    mine.sleep(0, { signal: stop.signal }).then(hear, hear)
    stop.abort()
    mine.sleep(0, { signal: stop.signal }).then(hear, hear)
    await clock.advance(100)
    expect(heard).to.equal(0)
  })
})

describe('seeded choices', () => {
  it('are the same for the same seed, others for another, and forks do not disturb one another', () => {
    const draw = (random: () => number): number[] => Array.from({ length: 20 }, () => random())
    expect(draw(seeded(7))).to.deep.equal(draw(seeded(7)))
    expect(draw(seeded(7))).not.to.deep.equal(draw(seeded(8)))
    const one = seeded(7)
    const fork = draw(one.fork('a'))
    draw(one)
    expect(draw(one.fork('a'))).to.deep.equal(fork)
  })

  it('are spread evenly', () => {
    const random = seeded('spread')
    const counts = [0, 0, 0, 0]
    for (let at = 0; at < 4_000; at++) {
      const which = random.int(4)
      counts[which] = (counts[which] ?? 0) + 1
    }
    for (const count of counts) expect(count).to.be.within(800, 1_200)
  })
})
