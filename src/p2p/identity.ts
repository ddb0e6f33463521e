// This device's identity: one Ed25519 key in the home, made on the first start and never changed. Whoever can read it is this
// device, so a file that others may read is refused. It must not be logged or leave this folder.
import './polyfill.ts'
import { join } from 'node:path'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { Ed25519PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { KithError } from '../core/errors.ts'
import type { DeviceId } from '../core/ids.ts'
import { readPrivate, replacePrivate } from './private-file.ts'

const KEY_FILE = 'identity.key'

export interface Identity {
  readonly device: DeviceId
  readonly key: Ed25519PrivateKey
}

/** Reads the key in `home` (an existing directory), or makes it. Throws KithError `home-unsafe`. */
export async function loadIdentity(home: string): Promise<Identity> {
  const path = join(home, KEY_FILE)
  const stored = await readPrivate(path)
  if (stored !== null) return identityOf(parse(stored, path))
  const key = await generateKeyPair('Ed25519')
  // Whole or not at all: a start that was killed here must not leave a key that is none. The home's lock keeps others out.
  await replacePrivate(path, privateKeyToProtobuf(key))
  return identityOf(key)
}

export function identityOf(key: Ed25519PrivateKey): Identity {
  return { device: peerIdFromPrivateKey(key).toString() as DeviceId, key }
}

function parse(bytes: Uint8Array, path: string): Ed25519PrivateKey {
  const damaged = `The identity key ${path} is damaged. Restore it from a backup, or move it away: this device then starts as a new one and must be paired again.`
  try {
    const key = privateKeyFromProtobuf(bytes)
    if (key.type === 'Ed25519') return key
  } catch (cause) {
    throw new KithError('home-unsafe', damaged, { cause })
  }
  throw new KithError('home-unsafe', damaged)
}
