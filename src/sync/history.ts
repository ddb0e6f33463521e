// The history of a file or directory: what this device's journal has of it, joined with what linked devices' have. One change is told by
// many journals: it is one version, told best by the device that did it, and named by what all of them say of it.

import { createHash } from 'node:crypto'
import type { ContentId, DeviceId } from '../core/ids.ts'
import type { FileVersion, HistoryQuery, JournalEntry } from '../core/past.ts'
import type { FolderNetwork, FolderStore, Waiting } from '../core/ports.ts'
import { MAX_HISTORY } from '../core/ports.ts'
import { Serial } from '../core/serial.ts'
import type { Holdings } from './holdings.ts'
import { type Spot, strandOf, type ToldVersion } from './strand.ts'

const CHECK_EVERY = 1_000
/** Others may know of nodes that were at the path and that this device never saw. */
const ROUNDS = 2
const ID_HEX = 20

export interface HistoryDeps {
  readonly device: DeviceId
  readonly store: Pick<FolderStore, 'journal'>
  readonly holdings: Holdings
  readonly network: () => FolderNetwork | null
  /** Equal keys: one path. */
  readonly nameKey: (path: string) => string
}

interface Told {
  readonly by: DeviceId
  readonly entries: readonly JournalEntry[]
}

export class History {
  readonly #deps: HistoryDeps
  /** Whole journals are read one at a time. */
  readonly #reading = new Serial()

  constructor(deps: HistoryDeps) {
    this.#deps = deps
  }

  /** What this device's journal has, newest first, at most MAX_HISTORY. */
  answer(query: HistoryQuery, options: Waiting): Promise<readonly JournalEntry[]> {
    return this.#reading.run(() => this.#read(query, options))
  }

  /** Of all devices that answer, newest first. */
  async versions(spot: Spot, options: Waiting): Promise<FileVersion[]> {
    const { device } = this.#deps
    const { path } = spot
    let known = new Set(spot.stands?.nodes)
    let told: Told[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const mine = await this.answer({ path, nodes: [...known] }, options)
      for (const { node } of mine) known.add(node)
      const theirs = (await this.#deps.network()?.history({ path, nodes: [...known] }, options)) ?? []
      told = [{ by: device, entries: mine }, ...theirs.map(each => ({ by: each.device, entries: each.entries }))]
      const more = new Set([...known, ...told.flatMap(({ entries }) => entries.map(entry => entry.node))])
      if (more.size === known.size) break
      known = more
    }
    return this.#join(told, spot, options)
  }

  async #join(told: readonly Told[], spot: Spot, options: Waiting): Promise<FileVersion[]> {
    const found = strandOf(joinTold(told), spot, this.#deps.nameKey).slice(0, MAX_HISTORY)
    const contents = found.flatMap(({ entry }) => (entry.kind === 'directory' ? [] : [entry.facts.content]))
    const others = await this.#deps.holdings.holders(contents, options)
    const distinct = [...new Set(contents)]
    const holds = await this.#deps.holdings.holds(distinct, options)
    const here = new Set<ContentId>(distinct.filter((_, at) => holds[at] === true))
    return found.map(({ id, entry }) => {
      const { time, device, action, node, kind, path, facts, was } = entry
      const isHere = kind === 'directory' || here.has(facts.content)
      const holders = [...(isHere ? [this.#deps.device] : []), ...(others.get(facts.content) ?? [])]
      const from = was !== null && was.path !== path ? was.path : null
      return { id, time, device, action, node, kind, path, from, facts, here: isHere, holders }
    })
  }

  async #read(query: HistoryQuery, options: Waiting): Promise<readonly JournalEntry[]> {
    const { store, nameKey } = this.#deps
    const key = nameKey(query.path)
    const nodes = new Set(query.nodes)
    // An undo asks about nodes alone, of which one lies here in order; what lies between them would all be read for nothing.
    if (query.path === '' && nodes.size > 0) {
      const found: JournalEntry[] = []
      for (const node of nodes) {
        options.signal.throwIfAborted()
        for await (const entry of store.journal({ node })) if (found.push(entry) >= MAX_HISTORY) return found
      }
      return found
    }
    await this.#each(options, entry => {
      if (nameKey(entry.path) === key || (entry.was !== null && nameKey(entry.was.path) === key)) nodes.add(entry.node)
      return true
    })
    const found: JournalEntry[] = []
    if (nodes.size === 0) return found
    const [only] = nodes
    if (nodes.size === 1 && only !== undefined) {
      for await (const entry of store.journal({ node: only })) if (found.push(entry) >= MAX_HISTORY) break
    } else await this.#each(options, entry => !nodes.has(entry.node) || found.push(entry) < MAX_HISTORY)
    return found
  }

  /** Newest first, until `take` has enough. */
  async #each({ signal }: Waiting, take: (entry: JournalEntry) => boolean): Promise<void> {
    let count = 0
    for await (const entry of this.#deps.store.journal({})) {
      if (++count % CHECK_EVERY === 0) signal.throwIfAborted()
      if (!take(entry)) return
    }
  }
}

/**
 * The same change, told by several: the k-th newest of one key goes with the k-th newest of the same key of another journal. It is named by
 * its place from the oldest, so that names stay while new versions come.
 */
export function joinTold(told: readonly Told[]): ToldVersion[] {
  const byKey = new Map<string, { by: DeviceId; entry: JournalEntry }[][]>()
  for (const { by, entries } of told) {
    const counts = new Map<string, number>()
    for (const entry of entries) {
      const key = keyOf(entry)
      const at = counts.get(key) ?? 0
      counts.set(key, at + 1)
      const all = byKey.get(key) ?? []
      byKey.set(key, all)
      all[at] = [...(all[at] ?? []), { by, entry }]
    }
  }
  const out: { id: string; entry: JournalEntry; at: number }[] = []
  for (const [key, all] of byKey) {
    for (const [at, tellers] of all.entries()) {
      const best = bestOf(tellers)
      if (best !== undefined) out.push({ id: idOf(key, all.length - at), entry: best, at })
    }
  }
  out.sort((a, b) => b.entry.time - a.entry.time || a.at - b.at || (a.id < b.id ? -1 : 1))
  return out.map(({ id, entry }) => ({ id, entry }))
}

/** The device that did it, where it answered; else who applied it first. */
function bestOf(tellers: readonly { by: DeviceId; entry: JournalEntry }[]): JournalEntry | undefined {
  const doer = tellers.find(({ by, entry }) => by === entry.device)
  if (doer !== undefined) return doer.entry
  return [...tellers].sort((a, b) => a.entry.time - b.entry.time)[0]?.entry
}

/** Created here may be edited there, which saw an earlier version of it: what counts is what came of it, and whether it went. */
function keyOf({ device, node, path, facts, action }: JournalEntry): string {
  return [device, node, path, facts.content, action === 'deleted'].join('\0')
}

function idOf(key: string, fromOldest: number): string {
  return createHash('sha256').update(key).update(`\0${fromOldest}`).digest('hex').slice(0, ID_HEX)
}
