// Questions about the past on one link, both ways. It promises that few questions of one link wait here at a time, that a device is told
// only of a folder that both share right now, and that a peer which cannot answer (an older version, a link that ended, a folder it
// does not share, too late) is one that gave no answer.

import type { ContentId, DeviceId, FolderId, NodeId } from '../core/ids.ts'
import { bytesOf } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { HistoryQuery, JournalEntry } from '../core/past.ts'
import { MAX_HISTORY, type PastQuery, type SharedFolder, type Waiting } from '../core/ports.ts'
import { Serial } from '../core/serial.ts'
import { timeoutSignal } from '../core/timeout.ts'
import { broken } from './frame.ts'
import { packEntries, packQueries, unpackEntries, unpackQueries } from './past-wire.ts'
import type { PartLink, Peer } from './peer.ts'
import type { Blobs, Outgoing, SyncMessage } from './wire.ts'
import { CONTENT_ID_BYTES, joinKeys, keysOf, NODE_BYTES, onlyBlob } from './wire.ts'

/** Questions of one link not yet answered; an honest peer stays far below. */
const MAX_WAITING = 16

type Question = Extract<SyncMessage, { type: 'past' | 'history' | 'holds' }>
type Answer = Extract<SyncMessage, { type: 'known' | 'events' | 'held' }>

export interface PastLinkDeps {
  readonly log: Log
  /** The folder, where this device shares it with that one right now. */
  sharedWith(folder: FolderId, device: DeviceId): SharedFolder | undefined
  onDetached(link: PastLink): void
}

interface Asked {
  readonly type: Question['type']
  /** Null: there will be no answer. */
  take(answer: Answer | null, blobs: Blobs): void
}

type AskOptions = Waiting & { readonly timeoutMs: number }

export class PastLink implements PartLink {
  readonly device: DeviceId
  readonly #peer: Peer
  readonly #deps: PastLinkDeps
  readonly #asked = new Map<number, Asked>()
  readonly #refused = new Set<string>()
  /** It let a question that a folder waits for wait too long: no more of them before it answers one. */
  #silent = false
  /** The pieces of one history on their way out, sent as the link can take them; then `#onSent`. */
  #leaving: Outgoing[] = []
  #onSent: (() => void) | null = null
  #ids = 0
  #answering = 0
  /** One history is read at a time, and the next when that one has left: who asks faster than it takes finds no more room here. */
  readonly #histories = new Serial()

  constructor(peer: Peer, deps: PastLinkDeps) {
    this.device = peer.device
    this.#peer = peer
    this.#deps = deps
  }

  // -- asking: null where there was no answer

  past(folder: FolderId, queries: readonly PastQuery[], options: AskOptions): Promise<readonly boolean[] | null> {
    const wanted = queries.map(({ path, kind }) => ({ path, kind }))
    return this.#ask(
      options,
      { type: 'past', id: ++this.#ids, folder, queries: wanted },
      packQueries(queries),
      answer => (answer.type === 'known' && answer.known.length === queries.length ? answer.known : null),
    )
  }

  holds(folder: FolderId, contents: readonly ContentId[], options: AskOptions): Promise<readonly boolean[] | null> {
    return this.#ask(options, { type: 'holds', id: ++this.#ids, folder }, joinKeys(contents), answer =>
      answer.type === 'held' && answer.holds.length === contents.length ? answer.holds : null,
    )
  }

  history(folder: FolderId, query: HistoryQuery, options: AskOptions): Promise<readonly JournalEntry[] | null> {
    const question: Question = { type: 'history', id: ++this.#ids, folder, path: query.path }
    const all: JournalEntry[] = []
    return this.#ask(options, question, bytesOf(query.nodes.join('')), (answer, blobs) => {
      if (answer.type !== 'events' || answer.failed) return null
      if (all.length + answer.entries.length > MAX_HISTORY) throw broken('more of a history than allowed')
      all.push(...unpackEntries(answer.entries, onlyBlob(blobs)))
      return answer.more ? 'more' : all
    })
  }

  #ask<T>(
    options: AskOptions,
    question: Question,
    blob: Uint8Array,
    read: (answer: Answer, blobs: Blobs) => T | 'more' | null,
  ): Promise<T | null> {
    const isSilent = this.#silent && question.type === 'past'
    if (this.#refused.has(question.type) || isSilent || this.#peer.signal.aborted || options.signal.aborted)
      return Promise.resolve(null)
    const signal = AbortSignal.any([options.signal, timeoutSignal(options.timeoutMs)])
    return new Promise(resolve => {
      const finish = (result: T | null): void => {
        this.#asked.delete(question.id)
        signal.removeEventListener('abort', late)
        resolve(result)
      }
      const late = (): void => {
        if (question.type === 'past' && !options.signal.aborted) this.#silent = true
        finish(null)
      }
      signal.addEventListener('abort', late, { once: true })
      const take = (answer: Answer | null, blobs: Blobs): void => {
        const result = answer === null ? null : read(answer, blobs)
        if (result !== 'more') finish(result)
      }
      this.#asked.set(question.id, { type: question.type, take })
      this.#peer.post(question, [blob])
    })
  }

  // -- the link

  receive(message: SyncMessage, blobs: Blobs): boolean {
    switch (message.type) {
      case 'past': {
        const queries = unpackQueries(message.queries, onlyBlob(blobs))
        this.#answer(message, folder => this.#known(message.id, folder, queries))
        return true
      }
      case 'holds': {
        const contents = keysOf<ContentId>(onlyBlob(blobs), CONTENT_ID_BYTES)
        this.#answer(message, folder => this.#held(message.id, folder, contents))
        return true
      }
      case 'history': {
        const query = { path: message.path, nodes: keysOf<NodeId>(onlyBlob(blobs), NODE_BYTES) }
        this.#answer(message, folder => this.#events(message.id, folder, query))
        return true
      }
      case 'known':
        this.#silent = false
        this.#asked.get(message.id)?.take(message, blobs)
        return true
      case 'held':
      case 'events':
        this.#asked.get(message.id)?.take(message, blobs)
        return true
      default:
        return false
    }
  }

  next(): Outgoing | null {
    const next = this.#leaving.shift()
    if (next !== undefined && this.#leaving.length === 0) this.#sent()
    return next ?? null
  }

  onFolders(): void {}

  refused(what: string): void {
    if (what !== 'past' && what !== 'history' && what !== 'holds') return
    this.#refused.add(what)
    this.#giveUp(what)
  }

  detach(): void {
    this.#giveUp(null)
    this.#leaving = []
    this.#sent()
    this.#deps.onDetached(this)
  }

  #sent(): void {
    this.#onSent?.()
    this.#onSent = null
  }

  #giveUp(type: Question['type'] | null): void {
    for (const asked of [...this.#asked.values()]) if (type === null || asked.type === type) asked.take(null, [])
  }

  // -- answering

  #answer(question: Question, answer: (folder: SharedFolder | undefined) => Promise<void>): void {
    if (++this.#answering > MAX_WAITING) throw broken('more questions than allowed')
    const shared = this.#deps.sharedWith(question.folder, this.device)
    answer(shared).then(
      () => this.#answering--,
      (error: unknown) => {
        this.#answering--
        this.#deps.log.warn({ err: error }, 'a question about the past could not be answered')
      },
    )
  }

  /** Without an answer for each question there is none. */
  async #known(id: number, folder: SharedFolder | undefined, queries: readonly PastQuery[]): Promise<void> {
    const known = await this.#read([], folder, options => folder?.past(queries, options))
    this.#peer.post({ type: 'known', id, known: [...known] })
  }

  async #held(id: number, folder: SharedFolder | undefined, contents: readonly ContentId[]): Promise<void> {
    const holds = await this.#read([], folder, options => folder?.holds(contents, options))
    this.#peer.post({ type: 'held', id, holds: [...holds] })
  }

  #events(id: number, folder: SharedFolder | undefined, query: HistoryQuery): Promise<void> {
    return this.#histories.run(async () => {
      const entries = await this.#read(null, folder, options => folder?.history(query, options))
      if (this.#peer.signal.aborted) return
      const pieces = packEntries(entries ?? []).map(
        ({ entries: some, blob }): Outgoing => ({
          message: { type: 'events', id, failed: false, more: true, entries: [...some] },
          blobs: [blob],
        }),
      )
      const end = { type: 'events' as const, id, failed: entries === null, more: false, entries: [] }
      this.#leaving = [...pieces, { message: end, blobs: [new Uint8Array(0)] }]
      await new Promise<void>(resolve => {
        this.#onSent = resolve
        this.#peer.wake()
      })
    })
  }

  async #read<T>(
    none: T,
    folder: SharedFolder | undefined,
    ask: (options: Waiting) => Promise<T> | undefined,
  ): Promise<T> {
    try {
      return (await ask({ signal: this.#peer.signal })) ?? none
    } catch (error) {
      this.#deps.log.debug(
        { folder: folder?.id, error: String(error) },
        'the past that was asked for could not be read',
      )
      return none
    }
  }
}
