// What the hash workers do for kept versions: keep bytes or a copy of a file, say what is kept and what it takes, read it again. They only
// add files; what is replaced, moved or removed there is the publish worker's, so that it never meets a batch.

import { closeSync, fstatSync, lstatSync, renameSync } from 'node:fs'
import { threadId } from 'node:worker_threads'
import { matches } from '../core/content-list.ts'
import { systemCode } from '../core/errors.ts'
import type { ContentId, Hash } from '../core/ids.ts'
import type { KeptVersion, Stat } from '../core/ports.ts'
import { AREA, contentName, PART_SUFFIX, type Seal, sealOf, VERSIONS } from './area.ts'
import { AreaHandle } from './area-handle.ts'
import { type Directory, openRegular, within } from './beneath.ts'
import { readContent } from './content-read.ts'
import { lateNames } from './late-writers.ts'
import { copyHandle, isThere, removeIfThere, syncDirectory, writeFully } from './own-files.ts'
import { withPacks } from './packs.ts'
import { isAbsent } from './problem-of.ts'
import { inRecipes, isSound, readRecipe, readSegment, recipeNames, rereadRecipe } from './recipes.ts'
import { type Root, withSource } from './source.ts'
import { syncOrRemove, verified, writeNew } from './verified-file.ts'

const BLOCK_BYTES = 512n

interface OfContent {
  readonly root: Root
  readonly content: ContentId
}

export type VersionTask =
  | (OfContent & { readonly do: 'version-keep'; readonly bytes: Uint8Array })
  | (OfContent & { readonly do: 'version-copy'; readonly path: string; readonly stat: Stat })
  | {
      readonly do: 'version-stat'
      readonly root: Root
      readonly contents: readonly ContentId[]
      readonly late: boolean
    }
  | { readonly do: 'version-shares'; readonly root: Root }
  | (OfContent & { readonly do: 'version-verify' })

export interface Verdict {
  /** 'recipe-damaged': packed, and what it is made of cannot be read. */
  readonly state: 'sound' | 'damaged' | 'recipe-damaged' | 'gone'
  /** Of the whole file that was read; null where it is packed. */
  readonly seal: Seal | null
}

export interface VersionReplies {
  'version-keep': boolean
  'version-copy': boolean
  /** Of those that lie whole; those that somebody may still write to only where they are asked for. */
  'version-stat': readonly KeptVersion[]
  /** Of all packed ones: what they share is counted in equal parts. */
  'version-shares': readonly KeptVersion[]
  'version-verify': Verdict
}

export function versionWork(task: VersionTask): VersionReplies[VersionTask['do']] {
  switch (task.do) {
    case 'version-keep':
      return inVersions(task.root, versions => keep(versions, task))
    case 'version-copy':
      return inVersions(task.root, versions => copy(versions, task))
    case 'version-stat':
      return stat(task)
    case 'version-shares':
      return shares(task.root)
    case 'version-verify':
      return verify(task.root, task.content)
  }
}

function inVersions<T>(root: Root, use: (versions: Directory) => T): T {
  return within(root.path, root.identity, `${AREA}/${VERSIONS}`, use)
}

function keep(versions: Directory, task: VersionTask & { do: 'version-keep' }): boolean {
  if (!matches(task.content, task.bytes)) return false
  const path = partPath(versions, task.content)
  writeNew(path, fd => {
    writeFully(fd, task.bytes, 0)
    syncOrRemove(fd, path)
  })
  nameIt(versions, path, task.content)
  return true
}

function copy(versions: Directory, task: VersionTask & { do: 'version-copy' }): boolean {
  const path = partPath(versions, task.content)
  const make = (kind: 'file' | 'symlink'): boolean | null =>
    withSource(task.root, { at: 'file', path: task.path, stat: task.stat, kind }, source => {
      if (source.fd === null) {
        const bytes = source.read(0, source.size)
        if (bytes === null) return false
        writeNew(path, fd => writeFully(fd, bytes, 0))
      } else copyHandle(source.fd, path)
      return verified(path, task.content, true) !== null
    })
  let done: boolean | null = null
  try {
    done = orAbsent(() =>
      orLink(
        () => make('file'),
        () => make('symlink'),
      ),
    )
  } finally {
    if (done !== true) removeIfThere(path)
  }
  if (done === true) nameIt(versions, path, task.content)
  return done === true
}

function orLink<T>(file: () => T, link: () => T): T {
  try {
    return file()
  } catch (error) {
    if (systemCode(error) !== 'ELOOP') throw error
    return link()
  }
}

/** Null for what is not there as said; an error of the disk is thrown. */
function orAbsent<T>(act: () => T): T | null {
  try {
    return act()
  } catch (error) {
    if (isAbsent(error) || systemCode(error) === 'EINVAL' || systemCode(error) === 'ELOOP') return null
    throw error
  }
}

/** Never the same for two at a time: each must find its own bytes when it names them. */
function partPath(versions: Directory, content: ContentId): string {
  return `${versions.base}/${contentName(content)}.${threadId}${PART_SUFFIX}`
}

/** An inode that has the name already keeps it: a program may still write to it, and its bytes were the same. */
function nameIt(versions: Directory, path: string, content: ContentId): void {
  const name = `${versions.base}/${contentName(content)}`
  if (isThere(name)) removeIfThere(path)
  else renameSync(path, name)
  syncDirectory(versions)
}

function stat({ root, contents, late: alsoLate }: VersionTask & { do: 'version-stat' }): KeptVersion[] {
  const area = new AreaHandle(root)
  try {
    const late = alsoLate ? new Set<string>() : lateNames(area)
    return contents.flatMap(content => {
      const name = contentName(content)
      const stats = lstatSync(`${area.versions.base}/${name}`, { bigint: true, throwIfNoEntry: false })
      if (stats === undefined || late.has(name)) return []
      const occupies = stats.blocks === 0n ? stats.size : stats.blocks * BLOCK_BYTES
      return [{ content, size: Number(stats.size), occupies: Number(occupies), packed: false }]
    })
  } finally {
    area.close()
  }
}

function shares(root: Root): KeptVersion[] {
  const found = inRecipes(root, directory =>
    recipeNames(directory)
      .filter(({ inWork }) => !inWork)
      .map(({ content }) => ({ content, recipe: readRecipe(directory, content) })),
  )
  const counted = new Map<Hash, number>()
  for (const { recipe } of found ?? []) {
    if (recipe === null || recipe === 'damaged') continue
    for (const { hash } of recipe.segments) counted.set(hash, (counted.get(hash) ?? 0) + 1)
  }
  const parts = withPacks(root, packs => {
    const uses = new Map<Hash, number>()
    for (const [segment, times] of counted)
      for (const { hash } of readSegment(packs, segment) ?? []) uses.set(hash, (uses.get(hash) ?? 0) + times)
    const part = new Map<Hash, number>()
    for (const segment of counted.keys()) {
      let bytes = 0
      for (const { hash, length } of readSegment(packs, segment) ?? []) bytes += length / (uses.get(hash) ?? 1)
      part.set(segment, bytes)
    }
    return part
  })
  return (found ?? []).map(({ content, recipe }) => {
    if (recipe === null || recipe === 'damaged') return { content, size: 0, occupies: 0, packed: true }
    const occupies = recipe.segments.reduce((sum, { hash }) => sum + (parts?.get(hash) ?? 0), 0)
    return { content, size: recipe.size, occupies: Math.ceil(occupies), packed: true }
  })
}

function verify(root: Root, content: ContentId): Verdict {
  const whole = orAbsent(() => inVersions(root, versions => verifyWhole(versions, content)))
  if (whole !== null) return whole
  const recipe = inRecipes(root, directory => rereadRecipe(directory, content))
  if (recipe === null) return { state: 'gone', seal: null }
  if (recipe === 'damaged') return { state: 'recipe-damaged', seal: null }
  const sound = withPacks(root, packs => isSound(packs, recipe)) === true
  return { state: sound ? 'sound' : 'damaged', seal: null }
}

/** What is written to while it is read is no version yet. */
function verifyWhole(versions: Directory, content: ContentId): Verdict {
  const { fd, stats } = openRegular(versions, contentName(content))
  const seal = sealOf(stats)
  try {
    const same = isContent(fd, Number(stats.size), content)
    const after = fstatSync(fd, { bigint: true })
    if (after.mtimeNs !== seal.mtimeNs || after.size !== seal.size) return { state: 'gone', seal }
    return { state: same ? 'sound' : 'damaged', seal }
  } finally {
    closeSync(fd)
  }
}

function isContent(fd: number, size: number, content: ContentId): boolean {
  try {
    return readContent(fd, size).list.content === content
  } catch (error) {
    // The disk cannot give the bytes back: they are lost as if they were other ones.
    if (systemCode(error) === 'EIO') return false
    throw error
  }
}
