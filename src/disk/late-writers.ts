// Programs may still hold a file open that was replaced or removed, and write to it: its inode lies in versions now. Such inodes are
// looked at again after a while and at start; one that was written to comes back to the user's folder, itself, so that later writes
// are seen too. The list of those not yet looked at is kept in `.kith/late.log`.
import { appendFileSync, lstatSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { type ContentId, hexOf } from '../core/ids.ts'
import { withSuffix } from '../core/names.ts'
import { contentName, contentOfName, isSealed, LATE_FILE, PRIVATE_MODE, type Seal } from './area.ts'
import type { AreaHandle } from './area-handle.ts'
import { readOwn, splitPath } from './beneath.ts'
import { TWIN } from './keep-old.ts'
import { syncDirectory } from './own-files.ts'
import { bringBackTo, lookAt } from './user-place.ts'
import type { Verdict } from './version-work.ts'

export const LATE_WRITER_MS = 60_000

export interface LateEntry {
  /** In versions. */
  readonly name: string
  /** Where it was. */
  readonly path: string
  readonly seal: Seal
  /** ms since 1970 */
  readonly time: number
}

export interface LateReply {
  /** Paths in the user's folder that came back. */
  readonly back: readonly string[]
  /** Contents that versions do not hold any more: what had that name is another content now. */
  readonly lost: readonly ContentId[]
  readonly waiting: readonly LateEntry[]
  /** Due, but what lies under the name of their content is to be read first. */
  readonly twins: readonly ContentId[]
}

/** What lies under the names of contents, as it was read. */
export type Verdicts = ReadonlyMap<ContentId, Verdict>

const NAME = /^[0-9a-f]+(\+\d+)?$/
const NATURAL = /^\d+$/
const INTEGER = /^-?\d+$/

export function appendLate(area: AreaHandle, entries: readonly LateEntry[]): void {
  if (entries.length > 0) appendFileSync(`${area.area.base}/${LATE_FILE}`, encode(entries), { mode: PRIVATE_MODE })
}

/** Looks at those that are due (all, with `now` = Infinity); the rest waits on. */
export function checkLate(area: AreaHandle, now: number, read: Verdicts = new Map()): LateReply {
  const back: string[] = []
  const lost: ContentId[] = []
  const waiting: LateEntry[] = []
  const twins: ContentId[] = []
  for (const entry of readLate(area)) {
    const path = `${area.versions.base}/${entry.name}`
    const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false })
    if (stats === undefined) continue
    // Another inode: `.kith` itself was copied, or put back. Nobody has that one open, and it is a kept version like any other.
    if (String(stats.ino) !== String(entry.seal.ino)) continue
    if (!isSealed(entry.seal, stats)) {
      back.push(returnToUser(area, path, entry))
      const content = contentOfName(entry.name)
      if (content !== undefined) lost.push(content)
    } else if (now - entry.time < LATE_WRITER_MS) {
      waiting.push(entry)
    } else if (entry.name.includes(TWIN)) {
      const content = contentOfName(plainName(entry.name))
      if (content === undefined || settleTwin(area, path, content, read.get(content))) continue
      twins.push(content)
      waiting.push(entry)
    }
  }
  const temporary = area.transitPath()
  writeFileSync(temporary, encode(waiting), { mode: PRIVATE_MODE, flag: 'wx' })
  renameSync(temporary, `${area.area.base}/${LATE_FILE}`)
  if (back.length > 0) syncDirectory(area.versions)
  const gone = lost.filter(
    id => lstatSync(`${area.versions.base}/${hexOf(id)}`, { throwIfNoEntry: false }) === undefined,
  )
  return { back, lost: gone, waiting, twins }
}

/**
 * The same content lies under its own name, or did until that inode was written to and went back to the user. One of the two goes, once it is
 * known that the other one is what its name says. False: that is not known yet.
 */
function settleTwin(area: AreaHandle, twin: string, content: ContentId, read: Verdict | undefined): boolean {
  const name = contentName(content)
  const plain = `${area.versions.base}/${name}`
  const stats = lstatSync(plain, { bigint: true, throwIfNoEntry: false })
  if (stats === undefined) {
    renameSync(twin, plain)
    return true
  }
  if (read?.seal == null || read.state === 'gone' || !isSealed(read.seal, stats)) return false
  if (read.state === 'sound') unlinkSync(twin)
  else {
    renameSync(plain, `${area.damaged.base}/${name}-${Date.now().toString(36)}`)
    renameSync(twin, plain)
    syncDirectory(area.damaged)
    syncDirectory(area.versions)
  }
  return true
}

/** Names in versions of contents of which an inode is still waited for, without what tells twins apart. */
export function lateNames(area: AreaHandle): ReadonlySet<string> {
  return new Set(readLate(area).map(({ name }) => plainName(name)))
}

function plainName(name: string): string {
  return name.split(TWIN)[0] ?? name
}

/** Under its old name where that is free (it was removed: an edit beats a delete), else as a copy beside what replaced it. */
function returnToUser(area: AreaHandle, path: string, entry: LateEntry): string {
  const { directory, name } = splitPath(entry.path)
  const stamp = new Date(entry.time).toISOString().slice(0, 19).replace('T', ' ').replaceAll(':', '-')
  const copy = withSuffix(name, `conflict ${stamp} late`)
  let taken = false
  try {
    taken = area.inside(directory, parent => lookAt(parent, name) !== undefined)
  } catch {
    // Its directory is gone: it comes back in the root.
  }
  const to = taken ? copy : name
  return bringBackTo(area, path, directory === '' ? to : `${directory}/${to}`)
}

function readLate(area: AreaHandle): LateEntry[] {
  let text: string
  try {
    text = readOwn(`${area.area.base}/${LATE_FILE}`).toString()
  } catch {
    // None yet.
    return []
  }
  const entries = new Map<string, LateEntry>()
  for (const json of text.split('\n')) {
    const entry = decode(json)
    if (entry !== undefined) entries.set(entry.name, entry)
  }
  return [...entries.values()]
}

/** Checked by hand: a worker that needs nothing else of the schemas' library starts in half the time. */
function decode(json: string): LateEntry | undefined {
  let line: Record<string, unknown> | null
  try {
    line = JSON.parse(json)
  } catch {
    // The last line may be torn by a crash.
    return undefined
  }
  const { name, path, ino, size, mtimeNs, time } = line ?? {}
  if (!matches(name, NAME) || typeof path !== 'string' || typeof time !== 'number') return undefined
  if (!matches(ino, NATURAL) || !matches(size, NATURAL) || !matches(mtimeNs, INTEGER)) return undefined
  return { name, path, time, seal: { ino: BigInt(ino), size: BigInt(size), mtimeNs: BigInt(mtimeNs) } }
}

function matches(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value)
}

function encode(entries: readonly LateEntry[]): string {
  return entries
    .map(({ name, path, time, seal }) => {
      const { ino, size, mtimeNs } = seal
      return `${JSON.stringify({ name, path, ino: `${ino}`, size: `${size}`, mtimeNs: `${mtimeNs}`, time })}\n`
    })
    .join('')
}
