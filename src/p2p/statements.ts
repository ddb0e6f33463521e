// The signed statements that membership is made of: their one canonical encoding, signing and verifying. Pure.
// A *paired* statement is an edge between two devices and is worth nothing without both signatures; *removed* and *named* are
// signed by their author. It must not decide whom to trust: that is membership's.
import './polyfill.ts'
import type { Ed25519PrivateKey } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { decode, encode } from 'cborg'
import { z } from 'zod'
import type { DeviceId } from '../core/ids.ts'
import { binary } from '../core/ids.ts'

const MAX_STATEMENT_BYTES = 16 * 1024
export const MAX_NAME_LENGTH = 64
const DOMAIN = new TextEncoder().encode('kith membership 1\0')
const PEER_ID = /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/

export const deviceSchema = z
  .string()
  .regex(PEER_ID)
  .transform(text => text as DeviceId)
export const deviceNameSchema = z.string().min(1).max(MAX_NAME_LENGTH)
const time = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)

const bodySchema = z.discriminatedUnion('is', [
  /** `by` showed the code, `device` typed it. Both sign. */
  z.strictObject({ is: z.literal('added'), device: deviceSchema, name: deviceNameSchema, by: deviceSchema, at: time }),
  /** For ever. `keep`: those paired with `device` that its remover knew of and still trusts. */
  z.strictObject({
    is: z.literal('removed'),
    device: deviceSchema,
    by: deviceSchema,
    at: time,
    keep: z.array(deviceSchema).max(256),
  }),
  z.strictObject({ is: z.literal('named'), device: deviceSchema, name: deviceNameSchema, by: deviceSchema, at: time }),
])
const bytesSchema = z.custom<Uint8Array>(value => value instanceof Uint8Array)
const signatureSchema = bytesSchema.refine(bytes => bytes.length === 64)
const envelopeSchema = z.tuple([bytesSchema, z.array(signatureSchema).min(1).max(2)])

export type StatementBody = z.infer<typeof bodySchema>

export interface Statement {
  readonly body: StatementBody
  /** The canonical bytes, as stored and sent. */
  readonly bytes: Uint8Array
  /** `bytes` as a map key. */
  readonly key: string
}

/** Whose signatures a statement needs, in order. */
function signers(body: StatementBody): DeviceId[] {
  return body.is === 'added' ? [body.by, body.device] : [body.by]
}

export function encodeBody(body: StatementBody): Uint8Array {
  return encode(body)
}

/** Throws where the bytes are not the canonical encoding of a body. */
export function decodeBody(bytes: Uint8Array): StatementBody {
  const body = bodySchema.parse(decode(bytes, { strict: true, rejectDuplicateMapKeys: true }))
  if (!Buffer.from(encodeBody(body)).equals(bytes)) throw new Error('it is not in canonical form')
  return body
}

export async function sign(body: Uint8Array, key: Ed25519PrivateKey): Promise<Uint8Array> {
  return await key.sign(Buffer.concat([DOMAIN, body]))
}

export async function verify(body: Uint8Array, signature: Uint8Array, device: DeviceId): Promise<boolean> {
  const { publicKey } = peerIdFromString(device)
  if (publicKey === undefined) return false
  return await publicKey.verify(Buffer.concat([DOMAIN, body]), signature)
}

/** Puts body and signatures together. Nothing is checked: `readStatement` does that. */
export function seal(body: Uint8Array, signatures: readonly Uint8Array[]): Uint8Array {
  return encode([body, signatures])
}

/** Decodes and verifies. Throws an Error whose message says what is wrong. */
export async function readStatement(bytes: Uint8Array): Promise<Statement> {
  if (bytes.length > MAX_STATEMENT_BYTES) throw new Error('it is too long')
  const [encoded, signatures] = envelopeSchema.parse(decode(bytes, { strict: true }))
  if (!Buffer.from(seal(encoded, signatures)).equals(bytes)) throw new Error('it is not in canonical form')
  const body = decodeBody(encoded)
  const needed = signers(body)
  if (needed.length === 2 && needed[0] === needed[1]) throw new Error('a device cannot add itself')
  if (signatures.length !== needed.length) throw new Error('a signature is missing')
  for (const [index, device] of needed.entries()) {
    const signature = signatures[index]
    if (signature === undefined || !(await verify(encoded, signature, device)))
      throw new Error('a signature is not valid')
  }
  return { body, bytes, key: binary(bytes) }
}
