// Every error as `{ error: { code, message } }` with the status of the one table. What is no KithError is a fault of ours: its text goes
// to the log, not to the client.
import { ERRORS, isKithError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'

export interface Failure {
  readonly status: number
  readonly body: { readonly error: { readonly code: string; readonly message: string } }
}

export function failureOf(error: unknown, log: Log): Failure {
  if (isKithError(error)) {
    log.debug({ code: error.code, err: error }, 'a request was refused')
    return { status: ERRORS[error.code].status, body: { error: { code: error.code, message: error.message } } }
  }
  log.error({ err: error }, 'a request failed')
  const message = 'Something went wrong inside Kith: its log says more.'
  return { status: ERRORS.internal.status, body: { error: { code: 'internal', message } } }
}
