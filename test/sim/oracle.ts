// What must be true at every quiet point, of every history. It knows what people wrote, and what they overwrote or deleted with it
// before their eyes; everything else must be there, once the world is at rest, the same everywhere, and nothing more. The names I…
// are the invariants of the design that a check stands for.
import { hasDot } from '../../src/core/entry.ts'
import type { ContentId, NodeId } from '../../src/core/ids.ts'
import { ROOT_NODE, ROOT_ROW } from '../../src/core/ids.ts'
import type { Row, RowTable } from '../../src/core/rows.ts'
import type { Shown } from '../../src/core/status.ts'
import { fullProjection } from '../crdt/support/full-projection.ts'
import { render, snapshots } from '../crdt/support/replica.ts'
import { statOf } from '../support/memory-volume.ts'
import type { SimDevice } from '../support/sim-device.ts'
import { agreedPath, contentIdOf, heldContents, loadStored, type Stored } from '../support/sim-tree.ts'
import type { SimWorld } from '../support/sim-world.ts'
import type { Words } from './user-actions.ts'

const WORD = /w\d+w/g
/** ` (conflict 2026-01-05 12-00-00 anna-x1y2)`, ` (3fa9c1)`, ` (parked 1)`. */
const SUFFIX = / \((?:conflict \d{4}-\d\d-\d\d \d\d-\d\d-\d\d [\w.-]+|[0-9a-f]{6,32}|parked \d+)\)/g

/** One entry of a disk: its path as all devices agree on it, and a line that says all that must be equal. */
export interface DiskLine {
  readonly path: string
  readonly line: string
  /** Null of a directory. */
  readonly content: ContentId | null
}

/**
 * Nodes of which a version is wanted that nobody has any more: edited and then deleted by its only holder, while another device's unseen
 * touch kept the node. Where such a version is to have the name, the copies beside it wait for it where they stand, on each disk where it had
 * them.
 */
interface Hopeless {
  readonly nodes: ReadonlySet<NodeId>
  /** Of all versions of these nodes. */
  readonly contents: ReadonlySet<ContentId>
}

export class Oracle implements Words {
  readonly #world: SimWorld
  readonly #written = new Map<string, string>()
  readonly #disposed = new Map<string, string>()
  readonly #contents = new Set<ContentId>()
  readonly #lines = new Set<string>()
  readonly #names = new Set<string>()
  readonly #wordsOf = new Map<Uint8Array, readonly string[]>()
  readonly #noted = new Set<Uint8Array>()
  /** Words that no disk showed when all were at rest. */
  readonly #gone = new Set<string>()
  /** What each daemon took off its disk and must therefore keep. */
  readonly #replaced = new Map<SimDevice, Set<ContentId>>()
  #lastWord = 0
  #rests = 0
  counts = { contents: 0, copies: 0, merged: 0, unavailable: 0, kept: 0, cycles: 0, revived: 0 }

  constructor(world: SimWorld) {
    this.#world = world
  }

  next(): string {
    return `w${++this.#lastWord}w`
  }

  /** Did a person overwrite or delete it before their eyes? */
  isDisposed(word: string): boolean {
    return this.#disposed.has(word)
  }

  /** Listens to what the person at this device disposes of, and to what its daemon takes off the disk. */
  watch(device: SimDevice): void {
    device.person.onDisposed = (bytes, by) => {
      const left = new Set(by === null ? [] : this.#words(by))
      for (const word of this.#words(bytes)) if (!left.has(word)) this.#disposed.set(word, device.name)
    }
    const replaced = new Set<ContentId>()
    this.#replaced.set(device, replaced)
    device.onReplaced = bytes => replaced.add(contentIdOf(bytes))
    // Both the taking and the keeping may be undone, but not the keeping alone.
    device.onPowerCut = () => {
      if (device.person.unmounted) return
      const held = heldContents(device)
      for (const content of replaced) {
        if (!held.has(content)) throw new Error(`I11: a power cut lost what ${device.name} had to keep`)
        if (device.volume.root?.kith?.versions.has(content) !== true) replaced.delete(content)
      }
    }
  }

  /** A disk becomes an old copy of itself: who does that lets go of what was written since, and may bring back what was gone. */
  async replacesDisk(device: SimDevice, replace: () => void): Promise<void> {
    const before = this.#shownWords(device)
    const unseen = await this.#unseenWords(device)
    replace()
    const after = this.#shownWords(device)
    for (const word of before)
      if (!after.has(word) || unseen.has(word)) this.#disposed.set(word, `${device.name}, by a restored disk`)
    for (const word of after) this.#gone.delete(word)
    this.#replaced.get(device)?.clear()
  }

  /** A database is lost: what it alone could tell from the past is let go of, and stays a kept version. */
  async losesDatabase(device: SimDevice): Promise<void> {
    for (const word of await this.#unseenWords(device)) this.#disposed.set(word, `${device.name}, by a lost database`)
  }

  /**
   * Words that the daemon published as deleted from where they were and never saw where they stand now (its watcher lost that). A disk that is
   * put back over them takes the last that anybody could know of them, and shows them where they are known to be gone; with the database
   * goes what tells them from an old copy of the disk.
   */
  async #unseenWords(device: SimDevice): Promise<Set<string>> {
    const rows = await device.database.loadRows()
    const deleted = new Set<ContentId>()
    for await (const { action, facts } of device.database.journal({}))
      if (action === 'deleted') deleted.add(facts.content)
    const unseen = new Set<string>()
    const seen = new Set<string>()
    for (const { path, inode } of device.volume.all()) {
      if (inode.kind === 'directory') continue
      const content = contentIdOf(inode.data)
      const into = deleted.has(content) && rows.at(path)?.content !== content ? unseen : seen
      for (const word of this.#words(inode.data)) into.add(word)
    }
    for (const word of seen) unseen.delete(word)
    return unseen
  }

  /** Takes in what a person just put on the disk. */
  noteWritten(device: SimDevice, what: string): void {
    for (const { inode, name } of device.volume.all()) {
      // A person may spell a suffix in capitals, too: then it is a part of the name.
      this.#names.add(nameKey(name)).add(nameKey(name.replace(SUFFIX, '')))
      if (inode.kind === 'directory' || this.#noted.has(inode.data)) continue
      this.#noted.add(inode.data)
      this.counts.contents++
      this.#contents.add(contentIdOf(inode.data))
      for (const line of linesOf(inode.data)) this.#lines.add(line)
      for (const word of this.#words(inode.data)) {
        if (!this.#written.has(word)) this.#written.set(word, `${device.name}: ${what}`)
      }
    }
  }

  /** What stands on the disks now was there before the person's next action: seen, but not written by them. */
  seen(device: SimDevice): void {
    for (const { inode } of device.volume.all()) if (inode.kind !== 'directory') this.#noted.add(inode.data)
  }

  /** What this disk shows, sorted, as all devices must agree on it. */
  shown(device: SimDevice): DiskLine[] {
    const folded = this.#folded
    const out: DiskLine[] = []
    for (const { path, inode } of device.volume.all()) {
      const shown = agreedPath(path, folded)
      const content = inode.kind === 'directory' ? null : contentIdOf(inode.data)
      out.push({ path: shown, line: `${shown} ${lineOf(inode.kind, content ?? '')}`, content })
    }
    return out.sort((a, b) => (a.line < b.line ? -1 : a.line > b.line ? 1 : 0))
  }

  /** At rest: throws what is wrong. */
  async check(): Promise<void> {
    const { devices } = this.#world
    const digests = new Set(devices.map(device => device.engine.state().digest))
    if (digests.size > 1) throw new Error('I1: the documents differ')
    // They are the same documents: one device's are loaded afresh, each time another's.
    const loaded = devices[this.#rests++ % devices.length]
    if (loaded === undefined) return
    const { tree, shown } = await loadStored(loaded)
    const held = new Set(devices.flatMap(device => [...heldContents(device)]))
    const hopeless = this.#hopeless(shown, held)
    const rows = new Map<SimDevice, RowTable>()
    for (const device of devices) rows.set(device, await device.database.loadRows())
    const waiting = new Map([...rows].map(([device, table]) => [device, this.#waiting(table, hopeless)]))
    this.#sameTrees(shown, hopeless, waiting)
    for (const [device, table] of rows) {
      const disk = this.#diskOf(device)
      for (const path of waiting.get(device) ?? []) disk.delete(path)
      this.#asShared(device, shown, disk, hopeless)
      this.#rowsAgree(device, { tree, rows: table, shown }, hopeless)
      this.#sameLive(device, shown)
      if (device.engine.state().stopped !== null) throw new Error(`${device.name} says that it stands still`)
      this.#nothingLeftOver(device, shown, { held, hopeless })
    }
    this.#count(tree, shown)
    if (render(tree) !== fullProjection(snapshots(tree)))
      throw new Error('I5: the incremental projection is not the full one')
    this.#nothingLost(this.#wordsAt(waiting))
    this.#nothingInvented()
    this.#nothingBack()
    this.#versionsKept()
  }

  /** What histories must make happen to be worth their time. */
  #count(tree: Stored['tree'], shown: readonly Shown[]): void {
    for (const { entry } of shown) {
      if (entry.kind !== 'directory') continue
      const nodes = entry.nodes.flatMap(id => tree.node(id) ?? [])
      if (nodes.every(({ versions }) => versions.length === 0)) this.counts.revived++
      const asked = nodes[0]?.placement?.parent
      if (asked !== undefined && asked !== ROOT_NODE && tree.primaryOf(asked) !== entry.directory) this.counts.cycles++
    }
  }

  get #folded(): boolean {
    return this.#world.devices.some(device => device.options.foldsCase === true)
  }

  #hopeless(shown: readonly Shown[], held: ReadonlySet<ContentId>): Hopeless {
    const files = shown.filter(({ entry }) => entry.kind !== 'directory')
    const nodes = new Set(
      files.filter(({ entry }) => !held.has(entry.facts.content)).flatMap(({ entry }) => entry.nodes),
    )
    this.counts.unavailable += nodes.size
    const theirs = files.filter(({ entry }) => entry.nodes.some(id => nodes.has(id)))
    return { nodes, contents: new Set(theirs.map(({ entry }) => entry.facts.content)) }
  }

  /** Where a device still shows an older version of what is hopeless, perhaps at an older name. */
  #waiting(rows: RowTable, { nodes }: Hopeless): Set<string> {
    const paths = new Set<string>()
    if (nodes.size === 0) return paths
    for (const row of rows.all()) {
      const path = rows.path(row.id)
      if (path !== undefined && row.kind !== 'directory' && row.nodes.some(ref => nodes.has(ref.id)))
        paths.add(agreedPath(path, this.#folded))
    }
    return paths
  }

  /** I1, but for what is hopeless. */
  #sameTrees(
    shown: readonly Shown[],
    { nodes, contents }: Hopeless,
    waiting: ReadonlyMap<SimDevice, ReadonlySet<string>>,
  ): void {
    const gone = new Set<string>()
    for (const { path, entry } of shown)
      if (entry.nodes.some(id => nodes.has(id))) gone.add(agreedPath(path, this.#folded))
    const [first, ...rest] = this.#world.devices.map(device => ({
      device,
      tree: this.shown(device)
        .filter(({ path, content }) => !gone.has(path) && (content === null || !contents.has(content)))
        .filter(({ path }) => waiting.get(device)?.has(path) !== true)
        .map(({ line }) => line)
        .join('\n'),
    }))
    for (const other of rest) {
      if (other.tree !== first?.tree)
        throw new Error(
          `I1: the trees of ${first?.device.name} and ${other.device.name} differ\n${this.#world.picture()}`,
        )
    }
  }

  #diskOf(device: SimDevice): Map<string, string> {
    const disk = new Map<string, string>()
    for (const { path, inode } of device.volume.all()) {
      const content = inode.kind === 'directory' ? '' : contentIdOf(inode.data)
      disk.set(agreedPath(path, this.#folded), lineOf(inode.kind, content))
    }
    return disk
  }

  /** The disk shows what the documents show, but for contents that no device has any more. */
  #asShared(device: SimDevice, shown: readonly Shown[], disk: Map<string, string>, hopeless: Hopeless): void {
    for (const { path, entry } of shown) {
      const key = agreedPath(path, this.#folded)
      const there = disk.get(key)
      disk.delete(key)
      const { kind, facts } = entry
      if (there === lineOf(kind, facts.content) || entry.nodes.some(id => hopeless.nodes.has(id))) continue
      throw new Error(`${device.name} does not show ${kind} ${path} as the documents do\n${this.#world.picture()}`)
    }
    const waiting = new Set([...hopeless.contents].flatMap(id => [lineOf('file', id), lineOf('symlink', id)]))
    const more = [...disk].find(([, line]) => !waiting.has(line))?.[0]
    if (more !== undefined)
      throw new Error(`${device.name} shows ${more}, which is not in the documents\n${this.#world.picture()}`)
  }

  /** SYNCED = LOCAL = SHARED: a row for each entry, with its content, its dots and what the disk shows. */
  #rowsAgree(device: SimDevice, { tree, rows, shown }: Stored, hopeless: Hopeless): void {
    const byPath = new Map<string, Row>()
    for (const row of rows.all()) {
      const path = rows.path(row.id)
      if (path === undefined) throw new Error(`${device.name} has a row ${row.name} without a directory`)
      if (row.id !== ROOT_ROW) byPath.set(agreedPath(path, this.#folded), row)
    }
    if (byPath.size !== rows.size - 1) throw new Error(`${device.name} has two rows of one name`)
    for (const { path, entry } of shown) {
      const key = agreedPath(path, this.#folded)
      const row = byPath.get(key)
      byPath.delete(key)
      if (entry.nodes.some(id => hopeless.nodes.has(id))) continue
      if (row === undefined) throw new Error(`${device.name} has no row for ${path}`)
      const inode = device.volume.at(rows.path(row.id) ?? '')
      if (row.kind !== entry.kind || row.content !== entry.facts.content || row.copy !== entry.copy)
        throw new Error(`${device.name}: the row of ${path} says something else than the documents`)
      if (inode === null || (row.kind !== 'directory' && JSON.stringify(statOf(inode)) !== JSON.stringify(row.stat)))
        throw new Error(`${device.name}: the row of ${path} says something else than the disk`)
      const refs = tree.refsOf(entry)
      const same =
        refs.length === row.nodes.length &&
        refs.every((ref, at) => {
          const own = row.nodes[at]
          const dots = own?.versions.map(v => v.dot) ?? []
          return (
            own?.id === ref.id && dots.length === ref.versions.length && ref.versions.every(v => hasDot(dots, v.dot))
          )
        })
      if (!same) throw new Error(`${device.name}: the row of ${path} names other writes than it shows`)
    }
    const more = [...byPath].find(
      ([, row]) => !hopeless.contents.has(row.content) && !row.nodes.some(ref => hopeless.nodes.has(ref.id)),
    )?.[0]
    if (more !== undefined) throw new Error(`${device.name} has a row for ${more}, which is not in the documents`)
  }

  /** I5, I7: what the running engine shows is what a fresh load shows. */
  #sameLive(device: SimDevice, shown: readonly Shown[]): void {
    const text = (all: Iterable<Shown>): string =>
      [...all]
        .map(({ path, entry }) => `${path} ${JSON.stringify(entry)}`)
        .sort()
        .join('\n')
    if (text(device.engine.entries()) !== text(shown))
      throw new Error(`I7: ${device.name} shows something else than a fresh load`)
  }

  /**
   * I2, I3 and the safety invariants I1, I2, I4, I15, I16: what nobody disposed of is in every tree. `older`: shown on some device in the
   * place of what is hopeless; another, whose disk was put back to it, may keep it as a version.
   */
  #nothingLost(older: ReadonlySet<string>): void {
    for (const device of this.#world.devices) {
      const shown = this.#shownWords(device)
      for (const [word, origin] of this.#written) {
        if (shown.has(word) || this.#disposed.has(word) || (older.has(word) && this.#keeps(device, word))) continue
        throw new Error(
          `${word} is lost on ${device.name} (written by ${origin})${this.#keptBy(word)}\n${this.#world.picture()}`,
        )
      }
    }
  }

  #wordsAt(paths: ReadonlyMap<SimDevice, ReadonlySet<string>>): Set<string> {
    const words = new Set<string>()
    for (const [device, at] of paths) {
      if (at.size === 0) continue
      for (const { path, inode } of device.volume.all())
        if (inode.kind !== 'directory' && at.has(agreedPath(path, this.#folded)))
          for (const word of this.#words(inode.data)) words.add(word)
    }
    return words
  }

  #shownWords(device: SimDevice): Set<string> {
    const shown = new Set<string>()
    for (const { inode } of device.volume.all())
      if (inode.kind !== 'directory') for (const word of this.#words(inode.data)) shown.add(word)
    return shown
  }

  #keeps(device: SimDevice, word: string): boolean {
    return [...(device.volume.root?.kith?.versions.values() ?? [])].some(bytes => this.#words(bytes).includes(word))
  }

  #keptBy(word: string): string {
    const holders = this.#world.devices.filter(device => this.#keeps(device, word))
    return holders.length === 0 ? '' : `, a kept version on ${holders.map(device => device.name).join(', ')}`
  }

  /** Safety I17: what was gone from every disk when all were at rest does not come back by itself. */
  #nothingBack(): void {
    const shown = new Set<string>()
    for (const device of this.#world.devices) for (const word of this.#shownWords(device)) shown.add(word)
    for (const word of shown)
      if (this.#gone.has(word)) throw new Error(`I17: ${word} was gone, and is back\n${this.#world.picture()}`)
    for (const word of this.#written.keys()) if (!shown.has(word)) this.#gone.add(word)
  }

  #nothingInvented(): void {
    for (const device of this.#world.devices) {
      for (const { inode, name, path } of device.volume.all()) {
        if (!this.#names.has(nameKey(name.replace(SUFFIX, ''))))
          throw new Error(`invented name ${path} on ${device.name}`)
        if (name.match(SUFFIX) !== null) this.counts.copies++
        if (inode.kind === 'directory' || this.#contents.has(contentIdOf(inode.data))) continue
        const strange = inode.kind === 'file' ? linesOf(inode.data).filter(line => !this.#lines.has(line)) : [path]
        if (strange.length > 0) throw new Error(`invented content in ${path} on ${device.name}: ${strange.join(' | ')}`)
        this.counts.merged++
      }
    }
  }

  #nothingLeftOver(
    device: SimDevice,
    shown: readonly Shown[],
    { held, hopeless }: { held: ReadonlySet<ContentId>; hopeless: Hopeless },
  ): void {
    const kith = device.volume.root?.kith ?? null
    if (kith === null) throw new Error(`${device.name} has no .kith`)
    if (kith.parked.size > 0) throw new Error(`${device.name} left ${[...kith.parked.keys()].join(', ')} parked`)
    if (device.leftParked.length > 0)
      throw new Error(`a plan of ${device.name} left ${device.leftParked.join(', ')} parked`)
    // Still wanted, and nobody has it (begun), or the other half of what it is to be merged with: kept for the day when somebody does.
    const wanted = new Set(shown.map(({ entry }) => entry.facts.content).filter(content => !held.has(content)))
    const left = [...kith.stage].filter(
      ([content, { whole }]) => !hopeless.contents.has(content) && (whole !== null || !wanted.has(content)),
    )
    if (left.length > 0) throw new Error(`${device.name} left ${left.length} contents staged`)
  }

  /** Safety I11: whatever the daemon replaced or deleted is kept, under the name of its content. */
  #versionsKept(): void {
    for (const [device, replaced] of this.#replaced) {
      const versions = device.volume.root?.kith?.versions
      for (const content of replaced)
        if (versions?.has(content) !== true) throw new Error(`I11: ${device.name} did not keep what it replaced`)
      for (const [content, bytes] of versions ?? [])
        if (contentIdOf(bytes) !== content) throw new Error(`I11: ${device.name} keeps a version under another name`)
      this.counts.kept += replaced.size
    }
  }

  #words(bytes: Uint8Array): readonly string[] {
    let words = this.#wordsOf.get(bytes)
    if (words === undefined) {
      words = Buffer.from(bytes).toString('latin1').match(WORD) ?? []
      this.#wordsOf.set(bytes, words)
    }
    return words
  }
}

function lineOf(kind: string, content: string): string {
  return `${kind} ${Buffer.from(content, 'latin1').toString('hex')}`
}

function linesOf(bytes: Uint8Array): string[] {
  if (bytes.includes(0)) return []
  return Buffer.from(bytes)
    .toString('utf8')
    .replace(/^\ufeff/, '')
    .split('\n')
    .map(line => line.replace(/\r$/, ''))
}

function nameKey(name: string): string {
  return name.normalize('NFC').toLowerCase()
}
