// `.kith/recipes`: one file for each packed version, named by content id, holding the top of its content list; what the top names lies in
// the packs. A recipe proves itself by its name, so what is cached of it is right for ever. For workers.
import { lstatSync, readdirSync } from 'node:fs'
import type { Chunk } from '../core/content.ts'
import { decodeSegment, decodeTop, isTopOf } from '../core/content-list.ts'
import type { ContentId, Hash } from '../core/ids.ts'
import { AREA, contentName, contentOfName, RECIPES, WORK_SUFFIX } from './area.ts'
import { type Directory, readOwn, within } from './beneath.ts'
import { type Packs, withPacks } from './packs.ts'
import { isAbsent } from './problem-of.ts'
import type { Root, Source } from './source.ts'

const CACHED_RECIPES = 8
const CACHED_SEGMENTS = 128

export interface Recipe {
  readonly size: number
  readonly segments: readonly { readonly hash: Hash; readonly length: number; readonly offset: number }[]
}

export interface RecipeName {
  readonly content: ContentId
  readonly name: string
  /** The version is still being packed. */
  readonly inWork: boolean
}

const recipes = new Map<ContentId, Recipe>()
const segments = new Map<Hash, readonly Chunk[]>()

export function inRecipes<T>(root: Root, use: (directory: Directory) => T): T | null {
  try {
    return within(root.path, root.identity, `${AREA}/${RECIPES}`, use)
  } catch (error) {
    if (isAbsent(error)) return null
    throw error
  }
}

export function recipeNames(directory: Directory): RecipeName[] {
  return readdirSync(directory.base).flatMap(name => {
    const inWork = name.endsWith(WORK_SUFFIX)
    const content = contentOfName(inWork ? name.slice(0, -WORK_SUFFIX.length) : name)
    return content === undefined ? [] : [{ content, name, inWork }]
  })
}

/** 'damaged' where the file is not what its name says; null where there is none. */
export function readRecipe(
  directory: Directory,
  content: ContentId,
  name = contentName(content),
): Recipe | 'damaged' | null {
  const path = `${directory.base}/${name}`
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return null
  return recipes.get(content) ?? rereadRecipe(directory, content, name)
}

/** As it lies on the disk, whatever is known of it. */
export function rereadRecipe(
  directory: Directory,
  content: ContentId,
  name = contentName(content),
): Recipe | 'damaged' | null {
  try {
    const top = readOwn(`${directory.base}/${name}`)
    if (!isTopOf(content, top)) return 'damaged'
    const decoded = decodeTop(top)
    let offset = 0
    const parts = decoded.segments.map(({ hash, length }) => {
      const part = { hash, length, offset }
      offset += length
      return part
    })
    return remember(recipes, content, { size: decoded.size, segments: parts }, CACHED_RECIPES)
  } catch (error) {
    return isAbsent(error) ? null : 'damaged'
  }
}

/** The chunks that a segment lists; null where no pack has it sound. */
export function readSegment(packs: Packs, hash: Hash): readonly Chunk[] | null {
  const cached = segments.get(hash)
  if (cached !== undefined) return cached
  const bytes = packs.read(hash)
  return bytes === null ? null : remember(segments, hash, decodeSegment(bytes), CACHED_SEGMENTS)
}

/** Runs `use` on the packed version; null where there is none. Every byte it gives was verified. */
export function withPacked<T>(root: Root, content: ContentId, use: (source: Source) => T): T | null {
  const recipe = inRecipes(root, directory => readRecipe(directory, content))
  if (recipe === null || recipe === 'damaged') return null
  return withPacks(root, packs =>
    use({ size: recipe.size, fd: null, read: (offset, length) => readRange(packs, recipe, offset, length) }),
  )
}

/** Every chunk and segment of the recipe, read and verified. What is cached is read again too. */
export function isSound(packs: Packs, recipe: Recipe): boolean {
  for (const { hash } of recipe.segments) {
    const bytes = packs.read(hash)
    if (bytes === null) return false
    for (const chunk of decodeSegment(bytes)) if (packs.read(chunk.hash)?.length !== chunk.length) return false
  }
  return true
}

function readRange(packs: Packs, recipe: Recipe, offset: number, length: number): Uint8Array | null {
  if (offset < 0 || offset + length > recipe.size) return null
  const out = Buffer.allocUnsafeSlow(length)
  const end = offset + length
  for (let index = segmentAt(recipe, offset); index < recipe.segments.length; index++) {
    const segment = recipe.segments[index]
    if (segment === undefined || segment.offset >= end) break
    const chunks = readSegment(packs, segment.hash)
    if (chunks === null) return null
    let at = segment.offset
    for (const chunk of chunks) {
      const next = at + chunk.length
      if (next > offset && at < end) {
        const bytes = packs.read(chunk.hash)
        if (bytes === null || bytes.length !== chunk.length) return null
        bytes.copy(out, Math.max(0, at - offset), Math.max(0, offset - at), Math.min(chunk.length, end - at))
      }
      at = next
    }
  }
  return out
}

/** The index of the segment that has this offset. */
function segmentAt(recipe: Recipe, offset: number): number {
  let low = 0
  let high = recipe.segments.length - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if ((recipe.segments[middle]?.offset ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  return low
}

function remember<K, V>(map: Map<K, V>, key: K, value: V, most: number): V {
  map.set(key, value)
  for (const oldest of map.keys()) {
    if (map.size <= most) break
    map.delete(oldest)
  }
  return value
}
