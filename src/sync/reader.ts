// The bytes of any content that can be had: brought to the stage, where every byte is verified, and read from there in pieces. What is read
// is pinned; the stage is tidied when nobody reads it any more.
import { KithError } from '../core/errors.ts'
import type { ContentId } from '../core/ids.ts'
import type { Waiting } from '../core/ports.ts'
import { type BringDeps, bring } from './bring.ts'
import type { Holdings } from './holdings.ts'

const PIECE_BYTES = 256 * 1024
/** The folder may publish what is staged while it is read: then it is brought once more. */
const MAX_TRIES = 5

export interface ReaderDeps extends BringDeps {
  readonly holdings: Holdings
  /** Something may lie staged for nothing. */
  readonly onUntidy: () => void
}

export async function* readContent(
  deps: ReaderDeps,
  content: ContentId,
  size: number,
  options: Waiting,
): AsyncIterable<Uint8Array> {
  const unpin = deps.holdings.pin([content])
  try {
    let offset = 0
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      options.signal.throwIfAborted()
      if (!(await bring(deps, { content, size }, options))) break
      while (offset < size) {
        const length = Math.min(PIECE_BYTES, size - offset)
        const bytes = await deps.disk.read({ at: 'stage', content }, offset, length, options)
        if (bytes === null || bytes.byteLength === 0) break
        offset += bytes.byteLength
        yield bytes
      }
      if (offset >= size) return
    }
  } finally {
    unpin()
    deps.onUntidy()
  }
  throw new KithError(
    'content-missing',
    'No device that is connected holds this version any more. Switch on one that may, and try again.',
  )
}
