// What this device's journal knows of the past: was a content ever at a path, or of a node? It is asked only when some device rejoins, so
// no index is kept for it: questions that come while the journal is read wait and are answered together by the next reading, and memory
// is bounded by the questions and by the directories that the journal speaks of, not by its length.
import type { Clock } from '../core/clock.ts'
import type { Entry } from '../core/entry.ts'
import type { ContentId, NodeId } from '../core/ids.ts'
import { NO_CONTENT, ROOT_NODE, ROOT_ROW } from '../core/ids.ts'
import type { JournalEntry } from '../core/past.ts'
import type { FolderNetwork, FolderStore, PastQuery, Waiting } from '../core/ports.ts'
import type { Row, RowTable } from '../core/rows.ts'
import type { TreeView } from './tree.ts'

/** Linked devices that answer no question about the past for this long never will: what lies here counts as new, and is kept. */
const UNANSWERED_MS = 5 * 60_000
/** Questions answered by one reading. */
const MOST_AT_ONCE = 5_000

export interface PastDeps {
  readonly store: Pick<FolderStore, 'journal'>
  /** Equal keys: one name (or path). */
  readonly nameKey: (name: string) => string
}

interface Asked extends Waiting {
  readonly queries: readonly PastQuery[]
  resolve(known: readonly boolean[]): void
  reject(error: unknown): void
}

export class Past {
  readonly #deps: PastDeps
  #asked: Asked[] = []
  #reading = false

  constructor(deps: PastDeps) {
    this.#deps = deps
  }

  /** For each query: does the journal know it? */
  ask(queries: readonly PastQuery[], { signal }: Waiting): Promise<readonly boolean[]> {
    if (queries.length === 0) return Promise.resolve([])
    return new Promise((resolve, reject) => {
      this.#asked.push({ queries, signal, resolve, reject })
      void this.#run()
    })
  }

  async #run(): Promise<void> {
    if (this.#reading) return
    this.#reading = true
    try {
      for (let group = this.#next(); group.length > 0; group = this.#next()) await this.#answer(group)
    } finally {
      this.#reading = false
    }
  }

  #next(): Asked[] {
    const group: Asked[] = []
    let count = 0
    while (count < MOST_AT_ONCE) {
      const asked = this.#asked.shift()
      if (asked === undefined) break
      count += asked.queries.length
      group.push(asked)
    }
    return group
  }

  async #answer(group: readonly Asked[]): Promise<void> {
    const wanted = (): boolean => group.some(({ signal }) => !signal.aborted)
    try {
      const known = await new Reading(
        this.#deps,
        group.flatMap(asked => asked.queries),
        wanted,
      ).answer()
      let at = 0
      for (const { queries, resolve } of group) {
        resolve(known.slice(at, at + queries.length))
        at += queries.length
      }
    } catch (error) {
      for (const { reject, signal } of group) reject(signal.aborted ? signal.reason : error)
    }
  }
}

export interface EverybodyDeps {
  readonly clock: Clock
  readonly network: () => Pick<FolderNetwork, 'past'> | null
  readonly here: (queries: readonly PastQuery[], options: Waiting) => Promise<readonly boolean[]>
}

/** This device's journal, and where it does not know, those of the others. */
export class Everybody {
  readonly #deps: EverybodyDeps
  /** Linked devices were asked and have not answered yet; since when, in monotone ms. */
  #since: number | null = null

  constructor(deps: EverybodyDeps) {
    this.#deps = deps
  }

  /** Was somebody asked who has not answered? */
  get waits(): boolean {
    return this.#since !== null
  }

  forget(): void {
    this.#since = null
  }

  /** Null: nobody else could be asked. */
  async ask(queries: readonly PastQuery[], options: Waiting): Promise<readonly boolean[] | null> {
    const { clock, network, here } = this.#deps
    const known = [...(await here(queries, options))]
    const open = queries.flatMap((query, at) => (known[at] === true ? [] : [{ query, at }]))
    if (open.length === 0) return known
    this.#since ??= clock.elapsed()
    const theirs = await network()?.past(
      open.map(({ query }) => query),
      options,
    )
    // It may have been forgotten meanwhile: then somebody else is waited for.
    const since = this.#since ?? clock.elapsed()
    if (theirs === null || theirs === undefined) return clock.elapsed() - since < UNANSWERED_MS ? null : known
    this.#since = null
    for (const [n, { at }] of open.entries()) known[at] = theirs[n] === true
    return known
  }
}

/** Does this device show that very content at that very path, and the tree too? Rows are looked up: cheap for thousands. */
export function isCurrent(rows: RowTable, tree: Current, { path, node, content, kind }: PastQuery): boolean {
  // Who asks knows of a directory there: it asks about another one.
  if (kind === 'directory' && node !== null) return false
  let row = rows.at(path)
  if (row === undefined || row.kind !== kind || row.content !== content) return false
  for (; row.id !== ROOT_ROW; ) {
    const above = rows.get(row.parent)
    if (above === undefined || !isInPlace(row, above, tree)) return false
    row = above
  }
  return true
}

type Current = Pick<TreeView, 'entriesOf' | 'primaryOf' | 'nameKey'>

function isInPlace(row: Row, above: Row, tree: Current): boolean {
  const inside = (entry: Entry): boolean =>
    above.id === ROOT_ROW
      ? entry.directory === ROOT_NODE
      : above.nodes.some(ref => tree.primaryOf(ref.id) === entry.directory)
  return row.nodes.some(ref =>
    tree
      .entriesOf(ref.id)
      .some(
        entry =>
          entry.facts.content === row.content && inside(entry) && tree.nameKey(entry.name) === tree.nameKey(row.name),
      ),
  )
}

class Stopped extends Error {}

/** Known: some node had the content and was (at any time) at the path, by any name that the directory above ever had. */
class Reading {
  readonly #store: Pick<FolderStore, 'journal'>
  readonly #queries: readonly PastQuery[]
  readonly #wanted: () => boolean
  readonly #nodesWith = new Map<ContentId, Set<NodeId>>()
  readonly #directories: DirectoryNames

  constructor(deps: PastDeps, queries: readonly PastQuery[], wanted: () => boolean) {
    this.#store = deps.store
    this.#directories = new DirectoryNames(deps.nameKey)
    this.#queries = queries
    this.#wanted = wanted
  }

  async answer(): Promise<readonly boolean[]> {
    for (const { content } of this.#queries) if (content !== NO_CONTENT) this.#nodesWith.set(content, new Set())
    await this.#each(entry => {
      if (entry.kind === 'directory') this.#directories.note(entry)
      else this.#nodesWith.get(entry.facts.content)?.add(entry.node)
    })
    const known = this.#queries.map(() => false)
    const open = new Map<string, number[]>()
    const candidates = new Set<NodeId>()
    for (const [at, { path, node, content, kind }] of this.#queries.entries()) {
      if (kind === 'directory') {
        known[at] = this.#directories.knows(path, node)
        continue
      }
      const nodes = this.#nodesWith.get(content)
      if (nodes === undefined || nodes.size === 0) continue
      if (node !== null && nodes.has(node)) {
        known[at] = true
        continue
      }
      for (const id of nodes) candidates.add(id)
      const key = this.#directories.keyOf(path)
      const others = open.get(key)
      if (others === undefined) open.set(key, [at])
      else others.push(at)
    }
    if (open.size > 0)
      await this.#each(entry => {
        if (candidates.has(entry.node)) this.#match(entry, open, known)
      })
    return known
  }

  #match(entry: JournalEntry, open: ReadonlyMap<string, readonly number[]>, known: boolean[]): void {
    for (const at of open.get(this.#directories.keyOf(entry.path)) ?? []) {
      const content = this.#queries[at]?.content
      if (content !== undefined && this.#nodesWith.get(content)?.has(entry.node) === true) known[at] = true
    }
  }

  async #each(take: (entry: JournalEntry) => void): Promise<void> {
    let count = 0
    for await (const entry of this.#store.journal({})) {
      take(entry)
      if (++count % 1_000 === 0 && !this.#wanted()) throw new Stopped('nobody waits for the answer')
    }
  }
}

/**
 * Which paths were one directory: a node that the journal has at two paths makes them names of the same, and with them all that is below.
 * A union of classes of paths; where two become one, what has the same name in both does too.
 */
class DirectoryNames {
  readonly #nameKey: (name: string) => string
  readonly #above = [0]
  readonly #children: Map<string, number>[] = [new Map()]
  readonly #noted = [false]
  readonly #classOf = new Map<NodeId, number>()

  constructor(nameKey: (name: string) => string) {
    this.#nameKey = nameKey
  }

  note({ path, node }: JournalEntry): void {
    let at = 0
    for (const name of this.#nameKey(path).split('/')) at = this.#child(this.#find(at), name)
    this.#noted[at] = true
    const before = this.#classOf.get(node)
    if (before === undefined) this.#classOf.set(node, at)
    else this.#join(before, at)
  }

  knows(path: string, node: NodeId | null): boolean {
    if (node !== null && this.#classOf.has(node)) return true
    const { at, rest } = this.#walk(this.#nameKey(path).split('/'))
    return rest.length === 0 && this.#noted[at] === true
  }

  /** Equal for paths of one name in what was one directory. */
  keyOf(path: string): string {
    const parts = this.#nameKey(path).split('/')
    const name = parts.pop() ?? ''
    const { at, rest } = this.#walk(parts)
    return `${at}/${[...rest, name].join('/')}`
  }

  #walk(parts: readonly string[]): { at: number; rest: readonly string[] } {
    let at = 0
    for (const [depth, name] of parts.entries()) {
      const next = this.#children[at]?.get(name)
      if (next === undefined) return { at, rest: parts.slice(depth) }
      at = this.#find(next)
    }
    return { at, rest: [] }
  }

  #child(parent: number, name: string): number {
    const known = this.#children[parent]?.get(name)
    if (known !== undefined) return this.#find(known)
    const made = this.#above.push(this.#above.length) - 1
    this.#children.push(new Map())
    this.#noted.push(false)
    this.#children[parent]?.set(name, made)
    return made
  }

  #find(start: number): number {
    let at = start
    for (let above = this.#above[at] ?? at; above !== at; above = this.#above[at] ?? at) {
      this.#above[at] = this.#above[above] ?? above
      at = above
    }
    return at
  }

  #join(a: number, b: number): void {
    const todo: [number, number][] = [[a, b]]
    for (let pair = todo.pop(); pair !== undefined; pair = todo.pop()) {
      const [one, other] = [this.#find(pair[0]), this.#find(pair[1])]
      if (one === other) continue
      const [few, many] = [this.#children[one], this.#children[other]]
      if (few === undefined || many === undefined) continue
      const [from, to, into] = few.size > many.size ? [other, one, few] : [one, other, many]
      this.#above[from] = to
      this.#noted[to] = this.#noted[to] === true || this.#noted[from] === true
      for (const [name, child] of this.#children[from] ?? []) {
        const there = into.get(name)
        if (there === undefined) into.set(name, child)
        else todo.push([child, there])
      }
      this.#children[from] = new Map()
    }
  }
}
