// noise as libp2p has it, without one copy of all that is received: it copies each packet together as room for the plain text, which the
// crypto of Node then does not use. It reaches for two members of the connection that are not public; where they are not as expected, all
// stays as libp2p has it (a test looks).
import { noise } from '@chainsafe/libp2p-noise'
import type { MessageStream } from '@libp2p/interface'

const TAG_BYTES = 16

interface Packet {
  readonly byteLength: number
}

interface Decrypting {
  readonly handshake: { decrypt(packet: Packet): Packet }
  decrypt(packet: Packet): Packet
}

export function leanNoise(): ReturnType<typeof noise> {
  const make = noise()
  return components => {
    const encrypter = make(components)
    const secureInbound = encrypter.secureInbound.bind(encrypter)
    const secureOutbound = encrypter.secureOutbound.bind(encrypter)
    encrypter.secureInbound = async (connection, options) => lean(await secureInbound(connection, options))
    encrypter.secureOutbound = async (connection, options) => lean(await secureOutbound(connection, options))
    return encrypter
  }
}

function lean<T extends { readonly connection: MessageStream }>(secured: T): T {
  const { connection } = secured
  if (!decrypts(connection)) return secured
  const { handshake } = connection
  connection.decrypt = packet => {
    if (packet.byteLength < TAG_BYTES) throw new Error('a packet without a tag')
    return handshake.decrypt(packet)
  }
  return secured
}

/** False: it is not what this knows. */
export function decrypts(connection: MessageStream): connection is MessageStream & Decrypting {
  const { decrypt, handshake } = connection as Partial<Decrypting>
  return typeof decrypt === 'function' && typeof handshake?.decrypt === 'function'
}
