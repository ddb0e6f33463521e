// The world of one scenario: a LAN, devices on it, and the hooks that make and remove them; when a test fails the daemons' last
// lines are printed. Also the steps that nearly every scenario starts with: pair, share, settle.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Device, type DeviceOptions, MAIN } from './device.ts'
import { Lan } from './lan.ts'
import { diffTrees, readTree, type Tree } from './tree.ts'
import { until } from './until.ts'

const { CI, KITH_E2E_KEEP } = process.env
const PAIR_TIMEOUT_MS = 30_000
const OFFER_TIMEOUT_MS = 10_000
const SETTLE_TIMEOUT_MS = 120_000

const open = new Set<World>()
process.on('exit', () => {
  for (const world of open) world.clear()
})

export class World {
  #lan: Lan | undefined
  #directory: string | undefined
  readonly #devices = new Map<string, Device>()
  readonly #options: DeviceOptions

  constructor(options: DeviceOptions) {
    this.#options = options
  }

  open(names: readonly string[]): void {
    this.#directory = mkdtempSync(join(tmpdir(), 'kithe2e-'))
    open.add(this)
    this.#lan = Lan.create()
    for (const name of names) this.add(name)
  }

  /** One more device, on a cable of its own. */
  add(name: string, options: DeviceOptions = this.#options): Device {
    if (this.#lan === undefined || this.#directory === undefined) throw new Error('not open')
    const device = new Device(this.#lan.add(name), this.#directory, options)
    this.#devices.set(name, device)
    return device
  }

  async close(): Promise<void> {
    for (const device of this.#devices.values()) await device.destroy()
    this.#lan?.destroy()
    this.#devices.clear()
    this.clear()
  }

  /** Removes the files; also when the run is interrupted. */
  clear(): void {
    open.delete(this)
    if (this.#directory !== undefined && KITH_E2E_KEEP === undefined) {
      rmSync(this.#directory, { recursive: true, force: true, maxRetries: 3 })
    }
  }

  device(name: string): Device {
    const device = this.#devices.get(name)
    if (device === undefined) throw new Error(`no device ${name}`)
    return device
  }

  get devices(): readonly Device[] {
    return [...this.#devices.values()]
  }
}

/** Makes a world for the tests of one `describe`. */
export function useWorld(names: readonly string[], options: DeviceOptions = {}): World {
  const world = new World(options)
  before(function () {
    this.timeout(30_000)
    if (process.getuid?.() !== 0) {
      if (CI !== undefined) throw new Error('the e2e tests need root, for network namespaces')
      console.log('      SKIP: needs root, for network namespaces')
      this.skip()
    }
    if (!existsSync(MAIN)) throw new Error(`${MAIN} is missing: run \`npm run build\` first`)
    world.open(names)
  })
  afterEach(async function () {
    if (this.currentTest?.state !== 'failed') return
    for (const device of world.devices) {
      const status = device.running ? await device.status().catch(String) : 'not running'
      console.log(`--- ${device.name}\n${device.logTail()}\n${JSON.stringify(status)}\n---`)
    }
  })
  after(() => world.close())
  return world
}

/** `a` shows a code, `b` types it; no address is given. */
export async function pair(a: Device, b: Device): Promise<void> {
  const shower = a.spawn(['pair', '--json'])
  try {
    const { code } = JSON.parse(await shower.lines.next(PAIR_TIMEOUT_MS)) as { code: string }
    const joined = (await b.json(['pair', code], { timeoutMs: PAIR_TIMEOUT_MS })) as { paired: { name: string } }
    const shown = JSON.parse(await shower.lines.next(PAIR_TIMEOUT_MS)) as { paired: { name: string } }
    const code0 = await shower.ended()
    if (code0 !== 0) throw new Error(`pair on ${a.name} ended with ${code0}`)
    if (joined.paired.name !== a.name || shown.paired.name !== b.name) {
      throw new Error(`paired with ${joined.paired.name} and ${shown.paired.name}, not ${a.name} and ${b.name}`)
    }
  } finally {
    shower.end()
  }
}

/** Takes a folder that another device offers, once the offer is here. */
export async function get(device: Device, name: string, path: string): Promise<void> {
  await until(async () => (await device.ok(['folders'])).stdout.includes(name), {
    timeoutMs: OFFER_TIMEOUT_MS,
    what: `${name} is offered to ${device.name}`,
  })
  await device.ok(['get', name, path])
}

export async function linked(a: Device, b: Device, timeoutMs = 15_000): Promise<void> {
  await until(async () => (await a.linked(b)) && (await b.linked(a)), {
    timeoutMs,
    what: `${a.name} and ${b.name} are linked`,
  })
}

/** `kith wait` on every device at once: all must say that all is done, and then it must be so. */
export async function settle(devices: readonly Device[], root: string, timeoutMs = SETTLE_TIMEOUT_MS): Promise<Tree> {
  const seconds = String(Math.ceil(timeoutMs / 1000))
  await Promise.all(devices.map(device => device.ok(['wait', '--timeout', seconds], { timeoutMs: timeoutMs + 10_000 })))
  return equalTrees(devices, root)
}

/** Fails with the differences unless the folder is the same on all of them. */
export function equalTrees(devices: readonly Device[], root: string): Tree {
  const [first, ...others] = devices
  if (first === undefined) throw new Error('no devices')
  const tree = readTree(first.path(root))
  for (const other of others) {
    const diff = diffTrees(tree, readTree(other.path(root)), [first.name, other.name])
    if (diff !== '') throw new Error(`the trees differ:\n${diff}`)
  }
  return tree
}

/** Waits until they are, without asking the daemons for anything; says how long it took, in ms. */
export async function untilEqual(devices: readonly Device[], root: string, timeoutMs = 10_000): Promise<number> {
  const started = performance.now()
  await until(
    () => {
      equalTrees(devices, root)
      return true
    },
    { timeoutMs, what: `${root} is the same on ${devices.map(device => device.name).join(', ')}` },
  )
  return performance.now() - started
}
