// `kith wait`: returns when the daemon has proof that all is in sync; says on stderr who was not there.
import type { StatusBody, WaitRequest, WaitResultBody } from '../../daemon/api/schema.ts'
import type { Context } from '../context.ts'
import { bytes, count, name, type Output } from '../output.ts'

const PROGRESS_MS = 1000

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
  const timer = setInterval(() => void showProgress(context, folder), PROGRESS_MS)
  let result: WaitResultBody
  try {
    result = await client.post<WaitResultBody>('/wait', request)
  } finally {
    clearInterval(timer)
    out.endProgress()
  }
  if (result.absent.length > 0) {
    out.note(`Not here, so not waited for: ${result.absent.map(absent => name(absent.name)).join(', ')}.`)
  }
  if (out.json) out.document(result)
  else out.text(result.folders.length === 0 ? 'There is no folder to wait for.' : 'Everything is in sync.')
}

async function showProgress({ client, out }: Context, folder: string | undefined): Promise<void> {
  try {
    const { folders } = await client.get<StatusBody>('/status')
    out.progress(
      folders
        .filter(each => folder === undefined || each.name === folder)
        .map(each => progressOf(each, out))
        .join('; '),
    )
  } catch {
    // Only a courtesy: the wait itself says what is wrong.
  }
}

function progressOf(folder: StatusBody['folders'][number], { paint }: Output): string {
  const toGo = Math.max(0, ...folder.devices.filter(device => device.connected).map(device => device.need.files))
  const parts = [folder.state as string]
  if (folder.need.files > 0) parts.push(`${count(folder.need.files, 'file')} (${bytes(folder.need.bytes)}) to come`)
  if (toGo > 0) parts.push(`${count(toGo, 'file')} to go`)
  return `${name(folder.name)}: ${paint.dim(parts.join(', '))}`
}
