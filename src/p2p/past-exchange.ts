// What linked devices know and hold of the past: asked of all of them at once, in bounded batches. It promises that one that cannot
// answer (an older version, a link that ended, a folder it does not share, too slow) counts as one that was not there.
import type { ContentId, DeviceId, FolderId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { HistoryQuery, Holding, JournalEntry } from '../core/past.ts'
import type { FolderNetwork, PastQuery, SharedFolder, Waiting } from '../core/ports.ts'
import { PastLink } from './past-link.ts'
import type { PartLink, Peer, SessionPart } from './peer.ts'
import { MAX_PAST_PATH, MAX_QUERIES } from './wire.ts'

/** Batches on the way to one device at one time: it answers those that wait together. */
const ASKING = 4
/** Paths of one batch, in UTF-16 units: all of them travel in one header. */
const BATCH_PATHS = 64 * 1024
/** For what a device must know before it goes on. */
const PAST_TIMEOUT_MS = 120_000
/** For what a person waits for. */
const HISTORY_TIMEOUT_MS = 10_000

export interface PastExchangeDeps {
  readonly log: Log
  /** The folder, where this device shares it with that one right now. */
  sharedWith(folder: FolderId, device: DeviceId): SharedFolder | undefined
}

export class PastExchange implements SessionPart {
  readonly #deps: PastExchangeDeps
  readonly #pastTimeoutMs: number
  readonly #historyTimeoutMs: number
  readonly #links = new Set<PastLink>()

  constructor(
    deps: PastExchangeDeps,
    options: { readonly pastTimeoutMs?: number; readonly historyTimeoutMs?: number } = {},
  ) {
    this.#deps = deps
    this.#pastTimeoutMs = options.pastTimeoutMs ?? PAST_TIMEOUT_MS
    this.#historyTimeoutMs = options.historyTimeoutMs ?? HISTORY_TIMEOUT_MS
  }

  attach(peer: Peer): PartLink {
    const { log, sharedWith } = this.#deps
    const link = new PastLink(peer, { log, sharedWith, onDetached: gone => void this.#links.delete(gone) })
    this.#links.add(link)
    return link
  }

  share(folder: FolderId): Pick<FolderNetwork, 'past' | 'history' | 'holders'> {
    return {
      past: (queries, options) => this.#past(folder, queries, options),
      history: (query, options) => this.#history(folder, query, options),
      holders: (contents, options) => this.#holders(folder, contents, options),
    }
  }

  async #past(folder: FolderId, queries: readonly PastQuery[], options: Waiting): Promise<readonly boolean[] | null> {
    const batches = queryBatches(queries)
    const asking = { ...options, timeoutMs: this.#pastTimeoutMs }
    const answers = await this.#each(folder, options, link =>
      inBatches(batches, batch => link.past(folder, batch.items, asking)),
    )
    if (answers.length === 0) return null
    const known = queries.map(() => false)
    for (const { answer } of answers) for (const at of answer) known[at] = true
    return known
  }

  async #history(
    folder: FolderId,
    query: HistoryQuery,
    options: Parameters<FolderNetwork['history']>[1],
  ): Promise<readonly { readonly device: DeviceId; readonly entries: readonly JournalEntry[] }[]> {
    const asked = {
      path: query.path.length > MAX_PAST_PATH ? '' : query.path,
      nodes: query.nodes.slice(0, MAX_QUERIES),
    }
    const asking = { signal: options.signal, timeoutMs: this.#historyTimeoutMs }
    const answers = await this.#each(folder, options, link => link.history(folder, asked, asking))
    return answers.map(({ device, answer }) => ({ device, entries: answer }))
  }

  async #holders(folder: FolderId, contents: readonly ContentId[], options: Waiting): Promise<readonly Holding[]> {
    const batches = slices(contents)
    const asking = { ...options, timeoutMs: this.#historyTimeoutMs }
    const answers = await this.#each(folder, options, link =>
      inBatches(batches, batch => link.holds(folder, batch.items, asking)),
    )
    return answers.map(({ device, answer }) => {
      const held = new Set(answer)
      return { device, holds: contents.map((_content, at) => held.has(at)) }
    })
  }

  /** Those that answered. */
  async #each<T>(
    folder: FolderId,
    { signal, devices }: Waiting & { readonly devices?: ReadonlySet<DeviceId> },
    ask: (link: PastLink) => Promise<T | null>,
  ): Promise<{ device: DeviceId; answer: T }[]> {
    signal.throwIfAborted()
    const byDevice = new Map<DeviceId, PastLink>()
    for (const link of this.#links) {
      const isAsked = devices === undefined || devices.has(link.device)
      if (isAsked && this.#deps.sharedWith(folder, link.device) !== undefined) byDevice.set(link.device, link)
    }
    const answers = await Promise.all(
      [...byDevice].map(async ([device, link]) => ({ device, answer: await ask(link) })),
    )
    signal.throwIfAborted()
    return answers.flatMap(({ device, answer }) => (answer === null ? [] : [{ device, answer }]))
  }
}

interface Batch<T> {
  /** Where they stand among all. */
  readonly at: readonly number[]
  readonly items: readonly T[]
}

/** The places of what the device said yes to; null where it did not answer all. */
async function inBatches<T>(
  batches: readonly Batch<T>[],
  ask: (batch: Batch<T>) => Promise<readonly boolean[] | null>,
): Promise<readonly number[] | null> {
  const found: number[] = []
  for (let from = 0; from < batches.length; from += ASKING) {
    const some = batches.slice(from, from + ASKING)
    const answers = await Promise.all(some.map(ask))
    for (const [n, answer] of answers.entries()) {
      if (answer === null) return null
      for (const [place, yes] of answer.entries()) {
        const at = some[n]?.at[place]
        if (yes && at !== undefined) found.push(at)
      }
    }
  }
  return found
}

/** A path that is longer than any message takes is not asked about: nobody knows it. */
function queryBatches(queries: readonly PastQuery[]): Batch<PastQuery>[] {
  const batches: Batch<PastQuery>[] = []
  let at: number[] = []
  let items: PastQuery[] = []
  let length = 0
  const flush = (): void => {
    if (items.length > 0) batches.push({ at, items })
    at = []
    items = []
    length = 0
  }
  for (const [index, query] of queries.entries()) {
    if (query.path.length > MAX_PAST_PATH) continue
    if (items.length === MAX_QUERIES || length + query.path.length > BATCH_PATHS) flush()
    at.push(index)
    items.push(query)
    length += query.path.length
  }
  flush()
  return batches
}

function slices<T>(all: readonly T[]): Batch<T>[] {
  const batches: Batch<T>[] = []
  for (let from = 0; from < all.length; from += MAX_QUERIES) {
    const items = all.slice(from, from + MAX_QUERIES)
    batches.push({ at: items.map((_item, n) => from + n), items })
  }
  return batches
}
