// Who did what, as the doers tell it. An entry of this device's journal may sum up what several devices did while it was away: "v1 → v3 by B"
// where A made v2 of it first. What is to be taken back of one device goes by the journal of that device where it answers; else by those of
// all others. What nobody can tell apart is said to be unclear. Deeds of an entry lead from what it says to what it says was there before.

import type { DeviceId, NodeId } from '../core/ids.ts'
import type { JournalEntry, Standing } from '../core/past.ts'
import type { FolderNetwork, FolderStore, Waiting } from '../core/ports.ts'
import { MAX_HISTORY } from '../core/ports.ts'
import { nameOf, parentPath } from './local-changes.ts'
import type { Fate } from './rewind.ts'

const CHECK_EVERY = 1_000
/** Asked about at once. */
const NODES_AT_ONCE = 1_000
/** So many entries, and so many more for each node asked about, are taken of one device: with more it counts as one that did not answer. */
const MOST_ENTRIES = 200_000
const MOST_OF_NODE = 5

export interface Deed {
  readonly entry: JournalEntry
  readonly fate: Fate
}

export interface DeedsDeps {
  readonly device: DeviceId
  readonly store: Pick<FolderStore, 'journal'>
  /** The wall clock. */
  readonly now: () => number
  readonly network: () => Pick<FolderNetwork, 'history' | 'peers'> | null
  /** Others that have the folder and are not linked now. */
  readonly absent: () => readonly { readonly device: DeviceId }[]
}

export interface Culprit {
  readonly device: DeviceId
  /** ms since 1970, by this device's journal. */
  readonly since: number
}

/** Newest first, what becomes of each part of an entry where this is undone of one device. */
export type DeedsOf = (entry: JournalEntry) => readonly Deed[]

export interface Asked {
  /** For one walk back. */
  begin(): DeedsOf
  /** Who could say more, and did not answer. */
  readonly silent: readonly DeviceId[]
}

/** Asks the linked devices; what is stored later than that is unclear where it is the culprit's. */
export async function askForDeeds(deps: DeedsDeps, culprit: Culprit, options: Waiting): Promise<Asked> {
  const { device, network, absent } = deps
  // Its own journal says all that it did itself.
  if (culprit.device === device) return { begin: () => entry => [deedOf(entry, culprit)], silent: [] }
  const nodes = await toAskAbout(deps, culprit, options)
  const told = await asked(network(), nodes, options)
  const witnesses = [...(network()?.peers() ?? []), ...absent().map(each => each.device)]
  const silent = [...new Set(witnesses)].filter(each => !told.has(each))
  const complete = silent.every(each => each === culprit.device)
  const begin = (): DeedsOf => {
    const tellers = new Map([...told].map(([by, entries]) => [by, new Teller(entries)]))
    const doer = tellers.get(culprit.device)
    const others = [...tellers.values()]
    return entry => {
      if (isExact(entry, device)) return [{ entry, fate: 'stays' }]
      if (doer !== undefined) return byDoer(doer, entry, culprit) ?? [untold(entry, culprit)]
      // Only the doer could say whether it had a part in a merge.
      if (!complete || entry.action === 'merged') return [untold(entry, culprit)]
      const chains = others.flatMap(teller => teller.account(entry) ?? []).filter(account => account.whole)
      chains.sort((a, b) => b.steps.length - a.steps.length)
      return (chains[0]?.steps ?? [entry]).map(step => deedOf(step, culprit))
    }
  }
  return { begin, silent: told.has(culprit.device) ? [] : silent }
}

/** What this device did itself its own journal says step by step; but what it merged others wrote. */
function isExact({ device: by, action }: JournalEntry, device: DeviceId): boolean {
  return by === device && action !== 'merged'
}

function untold(entry: JournalEntry, { device }: Culprit): Deed {
  return { entry, fate: entry.device === device || entry.action === 'merged' ? 'unclear' : 'stays' }
}

/** Texts of several devices that were merged are no device's own. */
function deedOf(entry: JournalEntry, { device }: Culprit): Deed {
  if (entry.device !== device) return { entry, fate: 'stays' }
  return { entry, fate: entry.action === 'merged' ? 'unclear' : 'back' }
}

function byDoer(doer: Teller, entry: JournalEntry, culprit: Culprit): Deed[] | null {
  const account = doer.account(entry)
  if (account === null) return null
  const { steps, whole } = account
  if (whole) return steps.map(step => deedOf(step, culprit))
  // What somebody else wrote last hides what was before.
  if (entry.action !== 'merged' && entry.device !== culprit.device && steps[0]?.device !== culprit.device)
    return [{ entry, fate: 'stays' }]
  // What the doer had before was never here: its own changes go back, on what it had.
  const isRecent = ({ time }: JournalEntry): boolean => time >= culprit.since
  const end = steps.findIndex((step, at) => at > 0 && !isRecent(step))
  const recent = end < 0 ? steps : steps.slice(0, end)
  if (!recent.some(step => step.device === culprit.device)) return [{ entry, fate: 'stays' }]
  const before = recent.at(-1)?.was ?? null
  if (before === null || entry.device !== culprit.device) return [{ entry, fate: 'unclear' }]
  const { path, facts } = before
  const rest = { ...entry, action: entry.was === null ? 'created' : 'edited', path, facts } as const
  return [...recent.map(step => deedOf(step, culprit)), { entry: rest, fate: 'stays' }]
}

/** What an entry says was done, step by step, newest first. */
interface Account {
  readonly steps: readonly JournalEntry[]
  /** They lead to what the entry says was there before. */
  readonly whole: boolean
}

/** One device's journal, walked back beside this device's. */
class Teller {
  readonly #entries: ReadonlyMap<NodeId, readonly JournalEntry[]>
  /** Each is told once. */
  readonly #told = new Set<JournalEntry>()

  constructor(entries: ReadonlyMap<NodeId, readonly JournalEntry[]>) {
    this.#entries = entries
  }

  /** Null: it does not know of that. */
  account(entry: JournalEntry): Account | null {
    const all = this.#entries.get(entry.node) ?? []
    // Concurrent changes came in another order there.
    const same = all.find(each => !this.#told.has(each) && isSameChange(each, entry))
    if (same !== undefined) {
      this.#told.add(same)
      return { steps: [{ ...entry, device: same.device, action: same.action }], whole: true }
    }
    const first = all.findIndex(each => !this.#told.has(each) && leadsTo(each, entry))
    return first < 0 ? null : this.#chain(all, first, entry)
  }

  #chain(all: readonly JournalEntry[], first: number, entry: JournalEntry): Account {
    const steps: JournalEntry[] = []
    let here: Standing = entry
    for (let at = first; ; at++) {
      const step = all[at]
      // The journal was cut there, or lost.
      if (step === undefined || (at > first && !stands(step, all[at - 1]?.was ?? null))) break
      const was = step.was === null ? null : { path: pathBefore(step, here.path), facts: step.was.facts }
      const isEnd = isSame(was, entry.was)
      const path = step.action === 'deleted' && was !== null ? was.path : here.path
      steps.push({ ...step, path, facts: here.facts, was: isEnd ? entry.was : was })
      if (isEnd) {
        for (const each of all.slice(first, at + 1)) this.#told.add(each)
        return { steps, whole: true }
      }
      if (was === null) break
      here = was
    }
    const [newest] = all.slice(first)
    if (newest !== undefined) this.#told.add(newest)
    return { steps, whole: false }
  }
}

/** What one changed the other did, from the same to the same; what neither changed may differ. */
function isSameChange(a: JournalEntry, b: JournalEntry): boolean {
  if (a.kind !== b.kind || (a.action === 'deleted') !== (b.action === 'deleted')) return false
  if (a.was === null || b.was === null) return a.was === b.was && nameOf(a.path) === nameOf(b.path) && alike(a, b)
  if (a.action === 'deleted') return nameOf(a.path) === nameOf(b.path) && alike(a.was, b.was)
  const one = changeOf(a, a.was)
  const other = changeOf(b, b.was)
  return one.content === other.content && one.mode === other.mode && one.name === other.name
}

function changeOf({ path, facts }: Standing, was: Standing): { content: string; mode: string; name: string } {
  return {
    content: was.facts.content === facts.content ? '' : `${was.facts.content} ${facts.content}`,
    mode: was.facts.mode === facts.mode ? '' : `${was.facts.mode} ${facts.mode}`,
    name: was.path === path ? '' : `${nameOf(was.path)}/${nameOf(path)}`,
  }
}

/** Does that device's entry end where this device's does? Directories above may have had other names by then. */
function leadsTo(step: JournalEntry, entry: JournalEntry): boolean {
  if (step.kind !== entry.kind || (step.action === 'deleted') !== (entry.action === 'deleted')) return false
  return step.action === 'deleted' || (nameOf(step.path) === nameOf(entry.path) && alike(step, entry))
}

function stands(step: JournalEntry, now: Standing | null): boolean {
  return now !== null && step.action !== 'deleted' && nameOf(step.path) === nameOf(now.path) && alike(step, now)
}

function isSame(a: Standing | null, b: Standing | null): boolean {
  if (a === null || b === null) return a === b
  return a.path === b.path && alike(a, b)
}

function alike(a: Pick<Standing, 'facts'>, b: Pick<Standing, 'facts'>): boolean {
  return a.facts.content === b.facts.content && a.facts.mode === b.facts.mode
}

/** Where that step found what it left at `here`, which it may know by another path. */
function pathBefore({ action, path, was }: JournalEntry, here: string): string {
  if (action === 'deleted') return nameOf(path) === nameOf(here) ? here : path
  if (was === null || was.path === path) return here
  if (path === here || parentPath(was.path) !== parentPath(path)) return was.path
  const above = parentPath(here)
  return above === '' ? nameOf(was.path) : `${above}/${nameOf(was.path)}`
}

async function toAskAbout(
  { device, store, now }: DeedsDeps,
  { since }: Culprit,
  { signal }: Waiting,
): Promise<readonly NodeId[]> {
  const nodes = new Set<NodeId>()
  let count = 0
  for await (const entry of store.journal({ since, now: now() })) {
    if (++count % CHECK_EVERY === 0) signal.throwIfAborted()
    if (!isExact(entry, device)) nodes.add(entry.node)
  }
  return [...nodes]
}

/** The journals of those that answered every question. Whoever did not is not asked again. */
async function asked(
  network: Pick<FolderNetwork, 'history' | 'peers'> | null,
  nodes: readonly NodeId[],
  { signal }: Waiting,
): Promise<Map<DeviceId, Map<NodeId, JournalEntry[]>>> {
  const told = new Map<DeviceId, Map<NodeId, JournalEntry[]>>()
  for (const by of network?.peers() ?? []) told.set(by, new Map())
  const most = MOST_ENTRIES + nodes.length * MOST_OF_NODE
  const counts = new Map<DeviceId, number>()
  let size = NODES_AT_ONCE
  for (let from = 0; network !== null && told.size > 0 && from < nodes.length; ) {
    const some = nodes.slice(from, from + size)
    const answers = await network.history({ path: '', nodes: some }, { signal, devices: new Set(told.keys()) })
    for (const { device, entries } of answers) counts.set(device, (counts.get(device) ?? 0) + entries.length)
    for (const by of told.keys())
      if (!answers.some(({ device }) => device === by) || (counts.get(by) ?? 0) > most) told.delete(by)
    const longest = Math.max(0, ...answers.map(({ device, entries }) => (told.has(device) ? entries.length : 0)))
    // A full answer may lack some.
    if (some.length > 1 && longest >= MAX_HISTORY) {
      size = some.length >> 1
      continue
    }
    if (longest < MAX_HISTORY / 4) size = Math.min(NODES_AT_ONCE, size * 2)
    for (const { device, entries } of answers) keep(told.get(device), some, entries)
    from += some.length
  }
  return told
}

/** What a device says of other nodes nobody wants to know. */
function keep(
  known: Map<NodeId, JournalEntry[]> | undefined,
  nodes: readonly NodeId[],
  entries: readonly JournalEntry[],
): void {
  for (const node of nodes) known?.set(node, [])
  const wanted = new Set(nodes)
  for (const entry of entries) if (wanted.has(entry.node)) known?.get(entry.node)?.push(entry)
}
