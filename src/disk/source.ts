// Opening bytes of a content where they lie, in a worker: a user's file as it was observed, a kept version, a staged content.
// Whatever is not as said is null, never other bytes.
import { closeSync, fstatSync, lstatSync } from 'node:fs'
import type { ContentId } from '../core/ids.ts'
import type { ContentPlace } from '../core/ports.ts'
import { AREA, contentName, PART_SUFFIX, STAGE, VERSIONS } from './area.ts'
import { type Directory, openRegular, type RootIdentity, readFully, readLink, splitPath, within } from './beneath.ts'
import { isAbsent } from './problem-of.ts'
import { withPacked } from './recipes.ts'
import { isSame, statOf } from './stat.ts'

export interface Root {
  readonly path: string
  readonly identity: RootIdentity | null
}

/** Bytes that can be read at an offset, while `use` runs. */
export interface Source {
  readonly size: number
  /** For copies by the system; null where the bytes are no file. */
  readonly fd: number | null
  read(offset: number, length: number): Uint8Array | null
}

/** Null where it is not as said: before, or (a user's file) after `use` read from it. */
export function withSource<T>(root: Root, place: ContentPlace, use: (source: Source) => T): T | null {
  switch (place.at) {
    case 'file':
      return fromUser(root, place, use)
    case 'version':
      return fromVersion(root, place.content, use)
    case 'stage':
      return fromArea(root, STAGE, contentName(place.content), use)
    case 'part':
      return fromArea(root, STAGE, `${contentName(place.content)}${PART_SUFFIX}`, use)
  }
}

function fromUser<T>(root: Root, place: ContentPlace & { at: 'file' }, use: (source: Source) => T): T | null {
  const { directory, name } = splitPath(place.path)
  return within(root.path, root.identity, directory, parent => {
    if (place.kind === 'symlink') {
      const target = linkAsObserved(parent, name, place)
      return target === null ? null : use(fromBytes(target))
    }
    const { fd, stats } = openRegular(parent, name)
    try {
      if (!isSame(place.stat, statOf(stats), 'file')) return null
      const result = use(fromHandle(fd, Number(stats.size)))
      return isSame(place.stat, statOf(fstatSync(fd, { bigint: true })), 'file') ? result : null
    } finally {
      closeSync(fd)
    }
  })
}

function linkAsObserved(parent: Directory, name: string, place: ContentPlace & { at: 'file' }): Buffer | null {
  const path = `${parent.base}/${name}`
  if (!isSame(place.stat, statOf(lstatSync(path, { bigint: true })), 'symlink')) return null
  const target = readLink(parent, name)
  return isSame(place.stat, statOf(lstatSync(path, { bigint: true })), 'symlink') ? target : null
}

/** Whole, or packed: what is being packed is both for a moment, and whole no more in the next. */
function fromVersion<T>(root: Root, content: ContentId, use: (source: Source) => T): T | null {
  let opened = false
  try {
    return fromArea(root, VERSIONS, contentName(content), source => {
      opened = true
      return use(source)
    })
  } catch (error) {
    if (opened || !isAbsent(error)) throw error
  }
  return withPacked(root, content, use)
}

function fromArea<T>(root: Root, area: string, name: string, use: (source: Source) => T): T | null {
  return within(root.path, root.identity, `${AREA}/${area}`, parent => {
    const { fd, stats } = openRegular(parent, name)
    try {
      return use(fromHandle(fd, Number(stats.size)))
    } finally {
      closeSync(fd)
    }
  })
}

function fromHandle(fd: number, size: number): Source {
  return {
    size,
    fd,
    read(offset, length) {
      const bytes = Buffer.allocUnsafeSlow(length)
      return readFully(fd, bytes, offset) === length ? bytes : null
    },
  }
}

function fromBytes(bytes: Uint8Array): Source {
  return {
    size: bytes.length,
    fd: null,
    read: (offset, length) =>
      offset + length <= bytes.length ? Uint8Array.from(bytes.subarray(offset, offset + length)) : null,
  }
}
