// Which folder a path that a person typed lies in, and where in it. What is asked for may be gone from the disk long since, so only the way
// to the folder's root is looked at; below the root the path is taken as it was written.
import { realpath } from 'node:fs/promises'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { printable } from '../core/display.ts'
import { KithError } from '../core/errors.ts'
import { isReserved } from '../core/names.ts'
import type { FolderRecord } from './folder-list.ts'

export interface Located {
  readonly record: FolderRecord
  /** Relative to the root, with `/`; '' for the root. */
  readonly path: string
}

/** Throws KithError `bad-path`, `path-outside`. */
export async function locate(given: string, records: readonly FolderRecord[]): Promise<Located> {
  if (!isAbsolute(given) || given.includes('\0')) {
    throw new KithError('bad-path', `"${printable(given)}" is no absolute path.`)
  }
  const path = resolve(given)
  const found = (await throughRoot(path, records)) ?? below(await realOf(path), records)
  if (found === null) {
    throw new KithError('path-outside', `${printable(path)} is in no folder of this device: "kith folders" lists them.`)
  }
  if (found.path.split('/').some(isReserved)) {
    throw new KithError('bad-path', `${printable(path)} is one of Kith's own files: they have no history.`)
  }
  return found
}

/** Some beginning of the path is a root, or a symlink to one. The nearest counts. */
async function throughRoot(path: string, records: readonly FolderRecord[]): Promise<Located | null> {
  for (let at = path; ; at = dirname(at)) {
    const real = await realpath(at).catch(() => null)
    const record = records.find(each => each.path === at || each.path === real)
    if (record !== undefined) return { record, path: inside(at, path) }
    if (at === dirname(at)) return null
  }
}

function below(path: string, records: readonly FolderRecord[]): Located | null {
  const record = records.find(each => path === each.path || path.startsWith(join(each.path, '/')))
  return record === undefined ? null : { record, path: inside(record.path, path) }
}

/** The path with no symlink in the directories that exist; its last part is not followed: a symlink is something of its own. */
async function realOf(path: string): Promise<string> {
  for (let at = dirname(path); at !== dirname(at); at = dirname(at)) {
    const real = await realpath(at).catch(() => null)
    if (real !== null) return join(real, path.slice(at.length))
  }
  return path
}

function inside(root: string, path: string): string {
  return path.slice(root.length).replace(/^\/+/, '')
}
