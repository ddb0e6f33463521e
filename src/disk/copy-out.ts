// Writes what was to a place that a person chose (`restore --to`). It promises that nothing which stands there is ever overwritten, and that
// the place is empty or complete: all is written beside it and put there in one step. In a synced folder the files wait in its `.kith`,
// so that nothing half-written is taken for a file of the folder; there a directory is made where it goes, and filled file by file.

import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import {
  chmod,
  copyFile,
  type FileHandle,
  link,
  lstat,
  lutimes,
  mkdir,
  open,
  realpath,
  rename,
  rm,
  symlink,
  unlink,
  utimes,
} from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { printable } from '../core/display.ts'
import type { Facts, Kind } from '../core/entry.ts'
import { isKithError, KithError, systemCode } from '../core/errors.ts'
import type { ContentId } from '../core/ids.ts'
import { isReserved } from '../core/names.ts'
import type { Waiting } from '../core/ports.ts'
import { AREA, TRANSIT } from './area.ts'
import { isLinkRefused } from './keep-old.ts'

/** A symlink's target is no longer than the longest path. */
const MAX_TARGET_BYTES = 4096

export interface CopyItem {
  readonly kind: Kind
  /** Relative to what is copied, with `/`; '' for itself. Parents come before what is in them. */
  readonly path: string
  readonly facts: Facts
}

export interface Copied {
  readonly to: string
  readonly files: number
  readonly bytes: number
  /** What no device that answered holds. */
  readonly missing: readonly CopyItem[]
}

export interface CopyDeps {
  /** Verified bytes; throws KithError `content-missing`. */
  read(content: ContentId, size: number, options: Waiting): AsyncIterable<Uint8Array>
}

type CopyOptions = Waiting & { onProgress(files: number, bytes: number): void }

/** Throws KithError `path-exists`, `bad-path`, `content-missing` (where it is one file), `no-space`, … with nothing left behind. */
export async function copyOut(
  deps: CopyDeps,
  items: readonly CopyItem[],
  dest: string,
  options: CopyOptions,
): Promise<Copied> {
  const place = await findPlace(dest)
  const writer = new Writer(deps, place, options)
  try {
    return await writer.write(items)
  } catch (error) {
    await writer.undo()
    throw explain(error, place.to)
  }
}

interface Place {
  readonly to: string
  /** `.kith/transit` of the synced folder that it lies in; cleared when that folder starts. */
  readonly transit: string | null
}

async function findPlace(dest: string): Promise<Place> {
  if (!isAbsolute(dest) || dest.includes('\0'))
    throw new KithError('bad-path', `"${printable(dest)}" is no absolute path.`)
  const given = resolve(dest)
  let parent: string
  try {
    parent = await realpath(dirname(given))
    if (!(await lstat(parent)).isDirectory()) throw new KithError('path-not-directory', notThere(dirname(given)))
  } catch (error) {
    if (isKithError(error)) throw error
    throw new KithError('path-not-directory', notThere(dirname(given)), { cause: error })
  }
  const to = join(parent, basename(given))
  if (to.split('/').some(isReserved)) {
    throw new KithError(
      'bad-path',
      `${printable(to)} lies in ".kith", where Kith keeps its own files: choose another path.`,
    )
  }
  if ((await lstat(to).catch(() => null)) !== null) throw taken(to)
  for (let at = parent; ; at = dirname(at)) {
    const transit = join(at, AREA, TRANSIT)
    if ((await lstat(transit).catch(() => null))?.isDirectory() === true) return { to, transit }
    if (at === dirname(at)) return { to, transit: null }
  }
}

class Writer {
  readonly #deps: CopyDeps
  readonly #place: Place
  readonly #options: CopyOptions
  /** Paths to remove where it fails, the last made first. */
  readonly #made: string[] = []
  readonly #missing: CopyItem[] = []
  #files = 0
  #bytes = 0

  constructor(deps: CopyDeps, place: Place, options: CopyOptions) {
    this.#deps = deps
    this.#place = place
    this.#options = options
  }

  async write(items: readonly CopyItem[]): Promise<Copied> {
    const { to } = this.#place
    const [first] = items
    if (first === undefined) throw new KithError('not-found', 'There is nothing to copy.')
    if (first.kind === 'directory' || items.length > 1) await this.#tree(items)
    else await this.#leaf(first, to)
    await syncDirectory(dirname(to))
    this.#made.length = 0
    return { to, files: this.#files, bytes: this.#bytes, missing: this.#missing }
  }

  async undo(): Promise<void> {
    for (const path of this.#made.reverse()) await rm(path, { recursive: true, force: true }).catch(() => undefined)
  }

  async #tree(items: readonly CopyItem[]): Promise<void> {
    const { to, transit } = this.#place
    const top = transit === null ? this.#beside(to) : to
    await mkdir(top, 0o700)
    this.#made.push(top)
    for (const item of items) {
      this.#options.signal.throwIfAborted()
      const path = item.path === '' ? top : join(top, item.path)
      if (item.kind !== 'directory') await this.#leafOfTree(item, path)
      else if (path !== top) await mkdir(path, 0o700)
    }
    // From below, since a directory's own mode may shut it, and what is put into it sets its time.
    for (const item of [...items].reverse()) {
      if (item.kind !== 'directory') continue
      const path = item.path === '' ? top : join(top, item.path)
      await syncDirectory(path)
      await dress(path, item.facts)
    }
    if (top === to) return
    if ((await lstat(to).catch(() => null)) !== null) throw taken(to)
    await rename(top, to)
  }

  async #leafOfTree(item: CopyItem, path: string): Promise<void> {
    try {
      await this.#leaf(item, path)
    } catch (error) {
      if (!isKithError(error) || error.code !== 'content-missing') throw error
      this.#missing.push(item)
    }
  }

  async #leaf({ kind, facts }: CopyItem, path: string): Promise<void> {
    if (kind === 'symlink') await this.#symlink(facts, path)
    else await this.#file(facts, path)
    this.#files++
    this.#bytes += facts.size
    this.#options.onProgress(this.#files, this.#bytes)
  }

  async #symlink(facts: Facts, path: string): Promise<void> {
    if (facts.size > MAX_TARGET_BYTES) throw new KithError('content-mismatch', 'The target of a symlink is too long.')
    const parts: Uint8Array[] = []
    for await (const part of this.#deps.read(facts.content, facts.size, this.#options)) parts.push(part)
    await symlink(Buffer.concat(parts), path)
    const seconds = facts.mtime / 1000
    await lutimes(path, seconds, seconds)
  }

  async #file(facts: Facts, path: string): Promise<void> {
    const { transit } = this.#place
    const part = transit === null ? this.#beside(path) : join(transit, `copy-${token()}`)
    const handle = await open(part, 'wx', 0o600)
    this.#made.push(part)
    try {
      await this.#fill(handle, facts)
      await handle.chmod(facts.mode)
      await handle.utimes(facts.mtime / 1000, facts.mtime / 1000)
      await handle.sync()
    } catch (error) {
      await handle.close()
      await unlink(part)
      throw error
    }
    await handle.close()
    await putThere(part, path, facts)
    await unlink(part)
    this.#made.splice(this.#made.indexOf(part), 1)
  }

  async #fill(handle: FileHandle, { content, size }: Facts): Promise<void> {
    if (size === 0) return
    let written = 0
    for await (const bytes of this.#deps.read(content, size, this.#options)) {
      this.#options.signal.throwIfAborted()
      await handle.writeFile(bytes)
      written += bytes.byteLength
      this.#options.onProgress(this.#files, this.#bytes + written)
    }
  }

  #beside(path: string): string {
    return join(dirname(path), `.${token()}.kith-part`)
  }
}

/** Never replaces. A disk without links gets a copy, which is not all there at once. */
async function putThere(part: string, path: string, facts: Facts): Promise<void> {
  try {
    await link(part, path)
  } catch (error) {
    if (systemCode(error) === 'EEXIST') throw taken(path)
    if (!isLinkRefused(error)) throw error
    await copyFile(part, path, constants.COPYFILE_EXCL)
    await dress(path, facts)
  }
}

async function dress(path: string, facts: Facts): Promise<void> {
  await utimes(path, facts.mtime / 1000, facts.mtime / 1000)
  await chmod(path, facts.mode)
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function token(): string {
  return randomBytes(8).toString('hex')
}

function notThere(path: string): string {
  return `${printable(path)} is not a directory: make it first, or choose another path.`
}

function taken(path: string): KithError {
  return new KithError('path-exists', `There is something at ${printable(path)} already: give a path that is free.`)
}

function explain(error: unknown, to: string): unknown {
  const shown = printable(to)
  switch (systemCode(error)) {
    case 'EEXIST':
    case 'ENOTEMPTY':
      return taken(to)
    case 'ENOSPC':
    case 'EDQUOT':
      return new KithError('no-space', `The disk of ${shown} is full: make room, or choose another path.`, {
        cause: error,
      })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new KithError('permission-denied', `${shown} cannot be written by this user: choose another path.`, {
        cause: error,
      })
    case 'ENAMETOOLONG':
    case 'EINVAL':
      return new KithError('bad-path', `The disk of ${shown} cannot hold these names: choose another path.`, {
        cause: error,
      })
    default:
      return error
  }
}
