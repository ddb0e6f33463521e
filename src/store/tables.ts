// The map of the database: every key is one byte that names the table, sixteen that name the folder, and the table's own key; every
// value is sealed with a checksum over both. A folder's tables are ranges of it, so one commit over all of them is one atomic batch.
import type { FolderId } from '../core/ids.ts'
import { hexOf } from '../core/ids.ts'
import { seal, unseal } from './codec.ts'
import type { Batch, Engine, Pair, Range } from './engine.ts'

/** Never give a number to another table: what lies in a database outlives the code. */
export const TABLES = {
  home: 1,
  folders: 2,
  folder: 3,
  docs: 4,
  heads: 5,
  rows: 6,
  lists: 7,
  segments: 8,
  places: 9,
  chunks: 10,
  bases: 11,
  baseFacts: 12,
  dots: 13,
  journal: 14,
  nodeJournal: 15,
} as const

export type TableName = keyof typeof TABLES

const PREFIX_BYTES = 17
const NO_FOLDER = '0'.repeat(32) as FolderId

export class Table {
  readonly #engine: Engine
  readonly #name: TableName
  readonly #prefix: Buffer

  constructor(engine: Engine, name: TableName, folder: FolderId = NO_FOLDER) {
    this.#engine = engine
    this.#name = name
    this.#prefix = Buffer.alloc(PREFIX_BYTES)
    this.#prefix[0] = TABLES[name]
    this.#prefix.write(folder, 1, 'hex')
  }

  key(own: string | Uint8Array): Buffer {
    const out = Buffer.allocUnsafe(PREFIX_BYTES + own.length)
    this.#prefix.copy(out)
    if (typeof own === 'string') out.write(own, PREFIX_BYTES, 'latin1')
    else out.set(own, PREFIX_BYTES)
    return out
  }

  /** Returns what was written: its first four bytes are the checksum. */
  put(batch: Batch, own: string | Uint8Array, payload: Uint8Array): Pair {
    const key = this.key(own)
    const value = seal(key, payload)
    batch.put(key, value)
    return [key, value]
  }

  del(batch: Batch, own: string | Uint8Array): void {
    batch.del(this.key(own))
  }

  async get(own: string | Uint8Array): Promise<Buffer | undefined> {
    const key = this.key(own)
    const value = await this.#engine.get(key)
    return value === undefined ? undefined : unseal(key, value, () => this.describe(key))
  }

  /**
   * As `get`, through an iterator: a damaged filter of a table makes LevelDB's `get` miss what is there. For what must not be missed;
   * elsewhere a miss costs a transfer or a merge.
   */
  async find(own: string): Promise<Entry | undefined> {
    const key = Buffer.from(own, 'latin1')
    for await (const entries of this.entries(key)) return entries.find(entry => entry.key.equals(key))
    return undefined
  }

  getSync(own: string | Uint8Array): Buffer | undefined {
    const key = this.key(own)
    const value = this.#engine.getSync(key)
    return value === undefined ? undefined : unseal(key, value, () => this.describe(key))
  }

  hasSync(own: string | Uint8Array): boolean {
    return this.#engine.getSync(this.key(own)) !== undefined
  }

  /** All entries whose own key begins with `start`: own key, payload, checksum; some at a time. */
  async *entries(start: Uint8Array = Buffer.alloc(0), options: { reverse?: boolean } = {}): AsyncIterable<Entry[]> {
    for await (const pairs of this.#engine.range({ ...this.range(start), ...options })) {
      yield pairs.map(([key, value]) => ({
        key: key.subarray(PREFIX_BYTES),
        payload: unseal(key, value, () => this.describe(key)),
        checksum: value.readUInt32BE(),
      }))
    }
  }

  range(start: Uint8Array = Buffer.alloc(0)): Range {
    const gte = this.key(start)
    return { gte, lt: after(gte) }
  }

  /** For messages: the table and the key in hex. */
  describe(key: Uint8Array): string {
    return `${this.#name} ${hexOf(Buffer.from(key).toString('latin1')).slice(PREFIX_BYTES * 2)}`
  }
}

export interface Entry {
  readonly key: Buffer
  readonly payload: Buffer
  readonly checksum: number
}

/** The smallest key that is greater than all keys that begin with `prefix`. */
function after(prefix: Buffer): Buffer {
  const out = Buffer.from(prefix)
  for (let at = out.length - 1; at >= 0; at--) {
    const byte = out[at] as number
    if (byte < 255) {
      out[at] = byte + 1
      return out.subarray(0, at + 1)
    }
  }
  return Buffer.from([255])
}
