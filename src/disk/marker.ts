// The marker `.kith/folder.json`: which folder this root is, for which device, and which directory it was then. By it a root that was
// replaced, unmounted, copied or that belongs to another device is told from the one that was added.
import { constants } from 'node:fs'
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { isKithError, KithError, systemCode } from '../core/errors.ts'
import type { DeviceId, FolderId } from '../core/ids.ts'
import { AREA, AREA_MODE, areaPath, MARKER_FILE, PRIVATE_MODE } from './area.ts'

const schema = z.object({
  version: z.literal(1),
  folder: z.string().regex(/^[0-9a-f]{32}$/),
  device: z.string().min(1),
  path: z.string(),
  dev: z.string(),
  ino: z.string(),
})

export interface Marker {
  readonly folder: FolderId
  readonly device: DeviceId
  /** Where the root was, and which directory. */
  readonly path: string
  readonly dev: string
  readonly ino: string
}

/** Null where there is none, or none that can be read as one. */
export async function readMarker(root: string): Promise<Marker | null> {
  let text: string
  try {
    text = await readFile(areaPath(root, MARKER_FILE), {
      encoding: 'utf8',
      flag: constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0),
    })
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return null
    throw error
  }
  try {
    const { folder, device, path, dev, ino } = schema.parse(JSON.parse(text))
    return { folder: folder as FolderId, device: device as DeviceId, path, dev, ino }
  } catch {
    return null
  }
}

/** Durable when it resolves. */
export async function createMarker(root: string, owner: { folder: FolderId; device: DeviceId }): Promise<void> {
  const { dev, ino } = await lstat(root, { bigint: true })
  await mkdir(areaPath(root), { mode: AREA_MODE, recursive: true })
  await chmod(areaPath(root), AREA_MODE)
  await writeFile(areaPath(root, '.gitignore'), '*\n', { mode: PRIVATE_MODE })
  const temporary = areaPath(root, `${MARKER_FILE}.new`)
  await rm(temporary, { force: true })
  const file = await open(temporary, 'wx', PRIVATE_MODE)
  try {
    const marker = { version: 1, folder: owner.folder, device: owner.device, path: root, dev: `${dev}`, ino: `${ino}` }
    await file.writeFile(`${JSON.stringify(marker, null, 2)}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, areaPath(root, MARKER_FILE))
  const directory = await open(areaPath(root), 'r')
  try {
    await directory.sync()
  } catch (error) {
    if (systemCode(error) !== 'EINVAL' && systemCode(error) !== 'ENOTSUP') throw error
  } finally {
    await directory.close()
  }
}

export interface RootProbe {
  /** Without symlinks. */
  readonly path: string
  readonly marker: Marker | null
  /** The marker is that of this very directory for another device: taking it over needs a person's yes. */
  readonly foreign: boolean
  readonly empty: boolean
  readonly foldsCase: boolean
  readonly keepsModes: boolean
}

/** Looks at a directory that is to become a folder. Throws KithError `path-not-directory`, `path-unreadable`. */
export async function probeRoot(path: string, device: DeviceId): Promise<RootProbe> {
  let real: string
  try {
    real = await realpath(path)
    if (!(await stat(real)).isDirectory()) throw notDirectory(path)
  } catch (error) {
    if (isKithError(error)) throw error
    const code = systemCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') throw notDirectory(path, error)
    if (code === undefined) throw error
    throw new KithError('path-unreadable', `${path} cannot be looked at: check its permissions.`, { cause: error })
  }
  try {
    const names = await readdir(real)
    const marker = await readMarker(real)
    const [foldsCase, keepsModes] = await probeDisk(real)
    const empty = names.every(name => name === AREA)
    return { path: real, marker, foreign: await isForeign(real, marker, device), empty, foldsCase, keepsModes }
  } catch (error) {
    throw new KithError('path-unreadable', `Kith cannot read and write ${path}: ${remedyOf(error)}.`, { cause: error })
  }
}

function remedyOf(error: unknown): string {
  const code = systemCode(error)
  if (code === 'EROFS') return 'its disk is read-only'
  // The disk of some drivers, as that of fusefat.
  if (code === 'ENOSYS' || code === 'ENOTSUP') return 'its disk knows no permissions, choose another one'
  return 'check its permissions'
}

function notDirectory(path: string, cause?: unknown): KithError {
  return new KithError('path-not-directory', `${path} is not a directory: make it first.`, { cause })
}

/** A marker that `cp -a` brought along (this is another directory, and the original still lives) is nobody's. */
export async function isForeign(root: string, marker: Marker | null, device: DeviceId): Promise<boolean> {
  if (marker === null || marker.device === device) return false
  const { ino } = await lstat(root, { bigint: true })
  if (marker.ino === `${ino}` || marker.path === root) return true
  try {
    return `${(await lstat(marker.path, { bigint: true })).ino}` !== marker.ino
  } catch {
    // The original is not on this machine (any more): this may be it, on a disk that travels.
    return true
  }
}

async function probeDisk(root: string): Promise<[boolean, boolean]> {
  const directory = await mkdtemp(join(root, '.kith-probe-'))
  try {
    const file = join(directory, 'probe')
    await writeFile(file, '')
    const folds = await stat(join(directory, 'PROBE')).then(
      () => true,
      () => false,
    )
    await chmod(file, 0o640)
    const first = (await stat(file)).mode & 0o777
    await chmod(file, 0o751)
    return [folds, first === 0o640 && ((await stat(file)).mode & 0o777) === 0o751]
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
