// Ctrl-C ends a waiting command without a word of complaint.

/** Runs `task` with a signal that SIGINT and SIGTERM abort; says whether it was ended so. */
export async function untilInterrupted(task: (signal: AbortSignal) => Promise<void>): Promise<boolean> {
  const interrupted = new AbortController()
  const interrupt = (): void => interrupted.abort()
  process.once('SIGINT', interrupt)
  process.once('SIGTERM', interrupt)
  try {
    await task(interrupted.signal)
  } catch (error) {
    if (!interrupted.signal.aborted) throw error
  } finally {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
  }
  return interrupted.signal.aborted
}
