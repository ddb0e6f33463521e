// `.kith/damaged`: what was kept and is not what its name says. It is put there and not removed, for it may be all that there is of it; where a
// sound one took its place it goes with that one, when nobody has a use for either.
import { readdirSync, renameSync } from 'node:fs'
import type { AreaHandle } from './area-handle.ts'
import { removeIfThere, syncDirectory } from './own-files.ts'

/** Between the name that it had and when it was put there. */
const WHEN = '-'

/** Not synced yet. */
export function putAside(area: AreaHandle, path: string, name: string): void {
  renameSync(path, `${area.damaged.base}/${name}${WHEN}${Date.now().toString(36)}`)
}

/** All that was put there under these names. */
export function removeDamaged(area: AreaHandle, names: ReadonlySet<string>): void {
  const left = readdirSync(area.damaged.base).filter(name => names.has(name.split(WHEN)[0] ?? name))
  for (const name of left) removeIfThere(`${area.damaged.base}/${name}`)
  if (left.length > 0) syncDirectory(area.damaged)
}
