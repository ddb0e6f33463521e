// Verification: every file and every kept version read again and compared with its hash, and mended where that can be. `run` is a
// person's; `idle` is the same by and by, over a month of quiet moments; the drill reads some of it as a restore would.
import type { Clock } from '../core/clock.ts'
import { printable } from '../core/display.ts'
import { KithError } from '../core/errors.ts'
import type { ContentId, RowId } from '../core/ids.ts'
import { NO_CONTENT, ROOT_ROW } from '../core/ids.ts'
import type { KeptVersion, Waiting } from '../core/ports.ts'
import type { Acceptance, VerifyOutcome } from '../core/status.ts'
import type { KnownDamage } from './damage.ts'
import { type Checked, isChecked, Mender, type MenderDeps, nothingYet, type Report, type Work } from './mender.ts'
import { readsWhole } from './read-whole.ts'
import { type Drill, type LostVersion, VerifyState } from './verify-state.ts'

const MONTH_MS = 30 * 24 * 60 * 60_000
/** What a file costs beside its bytes. */
const ITEM_BYTES = 64 * 1024
const RUN_BATCH_FILES = 512
const RUN_BATCH_BYTES = 64 * 1024 * 1024
/** One piece of background work, and the most it reads a second, averaged. */
const SLICE_FILES = 256
const SLICE_BYTES = 16 * 1024 * 1024
const IDLE_BYTES_A_SECOND = 4 * 1024 * 1024
const MEND_AGAIN_MS = 10 * 60_000
const LONGEST_PAUSE_MS = 6 * 60 * 60_000
/** Of each, files and versions. */
const DRILL_ITEMS = 10
const DRILL_PAUSE_MS = 60_000
const DRILL_MAX_BYTES = 1024 * 1024 * 1024

export interface VerifierDeps extends MenderDeps {
  /** For a person's run, which goes on beside the cycles. */
  readonly alone: Work['alone']
  readonly clock: Clock
  /** [0, 1) */
  readonly random: () => number
}

export class Verifier {
  readonly #deps: VerifierDeps
  readonly #state: VerifyState
  readonly #mender: Mender
  /** What is still to be read in this round of quiet moments. */
  #rows: RowId[] | null = null
  #versions: readonly KeptVersion[] | null = null
  /** What this round found so far, since the start. */
  #round = { checked: 0, damaged: 0 }
  #nextAt = 0
  #mendAt = 0
  /** Rows whose bytes were found wrong when they were to be sent. */
  readonly #suspects = new Set<RowId>()
  #drilling: { readonly items: (Checked | KeptVersion)[]; checked: number; damaged: number } | null = null

  constructor(deps: VerifierDeps) {
    this.#deps = deps
    this.#state = new VerifyState(deps)
    this.#mender = new Mender(deps, this.#state)
  }

  /** Known damage counts from the start. */
  load(): Promise<void> {
    return this.#state.load()
  }

  /** Kept versions that were damaged and that nobody had yet. */
  get lost(): readonly LostVersion[] {
    return this.#state.note.lost
  }

  /** Retention has no use for them any more: had they been sound, they would have gone. */
  async forgetLost(contents: readonly ContentId[]): Promise<void> {
    const gone = new Set(contents)
    const lost = this.lost.filter(({ content }) => !gone.has(content))
    if (lost.length < this.lost.length) await this.#state.save({ lost })
  }

  get drill(): Drill | null {
    const { drill } = this.#state.note
    return drill.checked === 0 ? null : drill
  }

  /** Bytes that were to be sent are not what they should be. */
  suspect(row: RowId): void {
    this.#suspects.add(row)
  }

  /** Is there something to be mended, as far as it is known? */
  get hasDamage(): boolean {
    return this.#deps.damage.all().length + this.lost.length > 0
  }

  /** A device was linked, which may have what nobody had. */
  linked(): void {
    this.#mendAt = 0
  }

  async run(options: Waiting & { onProgress(checked: number, bytes: number): void }): Promise<VerifyOutcome> {
    await this.load()
    const report = nothingYet()
    const work = { signal: options.signal, alone: this.#deps.alone, mayWait: true }
    await this.#mender.mendKnown(report, work)
    for (const batch of batchesOf(this.#allRows(), RUN_BATCH_FILES, RUN_BATCH_BYTES)) {
      await this.#mender.checkFiles(batch, report, work)
      options.onProgress(report.checked, report.bytes)
    }
    for await (const some of this.#deps.disk.versions.all({ ...options, late: true })) {
      for (const version of some) {
        await this.#mender.checkVersion(version, report, work)
        options.onProgress(report.checked, report.bytes)
      }
    }
    this.#tellLost(report)
    await this.#state.save({})
    const damaged = await this.#withPaths(report.damaged)
    this.#tell({ checked: report.checked, damaged: report.damaged.length })
    const { checked, bytes } = report
    const unverified = await this.#withPaths(report.unverified.map(content => ({ path: '', content })))
    return { checked, bytes, unverified, damaged, drill: this.drill }
  }

  /** A person takes a damaged file as it is, since nobody has it sound; who has it is asked once more. */
  async accept(path: string, options: Waiting): Promise<Acceptance> {
    await this.load()
    const row = this.#deps.rows().at(path)
    if (row === undefined || !isChecked(row))
      throw new KithError('not-found', `There is no file at "${printable(path)}" on this disk.`)
    const report = nothingYet()
    const work = { signal: options.signal, alone: this.#deps.alone, mayWait: true }
    await this.#mender.checkFiles([row], report, work)
    const [found] = report.damaged
    if (found === undefined) return 'sound'
    if (found.repaired) return 'repaired'
    if (found.unreadable === true)
      throw new KithError(
        'path-unreadable',
        `"${printable(path)}" cannot be read, so there is nothing to accept: check its permissions and the disk.`,
      )
    return (await this.#mender.accept(row, path, work)) ? 'accepted' : 'sound'
  }

  /** Looks at what is suspected, and mends what can be by now, between two cycles. False: something of it is still to be done, soon. */
  async mend({ signal }: Waiting): Promise<boolean> {
    const report = nothingYet()
    const options = between(signal)
    let isThrough = false
    try {
      await this.load()
      if (this.#suspects.size > 0) await this.#checkSuspects(report, options)
      await this.#mendAgain(report, options)
      isThrough = !report.left
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      if (!isThrough) this.#mendAt = 0
    }
    return isThrough
  }

  /** One piece of background work, between two cycles, if its time has come; returns ms until the next. The signal ends it without an error. */
  async idle({ signal }: Waiting): Promise<number> {
    const { clock } = this.#deps
    const options = between(signal)
    try {
      if (!(await this.mend(options))) return 0
      const wait = this.#nextAt - clock.elapsed()
      if (wait > 0) return wait
      const report = nothingYet()
      const drilled = await this.#drillOn(options)
      const isThrough = !drilled && (await this.#slice(report, options))
      this.#round.checked += report.checked
      this.#round.damaged += report.damaged.length
      if (isThrough) {
        this.#tell(this.#round)
        this.#round = { checked: 0, damaged: 0 }
      }
      const pause = drilled ? DRILL_PAUSE_MS : this.#pauseAfter(report)
      this.#nextAt = clock.elapsed() + pause
      return pause
    } catch (error) {
      if (!signal.aborted) throw error
      return 0
    }
  }

  // ------------------------------------------------------------------------------------------------ files

  #allRows(): Checked[] {
    return [...this.#deps.rows().all()].filter(isChecked)
  }

  /** Damage that nobody could mend: a device that has it may be linked now. */
  async #mendAgain(report: Report, options: Work): Promise<void> {
    const { clock, damage, network, rows } = this.#deps
    if (!this.hasDamage || clock.elapsed() < this.#mendAt) return
    const isLinked = (network()?.peers().length ?? 0) > 0
    // What could not be read may be read again without anybody's help.
    const again = (): KnownDamage[] => damage.all().filter(({ found }) => isLinked || found === null)
    if (!isLinked && again().length === 0) return
    this.#mendAt = clock.elapsed() + MEND_AGAIN_MS
    await this.#mender.mendKnown(report, options)
    const known = again().flatMap(({ row }) => rows().get(row) ?? [])
    await this.#mender.checkFiles(known.filter(isChecked), report, options)
    await this.#state.save({})
  }

  async #checkSuspects(report: Report, options: Work): Promise<void> {
    const suspects = [...this.#suspects]
    // Taken before they are read: what is suspected meanwhile is for the next time.
    this.#suspects.clear()
    const rows = suspects.flatMap(id => this.#deps.rows().get(id) ?? []).filter(isChecked)
    try {
      await this.#mender.checkFiles(rows, report, options)
    } catch (error) {
      for (const id of suspects) this.#suspects.add(id)
      throw error
    }
  }

  // ------------------------------------------------------------------------------------------------ by and by

  /** True: the round is through. */
  async #slice(report: Report, options: Work): Promise<boolean> {
    const { at } = this.#state.note
    if ('row' in at) {
      this.#rows ??= this.#allRows()
        .map(({ id }) => id)
        .filter(id => id > at.row)
        .sort((a, b) => a - b)
      const rows = this.#rows.slice(0, SLICE_FILES).flatMap(id => this.#deps.rows().get(id) ?? [])
      const [batch] = batchesOf(rows.filter(isChecked), SLICE_FILES, SLICE_BYTES)
      const last = batch?.at(-1)?.id ?? this.#rows[SLICE_FILES - 1]
      if (batch !== undefined) await this.#mender.checkFiles(batch, report, options)
      if (last !== undefined) {
        const rest = this.#rows.filter(id => id > last)
        this.#rows = rest
        await this.#state.save({ at: rest.length > 0 ? { row: last } : { version: null } })
        return false
      }
      this.#rows = null
      await this.#state.save({ at: { version: null } })
      return false
    }
    this.#versions ??= (await this.#allVersions(options)).filter(v => at.version === null || v.content > at.version)
    const [version, ...rest] = this.#versions
    if (version !== undefined) await this.#mender.checkVersion(version, report, options)
    this.#versions = rest
    if (version !== undefined && rest.length > 0) {
      await this.#state.save({ at: { version: version.content } })
      return false
    }
    this.#rows = null
    this.#versions = null
    await this.#state.save({ at: { row: ROOT_ROW } })
    return true
  }

  async #allVersions(options: Waiting): Promise<KeptVersion[]> {
    const all: KeptVersion[] = []
    for await (const some of this.#deps.disk.versions.all(options)) all.push(...some)
    return all.sort((a, b) => (a.content < b.content ? -1 : 1))
  }

  /** As long as the same share of a month, so that a round takes one; never faster than the rate. */
  #pauseAfter({ checked, bytes }: Report): number {
    const { files, bytes: size } = this.#deps.rows().totals
    const versions = this.#versions?.length ?? 0
    const all = Math.max(1, size + (files + versions) * ITEM_BYTES)
    const cost = bytes + Math.max(1, checked) * ITEM_BYTES
    const slowest = Math.max(1_000, (bytes / IDLE_BYTES_A_SECOND) * 1000)
    return Math.max(slowest, Math.min(LONGEST_PAUSE_MS, (cost / all) * MONTH_MS))
  }

  // ------------------------------------------------------------------------------------------------ the drill

  /** True: something was read for the drill. One item at a time. */
  async #drillOn(options: Work): Promise<boolean> {
    const { clock, emit, folder } = this.#deps
    if (this.#drilling === null) {
      if (clock.now() - this.#state.note.drill.time < MONTH_MS) return false
      const files = this.#pick(this.#allRows())
      this.#drilling = { items: [...files, ...this.#pick(await this.#allVersions(options))], checked: 0, damaged: 0 }
    }
    const item = this.#drilling.items[0]
    if (item !== undefined) {
      if (!(await this.#rehearse(item, options))) this.#drilling.damaged++
      this.#drilling.checked++
      this.#drilling.items.shift()
      return true
    }
    const { checked, damaged } = this.#drilling
    this.#drilling = null
    await this.#state.save({ drill: { time: clock.now(), checked, damaged } })
    emit({ type: 'folder:drilled', folder, checked, damaged })
    return true
  }

  #pick<T extends { readonly size: number }>(from: readonly T[]): T[] {
    const rest = from.filter(({ size }) => size <= DRILL_MAX_BYTES)
    const picked: T[] = []
    while (picked.length < DRILL_ITEMS && rest.length > 0) {
      picked.push(...rest.splice(Math.floor(this.#deps.random() * rest.length), 1))
    }
    return picked
  }

  /** Reads it as a restore would. What turns out wrong is then verified like anything else, and mended. */
  async #rehearse(item: Checked | KeptVersion, options: Work): Promise<boolean> {
    const report = nothingYet()
    if ('packed' in item) {
      const place = { at: 'version', content: item.content } as const
      if (await readsWhole(this.#deps, item, place, options)) return true
      await this.#mender.checkVersion(item, report, options)
      return report.damaged.length === 0
    }
    const path = this.#deps.rows().path(item.id)
    if (path === undefined || !this.#mender.isCurrent(item)) return true
    const place = { at: 'file', path, stat: item.stat, kind: item.kind } as const
    if (await readsWhole(this.#deps, item, place, options)) return true
    await this.#mender.checkFiles([item], report, options)
    return report.damaged.length === 0
  }

  // ------------------------------------------------------------------------------------------------ what is told

  #tell(found: { readonly checked: number; readonly damaged: number }): void {
    this.#deps.emit({ type: 'folder:verified', folder: this.#deps.folder, ...found })
  }

  /** What was found before and is as lost as it was is told every time. */
  #tellLost({ damaged }: Report): void {
    const told = new Set(damaged.filter(({ version }) => version).map(({ content }) => content))
    for (const { content } of this.lost)
      if (!told.has(content)) damaged.push({ path: '', version: true, content, repaired: false })
  }

  /** A damaged version is told by the newest path that the journal has of it. */
  async #withPaths<T extends { readonly path: string; readonly content: ContentId }>(
    damaged: readonly T[],
  ): Promise<T[]> {
    const open = new Set(damaged.filter(({ path }) => path === '').map(({ content }) => content))
    const paths = new Map<ContentId, string>()
    if (open.size === 0) return [...damaged]
    for await (const { path, facts, was } of this.#deps.store.journal({})) {
      for (const standing of [{ path, facts }, was]) {
        const content = standing?.facts.content ?? NO_CONTENT
        if (standing !== null && open.has(content) && !paths.has(content)) paths.set(content, standing.path)
      }
      if (paths.size === open.size) break
    }
    return damaged.map(one => ({ ...one, path: one.path === '' ? (paths.get(one.content) ?? '') : one.path }))
  }
}

/** For what runs between two cycles already. */
function between(signal: AbortSignal): Work {
  return { signal, alone: work => work(), mayWait: false }
}

function* batchesOf(rows: readonly Checked[], most: number, mostBytes: number): Generator<Checked[], undefined> {
  let batch: Checked[] = []
  let bytes = 0
  for (const row of rows) {
    if (batch.length > 0 && (batch.length === most || bytes + row.size > mostBytes)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(row)
    bytes += row.size
  }
  if (batch.length > 0) yield batch
}
