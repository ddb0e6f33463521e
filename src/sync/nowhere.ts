// Files whose content is wanted here and lies on no device that is linked: damaged where it was, or on a device that is away. They are named
// in the status, since no waiting brings them. Asked for in quiet moments, and only after nothing came for a while.
import type { Clock } from '../core/clock.ts'
import type { ContentId } from '../core/ids.ts'
import type { FolderNetwork, Problem, Waiting } from '../core/ports.ts'
import type { SharedTree } from '../crdt/shared-tree.ts'
import { entryPath } from './conflicts.ts'
import type { Holdings } from './holdings.ts'

const FIRST_MS = 3_000
const AGAIN_MS = 30_000
/** Asked for, and named, at most. */
const MOST = 1_000

const MESSAGE =
  'Its content lies on no device that is linked: it comes when one that has it is switched on. "kith explain" says what else can be done.'

export interface NowhereDeps {
  readonly clock: Pick<Clock, 'elapsed'>
  /** How many contents are wanted; 0 where nothing is loaded. */
  readonly wanted: () => number
  /** Those of them that this device lacks. */
  readonly missing: () => readonly ContentId[]
  readonly tree: () => Pick<SharedTree, 'allEntries' | 'entriesOf'>
  readonly holdings: Pick<Holdings, 'holders'>
  readonly network: () => Pick<FolderNetwork, 'peers'> | null
  /** Another value where others may have something else. */
  readonly key: () => string
}

export class Nowhere {
  readonly #deps: NowhereDeps
  #key = ''
  #at = Number.POSITIVE_INFINITY
  #found: readonly { readonly content: ContentId; readonly path: string }[] = []

  constructor(deps: NowhereDeps) {
    this.#deps = deps
  }

  /** For the folder's status. */
  problems(): Problem[] {
    if (this.#found.length === 0) return []
    const missing = new Set(this.#deps.missing())
    return this.#found
      .filter(({ content }) => missing.has(content))
      .map(({ path }) => ({ code: 'content-missing', path, message: MESSAGE }))
  }

  /** Sees what is wanted and who is linked; where that is something else than before it is soon time to ask. */
  refresh(): void {
    const { clock, wanted, network } = this.#deps
    if (wanted() === 0 || (network()?.peers().length ?? 0) === 0) {
      this.#found = []
      this.#key = ''
      this.#at = Number.POSITIVE_INFINITY
      return
    }
    const key = `${wanted()} ${this.#deps.key()}`
    if (key === this.#key) return
    this.#key = key
    this.#at = clock.elapsed() + FIRST_MS
  }

  /** ms until it is time to ask, by the last `refresh`. */
  nextMs(): number {
    return Math.max(0, this.#at - this.#deps.clock.elapsed())
  }

  /** In a quiet moment; true: there is other news for the status. */
  async ask(options: Waiting): Promise<boolean> {
    const { clock, missing, holdings, tree } = this.#deps
    this.#at = clock.elapsed() + AGAIN_MS
    const wanted = missing().slice(0, MOST)
    const held = await holdings.holders(wanted, options)
    const nowhere = new Set(wanted.filter(content => !held.has(content)))
    const found: { content: ContentId; path: string }[] = []
    if (nowhere.size > 0)
      for (const entry of tree().allEntries()) {
        const { content } = entry.facts
        if (nowhere.has(content) && found.length < MOST) found.push({ content, path: entryPath(tree(), entry) })
      }
    const before = JSON.stringify(this.problems())
    this.#found = found
    return before !== JSON.stringify(this.problems())
  }
}
