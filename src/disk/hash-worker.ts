// The hash workers: they open and read files themselves, so that no user's bytes but small texts cross threads, and they write and
// verify what is staged. Nothing here changes a user's file.
import { closeSync, fstatSync, lstatSync } from 'node:fs'
import { contentOf } from '../core/content-list.ts'
import { systemCode } from '../core/errors.ts'
import type { ContentId, Hash } from '../core/ids.ts'
import type { HashRequest, Problem } from '../core/ports.ts'
import { openRegular, readLink, splitPath, Walk } from './beneath.ts'
import { readContent, textOf } from './content-read.ts'
import { type Envelope, enveloped } from './envelope.ts'
import type { PackReplies, PackTask } from './pack-work.ts'
import { packWork } from './pack-work.ts'
import { type Piece, type ReadTask, readAll } from './piece-reads.ts'
import { isAbsent, readingProblem } from './problem-of.ts'
import type { Root } from './source.ts'
import type { StageReplies, StageTask } from './stage-work.ts'
import { stageWork } from './stage-work.ts'
import { isSame, statOf } from './stat.ts'
import { Movable } from './transfer.ts'
import type { VersionReplies, VersionTask } from './version-work.ts'
import { versionWork } from './version-work.ts'

/** Of the file that was asked for: a symlink or a FIFO now stands there, or another root, or none. */
const SAYS_NOTHING = new Set(['ELOOP', 'EINVAL', 'ENXIO', 'ROOT_GONE'])

export type HashTask =
  | { readonly do: 'hash'; readonly root: Root; readonly requests: readonly HashRequest[] }
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

export type Hashed =
  | { readonly ok: true; readonly list: PackedList; readonly text: Uint8Array | null }
  | { readonly ok: false; readonly problem: Problem }

export interface HashReplies extends StageReplies, VersionReplies, PackReplies {
  hash: readonly Hashed[]
  read: readonly (Piece | null)[]
}

/** The piscina task of this worker. */
export function hash(task: HashTask): Promise<Envelope<HashReplies[HashTask['do']]>> {
  return enveloped(() => act(task))
}

function act(task: HashTask): HashReplies[HashTask['do']] | Movable<HashReplies[HashTask['do']]> {
  switch (task.do) {
    case 'hash': {
      const results = hashAll(task.root, task.requests)
      const buffers = results.flatMap(result =>
        result.ok && result.text !== null && result.text.length > 0 ? [result.text.buffer] : [],
      )
      return new Movable(results, buffers)
    }
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

function hashAll(root: Root, requests: readonly HashRequest[]): Hashed[] {
  const walk = new Walk(root.path, root.identity)
  try {
    return requests.map(request => hashOne(walk, request))
  } finally {
    walk.close()
  }
}

function hashOne(walk: Walk, request: HashRequest): Hashed {
  const { directory, name } = splitPath(request.path)
  try {
    const parent = walk.open(directory)
    if (request.kind === 'file') return hashFile(parent, name, request)
    return hashLink(`${parent.base}/${name}`, () => readLink(parent, name), request)
  } catch (error) {
    if (isAbsent(error)) return busy(request)
    const problem = readingProblem(error, request.path)
    const code = systemCode(error) ?? ''
    return SAYS_NOTHING.has(code) ? busy(request) : { ok: false, problem }
  }
}

function hashFile(parent: Parameters<typeof openRegular>[0], name: string, request: HashRequest): Hashed {
  const { fd, stats } = openRegular(parent, name)
  try {
    if (!isSame(request.stat, statOf(stats), 'file')) return busy(request)
    const { list, whole } = readContent(fd, request.stat.size)
    const after = statOf(fstatSync(fd, { bigint: true }))
    if (!isSame(request.stat, after, 'file') || list.size !== request.stat.size) return busy(request)
    return packed(list, textOf(whole))
  } finally {
    closeSync(fd)
  }
}

function hashLink(path: string, target: () => Buffer, request: HashRequest): Hashed {
  if (!isSame(request.stat, statOf(lstatSync(path, { bigint: true })), 'symlink')) return busy(request)
  const list = contentOf(target())
  if (!isSame(request.stat, statOf(lstatSync(path, { bigint: true })), 'symlink')) return busy(request)
  return packed(list, null)
}

function packed(list: ReturnType<typeof contentOf>, text: Uint8Array | null): Hashed {
  return {
    ok: true,
    list: { content: list.content, size: list.size, top: list.top, segments: [...list.segments] },
    text,
  }
}

function busy(request: HashRequest): Hashed {
  const message = 'It changed while it was read: it is read again when it rests.'
  return { ok: false, problem: { code: 'busy', path: request.path, message } }
}
