// How a person names folders and devices: by name, by id, or by the start of an id; and how equal names are told apart. Pure.
import { printable } from '../core/display.ts'
import { KithError } from '../core/errors.ts'
import type { DeviceId, FolderId } from '../core/ids.ts'
import type { DeviceState, FolderOffer, Network } from '../core/ports.ts'

const MIN_ID_PART = 4
/** As pairing shows it. */
const SHORT_ID = 6

interface Named {
  readonly id: FolderId
  readonly name: string
}

export interface Surroundings {
  readonly folders: readonly Named[]
  readonly deviceName: (id: DeviceId) => string
}

export function findFolder<T extends Named>(name: string, folders: readonly T[]): T {
  const byName = folders.find(folder => folder.name === name)
  if (byName !== undefined) return byName
  const byId = folders.filter(folder => name.length >= MIN_ID_PART && folder.id.startsWith(name))
  const [found] = byId
  if (found === undefined) {
    throw new KithError('folder-unknown', `There is no folder "${printable(name)}" here: "kith folders" lists them.`)
  }
  if (byId.length > 1)
    throw new KithError('folder-ambiguous', `More than one folder id starts with "${name}": type more of it.`)
  return found
}

/** What each offer is called here: its name, or `notes (desktop)` where another folder or offer has that name too. */
export function nameOffers(offers: readonly FolderOffer[], around: Surroundings): ReadonlyMap<FolderId, string> {
  const names = new Map<FolderId, string>()
  for (const offer of offers) {
    const twin = (other: Named): boolean => other.name === offer.name && other.id !== offer.id
    const [device] = offer.devices
    const told = around.folders.some(twin) || offers.some(twin)
    names.set(offer.id, told && device !== undefined ? `${offer.name} (${around.deviceName(device)})` : offer.name)
  }
  return names
}

/** The offer that a person means. Throws `folder-unknown`, `folder-ambiguous`. */
export function resolveOffer(name: string, offers: readonly FolderOffer[], around: Surroundings): FolderOffer {
  const shown = nameOffers(offers, around)
  const tests: ((offer: FolderOffer) => boolean)[] = [
    offer => offer.id === name,
    offer => shown.get(offer.id) === name,
    offer => offer.name === name,
    offer => name.length >= MIN_ID_PART && offer.id.startsWith(name),
  ]
  for (const test of tests) {
    const found = offers.filter(test)
    const [only] = found
    if (only === undefined) continue
    if (found.length === 1) return only
    const choices = found.map(offer => `${shown.get(offer.id) ?? offer.name} = ${offer.id}`).join(', ')
    throw new KithError(
      'folder-ambiguous',
      `More than one folder is called "${printable(name)}": give its id (${printable(choices)}).`,
    )
  }
  throw new KithError(
    'folder-unknown',
    `No device offers a folder "${printable(name)}": "kith folders" lists what there is.`,
  )
}

/** This device among the others, as one of them. */
export function everyDevice(network: Pick<Network, 'device' | 'name' | 'devices'>): DeviceState[] {
  const { device: id, name } = network
  return [{ id, name, connected: true, address: null, lastSeen: null, sighted: false }, ...otherDevices(network)]
}

export function otherDevices(network: Pick<Network, 'device' | 'devices'>): DeviceState[] {
  return network.devices().filter(device => device.id !== network.device)
}

/** A word by which `findDevice` finds that one: its name, or the end of its id where another has that name; its whole id where it is gone. */
export function wordFor(id: DeviceId, devices: readonly Pick<DeviceState, 'id' | 'name'>[]): string {
  const called = devices.find(device => device.id === id)?.name
  const others = devices.filter(device => device.id !== id)
  const end = id.slice(-SHORT_ID)
  if (called !== undefined && others.every(({ name }) => name !== called)) return called
  const isClear = called !== undefined && others.every(other => other.name !== end && !other.id.endsWith(end))
  return isClear ? end : id
}

/** By name, id, or the end of an id (as pairing shows it). Throws `device-unknown`, `device-ambiguous`. */
export function findDevice(name: string, devices: readonly DeviceState[]): DeviceState {
  const tests: ((device: DeviceState) => boolean)[] = [
    device => device.id === name,
    device => device.name === name,
    device => name.length >= MIN_ID_PART && device.id.endsWith(name),
  ]
  for (const test of tests) {
    const found = devices.filter(test)
    const [only] = found
    if (only === undefined) continue
    if (found.length === 1) return only
    const ids = found.map(device => device.id).join(', ')
    throw new KithError(
      'device-ambiguous',
      `More than one device is called "${printable(name)}": give its id (${ids}).`,
    )
  }
  throw new KithError(
    'device-unknown',
    `No device "${printable(name)}" is paired with this one: "kith devices" lists them.`,
  )
}
