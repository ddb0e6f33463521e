// The database of a home, opened; or set aside and built anew where it is damaged. Also where it cannot even be opened: LevelDB meets some
// damage with an assertion that ends the process, so what the last daemons did not close is checked by a process that may die of it.
import { isKithError, KithError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import { checkDatabase } from '../store/check.ts'
import { type Database, exists, openDatabase, putBack, setAside } from '../store/database.ts'
import type { FolderListFile } from './folder-list.ts'
import type { Home } from './home.ts'
import { Openings } from './openings.ts'

/** A daemon that was killed once is no reason to look at the database; one that ends again and again may end by opening it. */
const SUSPECT_UNCLOSED = 2

export interface Opened {
  readonly database: Database
  /** It knows nothing: all of it comes back from the disk and the other devices. */
  readonly rebuilt: boolean
  close(): Promise<void>
}

/**
 * A damaged database is set aside, not mended and not trusted. An empty one is made in its place, as where it is gone. `rebuild`: the damage
 * was found by the daemon before. `signal` ends the check of a suspect one, with its reason; nothing is opened then.
 */
export async function openOrRebuild(
  deps: { readonly list: FolderListFile; readonly log: Log },
  options: {
    readonly home: Pick<Home, 'database' | 'openingsFile'>
    readonly rebuild?: boolean
    readonly signal?: AbortSignal
  },
): Promise<Opened> {
  const { list } = deps
  const { home, rebuild = false, signal } = options
  const log = deps.log.child({ part: 'store' })
  const openings = new Openings(home.openingsFile)
  const opened = (database: Database, rebuilt: boolean): Opened => ({
    database,
    rebuilt,
    close: async () => {
      await database.close()
      await openings.end()
    },
  })
  const anew = async (err?: KithError): Promise<Opened> => {
    const aside = await setAside(home.database)
    log.error({ err, aside }, 'the database was damaged: it is set aside and built anew')
    try {
      const database = await openDatabase(home.database, { log })
      try {
        // Only now is the damage forgotten.
        await openings.begin({ unclosed: 0, damaged: false })
      } catch (error) {
        await database.close()
        throw error
      }
      return opened(database, true)
    } catch (error) {
      // Without room for a new one the old one stays in use, as far as that goes.
      if (aside !== null) await putBack(aside, home.database)
      throw error
    }
  }
  if ((await openings.known()).damaged && !rebuild) {
    try {
      return await anew(new KithError('database-corrupt', 'The last daemon found it damaged, and did not end well.'))
    } catch (error) {
      log.error({ err: error }, 'the database could not be built anew')
    }
  }
  const damage = await begin({ openings, log, signal }, home.database)
  if (rebuild || damage !== null) return anew(damage ?? undefined)
  const had = (await list.load()).folders.some(({ marked }) => marked)
  try {
    const isNew = !(await exists(home.database))
    const database = await openDatabase(home.database, { log })
    const gone = had && database.folders().length === 0
    if (gone && !isNew) {
      // Its beginning may be all that is hidden: what is written after the rest could not be told from it.
      await database.close()
      return anew(new KithError('database-corrupt', 'The database knows no folder, and this device has some.'))
    }
    if (gone) log.error('the database was gone: it is built anew')
    return opened(database, gone)
  } catch (error) {
    if (!isKithError(error) || error.code !== 'database-corrupt') throw error
    return anew(error)
  }
}

/** Counts this opening, and says what damage the check of a suspect database found. One that is sound begins to be counted anew. */
async function begin(
  { openings, log, signal }: { openings: Openings; log: Log; signal: AbortSignal | undefined },
  directory: string,
): Promise<KithError | null> {
  const known = await openings.known()
  const { unclosed } = known
  if (unclosed < SUSPECT_UNCLOSED) {
    await openings.begin(known)
    return null
  }
  log.warn({ unclosed }, 'the last daemons did not close the database: it is checked before it is opened')
  const result = await checkDatabase(directory, signal === undefined ? {} : { signal })
  if (result.found === 'unknown') log.warn({ why: result.why }, 'the database could not be checked')
  // What is damaged may not be built anew now: the next start is to know.
  await openings.begin(result.found === 'unknown' ? known : { unclosed: 0, damaged: result.found === 'damaged' })
  return result.found === 'damaged' ? result.error : null
}
