// What the plan's steps do to a volume in memory. Each is one synchronous act that checks first; each leaves an undo, so that a
// power cut can take back what was not on the platter yet.
import { contentOf } from '../../src/core/content-list.ts'
import type { Kind } from '../../src/core/entry.ts'
import type { ContentId } from '../../src/core/ids.ts'
import type { DiskStep, Problem, ProblemCode, StepResult } from '../../src/core/ports.ts'
import type { Inode, KithArea, MemoryVolume, Place } from './memory-volume.ts'
import { isAsExpected, statOf } from './memory-volume.ts'

type Undo = () => void

const RACY_US = 2_000_000

/** One batch: what it parked must be taken out by itself or goes back. */
export class StepBatch {
  readonly #volume: MemoryVolume
  readonly #area: KithArea
  readonly #undos: Undo[] = []

  constructor(volume: MemoryVolume, area: KithArea) {
    this.#volume = volume
    this.#area = area
  }

  run(step: DiskStep): StepResult {
    switch (step.do) {
      case 'mkdir':
        return this.#mkdir(step)
      case 'move':
        return this.#move(step)
      case 'park':
        return this.#park(step)
      case 'unpark':
        return this.#unpark(step)
      case 'put':
        return this.#put(step)
      case 'touch':
        return this.#touch(step)
      case 'remove':
        return this.#remove(step)
    }
  }

  /**
   * Nothing of a batch is on the platter before it is synced, and a disk may write in any order: takes back those acts that `lost`
   * says, the last first, as far as nothing else happened there since.
   */
  undo(lost: () => boolean): void {
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) if (lost()) undo()
  }

  #mkdir(step: DiskStep & { do: 'mkdir' }): StepResult {
    const place = this.#volume.place(step.path)
    if (place === null || place.inode !== null) return changed(step.path)
    if (this.#volume.freeBytes <= 0) return refused('no-space', step.path)
    if (this.#volume.cannotHold.has(last(step.path))) return refused('cannot-hold', step.path)
    const inode = this.#volume.make('directory', step.mode)
    this.#attach(place, inode, step.path)
    this.#undos.push(() => {
      if (place.parent.children.get(place.name) === inode && inode.children.size === 0) {
        this.#volume.detach(place.parent, place.name)
      }
    })
    return done(inode)
  }

  #move(step: DiskStep & { do: 'move' }): StepResult {
    const from = this.#expected(step.path, step.kind, step.expect)
    if (from === null) return changed(step.path)
    const to = this.#volume.place(step.to)
    if (to === null || (to.inode !== null && to.inode !== from.inode)) return changed(step.to)
    if (contains(this.#volume, from.inode, to.parent)) return changed(step.to)
    if (this.#volume.cannotHold.has(last(step.to))) return refused('cannot-hold', step.path)
    this.#volume.detach(from.parent, from.name)
    this.#attach({ ...to, name: last(step.to) }, from.inode, step.to)
    this.#volume.touched(directoryOf(step.path))
    this.#undos.push(() => this.#back(from, to.parent, last(step.to)))
    return done(from.inode)
  }

  #park(step: DiskStep & { do: 'park' }): StepResult {
    const from = this.#expected(step.path, step.kind, step.expect)
    if (from === null || this.#area.parked.has(step.token)) return changed(step.path)
    this.#volume.detach(from.parent, from.name)
    this.#area.parked.set(step.token, { inode: from.inode, from: step.path })
    this.#volume.touched(directoryOf(step.path))
    this.#undos.push(() => {
      if (
        this.#area.parked.get(step.token)?.inode === from.inode &&
        from.parent.children.get(from.name) === undefined
      ) {
        this.#area.parked.delete(step.token)
        this.#volume.attach(from.parent, from.name, from.inode)
      }
    })
    return { ok: true, stat: null }
  }

  #unpark(step: DiskStep & { do: 'unpark' }): StepResult {
    const parked = this.#area.parked.get(step.token)
    const to = this.#volume.place(step.to)
    if (parked === undefined || parked.inode.kind !== step.kind) return changed(step.to)
    if (to === null || to.inode !== null) return changed(step.to)
    if (this.#volume.cannotHold.has(last(step.to))) return refused('cannot-hold', step.to)
    this.#area.parked.delete(step.token)
    this.#attach(to, parked.inode, step.to)
    this.#undos.push(() => {
      if (to.parent.children.get(to.name) === parked.inode) {
        this.#volume.detach(to.parent, to.name)
        this.#area.parked.set(step.token, parked)
      }
    })
    return done(parked.inode)
  }

  #put(step: DiskStep & { do: 'put' }): StepResult {
    const bytes = this.#area.stage.get(step.content)?.whole
    if (bytes === undefined || bytes === null) return refused('failed', step.path)
    const place = this.#volume.place(step.path)
    if (place === null) return changed(step.path)
    if (this.#volume.cannotHold.has(last(step.path))) return refused('cannot-hold', step.path)
    const old = place.inode
    if (step.expect === null ? old !== null : old === null) return changed(step.path)
    if (old !== null && step.expect !== null) {
      if (old.kind === 'directory' || !isAsExpected(old, old.kind, step.expect)) return changed(step.path)
      if (this.#wroteUnseen(old, step.expectContent)) return changed(step.path)
      this.#area.versions.set(step.expectContent, old.data)
      this.#volume.detach(place.parent, place.name)
    }
    const inode = this.#volume.make(step.kind, step.mode, bytes)
    this.#attach(place, inode, step.path)
    if (step.kind === 'file') inode.mtimeUs = this.#volume.cut(step.mtime * 1000)
    if (!step.keep) this.#area.stage.delete(step.content)
    this.#undos.push(() => {
      if (place.parent.children.get(place.name) !== inode || inode.data !== bytes) return
      this.#volume.detach(place.parent, place.name)
      if (old !== null) this.#volume.attach(place.parent, place.name, old)
      this.#area.stage.set(step.content, { chunks: new Map(), offsets: [], whole: bytes })
    })
    return done(inode)
  }

  #touch(step: DiskStep & { do: 'touch' }): StepResult {
    const place = this.#expected(step.path, step.kind, step.expect)
    if (place === null) return changed(step.path)
    const inode = place.inode
    if (step.kind !== 'symlink') inode.mode = this.#volume.shownMode(step.kind, step.mode)
    if (step.mtime !== null) inode.mtimeUs = this.#volume.cut(step.mtime * 1000)
    inode.ctimeUs = this.#volume.nowUs()
    this.#volume.touched(directoryOf(step.path))
    return done(inode)
  }

  #remove(step: DiskStep & { do: 'remove' }): StepResult {
    const place = this.#expected(step.path, step.kind, step.expect)
    if (place === null || place.inode.children.size > 0) return changed(step.path)
    if (this.#wroteUnseen(place.inode, step.content)) return changed(step.path)
    if (step.kind !== 'directory') this.#area.versions.set(step.content, place.inode.data)
    this.#volume.detach(place.parent, place.name)
    this.#volume.touched(directoryOf(step.path))
    this.#undos.push(() => {
      if (this.#volume.child(place.parent, place.name) === null && this.#volume.pathOf(place.parent) !== null) {
        this.#volume.attach(place.parent, place.name, place.inode)
      }
    })
    return { ok: true, stat: null }
  }

  #expected(path: string, kind: Kind, expect: Parameters<typeof isAsExpected>[2]): (Place & { inode: Inode }) | null {
    if (path === '') return null
    const place = this.#volume.place(path)
    if (place === null || place.inode === null || !isAsExpected(place.inode, kind, expect)) return null
    return { ...place, inode: place.inode }
  }

  /** As the real disk does: of a file that was written a moment ago the bytes decide, not the times. */
  #wroteUnseen({ kind, mtimeUs, ctimeUs, data }: Inode, content: ContentId): boolean {
    if (kind !== 'file' || this.#volume.nowUs() - Math.max(mtimeUs, ctimeUs) > RACY_US) return false
    return contentOf(data).content !== content
  }

  #attach(place: { parent: Inode; name: string }, inode: Inode, path: string): void {
    this.#volume.attach(place.parent, place.name, inode)
    this.#volume.touched(directoryOf(path))
  }

  #back(from: Place & { inode: Inode }, parent: Inode, name: string): void {
    if (parent.children.get(name) !== from.inode || this.#volume.pathOf(from.parent) === null) return
    const occupant = this.#volume.child(from.parent, from.name)
    if (occupant !== null && occupant.inode !== from.inode) return
    if (contains(this.#volume, from.inode, from.parent)) return
    this.#volume.detach(parent, name)
    this.#volume.attach(from.parent, from.name, from.inode)
  }
}

/** Puts back everything parked: to where it was, or beside it under a free name. Returns how many. */
export function putBackParked(volume: MemoryVolume, area: KithArea): number {
  let count = 0
  for (const [token, { inode, from }] of [...area.parked]) {
    if (volume.root === null) break
    const parent = volume.at(directoryOf(from))
    const directory = parent !== null && parent.kind === 'directory' ? parent : volume.root
    let name = last(from)
    for (let at = 1; volume.child(directory, name) !== null; at++) name = `${last(from)} (parked ${at})`
    area.parked.delete(token)
    volume.attach(directory, name, inode)
    volume.touched(volume.pathOf(directory) ?? '')
    count++
  }
  return count
}

function contains(volume: MemoryVolume, top: Inode, directory: Inode): boolean {
  if (top === directory) return true
  for (const entry of volume.walk(top)) if (entry.inode === directory) return true
  return false
}

function done(inode: Inode): StepResult {
  return { ok: true, stat: statOf(inode) }
}

function changed(path: string): StepResult {
  return { ok: false, problem: { code: 'changed', path, message: `Something else stands at ${path} than expected.` } }
}

export function refused(code: ProblemCode, path: string): StepResult {
  return { ok: false, problem: problem(code, path) }
}

export function problem(code: ProblemCode, path: string): Problem {
  return { code, path, message: `${code}: ${path}` }
}

export function directoryOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : ''
}

function last(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
