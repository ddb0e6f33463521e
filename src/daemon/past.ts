// What the local API can ask about the past, in the API's own shapes: the folder is found from the path, versions by the start of their id,
// devices get their names. What was, and how it comes back, is decided by each folder's archive.

import { localTime, printable } from '../core/display.ts'
import { isKithError, KithError } from '../core/errors.ts'
import { type DeviceId, hexOf } from '../core/ids.ts'
import { isWithin } from '../core/names.ts'
import type { Change, DamagedFile, FileVersion, RewindOutcome, Whereabouts } from '../core/past.ts'
import type { Network, Waiting } from '../core/ports.ts'
import type { FolderEngine } from '../core/status.ts'
import { type CopyItem, copyOut } from '../disk/copy-out.ts'
import type {
  AcceptedBody,
  ChangeBody,
  CopiedBody,
  CopiesBody,
  DiffBody,
  DiffRequest,
  HistoryBody,
  OutcomeBody,
  ResolvedBody,
  RestoreCopyRequest,
  RestoreRequest,
  TreeBody,
  UndoRequestBody,
  VerifyBody,
  VersionBody,
} from './api/schema.ts'
import { byStart } from './by-start.ts'
import { type DiffSide, findDifference } from './difference.ts'
import type { Folders } from './folders.ts'
import { followDisk } from './follow.ts'
import { locate } from './locate.ts'
import { everyDevice, findDevice } from './names.ts'

export interface PastDeps {
  readonly network: Pick<Network, 'device' | 'name' | 'devices'>
  readonly folders: Folders
}

/** Of damaged files it is looked up what else there is. */
const MOST_REMEDIES = 20

/** Problems that keep what is newer from this disk. */
const BEHIND: ReadonlySet<string> = new Set(['unreadable', 'content-missing'])

interface Spot {
  readonly engine: FolderEngine
  /** Relative to the folder. */
  readonly path: string
}

export class Past {
  readonly #deps: PastDeps

  constructor(deps: PastDeps) {
    this.#deps = deps
  }

  async history(given: string, options: Waiting): Promise<HistoryBody> {
    const { engine, path } = await this.#spot(given)
    const versions = await engine.archive.history(path, options)
    const now = engine.archive.whereabouts(path, versions)
    return {
      folder: engine.name,
      path,
      versions: versions.map(version => this.#version(version)),
      now: now === null ? null : await this.#standing(engine, now, versions, options),
      away: this.#away(engine),
    }
  }

  /** The tree as it is, or was. */
  async tree(given: string, at: number | null, options: Waiting): Promise<TreeBody> {
    const { engine, path } = await this.#spot(given)
    const entries =
      at === null ? await this.#now({ engine, path }, options) : await this.#then({ engine, path }, at, options)
    if (entries.length === 0 && path !== '') throw nothingAt(path, engine, at)
    return { folder: engine.name, path, at: at === null ? null : timeText(at), entries }
  }

  async diff(request: DiffRequest, options: Waiting): Promise<DiffBody> {
    const { engine, path } = await this.#spot(request.path)
    const found = await findDifference(engine, path, timed(request), options)
    const side = ({ id, time, device, size, gone }: DiffSide): DiffBody['from'] => {
      const by = device === null ? null : this.#name(device)
      return { id, time: time === null ? null : timeText(time), device: by, size, gone }
    }
    const { changes, text } = found
    return {
      folder: engine.name,
      path,
      from: side(found.from),
      to: side(found.to),
      text,
      changes: changes?.map(change => changeBody(engine, change)) ?? null,
    }
  }

  async restore(request: RestoreRequest, options: Waiting): Promise<OutcomeBody> {
    const { engine, path } = await this.#spot(request.path)
    const at = request.at === undefined ? null : Date.parse(request.at)
    const version = request.version === undefined ? null : await fileVersion(engine, path, request.version, options)
    const { keepNew, dryRun } = request
    const outcome = await engine.archive.restore({
      path,
      at,
      version: version?.id ?? null,
      keepNew,
      dryRun,
      signal: options.signal,
    })
    const body = await this.#outcome([{ engine, outcome }], options)
    const isNothing = outcome.changes.length + outcome.missing.length + outcome.unclear.length === 0
    return isNothing ? { ...body, behind: behindOf(engine, path, version) } : body
  }

  /** `restore --to`: to a place of its own, as a copy. */
  async restoreCopy(
    request: RestoreCopyRequest,
    options: Waiting & { onProgress(files: number, bytes: number): void },
  ): Promise<CopiedBody> {
    const { engine, path } = await this.#spot(request.path)
    const items = await this.#itemsOf({ engine, path }, request, options)
    const deps = { read: engine.archive.read.bind(engine.archive) }
    // From the first to the last: copying may take longer than a version would stay.
    const unpin = engine.archive.pin(items.filter(item => item.kind !== 'directory').map(item => item.facts.content))
    try {
      const { to, files, bytes, missing } = await copyOut(deps, items, request.to, options)
      return { folder: engine.name, path, to, files, bytes, missing: missing.map(item => item.path) }
    } finally {
      unpin()
    }
  }

  async undo(request: UndoRequestBody, options: Waiting): Promise<OutcomeBody> {
    const device = this.#deviceOf(request.device)
    const { folders } = this.#deps
    const engines = request.folder === undefined ? folders.engines() : [folders.engine(request.folder)]
    const since = Date.parse(request.since)
    const outcomes: { engine: FolderEngine; outcome: RewindOutcome }[] = []
    for (const engine of engines) {
      const { dryRun } = request
      outcomes.push({ engine, outcome: await engine.archive.undo({ device, since, dryRun, signal: options.signal }) })
    }
    return this.#outcome(outcomes, options)
  }

  async resolve(given: string, keep: string, options: Waiting): Promise<ResolvedBody> {
    const { engine, path } = await this.#spot(given)
    const conflict = engine
      .conflicts()
      .find(each => each.path === path || each.versions.some(version => version.path === path))
    if (conflict === undefined) {
      throw new KithError('not-found', `"${printable(path)}" is in no conflict: "kith conflicts" lists them.`)
    }
    const kept = keep === 'both' ? keep : byStart(keep, conflict.versions, 'kith conflicts').id
    await engine.archive.resolve(conflict.path, kept, options)
    return { folder: engine.name, path: conflict.path, kept }
  }

  async verify(
    name: string | undefined,
    options: Waiting & { onProgress(checked: number, bytes: number): void },
  ): Promise<VerifyBody> {
    const { folders } = this.#deps
    const total: VerifyBody = {
      ...{ checked: 0, bytes: 0, unverified: 0, unverifiedFiles: [], paused: [], damaged: [], drills: [] },
    }
    for (const engine of name === undefined ? folders.engines() : [folders.engine(name)]) {
      // Asked for by name it is refused; among all it is left out, and told.
      if (name === undefined && engine.status().state === 'paused') {
        total.paused.push(engine.name)
        continue
      }
      const onProgress = (checked: number, bytes: number): void =>
        options.onProgress(total.checked + checked, total.bytes + bytes)
      const found = await engine.archive.verify({ signal: options.signal, onProgress })
      const { checked, bytes, unverified, damaged, drill } = found
      if (drill !== null) total.drills.push({ folder: engine.name, ...drill, time: timeText(drill.time) })
      total.checked += checked
      total.bytes += bytes
      total.unverified += unverified.length
      const named = unverified.filter(({ path }) => path !== '')
      total.unverifiedFiles.push(...named.map(({ path }) => ({ folder: engine.name, path })))
      for (const [at, file] of damaged.entries())
        total.damaged.push({ ...damagedBody(engine, file), ...(await this.#remedy(engine, file, at, options)) })
    }
    return total
  }

  /** Where else what is damaged may be had, or what was before it. */
  async #remedy(
    engine: FolderEngine,
    { path, version, repaired, content }: DamagedFile,
    at: number,
    options: Waiting,
  ): Promise<Pick<VerifyBody['damaged'][number], 'away' | 'earlier'>> {
    if (repaired || version) return { away: [], earlier: null }
    const away = this.#away(engine).map(each => each.name)
    // Whole disks that fail would have all devices read their journals for each file.
    if (at >= MOST_REMEDIES) return { away, earlier: null }
    const versions = await engine.archive.history(path, options).catch((error: unknown) => {
      if (isKithError(error) && error.code === 'not-found') return []
      throw error
    })
    const earlier = versions.find(
      ({ kind, action, facts, holders }) =>
        kind === 'file' && action !== 'deleted' && facts.content !== content && holders.length > 0,
    )
    return { away, earlier: earlier?.id ?? null }
  }

  async accept(given: string, options: Waiting): Promise<AcceptedBody> {
    const { engine, path } = await this.#spot(given)
    return { folder: engine.name, path, outcome: await engine.archive.accept(path, options) }
  }

  /** Devices that have the folder and are not linked now. */
  #away(engine: FolderEngine): HistoryBody['away'] {
    const devices = this.#deps.network.devices()
    const holders = new Set(engine.status().peers.map(({ id }) => id))
    return devices.flatMap(({ id, name, connected }) =>
      holders.has(id) && !connected && id !== this.#deps.network.device ? [{ id, name }] : [],
    )
  }

  /** Of one path, or of all folders. */
  async copies(given: string | undefined, options: Waiting): Promise<CopiesBody> {
    const engines = this.#deps.folders.engines()
    const spots = given === undefined ? engines.map(engine => ({ engine, path: '' })) : [await this.#spot(given)]
    const all: CopiesBody = {
      devices: everyDevice(this.#deps.network).length,
      files: [],
      atRisk: { files: 0, bytes: 0 },
      stale: [],
    }
    const stale = new Map<DeviceId, number | null>()
    for (const { engine, path } of spots) {
      const copies = await engine.archive.copies(path, options)
      if (copies.files.length === 0 && path !== '' && !isShown(engine, path)) throw nothingAt(path, engine, null)
      const damaged = damagedPaths(engine)
      for (const file of copies.files) {
        const holders = file.holders.map(id => this.#name(id))
        const here = file.holders.includes(this.#deps.network.device)
        const { path: at, size } = file
        all.files.push({ folder: engine.name, path: at, size, holders, here, damaged: damaged.has(at) })
      }
      all.atRisk.files += copies.atRisk.files
      all.atRisk.bytes += copies.atRisk.bytes
      for (const { device, asOf } of copies.stale) {
        const before = stale.get(device)
        stale.set(device, before == null || asOf === null ? (before ?? asOf) : Math.min(before, asOf))
      }
    }
    for (const [id, asOf] of stale)
      all.stale.push({ id, name: this.#name(id), asOf: asOf === null ? null : timeText(asOf) })
    return all
  }

  /** What was changed, and what of it this disk does not show after a while. */
  async #outcome(
    outcomes: readonly { engine: FolderEngine; outcome: RewindOutcome }[],
    options: Waiting,
  ): Promise<OutcomeBody> {
    const pending: OutcomeBody['pending'] = []
    for (const { engine, outcome } of outcomes) {
      const left = outcome.done && outcome.changes.length > 0 ? await followDisk(engine, options) : null
      if (left !== null) pending.push({ folder: engine.name, ...left })
    }
    const kept = outcomes.flatMap(({ engine, outcome }) =>
      outcome.kept.map(({ path, by }) => ({ folder: engine.name, path, by: by === null ? null : this.#name(by) })),
    )
    const silent = [...new Set(outcomes.flatMap(({ outcome }) => outcome.silent))]
    return {
      ...outcomeBody(outcomes),
      behind: [],
      silent: silent.map(id => ({ id, name: this.#name(id) })),
      kept,
      pending,
    }
  }

  // -- what a restore to elsewhere copies

  async #itemsOf(spot: Spot, request: RestoreCopyRequest, options: Waiting): Promise<readonly CopyItem[]> {
    const { engine, path } = spot
    if (request.version !== undefined) {
      const { kind, facts } = await fileVersion(engine, path, request.version, options)
      return [{ kind, path: '', facts }]
    }
    const changes =
      request.at === undefined
        ? await this.#lastOf(spot, options)
        : await engine.archive.treeAt(path, Date.parse(request.at), options)
    if (changes.length === 0) throw nothingAt(path, engine, request.at === undefined ? null : Date.parse(request.at))
    const items = changes.map(({ kind, path: at, facts }) => ({ kind, path: relative(path, at), facts }))
    // Where it is more than one file, the directory that they are in is made too.
    const whole = items.some(item => item.path === '')
    return whole ? items : [{ kind: 'directory' as const, path: '', facts: ROOT_FACTS }, ...items]
  }

  /** What is gone, as it was before. */
  async #lastOf({ engine, path }: Spot, options: Waiting): Promise<readonly Change[]> {
    const { changes } = await engine.archive.restore({
      path,
      at: null,
      version: null,
      keepNew: true,
      dryRun: true,
      signal: options.signal,
    })
    return changes.filter(change => change.action !== 'delete' && isWithin(change.path, path))
  }

  // -- the tree

  async #now({ engine, path }: Spot, options: Waiting): Promise<TreeBody['entries']> {
    const { files } = await engine.archive.copies(path, options)
    const copies = new Map(files.map(file => [file.path, file.holders.length]))
    const entries: TreeBody['entries'] = []
    for (const { path: at, entry, device } of engine.entries()) {
      if (!isWithin(at, path)) continue
      const { kind, facts } = entry
      const held = kind === 'directory' ? null : (copies.get(at) ?? null)
      const by = device === null ? null : this.#name(device)
      entries.push({ path: at, kind, size: facts.size, time: timeText(facts.mtime), device: by, copies: held })
    }
    return entries.sort(byPath)
  }

  async #then({ engine, path }: Spot, at: number, options: Waiting): Promise<TreeBody['entries']> {
    const stood = await engine.archive.treeAt(path, at, options)
    const files = stood.filter(({ kind }) => kind !== 'directory')
    const holders = await engine.archive.holders(
      files.map(({ facts }) => facts.content),
      options,
    )
    return stood
      .map(({ path: where, kind, facts, device }) => {
        const copies = kind === 'directory' ? null : (holders.get(facts.content)?.length ?? 0)
        const by = device === null ? null : this.#name(device)
        return { path: where, kind, size: facts.size, time: timeText(facts.mtime), device: by, copies }
      })
      .sort(byPath)
  }

  // -- names

  async #spot(given: string): Promise<Spot> {
    const { folders } = this.#deps
    const { record, path } = await locate(given, folders.records())
    return { engine: folders.engine(record.id), path }
  }

  async #standing(
    engine: FolderEngine,
    { path, kind, facts, copyOf }: Whereabouts,
    versions: readonly FileVersion[],
    options: Waiting,
  ): Promise<NonNullable<HistoryBody['now']>> {
    const { archive } = engine
    const { content, size } = facts
    const damaged = damagedPaths(engine).has(path)
    // Those that told of it were asked already.
    const told = kind === 'directory' ? [] : versions.find(version => version.facts.content === content)?.holders
    const holders = told ?? (await archive.holders([content], options)).get(content) ?? []
    return { path, kind, size, hash: hexOf(content), devices: holders.map(id => this.#name(id)), copyOf, damaged }
  }

  #version(version: FileVersion): VersionBody {
    const { id, action, kind, path, from, facts, here } = version
    return {
      id,
      time: timeText(version.time),
      device: this.#name(version.device),
      deviceId: version.device,
      action,
      kind,
      path,
      from,
      size: facts.size,
      hash: hexOf(facts.content),
      here,
      devices: version.holders.map(holder => this.#name(holder)),
    }
  }

  /** One that is paired, this one, or, by its whole id, one that was. */
  #deviceOf(name: string): DeviceId {
    try {
      return findDevice(name, everyDevice(this.#deps.network)).id
    } catch (error) {
      const whole = /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/.test(name)
      if (whole && isKithError(error) && error.code === 'device-unknown') return name as DeviceId
      throw error
    }
  }

  #name(id: DeviceId): string {
    return everyDevice(this.#deps.network).find(device => device.id === id)?.name ?? id
  }
}

const ROOT_FACTS = { content: '' as CopyItem['facts']['content'], size: 0, mtime: 0, mode: 0o755 }

function outcomeBody(
  outcomes: readonly { engine: FolderEngine; outcome: RewindOutcome }[],
): Omit<OutcomeBody, 'silent' | 'kept' | 'pending' | 'behind'> {
  const all = (pick: (outcome: RewindOutcome) => readonly Change[]): ChangeBody[] =>
    outcomes.flatMap(({ engine, outcome }) => pick(outcome).map(change => changeBody(engine, change)))
  return {
    done: outcomes.some(({ outcome }) => outcome.done),
    changes: all(outcome => outcome.changes),
    missing: all(outcome => outcome.missing),
    unclear: outcomes.flatMap(({ engine, outcome }) => outcome.unclear.map(path => ({ folder: engine.name, path }))),
  }
}

function changeBody(engine: FolderEngine, { action, kind, path, from, facts }: Change): ChangeBody {
  return { folder: engine.name, action, kind, path, from, size: facts.size }
}

function damagedBody(
  engine: FolderEngine,
  { path, version, content, repaired, unreadable = false }: DamagedFile,
): Omit<VerifyBody['damaged'][number], 'away' | 'earlier'> {
  return { folder: engine.name, root: engine.path, path, version, hash: hexOf(content), repaired, unreadable }
}

/** Known not to be on this disk what they should be. */
function damagedPaths(engine: FolderEngine): ReadonlySet<string> {
  return new Set(engine.status().problems.flatMap(({ code, path }) => (code === 'damaged' ? [path] : [])))
}

/** A version of a file, by the start of its id. */
async function fileVersion(engine: FolderEngine, path: string, start: string, options: Waiting): Promise<FileVersion> {
  const found = byStart(start, await engine.archive.history(path, options), 'kith history')
  if (found.kind !== 'directory') return found
  const what = path === '' ? 'That' : `"${printable(path)}"`
  throw new KithError('bad-usage', `${what} is a directory: say with --at as of when.`)
}

/** What this disk does not show though all devices agreed on it: it is what a restore compares with. */
function behindOf(engine: FolderEngine, path: string, version: FileVersion | null): OutcomeBody['behind'] {
  const folder = engine.name
  const problems = engine
    .status()
    .problems.filter(({ code, path: at }) => BEHIND.has(code) && at !== '' && isWithin(at, path))
  if (problems.length > 0) return problems.map(({ path: at, message }) => ({ folder, path: at, message }))
  if (version === null) return []
  const now = engine.archive.whereabouts(path, [version])
  const isSame = now === null || now.path !== path || now.facts.content === version.facts.content
  return isSame ? [] : [{ folder, path, message: 'a newer version is still on its way to this disk' }]
}

/** A directory may have no file in it. */
function isShown(engine: FolderEngine, path: string): boolean {
  for (const shown of engine.entries()) if (isWithin(shown.path, path)) return true
  return false
}

function nothingAt(path: string, engine: FolderEngine, at: number | null): KithError {
  const when = at === null ? 'is nothing' : `was nothing on ${localTime(at)}`
  return new KithError('not-found', `There ${when} at "${printable(path)}" in "${printable(engine.name)}".`)
}

function timed({ from, to, at, until }: DiffRequest) {
  const pick = (version: string | undefined, time: string | undefined) =>
    version !== undefined ? { version } : time !== undefined ? { time: Date.parse(time) } : null
  return { from: pick(from, at), to: pick(to, until) }
}

function relative(top: string, path: string): string {
  return top === '' ? path : path.slice(top.length + 1)
}

function byPath(a: { path: string }, b: { path: string }): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : 0
}

function timeText(ms: number): string {
  return new Date(ms).toISOString()
}
