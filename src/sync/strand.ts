// Which part of a node's history tells of the file that is asked for. In a conflict one node is two files: the winner at its path and copies
// beside it, which have the node in every journal too. Told as one they hide each other: a copy that was taken away is not the file that went.
// Pure.

import type { ContentId, NodeId } from '../core/ids.ts'
import type { JournalEntry } from '../core/past.ts'
import { isConflictName } from '../crdt/listing.ts'

export interface ToldVersion {
  readonly id: string
  readonly entry: JournalEntry
}

export interface Spot {
  readonly path: string
  /** What stands there now; null: nothing does. */
  readonly stands: { readonly nodes: readonly NodeId[]; readonly content: ContentId } | null
}

/** Newest first, and first of all what stands there, whatever the clocks of the devices say. */
export function strandOf(
  told: readonly ToldVersion[],
  spot: Spot,
  nameKey: (path: string) => string,
): readonly ToldVersion[] {
  const twins = nodesWithCopies(told)
  const key = nameKey(spot.path)
  const isCopy = (path: string, node: NodeId): boolean => isConflictName(path) && twins.has(node)
  const isThere = ({ entry: { path, was } }: ToldVersion): boolean =>
    nameKey(path) === key || (was !== null && nameKey(was.path) === key)
  const ofFile = told.filter(({ entry: { path, node } }) => !isCopy(path, node))
  if (!isConflictName(spot.path)) return standingFirst(onceEach(ofFile, twins), spot)
  const atCopy = told.filter(each => isCopy(each.entry.path, each.entry.node) && isThere(each))
  const own = ofFile.filter(({ entry: { node } }) => !twins.has(node))
  const content = spot.stands?.content ?? atCopy[0]?.entry.facts.content
  const writing = ofFile.find(({ entry }) => twins.has(entry.node) && wrote(entry, content))
  // Before it was written it had the same past as the file that it is a copy of.
  const before = writing === undefined ? [] : ofFile.slice(ofFile.indexOf(writing))
  const chosen = new Set([...atCopy, ...own, ...before, ...ofFile.filter(isThere)])
  return standingFirst(
    onceEach(
      told.filter(each => chosen.has(each)),
      twins,
    ),
    spot,
  )
}

function wrote({ action, facts }: JournalEntry, content: ContentId | undefined): boolean {
  return action !== 'deleted' && facts.content === content
}

/** Those that stood at a name of their own, and at that of a copy too. What only ever had such a name is a file that was a copy once. */
function nodesWithCopies(told: readonly ToldVersion[]): ReadonlySet<NodeId> {
  const oldestFirst = [...told].reverse()
  const first = new Map<NodeId, JournalEntry>()
  for (const { entry } of oldestFirst) if (!first.has(entry.node)) first.set(entry.node, entry)
  const twins = new Set<NodeId>()
  for (const [node, entry] of first) if (!isConflictName(entry.path)) twins.add(node)
  for (const { entry } of told) if (entry.was === null && !isConflictName(entry.path)) twins.add(entry.node)
  return twins
}

/** One device makes the copy, another moves what it had aside: nobody did either, and it is one event. */
function onceEach(told: readonly ToldVersion[], twins: ReadonlySet<NodeId>): readonly ToldVersion[] {
  const kept = new Map<string, ToldVersion>()
  for (const each of told) {
    const { entry } = each
    const { node, path, facts, action, was } = entry
    const isAside = isConflictName(path) || (was !== null && isConflictName(was.path))
    const key = isAside && twins.has(node) ? [node, path, facts.content, action === 'deleted'].join('\0') : each.id
    const had = kept.get(key)
    if (had === undefined || (had.entry.was !== null && was === null)) kept.set(key, each)
  }
  const all = new Set(kept.values())
  return told.filter(each => all.has(each))
}

function standingFirst(told: readonly ToldVersion[], { path, stands }: Spot): readonly ToldVersion[] {
  if (stands === null) return told
  const isNow = ({ entry }: ToldVersion): boolean =>
    stands.nodes.includes(entry.node) && wrote(entry, stands.content) && (!isConflictName(path) || entry.path === path)
  const now = told.find(isNow)
  return now === undefined ? told : [now, ...told.filter(each => each !== now)]
}
