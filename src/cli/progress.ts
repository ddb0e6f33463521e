// How far things are, while a command waits for the daemon: looked up beside the request that is waited for, so that any client can.
import type { StatusBody } from '../daemon/api/schema.ts'
import type { Context } from './context.ts'
import { bytes, count, name, type Output } from './output.ts'

const PROGRESS_MS = 1000

export async function whileShowing<T>(
  context: Context,
  folder: string | undefined,
  task: () => Promise<T>,
  onStatus: (status: StatusBody) => void = () => undefined,
): Promise<T> {
  const timer = setInterval(() => void show(context, folder, onStatus), PROGRESS_MS)
  try {
    return await task()
  } finally {
    clearInterval(timer)
    context.out.endProgress()
  }
}

async function show(
  { client, out }: Context,
  folder: string | undefined,
  onStatus: (status: StatusBody) => void,
): Promise<void> {
  try {
    const status = await client.get<StatusBody>('/status')
    onStatus(status)
    const lines = status.folders
      .filter(each => folder === undefined || each.name === folder)
      .map(each => progressOf(each, out))
    out.progress(lines.join('; '))
  } catch {
    // Only a courtesy: the request itself says what is wrong.
  }
}

function progressOf(folder: StatusBody['folders'][number], { paint }: Output): string {
  const toGo = Math.max(0, ...folder.devices.filter(device => device.connected).map(device => device.need.files))
  const parts = [folder.state as string]
  if (folder.need.files > 0) parts.push(`${count(folder.need.files, 'file')} (${bytes(folder.need.bytes)}) to come`)
  if (toGo > 0) parts.push(`${count(toGo, 'file')} to go`)
  return `${name(folder.name)}: ${paint.dim(parts.join(', '))}`
}
