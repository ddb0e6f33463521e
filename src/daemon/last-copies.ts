// A device that alone holds something is not removed by mistake: what it holds would be out of reach for ever.
import { printable } from '../core/display.ts'
import { isKithError, KithError } from '../core/errors.ts'
import type { DeviceState, Waiting } from '../core/ports.ts'
import type { Folders } from './folders.ts'

/** Named in the refusal. */
const MAX_NAMED = 3

/** Throws KithError `only-copy`, with the first few files that are known to lie nowhere else, or the folders of which nothing is known. */
export async function refuseLastCopies(
  folders: Pick<Folders, 'engines' | 'faulty'>,
  device: DeviceState,
  options: Waiting,
): Promise<void> {
  const unknown = folders.faulty().map(record => record.name)
  const found: string[] = []
  for (const engine of folders.engines()) {
    try {
      for (const { path } of await engine.archive.onlyOn(device.id, options)) found.push(`${engine.name}/${path}`)
    } catch (error) {
      options.signal.throwIfAborted()
      // Its database could not be read: it says so in its status.
      if (!isKithError(error) || error.code !== 'stopped') throw error
      unknown.push(engine.name)
    }
  }
  if (unknown.length > 0) throw notKnown(unknown, device)
  if (found.length === 0) return
  const names = found.slice(0, MAX_NAMED).map(printable).join(', ')
  const more = found.length > MAX_NAMED ? ` and ${found.length - MAX_NAMED} more` : ''
  const name = printable(device.name)
  throw new KithError(
    'only-copy',
    `Nobody else is known to hold what ${name} has of ${names}${more}: switch it on and let it come here ("kith wait --device ${name}"), or give it up with --force.`,
  )
}

function notKnown(folders: readonly string[], device: DeviceState): KithError {
  const name = printable(device.name)
  return new KithError(
    'only-copy',
    `What ${name} alone holds of ${folders.map(printable).join(', ')} is not known, since that could not be started: mend it first ("kith status" says what is wrong), or give it up with --force.`,
  )
}
