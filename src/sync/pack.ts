// Which kept versions are worth packing, and packing them in quiet moments: large ones of which a good part lies in another kept version or
// in what the folder shows now. The policy is pure; a version that shares nothing stays a file of its own.
import type { ContentList } from '../core/content.ts'
import type { ContentId, Hash } from '../core/ids.ts'
import type { FolderDisk, FolderStore, KeptVersion, Waiting } from '../core/ports.ts'
import type { RowTable } from '../core/rows.ts'

const MIN_BYTES = 8 * 1024 * 1024
/** At least this part of it must lie elsewhere too. */
const SHARED_PART = 0.25
/** Of a longer list, chunks evenly spread. */
const MOST_CHUNKS = 2_048

export interface PackerDeps {
  readonly rows: () => RowTable
  readonly disk: Pick<FolderDisk, 'versions'>
  readonly store: Pick<FolderStore, 'list' | 'chunk'>
}

/** Where a chunk is first known to occur; null: nowhere. */
type Home = (hash: Hash) => ContentId | null

/**
 * The contents that share enough with this one, if together they make it worth packing; the kept ones among them are packed with it, for
 * only then is anything shared. Pure.
 */
export function partnersOf(list: ContentList, homeOf: Home, isHere: (content: ContentId) => boolean): ContentId[] {
  if (list.size < MIN_BYTES) return []
  const step = Math.max(1, Math.ceil(list.chunks.length / MOST_CHUNKS))
  let all = 0
  let shared = 0
  const partners = new Set<ContentId>()
  for (let at = 0; at < list.chunks.length; at += step) {
    const chunk = list.chunks[at]
    if (chunk === undefined) break
    const { hash, length } = chunk
    all += length
    const home = homeOf(hash)
    if (home === null || home === list.content || !isHere(home)) continue
    shared += length
    partners.add(home)
  }
  return shared >= all * SHARED_PART ? [...partners] : []
}

export class Packer {
  readonly #deps: PackerDeps
  /** Judged, and not worth it as things were. */
  readonly #passed = new Set<ContentId>()

  constructor(deps: PackerDeps) {
    this.#deps = deps
  }

  /** Packs what is worth it; the signal ends it between two slices, and the next run goes on. Returns how many were packed. */
  async run(options: Waiting): Promise<number> {
    const { disk, store, rows } = this.#deps
    const kept = new Map<ContentId, KeptVersion>()
    for await (const some of disk.versions.all(options))
      for (const version of some) if (version.size >= MIN_BYTES) kept.set(version.content, version)
    for (const content of this.#passed) if (!kept.has(content)) this.#passed.delete(content)
    const isHere = (content: ContentId): boolean => kept.has(content) || rows().byContent(content).length > 0
    const homeOf = (hash: Hash): ContentId | null => store.chunk(hash)?.content ?? null
    const done = new Set<ContentId>()
    for (const { content, packed } of kept.values()) {
      options.signal.throwIfAborted()
      if (packed || done.has(content) || this.#passed.has(content)) continue
      const list = await store.list(content)
      const partners = list === null ? [] : partnersOf(list, homeOf, isHere)
      if (partners.length === 0) {
        this.#passed.add(content)
        continue
      }
      for (const one of [content, ...partners]) {
        if (kept.get(one)?.packed !== false || done.has(one)) continue
        const recipe = await store.list(one)
        if (recipe === null) continue
        await disk.versions.pack(one, recipe, options)
        done.add(one)
      }
    }
    return done.size
  }
}
