// The one-time code for typing (`7F3K-Q2XM`: 40 random bits, Crockford base32) and the ticket for scanning, which also says whom
// to call. Pure but for the randomness.
import { randomBytes } from 'node:crypto'
import { decode, encode } from 'cborg'
import { z } from 'zod'
import { KithError } from '../core/errors.ts'
import type { DeviceId } from '../core/ids.ts'
import { MAX_ADDRESSES_PER_DEVICE } from './addresses.ts'
import { deviceSchema } from './statements.ts'

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const CODE_LENGTH = 8
const TICKET_PREFIX = 'kith:'
const SECRET_BYTES = 16

const ticketSchema = z.object({
  v: z.literal(1),
  id: deviceSchema,
  at: z.array(z.string().max(128)).max(MAX_ADDRESSES_PER_DEVICE),
  s: z.custom<Uint8Array>(value => value instanceof Uint8Array && value.length === SECRET_BYTES),
})

/** What the joiner was given. `secret` is what both sides must know. */
export type Invitation =
  | { readonly kind: 'code'; readonly secret: string }
  | {
      readonly kind: 'ticket'
      readonly secret: string
      readonly device: DeviceId
      readonly addresses: readonly string[]
    }

/** Eight characters, no dash. */
export function makeCode(): string {
  // 256 is a multiple of 32: no character is likelier than another.
  return [...randomBytes(CODE_LENGTH)].map(byte => ALPHABET.charAt(byte % ALPHABET.length)).join('')
}

/** As it is shown: `7F3K-Q2XM`. */
export function showCode(code: string): string {
  return `${code.slice(0, CODE_LENGTH / 2)}-${code.slice(CODE_LENGTH / 2)}`
}

export function makeTicketSecret(): string {
  return randomBytes(SECRET_BYTES).toString('hex')
}

export function makeTicket(device: DeviceId, addresses: readonly string[], secret: string): string {
  const at = addresses.slice(0, MAX_ADDRESSES_PER_DEVICE)
  return (
    TICKET_PREFIX + Buffer.from(encode({ v: 1, id: device, at, s: Buffer.from(secret, 'hex') })).toString('base64url')
  )
}

/** Reads what a person typed, forgiving what is often mistyped. Throws KithError `bad-usage`. */
export function readInvitation(text: string): Invitation {
  const trimmed = text.trim()
  if (trimmed.toLowerCase().startsWith(TICKET_PREFIX)) return readTicket(trimmed.slice(TICKET_PREFIX.length))
  const code = trimmed.toUpperCase().replace(/[\s-]/g, '').replace(/O/g, '0').replace(/[IL]/g, '1')
  if (code.length !== CODE_LENGTH || [...code].some(letter => !ALPHABET.includes(letter))) {
    throw new KithError('bad-usage', 'A pairing code has eight letters and digits, like 7F3K-Q2XM.')
  }
  return { kind: 'code', secret: code }
}

function readTicket(text: string): Invitation {
  try {
    const ticket = ticketSchema.parse(decode(Buffer.from(text, 'base64url'), { strict: true }))
    const secret = Buffer.from(ticket.s).toString('hex')
    return { kind: 'ticket', secret, device: ticket.id, addresses: ticket.at }
  } catch (cause) {
    throw new KithError('bad-usage', 'That pairing ticket is not complete; copy the whole of it.', { cause })
  }
}
