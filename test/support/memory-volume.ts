// A volume in memory: the inodes of one device's folder, as POSIX has them, with what a disk may do to you: coarse times, folded
// case, lost modes, unreadable entries, no space. It outlives the processes that use it. Nothing here waits.

import type { Kind } from '../../src/core/entry.ts'
import type { ContentId } from '../../src/core/ids.ts'
import type { JournalEntry } from '../../src/core/past.ts'
import type { Stat } from '../../src/core/ports.ts'

export interface Inode {
  readonly ino: number
  readonly dev: number
  readonly kind: Kind
  readonly birthUs: number
  mtimeUs: number
  ctimeUs: number
  mode: number
  /** A file's bytes; a symlink's target. Never changed in place. */
  data: Uint8Array
  readonly children: Map<string, Inode>
  unreadable: boolean
  /** Not even looked at: its directory lists a problem in its place, as for a damaged inode. */
  unlisted: boolean
  /** `.kith` of a root. */
  kith: KithArea | null
}

/** What the daemon keeps in `.kith`. */
export interface KithArea {
  marker: { dev: number; ino: number } | null
  readonly versions: Map<ContentId, Uint8Array>
  /** Those that share their chunks. */
  readonly packed: Set<ContentId>
  /** What was kept and is not what it should be. */
  readonly damaged: Uint8Array[]
  readonly stage: Map<ContentId, Staged>
  readonly parked: Map<string, { inode: Inode; from: string }>
  readonly journal: JournalEntry[]
}

export interface Staged {
  readonly chunks: Map<number, Uint8Array>
  /** Verified as a whole and durable. */
  whole: Uint8Array | null
  /** Where each chunk begins. */
  offsets: readonly number[]
}

export interface VolumeOptions {
  readonly dev?: number
  readonly foldsCase?: boolean
  /** Times are cut to this; ext4 has 4 ms ticks, FAT 2 s. */
  readonly granularityUs?: number
  /** Modes as given, or a disk that shows 0644 and 0755 whatever was set. */
  readonly keepsModes?: boolean
  /** False: a disk that has none shows 0. */
  readonly hasBirthTimes?: boolean
  /** The inode of what a person deleted is given to what is made next, as ext4 does. */
  readonly reusesInodes?: boolean
  /** The next microsecond of this device's wall clock. */
  readonly stampUs: () => number
}

export interface Place {
  readonly parent: Inode
  /** As spelled on the disk, where something is there. */
  readonly name: string
  readonly inode: Inode | null
}

export type VolumeListener = (directory: string) => void

export class VolumeError extends Error {
  readonly code: string

  constructor(code: string, path: string) {
    super(`${code}: ${path}`)
    this.code = code
  }
}

export class MemoryVolume {
  readonly foldsCase: boolean
  readonly #dev: number
  readonly #granularityUs: number
  readonly #keepsModes: boolean
  readonly #hasBirthTimes: boolean
  readonly #reusesInodes: boolean
  readonly #stampUs: () => number
  readonly #listeners = new Set<VolumeListener>()
  #inodes = 1
  #freed: number[] = []
  root: Inode | null
  /** Names that this disk cannot have. */
  readonly cannotHold = new Set<string>()
  /** Bytes that still fit, for what the daemon writes. */
  freeBytes = Number.POSITIVE_INFINITY
  /** Only what is staged asks: nothing gets past it. */
  readOnly = false

  constructor(options: VolumeOptions) {
    this.foldsCase = options.foldsCase ?? false
    this.#dev = options.dev ?? 1
    this.#granularityUs = options.granularityUs ?? 1
    this.#keepsModes = options.keepsModes ?? true
    this.#hasBirthTimes = options.hasBirthTimes ?? true
    this.#reusesInodes = options.reusesInodes ?? false
    this.#stampUs = options.stampUs
    this.root = this.make('directory', 0o755)
  }

  /** Told of each directory in which something changed. */
  listen(listener: VolumeListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  touched(directory: string): void {
    for (const listener of [...this.#listeners]) listener(directory)
  }

  nowUs(): number {
    return this.cut(this.#stampUs())
  }

  cut(us: number): number {
    return Math.floor(us / this.#granularityUs) * this.#granularityUs
  }

  shownMode(kind: Kind, mode: number): number {
    if (kind === 'symlink') return 0o777
    if (this.#keepsModes) return mode & 0o777
    return kind === 'directory' ? 0o755 : 0o644
  }

  make(kind: Kind, mode: number, data: Uint8Array = new Uint8Array(0)): Inode {
    const us = this.nowUs()
    return {
      ino: this.#freed.pop() ?? ++this.#inodes,
      dev: this.#dev,
      kind,
      birthUs: this.#bornAt(us),
      mtimeUs: us,
      ctimeUs: us,
      mode: this.shownMode(kind, mode),
      data,
      children: new Map(),
      unreadable: false,
      unlisted: false,
      kith: null,
    }
  }

  /** Nothing has it any more: neither a name nor `.kith`. */
  free(inode: Inode): void {
    if (this.#reusesInodes) this.#freed.push(inode.ino)
  }

  #bornAt(us: number): number {
    return this.#hasBirthTimes ? us + 1 : 0
  }

  key(name: string): string {
    return this.foldsCase ? name.normalize('NFC').toLowerCase() : name
  }

  child(directory: Inode, name: string): { name: string; inode: Inode } | null {
    const exact = directory.children.get(name)
    if (exact !== undefined) return { name, inode: exact }
    if (!this.foldsCase) return null
    const key = this.key(name)
    for (const [other, inode] of directory.children) if (this.key(other) === key) return { name: other, inode }
    return null
  }

  /** Where a path leads, without following symlinks; null where a directory on the way is missing. */
  place(path: string): Place | null {
    if (this.root === null) return null
    if (path === '') return { parent: this.root, name: '', inode: this.root }
    let parent = this.root
    const parts = path.split('/')
    for (const part of parts.slice(0, -1)) {
      const next = this.child(parent, part)
      if (next === null || next.inode.kind !== 'directory') return null
      parent = next.inode
    }
    const last = parts.at(-1) ?? ''
    const found = this.child(parent, last)
    return { parent, name: found?.name ?? last, inode: found?.inode ?? null }
  }

  at(path: string): Inode | null {
    return this.place(path)?.inode ?? null
  }

  /** An EACCES or EIO on the way, or at the path itself. */
  blocked(path: string): boolean {
    let at = this.root
    if (at === null) return false
    if (isBlocked(at)) return true
    for (const part of path === '' ? [] : path.split('/')) {
      const next: { inode: Inode } | null = this.child(at, part)
      if (next === null) return false
      at = next.inode
      if (isBlocked(at)) return true
    }
    return false
  }

  attach(parent: Inode, name: string, inode: Inode): void {
    if (this.child(parent, name) !== null) throw new VolumeError('EEXIST', name)
    parent.children.set(name, inode)
    this.#stamp(parent)
    inode.ctimeUs = this.nowUs()
  }

  detach(parent: Inode, name: string): Inode {
    const inode = parent.children.get(name)
    if (inode === undefined) throw new VolumeError('ENOENT', name)
    parent.children.delete(name)
    this.#stamp(parent)
    inode.ctimeUs = this.nowUs()
    return inode
  }

  /** Everything below a directory, parents first, in order of names. */
  *walk(from: Inode, prefix = ''): Iterable<{ path: string; inode: Inode; parent: Inode; name: string }> {
    for (const name of [...from.children.keys()].sort()) {
      const inode = from.children.get(name)
      if (inode === undefined) continue
      const path = prefix === '' ? name : `${prefix}/${name}`
      yield { path, inode, parent: from, name }
      if (inode.kind === 'directory') yield* this.walk(inode, path)
    }
  }

  *all(): Iterable<{ path: string; inode: Inode; parent: Inode; name: string }> {
    if (this.root !== null) yield* this.walk(this.root)
  }

  pathOf(inode: Inode): string | null {
    if (inode === this.root) return ''
    for (const entry of this.all()) if (entry.inode === inode) return entry.path
    return null
  }

  /** Everything on it, as a backup or a snapshot of the machine would have it. */
  copy(): VolumeCopy {
    return {
      root: this.root === null ? null : copyOf(this.root, inode => ({ ino: inode.ino, birthUs: inode.birthUs })),
    }
  }

  /**
   * Puts a copy back into the same root. `inodes`: those it had, as a snapshot of the machine has them, or new ones, as a backup that
   * was copied back.
   */
  putBack({ root }: VolumeCopy, { inodes }: { inodes: 'same' | 'new' }): void {
    const anew = (inode: Inode): Pick<Inode, 'ino' | 'birthUs'> =>
      inodes === 'same' || inode === root
        ? { ino: inode.ino, birthUs: inode.birthUs }
        : { ino: ++this.#inodes, birthUs: this.#bornAt(this.nowUs()) }
    // Some of them are in use again.
    this.#freed = []
    this.root = root === null ? null : copyOf(root, anew)
  }

  #stamp(directory: Inode): void {
    const us = this.nowUs()
    directory.mtimeUs = us
    directory.ctimeUs = us
  }
}

function isBlocked({ unreadable, unlisted }: Inode): boolean {
  return unreadable || unlisted
}

export interface VolumeCopy {
  readonly root: Inode | null
}

function copyOf(inode: Inode, identity: (inode: Inode) => Pick<Inode, 'ino' | 'birthUs'>): Inode {
  const { kith } = inode
  const area = kith && {
    marker: kith.marker,
    versions: new Map(kith.versions),
    packed: new Set(kith.packed),
    damaged: [...kith.damaged],
    stage: new Map([...kith.stage].map(([id, { chunks, ...rest }]) => [id, { chunks: new Map(chunks), ...rest }])),
    parked: new Map([...kith.parked].map(([id, at]) => [id, { ...at, inode: copyOf(at.inode, identity) }])),
    journal: [...kith.journal],
  }
  const children = new Map([...inode.children].map(([name, child]) => [name, copyOf(child, identity)]))
  return { ...inode, ...identity(inode), children, kith: area }
}

/** `.kith` of the root, made where it is missing; of a root that is gone, one that nothing keeps. */
export function areaOf(volume: MemoryVolume): KithArea {
  const { root } = volume
  const area = root?.kith ?? {
    marker: null,
    versions: new Map(),
    packed: new Set(),
    damaged: [],
    stage: new Map(),
    parked: new Map(),
    journal: [],
  }
  if (root !== null) root.kith = area
  return area
}

/** This root is the one of the folder from now on. */
export function mark(volume: MemoryVolume): void {
  const { root } = volume
  if (root !== null) areaOf(volume).marker = { dev: root.dev, ino: root.ino }
}

export function statOf(inode: Inode): Stat {
  return {
    dev: inode.dev,
    ino: inode.ino,
    birthUs: inode.birthUs,
    size: inode.kind === 'directory' ? 4096 : inode.data.length,
    mtimeUs: inode.mtimeUs,
    ctimeUs: inode.ctimeUs,
    mode: inode.mode,
    links: 1,
  }
}

/** Is it still what `expect` says? Times and size count for files and symlinks only. */
export function isAsExpected(inode: Inode, kind: Kind, expect: Stat): boolean {
  if (inode.kind !== kind || inode.ino !== expect.ino) return false
  if (inode.birthUs !== expect.birthUs) return false
  if (kind === 'directory') return true
  return inode.data.length === expect.size && inode.mtimeUs === expect.mtimeUs && inode.ctimeUs === expect.ctimeUs
}
