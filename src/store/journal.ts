// Every applied change, local or remote, in the order in which it was stored; and by node. Never changed, read newest first.
import type { ContentId, DeviceId, NodeId } from '../core/ids.ts'
import type { JournalAction, JournalEntry } from '../core/ports.ts'
import { damaged, Reader, uintBytes, uintOf, Writer } from './codec.ts'
import type { Batch } from './engine.ts'
import type { Table } from './tables.ts'

const ENTRY_FORMAT = 1
const SEQUENCE_BYTES = 6
const NODE_BYTES = 16
const CONTENT_BYTES = 33
const MAX_DEVICE_BYTES = 1_024
const MAX_PATH_BYTES = 1 << 20
/** The order is stored: append only. */
const ACTIONS: readonly JournalAction[] = ['created', 'edited', 'moved', 'deleted', 'merged', 'restored']

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
      out.byte(ACTIONS.indexOf(entry.action))
      out.number(entry.time)
      out.number(latest)
      out.shortBinary(entry.device)
      out.binary(entry.node)
      out.text(entry.path)
      out.shortBinary(entry.content)
      out.number(entry.size)
      const sequence = uintBytes(next++, SEQUENCE_BYTES)
      this.#entries.put(batch, sequence, out.take())
      this.#byNode.put(batch, Buffer.concat([Buffer.from(entry.node, 'latin1'), sequence]), Buffer.alloc(0))
    }
    return { next, latest }
  }

  async *read(filter: { node?: NodeId; since?: number }): AsyncIterable<JournalEntry> {
    const since = filter.since ?? Number.NEGATIVE_INFINITY
    for await (const { entry, latest } of filter.node === undefined ? this.#all() : this.#of(filter.node)) {
      if (latest < since) return
      if (entry.time >= since) yield entry
    }
  }

  async *#all(): AsyncIterable<{ entry: JournalEntry; latest: number }> {
    let before: number | null = null
    for await (const some of this.#entries.entries(undefined, { reverse: true })) {
      for (const { key, payload } of some) {
        const sequence = uintOf(key)
        if (before !== null && sequence !== before - 1) throw damaged(`journal ${before - 1}`, 'it is missing')
        before = sequence
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
        yield decode(uintOf(sequence), payload)
      }
    }
  }
}

function decode(sequence: number, payload: Buffer): { entry: JournalEntry; latest: number } {
  const input = new Reader(payload, () => `journal ${sequence}`)
  if (input.byte() !== ENTRY_FORMAT) input.fail('its format is unknown')
  const action = ACTIONS[input.byte()] ?? input.fail('its action is unknown')
  const time = input.number()
  const latest = input.number()
  const device = input.shortBinary(MAX_DEVICE_BYTES) as DeviceId
  const node = input.binary(NODE_BYTES) as NodeId
  const path = input.text(MAX_PATH_BYTES)
  const content = input.shortBinary(CONTENT_BYTES) as ContentId
  const size = input.count()
  input.end()
  return { entry: { time, device, action, node, path, content, size }, latest }
}
