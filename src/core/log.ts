// The logger that every part is given: pino's shape, so that tests can pass a silent one. Names of files only at debug.
type Write = {
  (fields: Record<string, unknown>, message: string): void
  (message: string): void
}

export interface Log {
  readonly error: Write
  readonly warn: Write
  readonly info: Write
  readonly debug: Write
  child(fields: Record<string, unknown>): Log
}
