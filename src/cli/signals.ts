// Ctrl-C ends a waiting command without a word of complaint.

/**
 * Runs `task` with a signal that SIGINT and SIGTERM abort, then `cleanUp`, which a second Ctrl-C does not cut short; says whether it was
 * ended so.
 */
export async function untilInterrupted(
  task: (signal: AbortSignal) => Promise<void>,
  cleanUp: () => Promise<void> = async () => undefined,
): Promise<boolean> {
  const interrupted = new AbortController()
  const interrupt = (): void => interrupted.abort()
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  try {
    await task(interrupted.signal)
  } catch (error) {
    if (!interrupted.signal.aborted) throw error
  } finally {
    await cleanUp()
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
  }
  return interrupted.signal.aborted
}
