// The records that one local operation writes, before they are written: a view of the nodes in which the operation's own writes
// already show, and the primitive writes (a new version, a placement, dropped dots). Pure memory; `writes` is what came of it.
import type { Dot, Facts, Kind, Node, NodeRef, Version } from '../core/entry.ts'
import { hasDot } from '../core/entry.ts'
import type { ActorId, NodeId } from '../core/ids.ts'
import { normalName } from '../core/names.ts'
import type { SequenceClock } from './dots.ts'
import type { NodeIndex } from './node-index.ts'
import { MAX_VERSIONS, nodeId } from './record.ts'
import { asked } from './resolve-parents.ts'
import { groupsOf } from './versions.ts'
import type { View } from './view.ts'

/**
 * Every start of a device is an actor, so a record that is written again and again comes to know ever more of them. It remembers the
 * latest so many (14 bytes each, 26 on the wire). An older entry matters only to a device that has been away since: should it bring a
 * record of then, after a thousand incarnations wrote that very file, what was superseded shows as a conflict copy. An entry too few
 * keeps a version too many and never takes one away.
 */
const MAX_REMEMBERED_ACTORS = 1024

export interface BatchDeps {
  readonly index: NodeIndex
  readonly view: View
  readonly clock: SequenceClock
  readonly actor: ActorId
  /** Has this disk a row of that node? */
  hasRow(id: NodeId): boolean
}

/** What a new version says beside its facts. */
/** `isNew`: it builds on nothing, though its node has been here before. */
export type Origin = Partial<Pick<Version, 'base' | 'merged' | 'metadataOnly' | 'copyOf'> & { readonly isNew: boolean }>

export class Batch {
  readonly #deps: BatchDeps
  readonly #writes = new Map<NodeId, Node | null>()

  constructor(deps: BatchDeps) {
    this.#deps = deps
  }

  /** Node → its new state, or null: its records go. */
  get writes(): ReadonlyMap<NodeId, Node | null> {
    return this.#writes
  }

  get(id: NodeId): Node | undefined {
    const written = this.#writes.get(id)
    return written === null ? undefined : (written ?? this.#deps.index.state(id))
  }

  put(node: Node): void {
    this.#writes.set(node.id, forgetful(node))
  }

  /** The node now; or, if its records are gone (a delete that this disk has not shown), rebuilt from the row: a touch beats a delete. */
  rebuilt(ref: NodeRef, versions: readonly Version[]): Node {
    const node = this.get(ref.id)
    if (node !== undefined) return node
    const context = new Map<ActorId, number>()
    for (const { dot } of ref.versions) context.set(dot.actor, Math.max(context.get(dot.actor) ?? 0, dot.seq))
    const { id, birth, placement } = ref
    return { id, kind: kindOf(ref), birth, placement, context, versions: [...versions] }
  }

  /** A new version instead of those that `superseded` names; the others stay beside it. */
  write(node: Node, facts: Facts, superseded: readonly Dot[], origin: Origin = {}): Version {
    const rest = node.versions.filter(v => !hasDot(superseded, v.dot))
    const { content, size, mtime, mode } = facts
    const seq = this.#deps.clock.next(node)
    const dot = { actor: this.#deps.actor, seq }
    const version: Version = {
      content,
      size,
      mtime,
      mode,
      dot,
      // Without one it would count as the end of all that this device ever wrote to the node.
      base: origin.isNew === true ? dot : (origin.base ?? null),
      merged: origin.merged ?? false,
      metadataOnly: origin.metadataOnly ?? false,
      copyOf: origin.copyOf ?? null,
    }
    const context = new Map(node.context).set(this.#deps.actor, seq)
    this.put({ ...node, context, versions: [...bounded(rest), version] })
    return version
  }

  /** A file or directory that is new at a name. Joins a creation of another device that is not on this disk yet. */
  create(
    parent: NodeId,
    name: string,
    kind: Kind,
    facts: Facts,
    origin: Origin = {},
  ): { id: NodeId; version: Version } {
    const { hasRow, view } = this.#deps
    const normal = normalName(name)
    for (let generation = 0; ; generation++) {
      const id = nodeId(parent, normal, generation, kind)
      const there = this.get(id)
      if (there !== undefined) {
        const used = there.versions.length > 0 || there.placement !== null || view.shows(id)
        if (used && (hasRow(id) || there.placement !== null || this.#writes.has(id))) continue
        if (there.versions.length >= MAX_VERSIONS && bounded(there.versions).length >= MAX_VERSIONS) continue
      }
      const birth = { parent, name: normal, generation }
      const node = there ?? { id, kind, birth, placement: null, context: new Map(), versions: [] }
      const isNew = there !== undefined && kind !== 'directory'
      return { id, version: this.write(node, facts, [], isNew ? { isNew, ...origin } : origin) }
    }
  }

  place(node: Node, parent: NodeId, name: string): void {
    const old = this.#deps.view.spot(node.id) ?? asked(node)
    this.put({
      ...node,
      placement: {
        parent,
        name: normalName(name),
        time: this.#deps.clock.after(node.placement?.time ?? 0),
        actor: this.#deps.actor,
        previousParent: old.parent,
        previousName: old.name,
      },
    })
  }

  /** Takes versions away. A file without any loses its records; a directory stays, dead. */
  drop(id: NodeId, dots: readonly Dot[]): void {
    const node = this.get(id)
    if (node === undefined) return
    const versions = node.versions.filter(v => !hasDot(dots, v.dot))
    if (versions.length === node.versions.length) return
    if (versions.length > 0 || node.kind === 'directory') this.put({ ...node, versions })
    else this.#writes.set(id, null)
  }
}

/** Rebuilding a node needs its kind, which the id alone does not tell. */
function kindOf(ref: NodeRef): Kind {
  const { parent, name, generation } = ref.birth
  for (const kind of ['file', 'directory', 'symlink'] as const) {
    if (nodeId(parent, name, generation, kind) === ref.id) return kind
  }
  throw new Error('a row names a node whose birth does not make its id')
}

/** Without the oldest entries of its context; never without those that its versions stand in. */
function forgetful(node: Node): Node {
  if (node.context.size <= MAX_REMEMBERED_ACTORS) return node
  const needed = new Set(node.versions.map(version => version.dot.actor))
  const latest = [...node.context].sort(
    ([a, s], [b, t]) => Number(needed.has(b)) - Number(needed.has(a)) || t - s || b - a,
  )
  return { ...node, context: new Map(latest.slice(0, MAX_REMEMBERED_ACTORS)) }
}

/** A record holds so many versions; of equal contents the newest speaks for all. */
function bounded(versions: readonly Version[]): readonly Version[] {
  if (versions.length < MAX_VERSIONS) return versions
  return groupsOf({ versions }).flatMap(group => group.versions.slice(0, 1))
}
