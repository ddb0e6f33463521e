// Rows, contents and metas for tests of the store, made from a seed.

import type { Chunk, ContentList } from '../../src/core/content.ts'
import { singleContent } from '../../src/core/content.ts'
import { listOf } from '../../src/core/content-list.ts'
import type { Kind, NodeRef, Version } from '../../src/core/entry.ts'
import type { ActorId, ContentId, DeviceId, DocId, FolderId, Hash, NodeId, RowId } from '../../src/core/ids.ts'
import { NO_CONTENT, ROOT_NODE, ROOT_ROW } from '../../src/core/ids.ts'
import type { JournalEntry } from '../../src/core/past.ts'
import type { FolderMeta } from '../../src/core/ports.ts'
import type { Row } from '../../src/core/rows.ts'
import type { Random } from '../support/random.ts'

export const FOLDER = '00112233445566778899aabbccddeeff' as FolderId
export const OTHER_FOLDER = 'ffeeddccbbaa99887766554433221100' as FolderId
const DEVICE = '12D3KooWExample' as DeviceId
const SEQ_BASE = 1_700_000_000_000
export const ACTOR = 4_503_599_627_370_497 as ActorId

export function doc(number: number): DocId {
  return number as DocId
}

export function row(number: number): RowId {
  return number as RowId
}

export function randomBinary(random: Random, length: number): string {
  let out = ''
  for (let at = 0; at < length; at++) out += String.fromCharCode(random.int(256))
  return out
}

export function randomBytes(random: Random, length: number): Uint8Array {
  const out = Buffer.alloc(length)
  for (let at = 0; at < length; at++) out[at] = random.int(256)
  return out
}

export function randomHash(random: Random): Hash {
  return randomBinary(random, 32) as Hash
}

/** A list of `count` chunks; not of real bytes. */
export function listWith(random: Random, count: number): ContentList {
  const chunks: Chunk[] = []
  for (let at = 0; at < count; at++) chunks.push({ hash: randomHash(random), length: 16 * 1024 + random.int(200_000) })
  return listOf(chunks)
}

export function metaWith(counter: number): FolderMeta {
  return {
    actor: ACTOR,
    seqCeiling: SEQ_BASE + counter,
    pulling: false,
    rejoining: counter % 2 === 1,
    rejoinSince: counter % 2 === 1 ? counter : null,
  }
}

/** The counter that a meta was made with; −1 for none. */
export function counterOf(meta: FolderMeta | null): number {
  return meta === null ? -1 : meta.seqCeiling - SEQ_BASE
}

export function journalEntry(changes: Partial<JournalEntry> = {}): JournalEntry {
  return {
    time: 1_700_000_000_000,
    device: DEVICE,
    action: 'edited',
    node: ROOT_NODE,
    kind: 'file',
    path: 'a/b.txt',
    facts: { content: NO_CONTENT, size: 1, mtime: 0, mode: 0o644 },
    was: null,
    ...changes,
  }
}

export function rootRow(): Row {
  const stat = { dev: 1, ino: 2, birthUs: 0, size: 4096, mtimeUs: 0, ctimeUs: 0, mode: 0o755, links: 2 }
  return {
    id: ROOT_ROW,
    parent: ROOT_ROW,
    name: '',
    kind: 'directory',
    content: NO_CONTENT,
    size: 0,
    mtime: 0,
    mode: 0o755,
    stat,
    copy: false,
    nodes: [],
  }
}

/** A file as most are: one node, one version, its facts those of the row. */
export function fileRow(random: Random, number: number, parent: RowId = ROOT_ROW): Row {
  const content = singleContent(randomHash(random))
  const mtime = 1_600_000_000_000 + random.int(1_000_000_000)
  const facts = { content, size: random.int(100_000), mtime, mode: 0o644 }
  const name = `file-${number}.txt`
  const version: Version = {
    ...facts,
    dot: { actor: ACTOR, seq: mtime + 5 },
    base: null,
    merged: false,
    metadataOnly: false,
    copyOf: null,
  }
  const mtimeUs = mtime * 1000 + random.int(1000)
  const stat = {
    dev: 2049,
    ino: 1_000_000 + number,
    birthUs: mtimeUs - random.int(10_000_000),
    size: facts.size,
    mtimeUs,
    ctimeUs: mtimeUs + random.int(1000),
    mode: 0o644,
    links: 1,
  }
  const node: NodeRef = {
    id: randomBinary(random, 16) as NodeId,
    birth: { parent: ROOT_NODE, name, generation: 0 },
    placement: null,
    versions: [version],
  }
  return { id: row(number), parent, name, kind: 'file', ...facts, stat, copy: false, nodes: [node] }
}

const KINDS: readonly Kind[] = ['file', 'directory', 'symlink']

/** A row with everything that a row can have, in odd measures. */
export function oddRow(random: Random, number: number): Row {
  const plain = fileRow(random, number, row(1 + random.int(1_000_000)))
  const node = (): NodeRef => ({
    id: randomBinary(random, 16) as NodeId,
    birth: { parent: randomBinary(random, 16) as NodeId, name: oddName(random), generation: random.int(5) },
    placement: random.chance(0.5)
      ? null
      : {
          parent: randomBinary(random, 16) as NodeId,
          name: oddName(random),
          time: random.int(2 ** 31) * 1000,
          actor: ACTOR,
          previousParent: ROOT_NODE,
          previousName: oddName(random),
        },
    versions: Array.from({ length: random.int(4) }, () => oddVersion(random, plain)),
  })
  return {
    ...plain,
    name: oddName(random),
    kind: random.pick(KINDS),
    copy: random.chance(0.5),
    mtime: oddNumber(random),
    size: random.int(2 ** 31) * random.int(2 ** 20),
    stat: {
      dev: oddNumber(random),
      ino: oddNumber(random),
      birthUs: random.chance(0.3) ? 0 : oddNumber(random),
      size: random.int(2 ** 31),
      mtimeUs: oddNumber(random),
      ctimeUs: oddNumber(random),
      mode: random.int(0o1000),
      links: 1 + random.int(3),
    },
    nodes: Array.from({ length: random.int(4) }, node),
  }
}

function oddVersion(random: Random, plain: Row): Version {
  const dot = () => ({ actor: ACTOR, seq: random.int(2 ** 31) * 1000 })
  const facts = random.chance(0.5)
    ? { content: plain.content, size: plain.size, mtime: plain.mtime, mode: plain.mode }
    : { content: randomBinary(random, 33) as ContentId, size: random.int(100), mtime: -5, mode: 0 }
  return {
    ...facts,
    dot: dot(),
    base: random.chance(0.5) ? null : dot(),
    merged: random.chance(0.5),
    metadataOnly: random.chance(0.5),
    copyOf: random.chance(0.5) ? null : { node: randomBinary(random, 16) as NodeId, dot: dot() },
  }
}

function oddName(random: Random): string {
  return random.pick(['', 'a', 'Ünïcode ☃ 🎈', 'x'.repeat(255), 'line\nbreak', '\u0001'])
}

/** Negative, huge, and beyond what whole numbers hold exactly. */
function oddNumber(random: Random): number {
  return random.pick([
    0,
    1,
    223,
    224,
    -1,
    -(2 ** 40),
    2 ** 53 - 1,
    2 ** 63,
    2.5e17,
    1_700_000_000_000_000 + random.int(1000),
    random.int(2 ** 31) * 1000 + random.int(1000),
  ])
}
