// Directories (and touched files) that a batch must sync before it is done: each once, many in flight. A failed sync is told, never
// tried again on that handle.
import { close, closeSync, fstatSync, fsync } from 'node:fs'
import { promisify } from 'node:util'
import { systemCode } from '../core/errors.ts'

const fsyncAsync = promisify(fsync)
const closeAsync = promisify(close)

/** Syncs in flight; the thread pool of the process bounds what really runs at once. */
export const SYNCS_IN_FLIGHT = 32
const MAX_HANDLES = 64

interface Handle {
  readonly fd: number
  readonly steps: Set<number>
}

export class DirtyHandles {
  readonly #handles = new Map<string, Handle>()
  readonly #failed = new Map<number, unknown>()

  get isFull(): boolean {
    return this.#handles.size >= MAX_HANDLES
  }

  /** Step → error, of everything that could not be made durable. */
  get failed(): ReadonlyMap<number, unknown> {
    return this.#failed
  }

  /** Takes over the handle. */
  add(fd: number, step: number): void {
    const { dev, ino } = fstatSync(fd)
    const key = `${dev}:${ino}`
    const had = this.#handles.get(key)
    if (had === undefined) this.#handles.set(key, { fd, steps: new Set([step]) })
    else {
      closeSync(fd)
      had.steps.add(step)
    }
  }

  async flush(): Promise<void> {
    const handles = [...this.#handles.values()]
    this.#handles.clear()
    await eachOf(handles, SYNCS_IN_FLIGHT, async handle => {
      try {
        await fsyncAsync(handle.fd)
      } catch (error) {
        if (!isNoSync(error)) for (const step of handle.steps) this.#failed.set(step, error)
      } finally {
        await closeAsync(handle.fd)
      }
    })
  }
}

/** Some file systems have no sync, of directories above all; there is nothing more to be had from them. */
export function isNoSync(error: unknown): boolean {
  const code = systemCode(error)
  return code === 'EINVAL' || code === 'ENOTSUP'
}

/** Runs `work` on all items, at most `limit` at a time. */
export async function eachOf<T>(items: readonly T[], limit: number, work: (item: T) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) await work(items[at] as T)
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane))
}

export { fsyncAsync }
