// Loaded into a daemon (`node --expose-gc --import`): at SIGUSR2 it says in a file beside its log what it holds that cannot be seen from
// outside: what is reachable after a collection, and which timers, sockets and requests keep the process. Does nothing until asked.
import { renameSync, writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

const { KITH_HELD } = process.env

function tell() {
  // The second one also takes what the finalisers of the first let go.
  globalThis.gc()
  globalThis.gc()
  const handles = {}
  for (const type of process.getActiveResourcesInfo()) handles[type] = (handles[type] ?? 0) + 1
  const { heapUsed, external } = process.memoryUsage()
  const file = `${KITH_HELD}.${process.pid}`
  writeFileSync(`${file}.new`, JSON.stringify({ heap: heapUsed, external, handles }))
  renameSync(`${file}.new`, file)
}

if (isMainThread && KITH_HELD !== undefined) process.on('SIGUSR2', tell)
