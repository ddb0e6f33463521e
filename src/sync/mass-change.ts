// Which contents went in a mass change: one device replaced or deleted so much of a folder, in so short a time, that a person may want all of it
// back. What each file was before that is told, not what it was in between: who rewrites everything over and over pins no more than the folder.
import type { ContentId, DeviceId, NodeId } from '../core/ids.ts'
import type { JournalEntry } from '../core/past.ts'

export const WINDOW_MS = 10 * 60_000
/** Of the folder's files; and at least so many. */
const SHARE = 0.2
const AT_LEAST = 20

/** What a file was before, and when the mass change came to it, by the clock of whoever did it. */
export interface Replaced {
  readonly content: ContentId
  readonly time: number
}

/** `entries`: newest first. `files`: how many the folder has. */
export function massReplaced(entries: readonly JournalEntry[], files: number): ReadonlyMap<NodeId, Replaced> {
  const byDevice = new Map<DeviceId, JournalEntry[]>()
  for (const entry of entries) {
    if (!replaces(entry)) continue
    const some = byDevice.get(entry.device) ?? []
    some.push(entry)
    byDevice.set(entry.device, some)
  }
  const most = Math.max(AT_LEAST, files * SHARE)
  const found = new Map<NodeId, Replaced>()
  for (const some of byDevice.values())
    for (const { node, was, time } of inMasses(some, most))
      if (was !== null) found.set(node, { content: was.facts.content, time })
  return found
}

function replaces({ kind, action, facts, was }: JournalEntry): boolean {
  return kind === 'file' && was !== null && (action === 'deleted' || was.facts.content !== facts.content)
}

/** Those that lie in any window with more than `most` files; in the order given. */
function inMasses(entries: readonly JournalEntry[], most: number): JournalEntry[] {
  const nodes = new Map<NodeId, number>()
  const masses: JournalEntry[] = []
  let [first, told] = [0, 0]
  for (const [at, { node, time }] of entries.entries()) {
    nodes.set(node, (nodes.get(node) ?? 0) + 1)
    for (let out = entries[first]; out !== undefined && Math.abs(out.time - time) > WINDOW_MS; out = entries[++first]) {
      const left = (nodes.get(out.node) ?? 1) - 1
      if (left > 0) nodes.set(out.node, left)
      else nodes.delete(out.node)
    }
    if (nodes.size <= most) continue
    masses.push(...entries.slice(Math.max(first, told), at + 1))
    told = at + 1
  }
  return masses
}
