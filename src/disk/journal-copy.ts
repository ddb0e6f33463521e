// A copy of the journal in `.kith/journal`, beside the versions it speaks of: files that are only appended to, numbered, a new one where the
// last is long. A record is its length, a checksum and the entry as JSON, so that it can be read without the database and without Kith.
// What is torn or damaged is left out and said in the log; what was once written is never changed.

import { constants } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { z } from 'zod'
import type { Facts } from '../core/entry.ts'
import type { ContentId, DeviceId, NodeId } from '../core/ids.ts'
import { fromHex, hexOf } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import { isLegalName } from '../core/names.ts'
import type { JournalEntry } from '../core/past.ts'
import type { JournalCopy, Waiting } from '../core/ports.ts'
import { Serial } from '../core/serial.ts'
import { areaPath, JOURNAL, PRIVATE_MODE } from './area.ts'
import { isAbsent } from './problem-of.ts'

/** A file that is longer than this is followed by another. */
const ROTATE_BYTES = 8 * 1024 * 1024
const MAGIC = Buffer.from('kith journal 1\n')
const HEAD_BYTES = 8
/** Longer than any entry: a length beyond this is damage. */
const MAX_RECORD_BYTES = 1 << 20
const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants
const OLD_FILE = O_WRONLY | O_APPEND | (O_NOFOLLOW ?? 0)
const NEW_FILE = OLD_FILE | O_CREAT | O_EXCL
const FILE_NAME = /^(\d{8})\.log$/

const hex = z
  .string()
  .regex(/^[0-9a-f]*$/)
  .transform((text): string => fromHex(text) ?? '')
const facts = z.strictObject({
  content: hex.transform((text): ContentId => text as ContentId),
  size: z.int().nonnegative(),
  mtime: z.number(),
  mode: z
    .int()
    .nonnegative()
    .transform(mode => mode & 0o777),
})
// The disk may be somebody else's: what comes from here is brought back, and must not lead out of the folder.
const path = z.string().refine(text => text.split('/').every(isLegalName))
const entrySchema = z.strictObject({
  time: z.number(),
  device: z.string().transform((text): DeviceId => text as DeviceId),
  action: z.enum(['created', 'edited', 'moved', 'deleted', 'merged', 'restored']),
  node: hex.transform((text): NodeId => text as NodeId),
  kind: z.enum(['file', 'directory', 'symlink']),
  path,
  facts,
  was: z.strictObject({ path, facts }).nullable(),
})

export interface JournalCopyOptions {
  readonly root: string
  readonly log: Log
  readonly rotateBytes?: number
}

export class DiskJournalCopy implements JournalCopy {
  readonly #options: JournalCopyOptions
  readonly #appends = new Serial()
  /** The file of this process (nothing is appended to what a crash may have torn); null: the next record begins one. */
  #number: number | null = null
  #bytes = 0

  constructor(options: JournalCopyOptions) {
    this.#options = options
  }

  append(entries: readonly JournalEntry[]): Promise<void> {
    return this.#appends.run(async () => {
      const room = this.#options.rotateBytes ?? ROTATE_BYTES
      let some: Buffer[] = []
      let bytes = this.#number === null ? 0 : this.#bytes
      for (const each of entries.map(record)) {
        some.push(each)
        bytes += each.length
        if (bytes < room) continue
        await this.#write(some)
        this.#number = null
        some = []
        bytes = 0
      }
      if (some.length > 0) await this.#write(some)
    })
  }

  async *read(options: Waiting & { readonly tail?: boolean }): AsyncIterable<readonly JournalEntry[]> {
    // What is being written is waited for.
    await this.written()
    const numbers = await this.#numbers()
    if (options.tail === true) numbers.reverse()
    for (const number of numbers) {
      options.signal.throwIfAborted()
      const bytes = await this.#bytesOf(number)
      const entries = bytes === null ? [] : this.#entriesIn(bytes, number, options.tail === true)
      if (entries.length === 0) continue
      yield entries
      if (options.tail === true) return
    }
  }

  written(): Promise<void> {
    return this.#appends.ended()
  }

  /** The file is open for the length of a write only: nothing keeps the user from unmounting the disk, or is written where it was mounted. */
  async #write(records: readonly Buffer[]): Promise<void> {
    const isNew = this.#number === null
    const number = this.#number ?? Math.max(0, ...(await this.#numbers())) + 1
    // What is torn now, or went, is left behind: then the next records go into another file.
    this.#number = null
    const file = await open(this.#path(number), isNew ? NEW_FILE : OLD_FILE, PRIVATE_MODE)
    try {
      const bytes = Buffer.concat(isNew ? [MAGIC, ...records] : records)
      const { bytesWritten } = await file.write(bytes)
      if (bytesWritten < bytes.length) throw new Error('the journal was written in part')
      this.#bytes = (isNew ? 0 : this.#bytes) + bytesWritten
    } finally {
      await file.close()
    }
    this.#number = number
  }

  async #numbers(): Promise<number[]> {
    try {
      const names = await readdir(areaPath(this.#options.root, JOURNAL))
      return names
        .flatMap(name => FILE_NAME.exec(name)?.[1] ?? [])
        .map(Number)
        .sort((a, b) => a - b)
    } catch (error) {
      if (isAbsent(error)) return []
      throw error
    }
  }

  #path(number: number): string {
    return areaPath(this.#options.root, JOURNAL, `${String(number).padStart(8, '0')}.log`)
  }

  async #bytesOf(number: number): Promise<Buffer | null> {
    try {
      const file = await open(this.#path(number), O_RDONLY | (O_NOFOLLOW ?? 0))
      try {
        return await file.readFile()
      } finally {
        await file.close()
      }
    } catch (error) {
      this.#options.log.warn({ error, number }, 'a file of the copy of the journal cannot be read, and is left out')
      return null
    }
  }

  /** `last`: the last of them alone. A file has tens of thousands, and every start asks for the last one. */
  #entriesIn(bytes: Buffer, number: number, last: boolean): JournalEntry[] {
    const sound: Buffer[] = []
    let damaged = 0
    const isOurs = bytes.subarray(0, MAGIC.length).equals(MAGIC)
    let at = isOurs ? MAGIC.length : 0
    while (isOurs && at + HEAD_BYTES <= bytes.length) {
      const length = bytes.readUInt32BE(at)
      const sum = bytes.readUInt32BE(at + 4)
      const payload = bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length)
      // Nothing tells where the next one begins.
      if (length > MAX_RECORD_BYTES || payload.length < length) break
      at += HEAD_BYTES + length
      if (crc32(payload) === sum) sound.push(payload)
      else damaged++
    }
    const out: JournalEntry[] = []
    if (last) sound.reverse()
    for (const payload of sound) {
      if (last && out.length > 0) break
      const entry = decode(payload)
      if (entry === null) damaged++
      else out.push(entry)
    }
    if (damaged > 0 || at < bytes.length)
      this.#options.log.warn(
        { number, damaged, torn: bytes.length - at },
        'pieces of the copy of the journal are damaged, and left out',
      )
    return out
  }
}

function record(entry: JournalEntry): Buffer {
  const { node, facts: now, was } = entry
  const plain = {
    ...entry,
    node: hexOf(node),
    facts: hexFacts(now),
    was: was && { ...was, facts: hexFacts(was.facts) },
  }
  const payload = Buffer.from(JSON.stringify(plain))
  const out = Buffer.allocUnsafe(HEAD_BYTES + payload.length)
  out.writeUInt32BE(payload.length)
  out.writeUInt32BE(crc32(payload), 4)
  out.set(payload, HEAD_BYTES)
  return out
}

function hexFacts({ content, size, mtime, mode }: Facts): Omit<Facts, 'content'> & { content: string } {
  return { content: hexOf(content), size, mtime, mode }
}

function decode(payload: Buffer): JournalEntry | null {
  try {
    return entrySchema.parse(JSON.parse(payload.toString()))
  } catch {
    return null
  }
}
