// `.kith/parked`: things of the user that a running plan has taken from their places. Never swept. Beside each lies a note of where it
// came from, written before it left, so that a crash cannot lose it.
import { closeSync, fsyncSync, lstatSync, openSync, readdirSync, unlinkSync } from 'node:fs'
import { PRIVATE_MODE } from './area.ts'
import type { AreaHandle } from './area-handle.ts'
import { readOwn } from './beneath.ts'
import { removeIfThere, syncDirectory, writeFully } from './own-files.ts'
import { bringBackTo } from './user-place.ts'

const NOTE_SUFFIX = '.json'

/** A file name for any token. */
export function parkedName(token: string): string {
  return /^[0-9A-Za-z_-]{1,100}$/.test(token) ? token : `x${Buffer.from(token).toString('hex').slice(0, 200)}`
}

/** Durable as a file; the caller syncs the directory. */
export function writeSidecar(path: string, from: string): string {
  const sidecar = path + NOTE_SUFFIX
  removeIfThere(sidecar)
  const fd = openSync(sidecar, 'wx', PRIVATE_MODE)
  try {
    writeFully(fd, Buffer.from(JSON.stringify({ from })), 0)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  return sidecar
}

/** Everything parked goes back to where it came from, or beside it under a free name. Returns the paths. */
export function putBackParked(area: AreaHandle): string[] {
  const { parked } = area
  const names = readdirSync(parked.base)
  const back: string[] = []
  for (const name of names) {
    if (name.endsWith(NOTE_SUFFIX)) continue
    const path = `${parked.base}/${name}`
    back.push(bringBackTo(area, path, cameFrom(path) ?? `recovered ${name}`))
    removeIfThere(path + NOTE_SUFFIX)
  }
  for (const name of names) {
    if (!name.endsWith(NOTE_SUFFIX)) continue
    const path = `${parked.base}/${name}`
    // Its thing never left, or is already back.
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) unlinkSync(path)
  }
  if (names.length > 0) syncDirectory(parked)
  return back
}

function cameFrom(path: string): string | undefined {
  try {
    const note: { from?: unknown } | null = JSON.parse(readOwn(path + NOTE_SUFFIX).toString())
    return typeof note?.from === 'string' ? note.from : undefined
  } catch {
    // A note that a power cut tore; the thing itself is whole.
    return undefined
  }
}
