// What went wrong in LevelDB, as Kith's errors. LevelDB tells errors of the system only by their text.
import { isKithError, KithError } from '../core/errors.ts'
import { damaged } from './codec.ts'

const FULL = /No space left|quota exceeded|File too large|ENOSPC|EDQUOT|EFBIG/i
const DENIED = /Permission denied|Operation not permitted|EACCES|EPERM/i
const MISSING = /does not exist|No such file|not found/i
/** A table that is too short to be one. */
const NO_TABLE = /\.(?:ldb|sst): (?:Invalid argument|No such file)/i

/** An error of a read or a write. */
export function storeError(error: unknown, doing: string): KithError {
  if (isKithError(error)) return error
  const text = told(error)
  if (code(error) === 'LEVEL_CORRUPTION' || NO_TABLE.test(text)) return damaged(`while ${doing}`, text, error)
  if (FULL.test(text)) return noSpace(error)
  return new KithError('store-failed', `The database could not be used while ${doing} (${text}). Kith tries again.`, {
    cause: error,
  })
}

/** An error of opening what should be there. */
export function openError(error: unknown, directory: string): KithError {
  if (isKithError(error)) return error
  const text = told(error)
  if (code(error) === 'LEVEL_LOCKED') {
    return new KithError('daemon-running', `Another process has the database ${directory} open; stop it first.`, {
      cause: error,
    })
  }
  if (FULL.test(text)) return noSpace(error)
  if (DENIED.test(text)) {
    return new KithError('permission-denied', `The database ${directory} may not be read or written (${text}).`, {
      cause: error,
    })
  }
  if (code(error) === 'LEVEL_CORRUPTION' || MISSING.test(text) || NO_TABLE.test(text))
    return damaged('on opening', text, error)
  return new KithError('store-failed', `The database ${directory} could not be opened (${text}).`, { cause: error })
}

export function noSpace(cause?: unknown): KithError {
  return new KithError('no-space', 'The disk of this home is full: nothing was stored. Free some space there.', {
    cause,
  })
}

function deepest(error: unknown): unknown {
  let at = error
  while (at instanceof Error && at.cause instanceof Error) at = at.cause
  return at
}

function told(error: unknown): string {
  const at = deepest(error)
  return at instanceof Error ? at.message : String(at)
}

function code(error: unknown): string | undefined {
  const at = deepest(error)
  return at instanceof Error && 'code' in at && typeof at.code === 'string' ? at.code : undefined
}
