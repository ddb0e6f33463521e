// Conflicts as a person is told of them: every file of which more than one version is kept, the one that has the name first.
import { printable } from '../core/display.ts'
import type { Entry } from '../core/entry.ts'
import { KithError } from '../core/errors.ts'
import type { NodeId } from '../core/ids.ts'
import { ROOT_NODE } from '../core/ids.ts'
import type { Conflict, ConflictVersion } from '../core/status.ts'
import type { KeptVersion, Resolution } from '../crdt/resolve.ts'
import type { SharedTree } from '../crdt/shared-tree.ts'
import { joinPath } from './local-changes.ts'

type Conflicted = Pick<SharedTree, 'conflicts' | 'entriesOf' | 'node' | 'actors'>

/** Where an entry shows, relative to the root, with `/`. */
export function entryPath(tree: Pick<SharedTree, 'entriesOf'>, entry: Entry): string {
  let path = entry.name
  for (let at = entry.directory, depth = 0; at !== ROOT_NODE && depth < 1_000; depth++) {
    const above = tree.entriesOf(at)[0]
    if (above === undefined) break
    path = joinPath(above.name, path)
    at = above.directory
  }
  return path
}

/** What shows at a path. */
export function entryAt(tree: Pick<SharedTree, 'entryNamed'>, path: string): Entry | undefined {
  let found: Entry | undefined
  for (const name of path.split('/')) {
    const directory: NodeId | undefined = found === undefined ? ROOT_NODE : found.nodes[0]
    if (directory === undefined || (found !== undefined && found.kind !== 'directory')) return undefined
    found = tree.entryNamed(directory, name)
    if (found === undefined) return undefined
  }
  return found
}

export function listConflicts(tree: Conflicted): readonly Conflict[] {
  const byNode = new Map<NodeId, ConflictVersion[]>()
  for (const copy of tree.conflicts()) {
    const versions = byNode.get(copy.of) ?? []
    byNode.set(copy.of, versions)
    const { entry, dot, device, time } = copy
    versions.push({ id: versionId(dot), device, time, path: entryPath(tree, entry), content: entry.facts.content })
  }
  const conflicts: Conflict[] = []
  for (const [node, copies] of byNode) {
    const winner = tree.entriesOf(node)[0]
    const shown = winner && winnerVersion(tree, winner)
    const path = winner === undefined ? (copies[0]?.path ?? '') : entryPath(tree, winner)
    conflicts.push({ path, versions: shown === undefined ? copies : [shown, ...copies] })
  }
  return conflicts.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
}

function winnerVersion(tree: Conflicted, entry: Entry): ConflictVersion | undefined {
  const [dot] = entry.dots
  if (dot === undefined) return undefined
  const device = tree.actors().get(dot.actor)?.device ?? null
  return { id: versionId(dot), device, time: dot.seq, path: entryPath(tree, entry), content: entry.facts.content }
}

/** What is to be written when a person keeps one version, or both. Throws KithError `not-found`, `no-such-version`. */
export function resolutionOf(tree: Conflicted, path: string, keep: string): Resolution {
  const conflict = listConflicts(tree).find(each => each.path === path || each.versions.some(v => v.path === path))
  if (conflict === undefined) throw new KithError('not-found', `There is no conflict at ${printable(path)}.`)
  const ids = new Set(conflict.versions.map(version => version.id))
  const copies = [...tree.conflicts()].filter(copy => ids.has(versionId(copy.dot)))
  const [first] = copies
  const shown = first && tree.entriesOf(first.of)[0]
  const winner = shown === undefined ? null : kept(shown)
  const of = (kind: 'virtual' | 'settled'): (KeptVersion & { id: string })[] =>
    copies.filter(copy => copy.kind === kind).map(copy => ({ ...kept(copy.entry), id: versionId(copy.dot) }))
  const virtual = of('virtual')
  const settled = of('settled')
  const [dot] = shown?.dots ?? []
  const isWinner = dot !== undefined && versionId(dot) === keep
  const chosen = keep === 'both' ? keep : isWinner ? winner : [...virtual, ...settled].find(each => each.id === keep)
  if (chosen === undefined || chosen === null)
    throw new KithError(
      'no-such-version',
      `${printable(keep)} is none of the versions of ${printable(path)}: kith conflicts names them.`,
    )
  return { winner, virtual, settled, keep: chosen }
}

function kept({ nodes, dots, facts }: Entry): KeptVersion {
  const [node] = nodes
  if (node === undefined) throw new KithError('internal', 'A file without a node is shown. Please report this.')
  return { node, dots, facts }
}

/** A version as scripts name it: actor and sequence number, stable on every device. */
function versionId(dot: { actor: number; seq: number }): string {
  return `${dot.actor.toString(36)}.${dot.seq.toString(36)}`
}
