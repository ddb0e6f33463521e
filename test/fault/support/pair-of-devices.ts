// Two devices that share one folder, and when both are at rest: what most fault tests stand on. Rest is asked of the status that the
// daemons answer, not of the command line: a trial has no second to give to a start of Node.
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Device, FolderStatus, Status } from '../../e2e/support/device.ts'
import { until } from '../../e2e/support/until.ts'
import { equalTrees, get, pair, settle } from '../../e2e/support/world.ts'

/** Also on a machine that does something else meanwhile. */
export const REST_MS = 300_000
/** Where nothing may be left once all is done. */
const ON_THE_WAY = ['stage', 'parked', 'transit'] as const

/** However long the machine takes for it. */
export async function started(device: Device): Promise<void> {
  try {
    await device.start()
  } catch (error) {
    if (!device.running) throw error
    await statusOf(device)
  }
}

/** However busy it is. */
export function statusOf(device: Device): Promise<Status> {
  return until(() => device.status(), { timeoutMs: REST_MS, what: `${device.name} answers` })
}

/** `name` on both, in the directory of each; `desk` added it. */
export async function share(desk: Device, lamp: Device, name: string): Promise<void> {
  mkdirSync(desk.path(name), { recursive: true })
  if (!desk.running) await started(desk)
  if (!lamp.running) await started(lamp)
  if (!(await desk.linked(lamp))) await pair(desk, lamp)
  await desk.ok(['add', desk.path(name)])
  await get(lamp, name, lamp.path(name))
  await settle([desk, lamp], name, REST_MS)
}

function isIdle(folder: FolderStatus): boolean {
  return folder.state === 'idle' && folder.need.files === 0 && folder.devices.every(d => d.connected && d.inSync)
}

/** Throws what is missing: both must say that they are at rest, and it must be so: equal trees, and nothing left on its way. */
export async function expectRest(devices: readonly Device[], name: string): Promise<void> {
  for (const device of devices) {
    const folder = await device.folder(name)
    if (!isIdle(folder)) throw new Error(`${device.name}: ${JSON.stringify(folder)}`)
  }
  equalTrees(devices, name)
  for (const device of devices) {
    const left = onTheWay(device.path(name))
    if (left.length > 0) throw new Error(`left on ${device.name}: ${left.join(', ')}`)
  }
}

export async function atRest(devices: readonly Device[], name: string): Promise<void> {
  await until(() => expectRest(devices, name).then(() => true), {
    timeoutMs: REST_MS,
    what: `${name} is at rest`,
    everyMs: 30,
  })
}

export function onTheWay(root: string): string[] {
  return ON_THE_WAY.flatMap(area => {
    const directory = join(root, '.kith', area)
    return existsSync(directory) ? readdirSync(directory).map(file => `${area}/${file}`) : []
  })
}

/** Whether any file of the folder, of the person's or of Kith's own, is exactly `content`. */
export function holdsBytes(root: string, content: Buffer): boolean {
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    if (readFileSync(join(entry.parentPath, entry.name)).equals(content)) return true
  }
  return false
}
