// Gives back what a burst left of the heap. V8 collects when memory is asked for: a daemon that has come to rest keeps twice and three times
// what it needs, mostly holes. So once the loop rests, V8 is given a reason to collect, which it does in steps and in threads of its own, and
// is told to move together what is left meanwhile. Never a collection in one go, and none where little was added since the last.
import { performance } from 'node:perf_hooks'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'

const LOOK_MS = 3_000
/** More of the time than this is no rest; a collection of its own may take the other. */
const BUSY_SHARE = 0.05
const COLLECTING_SHARE = 0.5
/** What has to be there beyond what the last time left, at least and as a share of that. */
const WORTH_BYTES = 48 * 1024 * 1024
const WORTH_SHARE = 1 / 4
/** Each moves no more than 12 MB; where one gave back less than this share, there is nothing left to give. */
const MOST_ROUNDS = 4
const GAIN = 1 / 16
/** V8 begins a collection where buffers of 64 MB were added since the last. */
const REASON_BYTES = 70 * 1024 * 1024

export interface HeapTrimDeps {
  heapBytes(): number
  /** Share of the time since the last call in which the loop was busy. */
  busyShare(): number
  /** Begins a collection and returns. */
  collect(): void
  /** To give back memory counts more than speed. */
  thrifty(on: boolean): void
}

export class HeapTrim {
  readonly #deps: HeapTrimDeps
  #timer: NodeJS.Timeout | undefined
  /** What the last time left. */
  #left = 0
  /** Before the round that runs. */
  #before = 0
  #rounds = 0

  constructor(deps: HeapTrimDeps = v8Heap()) {
    this.#deps = deps
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#end()
  }

  look(): void {
    const busy = this.#deps.busyShare()
    const bytes = this.#deps.heapBytes()
    if (busy > (this.#rounds === 0 ? BUSY_SHARE : COLLECTING_SHARE)) return this.#end()
    if (this.#rounds === 0) {
      if (bytes < this.#left + Math.max(WORTH_BYTES, this.#left * WORTH_SHARE)) return
      this.#deps.thrifty(true)
    } else if (this.#rounds === MOST_ROUNDS || bytes > this.#before * (1 - GAIN)) {
      this.#left = bytes
      return this.#end()
    }
    this.#before = bytes
    this.#rounds++
    this.#deps.collect()
  }

  #end(): void {
    if (this.#rounds > 0) this.#deps.thrifty(false)
    this.#rounds = 0
  }
}

function v8Heap(): HeapTrimDeps {
  let last = performance.eventLoopUtilization()
  return {
    heapBytes: () => getHeapStatistics().total_heap_size,
    busyShare: () => {
      const now = performance.eventLoopUtilization()
      const { utilization } = performance.eventLoopUtilization(now, last)
      last = now
      return utilization
    },
    collect: askToCollect,
    thrifty: on => setFlagsFromString(on ? '--optimize-for-size' : '--no-optimize-for-size'),
  }
}

/** V8 counts a buffer that nobody touches, and the system has no memory for it. */
export function askToCollect(): number {
  try {
    return new ArrayBuffer(REASON_BYTES).byteLength
  } catch {
    // Where not even that can be had, V8 collects by itself.
    return 0
  }
}
