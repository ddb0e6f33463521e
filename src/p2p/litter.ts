// Buffers of a transfer are garbage as soon as they were passed on. V8 counts their bytes and answers each 64 MB with a collection of its
// whole heap, which is a third of all CPU of a transfer; collecting what is young after a few MB costs a millisecond and leaves nothing to
// count. Where V8 does not offer that, all stays as it is.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Bytes of payload between two collections: each passes through three or four buffers. */
const COLLECT_BYTES = 4 * 1024 * 1024

type Collect = (options: { readonly type: 'minor' }) => void

function find(): Collect | null {
  setFlagsFromString('--expose-gc')
  const found: unknown = runInNewContext('globalThis.gc')
  return typeof found === 'function' ? (found as Collect) : null
}

let collect: Collect | null | undefined
let bytes = 0

/** So many bytes of buffers were passed on, and nobody here needs them any more. */
export function litter(passed: number): void {
  bytes += passed
  if (bytes < COLLECT_BYTES) return
  bytes = 0
  if (collect === undefined) collect = find()
  collect?.({ type: 'minor' })
}
