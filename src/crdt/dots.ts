// The sequence numbers of one actor: a hybrid clock, monotone over all nodes, with a ceiling that is made durable ahead of use so
// that a crash cannot use a dot twice. Reads time through the given clock and nothing else.
import type { Node } from '../core/entry.ts'
import { MAX_TIME } from './record.ts'

/** The ceiling is raised in steps of this. */
const CEILING_STEP_MS = 1000
/** Numbers of others above this are not followed, or one wrong clock would drive everybody to the end of the range. */
const TRUSTED_TIME = 2 ** 49

export class SequenceClock {
  readonly #now: () => number
  #last: number
  #ceiling: number
  #reported: number

  constructor(now: () => number, ceiling: number) {
    this.#now = now
    this.#last = ceiling
    this.#ceiling = ceiling
    this.#reported = ceiling
  }

  /** Above everything this actor used and everything in the node's record. */
  next(node: Pick<Node, 'context' | 'versions'>): number {
    let seen = 0
    for (const seq of node.context.values()) if (seq > seen && seq < TRUSTED_TIME) seen = seq
    for (const { dot } of node.versions) if (dot.seq > seen && dot.seq < TRUSTED_TIME) seen = dot.seq
    this.#last = Math.max(this.#wall(), this.#last + 1, seen + 1)
    if (this.#last >= this.#ceiling) this.#ceiling = this.#last + CEILING_STEP_MS
    return this.#last
  }

  /** A time for a placement, later than the one it replaces. */
  after(time: number): number {
    return Math.min(Math.max(this.#wall(), time + 1), MAX_TIME)
  }

  /** Own dots found in loaded documents. */
  observe(seq: number): void {
    if (seq > this.#last) this.#last = seq
    if (this.#last >= this.#ceiling) this.#ceiling = this.#last + CEILING_STEP_MS
  }

  /** No dot at or above this was used. */
  get ceiling(): number {
    return this.#ceiling
  }

  takeCeiling(): number | null {
    if (this.#ceiling === this.#reported) return null
    this.#reported = this.#ceiling
    return this.#ceiling
  }

  #wall(): number {
    return Math.max(1, Math.floor(this.#now()))
  }
}
