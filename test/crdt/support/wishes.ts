// What a person may ask for without touching the disk: random revisions of what the rows say, and the tree that they must make of it where
// the disk was equal to the tree.
import type { Facts, Kind } from '../../../src/core/entry.ts'
import type { RowId } from '../../../src/core/ids.ts'
import { ROOT_ROW } from '../../../src/core/ids.ts'
import { normalName } from '../../../src/core/names.ts'
import type { Row, RowTable } from '../../../src/core/rows.ts'
import type { RevisedHome, Revision } from '../../../src/crdt/revise.ts'
import type { Random } from './random.ts'
import { DIRECTORY, facts, line, textOf } from './replica.ts'

interface Item {
  readonly row: Row | null
  readonly number: number
  readonly kind: Kind
  parent: Item | null
  name: string
  facts: Facts
  gone: boolean
}

export interface Wish {
  readonly revisions: readonly Revision[]
  /** The whole tree as text, sorted, as `render` has it. */
  readonly becomes: string
  readonly wrote: readonly string[]
  /** Texts that it takes away. */
  readonly disposed: readonly string[]
}

interface Deps {
  readonly rows: RowTable
  readonly hidden: RowId
  readonly random: Random
  key(name: string): string
  fresh(): string
}

const NAMES = ['a', 'b', 'c', 'f', 'g.txt', 'F']

/** Null: what was thought of cannot be. */
export function wish(deps: Deps, clock: number): Wish | null {
  const { rows, hidden, random: r } = deps
  const items = new Map<RowId, Item>()
  for (const row of rows.all()) {
    if (rows.within(row.id, hidden)) continue
    items.set(row.id, { row, number: -1, kind: row.kind, parent: null, name: row.name, facts: row, gone: false })
  }
  for (const [id, item] of items)
    if (id !== ROOT_ROW && item.row !== null) item.parent = items.get(item.row.parent) ?? null
  const all = [...items.values()]
  const inside = (item: Item, top: Item): boolean => {
    for (let at: Item | null = item; at !== null; at = at.parent) if (at === top) return true
    return false
  }
  const alive = (kind: Kind | null): Item[] =>
    all.filter(item => !item.gone && item.parent !== null && (kind === null || item.kind === kind))
  const homes = (): Item[] => all.filter(item => item.kind === 'directory' && !item.gone && !isLost(item))
  const isLost = (item: Item): boolean => {
    for (let at: Item | null = item; at !== null; at = at.parent) if (at.gone) return true
    return false
  }
  let made = 0
  for (let count = 1 + r.below(5); count > 0; count--) {
    const things = alive(null)
    const what = r.next()
    const home = r.pick(homes())
    if (what < 0.3 || things.length === 0) {
      const isFile = r.chance(0.6)
      const text = isFile ? deps.fresh() : ''
      all.push({
        row: null,
        number: made++,
        kind: isFile ? 'file' : 'directory',
        parent: home,
        name: r.pick(NAMES),
        facts: isFile ? facts(text, { mtime: clock }) : DIRECTORY,
        gone: false,
      })
    } else if (what < 0.6) {
      const item = r.pick(things)
      if (inside(home, item)) continue
      item.parent = home
      item.name = r.chance(0.7) ? r.pick(NAMES) : item.name
    } else if (what < 0.8) {
      const files = things.filter(item => item.kind !== 'directory')
      if (files.length === 0) continue
      const item = r.pick(files)
      const text = deps.fresh()
      item.facts = facts(text, { mtime: clock, mode: item.facts.mode })
    } else {
      const item = r.pick(things)
      for (const other of things) if (inside(other, item)) other.gone = true
    }
  }
  return written(all, items.get(ROOT_ROW), deps)
}

function written(all: readonly Item[], root: Item | undefined, deps: Deps): Wish | null {
  const taken = new Set<string>()
  const numbers = new Map(all.map((item, at) => [item, at]))
  const lines: string[] = []
  const disposed: string[] = []
  const wrote: string[] = []
  const revisions: Revision[] = []
  const pathOf = (item: Item): string => (item.parent === null ? '' : `${pathOf(item.parent)}/${normalName(item.name)}`)
  const homeOf = (item: Item): RevisedHome => (item.row === null ? { made: item.number } : { row: item.row })
  for (const item of all) {
    const { row, kind } = item
    if (item === root) continue
    if (row !== null && kind !== 'directory' && (item.gone || item.facts !== row)) disposed.push(textOf(row.content))
    if (item.gone) {
      if (row !== null) revisions.push({ do: 'remove', row })
      continue
    }
    if (item.parent === null || item.parent.gone) return null
    const name = `${numbers.get(item.parent)}/${deps.key(item.name)}`
    if (taken.has(name)) return null
    taken.add(name)
    if (kind !== 'directory' && item.facts !== row) wrote.push(textOf(item.facts.content))
    lines.push(line(pathOf(item), kind, item.facts))
    const home = homeOf(item.parent)
    if (row === null)
      revisions.push({ do: 'create', made: item.number, home, name: item.name, kind, facts: item.facts })
    else {
      if (!('row' in home) || home.row.id !== row.parent || item.name !== row.name)
        revisions.push({ do: 'move', row, home, name: item.name })
      if (item.facts !== row) revisions.push({ do: 'edit', row, facts: item.facts })
    }
  }
  if (revisions.length === 0) return null
  return { revisions, becomes: lines.sort().join('\n'), wrote, disposed }
}
