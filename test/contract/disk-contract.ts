// What every FolderDisk promises, run on the real folder and on the fake one. A person changes files behind the disk's back through
// `Person`; content ids come from the subject, because a fake may cut its chunks elsewhere.
import { expect } from 'chai'
import type { ContentList } from '../../src/core/content.ts'
import { sha256 } from '../../src/core/content-list.ts'
import { isKithError } from '../../src/core/errors.ts'
import type { ContentId, DeviceId, NodeId } from '../../src/core/ids.ts'
import { NO_CONTENT } from '../../src/core/ids.ts'
import type { JournalEntry } from '../../src/core/past.ts'
import type {
  DiskStep,
  FolderDisk,
  HashResult,
  Listing,
  Observed,
  PlacedRead,
  StageFile,
  Stat,
  StepResult,
  Unlisted,
} from '../../src/core/ports.ts'

/** Someone at the same folder. `write` is in place: the inode stays. */
export interface Person {
  mkdir(path: string, mode?: number): void
  write(path: string, content: string | Uint8Array): void
  read(path: string): Uint8Array
  exists(path: string): boolean
  rename(from: string, to: string): void
  remove(path: string): void
  chmod(path: string, mode: number): void
  utimes(path: string, mtimeMs: number): void
  symlink(path: string, target: string): void
  /** Everything but `.kith`. */
  emptyRoot(): void
}

export interface DiskSubject {
  readonly disk: FolderDisk
  readonly person: Person
  listOf(bytes: Uint8Array): ContentList
  /** The same folder, opened by another process after this one died. */
  reopen(): Promise<FolderDisk>
  close(): Promise<void>
}

const signal = new AbortController().signal
const waiting = { signal }
async function copied(disk: FolderDisk): Promise<JournalEntry[]> {
  const out: JournalEntry[] = []
  for await (const entries of disk.journalCopy.read(waiting)) out.push(...entries)
  return out
}

const T0 = 1_600_000_000_000

export function diskContract(name: string, open: () => Promise<DiskSubject>): void {
  describe(`FolderDisk contract: ${name}`, () => {
    let subject: DiskSubject
    let disk: FolderDisk
    let person: Person

    beforeEach(async () => {
      subject = await open()
      disk = subject.disk
      person = subject.person
      await disk.accept()
      await disk.recover()
    })
    afterEach(() => subject.close())

    it('copies the journal: in order, over restarts, with every field', async () => {
      expect(await copied(disk)).to.deep.equal([])
      const content = subject.listOf(Buffer.from('x')).content
      const facts = { content, size: 1, mtime: -5, mode: 0o644 }
      const entries = Array.from({ length: 500 }, (_, at): JournalEntry => {
        const path = `Ünïcode ☃ \n/${at}`
        const was = [null, { path, facts }, { path: 'before', facts: { ...facts, content: NO_CONTENT, size: 2 ** 40 } }]
        return {
          time: 1_700_000_000_000 + at,
          device: 'device' as DeviceId,
          action: (['created', 'edited', 'moved', 'deleted', 'merged', 'restored'] as const)[at % 6] ?? 'edited',
          node: String(at).padStart(16, '\xff') as NodeId,
          kind: (['file', 'directory', 'symlink'] as const)[at % 3] ?? 'file',
          path,
          facts,
          was: was[at % 3] ?? null,
        }
      })
      await disk.journalCopy.append([])
      await Promise.all([
        disk.journalCopy.append(entries.slice(0, 200)),
        disk.journalCopy.append(entries.slice(200, 300)),
      ])
      expect(await copied(disk)).to.deep.equal(entries.slice(0, 300))
      const next = await subject.reopen()
      expect(await copied(next)).to.deep.equal(entries.slice(0, 300))
      await next.journalCopy.append(entries.slice(300))
      expect(await copied(next)).to.deep.equal(entries)
    })

    const bytes = (text: string): Uint8Array => Buffer.from(text)
    const idOf = (text: string): ContentId => subject.listOf(bytes(text)).content
    const text = (path: string): string => Buffer.from(person.read(path)).toString()

    async function look(path: string): Promise<Observed> {
      const found = await disk.look(path)
      if (found === null) throw new Error(`nothing at ${path}`)
      return found
    }
    const statOf = async (path: string): Promise<Stat> => (await look(path)).stat

    /** Until the disk's clock has moved on: its ticks may be milliseconds long. */
    async function tick(stat: Stat): Promise<void> {
      do person.write('tick', 'x')
      while ((await statOf('tick')).ctimeUs <= stat.ctimeUs)
      person.remove('tick')
    }

    async function run(...steps: DiskStep[]): Promise<readonly StepResult[]> {
      const results = await disk.apply(steps, waiting)
      expect(results.length).to.equal(steps.length)
      return results
    }
    async function succeed(...steps: DiskStep[]): Promise<(Stat | null)[]> {
      return (await run(...steps)).map(result => {
        if (!result.ok) throw new Error(`${result.problem.code} at ${result.problem.path}: ${result.problem.message}`)
        return result.stat
      })
    }
    async function refuse(step: DiskStep, code = 'changed'): Promise<void> {
      const [result] = await run(step)
      expect(result?.ok === false && result.problem.code, step.do).to.equal(code)
    }

    async function staged(content: string): Promise<ContentId> {
      const id = idOf(content)
      expect(await disk.stage.putWhole([{ content: id, bytes: bytes(content) }], waiting)).to.deep.equal([])
      return id
    }
    async function put(path: string, content: string, over: Partial<DiskStep & { do: 'put' }> = {}): Promise<DiskStep> {
      const made = { mode: 0o644, mtime: T0, expect: null, expectContent: NO_CONTENT, keep: false } as const
      return { do: 'put', path, kind: 'file', content: await staged(content), ...made, ...over }
    }
    async function scan(paths: string[], recursive: boolean): Promise<Map<string, Listing | Unlisted>> {
      const found = new Map<string, Listing | Unlisted>()
      for await (const listing of disk.scan(paths, { signal, recursive })) {
        expect(found.has(listing.path)).to.equal(false)
        if (recursive && listing.path !== '') {
          const parent = listing.path.includes('/') ? listing.path.slice(0, listing.path.lastIndexOf('/')) : ''
          expect(found.has(parent) || paths.includes(listing.path), `parent of ${listing.path} first`).to.equal(true)
        }
        found.set(listing.path, listing)
      }
      return found
    }
    async function hash(path: string, stat?: Stat): Promise<HashResult> {
      const found = await look(path)
      if (found.kind === 'directory') throw new Error('a directory has no content')
      const results: HashResult[] = []
      const request = { path, kind: found.kind, stat: stat ?? found.stat }
      for await (const result of disk.hash([request], waiting)) results.push(result)
      expect(results.length).to.equal(1)
      return results[0] as HashResult
    }

    describe('looking', () => {
      it('lists directories with what stands in them, and never `.kith`', async () => {
        person.mkdir('a')
        person.mkdir('a/b')
        person.write('a/b/f', 'hello')
        person.symlink('a/l', 'nowhere')
        const all = await scan([''], true)
        expect([...all.keys()].sort()).to.deep.equal(['', 'a', 'a/b'])
        const a = all.get('a') as Listing
        expect(a.entries.map(e => [e.name, e.kind]).sort()).to.deep.equal([
          ['b', 'directory'],
          ['l', 'symlink'],
        ])
        const root = all.get('') as Listing
        expect(root.entries.map(e => e.name)).to.deep.equal(['a'])
        expect(root.problems).to.deep.equal([])
        const [file] = (all.get('a/b') as Listing).entries
        expect(file?.stat).to.deep.equal(await statOf('a/b/f'))
        expect(a.stat).to.deep.equal(await statOf('a'))
        const flat = await scan(['', 'a'], false)
        expect([...flat.keys()].sort()).to.deep.equal(['', 'a'])
      })

      it('says gone of what is not there or no directory', async () => {
        person.write('f', 'x')
        for (const path of ['nothing', 'f', 'nothing/below']) {
          const found = (await scan([path], true)).get(path) as Unlisted
          expect(found).to.deep.equal({ path, gone: true, problem: null })
        }
      })

      it('looks at one path without following', async () => {
        person.mkdir('d', 0o750)
        person.symlink('l', 'd')
        person.write('d/f', 'hello')
        person.chmod('d/f', 0o640)
        person.utimes('d/f', T0)
        const file = await look('d/f')
        expect([file.name, file.kind, file.stat.size, file.stat.mode]).to.deep.equal(['f', 'file', 5, 0o640])
        expect(file.stat.mtimeUs).to.equal(T0 * 1000)
        expect((await look('l')).kind).to.equal('symlink')
        expect(await disk.look('none')).to.equal(null)
        expect(await disk.look('d/f/below')).to.equal(null)
      })

      it('hashes what was observed, and keeps the text', async () => {
        person.write('f', 'text\n')
        person.symlink('l', 'target')
        person.write('binary', Uint8Array.of(1, 0, 255, 254))
        person.write('empty', '')
        const file = await hash('f')
        if (!file.ok) throw new Error(file.problem.message)
        expect([file.list.content, file.list.size]).to.deep.equal([idOf('text\n'), 5])
        expect(file.text && Buffer.from(file.text).toString()).to.equal('text\n')
        const link = await hash('l')
        expect(link.ok && link.list.content).to.equal(idOf('target'))
        expect(link.ok && link.text).to.equal(null)
        const binary = await hash('binary')
        expect(binary.ok && binary.text).to.equal(null)
        const empty = await hash('empty')
        expect(empty.ok && empty.list.content).to.equal(idOf(''))
      })

      it('hashes a large content into its list', async () => {
        const large = Buffer.alloc(3 << 20, 'all work and no play ')
        for (let at = 0; at < large.length; at += 97) large[at] = (at * 31) >>> 3
        person.write('large', large)
        const result = await hash('large')
        expect(result.ok && result.list).to.deep.equal(subject.listOf(large))
      })

      it('says busy of what is not as observed', async () => {
        person.write('f', 'one')
        const stat = await statOf('f')
        person.write('f', 'three')
        const result = await hash('f', stat)
        expect(!result.ok && result.problem.code).to.equal('busy')
      })

      it('reads bytes from where they lie, and null where they do not', async () => {
        person.write('f', 'hello world')
        const place = { at: 'file', path: 'f', kind: 'file', stat: await statOf('f') } as const
        expect(Buffer.from((await disk.read(place, 6, 5, waiting)) ?? []).toString()).to.equal('world')
        const content = await staged('in stage')
        const read = await disk.read({ at: 'stage', content }, 0, 8, waiting)
        expect(read && Buffer.from(read).toString()).to.equal('in stage')
        person.write('f', 'hello there')
        expect(await disk.read(place, 0, 5, waiting)).to.equal(null)
        expect(await disk.read({ at: 'version', content }, 0, 5, waiting)).to.equal(null)
      })

      it('reads many together, each where it was asked for, with the hash that it has', async () => {
        person.write('f', 'hello world')
        person.write('g', 'x'.repeat(3 << 20))
        const [f, g] = [await statOf('f'), await statOf('g')]
        const at = (path: string, stat: Stat, offset: number, length: number): PlacedRead => ({
          ...{ place: { at: 'file', path, kind: 'file', stat }, offset, length },
        })
        const reads = [
          at('f', f, 6, 5),
          at('g', g, 0, 2 << 20),
          at('f', g, 0, 5),
          at('g', g, 2 << 20, 1 << 20),
          at('f', f, 0, 5),
        ]
        const { found, release } = await disk.readTogether(reads, waiting)
        expect(found.map(each => each && Buffer.from(each.bytes.subarray(0, 5)).toString())).to.deep.equal([
          'world',
          'xxxxx',
          null,
          'xxxxx',
          'hello',
        ])
        for (const each of found) if (each !== null) expect(each.hash).to.equal(sha256(each.bytes))
        const apart = await disk.readTogether([at('f', f, 0, 5)], waiting)
        release()
        expect(Buffer.from(apart.found[0]?.bytes ?? []).toString(), 'others stay').to.equal('hello')
      })
    })

    describe('staging', () => {
      it('takes whole contents that match and names those that do not', async () => {
        const good = idOf('good')
        const bad = idOf('bad')
        const wrong = await disk.stage.putWhole(
          [
            { content: good, bytes: bytes('good') },
            { content: bad, bytes: bytes('bat') },
          ],
          waiting,
        )
        expect(wrong).to.deep.equal([bad])
        expect([disk.stage.has(good), disk.stage.has(bad)]).to.deep.equal([true, false])
      })

      it('brings a large content together from chunks, and refuses wrong ones', async () => {
        const large = Buffer.alloc(1 << 20)
        for (let at = 0; at < large.length; at++) large[at] = Math.imul(at, 2654435761) >>> 21
        const list = subject.listOf(large)
        const file = await disk.stage.open(list, waiting)
        expect(file.missing().length).to.equal(list.chunks.length)
        let offset = 0
        const parts = list.chunks.map((chunk, index) => {
          const part = { index, bytes: large.subarray(offset, offset + chunk.length) }
          offset += chunk.length
          return part
        })
        const first = parts[0] as { index: number; bytes: Uint8Array }
        const flipped = Uint8Array.from(first.bytes)
        flipped[7] = (flipped[7] as number) ^ 1
        expect(await file.write([{ index: 0, bytes: flipped }], waiting)).to.deep.equal([0])
        expect(await file.write([{ index: 0, bytes: first.bytes.subarray(1) }], waiting)).to.deep.equal([0])
        expect(file.missing()).to.include(0)
        expect(await file.write(parts.slice(1), waiting)).to.deep.equal([])
        let caught: unknown
        await file.finish(waiting).catch((error: unknown) => {
          caught = error
        })
        expect(isKithError(caught) && caught.code).to.equal('content-mismatch')
        expect(disk.stage.has(list.content)).to.equal(false)
        await file.close()

        const again = await disk.stage.open(list, waiting)
        expect(again.missing()).to.deep.equal([0])
        const [, second] = list.chunks
        const part = { at: 'part', content: list.content } as const
        const readSecond = async (): Promise<string | undefined> =>
          (await disk.readHashed(part, list.chunks[0]?.length ?? 0, second?.length ?? 0, waiting))?.hash
        expect([again.has(0), again.has(1), await readSecond()]).to.deep.equal([false, true, second?.hash])
        expect(await again.write(parts.slice(0, 1), waiting)).to.deep.equal([])
        await again.finish(waiting)
        expect([again.has(0), await readSecond()]).to.deep.equal([true, undefined])
        await again.close()
        expect(disk.stage.has(list.content)).to.equal(true)
        const read = await disk.read({ at: 'stage', content: list.content }, 1000, 2000, waiting)
        expect(read && Buffer.from(read).equals(large.subarray(1000, 3000))).to.equal(true)
      })

      describe('what becomes longer', () => {
        const whole = Buffer.alloc(1 << 20)
        for (let at = 0; at < whole.length; at++) whole[at] = Math.imul(at, 2654435761) >>> 21
        let list: ContentList
        let prefix: ContentList
        beforeEach(() => {
          list = subject.listOf(whole)
          prefix = subject.listOf(whole.subarray(0, 600_000))
        })
        const partsOf = ({ chunks }: ContentList): { index: number; bytes: Uint8Array }[] => {
          let end = 0
          return chunks.map(({ length }, index) => {
            end += length
            return { index, bytes: whole.subarray(end - length, end) }
          })
        }
        async function begun(): Promise<StageFile> {
          const file = await disk.stage.open(prefix, waiting)
          expect(await file.write(partsOf(prefix), waiting)).to.deep.equal([])
          return file
        }
        async function completed(file: StageFile): Promise<void> {
          const missing = new Set(file.missing())
          expect(
            await file.write(
              partsOf(list).filter(({ index }) => missing.has(index)),
              waiting,
            ),
          ).to.deep.equal([])
          await file.finish(waiting)
          await file.close()
          const read = await disk.read({ at: 'stage', content: list.content }, 0, whole.length, waiting)
          expect(read && Buffer.from(read).equals(whole)).to.equal(true)
        }

        it('has what is there of its beginning, but for the last chunk', async () => {
          const same = prefix.chunks.length - 1
          expect(list.chunks.slice(0, same)).to.deep.equal(prefix.chunks.slice(0, same))
          const file = await disk.stage.extend(await begun(), list, waiting)
          expect(file.content).to.equal(list.content)
          expect(file.missing()).to.deep.equal(list.chunks.map((_, at) => at).slice(same))
          await disk.stage.sweep(new Set([list.content]))
          expect(await disk.read({ at: 'part', content: prefix.content }, 0, 10, waiting)).to.equal(null)
          await completed(file)
        })

        it('has nothing of what only begins otherwise', async () => {
          const other = subject.listOf(Buffer.concat([Buffer.from('another beginning'), whole]))
          const file = await disk.stage.extend(await begun(), other, waiting)
          expect(file.missing().length).to.equal(other.chunks.length)
          await file.close()
        })

        it('is what another brings already', async () => {
          const first = await disk.stage.open(list, waiting)
          expect(await first.write(partsOf(list).slice(0, 1), waiting)).to.deep.equal([])
          const second = await disk.stage.extend(await begun(), list, waiting)
          expect(second.has(0)).to.equal(true)
          await completed(second)
          await first.close()
        })
      })

      it('copies chunks from where they lie, verified', async () => {
        const large = Buffer.alloc(600_000)
        for (let at = 0; at < large.length; at++) large[at] = Math.imul(at + 7, 40503) >>> 9
        person.write('source', large)
        const list = subject.listOf(large)
        const place = { at: 'file', path: 'source', kind: 'file', stat: await statOf('source') } as const
        const file = await disk.stage.open(list, waiting)
        let offset = 0
        const chunks = list.chunks.map((chunk, index) => {
          const part = { index, place, offset }
          offset += chunk.length
          return part
        })
        const [first, ...rest] = chunks
        if (first === undefined) throw new Error('no chunks')
        expect(await file.copy([{ ...first, offset: 1 }, ...rest], waiting)).to.deep.equal([0])
        expect(await file.copy([first], waiting)).to.deep.equal([])
        await file.finish(waiting)
        await file.close()
        expect(disk.stage.has(list.content)).to.equal(true)
      })

      it('stages a local file whole if it is what was said', async () => {
        person.write('f', 'here already')
        const place = { at: 'file', path: 'f', kind: 'file', stat: await statOf('f') } as const
        expect(await disk.stage.putLocal(idOf('something else'), 12, place, waiting)).to.equal(false)
        expect(await disk.stage.putLocal(idOf('here already'), 12, place, waiting)).to.equal(true)
        expect(disk.stage.has(idOf('here already'))).to.equal(true)
        expect(disk.stage.has(idOf('something else'))).to.equal(false)
        person.write('f', 'changed since')
        expect(await disk.stage.putLocal(idOf('changed since'), 13, place, waiting)).to.equal(false)
      })

      it('keeps a finished content over a restart and sweeps what nobody wants', async () => {
        const kept = await staged('kept')
        const unwanted = await staged('unwanted')
        const next = await subject.reopen()
        await next.recover()
        expect([next.stage.has(kept), next.stage.has(unwanted)]).to.deep.equal([true, true])
        await next.stage.sweep(new Set([kept]))
        expect([next.stage.has(kept), next.stage.has(unwanted)]).to.deep.equal([true, false])
        await next.close()
      })
    })

    describe('publishing', () => {
      it('makes directories with their mode, and only where nothing stands', async () => {
        const [stat] = await succeed({ do: 'mkdir', path: 'd', mode: 0o750 }, { do: 'mkdir', path: 'd/e', mode: 0o700 })
        expect(stat?.mode).to.equal(0o750)
        // the entry made below it moves its mtime, not its identity
        const now = await statOf('d')
        expect([now.ino, now.birthUs]).to.deep.equal([stat?.ino, stat?.birthUs])
        await refuse({ do: 'mkdir', path: 'd', mode: 0o750 })
        await refuse({ do: 'mkdir', path: 'none/e', mode: 0o750 })
      })

      it('puts a new file with mode and mtime, and uses the stage up', async () => {
        const step = await put('f', 'new', { mode: 0o640 })
        const [stat] = await succeed(step)
        expect(text('f')).to.equal('new')
        expect([stat?.mode, stat?.mtimeUs, stat?.size]).to.deep.equal([0o640, T0 * 1000, 3])
        expect(stat).to.deep.equal(await statOf('f'))
        expect(disk.stage.has(idOf('new'))).to.equal(false)
        await refuse(step, 'failed')
      })

      it('publishes one stage at several places', async () => {
        const content = await staged('same')
        await succeed(
          await put('a', 'same', { content, keep: true }),
          await put('b', 'same', { content, keep: true }),
          await put('c', 'same', { content }),
        )
        expect([text('a'), text('b'), text('c')]).to.deep.equal(['same', 'same', 'same'])
        expect((await statOf('a')).ino).not.to.equal((await statOf('b')).ino)
        expect(disk.stage.has(content)).to.equal(false)
      })

      it('never puts over something unexpected', async () => {
        person.write('f', 'mine')
        const step = await put('f', 'theirs')
        await refuse(step)
        person.mkdir('d')
        await refuse({ ...step, path: 'd' } as DiskStep)
        await refuse({ ...step, path: 'none/f' } as DiskStep)
        await refuse({ ...step, path: 'f/below' } as DiskStep)
        expect(text('f')).to.equal('mine')
        expect(disk.stage.has(idOf('theirs'))).to.equal(true)
      })

      it('replaces what is as expected, and keeps it as a version', async () => {
        person.write('f', 'old')
        const content = idOf('old')
        await succeed(await put('f', 'new', { expect: await statOf('f'), expectContent: content }))
        expect(text('f')).to.equal('new')
        expect(disk.hasVersion(content)).to.equal(true)
        const read = await disk.read({ at: 'version', content }, 0, 3, waiting)
        expect(read && Buffer.from(read).toString()).to.equal('old')
      })

      it('does not replace what was changed since: in place, by rename, by chmod, or deleted', async () => {
        const changes: ((path: string) => void)[] = [
          path => {
            person.write(path, 'OLD')
            person.utimes(path, T0)
          },
          path => person.write(path, 'longer'),
          path => {
            person.write(`${path}.tmp`, 'old')
            person.rename(`${path}.tmp`, path)
          },
          path => person.remove(path),
          path => {
            person.remove(path)
            person.mkdir(path)
          },
          path => {
            person.remove(path)
            person.symlink(path, 'old')
          },
        ]
        for (const [index, change] of changes.entries()) {
          const path = `f${index}`
          person.write(path, 'old')
          person.utimes(path, T0)
          const expected = await statOf(path)
          await tick(expected)
          change(path)
          await refuse(await put(path, 'new', { expect: expected, expectContent: idOf('old') }))
        }
        expect([text('f0'), text('f1'), text('f2')]).to.deep.equal(['OLD', 'longer', 'old'])
        expect(person.exists('f3')).to.equal(false)
      })

      it('puts symlinks, over files and under them', async () => {
        await succeed(await put('l', 'some/target', { kind: 'symlink', mode: 0o777 }))
        expect((await look('l')).kind).to.equal('symlink')
        const hashed = await hash('l')
        expect(hashed.ok && hashed.list.content).to.equal(idOf('some/target'))
        await succeed(
          await put('l', 'other', { kind: 'symlink', expect: await statOf('l'), expectContent: idOf('some/target') }),
        )
        const again = await hash('l')
        expect(again.ok && again.list.content).to.equal(idOf('other'))
        expect(disk.hasVersion(idOf('some/target'))).to.equal(true)
        const target = await disk.read({ at: 'version', content: idOf('some/target') }, 0, 11, waiting)
        expect(target && Buffer.from(target).toString()).to.equal('some/target')
      })

      it('moves files and directories, and never onto something', async () => {
        person.mkdir('d')
        person.write('d/f', 'x')
        person.write('other', 'y')
        const f = await statOf('d/f')
        const [moved] = await succeed({ do: 'move', path: 'd/f', kind: 'file', expect: f, to: 'g' })
        expect(moved?.ino).to.equal(f.ino)
        expect(moved).to.deep.equal(await statOf('g'))
        await refuse({ do: 'move', path: 'g', kind: 'file', expect: await statOf('g'), to: 'other' })
        expect(text('other')).to.equal('y')
        await refuse({ do: 'move', path: 'g', kind: 'file', expect: await statOf('g'), to: 'd' })
        person.mkdir('empty')
        await refuse({ do: 'move', path: 'd', kind: 'directory', expect: await statOf('d'), to: 'empty' })
        await refuse({ do: 'move', path: 'd', kind: 'directory', expect: await statOf('d'), to: 'd/inside' })
        await succeed({ do: 'move', path: 'd', kind: 'directory', expect: await statOf('d'), to: 'empty/d' })
        expect(person.exists('empty/d')).to.equal(true)
      })

      it('knows everything again where the disk has another number than before', async () => {
        person.write('f', 'x')
        person.mkdir('d')
        const renumbered = async (path: string): Promise<Stat> => ({ ...(await statOf(path)), dev: 99 })
        const f = await renumbered('f')
        const read = await disk.read({ at: 'file', path: 'f', kind: 'file', stat: f }, 0, 1, waiting)
        expect(read && Buffer.from(read).toString()).to.equal('x')
        for await (const result of disk.hash([{ path: 'f', kind: 'file', stat: f }], waiting))
          expect(result.ok && result.list.content).to.equal(idOf('x'))
        await succeed({ do: 'touch', path: 'f', kind: 'file', expect: f, mode: 0o600, mtime: T0 })
        await succeed(await put('f', 'new', { expect: await renumbered('f'), expectContent: idOf('x') }))
        await succeed({ do: 'move', path: 'f', kind: 'file', expect: await renumbered('f'), to: 'd/f' })
        await succeed({ do: 'move', path: 'd', kind: 'directory', expect: await renumbered('d'), to: 'e' })
        expect(text('e/f')).to.equal('new')
      })

      it('does not move what was changed since', async () => {
        person.write('f', 'x')
        const stat = await statOf('f')
        person.write('f', 'xy')
        await refuse({ do: 'move', path: 'f', kind: 'file', expect: stat, to: 'g' })
        await refuse({ do: 'move', path: 'f', kind: 'directory', expect: await statOf('f'), to: 'g' })
        await refuse({ do: 'move', path: 'none', kind: 'file', expect: stat, to: 'g' })
        expect(text('f')).to.equal('xy')
      })

      it('moves a directory in which something changed: its identity counts, not its times', async () => {
        person.mkdir('d')
        const stat = await statOf('d')
        person.write('d/new', 'x')
        await succeed({ do: 'move', path: 'd', kind: 'directory', expect: stat, to: 'e' })
        expect(text('e/new')).to.equal('x')
      })

      it('parks and unparks, so that two files swap', async () => {
        person.write('a', 'A')
        person.write('b', 'B')
        const [a, b] = [await statOf('a'), await statOf('b')]
        const [parked, moved, back] = await succeed(
          { do: 'park', path: 'a', kind: 'file', expect: a, token: 't1' },
          { do: 'move', path: 'b', kind: 'file', expect: b, to: 'a' },
          { do: 'unpark', token: 't1', kind: 'file', to: 'b' },
        )
        expect(parked).to.equal(null)
        expect([text('a'), text('b')]).to.deep.equal(['B', 'A'])
        expect([moved?.ino, back?.ino]).to.deep.equal([b.ino, a.ino])
      })

      it('puts back what a batch leaves parked', async () => {
        person.mkdir('d')
        person.write('d/f', 'F')
        const stat = await statOf('d')
        await succeed({ do: 'park', path: 'd', kind: 'directory', expect: stat, token: 't1' })
        expect(text('d/f')).to.equal('F')
        await run(
          { do: 'park', path: 'd/f', kind: 'file', expect: await statOf('d/f'), token: 't2' },
          { do: 'mkdir', path: 'd/f', mode: 0o755 },
        )
        const names = ((await scan(['d'], false)).get('d') as Listing).entries
        expect(names.map(e => e.kind).sort()).to.deep.equal(['directory', 'file'])
        const file = names.find(e => e.kind === 'file')
        expect(text(`d/${file?.name}`)).to.equal('F')
        await refuse({ do: 'unpark', token: 't2', kind: 'file', to: 'elsewhere' })
      })

      it('touches mode and mtime of what is as expected', async () => {
        person.write('f', 'x')
        person.mkdir('d')
        const stat = await statOf('f')
        const [touched] = await succeed({ do: 'touch', path: 'f', kind: 'file', expect: stat, mode: 0o600, mtime: T0 })
        expect([touched?.mode, touched?.mtimeUs]).to.deep.equal([0o600, T0 * 1000])
        expect(touched).to.deep.equal(await statOf('f'))
        await refuse({ do: 'touch', path: 'f', kind: 'file', expect: stat, mode: 0o644, mtime: null })
        const d = await statOf('d')
        const [directory] = await succeed({
          do: 'touch',
          path: 'd',
          kind: 'directory',
          expect: d,
          mode: 0o700,
          mtime: null,
        })
        expect([directory?.mode, directory?.mtimeUs]).to.deep.equal([0o700, d.mtimeUs])
      })

      it('removes files into versions, and directories only when they are empty', async () => {
        person.mkdir('d')
        person.write('d/f', 'gone')
        const d = await statOf('d')
        await refuse({ do: 'remove', path: 'd', kind: 'directory', expect: d, content: NO_CONTENT })
        const content = idOf('gone')
        await succeed({ do: 'remove', path: 'd/f', kind: 'file', expect: await statOf('d/f'), content })
        expect(person.exists('d/f')).to.equal(false)
        const read = await disk.read({ at: 'version', content }, 0, 4, waiting)
        expect(read && Buffer.from(read).toString()).to.equal('gone')
        await succeed({ do: 'remove', path: 'd', kind: 'directory', expect: await statOf('d'), content: NO_CONTENT })
        expect(person.exists('d')).to.equal(false)
      })

      it('does not remove what was changed since', async () => {
        person.write('f', 'x')
        const stat = await statOf('f')
        person.write('f', 'y!')
        await refuse({ do: 'remove', path: 'f', kind: 'file', expect: stat, content: idOf('x') })
        expect(text('f')).to.equal('y!')
        person.remove('f')
        await refuse({ do: 'remove', path: 'f', kind: 'file', expect: stat, content: idOf('x') })
      })

      it('goes on after a step that failed', async () => {
        person.write('f', 'x')
        const results = await run(
          { do: 'mkdir', path: 'f', mode: 0o755 },
          { do: 'mkdir', path: 'd', mode: 0o755 },
          await put('d/g', 'g'),
        )
        expect(results.map(r => r.ok)).to.deep.equal([false, true, true])
        expect(text('d/g')).to.equal('g')
      })

      it('acts in the order of the steps where they depend on each other', async () => {
        person.write('f', 'was a file')
        await succeed(
          { do: 'remove', path: 'f', kind: 'file', expect: await statOf('f'), content: idOf('was a file') },
          { do: 'mkdir', path: 'f', mode: 0o755 },
          await put('f/below', 'b'),
        )
        expect(text('f/below')).to.equal('b')
      })
    })

    describe('versions and the root', () => {
      it('keeps bytes as a version, over a restart', async () => {
        const content = idOf('a base')
        expect(disk.hasVersion(content)).to.equal(false)
        await disk.keepVersion(content, bytes('a base'))
        expect(disk.hasVersion(content)).to.equal(true)
        const next = await subject.reopen()
        await next.recover()
        expect(next.hasVersion(content)).to.equal(true)
        const read = await next.read({ at: 'version', content }, 2, 4, waiting)
        expect(read && Buffer.from(read).toString()).to.equal('base')
        await next.close()
      })

      it('says ok of its own root and emptied of one that lost everything', async () => {
        expect(await disk.check({ hadEntries: false })).to.deep.equal({ state: 'ok' })
        person.write('f', 'x')
        expect(await disk.check({ hadEntries: true })).to.deep.equal({ state: 'ok' })
        person.emptyRoot()
        expect((await disk.check({ hadEntries: true })).state).to.equal('emptied')
        expect(await disk.check({ hadEntries: false })).to.deep.equal({ state: 'ok' })
      })

      it('hints at the directory in which something changed', async () => {
        person.mkdir('d')
        const dirty = new Set<string>()
        let wake = (): void => undefined
        const watch = disk.watch({
          onDirty: path => {
            dirty.add(path)
            wake()
          },
          onDoubt: () => undefined,
          onDegraded: problem => {
            throw new Error(problem.message)
          },
        })
        try {
          watch.add(['', 'd'])
          const deadline = Date.now() + 5000
          for (let at = 0; !dirty.has('d') && Date.now() < deadline; at++) {
            person.write('d/f', `x${at}`)
            await new Promise<void>(resolve => {
              wake = resolve
              setTimeout(resolve, 100)
            })
          }
          expect([...dirty]).to.include('d')
        } finally {
          await watch.close()
        }
      })

      it('hints at the first change in what it was told of before the scan', async () => {
        person.mkdir('d')
        person.write('d/f', 'base')
        let tell = (_path: string): void => undefined
        const told = new Promise<string>(resolve => {
          tell = resolve
        })
        const watch = disk.watch({
          onDirty: path => tell(path),
          onDoubt: () => undefined,
          onDegraded: problem => {
            throw new Error(problem.message)
          },
        })
        try {
          await watch.addBefore(['', 'd'], { signal: new AbortController().signal })
          person.write('d/f', 'next')
          expect(await told).to.equal('d')
        } finally {
          await watch.close()
        }
      })

      it('rejects with the reason of its signal', async () => {
        const controller = new AbortController()
        controller.abort(new Error('enough'))
        let caught: unknown
        await disk.stage.open(subject.listOf(bytes('x')), { signal: controller.signal }).catch((error: unknown) => {
          caught = error
        })
        expect(caught).to.be.instanceOf(Error).with.property('message', 'enough')
      })
    })
  })
}
