// Brings one content to the stage: from where it lies on this device, whole or in chunks, else from linked devices. Nothing is trusted: the
// stage verifies every chunk and the whole, so that a damaged place gives what is sound of it and no more.
import type { ContentList } from '../core/content.ts'
import { isSingle, SMALL_CONTENT_BYTES } from '../core/content.ts'
import { singleList } from '../core/content-list.ts'
import { isKithError } from '../core/errors.ts'
import type { ContentId, DeviceId, Hash } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { ContentPlace, FolderDisk, FolderNetwork, FolderStore, StageFile, Waiting } from '../core/ports.ts'
import type { RowTable } from '../core/rows.ts'

/** Chunks are verified and written in pieces of this many bytes. */
const WRITE_PIECE_BYTES = 4 * 1024 * 1024

export interface BringDeps {
  readonly disk: FolderDisk
  readonly store: Pick<FolderStore, 'list' | 'chunk' | 'base'>
  readonly log: Log
  /** The rows as they are now: the table is replaced when it had to be loaded again. */
  readonly rows: () => RowTable
  readonly network: () => FolderNetwork | null
}

interface Wanted {
  readonly content: ContentId
  readonly size: number
}

/** True: it is staged. False: nobody who could be asked has it, sound. */
export async function bring(deps: BringDeps, wanted: Wanted, options: Waiting): Promise<boolean> {
  if (deps.disk.stage.has(wanted.content) || (await stageLocal(deps, wanted, options))) return true
  const network = deps.network()
  if (network === null) return false
  const { content, size } = wanted
  if (isSingle(content) && size <= SMALL_CONTENT_BYTES) return fetchSmall(deps, network, content, options)
  return (await fetchLarge(deps, network, wanted, () => true, options)) !== null
}

export async function stageLocal(deps: BringDeps, { content, size }: Wanted, options: Waiting): Promise<boolean> {
  const { stage } = deps.disk
  if (size === 0) return (await stage.putWhole([{ content, bytes: new Uint8Array() }], options)).length === 0
  for (const place of placesOf(deps, content)) {
    try {
      if (await stage.putLocal(content, size, place, options)) return true
    } catch (error) {
      if (options.signal.aborted || (isKithError(error) && error.code === 'no-space')) throw error
      deps.log.warn({ err: error }, 'a local copy could not be used')
    }
  }
  const base = await deps.store.base(content)
  return base !== null && (await stage.putWhole([{ content, bytes: base }], options)).length === 0
}

/** The list of what was fetched; null where it could not be had whole, or is not wanted any more. */
export async function fetchLarge(
  deps: BringDeps,
  network: FolderNetwork,
  { content, size }: Wanted,
  isWanted: () => boolean,
  options: Waiting,
): Promise<ContentList | null> {
  const list = isSingle(content)
    ? singleList(content, size)
    : ((await deps.store.list(content)) ?? (await network.fetchList(content, options)))
  if (list === null) return null
  const file = await deps.disk.stage.open(list, options)
  try {
    await copyChunks(deps, file, list, options)
    await fetchChunks(file, list, network, isWanted, options)
    if (file.missing().length > 0) return null
    await file.finish(options)
    return list
  } finally {
    await file.close()
  }
}

async function fetchSmall(
  { disk }: BringDeps,
  network: FolderNetwork,
  content: ContentId,
  options: Waiting,
): Promise<boolean> {
  for await (const item of network.fetchWhole([content], options)) {
    if ((await disk.stage.putWhole([item], options)).length === 0) return true
    network.reportBad(item.from)
  }
  return false
}

function* placesOf(deps: BringDeps, content: ContentId): Iterable<ContentPlace> {
  const rows = deps.rows()
  for (const row of rows.byContent(content)) {
    const path = rows.path(row.id)
    if (path !== undefined && (row.kind === 'file' || row.kind === 'symlink'))
      yield { at: 'file', path, stat: row.stat, kind: row.kind }
  }
  if (deps.disk.hasVersion(content)) yield { at: 'version', content }
}

/** Chunks that lie in other contents on this device: an insert or append sends almost nothing. */
async function copyChunks(deps: BringDeps, file: StageFile, list: ContentList, options: Waiting): Promise<void> {
  const copies: { index: number; place: ContentPlace; offset: number }[] = []
  const places = new Map<ContentId, ContentPlace | null>()
  for (const index of file.missing()) {
    const chunk = list.chunks[index]
    const known = chunk && deps.store.chunk(chunk.hash)
    if (!known) continue
    let place = places.get(known.content)
    if (place === undefined) {
      place = [...placesOf(deps, known.content)][0] ?? null
      places.set(known.content, place)
    }
    if (place !== null) copies.push({ index, place, offset: known.offset })
  }
  if (copies.length > 0) await file.copy(copies, options)
}

async function fetchChunks(
  file: StageFile,
  list: ContentList,
  network: FolderNetwork,
  isWanted: () => boolean,
  options: Waiting,
): Promise<void> {
  const indexes = new Map<Hash, number[]>()
  for (const index of file.missing()) {
    const chunk = list.chunks[index]
    if (chunk === undefined) continue
    const at = indexes.get(chunk.hash)
    if (at === undefined) indexes.set(chunk.hash, [index])
    else at.push(index)
  }
  const chunks = [...indexes.values()].flatMap(([first]) => (first === undefined ? [] : (list.chunks[first] ?? [])))
  if (chunks.length === 0) return
  let piece: { index: number; bytes: Uint8Array }[] = []
  let from = new Map<number, DeviceId>()
  let size = 0
  const flush = async (): Promise<void> => {
    if (piece.length === 0) return
    for (const index of await file.write(piece, options)) {
      const device = from.get(index)
      if (device !== undefined) network.reportBad(device)
    }
    piece = []
    from = new Map()
    size = 0
  }
  for await (const { hash, bytes, from: device } of network.fetchChunks(list.content, chunks, options)) {
    for (const index of indexes.get(hash) ?? []) {
      piece.push({ index, bytes })
      from.set(index, device)
    }
    size += bytes.byteLength
    if (size >= WRITE_PIECE_BYTES) await flush()
    if (!isWanted()) return // superseded meanwhile; what is there is kept for a resume until the sweep
  }
  await flush()
}
