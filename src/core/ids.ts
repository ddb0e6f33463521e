// The branded identifiers. Binary ids are latin1 strings (one char a byte): compact as map keys and in memory; hex only at
// the edges (logs, API, file names). Nothing here does I/O.
declare const brand: unique symbol
type Branded<T, B extends string> = T & { readonly [brand]: B }

/** A device: its libp2p peer id as text (`12D3Koo…`). */
export type DeviceId = Branded<string, 'DeviceId'>
/** A folder: 32 lowercase hex digits (128 random bits). */
export type FolderId = Branded<string, 'FolderId'>
/** A node of the tree: 16 bytes as latin1 = first half of SHA-256(parent id ‖ kind ‖ generation ‖ NFC(name)). */
export type NodeId = Branded<string, 'NodeId'>
/** One incarnation of a device in one folder: a random integer in [1, 2^53); also the Yjs client id. */
export type ActorId = Branded<number, 'ActorId'>
/** A content: 33 bytes as latin1 = hash-id byte ‖ SHA-256 (see content.ts). The empty string stands for "no content" (directories). */
export type ContentId = Branded<string, 'ContentId'>
/** SHA-256 of a chunk or of a segment list: 32 bytes as latin1. */
export type Hash = Branded<string, 'Hash'>
/** A synced row, local to this device's database of one folder: an integer from 1 upwards. */
export type RowId = Branded<number, 'RowId'>
/** A Yjs document of a folder: 0–255 = files documents by first byte of the birth parent's id, 256 = directories. */
export type DocId = Branded<number, 'DocId'>

export const ROOT_NODE = '\0'.repeat(16) as NodeId
export const ROOT_ROW = 1 as RowId
export const DIRECTORIES_DOC = 256 as DocId
export const DOC_COUNT = 257
export const NO_CONTENT = '' as ContentId

/** Bytes → latin1 string. */
export function binary(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/** Latin1 string → bytes (a copy). */
export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, 'latin1')
}

/** Latin1 string → lowercase hex. */
export function hexOf(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex')
}

/** Lowercase hex → latin1 string; undefined where it is not hex. */
export function fromHex(hex: string): string | undefined {
  return /^(?:[0-9a-f]{2})*$/.test(hex) ? Buffer.from(hex, 'hex').toString('latin1') : undefined
}
