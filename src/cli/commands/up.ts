// `kith up`: the daemon in this process. The one command that loads it; it is also what `kith start` runs in the background.
import { resolve } from 'node:path'
import type { Context } from '../context.ts'
import { name, shortId } from '../output.ts'
import { ownVersion } from '../version.ts'

export async function up(context: Context, [path]: readonly (string | undefined)[]): Promise<void> {
  const { place, out, surroundings } = context
  const { runDaemon } = await import('../../daemon/main.ts')
  await runDaemon({
    home: place.home,
    version: ownVersion(),
    background: false,
    ...(path === undefined ? {} : { path: resolve(surroundings.cwd, path) }),
    onReady: status => {
      if (out.json) {
        out.document(status)
        return
      }
      const { bold } = out.paint
      out.text(`Kith runs on this device, ${bold(name(status.device.name))} (${shortId(status.device.id)}).`)
      for (const folder of status.folders) {
        out.text(
          `Folder ${bold(name(folder.name))} at ${name(folder.path)}${folder.error === null ? '' : `: ${name(folder.error.message)}`}`,
        )
      }
      for (const line of nextSteps(place.command, status.devices.length > 0, status.folders.length > 0)) out.text(line)
      out.text('Ctrl-C stops it.')
    },
  })
}

/** What a newcomer does next, each with the line to type. */
export function nextSteps(command: string, paired: boolean, hasFolders: boolean): string[] {
  const lines: string[] = []
  if (!hasFolders) lines.push(`  add a folder:         ${command} add PATH`)
  if (!paired) lines.push(`  pair another device:  ${command} pair`)
  return lines.length === 0 ? [] : ['Next, in another terminal:', ...lines]
}

export async function background({ place }: Context): Promise<void> {
  const { runDaemon } = await import('../../daemon/main.ts')
  const tell = (message: unknown): void => {
    if (process.connected) process.send?.(message, () => process.connected && process.disconnect())
  }
  try {
    await runDaemon({
      home: place.home,
      version: ownVersion(),
      background: true,
      onReady: status => tell({ ready: status }),
    })
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: unknown }
    tell({ failed: { code: typeof code === 'string' ? code : 'internal', message: String(message) } })
    throw error
  }
}
