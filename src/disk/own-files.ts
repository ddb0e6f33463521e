// Small acts on files of our own in `.kith`, shared by the workers. Synchronous; none of them is ever given a user's path to change.
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  rmdirSync,
  unlinkSync,
  writeSync,
  writevSync,
} from 'node:fs'
import { systemCode } from '../core/errors.ts'
import { AREA_MODE, PRIVATE_MODE } from './area.ts'
import { type Directory, openForSync, readFully } from './beneath.ts'
import { isNoSync } from './dirty-handles.ts'
import { isAbsent } from './problem-of.ts'

const COPY_BYTES = 1024 * 1024

/** A new file that shares its bytes with an open one; false: this disk cannot. */
export function cloneHandle(fd: number, to: string): boolean {
  if (process.platform !== 'linux') return false
  try {
    copyFileSync(`/proc/self/fd/${fd}`, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOSPC') throw error
    return false
  }
}

/** A new file with the bytes of an open one; cloned where the disk can. */
export function copyHandle(fd: number, to: string): void {
  if (process.platform === 'linux') {
    copyFileSync(`/proc/self/fd/${fd}`, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
    return
  }
  const target = openSync(to, 'wx', PRIVATE_MODE)
  try {
    const buffer = Buffer.allocUnsafe(COPY_BYTES)
    for (let at = 0; ; ) {
      const count = readFully(fd, buffer, at)
      if (count === 0) return
      writeFully(target, buffer.subarray(0, count), at)
      at += count
    }
  } finally {
    closeSync(target)
  }
}

export function writeFully(fd: number, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, at + done)
}

/** One behind the other. */
export function writeAll(fd: number, pieces: readonly Uint8Array[], at: number): void {
  let done = writevSync(fd, pieces, at)
  for (const piece of pieces) {
    if (done < piece.length) writeFully(fd, piece.subarray(done), at + done)
    done = Math.max(0, done - piece.length)
    at += piece.length
  }
}

export function isFull(error: unknown): boolean {
  const code = systemCode(error)
  return code === 'ENOSPC' || code === 'EDQUOT'
}

export function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

export function removeIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (!isAbsent(error)) throw error
  }
}

/** Of our own: also what is in directories that are shut. */
export function removeTree(path: string): void {
  if (lstatSync(path).isDirectory()) {
    chmodSync(path, AREA_MODE)
    for (const name of readdirSync(path)) removeTree(`${path}/${name}`)
    rmdirSync(path)
  } else unlinkSync(path)
}

export function syncDirectory(directory: Directory): void {
  const fd = openForSync(directory)
  try {
    fsyncSync(fd)
  } catch (error) {
    if (!isNoSync(error)) throw error
  } finally {
    closeSync(fd)
  }
}
