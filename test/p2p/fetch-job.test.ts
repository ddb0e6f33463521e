// Who is asked for what: pure scheduling, on lanes that answer when the test says so.
import { setImmediate } from 'node:timers/promises'
import { expect } from 'chai'
import type { DeviceId } from '../../src/core/ids.ts'
import type { Lane, Wanted } from '../../src/p2p/fetch-job.ts'
import { FetchJob } from '../../src/p2p/fetch-job.ts'

const { signal } = new AbortController()
const BATCH = 1_000

class FakeLane implements Lane<string> {
  readonly device: DeviceId
  readonly asked: string[][] = []
  speed = Number.POSITIVE_INFINITY
  maxOpen = 2
  open = 0
  answer: (key: string) => Uint8Array | null = () => new Uint8Array(100)
  held: Promise<void> = Promise.resolve()
  failing = false

  constructor(name: string) {
    this.device = name as DeviceId
  }

  rate(): number {
    return this.speed
  }

  room(): number {
    return this.open < this.maxOpen ? BATCH : 0
  }

  async fetch(wanted: readonly Wanted<string>[]): Promise<(Uint8Array | null)[]> {
    this.asked.push(wanted.map(item => item.key))
    this.open++
    try {
      await this.held
      await setImmediate()
      if (this.failing) throw new Error('gone')
      return wanted.map(item => this.answer(item.key))
    } finally {
      this.open--
    }
  }
}

class FakeClock {
  ms = 0
  #wakers: (() => void)[] = []

  now(): number {
    return this.ms
  }

  elapsed(): number {
    return this.ms
  }

  sleep(_ms: number, options: { signal: AbortSignal }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#wakers.push(resolve)
      options.signal.addEventListener('abort', () => reject(options.signal.reason), { once: true })
    })
  }

  async pass(ms: number): Promise<void> {
    this.ms += ms
    for (const wake of this.#wakers.splice(0)) wake()
    for (let turn = 0; turn < 5; turn++) await setImmediate()
  }
}

function setup(names: string[], count: number, length = 100) {
  const lanes = names.map(name => new FakeLane(name))
  const clock = new FakeClock()
  const bad: DeviceId[] = []
  const wanted = Array.from({ length: count }, (_, at) => ({ key: `k${at}`, length }))
  const job = new FetchJob(wanted, {
    clock,
    self: 'self' as DeviceId,
    lanes: () => lanes,
    onBad: device => bad.push(device),
  })
  return { lanes, clock, bad, job, lane: (at: number) => lanes[at] as FakeLane }
}

async function collect(job: FetchJob<string>): Promise<{ key: string; from: string }[]> {
  const out: { key: string; from: string }[] = []
  for await (const { key, from } of job.run({ signal })) out.push({ key, from })
  return out
}

describe('a fetch from several devices', () => {
  it('brings everything once', async () => {
    const { job } = setup(['a', 'b'], 100)
    const keys = (await collect(job)).map(each => each.key)
    expect(new Set(keys).size).to.equal(100)
    expect(keys.length).to.equal(100)
  })

  it('asks the others for what one does not have, and ends when nobody has it', async () => {
    const { job, lane } = setup(['a', 'b'], 60)
    lane(0).answer = key => (Number(key.slice(1)) % 2 === 0 ? new Uint8Array(100) : null)
    lane(1).answer = key => (Number(key.slice(1)) % 3 === 0 ? new Uint8Array(100) : null)
    const got = await collect(job)
    expect(new Set(got.map(each => each.key)).size).to.equal(40)
    for (const { asked } of [lane(0), lane(1)]) {
      const all = asked.flat()
      expect(new Set(all).size, 'nobody is asked twice for one thing').to.equal(all.length)
    }
  })

  it('asks again for what did not fit into an answer', async () => {
    const { job, lane } = setup(['a'], 50, 0)
    const { fetch } = lane(0)
    lane(0).fetch = async wanted => (await fetch.call(lane(0), wanted)).slice(0, 7)
    expect((await collect(job)).map(each => each.key).sort()).to.have.length(50)
  })

  it('gives what a lost device was asked for to the others, and asks it no more after three failures', async () => {
    const { job, lane } = setup(['a', 'b'], 100)
    lane(0).failing = true
    expect((await collect(job)).every(each => each.from === 'b')).to.equal(true)
    expect(lane(0).asked.length).to.be.within(1, 4)
  })

  it('ends where all have failed', async () => {
    const { job, lane } = setup(['a'], 10)
    lane(0).failing = true
    expect(await collect(job)).to.deep.equal([])
  })

  it('takes nothing of a wrong length', async () => {
    const { job, lane, bad } = setup(['a', 'b'], 30)
    lane(0).answer = () => new Uint8Array(99)
    const got = await collect(job)
    expect(got.length).to.equal(30)
    expect(got.every(each => each.from === 'b')).to.equal(true)
    expect(bad.length).to.be.above(0)
  })

  it('lets an idle device take over from one that does not get on, and drops what comes late', async () => {
    const { job, lane, clock } = setup(['fast', 'slow'], 40)
    let release = (): void => undefined
    lane(1).held = new Promise(resolve => {
      release = resolve
    })
    const collecting = collect(job)
    for (let turn = 0; turn < 50; turn++) await setImmediate()
    const stuck = lane(1).asked.flat()
    expect(stuck.length, 'both were asked at first').to.be.above(0)
    await clock.pass(500)
    expect(
      lane(0)
        .asked.flat()
        .some(key => stuck.includes(key)),
      'not at once',
    ).to.equal(false)
    for (let tick = 0; tick < 8; tick++) await clock.pass(500)
    const got = await collecting
    expect(new Set(got.map(each => each.key)).size).to.equal(40)
    expect(got.every(each => each.from === 'fast')).to.equal(true)
    release()
  })

  it('asks for nothing more once it is enough, and brings what was asked for', async () => {
    const { job, lane } = setup(['a', 'b'], 1_000, 64 * 1024)
    for (const each of [lane(0), lane(1)]) each.answer = () => new Uint8Array(64 * 1024)
    const enough = new AbortController()
    const got: string[] = []
    for await (const { key } of job.run({ signal, enough: enough.signal })) {
      got.push(key)
      enough.abort()
    }
    const asked = [lane(0), lane(1)].flatMap(each => each.asked.flat())
    expect(new Set(got)).to.deep.equal(new Set(asked))
    expect(asked.length).to.be.within(1, 999)
    const none = setup(['a'], 10)
    for await (const { key } of none.job.run({ signal, enough: AbortSignal.abort() })) expect(key).to.equal(undefined)
    expect(none.lane(0).asked).to.deep.equal([])
  })

  it('asks for no more than the consumer can be behind', async () => {
    const { job, lane } = setup(['a'], 100, 256 * 1024)
    lane(0).answer = () => new Uint8Array(256 * 1024)
    lane(0).maxOpen = 1_000
    const iterator = job.run({ signal })
    await iterator.next()
    for (let turn = 0; turn < 50; turn++) await setImmediate()
    expect(lane(0).asked.flat().length).to.be.within(10, 18)
    await iterator.return(undefined)
  })
})
