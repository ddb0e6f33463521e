// One supervisor on fakes: connections are objects, sessions are objects, time is a number.
import type { Connection, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { expect } from 'chai'
import type { DeviceId } from '../../src/core/ids.ts'
import type { LinkDeps } from '../../src/p2p/link.ts'
import { Link } from '../../src/p2p/link.ts'
import type { Session } from '../../src/p2p/session.ts'
import { silent, until } from './network-fixture.ts'

const SMALL = '12D3KooWA' as DeviceId
const LARGE = '12D3KooWZ' as DeviceId

interface FakeConnection {
  readonly name: string
  readonly near: boolean
  readonly direction: 'inbound' | 'outbound'
  status: 'open' | 'aborted'
}

interface FakeSession {
  readonly on: FakeConnection
  lastByteAt: number
  answersPings: boolean
  closed: boolean
  readonly session: Session
}

class Scene {
  now = 1_000
  candidates: string[] = []
  connections: FakeConnection[] = []
  sessions: FakeSession[] = []
  dials: (readonly string[])[] = []
  linked = 0
  unlinked: string[] = []
  /** What a dial comes to. */
  onDial: () => FakeConnection | null = () => null
  onOpen: () => boolean = () => true
  readonly link: Link

  constructor(self: DeviceId, other: DeviceId) {
    const deps: LinkDeps = {
      self,
      log: silent,
      elapsed: () => this.now,
      random: () => 0,
      candidates: () => this.candidates,
      dial: async (_device, addresses, { signal }) => {
        this.dials.push(addresses)
        const made = this.onDial()
        if (made !== null) return this.#as(made)
        if (this.onDial === NEVER)
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        throw new Error('nobody there')
      },
      connectionsTo: () => this.connections.filter(one => one.status === 'open').map(one => this.#as(one)),
      isNear: connection => this.#from(connection).near,
      lastByteAt: () => Number.NEGATIVE_INFINITY,
      openSession: async (_stream, connection) => this.#open(this.#from(connection)),
      onLinked: () => this.linked++,
      onUnlinked: (_device, reason) => this.unlinked.push(reason),
    }
    this.link = new Link(other, deps)
  }

  connect(name: string, near: boolean, direction: 'inbound' | 'outbound'): FakeConnection {
    const made: FakeConnection = { name, near, direction, status: 'open' }
    this.connections.push(made)
    this.link.connectionChanged()
    return made
  }

  /** The other side opens the session. */
  async accept(connection: FakeConnection): Promise<void> {
    await this.link.accept({ abort: () => undefined } as unknown as Stream, this.#as(connection))
  }

  get live(): FakeSession[] {
    return this.sessions.filter(one => !one.closed)
  }

  readonly #wrapped = new Map<FakeConnection, Connection>()

  #as(fake: FakeConnection): Connection {
    let connection = this.#wrapped.get(fake)
    if (connection === undefined) {
      const end = (): void => {
        fake.status = 'aborted'
      }
      connection = {
        direction: fake.direction,
        remoteAddr: multiaddr('/ip4/10.0.0.9/tcp/4000'),
        newStream: async () => ({}) as Stream,
        abort: end,
        close: async () => end(),
        get status() {
          return fake.status
        },
      } as unknown as Connection
      this.#wrapped.set(fake, connection)
    }
    return connection
  }

  #from(connection: Connection): FakeConnection {
    for (const [fake, wrapped] of this.#wrapped) if (wrapped === connection) return fake
    throw new Error('unknown connection')
  }

  #open(on: FakeConnection): Session {
    if (!this.onOpen()) throw new Error('refused')
    let end: (reason: string) => void = () => undefined
    const closed = new Promise<string>(resolve => {
      end = resolve
    })
    const fake: FakeSession = {
      on,
      lastByteAt: this.now,
      answersPings: true,
      closed: false,
      session: {
        device: LARGE,
        name: 'other',
        closed,
        bytesIn: 0,
        bytesOut: 0,
        lastByteAt: () => fake.lastByteAt,
        sendMembership: () => undefined,
        ping: async ({ signal }) => {
          if (!fake.answersPings)
            await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
          fake.lastByteAt = this.now
          return 1
        },
        close: async reason => {
          fake.closed = true
          end(reason)
        },
      },
    }
    this.sessions.push(fake)
    return fake.session
  }
}

const NEVER = (): null => null

describe('link', () => {
  let scene: Scene
  afterEach(async () => {
    await scene.link.stop('the test is over')
    expect(scene.live).to.deep.equal([])
    expect(scene.connections.filter(one => one.status === 'open')).to.deep.equal([])
  })

  function start(self: DeviceId, other: DeviceId): void {
    scene = new Scene(self, other)
    scene.link.start()
  }

  it('opens the session where it has the smaller id, and waits for it where it has not', async () => {
    start(SMALL, LARGE)
    scene.connect('a', true, 'inbound')
    await until('a session is open', () => scene.linked === 1)
    await scene.link.stop('next')
    start(LARGE, SMALL)
    const connection = scene.connect('a', true, 'outbound')
    await until('it looked', () => scene.dials.length === 0)
    expect(scene.sessions).to.have.length(0)
    await scene.accept(connection)
    expect(scene.linked).to.equal(1)
  })

  it('of two connections takes the near one, then the one dialled by the smaller id, and ends the other', async () => {
    start(SMALL, LARGE)
    const [far, near, mine] = [
      { name: 'far', near: false, direction: 'outbound' as const, status: 'open' as const },
      { name: 'near', near: true, direction: 'inbound' as const, status: 'open' as const },
      { name: 'mine', near: true, direction: 'outbound' as const, status: 'open' as const },
    ]
    scene.connections.push(far, near, mine)
    scene.link.connectionChanged()
    await until('one is left', () => scene.connections.filter(one => one.status === 'open').length === 1)
    expect(scene.live.map(({ on }) => on.name)).to.deep.equal(['mine'])
    expect(scene.linked).to.equal(1)
  })

  it('goes over to a nearer connection that comes later', async () => {
    start(SMALL, LARGE)
    scene.connect('far', false, 'outbound')
    await until('linked', () => scene.linked === 1)
    scene.connect('near', true, 'inbound')
    await until('the near one carries', () => scene.live[0]?.on.name === 'near')
    expect(scene.unlinked).to.have.length(1)
  })

  it('keeps a living link against an equal connection, and gives up a dead one for it', async () => {
    start(SMALL, LARGE)
    scene.connect('first', true, 'outbound')
    await until('linked', () => scene.linked === 1)
    const second = scene.connect('second', true, 'outbound')
    scene.now += 10
    await until('the second is ended', () => second.status === 'aborted')
    expect(scene.live.map(({ on }) => on.name)).to.deep.equal(['first'])
    for (const one of scene.live) one.answersPings = false
    scene.now += 10
    scene.connect('third', true, 'inbound')
    await until('the third carries', () => scene.live[0]?.on.name === 'third')
  })

  it('takes the session that the smaller id opens anew, in place of the old one', async () => {
    start(LARGE, SMALL)
    await scene.accept(scene.connect('old', true, 'inbound'))
    await scene.accept(scene.connect('new', true, 'inbound'))
    expect(scene.live.map(({ on }) => on.name)).to.deep.equal(['new'])
    expect(scene.linked).to.equal(2)
    expect(scene.unlinked).to.deep.equal(['replaced'])
  })

  it('asks after 5 s of silence, and is dead after 15', async () => {
    start(SMALL, LARGE)
    scene.connect('a', true, 'outbound')
    await until('linked', () => scene.linked === 1)
    const [first] = scene.live as [FakeSession]
    scene.now += 6_000
    scene.link.tick(false)
    await until('the pong came', () => first.lastByteAt === scene.now)
    first.answersPings = false
    scene.now += 14_000
    scene.link.tick(false)
    expect(first.closed).to.equal(false)
    scene.now += 2_000
    scene.link.tick(true)
    expect(first.closed, 'the process stood still: no proof').to.equal(false)
    scene.link.tick(false)
    expect(first.closed).to.equal(true)
    expect(scene.unlinked).to.deep.equal(['it does not answer any more'])
  })

  it('dials for ever, and at once when there is news', async () => {
    start(SMALL, LARGE)
    scene.candidates = ['/ip4/10.0.0.9/tcp/4000']
    for (let round = 1; round <= 8; round++) {
      scene.link.nudge({ doubt: false })
      await until('it dialled again', () => scene.dials.length >= round)
    }
    scene.onDial = () => scene.connect('at last', true, 'outbound')
    scene.link.nudge({ doubt: false })
    await until('linked', () => scene.linked === 1)
  })

  for (const [self, other] of [
    [SMALL, LARGE],
    [LARGE, SMALL],
  ] as const) {
    it(`does not storm a device that answers and refuses (${self === SMALL ? 'smaller' : 'larger'} id)`, async () => {
      start(self, other)
      scene.onOpen = () => false
      scene.candidates = ['/ip4/10.0.0.9/tcp/4000']
      scene.onDial = () => {
        const made = scene.connect('refusing', true, 'outbound')
        queueMicrotask(() => {
          made.status = 'aborted'
          scene.link.connectionChanged()
        })
        return made
      }
      scene.link.nudge({ doubt: false })
      await until('it dialled', () => scene.dials.length === 1)
      await new Promise(resolve => setTimeout(resolve, 600))
      expect(scene.dials.length).to.be.below(3)
    })
  }

  it('leaves a dial that hangs on an old address for a new one', async () => {
    start(SMALL, LARGE)
    scene.onDial = NEVER
    scene.candidates = ['/ip4/10.0.0.9/tcp/4000']
    scene.link.nudge({ doubt: false })
    await until('it hangs', () => scene.dials.length === 1)
    scene.candidates = ['/ip4/10.0.0.10/tcp/4000']
    scene.onDial = () => scene.connect('new', true, 'outbound')
    scene.link.nudge({ doubt: false })
    await until('linked', () => scene.linked === 1)
    expect(scene.dials.at(-1)).to.deep.equal(scene.candidates)
  })

  it('looks for another way when it doubts a link that does not answer', async () => {
    start(SMALL, LARGE)
    scene.candidates = ['/ip4/10.0.0.9/tcp/4000']
    scene.connect('old', true, 'outbound')
    await until('linked', () => scene.linked === 1)
    for (const one of scene.live) one.answersPings = false
    scene.now += 10
    scene.onDial = () => scene.connect('new', true, 'outbound')
    scene.link.nudge({ doubt: true })
    await until('the new one carries', () => scene.live[0]?.on.name === 'new')
  })

  it('gives up a connection on which no session comes about, and tries again', async () => {
    start(SMALL, LARGE)
    scene.onOpen = () => false
    const first = scene.connect('first', true, 'inbound')
    await until('it is ended', () => first.status === 'aborted')
    scene.onOpen = () => true
    scene.connect('second', true, 'inbound')
    await until('linked', () => scene.linked === 1)
  })
})
