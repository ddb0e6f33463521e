// Hints of a volume in memory about directories that changed: sent on time, or lost, late or repeated as the faults say.
import type { Watch, WatchEvents } from '../../src/core/ports.ts'
import type { MemoryVolume } from './memory-volume.ts'

export interface WatchFaults {
  /** How many ms later each copy of an event arrives: [] loses it, [0] is a good watcher, [5, 3000] repeats it late. */
  fates(directory: string): readonly number[]
  after(ms: number, run: () => void): void
}

export class MemoryWatch implements Watch {
  readonly #paths = new Set<string>()
  readonly #stop: () => void
  #closed = false

  constructor(volume: MemoryVolume, events: WatchEvents, faults: WatchFaults | null) {
    this.#stop = volume.listen(directory => {
      if (this.#closed || !this.#paths.has(directory)) return
      const send = (): void => {
        if (!this.#closed) events.onDirty(directory)
      }
      if (faults === null) queueMicrotask(send)
      else for (const ms of faults.fates(directory)) faults.after(ms, send)
    })
  }

  add(paths: readonly string[]): void {
    for (const path of paths) this.#paths.add(path)
  }

  addBefore(paths: readonly string[]): Promise<void> {
    this.add(paths)
    return Promise.resolve()
  }

  remove(path: string): void {
    for (const other of [...this.#paths]) {
      if (other === path || other.startsWith(`${path}/`)) this.#paths.delete(other)
    }
  }

  close(): Promise<void> {
    this.#closed = true
    this.#stop()
    return Promise.resolve()
  }
}
