// `kith wait`: returns when the daemon has proof that all is in sync; says on stderr who was not there, and who stands still.
import type { StatusBody, WaitRequest, WaitResultBody } from '../../daemon/api/schema.ts'
import type { Context } from '../context.ts'
import { name } from '../output.ts'
import { whileShowing } from '../progress.ts'

const MAX_NAMED = 3

interface WaitOptions {
  readonly timeout?: number
  readonly folder?: string
  readonly device?: string
}

export async function wait(context: Context, _: readonly unknown[], options: WaitOptions): Promise<void> {
  const { client, out } = context
  const { timeout, folder, device } = options
  const request: WaitRequest = {
    ...(timeout === undefined ? {} : { timeoutMs: Math.ceil(timeout * 1000) }),
    ...(folder === undefined ? {} : { folder }),
    ...(device === undefined ? {} : { device }),
  }
  const noted = new Set<string>()
  const result = await whileShowing(
    context,
    folder,
    () => client.post<WaitResultBody>('/wait', request),
    status => {
      for (const line of stopped(status, folder)) {
        if (!noted.has(line)) out.note(line)
        noted.add(line)
      }
    },
  )
  if (result.absent.length > 0) {
    out.note(`Not here, so not waited for: ${result.absent.map(absent => name(absent.name)).join(', ')}.`)
  }
  if (result.paused.length > 0) {
    out.note(
      `Paused, so not waited for: ${result.paused.map(name).join(', ')}. "${context.place.command} folder resume NAME" goes on.`,
    )
  }
  if (out.json) out.document(result)
  else if (result.folders.length > 0) out.text('Everything is in sync.')
  else out.text(result.paused.length > 0 ? 'Every folder is paused.' : 'There is no folder to wait for.')
}

/** What a wait would not end by itself. */
function stopped(status: StatusBody, folder: string | undefined): string[] {
  return [...standing(status, folder), ...nowhere(status, folder)]
}

/** Content that comes with a device that is away, if at all. */
function nowhere(status: StatusBody, folder: string | undefined): string[] {
  return status.folders
    .filter(each => folder === undefined || each.name === folder)
    .flatMap(({ name: of, problems, devices }) => {
      const paths = problems.flatMap(({ code, path }) =>
        code === 'content-missing' ||
        (code === 'damaged' && devices.some(each => each.connected && each.need.files > 0))
          ? [path]
          : [],
      )
      const away = devices.filter(each => !each.connected).map(each => name(each.name))
      if (paths.length === 0 || away.length === 0) return []
      const named = paths.slice(0, MAX_NAMED).map(name).join(', ')
      const more = paths.length > MAX_NAMED ? ` and ${paths.length - MAX_NAMED} more` : ''
      return [`"${name(of)}" waits for ${named}${more}, which no linked device has: switch on ${away.join(' or ')}.`]
    })
}

/** A folder that stands still on another device. */
function standing(status: StatusBody, folder: string | undefined): string[] {
  return status.folders
    .filter(each => folder === undefined || each.name === folder)
    .flatMap(each =>
      each.devices
        .filter(device => device.connected && device.stopped !== null)
        .map(device => `"${name(each.name)}" ${standstill(device.stopped ?? '', name(device.name))}`),
    )
}

function standstill(code: string, device: string): string {
  if (code === 'paused') return `is paused on ${device}: it goes on when it is resumed there.`
  if (code === 'disk-full') return `does not sync on ${device}, whose disk is full: it goes on when there is room.`
  return `does not sync on ${device} (${name(code)}): "kith status" there says what to do.`
}
