// Time as the daemon sees it: a port, so that simulations and tests own it.
export interface Clock {
  /** Wall clock, whole ms since 1970. It may jump. */
  now(): number
  /** Monotone ms since an arbitrary start, for intervals. */
  elapsed(): number
  /** Resolves after `ms`, or rejects with the signal's reason. */
  sleep(ms: number, options: { signal: AbortSignal }): Promise<void>
}
