// The sweep of versions against crashes and against what is served, fetched and restored meanwhile: random histories on a model of a folder.
// Nothing that is in use, spoken for or kept by retention may go, and what is there is bit-exact. KITH_SWEEP_HISTORIES sets how many.
import { expect } from 'chai'
import { singleContent } from '../../src/core/content.ts'
import { contentOf } from '../../src/core/content-list.ts'
import type { ContentId, DeviceId, Hash, NodeId } from '../../src/core/ids.ts'
import type { Log } from '../../src/core/log.ts'
import type { JournalEntry } from '../../src/core/past.ts'
import type { KeptVersion, Versions, Waiting } from '../../src/core/ports.ts'
import { retain } from '../../src/sync/retention.ts'
import { Sweep, type SweepOutcome } from '../../src/sync/sweep.ts'
import { decodeSweepNote } from '../../src/sync/sweep-note.ts'
import { FOLDER } from '../store/samples.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { type Random, seeded } from '../support/random.ts'
import { contentIdOf } from '../support/sim-tree.ts'

const HISTORIES = Number(process.env['KITH_SWEEP_HISTORIES'] ?? 500)
const { SEED = String(Date.now()) } = process.env
const HOUR = 3_600_000
const DAY = 24 * HOUR
const waiting = { signal: new AbortController().signal }
const log: Log = { error: no, warn: no, info: no, debug: no, child: () => log }

function no(): void {
  // Nothing is said.
}

class Crash extends Error {}

/** A folder of a few files, its kept versions, what others show of it, and whoever is at a version. */
class Model implements Pick<Versions, 'all' | 'drop'> {
  readonly store = new MemoryStore(FOLDER)
  readonly kept = new Map<ContentId, Uint8Array>()
  /** File → content: on this disk; and shown by the folder, on any device. */
  readonly rows = new Map<string, ContentId>()
  readonly shared = new Map<string, ContentId>()
  /** Versions that somebody is at, until then (running ms). */
  readonly spoken = new Map<ContentId, number>()
  /** Running ms at which each was last in use, or came. */
  readonly freed = new Map<ContentId, number>()
  readonly random: Random
  limit: number | null = null
  /** Running ms; the wall clock jumps. */
  elapsed = 0
  wall = 1_700_000_000_000
  revision = 0
  dropped = 0
  sweep: Sweep
  #written = 0
  #crashIn = -1
  /** While `run` is at work, others act. */
  meanwhile: () => void = no

  constructor(random: Random) {
    this.random = random
    this.sweep = this.#start()
  }

  #start(): Sweep {
    return new Sweep({
      store: this.store,
      versions: this,
      clock: { now: () => this.wall, elapsed: () => this.elapsed },
      log,
      uses: {
        revision: () => this.revision,
        isWanted: () => false,
        of: async contents => {
          // Answers as of now, and others act before it is heard.
          const used = [...contents].filter(content => this.inUse(content))
          await this.#pause()
          return new Map(used.map(content => [content, 'in use']))
        },
      },
      held: () => this.rows.values(),
      space: async () => null,
    })
  }

  async #pause(): Promise<void> {
    await Promise.resolve()
    this.meanwhile()
    if (this.#crashIn >= 0 && this.#crashIn-- === 0) throw new Crash('the process dies')
  }

  inUse(content: ContentId): boolean {
    return [...this.rows.values()].includes(content) || [...this.shared.values()].includes(content)
  }

  async *all(): AsyncIterable<readonly KeptVersion[]> {
    await this.#pause()
    yield [...this.kept].map(([content, bytes]) => ({
      content,
      size: bytes.length,
      occupies: bytes.length,
      packed: false,
    }))
  }

  async drop(contents: readonly ContentId[], _options: Waiting): Promise<void> {
    for (const content of contents) {
      this.mayGo(content)
      this.kept.delete(content)
      this.dropped++
      // Between any two.
      if (this.#crashIn >= 0 && this.#crashIn-- === 0) throw new Crash('the process dies')
    }
    await this.#pause()
  }

  mayGo(content: ContentId): void {
    expect(this.kept.has(content), 'it is there').to.equal(true)
    expect(this.inUse(content), 'in use').to.equal(false)
    expect(this.spoken.get(content) ?? 0, 'spoken for').to.be.at.most(this.elapsed)
    const age = this.elapsed - (this.freed.get(content) ?? 0)
    expect(age, 'marked before').to.be.at.least(HOUR)
    // What was not running counts for 24 h a start: only without a start is this exact.
    if (this.limit === null && this.starts === 0) expect(age, 'a day').to.be.at.least(DAY - HOUR)
  }

  starts = 0

  pass(ms: number): void {
    this.elapsed += ms
    this.wall += ms
    for (const content of this.rows.values()) if (this.kept.has(content)) this.freed.set(content, this.elapsed)
  }

  restart(): void {
    this.starts++
    this.sweep = this.#start()
  }

  async write(file: string): Promise<void> {
    const bytes = Buffer.from(`${file} ${this.random.chance(0.1) ? 'again' : ++this.#written}`)
    await this.show(file, contentOf(bytes).content, bytes)
  }

  /** A cycle: what the file was is kept. */
  async show(file: string, content: ContentId | null, bytes: Uint8Array | null): Promise<void> {
    const before = this.rows.get(file)
    const old = before === undefined ? undefined : this.#bytes.get(before)
    if (bytes !== null && content !== null) this.#bytes.set(content, bytes)
    if (before !== undefined && old !== undefined) {
      this.kept.set(before, old)
      this.freed.set(before, this.elapsed)
      const facts = { content: before, size: 1, mtime: 0, mode: 0o644 }
      const entry: JournalEntry = {
        time: this.wall,
        device: 'device' as DeviceId,
        action: 'deleted',
        node: file.padEnd(16) as NodeId,
        kind: 'file',
        path: file,
        facts,
        was: { path: file, facts },
      }
      await this.store.commit({ journal: [entry] })
    }
    if (content === null) this.rows.delete(file)
    else this.rows.set(file, content)
    if (content === null) this.shared.delete(file)
    else this.shared.set(file, content)
    this.revision++
  }

  readonly #bytes = new Map<ContentId, Uint8Array>()

  /** Whoever asks is told that it is here, and reads it for a while. */
  speakFor(): ContentId | null {
    if (this.kept.size === 0) return null
    const content = this.random.pick([...this.kept.keys()])
    this.sweep.touch([content])
    this.spoken.set(content, this.elapsed + HOUR)
    return content
  }

  /** As restored: bit-exact. */
  exact(content: ContentId): void {
    const bytes = this.kept.get(content)
    if (bytes === undefined) throw new Error('a version that is to be there is gone')
    if (contentIdOf(bytes) !== content) throw new Error('a version is not what it was')
  }

  async run(crashIn: number): Promise<SweepOutcome | null> {
    this.#crashIn = crashIn
    const settings = { versions: 'standard', versionLimit: this.limit } as const
    try {
      return await this.sweep.run({ ...waiting, settings })
    } catch (error) {
      if (!(error instanceof Crash)) throw error
      this.restart()
      return null
    } finally {
      this.#crashIn = -1
    }
  }

  /** All that retention keeps, by what the sweep remembers, is there bit-exact. */
  async check(mustHave: ReadonlySet<ContentId>): Promise<void> {
    for (const content of mustHave) if (!this.inUse(content)) this.exact(content)
    for (const content of this.kept.keys()) this.exact(content)
  }

  async retained(): Promise<Set<ContentId>> {
    const note = decodeSweepNote(await this.store.note('sweep'))
    const kept = [...this.kept].flatMap(([content, bytes]) => {
      const seen = note.seen.get(content)
      return seen === undefined
        ? []
        : [{ content, occupies: bytes.length, ...seen, inUse: this.inUse(content) ? 'in use' : null }]
    })
    const verdicts = retain(kept, { now: note.clock, limit: this.limit, keepAll: false })
    return new Set(verdicts.flatMap(({ content, keep }) => (keep ? [content] : [])))
  }
}

const FILES = ['a', 'b', 'c']

async function play(seed: string): Promise<number> {
  const random = seeded(seed)
  const model = new Model(random)
  if (random.chance(0.4)) model.limit = 5 + random.int(40)
  for (let left = 25; left > 0; left--) {
    const file = random.pick(FILES)
    const x = random()
    if (x < 0.35) await model.write(file)
    else if (x < 0.42) await model.show(file, null, null)
    else if (x < 0.55) {
      // A restore: announced, read, and then the folder shows it.
      const content = model.speakFor()
      if (content !== null) {
        model.pass(random.int(HOUR))
        await model.run(-1)
        model.exact(content)
        await model.show(file, content, model.kept.get(content) ?? null)
      }
    } else if (x < 0.6) model.restart()
    else if (x < 0.63) model.wall += random.pick([-1, 1]) * random.int(400 * DAY)
    model.pass(random.pick([0, HOUR / 2, HOUR, 5 * HOUR, DAY, 30 * DAY]))
    if (random.chance(0.3)) model.speakFor()
    let acts = random.int(3)
    model.meanwhile = () => {
      if (acts-- <= 0 || !random.chance(0.5)) return
      // Another device begins to show a version, or asks for it.
      const kept = [...model.kept.keys()]
      if (random.chance(0.5)) model.speakFor()
      else if (kept.length > 0) {
        model.shared.set('elsewhere', random.pick(kept))
        model.revision++
      }
    }
    await model.run(random.chance(0.3) ? random.int(6) : -1)
    if (random.chance(0.5)) {
      model.pass(HOUR)
      await model.run(random.chance(0.3) ? random.int(6) : -1)
    }
    await model.check(await model.retained())
    model.meanwhile = no
    if (random.chance(0.2)) model.shared.delete('elsewhere')
  }
  return model.dropped
}

describe('the sweep of versions', () => {
  it(`× crash × serving, fetching and restoring: ${HISTORIES} random histories (I27)`, async function () {
    this.timeout(60_000 + HISTORIES * 20)
    console.log(`      seed ${SEED}`)
    let dropped = 0
    for (let at = 0; at < HISTORIES; at++) {
      try {
        dropped += await play(`${SEED}/${at}`)
      } catch (error) {
        throw new Error(`history ${at} of SEED=${SEED}: ${String(error)}`, { cause: error })
      }
    }
    console.log(`      ${dropped} versions went`)
    expect(dropped).to.be.greaterThan(HISTORIES / 2)
  })

  async function aged(): Promise<{ model: Model; old: ContentId }> {
    const model = new Model(seeded('directed'))
    await model.write('a')
    const old = [...model.rows.values()][0] ?? singleContent(''.padEnd(32) as Hash)
    await model.write('a')
    model.pass(1)
    await model.run(-1)
    return { model, old }
  }

  it('marks first, and drops an hour later', async () => {
    const { model, old } = await aged()
    model.pass(366 * DAY)
    expect(await model.run(-1)).to.deep.include({ marked: 1, dropped: [] })
    model.pass(HOUR - 1)
    expect(await model.run(-1)).to.deep.include({ dropped: [] })
    model.pass(1)
    expect(await model.run(-1)).to.deep.include({ marked: 0, dropped: [old], kept: 0 })
  })

  it('a clock that jumped lets nothing go', async () => {
    const { model, old } = await aged()
    for (let day = 0; day < 20; day++) {
      model.wall += 400 * DAY
      if (day % 10 === 0) model.restart()
      model.pass(HOUR)
      expect(await model.run(-1)).to.deep.include({ dropped: [] })
    }
    model.exact(old)
  })

  it('what was not running counts for a day a start', async () => {
    const { model } = await aged()
    for (let start = 0; start < 364; start++) {
      model.wall += 3 * DAY
      model.restart()
      expect(await model.run(-1)).to.deep.include({ marked: 0 })
    }
    model.wall += 3 * DAY
    model.restart()
    expect(await model.run(-1)).to.deep.include({ marked: 1 })
  })

  it('says when versions go before their time, and how much room they have', async () => {
    const { model } = await aged()
    expect((await model.run(-1))?.problem).to.equal(null)
    model.limit = 1
    model.pass(HOUR)
    const problem = (await model.run(-1))?.problem
    expect(problem?.code).to.equal('versions-full')
    expect(problem?.message).to.match(
      /^Old versions of files go before their time \(1 now\): they may take 1 MB here\./,
    )
  })

  it('a version that was restored and replaced again between two runs is young again', async () => {
    const { model, old } = await aged()
    model.pass(366 * DAY)
    await model.run(-1)
    const now = model.rows.get('a') ?? null
    await model.show('a', old, model.kept.get(old) ?? null)
    model.pass(HOUR / 2)
    await model.show('a', now, Buffer.from('a 2'))
    model.pass(HOUR / 2)
    expect(await model.run(-1)).to.deep.include({ marked: 0, dropped: [] })
    model.exact(old)
  })

  it('looks again where the folder changed while it was looked through', async () => {
    const { model, old } = await aged()
    model.pass(366 * DAY)
    await model.run(-1)
    model.pass(HOUR)
    let pauses = 0
    // All versions are listed, looked up, and then looked up again for the drop.
    model.meanwhile = () => {
      if (++pauses !== 3) return
      model.shared.set('elsewhere', old)
      model.revision++
    }
    expect(await model.run(-1)).to.deep.include({ dropped: [] })
    expect(pauses).to.equal(4)
    model.exact(old)
  })

  it('counts a version from when it is not in use any more', async () => {
    const { model, old } = await aged()
    model.shared.set('elsewhere', old)
    model.revision++
    model.pass(400 * DAY)
    await model.run(-1)
    model.shared.delete('elsewhere')
    model.revision++
    for (let hours = 0; hours < 23; hours++) {
      model.pass(HOUR)
      expect(await model.run(-1)).to.deep.include({ marked: 0 })
    }
  })
})
