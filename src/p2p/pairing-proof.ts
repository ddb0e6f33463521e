// The proof that both sides know the code, bound to the two device ids that noise proved: a man in the middle has other ids, so a
// proof that he relays is worthless, and each guess from a recorded one costs a memory-hard step.
import { createHmac, scrypt, timingSafeEqual } from 'node:crypto'
import type { DeviceId } from '../core/ids.ts'

export const NONCE_BYTES = 32
const KEY_BYTES = 32
const SCRYPT = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 }

export interface Parties {
  /** The one who shows the code. */
  readonly offerer: DeviceId
  /** The one who typed it. */
  readonly joiner: DeviceId
}

/** Memory-hard and off the main thread: the caller runs one at a time. */
export async function deriveKey(secret: string, parties: Parties): Promise<Uint8Array> {
  return await new Promise((resolve, reject) => {
    scrypt(secret, `kith pair 1\0${parties.offerer}\0${parties.joiner}`, KEY_BYTES, SCRYPT, (error, key) => {
      if (error === null) resolve(key)
      else reject(error)
    })
  })
}

export function prove(
  role: keyof Parties,
  key: Uint8Array,
  parties: Parties,
  nonces: Readonly<Record<keyof Parties, Uint8Array>>,
): Uint8Array {
  return createHmac('sha256', key)
    .update(`kith pair 1 proof\0${role}\0${parties.offerer}\0${parties.joiner}\0`)
    .update(nonces.offerer)
    .update(nonces.joiner)
    .digest()
}

/** In constant time. */
export function sameProof(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other)
}
