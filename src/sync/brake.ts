// The brake on mass deletion: what another device deleted of this folder, where that is so much in so short a time that a person may not
// have meant it. Carried out is nothing of it until somebody answers; the documents go on, and so does all else. What comes back by itself
// meanwhile, as under a package manager that removes everything and installs it anew, lets go unasked. It writes to no tree and no disk.
import { z } from 'zod'
import type { DeviceId, NodeId } from '../core/ids.ts'
import { ROOT_ROW } from '../core/ids.ts'
import type { FolderBatch, FolderStore, Problem } from '../core/ports.ts'
import type { Row, RowTable } from '../core/rows.ts'
import type { Revision } from '../crdt/revise.ts'
import type { Plan } from './plan.ts'
import type { Doers } from './standing.ts'
import type { TreeView } from './tree.ts'
import { undoLine } from './undo-line.ts'

/** Deletions of one device count together for so long. */
const WINDOW_MS = 10 * 60_000
/** So many files may always go. */
export const AT_LEAST_FILES = 200
/** A person hears of it only after this: most of what removes a whole tree at once puts it back at once. */
const QUIET_MS = 30_000
const NOTE = 'brake'

const storedSchema = z.array(
  z.object({
    device: z.string().transform(id => id as DeviceId),
    applied: z.int().min(0),
    appliedSince: z.int().nullable().default(null),
  }),
)

/** What had been carried out before. */
interface Before {
  /** Files that went within the window. */
  readonly applied: number
  /** When the first of them did, by the wall clock; null: none did, or nobody knows. */
  readonly appliedSince: number | null
}

/** Of each device whose deletions are held. */
export type Held = ReadonlyMap<DeviceId, Before>

/** What was held before this process. What cannot be read is found again by the first plan. */
export async function loadHeld(store: Pick<FolderStore, 'note'>): Promise<Held> {
  try {
    const bytes = (await store.note(NOTE)) ?? new Uint8Array()
    const stored = storedSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
    return new Map(stored.map(({ device, ...before }) => [device, before]))
  } catch {
    return new Map()
  }
}

export interface BrakeDeps {
  /** The folder's. */
  readonly name: string
  readonly device: DeviceId
  readonly rows: RowTable
  readonly tree: Pick<TreeView, 'entriesOf' | 'node'>
  readonly doers: Pick<Doers, 'ofDeletion'>
  /** As it is called now: what it was called when it wrote may be the name of another by now. */
  readonly nameOfDevice: (device: DeviceId) => string
  /** The wall clock. */
  readonly now: () => number
  /** ms, monotone. */
  readonly elapsed: () => number
  /** How much of the folder, in percent, another device may delete within ten minutes. */
  readonly maxDeletes: () => number
  readonly held: Held
}

interface Hold extends Before {
  readonly since: number
  /** What stays here for now. */
  readonly nodes: Set<NodeId>
}

interface Carried {
  /** Monotone ms. */
  readonly at: number
  /** By the wall clock. */
  readonly time: number
}

export class Brake {
  readonly #deps: BrakeDeps
  readonly #holds = new Map<DeviceId, Hold>()
  /** What each device deleted that was carried out, and when. */
  readonly #recent = new Map<DeviceId, Map<NodeId, Carried>>()
  /** A person said that these are to go. */
  readonly #approved = new Set<NodeId>()
  /** A person said that these are to be there again. */
  #rejected: readonly NodeId[] = []
  #isStored = true

  constructor(deps: BrakeDeps) {
    this.#deps = deps
    for (const [device, before] of deps.held)
      this.#holds.set(device, { since: deps.elapsed(), ...before, nodes: new Set() })
  }

  get holding(): boolean {
    return this.#holds.size + this.#rejected.length > 0
  }

  /** Is what the row of this file shows to stay for now, though it was deleted? */
  holds(node: NodeId): boolean {
    if (this.#holds.size === 0 || this.#deps.tree.entriesOf(node).length > 0) return false
    return [...this.#holds.values()].some(({ nodes }) => nodes.has(node))
  }

  /** True: the plan deletes too much, and is to be made again without what is held now. */
  stops(plan: Plan): boolean {
    const deletions = this.#deletionsOf(plan)
    let stopped = false
    for (const [device, nodes] of deletions) {
      const hold = this.#holds.get(device) ?? this.#brakeOn(device, nodes)
      if (hold === null) continue
      for (const node of nodes) hold.nodes.add(node)
      stopped = true
    }
    return stopped
  }

  /** After a plan: what is no longer too much. Returns nodes to be compared again. */
  release(): readonly NodeId[] {
    const released: NodeId[] = []
    for (const node of this.#approved) if (!this.#isDeletedHere(node)) this.#approved.delete(node)
    for (const [device, hold] of this.#holds) {
      for (const node of hold.nodes) if (!this.#isDeletedHere(node)) hold.nodes.delete(node)
      if (hold.nodes.size + hold.applied > this.#limit(hold.applied)) continue
      this.#letGo(device)
      released.push(...hold.nodes)
    }
    return released
  }

  /** A person: what was deleted is to go. Returns nodes to be compared again. */
  approve(): readonly NodeId[] {
    for (const device of this.#holds.keys()) this.#recent.delete(device)
    const nodes = this.#letAllGo()
    for (const node of nodes) this.#approved.add(node)
    return nodes
  }

  /** A person: what was deleted is to be there again, on all devices. The next cycle says so. Returns what that brings back, and what not. */
  reject(): string {
    const before = this.#toldOfBefore(this.#holds)
    this.#rejected = this.#letAllGo()
    const files = this.#rejected.length
    const held = files === 1 ? '1 file that was held is' : `${files} files that were held are`
    return `the ${held} brought back on all devices.${before}`
  }

  /** What brings back what a person wants back; the directories of it as they are here. */
  takeRejected(): readonly Extract<Revision, { do: 'edit' }>[] {
    const { rows, tree } = this.#deps
    const back = new Map<number, Row>()
    const nodes = this.#rejected
    this.#rejected = []
    for (const node of nodes)
      for (const row of rows.byNode(node)) {
        back.set(row.id, row)
        for (let at = rows.get(row.parent); at !== undefined && at.id !== ROOT_ROW; at = rows.get(at.parent))
          if (!at.nodes.some(ref => (tree.node(ref.id)?.versions.length ?? 0) > 0)) back.set(at.id, at)
      }
    return [...back.values()].map(row => ({ do: 'edit' as const, row, facts: row }))
  }

  /** To be stored where that changed since it was asked last. */
  due(): FolderBatch | null {
    if (this.#isStored) return null
    this.#isStored = true
    const held = [...this.#holds].map(([device, { applied, appliedSince }]) => ({ device, applied, appliedSince }))
    return { notes: [{ name: NOTE, bytes: Buffer.from(JSON.stringify(held)) }] }
  }

  /** ms until a person is to hear of it; null where nothing is held, or they have. */
  nextTellMs(): number | null {
    const left = [...this.#holds.values()]
      .map(({ since }) => since + QUIET_MS - this.#deps.elapsed())
      .filter(ms => ms > 0)
    return left.length === 0 ? null : Math.min(...left)
  }

  /** For the folder's status. */
  problem(): Problem | null {
    const now = this.#deps.elapsed()
    const told = [...this.#holds].filter(([, { since }]) => now - since >= QUIET_MS)
    if (told.length === 0) return null
    const files = told.reduce((sum, [, { nodes }]) => sum + nodes.size, 0)
    const { name, rows, nameOfDevice } = this.#deps
    const who = told.map(([device]) => nameOfDevice(device)).join(' and ')
    const message = `${who} deleted ${files} of the ${rows.totals.files} files here at once: they stay until you say what is right. "kith folder approve ${name}" deletes them here too; "kith folder reject ${name}" brings them back on all devices.${this.#toldOfBefore(told)}`
    return { code: 'mass-change', path: '', message }
  }

  /** What went before it was too much stays away with either answer; empty where nothing did. */
  #toldOfBefore(holds: Iterable<readonly [DeviceId, Hold]>): string {
    const { name, nameOfDevice } = this.#deps
    const sentences = [...holds].map(([device, { applied, appliedSince }]) => {
      if (applied === 0) return ''
      const who = nameOfDevice(device)
      const went = ` What ${who} deleted just before that (${applied}) went here too, and "reject" does not bring it back.`
      if (appliedSince === null)
        return `${went} "kith restore PATH", with the path of the folder, changes nothing and says what is gone from it and the --at that brings it back.`
      // What it made meanwhile goes, too: a person is to see that first.
      const line = undoLine(who, appliedSince, name)
      return `${went} "${line} --dry-run" shows all that ${who} did in this folder since then, also what is new; the same line without --dry-run takes all of that back.`
    })
    return sentences.join('')
  }

  #letAllGo(): readonly NodeId[] {
    const nodes = [...this.#holds.values()].flatMap(hold => [...hold.nodes])
    for (const device of [...this.#holds.keys()]) this.#letGo(device)
    return nodes
  }

  #letGo(device: DeviceId): void {
    this.#holds.delete(device)
    this.#isStored = false
  }

  /** Null where it is not too much: then it counts as carried out. */
  #brakeOn(device: DeviceId, nodes: readonly NodeId[]): Hold | null {
    const now = this.#deps.elapsed()
    const recent = this.#recent.get(device) ?? new Map<NodeId, Carried>()
    for (const [node, { at }] of recent) if (now - at > WINDOW_MS) recent.delete(node)
    const carried = [...recent].filter(([node]) => !this.#isDeletedHere(node)).map(([, each]) => each)
    const applied = carried.length
    if (nodes.length + applied <= this.#limit(applied)) {
      for (const node of nodes) recent.set(node, { at: now, time: this.#deps.now() })
      this.#recent.set(device, recent)
      return null
    }
    const appliedSince = applied === 0 ? null : Math.min(...carried.map(({ time }) => time))
    const hold = { since: now, applied, appliedSince, nodes: new Set<NodeId>() }
    this.#holds.set(device, hold)
    this.#isStored = false
    return hold
  }

  /** `applied`: so many fewer files are here than were. */
  #limit(applied: number): number {
    const files = this.#deps.rows.totals.files + applied
    return Math.max(AT_LEAST_FILES, (files * this.#deps.maxDeletes()) / 100)
  }

  #isDeletedHere(node: NodeId): boolean {
    const { rows, tree } = this.#deps
    return tree.entriesOf(node).length === 0 && rows.byNode(node).length > 0
  }

  /** The files that others deleted, by who did. Copies of what is still there, and what a person here deleted, are none of its business. */
  #deletionsOf(plan: Plan): Map<DeviceId, NodeId[]> {
    const { rows, doers, device: own } = this.#deps
    const found = new Map<DeviceId, NodeId[]>()
    for (const { step, row: id } of [...plan.structure, ...plan.removals]) {
      const row = rows.get(id)
      if (step.do !== 'remove' || step.kind === 'directory' || row === undefined) continue
      const device = doers.ofDeletion(row)
      if (device === own) continue
      const nodes = found.get(device) ?? []
      for (const { id: node } of row.nodes) if (this.#isDeletedHere(node) && !this.#approved.has(node)) nodes.push(node)
      if (nodes.length > 0) found.set(device, nodes)
    }
    return found
  }
}
