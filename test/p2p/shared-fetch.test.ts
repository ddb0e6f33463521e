// One content fetched by several devices at once, on a clock of the test: each device has an uplink of its own, takes a while to write
// what came, and gives what it has written. What counts is how much the source sends, and that nobody waits for ever.
import { setMaxListeners } from 'node:events'
import { expect } from 'chai'
import type { DeviceId } from '../../src/core/ids.ts'
import { Rate } from '../../src/p2p/content-link.ts'
import type { Held } from '../../src/p2p/fellows.ts'
import type { Lane, Wanted } from '../../src/p2p/fetch-job.ts'
import { FetchJob } from '../../src/p2p/fetch-job.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const CHUNK = new Uint8Array(64 * 1024)
const COUNT = 2_000
const SIZE = COUNT * CHUNK.byteLength
const TRIP_MS = 2
const WRITE_MS = 60
/** Bytes a millisecond. */
const FAST = 100_000
const { signal } = new AbortController()
setMaxListeners(0, signal)

const CHUNKS = Array.from({ length: COUNT }, (_, place) => ({ key: `${place}`, length: CHUNK.byteLength, place }))

class Member {
  readonly id: DeviceId
  readonly clock: VirtualClock
  readonly has = new Set<number>()
  readonly uplink: number
  readonly linked: Member[] = []
  /** Of each question what it was asked. */
  readonly asked: string[] = []
  sent = 0
  answerMs = TRIP_MS
  questions = 0
  state: 'idle' | 'receiving' | 'over' = 'idle'
  tookMs = 0
  answer: () => Held = () => {
    if (this.has.size === COUNT) return 'all'
    if (this.state !== 'receiving') return new Uint8Array(0)
    const bits = new Uint8Array(Math.ceil(COUNT / 8))
    for (const place of this.has) bits[place >> 3] = (bits[place >> 3] as number) | (1 << (place & 7))
    return bits
  }
  #free = 0

  constructor(name: string, clock: VirtualClock, uplink: number) {
    this.id = name as DeviceId
    this.clock = clock
    this.uplink = uplink
  }

  get isWhole(): boolean {
    return this.has.size === COUNT
  }

  fill(): this {
    for (const { place } of CHUNKS) this.has.add(place)
    return this
  }

  link(...others: readonly Member[]): void {
    for (const other of others) {
      this.linked.push(other)
      other.linked.push(this)
    }
  }

  leave(): void {
    for (const other of this.linked.splice(0)) other.linked.splice(other.linked.indexOf(this), 1)
  }

  async receive(): Promise<void> {
    const since = this.clock.elapsed()
    this.state = 'receiving'
    const rates = new Map<Member, Lane<string>>()
    const lanes = (): Lane<string>[] =>
      this.linked.map(other => {
        const lane = rates.get(other) ?? laneTo(other, this, () => job.pump())
        rates.set(other, lane)
        return lane
      })
    const missing = CHUNKS.filter(({ place }) => !this.has.has(place))
    const job = new FetchJob(missing, { clock: this.clock, self: this.id, lanes, onBad: () => undefined })
    for await (const { key } of job.run({ signal })) this.clock.after(WRITE_MS, () => this.has.add(Number(key)))
    this.tookMs = this.clock.elapsed() - since
    await this.clock.sleep(WRITE_MS, { signal })
    this.state = 'over'
  }

  /** When so many bytes have left, behind all that was asked for before. */
  async send(bytes: number): Promise<void> {
    const now = this.clock.elapsed()
    this.#free = Math.max(now, this.#free) + bytes / this.uplink
    this.sent += bytes
    await this.clock.sleep(this.#free - now + TRIP_MS, { signal })
  }
}

function laneTo(other: Member, self: Member, onRoom: () => void): Lane<string> {
  const { clock } = self
  const rate = new Rate()
  let pulling = 0
  return {
    device: other.id,
    rate: () => rate.value,
    room: () => {
      const batch = rate.bytesIn(0.25, 256 * 1024, 1024 * 1024)
      return rate.bytesIn(0.5, 512 * 1024, 4 * 1024 * 1024) - pulling < batch && pulling > 0 ? 0 : batch
    },
    fetch: async (wanted: readonly Wanted<string>[], bytes) => {
      other.asked.push(...wanted.map(({ key }) => key))
      const since = clock.elapsed()
      pulling += bytes
      const items = wanted.map(({ key }) => (other.has.has(Number(key)) ? CHUNK : null))
      const found = items.filter(item => item !== null).length * CHUNK.byteLength
      await other.send(found)
      pulling -= bytes
      rate.measured(found, since, clock.elapsed())
      queueMicrotask(onRoom)
      if (!self.linked.includes(other)) throw new Error('gone')
      return items
    },
    holds: async () => {
      other.questions++
      await clock.sleep(other.answerMs, { signal })
      return other.answer()
    },
  }
}

describe('one content for several devices', () => {
  let clock = new VirtualClock()
  beforeEach(() => {
    clock = new VirtualClock()
  })
  const member = (name: string, uplink = FAST): Member => new Member(name, clock, uplink)
  const share = ({ sent }: Member): number => sent / SIZE

  /** All linked with all. */
  function mesh(...members: readonly Member[]): void {
    for (const [at, each] of members.entries()) each.link(...members.slice(at + 1))
  }

  async function run(receivers: readonly Member[], later: Promise<unknown> = Promise.resolve()): Promise<void> {
    let isOver = false
    const all = [...receivers.map(each => each.receive()), later]
    void Promise.all(all).then(() => {
      isOver = true
    })
    await clock.until(
      () => isOver,
      600_000,
      () => receivers.map(({ id, state, has }) => `${id} ${state} ${has.size}`).join(),
    )
    await Promise.all(all)
  }

  it('two get different parts of it from the source, and the rest from one another', async () => {
    const [source, a, b] = [member('s').fill(), member('a'), member('b')]
    mesh(source, a, b)
    await run([a, b])
    expect(a.isWhole && b.isWhole).to.equal(true)
    expect(share(source)).to.be.within(1, 1.1)
    expect(Math.max(a.tookMs, b.tookMs)).to.be.below((1.3 * SIZE) / FAST + 500)
  })

  it('also behind a slow uplink, and four', async () => {
    const source = member('s', FAST / 10).fill()
    const receivers = ['a', 'b', 'c', 'd'].map(name => member(name))
    mesh(source, ...receivers)
    await run(receivers)
    expect(receivers.every(each => each.isWhole)).to.equal(true)
    expect(share(source)).to.be.within(1, 1.15)
    expect(Math.max(...receivers.map(each => each.tookMs))).to.be.below((1.2 * 10 * SIZE) / FAST)
  })

  it('devices that are slow to say what they have', async () => {
    const [source, a, b] = [member('s').fill(), member('a'), member('b')]
    mesh(source, a, b)
    for (const each of [source, a, b]) each.answerMs = 600
    await run([a, b])
    expect(a.isWhole && b.isWhole).to.equal(true)
    expect(share(source)).to.be.within(1, 1.1)
  })

  it('who comes later gets what the first has from there', async () => {
    const [source, a, b] = [member('s').fill(), member('a'), member('b')]
    mesh(source, a, b)
    const later = clock.sleep(600, { signal }).then(() => b.receive())
    await run([a], later)
    expect(a.isWhole && b.isWhole).to.equal(true)
    expect(share(source)).to.be.within(1, 1.02)
  })

  it('the source is lost half-way: what the two have together, each has in the end, and neither waits for ever', async () => {
    const [source, a, b] = [member('s').fill(), member('a'), member('b')]
    mesh(source, a, b)
    const lost = clock.sleep(500, { signal }).then(() => source.leave())
    await run([a, b], lost)
    expect(a.has.size).to.be.within(COUNT / 4, COUNT - 1)
    expect([...a.has].sort()).to.deep.equal([...b.has].sort())
    expect(Math.max(a.tookMs, b.tookMs)).to.be.below(15_000)
  })

  it('who was refused by a device that still receives asks it again once it says that it has it', async () => {
    const [source, a, b] = [member('s', FAST / 10).fill(), member('a'), member('b')]
    source.link(a)
    a.link(b)
    await run([a, b])
    expect(b.isWhole).to.equal(true)
    expect(share(source)).to.equal(1)
  })

  it('a receiver that gives too slowly is not waited for', async () => {
    const [source, a, b] = [member('s').fill(), member('a'), member('b', FAST / 500)]
    mesh(source, a, b)
    await run([a, b])
    expect(a.isWhole && b.isWhole).to.equal(true)
    expect(a.tookMs).to.be.below((4 * SIZE) / FAST + 6_000)
  })

  it('what was left to a receiver that is lost comes from the source at once', async () => {
    const [source, a, b] = [member('s').fill(), member('a'), member('b')]
    mesh(source, a, b)
    void clock.sleep(500, { signal }).then(() => {
      b.leave()
      b.state = 'over'
    })
    await run([a, b])
    expect(a.isWhole).to.equal(true)
    expect(a.tookMs).to.be.below((1.3 * SIZE) / FAST)
  })

  it('a receiver that does not get on leaves the source to the others', async () => {
    const [source, a, b] = [member('s').fill(), member('a'), member('b')]
    mesh(source, a, b)
    b.state = 'receiving'
    await run([a])
    expect(a.isWhole).to.equal(true)
    expect(a.tookMs).to.be.below((3 * SIZE) / FAST + 3_000)
  })

  it('one that only says that it has everything is not asked for long, nor waited for', async () => {
    const [source, a, liar] = [member('s').fill(), member('a'), member('liar')]
    mesh(source, a, liar)
    liar.answer = () => (liar.questions === 1 ? new Uint8Array(1) : 'all')
    await run([a])
    expect(a.isWhole).to.equal(true)
    expect(liar.asked.length).to.be.below(COUNT / 4)
    expect(share(source)).to.equal(1)
  })

  it('an older device that cannot say what it has is asked as ever, and never again what it has', async () => {
    const [source, a, older] = [member('s').fill(), member('a'), member('older').fill()]
    mesh(source, a, older)
    older.answer = () => null
    await run([a])
    expect(a.isWhole).to.equal(true)
    expect(older.questions).to.equal(1)
    expect(share(source) + share(older)).to.be.within(1, 1.1)
    expect(share(older)).to.be.above(0.1)
  })

  it('from one device it is fetched from front to back, and nothing is asked', async () => {
    const [source, a] = [member('s').fill(), member('a')]
    mesh(source, a)
    await run([a])
    expect(source.questions).to.equal(0)
    expect(source.asked).to.deep.equal(CHUNKS.map(({ key }) => key))
  })

  it('two devices that have everything share the work', async () => {
    const [one, two, a] = [member('s1').fill(), member('s2').fill(), member('a')]
    mesh(one, two, a)
    await run([a])
    expect(a.isWhole).to.equal(true)
    expect(share(one) + share(two)).to.be.within(1, 1.02)
    expect(Math.min(share(one), share(two))).to.be.above(0.2)
  })
})
