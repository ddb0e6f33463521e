// Whether events of the watches may have been lost because there were too many. The system queues them up to a limit and drops what comes
// then; libuv drops the one event that tells of it, so Node never hears. But a queue that was full is read in one go: that many events in one
// turn of the loop are the sign. All watches of a process share one queue.
import { readFileSync } from 'node:fs'

const LIMIT_FILE = '/proc/sys/fs/inotify/max_queued_events'
const DEFAULT_LIMIT = 16_384

export class EventFlood {
  readonly #atLeast: number
  readonly #told = new Set<() => void>()
  #inThisTurn = 0

  /** Half of the limit is enough to doubt: events of watches that are closed by now were queued too, and are not counted. */
  constructor(limit: number) {
    this.#atLeast = limit / 2
  }

  /** `tell` is called after each turn in which events may have been lost. Returns how to stop that. */
  listen(tell: () => void): () => void {
    this.#told.add(tell)
    return () => this.#told.delete(tell)
  }

  /** One event was read. */
  count(): void {
    if (this.#inThisTurn++ > 0) return
    setImmediate(() => {
      const isFlood = this.#inThisTurn >= this.#atLeast
      this.#inThisTurn = 0
      if (isFlood) for (const tell of this.#told) tell()
    })
  }
}

let shared: EventFlood | null = null

/** That of the queue of this process. */
export function eventFlood(): EventFlood {
  shared ??= new EventFlood(queueLimit())
  return shared
}

function queueLimit(): number {
  try {
    const limit = Number(readFileSync(LIMIT_FILE, 'utf8'))
    return limit > 0 ? limit : DEFAULT_LIMIT
  } catch {
    // Another system than Linux, or no /proc.
    return DEFAULT_LIMIT
  }
}
