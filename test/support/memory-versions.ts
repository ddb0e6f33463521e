// The kept versions of a disk in memory. Packing shares nothing here: it is noted, and what a version would take is counted as if.
import type { ContentList } from '../../src/core/content.ts'
import { isSingle } from '../../src/core/content.ts'
import { contentOf, matches } from '../../src/core/content-list.ts'
import type { ContentId, Hash } from '../../src/core/ids.ts'
import type { DropOptions, KeptVersion, Stat, Versions, Waiting } from '../../src/core/ports.ts'
import { noSpace } from './memory-stage.ts'
import type { KithArea, MemoryVolume } from './memory-volume.ts'
import { isAsExpected } from './memory-volume.ts'
import type { Pause } from './process-life.ts'

interface Deps {
  readonly volume: MemoryVolume
  readonly area: () => KithArea
  readonly pause: Pause
}

export class MemoryVersions implements Versions {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  has(content: ContentId): boolean {
    return this.#deps.volume.root?.kith?.versions.has(content) ?? false
  }

  async *all(options: Waiting): AsyncIterable<readonly KeptVersion[]> {
    await this.#wait('versions', options)
    const { versions, packed } = this.#deps.area()
    const uses = new Map<Hash, number>()
    const lists = new Map([...packed].map(content => [content, contentOf(versions.get(content) ?? new Uint8Array())]))
    for (const { chunks } of lists.values()) for (const { hash } of chunks) uses.set(hash, (uses.get(hash) ?? 0) + 1)
    for (const [content, bytes] of [...versions]) {
      const part = (lists.get(content)?.chunks ?? []).reduce((sum, c) => sum + c.length / (uses.get(c.hash) ?? 1), 0)
      const isPacked = packed.has(content)
      yield [{ content, size: bytes.length, occupies: isPacked ? Math.ceil(part) : bytes.length, packed: isPacked }]
    }
  }

  /** Each in a batch of its own. */
  async drop(contents: readonly ContentId[], options: DropOptions): Promise<readonly ContentId[]> {
    const gone: ContentId[] = []
    for (const content of contents) {
      await this.#wait('drop version', options)
      if (!options.mayGo(content)) continue
      this.#forget(content)
      gone.push(content)
    }
    return gone
  }

  async keep(path: string, stat: Stat, content: ContentId, options: Waiting): Promise<boolean> {
    await this.#wait('keep version', options)
    const { volume, area } = this.#deps
    if (area().versions.has(content)) return true
    const inode = volume.at(path)
    if (inode === null || inode.kind === 'directory' || volume.blocked(path)) return false
    if (!isAsExpected(inode, inode.kind, stat) || !matches(content, inode.data)) return false
    if (inode.data.length > volume.freeBytes) throw noSpace()
    area().versions.set(content, inode.data)
    return true
  }

  async keepStaged(content: ContentId, options: Waiting): Promise<boolean> {
    await this.#wait('keep staged', options)
    const { stage, versions } = this.#deps.area()
    const bytes = stage.get(content)?.whole ?? null
    if (bytes === null) return false
    stage.delete(content)
    versions.set(content, bytes)
    return true
  }

  async verify(content: ContentId, options: Waiting): Promise<'sound' | 'damaged' | 'busy' | 'gone'> {
    await this.#wait('verify version', options)
    const area = this.#deps.area()
    const bytes = area.versions.get(content)
    if (bytes === undefined) return 'gone'
    if (matches(content, bytes)) return 'sound'
    this.#forget(content)
    area.damaged.push(bytes)
    return 'damaged'
  }

  async pack(content: ContentId, list: ContentList, options: Waiting): Promise<void> {
    await this.#wait('pack', options)
    const { versions, packed } = this.#deps.area()
    const bytes = versions.get(content)
    if (
      bytes !== undefined &&
      !isSingle(content) &&
      contentOf(bytes).top.length === list.top.length &&
      matches(content, bytes)
    )
      packed.add(content)
  }

  #forget(content: ContentId): void {
    const { versions, packed } = this.#deps.area()
    versions.delete(content)
    packed.delete(content)
  }

  async #wait(what: string, options: Waiting): Promise<void> {
    await this.#deps.pause(what)
    options.signal.throwIfAborted()
  }
}
