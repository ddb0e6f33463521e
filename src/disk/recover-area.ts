// What a crash may have left in `.kith`, put right before anything is scanned: parked things go back, things on their way are finished or
// dropped, and a version that is still a link to a user's file becomes bytes of its own. Nothing of the user is ever dropped here.
import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { systemCode } from '../core/errors.ts'
import type { ContentId } from '../core/ids.ts'
import type { Move } from '../core/ports.ts'
import { AREA, AREA_DIRECTORIES, AREA_MODE, contentOfName, PRIVATE_MODE } from './area.ts'
import { type AreaHandle, CAUGHT_PREFIX } from './area-handle.ts'
import { openBelow, openRoot, splitPath } from './beneath.ts'
import { readContent } from './content-read.ts'
import { ChangedError, keepCopy, nameFor, TWIN } from './keep-old.ts'
import { removeIfThere, removeTree, syncDirectory } from './own-files.ts'
import { isAbsent } from './problem-of.ts'
import type { Root } from './source.ts'
import { bringBack, takeOut } from './user-place.ts'

const BIG = { bigint: true } as const

/** Makes `.kith` and what belongs in it, private from the start. */
export function ensureArea(root: Root): void {
  const at = openRoot(root.path, root.identity)
  try {
    makeDirectory(`${at.base}/${AREA}`)
    const area = openBelow(at, AREA)
    try {
      chmodSync(area.base, AREA_MODE)
      for (const name of AREA_DIRECTORIES) makeDirectory(`${area.base}/${name}`)
      const ignore = `${area.base}/.gitignore`
      if (lstatSync(ignore, { throwIfNoEntry: false }) === undefined) {
        writeFileSync(ignore, '*\n', { mode: PRIVATE_MODE, flag: 'wx' })
      }
      syncDirectory(area)
    } finally {
      closeSync(area.fd)
    }
  } finally {
    closeSync(at.fd)
  }
}

function makeDirectory(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) mkdirSync(path, AREA_MODE)
}

/** The user's things go into versions or the root. What is named `running…` is still being filled. */
export function settleTransit(area: AreaHandle, running: string): void {
  for (const name of readdirSync(area.transit.base)) {
    const path = `${area.transit.base}/${name}`
    if (name.startsWith(running)) continue
    const stats = lstatSync(path, { bigint: true })
    if (!name.startsWith(CAUGHT_PREFIX) || (stats.nlink > 1n && !stats.isDirectory())) removeTree(path)
    else if (stats.isFile()) nameVersion(area, path, stats)
    else bringBack(path, area.root, `recovered ${name}`)
  }
  syncDirectory(area.versions)
  syncDirectory(area.transit)
}

/** A file that was to move gets its new name before it loses the old one: where it has both, the new one goes, and it is as before. */
export function undoHalf(area: AreaHandle, { from, to }: Move): void {
  const source = splitPath(from)
  const target = splitPath(to)
  try {
    area.inside(source.directory, before =>
      area.inside(target.directory, after => {
        const old = lstatSync(`${before.base}/${source.name}`, BIG)
        const now = lstatSync(`${after.base}/${target.name}`, BIG)
        if (old.isDirectory() || now.nlink < 2n || !isOne(old, now)) return
        // Where the disk folds case both may be one name, of a file that a person gave another one elsewhere.
        if (isOne(fstatSync(before.fd, BIG), fstatSync(after.fd, BIG))) {
          const names = readdirSync(after.base)
          if (source.name === target.name || ![source.name, target.name].every(name => names.includes(name))) return
        }
        const transit = area.caughtPath()
        takeOut(after, target.name, now, transit)
        unlinkSync(transit)
        syncDirectory(after)
      }),
    )
  } catch (error) {
    // One of them is not there, so it has one name; or somebody is at it just now, and the look that follows tells.
    if (!isAbsent(error) && systemCode(error) !== 'ELOOP' && !(error instanceof ChangedError)) throw error
  }
}

function isOne(a: BigIntStats, b: BigIntStats): boolean {
  return a.dev === b.dev && a.ino === b.ino
}

/** A removed file that had lost its name and not yet got the one in versions. */
function nameVersion(area: AreaHandle, path: string, stats: BigIntStats): void {
  const fd = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))
  let content: ContentId
  try {
    content = readContent(fd, Number(stats.size)).list.content
  } finally {
    closeSync(fd)
  }
  renameSync(path, `${area.versions.base}/${nameFor(area, content, stats)}`)
}

/** The contents that versions hold. */
export function settleVersions(area: AreaHandle): ContentId[] {
  const contents: ContentId[] = []
  for (const name of readdirSync(area.versions.base)) {
    const path = `${area.versions.base}/${name}`
    const content = contentOfName(name)
    if (content === undefined && !name.includes(TWIN)) {
      removeIfThere(path)
      continue
    }
    const stats = lstatSync(path, { bigint: true })
    if (stats.nlink > 1n && !ownBytes(area, name, stats, content)) continue
    if (content !== undefined) contents.push(content)
  }
  return contents
}

/** Linked ahead of a rename that never came: the user's file would change it. */
function ownBytes(area: AreaHandle, name: string, stats: BigIntStats, content: ContentId | undefined): boolean {
  const path = `${area.versions.base}/${name}`
  const aside = area.transitPath()
  renameSync(path, aside)
  if (content === undefined) {
    unlinkSync(aside)
    return false
  }
  try {
    keepCopy(area, area.transit, aside.slice(area.transit.base.length + 1), stats, content)
    return true
  } catch {
    // It was changed since, under the user's name: it is no version of that content.
    return false
  } finally {
    removeIfThere(aside)
  }
}
