// What keeps each invariant, as the edit that takes it out of a copy of the source, and the test that must miss it then. The table in
// docs/safety.md names the same. An invariant that is not here has no such proof yet.
import type { Edit } from '../../sim/mutants/mutant.ts'

export interface Protection {
  /** What is not done any more. */
  readonly without: string
  readonly edits: readonly Edit[]
  readonly test: { readonly file: string; readonly grep: string }
}

/** Proved by the simulation: mutants of these names, each with a saved history that misses the protection. */
export interface Simulated {
  readonly mutants: readonly string[]
}

const FOLLOWED: Edit = {
  file: 'disk/beneath.ts',
  find: 'const fd = openSync(path, O_PATH | O_DIRECTORY | O_NOFOLLOW)',
  replace: 'const fd = openSync(path, O_PATH | O_DIRECTORY)',
}

const UNSYNCED: Edit = {
  file: 'disk/prepared-stages.ts',
  find: 'await fsyncAsync(fd)',
  replace: 'await (fsyncAsync && null)',
}

export const PROTECTIONS: Readonly<Record<string, readonly (Protection | Simulated)[]>> = {
  I1: [
    {
      without: 'the last look before a file is replaced',
      edits: [
        {
          file: 'disk/publish-batch.ts',
          find: 'if (last === undefined || !isSameBytes(last, old.stats) || last.ctimeNs !== old.stats.ctimeNs) {',
          replace: 'if (last === undefined) {',
        },
      ],
      test: { file: 'test/disk/crash.test.ts', grep: 'saves by rename at any moment of a put' },
    },
    { mutants: ['published-unchecked'] },
  ],
  I2: [{ mutants: ['directory-removed-with-what-is-in-it'] }],
  I3: [
    { mutants: ['emptied-root-believed'] },
    {
      without: 'the halt of a folder whose root is not what it was',
      edits: [
        {
          file: 'sync/safety.ts',
          find: 'export function haltOf(root: RootState, name: string): Halt | null {',
          replace: `export function haltOf(root: RootState, name: string): Halt | null {
  if (root.state !== 'unreadable') return null`,
        },
      ],
      test: { file: 'test/fault/roots.test.ts', grep: 'halt, send no deletion' },
    },
  ],
  I4: [
    { mutants: ['unreadable-is-empty'] },
    {
      without: 'the word that a file could not be looked at',
      edits: [
        {
          file: 'disk/scan-read.ts',
          find: '      problems.push(readingProblem(error, at))',
          replace: '      if (error === null) problems.push(readingProblem(error, at))',
        },
      ],
      test: { file: 'test/fault/errors.test.ts', grep: 'delete nothing' },
    },
  ],
  I5: [
    {
      without: 'the brake on what another device deletes at once',
      edits: [
        {
          file: 'sync/cycle.ts',
          find: 'const stops = this.brake.stops(plan)',
          replace: 'const stops = this.brake === null',
        },
      ],
      test: { file: 'test/sync/brake.test.ts', grep: 'holds what another device deleted' },
    },
  ],
  I6: [
    {
      without: 'the seal of what was staged and verified',
      edits: [
        { file: 'disk/prepared-stages.ts', find: 'if (!isSealed(seal, stats)) {', replace: 'if (isSealed === null) {' },
      ],
      test: { file: 'test/disk/publish.test.ts', grep: 'refuses a stage that was damaged' },
    },
  ],
  I7: [
    {
      without: 'the sync of the bytes before they get their name',
      edits: [UNSYNCED],
      test: { file: 'test/disk/publish.test.ts', grep: 'syncs the bytes, then renames' },
    },
  ],
  I8: [
    {
      without: 'the sync of what a person wrote a moment ago, before it is announced',
      edits: [
        {
          file: 'disk/hash-worker.ts',
          find: 'stat.ctimeUs / 1000 < WRITTEN_AFTER_MS',
          replace: 'stat.ctimeUs / 1000 < -WRITTEN_AFTER_MS',
        },
      ],
      test: { file: 'test/fault/power-cuts.test.ts', grep: 'leave what was acknowledged' },
    },
    {
      without: 'the sync of the bytes of what another device wrote, before they get their name',
      edits: [UNSYNCED],
      test: { file: 'test/fault/power-cuts.test.ts', grep: 'leave what was acknowledged' },
    },
  ],
  I9: [
    {
      without: 'the naming of a removed file that a crash caught on its way to the versions',
      edits: [
        {
          file: 'disk/recover-area.ts',
          find: 'else if (stats.isFile()) nameVersion(area, path, stats)',
          replace: 'else if (stats.isFile()) nameVersion && removeTree(path)',
        },
      ],
      test: { file: 'test/disk/crash.test.ts', grep: 'a delete: old or new' },
    },
  ],
  I10: [
    {
      without: 'the end of a file whose sync failed',
      edits: [
        {
          file: 'disk/prepared-stages.ts',
          find: `      removeIfThere(path)
      if (!copied) this.#drop(step.content)
      throw error`,
          replace: '      if (error === null) throw error',
        },
      ],
      test: { file: 'test/fault/errors.test.ts', grep: 'a sync that fails' },
    },
  ],
  I11: [{ mutants: ['old-version-not-kept'] }],
  I12: [
    {
      without: 'the refusal to follow a symlink on the way to a file that is written',
      edits: [FOLLOWED],
      test: { file: 'test/disk/publish.test.ts', grep: 'never writes outside' },
    },
  ],
  I13: [
    {
      without: 'the refusal to follow a symlink on the way to a file that is read',
      edits: [FOLLOWED],
      test: { file: 'test/disk/publish.test.ts', grep: 'never reads outside' },
    },
  ],
  I14: [
    {
      without: 'the look at a file after it was read',
      edits: [
        {
          file: 'disk/hash-worker.ts',
          find: 'return result !== null && isStill ? result : busy(request)',
          replace: 'return result !== null && (isStill || result !== null) ? result : busy(request)',
        },
      ],
      test: { file: 'test/disk/publish.test.ts', grep: 'never takes half of one content' },
    },
  ],
  I15: [{ mutants: ['join-forgets-the-unseen', 'join-keeps-the-newer', 'adopted-unseen'] }],
  I16: [{ mutants: ['remove-supersedes-what-shows', 'edit-supersedes-what-shows'] }],
  I17: [
    {
      without: 'the questions of a device whose database was lost',
      edits: [
        {
          file: 'sync/replica.ts',
          find: 'const rejoining = meta.rejoining || ((options.rejoin || ahead !== null) && !alone)',
          replace: 'const rejoining = meta.rejoining && alone && !options.rejoin',
        },
      ],
      test: { file: 'test/sync/rejoin.test.ts', grep: 'rejoin after' },
    },
  ],
  I18: [{ mutants: ['cycles-broken-by-arrival', 'dead-directories-dropped', 'directories-known-by-name'] }],
  I19: [
    {
      without: 'the check of a database that the last daemons did not close',
      edits: [
        {
          file: 'daemon/open-database.ts',
          find: 'if (unclosed < SUSPECT_UNCLOSED) {',
          replace: 'if (unclosed < SUSPECT_UNCLOSED * 100) {',
        },
      ],
      test: { file: 'test/daemon/open-database.test.ts', grep: 'built anew at the third start' },
    },
    {
      without: 'the start that builds anew what is found to be damaged later',
      edits: [
        {
          file: 'daemon/daemon.ts',
          find: "event.code === 'database-corrupt') options.onDatabaseDamaged()",
          replace: "event.code === 'internal') options.onDatabaseDamaged()",
        },
      ],
      test: { file: 'test/fault/database.test.ts', grep: 'built anew by the same daemon' },
    },
    {
      without: 'the sums by which a lost commit shows',
      edits: [
        {
          file: 'store/folder-store.ts',
          find: 'if (this.#log.sum() !== seal.headSum) throw',
          replace: 'if (this.#log.sum() === null) throw',
        },
      ],
      test: { file: 'test/store/damage.test.ts', grep: 'middle of the log \\(documents\\)' },
    },
  ],
  I20: [{ mutants: ['one-actor-for-ever'] }],
  I21: [
    {
      without: 'the room that is never used up',
      edits: [
        {
          file: 'disk/room.ts',
          find: 'if (bavail * bsize - RESERVE_MIB * 1024 * 1024 >= bytes) return',
          replace: 'if (bavail * bsize + RESERVE_MIB * 1024 * 1024 >= bytes) return',
        },
      ],
      test: { file: 'test/disk/stage.test.ts', grep: 'says no-space before it starts' },
    },
  ],
  I22: [{ mutants: ['placement-by-arrival', 'old-times-believed'] }],
  I23: [{ mutants: ['young-files-trusted', 'change-time-ignored', 'no-last-look-at-young-files'] }],
  I24: [
    {
      without: 'the word that a directory is not watched',
      edits: [{ file: 'disk/watcher.ts', find: 'if (isFirst) {', replace: "if (isFirst && code === '') {" }],
      test: { file: 'test/disk/watcher.test.ts', grep: 'polls what the system does not let it watch' },
    },
    {
      without: 'the doubt about everything where the queue of events was full',
      edits: [
        {
          file: 'disk/event-flood.ts',
          find: 'const isFlood = this.#inThisTurn >= this.#atLeast',
          replace: 'const isFlood = this.#inThisTurn < 0',
        },
      ],
      test: { file: 'test/disk/event-flood.test.ts', grep: 'when the queue of the system was full' },
    },
    {
      without: 'the second look at what was read before it was watched',
      edits: [
        {
          file: 'disk/watcher.ts',
          find: 'if (wasRead) this.#mark(path)',
          replace: "if (wasRead && path === '') this.#mark(path)",
        },
      ],
      test: { file: 'test/disk/watcher.test.ts', grep: 'hints at what was read before it was watched' },
    },
  ],
  I25: [
    { mutants: ['case-not-folded', 'names-not-composed'] },
    {
      without: 'that a disk which knows nothing of that name refuses it',
      edits: [{ file: 'disk/user-place.ts', find: "{ code: 'EILSEQ' }", replace: "{ code: 'ENOENT' }" }],
      test: { file: 'test/fault/names.test.ts', grep: 'exfat: nothing is lost' },
    },
  ],
  I26: [
    {
      without: 'the comparison of what is read with what was recorded',
      edits: [
        { file: 'sync/mender.ts', find: 'if (found === row.content) damage', replace: 'if (found !== null) damage' },
      ],
      test: { file: 'test/sync/verify.test.ts', grep: 'mends a rotten file from another device' },
    },
  ],
  I27: [
    {
      without: 'the hour between finding that a version may go and dropping it',
      edits: [
        {
          file: 'sync/sweep.ts',
          find: 'now - since >= SWEEP_INTERVAL_MS ? [content] : []',
          replace: 'now >= since ? [content] : []',
        },
      ],
      test: { file: 'test/sync/sweep.test.ts', grep: 'marks first, and drops an hour later' },
    },
  ],
  I28: [
    {
      without: 'the end of the watch of a directory that is gone',
      edits: [
        {
          file: 'disk/watcher.ts',
          find: 'this.#objectAt(each) === undefined) this.remove(each)',
          replace: 'this.#objectAt(each) === null) this.remove(each)',
        },
      ],
      test: { file: 'test/disk/watcher.test.ts', grep: 'holds no handle of directories that are gone' },
    },
    {
      without: 'the removal of what a killed daemon was writing in its home',
      edits: [
        {
          file: 'daemon/home.ts',
          find: '    await rm(path, { force: true })',
          replace: "    if (path === '') await rm(path, { force: true })",
        },
      ],
      test: { file: 'test/fault/soak.test.ts', grep: 'removes what' },
    },
  ],
  I29: [
    {
      without: 'the question whether the holder of the lock lives',
      edits: [
        {
          file: 'daemon/lock.ts',
          find: 'if (holder !== null && isAlive(holder)) throw running(holder.pid)',
          replace: 'if (holder !== null && isAlive === null) throw running(holder.pid)',
        },
      ],
      test: { file: 'test/daemon/lock.test.ts', grep: 'is refused while another process has it' },
    },
  ],
  I30: [
    {
      without: 'the refusal of a newer schema',
      edits: [
        {
          file: 'store/database.ts',
          find: 'if (marked !== null && marked > SCHEMA) throw newer(directory)',
          replace: 'if (marked !== null && marked > SCHEMA + 1) throw newer(directory)',
        },
      ],
      test: { file: 'test/store/database.test.ts', grep: 'refuses a newer schema' },
    },
  ],
}
