// The file beside the database that says: there is one, of this schema. It is read before LevelDB may touch anything: LevelDB, told to
// create what is missing, deletes the tables of a database whose CURRENT is gone; and it rewrites files on every opening.
import { open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { systemCode } from '../core/errors.ts'
import { damaged } from './codec.ts'

const markerSchema = z.looseObject({ kith: z.literal('database'), schema: z.int().positive() })

export function markerPath(directory: string): string {
  return `${directory}.json`
}

/** The schema of the database that is said to be there; null where there is no marker. */
export async function readMarker(directory: string): Promise<number | null> {
  let text: string
  try {
    text = await readFile(markerPath(directory), 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null
    throw error
  }
  try {
    return markerSchema.parse(JSON.parse(text)).schema
  } catch (error) {
    throw damaged('marker', 'it does not decode', error)
  }
}

export async function writeMarker(directory: string, schema: number): Promise<void> {
  const path = markerPath(directory)
  const staged = `${path}.tmp`
  await rm(staged, { force: true })
  const file = await open(staged, 'wx', 0o600)
  try {
    await file.writeFile(`${JSON.stringify({ kith: 'database', schema })}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(staged, path)
  await syncDirectory(dirname(path))
}

export async function syncDirectory(path: string): Promise<void> {
  // Windows has no handles of directories to sync.
  if (process.platform === 'win32') return
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
