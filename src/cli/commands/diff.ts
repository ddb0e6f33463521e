// `kith diff`: what changed between two versions of a text, or two states of a directory.
import { resolve } from 'node:path'
import { createTwoFilesPatch, FILE_HEADERS_ONLY } from 'diff'
import { KithError } from '../../core/errors.ts'
import type { DiffBody } from '../../daemon/api/schema.ts'
import type { Context } from '../context.ts'
import { bytes, count, localTime, name, type Output } from '../output.ts'
import { lineOf } from './restore.ts'

/** Texts that differ more than can be found out in this time are not shown line by line. */
const TIMEOUT_MS = 5000

interface DiffOptions {
  readonly version?: readonly string[]
  readonly at?: readonly Date[]
}

export async function diff(
  { client, out, surroundings }: Context,
  [path = '']: readonly (string | undefined)[],
  options: DiffOptions,
): Promise<void> {
  const query = { path: resolve(surroundings.cwd, path), ...momentsOf(options) }
  const body = await client.get<DiffBody>('/diff', { query })
  const patch = body.text === null ? null : patchOf(body, body.text)
  if (out.json) {
    const { text: _, ...rest } = body
    out.document({ ...rest, patch })
    return
  }
  if (body.changes !== null) {
    for (const change of body.changes) out.text(lineOf(change, false))
    out.text(body.changes.length === 0 ? 'Nothing changed.' : `${count(body.changes.length, 'change')}.`)
  } else if (patch !== null) for (const line of patchLines(patch, out)) out.text(line)
  else {
    const sizes = `${sizeOf(body.from)} → ${sizeOf(body.to)}`
    out.text(`${name(body.path)}: ${sizes}; not shown line by line (no text, too long, or too different).`)
  }
}

function momentsOf({ version = [], at = [] }: DiffOptions): Record<string, string> {
  if (version.length > 0 && at.length > 0)
    throw new KithError('bad-usage', '--version and --at do not go together: two of one kind, or one.')
  if (version.length > 2 || at.length > 2) throw new KithError('bad-usage', 'Two can be compared, not more.')
  const [from, to] = version
  const [since, until] = at.map(time => time.toISOString())
  const all = { from, to, at: since, until }
  return Object.fromEntries(Object.entries(all).filter((pair): pair is [string, string] => pair[1] !== undefined))
}

function patchOf(body: DiffBody, text: { readonly from: string; readonly to: string }): string | null {
  const label = (side: DiffBody['from']): string => (side.gone ? '/dev/null' : body.path)
  const about = ({ id, time, device }: DiffBody['from']): string =>
    [time === null ? 'now' : localTime(time), device, id?.slice(0, 8)].filter(part => part != null).join(' ')
  if (text.from === text.to) return ''
  const options = { context: 3, timeout: TIMEOUT_MS, headerOptions: FILE_HEADERS_ONLY }
  const patch = createTwoFilesPatch(
    label(body.from),
    label(body.to),
    text.from,
    text.to,
    about(body.from),
    about(body.to),
    options,
  )
  return patch ?? null
}

function patchLines(patch: string, { paint }: Output): string[] {
  if (patch === '') return ['The texts are the same.']
  return patch
    .trimEnd()
    .split('\n')
    .map(raw => {
      const line = shown(raw)
      if (line.startsWith('+')) return paint.green(line)
      if (line.startsWith('-')) return paint.red(line)
      return line.startsWith('@@') ? paint.cyan(line) : line
    })
}

/** Harmless at a terminal; tabs, and line ends of Windows, stay. */
function shown(line: string): string {
  const end = line.endsWith('\r') ? '\r' : ''
  return (
    line
      .slice(0, line.length - end.length)
      .split('\t')
      .map(name)
      .join('\t') + end
  )
}

function sizeOf(side: DiffBody['from']): string {
  return side.gone ? 'nothing' : bytes(side.size)
}
