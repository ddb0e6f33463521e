// Lets kept versions go that retention has no use for. Nothing goes that is in use, and nothing at once: a run marks what may go, a run at
// least an hour later drops it if it still may, so that whoever was told meanwhile that this device holds it gets it. Marks live in memory:
// every start begins anew, and a crash at any point leaves more, never less. What a version's age counts from and the clock that it is
// counted by lie in the database; no message of another device comes near any of it.
import type { Clock } from '../core/clock.ts'
import { localTime } from '../core/display.ts'
import type { ContentId, DeviceId, NodeId, RowId } from '../core/ids.ts'
import { ROOT_ROW } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { JournalEntry } from '../core/past.ts'
import type { FolderStore, KeptVersion, Problem, Versions, Waiting } from '../core/ports.ts'
import type { RowTable } from '../core/rows.ts'
import type { FolderSettings } from '../core/status.ts'
import { type Mass, massChanges, replaces, WINDOW_MS, withMass } from './mass-change.ts'
import { type Kept, PIN_MS, type RetentionOptions, retain, type Verdict } from './retention.ts'
import {
  decodeSweepNote,
  encodeSweepNote,
  entryKey,
  fileOf,
  type OfFile,
  type Seen,
  type SweepNote,
} from './sweep-note.ts'
import type { TreeView } from './tree.ts'
import { undoLine } from './undo-line.ts'

/** Between two runs, and from the mark to the drop. */
export const SWEEP_INTERVAL_MS = 3_600_000
/** What was not running counts for the age of versions, but not for more than this a start: a wall clock may have jumped. */
const MOST_AWAY_MS = 24 * 3_600_000
/** Of the whole disk, where nothing else is set. */
const DEFAULT_SHARE = 0.1
/** Room that kept versions leave to the user, of the whole disk and at most. */
const RESERVE_SHARE = 0.05
const RESERVE_BYTES = 10 * 1024 ** 3
/** The tree may change while it is looked through: it is looked through again, so often. */
const TRIES = 3
/** Nodes looked through before others get their turn. */
const SLICE = 20_000
/** So far back it is looked up whose version one was. */
const JOURNAL_ENTRIES = 200_000
/** So old a version may be taken for by a wall clock, where nothing is remembered: not to go at once. */
const MOST_AGE_MS = 364 * 24 * 3_600_000
const TIDY_INTERVAL_MS = 24 * 3_600_000
/** Of a journal that holds many, those that are remembered: the newest. */
const MOST_MASSES = 100

export interface SweepDeps {
  /** The folder's. */
  readonly name: string
  /** What a person types to mean that device. */
  readonly nameOfDevice: (device: DeviceId) => string
  readonly store: Pick<FolderStore, 'note' | 'commit' | 'journal' | 'sweep'>
  readonly versions: Pick<Versions, 'all' | 'drop'>
  readonly clock: Pick<Clock, 'now' | 'elapsed'>
  readonly log: Log
  readonly uses: Uses
  /** All that a row or the stage has: what the store's housekeeping leaves alone. */
  readonly held: () => Iterable<ContentId>
  /** Versions that were damaged and that nobody had yet. */
  readonly lost: () => Iterable<Pick<KeptVersion, 'content' | 'size'>>
  /** How many the folder has, about. */
  readonly files: () => number
  /** Bytes of the disk; null: unknown. */
  readonly space: () => Promise<{ readonly free: number; readonly total: number } | null>
}

/** What may not go. */
export interface Uses {
  /** Of these, those that are in use, and why, in words; takes its time. */
  of(contents: ReadonlySet<ContentId>, options: Waiting): Promise<ReadonlyMap<ContentId, string>>
  /** Another number where the shared tree changed meanwhile: what `of` said is not true any more. */
  revision(): number
  /** Is it wanted, staged, or pinned, now? */
  isWanted(content: ContentId): boolean
}

export interface SweepOptions extends Waiting {
  readonly settings: Pick<FolderSettings, 'versions' | 'versionLimit'>
}

export interface SweepOutcome {
  readonly kept: number
  readonly bytes: number
  readonly marked: number
  readonly dropped: readonly ContentId[]
  /** Of what is lost, that which would have been dropped by now. */
  readonly forgotten: readonly ContentId[]
  /** Versions go before their time, many went at once: for the folder's status, until the next run. */
  readonly problems: readonly Problem[]
}

/**
 * One a folder, for as long as its engine lives. The folder's loop calls `run` in quiet moments when `due`, never while a cycle runs: rows and
 * tree are settled then. It calls `touch` for every content that this device says it holds, serves, reads, restores or is about to: such a
 * content does not go for an hour from then.
 */
export class Sweep {
  readonly #deps: SweepDeps
  /** When each was first marked, of those that may go; and what is spoken for: in monotone ms. */
  #marks = new Map<ContentId, number>()
  readonly #touched = new Map<ContentId, number>()
  #note: SweepNote | null = null
  /** Monotone ms of the last run, of the last housekeeping. */
  #ranAt: number | null = null
  #tidiedAt: number | null = null

  constructor(deps: SweepDeps) {
    this.#deps = deps
  }

  get due(): boolean {
    return this.#ranAt === null || this.#deps.clock.elapsed() - this.#ranAt >= SWEEP_INTERVAL_MS
  }

  touch(contents: Iterable<ContentId>): void {
    const now = this.#deps.clock.elapsed()
    for (const content of contents) this.#touched.set(content, now)
  }

  async run(options: SweepOptions): Promise<SweepOutcome> {
    const kept: KeptVersion[] = []
    for await (const some of this.#deps.versions.all(options)) kept.push(...some)
    const lost = this.#lostBut(kept)
    const versions = [...kept, ...lost]
    const uses = await this.#deps.uses.of(new Set(versions.map(({ content }) => content)), options)
    const note = await this.#remember(versions, uses)
    const bounds = await this.#bounds(versions, options)
    const keepAll = options.settings.versions === 'all'
    const judged = (some: readonly KeptVersion[]): Kept[] => some.map(version => keptAs(version, note, uses))
    const retention = { now: note.clock, ...bounds, keepAll }
    const verdicts = retain(judged(kept), retention)
    // What is not there stands in for nothing that is.
    const ofLost = lost.length === 0 ? [] : retain(judged([...lost, ...kept]), retention).slice(0, lost.length)
    const ripe = new Set(this.#mark([...verdicts, ...ofLost]))
    const forgotten = lost.flatMap(({ content }) => (ripe.delete(content) ? [content] : []))
    const dropped = await this.#drop([...ripe], options)
    await this.#tidy(versions, dropped)
    const gone = new Set(dropped)
    const left = kept.filter(({ content }) => !gone.has(content))
    const bytes = left.reduce((sum, { occupies }) => sum + occupies, 0)
    const problems = [await this.#massProblem(note, left), problemOf(verdicts, bounds)].filter(
      problem => problem !== null,
    )
    return { kept: left.length, bytes, marked: this.#marks.size, dropped, forgotten, problems }
  }

  /** What is lost ages as if it were kept, and takes no room: it is told for as long as it would have been there. */
  #lostBut(kept: readonly KeptVersion[]): KeptVersion[] {
    const there = new Set(kept.map(({ content }) => content))
    const lost = [...this.#deps.lost()].filter(({ content }) => !there.has(content))
    return lost.map(each => ({ ...each, occupies: 0, packed: false }))
  }

  /** Brings the clock and what was seen up to date, durably. What is in use has no age: it counts from when it is not any more. */
  async #remember(versions: readonly KeptVersion[], uses: ReadonlyMap<ContentId, string>): Promise<SweepNote> {
    const { store, clock } = this.#deps
    const stored = this.#note ?? decodeSweepNote(await store.note('sweep'))
    const passed =
      this.#ranAt === null
        ? Math.min(MOST_AWAY_MS, Math.max(0, clock.now() - stored.wall))
        : clock.elapsed() - this.#ranAt
    this.#ranAt = clock.elapsed()
    // No two runs at one time: the order of what was seen counts within a run alone.
    const now = stored.clock + (stored.wall === 0 ? 0 : Math.max(1, passed))
    const unused = versions.filter(({ content }) => !uses.has(content))
    const { again, newest, entries } = await this.#changedSince(stored)
    const isNew = (content: ContentId): boolean => again.has(content) || !stored.seen.has(content)
    const fresh = unused.filter(({ content }) => isNew(content)).map(({ content }) => content)
    const files = await this.#filesOf(new Set(fresh))
    // With nothing remembered, all would be of one hour, and a day later but one of each file would go.
    const sinceOf = (time: number | null): number =>
      stored.wall > 0 || time === null ? now : now - Math.min(MOST_AGE_MS, Math.max(0, clock.now() - time))
    const seen = new Map<ContentId, Seen>()
    for (const { content } of unused) {
      const known = stored.seen.get(content)
      if (known !== undefined && !again.has(content)) seen.set(content, known)
    }
    for (const [content, { of, time }] of files) {
      const known = stored.seen.get(content)
      // What comes back and goes again is not pinned for longer.
      const pinned = known !== undefined && isPinned(known, now) ? known.pinned : null
      seen.set(content, { since: sinceOf(time), of, pinned })
    }
    const masses = this.#pin(seen, entries, now)
      .slice(-MOST_MASSES)
      .reduce((known, mass) => withMass(known, { ...mass, at: sinceOf(mass.last) }), stored.masses)
      .filter(({ at }) => now - at < PIN_MS)
      .sort((a, b) => a.last - b.last)
      .slice(-MOST_MASSES)
    const note = { clock: now, wall: clock.now(), newest, seen, masses }
    await store.commit({ notes: [{ name: 'sweep', bytes: encodeSweepNote(note) }] })
    this.#note = note
    return note
  }

  /**
   * What came and went since the last run (restored, and replaced again) is a version of now, and was never marked. Told by how far the
   * journal had come, not by times: clocks jump.
   */
  async #changedSince({ wall, newest }: SweepNote): Promise<Changed> {
    const again = new Set<ContentId>()
    const entries: JournalEntry[] = []
    let last: string | null = null
    let before: number | null = null
    for await (const entry of this.#deps.store.journal({})) {
      const key = entryKey(entry)
      last ??= key
      if (wall > 0 && key === newest) before = entry.time
      // A mass change may have begun before.
      if (before !== null && Math.abs(before - entry.time) > WINDOW_MS) break
      if (entries.length < JOURNAL_ENTRIES) entries.push(entry)
      else if (wall === 0) break
      if (before !== null || wall === 0) continue
      again.add(entry.facts.content)
      if (entry.was !== null) again.add(entry.was.facts.content)
    }
    for (const content of again) this.#marks.delete(content)
    return { again, newest: last ?? '', entries }
  }

  /** What files were before a mass change: as long as that of a file is pinned, what follows pins nothing more of it. Returns all there were. */
  #pin(seen: Map<ContentId, Seen>, entries: readonly JournalEntry[], now: number): readonly Mass[] {
    const pinned = [...seen.values()].filter(each => isPinned(each, now))
    const files = new Set(pinned.flatMap(({ of }) => of.map(({ file }) => file)))
    const { replaced, masses } = massChanges(entries, this.#deps.files())
    for (const [node, { content, time }] of replaced) {
      const known = seen.get(content)
      // A mass change is looked at again as long as it is the newest in the journal.
      if (known?.pinned !== null || files.has(fileOf(node))) continue
      seen.set(content, { ...known, pinned: { at: known.since, time } })
    }
    return masses
  }

  /** The last time that something happened which nobody may have wanted: told for as long as what went then is pinned. */
  async #massProblem(note: SweepNote, kept: readonly KeptVersion[]): Promise<Problem | null> {
    const { name, nameOfDevice } = this.#deps
    const mass = note.masses.at(-1)
    if (mass === undefined) return null
    // Of equal files there is one content, and one that something else shows is no version: the journal alone knows how many files it were.
    const before = [...(await this.#before(mass)).values()]
    const who = nameOfDevice(mass.device)
    const message = `Many files (${before.length}) were changed or deleted at once by ${who}, from ${localTime(mass.first)} on. ${this.#promiseOf(before, note, kept)} If nobody meant that: ${undoLine(who, mass.first, name)} takes back what ${who} did in this folder from that moment on (with --dry-run it only shows what).`
    return { code: 'mass-change-kept', path: '', message }
  }

  /** Only what is pinned is sure to stay; of a file that is pinned already, what it was later is not. */
  #promiseOf(before: readonly ContentId[], { clock, wall, seen }: SweepNote, kept: readonly KeptVersion[]): string {
    const lying = new Set(kept.map(({ content }) => content))
    const here = new Set([...this.#deps.held(), ...lying])
    let [sure, more, noticed] = [0, 0, Number.POSITIVE_INFINITY]
    for (const content of before) {
      const known = seen.get(content)
      if (lying.has(content) && known?.pinned != null && isPinned(known, clock)) {
        sure++
        noticed = Math.min(noticed, known.pinned.at)
      } else if (here.has(content)) more++
    }
    if (sure + more === 0) return 'What they were does not lie here.'
    const which = (count: number): string => (count === before.length ? 'What they were' : `What ${count} of them were`)
    const promise = `${which(sure)} is kept here until ${minuteOf(wall - clock + PIN_MS + noticed)} at least.`
    const rest = `${which(more)} lies here now, and may go at any time.`
    return [...(sure > 0 ? [promise] : []), ...(more > 0 ? [rest] : [])].join(' ')
  }

  /** What each file was that it changed or deleted. */
  async #before({ device, first, last }: Mass): Promise<ReadonlyMap<NodeId, ContentId>> {
    const { store, clock } = this.#deps
    const before = new Map<NodeId, ContentId>()
    for await (const entry of store.journal({ since: first, now: clock.now() })) {
      if (entry.device !== device || entry.time < first || entry.time > last || !replaces(entry)) continue
      if (entry.was !== null) before.set(entry.node, entry.was.facts.content)
    }
    return before
  }

  /** Which files each was a version of, in which order they were replaced, and when the last of them was, by the journal. */
  async #filesOf(fresh: ReadonlySet<ContentId>): Promise<Map<ContentId, Found>> {
    const found = new Map(
      [...fresh].map(content => [content, { orders: new Map<string, number>(), times: [] as number[] }]),
    )
    let left = JOURNAL_ENTRIES
    if (fresh.size > 0)
      for await (const { time, was, facts, node } of this.#deps.store.journal({})) {
        const file = fileOf(node)
        for (const content of [was?.facts.content, facts.content]) {
          const known = content === undefined ? undefined : found.get(content)
          // The newest counts.
          if (known === undefined || known.orders.has(file)) continue
          known.orders.set(file, left)
          known.times.push(time)
        }
        if (--left === 0) break
      }
    return new Map(
      [...found].map(([content, { orders, times }]) => {
        if (orders.size === 0) return [content, { of: [{ file: fileOf(content), order: 0 }], time: null }]
        return [content, { of: [...orders].map(([file, order]) => ({ file, order })), time: times[0] ?? null }]
      }),
    )
  }

  /** Bytes: what is set for the folder, and what the disk leaves to its versions. */
  async #bounds(versions: readonly KeptVersion[], { settings }: SweepOptions): Promise<Bounds> {
    const space = await this.#deps.space()
    const limit = settings.versionLimit ?? (settings.versions === 'all' ? null : space && space.total * DEFAULT_SHARE)
    if (space === null) return { limit, room: null }
    const lacking = Math.min(RESERVE_BYTES, space.total * RESERVE_SHARE) - space.free
    if (lacking <= 0) return { limit, room: null }
    const used = versions.reduce((sum, { occupies }) => sum + occupies, 0)
    return { limit, room: Math.max(0, used - lacking) }
  }

  /** Marks what may go; returns what was marked long enough ago. */
  #mark(verdicts: readonly Verdict[]): ContentId[] {
    const now = this.#deps.clock.elapsed()
    const marks = new Map<ContentId, number>()
    for (const { content, keep } of verdicts) if (!keep) marks.set(content, this.#marks.get(content) ?? now)
    this.#marks = marks
    return [...marks].flatMap(([content, since]) => (now - since >= SWEEP_INTERVAL_MS ? [content] : []))
  }

  /** What was looked up holds as long as the tree does not change: what is still to go then is looked up again. */
  async #drop(ripe: readonly ContentId[], { signal }: SweepOptions): Promise<readonly ContentId[]> {
    const { uses, versions } = this.#deps
    const left = new Set(ripe)
    for (let tries = 0; left.size > 0 && tries < TRIES; tries++) {
      signal.throwIfAborted()
      const revision = uses.revision()
      const used = await uses.of(left, { signal })
      const isFree = (content: ContentId): boolean => !used.has(content) && this.#isFree(content)
      const mayGo = (content: ContentId): boolean => uses.revision() === revision && isFree(content)
      const gone = await versions.drop([...left].filter(mayGo), { signal, mayGo })
      for (const content of gone) {
        this.#marks.delete(content)
        left.delete(content)
      }
      if (uses.revision() === revision) break
    }
    return ripe.filter(content => !left.has(content))
  }

  #isFree(content: ContentId): boolean {
    return !this.#deps.uses.isWanted(content) && !this.#isTouched(content)
  }

  #isTouched(content: ContentId): boolean {
    const at = this.#touched.get(content)
    return at !== undefined && this.#deps.clock.elapsed() - at < SWEEP_INTERVAL_MS
  }

  async #tidy(versions: readonly KeptVersion[], dropped: readonly ContentId[]): Promise<void> {
    const { clock, store, held, log } = this.#deps
    const now = clock.elapsed()
    for (const [content, at] of this.#touched) if (now - at >= SWEEP_INTERVAL_MS) this.#touched.delete(content)
    if (dropped.length > 0) log.info({ versions: dropped.length }, 'kept versions went, as retention has it')
    this.#tidiedAt ??= now
    if (now - this.#tidiedAt < TIDY_INTERVAL_MS) return
    this.#tidiedAt = now
    const gone = new Set(dropped)
    const wanted = new Set(versions.flatMap(({ content }) => (gone.has(content) ? [] : [content])))
    for (const content of held()) wanted.add(content)
    await store.sweep(wanted)
  }
}

type Bounds = Pick<RetentionOptions, 'limit' | 'room'>

interface Found {
  readonly of: readonly OfFile[]
  /** By a wall clock; null: nobody knows. */
  readonly time: number | null
}

interface Changed {
  /** Contents that came or went since the last run. */
  readonly again: ReadonlySet<ContentId>
  /** For the next time. */
  readonly newest: string
  /** Newest first; and what happened shortly before them. */
  readonly entries: readonly JournalEntry[]
}

function keptAs(
  { content, occupies }: KeptVersion,
  { clock, seen: allSeen }: SweepNote,
  uses: ReadonlyMap<ContentId, string>,
): Kept {
  const seen = allSeen.get(content)
  const inUse = uses.get(content) ?? null
  if (seen === undefined) return { content, occupies, since: 0, of: [], pinned: false, inUse: inUse ?? 'it is new' }
  return { content, occupies, ...seen, pinned: isPinned(seen, clock), inUse }
}

function isPinned({ pinned }: Seen, now: number): boolean {
  return pinned !== null && now - pinned.at < PIN_MS
}

/** As people here write it. */
function minuteOf(time: number): string {
  const date = new Date(time)
  const two = (part: number): string => String(part).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`
}

function problemOf(verdicts: readonly Verdict[], { limit, room }: Bounds): Problem | null {
  const early = verdicts.filter(verdict => verdict.early).length
  if (early === 0) return null
  const most = Math.min(limit ?? Number.POSITIVE_INFINITY, room ?? Number.POSITIVE_INFINITY)
  const message = `Old versions of files go before their time (${early} now): they may take ${inWords(most)} here. Give them more (kith folder set … version-limit), or make room on this disk.`
  return { code: 'versions-full', path: '', message }
}

function inWords(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.ceil(bytes / 1e6)} MB`
}

export interface UsesDeps {
  readonly rows: () => RowTable
  readonly tree: () => Pick<TreeView, 'node'> & { readonly revision: number; nodeIds(): Iterable<NodeId> }
  /** Wanted, staged, pinned by a rewind that is not through. */
  readonly isWanted: (content: ContentId) => boolean
  /** Others get their turn. */
  readonly breathe: (options: Waiting) => Promise<void>
}

/** What this device or any other shows, or is about to: every version of every file that is not deleted, seen or hidden. */
export function usesOf({ rows, tree, isWanted, breathe }: UsesDeps): Uses {
  return {
    isWanted: content => isWanted(content) || rows().byContent(content).length > 0,
    revision: () => tree().revision,
    async of(contents, options) {
      const uses = new Map<ContentId, string>()
      for (const content of contents) {
        if (rows().byContent(content).length > 0) uses.set(content, 'this device shows it')
        else if (isWanted(content)) uses.set(content, 'it is wanted')
      }
      let left = SLICE
      for (const id of tree().nodeIds()) {
        for (const { content } of tree().node(id)?.versions ?? [])
          if (contents.has(content) && !uses.has(content)) uses.set(content, 'the folder shows it')
        if (--left > 0) continue
        left = SLICE
        await breathe(options)
      }
      return uses
    },
  }
}

export function rowContents(rows: RowTable): Set<ContentId> {
  const out = new Set<ContentId>()
  for (const { id, kind, content } of rows.all())
    if (id !== (ROOT_ROW as RowId) && kind !== 'directory') out.add(content)
  return out
}
