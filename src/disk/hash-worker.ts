// The hash workers: they open and read files themselves, so that no user's bytes but small texts cross threads, and they write and
// verify what is staged. Nothing here changes a user's file.
import { closeSync, fstatSync, fsyncSync, lstatSync } from 'node:fs'
import type { ContentList } from '../core/content.ts'
import { contentOf } from '../core/content-list.ts'
import { systemCode } from '../core/errors.ts'
import type { ContentId, Hash } from '../core/ids.ts'
import type { HashRequest, Problem, Stat } from '../core/ports.ts'
import { openRegular, readLink, splitPath, Walk } from './beneath.ts'
import { readContent, textOf } from './content-read.ts'
import { eachOf, fsyncAsync, isNoSync, SYNCS_IN_FLIGHT } from './dirty-handles.ts'
import { type Envelope, enveloped } from './envelope.ts'
import type { PackReplies, PackTask } from './pack-work.ts'
import { packWork } from './pack-work.ts'
import { type Piece, type ReadTask, readAll } from './piece-reads.ts'
import { isAbsent, readingProblem } from './problem-of.ts'
import { hashRange, joinRanges, type Range, type RangeChunks } from './range-hash.ts'
import type { Root } from './source.ts'
import type { StageReplies, StageTask } from './stage-work.ts'
import { stageWork } from './stage-work.ts'
import { isSame, statOf } from './stat.ts'
import { Movable } from './transfer.ts'
import type { VersionReplies, VersionTask } from './version-work.ts'
import { versionWork } from './version-work.ts'

/** Of the file that was asked for: a symlink or a FIFO now stands there, or another root, or none. */
const SAYS_NOTHING = new Set(['ELOOP', 'EINVAL', 'ENXIO', 'ROOT_GONE'])

/** Of one task. */
const OPEN_FILES = 64

/** Longer than a system keeps what was written in memory (Linux: 30 s). */
const WRITTEN_AFTER_MS = 120_000

export type HashTask =
  | { readonly do: 'hash'; readonly root: Root; readonly requests: readonly HashRequest[] }
  | { readonly do: 'hash-range'; readonly root: Root; readonly request: HashRequest; readonly range: Range }
  | { readonly do: 'hash-join'; readonly ranges: readonly RangeChunks[] }
  | ReadTask
  | StageTask
  | VersionTask
  | PackTask

/** A content list without what the main thread can make of the rest itself. */
export interface PackedList {
  readonly content: ContentId
  readonly size: number
  readonly top: Uint8Array
  readonly segments: readonly (readonly [Hash, Uint8Array])[]
}

export interface Unhashed {
  readonly ok: false
  readonly problem: Problem
}

export type Hashed = { readonly ok: true; readonly list: PackedList; readonly text: Uint8Array | null } | Unhashed

type RangeHashed = { readonly ok: true; readonly chunks: RangeChunks } | Unhashed

export interface HashReplies extends StageReplies, VersionReplies, PackReplies {
  hash: readonly Hashed[]
  'hash-range': RangeHashed
  'hash-join': PackedList
  read: readonly (Piece | null)[]
}

/** The piscina task of this worker. */
export function hash(task: HashTask): Promise<Envelope<HashReplies[HashTask['do']]>> {
  return enveloped(() => act(task))
}

type Reply = HashReplies[HashTask['do']] | Movable<HashReplies[HashTask['do']]>

function act(task: HashTask): Reply | Promise<Reply> {
  switch (task.do) {
    case 'hash':
      return hashAll(task.root, task.requests)
    case 'hash-range':
      return hashOneRange(task.root, task.request, task.range)
    case 'hash-join':
      return packed(joinRanges(task.ranges))
    case 'read':
      return readAll(task)
    case 'version-keep':
    case 'version-copy':
    case 'version-stat':
    case 'version-shares':
    case 'version-verify':
      return versionWork(task)
    case 'pack-begin':
    case 'pack-slice':
    case 'pack-clear':
      return packWork(task)
    default:
      return stageWork(task)
  }
}

/**
 * What was written a moment ago is synced before anybody is told of it: after a power cut the file would be empty or the one before, and
 * that would count as an edit and reach every other device. It is synced before it is read: from then on a write through a mapping of the
 * file into memory shows in its times.
 */
async function hashAll(root: Root, requests: readonly HashRequest[]): Promise<Movable<Hashed[]>> {
  const walk = new Walk(root.path, root.identity)
  const results: Hashed[] = []
  try {
    for (let at = 0; at < requests.length; at += OPEN_FILES) {
      const opened = requests.slice(at, at + OPEN_FILES).map(request => openedFor(walk, request))
      await eachOf(opened.filter(isFresh), SYNCS_IN_FLIGHT, syncOf)
      for (const one of opened) results.push(hashOne(walk, one))
    }
  } finally {
    walk.close()
  }
  const buffers = results.flatMap(result =>
    result.ok && result.text !== null && result.text.length > 0 ? [result.text.buffer] : [],
  )
  return new Movable(results, buffers)
}

/** A file that is to be read, or why it will not be; of a symlink neither. */
interface Opened {
  readonly request: HashRequest
  readonly file: { readonly fd: number; readonly stat: Stat } | null
  failed: Unhashed | null
}

function openedFor(walk: Walk, request: HashRequest): Opened {
  if (request.kind !== 'file') return { request, file: null, failed: null }
  const file = tried(request, () => {
    const { directory, name } = splitPath(request.path)
    const { fd, stats } = openRegular(walk.open(directory), name)
    const stat = statOf(stats)
    if (isSame(request.stat, stat, 'file')) return { fd, stat }
    closeSync(fd)
    return busy(request)
  })
  return 'fd' in file ? { request, file, failed: null } : { request, file: null, failed: file }
}

function isFresh({ file }: Opened): boolean {
  return file !== null && mayBeUnwritten(file.stat)
}

async function syncOf(opened: Opened): Promise<void> {
  try {
    if (opened.file !== null) await fsyncAsync(opened.file.fd)
  } catch (error) {
    if (!isNoSync(error)) opened.failed = { ok: false, problem: readingProblem(error, opened.request.path) }
  }
}

function hashOne(walk: Walk, { request, file, failed }: Opened): Hashed {
  try {
    if (failed !== null) return failed
    return tried(request, () => {
      if (file !== null) {
        return readAsObserved(file.fd, request, () => {
          const { list, whole } = readContent(file.fd, request.stat.size)
          return list.size === request.stat.size ? hashed(list, textOf(whole)) : null
        })
      }
      const { directory, name } = splitPath(request.path)
      const parent = walk.open(directory)
      return hashLink(`${parent.base}/${name}`, () => readLink(parent, name), request)
    })
  } finally {
    if (file !== null) closeSync(file.fd)
  }
}

function hashOneRange(root: Root, request: HashRequest, range: Range): RangeHashed {
  const walk = new Walk(root.path, root.identity)
  try {
    const { file, failed } = openedFor(walk, request)
    if (file === null) return failed ?? busy(request)
    try {
      return tried(request, () => {
        if (mayBeUnwritten(file.stat)) syncNow(file.fd)
        return readAsObserved(file.fd, request, () => {
          const chunks = hashRange(file.fd, range, request.stat.size)
          return chunks === null ? null : { ok: true, chunks }
        })
      })
    } finally {
      closeSync(file.fd)
    }
  } finally {
    walk.close()
  }
}

function syncNow(fd: number): void {
  try {
    fsyncSync(fd)
  } catch (error) {
    if (!isNoSync(error)) throw error
  }
}

function tried<T>(request: HashRequest, work: () => T): T | Unhashed {
  try {
    return work()
  } catch (error) {
    if (isAbsent(error)) return busy(request)
    const problem = readingProblem(error, request.path)
    const code = systemCode(error) ?? ''
    return SAYS_NOTHING.has(code) ? busy(request) : { ok: false, problem }
  }
}

/** `read`: null where the file is shorter than its stat says. */
function readAsObserved<T>(fd: number, request: HashRequest, read: () => T | null): T | Unhashed {
  const result = read()
  const isStill = isSame(request.stat, statOf(fstatSync(fd, { bigint: true })), 'file')
  return result !== null && isStill ? result : busy(request)
}

/** By the change time, which no program can set. Windows syncs no handle that only reads. */
function mayBeUnwritten(stat: Stat): boolean {
  return process.platform !== 'win32' && Date.now() - stat.ctimeUs / 1000 < WRITTEN_AFTER_MS
}

function hashLink(path: string, target: () => Buffer, request: HashRequest): Hashed {
  if (!isSame(request.stat, statOf(lstatSync(path, { bigint: true })), 'symlink')) return busy(request)
  const list = contentOf(target())
  if (!isSame(request.stat, statOf(lstatSync(path, { bigint: true })), 'symlink')) return busy(request)
  return hashed(list, null)
}

function hashed(list: ContentList, text: Uint8Array | null): Hashed {
  return { ok: true, list: packed(list), text }
}

function packed({ content, size, top, segments }: ContentList): PackedList {
  return { content, size, top, segments: [...segments] }
}

function busy(request: HashRequest): Unhashed {
  const message = 'It changed while it was read: it is read again when it rests.'
  return { ok: false, problem: { code: 'busy', path: request.path, message } }
}
