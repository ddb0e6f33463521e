// `versions = all`: what a file shows is kept as a version as soon as it was published or applied, so that local edits have a past too.
// What was missed (it was set just now, the process died, the disk was full) is caught up with in quiet moments.
import { isKithError } from '../core/errors.ts'
import type { RowId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { FolderDisk, Waiting } from '../core/ports.ts'
import type { Row, RowTable } from '../core/rows.ts'

/** What is larger is kept in a quiet moment: the folder's changes do not wait for it. */
const AT_ONCE_BYTES = 64 * 1024 * 1024
/** Rows looked at in one piece of catching up. */
const PIECE_ROWS = 1_000

export interface KeepAllDeps {
  readonly rows: () => RowTable
  readonly disk: Pick<FolderDisk, 'hasVersion' | 'versions'>
  readonly isOn: () => boolean
  /** Something is to be caught up with. */
  readonly onMissed: () => void
  readonly log: Log
}

export class KeepAll {
  readonly #deps: KeepAllDeps
  /** Rows still to be looked at; null: it is not known which. */
  #open: RowId[] | null = null

  constructor(deps: KeepAllDeps) {
    this.#deps = deps
  }

  /** What these paths show now. Never throws but for its signal: what was not kept is caught up with. */
  async keep(paths: Iterable<string>, options: Waiting): Promise<void> {
    if (!this.#deps.isOn()) return
    for (const path of paths) {
      const row = this.#deps.rows().at(path)
      if (row === undefined || (row.size <= AT_ONCE_BYTES && (await this.#keep(row, path, options)))) continue
      this.#open = null
      this.#deps.onMissed()
    }
  }

  /** True: there is more to catch up with. */
  async catchUp(options: Waiting): Promise<boolean> {
    const { isOn, rows } = this.#deps
    if (!isOn()) {
      // Set again later, nothing is known.
      this.#open = null
      return false
    }
    this.#open ??= [...rows().all()].map(({ id }) => id)
    const piece = this.#open.splice(0, PIECE_ROWS)
    for (const id of piece) {
      const row = rows().get(id)
      const path = row && rows().path(id)
      if (row !== undefined && path !== undefined) await this.#keep(row, path, options)
    }
    return this.#open.length > 0
  }

  async #keep(row: Row, path: string, options: Waiting): Promise<boolean> {
    const { disk, log } = this.#deps
    if (row.kind === 'directory' || disk.hasVersion(row.content)) return true
    try {
      return await disk.versions.keep(path, row.stat, row.content, options)
    } catch (error) {
      if (options.signal.aborted) throw error
      const code = isKithError(error) ? error.code : String(error)
      log.warn({ code }, 'a version could not be kept now')
      return false
    }
  }
}
