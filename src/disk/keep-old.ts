// What a publish replaces or removes, kept in `.kith/versions` by content id: linked where the inode is the user's alone, else copied.
// A link is made under a temporary name, looked at, and only then named. Nothing here changes the user's names.

import {
  type BigIntStats,
  closeSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  renameSync,
  unlinkSync,
} from 'node:fs'
import { contentOf } from '../core/content-list.ts'
import { systemCode } from '../core/errors.ts'
import type { ContentId } from '../core/ids.ts'
import { contentName, PRIVATE_MODE } from './area.ts'
import type { AreaHandle } from './area-handle.ts'
import { type Directory, openRegular, readLink } from './beneath.ts'
import { readContent } from './content-read.ts'
import { copyHandle, isThere, removeIfThere, writeFully } from './own-files.ts'

/** A file that changed this recently may have changed again within one tick of the disk's clock: its bytes decide. */
const RACY_MS = 2000
const RACY_MAX_BYTES = 64 * 1024 * 1024
/** Between a content's name and an inode number: a second inode of equal content, kept until late writers are excluded. */
export const TWIN = '+'

/** The file is not what the row says: a local change. */
export class ChangedError extends Error {
  readonly code = 'KITH_CHANGED'
}

export interface Kept {
  /** The file's name in versions. */
  readonly name: string
  /** It is the very inode the user had: a program may still write to it. */
  readonly linked: boolean
  /** This call made it; to be undone where the step fails. */
  readonly made: boolean
  /** It is a copy beside what lies under the content's name and is not what that says: it takes that place when late writers are excluded. */
  readonly beside?: BigIntStats
}

/** Copies what stands at `name` or links it. Not yet synced where linked: the caller syncs versions before it acts. */
export function keepOld(area: AreaHandle, parent: Directory, name: string, old: BigIntStats, content: ContentId): Kept {
  if (old.isSymbolicLink()) return keepLink(area, parent, name, old, content)
  checkRacy(parent, name, old, content)
  if (old.nlink > 1n) return keepCopy(area, parent, name, old, content)
  const temporary = area.transitPath()
  try {
    linkSync(`${parent.base}/${name}`, temporary)
  } catch (error) {
    if (isLinkRefused(error)) return keepCopy(area, parent, name, old, content)
    throw error
  }
  const caught = lstatSync(temporary, { bigint: true })
  if (!isSameBytes(caught, old)) {
    unlinkSync(temporary)
    throw new ChangedError('it changed while it was kept')
  }
  const kept = nameFor(area, content, old)
  renameSync(temporary, `${area.versions.base}/${kept}`)
  return { name: kept, linked: true, made: true }
}

/** Where an inode of that content goes: under the content's name, or beside it where that is taken. */
export function nameFor(area: AreaHandle, content: ContentId, old: BigIntStats): string {
  const plain = contentName(content)
  return isThere(`${area.versions.base}/${plain}`) ? `${plain}${TWIN}${old.ino}` : plain
}

export function isLinkRefused(error: unknown): boolean {
  const code = systemCode(error)
  return (
    code === 'EPERM' ||
    code === 'ENOTSUP' ||
    code === 'EOPNOTSUPP' ||
    code === 'ENOSYS' ||
    code === 'EMLINK' ||
    code === 'EXDEV' ||
    code === 'EACCES'
  )
}

/** The same inode with the same bytes: all but what a link or rename of it changes. */
export function isSameBytes(a: BigIntStats, b: BigIntStats): boolean {
  return (
    a.dev === b.dev &&
    a.ino === b.ino &&
    a.birthtimeNs === b.birthtimeNs &&
    a.size === b.size &&
    a.mtimeNs === b.mtimeNs &&
    (a.mode & 0o170000n) === (b.mode & 0o170000n)
  )
}

/** An inode with other names, or a disk without links: the bytes are copied, checked and synced here. */
export function keepCopy(
  area: AreaHandle,
  parent: Directory,
  name: string,
  old: BigIntStats,
  content: ContentId,
): Kept {
  if (isKept(area, content)) return { name: contentName(content), linked: false, made: false }
  const temporary = area.transitPath()
  const { fd, stats } = openRegular(parent, name)
  try {
    copyHandle(fd, temporary)
    if (!isSameBytes(stats, old) || !isSameBytes(fstatSync(fd, { bigint: true }), old)) {
      throw new ChangedError('it changed while it was copied')
    }
    syncCopy(temporary, content)
  } catch (error) {
    removeIfThere(temporary)
    throw error
  } finally {
    closeSync(fd)
  }
  return nameCopy(area, temporary, content, old)
}

function keepLink(area: AreaHandle, parent: Directory, name: string, old: BigIntStats, content: ContentId): Kept {
  const target = readLink(parent, name)
  if (contentOf(target).content !== content) throw new ChangedError('the symlink points elsewhere')
  if (isKept(area, content)) return { name: contentName(content), linked: false, made: false }
  const temporary = area.transitPath()
  const fd = openSync(temporary, 'wx', PRIVATE_MODE)
  try {
    writeFully(fd, target, 0)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  return nameCopy(area, temporary, content, old)
}

/** Read, not only there: what is to be replaced may be the last that is sound. */
function isKept(area: AreaHandle, content: ContentId): boolean {
  const name = contentName(content)
  if (!isThere(`${area.versions.base}/${name}`)) return false
  try {
    const { fd, stats } = openRegular(area.versions, name)
    try {
      return readContent(fd, Number(stats.size)).list.content === content
    } finally {
      closeSync(fd)
    }
  } catch {
    // The disk cannot give it back.
    return false
  }
}

function nameCopy(area: AreaHandle, temporary: string, content: ContentId, old: BigIntStats): Kept {
  const name = nameFor(area, content, old)
  const path = `${area.versions.base}/${name}`
  renameSync(temporary, path)
  const kept = { name, linked: false, made: true }
  return name.includes(TWIN) ? { ...kept, beside: lstatSync(path, { bigint: true }) } : kept
}

function syncCopy(path: string, content: ContentId): void {
  const fd = openSync(path, 'r+')
  try {
    fchmodSync(fd, PRIVATE_MODE)
    if (readContent(fd, fstatSync(fd).size).list.content !== content)
      throw new ChangedError('its bytes are not those that were scanned')
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

export function checkRacy(parent: Directory, name: string, old: BigIntStats, content: ContentId): void {
  const newest = Math.max(Number(old.mtimeNs), Number(old.ctimeNs)) / 1e6
  if (Date.now() - newest > RACY_MS || Number(old.size) > RACY_MAX_BYTES) return
  const { fd, stats } = openRegular(parent, name)
  try {
    if (readContent(fd, Number(stats.size)).list.content !== content)
      throw new ChangedError('its bytes are not those that were scanned')
  } finally {
    closeSync(fd)
  }
}
