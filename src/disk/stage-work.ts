// What the workers do in `.kith/stage`: write, copy, verify. A file there has its content's name only
// after the whole was verified; what is unfinished ends in `.part`. A descriptor whose fsync failed is never synced again: the file goes.

import { closeSync, constants, fstatSync, ftruncateSync, openSync, renameSync } from 'node:fs'
import type { Chunk } from '../core/content.ts'
import { matches, sha256 } from '../core/content-list.ts'
import { systemCode } from '../core/errors.ts'
import type { ContentId, Hash } from '../core/ids.ts'
import type { ContentPlace } from '../core/ports.ts'
import { AREA, contentName, PART_SUFFIX, type Seal, STAGE, sealOf } from './area.ts'
import { type Directory, openRegular, readFully, within } from './beneath.ts'
import { copyHandle, removeIfThere, writeFully } from './own-files.ts'
import { isAbsent } from './problem-of.ts'
import { type Root, type Source, withSource } from './source.ts'
import { verified, writeNew } from './verified-file.ts'

const { O_NOFOLLOW, O_RDWR } = constants
const COPY_SUFFIX = '.copy'
const PIECE_BYTES = 4 * 1024 * 1024

/** A chunk to be had, and where it goes. */
interface ChunkTarget {
  readonly at: number
  readonly length: number
  readonly hash: Hash
}

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
  | (OfContent & { readonly do: 'stage-local'; readonly size: number; readonly place: ContentPlace })
  | (OfContent & { readonly do: 'stage-open'; readonly size: number; readonly chunks: readonly Chunk[] })
  | (OfContent & { readonly do: 'stage-write'; readonly targets: readonly ChunkTarget[]; readonly bytes: Uint8Array })
  | (OfContent & {
      readonly do: 'stage-copy'
      readonly targets: readonly (ChunkTarget & { place: ContentPlace; offset: number })[]
    })
  | (OfContent & { readonly do: 'stage-finish' })
  | (OfContent & { readonly do: 'stage-verify' })

export interface StageReplies {
  /** Null for those that were wrong. */
  'stage-whole': readonly (Seal | null)[]
  'stage-local': Seal | null
  /** One a chunk: 1 where it is there and right. */
  'stage-open': Uint8Array
  'stage-write': readonly boolean[]
  'stage-copy': readonly boolean[]
  'stage-finish': Seal | null
  'stage-verify': Seal | null
}

export function stageWork(task: StageTask): StageReplies[StageTask['do']] {
  switch (task.do) {
    case 'stage-whole':
      return inStage(task.root, stage => putWhole(stage, task))
    case 'stage-local':
      return inStage(task.root, stage => putLocal(stage, task))
    case 'stage-open':
      return inStage(task.root, stage => open(stage, task))
    case 'stage-write':
      return inStage(task.root, stage => writeChunks(stage, task))
    case 'stage-copy':
      return inStage(task.root, stage => copyChunks(stage, task))
    case 'stage-finish':
      return inStage(task.root, stage => finish(stage, task.content))
    case 'stage-verify':
      return inStage(task.root, stage => verify(stage, task.content))
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

function putLocal(stage: Directory, task: StageTask & { do: 'stage-local' }): Seal | null {
  // Not the `.part` of chunks that may be on their way to the same content.
  const path = `${stage.base}/${contentName(task.content)}${COPY_SUFFIX}`
  let found: Seal | null = null
  try {
    removeIfThere(path)
    found = withSource(task.root, task.place, source => {
      if (source.size !== task.size) return null
      if (source.fd === null) {
        if (!writeNew(path, fd => writeSource(fd, source))) return null
      } else {
        // The system clones where the disk can, and else copies without the bytes coming here.
        copyHandle(source.fd, path)
      }
      return verified(path, task.content, false)
    })
  } catch (error) {
    removeIfThere(path)
    // The source is not there as said; an error of the stage itself is thrown.
    if (isAbsent(error) || systemCode(error) === 'ELOOP' || systemCode(error) === 'EINVAL') return null
    throw error
  }
  if (found === null) removeIfThere(path)
  else renameSync(path, `${stage.base}/${contentName(task.content)}`)
  return found
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

function open(stage: Directory, task: StageTask & { do: 'stage-open' }): Uint8Array {
  const name = `${contentName(task.content)}${PART_SUFFIX}`
  const have = new Uint8Array(task.chunks.length)
  let handle: { fd: number }
  try {
    handle = openRegular(stage, name)
  } catch (error) {
    if (!isAbsent(error)) throw error
    // Sparse: chunks of zeros stay holes.
    writeNew(`${stage.base}/${name}`, fd => ftruncateSync(fd, task.size))
    markEmpty(task.chunks, have)
    return have
  }
  try {
    let at = 0
    const buffer = Buffer.allocUnsafe(Math.max(1, ...new Set(task.chunks.map(chunk => chunk.length))))
    for (const [index, chunk] of task.chunks.entries()) {
      const bytes = buffer.subarray(0, chunk.length)
      if (readFully(handle.fd, bytes, at) === chunk.length && sha256(bytes) === chunk.hash) have[index] = 1
      at += chunk.length
    }
  } finally {
    closeSync(handle.fd)
  }
  return have
}

function markEmpty(chunks: readonly Chunk[], have: Uint8Array): void {
  chunks.forEach((chunk, index) => {
    if (chunk.length === 0) have[index] = 1
  })
}

function writeChunks(stage: Directory, task: StageTask & { do: 'stage-write' }): boolean[] {
  return withPart(stage, task.content, fd => {
    let from = 0
    return task.targets.map(target => {
      const bytes = task.bytes.subarray(from, from + target.length)
      from += target.length
      return place(fd, target, bytes)
    })
  })
}

function copyChunks(stage: Directory, task: StageTask & { do: 'stage-copy' }): boolean[] {
  return withPart(stage, task.content, fd =>
    task.targets.map(target => {
      let bytes: Uint8Array | null = null
      try {
        bytes = withSource(task.root, target.place, source =>
          target.offset + target.length <= source.size ? source.read(target.offset, target.length) : null,
        )
      } catch {
        // Not there as said: the port's answer is the index. Writing below throws.
        return false
      }
      return bytes !== null && place(fd, target, bytes)
    }),
  )
}

function place(fd: number, target: ChunkTarget, bytes: Uint8Array): boolean {
  if (bytes.length !== target.length || sha256(bytes) !== target.hash) return false
  if (!isZero(bytes)) writeFully(fd, bytes, target.at)
  else writeZeros(fd, bytes, target.at)
  return true
}

/** Leaves a hole a hole; overwrites what an earlier, torn write left there. */
function writeZeros(fd: number, bytes: Uint8Array, at: number): void {
  const there = Buffer.allocUnsafe(bytes.length)
  if (readFully(fd, there, at) !== bytes.length || !isZero(there)) writeFully(fd, bytes, at)
}

function withPart<T>(stage: Directory, content: ContentId, use: (fd: number) => T): T {
  const fd = openSync(`${stage.base}/${contentName(content)}${PART_SUFFIX}`, O_RDWR | (O_NOFOLLOW ?? 0))
  try {
    return use(fd)
  } finally {
    closeSync(fd)
  }
}

/** Null where it is not the content: then what is there stays for another try. */
function finish(stage: Directory, content: ContentId): Seal | null {
  const path = `${stage.base}/${contentName(content)}${PART_SUFFIX}`
  const seal = verified(path, content, true)
  if (seal !== null) renameSync(path, `${stage.base}/${contentName(content)}`)
  return seal
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

function isZero(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0 || bytes[bytes.length - 1] !== 0) return false
  return Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) === 0
}

const ZEROS = Buffer.alloc(256 * 1024)
