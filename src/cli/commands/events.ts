// `kith events`: what happens, one line of JSON each, with or without `--json`.
import { KithError } from '../../core/errors.ts'
import type { Context } from '../context.ts'
import { untilInterrupted } from '../signals.ts'

const DATA = 'data: '

export async function events({ client, out }: Context): Promise<void> {
  const interrupted = await untilInterrupted(async signal => {
    for await (const line of client.lines('GET', '/events', { signal })) {
      if (line.startsWith(DATA)) out.documentLine(JSON.parse(line.slice(DATA.length)))
    }
  })
  if (!interrupted)
    throw new KithError('stopped', 'The daemon ended, or this reader was too slow for it: start it again.')
}
