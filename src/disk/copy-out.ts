// Writes what was to a place that a person chose (`restore --to`). It promises that nothing which stands there is ever overwritten, and that
// the place is empty or complete: all is written beside it and put there in one step. In a synced folder it waits in its `.kith`, so that
// nothing half-written is taken for a part of the folder. Where it fails nothing goes but what was written there, out of everybody's sight.

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
  rmdir,
  symlink,
  unlink,
  utimes,
} from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { printable } from '../core/display.ts'
import type { Facts, Kind } from '../core/entry.ts'
import { isKithError, KithError, systemCode } from '../core/errors.ts'
import type { ContentId } from '../core/ids.ts'
import { isLegalName, isReserved } from '../core/names.ts'
import type { Waiting } from '../core/ports.ts'
import { AREA, TRANSIT } from './area.ts'
import { isLinkRefused } from './keep-old.ts'

/** A symlink's target is no longer than the longest path. */
const MAX_TARGET_BYTES = 4096
/** In transit what is named so belongs to a copy of this process; of another it is left over. */
export const OWN_COPIES = `copy-${randomBytes(8).toString('hex')}-`
const MODE_BITS = 0o777

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
  /** `.kith/transit` of the synced folder that it lies in (a disk mounted there is no part of it); cleared when that folder starts. */
  readonly transit: string | null
}

async function findPlace(dest: string): Promise<Place> {
  if (!isAbsolute(dest) || dest.includes('\0'))
    throw new KithError('bad-path', `"${printable(dest)}" is no absolute path.`)
  const given = resolve(dest)
  let parent: string
  let dev: number
  try {
    parent = await realpath(dirname(given))
    const stats = await lstat(parent)
    dev = stats.dev
    if (!stats.isDirectory()) throw new KithError('path-not-directory', notThere(dirname(given)))
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
    const stats = await lstat(transit).catch(() => null)
    if (stats?.isDirectory() === true) return { to, transit: stats.dev === dev ? transit : null }
    if (at === dirname(at)) return { to, transit: null }
  }
}

class Writer {
  readonly #deps: CopyDeps
  readonly #place: Place
  readonly #options: CopyOptions
  /** What is to be put there, a path that nobody else has to do with. */
  readonly #part: string
  /** Of those made in it: shut ones can only be removed once they are open. */
  readonly #directories: string[] = []
  readonly #missing: CopyItem[] = []
  #files = 0
  #bytes = 0

  constructor(deps: CopyDeps, place: Place, options: CopyOptions) {
    this.#deps = deps
    this.#place = place
    this.#options = options
    this.#part = partOf(place)
  }

  async write(items: readonly CopyItem[]): Promise<Copied> {
    const { to } = this.#place
    const [first] = items
    if (first === undefined) throw new KithError('not-found', 'There is nothing to copy.')
    for (const { path } of items)
      if (path !== '' && !path.split('/').every(isLegalName))
        throw new KithError(
          'bad-path',
          `"${printable(path)}" is no path of a folder: the journal that has it is damaged.`,
        )
    if (first.kind === 'directory' || items.length > 1) await this.#tree(items)
    else await this.#single(first)
    await syncDirectory(dirname(to))
    return { to, files: this.#files, bytes: this.#bytes, missing: this.#missing }
  }

  async undo(): Promise<void> {
    for (const path of this.#directories) await chmod(path, 0o700).catch(() => undefined)
    await rm(this.#part, { recursive: true, force: true }).catch(() => undefined)
  }

  async #single(item: CopyItem): Promise<void> {
    // Made in one step, and never over anything.
    if (item.kind === 'symlink') return this.#leaf(item, this.#place.to)
    await this.#leaf(item, this.#part)
    await putThere(this.#part, this.#place.to, item.facts)
    await unlink(this.#part)
  }

  async #tree(items: readonly CopyItem[]): Promise<void> {
    const top = this.#part
    const pathOf = ({ path }: CopyItem): string => (path === '' ? top : join(top, path))
    await this.#directory(top)
    for (const item of items) {
      this.#options.signal.throwIfAborted()
      const path = pathOf(item)
      if (item.kind !== 'directory') await this.#leafOfTree(item, path)
      else if (path !== top) await this.#directory(path)
    }
    // From below, since a directory's own mode may shut it, and what is put into it sets its time.
    for (const item of [...items].reverse()) {
      if (item.kind !== 'directory') continue
      const path = pathOf(item)
      await syncDirectory(path)
      if (path !== top) await dress(path, item.facts)
    }
    const handle = await open(top, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      await moveTree(top, this.#place.to)
      // Only now: one that is shut cannot be moved into another directory.
      const [first] = items
      if (first?.path !== '') return
      await handle.utimes(first.facts.mtime / 1000, first.facts.mtime / 1000)
      await handle.chmod(first.facts.mode & MODE_BITS)
    } finally {
      await handle.close()
    }
  }

  async #directory(path: string): Promise<void> {
    await mkdir(path, 0o700)
    this.#directories.push(path)
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
    const handle = await open(path, 'wx', 0o600)
    try {
      await this.#fill(handle, facts)
      await handle.chmod(facts.mode & MODE_BITS)
      await handle.utimes(facts.mtime / 1000, facts.mtime / 1000)
      await handle.sync()
    } catch (error) {
      await unlink(path)
      throw error
    } finally {
      await handle.close()
    }
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
}

function partOf({ to, transit }: Place): string {
  const token = randomBytes(8).toString('hex')
  return transit === null ? join(dirname(to), `.${token}.kith-part`) : join(transit, `${OWN_COPIES}${token}`)
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

/** A rename replaces an empty directory without a word: so one is made there first, and no other is replaced. */
async function moveTree(part: string, to: string): Promise<void> {
  await mkdir(to, 0o700)
  const { ino } = await lstat(to)
  try {
    await rename(part, to)
  } catch (error) {
    // Not where something was put into it meanwhile.
    if ((await lstat(to).catch(() => null))?.ino === ino) await rmdir(to).catch(() => undefined)
    throw error
  }
}

async function dress(path: string, facts: Facts): Promise<void> {
  await utimes(path, facts.mtime / 1000, facts.mtime / 1000)
  await chmod(path, facts.mode & MODE_BITS)
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
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
    case 'ENOTDIR':
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
