// The past of one folder, for whoever asks: its history, what it showed at any time, bringing that back, and on how many devices things
// are. It puts the parts together and holds no state of its own.
import { printable } from '../core/display.ts'
import { plainFacts } from '../core/entry.ts'
import { isKithError, KithError } from '../core/errors.ts'
import type { ContentId, DeviceId, NodeId } from '../core/ids.ts'
import { ROOT_ROW } from '../core/ids.ts'
import type { FileVersion, RewindOutcome, Stood, Whereabouts } from '../core/past.ts'
import type { FolderStore, Waiting } from '../core/ports.ts'
import type { RowTable } from '../core/rows.ts'
import type {
  Acceptance,
  CopiesStatus,
  FolderArchive,
  RewindRequest,
  UndoRequest,
  VerifyOutcome,
} from '../core/status.ts'
import { entryAt, entryPath, listConflicts, resolutionOf } from './conflicts.ts'
import { type Absent, type CopiesDeps, copiesOf, heldOnlyBy } from './copies.ts'
import { askForDeeds } from './deeds.ts'
import { refuseStanding } from './gone-from.ts'
import type { History } from './history.ts'
import type { Holdings } from './holdings.ts'
import { type ReaderDeps, readContent } from './reader.ts'
import type { Replica } from './replica.ts'
import type { Restore } from './restore.ts'
import type { RewindStep } from './rewind.ts'
import { type PlanDeps, planGone, planMoment, planUndo, planVersion, treeThen, type UndoPlan } from './rewind-plans.ts'
import type { Spot } from './strand.ts'
import type { Refusal, Turns } from './turns.ts'

export interface ArchiveDeps extends Omit<ReaderDeps, 'rows'> {
  readonly device: DeviceId
  readonly store: FolderStore
  /** The wall clock. */
  readonly now: () => number
  readonly holdings: Holdings
  readonly history: History
  readonly restore: Restore
  readonly turns: Turns
  /** Throws KithError `stopped` where nothing is loaded. */
  readonly replica: () => Replica
  readonly absent: () => readonly Absent[]
  readonly refusal: () => Refusal
  /** The shared tree says something new. */
  readonly onRevised: () => void
  readonly verify: FolderArchive['verify']
  readonly accept: FolderArchive['accept']
}

export class Archive implements FolderArchive {
  readonly #deps: ArchiveDeps

  constructor(deps: ArchiveDeps) {
    this.#deps = deps
  }

  async history(path: string, options: Waiting): Promise<readonly FileVersion[]> {
    const found = await this.#deps.history.versions({ path, stands: this.#standing(path) }, options)
    const versions = found.length > 0 ? found : this.#untold(path)
    if (versions.length === 0)
      throw new KithError('not-found', `No device that answers knows anything of ${nameOf(path)}.`)
    return versions
  }

  whereabouts(path: string, versions: readonly FileVersion[]): Whereabouts | null {
    const { tree, rows } = this.#deps.replica()
    const [newest] = versions
    const there = entryAt(tree, path)
    if (there !== undefined) {
      const at = entryPath(tree, there)
      const conflict = listConflicts(tree).find(each => each.versions.some(version => version.path === at))
      const copyOf = conflict === undefined || conflict.path === at ? null : conflict.path
      return { path: at, kind: there.kind, facts: there.facts, copyOf }
    }
    const row = rows.at(path)
    if (row !== undefined) return { path, kind: row.kind, facts: plainFacts(row), copyOf: null }
    if (newest === undefined || (newest.action === 'deleted' && newest.path === path)) return null
    const [moved] = tree.entriesOf(newest.node)
    return moved === undefined
      ? null
      : { path: entryPath(tree, moved), kind: moved.kind, facts: moved.facts, copyOf: null }
  }

  async treeAt(path: string, at: number, options: Waiting): Promise<readonly Stood[]> {
    const { turns, store, now, replica } = this.#deps
    const deps = (): PlanDeps => ({ rows: replica().rows, store, now: now() })
    const plan = (): Promise<Stood[]> => treeThen(deps(), { path, at }, options)
    return turns.take(plan, () => null, options)
  }

  async restore(request: RewindRequest): Promise<RewindOutcome> {
    const { path, at, version, keepNew, dryRun, signal } = request
    const { store, now } = this.#deps
    const wanted = version === null ? null : await this.#version(path, version, { signal })
    const outcome = await this.#deps.restore.run(
      async rows => {
        const deps = { rows, store, now: now() }
        if (wanted !== null) return planVersion(deps, { ...wanted, path })
        if (at === null) {
          await refuseStanding(rows, store, path, { signal })
          return planGone(deps, path, { signal })
        }
        return planMoment(deps, { path, at, keepNew }, { signal })
      },
      { dryRun, signal },
    )
    if (outcome.done) this.#deps.onRevised()
    return outcome
  }

  async undo({ device, since, dryRun, signal }: UndoRequest): Promise<RewindOutcome> {
    const { store, now } = this.#deps
    const asked = await askForDeeds(this.#deps, { device, since }, { signal })
    let told: Omit<UndoPlan, 'steps'> = { unclear: [], kept: [] }
    const plan = async (rows: RowTable): Promise<readonly RewindStep[]> => {
      const { steps, ...rest } = await planUndo(
        { rows, store, now: now() },
        { since, deedsOf: asked.begin() },
        { signal },
      )
      told = rest
      return steps
    }
    const outcome = await this.#deps.restore.run(plan, { dryRun, signal })
    if (outcome.done) this.#deps.onRevised()
    return { ...outcome, ...told, silent: told.unclear.length > 0 ? asked.silent : [] }
  }

  async resolve(path: string, keep: string, options: Waiting): Promise<void> {
    const { turns, replica, refusal } = this.#deps
    const decide = async (): Promise<void> => {
      const live = replica()
      live.tree.resolve(resolutionOf(live.tree, path, keep))
      await live.commit({})
    }
    await turns.take(decide, refusal, options)
    this.#deps.onRevised()
  }

  read(content: ContentId, size: number, options: Waiting): AsyncIterable<Uint8Array> {
    return readContent({ ...this.#deps, rows: () => this.#deps.replica().rows }, content, size, options)
  }

  pin(contents: readonly ContentId[]): () => void {
    return this.#deps.holdings.pin(contents)
  }

  async verify(options: Parameters<FolderArchive['verify']>[0]): Promise<VerifyOutcome> {
    const refusal = this.#deps.refusal()
    // What could be mended would not be, and rows may not be what the disk shows.
    if (isKithError(refusal) && refusal.code === 'folder-paused') throw refusal
    return this.#deps.verify(options)
  }

  accept(path: string, options: Waiting): Promise<Acceptance> {
    return this.#deps.accept(path, options)
  }

  async copies(path: string, options: Waiting): Promise<CopiesStatus> {
    return copiesOf(this.#copies(), path, options)
  }

  async holders(
    contents: readonly ContentId[],
    options: Waiting,
  ): Promise<ReadonlyMap<ContentId, readonly DeviceId[]>> {
    const { device, holdings } = this.#deps
    const found = await holdings.holders(contents, options)
    const here = await holdings.holds(contents, options)
    for (const content of new Set(contents.filter((_, at) => here[at] === true)))
      found.set(content, [device, ...(found.get(content) ?? [])])
    return found
  }

  async onlyOn(device: DeviceId, options: Waiting): Promise<readonly { path: string; size: number }[]> {
    return heldOnlyBy(this.#copies(), device, options)
  }

  #copies(): CopiesDeps {
    const { device, store, holdings, replica, absent } = this.#deps
    const { rows, tree } = replica()
    return { device, rows, tree, store, holdings, absent: absent() }
  }

  async #version(path: string, id: string, options: Waiting): Promise<FileVersion & { readonly node: NodeId }> {
    const found = (await this.history(path, options)).find(version => version.id === id)
    if (found === undefined)
      throw new KithError(
        'no-such-version',
        `${nameOf(path)} has no version ${printable(id)}: kith history names those it has.`,
      )
    if (found.kind === 'directory')
      throw new KithError(
        'no-such-version',
        `${nameOf(path)} was a directory then: say the time instead (--at), and it comes back with what was in it.`,
      )
    return { ...found, node: this.#deps.replica().rows.at(path)?.nodes[0]?.id ?? ('' as NodeId) }
  }

  /** What all devices agreed on stands there, though it may be on its way to this disk; else what this disk shows. */
  #standing(path: string): Spot['stands'] {
    const { tree, rows } = this.#deps.replica()
    const entry = entryAt(tree, path)
    if (entry !== undefined) return { nodes: entry.nodes, content: entry.facts.content }
    const row = rows.at(path)
    return row === undefined ? null : { nodes: row.nodes.map(ref => ref.id), content: row.content }
  }

  /** What is there though no journal speaks of it: a database was lost. */
  #untold(path: string): FileVersion[] {
    const { replica, device } = this.#deps
    const { rows, tree } = replica()
    const row = rows.at(path)
    if (row === undefined || row.id === ROOT_ROW) return []
    const { kind } = row
    const [dot] = row.nodes.flatMap(ref => ref.versions.map(version => version.dot))
    return [
      {
        id: dot === undefined ? 'now' : `${dot.actor.toString(36)}.${dot.seq.toString(36)}`,
        time: dot?.seq ?? row.mtime,
        device: (dot && tree.actors().get(dot.actor)?.device) ?? device,
        action: 'created',
        node: row.nodes[0]?.id ?? ('' as NodeId),
        kind,
        path,
        from: null,
        facts: plainFacts(row),
        here: true,
        holders: [device],
      },
    ]
  }
}

function nameOf(path: string): string {
  return path === '' ? 'the folder itself' : `"${printable(path)}"`
}
