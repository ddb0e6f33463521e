// The home of one device: everything private lies in it. Made 0700 whatever the umask; refused where others could read it, where it
// belongs to someone else, where it was made by a newer Kith, or where it is a directory of something else. A refusal changes nothing.
import type { Stats } from 'node:fs'
import { chmod, lstat, mkdir, readdir, readFile, realpath, rm, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { z } from 'zod'
import { printable } from '../core/display.ts'
import { KithError, systemCode } from '../core/errors.ts'
import { createAtomic } from './atomic-file.ts'

const HOME_FORMAT = 1
const FORMAT_FILE = 'home.json'
const CONFIG_FILE = 'config.toml'
/** What may lie in a directory that becomes a home: settings written ahead, and what file managers drop. */
const HARMLESS = new Set([CONFIG_FILE, '.DS_Store', 'desktop.ini'])
/** As atomic-file.ts names what is to replace a file. */
const TEMPORARY = /\.[0-9a-f]{12}\.tmp$/
/** Longer than a starter needs for its lock. */
const STARTING_MS = 60_000

const formatSchema = z.object({ format: z.int().min(1) })

export interface Home {
  /** Without symlinks. */
  readonly root: string
  readonly configFile: string
  /** Written once, when the home is made. */
  readonly formatFile: string
  /** Where the home was when it was last written. */
  readonly placeFile: string
  readonly lockFile: string
  readonly foldersFile: string
  readonly database: string
  /** How often the database was opened and not closed. */
  readonly openingsFile: string
  readonly logFile: string
  readonly socket: string
  /** Says where the socket is when it is not at `socket`. */
  readonly socketPointer: string
}

export async function openHome(path: string): Promise<Home> {
  const given = resolve(path)
  const existing = await statOrNull(given)
  if (existing === null) await mkdir(given, { recursive: true, mode: 0o700 })
  const root = await realpath(given)
  const facts = existing ?? (await stat(root))
  if (!facts.isDirectory()) throw unsafe(`${printable(root)} is not a directory: choose another one with --home.`)
  refuseForeign(root, facts)
  const names = (await readdir(root)).filter(name => !TEMPORARY.test(name))
  if (names.includes(FORMAT_FILE)) {
    await checkFormat(root)
    refuseOpen(root, facts, 0o077, 700)
    await refuseOpenFiles(root, names)
  } else {
    const other = names.find(name => !HARMLESS.has(name))
    if (other !== undefined) {
      const shown = printable(root)
      throw unsafe(
        `${shown} is not empty and no home of Kith ("${printable(other)}" is in it): choose an empty directory.`,
      )
    }
    await chmod(root, 0o700)
    const made = await createAtomic(join(root, FORMAT_FILE), `${JSON.stringify({ format: HOME_FORMAT })}\n`)
    if (!made) await checkFormat(root)
  }
  return {
    root,
    configFile: join(root, CONFIG_FILE),
    formatFile: join(root, FORMAT_FILE),
    placeFile: join(root, 'place.json'),
    lockFile: join(root, 'daemon.lock'),
    foldersFile: join(root, 'folders.json'),
    database: join(root, 'database'),
    openingsFile: join(root, 'openings.json'),
    logFile: join(root, 'daemon.log'),
    socket: join(root, 'daemon.sock'),
    socketPointer: join(root, 'daemon.sock.path'),
  }
}

/**
 * Removes what a killed daemon was about to put in the place of a file. The lock must be held: nobody else writes here then but another
 * starter, who makes a lock of its own before it learns that there is one.
 */
export async function clearTemporaries(home: Home): Promise<void> {
  const lock = basename(home.lockFile)
  for (const entry of await readdir(home.root, { withFileTypes: true })) {
    const { name } = entry
    // A directory of such a name is somebody else's.
    if (!TEMPORARY.test(name) || entry.isDirectory()) continue
    const path = join(home.root, name)
    if (name.startsWith(lock) && (await isYoung(path))) continue
    await rm(path, { force: true })
  }
}

async function isYoung(path: string): Promise<boolean> {
  const facts = await statOrNull(path)
  return facts !== null && Date.now() - facts.mtimeMs < STARTING_MS
}

async function checkFormat(root: string): Promise<void> {
  const file = join(root, FORMAT_FILE)
  let format: number
  try {
    format = formatSchema.parse(JSON.parse(await readFile(file, 'utf8'))).format
  } catch (error) {
    throw new KithError(
      'home-damaged',
      `${printable(file)} is damaged: restore the home from a backup, or use another with --home.`,
      {
        cause: error,
      },
    )
  }
  if (format > HOME_FORMAT) {
    throw new KithError(
      'home-newer',
      `${printable(root)} was made by a newer version of Kith: update Kith on this device.`,
    )
  }
}

function refuseForeign(root: string, facts: Stats): void {
  const me = process.getuid?.()
  if (me !== undefined && facts.uid !== me) {
    throw unsafe(`${printable(root)} belongs to another user: choose a directory of your own with --home.`)
  }
}

function refuseOpen(path: string, facts: Stats, mask: number, wanted: number): void {
  if (process.getuid === undefined || (facts.mode & mask) === 0) return
  const shown = printable(path)
  throw unsafe(`Other users can get at ${shown}, and keys may have been read: run "chmod ${wanted} '${shown}'".`)
}

async function refuseOpenFiles(root: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    // A person edits the settings, with whatever umask; they hold no secret.
    if (name === CONFIG_FILE) continue
    const path = join(root, name)
    let facts: Stats
    try {
      facts = await lstat(path)
    } catch (error) {
      // A daemon that is ending takes its socket and lock away meanwhile.
      if (systemCode(error) === 'ENOENT') continue
      throw error
    }
    if (facts.isFile()) refuseOpen(path, facts, 0o077, 600)
    else if (facts.isDirectory()) refuseOpen(path, facts, 0o077, 700)
  }
}

async function statOrNull(path: string): Promise<Stats | null> {
  try {
    return await stat(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null
    if (systemCode(error) === 'ENOTDIR')
      throw unsafe(`${printable(path)} lies below a file: choose another directory with --home.`)
    throw unsafe(`${printable(path)} cannot be used as home (${systemCode(error) ?? String(error)}).`)
  }
}

function unsafe(message: string): KithError {
  return new KithError('home-unsafe', message)
}
