// The group of devices that this one trusts: a grow-only set of signed statements in a file of its own, outside every database.
// It promises that what it says survives a crash (stored before it counts), that only statements that verify are taken, and that
// a removed device stays out whatever is replayed. It must not open connections: `onChange` tells who has to go.
import { join } from 'node:path'
import { decode, encode } from 'cborg'
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { KithError } from '../core/errors.ts'
import type { Emit } from '../core/events.ts'
import type { DeviceId } from '../core/ids.ts'
import { binary } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { Identity } from './identity.ts'
import type { MemberGraph } from './member-graph.ts'
import { evaluate } from './member-graph.ts'
import { readPrivate, replacePrivate } from './private-file.ts'
import type { Statement, StatementBody } from './statements.ts'
import {
  decodeBody,
  deviceNameSchema,
  deviceSchema,
  encodeBody,
  MAX_NAME_LENGTH,
  readStatement,
  seal,
  sign,
  verify,
} from './statements.ts'

const FILE = 'members'
const FILE_VERSION = 1
/** Enough for a lifetime of one person's devices; a flood ends here. */
const MAX_STATEMENTS = 5_000
const MAX_REMEMBERED_REFUSALS = 1_000
const MAX_PREPARED = 8

const bytesSchema = z.custom<Uint8Array>(value => value instanceof Uint8Array)
const preparedSchema = z.object({ device: deviceSchema, body: bytesSchema, signature: bytesSchema })
const fileSchema = z.object({
  version: z.number().int(),
  statements: z.array(bytesSchema),
  prepared: z.array(preparedSchema),
})

/** A pairing that this device has signed and whose other signature it has not seen yet. */
export type Prepared = z.infer<typeof preparedSchema>

export interface MembershipDeps {
  readonly identity: Identity
  readonly clock: Pick<Clock, 'now'>
  readonly emit: Emit
  readonly log: Log
}

export interface MembershipOptions {
  readonly home: string
  /** This device's name, until a statement gives another. */
  readonly name: string
}

export interface MembershipChange {
  readonly added: readonly DeviceId[]
  readonly removed: readonly DeviceId[]
}

export class Membership {
  readonly #deps: MembershipDeps
  readonly #path: string
  readonly #firstName: string
  readonly #statements = new Map<string, Statement>()
  readonly #refused = new Set<string>()
  readonly #listeners = new Set<(change: MembershipChange) => void>()
  #prepared: readonly Prepared[] = []
  #graph: MemberGraph
  #tail: Promise<unknown> = Promise.resolve()

  constructor(deps: MembershipDeps, options: MembershipOptions) {
    this.#deps = deps
    this.#path = join(options.home, FILE)
    this.#firstName = options.name
    this.#graph = evaluate(deps.identity.device, [])
  }

  /** Loads the file. Throws KithError where it is damaged: starting without it would forget who was removed. */
  async start(): Promise<void> {
    const stored = await readPrivate(this.#path)
    if (stored !== null) await this.#load(stored)
    if (!this.#graph.names.has(this.self)) {
      const name = this.#firstName.trim().slice(0, MAX_NAME_LENGTH) || 'device'
      await this.#author({ is: 'named', device: this.self, name, by: this.self, at: this.#deps.clock.now() })
    }
  }

  get self(): DeviceId {
    return this.#deps.identity.device
  }

  /** Members other than this device. */
  members(): readonly DeviceId[] {
    return [...this.#graph.members]
  }

  isMember(device: DeviceId): boolean {
    return this.#graph.members.has(device)
  }

  wasRemoved(device: DeviceId): boolean {
    return this.#graph.removed.has(device)
  }

  /** Everyone ever reachable: two homes that share one of them belong to one group. */
  knows(device: DeviceId): boolean {
    return this.#graph.known.has(device)
  }

  nameOf(device: DeviceId): string {
    return this.#graph.names.get(device) ?? device.slice(-8)
  }

  statements(): readonly Uint8Array[] {
    return [...this.#statements.values()].map(statement => statement.bytes)
  }

  onChange(listener: (change: MembershipChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Takes what verifies, durably, and refuses the rest with an event each. Never throws for what was sent. */
  async receive(statements: readonly Uint8Array[], from: DeviceId): Promise<void> {
    await this.#serial(async () => {
      const fresh = await this.#readAll(statements, from)
      const taken = this.#select(fresh, from)
      if (taken.length > 0) await this.#take(taken)
    })
  }

  async remove(device: DeviceId): Promise<void> {
    if (!this.isMember(device)) throw new KithError('device-unknown', 'That device is not paired with this one.')
    const keep = [...(this.#graph.paired.get(device) ?? [])].filter(id => id === this.self || this.isMember(id))
    await this.#author({ is: 'removed', device, by: this.self, at: this.#deps.clock.now(), keep })
  }

  async rename(device: DeviceId, name: string): Promise<void> {
    if (device !== this.self && !this.isMember(device)) {
      throw new KithError('device-unknown', 'That device is not paired with this one.')
    }
    if (!deviceNameSchema.safeParse(name).success) {
      throw new KithError('bad-usage', 'A device name has 1 to 64 characters.')
    }
    let at = this.#deps.clock.now()
    for (const { body } of this.#statements.values()) {
      // A name given under a clock that ran ahead must not win for ever.
      if (body.is === 'named' && body.device === device) at = Math.max(at, body.at + 1)
    }
    await this.#author({ is: 'named', device, name, by: this.self, at })
  }

  // ------------------------------------------------------------------------------------------ the two halves of a pairing

  /** The one who typed the code: signs and remembers durably that it did, before the signature leaves. */
  async prepare(encoded: Uint8Array): Promise<Uint8Array> {
    const body = decodeBody(encoded)
    if (body.is !== 'added' || body.device !== this.self) throw new Error('not an addition of this device')
    const signature = await sign(encoded, this.#deps.identity.key)
    await this.#serial(async () => {
      const others = this.#prepared.filter(one => one.device !== body.by)
      await this.#store(this.#statements.values(), [{ device: body.by, body: encoded, signature }, ...others])
    })
    return signature
  }

  prepared(): readonly DeviceId[] {
    return this.#prepared.map(one => one.device)
  }

  isPrepared(device: DeviceId): boolean {
    return this.#prepared.some(one => one.device === device)
  }

  /** The other side said that it never committed: nothing is left of the attempt. */
  async dropPrepared(device: DeviceId): Promise<void> {
    await this.#serial(async () => {
      const rest = this.#prepared.filter(one => one.device !== device)
      if (rest.length < this.#prepared.length) await this.#store(this.#statements.values(), rest)
    })
  }

  /** The one who showed the code: the commit point. Checks the joiner's signature, adds its own, stores. Returns the statement. */
  async commit(encoded: Uint8Array, theirs: Uint8Array, statements: readonly Uint8Array[]): Promise<Uint8Array> {
    const body = decodeBody(encoded)
    if (body.is !== 'added' || body.by !== this.self) throw new Error('not an addition by this device')
    if (!(await verify(encoded, theirs, body.device))) throw new Error('the signature is not valid')
    const bytes = seal(encoded, [await sign(encoded, this.#deps.identity.key), theirs])
    await this.receive([bytes, ...statements], body.device)
    return bytes
  }

  /** A pairing with that device which both have signed, if there is one. */
  pairingWith(device: DeviceId): Uint8Array | null {
    for (const { body, bytes } of this.#statements.values()) {
      if (body.is !== 'added') continue
      if (body.by === this.self && body.device === device) return bytes
    }
    return null
  }

  // --------------------------------------------------------------------------------------------------------------- inside

  async #load(stored: Uint8Array): Promise<void> {
    const damaged = `The list of paired devices (${this.#path}) is damaged. Restore it from a backup; without one, move it away and pair again.`
    let file: z.infer<typeof fileSchema>
    try {
      file = fileSchema.parse(decode(stored, { strict: true }))
    } catch (cause) {
      throw new KithError('home-unsafe', damaged, { cause })
    }
    if (file.version > FILE_VERSION) {
      throw new KithError('home-newer', `A newer version of Kith wrote ${this.#path}. Update Kith on this device.`)
    }
    for (const bytes of file.statements) {
      try {
        const statement = await readStatement(bytes)
        this.#statements.set(statement.key, statement)
      } catch (cause) {
        throw new KithError('home-unsafe', damaged, { cause })
      }
    }
    this.#prepared = file.prepared
    this.#graph = evaluate(this.self, this.#statements.values())
  }

  async #readAll(statements: readonly Uint8Array[], from: DeviceId): Promise<Statement[]> {
    const fresh = new Map<string, Statement>()
    for (const bytes of statements.slice(0, MAX_STATEMENTS)) {
      if (this.#statements.has(binary(bytes))) continue
      try {
        const statement = await readStatement(bytes)
        fresh.set(statement.key, statement)
      } catch (error) {
        this.#refuse(binary(bytes), from, error instanceof Error ? firstLine(error) : 'it cannot be read')
      }
    }
    return [...fresh.values()]
  }

  /** Which of the verified statements count. Additions may come in any order: repeat until nothing more connects. */
  #select(fresh: readonly Statement[], from: DeviceId): Statement[] {
    const taken: Statement[] = []
    let graph = this.#graph
    let left = [...fresh]
    for (;;) {
      const next = left.filter(({ body }) => objection(body, graph) === null)
      if (next.length === 0) break
      taken.push(...next)
      left = left.filter(statement => !next.includes(statement))
      graph = evaluate(this.self, [...this.#statements.values(), ...taken])
    }
    for (const { body, key } of left) this.#refuse(key, from, objection(body, graph) ?? '')
    const room = MAX_STATEMENTS - this.#statements.size
    if (taken.length > room) this.#deps.log.warn('the list of membership statements is full')
    return taken.slice(0, Math.max(0, room))
  }

  async #author(body: StatementBody): Promise<void> {
    const encoded = encodeBody(body)
    const statement = await readStatement(seal(encoded, [await sign(encoded, this.#deps.identity.key)]))
    await this.#serial(() => this.#take([statement]))
  }

  async #take(taken: readonly Statement[]): Promise<void> {
    const before = this.#graph
    const all = new Map(this.#statements)
    for (const statement of taken) all.set(statement.key, statement)
    const after = evaluate(this.self, all.values())
    await this.#store(
      all.values(),
      this.#prepared.filter(one => !after.members.has(one.device) && !after.removed.has(one.device)),
    )
    for (const statement of taken) this.#statements.set(statement.key, statement)
    this.#graph = after
    const added = [...after.members].filter(device => !before.members.has(device))
    const removed = [...before.members].filter(device => !after.members.has(device))
    if (after.removed.has(this.self) && !before.removed.has(this.self)) removed.push(this.self)
    // Connections go before the news does.
    for (const listener of this.#listeners) listener({ added, removed })
    for (const device of added) this.#tellAdded(device)
    for (const device of removed) this.#tellRemoved(device)
  }

  #tellAdded(device: DeviceId): void {
    const by = [...this.#statements.values()].find(({ body }) => body.is === 'added' && body.device === device)
    this.#deps.emit({ type: 'device:paired', device, name: this.nameOf(device), by: by?.body.by ?? device })
  }

  #tellRemoved(device: DeviceId): void {
    const kept = this.#graph.removed.get(device)?.[0]
    // Without a removal of its own it went with the device that had added it.
    const via = [...(this.#graph.paired.get(device) ?? [])].find(id => this.#graph.removed.has(id))
    const by = kept?.by ?? (via === undefined ? undefined : this.#graph.removed.get(via)?.[0]?.by) ?? this.self
    const added = [...(this.#graph.paired.get(device) ?? [])].filter(
      id => id !== this.self && this.#addedBy(id, device),
    )
    const names = added.map(id => this.nameOf(id))
    this.#deps.emit({ type: 'device:removed', device, name: this.nameOf(device), by, added: names })
  }

  #addedBy(device: DeviceId, by: DeviceId): boolean {
    return [...this.#statements.values()].some(
      ({ body }) => body.is === 'added' && body.device === device && body.by === by,
    )
  }

  #refuse(key: string, from: DeviceId, reason: string): void {
    if (this.#refused.has(key)) return
    if (this.#refused.size >= MAX_REMEMBERED_REFUSALS) this.#refused.clear()
    this.#refused.add(key)
    this.#deps.log.warn({ from, reason }, 'refused a membership statement')
    this.#deps.emit({ type: 'statement:refused', from, reason })
  }

  async #store(statements: Iterable<Statement>, prepared: readonly Prepared[]): Promise<void> {
    const kept = prepared.slice(0, MAX_PREPARED)
    const file = {
      version: FILE_VERSION,
      statements: [...statements].map(statement => statement.bytes),
      prepared: kept.map(({ device, body, signature }) => ({ device, body, signature })),
    }
    await replacePrivate(this.#path, encode(file))
    this.#prepared = kept
  }

  /** One change at a time: what is evaluated is what is stored. */
  async #serial<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#tail.then(work, work)
    this.#tail = turn.catch(() => undefined)
    return await turn
  }
}

/** Why a verified statement does not count, or null. */
function objection(body: StatementBody, graph: MemberGraph): string | null {
  switch (body.is) {
    case 'added': {
      const [one, other] = [graph.known.has(body.by), graph.known.has(body.device)]
      if (!one && !other) return 'it was signed by a device that is not a member'
      if (one && other) return null
      const [inside, outside] = one ? [body.by, body.device] : [body.device, body.by]
      const kept = (graph.removed.get(inside) ?? []).every(removal => removal.keep.includes(outside))
      return kept ? null : 'a removed device added it'
    }
    case 'removed':
      return graph.known.has(body.by) ? null : 'it was signed by a device that is not a member'
    case 'named':
      if (!graph.known.has(body.by)) return 'it was signed by a device that is not a member'
      return graph.removed.has(body.by) && body.by !== body.device ? 'it was signed by a removed device' : null
    default:
      return body satisfies never
  }
}

function firstLine(error: Error): string {
  return error instanceof z.ZodError ? 'it is malformed' : (error.message.split('\n')[0] ?? '').slice(0, 200)
}
