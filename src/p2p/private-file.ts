// Small files of the home that only this user may read: made 0600 from the first byte, replaced as a whole and durably.
// It must not create directories, and knows nothing of what the files hold.
import { constants } from 'node:fs'
import { open, readFile, rename, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { KithError, systemCode } from '../core/errors.ts'

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants
const OTHERS = 0o077

/** The bytes, or null where there is no such file. Throws `home-unsafe` where others may read or write it. */
export async function readPrivate(path: string): Promise<Uint8Array | null> {
  try {
    if (process.platform !== 'win32') {
      const { mode } = await stat(path)
      if ((mode & OTHERS) !== 0) {
        const seen = (mode & 0o777).toString(8)
        throw new KithError('home-unsafe', `Other users may read ${path} (mode ${seen}). Run: chmod 600 '${path}'`)
      }
    }
    return await readFile(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null
    throw error
  }
}

/** Writes a file that must not exist yet (EEXIST otherwise), to the platter. */
async function createPrivate(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, O_WRONLY | O_CREAT | O_EXCL | (O_NOFOLLOW ?? 0), 0o600)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
  await syncDirectory(dirname(path))
}

/** Replaces the file: readers see the old or the new one, and after it resolves a power cut leaves the new one. */
export async function replacePrivate(path: string, bytes: Uint8Array): Promise<void> {
  const next = `${path}.new`
  await unlink(next).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT') throw error
  })
  await createPrivate(next, bytes)
  await rename(next, path)
  await syncDirectory(dirname(path))
}

async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
