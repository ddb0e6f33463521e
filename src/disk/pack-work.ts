// Packing kept versions, and clearing the packs, in the hash workers; one of these at a time in a folder. The order on the platter is:
// recipe in work, packs, and only then (in the publish worker) the recipe's own name and the end of the whole file. Clearing takes every
// recipe, in work or not, for a root; where one of them cannot be followed, nothing is cleared.
import { randomUUID } from 'node:crypto'
import { type BigIntStats, fsyncSync, lstatSync, readdirSync, renameSync, unlinkSync } from 'node:fs'
import type { Chunk } from '../core/content.ts'
import { decodeSegment, sha256 } from '../core/content-list.ts'
import type { ContentId, Hash } from '../core/ids.ts'
import {
  AREA,
  contentName,
  PACK_SUFFIX,
  PART_SUFFIX,
  RECIPES,
  type Seal,
  sealOf,
  VERSIONS,
  WORK_SUFFIX,
} from './area.ts'
import { type Directory, within } from './beneath.ts'
import { isFull, removeIfThere, syncDirectory, writeFully } from './own-files.ts'
import { PackWriter } from './pack-file.ts'
import { type Packs, withPacks } from './packs.ts'
import { inRecipes, readRecipe, readSegment, recipeNames } from './recipes.ts'
import { type Root, type Source, withSource } from './source.ts'
import { writeNew } from './verified-file.ts'

/** A pack is not made larger, but for its last bytes. */
const PACK_BYTES = 64 * 1024 * 1024
/** Packs smaller than this are put together where there are many. */
const SMALL_PACK_BYTES = 8 * 1024 * 1024
const MOST_SMALL_PACKS = 16
/** A pack of which less than this is needed is written anew without the rest. */
const LIVE_PART = 0.5

export type PackTask =
  | { readonly do: 'pack-begin'; readonly root: Root; readonly content: ContentId; readonly top: Uint8Array }
  | {
      readonly do: 'pack-slice'
      readonly root: Root
      readonly content: ContentId
      /** Where in the content the first of the segments begins. */
      readonly offset: number
      readonly segments: readonly Uint8Array[]
    }
  | { readonly do: 'pack-clear'; readonly root: Root }

export interface PackReplies {
  /** The whole file as it is; null where it is not there. */
  'pack-begin': Seal | null
  /** False: the version is not (any more) what its list says. */
  'pack-slice': boolean
  /** Bytes given back. `blocked`: nothing could be; `full`: for the rest there was no room to write in. */
  'pack-clear': { readonly freed: number; readonly blocked: boolean; readonly full: boolean }
}

export function packWork(task: PackTask): PackReplies[PackTask['do']] {
  switch (task.do) {
    case 'pack-begin':
      return begin(task)
    case 'pack-slice':
      return withPacks(task.root, packs => slice(packs, task)) ?? false
    case 'pack-clear':
      return (
        withPacks(task.root, packs => new Clearing(task.root, packs).run()) ?? { freed: 0, blocked: false, full: false }
      )
  }
}

function begin({ root, content, top }: PackTask & { do: 'pack-begin' }): Seal | null {
  const stats = statOfWhole(root, content)
  if (stats === undefined) return null
  within(root.path, root.identity, `${AREA}/${RECIPES}`, recipes => {
    const path = `${recipes.base}/${contentName(content)}${WORK_SUFFIX}`
    writeNew(path, fd => {
      writeFully(fd, top, 0)
      fsyncSync(fd)
    })
    syncDirectory(recipes)
  })
  return sealOf(stats)
}

function statOfWhole(root: Root, content: ContentId): BigIntStats | undefined {
  return within(root.path, root.identity, `${AREA}/${VERSIONS}`, versions =>
    lstatSync(`${versions.base}/${contentName(content)}`, { bigint: true, throwIfNoEntry: false }),
  )
}

/** Afterwards all of these segments and their chunks lie in packs, read there and sound. */
function slice(packs: Packs, task: PackTask & { do: 'pack-slice' }): boolean {
  const whole = withSource(task.root, { at: 'version', content: task.content }, source => {
    const writer = new NewPacks(packs)
    try {
      let at = task.offset
      for (const bytes of task.segments) {
        const chunks = decodeSegment(bytes)
        if (!addChunks(packs, writer, source, chunks, at)) return false
        at += chunks.reduce((sum, { length }) => sum + length, 0)
        const hash = sha256(bytes)
        if (!writer.has(hash) && packs.read(hash) === null) writer.add(hash, bytes)
      }
      writer.finish()
      return [...writer.added].every(hash => packs.read(hash) !== null)
    } finally {
      writer.discard()
    }
  })
  return whole === true
}

function addChunks(packs: Packs, writer: NewPacks, source: Source, chunks: readonly Chunk[], start: number): boolean {
  let at = start
  for (const { hash, length } of chunks) {
    const offset = at
    at += length
    // A damaged copy in a pack is no copy: a sound one is written beside it.
    if (writer.has(hash) || packs.read(hash) !== null) continue
    const bytes = source.read(offset, length)
    if (bytes === null || sha256(bytes) !== hash) return false
    writer.add(hash, bytes)
  }
  return true
}

/** Writes packs of a bounded size; they get their names, and count, at `finish`. */
class NewPacks {
  readonly #packs: Packs
  readonly added = new Set<Hash>()
  readonly #done: string[] = []
  #writer: PackWriter | null = null

  constructor(packs: Packs) {
    this.#packs = packs
  }

  has(hash: Hash): boolean {
    return this.added.has(hash)
  }

  add(hash: Hash, bytes: Uint8Array): void {
    this.#writer ??= new PackWriter(`${this.#packs.directory.base}/${randomUUID()}${PACK_SUFFIX}${PART_SUFFIX}`)
    this.#writer.add(hash, bytes)
    this.added.add(hash)
    if (this.#writer.bytes >= PACK_BYTES) this.#end()
  }

  finish(): void {
    this.#end()
    for (const path of this.#done.splice(0)) renameSync(path, path.slice(0, -PART_SUFFIX.length))
    syncDirectory(this.#packs.directory)
    this.#packs.refresh()
  }

  /** What was not finished. */
  discard(): void {
    const writer = this.#writer
    this.#writer = null
    writer?.discard()
    for (const path of this.#done.splice(0)) removeIfThere(path)
  }

  #end(): void {
    const writer = this.#writer
    if (writer === null) return
    this.#writer = null
    writer.finish()
    this.#done.push(writer.path)
  }
}

class Clearing {
  readonly #root: Root
  readonly #packs: Packs
  readonly #needed = new Set<Hash>()

  constructor(root: Root, packs: Packs) {
    this.#root = root
    this.#packs = packs
  }

  run(): PackReplies['pack-clear'] {
    const { directory } = this.#packs
    this.#packs.refresh()
    for (const name of readdirSync(directory.base))
      if (name.endsWith(PART_SUFFIX)) removeIfThere(`${directory.base}/${name}`)
    if (inRecipes(this.#root, recipes => this.#mark(recipes)) === false) return { freed: 0, blocked: true, full: false }
    const { dead, sparse } = this.#sort()
    const before = this.#size()
    // First what needs no room: it may be the room that the rest needs.
    this.#remove(dead)
    const full = sparse.length > 0 && !this.#tighten(sparse)
    this.#packs.refresh()
    return { freed: before - this.#size(), blocked: false, full }
  }

  /** False: it is not known what all recipes need. */
  #mark(recipes: Directory): boolean {
    for (const { content, name, inWork } of recipeNames(recipes)) {
      if (inWork && statOfWhole(this.#root, content) === undefined) {
        // It was dropped, or packed to the end, meanwhile.
        removeIfThere(`${recipes.base}/${name}`)
        continue
      }
      const recipe = readRecipe(recipes, content, name)
      if (recipe === null) continue
      // Of what lies whole nothing in packs is needed.
      if (recipe === 'damaged' && (inWork || statOfWhole(this.#root, content) !== undefined)) continue
      if (recipe === 'damaged') return false
      for (const { hash } of recipe.segments) {
        if (this.#needed.has(hash)) continue
        const chunks = readSegment(this.#packs, hash)
        // Of what is in work, not all segments are there yet.
        if (chunks === null && inWork) continue
        if (chunks === null) return false
        this.#needed.add(hash)
        for (const chunk of chunks) this.#needed.add(chunk.hash)
      }
    }
    return true
  }

  #sort(): { dead: string[]; sparse: string[] } {
    const dead: string[] = []
    const sparse: string[] = []
    const small: string[] = []
    const found = this.#isAllFound()
    for (const [name, index] of this.#packs.all) {
      // Its index is damaged: what is missed may lie there.
      if (index === null && !found) continue
      let live = 0
      let all = 0
      for (const { hash, length } of index?.entries() ?? []) {
        all += length
        if (this.#needed.has(hash)) live += length
      }
      if (live === 0) dead.push(name)
      else if (live < all * LIVE_PART) sparse.push(name)
      else if (all < SMALL_PACK_BYTES) small.push(name)
    }
    return { dead, sparse: small.length > MOST_SMALL_PACKS ? [...sparse, ...small] : sparse }
  }

  #isAllFound(): boolean {
    const missed = new Set(this.#needed)
    for (const index of this.#packs.all.values()) for (const { hash } of index?.entries() ?? []) missed.delete(hash)
    return missed.size === 0
  }

  /** Returns those packs whose needed bytes now all lie, sound, in new ones. */
  #rewrite(names: readonly string[]): string[] {
    const done: string[] = []
    const writer = new NewPacks(this.#packs)
    try {
      for (const name of names) {
        let whole = true
        for (const { hash } of this.#packs.all.get(name)?.entries() ?? []) {
          if (!this.#needed.has(hash) || writer.has(hash)) continue
          const bytes = this.#packs.read(hash)
          if (bytes === null) whole = false
          else writer.add(hash, bytes)
        }
        if (whole) done.push(name)
      }
      writer.finish()
      return done
    } finally {
      writer.discard()
    }
  }

  /** False: the disk is too full for it. */
  #tighten(sparse: readonly string[]): boolean {
    try {
      this.#remove(this.#rewrite(sparse))
      return true
    } catch (error) {
      if (!isFull(error)) throw error
      return false
    }
  }

  #remove(names: readonly string[]): void {
    const { directory } = this.#packs
    for (const name of names) unlinkSync(`${directory.base}/${name}`)
    syncDirectory(directory)
  }

  #size(): number {
    let bytes = 0
    for (const name of this.#packs.all.keys())
      bytes += lstatSync(`${this.#packs.directory.base}/${name}`, { throwIfNoEntry: false })?.size ?? 0
    return bytes
  }
}
