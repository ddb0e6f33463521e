// Staged files made ready for one batch: still what was verified, mode and mtime set, synced many at a time. What a step does not use
// is private again afterwards, with a new seal. A file whose sync failed is thrown away: its descriptor is never synced again.
import {
  type BigIntStats,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  futimesSync,
  lstatSync,
  openSync,
  readSync,
  unlinkSync,
} from 'node:fs'
import type { ContentId } from '../core/ids.ts'
import type { DiskStep } from '../core/ports.ts'
import { contentName, isSealed, PRIVATE_MODE, type Seal, sealOf } from './area.ts'
import type { AreaHandle } from './area-handle.ts'
import { eachOf, fsyncAsync, SYNCS_IN_FLIGHT } from './dirty-handles.ts'
import { copyHandle, removeIfThere } from './own-files.ts'
import { utimeSeconds } from './stat.ts'

type Put = DiskStep & { do: 'put' }

export interface Ready {
  readonly path: string
  readonly stats: BigIntStats
  /** Of a symlink. */
  readonly target: Buffer | null
  /** A copy, because a later step needs the stage itself. */
  readonly copied: boolean
  readonly content: ContentId
}

/** Longest target of a symlink on any system. */
const MAX_TARGET_BYTES = 65_536

export class PreparedStages {
  readonly #area: AreaHandle
  readonly #ready = new Map<number, Ready>()
  readonly #failed = new Map<number, unknown>()
  readonly #seals: Map<ContentId, Seal>
  /** No longer in stage: used up, or spoilt. */
  readonly gone = new Set<ContentId>()

  constructor(area: AreaHandle, seals: ReadonlyMap<ContentId, Seal>) {
    this.#area = area
    this.#seals = new Map(seals)
  }

  /** The seals of everything that is still staged after the batch. */
  get seals(): ReadonlyMap<ContentId, Seal> {
    return this.#seals
  }

  async prepare(steps: readonly DiskStep[]): Promise<void> {
    const puts: [number, Put][] = []
    const claimed = new Set<ContentId>()
    for (const [index, step] of steps.entries()) {
      if (step.do !== 'put' || claimed.has(step.content)) continue
      if (!step.keep) claimed.add(step.content)
      puts.push([index, step])
    }
    // Copies first: the stage itself is given its final mode and time by the step that uses it up.
    const copies = puts.filter(([, step]) => step.keep)
    const rest = puts.filter(([, step]) => !step.keep)
    for (const group of [copies, rest]) {
      await eachOf(group, SYNCS_IN_FLIGHT, async ([index, step]) => {
        try {
          this.#ready.set(index, await this.#one(step))
        } catch (error) {
          this.#failed.set(index, error)
        }
      })
    }
  }

  isReady(index: number): boolean {
    return this.#ready.has(index)
  }

  take(index: number): Ready {
    const ready = this.#ready.get(index)
    if (ready !== undefined) return ready
    throw this.#failed.get(index) ?? new Error('the content is not staged')
  }

  /** The step published it. */
  used(index: number): void {
    const ready = this.take(index)
    this.#ready.delete(index)
    if (ready.target !== null && !ready.copied) removeIfThere(ready.path)
    if (!ready.copied) this.#drop(ready.content)
  }

  /** After the batch: private again. */
  release(): void {
    for (const ready of this.#ready.values()) {
      if (ready.copied) {
        if (ready.target === null) removeIfThere(ready.path)
        continue
      }
      const fd = openSync(ready.path, 'r+')
      try {
        fchmodSync(fd, PRIVATE_MODE)
        this.#seals.set(ready.content, sealOf(fstatSync(fd, { bigint: true })))
      } finally {
        closeSync(fd)
      }
    }
    this.#ready.clear()
  }

  #drop(content: ContentId): void {
    this.gone.add(content)
    this.#seals.delete(content)
  }

  async #one(step: Put): Promise<Ready> {
    const path = `${this.#area.stage.base}/${contentName(step.content)}`
    const seal = this.#seals.get(step.content)
    if (seal === undefined) throw new Error('the content is not staged')
    const fd = openSync(path, constants.O_RDWR | (constants.O_NOFOLLOW ?? 0))
    let toClose = fd
    try {
      const stats = fstatSync(fd, { bigint: true })
      if (!isSealed(seal, stats)) {
        unlinkSync(path)
        this.#drop(step.content)
        throw new Error('the staged content was changed on the disk and is thrown away')
      }
      if (step.kind === 'symlink')
        return { path, stats, target: targetIn(fd), copied: step.keep, content: step.content }
      if (!step.keep) return await this.#finish(fd, path, step, false)
      const copy = this.#area.transitPath()
      copyHandle(fd, copy)
      closeSync(fd)
      toClose = openSync(copy, constants.O_RDWR | (constants.O_NOFOLLOW ?? 0))
      return await this.#finish(toClose, copy, step, true)
    } finally {
      closeSync(toClose)
    }
  }

  async #finish(fd: number, path: string, step: Put, copied: boolean): Promise<Ready> {
    fchmodSync(fd, step.mode & 0o777)
    futimesSync(fd, utimeSeconds(step.mtime), utimeSeconds(step.mtime))
    try {
      await fsyncAsync(fd)
    } catch (error) {
      removeIfThere(path)
      if (!copied) this.#drop(step.content)
      throw error
    }
    return { path, stats: lstatSync(path, { bigint: true }), target: null, copied, content: step.content }
  }
}

function targetIn(fd: number): Buffer {
  const buffer = Buffer.alloc(MAX_TARGET_BYTES)
  return buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, 0))
}
