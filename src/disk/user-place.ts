// The few acts that change a name in the user's folder, each without ever replacing what was not expected: link instead of rename where
// the system allows it, and a look at what was caught after every rename away. For the publish worker alone.
import { type BigIntStats, chmodSync, closeSync, fstatSync, linkSync, lstatSync, renameSync, unlinkSync } from 'node:fs'
import { systemCode } from '../core/errors.ts'
import { isLegalName, withSuffix } from '../core/names.ts'
import type { AreaHandle } from './area-handle.ts'
import { type Directory, openBelow, splitPath } from './beneath.ts'
import { ChangedError, isLinkRefused, isSameBytes } from './keep-old.ts'

const OWNER_WRITE = 0o300

export function lookAt(directory: Directory, name: string): BigIntStats | undefined {
  return lstatSync(`${directory.base}/${name}`, { bigint: true, throwIfNoEntry: false })
}

/** A directory without owner-write gets it for the length of the act, and back. */
export function writable<T>(directory: Directory, act: () => T): T {
  try {
    return act()
  } catch (error) {
    const code = systemCode(error)
    if (code !== 'EACCES' && code !== 'EPERM') throw error
    const { mode, uid } = fstatSync(directory.fd)
    if ((mode & OWNER_WRITE) === OWNER_WRITE || uid !== process.getuid?.()) throw error
    chmodSync(directory.base, (mode & 0o7777) | OWNER_WRITE)
    let failed = true
    try {
      const result = act()
      failed = false
      return result
    } finally {
      restoreMode(directory, mode & 0o7777, failed)
    }
  }
}

/** What was done is done: a mode that cannot be set back must not make the caller undo it. */
function restoreMode(directory: Directory, mode: number, failed: boolean): void {
  try {
    chmodSync(directory.base, mode)
  } catch (error) {
    if (failed) throw error
  }
}

/**
 * An act that gives `name` to something. Some disks say of a name that they cannot have that it is not there: where the directory is, and what is
 * to have the name, it can mean nothing else.
 */
export function naming<T>(directory: Directory, source: string | null, act: () => T): T {
  try {
    return writable(directory, act)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' || fstatSync(directory.fd).nlink === 0) throw error
    if (source !== null && lstatSync(source, { throwIfNoEntry: false }) === undefined) throw error
    throw Object.assign(new Error('the disk refuses the name', { cause: error }), { code: 'EILSEQ' })
  }
}

/** Gives `source` (a path of ours) the name `to` in `directory`. Never replaces: throws EEXIST. */
export function bringIn(source: string, directory: Directory, name: string): void {
  const target = `${directory.base}/${name}`
  const stats = lstatSync(source, { bigint: true })
  if (!stats.isDirectory()) {
    try {
      writable(directory, () => linkSync(source, target))
      unlinkSync(source)
      return
    } catch (error) {
      if (!isLinkRefused(error)) throw error
    }
  }
  if (lookAt(directory, name) !== undefined) throw new ChangedError('something stands there')
  naming(directory, source, () => renameSync(source, target))
}

/** Takes what stands at `name` out to `path`; if that is not what was expected it goes back and ChangedError is thrown. */
export function takeOut(directory: Directory, name: string, expected: BigIntStats, path: string): void {
  const from = `${directory.base}/${name}`
  writable(directory, () => renameSync(from, path))
  const caught = lstatSync(path, { bigint: true })
  const isIt = expected.isDirectory()
    ? caught.ino === expected.ino && caught.dev === expected.dev && caught.isDirectory()
    : isSameBytes(caught, expected)
  if (isIt) return
  bringBack(path, directory, name)
  throw new ChangedError('something else was there at the last moment')
}

/** Back to its name, or beside it under a free one; returns the name. */
export function bringBack(path: string, directory: Directory, name: string): string {
  for (let attempt = 0; ; attempt++) {
    const free = attempt === 0 ? name : withSuffix(name, `kept ${attempt}`)
    try {
      bringIn(path, directory, free)
      return free
    } catch (error) {
      const taken = error instanceof ChangedError || systemCode(error) === 'EEXIST'
      if (!taken || attempt > 10_000) throw error
    }
  }
}

/** As `bringBack`, at a path of the folder; in the root where its directory is gone. */
export function bringBackTo(area: AreaHandle, path: string, to: string): string {
  const { directory, name } = splitPath(to)
  const safe = isLegalName(name) ? name : 'recovered'
  try {
    return area.inside(directory, parent => joined(directory, bringBack(path, parent, safe)))
  } catch (error) {
    if (directory === '') throw error
    return bringBack(path, area.root, safe)
  }
}

function joined(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`
}

/** Renames a file, symlink or directory of the user without replacing anything; a case-only rename replaces itself. */
export function moveUser(
  area: AreaHandle,
  from: { directory: Directory; name: string; stats: BigIntStats },
  to: { directory: Directory; name: string },
): void {
  const source = `${from.directory.base}/${from.name}`
  const target = `${to.directory.base}/${to.name}`
  const there = lookAt(to.directory, to.name)
  const isItself =
    there !== undefined &&
    there.ino === from.stats.ino &&
    there.dev === from.stats.dev &&
    (from.stats.isDirectory() || from.stats.nlink === 1n)
  if (there !== undefined && !isItself) throw new ChangedError('something stands there')
  const rename = (): void =>
    writable(from.directory, () => naming(to.directory, source, () => renameSync(source, target)))
  if (isItself || from.stats.isDirectory()) return from.stats.isDirectory() ? moveDirectory(from, rename) : rename()
  try {
    writable(to.directory, () => linkSync(source, target))
  } catch (error) {
    if (!isLinkRefused(error)) throw error
    return rename()
  }
  const linked = lookAt(to.directory, to.name)
  if (linked === undefined || !isSameBytes(linked, from.stats)) {
    // The name was given to something else in between: it keeps both names, as the user's hard link would.
    if (linked !== undefined && linked.nlink > 1n) unlinkSync(target)
    throw new ChangedError('it changed while it was moved')
  }
  const transit = area.caughtPath()
  takeOut(from.directory, from.name, from.stats, transit)
  unlinkSync(transit)
}

/** Its `..` changes, so a directory without owner-write needs that itself. */
function moveDirectory(from: { directory: Directory; name: string; stats: BigIntStats }, rename: () => void): void {
  try {
    rename()
  } catch (error) {
    const mode = Number(from.stats.mode) & 0o7777
    const code = systemCode(error)
    if (code === 'EINVAL') throw new ChangedError('it would be inside itself')
    if ((code !== 'EACCES' && code !== 'EPERM') || (mode & OWNER_WRITE) === OWNER_WRITE) throw error
    withMode(from.directory, from.name, mode, rename)
  }
}

function withMode(parent: Directory, name: string, mode: number, rename: () => void): void {
  const directory = openBelow(parent, name)
  try {
    chmodSync(directory.base, mode | OWNER_WRITE)
    try {
      rename()
    } finally {
      chmodSync(process.platform === 'linux' ? directory.base : `${parent.base}/${name}`, mode)
    }
  } finally {
    closeSync(directory.fd)
  }
}
