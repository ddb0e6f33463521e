// What is replaced, moved or removed among the kept versions, in the publish worker: one act at a time with the batches of the folder, so
// that an inode which a program may still write to (late.log) is never dropped, packed or replaced. Everything here is durable when it
// returns.

import { closeSync, constants, fchmodSync, fsyncSync, lstatSync, openSync, renameSync, unlinkSync } from 'node:fs'
import { isTopOf } from '../core/content-list.ts'
import type { ContentId } from '../core/ids.ts'
import { contentName, isSealed, PRIVATE_MODE, type Seal, WORK_SUFFIX } from './area.ts'
import type { AreaHandle } from './area-handle.ts'
import { lateNames } from './late-writers.ts'
import { isThere, removeIfThere, syncDirectory, writeFully } from './own-files.ts'
import { syncOrRemove, writeNew } from './verified-file.ts'

export type VersionChange =
  | { readonly do: 'drop'; readonly contents: readonly ContentId[] }
  /** A staged content becomes a version; `seal`: as it was verified. */
  | { readonly do: 'keep-staged'; readonly content: ContentId; readonly seal: Seal }
  /** What was read and is damaged leaves its name. `seal`: the whole file as it was read; null: its recipe. */
  | { readonly do: 'set-aside'; readonly content: ContentId; readonly seal: Seal | null }
  /** The recipe of a packed version, written anew from its list. */
  | { readonly do: 'write-recipe'; readonly content: ContentId; readonly top: Uint8Array }
  /** All of it lies in packs. `seal`: the whole file as it was when packing began. */
  | { readonly do: 'end-packing'; readonly content: ContentId; readonly seal: Seal }

export interface VersionChanged {
  /** What the change was about and was done to; the rest is as it was. */
  readonly done: readonly ContentId[]
  /** Chunks may have become unneeded. */
  readonly packed: boolean
  /** Why it ended before all was done, in words, or may not be durable. */
  readonly failure?: string
}

const NOTHING: VersionChanged = { done: [], packed: false }

export function changeVersions(area: AreaHandle, change: VersionChange): VersionChanged {
  const late = lateNames(area)
  switch (change.do) {
    case 'drop':
      return drop(
        area,
        change.contents.filter(content => !late.has(contentName(content))),
      )
    case 'keep-staged':
      return keepStaged(area, change, late)
    case 'set-aside':
      return late.has(contentName(change.content)) ? NOTHING : setAside(area, change)
    case 'write-recipe':
      return writeRecipe(area, change)
    case 'end-packing':
      return late.has(contentName(change.content)) ? NOTHING : endPacking(area, change)
  }
}

function drop(area: AreaHandle, contents: readonly ContentId[]): VersionChanged {
  const done: ContentId[] = []
  let packed = false
  try {
    for (const content of contents) {
      const name = contentName(content)
      removeIfThere(`${area.versions.base}/${name}`)
      for (const recipe of [name, `${name}${WORK_SUFFIX}`]) {
        if (!isThere(`${area.recipes.base}/${recipe}`)) continue
        unlinkSync(`${area.recipes.base}/${recipe}`)
        packed = true
      }
      done.push(content)
    }
    syncDirectory(area.versions)
    if (packed) syncDirectory(area.recipes)
  } catch (error) {
    // What is gone must be known to be gone.
    if (done.length === 0) throw error
    return { done, packed, failure: String(error) }
  }
  return { done, packed }
}

function keepStaged(
  area: AreaHandle,
  { content, seal }: VersionChange & { do: 'keep-staged' },
  late: ReadonlySet<string>,
): VersionChanged {
  const name = contentName(content)
  const staged = `${area.stage.base}/${name}`
  const kept = `${area.versions.base}/${name}`
  const fd = openSync(staged, constants.O_RDWR | (constants.O_NOFOLLOW ?? 0))
  try {
    const stats = lstatSync(staged, { bigint: true })
    if (!isSealed(seal, stats)) return NOTHING
    // The inode there may still be written to, and is looked at for that; until then it is what its name says.
    if (late.has(name) && isThere(kept)) return { done: [content], packed: false }
    fchmodSync(fd, PRIVATE_MODE)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(staged, kept)
  syncDirectory(area.versions)
  syncDirectory(area.stage)
  return { done: [content], packed: false }
}

function setAside(area: AreaHandle, { content, seal }: VersionChange & { do: 'set-aside' }): VersionChanged {
  const name = contentName(content)
  const from = seal === null ? area.recipes : area.versions
  const path = `${from.base}/${name}`
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  if (stats === undefined || (seal !== null && !isSealed(seal, stats))) return NOTHING
  renameSync(path, `${area.damaged.base}/${name}-${Date.now().toString(36)}`)
  syncDirectory(area.damaged)
  syncDirectory(from)
  return { done: [content], packed: seal === null }
}

function writeRecipe(area: AreaHandle, { content, top }: VersionChange & { do: 'write-recipe' }): VersionChanged {
  const path = `${area.recipes.base}/${contentName(content)}`
  if (!isThere(path) || !isTopOf(content, top)) return NOTHING
  const temporary = area.transitPath()
  writeNew(temporary, fd => {
    writeFully(fd, top, 0)
    syncOrRemove(fd, temporary)
  })
  renameSync(temporary, path)
  syncDirectory(area.recipes)
  return { done: [content], packed: true }
}

function endPacking(area: AreaHandle, { content, seal }: VersionChange & { do: 'end-packing' }): VersionChanged {
  const name = contentName(content)
  const whole = `${area.versions.base}/${name}`
  const work = `${area.recipes.base}/${name}${WORK_SUFFIX}`
  const stats = lstatSync(whole, { bigint: true, throwIfNoEntry: false })
  // Of an inode that has other names, somebody else decides.
  if (stats === undefined || stats.nlink !== 1n || !isSealed(seal, stats)) {
    removeIfThere(work)
    return NOTHING
  }
  renameSync(work, `${area.recipes.base}/${name}`)
  syncDirectory(area.recipes)
  unlinkSync(whole)
  syncDirectory(area.versions)
  return { done: [content], packed: true }
}
