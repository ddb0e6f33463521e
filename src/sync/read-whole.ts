// Reads a content from where it lies, chunk by chunk, as a restore does, and compares each with its hash. Bounded in memory.
import { MAX_CHUNK_BYTES } from '../core/content.ts'
import { matches, sha256 } from '../core/content-list.ts'
import type { ContentId } from '../core/ids.ts'
import type { ContentPlace, FolderDisk, FolderStore, Waiting } from '../core/ports.ts'

interface Deps {
  readonly disk: Pick<FolderDisk, 'read'>
  readonly store: Pick<FolderStore, 'list'>
}

/** False also where it cannot be told: its list is not known, or it is not there as said. */
export async function readsWhole(
  { disk, store }: Deps,
  { content, size }: { readonly content: ContentId; readonly size: number },
  place: ContentPlace,
  options: Waiting,
): Promise<boolean> {
  if (size <= MAX_CHUNK_BYTES) {
    const bytes = await disk.read(place, 0, size, options)
    return bytes !== null && matches(content, bytes)
  }
  const list = await store.list(content)
  if (list === null) return false
  let offset = 0
  for (const { hash, length } of list.chunks) {
    const bytes = await disk.read(place, offset, length, options)
    if (bytes === null || bytes.length !== length || sha256(bytes) !== hash) return false
    offset += length
  }
  return offset === size
}
