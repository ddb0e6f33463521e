// `kith folders`, `add`, `get` and `kith folder …`.
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isKithError, KithError } from '../../core/errors.ts'
import type {
  AnsweredFolderBody,
  DevicesBody,
  FolderBody,
  FolderResultBody,
  FoldersBody,
  RemovedFolderBody,
  SettingsRequest,
} from '../../daemon/api/schema.ts'
import type { Context } from '../context.ts'
import { offerHints, twinHints } from '../hints.ts'
import { bytes, name } from '../output.ts'
import { parseSize } from '../size.ts'

/** How long `get` waits for a device that was paired just now to say what it offers. */
const OFFER_WAIT_MS = 4000
/** The same where every device is linked. */
const LINKED_WAIT_MS = 1500
const OFFER_PAUSE_MS = 200

type Arguments = readonly (string | undefined)[]

export async function folders({ client, out, place }: Context): Promise<void> {
  const body = await client.get<FoldersBody>('/folders')
  if (out.json) {
    out.document(body)
    return
  }
  if (body.folders.length === 0) out.text(`No folder is synced here. To add one:  ${place.command} add PATH`)
  else {
    const rows = body.folders.map(folder => [
      name(folder.name),
      folder.state === 'error' ? out.paint.red('stopped') : folder.state,
      String(folder.files),
      bytes(folder.bytes),
      folder.devices.map(device => name(device.name)).join(', '),
      name(folder.path),
    ])
    await out.table(['NAME', 'STATE', 'FILES', 'SIZE', 'ALSO ON', 'PATH'], rows)
  }
  const hints = [...twinHints(body.offers, place.command), ...offerHints(body.offers, place.command)]
  if (hints.length > 0) out.text()
  for (const hint of hints) out.text(hint)
}

export async function add(
  { client, out, surroundings }: Context,
  [path]: Arguments,
  options: { name?: string },
): Promise<void> {
  const body = await client.post<FolderResultBody>('/folders/add', {
    path: resolve(surroundings.cwd, path ?? ''),
    ...(options.name === undefined ? {} : { name: options.name }),
  })
  if (out.json) out.document(body)
  else out.text(`Syncing ${name(body.folder.path)} as "${name(body.folder.name)}"; your other devices can get it.`)
}

export async function get(context: Context, [folder, path]: Arguments): Promise<void> {
  const { out, surroundings } = context
  const { cwd } = surroundings
  const request = { name: folder, into: cwd, ...(path === undefined ? {} : { path: resolve(cwd, path) }) }
  const body = await getOffered(context, request)
  if (out.json) out.document(body)
  else out.text(`Syncing "${name(body.folder.name)}" into ${name(body.folder.path)}.`)
}

/** A device that was paired a moment ago is linked a moment later. */
async function getOffered({ client }: Context, request: object): Promise<FolderResultBody> {
  const startedAt = performance.now()
  for (;;) {
    try {
      return await client.post<FolderResultBody>('/folders/get', request)
    } catch (error) {
      if (!isKithError(error) || error.code !== 'folder-unknown') throw error
      const { devices } = await client.get<DevicesBody>('/devices')
      const linked = devices.every(device => device.connected)
      const limitMs = devices.length === 0 ? 0 : linked ? LINKED_WAIT_MS : OFFER_WAIT_MS
      if (performance.now() - startedAt > limitMs) throw error
    }
    await sleep(OFFER_PAUSE_MS)
  }
}

export async function pause(context: Context, args: Arguments): Promise<void> {
  await change(context, 'pause', args, folder => `"${folder}" is paused.`)
}

export async function resume(context: Context, args: Arguments): Promise<void> {
  await change(context, 'resume', args, folder => `"${folder}" syncs again.`)
}

export async function approve(context: Context, args: Arguments): Promise<void> {
  await answer(context, 'approve', args)
}

export async function reject(context: Context, args: Arguments): Promise<void> {
  await answer(context, 'reject', args)
}

export async function remove({ client, out }: Context, [folder]: Arguments): Promise<void> {
  const body = await client.post<RemovedFolderBody>('/folders/remove', { name: folder })
  if (out.json) out.document(body)
  else out.text(`"${name(body.removed.name)}" is no longer synced here; its files stay in ${name(body.removed.path)}.`)
}

/** Without KEY=VALUE it shows them. */
export async function set({ client, out }: Context, [folder, ...pairs]: Arguments): Promise<void> {
  const settings: SettingsRequest = Object.assign({}, ...pairs.map(pair => parseSetting(pair ?? '')))
  const body = await client.post<FolderResultBody>('/folders/set', { name: folder, settings })
  if (out.json) {
    out.document(body)
    return
  }
  for (const line of settingLines(body.folder)) out.text(line)
}

function parseSetting(pair: string): SettingsRequest {
  const at = pair.indexOf('=')
  const key = at < 0 ? pair : pair.slice(0, at)
  const value = at < 0 ? '' : pair.slice(at + 1)
  switch (key) {
    case 'versions':
      if (value === 'standard' || value === 'all') return { versions: value }
      throw new KithError('bad-usage', 'versions is "standard" or "all".')
    case 'version-limit': {
      if (value === 'default') return { versionLimit: null }
      const size = parseSize(value)
      if (size !== null && size > 0) return { versionLimit: size }
      throw new KithError('bad-usage', 'version-limit is a size, like 20GB, or "default" (a tenth of the disk).')
    }
    case 'min-copies':
      if (/^\d+$/.test(value) && Number(value) >= 1 && Number(value) <= 100) return { minCopies: Number(value) }
      throw new KithError('bad-usage', 'min-copies is a number of devices, from 1 on.')
    case 'max-deletes': {
      const percent = /^(\d{1,3})%$/.exec(value)?.[1]
      if (percent !== undefined && Number(percent) >= 1 && Number(percent) <= 100)
        return { maxDeletes: Number(percent) }
      throw new KithError('bad-usage', 'max-deletes is a share of the files, from 1% to 100% (which never asks).')
    }
    default:
      throw new KithError(
        'bad-usage',
        `"${name(pair)}" is no setting: give versions=standard|all, version-limit=SIZE, min-copies=NUMBER or max-deletes=PERCENT%.`,
      )
  }
}

function settingLines({ settings }: FolderBody): string[] {
  const limit = settings.versionLimit === null ? 'default (a tenth of the disk)' : bytes(settings.versionLimit)
  return [
    `versions = ${settings.versions}`,
    `version-limit = ${limit}`,
    `min-copies = ${settings.minCopies}`,
    `max-deletes = ${settings.maxDeletes}%`,
  ]
}

async function change(
  { client, out }: Context,
  verb: string,
  [folder]: Arguments,
  say: (folder: string) => string,
): Promise<void> {
  const body = await client.post<FolderResultBody>(`/folders/${verb}`, { name: folder })
  if (out.json) out.document(body)
  else out.text(say(name(body.folder.name)))
}

/** What an answer does depends on what was held: the daemon says it. */
async function answer({ client, out }: Context, verb: 'approve' | 'reject', [folder]: Arguments): Promise<void> {
  const body = await client.post<AnsweredFolderBody>(`/folders/${verb}`, { name: folder })
  if (out.json) out.document(body)
  else out.text(`"${name(body.folder.name)}" goes on: ${name(body.message)}`)
}
