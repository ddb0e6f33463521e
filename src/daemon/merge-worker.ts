// The worker thread that merges texts: a diff of two large texts would hold up the main loop.
import { mergeText } from '../sync/merge-text.ts'

export interface MergeTask {
  readonly base: Uint8Array
  readonly one: Uint8Array
  readonly other: Uint8Array
}

export function merge({ base, one, other }: MergeTask): Uint8Array | null {
  return mergeText(base, one, other)
}
