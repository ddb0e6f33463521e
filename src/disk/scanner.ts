// Scans as an async iterable of directories, unpacked one by one on the main thread. Asks for the next batch while the last one is used.
import type { Listing, Unlisted, Waiting } from '../core/ports.ts'
import type { RootIdentity } from './beneath.ts'
import { unpack } from './scan-read.ts'
import type { DiskWorkers } from './workers.ts'

export async function* scanTree(
  workers: DiskWorkers,
  root: { path: string; identity: RootIdentity | null },
  paths: readonly string[],
  options: Waiting & { recursive: boolean },
): AsyncGenerator<Listing | Unlisted> {
  const { signal, recursive } = options
  signal.throwIfAborted()
  const id = workers.nextScan()
  let done = false
  let next = workers.scan({ do: 'start', id, root: root.path, identity: root.identity, paths, recursive })
  try {
    while (!done) {
      const reply = await next
      signal.throwIfAborted()
      if (reply === null) throw new Error('the scan was stopped')
      done = reply.done
      if (!done) {
        next = workers.scan({ do: 'next', id })
        // Awaited in the next round; until then a failure must not count as unhandled.
        next.catch(() => undefined)
      }
      for (const read of unpack(reply.batch)) {
        yield read
        signal.throwIfAborted()
      }
    }
  } finally {
    if (!done) await workers.scan({ do: 'stop', id }).catch(() => null)
  }
}
