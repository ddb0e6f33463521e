// Is there room for more? The last of it is never used: the database and the user need some.
import { statfs } from 'node:fs/promises'
import { KithError } from '../core/errors.ts'

const RESERVE_MIB = 64

/** Throws KithError `no-space`. */
export async function reserveRoom(path: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(path)
  if (bavail * bsize - RESERVE_MIB * 1024 * 1024 >= bytes) return
  const message = `The disk of this folder is full (its last ${RESERVE_MIB} MiB are not for it): free some space, and Kith goes on by itself.`
  throw new KithError('no-space', message)
}
