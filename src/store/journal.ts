// Every applied change, local or remote, in the order in which it was stored; and by node. Never changed, read newest first.

import type { Facts, Kind } from '../core/entry.ts'
import { sameFacts } from '../core/entry.ts'
import type { ContentId, DeviceId, NodeId } from '../core/ids.ts'
import type { JournalAction, JournalEntry, Standing } from '../core/past.ts'
import type { JournalFilter } from '../core/ports.ts'
import { damaged, Reader, uintBytes, uintOf, Writer } from './codec.ts'
import type { Batch } from './engine.ts'
import type { Table } from './tables.ts'

const ENTRY_FORMAT = 2
/** Up to schema 2: it does not say what was there before, so nothing can be undone beyond it. */
const OLD_FORMAT = 1
const SEQUENCE_BYTES = 6
const NODE_BYTES = 16
const CONTENT_BYTES = 33
const MAX_DEVICE_BYTES = 1_024
const MAX_PATH_BYTES = 1 << 20
/** The order is stored: append only. */
const ACTIONS: readonly JournalAction[] = ['created', 'edited', 'moved', 'deleted', 'merged', 'restored']
/** As ACTIONS. */
const KINDS: readonly Kind[] = ['file', 'directory', 'symlink']
/** What stood there before: nothing; or something at another path, or with other facts, which are written only then. */
const IS_NEW = 1
const OTHER_PATH = 2
const OTHER_FACTS = 4

/** Where the journal ends; part of the folder's seal. `latest`: the greatest time so far, because clocks are set back. */
export interface JournalEnd {
  readonly next: number
  readonly latest: number
}

export class Journal {
  readonly #entries: Table
  readonly #byNode: Table
  readonly #writer = new Writer()

  constructor(tables: { journal: Table; nodeJournal: Table }) {
    this.#entries = tables.journal
    this.#byNode = tables.nodeJournal
  }

  write(batch: Batch, entries: readonly JournalEntry[], end: JournalEnd): JournalEnd {
    let { next, latest } = end
    const out = this.#writer
    for (const entry of entries) {
      latest = Math.max(latest, entry.time)
      out.byte(ENTRY_FORMAT)
      out.number(latest)
      encodeEntry(out, entry)
      const sequence = uintBytes(next++, SEQUENCE_BYTES)
      this.#entries.put(batch, sequence, out.take())
      this.#byNode.put(batch, Buffer.concat([Buffer.from(entry.node, 'latin1'), sequence]), Buffer.alloc(0))
    }
    return { next, latest }
  }

  async *read(filter: JournalFilter): AsyncIterable<JournalEntry> {
    const { node, since = Number.NEGATIVE_INFINITY, now = Number.POSITIVE_INFINITY } = filter
    for await (const { entry, latest } of node === undefined ? this.#all() : this.#of(node)) {
      if ((latest > now ? entry.time : latest) < since) return
      yield entry
    }
  }

  async *#all(): AsyncIterable<{ entry: JournalEntry; latest: number }> {
    let before: number | null = null
    for await (const some of this.#entries.entries(undefined, { reverse: true })) {
      for (const { key, payload } of some) {
        const sequence = uintOf(key)
        if (before !== null && sequence !== before - 1) throw damaged(`journal ${before - 1}`, 'it is missing')
        before = sequence
        if (payload[0] === OLD_FORMAT) return
        yield decode(sequence, payload)
      }
    }
  }

  async *#of(node: NodeId): AsyncIterable<{ entry: JournalEntry; latest: number }> {
    for await (const some of this.#byNode.entries(Buffer.from(node, 'latin1'), { reverse: true })) {
      for (const { key } of some) {
        const sequence = key.subarray(NODE_BYTES)
        const payload = await this.#entries.get(sequence)
        if (payload === undefined) throw damaged(`journal ${uintOf(sequence)}`, 'it is missing')
        if (payload[0] === OLD_FORMAT) return
        yield decode(uintOf(sequence), payload)
      }
    }
  }
}

function decode(sequence: number, payload: Buffer): { entry: JournalEntry; latest: number } {
  const input = new Reader(payload, () => `journal ${sequence}`)
  if (input.byte() !== ENTRY_FORMAT) input.fail('its format is unknown')
  const latest = input.number()
  const entry = decodeEntry(input)
  input.end()
  return { entry, latest }
}

function encodeEntry(out: Writer, entry: JournalEntry): void {
  const { was, path, facts } = entry
  const isElsewhere = was !== null && was.path !== path
  const differs = was !== null && !sameFacts(was.facts, facts)
  out.byte(ACTIONS.indexOf(entry.action))
  out.byte(KINDS.indexOf(entry.kind))
  out.byte((was === null ? IS_NEW : 0) | (isElsewhere ? OTHER_PATH : 0) | (differs ? OTHER_FACTS : 0))
  out.number(entry.time)
  out.shortBinary(entry.device)
  out.binary(entry.node)
  out.text(path)
  encodeFacts(out, facts)
  if (was !== null && isElsewhere) out.text(was.path)
  if (was !== null && differs) encodeFacts(out, was.facts)
}

function decodeEntry(input: Reader): JournalEntry {
  const action = ACTIONS[input.byte()] ?? input.fail('its action is unknown')
  const kind = KINDS[input.byte()] ?? input.fail('its kind is unknown')
  const flags = input.byte()
  if (flags !== IS_NEW && (flags & ~(OTHER_PATH | OTHER_FACTS)) !== 0) input.fail('its flags are unknown')
  const time = input.number()
  const device = input.shortBinary(MAX_DEVICE_BYTES) as DeviceId
  const node = input.binary(NODE_BYTES) as NodeId
  const path = input.text(MAX_PATH_BYTES)
  const facts = decodeFacts(input)
  const was: Standing | null =
    (flags & IS_NEW) !== 0
      ? null
      : {
          path: (flags & OTHER_PATH) !== 0 ? input.text(MAX_PATH_BYTES) : path,
          facts: (flags & OTHER_FACTS) !== 0 ? decodeFacts(input) : facts,
        }
  return { time, device, action, node, kind, path, facts, was }
}

function encodeFacts(out: Writer, { content, size, mtime, mode }: Facts): void {
  out.shortBinary(content)
  out.number(size)
  out.number(mtime)
  out.number(mode)
}

function decodeFacts(input: Reader): Facts {
  const content = input.shortBinary(CONTENT_BYTES) as ContentId
  return { content, size: input.count(), mtime: input.number(), mode: input.count() }
}
