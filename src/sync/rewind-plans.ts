// How far back the journal is to be undone, and of what: for a moment, for what is gone, for one version, for one device. Reads the journal
// and the rows, which must not change meanwhile; writes nothing.

import { localTime, printable } from '../core/display.ts'
import type { Facts, Kind } from '../core/entry.ts'
import { KithError } from '../core/errors.ts'
import type { DeviceId, NodeId } from '../core/ids.ts'
import { isWithin } from '../core/names.ts'
import type { JournalEntry, KeptFile, Stood } from '../core/past.ts'
import type { FolderStore, Waiting } from '../core/ports.ts'
import type { RowTable } from '../core/rows.ts'
import type { DeedsOf } from './deeds.ts'
import { Rewind, type RewindStep, type Shown } from './rewind.ts'

/** Deletions no further apart than this went in one go. */
const RUN_GAP_MS = 10 * 60_000
const CHECK_EVERY = 1_000

export interface PlanDeps {
  readonly rows: RowTable
  readonly store: Pick<FolderStore, 'journal'>
  /** The wall clock. */
  readonly now: number
}

/** A part of the folder as it stood then. */
export async function planMoment(
  deps: PlanDeps,
  request: { readonly path: string; readonly at: number; readonly keepNew: boolean },
  options: Waiting,
): Promise<RewindStep[]> {
  const { path, at, keepNew } = request
  const rewind = await rewound(deps, at, options)
  await mustReachBack(deps, rewind, options)
  if (path !== '' && deps.rows.at(path) === undefined && rewind.shown(path)[Symbol.iterator]().next().done === true)
    throw nothingThen(path)
  return rewind.steps({ path, keepNew, yields: false })
}

/** What the folder showed then, below and with the path. */
export async function treeThen(
  deps: PlanDeps,
  { path, at }: { readonly path: string; readonly at: number },
  options: Waiting,
): Promise<Stood[]> {
  const rewind = await rewound(deps, at, options)
  await mustReachBack(deps, rewind, options)
  const shown = [...rewind.shown(path)]
  if (shown.length === 0 && path !== '') throw nothingThen(path)
  const writers = await writersOf(deps, shown, rewind.undone, options)
  return shown.map(each => {
    const { path: where, kind, facts } = each
    return { action: 'create', from: null, path: where, kind, facts, device: writers.get(each) ?? null }
  })
}

export interface UndoPlan {
  readonly steps: RewindStep[]
  /** Left as it is, because nobody can tell whose it was. */
  readonly unclear: readonly string[]
  /** What others changed later. */
  readonly kept: readonly KeptFile[]
}

/** Without what one device did since then, keeping what others did. */
export async function planUndo(
  deps: PlanDeps,
  { since, deedsOf }: { readonly since: number; readonly deedsOf: DeedsOf },
  options: Waiting,
): Promise<UndoPlan> {
  const rewind = await rewound(deps, since - 1, options, entry => {
    const deeds = deedsOf(entry)
    // Which of the versions is whose, and which stays, is for a person to settle first.
    if (!isInConflict(deps.rows, entry.node)) return deeds
    return deeds.map(deed => (deed.fate === 'back' ? { ...deed, fate: 'unclear' } : deed))
  })
  const unclear = rewind.unclear()
  const steps = rewind.steps({ path: '', keepNew: false, yields: true })
  return { steps, unclear, kept: rewind.kept(steps) }
}

/** One file as a version of it has it, at that path. */
export function planVersion(
  deps: PlanDeps,
  {
    path,
    kind,
    node,
    facts,
  }: { readonly path: string; readonly kind: Kind; readonly node: NodeId; readonly facts: Facts },
): RewindStep[] {
  const rewind = new Rewind(deps.rows)
  const row = deps.rows.at(path)
  const entry = { time: 0, device: '' as DeviceId, kind, path, was: { path, facts } }
  if (row !== undefined && row.kind === kind)
    rewind.undo({ ...entry, action: 'edited', node: row.nodes[0]?.id ?? node, facts: row }, 'back')
  else rewind.undo({ ...entry, action: 'deleted', node, facts }, 'back')
  return rewind.steps({ path, keepNew: true, yields: false })
}

/** What is gone, as it was before it went: a file, or a directory with the run of deletions that ended it. */
export async function planGone(deps: PlanDeps, path: string, { signal }: Waiting): Promise<RewindStep[]> {
  if (deps.rows.at(path) !== undefined)
    throw new KithError(
      'no-such-version',
      `${printable(path)} is there: say which of its versions is meant (kith history), or a time.`,
    )
  const rewind = new Rewind(deps.rows)
  let lastTime: number | null = null
  let count = 0
  for await (const entry of deps.store.journal({})) {
    if (++count % CHECK_EVERY === 0) signal.throwIfAborted()
    if (touches(entry, path)) {
      if (entry.action !== 'deleted' || (lastTime !== null && lastTime - entry.time > RUN_GAP_MS)) {
        if (lastTime === null) throw goneElsewhere(entry, path)
        break
      }
      lastTime = entry.time
    }
    rewind.undo(entry, 'back')
  }
  const found = lastTime !== null && rewind.shown(path)[Symbol.iterator]().next().done !== true
  if (!found) throw new KithError('not-found', `Nothing is known of ${printable(path)} on this device.`)
  return rewind.steps({ path, keepNew: false, yields: false })
}

function isInConflict(rows: RowTable, node: NodeId): boolean {
  return rows.byNode(node).some(({ copy }) => copy)
}

/** Who wrote what each file shows, by what the journal has from before the entries that were undone. */
async function writersOf(
  { store }: PlanDeps,
  shown: readonly Shown[],
  undone: number,
  { signal }: Waiting,
): Promise<ReadonlyMap<Shown, DeviceId>> {
  const writers = new Map<Shown, DeviceId>()
  const open = new Map<NodeId, Shown>()
  for (const each of shown) if (each.kind !== 'directory') for (const node of each.nodes) open.set(node, each)
  if (open.size === 0) return writers
  let count = 0
  for await (const entry of store.journal({})) {
    if (++count % CHECK_EVERY === 0) signal.throwIfAborted()
    const each = open.get(entry.node)
    if (count <= undone || each === undefined || !wrote(entry, each.facts)) continue
    writers.set(each, entry.device)
    for (const node of each.nodes) open.delete(node)
    if (open.size === 0) break
  }
  return writers
}

function wrote({ action, facts, was }: JournalEntry, { content }: Facts): boolean {
  return action !== 'deleted' && facts.content === content && was?.facts.content !== content
}

async function rewound(
  { rows, store, now }: PlanDeps,
  at: number,
  { signal }: Waiting,
  deedsOf: DeedsOf = entry => [{ entry, fate: 'back' }],
): Promise<Rewind> {
  const rewind = new Rewind(rows)
  let count = 0
  for await (const entry of store.journal({ since: at + 1, now })) {
    if (++count % CHECK_EVERY === 0) signal.throwIfAborted()
    for (const deed of deedsOf(entry)) rewind.undo(deed.entry, deed.fate)
  }
  return rewind
}

/** Before its journal begins a device knows nothing, which is not that nothing was there. */
async function mustReachBack({ store }: PlanDeps, { undone }: Rewind, { signal }: Waiting): Promise<void> {
  let count = 0
  let first: JournalEntry | null = null
  for await (const entry of store.journal({})) {
    if (++count > undone) return
    if (count % CHECK_EVERY === 0) signal.throwIfAborted()
    first = entry
  }
  if (first === null) return
  // Not before that: it is shown to the second.
  const begins = localTime(first.time + 999)
  throw new KithError(
    'not-found',
    `What this device knows of the folder begins at ${begins}: say a later time, or ask a device that had it before.`,
  )
}

/** Does it say something of what was there, or of where that was? */
function touches({ action, path: at, was }: JournalEntry, path: string): boolean {
  if (isWithin(at, path) || (was !== null && isWithin(was.path, path))) return true
  // A directory above that was made or moved: before, this was another path.
  return path.startsWith(`${at}/`) && (was === null || was.path !== at || action === 'deleted')
}

function nothingThen(path: string): KithError {
  return new KithError('not-found', `Nothing stood at ${printable(path)} then, as far as this device knows.`)
}

function goneElsewhere({ path: at }: JournalEntry, path: string): KithError {
  const said = isWithin(at, path) ? 'it is not known how it went' : `it was moved to ${printable(at)}`
  return new KithError('no-such-version', `${printable(path)} was not deleted: ${said}. Say a time (--at).`)
}
