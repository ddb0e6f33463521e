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
        { file: 'sync/safety.ts', find: 'switch (root.state) {', replace: 'switch (root.state) {\n    default:' },
      ],
      test: { file: 'test/fault/roots.test.ts', grep: 'halt, send no deletion' },
    },
  ],
  I4: [
    { mutants: ['unreadable-is-empty'] },
    {
      without: 'the difference between a directory that cannot be read and one that is gone',
      edits: [
        {
          file: 'disk/scan-read.ts',
          find: `      return readDirectory(path, directory)
    } catch (error) {
      return { path, gone: false, problem: readingProblem(error, path) }`,
          replace: `      return readDirectory(path, directory)
    } catch {
      return { path, gone: true, problem: null }`,
        },
      ],
      test: { file: 'test/fault/errors.test.ts', grep: 'delete nothing' },
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
      edits: [{ file: 'disk/prepared-stages.ts', find: 'await fsyncAsync(fd)', replace: 'await (fsyncAsync && null)' }],
      test: { file: 'test/disk/publish.test.ts', grep: 'syncs the bytes, then renames' },
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
          find: "if (!isSame(request.stat, after, 'file') || list.size !== request.stat.size) return busy(request)",
          replace: 'if (after.size < 0) return busy(request)',
        },
      ],
      test: { file: 'test/disk/publish.test.ts', grep: 'never takes half of one content' },
    },
  ],
  I15: [{ mutants: ['join-forgets-the-unseen', 'join-keeps-the-newer', 'adopted-unseen'] }],
  I16: [{ mutants: ['remove-supersedes-what-shows', 'edit-supersedes-what-shows'] }],
  I18: [{ mutants: ['cycles-broken-by-arrival', 'dead-directories-dropped', 'directories-known-by-name'] }],
  I20: [{ mutants: ['one-actor-for-ever'] }],
  I22: [{ mutants: ['placement-by-arrival', 'old-times-believed'] }],
  I23: [{ mutants: ['young-files-trusted', 'change-time-ignored', 'no-last-look-at-young-files'] }],
  I25: [{ mutants: ['case-not-folded', 'names-not-composed'] }],
}
