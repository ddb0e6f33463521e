// The past of a folder on whole engines: brought back in place as an ordinary change that syncs, taken back for one device, told by all.
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import { isKithError } from '../../src/core/errors.ts'
import type { ContentId, DeviceId } from '../../src/core/ids.ts'
import { NO_CONTENT } from '../../src/core/ids.ts'
import type { FileVersion, JournalEntry, RewindOutcome } from '../../src/core/past.ts'
import type { FolderArchive, RewindRequest } from '../../src/core/status.ts'
import { type Random, seeded } from '../support/random.ts'
import { type Scene, scene } from '../support/scene.ts'
import type { SimDevice } from '../support/sim-device.ts'

function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.int(256))
}

const signal = new AbortController().signal

function archive(device: SimDevice): FolderArchive {
  return device.engine.archive
}

/** Lets the world run until it is done. */
function done<T>(stage: Scene, promise: Promise<T>): Promise<T> {
  return stage.world.finish(promise, 'an answer')
}

function restore(stage: Scene, at: number, request: Partial<RewindRequest>): Promise<RewindOutcome> {
  const whole = { path: '', at: null, version: null, keepNew: false, dryRun: false, signal }
  return done(stage, archive(stage.device(at)).restore({ ...whole, ...request }))
}

function undo(stage: Scene, at: number, of: SimDevice, since: number, dryRun = false): Promise<RewindOutcome> {
  return done(stage, archive(stage.device(at)).undo({ device: of.id, since, dryRun, signal }))
}

function history(stage: Scene, at: number, path: string): Promise<readonly FileVersion[]> {
  return done(stage, archive(stage.device(at)).history(path, { signal }))
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    if (isKithError(error)) return error.code
    throw error
  }
  return 'none'
}

async function journal(device: SimDevice): Promise<string[]> {
  const entries: JournalEntry[] = []
  for await (const entry of device.database.journal({})) entries.push(entry)
  return entries.map(entry => `${entry.action} ${entry.path} by ${entry.device.replace('device-', '')}`)
}

async function whole(device: SimDevice, content: ContentId, size: number): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of archive(device).read(content, size, { signal })) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** A little later on every clock; what time it was. */
async function later(stage: Scene): Promise<number> {
  await stage.world.pass(2_000)
  const now = stage.a.clock.now()
  await stage.world.pass(2_000)
  return now
}

/** The past that this device keeps goes: all of it, or what holds this text. */
function dropPast(device: SimDevice, text?: string): void {
  device.database.forgetBases()
  const versions = device.volume.root?.kith?.versions ?? new Map()
  for (const [content, bytes] of [...versions])
    if (text === undefined || Buffer.from(bytes).toString() === text) versions.delete(content)
}

type Tree = readonly (readonly [string, string])[]

const texts = (tree: Tree): string[] => tree.map(([, text]) => text).filter(text => text !== '')

/** What another device does meanwhile, while `d/f` (f2 now) becomes f1 again and `d/g` comes back; and what must be there then. */
const CONCURRENT: readonly (readonly [string, (person: SimDevice['person']) => void, (tree: Tree) => void])[] = [
  [
    'edit of the same file',
    p => p.write('d/f', 'theirs'),
    tree => expect(texts(tree)).to.have.members(['f1', 'theirs', 'g1']),
  ],
  [
    'rename of the same file',
    p => p.rename('d/f', 'd/h'),
    tree =>
      expect(tree).to.deep.equal([
        ['d/', ''],
        ['d/g', 'g1'],
        ['d/h', 'f1'],
      ]),
  ],
  [
    'rename of its directory',
    p => p.rename('d', 'e'),
    tree =>
      expect(tree).to.deep.equal([
        ['e/', ''],
        ['e/f', 'f1'],
        ['e/g', 'g1'],
      ]),
  ],
  ['deletion of the same file', p => p.remove('d/f'), tree => expect(texts(tree)).to.have.members(['f1', 'g1'])],
  ['deletion of its directory', p => p.rmrf('d'), tree => expect(texts(tree)).to.have.members(['f1', 'g1'])],
  [
    'new file at the name that comes back',
    p => p.write('d/g', 'theirs'),
    tree => expect(texts(tree)).to.have.members(['f1', 'theirs', 'g1']),
  ],
  [
    'new directory at the name that comes back',
    p => p.mkdirs('d/g/inside'),
    tree => {
      expect(texts(tree)).to.have.members(['f1', 'g1'])
      expect(tree.map(([path]) => path)).to.include('d/g/inside/')
    },
  ],
]

const said = (outcome: RewindOutcome): string[] => outcome.changes.map(change => `${change.action} ${change.path}`)

describe('the archive', () => {
  describe('restores', () => {
    it('a directory that was deleted, on all devices; and is taken back by another restore', () =>
      scene({}, async stage => {
        await stage.begin(p => {
          p.mkdirs('d/sub')
          for (const name of ['1', '2', '3']) p.write(`d/${name}`, `content ${name}`)
          p.write('d/sub/deep', 'deep')
          p.write('other', 'other')
        })
        const before = stage.tree()
        await stage.act(1, p => p.rmrf('d'))
        await stage.meet()
        expect(stage.tree()).to.deep.equal({ other: 'other' })
        const gone = await later(stage)
        const outcome = await restore(stage, 0, { path: 'd' })
        expect(outcome.done).to.equal(true)
        expect(outcome.missing).to.deep.equal([])
        expect(said(outcome)).to.deep.equal([
          'create d',
          'create d/sub',
          'create d/1',
          'create d/2',
          'create d/3',
          'create d/sub/deep',
        ])
        await stage.meet()
        expect(stage.tree()).to.deep.equal(before)
        expect((await journal(stage.a)).slice(0, 6)).to.include('restored d/sub/deep by anna')
        expect((await journal(stage.b)).slice(0, 6)).to.include('created d/sub/deep by anna')
        await restore(stage, 1, { at: gone })
        await stage.meet()
        expect(stage.tree()).to.deep.equal({ other: 'other' })
      }))

    it('the whole folder as it was: moved back, edited back, what came later gone, all of it still to be had', () =>
      scene({}, async stage => {
        await stage.begin(p => {
          p.mkdirs('a/b')
          p.write('a/b/x', 'x1')
          p.write('y', 'y1')
          p.write('z', 'z1')
        })
        const before = stage.tree()
        const then = await later(stage)
        await stage.act(0, p => p.rename('a', 'A2'))
        await stage.act(1, p => p.write('y', 'y2'))
        await stage.act(0, p => p.remove('z'))
        await stage.act(1, p => {
          p.mkdir('z')
          p.write('z/new', 'new')
        })
        await stage.meet()
        const after = stage.tree()
        const now = await later(stage)
        const dry = await restore(stage, 1, { at: then, dryRun: true })
        expect(dry.done).to.equal(false)
        expect(said(dry).sort()).to.deep.equal(['create z', 'delete z', 'delete z/new', 'edit y', 'move a'].sort())
        await stage.meet()
        expect(stage.tree()).to.deep.equal(after)
        expect(said(await restore(stage, 1, { at: then }))).to.deep.equal(said(dry))
        await stage.meet()
        expect(stage.tree()).to.deep.equal(before)
        await restore(stage, 0, { at: now })
        await stage.meet()
        expect(stage.tree()).to.deep.equal(after)
      }))

    it('a version that only a third device holds', () =>
      scene({ devices: 3 }, async stage => {
        await stage.begin(p => p.write('f', 'first'))
        await stage.act(0, p => p.write('f', 'second'))
        await stage.meet()
        const versions = await history(stage, 1, 'f')
        const first = versions.find(version => version.action === 'created')
        expect(first?.facts.size).to.equal(5)
        for (const device of [stage.a, stage.b]) dropPast(device)
        const outcome = await restore(stage, 0, { path: 'f', version: first?.id ?? '' })
        expect(outcome).to.deep.include({ done: true, missing: [] })
        await stage.meet()
        expect(stage.tree()).to.deep.equal({ f: 'first' })
      }))

    it('a large version of which another device holds the chunks in what it kept, and nowhere else', () =>
      scene({}, async stage => {
        const large = randomBytes(seeded('large'), 700_000)
        const head = large.slice(0, 400_000)
        await stage.begin(p => {
          p.write('first', head)
          p.write('z', 'z')
        })
        await stage.act(0, p => p.write('large', large))
        await stage.meet()
        await stage.act(0, p => {
          p.remove('first')
          p.remove('large')
        })
        await stage.meet()
        // The index of chunks says that the head lies in the first: that is gone for good.
        dropPast(stage.a)
        dropPast(stage.b, Buffer.from(head).toString())
        // Read, not brought back: then that device would show it, and have its chunks in a file.
        const { content, size } = (await history(stage, 0, 'large'))[0]?.facts ?? { content: NO_CONTENT, size: 0 }
        expect(Buffer.compare(await done(stage, whole(stage.a, content, size)), large)).to.equal(0)
      }))

    it('what nobody holds is listed, and left as it is', () =>
      scene({}, async stage => {
        await stage.begin(p => {
          p.mkdir('d')
          p.write('d/f', 'first')
          p.write('g', 'g1')
        })
        const then = await later(stage)
        await stage.act(0, p => {
          p.rmrf('d')
          p.write('g', 'g2')
        })
        await stage.meet()
        for (const device of [stage.a, stage.b]) dropPast(device, 'first')
        const outcome = await restore(stage, 0, { at: then })
        expect(said(outcome)).to.deep.equal(['edit g'])
        expect(outcome.missing.map(change => change.path)).to.deep.equal(['d/f'])
        await stage.meet()
        expect(stage.tree()).to.deep.equal({ g: 'g1' })
      }))

    for (const [name, act, expected] of CONCURRENT)
      it(`beside a concurrent ${name}: nothing is lost, all have the same`, () =>
        scene({ devices: 3 }, async stage => {
          await stage.begin(p => {
            p.mkdir('d')
            p.write('d/f', 'f1')
            p.write('d/g', 'g1')
            p.write('z', '')
          })
          const then = await later(stage)
          await stage.act(0, p => p.write('d/f', 'f2'))
          await stage.act(0, p => p.remove('d/g'))
          await stage.meet()
          stage.world.partition()
          await stage.act(1, act)
          await restore(stage, 0, { at: then })
          await stage.world.pass(3_000)
          await stage.meet()
          expected(Object.entries(stage.tree()).filter(([path]) => path !== 'z'))
        }))

    it('over what was written and nobody looked at yet: that is kept', () =>
      scene({}, async stage => {
        await stage.begin(p => p.write('f', 'f1'))
        const then = await later(stage)
        await stage.act(0, p => p.write('f', 'f2'))
        await stage.meet()
        stage.a.watcher = { loss: 1, late: 0, repeat: 0 }
        stage.a.person.write('f', 'unseen')
        await restore(stage, 0, { at: then })
        await stage.world.pass(5_000)
        stage.a.watcher = { loss: 0, late: 0, repeat: 0 }
        await stage.meet()
        const contents = Object.values(stage.tree())
        expect(contents).to.include('unseen')
        expect(contents).to.include('f1')
      }))

    it('at every moment of a kill: all of it or nothing, and the rest follows by itself', async function () {
      this.timeout(0)
      let all = 0
      let none = 0
      for (let awaits = 1; awaits <= 40; awaits += 3)
        await scene({ settings: { slownessMs: 5 } }, async stage => {
          await stage.begin(p => {
            p.mkdir('d')
            for (let n = 0; n < 6; n++) p.write(`d/${n}`, `content ${n}`)
            p.write('z', 'z')
          })
          const before = stage.tree()
          await stage.act(0, p => p.rmrf('d'))
          await stage.meet()
          await later(stage)
          let died = false
          stage.a.crashAt(awaits, { power: false, onDeath: () => (died = true) })
          void archive(stage.a)
            .restore({ path: 'd', at: null, version: null, keepNew: false, dryRun: false, signal })
            .catch(() => undefined)
          await stage.world.pass(5_000)
          stage.a.spare()
          stage.a.start()
          await stage.meet()
          const tree = stage.tree()
          if (Object.keys(tree).length === 1) none++
          else {
            all++
            expect(tree).to.deep.equal(before)
          }
          expect(died || awaits > 5).to.equal(true)
        })
      expect(all, 'killed after it was said').to.be.greaterThan(0)
      expect(none, 'killed before it was said').to.be.greaterThan(0)
    })

    it('is remembered as that, should the process die at once; until the disk shows it', () =>
      scene({}, async stage => {
        await stage.begin(p => {
          p.write('f', 'f1')
          p.write('z', '')
        })
        await stage.act(0, p => p.remove('f'))
        await stage.meet()
        const note = async (): Promise<number> => (await stage.a.database.note('restored'))?.length ?? 0
        expect(await note()).to.equal(0)
        const request = { path: 'f', at: null, version: null, keepNew: false, dryRun: false, signal }
        let noted = 0
        await done(
          stage,
          archive(stage.a)
            .restore(request)
            .then(async () => {
              stage.a.kill({ power: false })
              noted = await note()
            }),
        )
        expect(noted, 'with what brings it back').to.be.greaterThan(0)
        stage.a.start()
        await stage.meet()
        expect(stage.tree()).to.deep.equal({ f: 'f1', z: '' })
        expect((await journal(stage.a))[0]).to.equal('restored f by anna')
        await later(stage)
        expect(await note(), 'forgotten').to.equal(0)
      }))

    it('nothing from before its journal begins: that nothing was there is not known then', () =>
      scene({}, async stage => {
        await stage.begin(p => p.write('f', 'f1'))
        await stage.act(0, p => p.write('f', 'f2'))
        for (const request of [
          { path: '', at: 1 },
          { path: 'f', at: 1 },
          { path: 'f', at: 1, dryRun: true },
        ])
          expect(await refusal(restore(stage, 0, request))).to.equal('not-found')
        const tree = stage.a.engine.archive.treeAt('', 1, { signal: new AbortController().signal })
        expect(await refusal(done(stage, tree))).to.equal('not-found')
        expect(stage.tree()['f']).to.equal('f2')
      }))

    it('of a directory that is there: says what is gone from it, and the time that brings it back', () =>
      scene({}, async stage => {
        await stage.begin(p => {
          p.mkdirs('d/sub')
          for (const name of ['a', 'b', 'sub/x', 'sub/y']) p.write(`d/${name}`, name)
        })
        const says = (path: string): Promise<string> =>
          restore(stage, 0, { path }).then(
            () => '',
            (error: Error) => error.message,
          )
        expect(await says('d')).to.match(/^"d" is there, and nothing .* say as of when \(--at/)
        expect(await says('')).to.match(/^The whole folder is there, and nothing/)
        expect(await says('d/a')).to.match(/^"d\/a" is there: .*--version.*--at/)
        await later(stage)
        await stage.act(1, p => {
          p.remove('d/a')
          p.rmrf('d/sub')
        })
        await stage.meet()
        const said = await says('d')
        expect(said).to.match(/^"d" is there\. Gone from it since [-\d]+ [:\d]+: (d\/a, d\/sub|d\/sub, d\/a)\. /)
        expect(await says('')).to.contain('d/sub')
        const at = Date.parse(/--at "([^"]+)"/.exec(said)?.[1] ?? '')
        await restore(stage, 0, { path: 'd', at })
        await stage.meet()
        expect(Object.keys(stage.tree())).to.deep.equal(['d/', 'd/a', 'd/b', 'd/sub/', 'd/sub/x', 'd/sub/y'])
        expect(await says('d'), 'it is there again').to.contain('nothing')
      }))

    it('of a directory that is there: says the newest time that brings back what went last', () =>
      scene({}, async stage => {
        await stage.begin(p => {
          p.mkdirs('d')
          for (const name of ['a', 'b', 'c']) p.write(`d/${name}`, name)
        })
        await stage.act(1, p => p.remove('d/a'))
        await stage.world.pass(60_000)
        await stage.act(0, p => p.write('d/new', 'new'))
        await stage.world.pass(60_000)
        await stage.act(1, p => p.remove('d/b'))
        await stage.world.pass(60_000)
        await stage.act(1, p => p.remove('d/c'))
        await stage.meet()
        const said = await restore(stage, 0, { path: 'd' }).catch((error: Error) => error.message)
        expect(said).to.match(/: (d\/b, d\/c|d\/c, d\/b)\. /)
        await restore(stage, 0, { path: 'd', at: Date.parse(/--at "([^"]+)"/.exec(String(said))?.[1] ?? '') })
        await stage.meet()
        expect(Object.keys(stage.tree())).to.deep.equal(['d/', 'd/b', 'd/c', 'd/new'])
      }))

    it('of a directory that is there: a conflict copy that was given up is nothing that is gone from it', () =>
      scene({}, async stage => {
        await stage.begin(p => p.write('h', new Uint8Array([0])))
        await stage.apart(
          [0, p => p.write('h', new Uint8Array([0, 1]))],
          [1, p => p.write('h', new Uint8Array([0, 2]))],
        )
        const id = stage.a.engine.conflicts()[0]?.versions[0]?.id ?? ''
        await done(stage, archive(stage.a).resolve('h', id, { signal }))
        await stage.meet()
        const said = await restore(stage, 0, {}).catch((error: Error) => error.message)
        expect(said).to.contain('nothing in it is known to have been deleted')
      }))

    it('refuses what cannot be, and says why', () =>
      scene({}, async stage => {
        await stage.begin(p => p.write('f', 'f1'))
        const since = await later(stage)
        const ask = (request: Partial<RewindRequest>): Promise<string> => refusal(restore(stage, 0, request))
        expect(await ask({ path: 'f' })).to.equal('no-such-version')
        expect(await ask({ path: 'f', version: 'nonsense' })).to.equal('no-such-version')
        expect(await ask({ path: 'never' })).to.equal('not-found')
        expect(await ask({ path: 'never', at: 1 })).to.equal('not-found')
        await stage.act(0, p => p.rename('f', 'g'))
        expect(await ask({ path: 'f' })).to.equal('no-such-version')
        await done(stage, stage.a.engine.pause())
        expect(await ask({ path: 'g', at: since })).to.equal('folder-paused')
        expect((await restore(stage, 0, { path: 'g', at: since, dryRun: true })).done).to.equal(false)
        await stage.a.engine.resume()
        await stage.meet()
        stage.a.person.unmountRoot()
        await stage.world.pass(10_000)
        expect(await ask({ at: since })).to.equal('folder-halted')
        stage.a.person.remountRoot()
        await stage.meet()
      }))
  })

  describe('undoes', () => {
    it('what one device did, on every device, and keeps what others did later', () =>
      scene({ devices: 3 }, async stage => {
        await stage.begin(p => {
          for (let n = 0; n < 8; n++) p.write(`f${n}`, `good ${n}`)
        })
        const since = await later(stage)
        await stage.act(1, p => {
          for (let n = 0; n < 8; n++) p.write(`f${n}`, `encrypted ${n}`)
          p.write('README-RANSOM', 'pay')
        })
        await stage.meet()
        await stage.act(2, p => {
          p.write('f0', 'mine')
          p.rename('f1', 'renamed')
          p.write('new', 'mine too')
        })
        await stage.meet()
        const outcome = await undo(stage, 0, stage.b, since)
        expect(outcome).to.deep.include({ done: true, missing: [] })
        await stage.meet()
        expect(stage.tree()).to.deep.equal({
          f0: 'mine',
          f2: 'good 2',
          f3: 'good 3',
          f4: 'good 4',
          f5: 'good 5',
          f6: 'good 6',
          f7: 'good 7',
          new: 'mine too',
          renamed: 'good 1',
        })
        expect((await undo(stage, 0, stage.b, since)).changes).to.deep.equal([])
      }))
  })

  describe('tells', () => {
    it('the history of a file through two renames, the same on every device', () =>
      scene({}, async stage => {
        await stage.begin(p => {
          p.mkdir('d')
          p.write('d/one', 'v1')
        })
        await stage.act(1, p => p.rename('d/one', 'd/two'))
        await stage.meet()
        await stage.act(0, p => p.write('d/two', 'v2'))
        await stage.meet()
        await stage.act(0, p => p.rename('d', 'e'))
        await stage.meet()
        await stage.act(1, p => p.rename('e/two', 'e/three'))
        await stage.meet()
        await stage.act(0, p => p.remove('e/three'))
        await stage.meet()
        const versions = await history(stage, 0, 'e/three')
        const lines = versions.map(
          ({ action, path, from, device, here }) =>
            `${action} ${from ?? ''}>${path} ${device.replace('device-', '')} ${here}`,
        )
        expect(lines).to.deep.equal([
          'deleted >e/three anna true',
          'moved e/two>e/three bert true',
          'edited >d/two anna true',
          'moved d/one>d/two bert true',
          'created >d/one anna true',
        ])
        expect(versions[0]?.holders).to.have.members([stage.a.id, stage.b.id])
        const theirs = await history(stage, 1, 'e/three')
        expect(theirs.map(({ id, time, action }) => ({ id, time, action }))).to.deep.equal(
          versions.map(({ id, time, action }) => ({ id, time, action })),
        )
        expect((await history(stage, 1, 'd/one')).map(v => v.id)).to.deep.equal(versions.map(v => v.id))
        // Alone each knows the same, and calls it the same.
        stage.world.partition()
        expect((await history(stage, 1, 'e/three')).map(v => v.id)).to.deep.equal(versions.map(v => v.id))
        expect(await refusal(history(stage, 0, 'never'))).to.equal('not-found')
        await stage.meet()
      }))

    describe('two versions of a file kept beside one another, each as a file of its own', () => {
      const bytes = (last: number): Uint8Array => new Uint8Array([0, last])
      const copyOf = (stage: Scene): string => stage.b.engine.conflicts()[0]?.versions[1]?.path ?? ''
      const CONFLICT = async (stage: Scene): Promise<string> => {
        await stage.begin(p => p.write('h', bytes(0)))
        await stage.apart([0, p => p.write('h', bytes(1))], [1, p => p.write('h', bytes(2))])
        expect(stage.tree()).to.include({ h: '\x00\x02', [copyOf(stage)]: '\x00\x01' })
        return copyOf(stage)
      }
      /** `!`: it went. */
      const told = async (stage: Scene, at: number, path: string): Promise<string[]> =>
        (await history(stage, at, path)).map(({ action, path: where, facts }) => {
          const text = [0, 1, 2, 3].find(last => contentOf(bytes(last)).content === facts.content)
          return `${where.includes('(conflict') ? 'copy' : where} ${text}${action === 'deleted' ? '!' : ''}`
        })
      const now = async (stage: Scene, at: number, path: string) => {
        const found = archive(stage.device(at)).whereabouts(path, await history(stage, at, path))
        return found && { ...found, facts: found.facts.content }
      }
      const resolve = async (stage: Scene, which: number | 'both'): Promise<void> => {
        const keep = which === 'both' ? which : (stage.b.engine.conflicts()[0]?.versions[which]?.id ?? '')
        await done(stage, archive(stage.b).resolve('h', keep, { signal }))
        await stage.meet()
      }
      const there = (path: string, last: number, of: string | null = null) => ({
        path,
        kind: 'file',
        facts: contentOf(bytes(last)).content,
        copyOf: of,
      })

      it('while nobody has decided', () =>
        scene({}, async stage => {
          const copy = await CONFLICT(stage)
          for (const at of [0, 1]) {
            expect(await told(stage, at, 'h')).to.deep.equal(['h 2', 'h 1', 'h 0'])
            expect(await told(stage, at, copy)).to.deep.equal(['copy 1', 'h 1', 'h 0'])
            expect(await now(stage, at, 'h')).to.deep.equal(there('h', 2))
            expect(await now(stage, at, copy)).to.deep.equal(there(copy, 1, 'h'))
          }
          // The next edit makes the copy a file with a node of its own.
          await stage.act(0, p => p.write('h', bytes(3)))
          await stage.meet()
          for (const at of [0, 1]) {
            expect(await told(stage, at, 'h')).to.deep.equal(['h 3', 'h 2', 'h 1', 'h 0'])
            expect((await told(stage, at, copy))[0]).to.equal('copy 1')
            expect(await now(stage, at, copy)).to.deep.equal(there(copy, 1, 'h'))
          }
        }))

      it('whatever the clocks say', () =>
        scene({}, async stage => {
          await stage.begin(p => p.write('h', bytes(0)))
          // What was once written ahead of time goes on to win, though by the clock it came first.
          stage.a.clock.jump(3_600_000)
          await stage.apart(
            [0, p => p.write('g', 'ahead')],
            [0, () => stage.a.clock.jump(-7_200_000)],
            [0, p => p.write('h', bytes(1))],
            [1, p => p.write('h', bytes(2))],
          )
          expect(stage.tree()).to.include({ h: '\x00\x01' })
          for (const at of [0, 1]) {
            expect((await told(stage, at, 'h'))[0]).to.equal('h 1')
            expect((await told(stage, at, copyOf(stage)))[0]).to.equal('copy 2')
          }
        }))

      it('after the winner was kept', () =>
        scene({}, async stage => {
          const copy = await CONFLICT(stage)
          await resolve(stage, 0)
          for (const at of [0, 1]) {
            expect(await told(stage, at, 'h')).to.deep.equal(['h 2', 'h 1', 'h 0'])
            expect(await now(stage, at, 'h')).to.deep.equal(there('h', 2))
            expect((await told(stage, at, copy))[0]).to.equal('copy 1!')
            expect(await now(stage, at, copy)).to.equal(null)
          }
          await stage.act(0, p => p.write('h', bytes(3)))
          await stage.meet()
          expect(await told(stage, 1, 'h')).to.deep.equal(['h 3', 'h 2', 'h 1', 'h 0'])
        }))

      it('after the copy was kept', () =>
        scene({}, async stage => {
          const copy = await CONFLICT(stage)
          await resolve(stage, 1)
          for (const at of [0, 1]) {
            expect(await told(stage, at, 'h')).to.deep.equal(['h 1', 'h 2!', 'h 2', 'h 1', 'h 0'])
            for (const path of ['h', copy]) expect(await now(stage, at, path)).to.deep.equal(there('h', 1))
          }
        }))

      it('after both were kept', () =>
        scene({}, async stage => {
          const copy = await CONFLICT(stage)
          await resolve(stage, 'both')
          for (const at of [0, 1]) {
            expect(await told(stage, at, 'h')).to.deep.equal(['h 2', 'h 1', 'h 0'])
            expect((await told(stage, at, copy))[0]).to.equal('copy 1')
            expect(await now(stage, at, copy)).to.deep.equal(there(copy, 1))
          }
          await stage.act(0, p => p.rename(copy, 'other'))
          await stage.meet()
          expect((await told(stage, 1, 'other'))[0]).to.equal('other 1')
          expect(await now(stage, 1, 'other')).to.deep.equal(there('other', 1))
        }))
    })

    it('where a thing is now, though a directory above it was renamed, or a rename was taken back', () =>
      scene({}, async stage => {
        await stage.begin(p => {
          p.mkdir('d')
          p.write('d/f', 'f1')
        })
        const now = async (path: string): Promise<string | null> => {
          const found = archive(stage.b).whereabouts(path, await history(stage, 1, path))
          return found?.path ?? null
        }
        await stage.act(0, p => p.rename('d', 'e'))
        await stage.meet()
        for (const path of ['d/f', 'e/f']) expect(await now(path)).to.equal('e/f')
        const since = await later(stage)
        await stage.act(0, p => p.rename('e/f', 'e/g'))
        await stage.meet()
        for (const path of ['e/f', 'e/g']) expect(await now(path)).to.equal('e/g')
        await undo(stage, 1, stage.a, since)
        await stage.meet()
        for (const path of ['e/f', 'e/g']) expect(await now(path)).to.equal('e/f')
        await stage.act(0, p => p.remove('e/f'))
        await stage.meet()
        for (const path of ['e/f', 'e/g']) expect(await now(path)).to.equal(null)
      }))

    it('what the folder showed at any time', () =>
      scene({}, async stage => {
        await stage.begin(p => {
          p.mkdir('d')
          p.write('d/f', 'f1')
        })
        const then = await later(stage)
        await stage.act(1, p => {
          p.rename('d', 'e')
          p.write('e/g', 'g1')
        })
        await stage.meet()
        const shown = async (path: string, at: number): Promise<string[]> =>
          (await done(stage, archive(stage.a).treeAt(path, at, { signal }))).map(each => each.path)
        expect(await shown('', then)).to.deep.equal(['d', 'd/f'])
        expect(await shown('d', then)).to.deep.equal(['d', 'd/f'])
        expect(await shown('d/f', then)).to.deep.equal(['d/f'])
        expect(await shown('', stage.a.clock.now())).to.deep.equal(['e', 'e/f', 'e/g'])
        expect(await refusal(shown('e', then))).to.equal('not-found')
      }))

    it('bytes of any version, from here or from another device; and ends when nobody has them', () =>
      scene({}, async stage => {
        const large = 'x'.repeat(100_000) + 'y'.repeat(400_000) + Math.PI.toString().repeat(60_000)
        await stage.begin(p => {
          p.write('f', 'first')
          p.write('big', large)
        })
        await stage.act(0, p => {
          p.write('f', 'second')
          p.remove('big')
        })
        await stage.meet()
        const bytesOf = async (path: string): Promise<string> => {
          const version = (await history(stage, 0, path)).find(each => each.action === 'created')
          if (version === undefined) throw new Error('no version')
          return (await done(stage, whole(stage.a, version.facts.content, version.facts.size))).toString()
        }
        expect(await bytesOf('f')).to.equal('first')
        dropPast(stage.a)
        expect(await bytesOf('f')).to.equal('first')
        expect((await bytesOf('big')) === large).to.equal(true)
        await stage.meet()
        expect(stage.a.volume.root?.kith?.stage.size).to.equal(0)
        dropPast(stage.a)
        dropPast(stage.b)
        expect(await refusal(bytesOf('f'))).to.equal('content-missing')
      }))

    it('bytes that others ask for again and again, though they might go by now', () =>
      scene({}, async stage => {
        await stage.begin(p => p.write('f', '\0first'))
        await stage.act(0, p => p.write('f', '\0second'))
        await stage.meet()
        stage.b.engine.configure({ versions: 'standard', versionLimit: 1, minCopies: 1, maxDeletes: 50 })
        const version = (await history(stage, 0, 'f')).find(each => each.action === 'created')
        const { content, size } = version?.facts ?? { content: NO_CONTENT, size: 0 }
        for (let half = 0; half < 10; half++) {
          await stage.world.pass(30 * 60_000)
          expect((await done(stage, whole(stage.a, content, size))).toString()).to.equal('\0first')
        }
        await stage.world.pass(3 * 60 * 60_000)
        expect(await refusal(done(stage, whole(stage.a, content, size)))).to.equal('content-missing')
      }))

    it('bytes that stay staged for as long as they are read', () =>
      scene({}, async stage => {
        const large = randomBytes(seeded('long'), 600_000)
        await stage.begin(p => p.write('big', large))
        await stage.act(0, p => p.write('big', 'short'))
        await stage.meet()
        const version = (await history(stage, 0, 'big')).find(each => each.action === 'created')
        const { content, size } = version?.facts ?? { content: NO_CONTENT, size: 0 }
        const reader = archive(stage.a).read(content, size, { signal })[Symbol.asyncIterator]()
        const pieces = [(await done(stage, reader.next())).value as Uint8Array]
        await stage.act(1, p => p.write('other', 'meanwhile'))
        await stage.meet()
        const staged = (): boolean => stage.a.volume.root?.kith?.stage.has(content) ?? false
        expect(staged()).to.equal(true)
        for (;;) {
          const next = await done(stage, reader.next())
          if (next.done === true) break
          pieces.push(next.value)
        }
        expect(Buffer.compare(Buffer.concat(pieces), large)).to.equal(0)
        await stage.meet()
        expect(staged(), 'and no longer').to.equal(false)
      }))
  })

  describe('resolves', () => {
    const CONFLICT = async (stage: Scene): Promise<void> => {
      await stage.begin(p => p.write('h', new Uint8Array([0])))
      await stage.apart(
        [0, p => p.write('h', new Uint8Array([0, 1]))],
        [1, p => p.write('h', new Uint8Array([0, 2]))],
        [2, p => p.write('h', new Uint8Array([0, 3]))],
      )
    }
    for (const which of [0, 1, 2])
      it(`a conflict by keeping one of its versions (${which}), for all devices`, () =>
        scene({ devices: 3 }, async stage => {
          await CONFLICT(stage)
          const [conflict] = stage.b.engine.conflicts()
          const version = conflict?.versions[which]
          const kept = stage.tree()[version?.path ?? '']
          await done(stage, archive(stage.b).resolve('h', version?.id ?? '', { signal }))
          await stage.meet()
          expect(stage.tree()).to.deep.equal({ h: kept })
          for (const { engine } of stage.world.devices) expect(engine.conflicts()).to.deep.equal([])
        }))

    for (const which of [1, 2])
      it(`a conflict, and history names the device where it was resolved (${which})`, () =>
        scene({ devices: 3 }, async stage => {
          await CONFLICT(stage)
          await stage.world.pass(60_000)
          const { a, b, c } = stage
          const before = b.clock.now()
          const version = b.engine.conflicts()[0]?.versions[which]
          await done(stage, archive(b).resolve('h', version?.id ?? '', { signal }))
          await stage.meet()
          for (const device of [a, b, c]) {
            const told = await done(stage, archive(device).history('h', { signal }))
            const since = told.filter(({ time }) => time >= before)
            expect(since).not.to.deep.equal([])
            expect(since.map(each => `${each.action} by ${each.device}`)).to.deep.equal(
              since.map(({ action }) => `${action} by ${b.id}`),
            )
          }
        }))

    it('a conflict for good, once it says so: a process that dies then has decided', () =>
      scene({ devices: 3 }, async stage => {
        await CONFLICT(stage)
        const version = stage.b.engine.conflicts()[0]?.versions[1]
        const kept = stage.tree()[version?.path ?? '']
        stage.world.partition()
        const resolved = archive(stage.b).resolve('h', version?.id ?? '', { signal })
        await done(
          stage,
          resolved.then(() => stage.b.kill({ power: false })),
        )
        stage.b.start()
        await stage.world.pass(10_000)
        expect(stage.b.engine.conflicts()).to.deep.equal([])
        await stage.meet()
        expect(stage.tree()).to.deep.equal({ h: kept })
      }))

    it('a conflict by keeping both: each a file of its own', () =>
      scene({ devices: 3 }, async stage => {
        await CONFLICT(stage)
        const before = stage.tree()
        await done(stage, archive(stage.b).resolve('h', 'both', { signal }))
        await stage.meet()
        expect(stage.tree()).to.deep.equal(before)
        for (const { engine } of stage.world.devices) expect(engine.conflicts()).to.deep.equal([])
      }))

    for (const keep of ['both', 'the copy', 'the winner'])
      it(`a conflict whose copy became a file already: ${keep}`, () =>
        scene({ devices: 3 }, async stage => {
          await CONFLICT(stage)
          await stage.act(0, p => p.write('h', new Uint8Array([0, 9])))
          await stage.meet()
          const [conflict] = stage.c.engine.conflicts()
          expect(conflict?.versions).to.have.length(3)
          const before = stage.tree()
          const index = keep === 'the winner' ? 0 : 1
          const version = conflict?.versions[index]
          const kept = before[version?.path ?? '']
          await done(
            stage,
            archive(stage.c).resolve(version?.path ?? '', keep === 'both' ? keep : (version?.id ?? ''), { signal }),
          )
          await stage.meet()
          expect(stage.tree()).to.deep.equal(keep === 'both' ? before : { h: kept })
          for (const { engine } of stage.world.devices) expect(engine.conflicts()).to.deep.equal([])
        }))

    it('refuses what is no conflict or none of its versions', () =>
      scene({ devices: 3 }, async stage => {
        await CONFLICT(stage)
        expect(await refusal(done(stage, archive(stage.a).resolve('nothing', 'both', { signal })))).to.equal(
          'not-found',
        )
        expect(await refusal(done(stage, archive(stage.a).resolve('h', '1.1', { signal })))).to.equal('no-such-version')
      }))
  })

  describe('counts copies', () => {
    const copies = async (stage: Scene, at: number) => {
      const found = await done(stage, archive(stage.device(at)).copies('', { signal }))
      return {
        ...found,
        files: Object.fromEntries(found.files.map(({ path, holders }) => [path, names(holders)])),
        stale: names(found.stale.filter(each => each.asOf !== null).map(each => each.device)),
      }
    }
    const names = (ids: readonly DeviceId[]): string =>
      ids
        .map(id => id.replace('device-', ''))
        .sort()
        .join()

    it('on linked devices, and on those that were in sync when they went; over a restart too', () =>
      scene({ devices: 3 }, async stage => {
        await stage.begin(p => {
          p.write('old', 'old')
          p.write('f', 'f1')
        })
        const all = 'anna,bert,carl'
        expect(await copies(stage, 0)).to.deep.include({ files: { f: all, old: all }, stale: '' })
        await done(stage, stage.c.stop())
        await stage.world.pass(3_000)
        await stage.act(0, p => p.write('f', 'f2'))
        await stage.world.pass(3_000)
        const after = { files: { f: 'anna,bert', old: all }, stale: 'carl', atRisk: { files: 0, bytes: 0 } }
        expect(await copies(stage, 0)).to.deep.include(after)
        await done(stage, stage.a.stop())
        stage.a.start()
        await stage.world.pass(10_000)
        expect(await copies(stage, 0)).to.deep.include(after)
        stage.world.partition()
        await stage.act(0, p => p.write('g', 'alone'))
        expect((await copies(stage, 0)).atRisk).to.deep.equal({ files: 1, bytes: 5 })
        stage.c.start()
        await stage.meet()
      }))

    it('as of when this device stopped, where the others are away when it starts again', () =>
      scene({}, async stage => {
        await stage.begin(p => p.write('f', 'f1'))
        await stage.act(0, p => p.write('f', 'f2'))
        expect(await copies(stage, 0)).to.deep.include({ files: { f: 'anna,bert' } })
        for (const device of [stage.a, stage.b]) await done(stage, device.stop())
        stage.a.start()
        await stage.world.pass(10_000)
        expect(await copies(stage, 0)).to.deep.include({ files: { f: 'anna,bert' }, stale: 'bert' })
        stage.b.start()
        await stage.meet()
      }))

    it('and knows what would go with a device', () =>
      scene({ devices: 3 }, async stage => {
        await stage.begin(p => p.write('f', 'f1'))
        const lost = (at: number, of: SimDevice) => done(stage, archive(stage.device(at)).onlyOn(of.id, { signal }))
        expect(await lost(0, stage.b)).to.deep.equal([])
        for (const device of [stage.a, stage.c]) stage.world.network.withhold(device.id)
        await stage.act(1, p => p.write('f', 'only here'))
        expect(await lost(0, stage.b)).to.deep.equal([{ path: 'f', size: 9 }])
        expect(await lost(0, stage.c)).to.deep.equal([])
        await done(stage, stage.b.stop())
        await stage.world.pass(3_000)
        expect(await lost(0, stage.b)).to.deep.equal([{ path: 'f', size: 9 }])
        stage.b.start()
        stage.world.heal()
        await stage.meet()
        expect(await lost(0, stage.b)).to.deep.equal([])
      }))
  })
})
