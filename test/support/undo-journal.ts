// A folder taken back through its journal, entry by entry, from the rows of now: the journal's promise, spelled out. Strict: what an entry
// speaks of must be there as the entry says, or the chain is broken. Two things may stand at one path between two entries of one commit
// (a swap is two moves), so what an entry speaks of is found by path, kind, node and facts.
import type { Facts, Kind } from '../../src/core/entry.ts'
import type { NodeId, RowId } from '../../src/core/ids.ts'
import { ROOT_ROW } from '../../src/core/ids.ts'
import type { JournalEntry, Standing } from '../../src/core/past.ts'
import type { RowTable } from '../../src/core/rows.ts'

interface Item {
  name: string
  kind: Kind
  facts: Facts
  nodes: readonly NodeId[]
  parent: Item | null
  readonly children: Set<Item>
}

export interface Stands extends Facts {
  readonly path: string
  readonly kind: Kind
}

const NOWHERE: Facts = { content: '' as Facts['content'], size: 0, mtime: 0, mode: 0 }

export class Rewound {
  readonly #root: Item = { name: '', kind: 'directory', facts: NOWHERE, nodes: [], parent: null, children: new Set() }

  constructor(rows: RowTable) {
    this.#add(rows, ROOT_ROW, this.#root)
  }

  #add(rows: RowTable, id: RowId, into: Item): void {
    for (const row of rows.children(id)) {
      const { name, kind, content, size, mtime, mode } = row
      const facts = { content, size, mtime, mode }
      const item: Item = { name, kind, facts, nodes: row.nodes.map(ref => ref.id), parent: into, children: new Set() }
      into.children.add(item)
      this.#add(rows, row.id, item)
    }
  }

  undo(entry: JournalEntry): void {
    const { action, was, kind, node } = entry
    if (action === 'deleted') {
      const { path, facts } = was ?? entry
      const item: Item = { name: '', kind, facts, nodes: [node], parent: null, children: new Set() }
      return this.#place(item, path, entry)
    }
    const item = this.#find(entry)
    if (was === null) {
      if (item.children.size > 0) throw broken(entry, 'something is in what was new')
      item.parent?.children.delete(item)
      return
    }
    item.facts = was.facts
    item.nodes = [...new Set([...item.nodes, node])]
    if (was.path !== entry.path) this.#place(item, was.path, entry)
  }

  /** Everything that stands, by path. Throws where two stand at one path. */
  all(): Map<string, Stands> {
    const out = new Map<string, Stands>()
    const walk = (item: Item, above: string): void => {
      for (const child of item.children) {
        const path = above === '' ? child.name : `${above}/${child.name}`
        if (out.has(path)) throw new Error(`two stand at ${path}`)
        out.set(path, { path, kind: child.kind, ...child.facts })
        walk(child, path)
      }
    }
    walk(this.#root, '')
    return out
  }

  #at(path: string): Item[] {
    let found = [this.#root]
    if (path === '') return found
    for (const name of path.split('/'))
      found = found.flatMap(item => [...item.children].filter(child => child.name === name))
    return found
  }

  #find(entry: JournalEntry): Item {
    const there = this.#at(entry.path).filter(item => item.kind === entry.kind && same(item.facts, entry.facts))
    const item = there.find(({ nodes }) => nodes.includes(entry.node)) ?? there[0]
    if (item === undefined) throw broken(entry, `it is not there, but ${describe(this.#at(entry.path))}`)
    return item
  }

  #place(item: Item, path: string, entry: JournalEntry): void {
    const at = path.lastIndexOf('/')
    const above = this.#at(at < 0 ? '' : path.slice(0, at)).filter(one => one.kind === 'directory' && one !== item)
    const [parent] = above
    if (parent === undefined) throw broken(entry, 'its directory is not there')
    item.parent?.children.delete(item)
    item.name = path.slice(at + 1)
    item.parent = parent
    parent.children.add(item)
  }
}

function same(a: Facts, b: Facts): boolean {
  return a.content === b.content && a.size === b.size && a.mtime === b.mtime && a.mode === b.mode
}

function broken(entry: JournalEntry, why: string): Error {
  return new Error(`${tellEntry(entry)} cannot be undone: ${why}`)
}

function describe(items: readonly Item[]): string {
  return items.map(({ kind, facts }) => `${kind} ${tellFacts(facts)}`).join(', ') || 'nothing'
}

export function tellEntry({ action, kind, path, facts, was, device }: JournalEntry): string {
  const before = (standing: Standing): string => `was ${standing.path} ${tellFacts(standing.facts)}`
  return `${device} ${action} ${kind} ${path} ${tellFacts(facts)} (${was === null ? 'new' : before(was)})`
}

function tellFacts({ content, size, mtime, mode }: Facts): string {
  return `${Buffer.from(content, 'latin1').toString('hex').slice(2, 8)} ${size} ${mtime} ${mode.toString(8)}`
}
