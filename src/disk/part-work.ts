// What the workers do with a content that arrives in chunks, in `.kith/stage`: `CONTENT.part` until it is whole. Each chunk is verified by
// its hash, and that it ends where every device would cut it, before it is written; so the whole is right when all its chunks are and its
// list is, and is read again only where something else may have written to it, which its seal tells from one task to the next.
import { closeSync, constants, fchmodSync, fstatSync, ftruncateSync, lstatSync, openSync, renameSync } from 'node:fs'
import { endsRight, endsRightIfCut } from '../core/chunker.ts'
import { type Chunk, SMALL_CONTENT_BYTES } from '../core/content.ts'
import { listOf, sha256 } from '../core/content-list.ts'
import type { ContentId, Hash } from '../core/ids.ts'
import type { ContentPlace } from '../core/ports.ts'
import { contentName, isSealed, PART_SUFFIX, PRIVATE_MODE, type Seal, sealOf } from './area.ts'
import { type Directory, openRegular, readFully } from './beneath.ts'
import { readEach } from './piece-reads.ts'
import { isAbsent } from './problem-of.ts'
import { Run } from './run.ts'
import type { Root } from './source.ts'
import { syncOrRemove, verified, writeNew } from './verified-file.ts'

const { O_NOFOLLOW, O_RDWR } = constants

/** A chunk to be had, and where it goes. */
export interface ChunkTarget {
  readonly at: number
  readonly length: number
  readonly hash: Hash
  /** Nothing comes behind it. */
  readonly isLast: boolean
  /** Some right list has it too. */
  readonly wasCut?: boolean
}

interface OfPart {
  readonly root: Root
  readonly content: ContentId
}

interface Filling extends OfPart {
  /** What the part was after the task before; null: it must be read whole in any case. */
  readonly seal: Seal | null
}

export type PartTask =
  | (OfPart & { readonly do: 'part-open'; readonly size: number; readonly chunks: readonly Chunk[] })
  | (Filling & {
      readonly do: 'part-extend'
      readonly into: ContentId
      readonly size: number
      /** Of what it becomes. */
      readonly chunks: readonly Chunk[]
    })
  | (Filling & {
      readonly do: 'part-write'
      readonly targets: readonly ChunkTarget[]
      /** One a target. */
      readonly pieces: readonly Uint8Array[]
    })
  | (Filling & {
      readonly do: 'part-copy'
      readonly targets: readonly (ChunkTarget & { place: ContentPlace; offset: number })[]
    })
  | (OfPart & { readonly do: 'part-sync' })
  | (Filling & { readonly do: 'part-finish' })

export interface PartReplies {
  'part-open': Filled
  /** Null where there is nothing to extend, or something of the longer one already. */
  'part-extend': { readonly seal: Seal | null } | null
  'part-write': Filled
  'part-copy': Filled
  'part-sync': null
  /** Null where it is not the content: then what is there stays for another try. */
  'part-finish': Seal | null
}

export interface Filled {
  /** One a chunk: 1 where it is there and right. */
  readonly right: Uint8Array
  /** What the part is now; null where only reading it whole tells what it is. */
  readonly seal: Seal | null
}

export function partWork(stage: Directory, task: PartTask): PartReplies[PartTask['do']] {
  switch (task.do) {
    case 'part-open':
      return open(stage, task)
    case 'part-extend':
      return extend(stage, task)
    case 'part-write':
      return fill(stage, task, task.pieces)
    case 'part-copy':
      return fill(stage, task, readEach(task.root, task.targets))
    case 'part-sync':
      return sync(stage, task.content)
    case 'part-finish':
      return finish(stage, task)
  }
}

function open(stage: Directory, { content, size, chunks }: PartTask & { do: 'part-open' }): Filled {
  const name = `${contentName(content)}${PART_SUFFIX}`
  const isList = isHonest(content, size, chunks)
  let handle: { fd: number }
  try {
    handle = openRegular(stage, name)
  } catch (error) {
    if (!isAbsent(error)) throw error
    // Sparse: chunks of zeros stay holes.
    const seal = writeNew(`${stage.base}/${name}`, fd => {
      ftruncateSync(fd, size)
      return sealOf(fstatSync(fd, { bigint: true }))
    })
    return { right: Uint8Array.from(chunks, chunk => (chunk.length === 0 ? 1 : 0)), seal: isList ? seal : null }
  }
  try {
    return found(handle.fd, chunks, isList)
  } finally {
    closeSync(handle.fd)
  }
}

/** A list that no honest device makes is found out by reading the whole. */
function isHonest(content: ContentId, size: number, chunks: readonly Chunk[]): boolean {
  return listOf(chunks).content === content && (chunks.length === 1 || size > SMALL_CONTENT_BYTES)
}

/** The part goes on as that of another content. */
function extend(stage: Directory, task: PartTask & { do: 'part-extend' }): PartReplies['part-extend'] {
  const { content, seal, into, size, chunks } = task
  const path = partPath(stage, into)
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return null
  let fd: number
  try {
    fd = openSync(partPath(stage, content), O_RDWR | (O_NOFOLLOW ?? 0))
  } catch (error) {
    if (isAbsent(error)) return null
    throw error
  }
  try {
    const isAsLeft = seal !== null && isSealed(seal, fstatSync(fd, { bigint: true }))
    renameSync(partPath(stage, content), path)
    ftruncateSync(fd, size)
    return { seal: isAsLeft && isHonest(into, size, chunks) ? sealOf(fstatSync(fd, { bigint: true })) : null }
  } finally {
    closeSync(fd)
  }
}

/** What an earlier run, or an earlier try, left of it. */
function found(fd: number, chunks: readonly Chunk[], isList: boolean): Filled {
  const before = sealOf(fstatSync(fd, { bigint: true }))
  const right = new Uint8Array(chunks.length)
  const buffer = Buffer.allocUnsafe(Math.max(1, ...new Set(chunks.map(chunk => chunk.length))))
  let areCut = true
  let at = 0
  for (const [index, chunk] of chunks.entries()) {
    const bytes = buffer.subarray(0, chunk.length)
    const target = { ...chunk, at, isLast: index === chunks.length - 1 }
    if (readFully(fd, bytes, at) === chunk.length && sha256(bytes) === chunk.hash) {
      right[index] = 1
      areCut &&= isCut(target, bytes)
    }
    at += chunk.length
  }
  return { right, seal: isList && areCut && isSealed(before, fstatSync(fd, { bigint: true })) ? before : null }
}

function fill(
  stage: Directory,
  { content, seal, targets }: Filling & { readonly targets: readonly ChunkTarget[] },
  pieces: readonly (Uint8Array | null)[],
): Filled {
  const fd = openSync(partPath(stage, content), O_RDWR | (O_NOFOLLOW ?? 0))
  try {
    const isAsLeft = seal !== null && isSealed(seal, fstatSync(fd, { bigint: true }))
    const right = new Uint8Array(targets.length)
    const run = new Run(fd)
    let areCut = true
    for (const [index, target] of targets.entries()) {
      const bytes = pieces[index] ?? null
      if (bytes?.length !== target.length || sha256(bytes) !== target.hash) continue
      areCut &&= isCut(target, bytes)
      run.add(bytes, target.at)
      right[index] = 1
    }
    run.write()
    return { right, seal: isAsLeft && areCut ? sealOf(fstatSync(fd, { bigint: true })) : null }
  } finally {
    closeSync(fd)
  }
}

function isCut({ at, length, isLast, wasCut }: ChunkTarget, bytes: Uint8Array): boolean {
  if (isLast && at === 0 && length <= SMALL_CONTENT_BYTES) return true
  return wasCut === true ? endsRightIfCut(bytes, isLast) : endsRight(bytes, isLast)
}

/** What is written so far: the end would wait long for all of it. */
function sync(stage: Directory, content: ContentId): null {
  const path = partPath(stage, content)
  const fd = openSync(path, O_RDWR | (O_NOFOLLOW ?? 0))
  try {
    syncOrRemove(fd, path)
  } finally {
    closeSync(fd)
  }
  return null
}

function finish(stage: Directory, { content, seal }: PartTask & { do: 'part-finish' }): Seal | null {
  const path = partPath(stage, content)
  const done = (seal === null ? null : synced(path, seal)) ?? verified(path, content, true)
  if (done !== null) renameSync(path, `${stage.base}/${contentName(content)}`)
  return done
}

/** Null where something wrote to it since. */
function synced(path: string, seal: Seal): Seal | null {
  const fd = openSync(path, O_RDWR | (O_NOFOLLOW ?? 0))
  try {
    fchmodSync(fd, PRIVATE_MODE)
    syncOrRemove(fd, path)
    return isSealed(seal, fstatSync(fd, { bigint: true })) ? seal : null
  } finally {
    closeSync(fd)
  }
}

function partPath(stage: Directory, content: ContentId): string {
  return `${stage.base}/${contentName(content)}${PART_SUFFIX}`
}
