// One directory can be reached by many paths: symlinks, other spellings, bind mounts. A region names it by file system and path in it,
// so that two roots which share files are seen to do so whatever they are called. Reads only.
import { readFile, stat } from 'node:fs/promises'
import { sep } from 'node:path'

/** A directory as its file system knows it. */
export interface Region {
  readonly device: string
  readonly path: string
}

export interface Mount {
  readonly device: string
  /** The directory of the file system that is mounted … */
  readonly root: string
  /** … and where. */
  readonly point: string
}

/** The mounts of this process, later ones over earlier ones; empty where the system has no such table. */
export async function readMounts(): Promise<readonly Mount[]> {
  if (process.platform !== 'linux') return []
  try {
    return parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'))
  } catch {
    return []
  }
}

export function parseMountInfo(text: string): Mount[] {
  const mounts: Mount[] = []
  for (const line of text.split('\n')) {
    const [, , device, root, point] = line.split(' ')
    if (device === undefined || root === undefined || point === undefined) continue
    mounts.push({ device, root: unescapeOctal(root), point: unescapeOctal(point) })
  }
  return mounts
}

/** Everything that a scan from `root` (a real path) can reach: the root itself, and what of the same file system is mounted below it. */
export async function regionsOf(root: string, mounts: readonly Mount[]): Promise<readonly Region[]> {
  const covering = mounts.filter(mount => isWithin(root, mount.point))
  const longest = Math.max(...covering.map(mount => mount.point.length))
  const top = covering.filter(mount => mount.point.length === longest).at(-1)
  if (top === undefined) return [{ device: String((await stat(root)).dev), path: root }]
  const own = { device: top.device, path: joinParts(top.root, root.slice(top.point.length)) }
  const below = mounts
    .filter(mount => mount.device === top.device && mount.point !== root && isWithin(mount.point, root))
    .map(mount => ({ device: mount.device, path: mount.root }))
  return [own, ...below]
}

export function overlap(a: readonly Region[], b: readonly Region[]): boolean {
  return a.some(one => b.some(other => one.device === other.device && related(one.path, other.path)))
}

/** Is `path` equal to `directory` or below it? Both absolute and plain. */
export function isWithin(path: string, directory: string): boolean {
  if (path === directory) return true
  return path.startsWith(directory.endsWith(sep) ? directory : directory + sep)
}

function related(a: string, b: string): boolean {
  return isWithin(a, b) || isWithin(b, a)
}

function joinParts(a: string, b: string): string {
  const joined = `${a}/${b}`.replace(/\/+/g, '/')
  return joined.length > 1 && joined.endsWith('/') ? joined.slice(0, -1) : joined
}

/** The table writes space, tab, newline and backslash in octal. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}
