// Which directories are to be looked at, and when: hints of the watcher, second looks, retries. Bounded by folding into "everything".
import type { Clock } from '../core/clock.ts'

/** More dirty directories than this are cheaper to find by one full scan. */
const MOST_DIRECTORIES = 20_000

export interface DirtyBatch {
  readonly all: boolean
  readonly paths: readonly string[]
}

export class Dirty {
  readonly #clock: Clock
  readonly #paths = new Set<string>()
  readonly #later = new Map<string, number>()
  #all = true

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(path: string): void {
    if (this.#all) return
    this.#paths.add(path)
    if (this.#paths.size > MOST_DIRECTORIES) this.addAll()
  }

  addAll(): void {
    this.#all = true
    this.#paths.clear()
  }

  /** Look at it again in `ms`; an earlier time for the same path wins. */
  addLater(path: string, ms: number): void {
    if (ms <= 0) return this.add(path)
    const due = this.#clock.elapsed() + ms
    const had = this.#later.get(path)
    if (had === undefined || due < had) this.#later.set(path, due)
  }

  /** Something to look at now. */
  get now(): boolean {
    this.#ripen()
    return this.#all || this.#paths.size > 0
  }

  /** Nothing to look at, now or later. */
  get empty(): boolean {
    return !this.#all && this.#paths.size === 0 && this.#later.size === 0
  }

  /** ms until the next later look is due; null where there is none. */
  nextDueMs(): number | null {
    let next: number | null = null
    for (const due of this.#later.values()) if (next === null || due < next) next = due
    return next === null ? null : Math.max(0, next - this.#clock.elapsed())
  }

  take(): DirtyBatch {
    this.#ripen()
    const batch = { all: this.#all, paths: [...this.#paths] }
    this.#all = false
    this.#paths.clear()
    return batch
  }

  #ripen(): void {
    const now = this.#clock.elapsed()
    for (const [path, due] of this.#later) {
      if (due > now) continue
      this.#later.delete(path)
      this.add(path)
    }
  }
}
