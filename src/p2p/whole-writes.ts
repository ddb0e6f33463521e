// TCP as libp2p has it, but what is sent together leaves together. libp2p's own writes each piece of a message by itself, the two bytes of
// a packet's length as well as the packet, each with a system call and a segment, and waits for a drain after each packet. It reaches for
// two members of the connection that are not public; where they are not as expected, all stays as libp2p has it (a test looks).
import { Socket } from 'node:net'
import type {
  CreateListenerOptions,
  Listener,
  MessageStream,
  MultiaddrConnection,
  Transport,
  Upgrader,
} from '@libp2p/interface'

interface SendResult {
  readonly sentBytes: number
  readonly canSendMore: boolean
}

interface Pieces {
  readonly byteLength: number
  [Symbol.iterator](): Iterator<Uint8Array>
}

interface SocketConnection {
  readonly socket: Socket
  sendData(pieces: Pieces): SendResult
}

/** The same transport for the same components, with connections that write whole. */
export function writingWhole<C>(make: (components: C) => Transport): (components: C) => Transport {
  return components => {
    const transport = make(components)
    const dial = transport.dial.bind(transport)
    const createListener = transport.createListener.bind(transport)
    transport.dial = (address, options) => dial(address, { ...options, upgrader: upgrading(options.upgrader) })
    transport.createListener = (options: CreateListenerOptions): Listener =>
      createListener({ ...options, upgrader: upgrading(options.upgrader) })
    return transport
  }
}

function upgrading(upgrader: Upgrader): Upgrader {
  return new Proxy(upgrader, {
    get(target, name) {
      if (name === 'upgradeInbound')
        return (...[connection, options]: Parameters<Upgrader['upgradeInbound']>) =>
          target.upgradeInbound(writeWhole(connection), options)
      if (name === 'upgradeOutbound')
        return (...[connection, options]: Parameters<Upgrader['upgradeOutbound']>) =>
          target.upgradeOutbound(writeWhole(connection), options)
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** False: it is not what this knows. */
export function writesWhole(connection: MessageStream): connection is MessageStream & SocketConnection {
  const { socket, sendData } = connection as Partial<SocketConnection>
  return socket instanceof Socket && typeof sendData === 'function'
}

function writeWhole(connection: MultiaddrConnection): MultiaddrConnection {
  if (!writesWhole(connection)) return connection
  const { socket } = connection
  connection.sendData = pieces => {
    let canSendMore = true
    socket.cork()
    try {
      for (const piece of pieces) canSendMore = socket.write(piece)
    } finally {
      socket.uncork()
    }
    return { sentBytes: pieces.byteLength, canSendMore }
  }
  return connection
}
