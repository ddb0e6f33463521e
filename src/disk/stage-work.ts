// What the workers do in `.kith/stage` with whole contents: write, copy, verify. A file there has its content's name only after the whole
// was verified; what arrives in chunks is with part-work. A descriptor whose fsync failed is never synced again: the file goes.

import { closeSync, fstatSync, ftruncateSync, renameSync } from 'node:fs'
import type { Chunk } from '../core/content.ts'
import { listOf, matches } from '../core/content-list.ts'
import { systemCode } from '../core/errors.ts'
import type { ContentId } from '../core/ids.ts'
import type { ContentPlace } from '../core/ports.ts'
import { AREA, contentName, isSealed, type Seal, STAGE, sealOf } from './area.ts'
import { type Directory, within } from './beneath.ts'
import { isMadeOf, readContent } from './content-read.ts'
import { fsyncAsync } from './dirty-handles.ts'
import { cloneHandle, copyHandle, removeIfThere, writeFully } from './own-files.ts'
import { type PackedChunks, unpackChunks } from './packed-chunks.ts'
import { type PartReplies, type PartTask, partWork } from './part-work.ts'
import { isAbsent } from './problem-of.ts'
import { Run } from './run.ts'
import { type Root, type Source, withSource } from './source.ts'
import { openOwn, verified, writeNew } from './verified-file.ts'

const COPY_SUFFIX = '.copy'
const PIECE_BYTES = 4 * 1024 * 1024

interface OfContent {
  readonly root: Root
  readonly content: ContentId
}

export type StageTask =
  | {
      readonly do: 'stage-whole'
      readonly root: Root
      readonly items: readonly { content: ContentId; length: number }[]
      /** All of them, one after the other. */
      readonly bytes: Uint8Array
    }
  | (OfContent & {
      readonly do: 'stage-local'
      readonly size: number
      readonly place: ContentPlace
      /** Of a right list of it, where there is one. */
      readonly chunks: PackedChunks | null
    })
  | PartTask
  | (OfContent & { readonly do: 'stage-verify' })

export interface StageReplies extends PartReplies {
  /** Null for those that were wrong. */
  'stage-whole': readonly (Seal | null)[]
  'stage-local': Seal | null
  'stage-verify': Seal | null
}

export function stageWork(task: StageTask): StageReplies[StageTask['do']] | Promise<StageReplies[StageTask['do']]> {
  switch (task.do) {
    case 'stage-whole':
      return inStage(task.root, stage => putWhole(stage, task))
    case 'stage-local':
      return putLocal(task)
    case 'stage-verify':
      return inStage(task.root, stage => verify(stage, task.content))
    default:
      return inStage(task.root, stage => partWork(stage, task))
  }
}

function inStage<T>(root: Root, use: (stage: Directory) => T): T {
  return within(root.path, root.identity, `${AREA}/${STAGE}`, use)
}

function putWhole(stage: Directory, task: StageTask & { do: 'stage-whole' }): (Seal | null)[] {
  let at = 0
  return task.items.map(({ content, length }) => {
    const bytes = task.bytes.subarray(at, at + length)
    at += length
    if (bytes.length !== length || !matches(content, bytes)) return null
    const path = `${stage.base}/${contentName(content)}`
    // Not synced: after a power cut it is verified again before it is used, and publishing syncs it.
    return writeNew(path, fd => {
      writeFully(fd, bytes, 0)
      return sealOf(fstatSync(fd, { bigint: true }))
    })
  })
}

async function putLocal(task: LocalTask): Promise<Seal | null> {
  // Not the `.part` of chunks that may be on their way to the same content.
  const name = `${contentName(task.content)}${COPY_SUFFIX}`
  const chunks = rightChunks(task)
  const copy = inStage(task.root, stage => copied(`${stage.base}/${name}`, task, chunks))
  if (copy === null) return null
  const { fd, compared } = copy
  let seal: Seal | null = null
  try {
    const before = sealOf(fstatSync(fd, { bigint: true }))
    // The disk writes while the bytes are compared.
    const synced = Promise.allSettled([fsyncAsync(fd)])
    const isRight = compared === 'right' || (compared === 'not yet' && isContent(fd, task, chunks))
    const [sync] = await synced
    if (sync.status === 'rejected') throw sync.reason
    if (isRight && isSealed(before, fstatSync(fd, { bigint: true }))) seal = before
  } finally {
    closeSync(fd)
    inStage(task.root, stage => {
      if (seal === null) removeIfThere(`${stage.base}/${name}`)
      else renameSync(`${stage.base}/${name}`, `${stage.base}/${contentName(task.content)}`)
    })
  }
  return seal
}

type LocalTask = StageTask & { readonly do: 'stage-local' }

/** Null where they are not those of the content. */
function rightChunks({ content, chunks }: LocalTask): readonly Chunk[] | null {
  const list = chunks === null ? null : unpackChunks(chunks)
  return list !== null && listOf(list).content === content ? list : null
}

/** What is known of the bytes of a copy. */
type Compared = 'right' | 'wrong' | 'not yet'

/** Null where the source is not there as said; an error of the stage itself is thrown. */
function copied(
  path: string,
  task: LocalTask,
  chunks: readonly Chunk[] | null,
): { fd: number; compared: Compared } | null {
  try {
    removeIfThere(path)
    // Only now is it known whether the source stayed what it was: the handle is opened after that.
    const compared = withSource(task.root, task.place, source =>
      source.size === task.size ? copySource(source, path, chunks) : null,
    )
    if (compared !== null) return { fd: openOwn(path), compared }
    removeIfThere(path)
    return null
  } catch (error) {
    removeIfThere(path)
    if (isAbsent(error) || systemCode(error) === 'ELOOP' || systemCode(error) === 'EINVAL') return null
    throw error
  }
}

/** Cloned where the disk can. Else its bytes pass through here once, compared as they do, where there is something to compare them with. */
function copySource(source: Source, path: string, chunks: readonly Chunk[] | null): Compared | null {
  if (source.fd === null) return writeNew(path, fd => writeSource(fd, source)) ? 'not yet' : null
  if (cloneHandle(source.fd, path)) return 'not yet'
  if (chunks === null) {
    copyHandle(source.fd, path)
    return 'not yet'
  }
  writeNew(path, fd => ftruncateSync(fd, source.size))
  const fd = openOwn(path)
  try {
    return isMadeOf(source.fd, chunks, new Run(fd)) ? 'right' : 'wrong'
  } finally {
    closeSync(fd)
  }
}

function isContent(fd: number, { content, size }: LocalTask, chunks: readonly Chunk[] | null): boolean {
  return chunks === null ? readContent(fd, size).list.content === content : isMadeOf(fd, chunks)
}

/** What is no file of its own: a symlink's target, a packed version. */
function writeSource(fd: number, source: Source): boolean {
  for (let at = 0; at < source.size; at += PIECE_BYTES) {
    const bytes = source.read(at, Math.min(PIECE_BYTES, source.size - at))
    if (bytes === null) return false
    writeFully(fd, bytes, at)
  }
  return true
}

/** A staged content of an earlier run, or one that was touched: is it still what its name says? If not, it goes. */
function verify(stage: Directory, content: ContentId): Seal | null {
  const path = `${stage.base}/${contentName(content)}`
  try {
    const seal = verified(path, content, false)
    if (seal === null) removeIfThere(path)
    return seal
  } catch (error) {
    if (isAbsent(error)) return null
    throw error
  }
}
