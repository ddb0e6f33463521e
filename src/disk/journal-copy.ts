// A copy of the journal in `.kith/journal`, beside the versions it speaks of: files that are only appended to, numbered, a new one where the
// last is long. A record is its length, a checksum and the entry as JSON, so that it can be read without the database and without Kith.
// What is torn or damaged is left out and said in the log; what was once written is never changed.
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { z } from 'zod'
import type { Facts } from '../core/entry.ts'
import type { ContentId, DeviceId, NodeId } from '../core/ids.ts'
import { fromHex, hexOf } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { JournalEntry } from '../core/past.ts'
import type { JournalCopy, Waiting } from '../core/ports.ts'
import { AREA_MODE, areaPath, JOURNAL, PRIVATE_MODE } from './area.ts'
import { isAbsent } from './problem-of.ts'

/** A file that is longer than this is followed by another. */
const ROTATE_BYTES = 8 * 1024 * 1024
const MAGIC = Buffer.from('kith journal 1\n')
const HEAD_BYTES = 8
/** Longer than any entry: a length beyond this is damage. */
const MAX_RECORD_BYTES = 1 << 20
const FILE_NAME = /^(\d{8})\.log$/

const hex = z
  .string()
  .regex(/^[0-9a-f]*$/)
  .transform((text): string => fromHex(text) ?? '')
const facts = z.strictObject({
  content: hex.transform((text): ContentId => text as ContentId),
  size: z.int().nonnegative(),
  mtime: z.number(),
  mode: z.int().nonnegative(),
})
const entrySchema = z.strictObject({
  time: z.number(),
  device: z.string().transform((text): DeviceId => text as DeviceId),
  action: z.enum(['created', 'edited', 'moved', 'deleted', 'merged', 'restored']),
  node: hex.transform((text): NodeId => text as NodeId),
  kind: z.enum(['file', 'directory', 'symlink']),
  path: z.string(),
  facts,
  was: z.strictObject({ path: z.string(), facts }).nullable(),
})

export interface JournalCopyOptions {
  readonly root: string
  readonly log: Log
  readonly rotateBytes?: number
}

export class DiskJournalCopy implements JournalCopy {
  readonly #options: JournalCopyOptions
  #file: FileHandle | null = null
  #number = 0
  #bytes = 0
  #work: Promise<unknown> = Promise.resolve()

  constructor(options: JournalCopyOptions) {
    this.#options = options
  }

  append(entries: readonly JournalEntry[]): Promise<void> {
    return this.#serially(async () => {
      const records = entries.map(record)
      for (let at = 0; at < records.length; ) {
        const file = await this.#open()
        const some: Buffer[] = []
        const room = this.#options.rotateBytes ?? ROTATE_BYTES
        for (let bytes = this.#bytes; at < records.length && (some.length === 0 || bytes < room); at++) {
          const next = records[at] as Buffer
          some.push(next)
          bytes += next.length
        }
        const bytes = Buffer.concat(some)
        await this.#write(file, bytes)
        if (this.#bytes >= room) await this.#shut()
      }
    })
  }

  async *read(options: Waiting & { readonly tail?: boolean }): AsyncIterable<readonly JournalEntry[]> {
    // What is being written is waited for.
    await this.#serially(async () => undefined)
    const numbers = await this.#numbers()
    if (options.tail === true) numbers.reverse()
    for (const number of numbers) {
      options.signal.throwIfAborted()
      const bytes = await this.#bytesOf(number)
      const entries = bytes === null ? [] : this.#entriesIn(bytes, number)
      if (entries.length === 0) continue
      yield entries
      if (options.tail === true) return
    }
  }

  close(): Promise<void> {
    return this.#serially(() => this.#shut())
  }

  async #write(file: FileHandle, bytes: Buffer): Promise<void> {
    try {
      const { bytesWritten } = await file.write(bytes)
      this.#bytes += bytesWritten
      if (bytesWritten < bytes.length) throw new Error('the journal was written in part')
    } catch (error) {
      // What is torn now is left behind: the next records go into another file.
      await this.#shut()
      throw error
    }
  }

  /** A new file for this process (nothing is appended to what a crash may have torn), and for each time the last is long. */
  async #open(): Promise<FileHandle> {
    if (this.#file !== null) return this.#file
    await mkdir(areaPath(this.#options.root, JOURNAL), { mode: AREA_MODE, recursive: true })
    this.#number = Math.max(this.#number, ...(await this.#numbers())) + 1
    const file = await open(this.#path(this.#number), 'ax', PRIVATE_MODE)
    this.#file = file
    this.#bytes = 0
    await this.#write(file, MAGIC)
    return file
  }

  async #shut(): Promise<void> {
    const file = this.#file
    this.#file = null
    await file?.close()
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
      const file = await open(this.#path(number), constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))
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

  #entriesIn(bytes: Buffer, number: number): JournalEntry[] {
    const out: JournalEntry[] = []
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
      const entry = crc32(payload) === sum ? decode(payload) : null
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

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#work.then(work)
    this.#work = done.catch(() => undefined)
    return done
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
