// Reading a file into its content list, in a worker: one pass, cut and hashed as it is read. Also where "text" is decided.
import { isUtf8 } from 'node:buffer'
import { cutChunk, cuttingRoom } from '../core/chunker.ts'
import type { Chunk, ContentList } from '../core/content.ts'
import { MAX_CHUNK_BYTES } from '../core/content.ts'
import { contentOf, listOf, sha256 } from '../core/content-list.ts'
import { readFully } from './beneath.ts'
import type { Run } from './run.ts'

const MAX_TEXT_BYTES = 2 * 1024 * 1024
const EMPTY = new Uint8Array(0)

/**
 * The first `size` bytes of the handle (fewer where it ends), and, of up to MAX_TEXT_BYTES, the bytes themselves (a view: used up by
 * the next call). That the file is not longer, and was not written meanwhile, is the caller's to check by its stat.
 */
export function readContent(fd: number, size: number): { list: ContentList; whole: Uint8Array | null } {
  const window = cuttingRoom()
  if (size >= window.length) return { list: listOf(readChunks(fd, 0, size, size)), whole: null }
  const whole = window.subarray(0, readFully(fd, window, 0, size))
  return { list: contentOf(whole), whole: whole.length <= MAX_TEXT_BYTES ? whole : null }
}

/** As cut from `from` on, until one ends at `until` or behind it, or the content of `size` bytes (or the file) ends. */
export function readChunks(fd: number, from: number, size: number, until: number): Chunk[] {
  const window = cuttingRoom()
  const chunks: Chunk[] = []
  let [start, filled, next, end] = [0, 0, from, from]
  let isAllRead = false
  for (;;) {
    while (filled - start >= MAX_CHUNK_BYTES || (isAllRead && start < filled)) {
      if (end >= until) return chunks
      const length = cutChunk(window, start, filled)
      chunks.push({ hash: sha256(window.subarray(start, start + length)), length })
      start += length
      end += length
    }
    if (isAllRead) return chunks
    window.copyWithin(0, start, filled)
    filled -= start
    start = 0
    const wanted = Math.min(size - next, window.length - filled)
    const count = readFully(fd, window.subarray(filled), next, wanted)
    next += count
    filled += count
    isAllRead = count < wanted || next === size
  }
}

/** Are the bytes of the handle these chunks, and nothing more? `into`: what is right is written there. */
export function isMadeOf(fd: number, chunks: readonly Chunk[], into: Run | null = null): boolean {
  const window = cuttingRoom()
  let at = 0
  for (let next = 0; next < chunks.length; ) {
    let [end, wanted] = [next, 0]
    for (; end < chunks.length; end++) {
      const { length } = chunks[end] as Chunk
      if (wanted + length > window.length) break
      wanted += length
    }
    if (readFully(fd, window, at, wanted) !== wanted) return false
    for (let start = 0; next < end; next++) {
      const { hash, length } = chunks[next] as Chunk
      const bytes = window.subarray(start, start + length)
      if (sha256(bytes) !== hash) return false
      into?.add(bytes, at + start)
      start += length
    }
    into?.write()
    at += wanted
  }
  return readFully(fd, window, at, 1) === 0
}

/** A copy of the bytes where they are a text: UTF-8 without NUL, or UTF-16 with its mark. */
export function textOf(whole: Uint8Array | null): Uint8Array | null {
  if (whole === null) return null
  if (whole.length === 0) return EMPTY
  const marked = (whole[0] === 0xff && whole[1] === 0xfe) || (whole[0] === 0xfe && whole[1] === 0xff)
  if (!(marked && whole.length % 2 === 0) && (whole.includes(0) || !isUtf8(whole))) return null
  return Uint8Array.from(whole)
}
