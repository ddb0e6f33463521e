// Is there room for more? The last of it is never used: the database and the user need some.
import { statfs } from 'node:fs/promises'
import { KithError } from '../core/errors.ts'

const RESERVE_BYTES = 64 * 1024 * 1024

/** Throws KithError `no-space`. */
export async function reserveRoom(path: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(path)
  if (bavail * bsize - RESERVE_BYTES >= bytes) return
  throw new KithError('no-space', 'The disk of this folder is full: free some space, and Kith goes on by itself.')
}
