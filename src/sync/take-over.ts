// Rows that come to stand for what the shared tree has, without an operation, while a folder rejoins: because the disk shows the same, or
// because what it shows is old and the plan is to replace it. What was taken over is noted for the journal.
import type { Facts } from '../core/entry.ts'
import type { DeviceId, NodeId, RowId } from '../core/ids.ts'
import type { JournalEntry } from '../core/ports.ts'
import type { Row } from '../core/rows.ts'
import type { AdoptDeps, Shown } from './adopt.ts'
import type { Found, FoundRow } from './local-changes.ts'
import type { TreeView } from './tree.ts'

export interface TakeOverDeps extends AdoptDeps {
  readonly tree: TreeView
  readonly now: () => number
  readonly deviceOf: (node: NodeId) => DeviceId
}

export class TakeOver {
  readonly noted: JournalEntry[] = []
  readonly #deps: TakeOverDeps

  constructor(deps: TakeOverDeps) {
    this.#deps = deps
  }

  /**
   * A row for what stands here without one. `lost`: rows that are nowhere to be seen; one that stood for the same is taken. Undefined: another
   * row has it, in place.
   */
  claim(
    found: Found,
    parent: Row,
    shown: Shown,
    facts: Facts,
    lost: ReadonlyMap<RowId, Row>,
  ): { row: Row; again: RowId | null } | undefined {
    const { rows, tree } = this.#deps
    const { directory, entry } = shown
    const { name, kind, stat } = found.observed
    const key = tree.nameKey(name)
    const others = entry.nodes.flatMap(id => rows.byNode(id)).filter(row => row.kind === kind)
    const inPlace = (row: Row): boolean => row.parent === parent.id && tree.nameKey(row.name) === key
    if (others.some(row => !lost.has(row.id) && inPlace(row))) return undefined
    const again = others.find(row => lost.has(row.id))?.id ?? null
    const refs = tree.refsOf(entry)
    const agrees = kind === 'directory' || entry.facts.content === facts.content
    const row: Row = {
      ...facts,
      id: again ?? rows.allocate(),
      parent: parent.id,
      name,
      kind,
      stat,
      copy: entry.copy,
      nodes: agrees ? refs : withoutVersions(refs),
    }
    rows.put(row)
    if (agrees) this.#note('created', row, found.path)
    this.#deps.onAdopted(directory)
    return { row, again }
  }

  /** The row goes along, and nobody hears of it: where the tree shows it elsewhere, the plan moves it there. */
  follow({ row: { id }, observed, path }: FoundRow, parent: Row): Row | undefined {
    const { rows, tree } = this.#deps
    const row = rows.get(id)
    if (row === undefined) return undefined
    const nodes = row.nodes.map(ref => ({ ...ref, placement: tree.node(ref.id)?.placement ?? ref.placement }))
    // The stat is left as it was: a content that was changed on the way may have its old size and times, so the next look reads it.
    const stat = row.kind === 'directory' ? { ...observed.stat, mode: row.stat.mode } : row.stat
    const moved = { ...row, parent: parent.id, name: observed.name, stat, nodes }
    rows.put(moved)
    this.#note('moved', moved, path)
    this.#compare(row)
    return moved
  }

  /** The disk shows one of the versions that the tree has of the row's file. False: it does not. */
  agree(row: Row, found: Found, facts: Facts): boolean {
    const { rows, tree } = this.#deps
    const [ref] = row.nodes
    const entries = ref === undefined ? [] : tree.entriesOf(ref.id)
    const entry = entries.find(each => each.facts.content === facts.content)
    const { stat } = found.observed
    if (entry === undefined) {
      if (facts.content !== row.content) return false
      // Written again, or restored with other times: what it shows it showed before.
      rows.put({ ...row, ...facts, stat })
    } else {
      const next = { ...row, ...facts, stat, copy: entry.copy, nodes: tree.refsOf(entry) }
      rows.put(next)
      this.#note('edited', next, found.path)
    }
    this.#compare(row)
    return true
  }

  /** It shows none of the versions that the tree has: the plan replaces it, and keeps it. */
  age(row: Row, found: Found, facts: Facts): void {
    this.#deps.rows.put({ ...row, ...facts, stat: found.observed.stat, nodes: withoutVersions(row.nodes) })
    this.#compare(row)
  }

  /** What the tree shows of it comes again. */
  forget(row: Row): void {
    this.#deps.rows.delete(row.id)
    this.#compare(row)
  }

  #compare(row: Row): void {
    for (const ref of row.nodes) this.#deps.onAdopted(ref.id)
  }

  #note(action: JournalEntry['action'], row: Row, path: string): void {
    const [ref] = row.nodes
    if (ref === undefined) return
    const { now, deviceOf } = this.#deps
    const { content, size } = row
    this.noted.push({ time: now(), device: deviceOf(ref.id), action, node: ref.id, path, content, size })
  }
}

function withoutVersions(nodes: Row['nodes']): Row['nodes'] {
  return nodes.map(ref => ({ ...ref, versions: [] }))
}
