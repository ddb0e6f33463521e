// Is this home the one that was written here, or a copy of it from somewhere else (a backup put back, a disk that was cloned)? A copy may know
// less than the other devices have seen of it. Told by the inodes and birth times of the home and of a file that is written once: no
// device number, which some file systems choose anew at every mount.
import { readFile, stat } from 'node:fs/promises'
import { z } from 'zod'
import { systemCode } from '../core/errors.ts'
import { writeAtomic } from './atomic-file.ts'
import type { Home } from './home.ts'

const placeSchema = z.object({ place: z.string() })

export interface HomePlace {
  /** Another directory than the one that this home was last written in. */
  readonly copied: boolean
  /** From now on this is its place: once every folder has taken note that it was copied. */
  settle(): Promise<void>
}

export async function placeOf(home: Pick<Home, 'root' | 'formatFile' | 'placeFile'>): Promise<HomePlace> {
  const known = await readPlace(home.placeFile)
  const place = `${await identityOf(home.root)} ${await identityOf(home.formatFile)}`
  return {
    copied: known !== null && known !== place,
    settle: async () => {
      if (known !== place) await writeAtomic(home.placeFile, `${JSON.stringify({ place })}\n`)
    },
  }
}

async function identityOf(path: string): Promise<string> {
  const { ino, birthtimeNs } = await stat(path, { bigint: true })
  return `${ino}:${birthtimeNs}`
}

/** Null where none was written yet, or what was written cannot be read: then nothing is known. */
async function readPlace(path: string): Promise<string | null> {
  try {
    return placeSchema.parse(JSON.parse(await readFile(path, 'utf8'))).place
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === undefined) return null
    throw error
  }
}
