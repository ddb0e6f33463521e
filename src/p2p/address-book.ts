// Where each paired device was and may be: what mDNS says now, where it was last reached, what a person gave, and which folders it
// offered. Kept in a file of its own, so that a restart without multicast finds everybody again. A damaged file is set aside: it
// holds comfort, not trust.
import { join } from 'node:path'
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import type { DeviceId, FolderId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { AddressSource, Surroundings } from './addresses.ts'
import { formatAddress, MAX_ADDRESSES_PER_DEVICE, parseAddress, rankAddresses } from './addresses.ts'
import { readPrivate, replacePrivate } from './private-file.ts'
import type { OfferedFolder } from './session.ts'
import { deviceSchema } from './statements.ts'

const FILE = 'peers.json'
const SAVE_DELAY_MS = 1_000
/** mDNS answers come every few seconds: older ones are history. */
const SIGHTING_MS = 40_000
const MAX_FOLDERS = 2_000

const folderSchema = z.object({
  id: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .transform(text => text as FolderId),
  name: z.string().max(256),
  formatVersion: z.number().int(),
})
const recordSchema = z.object({
  device: deviceSchema,
  lastSeen: z.number().nullable(),
  reached: z.array(z.string()).max(MAX_ADDRESSES_PER_DEVICE),
  given: z.array(z.string()).max(MAX_ADDRESSES_PER_DEVICE),
  told: z.array(z.string()).max(MAX_ADDRESSES_PER_DEVICE),
  folders: z.array(folderSchema).max(MAX_FOLDERS),
})
const fileSchema = z.object({ version: z.literal(1), devices: z.array(recordSchema) })

interface Page {
  lastSeen: number | null
  /** Where a connection stood, newest first. */
  reached: readonly string[]
  /** By a person. */
  given: readonly string[]
  /** By the device itself when it was paired. */
  told: readonly string[]
  folders: readonly OfferedFolder[]
  sighted: { readonly at: number; readonly addresses: readonly string[]; readonly left: boolean } | null
}

export interface AddressBookDeps {
  readonly clock: Clock
  readonly log: Log
}

export class AddressBook {
  readonly #deps: AddressBookDeps
  readonly #path: string
  readonly #pages = new Map<DeviceId, Page>()
  #stopping = new AbortController()
  #saving: Promise<void> | null = null
  #dirty = false

  constructor(deps: AddressBookDeps, options: { readonly home: string }) {
    this.#deps = deps
    this.#path = join(options.home, FILE)
  }

  async start(): Promise<void> {
    this.#stopping = new AbortController()
    const stored = await readPrivate(this.#path)
    if (stored === null) return
    try {
      const file = fileSchema.parse(JSON.parse(Buffer.from(stored).toString('utf8')))
      for (const { device, ...page } of file.devices) this.#pages.set(device, { ...page, sighted: null })
    } catch (error) {
      this.#deps.log.warn({ error }, 'the list of last known addresses is damaged; it is made anew')
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#saving
    if (this.#dirty) await this.#save()
  }

  /** Returns whether the addresses differ from those of the last sighting. */
  sighted(device: DeviceId, addresses: readonly string[]): boolean {
    const page = this.#page(device)
    const before = page.sighted
    page.sighted = { at: this.#deps.clock.elapsed(), addresses, left: false }
    return before === null || before.left || !this.#isFresh(before) || before.addresses.join() !== addresses.join()
  }

  /** Its link ended: it counts as in sight when it is seen again. Where it was last seen stays worth a call. */
  left(device: DeviceId): void {
    const page = this.#page(device)
    if (page.sighted !== null) page.sighted = { ...page.sighted, left: true }
  }

  isSighted(device: DeviceId): boolean {
    const sighted = this.#pages.get(device)?.sighted
    return sighted !== null && sighted !== undefined && !sighted.left && this.#isFresh(sighted)
  }

  reached(device: DeviceId, address: string): void {
    const page = this.#page(device)
    page.reached = [address, ...page.reached.filter(other => other !== address)].slice(0, MAX_ADDRESSES_PER_DEVICE)
    this.#changed()
  }

  /** Where the device listens, by its own account; hygiene applies as to a sighting unless it was reached there. */
  told(device: DeviceId, addresses: readonly string[]): void {
    this.#page(device).told = addresses.filter(text => parseAddress(text) !== null).slice(0, MAX_ADDRESSES_PER_DEVICE)
    this.#changed()
  }

  /** False where it is not an address that can be dialled. */
  give(device: DeviceId, address: string): boolean {
    const endpoint = parseAddress(address)
    if (endpoint === null || (endpoint.peer !== null && endpoint.peer !== device)) return false
    const plain = formatAddress(endpoint)
    const page = this.#page(device)
    page.given = [plain, ...page.given.filter(other => other !== plain)].slice(0, MAX_ADDRESSES_PER_DEVICE)
    this.#changed()
    return true
  }

  seen(device: DeviceId): void {
    this.#page(device).lastSeen = this.#deps.clock.now()
    this.#changed()
  }

  lastSeen(device: DeviceId): number | null {
    return this.#pages.get(device)?.lastSeen ?? null
  }

  offered(device: DeviceId, folders: readonly OfferedFolder[]): void {
    this.#page(device).folders = folders.slice(0, MAX_FOLDERS)
    this.#changed()
  }

  folders(device: DeviceId): readonly OfferedFolder[] {
    return this.#pages.get(device)?.folders ?? []
  }

  forget(device: DeviceId): void {
    if (this.#pages.delete(device)) this.#changed()
  }

  /** Where to dial it now, best first. */
  candidates(device: DeviceId, around: Surroundings): string[] {
    const page = this.#pages.get(device)
    if (page === undefined) return []
    const of = (addresses: readonly string[], source: AddressSource) => addresses.map(address => ({ address, source }))
    const sighted = page.sighted !== null && this.#isFresh(page.sighted) ? page.sighted.addresses : []
    const given = new Set(page.given)
    return rankAddresses(
      [
        ...of(sighted, 'sighted'),
        // An address that a person gave stays dialable after it was reached.
        ...page.reached.map(address => ({
          address,
          source: given.has(address) ? ('given' as const) : ('sighted' as const),
        })),
        ...of(page.given, 'given'),
        ...of(page.told, 'sighted'),
      ],
      device,
      around,
    )
  }

  #isFresh(sighting: { readonly at: number }): boolean {
    return this.#deps.clock.elapsed() - sighting.at < SIGHTING_MS
  }

  #page(device: DeviceId): Page {
    let page = this.#pages.get(device)
    if (page === undefined) {
      page = { lastSeen: null, reached: [], given: [], told: [], folders: [], sighted: null }
      this.#pages.set(device, page)
    }
    return page
  }

  #changed(): void {
    this.#dirty = true
    if (this.#stopping.signal.aborted) return
    this.#saving ??= this.#saveSoon().finally(() => {
      this.#saving = null
    })
  }

  async #saveSoon(): Promise<void> {
    try {
      await this.#deps.clock.sleep(SAVE_DELAY_MS, { signal: this.#stopping.signal })
    } catch {
      // `stop` saves what is left.
      return
    }
    await this.#save()
  }

  async #save(): Promise<void> {
    this.#dirty = false
    const devices = [...this.#pages]
      .filter(
        ([, { lastSeen, reached, given, told }]) =>
          lastSeen !== null || reached.length + given.length + told.length > 0,
      )
      .map(([device, { sighted: _, ...page }]) => ({ device, ...page }))
    try {
      await replacePrivate(this.#path, Buffer.from(JSON.stringify({ version: 1, devices })))
    } catch (error) {
      this.#deps.log.warn({ error }, 'the last known addresses could not be saved')
    }
  }
}
