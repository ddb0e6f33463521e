// `kith status`: this device, the others, and every folder, in the order of what a person asks first.
import { setTimeout as sleep } from 'node:timers/promises'
import { KithError } from '../../core/errors.ts'
import type { DeviceBody, FolderBody, StatusBody } from '../../daemon/api/schema.ts'
import type { Context } from '../context.ts'
import { offerHints, twinHints } from '../hints.ts'
import { ago, bytes, count, name, type Output, shortId } from '../output.ts'
import { untilInterrupted } from '../signals.ts'
import { nextSteps } from './up.ts'

const WATCH_MS = 1000
const MAX_PROBLEMS = 5
const CLEAR_SCREEN = '\u001b[2J\u001b[H'

export async function status(
  context: Context,
  _: readonly (string | undefined)[],
  options: { watch?: boolean },
): Promise<void> {
  const { client, out } = context
  if (options.watch !== true) {
    show(await client.get<StatusBody>('/status'), context)
    return
  }
  if (out.json) throw new KithError('bad-usage', '--watch and --json do not go together: "kith events" is for scripts.')
  await untilInterrupted(async signal => {
    for (let last = ''; ; await sleep(WATCH_MS, undefined, { signal })) {
      const now = await client.get<StatusBody>('/status', { signal })
      const text = JSON.stringify(now)
      if (text !== last) {
        if ((context.surroundings.stdout as Partial<NodeJS.WriteStream>).isTTY === true) out.text(CLEAR_SCREEN)
        show(now, context)
      }
      last = text
    }
  })
}

function show(now: StatusBody, { out, place }: Context): void {
  if (out.json) {
    out.document(now)
    return
  }
  const { bold, dim } = out.paint
  const { device, daemon, devices, folders, offers } = now
  out.text(
    `${bold(name(device.name))}  ${dim(`${shortId(device.id)}  kith ${device.version}  pid ${daemon.pid}  ${name(daemon.home)}`)}`,
  )
  if (devices.length > 0) out.text()
  for (const other of devices) out.text(deviceLine(other, out))
  for (const folder of folders) {
    out.text()
    for (const line of folderLines(folder, out)) out.text(line)
  }
  const hints = [...twinHints(offers, place.command), ...offerHints(offers, place.command)]
  if (hints.length > 0) out.text()
  for (const hint of hints) out.text(hint)
  const next = nextSteps(place.command, devices.length > 0, folders.length > 0 || hints.length > 0)
  if (next.length > 0) out.text()
  for (const line of next) out.text(line)
}

function deviceLine(device: DeviceBody, { paint }: Output): string {
  const seen = device.lastSeen === null ? 'not seen yet' : `last seen ${ago(device.lastSeen, Date.now())}`
  const state = device.connected
    ? paint.green('connected')
    : device.sighted
      ? paint.yellow('near, not linked yet')
      : paint.dim(seen)
  return `${name(device.name)}  ${paint.dim(shortId(device.id))}  ${state}`
}

function folderLines(folder: FolderBody, { paint }: Output): string[] {
  const lines = [`${paint.bold(name(folder.name))}  ${stateText(folder, paint)}  ${paint.dim(name(folder.path))}`]
  const parts = [count(folder.files, 'file'), bytes(folder.bytes)]
  if (folder.need.files > 0)
    parts.push(`${count(folder.need.files, 'file')} (${bytes(folder.need.bytes)}) still to come`)
  if (folder.conflicts > 0) parts.push(paint.yellow(`${count(folder.conflicts, 'conflict')}: kith conflicts`))
  lines.push(`  ${parts.join(', ')}`)
  if (folder.error !== null) lines.push(`  ${paint.red(name(folder.error.message))}`)
  for (const device of folder.devices) lines.push(`  ${name(device.name)}: ${peerText(device)}`)
  for (const problem of folder.problems.slice(0, MAX_PROBLEMS)) {
    // About the folder itself there is no path to name.
    const where = problem.path === '' ? '' : `${name(problem.path)}: `
    lines.push(`  ${paint.yellow(`${where}${name(problem.message)}`)}`)
  }
  const more = folder.problems.length - MAX_PROBLEMS
  if (more > 0) lines.push(`  ${paint.yellow(`and ${count(more, 'more problem')}: kith status --json`)}`)
  return lines
}

function stateText(folder: FolderBody, paint: Output['paint']): string {
  switch (folder.state) {
    case 'idle':
      return paint.green('idle')
    case 'scanning':
    case 'syncing':
      return paint.cyan(folder.state)
    case 'paused':
      return paint.yellow('paused')
    case 'error':
      return paint.red('stopped')
  }
}

function peerText(device: FolderBody['devices'][number]): string {
  const missing =
    device.need.files > 0 ? `, ${count(device.need.files, 'file')} (${bytes(device.need.bytes)}) to go` : ''
  const asOf = device.asOf === null ? '' : ` (${ago(device.asOf, Date.now())})`
  if (device.connected && device.stopped === 'paused') return 'paused there'
  if (device.connected && device.stopped === 'cannot-hold')
    return `its disk cannot have all of it (${count(device.need.files, 'name')})`
  if (device.connected && device.stopped !== null) return `does not sync there (${name(device.stopped)})`
  if (device.connected) return device.inSync ? 'in sync' : `syncing${missing}`
  return device.inSync ? `away; was in sync${asOf}` : `away; was not in sync${missing}${asOf}`
}
