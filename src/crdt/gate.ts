// The gate: reads an update of another device without Yjs and without trusting it. Only what our own writers produce passes: items of
// strings under the one root, or deleted items; each string a canonical record that belongs in this document, by registered actors;
// deletions of known ranges, never of a registration; nothing that Yjs would park. Never throws; work and memory stay linear in
// the update's length. `scanUpdate` needs no document, so that large updates can be scanned in a worker first.
import type { Node } from '../core/entry.ts'
import type { ActorId, DocId } from '../core/ids.ts'
import { DIRECTORIES_DOC } from '../core/ids.ts'
import { isLegalName } from '../core/names.ts'
import { documentOf } from './node-index.ts'
import { checkRecord, MAX_RECORD_BYTES, RecordError } from './record.ts'
import { ROOT_KEY } from './record-set.ts'

const MAX_UPDATE_BYTES = 64 * 1024 * 1024
const MAX_CLOCK = 2 ** 45

export type Verdict =
  | {
      readonly ok: true
      /** Records that are kept but not shown: names that are not legal, or of a later format. */
      readonly ignored?: number
    }
  | { readonly ok: false; readonly gap: true }
  | { readonly ok: false; readonly gap: false; readonly reason: string }

interface Struct {
  readonly client: number
  readonly clock: number
  readonly length: number
  /** What it builds on. */
  readonly needs: readonly { client: number; clock: number }[]
}

/** Of one update, kept decoded until it is applied: what else is in it is decoded again. A peer may send a million in one. */
const MOST_NODES = 4_096

export interface Scan {
  readonly structs: readonly Struct[]
  readonly deletes: readonly { client: number; clock: number; length: number }[]
  /** Every actor that the records name as writer of a version or placement. */
  readonly actors: ReadonlySet<ActorId>
  /** Registrations inside. */
  readonly registered: ReadonlyMap<ActorId, number>
  readonly ignored: number
  /** What the records say, by record; of many, of the first. */
  readonly nodes: ReadonlyMap<string, Node>
}

/** What the gate must know of the document that the update is for. */
export interface Known {
  state(client: number): number
  isRegistered(actor: number): boolean
  /** Clocks of registrations by one client in this document. */
  registrations(client: number): readonly number[]
  readonly own: ActorId
}

class Malformed extends Error {}

const ITEM_DELETED = 1
const ITEM_ANY = 8
const ANY_STRING = 119
const HAS_ORIGIN = 0x80
const HAS_RIGHT_ORIGIN = 0x40

class Bytes {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at === this.#bytes.length
  }

  byte(): number {
    const value = this.#bytes[this.#at++]
    if (value === undefined) throw new Malformed('it ends too early')
    return value
  }

  uint(max: number = Number.MAX_SAFE_INTEGER): number {
    let value = 0
    let unit = 1
    for (;;) {
      const byte = this.byte()
      value += (byte & 0x7f) * unit
      if (value > max) throw new Malformed('a number is out of range')
      if (byte < 0x80) return value
      unit *= 0x80
    }
  }

  /** UTF-8 of code points below 256, as our records are; anything else is no record. */
  latin1(max: number): string {
    const length = this.uint(max)
    const end = this.#at + length
    if (end > this.#bytes.length) throw new Malformed('it ends too early')
    const slice = Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + this.#at, length)
    this.#at = end
    const text = slice.toString('utf8')
    if (!/^[\0-\xff]*$/.test(text) || Buffer.byteLength(text) !== length) throw new Malformed('a string is no record')
    return text
  }
}

/** Reads the whole update; throws Malformed or RecordError. */
function scan(doc: DocId, update: Uint8Array): Scan {
  if (update.length > MAX_UPDATE_BYTES) throw new Malformed('it is too long')
  const bytes = new Bytes(update)
  const structs: Struct[] = []
  const actors = new Set<ActorId>()
  const registered = new Map<ActorId, number>()
  const nodes = new Map<string, Node>()
  let ignored = 0
  const seen = new Set<number>()
  for (let clients = bytes.uint(); clients > 0; clients--) {
    const count = bytes.uint()
    const client = bytes.uint()
    let clock = bytes.uint(MAX_CLOCK)
    if (client === 0 || seen.has(client)) throw new Malformed('a client occurs twice')
    seen.add(client)
    for (let i = 0; i < count; i++) {
      const { struct, records } = readItem(bytes, client, clock)
      records.forEach((record, n) => {
        ignored += takeRecord(
          doc,
          record,
          { client: client as ActorId, clock: clock + n },
          { actors, registered, nodes },
        )
      })
      structs.push(struct)
      clock += struct.length
      if (clock > MAX_CLOCK) throw new Malformed('a number is out of range')
    }
  }
  const deletes = readDeletes(bytes)
  if (!bytes.done) throw new Malformed('bytes after the update')
  return { structs, deletes, actors, registered, ignored, nodes }
}

function readItem(bytes: Bytes, client: number, clock: number): { struct: Struct; records: readonly string[] } {
  const info = bytes.byte()
  const kind = info & ~(HAS_ORIGIN | HAS_RIGHT_ORIGIN)
  if (kind !== ITEM_ANY && kind !== ITEM_DELETED) throw new Malformed('a foreign content type')
  const needs: { client: number; clock: number }[] = []
  if ((info & HAS_ORIGIN) !== 0) needs.push({ client: bytes.uint(), clock: bytes.uint(MAX_CLOCK) })
  if ((info & HAS_RIGHT_ORIGIN) !== 0) needs.push({ client: bytes.uint(), clock: bytes.uint(MAX_CLOCK) })
  if (needs.length === 0 && (bytes.uint() !== 1 || bytes.latin1(ROOT_KEY.length) !== ROOT_KEY)) {
    throw new Malformed('a foreign root')
  }
  // Yjs does not look at dependencies on the same client: they must lie before
  for (const need of needs)
    if (need.client === client && need.clock >= clock) throw new Malformed('an item depends on itself')
  const length = bytes.uint(MAX_CLOCK)
  if (length === 0) throw new Malformed('an empty item')
  const records: string[] = []
  if (kind === ITEM_ANY) {
    for (let i = 0; i < length; i++) {
      if (bytes.byte() !== ANY_STRING) throw new Malformed('a foreign content type')
      records.push(bytes.latin1(MAX_RECORD_BYTES * 2))
    }
  }
  return { struct: { client, clock, length, needs }, records }
}

/** Returns 1 for a record that will be ignored. */
function takeRecord(
  doc: DocId,
  record: string,
  at: { readonly client: ActorId; readonly clock: number },
  { actors, registered, nodes }: { actors: Set<ActorId>; registered: Map<ActorId, number>; nodes: Map<string, Node> },
): 0 | 1 {
  const decoded = checkRecord(record)
  if (decoded.type === 'opaque') return 1
  if (decoded.type === 'deletion') {
    if (decoded.deletion.doc !== doc) throw new Malformed('a record of another document')
    return 0
  }
  if (decoded.type === 'actor') {
    if (doc !== DIRECTORIES_DOC || decoded.actor.actor !== at.client)
      throw new Malformed('a registration by somebody else')
    registered.set(at.client, at.clock)
    return 0
  }
  const { node } = decoded
  if (documentOf(node, DIRECTORIES_DOC) !== doc) throw new Malformed('a record of another document')
  for (const { dot } of node.versions) actors.add(dot.actor)
  if (node.placement !== null) actors.add(node.placement.actor)
  if (nodes.size < MOST_NODES) nodes.set(record, node)
  return namesAreLegal(node) ? 0 : 1
}

function namesAreLegal({ birth, placement }: Node): boolean {
  if (!isLegalName(birth.name)) return false
  return placement === null || (isLegalName(placement.name) && isLegalName(placement.previousName))
}

function readDeletes(bytes: Bytes): { client: number; clock: number; length: number }[] {
  const out: { client: number; clock: number; length: number }[] = []
  for (let clients = bytes.uint(); clients > 0; clients--) {
    const client = bytes.uint()
    for (let count = bytes.uint(); count > 0; count--) {
      const clock = bytes.uint(MAX_CLOCK)
      const length = bytes.uint(MAX_CLOCK)
      if (length === 0) throw new Malformed('an empty deletion')
      out.push({ client, clock, length })
    }
  }
  return out
}

export function scanUpdate(doc: DocId, update: Uint8Array): Scan | string {
  try {
    return scan(doc, update)
  } catch (error) {
    if (error instanceof Malformed || error instanceof RecordError) return error.message
    throw error
  }
}

/** Is a scanned update complete against this document, and by whom it may be? */
export function judge(found: Scan, known: Known): Verdict {
  const refuse = (reason: string): Verdict => ({ ok: false, gap: false, reason })
  const states = new Map<number, number>()
  for (const { client, clock, length } of found.structs) {
    const at = states.get(client) ?? known.state(client)
    if (clock > at) return { ok: false, gap: true }
    if (client === known.own && clock + length > at)
      return refuse('rollback: it holds writes of this actor that are not here')
    states.set(client, Math.max(at, clock + length))
  }
  const after = (client: number): number => states.get(client) ?? known.state(client)
  for (const { needs } of found.structs) {
    for (const need of needs) if (need.clock >= after(need.client)) return { ok: false, gap: true }
  }
  for (const { client, clock, length } of found.deletes) {
    if (clock + length > after(client)) return { ok: false, gap: true }
    const own = found.registered.get(client as ActorId)
    const registrations = own === undefined ? known.registrations(client) : [...known.registrations(client), own]
    if (registrations.some(at => at >= clock && at < clock + length)) return refuse('it deletes a registration')
  }
  const registered = (actor: number): boolean => known.isRegistered(actor) || found.registered.has(actor as ActorId)
  for (const client of states.keys()) if (!registered(client)) return { ok: false, gap: true }
  for (const actor of found.actors) if (!registered(actor)) return { ok: false, gap: true }
  if (!integrable(found.structs, known)) return refuse('its items depend on each other')
  return found.ignored > 0 ? { ok: true, ignored: found.ignored } : { ok: true }
}

/** Can all items be put in place, one after the other? Items that wait for each other would be parked for ever. */
function integrable(structs: readonly Struct[], known: Known): boolean {
  const queues = new Map<number, Struct[]>()
  for (const struct of structs) {
    const queue = queues.get(struct.client)
    if (queue === undefined) queues.set(struct.client, [struct])
    else queue.push(struct)
  }
  const next = new Map<number, number>()
  const state = new Map<number, number>()
  const at = (client: number): number => state.get(client) ?? known.state(client)
  for (const start of queues.keys()) {
    const stack = [start]
    const onStack = new Set(stack)
    for (let client = stack.at(-1); client !== undefined; client = stack.at(-1)) {
      const struct = queues.get(client)?.[next.get(client) ?? 0]
      const missing = struct?.needs.find(need => need.clock >= at(need.client))
      if (struct === undefined) {
        stack.pop()
        onStack.delete(client)
      } else if (missing === undefined) {
        next.set(client, (next.get(client) ?? 0) + 1)
        state.set(client, Math.max(at(client), struct.clock + struct.length))
      } else {
        // it waits for a client that itself waits for this one, or whose items are all in place
        if (onStack.has(missing.client) || !hasMore(queues, next, missing.client)) return false
        stack.push(missing.client)
        onStack.add(missing.client)
      }
    }
  }
  return true
}

function hasMore(queues: ReadonlyMap<number, Struct[]>, next: ReadonlyMap<number, number>, client: number): boolean {
  return (next.get(client) ?? 0) < (queues.get(client)?.length ?? 0)
}
