// The scan worker: holds running walks and hands out the next batch of each when asked, so that the main thread sets the pace.
import type { RootIdentity } from './beneath.ts'
import { type PackedBatch, Packer, TreeReader } from './scan-read.ts'
import { moved } from './transfer.ts'

const BATCH_NUMBERS = 40_000
const BATCH_MS = 25
const FIRST_BATCH_NUMBERS = 1000

export type ScanTask =
  | {
      readonly do: 'start'
      readonly id: number
      readonly root: string
      readonly identity: RootIdentity | null
      readonly paths: readonly string[]
      readonly recursive: boolean
    }
  | { readonly do: 'next' | 'stop'; readonly id: number }

export interface ScanReply {
  readonly batch: PackedBatch
  readonly done: boolean
}

const walks = new Map<number, TreeReader>()

/** The piscina task of this worker. */
export async function scan(task: ScanTask): Promise<ScanReply | null> {
  switch (task.do) {
    case 'start':
      walks.set(task.id, new TreeReader(task.root, task))
      return reply(task.id, FIRST_BATCH_NUMBERS)
    case 'next':
      return reply(task.id, BATCH_NUMBERS)
    case 'stop':
      walks.get(task.id)?.close()
      walks.delete(task.id)
      return null
  }
}

function reply(id: number, numbers: number): ScanReply | null {
  const walk = walks.get(id)
  if (walk === undefined) return null
  const packer = new Packer()
  const until = performance.now() + BATCH_MS
  let done = false
  while (packer.size < numbers && performance.now() < until) {
    const read = walk.next()
    if (read === undefined) {
      done = true
      walks.delete(id)
      break
    }
    packer.add(read)
  }
  const batch = packer.take()
  return moved({ batch, done }, [batch.numbers.buffer])
}
