// The folders of this home: which there are, their engines, and what happens when one is added, taken, joined or removed. One change at
// a time; what fails on the way is undone, so that a refusal leaves everything as it was. A folder that cannot start is listed with its
// error and harms no other.
import { randomBytes } from 'node:crypto'
import { basename, join } from 'node:path'
import { printable } from '../core/display.ts'
import { isKithError, KithError } from '../core/errors.ts'
import type { Emit } from '../core/events.ts'
import type { DeviceId, FolderId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { FolderOffer, Network } from '../core/ports.ts'
import type { FolderEngine, FolderSettings, FolderStatus } from '../core/status.ts'
import { DEFAULT_SETTINGS } from '../core/status.ts'
import type { FolderListFile, FolderRecord } from './folder-list.ts'
import { findFolder, nameOffers, resolveOffer } from './names.ts'
import { makeRoot, planRoot, type RootPlan, type TakenRoot, unmakeRoot } from './roots.ts'

/** An engine with all that was opened for it. */
export interface OpenFolder {
  readonly engine: FolderEngine
  /** After the engine has stopped. */
  close(): Promise<void>
}

export interface FoldersDeps {
  readonly list: FolderListFile
  /** Disk, store and engine of a folder, not started; writes the marker where the record says that there is none yet. */
  open(record: FolderRecord): Promise<OpenFolder>
  /** Forgets what the database has of it. */
  erase(folder: FolderId): Promise<void>
  /** Throws KithError `path-foreign-marker` where the directory belongs to another device. */
  inspect(path: string): Promise<{ readonly foldsCase: boolean }>
  readonly network: Pick<Network, 'share' | 'unshare' | 'offers' | 'devices'>
  readonly emit: Emit
  readonly log: Log
}

interface Folder {
  readonly record: FolderRecord
  readonly opened: OpenFolder | null
  readonly fault: KithError | null
}

export class Folders {
  readonly #deps: FoldersDeps
  readonly #home: string
  readonly #folders = new Map<FolderId, Folder>()
  #erasing: readonly FolderId[] = []
  #sharing = false
  #turn: Promise<unknown> = Promise.resolve()

  constructor(deps: FoldersDeps, options: { readonly home: string }) {
    this.#deps = deps
    this.#home = options.home
  }

  /** Opens and starts every folder; nothing is shared yet. */
  async start(): Promise<void> {
    const { folders, erasing } = await this.#deps.list.load()
    this.#erasing = erasing
    if (erasing.length > 0) await this.#eraseLeftovers()
    for (const record of folders) this.#folders.set(record.id, await this.#bringUp(record))
    if (folders.some(record => !record.marked)) await this.#save(this.records(), this.#erasing)
  }

  /** The network is up: every folder goes on it, now and later. */
  share(): void {
    this.#sharing = true
    for (const folder of this.#folders.values()) this.#attach(folder)
  }

  async stop(): Promise<void> {
    await this.#turn.catch(() => undefined)
    await Promise.all([...this.#folders.values()].map(folder => this.#takeDown(folder)))
    this.#folders.clear()
  }

  statuses(): readonly FolderStatus[] {
    return [...this.#folders.values()].map(statusOf)
  }

  records(): readonly FolderRecord[] {
    return [...this.#folders.values()].map(folder => folder.record)
  }

  /** The engines that run; folders with a fault have none. */
  engines(): readonly FolderEngine[] {
    return [...this.#folders.values()].flatMap(folder => (folder.opened === null ? [] : [folder.opened.engine]))
  }

  /** Those that could not be started. */
  faulty(): readonly FolderRecord[] {
    return [...this.#folders.values()].flatMap(folder => (folder.opened === null ? [folder.record] : []))
  }

  /** By name, id, or the start of an id. Throws `folder-unknown`, `folder-ambiguous`. */
  record(name: string): FolderRecord {
    return findFolder(name, this.records())
  }

  /** The engine of a folder; throws the folder's fault where it could not start. */
  engine(name: string): FolderEngine {
    const folder = this.#folders.get(this.record(name).id)
    if (folder?.opened != null) return folder.opened.engine
    throw folder?.fault ?? new KithError('folder-unknown', `There is no folder "${printable(name)}".`)
  }

  add(path: string, options: { readonly name?: string | undefined; readonly create: boolean }): Promise<FolderRecord> {
    return this.#inTurn(async () => {
      const plan = await planRoot(path, this.#takenRoots(), { create: options.create })
      const name = this.#freeName(options.name ?? basename(plan.path))
      const id = randomBytes(16).toString('hex') as FolderId
      return this.#make({ id, name, taken: false }, plan)
    })
  }

  /** `kith up PATH`: the folder at that path, added if this home does not know the path. A known one whose root is gone stays as it is. */
  async ensure(path: string): Promise<FolderRecord> {
    const known = this.records().find(record => record.path === path)
    if (known !== undefined) return known
    const plan = await planRoot(path, [], { create: true })
    const same = this.records().find(record => record.path === plan.path)
    return same ?? this.add(path, { create: true })
  }

  /** Takes an offered folder into `path`, or into a directory of its name below `into`. */
  take(name: string, options: { readonly path?: string | undefined; readonly into: string }): Promise<FolderRecord> {
    return this.#inTurn(async () => {
      const offer = this.#openOffer(name)
      const path = options.path ?? join(options.into, plainName(offer.name))
      const mine = await this.#folderAt(path)
      if (mine !== null) return this.#join(mine, offer)
      const plan = await planRoot(path, this.#takenRoots(), { create: true })
      return this.#make({ id: offer.id, name: this.#nameFor(offer), taken: true }, plan)
    })
  }

  remove(name: string): Promise<FolderRecord> {
    return this.#inTurn(async () => {
      const { id } = this.record(name)
      const folder = this.#folders.get(id)
      if (folder === undefined) throw new KithError('folder-unknown', `There is no folder "${printable(name)}".`)
      await this.#forget(folder)
      this.#deps.emit({ type: 'folder:removed', folder: id, name: folder.record.name })
      return folder.record
    })
  }

  pause(name: string): Promise<FolderRecord> {
    return this.#inTurn(async () => {
      const record = { ...this.record(name), paused: true }
      const folder = this.#folders.get(record.id)
      await folder?.opened?.engine.pause()
      return this.#replaceRecord(record)
    })
  }

  resume(name: string): Promise<FolderRecord> {
    return this.#inTurn(async () => {
      const record = { ...this.record(name), paused: false }
      const folder = this.#folders.get(record.id)
      if (folder?.opened != null) {
        await folder.opened.engine.resume()
        return this.#replaceRecord(record)
      }
      const again = await this.#bringUp(record)
      if (again.fault !== null) throw again.fault
      this.#folders.set(record.id, again)
      this.#attach(again)
      return this.#replaceRecord(again.record)
    })
  }

  /** Written down before it takes effect. */
  set(name: string, change: Partial<FolderSettings>): Promise<FolderRecord> {
    return this.#inTurn(async () => {
      const before = this.record(name)
      const record = { ...before, settings: { ...before.settings, ...change } }
      await this.#replaceRecord(record)
      this.#folders.get(record.id)?.opened?.engine.configure(record.settings)
      return record
    })
  }

  // -- making and unmaking

  async #make(from: Pick<FolderRecord, 'id' | 'name' | 'taken'>, plan: RootPlan): Promise<FolderRecord> {
    try {
      await makeRoot(plan)
      const { foldsCase } = await this.#deps.inspect(plan.path)
      const settings = DEFAULT_SETTINGS
      const record = { ...from, path: plan.path, paused: false, foldsCase, marked: false, settings }
      return await this.#install(record)
    } catch (error) {
      await unmakeRoot(plan)
      throw error
    }
  }

  /** Written down first: a crash on the way leaves a folder that starts at the next start. */
  async #install(record: FolderRecord): Promise<FolderRecord> {
    await this.#save([...this.records(), record], this.#erasing)
    const folder = await this.#bringUp(record)
    if (folder.fault !== null) {
      await this.#save(this.records(), [...this.#erasing, record.id])
      await this.#eraseLeftovers()
      throw folder.fault
    }
    this.#folders.set(record.id, folder)
    await this.#save(this.records(), this.#erasing)
    this.#attach(folder)
    this.#deps.emit({ type: 'folder:added', folder: record.id, name: record.name, path: record.path })
    return folder.record
  }

  /** Two folders of two devices become one: this one takes the other's id and compares its files with the other's. */
  async #join(mine: Folder, offer: FolderOffer): Promise<FolderRecord> {
    const { record } = mine
    const others = mine.opened?.engine.status().peers ?? []
    if (others.length > 0) throw cannotJoin(record, offer, this.#deps.network.devices())
    await this.#forget(mine)
    try {
      return await this.#install({ ...record, id: offer.id, taken: true, marked: false })
    } catch (error) {
      // Back to a folder of its own: the files are what they were.
      const id = randomBytes(16).toString('hex') as FolderId
      await this.#install({ ...record, id, taken: false, marked: false })
      throw error
    }
  }

  async #forget(folder: Folder): Promise<void> {
    const { id } = folder.record
    const rest = this.records().filter(record => record.id !== id)
    await this.#save(rest, [...this.#erasing, id])
    if (this.#sharing && folder.opened !== null) await this.#deps.network.unshare(id)
    await this.#takeDown(folder)
    this.#folders.delete(id)
    await this.#eraseLeftovers()
  }

  async #eraseLeftovers(): Promise<void> {
    for (const id of this.#erasing) await this.#deps.erase(id)
    await this.#save(this.records(), [])
  }

  async #bringUp(record: FolderRecord): Promise<Folder> {
    let opened: OpenFolder | null = null
    try {
      opened = await this.#deps.open(record)
      opened.engine.configure(record.settings)
      await opened.engine.start()
      if (record.paused) await opened.engine.pause()
      return { record: { ...record, marked: true }, opened, fault: null }
    } catch (error) {
      this.#deps.log.error({ err: error, folder: record.id }, 'a folder could not be started')
      if (opened !== null) await this.#takeDown({ record, opened, fault: null })
      const fault = isKithError(error)
        ? error
        : new KithError('internal', 'It could not be started: see the log.', { cause: error })
      return { record, opened: null, fault }
    }
  }

  async #takeDown(folder: Folder): Promise<void> {
    if (folder.opened === null) return
    try {
      await folder.opened.engine.stop()
      await folder.opened.close()
    } catch (error) {
      this.#deps.log.error({ err: error, folder: folder.record.id }, 'a folder did not stop cleanly')
    }
  }

  #attach(folder: Folder): void {
    if (!this.#sharing || folder.opened === null) return
    folder.opened.engine.attach(this.#deps.network.share(folder.opened.engine))
  }

  async #replaceRecord(record: FolderRecord): Promise<FolderRecord> {
    const folder = this.#folders.get(record.id)
    if (folder !== undefined) this.#folders.set(record.id, { ...folder, record })
    await this.#save(this.records(), this.#erasing)
    return record
  }

  async #save(folders: readonly FolderRecord[], erasing: readonly FolderId[]): Promise<void> {
    await this.#deps.list.save({ folders, erasing })
    this.#erasing = erasing
  }

  // -- names and places

  /** An offered folder that this device does not have yet. */
  #openOffer(name: string): FolderOffer {
    const offers = this.#deps.network.offers()
    const open = offers.filter(offer => !this.#folders.has(offer.id))
    const called = (offer: FolderOffer): boolean => offer.id === name || offer.name === name
    const held = offers.find(called)
    const record = held === undefined ? undefined : this.#folders.get(held.id)?.record
    if (record !== undefined && !open.some(called)) {
      throw new KithError(
        'folder-exists',
        `"${printable(record.name)}" is synced here already, at ${printable(record.path)}.`,
      )
    }
    return resolveOffer(name, open, this.#named())
  }

  #takenRoots(): TakenRoot[] {
    return [{ path: this.#home, folder: null }, ...this.records().map(({ path, name }) => ({ path, folder: name }))]
  }

  async #folderAt(path: string): Promise<Folder | null> {
    const plan = await planRoot(path, [], { create: true })
    return [...this.#folders.values()].find(folder => folder.record.path === plan.path) ?? null
  }

  #freeName(name: string): string {
    const clean = plainName(name)
    if (this.records().some(record => record.name === clean)) {
      throw new KithError(
        'folder-exists',
        `There is a folder "${printable(clean)}" here already: give this one another name with --name.`,
      )
    }
    return clean
  }

  #nameFor(offer: FolderOffer): string {
    const taken = new Set(this.records().map(record => record.name))
    if (!taken.has(offer.name)) return offer.name
    const shown = nameOffers([offer], this.#named()).get(offer.id) ?? offer.name
    return taken.has(shown) ? `${offer.name} (${offer.id.slice(0, 6)})` : shown
  }

  #named(): { readonly folders: readonly FolderRecord[]; readonly deviceName: (id: DeviceId) => string } {
    const names = new Map(this.#deps.network.devices().map(device => [device.id, device.name]))
    return { folders: this.records(), deviceName: id => names.get(id) ?? id.slice(-6) }
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(change, change)
    this.#turn = result
    return result
  }
}

function statusOf(folder: Folder): FolderStatus {
  if (folder.opened !== null) return folder.opened.engine.status()
  const { record, fault } = folder
  return {
    id: record.id,
    name: record.name,
    path: record.path,
    state: 'error',
    error: { code: fault?.code ?? 'internal', message: fault?.message ?? 'It could not be started: see the log.' },
    problems: [],
    files: 0,
    directories: 0,
    bytes: 0,
    need: { files: 0, bytes: 0 },
    conflicts: 0,
    peers: [],
  }
}

/** A name that is also a name of a directory; names come from other devices too. */
function plainName(name: string): string {
  const clean = name.normalize('NFC')
  const plain =
    clean !== '' && clean !== '.' && clean !== '..' && !/[/\\\0]/.test(clean) && Buffer.byteLength(clean) <= 200
  if (!plain) {
    throw new KithError(
      'bad-path',
      `"${printable(name)}" cannot be the name of a directory: give a path, and with "add" a --name.`,
    )
  }
  return clean
}

function cannotJoin(
  record: FolderRecord,
  offer: FolderOffer,
  devices: readonly { readonly id: DeviceId; readonly name: string }[],
): KithError {
  const names = offer.devices.map(id => printable(devices.find(device => device.id === id)?.name ?? id.slice(-6)))
  const there = names.length === 0 ? 'the other device' : names.join(' and ')
  const name = printable(record.name)
  const message =
    names.length <= 1
      ? `"${name}" is shared with other devices already: on ${there}, type "kith get ${record.id} PATH" with the path of its "${printable(offer.name)}", or first "kith folder remove" it there.`
      : `Both folders are shared with other devices already: on all devices but ${there}, first type "kith folder remove ${name}", then get it anew; the files stay.`
  return new KithError('folder-joined', message)
}
