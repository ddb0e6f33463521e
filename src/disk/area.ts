// `.kith` in the root: what is where in it, and how its files are named. Everything private to the folder lives here, on the same file
// system as the user's files, so that link and rename work between them.
import type { BigIntStats } from 'node:fs'
import { join } from 'node:path'
import { isContentId } from '../core/content-list.ts'
import type { ContentId } from '../core/ids.ts'
import { fromHex, hexOf } from '../core/ids.ts'

export const AREA = '.kith'
export const AREA_MODE = 0o700
export const PRIVATE_MODE = 0o600

export const STAGE = 'stage'
export const VERSIONS = 'versions'
export const PARKED = 'parked'
/** The copy of the journal. */
export const JOURNAL = 'journal'
/** Things on their way from one place to another for the length of a few calls. */
export const TRANSIT = 'transit'
/** Chunks of packed versions, and the recipes that say which version is made of which. */
export const PACKS = 'packs'
export const RECIPES = 'recipes'
/** What was kept and is not what it should be any more. */
export const DAMAGED = 'damaged'
export const AREA_DIRECTORIES = [STAGE, VERSIONS, PARKED, TRANSIT, PACKS, RECIPES, DAMAGED, JOURNAL] as const

export const MARKER_FILE = 'folder.json'
/** Replaced and removed inodes that a program may still be writing to. */
export const LATE_FILE = 'late.log'
export const PART_SUFFIX = '.part'
export const PACK_SUFFIX = '.pack'
/** A recipe whose version is being packed: what is packed of it already is not collected. */
export const WORK_SUFFIX = '.work'

export function areaPath(root: string, ...parts: string[]): string {
  return join(root, AREA, ...parts)
}

export function contentName(content: ContentId): string {
  return hexOf(content)
}

/** The content that a file in stage or versions is named for; undefined for every other name. */
export function contentOfName(name: string): ContentId | undefined {
  const text = fromHex(name)
  return text !== undefined && isContentId(text) ? text : undefined
}

/** What a file of our own was when its bytes were last verified: any write since changes one of these. */
export interface Seal {
  readonly ino: bigint
  readonly size: bigint
  readonly mtimeNs: bigint
}

export function sealOf(stats: BigIntStats): Seal {
  return { ino: stats.ino, size: stats.size, mtimeNs: stats.mtimeNs }
}

export function isSealed(seal: Seal, stats: BigIntStats): boolean {
  return seal.ino === stats.ino && seal.size === stats.size && seal.mtimeNs === stats.mtimeNs
}
