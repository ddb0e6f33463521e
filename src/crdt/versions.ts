// How the sibling versions of one node are shown: equal contents collapse, a chmod beside an edit lends its mode, the rest are
// conflict copies. And what is known of their descent. Pure functions of the versions alone, so every device shows the same.
import type { Dot, Facts, Node, Version } from '../core/entry.ts'
import { sameDot } from '../core/entry.ts'
import type { ActorId, ContentId } from '../core/ids.ts'
import { newestFirst } from './join.ts'

/** One shown content of a node. `versions`: all that it stands for, the one that names the content first. */
export interface Group {
  readonly facts: Facts
  readonly versions: readonly Version[]
}

/** Does `version` build on the write that `origin` names? Only what base and dot can prove. */
function descends(version: Version, origin: Dot): boolean {
  if (version.dot.actor === origin.actor && version.dot.seq > origin.seq) return true
  const { base } = version
  return base !== null && base.actor === origin.actor && base.seq >= origin.seq
}

/** Winner first. Of directories the one group holds all versions. */
export function groupsOf(node: Pick<Node, 'versions'>): Group[] {
  const [only] = node.versions
  if (only === undefined) return []
  if (node.versions.length === 1) return [{ facts: only, versions: node.versions }]
  const sorted = [...node.versions].sort(newestFirst)
  const lent = lendings(sorted)
  const groups: Version[][] = []
  for (const version of sorted) {
    if (lent.has(version)) continue
    const same = groups.find(group => group[0]?.content === version.content)
    if (same === undefined) groups.push([version])
    else same.push(version)
  }
  return groups.map(group => withLent(group, lent))
}

/**
 * Which versions only lend their mode, and to which. A lender gives to the newest version that builds on what it was made of and
 * lends nothing itself; from the oldest lender on, so that two can never lend to each other and vanish.
 */
function lendings(newest: readonly Version[]): Map<Version, Version> {
  const lent = new Map<Version, Version>()
  for (const lender of [...newest].reverse()) {
    const { base } = lender
    if (!lender.metadataOnly || base === null) continue
    const taker = newest.find(v => v.content !== lender.content && !lent.has(v) && descends(v, base))
    if (taker === undefined) continue
    // what was lent to the lender goes on to the taker
    for (const [from, to] of lent) if (to === lender) lent.set(from, taker)
    lent.set(lender, taker)
  }
  return lent
}

function withLent(group: readonly Version[], lent: ReadonlyMap<Version, Version>): Group {
  const [lead] = group
  if (lead === undefined) throw new Error('an empty group')
  const lenders = [...lent].filter(([, taker]) => group.includes(taker)).map(([lender]) => lender)
  if (lenders.length === 0) return { facts: lead, versions: group }
  lenders.sort(newestFirst)
  const { content, size, mtime } = lead
  return { facts: { content, size, mtime, mode: lenders[0]?.mode ?? lead.mode }, versions: [...group, ...lenders] }
}

/** The base that a write superseding `versions` inherits: the newest version by another device that it descends from. */
export function inheritedBase(versions: readonly Version[], isOwn: (actor: ActorId) => boolean): Dot | null {
  let newest: Dot | null = null
  for (const version of versions) {
    const dot = version.metadataOnly || isOwn(version.dot.actor) ? version.base : version.dot
    if (dot === null) continue
    if (newest === null || dot.seq > newest.seq || (dot.seq === newest.seq && dot.actor > newest.actor)) newest = dot
  }
  return newest
}

/**
 * The dot that first wrote this content: what a chmod or touch of it names as its base. Versions that only lend their mode to it are newer
 * than it at times, and are of another content: their base would say that whoever changed that one has seen this.
 */
export function originOf(versions: readonly Version[], content: ContentId): Dot | null {
  const [lead] = versions.filter(version => version.content === content).sort(newestFirst)
  if (lead === undefined) return null
  return lead.metadataOnly && lead.base !== null ? lead.base : lead.dot
}

/** Are two actors incarnations of one device? */
export type SameDevice = (a: ActorId, b: ActorId) => boolean

/** Is `dot` an earlier write of the same unbroken run of edits that `version` ends? */
function inRun(version: Version, dot: Dot, same: SameDevice): boolean {
  if (!same(dot.actor, version.dot.actor) || dot.seq >= version.dot.seq) return false
  return version.base === null || sameDot(version.base, dot) || dot.seq > version.base.seq
}

/** The last version that both siblings are known to descend from; null where that cannot be proven (then nothing is merged). */
export function commonBase(v: Version, w: Version, same: SameDevice = (a, b) => a === b): Dot | null {
  if (v.base !== null && w.base !== null && sameDot(v.base, w.base)) return v.base
  if (w.base !== null && inRun(v, w.base, same)) return w.base
  if (v.base !== null && inRun(w, v.base, same)) return v.base
  return null
}
