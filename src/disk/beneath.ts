// Walking below the folder's root without ever following a symlink, so that nothing is read or written outside of it even while someone
// swaps directories for links. On Linux each step goes through the handle of the directory before; elsewhere each part is looked at,
// opened and compared. Synchronous: for workers. A caller closes what it opens.
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
} from 'node:fs'
import { join } from 'node:path'

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants
/** Linux: names a place without reading it, so that a directory without read permission can be walked through. */
const O_PATH = 0o10000000
const LINUX = process.platform === 'linux'

/** Which directory the root must be; null where that is not known yet. */
export interface RootIdentity {
  readonly dev: bigint
  readonly ino: bigint
}

/** The root is not there, is no directory, or is another one than expected: nothing that is seen may be taken for a change. */
class RootGoneError extends Error {
  readonly code = 'ROOT_GONE'
}

/** An open directory. `base` + '/' + name is a path to what is in it that does not depend on where the directory is named. */
export interface Directory {
  readonly fd: number
  readonly base: string
}

export function identityOf(root: string): RootIdentity {
  const { dev, ino } = lstatSync(root, { bigint: true })
  return { dev, ino }
}

export function openRoot(root: string, identity: RootIdentity | null): Directory {
  let fd: number
  try {
    fd = openSync(root, LINUX ? O_PATH | O_DIRECTORY : O_RDONLY | (O_DIRECTORY ?? 0))
  } catch (error) {
    throw new RootGoneError('The root of the folder cannot be opened.', { cause: error })
  }
  const stats = fstatSync(fd, { bigint: true })
  if (identity !== null && (stats.dev !== identity.dev || stats.ino !== identity.ino)) {
    closeSync(fd)
    throw new RootGoneError('Another directory stands where the root of the folder was.')
  }
  return LINUX ? { fd, base: `/proc/self/fd/${fd}` } : { fd, base: root }
}

/** The directory `name` in `parent`. Throws ENOTDIR for a symlink. */
export function openBelow(parent: Directory, name: string): Directory {
  if (name === '' || name === '.' || name === '..') throw notADirectory()
  const path = `${parent.base}/${name}`
  if (LINUX) {
    const fd = openSync(path, O_PATH | O_DIRECTORY | O_NOFOLLOW)
    return { fd, base: `/proc/self/fd/${fd}` }
  }
  const before = lstatSync(path, { bigint: true })
  if (!before.isDirectory()) throw notADirectory()
  const fd = openSync(path, O_RDONLY | (O_NOFOLLOW ?? 0))
  const after = fstatSync(fd, { bigint: true })
  if (after.dev !== before.dev || after.ino !== before.ino) {
    closeSync(fd)
    throw notADirectory()
  }
  return { fd, base: join(parent.base, name) }
}

function notADirectory(): Error {
  return Object.assign(new Error('not a directory below the root'), { code: 'ENOTDIR' })
}

/** Opens one directory after the other, sharing the handles of what their paths have in common. For one run of calls, not to be kept. */
export class Walk {
  readonly #root: string
  readonly #identity: RootIdentity | null
  readonly #chain: { path: string; directory: Directory }[] = []

  constructor(root: string, identity: RootIdentity | null) {
    this.#root = root
    this.#identity = identity
  }

  /** Valid until the next call. */
  open(path: string): Directory {
    let last = this.#backTo(path)
    while (last.path !== path) {
      const start = last.path === '' ? 0 : last.path.length + 1
      const slash = path.indexOf('/', start)
      const end = slash < 0 ? path.length : slash
      last = { path: path.slice(0, end), directory: openBelow(last.directory, path.slice(start, end)) }
      this.#chain.push(last)
    }
    return last.directory
  }

  close(): void {
    for (const { directory } of this.#chain) closeSync(directory.fd)
    this.#chain.length = 0
  }

  /** Closes what is not at or above `path`. */
  #backTo(path: string): { path: string; directory: Directory } {
    for (let last = this.#chain.at(-1); last !== undefined; last = this.#chain.at(-1)) {
      if (last.path === path || last.path === '' || path.startsWith(`${last.path}/`)) return last
      closeSync(last.directory.fd)
      this.#chain.pop()
    }
    const first = { path: '', directory: openRoot(this.#root, this.#identity) }
    this.#chain.push(first)
    return first
  }
}

/** Opens the directory at `path` ('' for the root), runs `use` in it, closes it. */
export function within<T>(
  root: string,
  identity: RootIdentity | null,
  path: string,
  use: (directory: Directory) => T,
): T {
  let directory = openRoot(root, identity)
  try {
    if (path !== '') {
      for (const part of path.split('/')) {
        const next = openBelow(directory, part)
        closeSync(directory.fd)
        directory = next
      }
    }
    return use(directory)
  } finally {
    closeSync(directory.fd)
  }
}

export function splitPath(path: string): { directory: string; name: string } {
  const at = path.lastIndexOf('/')
  return at < 0 ? { directory: '', name: path } : { directory: path.slice(0, at), name: path.slice(at + 1) }
}

/** For reading; never follows, never waits (a FIFO), and is surely a regular file. The caller closes it. */
export function openRegular(directory: Directory, name: string): { fd: number; stats: BigIntStats } {
  const fd = openSync(`${directory.base}/${name}`, O_RDONLY | (O_NOFOLLOW ?? 0) | (O_NONBLOCK ?? 0))
  const stats = fstatSync(fd, { bigint: true })
  if (stats.isFile()) return { fd, stats }
  closeSync(fd)
  throw Object.assign(new Error('not a regular file'), { code: 'EINVAL' })
}

/** A handle that reads the directory or syncs it. */
export function openForSync(directory: Directory): number {
  return openSync(LINUX ? `${directory.base}/.` : directory.base, O_RDONLY)
}

export function readLink(directory: Directory, name: string): Buffer {
  return readlinkSync(`${directory.base}/${name}`, { encoding: 'buffer' })
}

/** Reads up to `length` bytes at `position`; fewer only at the end. */
export function readFully(fd: number, into: Uint8Array, position: number | null, length = into.length): number {
  let done = 0
  while (done < length) {
    const count = readSync(fd, into, done, length - done, position === null ? null : position + done)
    if (count === 0) break
    done += count
  }
  return done
}

/** The whole of a small file of our own. */
export function readOwn(path: string): Buffer {
  const fd = openSync(path, O_RDONLY | (O_NOFOLLOW ?? 0))
  try {
    return readFileSync(fd)
  } finally {
    closeSync(fd)
  }
}
