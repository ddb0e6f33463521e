// What a person is told who wants back what is there: a file needs a version or a time; of a directory it may be what went out of it since
// that is meant, and then the time that brings it back is in the journal. Reads the journal and the rows, writes nothing.

import { localTime, printable } from '../core/display.ts'
import { KithError } from '../core/errors.ts'
import { isWithin } from '../core/names.ts'
import type { FolderStore, Waiting } from '../core/ports.ts'
import type { RowTable } from '../core/rows.ts'
import { parentPath } from './local-changes.ts'

/** Deletions no further apart than this went in one go, where nothing else was changed between them. */
const RUN_GAP_MS = 10 * 60_000
/** Where something was: to go back over that would take it back too. */
const MIXED_GAP_MS = 10_000
const CHECK_EVERY = 1_000
/** In a sentence. */
const MAX_NAMED = 3

interface Gone {
  /** When the last run of deletions began. */
  readonly since: number
  /** The uppermost paths. */
  readonly paths: readonly string[]
}

/** Throws KithError `no-such-version` where something stands at the path. */
export async function refuseStanding(
  rows: RowTable,
  store: Pick<FolderStore, 'journal'>,
  path: string,
  options: Waiting,
): Promise<void> {
  const row = rows.at(path)
  if (row === undefined) return
  const it = path === '' ? 'The whole folder' : `"${printable(path)}"`
  if (row.kind !== 'directory')
    throw new KithError(
      'no-such-version',
      `${it} is there: say which of its versions is meant (--version, "kith history" shows them), or as of when (--at).`,
    )
  const gone = await lastGone(rows, store, path, options)
  if (gone === null)
    throw new KithError(
      'no-such-version',
      `${it} is there, and nothing in it is known to have been deleted: say as of when (--at "2h ago"; --dry-run shows what that changes).`,
    )
  const since = localTime(gone.since)
  // To the millisecond: what went within that second is in it.
  const before = new Date(gone.since - 1).toISOString()
  throw new KithError(
    'no-such-version',
    `${it} is there. Gone from it since ${since}: ${some(gone.paths)}. Restore these by their own paths, or all of it as it stood before: --at "${before}" (--dry-run shows what that changes).`,
  )
}

async function lastGone(
  rows: RowTable,
  store: Pick<FolderStore, 'journal'>,
  path: string,
  { signal }: Waiting,
): Promise<Gone | null> {
  const paths = new Set<string>()
  let since: number | null = null
  let isMixed = false
  let count = 0
  for await (const { time, action, node, path: at } of store.journal({})) {
    if (++count % CHECK_EVERY === 0) signal.throwIfAborted()
    if (since !== null && since - time > (isMixed ? MIXED_GAP_MS : RUN_GAP_MS)) break
    if (!isWithin(at, path)) continue
    if (action !== 'deleted') isMixed = true
    if (action !== 'deleted' || rows.at(at) !== undefined) continue
    // A conflict copy that was given up: the file is there.
    if (rows.byNode(node).length > 0) continue
    since = time
    isMixed = false
    if (rows.at(parentPath(at)) !== undefined) paths.add(at)
  }
  return since === null || paths.size === 0 ? null : { since, paths: [...paths] }
}

function some(paths: readonly string[]): string {
  const more = paths.length > MAX_NAMED ? ` and ${paths.length - MAX_NAMED} more` : ''
  return paths.slice(0, MAX_NAMED).map(printable).join(', ') + more
}
