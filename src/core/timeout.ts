// A time limit as a signal that can be joined with others.

/**
 * Aborts after `ms`, with a `TimeoutError`; keeps no process alive. Not `AbortSignal.timeout`: Node (20.20.2) lets go of the timer of one that
 * only an `AbortSignal.any` knows of, so that after the next garbage collection the limit is gone, and a wait with it endless.
 */
export function timeoutSignal(ms: number): AbortSignal {
  const controller = new AbortController()
  setTimeout(() => controller.abort(new DOMException(`Not within ${ms} ms.`, 'TimeoutError')), ms).unref()
  return controller.signal
}
