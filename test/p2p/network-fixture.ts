// Networks of several devices in one process, on loopback, with addresses given by hand: what the tests of this floor share.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../src/core/clock.ts'
import type { KithEvent } from '../../src/core/events.ts'
import type { DeviceId } from '../../src/core/ids.ts'
import type { Log } from '../../src/core/log.ts'
import type { Network } from '../../src/core/ports.ts'
import { timeoutSignal } from '../../src/core/timeout.ts'
import type { Interfaces } from '../../src/p2p/addresses.ts'
import { loadIdentity } from '../../src/p2p/identity.ts'
import { createNetwork } from '../../src/p2p/network.ts'

const LOOPBACK = '/ip4/127.0.0.1/tcp/0'
const DEADLINE_MS = 15_000

export const silent: Log = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  child: () => silent,
}

export const loud: Log = {
  error: (...all: unknown[]) => console.error('error', ...all),
  warn: (...all: unknown[]) => console.error('warn', ...all),
  info: (...all: unknown[]) => console.error('info', ...all),
  debug: (...all: unknown[]) => console.error('debug', ...all),
  child: () => loud,
}

export const realClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  sleep: (ms, { signal }) =>
    new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      const aborted = (): void => {
        clearTimeout(timer)
        reject(signal.reason)
      }
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', aborted)
        resolve()
      }, ms)
      signal.addEventListener('abort', aborted, { once: true })
    }),
}

export interface Device {
  readonly name: string
  readonly home: string
  readonly id: DeviceId
  readonly network: Network
  readonly events: KithEvent[]
  stop(): Promise<void>
}

export interface DeviceOptions {
  readonly home?: string
  readonly listen?: readonly string[]
  readonly port?: number
  readonly clock?: Clock
  readonly interfaces?: () => Interfaces
  readonly reached?: (step: string) => void | Promise<void>
}

/** Homes and devices of one test; `close` ends them all. */
export class Neighbourhood {
  readonly #devices = new Set<Device>()
  readonly #homes: string[] = []

  async home(): Promise<string> {
    const home = await mkdtemp(join(tmpdir(), 'kith-p2p-'))
    this.#homes.push(home)
    return home
  }

  async device(name: string, options: DeviceOptions = {}): Promise<Device> {
    const home = options.home ?? (await this.home())
    const events: KithEvent[] = []
    const log = process.env['KITH_TEST_LOG'] === undefined ? silent : loud
    const network = createNetwork(
      {
        identity: await loadIdentity(home),
        clock: options.clock ?? realClock,
        log,
        emit: event => events.push(event),
        ...(options.interfaces === undefined ? {} : { interfaces: options.interfaces }),
        ...(options.reached === undefined ? {} : { reached: options.reached }),
      },
      { home, name, version: '0.0.0', port: options.port ?? 0, listen: options.listen ?? [LOOPBACK], discovery: false },
    )
    await network.start()
    const device: Device = {
      name,
      home,
      id: network.device,
      network,
      events,
      stop: async () => {
        this.#devices.delete(device)
        await network.stop()
      },
    }
    this.#devices.add(device)
    return device
  }

  async close(): Promise<void> {
    await Promise.all([...this.#devices].map(device => device.stop()))
    await Promise.all(this.#homes.map(home => rm(home, { recursive: true, force: true })))
  }
}

/** Polls without a fixed sleep: the condition, or an error that says what was waited for. */
export async function until(what: string, condition: () => boolean, deadlineMs = DEADLINE_MS): Promise<void> {
  const end = performance.now() + deadlineMs
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited in vain until ${what}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

export function addressOf(device: Device): string {
  const [address] = device.network.addresses()
  if (address === undefined) throw new Error(`${device.name} does not listen`)
  return address
}

export function linked(one: Device, other: Device): boolean {
  const knows = (here: Device, there: Device): boolean =>
    here.network.devices().some(({ id, connected }) => id === there.id && connected)
  return knows(one, other) && knows(other, one)
}

export function waiting(ms = DEADLINE_MS): { signal: AbortSignal } {
  return { signal: timeoutSignal(ms) }
}

/** `joiner` types the code that `offerer` shows. */
export async function pair(offerer: Device, joiner: Device): Promise<void> {
  const offer = await offerer.network.offerPairing(waiting())
  await joiner.network.join(offer.code, { ...waiting(), address: addressOf(offerer) })
  await offer.paired
}
