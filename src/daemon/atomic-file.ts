// Small files of machine state in the home: replaced whole or not at all, on the platter when it resolves, 0600 from their creation.
import { randomBytes } from 'node:crypto'
import { link, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Replaces `path` by `text`. */
export async function writeAtomic(path: string, text: string): Promise<void> {
  const staged = await stage(path, text)
  try {
    await rename(staged, path)
  } catch (error) {
    await rm(staged, { force: true })
    throw error
  }
  await syncDirectory(dirname(path))
}

/** Makes `path` with all of `text`, or says false because something stands there already. */
export async function createAtomic(path: string, text: string): Promise<boolean> {
  const staged = await stage(path, text)
  try {
    await link(staged, path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  } finally {
    await rm(staged, { force: true })
  }
  await syncDirectory(dirname(path))
  return true
}

async function stage(path: string, text: string): Promise<string> {
  const staged = `${path}.${randomBytes(6).toString('hex')}.tmp`
  const file = await open(staged, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.chmod(0o600)
    await file.sync()
  } finally {
    await file.close()
  }
  return staged
}

async function syncDirectory(path: string): Promise<void> {
  // Windows has no handles of directories to sync.
  if (process.platform === 'win32') return
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
