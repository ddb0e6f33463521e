// Rows that come to stand for what the shared tree has, without an operation, while a folder rejoins: because the disk shows the same, or
// because what it shows is old and the plan is to replace it. What was taken over is noted for the journal.
import type { Facts } from '../core/entry.ts'
import type { DeviceId, RowId } from '../core/ids.ts'
import type { JournalAction, JournalEntry, Standing } from '../core/past.ts'
import type { Row } from '../core/rows.ts'
import type { AdoptDeps, Shown } from './adopt.ts'
import type { Found, FoundRow } from './local-changes.ts'
import { type Doers, sameStanding, standing, transition } from './standing.ts'
import type { TreeView } from './tree.ts'

export interface TakeOverDeps extends AdoptDeps {
  readonly tree: TreeView
  readonly now: () => number
  readonly doers: Pick<Doers, 'ofNode' | 'ofContent' | 'ofMove'>
  readonly device: DeviceId
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
      id: again ?? rows.allocate(),
      parent: parent.id,
      name,
      kind,
      stat,
      copy: entry.copy,
      nodes: agrees ? refs : withoutVersions(refs),
      ...facts,
    }
    const before = again === null ? undefined : rows.get(again)
    const was = standing(rows, before)
    rows.put(row)
    this.#note(was === null ? 'created' : was.path === found.path ? 'edited' : 'moved', row, was, agrees)
    this.#deps.onAdopted(directory)
    return { row, again }
  }

  /** The row goes along, and nobody hears of it: where the tree shows it elsewhere, the plan moves it there. */
  follow({ row: { id }, observed }: FoundRow, parent: Row): Row | undefined {
    const { rows, tree } = this.#deps
    const row = rows.get(id)
    if (row === undefined) return undefined
    const nodes = row.nodes.map(ref => ({ ...ref, placement: tree.node(ref.id)?.placement ?? ref.placement }))
    // The stat is left as it was: a content that was changed on the way may have its old size and times, so the next look reads it.
    const stat = row.kind === 'directory' ? { ...observed.stat, mode: row.stat.mode } : row.stat
    const moved = { ...row, parent: parent.id, name: observed.name, stat, nodes }
    const was = standing(rows, row)
    rows.put(moved)
    this.#note('moved', moved, was)
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
    const was = standing(rows, row)
    if (entry === undefined) {
      if (facts.content !== row.content) return false
      // Written again, or restored with other times: what it shows it showed before.
      const next = { ...row, ...facts, stat }
      rows.put(next)
      this.#note('edited', next, was, false)
    } else {
      const next = { ...row, ...facts, stat, copy: entry.copy, nodes: tree.refsOf(entry) }
      rows.put(next)
      this.#note('edited', next, was)
    }
    this.#compare(row)
    return true
  }

  /** It shows none of the versions that the tree has: the plan replaces it, and keeps it. */
  age(row: Row, found: Found, facts: Facts): void {
    const { rows } = this.#deps
    const was = standing(rows, row)
    const next = { ...row, ...facts, stat: found.observed.stat, nodes: withoutVersions(row.nodes) }
    rows.put(next)
    this.#note('edited', next, was, false)
    this.#compare(row)
  }

  /** What the tree shows of it comes again. */
  forget(row: Row): void {
    this.#note('deleted', row, standing(this.#deps.rows, row), false)
    this.#deps.rows.delete(row.id)
    this.#compare(row)
  }

  #compare(row: Row): void {
    for (const ref of row.nodes) this.#deps.onAdopted(ref.id)
  }

  /** `agrees`: it shows what somebody wrote or did; otherwise only that this disk shows it is known. */
  #note(action: JournalAction, row: Row, was: Standing | null, agrees = true): void {
    const { rows, now, doers, device } = this.#deps
    const here = action === 'deleted' ? was : standing(rows, row)
    if (here === null || (action !== 'deleted' && sameStanding(was, here))) return
    const doer = !agrees ? device : action === 'moved' ? doers.ofMove(row, row) : doers.ofContent(row)
    const entry = transition(row, { time: now(), device: doer, action }, here, was)
    if (entry !== null) this.noted.push(entry)
  }
}

function withoutVersions(nodes: Row['nodes']): Row['nodes'] {
  return nodes.map(ref => ({ ...ref, versions: [] }))
}
