// A person at a volume: what they do with files, seeing nothing but the disk. It remembers every content that they overwrote or
// deleted with it before their eyes; whatever else disappears was lost by the daemon.
import type { Inode, MemoryVolume } from './memory-volume.ts'
import { VolumeError } from './memory-volume.ts'

export class MemoryPerson {
  readonly #volume: MemoryVolume
  #unmounted: Inode | null = null
  /** Called with each content that the person disposed of, and what they put in its place. */
  onDisposed: (bytes: Uint8Array, by: Uint8Array | null) => void = () => undefined

  constructor(volume: MemoryVolume) {
    this.#volume = volume
  }

  read(path: string): Uint8Array {
    const inode = this.#existing(path)
    return inode.data
  }

  text(path: string): string {
    return Buffer.from(this.read(path)).toString('utf8')
  }

  exists(path: string): boolean {
    return this.#volume.at(path) !== null
  }

  /** All paths, directories with a slash at the end. */
  tree(): string[] {
    return [...this.#volume.all()].map(({ path, inode }) => (inode.kind === 'directory' ? `${path}/` : path))
  }

  /** Path → text of every file and symlink. */
  files(): Record<string, string> {
    const out: Record<string, string> = {}
    for (const { path, inode } of this.#volume.all()) {
      if (inode.kind !== 'directory') out[path] = Buffer.from(inode.data).toString('utf8')
    }
    return out
  }

  /** In place, as `echo > f` does: the inode stays. */
  write(path: string, content: string | Uint8Array): void {
    const place = this.#place(path)
    const data = typeof content === 'string' ? Buffer.from(content) : content
    if (place.inode === null) {
      this.#volume.attach(place.parent, place.name, this.#volume.make('file', 0o644, data))
    } else {
      const inode = place.inode
      if (inode.kind !== 'file') throw new VolumeError('EISDIR', path)
      this.onDisposed(inode.data, data)
      inode.data = data
      this.#stamp(inode)
    }
    this.#touched(path)
  }

  append(path: string, content: string): void {
    const inode = this.#existing(path)
    // Nothing is disposed of: all that was there is still there.
    inode.data = Buffer.concat([inode.data, Buffer.from(content)])
    this.#stamp(inode)
    this.#touched(path)
  }

  truncate(path: string, length: number): void {
    const inode = this.#existing(path)
    const data = inode.data.slice(0, length)
    this.onDisposed(inode.data, data)
    inode.data = data
    this.#stamp(inode)
    this.#touched(path)
  }

  /** As editors save: a new file, renamed over the old one. */
  replaceByRename(path: string, content: string | Uint8Array): void {
    const place = this.#place(path)
    const data = typeof content === 'string' ? Buffer.from(content) : content
    const mode = place.inode?.mode ?? 0o644
    if (place.inode !== null) {
      if (place.inode.kind === 'directory') throw new VolumeError('EISDIR', path)
      this.onDisposed(place.inode.data, data)
    }
    // The old one is free only when the new one has its name.
    const saved = this.#volume.make('file', mode, data)
    if (place.inode !== null) this.#volume.free(this.#volume.detach(place.parent, place.name))
    this.#volume.attach(place.parent, place.name, saved)
    this.#touched(path)
  }

  /** As rename(2): replaces a file, or an empty directory by a directory. */
  rename(from: string, to: string): void {
    const source = this.#place(from)
    const target = this.#place(to)
    const inode = source.inode
    if (inode === null) throw new VolumeError('ENOENT', from)
    if (target.inode === inode && source.name === lastPart(to)) return
    if (`${to}/`.startsWith(`${from}/`) && from !== to && target.inode !== inode) throw new VolumeError('EINVAL', to)
    if (target.inode !== null && target.inode !== inode) {
      if (target.inode.kind === 'directory' || inode.kind === 'directory') {
        if (target.inode.kind !== inode.kind || target.inode.children.size > 0) throw new VolumeError('ENOTEMPTY', to)
      } else {
        // Equal contents were two, and are one now: whoever does this lets one of them go.
        const same = Buffer.compare(target.inode.data, inode.data) === 0
        this.onDisposed(target.inode.data, same ? null : inode.data)
      }
      this.#volume.free(this.#volume.detach(target.parent, target.name))
    }
    this.#volume.detach(source.parent, source.name)
    this.#volume.attach(
      target.parent,
      target.inode === null || target.inode === inode ? lastPart(to) : target.name,
      inode,
    )
    this.#touched(from)
    this.#touched(to)
  }

  mkdir(path: string, mode = 0o755): void {
    const place = this.#place(path)
    if (place.inode !== null) throw new VolumeError('EEXIST', path)
    this.#volume.attach(place.parent, place.name, this.#volume.make('directory', mode))
    this.#touched(path)
  }

  /** With all missing directories above it. */
  mkdirs(path: string): void {
    const parts = path.split('/')
    for (let at = 1; at <= parts.length; at++) {
      const part = parts.slice(0, at).join('/')
      if (!this.exists(part)) this.mkdir(part)
    }
  }

  remove(path: string): void {
    const place = this.#place(path)
    if (place.inode === null) throw new VolumeError('ENOENT', path)
    if (place.inode.children.size > 0) throw new VolumeError('ENOTEMPTY', path)
    if (place.inode.kind !== 'directory') this.onDisposed(place.inode.data, null)
    this.#volume.free(this.#volume.detach(place.parent, place.name))
    this.#touched(path)
  }

  rmrf(path: string): void {
    const place = this.#place(path)
    if (place.inode === null) throw new VolumeError('ENOENT', path)
    if (place.inode.kind !== 'directory') {
      this.remove(path)
      return
    }
    const below = [...this.#volume.walk(place.inode, path)].reverse()
    for (const entry of below) {
      if (entry.inode.kind !== 'directory') this.onDisposed(entry.inode.data, null)
      this.#volume.free(this.#volume.detach(entry.parent, entry.name))
      this.#touched(entry.path)
    }
    this.#volume.free(this.#volume.detach(place.parent, place.name))
    this.#touched(path)
  }

  chmod(path: string, mode: number): void {
    const inode = this.#existing(path)
    inode.mode = this.#volume.shownMode(inode.kind, mode)
    inode.ctimeUs = this.#volume.nowUs()
    this.#touched(path)
  }

  utimes(path: string, mtimeMs: number): void {
    const inode = this.#existing(path)
    inode.mtimeUs = this.#volume.cut(mtimeMs * 1000)
    inode.ctimeUs = this.#volume.nowUs()
    this.#touched(path)
  }

  symlink(path: string, target: string): void {
    const place = this.#place(path)
    if (place.inode !== null) throw new VolumeError('EEXIST', path)
    this.#volume.attach(place.parent, place.name, this.#volume.make('symlink', 0o777, Buffer.from(target)))
    this.#touched(path)
  }

  copy(from: string, to: string): void {
    const source = this.#existing(from)
    if (source.kind !== 'file') throw new VolumeError('EISDIR', from)
    const place = this.#place(to)
    if (place.inode !== null) throw new VolumeError('EEXIST', to)
    this.#volume.attach(place.parent, place.name, this.#volume.make('file', source.mode, source.data))
    this.#touched(to)
  }

  /** `mv a t; mv b a; mv t b` at once. */
  swap(a: string, b: string): void {
    const one = this.#place(a)
    const two = this.#place(b)
    if (one.inode === null || two.inode === null) throw new VolumeError('ENOENT', `${a}, ${b}`)
    if (`${a}/`.startsWith(`${b}/`) || `${b}/`.startsWith(`${a}/`)) throw new VolumeError('EINVAL', `${a}, ${b}`)
    const first = this.#volume.detach(one.parent, one.name)
    const second = this.#volume.detach(two.parent, two.name)
    this.#volume.attach(one.parent, one.name, second)
    this.#volume.attach(two.parent, two.name, first)
    this.#touched(a)
    this.#touched(b)
  }

  /** EACCES on it from now on, or no longer. */
  setUnreadable(path: string, unreadable: boolean): void {
    this.#existing(path).unreadable = unreadable
    this.#touched(path)
  }

  /** As an unmounted disk: the root is there, and nothing in it, not even `.kith`. */
  unmountRoot(): Inode {
    const had = this.#volume.root
    if (had === null) throw new VolumeError('ENOENT', '')
    this.#volume.root = this.#volume.make('directory', 0o755)
    this.#unmounted = had
    return had
  }

  get unmounted(): boolean {
    return this.#unmounted !== null
  }

  /** The disk is there again, as it was. */
  remountRoot(): void {
    if (this.#unmounted !== null) this.restoreRoot(this.#unmounted)
  }

  removeRoot(): Inode {
    const had = this.#volume.root
    if (had === null) throw new VolumeError('ENOENT', '')
    this.#volume.root = null
    this.#unmounted = had
    return had
  }

  restoreRoot(root: Inode): void {
    this.#volume.root = root
    this.#unmounted = null
  }

  /** `rm -rf root/*`: `.kith` stays. */
  emptyRoot(): void {
    const root = this.#volume.root
    if (root === null) throw new VolumeError('ENOENT', '')
    for (const name of [...root.children.keys()].sort()) this.rmrf(name)
  }

  #place(path: string): { parent: Inode; name: string; inode: Inode | null } {
    const place = this.#volume.place(path)
    if (place === null) throw new VolumeError('ENOENT', path)
    return place
  }

  #existing(path: string): Inode {
    const inode = this.#volume.at(path)
    if (inode === null) throw new VolumeError('ENOENT', path)
    return inode
  }

  #stamp(inode: Inode): void {
    const us = this.#volume.nowUs()
    inode.mtimeUs = us
    inode.ctimeUs = us
  }

  #touched(path: string): void {
    this.#volume.touched(path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '')
  }
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
