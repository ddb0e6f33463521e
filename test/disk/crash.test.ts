// A crash between any two acts of a publish leaves every path old or new, never nothing, never half, and the old content somewhere:
// each step is run once for every act it has, dying there; then the folder is recovered and looked at.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, linkSync, lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import type { ContentId } from '../../src/core/ids.ts'
import { NO_CONTENT } from '../../src/core/ids.ts'
import type { DiskStep, Move, Stat } from '../../src/core/ports.ts'
import type { Seal } from '../../src/disk/area.ts'
import { areaPath, contentName, sealOf } from '../../src/disk/area.ts'
import { identityOf } from '../../src/disk/beneath.ts'
import { opened } from '../../src/disk/envelope.ts'
import { type PublishReplies, type PublishTask, publish } from '../../src/disk/publish-worker.ts'
import { stageWork } from '../../src/disk/stage-work.ts'
import { statOf } from '../../src/disk/stat.ts'
import { dyingAt, meddlingAt } from './crash-fs.ts'
import { RealPerson, temporaryRoot } from './real-person.ts'

const OLD = 'old content'
const NEW = 'new content'
const USER = 'what the user wrote'
const idOf = (text: string): ContentId => contentOf(Buffer.from(text)).content

class World {
  readonly root = temporaryRoot()
  readonly person = new RealPerson(this.root)
  readonly seals = new Map<ContentId, Seal>()

  get at(): { path: string; identity: { dev: bigint; ino: bigint } } {
    return { path: this.root, identity: identityOf(this.root) }
  }

  async do<T extends PublishTask>(task: T): Promise<PublishReplies[T['do']]> {
    return opened((await publish(task)) as never)
  }

  recover(moves: readonly Move[] = []): Promise<PublishReplies['recover']> {
    return this.do({ do: 'recover', running: 'none-', root: this.at, moves })
  }

  apply(steps: DiskStep[]): Promise<PublishReplies['apply']> {
    return this.do({ do: 'apply', root: this.at, steps, seals: this.seals, last: true })
  }

  stage(text: string): ContentId {
    const bytes = Buffer.from(text)
    const content = idOf(text)
    const task = { do: 'stage-whole', root: this.at, items: [{ content, length: bytes.length }], bytes } as const
    const [seal] = stageWork(task) as (Seal | null)[]
    if (!seal) throw new Error('not staged')
    this.seals.set(content, seal)
    return content
  }

  stat(path: string): Stat {
    return statOf(lstatSync(join(this.root, path), { bigint: true }))
  }

  version(text: string): string | null {
    const path = areaPath(this.root, 'versions', contentName(idOf(text)))
    return existsSync(path) ? readFileSync(path, 'utf8') : null
  }

  /** Path → text of every user's file; null for directories. */
  tree(directory = ''): Record<string, string | null> {
    const out: Record<string, string | null> = {}
    for (const entry of readdirSync(join(this.root, directory), { withFileTypes: true })) {
      const path = directory === '' ? entry.name : `${directory}/${entry.name}`
      if (entry.name === '.kith') continue
      out[path] = entry.isDirectory() ? null : readFileSync(join(this.root, path), 'utf8')
      if (entry.isDirectory()) Object.assign(out, this.tree(path))
    }
    return out
  }

  close(): void {
    rmSync(this.root, { recursive: true, force: true })
  }
}

interface Case {
  readonly name: string
  prepare(world: World): DiskStep[]
  /** Trees that may be there after the crash and recovery. */
  readonly allowed: readonly Record<string, string | null>[]
  /** Contents that must be in the tree or in versions, whole. */
  readonly never: readonly string[]
}

const put = (world: World, path: string, expected: Stat | null, mode = 0o644): DiskStep => ({
  do: 'put',
  path,
  kind: 'file',
  content: world.stage(NEW),
  mode,
  mtime: 1_600_000_000_000,
  expect: expected,
  expectContent: expected === null ? NO_CONTENT : idOf(OLD),
  keep: false,
})

const CASES: Case[] = [
  {
    name: 'a new file',
    prepare: world => [put(world, 'f', null)],
    allowed: [{}, { f: NEW }],
    never: [],
  },
  {
    name: 'a replacement',
    prepare(world) {
      world.person.write('f', OLD)
      return [put(world, 'f', world.stat('f'))]
    },
    allowed: [{ f: OLD }, { f: NEW }],
    never: [OLD],
  },
  {
    name: 'a replacement of a file with two names',
    prepare(world) {
      world.person.write('f', OLD)
      hardLink(world, 'f', 'g')
      return [put(world, 'f', world.stat('f'))]
    },
    allowed: [
      { f: OLD, g: OLD },
      { f: NEW, g: OLD },
    ],
    never: [OLD],
  },
  {
    name: 'a delete',
    prepare(world) {
      world.person.write('f', OLD)
      return [{ do: 'remove', path: 'f', kind: 'file', expect: world.stat('f'), content: idOf(OLD) }]
    },
    allowed: [{ f: OLD }, {}],
    never: [OLD],
  },
  {
    name: 'a move of a file',
    prepare(world) {
      world.person.write('f', OLD)
      world.person.mkdir('d')
      return [{ do: 'move', path: 'f', kind: 'file', expect: world.stat('f'), to: 'd/g' }]
    },
    // Both names for a moment, which its recovery ends.
    allowed: [
      { f: OLD, d: null },
      { d: null, 'd/g': OLD },
    ],
    never: [OLD],
  },
  {
    name: 'a swap of two directories',
    prepare(world) {
      world.person.mkdir('a')
      world.person.mkdir('b')
      world.person.write('a/f', OLD)
      world.person.write('b/g', 'other')
      return [
        { do: 'park', path: 'a', kind: 'directory', expect: world.stat('a'), token: 't' },
        { do: 'move', path: 'b', kind: 'directory', expect: world.stat('b'), to: 'a' },
        { do: 'unpark', token: 't', kind: 'directory', to: 'b' },
      ]
    },
    allowed: [
      { a: null, 'a/f': OLD, b: null, 'b/g': 'other' },
      { 'a (kept 1)': null, 'a (kept 1)/f': OLD, a: null, 'a/g': 'other' },
      { b: null, 'b/f': OLD, a: null, 'a/g': 'other' },
    ],
    never: [OLD, 'other'],
  },
  {
    name: 'a file that becomes a directory',
    prepare(world) {
      world.person.write('f', OLD)
      return [
        { do: 'remove', path: 'f', kind: 'file', expect: world.stat('f'), content: idOf(OLD) },
        { do: 'mkdir', path: 'f', mode: 0o755 },
        put(world, 'f/g', null),
      ]
    },
    allowed: [{ f: OLD }, {}, { f: null }, { f: null, 'f/g': NEW }],
    never: [OLD],
  },
]

function hardLink(world: World, from: string, to: string): void {
  linkSync(join(world.root, from), join(world.root, to))
}

describe('disk/publish: crashes', () => {
  for (const { name, prepare, allowed, never } of CASES) {
    it(`${name}: old or new, whole, wherever it dies`, async () => {
      let acts = 0
      for (let dieAt = 1; ; dieAt++) {
        const world = new World()
        try {
          await world.recover()
          const steps = prepare(world)
          const seen = await dyingAt(dieAt, () => world.apply(steps))
          await world.recover(
            steps.flatMap(step =>
              step.do === 'move' && step.kind === 'file' ? [{ from: step.path, to: step.to }] : [],
            ),
          )
          const tree = world.tree()
          const where = `died at act ${dieAt} (${seen[dieAt - 1] ?? 'none'})`
          expect(allowed, `${where}: ${JSON.stringify(tree)}`).to.deep.include(tree)
          for (const text of never) {
            const isThere = Object.values(tree).includes(text) || world.version(text) === text
            expect(isThere, `${where}: ${text} is neither in the folder nor in versions`).to.equal(true)
          }
          for (const area of ['parked', 'transit']) {
            expect(readdirSync(areaPath(world.root, area)), where).to.deep.equal([])
          }
          // A version that is still a link to a user's file would change with it.
          for (const version of readdirSync(areaPath(world.root, 'versions'))) {
            expect(lstatSync(areaPath(world.root, 'versions', version)).nlink, where).to.equal(1)
          }
          acts = seen.length
          if (seen.length < dieAt) {
            expect(tree).to.deep.equal(allowed.at(-1))
            break
          }
        } finally {
          world.close()
        }
      }
      expect(acts, 'the step must act on the disk').to.be.greaterThan(1)
    })
  }

  const MEDDLERS: [string, (world: World) => void, (acts: string[], at: number) => boolean][] = [
    ['writes in place', world => writeFileSync(world.person.path('f'), USER), () => false],
    [
      'saves by rename',
      world => {
        writeFileSync(world.person.path('f.tmp'), USER)
        world.person.rename('f.tmp', 'f')
      },
      // Between the last look and the rename there is no call of ours; only renameat2 could close that gap.
      (acts, at) => acts[at - 1] === 'renameSync' && !acts.slice(at).includes('renameSync'),
    ],
  ]
  for (const [how, meddle, excused] of MEDDLERS) {
    for (const what of ['put', 'remove', 'move'] as const) {
      it(`never loses what a person ${how} at any moment of a ${what}`, async () => {
        for (let at = 1; ; at++) {
          const world = new World()
          try {
            await world.recover()
            world.person.write('f', OLD)
            const expected = world.stat('f')
            const steps: DiskStep[] = []
            if (what === 'put') steps.push(put(world, 'f', expected))
            else if (what === 'move') steps.push({ do: 'move', path: 'f', kind: 'file', expect: expected, to: 'g' })
            else steps.push({ do: 'remove', path: 'f', kind: 'file', expect: expected, content: idOf(OLD) })
            let wrote = false
            const act = (): void => {
              wrote = existsSync(world.person.path('f'))
              if (wrote) meddle(world)
            }
            const acts = await meddlingAt(at, act, () => world.apply(steps))
            if (acts.length < at) break
            // A file that was caught by mistake is back at once, not only when late writers are looked for.
            const early = Object.values(world.tree())
            await world.recover()
            const tree = world.tree()
            if (wrote && !excused(acts, at)) {
              const where = `act ${at} (${acts[at - 1]}) of ${acts.join(' ')}: ${JSON.stringify(tree)}`
              expect(Object.values(tree), where).to.include(USER)
              if (how !== MEDDLERS[0]?.[0]) expect(early, where).to.include(USER)
            }
          } finally {
            world.close()
          }
        }
      })
    }
  }

  for (const what of ['put', 'unpark', 'move'] as const) {
    it(`never replaces what a person makes at any moment where a ${what} is to go`, async () => {
      for (let at = 1; ; at++) {
        const world = new World()
        try {
          await world.recover()
          world.person.write('f', OLD)
          const expected = world.stat('f')
          const steps: DiskStep[] = []
          if (what === 'put') steps.push(put(world, 'g', null))
          else if (what === 'move') steps.push({ do: 'move', path: 'f', kind: 'file', expect: expected, to: 'g' })
          else {
            steps.push({ do: 'park', path: 'f', kind: 'file', expect: expected, token: 't' })
            steps.push({ do: 'unpark', token: 't', kind: 'file', to: 'g' })
          }
          let made = false
          const make = (): void => {
            made = !existsSync(world.person.path('g'))
            if (made) writeFileSync(world.person.path('g'), USER)
          }
          const acts = await meddlingAt(at, make, () => world.apply(steps))
          if (acts.length < at) break
          const where = `act ${at} (${acts[at - 1]}) of ${acts.join(' ')}: ${JSON.stringify(world.tree())}`
          if (made) expect(world.tree(), where).to.deep.equal({ f: OLD, g: USER })
        } finally {
          world.close()
        }
      }
    })
  }

  it('a real SIGKILL at random moments leaves old or new at every path', async function () {
    this.timeout(60_000)
    const world = new World()
    try {
      await world.recover()
      const count = 40
      let killed = 0
      for (let round = 0; round < 3; round++) {
        for (let at = 0; at < count; at++) world.person.write(`f${at}`, OLD)
        const child = spawn(
          process.execPath,
          [...process.execArgv, fileURLToPath(new URL('./publish-child.ts', import.meta.url)), world.root, `${count}`],
          { stdio: ['ignore', 'pipe', 'inherit'] },
        )
        const done = once(child, 'exit')
        await once(child.stdout, 'data')
        await new Promise(resolve => setTimeout(resolve, round * 6))
        child.kill('SIGKILL')
        const [, signal] = await done
        if (signal === 'SIGKILL') killed++
        await world.recover()
        const tree = world.tree()
        for (let at = 0; at < count; at++) expect([OLD, `${NEW} ${at}`]).to.include(tree[`f${at}`])
        expect(Object.keys(tree).length).to.equal(count)
        if (Object.values(tree).some(text => text !== OLD)) expect(world.version(OLD)).to.equal(OLD)
      }
      expect(killed).to.be.greaterThan(0)
    } finally {
      world.close()
    }
  })

  it('publishes nothing whose staged bytes were damaged, and nothing whose sync failed', async () => {
    const world = new World()
    try {
      await world.recover()
      world.person.write('f', OLD)
      const step = put(world, 'f', world.stat('f'))
      const staged = areaPath(world.root, 'stage', contentName(idOf(NEW)))
      writeFileSync(staged, 'bad content')
      const { results, gone } = await world.apply([step])
      expect(results[0]?.ok).to.equal(false)
      expect(gone).to.deep.equal([idOf(NEW)])
      expect(existsSync(staged)).to.equal(false)
      expect(world.tree()).to.deep.equal({ f: OLD })

      // A stage of an earlier run is verified again before anything uses it.
      world.stage(NEW)
      writeFileSync(staged, 'bad content')
      expect(stageWork({ do: 'stage-verify', root: world.at, content: idOf(NEW) })).to.equal(null)
      expect(existsSync(staged)).to.equal(false)
      expect(sealOf(lstatSync(world.person.path('f'), { bigint: true })).size).to.equal(BigInt(OLD.length))
    } finally {
      world.close()
    }
  })
})
