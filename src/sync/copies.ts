// On how many devices the newest content of each file is known to be held: here by the rows, on linked devices by asking, on absent ones by
// when they were last in sync with this one and what has changed here since. What is not known does not count.

import type { ContentId, DeviceId } from '../core/ids.ts'
import { isWithin } from '../core/names.ts'
import type { JournalEntry } from '../core/past.ts'
import type { FolderStore, Waiting } from '../core/ports.ts'
import type { RowTable } from '../core/rows.ts'
import type { CopiesStatus } from '../core/status.ts'
import type { SharedTree } from '../crdt/shared-tree.ts'
import { entryAt, entryPath } from './conflicts.ts'
import type { Holdings } from './holdings.ts'
import type { Moment } from './peers.ts'

const CHECK_EVERY = 1_000

/** A device that is not linked now. */
export interface Absent {
  readonly device: DeviceId
  /** When it was last known to be in sync with this one; null: never. */
  readonly synced: Moment | null
}

export interface CopiesDeps {
  readonly device: DeviceId
  readonly rows: RowTable
  readonly tree: Pick<SharedTree, 'allEntries' | 'entriesOf' | 'entryNamed'>
  readonly store: Pick<FolderStore, 'journal' | 'journalLength'>
  readonly holdings: Holdings
  readonly absent: readonly Absent[]
}

interface Held {
  readonly path: string
  readonly size: number
  readonly holders: readonly DeviceId[]
}

export async function copiesOf(deps: CopiesDeps, path: string, options: Waiting): Promise<CopiesStatus> {
  const files = await heldFiles(deps, path, options)
  let risky = 0
  let bytes = 0
  for (const { holders, size } of files) {
    // What is not here either is not lost with this device.
    if (holders.length !== 1 || holders[0] !== deps.device) continue
    risky++
    bytes += size
  }
  const stale = deps.absent.map(({ device, synced }) => ({ device, asOf: synced?.now ?? null }))
  return { files, atRisk: { files: risky, bytes }, stale }
}

/** What would be out of reach without that device. */
export async function heldOnlyBy(
  deps: CopiesDeps,
  device: DeviceId,
  options: Waiting,
): Promise<readonly { readonly path: string; readonly size: number }[]> {
  const files = await heldFiles({ ...deps, absent: deps.absent.filter(each => each.device !== device) }, '', options)
  return files
    .filter(({ holders }) => holders.every(holder => holder === device))
    .map(({ path, size }) => ({ path, size }))
}

async function heldFiles(deps: CopiesDeps, path: string, options: Waiting): Promise<Held[]> {
  const { tree, holdings, rows, device } = deps
  const files: { path: string; size: number; content: ContentId }[] = []
  const top = path === '' ? undefined : entryAt(tree, path)
  if (path !== '' && top === undefined) return []
  const within = top === undefined ? '' : entryPath(tree, top)
  for (const entry of tree.allEntries()) {
    if (entry.kind === 'directory') continue
    const at = entryPath(tree, entry)
    if (isWithin(at, within)) files.push({ path: at, size: entry.facts.size, content: entry.facts.content })
  }
  const contents = files.map(file => file.content)
  const linked = await holdings.holders(contents, options)
  const here = await holdings.holds(contents, options)
  const changed = await changedSince(deps, options)
  const out: Held[] = []
  for (const [n, { path: at, size, content }] of files.entries()) {
    const holders = new Set<DeviceId>(linked.get(content) ?? [])
    if (here[n] === true) holders.add(device)
    // Only of what this disk shows is it known when it came.
    const shown = rows.byContent(content).length > 0
    for (const { device: other, synced } of deps.absent)
      if (shown && synced !== null && (changed.get(content) ?? 0) <= synced.journalLength) holders.add(other)
    out.push({ path: at, size, holders: [...holders] })
  }
  return out
}

/** How long the journal was when each content last came here, of those that came since any absent device was in sync. */
async function changedSince({ absent, store }: CopiesDeps, { signal }: Waiting): Promise<Map<ContentId, number>> {
  const changed = new Map<ContentId, number>()
  const lengths = absent.flatMap(({ synced }) => (synced === null ? [] : [synced.journalLength]))
  if (lengths.length === 0) return changed
  const since = Math.min(...lengths)
  let length: number | null = null
  for await (const entry of store.journal({})) {
    // Looked up when the reading has begun: what is stored meanwhile makes others seem newer, never older.
    length = length === null ? store.journalLength : length - 1
    if (length <= since) break
    if (length % CHECK_EVERY === 0) signal.throwIfAborted()
    if (!cameNew(entry)) continue
    const { content } = entry.facts
    if (!changed.has(content)) changed.set(content, length)
  }
  return changed
}

function cameNew({ action, kind, facts, was }: JournalEntry): boolean {
  return action !== 'deleted' && kind !== 'directory' && was?.facts.content !== facts.content
}
