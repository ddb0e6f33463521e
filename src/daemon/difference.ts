// What `kith diff` compares: two versions of a file, or two states of a directory. Which two, and what differs; the lines are compared
// where they are shown, so that a long text holds up no daemon.

import { printable } from '../core/display.ts'
import type { Facts, Kind } from '../core/entry.ts'
import { isKithError, KithError } from '../core/errors.ts'
import type { ContentId, DeviceId } from '../core/ids.ts'
import { isWithin } from '../core/names.ts'
import type { Change, FileVersion } from '../core/past.ts'
import type { Waiting } from '../core/ports.ts'
import type { FolderEngine } from '../core/status.ts'
import { MERGE_LIMIT_BYTES, readText } from '../sync/merge-text.ts'
import { byStart } from './by-start.ts'

export type Moment = { readonly version: string } | { readonly time: number } | null

export interface DiffSide {
  readonly id: string | null
  /** ms; null: now. */
  readonly time: number | null
  readonly device: DeviceId | null
  readonly size: number
  /** It did not exist. */
  readonly gone: boolean
}

export interface Difference {
  readonly from: DiffSide
  readonly to: DiffSide
  /** Of two texts. */
  readonly text: { readonly from: string; readonly to: string } | null
  /** Of a directory. */
  readonly changes: readonly Change[] | null
}

const NOTHING: DiffSide = { id: null, time: null, device: null, size: 0, gone: true }

export async function findDifference(
  engine: FolderEngine,
  path: string,
  moments: { readonly from: Moment; readonly to: Moment },
  options: Waiting,
): Promise<Difference> {
  const versions = path === '' ? [] : await engine.archive.history(path, options)
  const [newest] = versions
  if (newest === undefined || newest.kind === 'directory') return ofDirectory(engine, path, versions, moments, options)
  return ofFile(engine, path, versions, moments, options)
}

// -- files

async function ofFile(
  engine: FolderEngine,
  path: string,
  versions: readonly FileVersion[],
  moments: { readonly from: Moment; readonly to: Moment },
  options: Waiting,
): Promise<Difference> {
  const to = moments.to === null ? (versions[0] ?? null) : pick(versions, moments.to)
  const from = moments.from === null ? before(versions, to, besideIt(engine, path)) : pick(versions, moments.from)
  const texts = await Promise.all([textOf(engine, from, options), textOf(engine, to, options)])
  const [a, b] = texts
  return {
    from: sideOf(from),
    to: sideOf(to),
    text: a === null || b === null ? null : { from: a, to: b },
    changes: null,
  }
}

/** The newest older one with another content. */
function before(
  versions: readonly FileVersion[],
  to: FileVersion | null,
  beside: ReadonlySet<ContentId>,
): FileVersion | null {
  const older = (to === null ? versions : versions.slice(versions.indexOf(to) + 1)).filter(
    version => isGone(version) || !beside.has(version.facts.content),
  )
  return older.find(version => to === null || isGone(version) !== isGone(to) || !sameContent(version, to)) ?? null
}

/** What others made of it at the same time, if nobody has decided yet: it did not come of that. */
function besideIt(engine: FolderEngine, path: string): ReadonlySet<ContentId> {
  const versions = engine.conflicts().find(each => each.versions.some(version => version.path === path))?.versions ?? []
  return new Set(versions.filter(version => version.path !== path).map(version => version.content))
}

function sameContent(a: FileVersion, b: FileVersion): boolean {
  return a.facts.content === b.facts.content && a.kind === b.kind
}

function pick(versions: readonly FileVersion[], moment: Exclude<Moment, null>): FileVersion | null {
  if ('version' in moment) return byStart(moment.version, versions, 'kith history')
  return versions.find(version => version.time <= moment.time) ?? null
}

function isGone(version: FileVersion): boolean {
  return version.action === 'deleted'
}

function sideOf(version: FileVersion | null): DiffSide {
  if (version === null) return NOTHING
  const { id, time, device, facts } = version
  const gone = isGone(version)
  return { id, time, device, size: gone ? 0 : facts.size, gone }
}

/** Null where it is no text, or too long to compare. */
async function textOf(engine: FolderEngine, version: FileVersion | null, options: Waiting): Promise<string | null> {
  if (version === null || isGone(version)) return ''
  const { content, size } = version.facts
  if (size > MERGE_LIMIT_BYTES) return null
  const parts: Uint8Array[] = []
  try {
    if (size > 0) for await (const part of engine.archive.read(content, size, options)) parts.push(part)
  } catch (error) {
    if (!isKithError(error) || error.code !== 'content-missing') throw error
    const id = version.id.slice(0, 8)
    throw new KithError('content-missing', `Version ${id} lies on no device that answers: switch on one that has it.`)
  }
  return readText(Buffer.concat(parts))
}

// -- directories

interface Standing {
  readonly kind: Kind
  readonly facts: Facts
}

async function ofDirectory(
  engine: FolderEngine,
  path: string,
  versions: readonly FileVersion[],
  moments: { readonly from: Moment; readonly to: Moment },
  options: Waiting,
): Promise<Difference> {
  const from = timeOf(moments.from, versions)
  const to = timeOf(moments.to, versions)
  if (from === null) {
    const what = path === '' ? 'The whole folder' : `"${printable(path)}"`
    throw new KithError(
      'bad-usage',
      `${what} is a directory: say with --at since when, and with a second --at until when.`,
    )
  }
  const then = await stateAt(engine, path, from, options)
  const now = to === null ? stateNow(engine, path) : await stateAt(engine, path, to, options)
  const side = (time: number | null, state: ReadonlyMap<string, Standing>): DiffSide => {
    return { id: null, time, device: null, size: sizeOf(state), gone: path !== '' && state.size === 0 }
  }
  return { from: side(from, then), to: side(to, now), text: null, changes: compare(then, now) }
}

function timeOf(moment: Moment, versions: readonly FileVersion[]): number | null {
  if (moment === null) return null
  return 'time' in moment ? moment.time : byStart(moment.version, versions, 'kith history').time
}

async function stateAt(
  engine: FolderEngine,
  path: string,
  at: number,
  options: Waiting,
): Promise<ReadonlyMap<string, Standing>> {
  return new Map(
    (await engine.archive.treeAt(path, at, options)).map(({ path: where, kind, facts }) => [where, { kind, facts }]),
  )
}

function stateNow(engine: FolderEngine, path: string): ReadonlyMap<string, Standing> {
  const state = new Map<string, Standing>()
  for (const { path: at, entry } of engine.entries()) {
    if (isWithin(at, path)) state.set(at, { kind: entry.kind, facts: entry.facts })
  }
  return state
}

function sizeOf(state: ReadonlyMap<string, Standing>): number {
  let bytes = 0
  for (const { kind, facts } of state.values()) if (kind !== 'directory') bytes += facts.size
  return bytes
}

/** In order of the path; a file that went and one that came with the same content, and no other of it, are one that moved. */
function compare(then: ReadonlyMap<string, Standing>, now: ReadonlyMap<string, Standing>): Change[] {
  const gone = only(then, now)
  const come = only(now, then)
  const changes: Change[] = []
  const moved = new Set<string>()
  const goneBy = byContent(gone)
  const comeBy = byContent(come)
  for (const [content, paths] of comeBy) {
    const [path] = paths
    const [from] = goneBy.get(content) ?? []
    const standing = path === undefined ? undefined : now.get(path)
    if (path === undefined || from === undefined || standing === undefined) continue
    if (paths.length > 1 || (goneBy.get(content)?.length ?? 0) > 1) continue
    moved.add(path).add(from)
    changes.push({ action: 'move', ...standing, path, from })
  }
  for (const [path, standing] of come)
    if (!moved.has(path)) changes.push({ action: 'create', ...standing, path, from: null })
  for (const [path, standing] of gone)
    if (!moved.has(path)) changes.push({ action: 'delete', ...standing, path, from: null })
  for (const [path, standing] of now) {
    const was = then.get(path)
    if (was !== undefined && was.kind === standing.kind && differs(was.facts, standing.facts))
      changes.push({ action: 'edit', ...standing, path, from: null })
  }
  return changes.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
}

/** What the other does not have there, or has as another kind. */
function only(
  state: ReadonlyMap<string, Standing>,
  other: ReadonlyMap<string, Standing>,
): ReadonlyMap<string, Standing> {
  return new Map([...state].filter(([path, { kind }]) => other.get(path)?.kind !== kind))
}

function byContent(state: ReadonlyMap<string, Standing>): Map<string, string[]> {
  const by = new Map<string, string[]>()
  for (const [path, { kind, facts }] of state) {
    if (kind === 'directory' || facts.size === 0) continue
    by.set(facts.content, [...(by.get(facts.content) ?? []), path])
  }
  return by
}

function differs(a: Facts, b: Facts): boolean {
  return a.content !== b.content || a.mode !== b.mode
}
