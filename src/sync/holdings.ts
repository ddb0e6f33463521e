// What contents lie on this device where they can be read, and who else holds which. Also which contents are needed for something under
// way that neither a row nor the shared tree speaks of yet: nothing may drop those.
import type { ContentId, DeviceId } from '../core/ids.ts'
import { NO_CONTENT } from '../core/ids.ts'
import type { FolderDisk, FolderNetwork, FolderStore, Waiting } from '../core/ports.ts'
import type { Row, RowTable } from '../core/rows.ts'

/** Asked of linked devices at once. */
const ASK_AT_ONCE = 5_000

export interface HoldingsDeps {
  readonly rows: () => RowTable
  readonly disk: Pick<FolderDisk, 'hasVersion' | 'stage' | 'check'>
  readonly store: Pick<FolderStore, 'base'>
  readonly network: () => FolderNetwork | null
  /** Is it known not to be what its row says? */
  readonly isDamaged: (row: Row) => boolean
  /** These are read now, or will be soon. */
  readonly onPinned: (contents: readonly ContentId[]) => void
}

export class Holdings {
  readonly #deps: HoldingsDeps
  readonly #pins = new Map<ContentId, number>()

  constructor(deps: HoldingsDeps) {
    this.#deps = deps
  }

  /** Not to be dropped now, wherever it lies. */
  get pinned(): ReadonlySet<ContentId> {
    return new Set(this.#pins.keys())
  }

  isPinned(content: ContentId): boolean {
    return this.#pins.has(content)
  }

  /** Pins contents until what is returned is called. */
  pin(contents: Iterable<ContentId>): () => void {
    const pinned = [...contents]
    this.#deps.onPinned(pinned)
    for (const content of pinned) this.#pins.set(content, (this.#pins.get(content) ?? 0) + 1)
    return () => {
      for (const content of pinned.splice(0)) {
        const count = (this.#pins.get(content) ?? 1) - 1
        if (count > 0) this.#pins.set(content, count)
        else this.#pins.delete(content)
      }
    }
  }

  /** So that it can be put on the disk. */
  async has(content: ContentId, size: number): Promise<boolean> {
    return size === 0 || this.#deps.disk.stage.has(content) || (await this.#lies(content))
  }

  /** Safely: what only lies staged is not counted, and nothing while the root is not the one that the rows speak of. */
  async holds(contents: readonly ContentId[], { signal }: Waiting): Promise<boolean[]> {
    const { disk, rows } = this.#deps
    const { state } = await disk.check({ hadEntries: rows().size > 1 })
    const out: boolean[] = []
    for (const content of contents) {
      signal.throwIfAborted()
      out.push(state === 'ok' && (await this.#lies(content)))
    }
    return out
  }

  /** Of the devices that answered, those that hold it. Contents that nobody holds are not in it. */
  async holders(contents: Iterable<ContentId>, options: Waiting): Promise<Map<ContentId, DeviceId[]>> {
    const found = new Map<ContentId, DeviceId[]>()
    const network = this.#deps.network()
    if (network === null || network.peers().length === 0) return found
    const all = [...new Set(contents)].filter(content => content !== NO_CONTENT)
    for (let from = 0; from < all.length; from += ASK_AT_ONCE) {
      const some = all.slice(from, from + ASK_AT_ONCE)
      for (const { device, holds } of await network.holders(some, options))
        for (const [at, content] of some.entries())
          if (holds[at] === true) found.set(content, [...(found.get(content) ?? []), device])
    }
    return found
  }

  async #lies(content: ContentId): Promise<boolean> {
    const { rows, disk, store, isDamaged } = this.#deps
    if (content === NO_CONTENT) return true
    const table = rows()
    const isShown = (row: Row): boolean => table.path(row.id)?.includes('\0') === false
    if (table.byContent(content).some(row => isShown(row) && !isDamaged(row))) return true
    return disk.hasVersion(content) || (await store.base(content)) !== null
  }
}
