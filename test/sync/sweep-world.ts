// A folder's past as the product puts it together, on a disk, a database and a clock in memory. What the folder shows is a table here. Whatever
// goes is held against the ledger and against whoever needs it at that moment; the process may die at any wait.
import { expect } from 'chai'
import { contentOf, matches, singleList } from '../../src/core/content-list.ts'
import type { ContentId, DeviceId, NodeId } from '../../src/core/ids.ts'
import type { FolderNetwork } from '../../src/core/ports.ts'
import { RowTable } from '../../src/core/rows.ts'
import { DEFAULT_SETTINGS, type FolderSettings } from '../../src/core/status.ts'
import type { Revision } from '../../src/crdt/revise.ts'
import type { Cycle } from '../../src/sync/cycle.ts'
import { FolderPast } from '../../src/sync/folder-past.ts'
import { Peers } from '../../src/sync/peers.ts'
import { SweepTurn } from '../../src/sync/sweep-turn.ts'
import { silentLog } from '../p2p/loopback.ts'
import { FOLDER, fileRow, journalEntry, rootRow } from '../store/samples.ts'
import { MemoryDisk } from '../support/memory-disk.ts'
import { MemoryPerson } from '../support/memory-person.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { areaOf, MemoryVolume, mark } from '../support/memory-volume.ts'
import { type Random, seeded } from '../support/random.ts'
import { DAY, HOUR, Ledger } from './sweep-ledger.ts'

export { DAY, HOUR }

const STATE = { digest: '', needFiles: 0, needBytes: 0, settled: true, pulling: false, stopped: null }
/** Nodes of the folder that are no files of this device: others show something in them. */
const OTHERS = ['first', 'elsewhere', 'last']

class Crash extends Error {}

const nodeOf = (file: string): NodeId => file.padEnd(16) as NodeId

function nothing(): void {
  // Nobody acts.
}

export class SweepWorld {
  readonly store = new MemoryStore(FOLDER)
  readonly volume: MemoryVolume
  readonly rows = new RowTable()
  readonly ledger = new Ledger()
  readonly random: Random
  /** Node → the versions that the folder has of it. */
  readonly nodes = new Map<NodeId, ContentId[]>(OTHERS.map(name => [nodeOf(name), []]))
  readonly wants = new Set<ContentId>()
  sweepTurn = new SweepTurn()
  /** What somebody waits for, as only the product can know. */
  readonly needed = new Set<ContentId>()
  settings: FolderSettings = DEFAULT_SETTINGS
  space: { free: number; total: number } | null = null
  rejoining = false
  pulling = false
  busy = false
  refused = false
  elapsed = 0
  wall = 1_700_000_000_000
  revision = 0
  /** Whoever is linked. */
  network: FolderNetwork | null = null
  /** Others act while the product waits. */
  meanwhile: () => unknown = nothing
  past!: FolderPast
  #process = new AbortController()
  #cycle!: Cycle
  /** Running ms until which somebody relies on what this device said. */
  readonly #spoken = new Map<ContentId, number>()
  readonly #readers = new Map<ContentId, AsyncIterator<Uint8Array>>()
  readonly #bytes = new Map<ContentId, Uint8Array>()
  #used: ReadonlySet<ContentId> | null = null
  #mayGo: ReadonlySet<ContentId> = new Set()
  #crashIn = -1
  #written = 0
  #isDisturbed = false

  constructor(random: Random = seeded('directed')) {
    this.random = random
    this.volume = new MemoryVolume({ stampUs: () => this.wall * 1000 })
    mark(this.volume)
    new MemoryPerson(this.volume).write('shown', 'a disk that is there')
    this.rows.put(rootRow())
    const commit = this.store.commit.bind(this.store)
    this.store.commit = async batch => {
      this.#die()
      await commit(batch)
      if (batch.notes?.some(({ name }) => name === 'sweep') === true) this.#look()
      this.#die()
    }
  }

  get versions(): ReadonlyMap<ContentId, Uint8Array> {
    return areaOf(this.volume).versions
  }

  get limit(): number | null {
    const { versionLimit, versions } = this.settings
    return versionLimit ?? (versions === 'all' || this.space === null ? null : this.space.total / 10)
  }

  get room(): number | null {
    if (this.space === null) return null
    // A twentieth of the disk is the user's, 10 GiB at most.
    const lacking = Math.min(this.space.total / 20, 10 * 1024 ** 3) - this.space.free
    if (lacking <= 0) return null
    const taken = [...this.versions.values()].reduce((sum, { length }) => sum + length, 0)
    return Math.max(0, taken - lacking)
  }

  /** Where the folder shows it (here, elsewhere, in whatever version), and where it is on its way. */
  isUsed(content: ContentId): boolean {
    if ([...this.rows.all()].some(row => row.content === content)) return true
    if ([...this.nodes.values()].some(versions => versions.includes(content))) return true
    if (this.needed.has(content)) return true
    return this.wants.has(content) || this.#readers.has(content) || areaOf(this.volume).stage.has(content)
  }

  // ------------------------------------------------------------------------------------------------ life

  async start(): Promise<void> {
    this.#process = new AbortController()
    const { signal } = this.#process
    const pause = async (): Promise<void> => {
      await Promise.resolve()
      this.meanwhile()
      this.#die()
    }
    const disk = new MemoryDisk({ volume: this.volume, pause })
    disk.space = async () => {
      await pause()
      return this.space
    }
    const drop = disk.versions.drop.bind(disk.versions)
    disk.versions.drop = (contents, options) => {
      const mayGo = (content: ContentId): boolean => {
        if (!options.mayGo(content)) return false
        this.#check(content)
        return true
      }
      return drop(contents, { ...options, mayGo })
    }
    const { rows, nodes } = this
    const world = this
    const tree = {
      get revision() {
        return world.revision
      },
      *nodeIds() {
        world.#used ??= world.#usedNow()
        yield* nodes.keys()
        // Looked through, and a moment later it is not true any more.
        world.meanwhile()
      },
      revise: (revisions: readonly Revision[]) => {
        for (const { facts } of revisions.filter(each => each.do === 'create')) this.showElsewhere(facts.content)
        return []
      },
      node: (id: NodeId) => ({ versions: (nodes.get(id) ?? []).map(content => ({ content })) }),
    }
    const cycle = {
      replica: {
        ...{ rows, tree },
        get rejoining() {
          return world.rejoining
        },
        get pulling() {
          return world.pulling
        },
        commit: this.store.commit,
      },
      wants: this.wants,
      get busy() {
        return world.busy
      },
      get unfinished() {
        return world.busy || world.refused
      },
    }
    this.#cycle = cycle as unknown as Cycle
    this.past = new FolderPast({
      ...{ folder: FOLDER, device: 'own' as DeviceId, disk, store: this.store, random: this.random, log: silentLog },
      ...{ peers: new Peers(), network: () => this.network, cycle: () => this.#cycle, stopped: signal },
      clock: { now: () => this.wall, elapsed: () => this.elapsed, sleep: async () => undefined },
      sweepTurn: this.sweepTurn,
      ...{ name: 'my notes', nameOfDevice: () => 'the device' },
      emit: nothing,
      refusal: () => null,
      wake: () => void Promise.resolve().then(() => this.past.turn()),
      onNews: nothing,
      onUntidy: nothing,
      onDirty: nothing,
      onProblems: nothing,
    })
    await this.past.load()
    this.past.configure(this.settings)
  }

  async restart(): Promise<void> {
    this.#crashIn = -1
    this.#readers.clear()
    areaOf(this.volume).stage.clear()
    this.ledger.restarted()
    await this.start()
  }

  pass(ms: number): void {
    this.elapsed += ms
    this.wall += ms
  }

  configure(settings: Partial<FolderSettings>): void {
    this.settings = { ...this.settings, ...settings }
    this.past.configure(this.settings)
  }

  #die(): void {
    if (this.#crashIn >= 0 && this.#crashIn-- === 0) throw new Crash('the process dies')
  }

  // ------------------------------------------------------------------------------------------------ what happens

  async write(file: string, length = 10 + this.random.int(6), text = this.#textFor(file)): Promise<ContentId> {
    const bytes = Buffer.from(text.padEnd(length, '.'))
    const { content } = contentOf(bytes)
    this.#bytes.set(content, bytes)
    await this.show(file, content)
    return content
  }

  /** Now and then what was written before, there or in other files. */
  #textFor(file: string): string {
    if (this.random.chance(0.2)) return this.random.pick([`${file} again`, 'everywhere'])
    return `${file} ${++this.#written}`
  }

  /** A cycle: what the file was is kept. `tree`: the shared tree says so too. */
  async show(file: string, content: ContentId | null, { tree = true } = {}): Promise<void> {
    const before = this.rows.at(file)
    if (before?.content === content) return
    if (before !== undefined) this.#keep(file, before.content)
    const facts = (of: ContentId) => ({ content: of, size: 1, mtime: 0, mode: 0o644 })
    const was = before === undefined ? null : { path: file, facts: facts(before.content) }
    const now = content ?? before?.content
    if (now === undefined) return
    const action = content === null ? 'deleted' : was === null ? 'created' : 'edited'
    const entry = journalEntry({ time: this.wall, node: nodeOf(file), path: file, action, facts: facts(now), was })
    const list = singleList(now, this.#bytes.get(now)?.length ?? 0)
    const crashIn = this.#crashIn
    this.#crashIn = -1
    await this.store.commit({ journal: [entry], lists: [list] })
    this.#crashIn = crashIn
    this.ledger.noted(file, was === null ? [now] : [now, was.facts.content], this.wall)
    if (content === null && before !== undefined) this.rows.delete(before.id)
    else if (content !== null)
      this.rows.put({ ...fileRow(this.random, before?.id ?? this.rows.allocate()), name: file, content })
    if (!tree) return
    this.nodes.set(nodeOf(file), content === null ? [] : [content])
    this.revision++
  }

  /** The folder shows this too, on some other device: as what it has, or as one of several versions. */
  showElsewhere(content: ContentId, node = this.random.pick(OTHERS), beside: readonly ContentId[] = []): void {
    this.nodes.get(nodeOf(node))?.push(...beside, content)
    this.revision++
  }

  hideElsewhere(): void {
    for (const name of OTHERS) this.nodes.set(nodeOf(name), [])
    this.revision++
  }

  /** It is sent to another device. */
  touch(content: ContentId): void {
    this.#spoken.set(content, this.elapsed + HOUR)
    this.past.touch([content])
  }

  /** Another device is told that this one holds it. */
  async speakFor(content: ContentId): Promise<void> {
    this.#spoken.set(content, this.elapsed + HOUR)
    expect(await this.past.holds([content], this.#process)).to.deep.equal([true])
  }

  stage(content: ContentId): void {
    const whole = this.#bytes.get(content) ?? null
    areaOf(this.volume).stage.set(content, { chunks: new Map(), offsets: [], whole })
  }

  /** This device has it no more, by nobody's doing. */
  lose(content: ContentId): void {
    areaOf(this.volume).versions.delete(content)
    this.ledger.gone(content)
  }

  unstage(): void {
    areaOf(this.volume).stage.clear()
  }

  fileOf(content: ContentId): string | undefined {
    return this.ledger.versions.get(content)?.file
  }

  /** A person begins to read it, and takes as long as that takes. */
  async beginReading(content: ContentId): Promise<void> {
    if (this.#readers.has(content)) return
    const size = this.#bytes.get(content)?.length ?? 0
    const reader = this.past.archive.read(content, size, this.#process)[Symbol.asyncIterator]()
    this.#readers.set(content, reader)
    this.#spoken.set(content, this.elapsed + HOUR)
    await reader.next()
    // Read to its end, and not let go of.
    areaOf(this.volume).stage.delete(content)
  }

  async endReading(): Promise<void> {
    for (const reader of this.#readers.values()) await reader.return?.()
    this.#readers.clear()
  }

  #keep(file: string, content: ContentId): void {
    const bytes = this.#bytes.get(content)
    if (bytes === undefined) return
    areaOf(this.volume).versions.set(content, bytes)
    this.ledger.keep(content, { file, bytes: bytes.length })
  }

  /** Something of it happens in the middle of a run. */
  disturb(act: () => void): void {
    this.#isDisturbed = true
    act()
  }

  // ------------------------------------------------------------------------------------------------ a quiet moment

  /** Returns what went; null where the process died. */
  async quiet(crashIn = -1): Promise<ContentId[] | null> {
    const before = [...this.versions.keys()]
    const gone = (): ContentId[] => before.filter(content => !this.versions.has(content))
    this.#used = null
    this.#mayGo = new Set()
    this.#isDisturbed = false
    this.#crashIn = crashIn
    let died = false
    try {
      await this.past.quiet(this.#cycle, STATE)
    } catch (error) {
      if (!(error instanceof Crash)) throw error
      died = true
    }
    const dropped = gone()
    for (const content of dropped) {
      expect(this.#mayGo.has(content), 'what retention keeps is there').to.equal(true)
      this.ledger.gone(content)
    }
    const mustGo = died || this.#isDisturbed ? [] : [...this.#mayGo].filter(content => this.#isFree(content))
    for (const content of mustGo) expect(this.versions.has(content), 'what may go goes').to.equal(false)
    this.#crashIn = -1
    if (died) await this.restart()
    this.#exact()
    return died ? null : dropped
  }

  #look(): void {
    const { elapsed, wall, limit, room, settings } = this
    const used = this.#used ?? this.#usedNow()
    this.#mayGo = this.ledger.look({ elapsed, wall, used, limit, room, keepAll: settings.versions === 'all' })
  }

  #usedNow(): ReadonlySet<ContentId> {
    return new Set([...this.versions.keys()].filter(content => this.isUsed(content)))
  }

  #isFree(content: ContentId): boolean {
    return !this.isUsed(content) && (this.#spoken.get(content) ?? 0) <= this.elapsed
  }

  /** It is about to go. */
  #check(content: ContentId): void {
    expect(this.#mayGo.has(content), 'what retention keeps does not go').to.equal(true)
    expect(this.isUsed(content), 'what is in use does not go').to.equal(false)
    expect(this.#spoken.get(content) ?? 0, 'what is spoken for does not go').to.be.at.most(this.elapsed)
    expect(this.rejoining || this.pulling, 'nothing goes before it is known what belongs here').to.equal(false)
  }

  /** All that must be there is there, as it was, with its recipe. */
  #exact(): void {
    for (const content of this.ledger.versions.keys()) {
      const bytes = this.versions.get(content)
      if (bytes === undefined || !matches(content, bytes)) throw new Error('a version that must be there is not')
    }
    expect(this.versions.size).to.equal(this.ledger.versions.size)
  }

  /** Every version that must be there is brought back, as a person would. */
  async restoreAll(): Promise<number> {
    for (const content of this.ledger.versions.keys()) {
      expect(await this.store.list(content), 'its recipe').not.to.equal(null)
      const pieces: Uint8Array[] = []
      const bytes = this.#bytes.get(content) ?? new Uint8Array()
      for await (const piece of this.past.archive.read(content, bytes.length, this.#process)) pieces.push(piece)
      expect(Buffer.concat(pieces).equals(bytes), 'bit-exact').to.equal(true)
    }
    return this.ledger.versions.size
  }
}
