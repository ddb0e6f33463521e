// Homes for tests of the database: directories that go with the test.
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ErrorCode } from '../../src/core/errors.ts'
import { isKithError } from '../../src/core/errors.ts'

const made: string[] = []

/** Where a database may be made. */
export async function newHome(): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'kith-store-'))
  made.push(home)
  return join(home, 'database')
}

/** A database as it lies on the disk, elsewhere. */
export async function copyOf(directory: string): Promise<string> {
  const copy = await newHome()
  await cp(directory, copy, { recursive: true })
  await cp(`${directory}.json`, `${copy}.json`)
  return copy
}

export async function removeHomes(): Promise<void> {
  for (const home of made.splice(0)) await rm(home, { recursive: true, force: true })
}

/** Every file with its bytes. */
export async function bytesIn(directory: string): Promise<Record<string, string>> {
  const out: Record<string, string> = {}
  for (const name of (await readdir(directory)).sort()) {
    out[name] = (await readFile(join(directory, name))).toString('base64')
  }
  return out
}

/** The code of the KithError that it must reject with. */
export async function codeOf(promise: Promise<unknown>): Promise<ErrorCode> {
  try {
    await promise
  } catch (error) {
    if (isKithError(error)) return error.code
    throw error
  }
  throw new Error('it should have failed')
}
