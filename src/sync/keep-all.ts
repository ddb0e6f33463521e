// `versions = all`: what a file shows is kept as a version as soon as it was published or applied, so that local edits have a past too.
// What was missed (it was set just now, the process died, the disk was full) is caught up with in quiet moments.
import { isKithError } from '../core/errors.ts'
import type { RowId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { FolderDisk, Problem, Waiting } from '../core/ports.ts'
import type { Row, RowTable } from '../core/rows.ts'
import type { Damage } from './damage.ts'

/** What is larger is kept in a quiet moment: the folder's changes do not wait for it. */
const AT_ONCE_BYTES = 64 * 1024 * 1024
/** Rows looked at in one piece of catching up. */
const PIECE_ROWS = 1_000

export interface KeepAllDeps {
  readonly rows: () => RowTable
  readonly disk: Pick<FolderDisk, 'hasVersion' | 'versions'>
  readonly isOn: () => boolean
  readonly damage: Pick<Damage, 'has'>
  /** Something is to be caught up with. */
  readonly onMissed: () => void
  readonly log: Log
}

export class KeepAll {
  readonly #deps: KeepAllDeps
  /** Rows still to be looked at; null: it is not known which. */
  #open: Set<RowId> | null = null
  /** Those that could not be kept this time, and why not, in words. */
  #failed = new Map<RowId, string>()
  /** Known damage is told as such: what it should be is kept when it is mended. */
  readonly #damaged = new Set<RowId>()
  #problem: Problem | null = null

  constructor(deps: KeepAllDeps) {
    this.#deps = deps
  }

  /** For the folder's status. */
  get problem(): Problem | null {
    return this.#deps.isOn() ? this.#problem : null
  }

  /** It was set just now: nothing is known of what came before. */
  begin(): void {
    this.#open = null
    this.#failed.clear()
    this.#damaged.clear()
    this.#problem = null
    this.#deps.onMissed()
  }

  /** What these paths show now. Never throws but for its signal: what was not kept is caught up with. */
  async keep(paths: Iterable<string>, options: Waiting): Promise<void> {
    if (!this.#deps.isOn()) return
    for (const path of paths) {
      const row = this.#deps.rows().at(path)
      if (row === undefined) continue
      if (row.size <= AT_ONCE_BYTES && (await this.#keep(row, path, options)) === null) continue
      this.#open?.add(row.id)
      this.#deps.onMissed()
    }
  }

  /** True: there is more to catch up with now. What fails is tried again when this is called the next time. */
  async catchUp(options: Waiting): Promise<boolean> {
    const { isOn, rows, damage } = this.#deps
    if (!isOn()) return false
    this.#open ??= new Set([...rows().all()].map(({ id }) => id))
    let left = PIECE_ROWS
    for (const id of this.#open) {
      if (left-- === 0) return true
      const row = rows().get(id)
      const path = row && rows().path(id)
      const isDamaged = row !== undefined && damage.has(row)
      const failure = row === undefined || path === undefined || isDamaged ? null : await this.#keep(row, path, options)
      this.#open.delete(id)
      if (isDamaged) this.#damaged.add(id)
      if (failure !== null) this.#failed.set(id, failure)
    }
    this.#tell()
    this.#open = new Set([...this.#failed.keys(), ...this.#damaged])
    this.#failed.clear()
    this.#damaged.clear()
    return false
  }

  #tell(): void {
    const { rows, log } = this.#deps
    const [first] = this.#failed
    this.#problem = null
    if (first === undefined) return
    const [id, reason] = first
    const count = this.#failed.size
    const what = count === 1 ? 'One file is' : `${count} files are`
    const message = `${what} not kept as a version yet: an edit here would lose what is there now. It is tried again. (${reason})`
    this.#problem = { code: 'versions-missed', path: count === 1 ? (rows().path(id) ?? '') : '', message }
    log.warn({ files: count, reason }, 'versions could not be kept now')
  }

  /** Why it is not kept, in words; null: it is. */
  async #keep(row: Row, path: string, options: Waiting): Promise<string | null> {
    const { disk } = this.#deps
    if (row.kind === 'directory' || disk.hasVersion(row.content)) return null
    try {
      if (await disk.versions.keep(path, row.stat, row.content, options)) return null
      return 'it is being written to'
    } catch (error) {
      if (options.signal.aborted) throw error
      return isKithError(error) ? error.message : String(error)
    }
  }
}
