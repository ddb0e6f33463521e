// What this device's journal knows of the past: was a content ever at a path, or of a node? It is asked only when some device rejoins, so
// no index is kept for it: questions that come while the journal is read wait and are answered together by the next reading, and memory
// is bounded by the questions and by the directories that the journal speaks of, not by its length.
import type { ContentId, NodeId } from '../core/ids.ts'
import { NO_CONTENT } from '../core/ids.ts'
import type { FolderStore, JournalEntry, PastQuery, Waiting } from '../core/ports.ts'
import { joinPath, parentPath } from './local-changes.ts'

/** Questions answered by one reading. */
const MOST_AT_ONCE = 4_000
/** Other names of one directory that are looked at. */
const MOST_NAMES = 64

interface Asked extends Waiting {
  readonly queries: readonly PastQuery[]
  resolve(known: readonly boolean[]): void
  reject(error: unknown): void
}

export class Past {
  readonly #store: Pick<FolderStore, 'journal'>
  #asked: Asked[] = []
  #reading = false

  constructor(store: Pick<FolderStore, 'journal'>) {
    this.#store = store
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
      const known = await new Reading(this.#store, group.flatMap(asked => asked.queries), wanted).answer()
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

class Stopped extends Error {}

/** Known: some node had the content and was (at any time) at the path, by any name that the directory above ever had. */
class Reading {
  readonly #store: Pick<FolderStore, 'journal'>
  readonly #queries: readonly PastQuery[]
  readonly #wanted: () => boolean
  readonly #nodesWith = new Map<ContentId, Set<NodeId>>()
  readonly #directories = new DirectoryNames()

  constructor(store: Pick<FolderStore, 'journal'>, queries: readonly PastQuery[], wanted: () => boolean) {
    this.#store = store
    this.#queries = queries
    this.#wanted = wanted
  }

  async answer(): Promise<readonly boolean[]> {
    for (const { content } of this.#queries) if (content !== NO_CONTENT) this.#nodesWith.set(content, new Set())
    await this.#each(entry => {
      if (entry.content === NO_CONTENT) this.#directories.note(entry)
      else this.#nodesWith.get(entry.content)?.add(entry.node)
    })
    const known = this.#queries.map(() => false)
    const open = new Map<string, Set<number>>()
    let left = 0
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
      left++
      for (const name of this.#directories.namesOfFile(path)) {
        const at_ = open.get(name)
        if (at_ === undefined) open.set(name, new Set([at]))
        else at_.add(at)
      }
    }
    if (left > 0) await this.#each(entry => this.#match(entry, open, known))
    return known
  }

  #match(entry: JournalEntry, open: ReadonlyMap<string, ReadonlySet<number>>, known: boolean[]): void {
    for (const at of open.get(entry.path) ?? []) {
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

/** Which paths were one directory: a node that the journal has at two paths makes them names of the same. */
class DirectoryNames {
  readonly #nodesAt = new Map<string, Set<NodeId>>()
  readonly #pathsOf = new Map<NodeId, Set<string>>()
  readonly #names = new Map<string, ReadonlySet<string>>([['', new Set([''])]])

  note({ path, node }: JournalEntry): void {
    add(this.#nodesAt, path, node)
    add(this.#pathsOf, node, path)
  }

  knows(path: string, node: NodeId | null): boolean {
    if (node !== null && this.#pathsOf.has(node)) return true
    for (const name of this.namesOf(path)) if (this.#nodesAt.has(name)) return true
    return false
  }

  namesOfFile(path: string): string[] {
    const name = path.slice(path.lastIndexOf('/') + 1)
    return [...this.namesOf(parentPath(path))].map(directory => joinPath(directory, name))
  }

  namesOf(path: string): ReadonlySet<string> {
    const done = this.#names.get(path)
    if (done !== undefined) return done
    const names = new Set([path])
    // Set first: directories were moved into one another, and the names of one may lead back here.
    this.#names.set(path, names)
    for (const at of names) {
      const own = at.slice(at.lastIndexOf('/') + 1)
      if (at !== '') for (const above of this.namesOf(parentPath(at))) this.#add(names, joinPath(above, own))
      for (const node of this.#nodesAt.get(at) ?? [])
        for (const other of this.#pathsOf.get(node) ?? []) this.#add(names, other)
    }
    return names
  }

  #add(names: Set<string>, name: string): void {
    if (names.size < MOST_NAMES) names.add(name)
  }
}

function add<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const had = map.get(key)
  if (had === undefined) map.set(key, new Set([value]))
  else had.add(value)
}
