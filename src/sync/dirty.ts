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
  readonly #later = new Map<string, { readonly due: number; readonly quiet: boolean }>()
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

  /** Look at it again in `ms`; the earliest time for a path wins. `quiet`: only to be sure, the folder counts as settled meanwhile. */
  addLater(path: string, ms: number, { quiet = false }: { quiet?: boolean } = {}): void {
    if (ms <= 0) return this.add(path)
    const due = this.#clock.elapsed() + ms
    const had = this.#later.get(path)
    this.#later.set(path, { due: Math.min(due, had?.due ?? due), quiet: quiet && (had?.quiet ?? true) })
  }

  /** The next look is at everything. */
  get all(): boolean {
    return this.#all
  }

  /** Something to look at now. */
  get now(): boolean {
    this.#ripen()
    return this.#all || this.#paths.size > 0
  }

  /** Nothing to look at, now or later, but for quiet looks. */
  get empty(): boolean {
    if (this.#all || this.#paths.size > 0) return false
    for (const { quiet } of this.#later.values()) if (!quiet) return false
    return true
  }

  /** ms until the next later look is due; null where there is none. */
  nextDueMs(): number | null {
    let next: number | null = null
    for (const { due } of this.#later.values()) if (next === null || due < next) next = due
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
    for (const [path, { due }] of this.#later) {
      if (due > now) continue
      this.#later.delete(path)
      this.add(path)
    }
  }
}
