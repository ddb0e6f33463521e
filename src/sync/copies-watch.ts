// Warns of files that too few devices hold. Counting reads the journal and asks the linked devices, so it is done in quiet moments only:
// when what it depends on has changed, and then no more often than it is cheap.
import type { Clock } from '../core/clock.ts'
import type { DeviceId } from '../core/ids.ts'
import type { Problem, Waiting } from '../core/ports.ts'
import type { CopiesStatus } from '../core/status.ts'

const AT_LEAST_MS = 2_000
/** Of this many parts of the time, counting may take one. */
const COST_FACTOR = 30
/** Devices that are linked may have let go of contents without a word. */
const AGAIN_MS = 6 * 3_600_000

export interface CopiesWatchDeps {
  readonly device: DeviceId
  readonly clock: Pick<Clock, 'elapsed'>
  readonly copies: (path: string, options: Waiting) => Promise<CopiesStatus>
  readonly minCopies: () => number
  /** Another value where a count may say something else. */
  readonly key: () => string
}

export class CopiesWatch {
  readonly #deps: CopiesWatchDeps
  #problem: Problem | null = null
  /** What the last count was made of. */
  #key: string | null = null
  /** For which setting it was made, or begun. */
  #wanted: number | null = null
  #countedAt = Number.NEGATIVE_INFINITY
  #restMs = 0

  constructor(deps: CopiesWatchDeps) {
    this.#deps = deps
  }

  /** For the folder's status. */
  get problem(): Problem | null {
    return this.#deps.minCopies() > 1 ? this.#problem : null
  }

  /** ms until it is time to count. */
  nextMs(): number {
    const wanted = this.#deps.minCopies()
    if (wanted <= 1) return Number.POSITIVE_INFINITY
    // Somebody has just asked for it.
    if (wanted !== this.#wanted) return 0
    const rest = this.#keyNow() === this.#key ? AGAIN_MS : this.#restMs
    return Math.max(0, this.#countedAt + rest - this.#deps.clock.elapsed())
  }

  /** In a quiet moment; true: there is other news for the status. What was not counted through is counted again. */
  async count(options: Waiting): Promise<boolean> {
    const { clock, copies, minCopies } = this.#deps
    const key = this.#keyNow()
    const began = clock.elapsed()
    this.#wanted = minCopies()
    this.#countedAt = began
    this.#restMs = AT_LEAST_MS
    this.#key = null
    const { files } = await copies('', options)
    const before = this.#problem?.message
    this.#problem = this.#problemOf(files, minCopies())
    this.#key = key
    this.#countedAt = clock.elapsed()
    this.#restMs = Math.max(AT_LEAST_MS, (this.#countedAt - began) * COST_FACTOR)
    return before !== this.#problem?.message
  }

  #keyNow(): string {
    return `${this.#deps.minCopies()} ${this.#deps.key()}`
  }

  #problemOf(files: CopiesStatus['files'], wanted: number): Problem | null {
    const few = files.filter(({ holders }) => holders.length < wanted)
    const [first] = few
    if (first === undefined) return null
    const only = few.filter(({ holders }) => holders.length === 1 && holders[0] === this.#deps.device).length
    const what = few.length === 1 ? 'One file is' : `${few.length} files are`
    const here =
      only === 0 ? '' : `, ${only === few.length ? (only === 1 ? 'it' : 'all of them') : only} only on this one`
    const message = `${what} known to be on fewer than ${wanted} devices${here}: switch on other devices that have this folder, or give it to one more ("kith copies" lists them).`
    return { code: 'few-copies', path: few.length === 1 ? first.path : '', message }
  }
}
