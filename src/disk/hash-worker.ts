// The hash workers: they open and read files themselves, so that no user's bytes but small texts cross threads, and they write and
// verify what is staged. Nothing here changes a user's file.
import { closeSync, fstatSync, lstatSync } from 'node:fs'
import { contentOf } from '../core/content-list.ts'
import { systemCode } from '../core/errors.ts'
import type { ContentId, Hash } from '../core/ids.ts'
import type { ContentPlace, HashRequest, Problem, Stat } from '../core/ports.ts'
import { type Directory, openRegular, readLink, splitPath, Walk } from './beneath.ts'
import { readContent, textOf } from './content-read.ts'
import { DirtyHandles } from './dirty-handles.ts'
import { type Envelope, enveloped } from './envelope.ts'
import type { PackReplies, PackTask } from './pack-work.ts'
import { packWork } from './pack-work.ts'
import { isAbsent, readingProblem } from './problem-of.ts'
import { type Root, type Source, withSource } from './source.ts'
import type { StageReplies, StageTask } from './stage-work.ts'
import { stageWork } from './stage-work.ts'
import { isSame, statOf } from './stat.ts'
import { Movable } from './transfer.ts'
import type { VersionReplies, VersionTask } from './version-work.ts'
import { versionWork } from './version-work.ts'

/** Of the file that was asked for: a symlink or a FIFO now stands there, or another root, or none. */
const SAYS_NOTHING = new Set(['ELOOP', 'EINVAL', 'ENXIO', 'ROOT_GONE'])

/** Longer than a system keeps what was written in memory (Linux: 30 s). */
const WRITTEN_AFTER_MS = 120_000

export type HashTask =
  | { readonly do: 'hash'; readonly root: Root; readonly requests: readonly HashRequest[] }
  | { readonly do: 'read'; readonly root: Root; readonly reads: readonly PieceRead[] }
  | StageTask
  | VersionTask
  | PackTask

/** A piece of a content to be read from where it lies. */
export interface PieceRead {
  readonly place: ContentPlace
  readonly offset: number
  readonly length: number
}

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
  read: readonly (Uint8Array | null)[]
}

/** The piscina task of this worker. */
export function hash(task: HashTask): Promise<Envelope<HashReplies[HashTask['do']]>> {
  return enveloped(() => act(task))
}

type Reply = HashReplies[HashTask['do']] | Movable<HashReplies[HashTask['do']]>

function act(task: HashTask): Reply | Promise<Reply> {
  switch (task.do) {
    case 'hash':
      return hashAll(task.root, task.requests).then(results => {
        const texts = results.flatMap(result => (result.ok && result.text !== null ? [result.text] : []))
        return new Movable(
          results,
          texts.flatMap(text => (text.length > 0 ? [text.buffer] : [])),
        )
      })
    case 'read':
      return read(task)
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

/** What lies in one file, one after the other, is read through one handle. */
function read({ root, reads }: HashTask & { do: 'read' }): Movable<(Uint8Array | null)[]> {
  const found: (Uint8Array | null)[] = []
  for (let at = 0; at < reads.length; ) {
    const first = reads[at] as PieceRead
    let end = at + 1
    while (end < reads.length && isSamePlace(first.place, (reads[end] as PieceRead).place)) end++
    found.push(...readPieces(root, first.place, reads.slice(at, end)))
    at = end
  }
  return new Movable(
    found,
    found.flatMap(bytes => (bytes === null || bytes.length === 0 ? [] : [bytes.buffer])),
  )
}

function readPieces(root: Root, place: ContentPlace, pieces: readonly PieceRead[]): readonly (Uint8Array | null)[] {
  const none = pieces.map(() => null)
  try {
    const read = (source: Source): (Uint8Array | null)[] =>
      pieces.map(({ offset, length }) =>
        offset <= source.size ? source.read(offset, Math.min(length, source.size - offset)) : null,
      )
    return withSource(root, place, read) ?? none
  } catch {
    // The port's answer to "not there as said", whatever the reason; the next scan says why.
    return none
  }
}

/** The same row of the same moment: the very same object, or what says the same of it. */
function isSamePlace(a: ContentPlace, b: ContentPlace): boolean {
  if (a.at !== 'file' || b.at !== 'file')
    return a.at === b.at && a.at !== 'file' && b.at !== 'file' && a.content === b.content
  return a.path === b.path && a.kind === b.kind && isSame(a.stat, b.stat, 'file')
}

/**
 * What was written a moment ago is synced before anybody is told of it: after a power cut the file would be empty or the one before, and
 * that would count as an edit and reach every other device.
 */
async function hashAll(root: Root, requests: readonly HashRequest[]): Promise<Hashed[]> {
  const walk = new Walk(root.path, root.identity)
  const fresh = new DirtyHandles()
  let results: Hashed[]
  try {
    results = requests.map((request, index) => hashOne(walk, request, fd => fresh.add(fd, index)))
  } finally {
    walk.close()
    await fresh.flush()
  }
  for (const [index, error] of fresh.failed) {
    results[index] = { ok: false, problem: readingProblem(error, (requests[index] as HashRequest).path) }
  }
  return results
}

/** `sync` takes over the handle of a file that may not be on the disk yet. */
function hashOne(walk: Walk, request: HashRequest, sync: (fd: number) => void): Hashed {
  const { directory, name } = splitPath(request.path)
  try {
    const parent = walk.open(directory)
    if (request.kind === 'file') return hashFile(parent, name, request, sync)
    return hashLink(`${parent.base}/${name}`, () => readLink(parent, name), request)
  } catch (error) {
    if (isAbsent(error)) return busy(request)
    const problem = readingProblem(error, request.path)
    const code = systemCode(error) ?? ''
    return SAYS_NOTHING.has(code) ? busy(request) : { ok: false, problem }
  }
}

function hashFile(parent: Directory, name: string, request: HashRequest, sync: (fd: number) => void): Hashed {
  const { fd, stats } = openRegular(parent, name)
  let isOurs = true
  try {
    if (!isSame(request.stat, statOf(stats), 'file')) return busy(request)
    const { list, whole } = readContent(fd, request.stat.size)
    const after = statOf(fstatSync(fd, { bigint: true }))
    if (!isSame(request.stat, after, 'file') || list.size !== request.stat.size) return busy(request)
    if (mayBeUnwritten(after)) {
      isOurs = false
      sync(fd)
    }
    return packed(list, textOf(whole))
  } finally {
    if (isOurs) closeSync(fd)
  }
}

/** By the change time, which no program can set. Windows syncs no handle that only reads. */
function mayBeUnwritten(stat: Stat): boolean {
  return process.platform !== 'win32' && Date.now() - stat.ctimeUs / 1000 < WRITTEN_AFTER_MS
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
