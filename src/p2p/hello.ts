// The first frame of a session: is this the device that the connection is to, and do we speak the same protocol? An older or newer peer
// gets a sentence that says which side to update, on both sides. The fields read here stay as they are in every version to come.
import { KithError } from '../core/errors.ts'
import type { DeviceId } from '../core/ids.ts'
import type { Frame } from './frame.ts'
import { broken } from './frame.ts'
import { PROTOCOL_VERSION, parseSync } from './wire.ts'

/** The name that the peer gives itself. Throws KithError `peer-protocol`. */
export function greeted(frame: Frame, from: DeviceId, ownVersion: string): string {
  if (frame.type !== 'hello') throw broken(`a ${frame.type} before its hello`)
  const { protocol, version } = (frame.fields ?? {}) as { protocol?: unknown; version?: unknown }
  // Before the rest is looked at: another version may say more, or say it differently.
  if (typeof protocol === 'number' && protocol !== PROTOCOL_VERSION) {
    throw mismatch(ownVersion, protocol, typeof version === 'string' ? version.slice(0, 64) : 'unknown')
  }
  const message = parseSync(frame)
  if (!('type' in message) || message.type !== 'hello') throw broken('no hello')
  if (message.device !== from) throw broken('a hello of another device')
  return message.name
}

function mismatch(mine: string, protocol: number, theirs: string): KithError {
  const older = protocol < PROTOCOL_VERSION ? theirs : mine
  return new KithError(
    'peer-protocol',
    `These two devices run versions of Kith that cannot talk to each other (${mine} with protocol ${PROTOCOL_VERSION}, ` +
      `${theirs} with protocol ${protocol}): update the one with ${older}.`,
  )
}
