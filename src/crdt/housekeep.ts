// Housekeeping: of several records of one node, those that the others say too are dropped. It only deletes, and who survives is a
// function of the records alone, so several devices doing it at once agree, nothing visible changes, and it comes to an end.
import type { Node } from '../core/entry.ts'
import { join } from './join.ts'
import { decodeRecord, encodeNode } from './record.ts'
import type { Held } from './record-set.ts'

/** The records of one node that can go. */
export function dominated(records: readonly Held[]): Held[] {
  const sorted = [...records].sort((a, b) => a.client - b.client || a.clock - b.clock)
  const states = sorted.map(held => ({ held, node: nodeIn(held), gone: false }))
  for (const [i, one] of states.entries()) {
    one.gone = states.some((other, j) => {
      if (i === j || other.gone) return false
      if (other.held.record === one.held.record) return j < i
      return encodeNode(join(one.node, other.node)) === other.held.record
    })
  }
  return states.filter(state => state.gone).map(state => state.held)
}

function nodeIn(held: Held): Node {
  const decoded = decodeRecord(held.record)
  if (decoded.type !== 'node') throw new Error('only records of nodes are dominated')
  return decoded.node
}
