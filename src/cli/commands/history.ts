// What was, to look at: `kith history`, `explain`, `ls`, `copies`.
import { resolve } from 'node:path'
import { quote } from '../../core/display.ts'
import type { ConflictsBody, CopiesBody, HistoryBody, TreeBody, VersionBody } from '../../daemon/api/schema.ts'
import type { Context } from '../context.ts'
import { bytes, count, localTime, name } from '../output.ts'
import { storyOf } from '../story.ts'

type Arguments = readonly (string | undefined)[]

/** Of an id, at least. */
const SHORT_ID = 8
const MAX_FILES = 40

export async function history({ client, out, place, surroundings }: Context, [path = '']: Arguments): Promise<void> {
  const body = await client.get<HistoryBody>('/history', { query: { path: resolve(surroundings.cwd, path) } })
  if (out.json) {
    out.document(body)
    return
  }
  const length = idLength(body.versions)
  const { dim } = out.paint
  const rows = body.versions.map(version => [
    version.id.slice(0, length),
    localTime(version.time),
    name(version.device),
    what(version, body.path),
    version.kind === 'directory' ? '' : bytes(version.size),
    version.kind === 'directory' ? '' : where(version) || dim('nowhere'),
  ])
  await out.table(['VERSION', 'WHEN', 'DEVICE', 'WHAT', 'SIZE', 'LIES ON'], rows)
  const { now } = body
  const line = `${place.command} restore ${quote(path)}`
  out.text()
  if (now === null) out.text(`It is gone. To bring it back:  ${name(line)}`)
  else if (now.kind === 'directory') out.text(`To bring back what it was:  ${name(line)} --at TIME`)
  else out.text(`To bring one back:  ${name(line)} --version VERSION`)
  if (now !== null && now.path !== body.path) out.text(`It is ${name(now.path)} now.`)
  if (now !== null && now.copyOf !== null) out.text(`It is a conflict copy of ${name(now.copyOf)}.`)
  if (now !== null && now.kind !== 'directory' && now.devices.length === 0) {
    const what = now.damaged ? 'What lies on this disk is damaged.' : 'No device that answers has what it holds now.'
    out.text(out.paint.yellow(`${what} What can be done:  ${name(`${place.command} explain ${quote(path)}`)}`))
  }
  if (body.away.length > 0) {
    const devices = body.away.map(each => name(each.name)).join(', ')
    out.text(dim(`Away, so not asked what they know and hold: ${devices}.`))
  }
}

/** As many characters as tell all of them apart. */
function idLength(versions: readonly VersionBody[]): number {
  const ids = new Set(versions.map(version => version.id))
  for (let length = SHORT_ID; ; length++) {
    const short = new Set([...ids].map(id => id.slice(0, length)))
    if (short.size === ids.size) return length
  }
}

function what(version: VersionBody, path: string): string {
  if (version.action === 'moved' && version.from !== null) return `moved from ${name(version.from)}`
  return version.path === path ? version.action : `${version.action} as ${name(version.path)}`
}

function where(version: VersionBody): string {
  return version.devices.map(name).join(', ')
}

export async function explain({ client, out, place, surroundings }: Context, [path = '']: Arguments): Promise<void> {
  const absolute = resolve(surroundings.cwd, path)
  const body = await client.get<HistoryBody>('/history', { query: { path: absolute } })
  const { conflicts } = await client.get<ConflictsBody>('/conflicts')
  const conflict = conflicts.find(
    each =>
      each.folder === body.folder &&
      (each.path === body.path || each.versions.some(version => version.path === body.path)),
  )
  const command = `${place.command} restore ${quote(path)}`
  const accept = `${place.command} verify --accept ${quote(path)}`
  const story = storyOf(body, { others: conflict?.versions.map(each => each.path) ?? [], restore: command, accept })
  if (out.json) {
    out.document({ folder: body.folder, path: body.path, ...story })
    return
  }
  out.text(`${out.paint.bold(name(body.path))}  ${out.paint.dim(`in ${name(body.folder)}`)}`)
  for (const { time, text } of story.story) out.text(`  ${out.paint.dim(localTime(time))}  ${name(text)}`)
  out.text()
  for (const line of story.now) out.text(name(line))
}

export async function ls(
  { client, out, surroundings }: Context,
  [path = '.']: Arguments,
  options: { readonly at?: Date },
): Promise<void> {
  const { at } = options
  const query = { path: resolve(surroundings.cwd, path), ...(at === undefined ? {} : { at: at.toISOString() }) }
  const body = await client.get<TreeBody>('/tree', { query })
  if (out.json) {
    out.document(body)
    return
  }
  if (body.entries.length === 0) {
    out.text('There is nothing in it.')
    return
  }
  const rows = body.entries.map(entry => [
    entry.kind === 'directory' ? '' : bytes(entry.size),
    entry.kind === 'directory' ? '' : localTime(entry.time),
    entry.device === null ? '' : name(entry.device),
    entry.copies === null ? '' : String(entry.copies),
    `${name(entry.path)}${entry.kind === 'directory' ? '/' : entry.kind === 'symlink' ? '@' : ''}`,
  ])
  await out.table(['SIZE', 'MODIFIED', 'DEVICE', 'COPIES', 'PATH'], rows)
}

export async function copies({ client, out, place, surroundings }: Context, [path]: Arguments): Promise<void> {
  const query = path === undefined ? {} : { path: resolve(surroundings.cwd, path) }
  const body = await client.get<CopiesBody>('/copies', { query })
  if (out.json) {
    out.document(body)
    return
  }
  if (path !== undefined && body.files.length === 0) {
    out.text('There is no file in it.')
    return
  }
  const { bold, dim, yellow } = out.paint
  const { atRisk } = body
  const coming = body.files.filter(file => !file.here && file.holders.length > 0)
  const damaged = body.files.filter(file => file.damaged && file.holders.length === 0)
  const nowhere = body.files.filter(file => !file.damaged && file.holders.length === 0)
  for (const line of tally(body)) out.text(line)
  const few = [...body.files].sort((a, b) => a.holders.length - b.holders.length).slice(0, MAX_FILES)
  const severalFolders = new Set(few.map(file => file.folder)).size > 1
  if (few.length > 0) out.text()
  const rows = few.map(file => [
    String(file.holders.length),
    bytes(file.size),
    file.holders.map(name).join(', '),
    `${severalFolders ? `${dim(`${name(file.folder)}:`)} ` : ''}${name(file.path)}`,
  ])
  if (rows.length > 0) await out.table(['COPIES', 'SIZE', 'ON', 'PATH'], rows)
  if (body.files.length > few.length) out.text(dim(`and ${count(body.files.length - few.length, 'more file')}: --json`))
  out.text()
  if (coming.length > 0) out.text(`Still to come here: ${sumOf(coming)}.`)
  const stale = body.stale.map(device => name(device.name)).join(', ')
  const may = stale === '' ? 'No device is away that might have it' : `Away, and may have it: ${stale}`
  const explain = `"${place.command} explain PATH" says what can be done.`
  if (damaged.length > 0)
    out.text(yellow(`Damaged here, and sound on no device that answers: ${sumOf(damaged)}. ${may}. ${explain}`))
  if (nowhere.length > 0)
    out.text(yellow(`Not held here, nor by any device that answers: ${sumOf(nowhere)}. ${may}. ${explain}`))
  if (atRisk.files === 0) out.text('Nothing would be lost with this device.')
  else out.text(yellow(bold(`With this device ${count(atRisk.files, 'file')} (${bytes(atRisk.bytes)}) would be lost.`)))
  for (const device of body.stale) {
    const holds = device.asOf === null ? 'not known' : `told as of ${localTime(device.asOf)}`
    out.text(dim(`${name(device.name)} is not here: what it holds is ${holds}.`))
  }
}

function sumOf(files: CopiesBody['files']): string {
  return `${count(files.length, 'file')} (${bytes(files.reduce((sum, { size }) => sum + size, 0))})`
}

function tally(body: CopiesBody): string[] {
  const by = new Map<number, { files: number; bytes: number }>()
  for (const { holders, size } of body.files) {
    const sum = by.get(holders.length) ?? { files: 0, bytes: 0 }
    by.set(holders.length, { files: sum.files + 1, bytes: sum.bytes + size })
  }
  const parts = [...by].sort(([a], [b]) => b - a)
  const lines = parts.map(
    ([devices, sum]) =>
      `${count(sum.files, 'file')} (${bytes(sum.bytes)}) on ${devices === 0 ? 'no device' : count(devices, 'device')}`,
  )
  const of = count(body.devices, 'device')
  if (lines.length === 1) return [`${of}: ${lines.join('')}`]
  return [`${of}, ${count(body.files.length, 'file')}:`, ...lines.map(line => `  ${line}`)]
}
