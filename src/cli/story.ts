// The story of a file in a person's words, from what the devices know of it. Pure: text of others is made printable where it is printed.
import type { HistoryBody, VersionBody } from '../daemon/api/schema.ts'
import { bytes, localTime } from './output.ts'

interface Telling {
  /** Paths of the versions that are kept beside one another; empty: no conflict. */
  readonly others: readonly string[]
  /** The line that brings it back. */
  readonly restore: string
}

export interface Story {
  /** Oldest first. */
  readonly story: readonly {
    readonly time: string
    readonly device: string
    readonly action: string
    readonly text: string
  }[]
  /** How it stands, and what can be done. */
  readonly now: readonly string[]
}

export function storyOf(history: HistoryBody, telling: Telling): Story {
  const oldestFirst = [...history.versions].reverse()
  const story = oldestFirst.map((version, at) => ({
    time: version.time,
    device: version.device,
    action: version.action,
    text: sentence(version, oldestFirst.slice(0, at)),
  }))
  return { story, now: howItStands(history, telling) }
}

/** `earlier`: oldest first. */
function sentence(version: VersionBody, earlier: readonly VersionBody[]): string {
  const { device, kind, path, from } = version
  const before = earlier.at(-1)
  const it = before !== undefined && before.path === path ? 'it' : `"${path}"`
  const size = kind === 'directory' ? '' : ` (${sizes(version, before)})`
  switch (version.action) {
    case 'created':
      return `${device} made ${kindName(version)} "${path}"${size}.`
    case 'edited':
      return before !== undefined && before.hash === version.hash && kind !== 'directory'
        ? `${device} changed the time or the permissions of ${it}.`
        : `${device} edited ${it}${size}.`
    case 'moved':
      return from === null ? `${device} moved it to "${path}".` : `${device} moved it from "${from}" to "${path}".`
    case 'deleted':
      return `${device} deleted ${it}.`
    case 'merged':
      return `${device} put the edits of two devices together in ${it}${size}.`
    case 'restored':
      // What stands elsewhere is taken back to where it was.
      if (from !== null) return `${device} moved it back from "${from}" to "${path}".`
      return `${device} brought back ${it}${asOf(version, earlier)}${size}.`
  }
}

function kindName({ kind }: VersionBody): string {
  return kind === 'directory' ? 'the directory' : kind === 'symlink' ? 'the symlink' : 'the file'
}

function sizes(version: VersionBody, before: VersionBody | undefined): string {
  const had = before === undefined || before.action === 'deleted' || before.size === version.size ? null : before.size
  return had === null ? bytes(version.size) : `${bytes(had)} → ${bytes(version.size)}`
}

function asOf(version: VersionBody, earlier: readonly VersionBody[]): string {
  if (version.kind === 'directory') return ''
  const same = earlier.findLast(each => each.hash === version.hash && each.action !== 'deleted')
  return same === undefined ? '' : ` as it was on ${localTime(same.time)}`
}

function howItStands({ path, versions, now }: HistoryBody, { others, restore }: Telling): string[] {
  const [newest] = versions
  if (newest === undefined) return ['Nothing is known of it.']
  if (now === null) {
    const held = newest.kind === 'directory' || newest.devices.length > 0
    const last = held ? `To bring it back:  ${restore}` : 'What it was lies on no device that answers.'
    return [newest.action === 'deleted' ? `It is gone since ${localTime(newest.time)}.` : 'It is gone.', last]
  }
  const lines: string[] = []
  if (now.path !== path) lines.push(`It is "${now.path}" now.`)
  else if (now.kind === 'directory') lines.push('It is there.')
  else lines.push(`It is there, ${bytes(now.size)}, ${held(now)}.`)
  if (now.copyOf !== null) lines.push(`It is a conflict copy of "${now.copyOf}".`)
  if (others.length > 1) {
    const all = others.map(each => `"${each}"`).join(' and ')
    lines.push(`Two devices edited it at once, and both versions are kept: ${all}. Settle it with "kith resolve".`)
  }
  return lines
}

function held({ devices }: { readonly devices: readonly string[] }): string {
  if (devices.length === 0) return 'and its content is still on its way'
  return `on ${devices.length === 1 ? (devices[0] ?? '') : `${devices.slice(0, -1).join(', ')} and ${devices.at(-1) ?? ''}`}`
}
