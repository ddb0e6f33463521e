// Every error that reaches a person or a script: a stable code, a sentence that says what to do, and whether trying again can help.
// One table maps code → exit code and HTTP status; the API and the CLI read it and nothing else.

interface ErrorKind {
  readonly status: number
  readonly exit: 1 | 2 | 3 | 4
  readonly retry: boolean
}

const failed: ErrorKind = { status: 409, exit: 1, retry: false }
const wrong: ErrorKind = { status: 400, exit: 2, retry: false }

export const ERRORS = {
  // what a person gave
  'bad-usage': wrong,
  'bad-path': failed,
  'path-not-directory': failed,
  'path-nested': failed,
  'path-unreadable': failed,
  'path-foreign-marker': failed,
  'folder-unknown': { status: 404, exit: 1, retry: false },
  'folder-exists': failed,
  'folder-ambiguous': failed,
  'folder-joined': failed,
  'device-unknown': { status: 404, exit: 1, retry: false },
  'device-ambiguous': failed,
  'config-invalid': failed,
  'path-outside': { status: 404, exit: 1, retry: false },
  'path-exists': failed,
  // the past
  'not-found': { status: 404, exit: 1, retry: false },
  'no-such-version': { status: 404, exit: 1, retry: false },
  'version-ambiguous': failed,
  'content-missing': { status: 404, exit: 1, retry: true },
  'only-copy': failed,
  // pairing and membership
  'pairing-wrong-code': failed,
  'pairing-not-found': failed,
  'pairing-expired': failed,
  'pairing-tries': failed,
  'pairing-refused': failed,
  'pairing-groups': failed,
  // process
  'daemon-absent': { status: 503, exit: 3, retry: true },
  'daemon-running': failed,
  'daemon-start-failed': failed,
  'home-unsafe': failed,
  'home-newer': failed,
  'home-damaged': failed,
  'wait-timeout': { status: 408, exit: 4, retry: true },
  // folders
  'root-missing': failed,
  'root-emptied': failed,
  'root-replaced': failed,
  'mass-change': failed,
  rollback: failed,
  'folder-halted': failed,
  'folder-paused': failed,
  'disk-full': { status: 507, exit: 1, retry: true },
  'cannot-hold': failed,
  'no-space': { status: 507, exit: 1, retry: true },
  'permission-denied': failed,
  'database-corrupt': failed,
  'store-failed': { status: 500, exit: 1, retry: true },
  'content-mismatch': { status: 500, exit: 1, retry: true },
  // the network
  'peer-protocol': { status: 502, exit: 1, retry: true },
  'peer-gone': { status: 502, exit: 1, retry: true },
  stopped: { status: 503, exit: 1, retry: true },
  internal: { status: 500, exit: 1, retry: false },
} as const satisfies Record<string, ErrorKind>

export type ErrorCode = keyof typeof ERRORS

export class KithError extends Error {
  readonly code: ErrorCode

  /** `message`: one sentence for a person that says what is wrong and what to do about it. */
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'KithError'
    this.code = code
  }

  get retry(): boolean {
    return ERRORS[this.code].retry
  }
}

export function isKithError(error: unknown): error is KithError {
  return error instanceof Error && error.name === 'KithError' && 'code' in error
}

/** The `code` of a Node system error (`ENOENT` …), or undefined. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
