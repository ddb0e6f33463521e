// `kith conflicts`: what could not be merged, kept beside one another.
import type { ConflictsBody } from '../../daemon/api/schema.ts'
import type { Context } from '../context.ts'
import { count, localTime, name } from '../output.ts'

export async function conflicts({ client, out, place }: Context): Promise<void> {
  const body = await client.get<ConflictsBody>('/conflicts')
  if (out.json) {
    out.document(body)
    return
  }
  if (body.conflicts.length === 0) {
    out.text('No conflicts.')
    return
  }
  const { bold, dim } = out.paint
  for (const conflict of body.conflicts) {
    out.text(`${bold(name(conflict.path))}  ${dim(`in ${name(conflict.folder)}`)}`)
    for (const version of conflict.versions) {
      const device = version.device === null ? 'unknown' : name(version.device)
      out.text(`  ${dim(name(version.id))}  ${localTime(version.time)}  ${device}  ${name(version.path)}`)
    }
  }
  out.text()
  out.text(
    `${count(body.conflicts.length, 'file')} in conflict. Keep what you want:  ${place.command} resolve PATH --keep VERSION|both`,
  )
}
