// Conflicts as a person is told of them: every file of which more than one version is kept, the one that has the name first.
import type { Entry } from '../core/entry.ts'
import type { NodeId } from '../core/ids.ts'
import { ROOT_NODE } from '../core/ids.ts'
import type { Conflict, ConflictVersion } from '../core/status.ts'
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

/** A version as scripts name it: actor and sequence number, stable on every device. */
function versionId(dot: { actor: number; seq: number }): string {
  return `${dot.actor.toString(36)}.${dot.seq.toString(36)}`
}
