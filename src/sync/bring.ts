// Brings one content to the stage: from where it lies on this device, whole or in chunks, else from linked devices. Nothing is trusted: the
// stage verifies every chunk and the whole, so that a damaged place gives what is sound of it and no more.
import type { Chunk, ContentList } from '../core/content.ts'
import { isSingle, SMALL_CONTENT_BYTES } from '../core/content.ts'
import { singleList } from '../core/content-list.ts'
import { isKithError } from '../core/errors.ts'
import type { ContentId, DeviceId, Hash } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { ContentPlace, FolderDisk, FolderNetwork, FolderStore, StageFile, Waiting } from '../core/ports.ts'
import type { RowTable } from '../core/rows.ts'
import type { EarlyContents } from './early-contents.ts'
import type { Prefetch } from './prefetch.ts'

/** Chunks are verified and written in pieces of this many bytes. */
const PIECE_BYTES = 2 * 1024 * 1024
/** What lies here does not cross threads. */
const COPY_BYTES = 8 * 1024 * 1024
/** So many pieces may be on their way to the disk while the next arrives. */
const PIECES_BEHIND = 2

export interface BringDeps {
  readonly disk: FolderDisk
  readonly store: Pick<FolderStore, 'list' | 'segment' | 'chunk' | 'base'>
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
      const list = isSingle(content) ? null : await deps.store.list(content)
      if (await stage.putLocal(content, size, place, { signal: options.signal, list })) return true
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
  options: Waiting & { readonly early?: EarlyContents; readonly prefetch?: Prefetch },
): Promise<ContentList | null> {
  const known = (hash: Hash): Promise<Uint8Array | null> => deps.store.segment(hash)
  const list = isSingle(content)
    ? singleList(content, size)
    : ((await deps.store.list(content)) ?? (await network.fetchList(content, { ...options, known })))
  if (list === null) return null
  const { stage } = deps.disk
  const begun = (await options.prefetch?.take(list, options)) ?? null
  const file = await (begun === null ? stage.open(list, options) : stage.extend(begun, list, options))
  let isWhole = false
  if (!isSingle(content)) options.early?.begin(list, file)
  try {
    const copies = copiesOf(deps, file, list)
    const here = new Set(copies.map(({ index }) => index))
    const transfer = { file, list, network, isWanted }
    const elsewhere = file.missing().filter(index => !here.has(index))
    await all([copyChunks(file, list, copies, options), fetchChunks(transfer, elsewhere, options)])
    const notHere = file.missing().filter(index => here.has(index))
    if (isWanted()) await fetchChunks(transfer, notHere, options)
    if (file.missing().length > 0) return null
    await file.finish(options)
    isWhole = true
    return list
  } finally {
    options.early?.end(content, isWhole)
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

interface Copy {
  readonly index: number
  readonly place: ContentPlace
  readonly offset: number
  readonly cut: boolean
}

/** Chunks that lie in other contents on this device: an insert or append sends almost nothing. */
function copiesOf(deps: BringDeps, file: StageFile, list: ContentList): Copy[] {
  const copies: Copy[] = []
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
    // A small content is never cut, so it says nothing of where it would be.
    const cut = !isSingle(known.content) || known.length > SMALL_CONTENT_BYTES
    if (place !== null) copies.push({ index, place, offset: known.offset, cut })
  }
  return copies
}

/** In pieces, so that what arrives meanwhile is written between them. */
async function copyChunks(
  file: StageFile,
  list: ContentList,
  copies: readonly Copy[],
  options: Waiting,
): Promise<void> {
  let piece: Copy[] = []
  let size = 0
  for (const copy of copies) {
    piece.push(copy)
    size += list.chunks[copy.index]?.length ?? 0
    if (size < COPY_BYTES) continue
    await file.copy(piece, options)
    piece = []
    size = 0
  }
  if (piece.length > 0) await file.copy(piece, options)
}

interface Transfer {
  readonly file: StageFile
  readonly list: ContentList
  readonly network: FolderNetwork
  readonly isWanted: () => boolean
}

/** Asks linked devices for the chunks and writes those that come. `enough` aborted: what was asked for is the last. */
export async function fetchChunks(
  { file, list, network, isWanted }: Transfer,
  missing: readonly number[],
  options: Waiting & { readonly enough?: AbortSignal },
): Promise<void> {
  const indexes = new Map<Hash, number[]>()
  for (const index of missing) {
    const chunk = list.chunks[index]
    if (chunk === undefined) continue
    const at = indexes.get(chunk.hash)
    if (at === undefined) indexes.set(chunk.hash, [index])
    else at.push(index)
  }
  const places = [...indexes.values()].flatMap(([first]) => first ?? [])
  const chunks = places.map(place => list.chunks[place] as Chunk)
  if (chunks.length === 0) return
  const behind = new Behind()
  let piece: Arrived[] = []
  let size = 0
  const flush = async (): Promise<void> => {
    const arrived = piece
    piece = []
    size = 0
    if (arrived.length > 0) await behind.add(writePiece(file, network, arrived, options))
  }
  try {
    for await (const { hash, bytes, from } of network.fetchChunks(list.content, chunks, { ...options, places })) {
      for (const index of indexes.get(hash) ?? []) piece.push({ index, bytes, from })
      size += bytes.byteLength
      if (size >= PIECE_BYTES) await flush()
      if (!isWanted()) return // superseded meanwhile; what is there is kept for a resume until the sweep
    }
    await flush()
  } finally {
    await behind.ended()
  }
}

interface Arrived {
  readonly index: number
  readonly bytes: Uint8Array
  readonly from: DeviceId
}

async function writePiece(
  file: StageFile,
  network: FolderNetwork,
  arrived: readonly Arrived[],
  options: Waiting,
): Promise<void> {
  const inOrder = [...arrived].sort((a, b) => a.index - b.index)
  const wrong = new Set(await file.write(inOrder, options))
  for (const { index, from } of arrived) if (wrong.has(index)) network.reportBad(from)
}

/** Work that goes on behind its caller's back, a bounded amount of it; its failures come with the next that is added, or at the end. */
class Behind {
  readonly #running: Promise<PromiseSettledResult<void>>[] = []

  async add(work: Promise<void>): Promise<void> {
    this.#running.push(Promise.allSettled([work]).then(([result]) => result))
    const oldest = this.#running.length > PIECES_BEHIND ? await this.#running.shift() : undefined
    if (oldest?.status === 'rejected') throw oldest.reason
  }

  ended(): Promise<void> {
    return all(this.#running.splice(0).map(throwIfRejected))
  }
}

async function throwIfRejected(settled: Promise<PromiseSettledResult<void>>): Promise<void> {
  const result = await settled
  if (result.status === 'rejected') throw result.reason
}

/** Ends when all have ended; rejects as the first that did. */
async function all(works: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(works)) if (result.status === 'rejected') throw result.reason
}
