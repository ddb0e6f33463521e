// Making, walking and comparing the trees of a run. Nothing here asks the system under test.
import { execFileSync } from 'node:child_process'
import { createHash, randomFillSync } from 'node:crypto'
import {
  closeSync,
  cpSync,
  type Dirent,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

const MIB = 1 << 20
const SHOWN = 3

export function writeRandom(path: string, bytes: number): void {
  const fd = openSync(path, 'w')
  const block = Buffer.allocUnsafe(Math.min(bytes, 4 * MIB))
  for (let left = bytes; left > 0; left -= block.length)
    writeSync(fd, randomFillSync(block), 0, Math.min(left, block.length))
  closeSync(fd)
}

export function appendRandom(path: string, bytes: number): void {
  const fd = openSync(path, 'a')
  const block = Buffer.allocUnsafe(MIB)
  for (let left = bytes; left > 0; left -= block.length)
    writeSync(fd, randomFillSync(block), 0, Math.min(left, block.length))
  closeSync(fd)
}

/** `files` random files in `directories` directories. */
export function writeRandomTree(root: string, files: number, bytes: number, directories: number): void {
  const each = Math.max(1, Math.ceil(files / directories))
  const block = Buffer.allocUnsafe(bytes)
  for (let at = 0; at < files; at++) {
    const directory = join(root, `d${String(Math.floor(at / each)).padStart(4, '0')}`)
    if (at % each === 0) mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, `f${String(at % each).padStart(4, '0')}.dat`), randomFillSync(block))
  }
}

/** What the rest of a file is, behind other bytes. */
export function writeWithHead(path: string, head: Uint8Array, from: string): void {
  const out = openSync(path, 'w')
  writeSync(out, head)
  for (const block of blocksOf(from)) writeSync(out, block)
  closeSync(out)
}

/** Files and links of a real tree, with times and modes, until there are `entries`. */
export function copyTree(from: string, to: string, entries: number): number {
  let copied = 0
  const copy = (source: string, target: string): void => {
    mkdirSync(target, { recursive: true })
    const found = readdirSync(source, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
    for (const entry of found) {
      if (!(entry.isFile() || entry.isSymbolicLink())) continue
      cpSync(join(source, entry.name), join(target, entry.name), { preserveTimestamps: true, verbatimSymlinks: true })
      copied++
    }
    for (const entry of found) {
      if (entry.isDirectory() && copied < entries) copy(join(source, entry.name), join(target, entry.name))
    }
  }
  copy(from, to)
  return copied
}

/** The files of a tree, as paths within it, sorted. */
export function filesIn(root: string, own: ReadonlySet<string> = new Set()): string[] {
  const found: string[] = []
  walk(root, own, (path, entry) => {
    if (entry.isFile()) found.push(path)
  })
  return found.sort()
}

/** Times too, whole: Node's own `cp` rounds them, half of them by a millisecond, and settling that would be another work. */
export function copyAll(from: string, to: string): void {
  execFileSync('cp', ['-a', from, to])
}

/** Of the files in a tree, those that take room. */
export function removeLarge(root: string): void {
  const large: string[] = []
  walk(root, new Set(), (path, entry) => {
    const full = join(root, path)
    if (entry.isFile() && lstatSync(full).size > MIB) large.push(full)
  })
  for (const path of large) rmSync(path, { force: true })
}

/** The cheap look: how many entries, and bytes in files. */
export function outline(root: string, own: ReadonlySet<string>): string {
  let entries = 0
  let bytes = 0
  walk(root, own, (path, entry) => {
    entries++
    if (entry.isFile()) bytes += statSync(join(root, path)).size
  })
  return `${entries} ${bytes}`
}

export interface Manifest {
  /** Path → kind, and content or target. */
  readonly entries: ReadonlyMap<string, string>
  /** Path of a file → mode and mtime in s. */
  readonly meta: ReadonlyMap<string, string>
  /** ms: the last change of anything in the tree. */
  readonly lastChange: number
}

export function manifest(root: string, own: ReadonlySet<string>): Manifest {
  const entries = new Map<string, string>()
  const meta = new Map<string, string>()
  let lastChange = statSync(root).ctimeMs
  walk(root, own, (path, entry) => {
    const full = join(root, path)
    const stat = lstatSync(full)
    lastChange = Math.max(lastChange, stat.ctimeMs)
    if (entry.isDirectory()) entries.set(path, 'directory')
    else if (entry.isSymbolicLink()) entries.set(path, `link ${readlinkSync(full)}`)
    else {
      const hash = createHash('sha256')
      for (const block of blocksOf(full)) hash.update(block)
      entries.set(path, `file ${hash.digest('hex')}`)
      meta.set(path, `${(stat.mode & 0o777).toString(8)} ${Math.floor(stat.mtimeMs / 1000)}`)
    }
  })
  return { entries, meta, lastChange }
}

/** The paths whose values differ. */
export function differing(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): string[] {
  const paths = [...a.keys()].filter(path => a.get(path) !== b.get(path))
  for (const path of b.keys()) if (!a.has(path)) paths.push(path)
  return paths
}

export function shown(paths: readonly string[]): string {
  return `${paths.length} paths (${paths.slice(0, SHOWN).join(', ')})`
}

export function holdsAt(path: string, at: number, bytes: Uint8Array): boolean {
  try {
    const fd = openSync(path, 'r')
    const found = Buffer.alloc(bytes.length)
    const read = readSync(fd, found, 0, found.length, at)
    closeSync(fd)
    return read === found.length && found.equals(bytes)
  } catch {
    return false
  }
}

/** A directory that goes while it is walked counts as empty. */
function walk(root: string, own: ReadonlySet<string>, found: (path: string, entry: Dirent) => void): void {
  const todo = ['']
  for (let within = todo.pop(); within !== undefined; within = todo.pop()) {
    for (const entry of entriesOf(join(root, within))) {
      if (within === '' && own.has(entry.name)) continue
      const path = within === '' ? entry.name : `${within}/${entry.name}`
      if (entry.isDirectory()) todo.push(path)
      try {
        found(path, entry)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
    }
  }
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** One buffer serves all: what is yielded holds until the next. */
const BLOCK = Buffer.allocUnsafe(MIB)

function* blocksOf(path: string): Iterable<Uint8Array> {
  const fd = openSync(path, 'r')
  try {
    for (let read = readSync(fd, BLOCK); read > 0; read = readSync(fd, BLOCK)) yield BLOCK.subarray(0, read)
  } finally {
    closeSync(fd)
  }
}
