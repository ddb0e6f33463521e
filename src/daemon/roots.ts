// Which directories may become a folder. Every rule is looked at before anything is made: two folders must never hold the same files
// (a change would be synced twice, by two histories), and the home must never be synced (it holds the key). Symlinks, other spellings
// and bind mounts are seen through.
import type { Stats } from 'node:fs'
import { access, constants, mkdir, opendir, realpath, rmdir, stat } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { printable } from '../core/display.ts'
import { KithError, systemCode } from '../core/errors.ts'
import { isWithin, type Mount, overlap, type Region, readMounts, regionsOf } from './mounts.ts'

/** A root that another folder, or the home, has. */
export interface TakenRoot {
  readonly path: string
  /** Null for the home. */
  readonly folder: string | null
}

/** What will be the root: `path` has no symlinks; `missing` are the directories to make, the topmost first. */
export interface RootPlan {
  readonly path: string
  readonly missing: readonly string[]
}

/** Throws the KithError that says why not. `create`: what does not exist yet may be made. */
export async function planRoot(
  given: string,
  taken: readonly TakenRoot[],
  options: { readonly create: boolean },
): Promise<RootPlan> {
  if (!isAbsolute(given) || given.includes('\0')) {
    throw new KithError('bad-path', `"${printable(given)}" is no absolute path.`)
  }
  const plan = await resolveMissing(resolve(given))
  const shown = printable(plan.path)
  if (plan.missing.length > 0 && !options.create) {
    throw new KithError('bad-path', `There is nothing at ${shown}: make the directory first, or check the spelling.`)
  }
  if (plan.missing.length === 0) await checkDirectory(plan.path)
  if (plan.path.split('/').some(part => part.normalize('NFC').toLowerCase() === '.kith')) {
    throw new KithError(
      'bad-path',
      `${shown} lies in a ".kith" directory, where Kith keeps its own files: choose another path.`,
    )
  }
  await refuseOverlap(plan, taken)
  return plan
}

/** Makes what was missing. Throws where something else has come to stand there, as a symlink to nowhere may. */
export async function makeRoot(plan: RootPlan): Promise<void> {
  for (const path of plan.missing) {
    try {
      await mkdir(path)
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw unusable(path, error)
    }
  }
  await checkDirectory(plan.path)
  const real = await realpath(plan.path)
  if (real !== plan.path)
    throw new KithError('bad-path', `${printable(plan.path)} is a symlink: give the path it leads to.`)
}

/** Takes away again what `makeRoot` made, as far as it is still empty. */
export async function unmakeRoot(plan: RootPlan): Promise<void> {
  for (const path of [...plan.missing].reverse()) {
    try {
      await rmdir(path)
    } catch {
      // Something is in it by now: it stays.
      return
    }
  }
}

/** The real path of what exists; the parts after it are to be made. */
async function resolveMissing(path: string): Promise<RootPlan> {
  const missing: string[] = []
  for (let at = path; ; at = dirname(at)) {
    try {
      const real = await realpath(at)
      let made = real
      const paths = missing.reverse().map(name => {
        made = join(made, name)
        return made
      })
      if (paths.length > 0 && !(await stat(real)).isDirectory()) throw notDirectory(real)
      return { path: made, missing: paths }
    } catch (error) {
      if (systemCode(error) === 'ENOTDIR') throw notDirectory(dirname(at))
      if (systemCode(error) !== 'ENOENT' || at === dirname(at)) throw unusable(at, error)
      missing.push(basename(at))
    }
  }
}

async function checkDirectory(path: string): Promise<void> {
  let facts: Stats
  try {
    facts = await stat(path)
  } catch (error) {
    throw unusable(path, error)
  }
  if (!facts.isDirectory()) throw notDirectory(path)
  try {
    await (await opendir(path)).close()
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    throw unusable(path, error)
  }
}

async function refuseOverlap(plan: RootPlan, taken: readonly TakenRoot[]): Promise<void> {
  const mounts = await readMounts()
  const mine = await regionsOfPlan(plan, mounts)
  for (const other of taken) {
    // The root of a folder may be gone at the moment: then its path alone can be compared.
    const real = await realpath(other.path).catch(() => null)
    const inside = isWithin(plan.path, real ?? other.path)
    const around = isWithin(real ?? other.path, plan.path)
    const shared = real !== null && overlap(mine, await regionsOf(real, mounts))
    if (inside || around || shared) throw overlapping(plan.path, real ?? other.path, other, { inside, around })
  }
}

async function regionsOfPlan(plan: RootPlan, mounts: readonly Mount[]): Promise<readonly Region[]> {
  const [first] = plan.missing
  if (first === undefined) return regionsOf(plan.path, mounts)
  // It does not exist yet: it will lie in its parent's file system, with nothing mounted below.
  const parent = dirname(first)
  const [own] = await regionsOf(parent, mounts)
  return own === undefined ? [] : [{ device: own.device, path: join(own.path, plan.path.slice(parent.length)) }]
}

function overlapping(
  path: string,
  otherPath: string,
  other: TakenRoot,
  how: { inside: boolean; around: boolean },
): KithError {
  const shown = printable(path)
  const otherShown = printable(otherPath)
  if (other.folder === null) {
    const where = how.inside ? 'lies in' : how.around ? 'holds' : 'overlaps with'
    return new KithError('path-nested', `${shown} ${where} Kith's own home ${otherShown}: choose another directory.`)
  }
  const name = printable(other.folder)
  if (how.inside && how.around) {
    return new KithError('folder-exists', `${shown} is the folder "${name}" already.`)
  }
  const where = how.inside ? 'lies in' : how.around ? 'holds' : 'shares files with'
  return new KithError(
    'path-nested',
    `${shown} ${where} the folder "${name}" (${otherShown}): folders cannot be nested, choose another directory.`,
  )
}

function notDirectory(path: string): KithError {
  return new KithError('path-not-directory', `${printable(path)} is not a directory: choose a directory.`)
}

function unusable(path: string, error: unknown): KithError {
  if (error instanceof KithError) return error
  const code = systemCode(error)
  if (code === 'ENOTDIR') return notDirectory(path)
  const why =
    code === 'EACCES' || code === 'EPERM'
      ? 'cannot be read and written by this user: mend its permissions'
      : code === 'EROFS'
        ? 'is on a read-only disk: choose another directory'
        : code === 'ELOOP'
          ? 'is a loop of symlinks: choose another directory'
          : `cannot be used (${code ?? String(error)}): choose another directory`
  return new KithError('path-unreadable', `${printable(path)} ${why}.`, { cause: error })
}
