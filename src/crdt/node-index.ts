// The records of all documents by node, and the joined state of each. Records stay packed; states are decoded on demand behind a
// small cache. Also the actors' registrations. It knows nothing of places and names: those are the projection's.
import type { Node } from '../core/entry.ts'
import type { ActorId, DocId, NodeId } from '../core/ids.ts'
import { isLegalName } from '../core/names.ts'
import { Deletions } from './deletions.ts'
import { join } from './join.ts'
import type { ActorRecord } from './record.ts'
import { decodeRecord, RecordError } from './record.ts'
import type { Held } from './record-set.ts'
import { type DirectorySlot, newSlot, type Slot } from './slots.ts'

const CACHED_STATES = 4096

export class NodeIndex {
  readonly #slots = new Map<NodeId, Slot>()
  /** Two generations: what is asked for again moves to the younger, the older is dropped as a whole. */
  #states = new Map<NodeId, Node>()
  #older = new Map<NodeId, Node>()
  readonly #actors = new Map<ActorId, ActorRecord>()
  readonly #registrations = new Map<number, number[]>()
  readonly deletions = new Deletions()
  #ignored = 0

  get size(): number {
    return this.#slots.size
  }

  /** Records that are kept but not understood, or whose names are not legal. */
  get ignored(): number {
    return this.#ignored
  }

  get actors(): ReadonlyMap<ActorId, ActorRecord> {
    return this.#actors
  }

  /** Clocks at which a client registered itself, in the directories document. Those are never deleted. */
  registrations(client: number): readonly number[] {
    return this.#registrations.get(client) ?? []
  }

  slot(id: NodeId): Slot | undefined {
    return this.#slots.get(id)
  }

  directory(id: NodeId): DirectorySlot | undefined {
    const slot = this.#slots.get(id)
    return slot?.kind === 'directory' ? slot : undefined
  }

  slots(): Iterable<Slot> {
    return this.#slots.values()
  }

  /** The joined state; undefined where no record is left. */
  state(id: NodeId): Node | undefined {
    const cached = this.#states.get(id)
    if (cached !== undefined) return cached
    const aged = this.#older.get(id)
    if (aged !== undefined) return this.#remember(aged)
    const node = this.#joined(this.#slots.get(id))
    return node && this.#remember(node)
  }

  /** The state of a node that nobody asks for again soon: while all are gone through, the cache would only churn. */
  passing(slot: Slot): Node | undefined {
    return this.#states.get(slot.id) ?? this.#older.get(slot.id) ?? this.#joined(slot)
  }

  #joined(slot: Slot | undefined): Node | undefined {
    if (slot === undefined || slot.record === null) return undefined
    let node = nodeOf(slot.record, slot.id)
    for (const held of slot.more ?? []) node = join(node, nodeOf(held.record, slot.id))
    return node
  }

  #remember(node: Node): Node {
    if (this.#states.size >= CACHED_STATES) {
      this.#older = this.#states
      this.#states = new Map()
    }
    this.#states.set(node.id, node)
    return node
  }

  #outdated(id: NodeId): void {
    this.#states.delete(id)
    this.#older.delete(id)
  }

  /** The handles of a node's records. */
  held(id: NodeId): Held[] {
    const slot = this.#slots.get(id)
    if (slot === undefined || slot.record === null) return []
    return [{ record: slot.record, client: slot.client, clock: slot.clock }, ...(slot.more ?? [])]
  }

  /** Nodes with more than one record: what housekeeping looks at. */
  *crowded(): Iterable<Slot> {
    for (const slot of this.#slots.values()) if (slot.more !== null) yield slot
  }

  /**
   * Takes in a record of a document. Returns the node it changed; null for an actor or for what is not projected. `known`: what it says, where
   * the gate has read it.
   */
  add(held: Held, known?: Node): NodeId | null {
    const decoded = known === undefined ? decode(held.record) : { type: 'node' as const, node: known }
    if (decoded === null || decoded.type === 'opaque') {
      this.#ignored++
      return null
    }
    if (decoded.type === 'deletion') {
      this.deletions.add(held, decoded.deletion)
      return null
    }
    if (decoded.type === 'actor') {
      const { actor } = decoded
      this.#registrations.set(held.client, [...this.registrations(held.client), held.clock])
      const known = this.#actors.get(actor.actor)
      if (known === undefined || JSON.stringify(actor) < JSON.stringify(known)) this.#actors.set(actor.actor, actor)
      return null
    }
    const { node } = decoded
    if (!legal(node)) {
      this.#ignored++
      return null
    }
    this.put(node.id, node.kind, held, known)
    return node.id
  }

  /** Adds a record whose node is known. `says`: all that it says, as it would be read. */
  put(id: NodeId, kind: Node['kind'], held: Held, says?: Node): void {
    let slot = this.#slots.get(id)
    if (slot === undefined) {
      slot = newSlot(id, kind)
      this.#slots.set(id, slot)
    }
    this.#outdated(id)
    if (slot.record === null) {
      slot.record = held.record
      slot.client = held.client
      slot.clock = held.clock
    } else if (slot.client !== held.client || slot.clock !== held.clock) {
      slot.more = [...(slot.more ?? []), held]
    }
    if (says !== undefined && slot.more === null) this.#remember(says)
  }

  /** A record left its document. Returns the node it changed. */
  remove(held: Held): NodeId | null {
    const decoded = decode(held.record)
    if (decoded?.type === 'deletion') this.deletions.remove(held, decoded.deletion)
    if (decoded === null || decoded.type !== 'node' || !legal(decoded.node)) return null
    this.forget(decoded.node.id, held)
    return decoded.node.id
  }

  /** Drops one record of a node that is known. */
  forget(id: NodeId, held: Held): void {
    const slot = this.#slots.get(id)
    if (slot === undefined) return
    this.#outdated(id)
    const rest = this.held(id).filter(h => h.client !== held.client || h.clock !== held.clock)
    const [first, ...more] = rest
    slot.record = first?.record ?? null
    slot.client = first?.client ?? 0
    slot.clock = first?.clock ?? 0
    slot.more = more.length > 0 ? more : null
  }

  /** The projection has let go of a slot without records. */
  drop(slot: Slot): void {
    if (slot.record === null) this.#slots.delete(slot.id)
  }
}

/** The document that a node's records belong to. */
export function documentOf(node: Pick<Node, 'kind' | 'birth'>, directories: DocId): DocId {
  return node.kind === 'directory' ? directories : (node.birth.parent.charCodeAt(0) as DocId)
}

function nodeOf(record: string, id: NodeId): Node {
  const decoded = decodeRecord(record, id)
  if (decoded.type !== 'node') throw new Error('the index holds only records of nodes')
  return decoded.node
}

function decode(record: string): ReturnType<typeof decodeRecord> | null {
  try {
    return decodeRecord(record)
  } catch (error) {
    if (error instanceof RecordError) return null
    throw error
  }
}

function legal({ birth, placement }: Node): boolean {
  if (!isLegalName(birth.name)) return false
  return placement === null || (isLegalName(placement.name) && isLegalName(placement.previousName))
}
