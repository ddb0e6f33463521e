// Writing a file of our own so that it has its name only when it is whole and right. A descriptor whose sync failed is never synced
// again: the file goes. For workers.

import { closeSync, constants, fchmodSync, fstatSync, fsyncSync, openSync } from 'node:fs'
import { systemCode } from '../core/errors.ts'
import type { ContentId } from '../core/ids.ts'
import { PRIVATE_MODE, type Seal, sealOf } from './area.ts'
import { readContent } from './content-read.ts'
import { removeIfThere } from './own-files.ts'

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR, O_WRONLY } = constants
const NEW_FILE = O_WRONLY | O_CREAT | O_EXCL | (O_NOFOLLOW ?? 0)

/** Reads the whole. The seal is taken before and compared after, so that a write in between is noticed. */
export function verified(path: string, content: ContentId, sync: boolean): Seal | null {
  const fd = openOwn(path)
  try {
    const before = sealOf(fstatSync(fd, { bigint: true }))
    if (readContent(fd, Number(before.size)).list.content !== content) return null
    if (sync) syncOrRemove(fd, path)
    const after = sealOf(fstatSync(fd, { bigint: true }))
    return before.mtimeNs === after.mtimeNs && before.size === after.size ? after : null
  } finally {
    closeSync(fd)
  }
}

/** For nobody else from then on. */
export function openOwn(path: string): number {
  const fd = openSync(path, O_RDWR | (O_NOFOLLOW ?? 0))
  try {
    fchmodSync(fd, PRIVATE_MODE)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

export function syncOrRemove(fd: number, path: string): void {
  try {
    fsyncSync(fd)
  } catch (error) {
    removeIfThere(path)
    throw error
  }
}

export function writeNew<T>(path: string, write: (fd: number) => T): T {
  const fd = openNew(path)
  try {
    return write(fd)
  } catch (error) {
    removeIfThere(path)
    throw error
  } finally {
    closeSync(fd)
  }
}

/** What an earlier run left at that name goes. */
function openNew(path: string): number {
  try {
    return openSync(path, NEW_FILE, PRIVATE_MODE)
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
    removeIfThere(path)
    return openSync(path, NEW_FILE, PRIVATE_MODE)
  }
}
