import { expect } from 'chai'
import { KithError } from '../../src/core/errors.ts'
import type { DeviceId, FolderId } from '../../src/core/ids.ts'
import type { DeviceState, FolderOffer } from '../../src/core/ports.ts'
import { type WaitResult, waitForSync } from '../../src/daemon/wait.ts'
import { FakeEngine } from './support/fake-engine.ts'
import { refusal } from './support/refusal.ts'

const OWN = 'A' as DeviceId
const B = 'B' as DeviceId
const C = 'C' as DeviceId
const FOLDER = '11'.repeat(16) as FolderId

class World {
  readonly engine = new FakeEngine(FOLDER, 'notes', '/notes')
  readonly devices = new Map<DeviceId, DeviceState>()
  offers: FolderOffer[] = []
  readonly #listeners = new Set<() => void>()
  result: WaitResult | null = null

  device(id: DeviceId, change: Partial<DeviceState>): void {
    const device = { id, name: `name-${id}`, connected: false, address: null, lastSeen: null, sighted: false }
    this.devices.set(id, { ...device, ...change })
    for (const listener of [...this.#listeners]) listener()
  }

  wait(options: { timeoutMs?: number; device?: DeviceId; signal?: AbortSignal } = {}): Promise<WaitResult> {
    const deps = {
      device: OWN,
      stuckMs: 5,
      devices: () => [...this.devices.values()],
      offers: () => this.offers,
      listen: (listener: () => void) => {
        this.#listeners.add(listener)
        return () => void this.#listeners.delete(listener)
      },
    }
    const target = { engines: [this.engine], device: options.device ?? null }
    const signal = options.signal ?? new AbortController().signal
    const waiting = waitForSync(deps, target, { timeoutMs: options.timeoutMs ?? null, signal })
    waiting.then(
      result => {
        this.result = result
      },
      () => undefined,
    )
    return waiting
  }

  get listeners(): number {
    return this.#listeners.size
  }
}

/** All that can run without an event has run. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(resolve => setImmediate(resolve))
}

describe('daemon/wait', () => {
  let world: World

  beforeEach(() => {
    world = new World()
  })
  afterEach(() => expect(world.listeners).to.equal(0))

  it('scans after the call, and returns where there is nothing else to wait for', async () => {
    await world.wait()
    expect(world.engine.calls).to.deep.equal(['rescan'])
  })

  const obstacles: readonly (readonly [what: string, put: (world: World) => void, clear: (world: World) => void])[] = [
    ['a place that is dirty', w => w.engine.set({ settled: false }), w => w.engine.set({ settled: true })],
    ['a scan', w => w.engine.set({ state: 'scanning' }), w => w.engine.set({ state: 'idle' })],
    [
      'content that is missing here',
      w => w.engine.set({ need: { files: 2, bytes: 9 } }),
      w => w.engine.set({ need: { files: 0, bytes: 0 } }),
    ],
    [
      'a linked device that is not equal',
      w => {
        w.device(B, { connected: true })
        w.engine.peer(B, { inSync: false })
      },
      w => w.engine.peer(B, { inSync: true }),
    ],
    [
      'a linked device that offers the folder and was not compared yet',
      w => {
        w.device(B, { connected: true })
        w.offers = [{ id: FOLDER, name: 'notes', devices: [B] }]
      },
      w => w.engine.peer(B),
    ],
    [
      'a paired device that is near and not linked',
      w => w.device(B, { sighted: true }),
      w => w.device(B, { sighted: true, connected: true }),
    ],
  ]
  for (const [what, put, clear] of obstacles) {
    it(`waits for ${what}`, async () => {
      put(world)
      const waiting = world.wait()
      await quiet()
      expect(world.result).to.equal(null)
      clear(world)
      await waiting
    })
  }

  it('ends where a disk cannot have what is missing, here or on a linked device', async () => {
    world.engine.set({ need: { files: 2, bytes: 0 } })
    world.engine.stopped = 'cannot-hold'
    expect(await refusal(world.wait())).to.include({ code: 'cannot-hold' })
    world.engine.set({ need: { files: 0, bytes: 0 } })
    world.engine.stopped = null
    world.device(B, { connected: true })
    world.engine.peer(B, { inSync: false, stopped: 'cannot-hold', need: { files: 1, bytes: 0 } })
    const { code, message } = await refusal(world.wait())
    expect(code).to.equal('cannot-hold')
    expect(message).to.equal(
      '"notes": there is one name or kind of entry that cannot be had by the disk of name-B: "kith status" there names them.',
    )
  })

  it('does not wait for absent devices, and names those that have the folder', async () => {
    world.device(B, { connected: false })
    world.engine.peer(B, { inSync: false })
    world.device(C, { connected: false })
    const { absent } = await world.wait()
    expect(absent).to.deep.equal([{ id: B, name: 'name-B' }])
  })

  it('does not wait for a linked device that has other folders', async () => {
    world.device(B, { connected: true })
    world.offers = [{ id: '22'.repeat(16) as FolderId, name: 'other', devices: [B] }]
    await world.wait()
  })

  it('waits for a device that was asked for to come', async () => {
    world.device(B, { connected: false })
    const waiting = world.wait({ device: B })
    await quiet()
    expect(world.result).to.equal(null)
    world.device(B, { connected: true })
    await waiting
  })

  it('gives up at the timeout and says what is missing', async () => {
    world.device(B, { connected: true })
    world.engine.peer(B, { inSync: false, need: { files: 7, bytes: 70 } })
    const error = await refusal(world.wait({ timeoutMs: 30 }))
    expect(error.code).to.equal('wait-timeout')
    expect(error.message).to.contain('7 files are still to go to name-B').and.contain('"notes"')
  })

  describe('content that nobody has', () => {
    const lacked = (holders: readonly DeviceId[], more: readonly DeviceId[] = []): void => {
      world.device(B, { connected: true })
      world.engine.archive.held = {
        files: [
          { path: 'sound', size: 1, holders: [OWN, B] },
          { path: 'lost', size: 1, holders },
        ],
        atRisk: { files: 0, bytes: 0 },
        stale: more.map(device => ({ device, asOf: null })),
      }
    }

    it('is not waited for: it is named, on either side', async () => {
      lacked([])
      world.engine.peer(B, { inSync: false, need: { files: 1, bytes: 1 } })
      const there = await refusal(world.wait())
      expect(there.code).to.equal('content-missing')
      expect(there.message).to.contain('No known device has "lost" in "notes"').and.contain('kith explain')
      world.engine.peer(B, { inSync: false })
      world.engine.set({ state: 'syncing', need: { files: 1, bytes: 1 } })
      expect((await refusal(world.wait())).code).to.equal('content-missing')
    })

    it('is not waited for where only a device that is away may have it, or is known to: that one is named', async () => {
      world.device(C, {})
      for (const holders of [[], [C]]) {
        lacked(holders, [C])
        world.engine.peer(B, { inSync: false, need: { files: 1, bytes: 1 } })
        const { code, message } = await refusal(world.wait({ timeoutMs: 3_000 }))
        expect(code).to.equal('content-missing')
        expect(message).to.contain('No linked device has "lost" in "notes"').and.contain('switch on name-C')
      }
    })

    it('is waited for where a linked device has some of the rest', async () => {
      lacked([OWN], [C])
      world.engine.peer(B, { inSync: false, need: { files: 1, bytes: 1 } })
      expect((await refusal(world.wait({ timeoutMs: 1_700 }))).code).to.equal('wait-timeout')
    })

    it('is waited for where the device that may have it is coming, or is asked for by name', async () => {
      lacked([], [C])
      world.engine.peer(B, { inSync: false, need: { files: 1, bytes: 1 } })
      world.device(C, { sighted: true })
      expect((await refusal(world.wait({ timeoutMs: 1_700 }))).message).to.contain('a link to name-C, which is near')
      world.device(C, { sighted: false })
      const named = await refusal(world.wait({ timeoutMs: 1_700, device: C }))
      expect(named.code).to.equal('wait-timeout')
    })
  })

  it('gives up at the timeout while the scan goes on', async () => {
    world.engine.rescan = () =>
      new Promise((_, reject) => setTimeout(() => reject(new KithError('wait-timeout', 'x')), 20))
    expect((await refusal(world.wait({ timeoutMs: 10 }))).code).to.equal('wait-timeout')
  })

  it('ends with the halt: one that was there, one that the scan finds, one that comes meanwhile', async () => {
    world.engine.rescanError = new KithError('root-emptied', 'It is empty.')
    expect((await refusal(world.wait())).code).to.equal('root-emptied')
    world.engine.rescanError = null
    const error = { code: 'root-missing', message: 'The root is gone.' }
    world.engine.set({ state: 'error', error })
    const refused = await refusal(world.wait())
    expect(refused).to.deep.include({ code: 'folder-halted', message: 'The root is gone.' })
    world.engine.set({ state: 'syncing', error: null })
    const waiting = refusal(world.wait())
    await quiet()
    world.engine.set({ state: 'error', error })
    expect((await waiting).message).to.equal('The root is gone.')
  })

  it('says that a paused folder is paused', async () => {
    world.engine.set({ state: 'paused' })
    expect((await refusal(world.wait())).code).to.equal('folder-paused')
  })

  it('ends when its caller goes away', async () => {
    world.engine.set({ settled: false })
    const caller = new AbortController()
    const waiting = world.wait({ signal: caller.signal })
    await quiet()
    caller.abort(new KithError('stopped', 'gone'))
    expect((await refusal(waiting)).code).to.equal('stopped')
  })
})
