// Which contents went in a mass change: one device replaced or deleted so much of a folder, in so short a time, that a person may want all of it
// back. What each file was before that is told, not what it was in between: who rewrites everything over and over pins no more than the folder.
import type { ContentId, DeviceId, NodeId } from '../core/ids.ts'
import type { JournalEntry } from '../core/past.ts'

export const WINDOW_MS = 10 * 60_000
/** Of the folder's files; and at least so many. */
const SHARE = 0.2
const AT_LEAST = 20
/** A device that rewrites many files all day long has no end: of that the newest part is told, for what is undone is all since it began. */
const MOST_MS = 6 * WINDOW_MS

/** What a file was before, and when the mass change came to it, by the clock of whoever did it. */
export interface Replaced {
  readonly content: ContentId
  readonly time: number
}

/** What one device did in one go, by the clock of this device's journal. */
export interface Mass {
  readonly device: DeviceId
  readonly first: number
  readonly last: number
}

export interface MassChanges {
  readonly replaced: ReadonlyMap<NodeId, Replaced>
  /** The newest is the last. */
  readonly masses: readonly Mass[]
}

/** `entries`: newest first. `files`: how many the folder has. */
export function massChanges(entries: readonly JournalEntry[], files: number): MassChanges {
  const byDevice = new Map<DeviceId, JournalEntry[]>()
  for (const entry of entries) {
    if (!replaces(entry)) continue
    const some = byDevice.get(entry.device) ?? []
    some.push(entry)
    byDevice.set(entry.device, some)
  }
  const most = Math.max(AT_LEAST, files * SHARE)
  const replaced = new Map<NodeId, Replaced>()
  const masses: Mass[] = []
  for (const [device, some] of byDevice) {
    const within = inMasses(some, most)
    for (const { node, was, time } of within) if (was !== null) replaced.set(node, { content: was.facts.content, time })
    masses.push(
      ...massesOf(
        device,
        within.map(({ time }) => time),
      ),
    )
  }
  return { replaced, masses: masses.sort((a, b) => a.last - b.last) }
}

/** In one pass: where nothing is remembered, the whole journal is looked through. In order of time, for clocks jump. */
function massesOf(device: DeviceId, times: readonly number[]): Mass[] {
  const masses: Mass[] = []
  for (const time of [...times].sort((a, b) => a - b)) {
    const mass = masses.at(-1)
    if (mass === undefined || time - mass.last > WINDOW_MS) masses.push({ device, first: time, last: time })
    else masses[masses.length - 1] = bounded({ ...mass, last: time })
  }
  return masses
}

/** What one device did within the window is one. */
export function withMass<M extends Mass>(masses: readonly M[], mass: M): readonly M[] {
  const isOne = ({ device, first, last }: Mass): boolean =>
    device === mass.device && mass.first - last <= WINDOW_MS && first - mass.last <= WINDOW_MS
  const joined = masses.filter(isOne)
  const first = Math.min(mass.first, ...joined.map(each => each.first))
  const last = Math.max(mass.last, ...joined.map(each => each.last))
  const whole = bounded({ ...mass, first, last })
  if (joined.some(each => each.first <= whole.first && each.last >= whole.last)) return masses
  return [...masses.filter(each => !isOne(each)), whole]
}

function bounded<M extends Mass>(mass: M): M {
  return { ...mass, first: Math.max(mass.first, mass.last - MOST_MS) }
}

/** Did that take a content from a file? */
export function replaces({ kind, action, facts, was }: JournalEntry): boolean {
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
    for (let from = Math.max(first, told); from <= at; from++) masses.push(entries[from] as JournalEntry)
    told = at + 1
  }
  return masses
}
