// The messages of `/kith/sync/1` and `/kith/content/1`: one schema each. It promises that what comes out of `parse` has exactly the
// declared shape; fields that this version does not know are dropped, types that it does not know are told apart from broken ones.
// To add a message: one row here, and the one part that answers it. Bulk (updates, contents, keys) travels in the frame's blobs.
import { z } from 'zod'
import { MAX_CHUNK_BYTES } from '../core/content.ts'
import { MAX_TOP_BYTES } from '../core/content-list.ts'
import type { ContentId, DeviceId, DocId, FolderId, Hash, NodeId } from '../core/ids.ts'
import { binary, DOC_COUNT } from '../core/ids.ts'
import type { Frame } from './frame.ts'
import { broken } from './frame.ts'

/** Raised by what an older version cannot live with. */
export const PROTOCOL_VERSION = 1
/** One update, over all its parts. */
export const MAX_UPDATE_BYTES = 64 * 1024 * 1024
/** An answer holds no more than this, but always at least one item. */
export const MAX_ANSWER_BYTES = 1024 * 1024
/** Of a longer list the rest counts as not there. */
export const MAX_ARRIVED_BYTES = 1024 * 1024
/** Keys in one request. */
const MAX_KEYS = 1024
export const DIGEST_BYTES = 32
export const CONTENT_ID_BYTES = 33
export const HASH_BYTES = 32
export const NODE_BYTES = 16
/** Questions about the past in one request. */
export const MAX_QUERIES = 1_000
/** Entries of a history in one frame. */
export const MAX_ENTRIES = 500
/** In UTF-16 units. */
export const MAX_PAST_PATH = 16 * 1024

/** Of devices and folders, in UTF-16 units. */
export const MAX_NAME_LENGTH = 256

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const folder = z
  .string()
  .regex(/^[0-9a-f]{32}$/)
  .transform(id => id as FolderId)
const doc = z
  .number()
  .int()
  .min(0)
  .max(DOC_COUNT - 1)
  .transform(id => id as DocId)
const docs = z.array(doc).max(DOC_COUNT)
const text = (max: number) => z.string().max(max)
const has = z.array(z.boolean()).max(MAX_KEYS)
const kind = z.enum(['file', 'directory', 'symlink'])
const facts = z.object({ size: count, mtime: z.int(), mode: count.max(0o777) })
/** Data about the past: who it names is shown, and trusted with nothing. */
const entry = z.object({
  time: z.int(),
  device: text(128).transform(id => id as DeviceId),
  action: z.enum(['created', 'edited', 'moved', 'deleted', 'merged', 'restored']),
  kind,
  path: text(MAX_PAST_PATH),
  facts,
  was: z.object({ path: text(MAX_PAST_PATH), facts }).nullable(),
})

/** Fields of the sync stream's messages, by type. */
const SYNC_MESSAGES = {
  /** First on every stream, both ways. Its first three fields stay as they are in every version to come. */
  hello: z.object({
    protocol: count,
    version: text(64),
    name: text(MAX_NAME_LENGTH),
    device: text(128).transform(id => id as DeviceId),
  }),
  goodbye: z.object({ reason: text(512) }),
  /** The answer to a type that is not known. */
  refused: z.object({ what: text(64) }),
  ping: z.object({ id: count }),
  pong: z.object({ id: count }),
  /** Blobs: signed statements. `more`: others follow in the next frame. */
  members: z.object({ more: z.boolean() }),
  /** The folders that the sender holds; replaces what it said before. */
  folders: z.object({
    folders: z.array(z.object({ id: folder, name: text(MAX_NAME_LENGTH), formatVersion: count })).max(2_000),
  }),
  /** One blob: a digest of 32 bytes for each of `docs`. `ask`: tell me yours. `fresh`: I know nothing of what you sent before this. */
  digests: z.object({ folder, docs, ask: z.boolean(), fresh: z.boolean() }),
  /** Blobs: for each of `docs` the sender's state vector. The answer comes as updates. */
  want: z.object({ folder, docs }),
  /** Blobs: one for each of `items`. `part` of `of` pieces of one update, one right after the other. `answered`: these wants are done. */
  updates: z.object({
    folder,
    seq: count,
    items: z.array(z.object({ doc, part: count, of: count.min(1).max(256) })).max(8_192),
    answered: docs,
  }),
  /** Everything up to this `seq` is durable. */
  ack: z.object({ folder, seq: count }),
  /** Not a folder of mine (any more), or not with you. */
  absent: z.object({ folder }),
  /** One blob: for each query its node's id (or zeros) and its content id (zeros for a directory). Does the journal know them? */
  past: z.object({
    id: count,
    folder,
    queries: z.array(z.object({ path: text(MAX_PAST_PATH), kind })).max(MAX_QUERIES),
  }),
  /** Yes or no for each query; none at all where the folder is not shared or could not be asked. */
  known: z.object({ id: count, known: z.array(z.boolean()).max(MAX_QUERIES) }),
  /** What does the journal have of this path, or of these nodes? One blob: the nodes' ids. */
  history: z.object({ id: count, folder, path: text(MAX_PAST_PATH) }),
  /** Newest first. One blob: of each entry the node's id, the content, and the content before (zeros for none). `failed`: no answer. */
  events: z.object({ id: count, failed: z.boolean(), more: z.boolean(), entries: z.array(entry).max(MAX_ENTRIES) }),
  /** One blob: content ids. Do they lie there, whole? */
  holds: z.object({ id: count, folder }),
  /** Yes or no for each; none at all where the folder is not shared or could not be asked. */
  held: z.object({ id: count, holds: z.array(z.boolean()).max(MAX_KEYS) }),
  state: z.object({
    folder,
    digest: z.string().regex(/^[0-9a-f]{64}$/),
    needFiles: count,
    needBytes: count,
    settled: z.boolean(),
    pulling: z.boolean(),
    /** Older versions do not say it. */
    stopped: text(64).nullable().default(null),
  }),
  /** One blob: content ids or segment hashes, one after the other. The answer (`items`) covers as many from the front as fit into `limit`. */
  get: z.object({ id: count, folder, kind: z.enum(['whole', 'segment']), limit: count }),
  /** One blob: the content id. The answer is one piece of its top list, from `offset` on. */
  top: z.object({ id: count, folder, offset: count }),
  /** One blob: a content id. What of it lies there by now? */
  progress: z.object({ id: count, folder }),
  /** One blob: with `some` a bit for each chunk of the list, the lowest of a byte first, else empty. `none`: not shared, or not known. */
  arrived: z.object({ id: count, what: z.enum(['none', 'some', 'all']) }),
  /** I read a large file, by a number of mine. One blob: the content id of its beginning as far as it is read; empty: it has been read. */
  ahead: z.object({ folder, file: count }),
  /** `has`: yes or no for each key from the front; blobs: one for each yes. */
  items: z.object({ id: count, has }),
  /** One blob: the piece. `total`: length of the whole list, null for no. */
  piece: z.object({ id: count, total: count.max(MAX_TOP_BYTES).nullable() }),
} as const

/** Fields of the content stream's messages, by type. */
const CONTENT_MESSAGES = {
  /** One blob: chunk hashes. The answers (`items`) come in order until all are covered. */
  pull: z.object({ id: count, folder }),
  items: z.object({ id: count, has }),
} as const

type Table = Readonly<Record<string, z.ZodType>>
type MessageOf<T extends Table> = { [K in keyof T & string]: { readonly type: K } & z.output<T[K]> }[keyof T & string]

export type SyncMessage = MessageOf<typeof SYNC_MESSAGES>
export type ContentMessage = MessageOf<typeof CONTENT_MESSAGES>
export type Blobs = readonly Uint8Array[]

/** A message to send; `blobs` as its row above says. */
export interface Outgoing<M = SyncMessage> {
  readonly message: M
  readonly blobs: Blobs
}

/** The message in a frame, or the name of a type that this table does not have. Throws KithError `peer-protocol`. */
export function parseSync(frame: Frame): SyncMessage | { readonly unknown: string } {
  return parse(SYNC_MESSAGES, frame)
}

export function parseContent(frame: Frame): ContentMessage | { readonly unknown: string } {
  return parse(CONTENT_MESSAGES, frame)
}

function parse<T extends Table>(table: T, frame: Frame): MessageOf<T> | { readonly unknown: string } {
  const schema = Object.hasOwn(table, frame.type) ? table[frame.type] : undefined
  if (schema === undefined) return { unknown: frame.type }
  const result = schema.safeParse(frame.fields)
  if (!result.success) throw broken(`a malformed message of type ${frame.type}`)
  return { type: frame.type, ...(result.data as object) } as MessageOf<T>
}

export function frameOf(out: Outgoing<SyncMessage | ContentMessage>): Frame {
  const { type, ...fields } = out.message
  return { type, fields, blobs: out.blobs }
}

/** The only blob of a message; throws where there are none or more. */
export function onlyBlob(blobs: Blobs): Uint8Array {
  const [blob] = blobs
  if (blob === undefined || blobs.length !== 1) throw broken('a message with a wrong number of blobs')
  return blob
}

/** Splits a blob of keys of equal length, as latin1 strings. */
export function keysOf<K extends ContentId | Hash | NodeId>(blob: Uint8Array, keyBytes: number): K[] {
  const keys: K[] = []
  if (blob.byteLength % keyBytes !== 0 || blob.byteLength > keyBytes * MAX_KEYS) throw broken('keys of a wrong length')
  for (let at = 0; at < blob.byteLength; at += keyBytes) keys.push(binary(blob.subarray(at, at + keyBytes)) as K)
  return keys
}

export function joinKeys(keys: readonly (ContentId | Hash)[]): Uint8Array {
  return Buffer.from(keys.join(''), 'latin1')
}

/** What an `items` message holds, in the order asked; null for what the peer does not have. */
export function itemsOf(present: readonly boolean[], blobs: Blobs): (Uint8Array | null)[] {
  let at = 0
  const out = present.map(yes => (yes ? (blobs[at++] ?? null) : null))
  if (at !== blobs.length) throw broken('items that do not match their bytes')
  if (blobs.some(blob => blob.byteLength > MAX_CHUNK_BYTES)) throw broken('an item larger than allowed')
  return out
}
