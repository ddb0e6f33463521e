// A device that alone holds something is not removed by mistake: what it holds would be out of reach for ever.
import { printable } from '../core/display.ts'
import { KithError } from '../core/errors.ts'
import type { DeviceState, Waiting } from '../core/ports.ts'
import type { FolderEngine } from '../core/status.ts'

/** Named in the refusal. */
const MAX_NAMED = 3

/** Throws KithError `only-copy`, with the first few files that are known to lie nowhere else. */
export async function refuseLastCopies(
  engines: readonly FolderEngine[],
  device: DeviceState,
  options: Waiting,
): Promise<void> {
  const found: string[] = []
  for (const engine of engines) {
    for (const { path } of await engine.archive.onlyOn(device.id, options)) found.push(`${engine.name}/${path}`)
  }
  if (found.length === 0) return
  const names = found.slice(0, MAX_NAMED).map(printable).join(', ')
  const more = found.length > MAX_NAMED ? ` and ${found.length - MAX_NAMED} more` : ''
  const name = printable(device.name)
  throw new KithError(
    'only-copy',
    `Nobody else is known to hold what ${name} has of ${names}${more}: switch it on and let it come here ("kith wait --device ${name}"), or give it up with --force.`,
  )
}
