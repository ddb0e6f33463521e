// What a person decided of a conflict, once for all devices: one version instead of all that are kept beside one another, or each as a
// file of its own that is no conflict any more. Pure memory: what is to be written, in the batch.
import type { Dot, Facts, NodeRef } from '../core/entry.ts'
import { hasDot } from '../core/entry.ts'
import type { NodeId } from '../core/ids.ts'
import type { Batch } from './batch.ts'
import type { Scope, Settled } from './settle.ts'

/** One of the versions: where it is kept, and the writes that say so. */
export interface KeptVersion {
  readonly node: NodeId
  readonly dots: readonly Dot[]
  readonly facts: Facts
}

export interface Resolution {
  /** The one that has the name; null: its file is gone, and only copies of it are left. */
  readonly winner: KeptVersion | null
  /** Beside it under the same node. */
  readonly virtual: readonly KeptVersion[]
  /** Nodes of their own. */
  readonly settled: readonly KeptVersion[]
  readonly keep: KeptVersion | 'both'
}

type SettleScope = Omit<Scope, 'modeOf'>

export function scopeOf({ winner, virtual, settled, keep }: Resolution, refOf: RefOf): SettleScope {
  if (keep === 'both') return { nodes: winner === null ? [] : [winner.node], disposes: () => false }
  const going = [...(winner === null ? [] : [winner]), ...virtual, ...settled]
  const gone = new Set(settled.filter(each => winner !== null || each !== keep).map(each => each.node))
  return {
    nodes: going.map(each => each.node),
    copies: virtual.map(refOf),
    gone,
    disposes: (id, dot) => going.some(each => each.node === id && hasDot(each.dots, dot)),
  }
}

type RefOf = (version: KeptVersion) => NodeRef

/** `done`: the copies that settling made files of their own just now. */
export function writeResolution(
  batch: Batch,
  { winner, virtual, settled, keep }: Resolution,
  done: readonly Settled[],
): void {
  if (keep === 'both') {
    for (const { to } of done) forgetOrigin(batch, to)
    for (const each of settled) forgetOrigin(batch, each.node)
    return
  }
  for (const each of settled) if (winner !== null || each !== keep) batch.drop(each.node, each.dots)
  const target = winner ?? keep
  const node = batch.get(target.node)
  if (node === undefined) return
  const isAlready = keep === winner && virtual.length === 0
  if (!isAlready) batch.write(node, keep.facts, [...target.dots, ...virtual.flatMap(each => each.dots)])
}

/** It is no copy of anything any more. */
function forgetOrigin(batch: Batch, id: NodeId): void {
  const node = batch.get(id)
  if (node === undefined) return
  for (const version of node.versions) {
    if (version.copyOf === null) continue
    const current = batch.get(id)
    if (current !== undefined) batch.write(current, version, [version.dot])
  }
}
