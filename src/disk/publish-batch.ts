// One batch of the publish worker: the only code that changes a user's file. Each step walks down from the root's handle without following
// symlinks, compares what stands there with what the plan expects, and acts, in consecutive synchronous calls; where anything differs it
// stops, for that is a local change and comes first. What is replaced or removed is in versions, durable, before it loses its name.
import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
} from 'node:fs'
import type { Kind } from '../core/entry.ts'
import { systemCode } from '../core/errors.ts'
import type { ContentId } from '../core/ids.ts'
import type { DiskStep, Stat, StepResult } from '../core/ports.ts'
import type { AreaHandle } from './area-handle.ts'
import { type Directory, openBelow, openForSync, splitPath } from './beneath.ts'
import { DirtyHandles } from './dirty-handles.ts'
import { ChangedError, checkRacy, isSameBytes, type Kept, keepCopy, keepOld, nameFor } from './keep-old.ts'
import type { LateEntry } from './late-writers.ts'
import { OldFiles } from './old-files.ts'
import { removeIfThere, syncDirectory } from './own-files.ts'
import { parkedName, writeSidecar } from './parked.ts'
import type { PreparedStages, Ready } from './prepared-stages.ts'
import { changedProblem, writingProblem } from './problem-of.ts'
import { isSame, kindOf, statOf, utimeSeconds } from './stat.ts'
import { bringIn, lookAt, moveUser, naming, takeOut, writable } from './user-place.ts'

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants
const LINUX = process.platform === 'linux'
const O_PATH = 0o10000000

type Step<D extends DiskStep['do']> = DiskStep & { do: D }

interface Found {
  readonly parent: Directory
  readonly name: string
  readonly stats: BigIntStats
}

export class PublishBatch {
  readonly #area: AreaHandle
  readonly #stages: PreparedStages
  readonly #dirty = new DirtyHandles()
  readonly #old: OldFiles
  readonly versions = new Set<ContentId>()
  readonly late: LateEntry[] = []

  constructor(area: AreaHandle, stages: PreparedStages) {
    this.#area = area
    this.#stages = stages
    this.#old = new OldFiles(area)
  }

  async run(steps: readonly DiskStep[]): Promise<StepResult[]> {
    this.#old.keepAhead(steps, index => this.#stages.isReady(index))
    const results: StepResult[] = []
    for (const [index, step] of steps.entries()) {
      if (this.#dirty.isFull) await this.#dirty.flush()
      results.push(this.#one(step, index))
    }
    this.#old.release()
    await this.#dirty.flush()
    for (const [index, error] of this.#dirty.failed) {
      results[index] = { ok: false, problem: writingProblem(error, pathOf(steps[index] as DiskStep)) }
    }
    return results
  }

  #one(step: DiskStep, index: number): StepResult {
    try {
      return { ok: true, stat: this.#act(step, index) }
    } catch (error) {
      const path = pathOf(step)
      if (error instanceof ChangedError) return { ok: false, problem: changedProblem(path) }
      return { ok: false, problem: writingProblem(error, path) }
    }
  }

  #act(step: DiskStep, index: number): Stat | null {
    switch (step.do) {
      case 'mkdir':
        return this.#mkdir(step, index)
      case 'move':
        return this.#move(step, index)
      case 'park':
        return this.#park(step, index)
      case 'unpark':
        return this.#unpark(step, index)
      case 'put':
        return step.expect === null ? this.#putNew(step, index) : this.#replace(step, step.expect, index)
      case 'touch':
        return this.#touch(step, index)
      case 'remove':
        return step.kind === 'directory' ? this.#removeDirectory(step, index) : this.#removeFile(step, index)
    }
  }

  #mkdir(step: Step<'mkdir'>, index: number): Stat {
    return this.#inside(step.path, (parent, name) => {
      naming(parent, null, () => mkdirSync(`${parent.base}/${name}`, 0o700))
      const made = openBelow(parent, name)
      try {
        this.#dirtyHandle(parent, index)
        this.#dirty.add(openForSync(made), index)
        chmodSync(made.base, step.mode & 0o777)
        return statOf(fstatSync(made.fd, { bigint: true }))
      } finally {
        closeSync(made.fd)
      }
    })
  }

  #move(step: Step<'move'>, index: number): Stat {
    return this.#expected(step.path, step.kind, step.expect, found =>
      this.#inside(step.to, (parent, name) => {
        moveUser(
          this.#area,
          { directory: found.parent, name: found.name, stats: found.stats },
          { directory: parent, name },
        )
        this.#dirtyHandle(found.parent, index)
        this.#dirtyHandle(parent, index)
        return this.#after(parent, name, found.stats)
      }),
    )
  }

  /** The note of where it came from is durable before it leaves. */
  #park(step: Step<'park'>, index: number): null {
    return this.#expected(step.path, step.kind, step.expect, found => {
      const path = `${this.#area.parked.base}/${parkedName(step.token)}`
      if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) throw new ChangedError('that place is taken')
      const note = writeSidecar(path, step.path)
      syncDirectory(this.#area.parked)
      try {
        takeOut(found.parent, found.name, found.stats, path)
      } catch (error) {
        removeIfThere(note)
        throw error
      }
      this.#dirtyHandle(found.parent, index)
      this.#dirtyHandle(this.#area.parked, index)
      return null
    })
  }

  #unpark(step: Step<'unpark'>, index: number): Stat {
    const path = `${this.#area.parked.base}/${parkedName(step.token)}`
    const stats = lstatSync(path, { bigint: true })
    if (kindOf(stats) !== step.kind) throw new ChangedError('something else is parked')
    return this.#inside(step.to, (parent, name) => {
      bringIn(path, parent, name)
      removeIfThere(`${path}.json`)
      this.#dirtyHandle(parent, index)
      this.#dirtyHandle(this.#area.parked, index)
      return this.#after(parent, name, stats)
    })
  }

  /** `link` and `symlink` fail where something stands: nothing is ever replaced. */
  #putNew(step: Step<'put'>, index: number): Stat {
    const ready = this.#stages.take(index)
    return this.#inside(step.path, (parent, name) => {
      const path = `${parent.base}/${name}`
      if (ready.target !== null) {
        const target = ready.target
        naming(parent, null, () => symlinkSync(target, path))
        lutimesSync(path, utimeSeconds(step.mtime), utimeSeconds(step.mtime))
        this.#stages.used(index)
      } else {
        bringIn(ready.path, parent, name)
        this.#stages.used(index)
      }
      this.#dirtyHandle(parent, index)
      return this.#published(parent, name, ready)
    })
  }

  #replace(step: Step<'put'>, expect: Stat, index: number): Stat {
    const ready = this.#stages.take(index)
    return this.#inside(step.path, (parent, name) => {
      const old = this.#old.take(index) ?? this.#old.keepNow(parent, name, expect, step.expectContent)
      const source = ready.target === null ? ready.path : this.#linkFile(ready.target, step.mtime)
      try {
        // Everything old is durable in versions; one last look, and the rename right behind it.
        const last = lookAt(parent, name)
        if (last === undefined || !isSameBytes(last, old.stats) || last.ctimeNs !== old.stats.ctimeNs) {
          throw new ChangedError('it changed at the last moment')
        }
        writable(parent, () => renameSync(source, `${parent.base}/${name}`))
      } catch (error) {
        if (ready.target !== null) removeIfThere(source)
        this.#old.undo(old.kept)
        throw error
      }
      this.#stages.used(index)
      this.#remember(step.path, step.expectContent, old.kept, old.stats)
      this.#dirtyHandle(parent, index)
      return this.#published(parent, name, ready)
    })
  }

  #touch(step: Step<'touch'>, index: number): Stat {
    return this.#expected(step.path, step.kind, step.expect, ({ parent, name, stats }) => {
      const path = `${parent.base}/${name}`
      if (step.kind === 'symlink') {
        if (step.mtime !== null) lutimesSync(path, utimeSeconds(step.mtime), utimeSeconds(step.mtime))
        this.#dirtyHandle(parent, index)
        return this.#after(parent, name, stats)
      }
      const fd = openSync(path, (LINUX ? O_PATH : O_RDONLY) | (O_NOFOLLOW ?? 0) | (O_NONBLOCK ?? 0))
      try {
        if (!isSameBytes(fstatSync(fd, { bigint: true }), stats)) throw new ChangedError('something else stands there')
        const handle = LINUX ? `/proc/self/fd/${fd}` : path
        if (step.mtime !== null) utimesSync(handle, utimeSeconds(step.mtime), utimeSeconds(step.mtime))
        chmodSync(handle, step.mode & 0o777)
        this.#dirtyTouched(handle, step.kind, index)
        return statOf(fstatSync(fd, { bigint: true }))
      } finally {
        closeSync(fd)
      }
    })
  }

  /** `rmdir` keeps a directory in which anything stands, known or not. */
  #removeDirectory(step: Step<'remove'>, index: number): null {
    return this.#expected(step.path, 'directory', step.expect, ({ parent, name }) => {
      writable(parent, () => rmdirSync(`${parent.base}/${name}`))
      this.#dirtyHandle(parent, index)
      return null
    })
  }

  /** Renamed into versions, then looked at: what was caught and is not what was expected goes back. */
  #removeFile(step: Step<'remove'>, index: number): null {
    return this.#expected(step.path, step.kind, step.expect, ({ parent, name, stats }) => {
      const { versions } = this.#area
      if (step.kind === 'symlink' || stats.nlink > 1n) {
        const keep = step.kind === 'symlink' ? keepOld : keepCopy
        const kept = keep(this.#area, parent, name, stats, step.content)
        syncDirectory(versions)
        const transit = this.#area.caughtPath()
        takeOut(parent, name, stats, transit)
        unlinkSync(transit)
        this.#remember(step.path, step.content, kept, stats)
      } else {
        checkRacy(parent, name, stats, step.content)
        const transit = this.#area.caughtPath()
        takeOut(parent, name, stats, transit)
        const kept = nameFor(this.#area, step.content, stats)
        renameSync(transit, `${versions.base}/${kept}`)
        this.#remember(step.path, step.content, { name: kept, linked: true, made: true }, stats)
      }
      this.#dirtyHandle(versions, index)
      this.#dirtyHandle(parent, index)
      return null
    })
  }

  #remember(path: string, content: ContentId, kept: Kept, stats: BigIntStats): void {
    this.versions.add(content)
    const late = kept.linked ? stats : kept.beside
    if (late === undefined) return
    const { ino, size, mtimeNs } = late
    this.late.push({ name: kept.name, path, seal: { ino, size, mtimeNs }, time: Date.now() })
  }

  #linkFile(target: Buffer, mtime: number): string {
    const path = this.#area.transitPath()
    symlinkSync(target, path)
    lutimesSync(path, utimeSeconds(mtime), utimeSeconds(mtime))
    return path
  }

  /** What stands there now must be what was staged, else the user was quicker. */
  #published(parent: Directory, name: string, ready: Ready): Stat {
    const now = lookAt(parent, name)
    if (now === undefined) throw new ChangedError('it was removed again')
    const isOurs =
      ready.target === null
        ? now.ino === ready.stats.ino && now.size === ready.stats.size && now.mtimeNs === ready.stats.mtimeNs
        : now.isSymbolicLink()
    if (!isOurs) throw new ChangedError('it was changed again')
    return statOf(now)
  }

  #after(parent: Directory, name: string, expected: BigIntStats): Stat {
    const now = lookAt(parent, name)
    if (now === undefined || now.ino !== expected.ino) throw new ChangedError('it was changed again')
    return statOf(now)
  }

  #expected<T>(path: string, kind: Kind, expect: Stat, act: (found: Found) => T): T {
    return this.#inside(path, (parent, name) => {
      const stats = lookAt(parent, name)
      if (stats === undefined || kindOf(stats) !== kind || !isSame(expect, statOf(stats), kind)) {
        throw new ChangedError('something else stands there')
      }
      return act({ parent, name, stats })
    })
  }

  #inside<T>(path: string, act: (parent: Directory, name: string) => T): T {
    const { directory, name } = splitPath(path)
    if (name === '' || name === '.' || name === '..') throw new ChangedError('no such place')
    return this.#area.inside(directory, parent => act(parent, name))
  }

  #dirtyHandle(directory: Directory, index: number): void {
    try {
      this.#dirty.add(openForSync(directory), index)
    } catch (error) {
      // Without read permission it cannot be opened for a sync; its file system syncs it with the next one that can.
      if (systemCode(error) !== 'EACCES') throw error
    }
  }

  #dirtyTouched(handle: string, kind: Kind, index: number): void {
    try {
      this.#dirty.add(
        openSync(handle, O_RDONLY | (O_NONBLOCK ?? 0) | (kind === 'directory' ? (O_DIRECTORY ?? 0) : 0)),
        index,
      )
    } catch (error) {
      if (systemCode(error) !== 'EACCES') throw error
    }
  }
}

export function pathOf(step: DiskStep): string {
  return step.do === 'unpark' ? step.to : step.path
}
