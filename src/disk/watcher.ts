// Hints about directories in which something changed, from chokidar watching directories only, one handle each. A hint may be missing,
// late or repeated: only the scanner decides. Directories that cannot be watched are polled, and that is said.
import { lstatSync, type FSWatcher as NativeWatcher, watch as watchNatively } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { FSWatcher } from 'chokidar'
import { systemCode } from '../core/errors.ts'
import type { Waiting, Watch, WatchEvents } from '../core/ports.ts'
import { AREA } from './area.ts'
import { eventFlood } from './event-flood.ts'

const QUIET_MS = 50
const LOADED_MS = 100
/** Above this many dirty directories at a time, hints are held back longer. */
const LOADED_DIRECTORIES = 20
const MAX_WAIT_MS = 1000
const POLL_MS = 10_000
/** So that polling very many directories stays cheap. */
const POLL_MS_PER_DIRECTORY = 5
const ADDED_AT_A_TIME = 256
/** A directory that left its name may be back by then. */
const GONE_MS = 1000

/** The parts of chokidar that are not in its types; a test guards that they are there. */
interface Inner {
  _closePath(path: string): void
  _watched: Map<string, unknown>
  _nodeFsHandler: {
    _handleRead: unknown
    /** What `add` does for each path, but for making a slash of every backslash. Resolves once the path is watched, or cannot be. */
    _addToNodeFs(path: string, initialAdd: boolean, within: undefined, depth: number): Promise<unknown>
  }
}

export class DirectoryWatch implements Watch {
  readonly #root: string
  readonly #events: WatchEvents
  readonly #dirty: Debounce
  readonly #children = new Map<string, Set<string>>()
  /** Which directory is watched at each path: a watch stays with its inode, and is deaf when that is gone. */
  readonly #objects = new Map<string, number>()
  /** Directories that are not watched yet; true: they were read before, and what changed since then gave no event. */
  readonly #arming = new Map<string, boolean>()
  #onArmed: (() => void)[] = []
  /** Directories that were not where they are watched. */
  readonly #gone = new Set<string>()
  readonly #polled = new Set<string>()
  #chokidar: FSWatcher | null = null
  #native: NativeWatcher | null = null
  #queue: string[] = []
  #feeding = false
  #poll: NodeJS.Timeout | null = null
  #closed = false
  #letGoLater: NodeJS.Timeout | null = null
  readonly #flood = eventFlood()
  #endFlood: (() => void) | null = null

  constructor(root: string, events: WatchEvents) {
    this.#root = root
    this.#events = events
    this.#dirty = new Debounce(path => events.onDirty(path))
  }

  /** One that is watched already and is still the same directory costs a stat; where another stands now, that one is watched. */
  add(paths: readonly string[]): void {
    this.#take(paths, true)
  }

  async addBefore(paths: readonly string[], { signal }: Waiting): Promise<void> {
    for (let at = 0; at < paths.length; at += ADDED_AT_A_TIME) {
      this.#take(paths.slice(at, at + ADDED_AT_A_TIME), false)
      await new Promise<void>(resolve => setImmediate(resolve))
    }
    if (this.#arming.size > 0 && !signal.aborted)
      await new Promise<void>(resolve => {
        const end = (): void => {
          signal.removeEventListener('abort', end)
          resolve()
        }
        this.#onArmed.push(end)
        signal.addEventListener('abort', end)
      })
    signal.throwIfAborted()
  }

  #take(paths: readonly string[], wasRead: boolean): void {
    if (this.#closed) return
    if (process.platform === 'darwin' || process.platform === 'win32') return this.#watchNatively()
    for (const path of paths) {
      if (isPrivate(path)) continue
      const object = this.#objectAt(path)
      const watched = this.#objects.get(path)
      if (object === watched) continue
      if (watched !== undefined) this.#inner()?._closePath(join(this.#root, path))
      if (object === undefined) {
        this.#objects.delete(path)
        this.#armed(path)
      } else {
        this.#objects.set(path, object)
        this.#childrenOf(path)
        if (path !== '') this.#childrenOf(parentOf(path)).add(path)
        this.#queue.push(path)
        this.#arming.set(path, wasRead || this.#arming.get(path) === true)
      }
    }
    void this.#feed()
  }

  remove(path: string): void {
    const gone: string[] = []
    const below = [path]
    for (let at = below.pop(); at !== undefined; at = below.pop()) {
      const children = this.#children.get(at)
      if (children === undefined) continue
      below.push(...children)
      this.#children.delete(at)
      this.#objects.delete(at)
      this.#polled.delete(at)
      this.#armed(at)
      this.#inner()?._closePath(join(this.#root, at))
      gone.push(at)
    }
    // Closing a path makes an entry of the directory that it is in.
    for (const at of gone) this.#inner()?._watched.delete(join(this.#root, at))
    if (path !== '') this.#children.get(parentOf(path))?.delete(path)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#queue = []
    this.#dirty.close()
    this.#endFlood?.()
    if (this.#letGoLater !== null) clearTimeout(this.#letGoLater)
    if (this.#poll !== null) clearTimeout(this.#poll)
    this.#native?.close()
    await this.#chokidar?.close()
    this.#children.clear()
    this.#objects.clear()
    for (const path of this.#arming.keys()) this.#armed(path)
  }

  /** Inode and birth time (an inode is used again at once) in one number; undefined where no directory stands. */
  #objectAt(path: string): number | undefined {
    try {
      const stats = lstatSync(join(this.#root, path))
      return stats.isDirectory() ? stats.ino + stats.birthtimeMs * 1000 : undefined
    } catch {
      // Gone again, or not to be looked at: the scan tells.
      return undefined
    }
  }

  #childrenOf(path: string): Set<string> {
    const children = this.#children.get(path)
    if (children !== undefined) return children
    // A directory above that was not named: it is not watched, only known as a way.
    const made = new Set<string>()
    this.#children.set(path, made)
    return made
  }

  #inner(): Inner | null {
    return this.#chokidar === null ? null : innerOf(this.#chokidar)
  }

  /** In paced batches, so that a million directories do not block the loop. */
  async #feed(): Promise<void> {
    if (this.#feeding) return
    this.#feeding = true
    const watcher = this.#open()
    while (this.#queue.length > 0 && !this.#closed) {
      const batch = this.#queue.splice(0, ADDED_AT_A_TIME)
      await Promise.all(batch.filter(path => this.#children.has(path)).map(path => this.#arm(watcher, path)))
      await new Promise<void>(resolve => setImmediate(resolve))
    }
    this.#feeding = false
  }

  async #arm(watcher: FSWatcher, path: string): Promise<void> {
    const object = this.#objects.get(path)
    try {
      await innerOf(watcher)._nodeFsHandler._addToNodeFs(join(this.#root, path), true, undefined, 0)
    } catch (error) {
      this.#onError(error)
    }
    // Where another stands by now, that one waits in the queue itself.
    if (this.#objects.get(path) === object) this.#armed(path)
  }

  /** It is watched from now on, or cannot be. */
  #armed(path: string): void {
    const wasRead = this.#arming.get(path)
    if (wasRead === undefined) return
    this.#arming.delete(path)
    if (wasRead) this.#mark(path)
    if (this.#arming.size > 0) return
    const waiting = this.#onArmed
    this.#onArmed = []
    for (const resolve of waiting) resolve()
  }

  #open(): FSWatcher {
    if (this.#chokidar !== null) return this.#chokidar
    const watcher = new FSWatcher({
      ignoreInitial: true,
      followSymlinks: false,
      atomic: false,
      alwaysStat: false,
      depth: 0,
      ignored: (path, stats) => (stats !== undefined && !stats.isDirectory()) || isPrivate(this.#relative(path)),
    })
    this.#chokidar = watcher
    this.#endFlood = this.#flood.listen(() => this.#events.onDoubt('More changed at a time than the system tells of.'))
    // Our own scan says what is in a directory: chokidar's reading of it costs a stat an entry.
    innerOf(watcher)._nodeFsHandler._handleRead = () => undefined
    watcher.on('raw', (event, name, details) => this.#onRaw(event, name, details))
    watcher.on('addDir', path => this.#mark(this.#relative(path)))
    watcher.on('unlinkDir', path => this.#mark(parentOf(this.#relative(path))))
    watcher.on('error', error => this.#onError(error))
    return watcher
  }

  #onRaw(event: string, name: unknown, details: unknown): void {
    this.#flood.count()
    if (typeof details !== 'object' || details === null || !('watchedPath' in details)) return
    const directory = this.#relative(String(details.watchedPath))
    // The root sees our own work in `.kith`.
    if (directory === '' && name === AREA) return
    if (event === 'rename' && typeof name === 'string') this.#letGo(directory === '' ? name : `${directory}/${name}`)
    this.#mark(directory)
  }

  /**
   * A directory that was deleted or renamed would keep its handle, and that of each below it, for as long as the daemon runs. Not at once: it may
   * come back to its name, and then nothing would be read anew below it.
   */
  #letGo(path: string): void {
    if (!this.#objects.has(path) || this.#objectAt(path) !== undefined) return
    this.#gone.add(path)
    if (this.#gone.size > 1) return
    this.#letGoLater = setTimeout(() => {
      const gone = [...this.#gone]
      this.#gone.clear()
      for (const each of gone) if (this.#objectAt(each) === undefined) this.remove(each)
    }, GONE_MS)
    this.#letGoLater.unref()
  }

  #onError(error: unknown): void {
    const code = systemCode(error)
    const path = typeof error === 'object' && error !== null && 'path' in error ? String(error.path) : undefined
    if (code === 'ENOSPC' || code === 'EMFILE' || code === 'ENFILE') this.#degrade(path, code)
    else this.#events.onDoubt(`The watcher reports ${code ?? String(error)}.`)
  }

  #degrade(path: string | undefined, code: string): void {
    const directory = path === undefined ? '' : this.#relative(path)
    const isFirst = this.#polled.size === 0
    this.#polled.add(directory)
    if (isFirst) {
      this.#schedulePoll()
      const limit = code === 'ENOSPC' ? 'fs.inotify.max_user_watches' : 'fs.inotify.max_user_instances or of open files'
      const message = `The system allows no more directories to be watched (${code}): they are looked at every few seconds instead. Raise the limit ${limit}.`
      this.#events.onDegraded({ code: 'degraded', path: directory, message })
    }
    this.#mark(directory)
  }

  #schedulePoll(): void {
    const delay = Math.max(POLL_MS, this.#polled.size * POLL_MS_PER_DIRECTORY)
    this.#poll = setTimeout(() => {
      for (const path of this.#polled) this.#events.onDirty(path)
      if (!this.#closed && this.#polled.size > 0) this.#schedulePoll()
    }, delay)
    this.#poll.unref()
  }

  /** One recursive watch of the system, where chokidar would cost a handle per path. */
  #watchNatively(): void {
    if (this.#native !== null) return
    this.#native = watchNatively(this.#root, { recursive: true }, (_event, name) => {
      if (name === null) return this.#events.onDoubt('The watcher did not say what changed.')
      const path = name.split(sep).join('/')
      if (!isPrivate(path)) this.#mark(parentOf(path))
    })
    this.#native.on('error', error =>
      this.#events.onDoubt(`The watcher reports ${systemCode(error) ?? error.message}.`),
    )
  }

  #mark(path: string): void {
    if (!this.#closed && !isPrivate(path)) this.#dirty.mark(path)
  }

  #relative(path: string): string {
    return relative(this.#root, path).split(sep).join('/')
  }
}

/** Tells each directory once it was quiet for a moment; never later than MAX_WAIT_MS after its first hint. */
class Debounce {
  readonly #tell: (path: string) => void
  readonly #waiting = new Map<string, { timer: NodeJS.Timeout; since: number }>()

  constructor(tell: (path: string) => void) {
    this.#tell = tell
  }

  mark(path: string): void {
    const now = performance.now()
    const had = this.#waiting.get(path)
    const since = had?.since ?? now
    if (had !== undefined) clearTimeout(had.timer)
    const load = this.#waiting.size / LOADED_DIRECTORIES
    const quiet = load > 1 ? Math.min(LOADED_MS * load, MAX_WAIT_MS) : QUIET_MS
    const delay = Math.max(0, Math.min(quiet, since + MAX_WAIT_MS - now))
    const timer = setTimeout(() => {
      this.#waiting.delete(path)
      this.#tell(path)
    }, delay)
    this.#waiting.set(path, { timer, since })
  }

  close(): void {
    for (const { timer } of this.#waiting.values()) clearTimeout(timer)
    this.#waiting.clear()
  }
}

function innerOf(watcher: FSWatcher): Inner {
  return watcher as unknown as Inner
}

function parentOf(path: string): string {
  const at = path.lastIndexOf('/')
  return at < 0 ? '' : path.slice(0, at)
}

function isPrivate(path: string): boolean {
  return path === AREA || path.startsWith(`${AREA}/`)
}
