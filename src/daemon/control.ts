// What the local API can ask of the daemon, in the API's own shapes: names are resolved, ids of devices get their names, times become
// text. It decides nothing about syncing; the engines, the network and the folders do.
import { KithError } from '../core/errors.ts'
import { type DeviceId, hexOf } from '../core/ids.ts'
import type { DeviceState, FolderOffer, Network, PairingOffer, Waiting } from '../core/ports.ts'
import type { FolderSettings, FolderStatus } from '../core/status.ts'
import { DEFAULT_SETTINGS } from '../core/status.ts'
import type {
  AnsweredFolderBody,
  ConflictsBody,
  DeviceBody,
  FolderBody,
  OfferBody,
  PairedBody,
  SettingsRequest,
  StatusBody,
  WaitRequest,
  WaitResultBody,
} from './api/schema.ts'
import type { EventHub, Listener } from './events.ts'
import type { FolderRecord } from './folder-list.ts'
import type { Folders } from './folders.ts'
import { refuseLastCopies } from './last-copies.ts'
import { everyDevice, findDevice, nameOffers, otherDevices } from './names.ts'
import { Past } from './past.ts'
import { waitForSync } from './wait.ts'

export interface ControlDeps {
  readonly network: Pick<
    Network,
    | 'device'
    | 'name'
    | 'addresses'
    | 'devices'
    | 'offers'
    | 'offerPairing'
    | 'join'
    | 'removeDevice'
    | 'renameDevice'
    | 'addAddress'
  >
  readonly folders: Folders
  readonly events: EventHub
  /** Asks the process to stop; returns at once. */
  stop(): void
}

export interface ControlOptions {
  readonly version: string
  readonly home: string
  readonly startedAt: Date
}

export class Control {
  readonly past: Past
  readonly #deps: ControlDeps
  readonly #options: ControlOptions

  constructor(deps: ControlDeps, options: ControlOptions) {
    this.past = new Past(deps)
    this.#deps = deps
    this.#options = options
  }

  status(): StatusBody {
    const { network } = this.#deps
    const { version, home, startedAt } = this.#options
    return {
      device: { id: network.device, name: network.name, version },
      daemon: { pid: process.pid, startedAt: startedAt.toISOString(), home, addresses: [...network.addresses()] },
      devices: this.devices(),
      folders: this.folders(),
      offers: this.offers(),
    }
  }

  devices(): DeviceBody[] {
    return this.#others().map(deviceBody)
  }

  folders(): FolderBody[] {
    const devices = this.#others()
    const { folders } = this.#deps
    const settings = new Map(folders.records().map(record => [record.id, record.settings]))
    return folders.statuses().map(status => folderBody(status, settings.get(status.id) ?? DEFAULT_SETTINGS, devices))
  }

  /** What other devices offer and this one does not have. */
  offers(): OfferBody[] {
    const folders = this.#deps.folders.records()
    const held = new Set(folders.map(folder => folder.id))
    const open = this.#deps.network.offers().filter(offer => !held.has(offer.id))
    const shown = nameOffers(open, { folders, deviceName: id => this.#deviceName(id) })
    return open.map(offer => ({
      id: offer.id,
      name: offer.name,
      shownAs: shown.get(offer.id) ?? offer.name,
      devices: offer.devices.map(id => ({ id, name: this.#deviceName(id) })),
      twin: twinOf(offer, folders),
    }))
  }

  offerPairing(options: Waiting): Promise<PairingOffer> {
    return this.#deps.network.offerPairing(options)
  }

  async join(code: string, address: string | undefined, options: Waiting): Promise<PairedBody> {
    const paired = await this.#deps.network.join(code, { ...options, ...(address === undefined ? {} : { address }) })
    return { paired: { id: paired.id, name: paired.name } }
  }

  async renameDevice(name: string, to: string): Promise<DeviceBody> {
    const { network } = this.#deps
    const device = findDevice(name, everyDevice(network))
    await network.renameDevice(device.id, to)
    return { ...deviceBody(device), name: to }
  }

  async addAddress(name: string, address: string): Promise<DeviceBody> {
    const device = findDevice(name, this.#others())
    await this.#deps.network.addAddress(device.id, address)
    return deviceBody(device)
  }

  async removeDevice(name: string, options: Waiting & { force: boolean }): Promise<{ id: string; name: string }> {
    const device = findDevice(name, this.#others())
    if (!options.force) await refuseLastCopies(this.#deps.folders, device, options)
    await this.#deps.network.removeDevice(device.id)
    return { id: device.id, name: device.name }
  }

  async addFolder(path: string, options: { name?: string | undefined; create: boolean }): Promise<FolderBody> {
    return this.#folder(await this.#deps.folders.add(path, options))
  }

  /** `kith up PATH`: adds the folder unless it is here. */
  async ensureFolder(path: string): Promise<FolderBody> {
    return this.#folder(await this.#deps.folders.ensure(path))
  }

  async takeFolder(name: string, options: { path?: string | undefined; into: string }): Promise<FolderBody> {
    return this.#folder(await this.#deps.folders.take(name, options))
  }

  async pauseFolder(name: string): Promise<FolderBody> {
    return this.#folder(await this.#deps.folders.pause(name))
  }

  async resumeFolder(name: string): Promise<FolderBody> {
    return this.#folder(await this.#deps.folders.resume(name))
  }

  async approveFolder(name: string): Promise<AnsweredFolderBody> {
    const message = await this.#deps.folders.engine(name).approve()
    return { folder: this.#folder(this.#deps.folders.record(name)), message }
  }

  async rejectFolder(name: string): Promise<AnsweredFolderBody> {
    const message = await this.#deps.folders.engine(name).reject()
    return { folder: this.#folder(this.#deps.folders.record(name)), message }
  }

  async setFolder(name: string, settings: SettingsRequest): Promise<FolderBody> {
    const given = Object.entries(settings).filter(([, value]) => value !== undefined)
    return this.#folder(await this.#deps.folders.set(name, Object.fromEntries(given) as Partial<FolderSettings>))
  }

  async removeFolder(name: string): Promise<{ id: string; name: string; path: string }> {
    const { id, name: called, path } = await this.#deps.folders.remove(name)
    return { id, name: called, path }
  }

  conflicts(): ConflictsBody {
    const bodies = this.#deps.folders.engines().flatMap(engine =>
      engine.conflicts().map(conflict => ({
        folder: engine.name,
        path: conflict.path,
        versions: conflict.versions.map(version => ({
          id: version.id,
          device: version.device === null ? null : this.#deviceName(version.device),
          time: new Date(version.time).toISOString(),
          path: version.path,
          hash: hexOf(version.content),
        })),
      })),
    )
    return { conflicts: bodies }
  }

  async wait(request: WaitRequest, options: Waiting): Promise<WaitResultBody> {
    const { folders, network, events } = this.#deps
    const engines = request.folder === undefined ? this.#allEngines() : [folders.engine(request.folder)]
    const device = request.device === undefined ? null : findDevice(request.device, this.#others()).id
    const deps = {
      device: network.device,
      devices: () => this.#others(),
      offers: () => network.offers(),
      listen: (listener: () => void) => events.listen(listener),
    }
    const limits = { timeoutMs: request.timeoutMs ?? null, signal: options.signal }
    const { absent } = await waitForSync(deps, { engines, device }, limits)
    const paused = request.folder === undefined ? folders.records().filter(record => record.paused) : []
    return {
      inSync: true,
      folders: engines.map(engine => engine.name),
      absent: [...absent],
      paused: paused.map(record => record.name),
    }
  }

  listen(listener: Listener): () => void {
    return this.#deps.events.listen(listener)
  }

  stop(): { stopping: true; pid: number } {
    this.#deps.stop()
    return { stopping: true, pid: process.pid }
  }

  /** Every folder, for a wait without a name: one that could not start fails it, paused ones are left out. */
  #allEngines() {
    const { folders } = this.#deps
    return folders
      .records()
      .filter(record => !record.paused)
      .map(record => folders.engine(record.id))
  }

  #others(): readonly DeviceState[] {
    return otherDevices(this.#deps.network)
  }

  #folder(record: FolderRecord): FolderBody {
    const found = this.folders().find(folder => folder.id === record.id)
    if (found === undefined) throw new KithError('folder-unknown', 'The folder was removed meanwhile.')
    return found
  }

  #deviceName(id: DeviceId): string {
    if (id === this.#deps.network.device) return this.#deps.network.name
    return this.#others().find(device => device.id === id)?.name ?? id
  }
}

function deviceBody(device: DeviceState): DeviceBody {
  return {
    id: device.id,
    name: device.name,
    connected: device.connected,
    address: device.address,
    lastSeen: device.lastSeen === null ? null : new Date(device.lastSeen).toISOString(),
    sighted: device.sighted,
  }
}

function folderBody(status: FolderStatus, settings: FolderSettings, devices: readonly DeviceState[]): FolderBody {
  const known = new Map(devices.map(device => [device.id, device]))
  return {
    id: status.id,
    name: status.name,
    path: status.path,
    mode: 'two-way',
    settings: { ...settings },
    state: status.state,
    error: status.error,
    problems: status.problems.map(({ code, path, message }) => ({ code, path, message })),
    files: status.files,
    directories: status.directories,
    bytes: status.bytes,
    need: { ...status.need },
    conflicts: status.conflicts,
    // A device that was removed is nobody's copy any more.
    devices: status.peers.flatMap(peer => {
      const device = known.get(peer.id)
      if (device === undefined) return []
      const asOf = peer.asOf === null ? null : new Date(peer.asOf).toISOString()
      const { id, name, connected } = device
      return [{ id, name, connected, inSync: peer.inSync, asOf, need: { ...peer.need }, stopped: peer.stopped }]
    }),
  }
}

function twinOf(offer: FolderOffer, folders: readonly FolderRecord[]): string | null {
  return folders.find(folder => folder.name === offer.name)?.path ?? null
}
