// The threads of the disk, shared by all folders of a daemon: one that scans, one that publishes, a few that hash and stage. Started
// when first used. Tasks of one pool run in the order they were given.
import { availableParallelism } from 'node:os'
import { Piscina } from 'piscina'
import { opened } from './envelope.ts'
import type { HashReplies, HashTask } from './hash-worker.ts'
import type { PublishReplies, PublishTask } from './publish-worker.ts'
import type { ScanReply, ScanTask } from './scan-worker.ts'

const MAX_HASH_THREADS = 4
const IDLE_MS = 30_000
/** What is young in a thread's heap. V8 would let it grow to 48 MB in each, and a thread keeps what it once had. */
const YOUNG_MB = 6
const EXTENSION = import.meta.url.slice(import.meta.url.lastIndexOf('.'))

export class DiskWorkers {
  #scanner: Piscina | null = null
  #hashers: Piscina | null = null
  #publisher: Piscina | null = null
  #closed = false
  #scans = 0

  /** How many hash tasks make sense at a time. */
  readonly hashThreads = Math.min(MAX_HASH_THREADS, availableParallelism())

  /** A number for a walk of its own. */
  nextScan(): number {
    return ++this.#scans
  }

  scan(task: ScanTask): Promise<ScanReply | null> {
    this.#scanner ??= this.#pool('scan', 1)
    return this.#scanner.run(task, { name: 'scan' })
  }

  /** Starts the threads, one of each kind: the recovery, the first look and the first change would wait for them one after the other. */
  warm(): void {
    if (this.#closed) return
    this.#publisher ??= this.#pool('publish', 1)
    this.#scanner ??= this.#pool('scan', 1)
    this.#hashers ??= this.#pool('hash', this.hashThreads)
  }

  /** `given`: buffers that nobody here uses any more; they are moved and not copied. */
  async hash<T extends HashTask>(task: T, given: readonly ArrayBuffer[] = []): Promise<HashReplies[T['do']]> {
    this.#hashers ??= this.#pool('hash', this.hashThreads)
    return opened(await this.#hashers.run(task, { name: 'hash', transferList: [...given] }))
  }

  async publish<T extends PublishTask>(task: T): Promise<PublishReplies[T['do']]> {
    this.#publisher ??= this.#pool('publish', 1)
    return opened(await this.#publisher.run(task, { name: 'publish' }))
  }

  /** Lets what is being published end. What is hashed or staged is cut off: a huge file would take minutes, and staging resumes. */
  async close(): Promise<void> {
    this.#closed = true
    const [publisher, scanner, hashers] = [this.#publisher, this.#scanner, this.#hashers]
    this.#publisher = null
    this.#scanner = null
    this.#hashers = null
    await Promise.all([publisher?.close(), scanner?.close()])
    await hashers?.destroy()
  }

  #pool(name: string, threads: number): Piscina {
    if (this.#closed) throw new Error('the workers of the disk are closed')
    return new Piscina({
      filename: new URL(`./${name}-worker${EXTENSION}`, import.meta.url).href,
      minThreads: 1,
      maxThreads: threads,
      idleTimeout: IDLE_MS,
      // A sleeping worker must not hold the process, nor a busy one wait on shared memory.
      atomics: 'disabled',
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
      closeTimeout: 600_000,
    })
  }
}
