// The worker half of merge-texts: one three-way merge per message.
import { mergeText } from '../sync/merge-text.ts'

export interface MergeTask {
  readonly base: Uint8Array
  readonly one: Uint8Array
  readonly other: Uint8Array
}

export const merge = ({ base, one, other }: MergeTask): Uint8Array | null => mergeText(base, one, other)
