// What is read again and compared with its hash, and what becomes of what is wrong: damage is mended from where the content lies sound, by
// an ordinary checked step that keeps the damaged bytes under what they are; what nobody has stays as it is, known as damaged.

import { abortable } from '../core/abortable.ts'
import type { ContentList } from '../core/content.ts'
import { isKithError } from '../core/errors.ts'
import type { Emit } from '../core/events.ts'
import type { ContentId, FolderId } from '../core/ids.ts'
import { ROOT_ROW } from '../core/ids.ts'
import type { DamagedFile } from '../core/past.ts'
import type { FolderBatch, FolderStore, HashRequest, KeptVersion, Stat, Waiting } from '../core/ports.ts'
import type { Row } from '../core/rows.ts'
import { type BringDeps, bring } from './bring.ts'
import type { Damage } from './damage.ts'
import { parentPath, sameStat } from './local-changes.ts'
import type { LostVersion, VerifyState } from './verify-state.ts'

const TRIES = 2
const NOT_NOW: ReadonlySet<string> = new Set(['folder-halted', 'folder-paused', 'no-space'])
/** Versions that nobody had: more are not asked for again. */
const MOST_LOST = 1_000

export interface MenderDeps extends BringDeps {
  readonly folder: FolderId
  readonly store: Pick<FolderStore, 'list' | 'segment' | 'chunk' | 'base' | 'note' | 'commit' | 'journal'>
  readonly emit: Emit
  readonly damage: Damage
  /** Stores what the rows changed; within `alone` only. */
  readonly commit: (batch: FolderBatch) => Promise<void>
  /** May what stands there differ from its row without showing it? Then it is looked at, and no damage. */
  readonly isDoubted: (stat: Stat) => boolean
  /** Something in this directory is not as its row says: an edit, to be looked at. */
  readonly onDirty: (path: string) => void
  readonly onWrote: (path: string, stat: Stat) => void
  /** Keeps these in the stage until what is returned is called: no row and no want speaks of them. */
  readonly pin: (contents: readonly ContentId[]) => () => void
}

export type Checked = Row & { readonly kind: 'file' | 'symlink' }

export interface Work extends Waiting {
  /** Runs it between two cycles: it changes the disk and the rows. */
  alone<T>(work: () => Promise<T>, options: Work): Promise<T>
  /** May it wait for another's mending? What runs between two cycles itself may not: the other may wait for the end of that. */
  readonly mayWait: boolean
}

/** What one piece of work found. */
export interface Report {
  checked: number
  bytes: number
  /** Kept versions that are not what they were, and that a program may still write to: whether that is damage is not known yet. */
  readonly unverified: ContentId[]
  readonly damaged: DamagedFile[]
  /** Something was left to another who mends the same just now. */
  left: boolean
}

export function nothingYet(): Report {
  return { checked: 0, bytes: 0, unverified: [], damaged: [], left: false }
}

export class Mender {
  readonly #deps: MenderDeps
  readonly #state: VerifyState
  /** What is mended now. */
  readonly #mending = new Map<ContentId, Promise<boolean>>()

  constructor(deps: MenderDeps, state: VerifyState) {
    this.#deps = deps
    this.#state = state
  }

  async checkFiles(rows: readonly Checked[], report: Report, options: Work): Promise<void> {
    const { disk, damage, onDirty } = this.#deps
    const byPath = new Map<string, Checked>()
    const requests: HashRequest[] = []
    for (const row of rows) {
      const path = this.#deps.rows().path(row.id)
      if (path === undefined) continue
      byPath.set(path, row)
      requests.push({ path, kind: row.kind, stat: row.stat })
    }
    for await (const result of disk.hash(requests, options)) {
      const { path } = result.request
      const row = byPath.get(path)
      if (row === undefined || !this.isCurrent(row)) continue
      if (!result.ok) {
        onDirty(parentPath(path))
        // An edit is no damage: the scan finds it.
        if (result.problem.code !== 'busy') this.#unreadableFile(row, path, report)
        continue
      }
      report.checked++
      report.bytes += row.size
      const found = result.list.content
      if (found === row.content) damage.forget(row.id)
      else if (this.#deps.isDoubted(row.stat)) onDirty(parentPath(path))
      else await this.#damagedFile(row, path, found, report, options)
    }
  }

  /** Not mended: what it holds could not be kept under what it is. */
  #unreadableFile(row: Checked, path: string, report: Report): void {
    const { damage, emit, folder } = this.#deps
    report.damaged.push({ path, version: false, content: row.content, repaired: false, unreadable: true })
    // What it was when it could be read is known better than that it cannot be read now.
    if (damage.has(row)) return
    damage.note({ row: row.id, content: row.content, found: null })
    emit({ type: 'file:damaged', folder, path, version: false, repaired: false })
  }

  /** What lies there is its content from now on: the next scan finds an edit, whose bytes are read then. False: it changed meanwhile. */
  accept(row: Checked, path: string, options: Work): Promise<boolean> {
    return options.alone(async () => {
      const { damage, rows, onDirty } = this.#deps
      const now = rows().get(row.id)
      if (now === undefined || !damage.has(now) || !this.isCurrent(row) || rows().path(row.id) !== path) return false
      // No look at the disk shows that, so what is there is read. Stored before the damage is forgotten: after a crash it is told again.
      rows().put({ ...now, stat: { ...now.stat, mtimeUs: -1, ctimeUs: -1 } })
      await this.#deps.commit({})
      damage.forget(row.id)
      await this.#state.save({})
      onDirty(parentPath(path))
      return true
    }, options)
  }

  isCurrent(row: Checked): boolean {
    const now = this.#deps.rows().get(row.id)
    return now !== undefined && now.content === row.content && sameStat(now.stat, row.stat)
  }

  async #damagedFile(row: Checked, path: string, found: ContentId, report: Report, options: Work): Promise<void> {
    const { damage, emit, folder } = this.#deps
    const isNew = !damage.has(row)
    // Known from now on, so that it spreads nowhere while it is mended.
    damage.note({ row: row.id, content: row.content, found })
    const repaired = await this.#once(row.content, () => this.#mendFile(row, path, found, options), report, options)
    // Another found it too, and was first.
    const isMended = repaired || (!this.isCurrent(row) && !damage.has(row))
    report.damaged.push({ path, version: false, content: row.content, repaired: isMended })
    if (!repaired && (isMended || !isNew)) return
    emit({ type: 'file:damaged', folder, path, version: false, repaired })
    await this.#state.save({})
  }

  async #mendFile(row: Checked, path: string, found: ContentId, options: Work): Promise<boolean> {
    for (let tries = 0; tries < TRIES; tries++) {
      if (!this.isCurrent(row) || !(await bring(this.#deps, row, options))) return false
      if (await this.#putBack(row, path, found, options)) {
        this.#deps.damage.forget(row.id)
        return true
      }
      // What was staged may have been used up meanwhile, for another file of the same content.
      if (this.#deps.disk.stage.has(row.content)) return false
    }
    return false
  }

  /** A person's run and the quiet moments may find the same: one mends it. */
  async #once(content: ContentId, mend: () => Promise<boolean>, report: Report, options: Work): Promise<boolean> {
    for (;;) {
      const running = this.#mending.get(content)
      if (running === undefined) break
      if (!options.mayWait) {
        report.left = true
        return false
      }
      await abortable(Promise.allSettled([running]), options.signal)
    }
    const unpin = this.#deps.pin([content])
    const mending = this.#ifPossible(mend)
    this.#mending.set(content, mending)
    try {
      return await mending
    } finally {
      this.#mending.delete(content)
      unpin()
    }
  }

  /** In a folder that stands still, and on a full disk, what is damaged is told now and mended later. */
  async #ifPossible(mend: () => Promise<boolean>): Promise<boolean> {
    try {
      return await mend()
    } catch (error) {
      if (!isKithError(error) || !NOT_NOW.has(error.code)) throw error
      this.#deps.log.warn({ err: error }, 'what is damaged could not be mended now')
      return false
    }
  }

  #putBack(row: Checked, path: string, found: ContentId, options: Work): Promise<boolean> {
    return options.alone(async () => {
      const { disk, rows, onWrote, onDirty } = this.#deps
      const now = rows().get(row.id)
      if (now === undefined || !this.isCurrent(row) || rows().path(row.id) !== path) return false
      const { content, mode, mtime, stat, kind } = row
      // What it replaces is kept under what it is, never under what it should have been.
      const kept = { expect: stat, expectContent: found, keep: false }
      const [result] = await disk.apply([{ do: 'put', path, kind, content, mode, mtime, ...kept }], options)
      if (result?.ok !== true || result.stat === null) {
        onDirty(parentPath(path))
        return false
      }
      onWrote(path, result.stat)
      rows().put({ ...now, stat: result.stat })
      await this.#deps.commit({})
      return true
    }, options)
  }

  /** What could not be mended before: somebody may have it now. */
  async mendKnown(report: Report, options: Work): Promise<void> {
    const { damage, rows } = this.#deps
    for (const known of damage.all()) {
      const row = rows().get(known.row)
      if (row === undefined || !isChecked(row) || !damage.has(row)) damage.forget(known.row)
    }
    for (const { content, size } of this.#state.note.lost) {
      if (!(await this.#mendVersion({ content, size, packed: false }, report, options))) continue
      this.#setLost(lost => lost.filter(one => one.content !== content))
      report.damaged.push({ path: '', version: true, content, repaired: true })
    }
  }

  async checkVersion(version: KeptVersion, report: Report, options: Work): Promise<void> {
    const { disk, emit, folder } = this.#deps
    const { content, packed } = version
    const list = (): Promise<ContentList | null> => this.#deps.store.list(content)
    const verdict = await disk.versions.verify(content, { ...options, list })
    if (verdict === 'busy') report.unverified.push(content)
    if (verdict === 'gone' || verdict === 'busy') return
    report.checked++
    report.bytes += version.size
    if (verdict === 'sound') return
    // Of what is damaged its own size says nothing.
    const size = (await list())?.size ?? version.size
    const others = (lost: readonly LostVersion[]): LostVersion[] => lost.filter(one => one.content !== content)
    if (verdict === 'damaged') {
      // It was set aside, and nothing else remembers it: stored before anything can end this.
      this.#setLost(lost => [...others(lost), { content, size }])
      await this.#state.save({})
    }
    const repaired = verdict === 'mended' || (await this.#mendVersion({ content, size, packed }, report, options))
    if (repaired) this.#setLost(others)
    report.damaged.push({ path: '', version: true, content, repaired })
    emit({ type: 'file:damaged', folder, path: '', version: true, repaired })
    if (repaired) await this.#state.save({})
  }

  /** Mended in its packed form, the chunks that others share with it are sound again too. */
  #mendVersion(
    version: Pick<KeptVersion, 'content' | 'size' | 'packed'>,
    report: Report,
    options: Work,
  ): Promise<boolean> {
    return this.#once(version.content, () => this.#bringVersion(version, options), report, options)
  }

  async #bringVersion(version: Pick<KeptVersion, 'content' | 'size' | 'packed'>, options: Work): Promise<boolean> {
    const { disk, store } = this.#deps
    if (disk.hasVersion(version.content)) return true
    if (!(await bring(this.#deps, version, options))) return false
    if (!(await disk.versions.keepStaged(version.content, options))) return false
    const list = version.packed ? await store.list(version.content) : null
    if (list !== null) await disk.versions.pack(version.content, list, options)
    return true
  }

  #setLost(change: (lost: readonly LostVersion[]) => readonly LostVersion[]): void {
    this.#state.set({ lost: change(this.#state.note.lost).slice(-MOST_LOST) })
  }
}

export function isChecked(row: Row): row is Checked {
  return row.id !== ROOT_ROW && row.kind !== 'directory'
}
