// A system's error on one path, as a Problem that a person can act on. An error is never "not there".
import { systemCode } from '../core/errors.ts'
import type { Problem, ProblemCode } from '../core/ports.ts'

const READING: Record<string, string> = {
  EACCES: 'Kith may not read it: check its permissions and those of the directories above it.',
  EPERM: 'Kith may not read it: check its permissions.',
  EIO: 'The disk reports an error while reading it.',
  ENAMETOOLONG: 'Its path is too long for this system.',
  EMFILE: 'Too many files are open: raise the limit of open files.',
  ENFILE: 'Too many files are open on this machine.',
  ESTALE: 'The network disk has lost it for now.',
  ROOT_GONE: 'The root of the folder is not there, or is another directory than before.',
}

/** These pass: the folder does not rest before they have. What may not be read, or is broken, may never be readable. */
const PASSING = new Set(['EMFILE', 'ENFILE', 'ESTALE', 'ENOMEM', 'EAGAIN'])

/** While looking or reading: what stands there stays unknown. */
export function readingProblem(error: unknown, path: string): Problem {
  const code = systemCode(error) ?? 'unknown error'
  const message = READING[code] ?? `It cannot be read (${code}).`
  return { code: PASSING.has(code) ? 'failed' : 'unreadable', path, message }
}

const WRITING: Record<string, readonly [ProblemCode, string]> = {
  ENOSPC: ['no-space', 'The disk is full.'],
  EDQUOT: ['no-space', 'The quota of this user is used up.'],
  EFBIG: ['no-space', 'This disk or a limit of this user does not allow a file of that size.'],
  ENAMETOOLONG: ['cannot-hold', 'Its name or path is too long for this disk.'],
  EILSEQ: ['cannot-hold', 'This disk cannot have that name.'],
  EINVAL: ['cannot-hold', 'This disk cannot have that name or kind of entry.'],
  ENOSYS: ['cannot-hold', 'This disk cannot have that kind of entry.'],
  ENOTSUP: ['cannot-hold', 'This disk cannot have that kind of entry.'],
  EOPNOTSUPP: ['cannot-hold', 'This disk cannot have that kind of entry.'],
  EACCES: ['failed', 'Kith may not write here: check the permissions of the directory.'],
  EPERM: ['failed', 'The system does not permit it: it may be locked or belong to someone else.'],
  EROFS: ['failed', 'The disk is read-only.'],
  EIO: ['failed', 'The disk reports an error while writing.'],
  ENOENT: ['changed', 'What it depends on is not there any more.'],
  ENOTDIR: ['changed', 'A directory above it is not there any more.'],
  ELOOP: ['changed', 'A symlink stands where a directory was.'],
  EEXIST: ['changed', 'Something else stands there.'],
  ENOTEMPTY: ['changed', 'The directory is not empty.'],
  EISDIR: ['changed', 'A directory stands there.'],
  ROOT_GONE: ['failed', 'The root of the folder is not there, or is another directory than before.'],
}

/** While a step acts. */
export function writingProblem(error: unknown, path: string): Problem {
  const system = systemCode(error) ?? (error instanceof Error ? error.message : 'unknown error')
  const [code, message] = WRITING[system] ?? ['failed', `The disk refused it (${system}).`]
  return { code, path, message }
}

export function changedProblem(path: string): Problem {
  return { code: 'changed', path, message: 'Something else stands here than expected: it is looked at first.' }
}

/** Nothing is there: the only errors that mean so. */
export function isAbsent(error: unknown): boolean {
  const code = systemCode(error)
  return code === 'ENOENT' || code === 'ENOTDIR'
}
