// The one private database of a home: opening, creating, refusing, setting aside. It is made whole in a directory of its own and then
// renamed to its place, so `createIfMissing` never meets an old one. Refuses a newer schema before anything is touched. Never repairs.
import { lstat, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isKithError, KithError, systemCode } from '../core/errors.ts'
import type { FolderId } from '../core/ids.ts'
import { fromHex, hexOf } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import { damaged, unseal } from './codec.ts'
import { type Batch, type Engine, openEngine, type Pair, type Range } from './engine.ts'
import { openError } from './failures.ts'
import { LevelFolderStore, type Registry } from './folder-store.ts'
import { markerPath, readMarker, syncDirectory, writeMarker } from './marker.ts'
import { migrate, SCHEMA, storedSchema } from './migrations.ts'
import { Table } from './tables.ts'

/** Kept free on the disk of the home, so that the database itself is never torn by a full disk. */
const RESERVE_BYTES = 64 * 1024 * 1024
/** What is set aside has this between the name of the database and the time. */
const DAMAGED = '-damaged-'
const MOST_DAMAGED = 3
const BASE_LIMIT_BYTES = 1024 * 1024 * 1024
/** What stands in the table of folders. */
const THERE = Buffer.from([1])
const ERASED = Buffer.from([2])
/** No table has the number 255. */
const EVERYTHING: Range = { gte: Buffer.from([0]), lt: Buffer.from([255]) }

export interface DatabaseOptions {
  readonly log?: Log
  readonly reserveBytes?: number
  /** The most that the bases of one folder take, compressed. */
  readonly baseLimitBytes?: number
}

/**
 * Opens the database in `directory`, or makes it where neither it nor its marker is there. Throws KithError `home-newer` (untouched),
 * `database-corrupt` (set it aside and open again), `daemon-running`, `permission-denied`, `no-space`, `store-failed`.
 */
export async function openDatabase(directory: string, options: DatabaseOptions = {}): Promise<Database> {
  const { log, reserveBytes = RESERVE_BYTES, baseLimitBytes = BASE_LIMIT_BYTES } = options
  try {
    const marked = await readMarker(directory)
    if (marked !== null && marked > SCHEMA) throw newer(directory)
    const there = await exists(directory)
    if (marked !== null && !there) throw damaged('on opening', `${directory} is gone`)
    if (there) await checkLog(directory)
    else await create(directory, reserveBytes)
    const engine = await openEngine(directory, false, { log, reserveBytes })
    try {
      const stored = await storedSchema(engine)
      if (stored === null) throw damaged('home schema', 'it is missing')
      if (stored > SCHEMA) throw newer(directory)
      if (marked === null || marked < SCHEMA) await writeMarker(directory, SCHEMA)
      if (stored < SCHEMA) await migrate(engine, stored)
      const database = new Database(engine, { baseLimitBytes })
      await database.load()
      return database
    } catch (error) {
      await engine.close()
      throw error
    }
  } catch (error) {
    throw openError(error, directory)
  }
}

/**
 * Moves a damaged database (closed, or never opened) and its marker out of the way, so that the next `openDatabase` makes a new one.
 * Returns where it is now; null where nothing was there. May be called again after a crash.
 */
export async function setAside(directory: string): Promise<string | null> {
  const time = new Date().toISOString().replaceAll(':', '-')
  let target = `${directory}${DAMAGED}${time}`
  for (let count = 2; (await exists(target)) || (await exists(markerPath(target))); count++) {
    target = `${directory}${DAMAGED}${time}-${count}`
  }
  // The marker last: without it, what stands in the directory would be taken for whole.
  const moved = await renameIfThere(directory, target)
  await syncDirectory(dirname(directory))
  const marker = await renameIfThere(markerPath(directory), markerPath(target))
  await syncDirectory(dirname(directory))
  await dropOldest(directory)
  return moved || marker ? target : null
}

/** Takes back what `setAside` did, in the place of a new one that could not be made. */
export async function putBack(aside: string, directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true })
  await rm(markerPath(directory), { force: true })
  await renameIfThere(markerPath(aside), markerPath(directory))
  await renameIfThere(aside, directory)
  await syncDirectory(dirname(directory))
}

/** Each is as large as the database; a disk that fails would fill with them. */
async function dropOldest(directory: string): Promise<void> {
  const parent = dirname(directory)
  const ours = (await readdir(parent)).filter(name => name.startsWith(`${basename(directory)}${DAMAGED}`))
  const markers = new Set(ours.map(name => basename(markerPath(join(parent, name)))))
  // Their names begin with the time.
  for (const name of ours
    .filter(each => !markers.has(each))
    .sort()
    .slice(0, -MOST_DAMAGED)) {
    await rm(join(parent, name), { recursive: true, force: true })
    await rm(markerPath(join(parent, name)), { force: true })
  }
}

export class Database {
  readonly #engine: Engine
  readonly #baseLimitBytes: number
  readonly #home: Table
  readonly #folders: Table
  readonly #there = new Set<FolderId>()
  readonly #stores = new Map<FolderId, LevelFolderStore>()
  readonly #registry: Registry

  constructor(engine: Engine, options: { baseLimitBytes: number }) {
    this.#engine = engine
    this.#baseLimitBytes = options.baseLimitBytes
    this.#home = new Table(engine, 'home')
    this.#folders = new Table(engine, 'folders')
    const put = (batch: Batch, folder: FolderId, state: Buffer): Pair => this.#folders.put(batch, bytes(folder), state)
    this.#registry = {
      add: (batch, folder) => put(batch, folder, THERE),
      retire: (batch, folder) => put(batch, folder, ERASED),
      remove: (batch, folder) => {
        this.#folders.del(batch, bytes(folder))
        return [this.#folders.key(bytes(folder)), null]
      },
      has: folder => this.#there.has(folder),
      changed: (folder, there) => {
        if (there) this.#there.add(folder)
        else this.#there.delete(folder)
      },
    }
  }

  /** Folders that were committed and not erased. */
  folders(): FolderId[] {
    return [...this.#there].sort()
  }

  /** The store of a folder, known or new; the same one each time. */
  folder(id: FolderId): LevelFolderStore {
    let store = this.#stores.get(id)
    if (store === undefined) {
      const deps = { engine: this.#engine, registry: this.#registry, folder: id }
      store = new LevelFolderStore(deps, { baseLimitBytes: this.#baseLimitBytes })
      this.#stores.set(id, store)
    }
    return store
  }

  /** Small things that the daemon remembers. What `set` stored is on the platter when it resolves. */
  readonly state = {
    get: async (key: string): Promise<string | null> =>
      (await this.#home.find(stateKey(key)))?.payload.toString() ?? null,
    set: async (key: string, value: string): Promise<void> => {
      await this.#engine.exclusive(() =>
        this.#engine.commit(batch => this.#home.put(batch, stateKey(key), Buffer.from(value))),
      )
    },
  }

  /** Reads which folders there are, checks the sums of each, and ends what a crash cut off. */
  async load(): Promise<void> {
    const erased: FolderId[] = []
    for await (const entries of this.#folders.entries()) {
      for (const { key, payload } of entries) {
        const folder = hexOf(key.toString('latin1')) as FolderId
        if (payload.equals(THERE)) this.#there.add(folder)
        else if (payload.equals(ERASED)) erased.push(folder)
        else throw damaged(`folders ${folder}`, 'its state is unknown')
      }
    }
    for (const folder of this.#there) await this.#engine.exclusive(() => this.folder(folder).load())
    for (const folder of erased) await this.#finishErasing(folder)
  }

  /** A full disk is no reason not to open: the store ends it before its next commit. */
  async #finishErasing(folder: FolderId): Promise<void> {
    try {
      await this.#engine.exclusive(() => this.folder(folder).finishErasing())
    } catch (error) {
      if (!isKithError(error) || error.code !== 'no-space') throw error
    }
  }

  /** Reads all and compacts it. Throws KithError where a value is damaged, or ends the process: see `check.ts`. */
  async check(): Promise<void> {
    for await (const pairs of this.#engine.range(EVERYTHING)) {
      for (const [key, value] of pairs) unseal(key, value, () => key.toString('hex'))
    }
    await this.#engine.compact(EVERYTHING)
  }

  close(): Promise<void> {
    return this.#engine.close()
  }
}

/** LevelDB always has a log, and where it was deleted begins a new one without a word. */
async function checkLog(directory: string): Promise<void> {
  const names = await readdir(directory)
  if (!names.some(name => name.endsWith('.log'))) throw damaged('on opening', 'its log is gone')
}

async function create(directory: string, reserveBytes: number): Promise<void> {
  const making = `${directory}.new`
  await rm(making, { recursive: true, force: true })
  await mkdir(making, { mode: 0o700 })
  const engine = await openEngine(making, true, { reserveBytes })
  try {
    await migrate(engine, 0)
  } finally {
    await engine.close()
  }
  await rename(making, directory)
  await syncDirectory(dirname(directory))
}

function newer(directory: string): KithError {
  const message = `The database ${basename(directory)} was written by a newer Kith. Install that version again; nothing was touched.`
  return new KithError('home-newer', message)
}

export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

async function renameIfThere(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

function bytes(folder: FolderId): Buffer {
  const id = fromHex(folder)
  if (id?.length !== 16) throw new RangeError(`no folder id: ${folder}`)
  return Buffer.from(id, 'latin1')
}

/** UTF-8 as latin1: keys are bytes. */
function stateKey(key: string): string {
  return Buffer.from(`state/${key}`).toString('latin1')
}
