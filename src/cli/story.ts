// The story of a file in a person's words, from what the devices know of it. Pure: text of others is made printable where it is printed.
import type { HistoryBody, VersionBody } from '../daemon/api/schema.ts'
import { bytes, localTime } from './output.ts'

interface Telling {
  /** Paths of the versions that are kept beside one another; empty: no conflict. */
  readonly others: readonly string[]
  /** The line that brings it back. */
  readonly restore: string
  /** The line that takes a damaged file as it is. */
  readonly accept: string
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
      return `${device} brought ${it} back${asOf(version, earlier)}${size}.`
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

function howItStands(history: HistoryBody, telling: Telling): string[] {
  const { path, versions, now, away } = history
  const { others, restore } = telling
  const [newest] = versions
  if (newest === undefined) return ['Nothing is known of it.']
  if (now === null) {
    const held = newest.kind === 'directory' || newest.devices.length > 0
    const last = held ? `To bring it back:  ${restore}` : `What it was lies on no device that answers.${mayHave(away)}`
    return [newest.action === 'deleted' ? `It is gone since ${localTime(newest.time)}.` : 'It is gone.', last]
  }
  const lines: string[] = []
  if (now.path !== path) lines.push(`It is "${now.path}" now.`)
  else if (now.kind === 'directory') lines.push('It is there.')
  else if (now.damaged || now.devices.length === 0) lines.push(...unsound(history, now, telling))
  else lines.push(`It is there, ${bytes(now.size)}, on ${listed(now.devices)}.`)
  if (now.copyOf !== null) lines.push(`It is a conflict copy of "${now.copyOf}".`)
  if (others.length > 1) {
    const all = others.map(each => `"${each}"`).join(' and ')
    lines.push(`Two devices edited it at once, and both versions are kept: ${all}. Settle it with "kith resolve".`)
  }
  return lines
}

/** Damaged here, or on its way from nowhere. */
function unsound(history: HistoryBody, now: Standing, { restore, accept }: Telling): string[] {
  const { versions, away } = history
  if (now.devices.length > 0)
    return [`It is damaged on this disk; its content lies sound on ${listed(now.devices)}: "kith verify" mends it.`]
  const lines = now.damaged
    ? [
        `It is damaged on this disk: its bytes changed though nobody wrote to it. ${nobody(away)}`,
        ...(away.length > 0 ? [`To mend it: switch on ${either(away)}.`] : []),
      ]
    : [
        `It is there, ${bytes(now.size)}, but what it holds lies on no device that answers.${mayHave(away)}`,
        'Where it is damaged on a device that answers, "kith explain" says there what can be done.',
      ]
  const earlier = versions.find(
    ({ kind, action, hash, devices }) =>
      kind !== 'directory' && action !== 'deleted' && hash !== now.hash && devices.length > 0,
  )
  if (earlier !== undefined)
    lines.push(`To bring back what it was on ${localTime(earlier.time)}:  ${restore} --version ${earlier.id}`)
  if (now.damaged) lines.push(`To take it as it is, on all devices:  ${accept}`)
  return lines
}

type Standing = NonNullable<HistoryBody['now']>
type Away = HistoryBody['away']

function nobody(away: Away): string {
  return away.length === 0 ? 'No known device has it sound.' : 'No device that answers has it sound.'
}

function mayHave(away: Away): string {
  return away.length === 0 ? '' : ` Switch on ${either(away)}, which may have it.`
}

function either(away: Away): string {
  return away.map(each => each.name).join(' or ')
}

function listed(devices: readonly string[]): string {
  return devices.length === 1 ? (devices[0] ?? '') : `${devices.slice(0, -1).join(', ')} and ${devices.at(-1) ?? ''}`
}
