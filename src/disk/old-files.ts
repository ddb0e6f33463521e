// The old files of one batch, kept in versions before anything replaces them: linked ahead where no earlier step can touch them, so that
// one sync of versions serves the whole batch, else at their step. A link whose step then fails is taken back: it would change with the
// user's file.
import type { BigIntStats } from 'node:fs'
import type { ContentId } from '../core/ids.ts'
import type { DiskStep, Stat } from '../core/ports.ts'
import type { AreaHandle } from './area-handle.ts'
import { type Directory, splitPath } from './beneath.ts'
import { ChangedError, isSameBytes, type Kept, keepOld } from './keep-old.ts'
import { removeIfThere, syncDirectory } from './own-files.ts'
import { isSame, kindOf, statOf } from './stat.ts'
import { lookAt } from './user-place.ts'

export interface OldFile {
  readonly kept: Kept
  /** What stood there once it was kept: a link moves the ctime. */
  readonly stats: BigIntStats
}

export class OldFiles {
  readonly #area: AreaHandle
  readonly #ahead = new Map<number, OldFile>()

  constructor(area: AreaHandle) {
    this.#area = area
  }

  keepAhead(steps: readonly DiskStep[], isReady: (index: number) => boolean): void {
    const touched = new Set<string>()
    for (const [index, step] of steps.entries()) {
      if (step.do === 'put' && step.expect !== null && isReady(index) && !isBelowAny(step.path, touched)) {
        this.#tryAhead(step.path, step.expect, step.expectContent, index)
      }
      if (step.do === 'mkdir') continue
      if ('path' in step) touched.add(step.path)
      if ('to' in step) touched.add(step.to)
    }
    if (this.#ahead.size === 0) return
    try {
      syncDirectory(this.#area.versions)
    } catch {
      // Then each step keeps its own, and says what is wrong.
      this.release()
    }
  }

  take(index: number): OldFile | undefined {
    const old = this.#ahead.get(index)
    this.#ahead.delete(index)
    return old
  }

  /** Durable when it returns. */
  keepNow(parent: Directory, name: string, expect: Stat, content: ContentId): OldFile {
    const old = this.#keep(parent, name, expect, content)
    try {
      syncDirectory(this.#area.versions)
    } catch (error) {
      this.undo(old.kept)
      throw error
    }
    return old
  }

  undo(kept: Kept): void {
    if (kept.made && (kept.linked || kept.beside !== undefined))
      removeIfThere(`${this.#area.versions.base}/${kept.name}`)
  }

  /** Takes back what was linked ahead of steps that did not come to it. */
  release(): void {
    for (const { kept } of this.#ahead.values()) this.undo(kept)
    this.#ahead.clear()
  }

  #tryAhead(path: string, expect: Stat, content: ContentId, index: number): void {
    const { directory, name } = splitPath(path)
    try {
      this.#area.inside(directory, parent => {
        this.#ahead.set(index, this.#keep(parent, name, expect, content))
      })
    } catch {
      // The step itself meets the same and reports it.
    }
  }

  #keep(parent: Directory, name: string, expect: Stat, content: ContentId): OldFile {
    const old = lookAt(parent, name)
    const kind = old === undefined ? null : kindOf(old)
    if (old === undefined || kind === null || kind === 'directory' || !isSame(expect, statOf(old), kind)) {
      throw new ChangedError('something else stands there')
    }
    const kept = keepOld(this.#area, parent, name, old, content)
    const stats = lookAt(parent, name)
    if (stats === undefined || !isSameBytes(stats, old)) {
      this.undo(kept)
      throw new ChangedError('it changed while it was kept')
    }
    return { kept, stats }
  }
}

function isBelowAny(path: string, touched: ReadonlySet<string>): boolean {
  for (let at = path; ; at = splitPath(at).directory) {
    if (touched.has(at)) return true
    if (at === '') return false
  }
}
