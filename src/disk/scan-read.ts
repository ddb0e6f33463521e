// Reading directories, as the scan worker does it: names, then one lstat each, packed into arrays that are moved to the main thread
// instead of copied. Errors become problems; what could not be read is never reported as gone.
import { fstatSync, lstatSync, readdirSync } from 'node:fs'
import type { Kind } from '../core/entry.ts'
import { isReserved } from '../core/names.ts'
import type { Listing, Observed, Problem, ProblemCode, Stat, Unlisted } from '../core/ports.ts'
import { AREA } from './area.ts'
import { type Directory, type RootIdentity, Walk } from './beneath.ts'
import { isAbsent, readingProblem } from './problem-of.ts'
import { kindOf, statOf } from './stat.ts'

const KINDS: readonly Kind[] = ['file', 'directory', 'symlink']
const PROBLEMS: readonly ProblemCode[] = ['unreadable', 'unsupported', 'mount', 'bad-name', 'failed']
const REPLACEMENT = '\ufffd'

/** Directories, packed: texts joined by NUL (which no name contains), numbers in order. */
export interface PackedBatch {
  readonly texts: string
  readonly numbers: Float64Array
  readonly directories: number
}

export class Packer {
  #texts: string[] = []
  #numbers: number[] = []
  #directories = 0

  get size(): number {
    return this.#numbers.length
  }

  add(read: Listing | Unlisted): void {
    this.#directories++
    this.#texts.push(read.path)
    if ('gone' in read) {
      this.#numbers.push(read.gone ? 1 : 2)
      if (read.problem !== null) this.#problem(read.problem)
      else if (!read.gone) throw new Error('a directory that could not be read without a problem')
      return
    }
    this.#numbers.push(0, read.entries.length, read.problems.length)
    this.#stat(read.stat)
    for (const entry of read.entries) {
      this.#texts.push(entry.name)
      this.#numbers.push(KINDS.indexOf(entry.kind))
      this.#stat(entry.stat)
    }
    for (const problem of read.problems) this.#problem(problem)
  }

  take(): PackedBatch {
    const batch = {
      texts: this.#texts.join('\0'),
      numbers: Float64Array.from(this.#numbers),
      directories: this.#directories,
    }
    this.#texts = []
    this.#numbers = []
    this.#directories = 0
    return batch
  }

  #stat(stat: Stat): void {
    this.#numbers.push(stat.dev, stat.ino, stat.birthUs, stat.size, stat.mtimeUs, stat.ctimeUs, stat.mode, stat.links)
  }

  #problem(problem: Problem): void {
    this.#texts.push(problem.path, problem.message)
    this.#numbers.push(PROBLEMS.indexOf(problem.code))
  }
}

/** Unpacks one directory at a time. */
export function* unpack(batch: PackedBatch): Generator<Listing | Unlisted> {
  const texts = batch.texts.split('\0')
  const numbers = batch.numbers
  let text = 0
  let at = 0
  const number = (): number => numbers[at++] as number
  const stat = (): Stat => ({
    dev: number(),
    ino: number(),
    birthUs: number(),
    size: number(),
    mtimeUs: number(),
    ctimeUs: number(),
    mode: number(),
    links: number(),
  })
  const problem = (): Problem => {
    const path = texts[text++] as string
    const message = texts[text++] as string
    return { code: PROBLEMS[number()] as ProblemCode, path, message }
  }
  for (let left = batch.directories; left > 0; left--) {
    const path = texts[text++] as string
    const state = number()
    if (state === 1) {
      yield { path, gone: true, problem: null }
    } else if (state === 2) {
      yield { path, gone: false, problem: problem() }
    } else {
      const entryCount = number()
      const problemCount = number()
      const own = stat()
      const entries: Observed[] = []
      const problems: Problem[] = []
      for (let n = 0; n < entryCount; n++) {
        const name = texts[text++] as string
        entries.push({ name, kind: KINDS[number()] as Kind, stat: stat() })
      }
      for (let n = 0; n < problemCount; n++) problems.push(problem())
      yield { path, stat: own, entries, problems }
    }
  }
}

/** One walk: directories on a stack, parents before children. */
export class TreeReader {
  readonly #walk: Walk
  readonly #recursive: boolean
  readonly #waiting: string[]

  constructor(root: string, options: { identity: RootIdentity | null; recursive: boolean; paths: readonly string[] }) {
    this.#walk = new Walk(root, options.identity)
    this.#recursive = options.recursive
    this.#waiting = [...options.paths].reverse()
  }

  /** The next directory, or undefined after the last. */
  next(): Listing | Unlisted | undefined {
    const path = this.#waiting.pop()
    if (path === undefined) {
      this.close()
      return undefined
    }
    const read = this.#read(path)
    if (this.#recursive && !('gone' in read)) {
      for (let at = read.entries.length - 1; at >= 0; at--) {
        const entry = read.entries[at] as Observed
        if (entry.kind === 'directory') this.#waiting.push(path === '' ? entry.name : `${path}/${entry.name}`)
      }
    }
    return read
  }

  close(): void {
    this.#walk.close()
  }

  #read(path: string): Listing | Unlisted {
    let directory: Directory
    try {
      directory = this.#walk.open(path)
    } catch (error) {
      if (isAbsent(error)) return { path, gone: true, problem: null }
      return { path, gone: false, problem: readingProblem(error, path) }
    }
    try {
      return readDirectory(path, directory)
    } catch (error) {
      return { path, gone: false, problem: readingProblem(error, path) }
    }
  }
}

function readDirectory(path: string, directory: Directory): Listing {
  const own = fstatSync(directory.fd, { bigint: true })
  const names = readdirSync(directory.base)
  const prefix = path === '' ? '' : `${path}/`
  const entries: Observed[] = []
  const problems: Problem[] = []
  if (names.some(name => name.includes(REPLACEMENT))) rejectUnreadableNames(directory, names, prefix, problems)
  for (const name of names) {
    if (path === '' && name === AREA) continue
    const at = prefix + name
    try {
      const stats = lstatSync(`${directory.base}/${name}`, { bigint: true, throwIfNoEntry: false })
      if (stats === undefined) continue
      const kind = kindOf(stats)
      if (isReserved(name)) {
        problems.push({ code: 'bad-name', path: at, message: 'This name is reserved for Kith itself: rename it.' })
      } else if (kind === null) {
        problems.push({
          code: 'unsupported',
          path: at,
          message: 'It is no file, directory or symlink: it is not synced.',
        })
      } else if (stats.dev !== own.dev) {
        problems.push({ code: 'mount', path: at, message: 'Another file system is mounted here: it is not entered.' })
      } else {
        entries.push({ name, kind, stat: statOf(stats) })
      }
    } catch (error) {
      problems.push(readingProblem(error, at))
    }
  }
  return { path, stat: statOf(own), entries, problems }
}

/** Takes names out of `names` that are not valid UTF-8. */
function rejectUnreadableNames(directory: Directory, names: string[], prefix: string, problems: Problem[]): void {
  names.length = 0
  for (const bytes of readdirSync(directory.base, { encoding: 'buffer' })) {
    const name = bytes.toString('utf8')
    if (Buffer.from(name, 'utf8').equals(bytes)) names.push(name)
    else {
      const message = 'Its name is not valid UTF-8, so other devices could not have it: rename it.'
      problems.push({ code: 'bad-name', path: prefix + name, message })
    }
  }
}
